// Package bandwidth finds out how much one leg's way down carries, and tells
// publishers what arrived of what they sent.
//
// A Sender numbers the packets of a leg, reads the receiver's transport-wide
// feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01) and estimates
// what the link carries (draft-ietf-rmcat-gcc-02: arrival groups, a trend line,
// an adaptive threshold, additive and multiplicative increase, a loss-based
// bound), and probes with padding when more is wanted than is known to fit. A
// Recorder makes such feedback for the other direction. A Pacer spreads bursts.
//
// All three belong to one leg, take the time as nanoseconds of any clock that
// never goes back, allocate nothing after they were made, start no goroutine and
// are not safe for concurrent use: the leg's own lock guards them. They never see
// a payload.
package bandwidth
