package layer

import "kuule/internal/descriptor"

// run is one unbroken stretch of one layer in a subscriber's stream: between the
// two numberings there is one offset, which falls by one with each packet that
// is left out.
type run struct {
	live         bool
	layer        int
	first        uint16 // incoming number with which it began
	highest      uint16 // incoming
	sequenceOff  uint16
	timestampOff uint32
	frameOff     uint16

	window int
	marks  []mark // by incoming number modulo the window
	frames []frame
}

// mark is what became of one incoming number.
type mark struct {
	in, out uint16
	state   state
}

type state uint8

const (
	unknown  state = iota
	reserved       // missing; its number is kept for it
	sent
	left
)

// frame is what was decided about a frame: all its packets share its fate.
type frame struct {
	number uint16
	state  state
}

func (r *run) reset(layer int, first, sequenceOff, frameOff uint16) {
	r.live, r.layer, r.first, r.highest = true, layer, first, first-1
	r.sequenceOff, r.frameOff = sequenceOff, frameOff
	if r.marks == nil {
		r.marks, r.frames = make([]mark, r.window), make([]frame, frameWindow)
	}
	clear(r.marks)
	clear(r.frames)
}

// leaves decides whether a frame is left out: it is of a temporal layer above
// the limit, or it needs a frame that was left out. What the first packet of a
// frame met holds for all of them.
func (r *run) leaves(d *descriptor.Descriptor, limit int) bool {
	if !d.Known {
		return false
	}
	f := &r.frames[d.Frame%frameWindow]
	if d.Temporal == 0 {
		*f = frame{d.Frame, sent}
		return false
	}
	if f.number == d.Frame && f.state != unknown {
		return f.state == left
	}
	leave := int(d.Temporal) > limit
	for _, diff := range d.Diffs[:d.DiffCount] {
		needed := &r.frames[(d.Frame-diff)%frameWindow]
		leave = leave || needed.number == d.Frame-diff && needed.state == left
	}
	*f = frame{d.Frame, sent}
	if leave {
		f.state = left
	}
	return leave
}

// place gives a packet its number. The numbers of missing packets are kept for
// them, as many as there are marks.
func (r *run) place(in uint16, leave bool) (uint16, Action) {
	n := uint16(len(r.marks))
	if ahead := in - r.highest; int16(ahead) > 0 {
		for missing := in - min(ahead, n) + 1; missing != in; missing++ {
			r.marks[missing%n] = mark{missing, missing + r.sequenceOff, reserved}
		}
		r.highest = in
		if leave {
			r.sequenceOff--
			r.marks[in%n] = mark{in, 0, left}
			return 0, Drop
		}
		r.marks[in%n] = mark{in, in + r.sequenceOff, sent}
		return in + r.sequenceOff, Send
	}
	m := &r.marks[in%n]
	if m.in != in || m.state != reserved {
		return 0, Drop
	}
	m.state = sent
	if leave {
		return m.out, Fill
	}
	return m.out, Send
}
