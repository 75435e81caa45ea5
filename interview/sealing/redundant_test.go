package sealing_test

import (
	"errors"
	"testing"

	"kuule/interview"
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
