// Package fingerprint takes fingers at a scanner: at most three tries each, by
// their quality, and a named way on when none is good enough (row B4). Worn,
// wounded and missing fingers are ordinary; they end no one's way.
//
// Templates are records of ISO/IEC 19794-2:2005. They are opaque here: [Check]
// looks at their frame, so that nothing malformed is handed on, and understands
// nothing of the finger.
package fingerprint
