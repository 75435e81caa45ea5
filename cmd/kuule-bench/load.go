package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
)

// What a member sends.
const (
	soundEvery   = 20 * time.Millisecond
	pictureEvery = time.Second / 30
	keyEvery     = 4 * time.Second
	soundBytes   = 80
	pictureBytes = 2000 // in two packets
	keyBytes     = 8800 // in eight
	stampBytes   = 10   // when it was sent, and in how many packets
)

// starvedAbove is the share of missing packets above which a run says nothing
// about the media node.
const starvedAbove = 0.02

// joinAtOnce is how many members join at the same time.
const joinAtOnce = 4

// result is what a run found.
type result struct {
	Rooms           int         `json:"rooms"`
	Members         int         `json:"members"` // of each room
	Seconds         float64     `json:"seconds"`
	Packets         int64       `json:"packets"`               // that reached their receivers
	Missing         float64     `json:"missing"`               // share of those sent
	CPU             float64     `json:"cpu_seconds"`           // of the media node
	CPUPerMillion   float64     `json:"cpu_s_per_million"`     // packets
	GeneratorCPU    float64     `json:"generator_cpu_seconds"` // of the load generator
	Starved         bool        `json:"starved"`               // too much was missing: the machine could not make or take the load
	Latency         percentiles `json:"latency_ms"`
	PictureLatency  percentiles `json:"picture_latency_ms"`
	Join            percentiles `json:"join_ms"`
	Memory          float64     `json:"memory_mb"`
	MemoryPerMember float64     `json:"memory_mb_per_member"`
	LoadBefore      float64     `json:"load_before"`
	LoadAfter       float64     `json:"load_after"`
	Processors      int         `json:"processors"`
	Go              string      `json:"go"`
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// ranks gives percentiles in milliseconds.
func ranks(d []time.Duration) percentiles {
	if len(d) == 0 {
		return percentiles{}
	}
	slices.Sort(d)
	at := func(p int) float64 { return float64(d[min(len(d)-1, len(d)*p/100)]) / float64(time.Millisecond) }
	return percentiles{at(50), at(95), at(99)}
}

// talker is one member: a connection that sends and one that counts.
type talker struct {
	room   interview.GroupID
	leg    interview.LegID
	peer   *member.Peer
	tracks [2]member.Publish // sound, picture
	slots  []media.Slot
	join   time.Duration
	key    atomic.Bool // a receiver waits for a key frame

	counting *atomic.Bool
	packets  atomic.Int64 // received while counting
	sent     atomic.Int64

	mu       sync.Mutex
	sound    []time.Duration
	pictures []time.Duration
}

var start = time.Now()

func (c *sfuCommand) measure(ctx context.Context) (result, error) {
	r := result{Rooms: c.Rooms, Members: c.Members, LoadBefore: load(), Processors: runtime.NumCPU(), Go: runtime.Version()}
	s, err := startServer(ctx)
	if err != nil {
		return r, err
	}
	defer s.stop()
	empty, err := s.ask(ctx, order{Usage: true, Memory: true})
	if err != nil {
		return r, err
	}
	var counting atomic.Bool
	all, err := c.fill(ctx, s, &counting)
	defer func() {
		for _, t := range all {
			t.peer.Close()
		}
	}()
	if err != nil {
		return r, err
	}
	if err := c.connect(ctx, s, all); err != nil {
		return r, err
	}
	talking, hush := context.WithCancel(ctx)
	var talkers sync.WaitGroup
	defer talkers.Wait()
	defer hush()
	for i, t := range all {
		talkers.Go(func() { t.talk(talking, time.Duration(i)*soundEvery/time.Duration(len(all))) })
	}
	// Key frames come, buffers grow to their size: that is not measured.
	if err := wait(ctx, 2*time.Second); err != nil {
		return r, err
	}
	before, err := s.ask(ctx, order{Usage: true}) // without memory: nothing is collected for it
	if err != nil {
		return r, err
	}
	own, err := used(false)
	if err != nil {
		return r, err
	}
	from := time.Now()
	counting.Store(true)
	if err := wait(ctx, time.Duration(c.Seconds)*time.Second); err != nil {
		return r, err
	}
	counting.Store(false)
	r.Seconds = time.Since(from).Seconds()
	after, err := s.ask(ctx, order{Usage: true, Memory: true})
	if err != nil {
		return r, err
	}
	ownAfter, err := used(false)
	if err != nil {
		return r, err
	}
	r.GeneratorCPU = (ownAfter.CPU - own.CPU).Seconds()
	hush()
	talkers.Wait()
	r.LoadAfter = load()
	r.take(all, c.Members-1)
	if r.Packets == 0 {
		return r, errors.New("no packet reached its receiver")
	}
	r.CPU = (after.Usage.CPU - before.Usage.CPU).Seconds()
	r.CPUPerMillion = r.CPU / float64(r.Packets) * 1e6
	r.Memory = float64(after.Usage.Memory) / (1 << 20)
	r.MemoryPerMember = float64(after.Usage.Memory-empty.Usage.Memory) / (1 << 20) / float64(len(all))
	return r, nil
}

// take adds up what the members counted.
func (r *result) take(all []*talker, receivers int) {
	var sound, pictures, joins []time.Duration
	sent := int64(0)
	for _, t := range all {
		t.mu.Lock()
		sound, pictures = append(sound, t.sound...), append(pictures, t.pictures...)
		t.mu.Unlock()
		joins = append(joins, t.join)
		r.Packets += t.packets.Load()
		sent += t.sent.Load() * int64(receivers)
	}
	if sent > 0 {
		r.Missing = max(0, 1-float64(r.Packets)/float64(sent))
	}
	r.Starved = r.Missing > starvedAbove
	r.Latency, r.PictureLatency, r.Join = ranks(sound), ranks(pictures), ranks(joins)
}

// fill brings every member in, a few at a time.
func (c *sfuCommand) fill(ctx context.Context, s *server, counting *atomic.Bool) ([]*talker, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	all := make([]*talker, c.Rooms*c.Members)
	places := make(chan struct{}, joinAtOnce)
	var joining sync.WaitGroup
	for room := range c.Rooms {
		group := interview.NewGroupID()
		for i := range c.Members {
			joining.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				t, err := join(ctx, s, group, counting)
				if err != nil {
					stop(fmt.Errorf("member %d of room %d: %w", i+1, room+1, err))
				}
				all[room*c.Members+i] = t
			})
		}
	}
	joining.Wait()
	err := context.Cause(ctx)
	return slices.DeleteFunc(all, func(t *talker) bool { return t == nil }), err
}

func join(ctx context.Context, s *server, room interview.GroupID, counting *atomic.Bool) (*talker, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	t := &talker{room: room, leg: interview.NewLegID(), counting: counting}
	for i, source := range []interview.Source{interview.SourceAudio, interview.SourceVideo} {
		t.tracks[i] = member.Publish{Track: interview.NewTrackID(), Source: source, Number: i}
	}
	from := time.Now()
	peer, err := member.NewPeer(t.tracks[:], t.frame, func(interview.TrackID) { t.key.Store(true) })
	if err != nil {
		return nil, err
	}
	t.peer = peer
	up := make(chan struct{}, 1)
	peer.OnState(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			select {
			case up <- struct{}{}:
			default:
			}
		}
	})
	if err := t.enter(ctx, s); err != nil {
		peer.Close()
		return nil, err
	}
	select {
	case <-up:
		t.join = time.Since(from)
		return t, nil
	case <-ctx.Done():
		peer.Close()
		return nil, fmt.Errorf("not connected: %w", ctx.Err())
	}
}

func (t *talker) enter(ctx context.Context, s *server) error {
	offer, err := t.peer.Offer()
	if err != nil {
		return err
	}
	req := media.OpenLeg{Room: t.room, Leg: t.leg, Offer: offer.SDP, Fingerprint: t.peer.Fingerprint()}
	for _, o := range offer.Tracks {
		req.Tracks = append(req.Tracks, media.Publish{Mid: o.Mid, Track: o.Track, Source: o.Source})
	}
	r, err := s.ask(ctx, order{Open: &req})
	if err != nil {
		return err
	}
	t.slots = r.Opened.Slots
	return t.peer.Answer(r.Opened.Answer)
}

// connect has every member receive all others of the room.
func (c *sfuCommand) connect(ctx context.Context, s *server, all []*talker) error {
	rooms := map[interview.GroupID][]*talker{}
	for _, t := range all {
		rooms[t.room] = append(rooms[t.room], t)
	}
	for id, members := range rooms {
		table := media.Table{Room: id, Generation: 1}
		for _, to := range members {
			free := slices.Clone(to.slots)
			for _, from := range members {
				if from == to {
					continue
				}
				for i, kind := range []string{"audio", "video"} {
					at := slices.IndexFunc(free, func(s media.Slot) bool { return s.Kind == kind })
					if at < 0 {
						return fmt.Errorf("no %s slot is free", kind)
					}
					table.Routes = append(table.Routes, media.Route{From: from.leg, Track: from.tracks[i].Track, To: to.leg, Mid: free[at].Mid})
					free = slices.Delete(free, at, at+1)
				}
			}
		}
		if _, err := s.ask(ctx, order{Forward: &table}); err != nil {
			return err
		}
	}
	return nil
}

// talk sends until told to stop. The offset spreads members over the interval.
func (t *talker) talk(ctx context.Context, offset time.Duration) {
	if wait(ctx, offset) != nil {
		return
	}
	sound, picture := time.NewTicker(soundEvery), time.NewTicker(pictureEvery)
	defer sound.Stop()
	defer picture.Stop()
	var at [2]uint32
	var lastKey time.Time
	buf := make([]byte, keyBytes)
	for {
		select {
		case <-ctx.Done():
			return
		case <-sound.C:
			at[0] += 960
			t.send(0, buf[:soundBytes], at[0], 1, false)
		case now := <-picture.C:
			at[1] += 3000
			key := t.key.Swap(false) || now.Sub(lastKey) >= keyEvery
			if key {
				lastKey = now
				t.send(1, buf, at[1], 8, true)
			} else {
				t.send(1, buf[:pictureBytes], at[1], 2, false)
			}
		}
	}
}

func (t *talker) send(i int, frame []byte, rtpTime uint32, packets byte, key bool) {
	counted := byte(0)
	if t.counting.Load() {
		counted = 1
	}
	binary.BigEndian.PutUint64(frame, uint64(time.Since(start)))
	frame[8], frame[9] = packets, counted
	if t.peer.Send(t.tracks[i].Track, frame, rtpTime, key) == nil && counted == 1 {
		t.sent.Add(int64(packets))
	}
}

// frame counts what came of frames that were sent while counting.
func (t *talker) frame(f member.Frame) {
	if len(f.Sealed) < stampBytes || f.Sealed[9] == 0 {
		return
	}
	took := time.Since(start) - time.Duration(binary.BigEndian.Uint64(f.Sealed))
	t.packets.Add(int64(f.Sealed[8]))
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.Sealed[8] == 1 {
		t.sound = append(t.sound, took)
	} else {
		t.pictures = append(t.pictures, took)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load is the machine's load average of the last minute, or 0 if unknown.
func load() float64 {
	var v float64
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(text), &v); err != nil {
		return 0
	}
	return v
}
