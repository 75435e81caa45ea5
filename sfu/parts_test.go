package sfu

import (
	"testing"
)

func TestWhatComesTwiceIsSeenOnce(t *testing.T) {
	t.Parallel()
	var w window
	for _, step := range []struct {
		seq  uint16
		want bool
	}{{65530, true}, {65530, false}, {2, true}, {65535, true}, {65535, false}, {3, true}, {1027, true}, {3, false}, {1026, true}, {1026, false}, {5000, true}, {1027, false}} {
		if got := w.first(step.seq); got != step.want {
			t.Errorf("sequence number %d: first is %v, want %v", step.seq, got, step.want)
		}
	}
}

func FuzzDescriptor(f *testing.F) {
	f.Add([]byte{0x80, 0, 1, 0x80, 0, 0x3A, 0x41, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseDescriptor(b)
		if !ok {
			return
		}
		setFrameNumber(b, d.frameNumber+1)
		if again, _ := parseDescriptor(b); again.frameNumber != d.frameNumber+1 || again.key != d.key {
			t.Fatalf("renumbering changed more than the number: %+v to %+v", d, again)
		}
	})
}
