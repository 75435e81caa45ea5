package coverage

import (
	"kuule/interview"
	"kuule/recorder/journal"
)

// DriftLimit is how far the wall clock may move against the hearing clock
// between two anchors before a report flags it.
const DriftLimit interview.Micros = 250_000

// Clock says how the wall clock of a recorder's machine went against the
// hearing clock (row H8). The hearing clock is the one that counts: it never
// jumps, and every time in a journal is its.
type Clock struct {
	Anchors int              `json:"anchors"`
	Drift   interview.Micros `json:"drift"`   // wall against hearing, first to last anchor
	Largest interview.Micros `json:"largest"` // between two anchors, by amount
	Flagged bool             `json:"flagged"` // Largest is over DriftLimit
}

// ClockOf compares the anchors of one journal.
func ClockOf(anchors []journal.Anchor) Clock {
	c := Clock{Anchors: len(anchors)}
	for i := 1; i < len(anchors); i++ {
		a, b := anchors[i-1], anchors[i]
		step := interview.Micros(b.Wall-a.Wall) - (b.Hearing - a.Hearing)
		c.Drift += step
		if max(step, -step) > max(c.Largest, -c.Largest) {
			c.Largest = step
		}
	}
	c.Flagged = max(c.Largest, -c.Largest) > DriftLimit
	return c
}
