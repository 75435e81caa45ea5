// Package recorder is a visible member of the room: it opens every frame to
// prove that it can, keeps it as its sender sealed it, and says twice a second,
// signed, what is durable. A hearing's phase follows that word, not the other
// way round.
//
// It is told to open a hearing and joins by itself, again and again, until it
// is told that the hearing ended: each life is a new member with a new
// recording, data key and journal, and names where the former one stopped and
// why, so that a crash leaves a marked gap and never a silent one. Which
// hearings are open is on disk; a restarted process goes on without being told.
//
// Nothing decrypted touches the disk, and of its own journals it can open none
// once their life is over: the data key was wrapped, and it may not unwrap.
// The parts below: journal (the format), evidence (bundles), playback (reading).
package recorder
