package recorder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kuule/internal/blob"
	"kuule/interview"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/journaltest"
)

// vaulted is a folder that says of itself that it is write-once.
type vaulted struct{ *blob.Folder }

func (vaulted) WriteOnce() bool { return true }

// archived records a second of a hearing and waits until it is in the archive.
func archived(t *testing.T, archive func(*blob.Folder) recorder.Archive) (r *recorder.Recorder, w *journaltest.World, c interview.CaseID, store *blob.Folder, disk, name string) {
	t.Helper()
	w = journaltest.New(t)
	store, err := blob.OpenFolder(t.TempDir())
	must(t, err)
	r, j, _, disk := open(t, w, func(c *recorder.Config) { c.Archive = archive(store) })
	room := j.last()
	sender := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	room.give(t, sender)
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	room.send(sender.Seal(1, false, []byte("said")))
	must(t, r.End(context.Background(), w.Hearing))
	files, err := r.Files(w.Hearing)
	must(t, err)
	name = w.Hearing.String() + "/" + files[0].Recording.String() + "/" + files[0].Name
	until(t, "it was copied", func() bool {
		records, err := filepath.Glob(filepath.Join(disk, "*", "*", "*.archived"))
		return err == nil && len(records) == 1
	})
	return r, w, w.Case, store, disk, name
}

func journals(t *testing.T, disk string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(disk, "*", "*", "*"))
	must(t, err)
	return found
}

// L4: once the keys are gone the files go too, here and in the archive; another
// case's stay, and a back-up that brings them back does not keep them.
func TestFilesOfAnErasedCaseGo(t *testing.T) {
	r, _, c, store, disk, name := archived(t, func(f *blob.Folder) recorder.Archive { return f })
	if left, err := r.EraseCase(t.Context(), interview.NewCaseID()); err != nil || left != (recorder.Remains{}) {
		t.Fatalf("another case: %+v %v", left, err)
	}
	kept := journals(t, disk)
	if len(kept) < 2 {
		t.Fatalf("files: %v", kept)
	}
	backup := map[string][]byte{}
	for _, path := range kept {
		b, err := os.ReadFile(path)
		must(t, err)
		backup[path] = b
	}
	left, err := r.EraseCase(t.Context(), c)
	must(t, err)
	if left.Deleted != 2 || left.Left != 0 || !left.Until.IsZero() {
		t.Errorf("left: %+v", left)
	}
	if found := journals(t, disk); len(found) > 0 {
		t.Errorf("files are left: %v", found)
	}
	if _, err := store.Stat(t.Context(), name); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the copy is left: %v", err)
	}
	for path, b := range backup {
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, b, 0o600))
	}
	if left, err = r.EraseCase(t.Context(), c); err != nil || left.Deleted != 1 {
		t.Errorf("after a restore: %+v %v", left, err)
	}
	if found := journals(t, disk); len(found) > 0 {
		t.Errorf("a back-up brought back %v", found)
	}
}

// L5: a lock moves with the case's clock, only later; a hold lies on every copy.
// What is locked stays until its time and goes with the next look.
func TestLocksOfAnArchiveFollowTheClock(t *testing.T) {
	r, _, c, store, disk, name := archived(t, func(f *blob.Folder) recorder.Archive { return vaulted{f} })
	now := time.Now().Truncate(time.Second)
	lock := func() blob.Info {
		info, err := store.Stat(t.Context(), name)
		must(t, err)
		return info
	}
	must(t, r.KeepCase(t.Context(), c, now.Add(time.Hour), false))
	if got := lock(); !got.Until.Equal(now.Add(time.Hour)) || got.Held {
		t.Fatalf("lock: %+v", got)
	}
	must(t, r.KeepCase(t.Context(), c, now.Add(time.Minute), true))
	if got := lock(); !got.Until.Equal(now.Add(time.Hour)) || !got.Held {
		t.Fatalf("shortened, or not held: %+v", got)
	}
	must(t, r.KeepCase(t.Context(), c, now.Add(2*time.Hour), false))
	if got := lock(); !got.Until.Equal(now.Add(2*time.Hour)) || got.Held {
		t.Fatalf("lock: %+v", got)
	}
	must(t, r.KeepCase(t.Context(), interview.NewCaseID(), now.Add(9*time.Hour), true))
	must(t, r.KeepCase(t.Context(), c, now.Add(2*time.Hour), true)) // lifted since, and the file was not told
	if got := lock(); !got.Until.Equal(now.Add(2*time.Hour)) || !got.Held {
		t.Fatalf("another case's clock moved it: %+v", got)
	}
	left, err := r.EraseCase(t.Context(), c)
	must(t, err)
	if left.Deleted != 1 || left.Left != 1 || !left.Until.Equal(now.Add(2*time.Hour)) {
		t.Errorf("left: %+v", left)
	}
	if got := lock(); got.Held {
		t.Errorf("a hold lies on what nobody can open: %+v", got)
	}
	// The journal is gone; what names the copy stays, so that the copy is found when its time comes.
	if found := journals(t, disk); len(found) != 1 {
		t.Errorf("files: %v", found)
	}
	if left, err = r.EraseCase(t.Context(), c); err != nil || left.Deleted != 0 || left.Left != 1 {
		t.Errorf("again: %+v %v", left, err)
	}
}

// What is being recorded is not erased.
func TestARecordingIsNotErasedWhileItRuns(t *testing.T) {
	w := journaltest.New(t)
	r, j, _, _ := open(t, w)
	room := j.last()
	room.give(t, w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio))
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	if _, err := r.EraseCase(t.Context(), w.Case); !errors.Is(err, recorder.ErrStillRecording) {
		t.Errorf("got %v", err)
	}
	must(t, r.End(context.Background(), w.Hearing))
}
