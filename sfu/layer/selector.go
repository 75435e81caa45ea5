package layer

import "kuule/internal/descriptor"

// Bounds of a Selector.
const (
	MaxLayers = 3
	// Off is the layer of a slot that is to be sent nothing.
	Off = -1
	// Top is above every layer: whatever is highest.
	Top = MaxLayers - 1
	// AllTemporal is above every temporal layer.
	AllTemporal = 7

	frameWindow = 256
	// gone is how long, in nanoseconds, a layer may bring nothing while others do
	// until it counts as switched off by its sender and one below takes its place:
	// a few frames. Browsers do that when bandwidth or processor are short, for as
	// long as they are. A layer above, which costs more than was meant, takes its
	// place only after above.
	gone  = 250e6
	above = 1e9
	// reportWithin is the longest time, in seconds, over which two sender reports are
	// compared: clocks drift.
	reportWithin = 60
)

// Target is what a subscriber is to be sent.
type Target struct {
	Layer    int // 0 is the smallest picture; Off; Top
	Temporal int // highest temporal layer
}

// Packet is what a Selector looks at of one packet. A publisher's packets come
// in the order of their arrival, each once.
type Packet struct {
	Layer     int
	Sequence  uint16
	Timestamp uint32
	At        int64 // nanoseconds of a monotonic clock
	// Descriptor is nil for audio and for video without one.
	Descriptor *descriptor.Descriptor
	// Empty is a packet without a payload: it takes a number at its sender and
	// gets none here.
	Empty bool
}

// Rewritten is a packet's place in the subscriber's stream.
type Rewritten struct {
	Sequence  uint16
	Timestamp uint32
	Frame     uint16 // for the descriptor, if there is one
	Switched  bool   // the first packet of another layer or source
}

// Action says what becomes of a packet.
type Action uint8

// Actions.
const (
	Drop Action = iota
	Send
	// Fill sends an empty packet in this one's place: its number was given when
	// it was missing, and now that it is here it is one to leave out.
	Fill
)

// Selector is the choice for one slot. It must not be used by two goroutines at
// once.
type Selector struct {
	video  bool
	clock  uint32
	target Target

	layers [MaxLayers]arriving
	newest int64 // arrival of the newest packet of any layer
	oldest int64 // arrival of the source's first

	run, before *run // being sent, and what was sent until then

	started   bool
	sequence  uint16 // highest number given
	timestamp uint32 // of the newest frame
	frame     uint16
	at        int64 // arrival of the newest packet that was sent
}

// arriving is one layer of the source as it comes.
type arriving struct {
	seen     bool
	at       int64
	highest  uint16
	reported bool
	ntp      uint64 // of its newest sender report
	rtp      uint32
}

// NewVideo makes a Selector for pictures: window is how many packets back a late
// one still finds its number. It aims at the top, and takes memory when it begins.
func NewVideo(window int) *Selector {
	return &Selector{video: true, clock: 90000, target: Target{Top, AllTemporal}, run: &run{window: window}, before: &run{window: window}}
}

// NewAudio makes a Selector for sound, which has one layer and no key frames.
func NewAudio(window int) *Selector {
	return &Selector{clock: 48000, target: Target{Top, AllTemporal}, run: &run{window: window}, before: &run{window: window}}
}

// Replace says that another source comes from now on: nothing of the one before
// is sent any more.
func (s *Selector) Replace() {
	s.run.live, s.before.live = false, false
	s.layers, s.oldest = [MaxLayers]arriving{}, 0
}

// Aim sets what is to be sent. A lower layer begins with its next key frame like
// a higher one; Off is obeyed at once.
func (s *Selector) Aim(t Target) {
	s.target = t
	if t.Layer < 0 {
		s.run.live, s.before.live = false, false
	}
}

// Target is what was aimed at.
func (s *Selector) Target() Target { return s.target }

// Current is the layer that is being sent, or Off.
func (s *Selector) Current() int {
	if !s.run.live {
		return Off
	}
	return s.run.layer
}

// Wants names the layer whose key frame is waited for.
func (s *Selector) Wants() (layer int, yes bool) {
	if !s.video {
		return 0, false
	}
	want := s.want()
	return want, want != Off && (!s.run.live || s.run.layer != want)
}

// want is the layer to send: the target, or the nearest below it that comes, or
// the lowest that comes.
func (s *Selector) want() int {
	if s.target.Layer < 0 {
		return Off
	}
	best, late := Off, Off // late: not gone for so long that one above is better
	patient := s.newest-s.oldest < above
	for l := range s.layers {
		a := &s.layers[l]
		if !a.seen {
			continue
		}
		age := s.newest - a.at
		switch {
		case l > s.target.Layer:
			if best == Off && late == Off && !patient && age < gone {
				best = l
			}
		case age < gone:
			best = l
		case age < above:
			late = l
		}
	}
	if best == Off {
		return late
	}
	return best
}

// Report takes a sender report of a layer: with those of two layers a change
// between them keeps the exact time of capture.
func (s *Selector) Report(layer int, ntp uint64, rtp uint32) {
	if layer >= 0 && layer < MaxLayers {
		a := &s.layers[layer]
		a.reported, a.ntp, a.rtp = true, ntp, rtp
	}
}

// Timestamp gives a time of the layer that is being sent in the subscriber's
// terms, for its sender reports.
func (s *Selector) Timestamp(layer int, rtp uint32) (uint32, bool) {
	return rtp + s.run.timestampOff, s.run.live && s.run.layer == layer
}

// Take decides about a packet, and gives its place if it is to be sent.
func (s *Selector) Take(p *Packet, out *Rewritten) Action {
	if p.Layer < 0 || p.Layer >= MaxLayers {
		return Drop
	}
	a := &s.layers[p.Layer]
	ahead := !a.seen || int16(p.Sequence-a.highest) > 0
	if ahead {
		a.highest = p.Sequence
	}
	a.seen, a.at, s.newest = true, p.At, p.At
	if s.oldest == 0 {
		s.oldest = p.At
	}
	if s.target.Layer < 0 {
		return Drop
	}
	out.Switched = false
	if ahead && !p.Empty && s.begins(p) {
		s.begin(p)
		out.Switched = true
	}
	switch {
	case s.run.live && p.Layer == s.run.layer && int16(p.Sequence-s.run.first) >= 0:
		return s.pass(s.run, p, out)
	case s.before.live && p.Layer == s.before.layer && int16(p.Sequence-s.before.highest) < 0:
		return s.pass(s.before, p, out)
	}
	return Drop
}

// begins reports whether the packet begins what is to be sent from now on. Its
// caller has seen that no later packet of the layer was passed over.
func (s *Selector) begins(p *Packet) bool {
	if !s.video {
		return !s.run.live
	}
	if s.run.live && s.run.layer == p.Layer || p.Descriptor == nil || !p.Descriptor.Key() {
		return false
	}
	want := s.want()
	return p.Layer == want || !s.run.live && p.Layer < want // a small picture is better than none
}

func (s *Selector) begin(p *Packet) {
	old := s.run
	s.run, s.before = s.before, old
	r := s.run
	if s.started {
		r.timestampOff = s.continued(old, p) - p.Timestamp
	}
	var sequence, frame uint16
	if p.Descriptor != nil {
		frame = p.Descriptor.Frame
	}
	if s.started {
		sequence, frame = s.sequence+1-p.Sequence, s.frame+1-frame
	} else {
		frame = 0
	}
	r.reset(p.Layer, p.Sequence, sequence, frame)
	if !s.started {
		s.started, s.sequence, s.timestamp = true, p.Sequence-1, p.Timestamp
	}
}

// continued is the timestamp with which the packet follows what was sent: by the
// sender's own reports of both layers, or else by the time of arrival.
func (s *Selector) continued(old *run, p *Packet) uint32 {
	least := s.timestamp + s.clock/1000
	passed := s.timestamp + uint32(max(p.At-s.at, 0)*int64(s.clock)/1e9)
	from, to := &s.layers[max(old.layer, 0)], &s.layers[p.Layer]
	if old.live && from.reported && to.reported {
		between := int64(to.ntp - from.ntp) // 32.32 seconds
		if between>>32 < reportWithin && between>>32 >= -reportWithin {
			passed = from.rtp + uint32(between*int64(s.clock)>>32) + p.Timestamp - to.rtp + old.timestampOff
		}
	}
	if d := int32(passed - least); d < 0 || d > reportWithin*int32(s.clock) {
		return least
	}
	return passed
}

// pass gives a packet of a run its place.
func (s *Selector) pass(r *run, p *Packet, out *Rewritten) Action {
	limit := s.target.Temporal
	if int16(p.Sequence-r.highest) < 0 {
		limit = AllTemporal // it has its number already: better sent than filled
	}
	leave := p.Empty || p.Descriptor != nil && r.leaves(p.Descriptor, limit)
	sequence, action := r.place(p.Sequence, leave)
	out.Sequence, out.Timestamp = sequence, p.Timestamp+r.timestampOff
	if p.Descriptor != nil {
		out.Frame = p.Descriptor.Frame + r.frameOff
	}
	if r == s.run {
		s.advance(p, out)
	}
	return action
}

// advance notes how far the run has come, with what was left out: a packet that
// is late may still take a place below it.
func (s *Selector) advance(p *Packet, out *Rewritten) {
	s.sequence = s.run.highest + s.run.sequenceOff
	if int32(out.Timestamp-s.timestamp) >= 0 {
		s.timestamp, s.at = out.Timestamp, p.At
	}
	if p.Descriptor != nil && (int16(out.Frame-s.frame) > 0 || out.Switched) {
		s.frame = out.Frame
	}
}
