package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kuule/internal/blob"
	"kuule/internal/canon"
	"kuule/internal/durable"
	"kuule/interview"
)

// Archive is where complete files of journals are copied to: blob.Store.
type Archive interface {
	Put(ctx context.Context, name string, content io.Reader) error
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	Stat(ctx context.Context, name string) (blob.Info, error)
	Extend(ctx context.Context, name string, until time.Time) error
	Hold(ctx context.Context, name string, on bool) error
	Delete(ctx context.Context, name string) error
	WriteOnce() bool
}

// Archived is the record of one file that was copied, read back and found the
// same. It lies beside the file.
type Archived struct {
	V      int    `json:"v"`    // 1
	Name   string `json:"name"` // in the archive
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // base64url
	At     int64  `json:"at"`     // Unix seconds, when it was read back
}

// ErrArchive says that the archive holds something else under a file's name.
var ErrArchive = errors.New("the archive holds another file under this name")

const (
	archiveEvery = 30 * time.Second // how often what is owed is tried again
	archivedName = ".archived"
)

// archive copies what is complete, whenever a file became so, until the recorder
// ends. What could not be copied is tried again: nothing is removed here.
func (r *Recorder) archive() {
	tick := time.NewTicker(archiveEvery)
	defer tick.Stop()
	for {
		if err := r.archiveAll(); err != nil && r.ctx.Err() == nil {
			r.cfg.Log.Error("a journal was not copied to the archive; trying again", "err", err)
		}
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		case <-r.complete:
		}
	}
}

// completed says that a file is complete now.
func (r *Recorder) completed() {
	select {
	case r.complete <- struct{}{}:
	default:
	}
}

// archiveAll looks at every hearing on the disk.
func (r *Recorder) archiveAll() error {
	states, err := r.states()
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range states {
		for _, rec := range s.Recordings {
			errs = append(errs, r.archiveRecording(s.Hearing.Hearing, rec))
		}
	}
	return errors.Join(errs...)
}

// archiveRecording copies the files of one recording but the one that is being
// written.
func (r *Recorder) archiveRecording(h interview.HearingID, rec interview.RecordingID) error {
	folder := r.journalFolder(h, rec)
	all, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, e := range all {
		if fileName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	if len(names) > 0 && r.writing(h) == rec {
		names = names[:len(names)-1]
	}
	for _, name := range names {
		if err := r.archiveFile(folder, name, fmt.Sprintf("%s/%s/%s", h, rec, name)); err != nil {
			return fmt.Errorf("%s of %s: %w", name, rec, err)
		}
	}
	return nil
}

// writing is the recording of a hearing that is being written now, or zero.
func (r *Recorder) writing(h interview.HearingID) interview.RecordingID {
	r.mu.Lock()
	s := r.sessions[h]
	r.mu.Unlock()
	if s == nil {
		return interview.RecordingID{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.state.Recordings); n > 0 && !s.over {
		return s.state.Recordings[n-1]
	}
	return interview.RecordingID{}
}

// archiveFile copies one file, reads the copy back, and writes down that both
// are the same.
func (r *Recorder) archiveFile(folder, name, to string) error {
	record := filepath.Join(folder, name+archivedName)
	if _, err := os.Stat(record); err == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer f.Close()
	own := sha256.New()
	size, err := io.Copy(own, f)
	if err != nil {
		return err
	}
	err = r.cfg.Archive.Put(r.ctx, to, io.NewSectionReader(f, 0, size))
	if err != nil && !errors.Is(err, blob.ErrExists) { // of before a crash: read back below
		return err
	}
	back, err := r.cfg.Archive.Get(r.ctx, to, 0, -1)
	if err != nil {
		return err
	}
	defer back.Close()
	copied := sha256.New()
	if n, err := io.Copy(copied, back); err != nil {
		return err
	} else if n != size || !bytes.Equal(copied.Sum(nil), own.Sum(nil)) {
		return fmt.Errorf("%w: %s", ErrArchive, to)
	}
	text, err := canon.Marshal(Archived{1, to, size, base64.RawURLEncoding.EncodeToString(own.Sum(nil)), time.Now().Unix()})
	if err != nil {
		return err
	}
	return durable.WriteFile(record, text, 0o600)
}
