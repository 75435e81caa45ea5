package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// change is what trials with two paths found.
type change struct {
	FromMover direction `json:"from_mover"` // what the others received of who changed its path
	ToMover   direction `json:"to_mover"`   // what that one received
}

// direction is one direction of all trials.
type direction struct {
	Lost    int         `json:"lost"` // packets that never came, not by a repair either
	Of      int         `json:"of"`
	Trials  int         `json:"trials_with_loss"`
	Longest percentiles `json:"longest_gap_ms"` // without a packet of a stream, in each trial
	Worst   float64     `json:"worst_gap_ms"`
}

// changeFound is what one trial showed.
type changeFound struct{ from, to passed }

// passed is what came of one direction.
type passed struct {
	lost, of int
	gap      time.Duration
}

func (d *direction) add(p passed) {
	d.Lost += p.lost
	d.Of += p.of
	if p.lost > 0 {
		d.Trials++
	}
	d.Worst = max(d.Worst, float64(p.gap)/float64(time.Millisecond))
}

func newChange(all []changeFound) *change {
	c := &change{}
	var from, to []time.Duration
	for _, f := range all {
		c.FromMover.add(f.from)
		c.ToMover.add(f.to)
		from, to = append(from, f.from.gap), append(to, f.to.gap)
	}
	c.FromMover.Longest, c.ToMover.Longest = ranks(from), ranks(to)
	return c
}

// String is for people.
func (c *change) String() string {
	line := func(name string, d direction) string {
		return fmt.Sprintf("%-9s %d of %d packets lost, in %d trials; longest gap %.1f / %.1f ms (p50 / p95), %.1f at most", name, d.Lost, d.Of, d.Trials, d.Longest.P50, d.Longest.P95, d.Worst)
	}
	return line("from it", c.FromMover) + "\n" + line("to it", c.ToMover)
}

// When the old path of two is cut after the new one is up, and how long after that
// is looked.
const (
	latestCut  = 500 * time.Millisecond
	afterCut   = 600 * time.Millisecond
	forRepairs = 400 * time.Millisecond
)

// change gives one member of a room a second path, which it takes up as soon as a
// check by it is answered, and cuts the first at some moment after that.
func (a *crowd) change(ctx context.Context, room []*client, mover int) (found changeFound, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialPatience)
	defer cancel()
	m := room[mover]
	own := map[uint32]bool{m.streams[0].ssrc: true, m.streams[1].ssrc: true}
	for i, c := range room {
		if i == mover {
			c.watch(nil)
		} else {
			c.watch(own)
		}
	}
	err = a.takeAnother(ctx, m)
	for _, c := range room {
		c.settle()
	}
	_ = wait(ctx, forRepairs)
	for i, c := range room {
		lost, of, gap := c.watchEnds()
		if i == mover {
			found.to = passed{lost, of, gap}
			continue
		}
		found.from = passed{found.from.lost + lost, found.from.of + of, max(found.from.gap, gap)}
	}
	return found, err
}

func (a *crowd) takeAnother(ctx context.Context, m *client) error {
	if err := wait(ctx, forRepairs); err != nil { // both directions are seen before
		return err
	}
	at, err := a.renew(ctx, m)
	if err != nil {
		return err
	}
	socket, err := m.beside(ctx, at)
	if err != nil {
		return err
	}
	old := m.take(socket)
	if err := wait(ctx, rand.N(latestCut)); err != nil { //nolint:gosec // when to cut in a measurement
		return err
	}
	m.dead.Store(old)
	if err := wait(ctx, afterCut); err != nil {
		return err
	}
	return old.Close()
}
