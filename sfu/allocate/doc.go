// Package allocate decides what a leg is sent when its link does not carry
// everything that is wanted.
//
// It is arithmetic without time, state or locks: from a budget in bit/s and the
// streams with what each of their layers costs, it picks one layer or none per
// stream. Every voice goes before every picture. Then the first picture gets to
// be usable before others get anything, then each gets its smallest layer, then
// each grows as far as its tile shows, always in order of rank. What is sent now
// stays unless it has to go; what is not has to fit with a margin, so that a
// budget which trembles changes nothing (row N5).
package allocate
