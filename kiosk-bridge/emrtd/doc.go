// Package emrtd reads and judges electronic travel documents (ICAO Doc 9303).
//
// The package is the terminal: it speaks to a chip through a [Card], which may
// be a reader on this machine or, as in the kiosk, a pipe through a network.
// Whoever carries the bytes can break a reading, but cannot forge one: access
// control, secure messaging and every signature are worked out here.
//
// It promises that each check ends in exactly one [Check] with a verdict and a
// reason code, that every byte from outside is bounded before it is parsed, and
// that an issuer which nobody here knows is told apart from a forgery.
//
// Nothing in this package asks anybody outside: trust lists are imported.
// The test factory (package emrtdtest) shares no code with it.
package emrtd
