package journal_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// many writes a journal of several files and gives where its blocks end.
func many(t testing.TB) (path string, w *journaltest.World, ends []interview.Micros) {
	t.Helper()
	w = journaltest.New(t)
	path = t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	cfg := w.Config(disk)
	cfg.RotateAt = 6 << 10
	var now atomic.Int64 // the writer looks at its clock whenever it likes
	cfg.Clock = func() interview.Micros { return interview.Micros(now.Load()) }
	cfg.Interval = 1 << 40
	j, err := journal.Create(cfg)
	must(t, err)
	m, track := w.Member(interview.RoleApplicant).Member(), interview.NewTrackID()
	for n := range uint64(20) {
		must(t, j.Append(w.Numbered(m, track, n)))
		now.Add(500_000)
		j.Flush()
		untilSeq(t, j, int64(n)+1)
		ends = append(ends, interview.Micros(now.Load()))
	}
	must(t, j.Close("ended"))
	return path, w, ends
}

func untilSeq(t testing.TB, j *journal.Writer, seq int64) {
	t.Helper()
	for j.Durable().Seq < seq {
		if err := j.Durable().Err; err != nil {
			t.Fatal(err)
		}
	}
}

// The index lies beside every complete file; lost, torn, changed or of another
// file, it is made again from the journal and says the same.
func TestIndexFileIsMadeAgainWhateverHappensToIt(t *testing.T) {
	t.Parallel()
	path, w, ends := many(t)
	names, err := filepath.Glob(path + "/*.kx")
	must(t, err)
	files, err := filepath.Glob(path + "/*.kj")
	must(t, err)
	if len(names) != len(files) || len(files) < 3 {
		t.Fatalf("%d indexes of %d files", len(names), len(files))
	}
	first, err := os.ReadFile(names[0])
	must(t, err)
	second, err := os.ReadFile(names[1])
	must(t, err)
	same := func(t *testing.T) {
		t.Helper()
		x, err := journal.OpenIndex(path)
		must(t, err)
		defer x.Close()
		if x.Len() != len(ends)+2 {
			t.Fatalf("%d blocks, want %d", x.Len(), len(ends)+2)
		}
		for n, end := range ends {
			seq := x.Find(end)
			b, err := x.Block(seq)
			must(t, err)
			if seq != int64(n)+1 || b.Head.To != end {
				t.Fatalf("at %d: block %d to %d, want %d", end, seq, b.Head.To, n+1)
			}
			if _, _, err := b.Open(w.Key); err != nil {
				t.Fatal(err)
			}
		}
		again, err := os.ReadFile(names[0])
		must(t, err)
		if string(again) != string(first) {
			t.Fatal("the index that was made again differs")
		}
	}
	same(t)
	flipped := append([]byte(nil), first...)
	flipped[20] ^= 1
	for name, change := range map[string]func() error{
		"lost":            func() error { return os.Remove(names[0]) },
		"torn":            func() error { return os.WriteFile(names[0], first[:len(first)-7], 0o600) },
		"empty":           func() error { return os.WriteFile(names[0], nil, 0o600) },
		"one bit flipped": func() error { return os.WriteFile(names[0], flipped, 0o600) },
		"of another file": func() error { return os.WriteFile(names[0], second, 0o600) },
	} {
		must(t, change())
		t.Run(name, same)
	}
}

func FuzzIndexFile(f *testing.F) {
	path, _, _ := many(f)
	names, err := filepath.Glob(path + "/*.kx")
	must(f, err)
	for _, n := range names {
		b, err := os.ReadFile(n)
		must(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		must(t, os.WriteFile(names[0], b, 0o600))
		x, err := journal.OpenIndex(path)
		must(t, err)
		defer x.Close()
		if x.Len() != 22 {
			t.Fatalf("%d blocks", x.Len())
		}
	})
}
