package recorder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder"
	"kuule/recorder/journaltest"
)

// nowhere is a recorder's way into no room at all.
type nowhere struct{}

func (nowhere) Join(ctx context.Context, _ recorder.Hearing, _ recorder.Events) (recorder.Room, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// H5: recordings that were made apart become a hearing's own once it has ended:
// listed, told of, erased with its case, and not before; nor another case's.
func TestRecordingsMadeApartAreAdopted(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	folder := t.TempDir()
	rec, err := recorder.New(recorder.Config{Folder: folder, Joiner: nowhere{}, Keys: &journaltest.Wrapper{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rec.Close)
	h := recorder.Hearing{Case: w.Case, Hearing: w.Hearing}
	apart := func() interview.RecordingID {
		t.Helper()
		file, next := w.Life(t, w.Recorder, nil, 0, 500_000)
		to := filepath.Join(folder, w.Hearing.String(), next.Recording.String())
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(filepath.Dir(file))); err != nil {
			t.Fatal(err)
		}
		return next.Recording
	}
	if err := rec.Open(h); err != nil {
		t.Fatal(err)
	}
	first := apart()
	if err := rec.Adopt(h, "said", first); !errors.Is(err, recorder.ErrStillRecording) {
		t.Fatalf("while it is recorded: %v", err)
	}
	if _, err := rec.Holds(w.Hearing); !errors.Is(err, recorder.ErrStillRecording) {
		t.Fatalf("what an open hearing has: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := rec.End(ctx, w.Hearing); err != nil {
		t.Fatal(err)
	}
	if err := rec.Adopt(recorder.Hearing{Case: interview.NewCaseID(), Hearing: w.Hearing}, "said", first); err == nil {
		t.Error("for another case")
	}
	if err := rec.Adopt(h, "said"); err == nil {
		t.Error("without a recording")
	}
	if said, err := rec.Takings(w.Hearing); err != nil || len(said) != 0 {
		t.Fatalf("said before: %v, %v", said, err)
	}
	second := apart()
	if err := errors.Join(rec.Adopt(h, "said first", first), rec.Adopt(h, "said second", second)); err != nil {
		t.Fatal(err)
	}
	said, err := rec.Takings(w.Hearing)
	if err != nil || !slices.Equal(said, []string{"said first", "said second"}) {
		t.Fatalf("said: %v, %v", said, err)
	}
	files, err := rec.Files(w.Hearing)
	if err != nil || len(files) != 2 || files[0].Recording != first || files[1].Recording != second {
		t.Fatalf("files: %+v, %v", files, err)
	}
	held, err := rec.Holds(w.Hearing)
	if err != nil || len(held) != 2 || held[0].Recording != first || held[0].Head == "" {
		t.Fatalf("holds: %+v, %v", held, err)
	}
	// One that was not adopted is removed without a trace.
	third := apart()
	if err := rec.Discard(w.Hearing, third); err != nil {
		t.Fatal(err)
	}
	if remains, err := rec.EraseCase(t.Context(), w.Case); err != nil || remains.Deleted != 2 || remains.Left != 0 {
		t.Fatalf("erased: %+v, %v", remains, err)
	}
	if said, err := rec.Takings(w.Hearing); err != nil || len(said) != 0 {
		t.Errorf("said of what was erased: %v, %v", said, err)
	}
	// Of a hearing of which nothing is here it begins with them; of one that nobody
	// knows there is nothing.
	if held, err := rec.Holds(interview.NewHearingID()); err != nil || len(held) != 0 {
		t.Errorf("an unknown hearing: %v, %v", held, err)
	}
}
