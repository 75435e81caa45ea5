package sfu

import (
	"slices"
	"sync"
	"sync/atomic"

	"kuule/interview/media"
	"kuule/sfu/allocate"
	"kuule/sfu/bandwidth"
	"kuule/sfu/layer"
	"kuule/sfu/offer"
)

// How a leg is given what its link carries.
const (
	allocateEvery = 100e6
	measureEvery  = 500e6
	goneAfter     = 1500e6 // a layer that brings nothing for so long is switched off
	adviceHeld    = 5e9    // before advice is taken back
	frugalAfter   = 250e6  // a link is narrow for so long before anybody's voice is changed for it
	budgetShare   = 0.95   // of the estimate; the rest is for reports and repairs
	easy          = 1.25   // times what is wanted: a link that carries that needs no pacing

	frugalPacket = 60     // ms
	frugalRate   = 16_000 // bit/s

	maxTemporal = 3
)

// usual is what a stream is held to cost in bit/s until it was measured: a voice,
// and pictures from small to large.
var usual = [layer.MaxLayers]int{150_000, 450_000, 1_200_000}

// tallest is the height of the largest layer where the sender does not say it:
// each smaller one is held to have half of it.
const tallest = 720

// flow is what a stream brings, as legs that are sent it see it.
type flow struct {
	frames int64            // that began; guarded by the leg's receiving
	bytes  [maxTemporal]int // since measured; guarded by the leg's receiving
	since  int64
	rates  [maxTemporal]atomic.Int64 // bit/s on the wire, with the layers below; 0: not measured
	seen   atomic.Int64              // when the newest packet came
}

// add counts a packet; the leg's receiving is held.
func (f *flow) add(p *incoming) {
	temporal := 0
	if p.frame != nil && p.frame.Known {
		temporal = min(int(p.frame.Temporal), maxTemporal-1)
	}
	if p.frame != nil && p.frame.First {
		f.frames++
	}
	f.bytes[temporal] += p.Size + bandwidth.Overhead
	f.seen.Store(p.At)
}

// measure turns what was counted into rates, of pictures quickly up and slowly
// down: key frames come and go.
func (f *flow) measure(picture bool, at int64) {
	elapsed := at - f.since
	if elapsed < measureEvery {
		return
	}
	if at-f.seen.Load() > elapsed {
		f.since = at // what is silent costs again what it did
		return
	}
	first := f.since == 0
	f.since = at
	sum := 0
	for i := range f.bytes {
		sum += f.bytes[i]
		f.bytes[i] = 0
		if first {
			continue
		}
		now, was := int64(sum)*8e9/elapsed, f.rates[i].Load()
		weight := int64(2)
		if picture && now < was {
			weight = 8
		}
		if was == 0 {
			weight = 1
		}
		f.rates[i].Store(was + (now-was)/weight)
	}
}

// choice is a layer of a picture, as a ladder lists it.
type choice struct {
	layer.Target
	allocate.Layer
}

// ladder lists what a track can be sent as, from small to large.
func (t *track) ladder(to []choice, at int64) []choice {
	if t.kind == offer.Audio {
		s := t.stream(0)
		if s == nil {
			return to
		}
		rate := int(s.flow.rates[0].Load())
		if rate == 0 {
			rate = allocate.Plain
		}
		return append(to, choice{whole, allocate.Layer{Bitrate: rate}})
	}
	kinds, last := max(len(t.rids), 1), 0
	for l := range kinds {
		s := t.stream(l)
		if s == nil || at-s.flow.seen.Load() > goneAfter && !t.paused(s.rid) {
			continue
		}
		height := int(s.size.Load() & 0xffff)
		if height == 0 && kinds > 1 {
			height = tallest >> (kinds - 1 - l)
		}
		begun := len(to)
		for temporal := range maxTemporal {
			rate := int(s.flow.rates[temporal].Load())
			if rate == 0 && temporal == 0 {
				rate = usual[max(l, min(1, len(usual)-kinds))]
			}
			if rate <= last {
				continue
			}
			last = rate
			to = append(to, choice{layer.Target{Layer: l, Temporal: temporal}, allocate.Layer{Bitrate: rate, Height: height}})
		}
		if n := len(to); n > begun {
			to[n-1].Temporal = layer.AllTemporal
			if l > 0 && n-begun > 1 { // few frames of a larger picture are worth less than all of a smaller one
				to = slices.Delete(to, begun, begun+1)
			}
		}
	}
	return to
}

// whole is everything that a source brings.
var whole = layer.Target{Layer: layer.Top, Temporal: layer.AllTemporal}

// allocation is where the node's tick works out what legs are sent; it is used
// again for each.
type allocation struct {
	slots   [MaxSlots]*slot
	streams [MaxSlots]allocate.Stream
	layers  [MaxSlots][layer.MaxLayers * maxTemporal]allocate.Layer
	choices [MaxSlots][]choice
	targets [MaxSlots]int
	asked   [MaxSlots]bool
}

// allocate gives each slot of the leg what the link carries of what is wanted.
func (a *allocation) allocate(l *leg, at int64) {
	n := 0
	for _, s := range l.slots {
		t, route, now := s.wish()
		if t == nil {
			continue
		}
		if route.Off {
			s.aim(layer.Target{Layer: layer.Off}, false)
			continue
		}
		a.choices[n] = t.ladder(a.choices[n][:0], at)
		st := allocate.Stream{Voice: s.kind == offer.Audio, Rank: route.Rank, Height: route.Height, Now: allocate.Off, Layers: a.layers[n][:0]}
		for i, c := range a.choices[n] {
			st.Layers = append(st.Layers, c.Layer)
			if now.Layer >= 0 && (c.Target == now || now.Layer == layer.Top && i == len(a.choices[n])-1) {
				st.Now = i
			}
		}
		a.slots[n], a.streams[n] = s, st
		n++
	}
	estimate, crowded := l.way.carries(at)
	link := allocate.Link{Budget: int(budgetShare * float64(estimate)), Crowded: crowded}
	o := allocate.Assign(link, a.streams[:n], l.frugal.Load(), a.targets[:n])
	for i, s := range a.slots[:n] {
		target := whole // nothing has come yet: whatever does
		shed := false
		if top := len(a.choices[i]) - 1; top >= 0 {
			shed = a.targets[i] < a.streams[i].Top()
			if a.targets[i] == allocate.Off {
				target = layer.Target{Layer: layer.Off}
			} else {
				target = a.choices[i][a.targets[i]].Target
			}
		}
		s.aim(target, shed)
	}
	l.frugal.Store(o.Frugal)
	for i, s := range a.slots[:n] {
		a.asked[i] = s.narrowSince != 0
	}
	allocate.Thrift(link.Budget, a.streams[:n], a.asked[:n])
	for i, s := range a.slots[:n] {
		switch {
		case !o.Frugal || !a.asked[i]:
			s.narrowSince = 0
		case s.narrowSince == 0:
			s.narrowSince = at
		}
	}
	l.way.want(o, estimate, at)
}

// allocate lets the leg be sent what its way carries, and its senders know what
// others need of them.
func (l *leg) allocate(work *allocation, at int64) {
	if !l.connected.Load() || at-l.allocated < allocateEvery {
		return
	}
	l.allocated = at
	work.allocate(l, at)
	for _, t := range l.tracks {
		t.consider(at)
	}
}

// carries is what the way carries in bit/s, 0 while nobody knows, and whether it is
// sent more than that.
func (w *way) carries(at int64) (estimate int, crowded bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sender == nil {
		return 0, false
	}
	w.sender.Tick(at)
	if !w.sender.Known() {
		return 0, false
	}
	return w.sender.Estimate(), w.sender.Crowded(at)
}

// want notes what an allocation wanted and could give: where that is close to
// what the way carries, pictures are paced.
func (w *way) want(o allocate.Outcome, estimate int, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = o.Wanted
	if o.Frugal {
		w.wanted += 4 * allocate.Plain // there is more to gain than what comes now tells
	}
	if estimate == 0 || o.Shed == 0 && float64(estimate) > easy*float64(o.Wanted) {
		w.pacer.Limit(0, at)
		return
	}
	w.pacer.Limit(estimate, at)
}

// feedback takes the receiver's word on what came.
func (w *way) feedback(b []byte, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sender != nil {
		_ = w.sender.Feedback(b, at) // what is malformed changes nothing
	}
}

// advisor is what a track's sender was told, and what it is to be told.
type advisor struct {
	mu     sync.Mutex
	told   media.Advice
	frugal int64                // when somebody last needed long packets; 0: never
	needed [offer.MaxRids]int64 // when somebody last needed a layer
}

// paused reports whether a layer brings nothing because its sender was told so.
func (t *track) paused(rid string) bool {
	t.advice.mu.Lock()
	defer t.advice.mu.Unlock()
	return slices.Contains(t.advice.told.Unneeded, rid)
}

// isFrugal reports whether the track's sender was asked for long packets.
func (t *track) isFrugal() bool {
	t.advice.mu.Lock()
	defer t.advice.mu.Unlock()
	return t.advice.told.PacketMS != 0
}

// advise changes what the track's sender is told, and tells it if that is new.
func (t *track) advise(change func(a *media.Advice)) {
	t.advice.mu.Lock()
	next := t.advice.told
	change(&next)
	next.Red = next.Red && next.PacketMS == 0 // a link that is too narrow is not helped by more
	same := next.PacketMS == t.advice.told.PacketMS && next.Bitrate == t.advice.told.Bitrate && next.Red == t.advice.told.Red && slices.Equal(next.Unneeded, t.advice.told.Unneeded)
	t.advice.told = next
	t.advice.mu.Unlock()
	if !same && t.leg.node != nil {
		t.leg.node.onHint(media.Hint{Room: t.leg.room, Leg: t.leg.id, Track: t.id, Advice: next})
	}
}

// begin gives the leg's tracks the advice with which they start, which they are
// told in the answer and not by a hint. The leg is not one of a room's yet.
func (l *leg) begin(voices media.Advice, at int64) []media.TrackAdvice {
	var out []media.TrackAdvice
	for _, t := range l.tracks {
		if t.kind == offer.Audio {
			t.advice.told = voices
			t.advice.told.Red = voices.Red && voices.PacketMS == 0 && t.types[offer.RED] != 0
		}
		if t.advice.told.PacketMS != 0 {
			t.advice.frugal = at
		}
		out = append(out, media.TrackAdvice{Track: t.id, Advice: t.advice.told})
	}
	return out
}

// consider looks at who receives the track and advises its sender.
func (t *track) consider(at int64) {
	subscribers := t.subscribers.Load()
	if subscribers == nil {
		return
	}
	if t.kind == offer.Audio {
		for _, s := range *subscribers {
			if _, route, _ := s.wish(); s.narrowSince != 0 && at-s.narrowSince >= frugalAfter && !route.Off {
				t.advice.frugal = at
				break
			}
		}
		frugal := t.advice.frugal != 0 && at-t.advice.frugal < adviceHeld
		t.advise(func(a *media.Advice) {
			a.PacketMS, a.Bitrate = 0, 0
			if frugal {
				a.PacketMS, a.Bitrate = frugalPacket, frugalRate
			}
		})
		return
	}
	if len(t.rids) < 2 {
		return
	}
	for _, s := range *subscribers {
		_, _, now := s.wish()
		if now.Layer >= 0 {
			t.advice.needed[min(now.Layer, len(t.rids)-1)] = at
		}
	}
	t.advise(func(a *media.Advice) {
		var unneeded []string
		for l := range t.rids {
			needed := &t.advice.needed[l]
			if *needed == 0 {
				*needed = at
			}
			// The smallest is always kept: it is what a newcomer sees first.
			if l > 0 && at-*needed > adviceHeld {
				unneeded = append(unneeded, t.rids[len(t.rids)-1-l])
			}
		}
		a.Unneeded = unneeded
	})
}

// wish gives what the table says of the slot, and what it is sent now.
func (s *slot) wish() (*track, media.Route, layer.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source, s.route, s.selector.Target()
}
