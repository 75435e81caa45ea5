package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kuule/internal/blob"
	"kuule/internal/canon"
	"kuule/interview"
)

// Remains is what is left of an erased case at one recorder.
type Remains struct {
	Deleted int       `json:"deleted"` // files, copies in the archive among them
	Left    int       `json:"left"`    // copies that the archive still keeps
	Until   time.Time `json:"until"`   // when the last of them may go; zero: none is left
}

// KeepCase locks the archived files of a case until a time, and holds them or
// lifts the hold. A lock is extended, never shortened. Where the archive is not
// write-once there is nothing to do.
func (r *Recorder) KeepCase(ctx context.Context, c interview.CaseID, until time.Time, held bool) error {
	if r.cfg.Archive == nil || !r.cfg.Archive.WriteOnce() {
		return nil
	}
	return r.eachArchived(c, func(name, _ string) error {
		info, err := r.cfg.Archive.Stat(ctx, name)
		if err != nil {
			return err
		}
		if info.Until.Before(until.Truncate(time.Second)) {
			err = r.cfg.Archive.Extend(ctx, name, until)
		}
		if info.Held != held {
			err = errors.Join(err, r.cfg.Archive.Hold(ctx, name, held))
		}
		return err
	})
}

// EraseCase removes the files of a case whose keys were destroyed: its journals
// here, and their copies in the archive as far as that lets them go. It can be
// repeated, and finds what a back-up brought back.
func (r *Recorder) EraseCase(ctx context.Context, c interview.CaseID) (Remains, error) {
	states, err := r.states()
	if err != nil {
		return Remains{}, err
	}
	var out Remains
	for _, s := range states {
		if s.Hearing.Case != c {
			continue
		}
		h := s.Hearing.Hearing
		if !r.writing(h).IsZero() {
			return out, fmt.Errorf("files of %s: %w", h, ErrStillRecording)
		}
		for _, rec := range s.Recordings {
			if err := r.eraseRecording(ctx, h, rec, &out); err != nil {
				return out, fmt.Errorf("files of %s: %w", h, err)
			}
		}
	}
	return out, nil
}

// eraseRecording removes the journal first, so that none of it is copied again.
func (r *Recorder) eraseRecording(ctx context.Context, h interview.HearingID, rec interview.RecordingID, out *Remains) error {
	folder := r.journalFolder(h, rec)
	all, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	copies := map[string]string{} // in the archive, and the record of each
	for _, e := range all {
		name, archived := strings.CutSuffix(e.Name(), archivedName)
		if fileName.MatchString(name) {
			copies[fmt.Sprintf("%s/%s/%s", h, rec, name)] = filepath.Join(folder, name+archivedName)
		}
		if archived && r.cfg.Archive != nil {
			continue
		}
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
			return err
		}
		if fileName.MatchString(name) {
			out.Deleted++
		}
	}
	if r.cfg.Archive == nil {
		clear(copies)
	}
	left := 0
	for name, record := range copies {
		info, err := r.cfg.Archive.Stat(ctx, name)
		there := err == nil
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
		// Nothing is held of what opens for nobody: no erasure passes a hold on its
		// case, so that this one was lifted and only the file had not been told.
		if there && info.Held {
			if err := r.cfg.Archive.Hold(ctx, name, false); err != nil {
				return err
			}
		}
		switch err := r.cfg.Archive.Delete(ctx, name); {
		case errors.Is(err, blob.ErrLocked):
			left++
			if info.Until.After(out.Until) {
				out.Until = info.Until
			}
			continue
		case err != nil:
			return err
		case there:
			out.Deleted++
		}
		if err := os.Remove(record); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if out.Left += left; left > 0 {
		return nil
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// eachArchived calls fn with the name of every archived file of a case, and
// with the record that says so.
func (r *Recorder) eachArchived(c interview.CaseID, fn func(name, record string) error) error {
	states, err := r.states()
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Hearing.Case != c {
			continue
		}
		records, err := filepath.Glob(filepath.Join(r.folder(s.Hearing.Hearing), "*", "*"+archivedName))
		if err != nil {
			return err
		}
		for _, path := range records {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var a Archived
			if err := canon.Unmarshal(text, &a); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if err := fn(a.Name, path); err != nil {
				return fmt.Errorf("%s: %w", a.Name, err)
			}
		}
	}
	return nil
}
