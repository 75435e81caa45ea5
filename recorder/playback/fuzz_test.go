package playback

import (
	"testing"

	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

// FuzzCodec plays whatever a sender may have sealed as sound or picture: nothing of
// it ends the reading, and every number that comes of it is within bounds.
func FuzzCodec(f *testing.F) {
	f.Add([]byte{0xf8, 0xff, 0xfe}, uint64(3), false)
	f.Add([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}, uint64(0), false)
	f.Add([]byte{0xfb, 0xff}, uint64(0), false) // code 3, 63 frames
	f.Add([]byte{}, uint64(1<<63), false)
	f.Add(opusred.Append(nil, opusred.Block{Ago: 960, Opus: []byte("before")}, opusred.Block{Opus: []byte("own")}), uint64(5), true)
	f.Add(opusred.Append(nil, opusred.Block{Ago: 960, Opus: []byte("before")}, opusred.Block{Opus: []byte("own")}), uint64(0), true)
	f.Fuzz(func(t *testing.T, codec []byte, counter uint64, redundant bool) {
		if w, h := dimensions(codec); w < 0 || w > 16383 || h < 0 || h > 16383 {
			t.Errorf("%d by %d", w, h)
		}
		if d := opusDuration(codec); d < 0 || d > longestOpus {
			t.Errorf("a packet of %d µs", d)
		}
		x := journal.Frame{Source: interview.SourceAudio, KID: 7, Counter: counter, Sealed: sframe.AppendHeader(nil, 7, counter)}
		head := sealing.FrameHeader{Source: interview.SourceAudio, Redundant: redundant, Capture: 1_000_000}
		size := 0
		for _, p := range unpack(x, head, codec) {
			if size += len(p.codec); p.at > head.Capture || p.of.counter > counter {
				t.Errorf("plays at %d, of %d", p.at, p.of.counter)
			}
		}
		if size > len(codec) {
			t.Errorf("%d bytes became %d", len(codec), size)
		}
	})
}
