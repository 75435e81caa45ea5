package interview

import (
	"time"
)

// AnchorKind says at what occasion an anchor was logged.
type AnchorKind string

// Occasions of an anchor.
const (
	AnchorOpening  AnchorKind = "opening"  // the hearing was opened
	AnchorResume   AnchorKind = "resume"   // the hearing went on record
	AnchorRecorder AnchorKind = "recorder" // a recorder began
	AnchorTakeover AnchorKind = "takeover" // another process, or the same restarted, keeps the clock
)

// Anchor is one moment read on every clock at once.
type Anchor struct {
	Kind  AnchorKind `json:"kind"`
	At    Micros     `json:"at"`    // hearing clock
	Wall  int64      `json:"wall"`  // Unix, microseconds
	Mono  int64      `json:"mono"`  // microseconds since the process began
	Epoch int64      `json:"epoch"` // of the room's lease: a later keeper has a higher one
}

// ClockSource reads the machine's clocks: the wall clock, which may jump, and the
// monotonic clock, which never runs backwards.
type ClockSource func() (wall time.Time, mono time.Duration)

var began = time.Now()

// System is the machine's own ClockSource.
func System() (time.Time, time.Duration) {
	now := time.Now()
	return now.Round(0), now.Sub(began)
}

// Clock is the hearing clock: microseconds since the hearing was opened. Within
// a process it follows the monotonic clock, so a wall clock that is set does
// not move it; a process that takes over continues by the wall clock, never
// before the last moment that was logged. Immutable, so safe for concurrent use.
type Clock struct {
	source ClockSource
	at     Micros
	mono   time.Duration
	epoch  int64
}

// start makes a clock that shows at now, and the anchor that says so.
func start(source ClockSource, kind AnchorKind, at Micros, epoch int64) (*Clock, Anchor) {
	wall, mono := source()
	return &Clock{source: source, at: at, mono: mono, epoch: epoch},
		Anchor{Kind: kind, At: at, Wall: wall.UnixMicro(), Mono: mono.Microseconds(), Epoch: epoch}
}

// takeover continues a clock whose keeper is gone: by the wall clock since the
// opening, and not before last.
func takeover(source ClockSource, opening Anchor, last Micros, epoch int64) (*Clock, Anchor) {
	wall, _ := source()
	at := opening.At + Micros(wall.UnixMicro()-opening.Wall)
	return start(source, AnchorTakeover, max(at, last, 0), epoch)
}

// Now is the hearing's time. It never runs backwards.
func (c *Clock) Now() Micros {
	_, mono := c.source()
	return c.at + Micros((mono - c.mono).Microseconds())
}

// Epoch is the lease epoch under which the clock is kept.
func (c *Clock) Epoch() int64 { return c.epoch }

// anchor reads the clock with the others.
func (c *Clock) anchor(kind AnchorKind) Anchor {
	wall, mono := c.source()
	return Anchor{Kind: kind, At: c.at + Micros((mono - c.mono).Microseconds()), Wall: wall.UnixMicro(), Mono: mono.Microseconds(), Epoch: c.epoch}
}
