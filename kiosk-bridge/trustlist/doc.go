// Package trustlist keeps the lists of those who issue travel documents: which
// one counts, which came before, and who answered for each.
//
// A list comes as a file that somebody fetched: a state's master list, which
// counts only under the fingerprint of the authority that signed it, got by
// another way; or plain certificates. Nothing is fetched at run time (row B20).
//
// Two persons approve a list, each with a key of their own that was pinned when
// the installation was made; one alone changes nothing. Every version stays on
// the disk with both approvals, so that a verdict of years ago can be judged
// against the list of its day. Going back to an older list is a new version.
package trustlist
