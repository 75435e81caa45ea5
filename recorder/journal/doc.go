// Package journal keeps what one recorder hears: an append-only, hash-chained,
// signed file of blocks, written every 500 ms with one append and one fsync
// off the RTP goroutine (docs/recording-format.md is precise enough to write
// another reader from).
//
// A journal belongs to one recording: one life of one recorder in one hearing,
// with one data key and one signing key. Frames are kept exactly as their
// sender sealed them, inside a section sealed with the data key; rosters,
// statements, admissions, phases, anchors, gaps and the senders' signed origin
// lists stand beside it in clear, so that a chain can be verified without any
// key and origin lists survive the loss of one.
//
// Writing never blocks the caller: when the disk does not follow, the writer
// says behind, then failed, and what it had to drop becomes a marked gap.
// Reading is bounded, and every wrong byte is named by file, offset and block.
package journal
