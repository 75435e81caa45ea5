package sealing_test

import (
	"errors"
	"testing"

	"kuule/interview"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
)

// Sound packed twice says so inside its seal, and counts as sound; nothing else
// can be packed twice.
func TestSoundThatIsPackedTwiceSaysSo(t *testing.T) {
	t.Parallel()
	in := sealing.FrameHeader{Source: interview.SourceAudio, Capture: 5, Level: 40, Redundant: true}
	b, err := sealing.AppendFrameHeader(nil, in)
	if err != nil || b[0] != 0x14 {
		t.Fatalf("%v %x", err, b)
	}
	if out, rest, err := sealing.ParseFrame(append(b, 7)); err != nil || out != in || len(rest) != 1 {
		t.Errorf("%+v %v", out, err)
	}
	if _, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: interview.SourceVideo, Redundant: true}); !errors.Is(err, sealing.ErrFrame) {
		t.Errorf("a picture packed twice: %v", err)
	}
}

// A copy of what was said under one key is not sealed under the next: who gets
// that key was not there to hear it.
func TestNoSoundOfBeforeUnderANewKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant, _ := w.trio()
	packed := opusred.Append(nil, opusred.Block{Ago: 960, Opus: []byte("before")}, opusred.Block{Opus: []byte("now")})
	said := func() []opusred.Block {
		t.Helper()
		h := sealing.FrameHeader{Source: interview.SourceAudio, Capture: 1, Level: 30, Redundant: true}
		sealed, err := chair.Seal(nil, chair.track, h, packed)
		if err != nil {
			t.Fatal(err)
		}
		head, frame, err := applicant.Open(nil, chair.ID(), chair.track, sealed)
		if err != nil || !head.Redundant {
			t.Fatalf("%+v %v", head, err)
		}
		blocks, err := opusred.Split(nil, frame)
		if err != nil || len(blocks) == 0 || string(blocks[len(blocks)-1].Opus) != "now" {
			t.Fatalf("%v %v", blocks, err)
		}
		return blocks
	}
	if first, second := len(said()), len(said()); first != 1 || second != 2 {
		t.Errorf("%d and %d packets in the first two frames of a key", first, second)
	}
	if _, err := chair.Seal(nil, chair.track, sealing.FrameHeader{Source: interview.SourceAudio, Redundant: true}, []byte("no packet")); err != nil {
		t.Errorf("what is sealed under the same key is not read: %v", err)
	}
}
