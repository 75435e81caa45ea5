package sfu_test

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// soakLength is how long what a soak measures takes: KUULE_SOAK_LENGTH (as 90m),
// or what it has by itself.
func soakLength(t *testing.T, own time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("KUULE_SOAK_LENGTH")
	if text == "" {
		return own
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// stalls watches for moments in which this process does not get the processor:
// senders and links that live in it stand still then, and are no measure of the
// node.
type stalls struct{ longest atomic.Int64 }

func watchStalls(t *testing.T) *stalls {
	t.Helper()
	s, stop, stopped := &stalls{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		const every = 5 * time.Millisecond
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-time.After(every):
			}
			now := time.Now()
			if late := int64(now.Sub(last) - every); late > s.longest.Load() {
				s.longest.Store(late)
			}
			last = now
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return s
}

// take gives the longest since the last question.
func (s *stalls) take() time.Duration { return time.Duration(s.longest.Swap(0)) }
