package sfu

import (
	"errors"
	"testing"

	"kuule/internal/problem"
	"kuule/internal/repair"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/bandwidth"
	"kuule/sfu/offer"
)

// A node has so many places and no more, whatever rooms they are in.
func TestANodesPlacesAreBounded(t *testing.T) {
	t.Parallel()
	n := &Node{rooms: map[interview.GroupID]*room{}, legs: MaxLegs - 1}
	if err := n.reserve(interview.NewGroupID()); err != nil {
		t.Fatalf("the last place: %v", err)
	}
	if err := n.reserve(interview.NewGroupID()); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Errorf("one place more: %v", err)
	}
	if len(n.rooms) != 1 {
		t.Errorf("a refusal left %d rooms", len(n.rooms))
	}
}

func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	n := &Node{rooms: map[interview.GroupID]*room{}}
	table := media.Table{Room: interview.NewGroupID(), Generation: 1, Routes: make([]media.Route, MaxRoomLegs*MaxSlots+1)}
	if err := n.Forward(table); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) || len(n.rooms) != 0 {
		t.Errorf("a table of %d routes: %v", len(table.Routes), err)
	}
}

// Whoever names ever new sources fills no memory: those that no line, rid or
// announcement accounts for make no stream at all.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	from, _, _ := wired(offer.Video, 1)
	for i := range uint32(1000) {
		p := arriving(t, 0x1000+i, testPayload, 1, keyDescriptor, []byte("x"))
		if err := p.Header.SetExtension(1, []byte("v")); err != nil {
			t.Fatal(err)
		}
		from.Packet(nil, p)
	}
	if got := len(from.streams); got > 1 {
		t.Errorf("%d streams of one line", got)
	}
	for i := range uint32(1000) {
		from.streams[i] = &stream{leg: from, track: from.tracks[0]}
	}
	before := len(from.streams)
	from.Packet(nil, arriving(t, testSource, testPayload, 1, keyDescriptor, []byte("x")))
	if len(from.streams) != before {
		t.Error("a full leg took one more source")
	}
}

// One question asks for so many packets, one packet is sent so often, and all
// repairs of a leg come out of one allowance.
func TestRepairsAreBounded(t *testing.T) {
	t.Parallel()
	from, slots, sinks := wired(offer.Video, 1)
	l, s, out := slots[0].leg, slots[0], sinks[0]
	for i := uint16(1); i <= keptPictures; i++ {
		from.Packet(nil, arriving(t, testSource, testPayload, i, frameDescriptor(i), make([]byte, 1000)))
	}
	first := out.packet(t).SequenceNumber - keptPictures + 1
	all := make([]uint16, keptPictures)
	for i := range all {
		all[i] = first + uint16(i)
	}
	question := repair.AppendNACK(nil, 1, s.ssrc, all)
	out.packets = 0
	for round := range int64(3 * resendTimes) {
		l.Control(nil, 1e9+round*2*resendAfter, question)
	}
	if got, most := out.packets, keptPictures*(2*resendTimes-1); got > most || got < keptPictures {
		t.Errorf("%d repairs of %d packets, at most %d", got, keptPictures, most)
	}
	for i := range s.kept {
		s.kept[i].times = 0
	}
	l.repairs, out.packets = allowing(50, 1e9), 0
	l.Control(nil, 9e9, question)
	if out.packets != 50 {
		t.Errorf("%d repairs, the allowance is 50", out.packets)
	}
	// A question names at most so many, even the same one over and over.
	l.repairs, out.packets = allowing(1e9, 1e12), 0
	for i := range s.kept {
		s.kept[i].times, s.kept[i].resentAt = 0, 0
	}
	long := make([]uint16, 0, 4*maxNacked)
	for range cap(long) {
		long = append(long, 7777) // of none that is kept: each is looked up
	}
	l.Control(nil, 10e9, append(repair.AppendNACK(nil, 1, s.ssrc, long), question...))
	if out.packets > keptPictures {
		t.Errorf("%d repairs", out.packets)
	}
}

// What waits for a narrow link is bounded in number and time.
func TestWhatWaitsIsBounded(t *testing.T) {
	t.Parallel()
	from, slots, _ := wired(offer.Video, 1)
	w := &slots[0].leg.way
	p := arriving(t, testSource, testPayload, 1, keyDescriptor, make([]byte, 1000))
	in := &incoming{Packet: p, stream: &stream{leg: from, track: from.tracks[0]}, payload: p.Payload}
	w.sender = bandwidth.NewSender()
	w.pacer.Limit(1000, p.At)
	for range 2 * maxHeld {
		w.hold(slots[0], &rewritten{}, in)
	}
	if w.count != maxHeld {
		t.Fatalf("%d packets wait, at most %d", w.count, maxHeld)
	}
	if _, is := w.next(p.At + heldFor + 1); is || w.count != 0 {
		t.Errorf("%d packets still wait after %v s", w.count, heldFor/1e9)
	}
}

// Each of many legs is looked after as often as each of few, but not all at once.
func TestEveryLegHasItsTurn(t *testing.T) {
	t.Parallel()
	for turn := range turns {
		times := 0
		for step := 100; step < 100+turns; step++ {
			if due(turn, step, true, step == 100) {
				times++
			}
		}
		if times != 1 {
			t.Errorf("a leg of turn %d is due %d times in %v", turn, times, tickEvery)
		}
	}
	if !due(3, 0, false, true) || due(0, 0, false, false) {
		t.Error("few legs are not looked after together")
	}
}
