// Package doctor finds out why an installation or the way to it does not work,
// and says it in words that can be handed on: what was tried, what came of it,
// what to do next.
//
// It changes nothing. Network looks from wherever it is run, so a reception
// centre's technician learns which leg works there and which one is cut, before
// an interview finds out. It needs no device certificate. The media port over UDP,
// which answers nobody unknown, and the figures of bit rate need a pass of the
// server's console, since nobody unknown gets floods sent to an address; a way
// that was not tried for want of one is said to be so, and never cut.
package doctor
