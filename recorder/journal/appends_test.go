package journal_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// counting is a disk that counts what it is asked for.
type counting struct {
	journal.Disk
	writes, syncs atomic.Int64
}

func (d *counting) Create(name string) (journal.File, error) {
	f, err := d.Disk.Create(name)
	if err != nil || !strings.HasSuffix(name, ".kj") {
		return f, err
	}
	return countedFile{f, d}, nil
}

type countedFile struct {
	journal.File
	d *counting
}

func (f countedFile) Write(b []byte) (int, error) {
	f.d.writes.Add(1)
	return f.File.Write(b)
}

func (f countedFile) Sync() error {
	f.d.syncs.Add(1)
	return f.File.Sync()
}

// N5: a block is one append and one fsync for all tracks of the hearing together,
// however many frames of however many tracks it holds.
func TestABlockIsOneAppendAndOneSync(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, under := folder(t)
	disk := &counting{Disk: under}
	cfg := w.Config(disk)
	cfg.Interval = time.Hour
	j, err := journal.Create(cfg)
	must(t, err)
	const blocks, tracks, each = 5, 8, 25
	var of [tracks]interview.TrackID
	for i := range of {
		of[i] = interview.NewTrackID()
	}
	m, n := interview.NewMemberID(), uint64(0)
	for b := range int64(blocks) {
		for range each {
			for _, track := range of {
				must(t, j.Append(w.Numbered(m, track, n)))
				n++
			}
		}
		j.Flush()
		until(t, "the block is durable", func() bool { return j.Durable().Frames == (b+1)*tracks*each })
	}
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	if len(c.frames) != blocks*tracks*each {
		t.Fatalf("%d frames", len(c.frames))
	}
	if got := int64(len(c.blocks)); disk.writes.Load() != got || disk.syncs.Load() != got || got != blocks+2 { // the first and the last
		t.Errorf("%d blocks, %d appends, %d syncs", got, disk.writes.Load(), disk.syncs.Load())
	}
}
