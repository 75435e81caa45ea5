package app

import (
	"context"
	"sync"
	"time"
)

// askAgain is how long one question on the bus waits for work that may take
// longer than a question may: who asks then asks again.
const askAgain = 20 * time.Second

// longTask is one piece of work at a time that outlives the question which began
// it. The same question again waits on; another one begins after it.
type longTask[Out any] struct {
	mu   sync.Mutex
	what string
	done chan struct{}
	out  Out
	err  error
}

// ask begins the work, or waits for it. Pending says that it goes on.
func (l *longTask[Out]) ask(ctx context.Context, what string, work func() (Out, error)) (out Out, pending bool, err error) {
	l.mu.Lock()
	for l.done != nil && l.what != what {
		done := l.done
		l.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return out, false, ctx.Err()
		}
		l.mu.Lock()
		if l.done == done {
			l.done = nil // its answer was for nobody here
		}
	}
	if l.done == nil {
		done := make(chan struct{})
		l.what, l.done = what, done
		go func() {
			out, err := work()
			l.mu.Lock()
			l.out, l.err = out, err
			l.mu.Unlock()
			close(done)
		}()
	}
	done := l.done
	l.mu.Unlock()
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	select {
	case <-done:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.done == done {
			l.done = nil
		}
		return l.out, false, l.err
	case <-timer.C:
		return out, true, nil
	case <-ctx.Done():
		return out, false, ctx.Err()
	}
}
