// Package retention says how long what a case left is kept, and how it ends.
//
// Rules are data with a version and the law that they come from (rules.json):
// per class of data a period, and the events after which it begins. Keep decides
// from a case's events, holds and extensions, without a clock of its own. A
// period begins only when every matter of the case is closed; without an event
// that says so nothing is ever due.
//
// A hold keeps everything whatever its time. An extension makes a period longer,
// asked for by one person and approved by another; nothing makes it shorter.
// Erasure destroys the keys under which the content is sealed: when its time has
// come, or earlier by an order of two persons. What remains is a Tombstone,
// signed by authority. It holds no personal content and outlives every back-up.
//
// A Mark says on what ground something is secret. A security class needs a
// ground of its own and has no place on ordinary records (906/2019 18 §).
package retention
