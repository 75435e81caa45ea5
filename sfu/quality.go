package sfu

import (
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/bandwidth"
	"kuule/sfu/offer"
)

const (
	qualityEvery = media.QualityEvery * 1e6
	// frozenAfter is how long a picture stands still until it counts as frozen.
	frozenAfter = 500e6
	// pausedAfter is how long nothing comes from a camera that is switched off.
	pausedAfter = 10e9
	// packetOverhead is what the wire adds to a payload that is sent.
	packetOverhead = 12 + 8 + tagBytes + bandwidth.Overhead
)

// sums are a leg's counters when its quality was last told.
type sums struct {
	at       int64
	up       media.Direction
	received int64 // before repair
	expected int64
	down     media.Direction
	cameDown int64
	lostDown int64
	tracks   map[*stream]flowSum
	slots    map[*slot]slotSum
}

type flowSum struct {
	bytes, frames int64
	lost          uint64
}

type slotSum struct {
	packets, bytes uint32
	lost           int32
	freezes        int64
	frozen         int64 // ns
}

// observe tells how the leg fared, when that is due. It is called by the node's
// tick alone.
func (l *leg) observe(at int64) {
	if !l.connected.Load() || at-l.told.at < qualityEvery {
		return
	}
	first := l.told.at == 0
	q, now := l.quality(at)
	l.told = now
	if !first {
		l.node.onQuality(q)
	}
}

// quality gives what happened since it was last told, and the counters of now.
func (l *leg) quality(at int64) (media.Quality, sums) {
	elapsed := max(at-l.told.at, 1)
	now := sums{at: at, tracks: map[*stream]flowSum{}, slots: map[*slot]slotSum{}}
	q := media.Quality{Room: l.room, Leg: l.id, IntervalMS: int(elapsed / 1e6), RTT: l.roundTrip.Load() / 1000}
	if c, is := l.conn.(interface {
		Path() (network, remote string)
	}); is {
		var from string
		q.Path, from = c.Path()
		if way := l.node.relayed(from); way != "" {
			q.Path = "turn/" + way
		}
	}
	l.qualityUp(&q, &now, elapsed)
	l.qualityDown(&q, &now, elapsed)
	way := &l.way
	way.mu.Lock()
	defer way.mu.Unlock()
	q.Wanted = int64(way.wanted)
	if way.sender != nil && way.sender.Known() {
		q.Estimate = int64(way.sender.Estimate())
	}
	if way.sender != nil && way.sender.RTT() > 0 {
		now.cameDown, now.lostDown = way.sender.Counted()
		q.Down.Loss = share(now.lostDown-l.told.lostDown, now.cameDown-l.told.cameDown+now.lostDown-l.told.lostDown)
		if q.RTT == 0 {
			q.RTT = way.sender.RTT() / 1000
		}
	}
	return q, now
}

// share is a part in millionths.
func share(part, of int64) int64 {
	if part <= 0 || of <= 0 {
		return 0
	}
	return min(part*1e6/of, 1e6)
}

// perSecond is a bit rate.
func perSecond(bytes, elapsed int64) int64 { return bytes * 8e9 / elapsed }

func (l *leg) qualityUp(q *media.Quality, now *sums, elapsed int64) {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	var bytes int64
	for _, s := range l.order {
		bytes += s.counts.bytes
		now.up.Packets += int64(s.counts.received)
		if s.of != nil {
			now.up.RTX += int64(s.counts.received)
			continue
		}
		now.received += int64(s.losses.Packets)
		now.expected += int64(s.losses.Packets + s.losses.Gaps)
		now.up.NACK += s.asks
		now.up.PLI += s.keyAsks.Load()
		if s.track.kind == offer.Audio {
			q.Up.Jitter = max(q.Up.Jitter, int64(s.counts.jitter>>4)*1e6/soundClock)
		}
	}
	now.up.Bitrate = bytes
	was := l.told.up
	q.Up.Bitrate, q.Up.Packets = perSecond(bytes-was.Bitrate, elapsed), now.up.Packets-was.Packets
	q.Up.NACK, q.Up.RTX, q.Up.PLI = now.up.NACK-was.NACK, now.up.RTX-was.RTX, now.up.PLI-was.PLI
	q.Up.Loss = share(now.expected-now.received-(l.told.expected-l.told.received), now.expected-l.told.expected)
	for _, t := range l.tracks {
		tq := media.TrackQuality{Track: t.id, Source: t.source}
		for i := range t.layers {
			s := t.stream(i)
			if s == nil {
				continue
			}
			sum := flowSum{bytes: s.counts.bytes, frames: s.flow.frames, lost: s.losses.Lost}
			was := l.told.tracks[s]
			now.tracks[s] = sum
			tq.Lost += int64(sum.lost - was.lost)
			tq.Layers = append(tq.Layers, media.LayerQuality{Rid: s.rid, Bitrate: perSecond(sum.bytes-was.bytes, elapsed), FPS: int((sum.frames - was.frames) * 1e9 / elapsed)})
		}
		q.Tracks = append(q.Tracks, tq)
	}
}

func (l *leg) qualityDown(q *media.Quality, now *sums, elapsed int64) {
	var worst int64
	for _, s := range l.slots {
		s.mu.Lock()
		sum := slotSum{packets: s.packets + s.resent, bytes: s.bytes + s.resentBytes, lost: s.cumulative.Load(), freezes: s.freezes, frozen: s.frozen}
		was := l.told.slots[s]
		now.slots[s] = sum
		now.down.Packets += int64(sum.packets)
		now.down.Bitrate += int64(sum.bytes) + packetOverhead*int64(sum.packets)
		now.down.NACK += int64(s.asked)
		now.down.RTX += int64(s.resent)
		now.down.PLI += int64(s.keyAsks)
		if s.kind == offer.Audio && s.source != nil {
			q.Down.Jitter = max(q.Down.Jitter, int64(s.jitter.Load())*1e6/soundClock)
		}
		if t := s.source; t != nil {
			sq := media.SlotQuality{
				Mid: s.mid, Track: t.id, Shed: s.shed, Bitrate: perSecond(int64(sum.bytes-was.bytes)+packetOverhead*int64(sum.packets-was.packets), elapsed),
				Lost: max(int64(sum.lost-was.lost), 0), Freezes: sum.freezes - was.freezes, FrozenMS: (sum.frozen - was.frozen) / 1e6,
			}
			if current := t.stream(s.selector.Current()); current != nil {
				sq.Rid = current.rid
				sq.Temporal = min(s.selector.Target().Temporal, maxTemporal-1)
			}
			q.Slots = append(q.Slots, sq)
			worst = max(worst, int64(s.loss.Load())*1e6/256)
		}
		s.mu.Unlock()
	}
	was := l.told.down
	q.Down.Bitrate, q.Down.Packets = perSecond(now.down.Bitrate-was.Bitrate, elapsed), now.down.Packets-was.Packets
	q.Down.NACK, q.Down.RTX, q.Down.PLI = now.down.NACK-was.NACK, now.down.RTX-was.RTX, now.down.PLI-was.PLI
	q.Down.Loss = worst // where there is no better measure
}

// watch notes pictures that stand still; the slot's lock is held.
func (s *slot) watch(at int64) {
	still := at - s.leftAt
	if s.kind == offer.Video && s.source.source != interview.SourceScreen && s.leftAt != 0 && still > frozenAfter && still < pausedAfter {
		s.freezes++
		s.frozen += still
	}
	s.leftAt = at
}
