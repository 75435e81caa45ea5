package intake

import (
	"kuule/internal/durable"
	"kuule/interview/backup"
)

// Bounds of one taking in. They hold for a hearing of four hours that no recorder
// has and two terminals kept; whoever brings more is told which bound it was.
const (
	MaxFiles  = 16             // back-ups
	MaxFile   = backup.MaxFile // bytes of one
	MaxBytes  = 16 << 30       // of all back-ups together
	LeastFree = 2 << 30        // bytes that stay free on the disk, for recordings
	MaxFrames = 3 << 20        // frames that count
	MaxKept   = 4 << 30        // bytes of them
	MaxLists  = 256 << 20      // bytes of their senders' signed lists, in memory
	MaxKeys   = 4096           // sender keys
	MaxTracks = 512            // of all members

	// MaxJournals is what one taking in may become: one for each span and member.
	MaxJournals = 1024
)

// Limits are these bounds, which a test can lower.
type Limits struct {
	Files                  int
	File, Bytes, LeastFree int64
	Frames                 int
	Kept, Lists            int64
	Keys, Tracks, Journals int
	Free                   func(folder string) (int64, error) // bytes that a disk has left
}

// DefaultLimits are the bounds.
func DefaultLimits() Limits {
	return Limits{
		Files: MaxFiles, File: MaxFile, Bytes: MaxBytes, LeastFree: LeastFree,
		Frames: MaxFrames, Kept: MaxKept, Lists: MaxLists, Keys: MaxKeys, Tracks: MaxTracks, Journals: MaxJournals, Free: durable.Free,
	}
}
