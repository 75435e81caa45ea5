// Package emrtd reads and judges electronic travel documents (ICAO Doc 9303).
//
// The package is the terminal: it speaks to a chip through a [Card], which may
// be a reader on this machine or, as in the kiosk, a pipe through a network.
// Whoever carries the bytes can break a reading, but cannot forge one: access
// control, secure messaging and every signature are worked out here.
//
// It promises that each check ends in exactly one [interview.Check] with a
// verdict and a reason code, that every byte from outside is bounded before it is
// parsed, and that an issuer which nobody here knows is told apart from a forgery.
//
// A chip opens by PACE where it offers that, and never by the weaker way after
// PACE has failed. Where its issuer gave it keys it has to prove them (active
// authentication, chip authentication, chip authentication mapping); where not,
// the result says that a copy cannot be excluded. Secrets meet constant-time
// arithmetic only.
//
// Nothing in this package asks anybody outside: trust and revocation lists are
// imported.
// The test factory (package emrtdtest) shares no code with it.
package emrtd
