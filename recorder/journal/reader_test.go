package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// small makes a closed journal of a few blocks in two files.
func small(t testing.TB, w *journaltest.World) (files [][]byte, heads []journal.Position) {
	t.Helper()
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	cfg := w.Config(disk)
	cfg.Interval, cfg.RotateAt = time.Hour, 6<<10
	j, err := journal.Create(cfg)
	must(t, err)
	chair := w.Member(interview.RoleInterviewer)
	s := w.Sender(chair, 1, 0, 0, interview.SourceAudio)
	roster, err := journal.NewSigned(journal.EntryRoster, 1, w.Roster(chair, 1, chair, w.Recorder))
	must(t, err)
	must(t, j.AddEntry(roster))
	for b := range 4 {
		for i := range 3 {
			must(t, j.Append(s.Seal(interview.Micros(b*3+i)*20_000, false, bytes.Repeat([]byte{byte(i)}, 40))))
		}
		seq := j.Durable().Seq
		j.Flush()
		for end := time.Now().Add(30 * time.Second); j.Durable().Seq == seq; {
			if time.Now().After(end) {
				t.Fatal("no block was written")
			}
			time.Sleep(time.Millisecond)
		}
	}
	must(t, j.Close("ended"))
	names, err := filepath.Glob(path + "/*.kj")
	must(t, err)
	var readers []io.ReaderAt
	for _, n := range names {
		b, err := os.ReadFile(n)
		must(t, err)
		files = append(files, b)
		readers = append(readers, bytes.NewReader(b))
	}
	x, err := journal.NewIndex(readers...)
	must(t, err)
	for i := range x.Len() {
		p, _ := x.Position(int64(i))
		heads = append(heads, p)
	}
	return files, heads
}

// scan reads with blocks ahead and without, which has to come to the same, and by
// the chain alone, which has to find fault where the others do.
func scan(files [][]byte, key *journal.DataKey) error {
	err, ahead := scanAhead(files, key, 0), scanAhead(files, key, 3)
	if fmt.Sprint(err) != fmt.Sprint(ahead) {
		return fmt.Errorf("read ahead it says %w, else %w", ahead, err)
	}
	if chain := scanWith(files, key, func(r *journal.Reader) { r.ByChain(); r.Reuse(); r.ReadAhead(3) }); (chain == nil) != (err == nil) {
		return fmt.Errorf("by its chain it says %w, else %w", chain, err)
	}
	return err
}

func scanAhead(files [][]byte, key *journal.DataKey, blocks int) error {
	return scanWith(files, key, func(r *journal.Reader) { r.ReadAhead(blocks) })
}

func scanWith(files [][]byte, key *journal.DataKey, how func(*journal.Reader)) error {
	sources := make([]journal.Source, len(files))
	for i, f := range files {
		sources[i] = journal.Source{Name: journal.FileName(int64(i) + 1), Reader: bytes.NewReader(f)}
	}
	r := journal.NewReader(sources...)
	how(r)
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if key != nil {
			if _, _, err := b.Open(*key); err != nil {
				return err
			}
		}
	}
}

func place(t *testing.T, err error) *journal.PlaceError {
	t.Helper()
	var p *journal.PlaceError
	if !errors.As(err, &p) || strings.HasPrefix(err.Error(), "read ahead") || strings.HasPrefix(err.Error(), "by its chain") {
		t.Fatalf("no place is named: %v", err)
	}
	return p
}

// H3: every byte of a journal counts.
func TestEveryFlippedBitIsFoundAndItsBlockNamed(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	files, blocks := small(t, w)
	must(t, scan(files, &w.Key))
	for n, f := range files {
		step := 3
		if testing.Short() {
			step = 11
		}
		for i := 0; i < len(f); i += step {
			f[i] ^= 1 << (i % 8)
			err := scan(files, nil)
			f[i] ^= 1 << (i % 8)
			if err == nil {
				t.Fatalf("file %d: bit of byte %d was flipped unseen", n, i)
			}
			p := place(t, err)
			at := int64(0)
			for _, b := range blocks {
				if b.File == n && b.Offset <= int64(i) {
					at = b.Offset
				}
			}
			// A changed last base64 digit may leave the signature as it is: then the
			// next block tells, since the chain is over the bytes.
			if p.File != journal.FileName(int64(n)+1) || p.Offset != at {
				if !errors.Is(err, journal.ErrChain) {
					t.Fatalf("byte %d of file %d: named %s at %d, want %d: %v", i, n, p.File, p.Offset, at, err)
				}
			}
		}
	}
}

func TestDeletedSwappedRepeatedAndTruncatedBlocksAreNamed(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	files, blocks := small(t, w)
	cut := func(f int, p journal.Position) [][]byte {
		out := append([][]byte(nil), files...)
		out[f] = append(append([]byte(nil), files[f][:p.Offset]...), files[f][p.Offset+p.Size:]...)
		return out
	}
	block := func(p journal.Position) []byte { return files[p.File][p.Offset : p.Offset+p.Size] }
	var inFirst []journal.Position
	for _, b := range blocks {
		if b.File == 0 {
			inFirst = append(inFirst, b)
		}
	}
	if len(files) < 2 || len(inFirst) < 3 {
		t.Fatalf("%d files, %d blocks in the first: the test needs more", len(files), len(inFirst))
	}
	swapped := append([][]byte(nil), files...)
	a, b := inFirst[1], inFirst[2]
	swapped[0] = append(append(append(append([]byte(nil), files[0][:a.Offset]...), block(b)...), block(a)...), files[0][b.Offset+b.Size:]...)
	repeated := append([][]byte(nil), files...)
	repeated[0] = append(append([]byte(nil), files[0]...), block(inFirst[len(inFirst)-1])...)
	other, _ := small(t, journaltest.New(t))
	foreign := append([][]byte{files[0]}, other[1:]...)
	truncated := append([][]byte(nil), files...)
	truncated[len(files)-1] = files[len(files)-1][:len(files[len(files)-1])-5]

	for name, c := range map[string]struct {
		files [][]byte
		want  error
		seq   int64
	}{
		"deleted":       {cut(0, inFirst[1]), journal.ErrChain, 1},
		"first deleted": {cut(0, inFirst[0]), journal.ErrMalformed, 0},
		"swapped":       {swapped, journal.ErrChain, 1},
		"repeated":      {repeated, journal.ErrChain, int64(len(inFirst))},
		"file deleted":  {files[1:], journal.ErrMalformed, 0},
		"file swapped":  {append([][]byte{files[1], files[0]}, files[2:]...), journal.ErrMalformed, 0},
		"foreign file":  {foreign, nil, int64(len(inFirst))},
		"truncated":     {truncated, journal.ErrTruncated, int64(len(blocks) - 1)},
		"empty":         {nil, journal.ErrTruncated, 0},
	} {
		t.Run(name, func(t *testing.T) {
			err := scan(c.files, nil)
			p := place(t, err)
			if p.Seq != c.seq || (c.want != nil && !errors.Is(err, c.want)) {
				t.Fatalf("%v, want block %d and %v", err, c.seq, c.want)
			}
		})
	}
}

func TestWrongDataKeyOpensNothing(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	files, _ := small(t, w)
	other, err := journal.NewDataKey()
	must(t, err)
	must(t, scan(files, nil)) // the chain needs no key
	if err := scan(files, &other); !errors.Is(err, journal.ErrDataKey) {
		t.Fatalf("wrong key: %v", err)
	}
}

func TestIndexFindsBlocksByTime(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	files, blocks := small(t, w)
	var readers []io.ReaderAt
	for _, f := range files {
		readers = append(readers, bytes.NewReader(f))
	}
	x, err := journal.NewIndex(readers...)
	must(t, err)
	for _, want := range blocks[1:] {
		n := x.Find(want.To)
		if n != want.Seq {
			t.Fatalf("at %d: block %d, want %d", want.To, n, want.Seq)
		}
		b, err := x.Block(n)
		must(t, err)
		if _, _, err := b.Open(w.Key); err != nil || b.Head.Seq != want.Seq {
			t.Fatalf("block %d: %v", n, err)
		}
	}
	files[1][blocks[len(blocks)-1].Offset+100] ^= 1
	if _, err := x.Block(blocks[len(blocks)-1].Seq); err == nil {
		t.Fatal("a changed block was given out")
	}
}

func TestReaderGrowsWithWhatIsThereNotWithWhatIsSaid(t *testing.T) {
	lie := append([]byte("kuulejr2KJB1"), 0, 0, 0x0f, 0, 0, 0x70, 0, 0, 1, 0xff, 0, 0) // 31 MB that are not there
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := scan([][]byte{lie}, nil)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, journal.ErrTruncated) {
		t.Fatal(err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Fatalf("%d bytes were allocated for a file of %d", grown, len(lie))
	}
}

func FuzzReader(f *testing.F) {
	w := journaltest.New(f)
	files, _ := small(f, w)
	for _, b := range files {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = scan([][]byte{b}, &w.Key)
		if x, err := journal.NewIndex(bytes.NewReader(b)); err == nil && x.Len() > 0 {
			_, _ = x.Block(x.Find(0))
		}
	})
}
