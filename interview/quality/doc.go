// Package quality says how well people could hear each other, from what the
// media node counts: an estimate of the mean opinion score of each leg, and per
// leg of a hearing the minutes there were, the minutes lost and why.
//
// The estimate is the E-model (ITU-T G.107) with its default values, loss and
// delay as measured, and the figures of Opus by Alahmadi, Počta and Melvin. It
// is a planning model, no judgement of what one person heard: it ranks links and
// finds the minutes in which a hearing could not be held.
//
// Nothing here names a person: legs, members and devices by their ids.
package quality
