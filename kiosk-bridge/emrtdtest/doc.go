// Package emrtdtest makes travel documents that exist nowhere: a state with its
// country signing authority and document signer, passports with zone, portrait
// and security object, and a chip that speaks Basic Access Control and secure
// messaging (ICAO Doc 9303 parts 10 to 12).
//
// It is for tests and demonstrations only: its keys are made on the spot and
// lead to nobody's trust list. Wrong passports come by name (see [Variant]), so
// that each refusal of the verifier can be caused for real.
//
// It shares no code with the verifier (package emrtd): two readings of the
// standard must agree, not one with itself.
package emrtdtest
