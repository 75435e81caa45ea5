package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kuule/internal/durable"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/recorder/journal"
)

// Holds gives where each journal of a hearing that has ended ends on this disk,
// for a signed word on what there is. A hearing of which nothing is here gives
// nothing.
func (r *Recorder) Holds(h interview.HearingID) ([]backup.Held, error) {
	s, err := r.readState(h)
	if errors.Is(err, fs.ErrNotExist) {
		return []backup.Held{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journals of %s: %w", h, err)
	}
	if !s.Ended {
		return nil, fmt.Errorf("journals of %s: %w", h, ErrStillRecording)
	}
	out := []backup.Held{}
	for _, rec := range s.Recordings {
		t, err := journal.Recover(r.journalFolder(h, rec))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it never had a durable block
		}
		if err != nil {
			return nil, fmt.Errorf("journal %s: %w", rec, err)
		}
		out = append(out, backup.Held{Recording: rec, Seq: t.Seq, Head: t.Head})
	}
	return out, nil
}

// Beside gives the folder of a recording that is made apart, as from a terminal's
// back-up. It belongs to the hearing once Adopt has returned.
func (r *Recorder) Beside(h interview.HearingID, rec interview.RecordingID) (journal.Disk, error) {
	return r.cfg.Disk(r.journalFolder(h, rec))
}

// Adopt adds recordings that were made apart to a hearing that has ended: they are
// listed, copied to the archive, kept and erased as its own. said is the signed
// word on them (kuule-backup-taken+jws), which is kept beside. Where nothing of the
// hearing is here it begins with them.
func (r *Recorder) Adopt(h Hearing, said string, recs ...interview.RecordingID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.readState(h.Hearing)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = state{V: 1, Hearing: h, Recordings: []interview.RecordingID{}, Ended: true}
	case err != nil:
		return fmt.Errorf("add recordings: %w", err)
	case s.Hearing != h:
		return fmt.Errorf("add recordings to %s: it was opened for another case", h.Hearing)
	case !s.Ended || r.sessions[h.Hearing] != nil:
		return fmt.Errorf("add recordings to %s: %w", h.Hearing, ErrStillRecording)
	case len(recs) == 0:
		return errors.New("add recordings: there is none")
	case len(s.Recordings)+len(recs) > maxRecordings:
		return fmt.Errorf("add recordings to %s: the hearing has had %d recordings", h.Hearing, len(s.Recordings))
	}
	s.Recordings = append(s.Recordings, recs...)
	if err := os.MkdirAll(r.folder(h.Hearing), 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(r.folder(h.Hearing), takenPrefix+recs[0].String()), []byte(said), 0o600); err != nil {
		return fmt.Errorf("add recordings: %w", err)
	}
	if err := r.writeState(s); err != nil {
		return fmt.Errorf("add recordings: %w", err)
	}
	r.completed()
	return nil
}

// takenPrefix begins the name of a file that says what was taken in; the first of
// its recordings ends it.
const takenPrefix = "taken-"

// Takings gives the signed words of what was adopted, in the order of its
// beginning.
func (r *Recorder) Takings(h interview.HearingID) ([]string, error) {
	out := []string{}
	s, err := r.readState(h)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, rec := range s.Recordings {
		if _, err := os.Stat(r.journalFolder(h, rec)); errors.Is(err, fs.ErrNotExist) {
			continue // erased with its case
		}
		text, err := os.ReadFile(filepath.Join(r.folder(h), takenPrefix+rec.String()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, string(text))
	}
	return out, nil
}

// Discard removes a recording that was made apart and not adopted.
func (r *Recorder) Discard(h interview.HearingID, rec interview.RecordingID) error {
	return os.RemoveAll(r.journalFolder(h, rec))
}
