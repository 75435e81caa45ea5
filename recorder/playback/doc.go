// Package playback is the reading side of the recorder: given one recording's
// unwrapped data key, it opens the journal block by block, opens the frames
// with the sender keys inside, and lays them on the hearing's timeline by the
// capture time that each sender sealed into its frames.
//
// It runs in a process of its own, started for one approved viewing or export,
// and holds decrypted media in memory only. Export writes WebM: a track per
// seat and source, timestamps that never go back, silence where an audio track
// has a gap (the view only: a gap stays marked in the journal and the report).
package playback
