package allocate

// Constants of the allocation.
const (
	margin = 1.15 // of the cost of what would be added
	// patience is by how much voices that are sent may exceed the budget: it is
	// cut to less than what arrives whenever a queue begins to grow, and for such a
	// moment nobody is silenced.
	patience = 1.15
	// UsableHeight is the height in pixels from which on a face can be read.
	UsableHeight = 240
	// UsableRate is the bit rate up to which the first picture grows before
	// others get anything, where its layers' heights are not known.
	UsableRate = 250_000

	// voiceShare of the budget for voices is the most before their senders are
	// asked for long packets, and voiceEase what they would have to fit into at
	// Plain each before they are no longer asked.
	voiceShare = 0.7
	voiceEase  = 0.5
	// Plain is about what a voice costs on the wire in packets of 20 ms, in
	// bit/s: 24 kbit/s of Opus, seal, RTP, SRTP, UDP and IP.
	Plain = 66_000
	// Long is the same in packets of 60 ms at 16 kbit/s.
	Long = 28_500
	// Of the budget: what voices are to fit into once some of them come in long
	// packets, or fewer than before; and what those may take that do where not all
	// have room.
	thriftShare = 0.9
	thriftEase  = 0.6
	longShare   = 0.75
)

// Off is the layer of a stream that is not sent.
const Off = -1

// Layer is one way in which a stream can be sent.
type Layer struct {
	Bitrate int // bit/s on the wire, with everything that it builds on
	Height  int // pixels; 0: not known
}

// Stream is one thing that a leg could be sent.
type Stream struct {
	Voice  bool
	Rank   int     // smaller is more; within voices and within pictures
	Height int     // of the tile in pixels; 0: as large as it comes
	Layers []Layer // from small to large; empty: nothing comes from the sender
	Now    int     // the layer that is sent now, or Off
}

// Outcome sums an allocation up.
type Outcome struct {
	Wanted int // bit/s that everything would cost at the size of its tile
	Spent  int // bit/s that what was chosen costs
	Shed   int // streams that are not sent, or smaller than their tile, for want of budget
	// Frugal says that the senders of voices should send longer packets at a
	// lower rate: voices take too much of the budget.
	Frugal bool
}

// Link is what is known of the way.
type Link struct {
	Budget int // bit/s; 0 or less: nothing is known, and everything is sent
	// Crowded: what is sent does not all come, or not in time. Only then a voice has
	// to go: a budget may be too small for reasons that are not the link's.
	Crowded bool
}

// Assign fills targets with the layer of each stream, or Off. frugal is the
// Outcome's Frugal of the last time. len(targets) must be len(streams).
func Assign(link Link, streams []Stream, frugal bool, targets []int) Outcome {
	budget := link.Budget
	var o Outcome
	voices, voiceCost := 0, 0
	for i := range streams {
		targets[i] = Off
		top := streams[i].Top()
		if top < 0 {
			continue
		}
		o.Wanted += streams[i].Layers[top].Bitrate
		if streams[i].Voice {
			voices++
			voiceCost += streams[i].Layers[top].Bitrate
		}
	}
	if budget <= 0 {
		for i := range streams {
			targets[i] = streams[i].Top()
		}
		o.Spent = o.Wanted
		return o
	}
	a := round{budget: budget, streams: streams, targets: targets}
	spare := int((patience - 1) * float64(budget))
	a.budget += spare
	// The one voice that matters is sent whatever the budget says: without it
	// there is nothing to hold a hearing with.
	first := true
	a.inOrder(true, func(i int) {
		top := streams[i].Top()
		switch {
		case top < 0:
		case first, streams[i].Now >= 0 && !link.Crowded:
			a.take(i, top)
			first = false
		default:
			a.grow(i, top)
		}
	})
	a.budget -= spare
	first = true
	a.inOrder(false, func(i int) {
		if first && streams[i].Top() >= 0 {
			a.grow(i, streams[i].usable())
			first = false
		}
	})
	a.inOrder(false, func(i int) { a.grow(i, min(0, streams[i].Top())) })
	a.inOrder(false, func(i int) { a.grow(i, streams[i].Top()) })
	o.Spent = a.spent
	for i := range streams {
		if targets[i] < streams[i].Top() {
			o.Shed++
		}
	}
	o.Frugal = float64(voiceCost) > voiceShare*float64(budget) ||
		frugal && float64(voices*Plain) > voiceEase*float64(budget)
	return o
}

// Thrift says whose senders are to be asked for long packets, where an Outcome
// was frugal: as few as will do, so that one narrow link costs the others as
// little as can be. Those go first that matter least to this listener; where not
// even all of them in long packets have room, those that matter most, as many as
// have it and one at least, and whoever is sent all the same. asked holds the answer of the last time: with less
// it is tried only when there is room to spare.
func Thrift(budget int, streams []Stream, asked []bool) {
	voices, was := 0, 0
	for i := range streams {
		if streams[i].Voice && streams[i].Top() >= 0 {
			voices++
			if asked[i] {
				was++
			}
		}
		asked[i] = false
	}
	most := fewest(voices, int(thriftShare*float64(budget)))
	if most < was {
		most = max(most, min(was, fewest(voices, int(thriftEase*float64(budget)))))
	}
	from := voices - most
	tight := voices*Long > int(thriftShare*float64(budget))
	if tight {
		most, from = max(1, int(longShare*float64(budget))/Long), 0
	}
	place := 0
	a := round{streams: streams}
	a.inOrder(true, func(i int) {
		if streams[i].Top() >= 0 {
			asked[i] = place >= from && place < from+most || tight && streams[i].Now >= 0
			place++
		}
	})
}

// fewest is how many of the voices have to come in long packets to have room.
func fewest(voices, room int) int {
	for n := range voices {
		if voices*Plain-n*(Plain-Long) <= room {
			return n
		}
	}
	return voices
}

// round is one allocation under way.
type round struct {
	budget, spent int
	streams       []Stream
	targets       []int
}

// inOrder visits the voices, or the pictures, by rank; of one rank as they come.
func (a *round) inOrder(voice bool, visit func(i int)) {
	for rank, next := least(a.streams, voice, -1); next; rank, next = least(a.streams, voice, rank) {
		for i := range a.streams {
			if a.streams[i].Voice == voice && a.streams[i].Rank == rank {
				visit(i)
			}
		}
	}
}

// least is the smallest rank above after.
func least(streams []Stream, voice bool, after int) (rank int, found bool) {
	for i := range streams {
		if r := streams[i].Rank; streams[i].Voice == voice && r > after && (!found || r < rank) {
			rank, found = r, true
		}
	}
	return rank, found
}

// grow raises a stream as far towards a layer as fits.
func (a *round) grow(i, towards int) {
	s := &a.streams[i]
	for l := towards; l > a.targets[i]; l-- {
		cost := s.Layers[l].Bitrate
		if have := a.targets[i]; have >= 0 {
			cost -= s.Layers[have].Bitrate
		}
		need := float64(cost)
		if l > s.Now {
			need *= margin
			if s.Voice {
				need += (1 - 1/patience) * float64(a.budget)
			}
		}
		if float64(a.spent)+need <= float64(a.budget) {
			a.take(i, l)
			return
		}
	}
}

func (a *round) take(i, layer int) {
	s := &a.streams[i]
	if have := a.targets[i]; have >= 0 {
		a.spent -= s.Layers[have].Bitrate
	}
	a.spent += s.Layers[layer].Bitrate
	a.targets[i] = layer
}

// Top is the largest layer that the tile shows: the smallest that fills it, or
// the largest there is. Off where nothing comes.
func (s *Stream) Top() int {
	for l, layer := range s.Layers {
		// A layer that is a little smaller than the tile fills it well enough.
		if s.Height > 0 && layer.Height > 0 && layer.Height*10 >= s.Height*9 && s.last(l) {
			return l
		}
	}
	return len(s.Layers) - 1
}

// last reports whether the next layer, if any, is a larger picture rather than
// the same at more frames.
func (s *Stream) last(l int) bool {
	return l+1 == len(s.Layers) || s.Layers[l+1].Height != s.Layers[l].Height
}

// usable is the smallest layer on which a face can be read, within top.
func (s *Stream) usable() int {
	top := s.Top()
	for l := 0; l < top; l++ {
		layer := s.Layers[l]
		if layer.Height >= UsableHeight && s.last(l) || layer.Height == 0 && layer.Bitrate >= UsableRate {
			return l
		}
	}
	return top
}
