package kioskbridge

import (
	"bytes"
	"testing"
	"time"

	"kuule/interview"
)

// B19: a picture is destroyed when its time is over, also where nobody asks for
// it any more, and is nobody else's memory.
func TestPortraitsAreDestroyedUnasked(t *testing.T) {
	t.Parallel()
	var p portraits
	taken := []byte("picture")
	short, long := interview.NewTicketID(), interview.NewTicketID()
	now := time.Now()
	p.keep(short, interview.NewHearingID(), Image{Bytes: taken}, now, now.Add(time.Hour))
	p.keep(long, interview.NewHearingID(), Image{Bytes: taken}, now, now.Add(time.Hour))
	held := p.kept[short].image.Bytes
	p.kept[short].end.Reset(time.Millisecond)
	kept := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.kept)
	}
	for deadline := time.Now().Add(time.Minute); kept() == 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is still there")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !bytes.Equal(held, make([]byte, len(held))) || string(taken) != "picture" {
		t.Errorf("%q, and the visit's own is %q", held, taken)
	}
	if got := p.kept[long].image.Bytes; string(got) != "picture" {
		t.Errorf("another ticket's: %q", got)
	}
}
