package repair

const (
	// Sound is sent twice (RED) from redundancyOn of lost packets, and once again
	// from redundancyOff, in parts per million: below, the receiver's error
	// correction in the codec and one question are enough.
	redundancyOn  = 10_000
	redundancyOff = 3_000
	redundancyFor = 30e9 // nanoseconds it stays on after the last bad report
)

// Redundancy decides whether a room's sound is to be sent twice. Sealed sound
// cannot be served in two forms, so one bad receiver decides for all. It must
// not be used by two goroutines at once.
type Redundancy struct {
	on   bool
	last int64 // that it was needed
}

// Report takes the share of sound packets that one leg lost, sent or received,
// in parts per million, and tells whether redundancy is on.
func (r *Redundancy) Report(lossPPM int, at int64) bool {
	switch {
	case lossPPM >= redundancyOn:
		r.on, r.last = true, at
	case r.on && lossPPM > redundancyOff:
		r.last = at
	}
	return r.On(at)
}

// On tells whether redundancy is on.
func (r *Redundancy) On(at int64) bool {
	if r.on && at-r.last > redundancyFor {
		r.on = false
	}
	return r.on
}
