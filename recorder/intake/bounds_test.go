package intake_test

import (
	"context"
	"crypto/hpke"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/backup"
	"kuule/recorder/intake"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// small are limits of which a test sets one.
func small(change func(*intake.Limits)) intake.Limits {
	l := intake.DefaultLimits()
	l.Free = func(string) (int64, error) { return 1 << 40, nil }
	change(&l)
	return l
}

// H5: what is brought to be taken in is bounded in files and bytes, of each and of
// all, and by what the disk has left; pieces come in order. What was kept stays until
// it is closed, and then nothing does.
func TestASpoolHoldsItsBounds(t *testing.T) {
	t.Parallel()
	type piece struct {
		file   int
		offset int64
		bytes  int
		err    error
	}
	for name, of := range map[string]struct {
		limits intake.Limits
		pieces []piece
	}{
		"files":  {small(func(l *intake.Limits) { l.Files = 2 }), []piece{{0, 0, 5, nil}, {1, 0, 5, nil}, {2, 0, 5, intake.ErrLong}, {1, 5, 5, nil}}},
		"a file": {small(func(l *intake.Limits) { l.File = 10 }), []piece{{0, 0, 10, nil}, {0, 10, 1, intake.ErrLong}, {1, 0, 11, intake.ErrLong}}},
		"all":    {small(func(l *intake.Limits) { l.Bytes = 10 }), []piece{{0, 0, 6, nil}, {1, 0, 4, nil}, {1, 4, 1, intake.ErrLong}, {0, 6, 1, intake.ErrLong}}},
		"the disk": {small(func(l *intake.Limits) {
			l.LeastFree, l.Free = 100, func(string) (int64, error) { return 110, nil }
		}), []piece{{0, 0, 10, nil}, {0, 10, 11, intake.ErrLong}}},
		"order": {small(func(*intake.Limits) {}), []piece{
			{1, 0, 1, intake.ErrOrder}, {-1, 0, 1, intake.ErrOrder}, {0, 1, 1, intake.ErrOrder}, {0, 0, 3, nil}, {0, 0, 1, intake.ErrOrder}, {0, 4, 1, intake.ErrOrder}, {0, 3, 1, nil},
		}},
	} {
		folder := t.TempDir()
		s := intake.NewSpool(folder, of.limits)
		for i, p := range of.pieces {
			if err := s.Put(p.file, p.offset, make([]byte, p.bytes)); !errors.Is(err, p.err) {
				t.Errorf("%s: piece %d: %v, want %v", name, i, err, p.err)
			}
		}
		must(t, s.Close())
		if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
			t.Errorf("%s: %d files are left, %v", name, len(left), err)
		}
	}
	if l := intake.DefaultLimits(); l.Files != 16 || l.File != backup.MaxFile || l.Bytes != 16<<30 || l.LeastFree <= 0 || l.Frames != 3<<20 || l.Kept != 4<<30 ||
		l.Lists != 256<<20 || l.Keys != 4096 || l.Tracks > journal.MaxTracks || l.Journals != 1024 {
		t.Errorf("what holds where nothing is said: %+v", l)
	}
}

// What a process that was killed left is removed, and nothing else.
func TestWhatAKilledTakingInLeftIsRemoved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := intake.NewSpool(folder, small(func(*intake.Limits) {}))
	must(t, s.Put(0, 0, []byte("sealed")))
	_, err := s.Keep()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, "state.json"), []byte("{}"), 0o600))
	must(t, intake.Sweep(folder)) // the process was killed: nobody closed
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 || left[0].Name() != "state.json" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// H5: what reading a back-up may hold is bounded: each bound at its limit, and one
// less than what was brought.
func TestWhatIsTakenInHoldsItsBounds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	chunks := s.said(0, 0)
	lists, bytes := int64(0), int64(0)
	for _, c := range chunks {
		for _, text := range c.Origins {
			hashes, err := journal.OriginHashes(text, c.Hearing, c.Group)
			must(t, err)
			lists += int64(len(text) + len(hashes))
		}
	}
	frames := 0
	_, err := s.read(s.evidence(), func(f intake.Frame) error {
		frames++
		bytes += int64(len(f.Sealed))
		return nil
	}, chunks...)
	must(t, err)
	for name, of := range map[string]struct {
		limit int64
		set   func(*intake.Limits, int64)
	}{
		"keys":     {2, func(l *intake.Limits, n int64) { l.Keys = int(n) }},
		"tracks":   {2, func(l *intake.Limits, n int64) { l.Tracks = int(n) }},
		"lists":    {lists, func(l *intake.Limits, n int64) { l.Lists = n }},
		"frames":   {int64(frames), func(l *intake.Limits, n int64) { l.Frames = int(n) }},
		"bytes":    {bytes, func(l *intake.Limits, n int64) { l.Kept = n }},
		"journals": {1, func(l *intake.Limits, n int64) { l.Journals = int(n) }},
	} {
		for _, less := range []int64{0, 1} {
			e := s.evidence()
			of.set(&e.Limits, of.limit-less)
			spool := intake.NewSpool(t.TempDir(), e.Limits)
			kept, err := spool.Keep()
			must(t, err)
			report, err := s.read(e, kept.Take, chunks...)
			if err == nil {
				_, _, err = e.Write(t.Context(), s.into(t), report, kept)
			}
			if less == 0 && err != nil || less == 1 && !errors.Is(err, intake.ErrLong) {
				t.Errorf("%s, %d less than the limit: %v", name, less, err)
			}
			must(t, spool.Close())
		}
	}
}

// into is somewhere to take in.
func (s *scene) into(t testing.TB) intake.Into {
	t.Helper()
	m, root := s.w.Taker(), t.TempDir()
	return intake.Into{
		Grant: "x.y.z", Member: m.Member(), Statement: m.Statement, Admission: m.Admission, Signer: m.Signer(), Keys: &journaltest.Wrapper{},
		Disk: func(r interview.RecordingID) (journal.Disk, error) {
			return journal.Directory(filepath.Join(root, r.String()))
		},
		Now: func() time.Time { return s.w.Now },
	}
}

// A taking in whose time is over ends while it reads.
func TestATakingInEndsWithItsTime(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	big := &stream{chunk: s.chunk(s.roster), to: s.to, chunks: 1 << 30}
	opened := 0
	_, err := s.evidence().Read(ctx, func() (io.ReadCloser, error) {
		opened++
		big.each = func(n int64) {
			if n == 5 {
				cancel()
			}
		}
		return io.NopCloser(big), nil
	}, s.own, s.trust, func(intake.Frame) error { return nil })
	if !errors.Is(err, context.Canceled) || opened != 1 || big.n > 8 {
		t.Errorf("%d times opened, %d chunks made: %v", opened, big.n, err)
	}
}

// stream is a back-up that is made as it is read.
type stream struct {
	chunk  *backup.Chunk
	to     hpke.PublicKey
	chunks int64
	next   func(c *backup.Chunk) // before a chunk is sealed
	each   func(n int64)

	n    int64
	rest []byte
}

func (x *stream) Read(b []byte) (int, error) {
	if len(x.rest) == 0 {
		if x.n == x.chunks {
			return 0, io.EOF
		}
		if x.n == 0 {
			x.rest = backup.Magic()
		}
		if x.next != nil {
			x.next(x.chunk)
		}
		sealed, err := x.chunk.Seal(x.to, x.n)
		if err != nil {
			return 0, err
		}
		x.rest = append(x.rest, sealed...)
		if x.n++; x.each != nil {
			x.each(x.n)
		}
	}
	n := copy(b, x.rest)
	x.rest = x.rest[n:]
	return n, nil
}

// H5: a back-up of any length is taken in with the same memory. It is made as it is
// read, here of 22 MB, and never lies in memory; neither does what counts of it.
func TestALongBackupTakesLittleMemory(t *testing.T) { // not parallel: memory is counted
	s := newScene(t)
	const chunks, frames, size = 32, 8, 64 << 10
	c := s.chunk(s.roster)
	camera := s.sender(c, 1, interview.SourceVideo)
	body := make([]byte, size)
	at := interview.Micros(2_000_000)
	fill := func(c *backup.Chunk) {
		c.Frames, c.Origins = nil, nil
		for range frames {
			at++
			add(c, camera.Seal(at, false, body))
		}
		c.Origins = append(c.Origins, camera.Origin())
	}
	// The file goes to the spool as a console brings it: piece by piece.
	folder := t.TempDir()
	spool := intake.NewSpool(folder, small(func(*intake.Limits) {}))
	defer func() { must(t, spool.Close()) }()
	src, offset, piece := &stream{chunk: c, to: s.to, chunks: chunks, next: fill}, int64(0), make([]byte, 512<<10)
	high := newMark()
	for {
		n, err := src.Read(piece)
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		must(t, spool.Put(0, offset, piece[:n]))
		offset += int64(n)
		if offset>>19%32 == 0 {
			high.look()
		}
	}
	kept, err := spool.Keep()
	must(t, err)
	e, took := s.evidence(), 0
	report, err := e.Read(t.Context(), func() (io.ReadCloser, error) { return spool.Open(0) }, s.own, s.trust, func(f intake.Frame) error {
		if took++; took%128 == 0 {
			high.look()
		}
		return kept.Take(f)
	})
	must(t, err)
	taken, _, err := e.Write(t.Context(), s.into(t), report, kept)
	must(t, err)
	high.look()
	if took != chunks*frames || taken.Kept != chunks*frames || offset < 20<<20 {
		t.Fatalf("%d frames were taken, %d bytes brought: %+v", took, offset, taken)
	}
	t.Logf("%d bytes brought took %d bytes of memory", offset, high.most)
	if high.most > 10<<20 {
		t.Errorf("%d bytes brought took %d bytes of memory", offset, high.most)
	}
	// A bound that is reached ends it there: what was kept stays below it.
	e = s.evidence()
	e.Limits.Kept = 1 << 20
	short := intake.NewSpool(t.TempDir(), e.Limits)
	defer func() { must(t, short.Close()) }()
	less, err := short.Keep()
	must(t, err)
	if _, err := e.Read(t.Context(), func() (io.ReadCloser, error) { return spool.Open(0) }, s.own, s.trust, less.Take); !errors.Is(err, intake.ErrLong) {
		t.Errorf("more than the bound: %v", err)
	}
	if n := less.Len(); n == 0 || n*size > 1<<20 {
		t.Errorf("%d frames kept", n)
	}
}

// mark is the most memory in use beyond what was there at first.
type mark struct{ base, most int64 }

func newMark() *mark {
	m := &mark{}
	m.look()
	m.base, m.most = m.most, 0
	return m
}

func (m *mark) look() {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	m.most = max(m.most, int64(s.HeapAlloc)-m.base)
}
