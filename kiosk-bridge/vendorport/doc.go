// Package vendorport is the contract with makers of biometric and optical parts:
// presentation-attack detection, fingerprints, document optics, quality of
// pictures, comparison of faces, search for duplicates, the register. A part is a
// program of the maker's behind HTTP and JSON, over mutual TLS or a unix socket;
// docs/integration.md is the maker's guide and package conformance its test.
//
// Requests and answers are bounded in size and time, carry whole numbers only,
// and are read strictly: an answer with a field, a word or a number that the
// contract does not know is no answer. A request has an idempotency key, so that
// it can be asked again when a line breaks. Each side says which versions of the
// contract it speaks.
//
// What a part says is asserted, never verified: a maker's yes is somebody's word,
// its no ends no one's way. Nothing that is sent here is kept here (row B19).
package vendorport
