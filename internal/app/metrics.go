package app

import (
	"context"
	"strconv"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/metrics"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/relay"
)

// metricsPort is where a process shows what it does; 0: nowhere.
func (in *installation) metricsPort(name bus.Name) int {
	m := in.Metrics
	switch name.Role {
	case bus.Door:
		return m.Door
	case bus.Authority:
		return m.Authority
	case bus.SFU:
		return m.SFU
	case bus.Recorder:
		if n, err := strconv.Atoi(name.Instance); err == nil && m.Recorder != 0 {
			return m.Recorder + n - 1
		}
		return m.Recorder
	default:
		return 0
	}
}

// legMetrics shows what the media node told last of each open leg, and what
// there was since the leg began. Room, leg, mid and rid are all its labels.
type legMetrics struct {
	now func() time.Time

	mu   sync.Mutex
	legs map[interview.LegID]*shownLeg
}

type shownLeg struct {
	last     media.Quality
	at       time.Time
	up, down media.Direction // sums
	lost     int64           // packets that no repair brought
	freezes  int64
	frozen   int64
}

// Bounds of what is shown.
const (
	maxShownLegs = 1000
	shownFor     = 5 * media.QualityEvery * time.Millisecond
)

func newLegMetrics() *legMetrics {
	return &legMetrics{now: time.Now, legs: map[interview.LegID]*shownLeg{}}
}

// take notes what a leg fared like.
func (m *legMetrics) take(q media.Quality) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.legs[q.Leg]
	if l == nil {
		if m.tidy(); len(m.legs) >= maxShownLegs {
			return
		}
		l = &shownLeg{}
		m.legs[q.Leg] = l
	}
	l.last, l.at = q, m.now()
	add(&l.up, q.Up)
	add(&l.down, q.Down)
	for _, t := range q.Tracks {
		l.lost += t.Lost
	}
	for _, s := range q.Slots {
		l.freezes += s.Freezes
		l.frozen += s.FrozenMS
	}
}

func add(sum *media.Direction, d media.Direction) {
	sum.Packets += d.Packets
	sum.NACK += d.NACK
	sum.RTX += d.RTX
	sum.PLI += d.PLI
}

// tidy forgets legs that are not told of any more; the lock is held.
func (m *legMetrics) tidy() {
	for id, l := range m.legs {
		if m.now().Sub(l.at) > shownFor {
			delete(m.legs, id)
		}
	}
}

// show gives the values of a scrape.
func (m *legMetrics) show(put metrics.Put) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tidy()
	rooms := map[interview.GroupID]int{}
	for id, l := range m.legs {
		rooms[l.last.Room]++
		leg := []string{"room", l.last.Room.String(), "leg", id.String()}
		for way, d := range map[string]struct{ now, sum media.Direction }{"up": {l.last.Up, l.up}, "down": {l.last.Down, l.down}} {
			labels := append([]string{"way", way}, leg...)
			put(metrics.Gauge, "leg_bits_per_second", "RTP and RTCP of a leg, with IP and UDP headers.", float64(d.now.Bitrate), labels...)
			put(metrics.Gauge, "leg_loss_ratio", "Share of a leg's packets that were lost, before repair.", float64(d.now.Loss)/1e6, labels...)
			put(metrics.Gauge, "leg_jitter_seconds", "Jitter of a leg's worst voice (RFC 3550).", float64(d.now.Jitter)/1e6, labels...)
			put(metrics.Counter, "leg_packets_total", "Packets of a leg; those down were forwarded.", float64(d.sum.Packets), labels...)
			put(metrics.Counter, "leg_nack_total", "Packets of a leg that were asked for again.", float64(d.sum.NACK), labels...)
			put(metrics.Counter, "leg_resent_total", "Packets of a leg that were sent again.", float64(d.sum.RTX), labels...)
			put(metrics.Counter, "leg_pli_total", "Key frames of a leg that were asked for.", float64(d.sum.PLI), labels...)
		}
		put(metrics.Gauge, "leg_round_trip_seconds", "Round trip of a leg.", float64(l.last.RTT)/1e6, leg...)
		put(metrics.Gauge, "leg_estimate_bits_per_second", "What a leg's way down is held to carry.", float64(l.last.Estimate), leg...)
		put(metrics.Gauge, "leg_wanted_bits_per_second", "What everything that a leg is to be sent would need.", float64(l.last.Wanted), leg...)
		put(metrics.Counter, "leg_unrepaired_packets_total", "Packets of a leg's own tracks that no repair brought.", float64(l.lost), leg...)
		put(metrics.Counter, "leg_freezes_total", "Times that a picture stood still for over half a second.", float64(l.freezes), leg...)
		put(metrics.Counter, "leg_frozen_seconds_total", "How long pictures stood still.", float64(l.frozen)/1e3, leg...)
		for _, s := range l.last.Slots {
			slot := append([]string{"mid", s.Mid, "rid", s.Rid}, leg...)
			put(metrics.Gauge, "slot_bits_per_second", "What is sent on a slot, and of which layer.", float64(s.Bitrate), slot...)
			put(metrics.Gauge, "slot_temporal_layer", "Highest temporal layer that is sent on a slot.", float64(s.Temporal), slot...)
			put(metrics.Gauge, "slot_shed", "1 where a slot is sent less than it is to be, for want of room.", truth(s.Shed), slot...)
		}
	}
	for room, legs := range rooms {
		put(metrics.Gauge, "room_legs", "Open legs of a room.", float64(legs), "room", room.String())
	}
	put(metrics.Gauge, "node_legs", "Open legs of the node.", float64(len(m.legs)))
	put(metrics.Gauge, "node_rooms", "Rooms of the node.", float64(len(rooms)))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// showRelay gives what the relay has done; without a relay, nothing.
func showRelay(server *relay.Server) func(metrics.Put) {
	return func(put metrics.Put) {
		if server == nil {
			return
		}
		c := server.Counts()
		put(metrics.Gauge, "relay_allocations", "Open allocations of the relay.", float64(c.Allocations))
		put(metrics.Counter, "relay_allocations_total", "Allocations that were opened.", float64(c.Opened))
		put(metrics.Counter, "relay_refused_total", "What the relay refused, and why.", float64(c.Unknown), "why", "credential")
		put(metrics.Counter, "relay_refused_total", "What the relay refused, and why.", float64(c.OverQuota), "why", "quota")
		put(metrics.Counter, "relay_refused_total", "What the relay refused, and why.", float64(c.Refused), "why", "address")
		put(metrics.Counter, "relay_refused_total", "What the relay refused, and why.", float64(c.Dropped), "why", "bit-rate")
		put(metrics.Counter, "relay_bytes_total", "Bytes that were relayed.", float64(c.UpBytes), "way", "up")
		put(metrics.Counter, "relay_bytes_total", "Bytes that were relayed.", float64(c.DownBytes), "way", "down")
	}
}

// show gives what the door knows of hearings' quality (M4).
func (d *door) show(put metrics.Put) {
	d.visitTimes.show(put)
	showQueues(d.queues, put)
	for cause, lost := range d.quality.Lost() {
		put(metrics.Counter, "lost_seconds_total", "Time in which somebody in a hearing could not be heard or hear.", lost.Seconds(), "cause", string(cause))
	}
}

// serveMetrics shows a process that has nothing of its own to add.
func serveMetrics(ctx context.Context, in *installation, name bus.Name) error {
	return metrics.Serve(ctx, in.metricsPort(name))
}
