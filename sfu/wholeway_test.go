package sfu

import (
	"testing"

	"kuule/sfu/offer"
)

// A sender is told of the loss on the whole way to the listener who loses most,
// since Opus decides by it whether to carry its own correction: here 2 % on the
// way up, and 0, 5 and 30 % down. More than a fifth is not told of.
func TestASenderLearnsOfTheLossOnTheWholeWay(t *testing.T) {
	t.Parallel()
	from, slots, _ := wired(offer.Audio, 3)
	s := &stream{track: from.tracks[0]}
	s.sound.share = 20_000
	told := func() int64 {
		s.counts = reception{started: true, first: 1, highest: 100, received: 100}
		b := s.counts.append(nil, testSource, 0, s.lossToListeners())
		return int64(b[4]) * 1e6 / 256
	}
	near := func(when string, want int64) {
		t.Helper()
		if got := told(); got < want-4_000 || got > want {
			t.Errorf("%s: %d millionths are told, want about %d", when, got, want)
		}
	}
	near("nobody loses anything", 20_000)
	slots[1].lost.Store(50_000)
	near("one listener loses 5 %", 69_000)
	slots[2].lost.Store(300_000)
	near("another 30 %", mostReported)
	slots[2].lost.Store(0)
	near("and no more", 69_000)
	// What was lost on the way up in this very second counts where it is more.
	s.counts = reception{started: true, first: 1, highest: 100, received: 50}
	if b := s.counts.append(nil, testSource, 0, s.lossToListeners()); b[4] < 120 {
		t.Errorf("half is lost on the way up, %d of 256 is told", b[4])
	}
	if (&stream{of: s, track: s.track}).lossToListeners() != 0 {
		t.Error("a repair stream tells of listeners")
	}
}
