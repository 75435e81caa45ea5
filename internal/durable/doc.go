// Package durable writes files so that a power cut leaves the old content or
// the new one, never a part and never nothing.
//
// A file is written beside its final place, synced, renamed over it, and the
// folder is synced, because on Linux a rename survives a crash only once the
// folder that holds it has reached the disk (rename(2), fsync(2)). Content that
// must exist at most once is linked instead of renamed, so that a second writer
// is refused by the kernel. Who writes much looks first how much room is left.
package durable
