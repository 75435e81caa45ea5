// Package media is what the door says to a media node and hears back.
//
// A node knows legs, tracks and rooms by their ids and nothing else: no name,
// no role, no key. The door opens a leg with the member's offer, sets the whole
// forwarding table of a room whenever it changes, and closes legs. Tables carry
// a generation, so that a late or replayed one is refused; what is not in the
// newest table is not forwarded.
package media
