package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kuule/interview"
	"kuule/interview/media"
)

// What a member sends.
const (
	soundEvery    = 20 * time.Millisecond
	pictureEvery  = time.Second / 30
	keyEvery      = 4 * time.Second
	soundBytes    = 80
	pictureBytes  = 1000 // of each packet
	picturePieces = 2
	keyPieces     = 8
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
	Packets         int64       `json:"packets"` // that reached their receivers
	Forwarded       float64     `json:"forwarded_per_s"`
	Loss            float64     `json:"loss"`    // share of those sent
	Spoiled         int64       `json:"spoiled"` // came with another content than was sent
	Latency         percentiles `json:"latency_ms"`
	Delivered       percentiles `json:"delivered_ms,omitzero"` // from the sender's call to the receiver's socket, where the system was asked
	CPUPerMillion   float64     `json:"cpu_s_per_million"`     // of the node, for packets that reached their receivers
	AllocsPerPacket float64     `json:"allocs_per_packet"`     // of the node, everything it does counted
	MemoryPerMember float64     `json:"rss_mb_per_member"`     // of the node, beyond the empty node
	Join            percentiles `json:"join_ms"`
	RatioToPion     float64     `json:"ratio_to_pion_relay,omitempty"` // of the processor time for each packet
	Pion            *result     `json:"pion_relay,omitempty"`
	NodeShare       float64     `json:"node_processor"`      // share of one processor
	GeneratorShare  float64     `json:"generator_processor"` // likewise
	Starved         bool        `json:"starved"`             // too much was missing: the machine could not make or take the load
	Pinned          bool        `json:"pinned"`
	LoadBefore      float64     `json:"load_before"`
	LoadAfter       float64     `json:"load_after"`
	Processors      int         `json:"processors"`
	Go              string      `json:"go"`
}

type percentiles struct {
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// ranks gives percentiles in milliseconds.
func ranks(d []time.Duration) percentiles {
	if len(d) == 0 {
		return percentiles{}
	}
	slices.Sort(d)
	at := func(p int) float64 {
		return float64(d[min(len(d)-1, len(d)*p/1000)]) / float64(time.Millisecond)
	}
	return percentiles{at(500), at(950), at(990), at(999)}
}

var start = time.Now()

// crowd is the members of all rooms at one node.
type crowd struct {
	server   *server
	members  int // of a room
	stamps   bool
	counting atomic.Bool
	all      []*client
	joins    []time.Duration
}

// measure runs once against the media node, and once against the yardstick.
func (c *sfuCommand) measure(ctx context.Context) (result, error) {
	restore, err := pin(c.Pin)
	if err != nil {
		return result{}, err
	}
	defer restore()
	r, err := c.run(ctx, modeNode)
	if err != nil || !c.Yardstick {
		return r, err
	}
	bare, err := c.run(ctx, modeRelay)
	if err != nil {
		return r, fmt.Errorf("yardstick: %w", err)
	}
	r.Pion = &bare
	r.RatioToPion = r.CPUPerMillion / bare.CPUPerMillion
	return r, nil
}

func (c *sfuCommand) run(ctx context.Context, mode string) (result, error) {
	r := result{Rooms: c.Rooms, Members: c.Members, LoadBefore: load(), Pinned: c.Pin, Processors: runtime.NumCPU(), Go: runtime.Version()}
	s, err := startServer(ctx, mode, nodeCPU(c.Pin), c.Pprof)
	if err != nil {
		return r, err
	}
	defer s.stop()
	empty, err := s.ask(ctx, order{Usage: true, Memory: true})
	if err != nil {
		return r, err
	}
	all := &crowd{server: s, members: c.Members, stamps: c.stamps}
	defer all.close()
	if err := all.fill(ctx, c.Rooms); err != nil {
		return r, err
	}
	if err := all.connect(ctx); err != nil {
		return r, err
	}
	hush := all.talk(ctx)
	defer hush()
	// Key frames come, estimates and buffers grow to their size: that is not measured.
	if err := wait(ctx, warmUp); err != nil {
		return r, err
	}
	before, err := s.ask(ctx, order{Usage: true, Profile: c.Pprof != ""}) // without memory: nothing is collected for it
	if err != nil {
		return r, err
	}
	own, err := used(false)
	if err != nil {
		return r, err
	}
	from := time.Now()
	all.counting.Store(true)
	if err := wait(ctx, time.Duration(c.Seconds)*time.Second); err != nil {
		return r, err
	}
	all.counting.Store(false)
	r.Seconds = time.Since(from).Seconds()
	after, err := s.ask(ctx, order{Usage: true, Memory: true})
	if err != nil {
		return r, err
	}
	ownAfter, err := used(false)
	if err != nil {
		return r, err
	}
	if err := wait(ctx, settle); err != nil { // what is still on its way counts
		return r, err
	}
	hush()
	r.LoadAfter = load()
	all.close()
	all.addTo(&r)
	if r.Packets == 0 {
		return r, errors.New("no packet reached its receiver")
	}
	cpu := (after.Usage.CPU - before.Usage.CPU).Seconds()
	r.CPUPerMillion = cpu / float64(r.Packets) * 1e6
	r.AllocsPerPacket = float64(after.Usage.Allocations-before.Usage.Allocations) / float64(r.Packets)
	r.Forwarded = float64(r.Packets) / r.Seconds
	r.NodeShare, r.GeneratorShare = cpu/r.Seconds, (ownAfter.CPU-own.CPU).Seconds()/r.Seconds
	r.MemoryPerMember = float64(after.Usage.Memory-empty.Usage.Memory) / (1 << 20) / float64(len(all.all))
	return r, nil
}

const (
	warmUp = 5 * time.Second
	settle = 500 * time.Millisecond
)

// addTo adds up what the members counted, once they are closed.
func (a *crowd) addTo(r *result) {
	var latency, delivered []time.Duration
	sent := int64(0)
	for _, c := range a.all {
		latency = append(latency, c.counts.latency...)
		delivered = append(delivered, c.counts.delivered...)
		r.Packets += c.counts.packets
		r.Spoiled += c.counts.spoiled
		sent += c.counts.sent * int64(a.members-1)
	}
	if sent > 0 {
		r.Loss = max(0, 1-float64(r.Packets)/float64(sent))
	}
	r.Starved = r.Loss > starvedAbove
	r.Latency, r.Delivered, r.Join = ranks(latency), ranks(delivered), ranks(a.joins)
}

func (a *crowd) close() {
	var closing sync.WaitGroup
	for _, c := range a.all {
		closing.Go(c.close)
	}
	closing.Wait()
}

// fill brings every member in, a few at a time.
func (a *crowd) fill(ctx context.Context, rooms int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	places := make(chan struct{}, joinAtOnce)
	var joining sync.WaitGroup
	for room := range rooms {
		group := interview.NewGroupID()
		for i := range a.members {
			m := newClient(group, &a.counting)
			m.stamps = a.stamps
			a.all = append(a.all, m)
			joining.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				took, err := a.join(ctx, m)
				if err != nil {
					stop(fmt.Errorf("member %d of room %d: %w", i+1, room+1, err))
				}
				a.server.mu.Lock()
				a.joins = append(a.joins, took)
				a.server.mu.Unlock()
			})
		}
	}
	joining.Wait()
	return context.Cause(ctx)
}

// join brings one member in and says how long it took until media could flow.
func (a *crowd) join(ctx context.Context, m *client) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	from := time.Now()
	req, err := m.offer(a.members - 1)
	if err != nil {
		return 0, err
	}
	r, err := a.server.ask(ctx, order{Open: &req})
	if err != nil {
		return 0, err
	}
	at, err := m.answered(r.Opened.Answer, r.Opened.Slots)
	if err != nil {
		return 0, err
	}
	if err := m.connect(ctx, at); err != nil {
		return 0, err
	}
	return time.Since(from), nil
}

// table has every member of a room receive all others.
func table(generation int64, members []*client) (media.Table, error) {
	t := media.Table{Room: members[0].room, Generation: generation}
	for _, to := range members {
		free := [2][]string{to.slotsOf("audio"), to.slotsOf("video")}
		for _, from := range members {
			if from == to {
				continue
			}
			for i := range free {
				if len(free[i]) == 0 {
					return t, errors.New("a member has no slot left")
				}
				t.Routes = append(t.Routes, media.Route{From: from.leg, Track: from.tracks[i].Track, To: to.leg, Mid: free[i][0]})
				free[i] = free[i][1:]
			}
		}
	}
	return t, nil
}

// connect sets the tables of all rooms.
func (a *crowd) connect(ctx context.Context) error {
	for members := range slices.Chunk(a.all, a.members) {
		t, err := table(1, members)
		if err != nil {
			return err
		}
		if _, err := a.server.ask(ctx, order{Forward: &t}); err != nil {
			return err
		}
	}
	return nil
}

// talk has everybody talk until the returned function is called, which waits.
func (a *crowd) talk(ctx context.Context) (hush func()) {
	ctx, cancel := context.WithCancel(ctx)
	var talkers sync.WaitGroup
	for i, c := range a.all {
		// Members are spread over the intervals, as people are: rooms do not all begin
		// their key frames in one moment.
		talkers.Go(func() { c.talk(ctx, float64(i)/float64(len(a.all))) })
	}
	return func() {
		cancel()
		talkers.Wait()
	}
}

// talk sends until told to stop. The share of its intervals that a member is later
// than others is from 0 to 1.
func (c *client) talk(ctx context.Context, later float64) {
	if wait(ctx, time.Duration(later*float64(soundEvery))) != nil {
		return
	}
	sound, picture := time.NewTicker(soundEvery), time.NewTicker(pictureEvery)
	defer sound.Stop()
	defer picture.Stop()
	nextKey := time.Now().Add(time.Duration(later * float64(keyEvery)))
	begun := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-sound.C:
			c.send(0, 1, soundBytes, 960, false)
		case now := <-picture.C:
			pieces := picturePieces
			due := !now.Before(nextKey)
			if due {
				nextKey = nextKey.Add(keyEvery)
			}
			key := c.wantKey.Swap(false) || due || !begun
			if key {
				begun, pieces = true, keyPieces
			}
			c.send(1, pieces, pictureBytes, 3000, key)
		}
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
