// Package journaltest makes journals for tests: a recorder's statement, keys,
// frames sealed as a page seals them, and disks that are slow, full or broken.
//
// Frames come from real senders: each member has its own signing key and
// sender keys, seals with SFrame and signs origin lists, so that what a test
// changes is what an attacker would have to change.
package journaltest
