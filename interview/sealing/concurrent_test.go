package sealing_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/sealing"
)

// Frames flow from their own goroutines while rosters and wraps change beneath.
func TestFramesFlowWhileKeysRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chair, applicant := w.page(interview.RoleInterviewer), w.page(interview.RoleApplicant)
	w.know(chair, applicant)
	frames := make(chan []byte, 64)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(frames)
		if err := chair.AddTrack(chair.track, interview.SourceAudio, 0); err != nil {
			t.Error(err)
		}
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			out, err := chair.Seal(nil, chair.track, sealing.FrameHeader{Source: interview.SourceAudio}, fmt.Append(nil, n))
			if errors.Is(err, sealing.ErrNoKey) || errors.Is(err, sealing.ErrOrigin) {
				continue // before the first key, or faster than lists are collected
			}
			if err != nil {
				t.Error(err)
				return
			}
			frames <- out
		}
	})
	opened := make(chan int, 1)
	wg.Go(func() {
		n := 0
		for sealed := range frames {
			if _, err := applicant.hear(chair, sealed); err == nil {
				n++
			} else if !errors.Is(err, sealing.ErrNoKey) {
				t.Error(err)
			}
		}
		opened <- n
	})
	deadline := time.Now().Add(30 * time.Second)
	for range 20 {
		w.roster(chair, []*person{chair, applicant}, "join", applicant)
		wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := applicant.AcceptWrap(wraps[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := chair.Origins(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("rotation is stuck")
		}
	}
	close(stop)
	wg.Wait()
	if n := <-opened; n == 0 {
		t.Error("nothing was heard")
	}
}
