package recorder_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kuule/internal/blob"
	"kuule/internal/canon"
	"kuule/interview"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/journaltest"
)

// shelf is a store that can be away, or give back something else.
type shelf struct {
	*blob.Folder
	mu    sync.Mutex
	away  error
	spoil bool
}

func (s *shelf) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shelf) Put(ctx context.Context, name string, r io.Reader) error {
	s.mu.Lock()
	err := s.away
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Folder.Put(ctx, name, r)
}

func (s *shelf) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	s.mu.Lock()
	spoil := s.spoil
	s.mu.Unlock()
	r, err := s.Folder.Get(ctx, name, offset, length)
	if err == nil && spoil {
		return io.NopCloser(io.MultiReader(strings.NewReader("x"), io.LimitReader(r, 0))), r.Close()
	}
	return r, err
}

// L1, H3: what is complete is copied, read back and written down, and only
// then; a store that is away or gives back something else leaves no record.
func TestCompleteFilesAreCopiedAndReadBack(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	folder, err := blob.OpenFolder(t.TempDir())
	must(t, err)
	s := &shelf{Folder: folder, away: blob.ErrNotFound}
	r, j, _, disk := open(t, w, func(c *recorder.Config) { c.Archive = s })
	room := j.last()
	sender := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	room.give(t, sender)
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	room.send(sender.Seal(1, false, []byte("said")))
	must(t, r.End(context.Background(), w.Hearing))
	records := func() []string {
		n, err := filepath.Glob(filepath.Join(disk, "*", "*", "*.archived"))
		must(t, err)
		return n
	}
	r.Close()
	if n := records(); len(n) != 0 {
		t.Fatalf("records %v while the store was away", n)
	}
	again := func() {
		t.Helper()
		next, err := recorder.New(recorder.Config{Folder: disk, Joiner: j, Keys: &journaltest.Wrapper{}, Archive: s})
		must(t, err)
		t.Cleanup(next.Close)
	}
	s.set(func() { s.away, s.spoil = nil, true })
	next, err := recorder.New(recorder.Config{Folder: disk, Joiner: j, Keys: &journaltest.Wrapper{}, Archive: s})
	must(t, err)
	files, err := r.Files(w.Hearing)
	must(t, err)
	name := w.Hearing.String() + "/" + files[0].Recording.String() + "/" + files[0].Name
	until(t, "it was copied", func() bool { _, err := folder.Stat(context.Background(), name); return err == nil })
	next.Close()
	if n := records(); len(n) != 0 {
		t.Fatalf("records %v of a copy that reads as something else", n)
	}
	s.set(func() { s.spoil = false })
	again()
	until(t, "it is written down", func() bool { return len(records()) == 1 })
	text, err := os.ReadFile(records()[0])
	must(t, err)
	var a recorder.Archived
	must(t, canon.Unmarshal(text, &a))
	own, err := os.ReadFile(filepath.Join(disk, w.Hearing.String(), files[0].Recording.String(), files[0].Name))
	must(t, err)
	back, err := folder.Get(context.Background(), a.Name, 0, -1)
	must(t, err)
	defer back.Close()
	copied, err := io.ReadAll(back)
	must(t, err)
	if a.Name != name || a.Size != int64(len(own)) || string(copied) != string(own) {
		t.Fatalf("record %+v", a)
	}
	if _, err := folder.Stat(context.Background(), strings.Replace(name, "000001", "000002", 1)); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("more was copied than there is: %v", err)
	}
}
