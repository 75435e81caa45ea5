// Package coverage says what of a hearing all its recorders together kept, from
// what stands in clear in their journals: no key is needed.
//
// Spans tile the hearing exactly: each moment is recorded, off the record, taken
// in from a room terminal's back-up, or missing for a named cause (row H4). Either of two recorders suffices (row H5):
// a moment is missing only where no journal has it. Losses do the same for one
// track at a time. A gap that a recorder marks reaches from the last frame that
// it had to the next, so that what two recorders both missed overlaps; where
// they missed different frames of one moment the loss may be shown too long,
// never too short. With the data keys journal.Once counts exactly.
package coverage
