package recorder_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kuule/recorder"
	"kuule/recorder/journaltest"
)

// A recording that another process is still writing is nobody else's to go on
// with: a second recorder on the same folder says so and touches nothing. Once
// the first has ended, however, the second goes on, and nothing is missing of
// what was durable.
func TestAFolderIsOneProcessAtATime(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	folder := t.TempDir()
	writing := record(t, w, folder, time.Now())
	journalFiles := func() (names []string, size int64) {
		names, err := filepath.Glob(filepath.Join(folder, "*", "*", "*.kj"))
		must(t, err)
		for _, n := range names {
			if st, err := os.Stat(n); err == nil {
				size += st.Size()
			}
		}
		return names, size
	}
	until(t, "it writes", func() bool { _, size := journalFiles(); return size > 8_000 })
	for range 5 {
		_, before := journalFiles()
		r, err := recorder.New(recorder.Config{Folder: folder, Joiner: &rooms{w: w}, Keys: &journaltest.Wrapper{}})
		if err == nil {
			r.Close()
		}
		if !errors.Is(err, recorder.ErrFolderInUse) {
			t.Fatalf("a second process: %v", err)
		}
		names, after := journalFiles()
		if len(names) != 1 || after < before {
			t.Fatalf("%d files, %d bytes before and %d after", len(names), before, after)
		}
	}
	_, held := journalFiles()
	until(t, "the first goes on undisturbed", func() bool { _, size := journalFiles(); return size > held+4_000 })
	writing.kill(t)
	r, err := recorder.New(recorder.Config{Folder: folder, Joiner: &rooms{w: w}, Keys: &journaltest.Wrapper{}})
	must(t, err)
	r.Close()
	if lives := livesIn(t, folder, w.Hearing); len(lives) == 0 || lives[0].frames < 50 {
		t.Fatalf("lives %+v", lives)
	}
}
