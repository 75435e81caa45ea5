package intake

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kuule/interview"
	"kuule/recorder/journal"
)

// stepped is a journal whose clock goes from block to block by hand.
type stepped struct {
	*journal.Writer
	group interview.GroupID

	mu      sync.Mutex
	clock   interview.Micros
	durable chan journal.Progress
}

// begin opens a journal at the moment of its anchor.
func begin(cfg journal.Config) (*stepped, error) {
	w := &stepped{group: cfg.Opened.Group, clock: cfg.Opened.Anchor.Hearing, durable: make(chan journal.Progress, 1)}
	cfg.Clock = func() interview.Micros {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.clock
	}
	cfg.OnDurable = func(p journal.Progress) {
		select {
		case <-w.durable: // the newest alone counts
		default:
		}
		w.durable <- p
	}
	var err error
	w.Writer, err = journal.Create(cfg)
	return w, err
}

// to writes what was given as a block that ends at a moment, and returns when it is
// durable.
func (w *stepped) to(ctx context.Context, t interview.Micros) error {
	before := w.Durable().Seq
	w.mu.Lock()
	w.clock = max(w.clock, t)
	w.mu.Unlock()
	w.Flush()
	late := time.NewTimer(durableWithin)
	defer late.Stop()
	for {
		select {
		case p := <-w.durable:
			if p.Err != nil {
				return p.Err
			}
			if p.Seq > before {
				return nil
			}
		case <-late.C:
			return fmt.Errorf("%w: no block in %s", journal.ErrStalled, durableWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close ends the journal.
func (w *stepped) close() error { return w.Close("taken-in") }
