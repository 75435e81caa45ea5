// Package backup keeps a room terminal's own back-up on its disk: an append-only
// file for each hearing, sealed to the agency's back-up key, so that neither the
// terminal nor who takes its disk can open it (row H5).
//
// A chunk is kept only if it shows that a recorder was in its key epoch: what is
// said in a pause or consultation never comes to the disk. Files are bounded, and
// removed when a release of authority names this device, or when they are old.
package backup
