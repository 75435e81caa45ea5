// Package doctor finds out why an installation or the way to it does not work,
// and says it in words that can be handed on: what was tried, what came of it,
// what to do next.
//
// It changes nothing. Network looks from wherever it is run, so a reception
// centre's technician learns which leg works there and which one is cut, before
// an interview finds out. It needs no device certificate; the figures of bit
// rate need a pass, since nobody unknown gets floods sent to an address.
package doctor
