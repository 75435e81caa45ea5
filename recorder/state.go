package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"kuule/internal/canon"
	"kuule/internal/durable"
	"kuule/interview"
	"kuule/recorder/journal"
)

// state is what a recorder remembers of a hearing over its own end.
type state struct {
	V          int                     `json:"v"` // 1
	Hearing    Hearing                 `json:"hearing"`
	Recordings []interview.RecordingID `json:"recordings"` // in the order of their beginning
	Ended      bool                    `json:"ended"`
}

const (
	stateName     = "state.json"
	maxRecordings = 10_000 // lives of one hearing
)

var fileName = regexp.MustCompile(`^[0-9]{6}\.kj$`)

func (r *Recorder) folder(h interview.HearingID) string {
	return filepath.Join(r.cfg.Folder, h.String())
}

func (r *Recorder) journalFolder(h interview.HearingID, rec interview.RecordingID) string {
	return filepath.Join(r.folder(h), rec.String())
}

func (r *Recorder) writeState(s state) error {
	text, err := canon.Marshal(s)
	if err != nil {
		return err
	}
	folder := r.folder(s.Hearing.Hearing)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := durable.SyncFolder(r.cfg.Folder); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(folder, stateName), text, 0o600)
}

func (r *Recorder) readState(h interview.HearingID) (state, error) {
	var s state
	text, err := os.ReadFile(filepath.Join(r.folder(h), stateName))
	if err != nil {
		return s, err
	}
	if err := canon.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("state of %s: %w", h, err)
	}
	if s.V != 1 || s.Hearing.Hearing != h || len(s.Recordings) > maxRecordings {
		return s, fmt.Errorf("state of %s: it is of another version or hearing", h)
	}
	return s, nil
}

// states reads all hearings that are on disk.
func (r *Recorder) states() ([]state, error) {
	all, err := os.ReadDir(r.cfg.Folder)
	if err != nil {
		return nil, err
	}
	var out []state
	for _, e := range all {
		h, err := interview.ParseHearingID(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		s, err := r.readState(h)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// after says where the last recording of a hearing stopped, cutting off a torn
// last write. A recording that cannot be read is named as such and left alone.
func (r *Recorder) after(s state, cause journal.Cause) (*journal.After, error) {
	for i := len(s.Recordings) - 1; i >= 0; i-- {
		t, err := journal.Recover(r.journalFolder(s.Hearing.Hearing, s.Recordings[i]))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it never had a durable block
		}
		if err != nil {
			return &journal.After{Recording: s.Recordings[i], Seq: -1, Cause: cause}, err
		}
		return t.After(cause), nil
	}
	return nil, nil
}

// File is one file of a journal.
type File struct {
	Recording interview.RecordingID `json:"recording"`
	Name      string                `json:"name"`
	Size      int64                 `json:"size"`
}

// ErrStillRecording says that a hearing has not ended, so that its journals
// are not whole yet.
var ErrStillRecording = errors.New("the hearing is still being recorded")

// Files lists the journals of a hearing that has ended, in order.
func (r *Recorder) Files(h interview.HearingID) ([]File, error) {
	s, err := r.readState(h)
	if err != nil {
		return nil, fmt.Errorf("journals of %s: %w", h, err)
	}
	if !s.Ended {
		return nil, fmt.Errorf("journals of %s: %w", h, ErrStillRecording)
	}
	var out []File
	for _, rec := range s.Recordings {
		all, err := os.ReadDir(r.journalFolder(h, rec))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if !fileName.MatchString(e.Name()) {
				continue
			}
			st, err := e.Info()
			if err != nil {
				return nil, err
			}
			out = append(out, File{rec, e.Name(), st.Size()})
		}
	}
	return out, nil
}

// ReadFile reads a part of a journal's file, at most len(b) bytes; at the end
// it gives io.EOF.
func (r *Recorder) ReadFile(h interview.HearingID, rec interview.RecordingID, name string, offset int64, b []byte) (int, error) {
	if !fileName.MatchString(name) || h.IsZero() || rec.IsZero() || offset < 0 {
		return 0, fmt.Errorf("%q is no file of a journal: %w", name, fs.ErrNotExist)
	}
	f, err := os.Open(filepath.Join(r.journalFolder(h, rec), name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(b, offset)
}
