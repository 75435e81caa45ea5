package backup

import (
	"crypto/hpke"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kuule/internal/durable"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
)

// Bounds of what a terminal keeps.
const (
	MaxHearing = 512 << 20 // bytes
	MaxFiles   = 8
	MinAge     = 24 * time.Hour      // since it was last written: until then no other takes its place
	MaxAge     = 14 * 24 * time.Hour // since it was last written: then a file goes even without a release
)

// ErrFull says that a bound is reached; what is there stays.
var ErrFull = errors.New("the back-up has reached its bound")

// Store keeps back-ups in a folder. It is safe for concurrent use.
type Store struct {
	folder string
	trust  *trust.File
	to     hpke.PublicKey

	mu     sync.Mutex
	files  map[interview.HearingID]*file
	Limits Limits
}

// Limits are bounds that a test can lower.
type Limits struct {
	Hearing int64
	Files   int
}

type file struct {
	f    *os.File
	size int64
	n    int64
}

// Open makes the folder and removes what is old. backup.ErrKey where the
// installation has no back-up key: then there is none.
func Open(folder string, t *trust.File) (*Store, error) {
	to, err := backup.Recipient(t)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("back-up: %w", err)
	}
	s := &Store{folder: folder, trust: t, to: to, files: map[interview.HearingID]*file{}, Limits: Limits{MaxHearing, MaxFiles}}
	return s, s.prune(time.Now())
}

// name of a run's file: a terminal that restarts begins another, since it cannot
// know where the last one ended without opening it.
func (s *Store) name(h interview.HearingID, run int64) string {
	return filepath.Join(s.folder, fmt.Sprintf("%s.%d.kb", h, run))
}

func (s *Store) prune(now time.Time) error {
	all, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}
	for _, e := range all {
		info, err := e.Info()
		if err == nil && strings.HasSuffix(e.Name(), ".kb") && now.Sub(info.ModTime()) > MaxAge {
			err = os.Remove(filepath.Join(s.folder, e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// makeRoom removes the oldest file where there are as many as may be: a terminal
// that many hearings use keeps the newest. None of the last day goes.
func (s *Store) makeRoom(now time.Time) error {
	all, err := filepath.Glob(filepath.Join(s.folder, "*.kb"))
	if err != nil || len(all) < s.Limits.Files {
		return err
	}
	oldest, written := "", now
	for _, name := range all {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.ModTime().Before(written) {
			oldest, written = name, info.ModTime()
		}
	}
	if now.Sub(written) < MinAge {
		return fmt.Errorf("%w: %d files", ErrFull, len(all))
	}
	return os.Remove(oldest)
}

// Append keeps a chunk, durably when it returns nil. It refuses what does not
// show a recorder in its epoch.
func (s *Store) Append(c *backup.Chunk) error {
	if err := c.Check(s.trust); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.open(c.Hearing)
	if err != nil {
		return err
	}
	sealed, err := c.Seal(s.to, f.n)
	if err != nil {
		return err
	}
	if f.size+int64(len(sealed)) > s.Limits.Hearing {
		return fmt.Errorf("%w: %d bytes of %s", ErrFull, f.size, c.Hearing)
	}
	_, err = f.f.Write(sealed)
	if err == nil {
		err = f.f.Sync()
	}
	if err != nil {
		// What follows a torn chunk could not be read: the next one begins a file.
		delete(s.files, c.Hearing)
		return fmt.Errorf("back-up: %w", errors.Join(err, f.f.Close()))
	}
	f.size, f.n = f.size+int64(len(sealed)), f.n+1
	return nil
}

func (s *Store) open(h interview.HearingID) (*file, error) {
	if f := s.files[h]; f != nil {
		return f, nil
	}
	if err := s.prune(time.Now()); err != nil { // a terminal runs for months
		return nil, err
	}
	if err := s.makeRoom(time.Now()); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.name(h, time.Now().UnixNano()), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("back-up: %w", err)
	}
	magic := backup.Magic()
	if _, err := f.Write(magic); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := durable.SyncFolder(s.folder); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.files[h] = &file{f: f, size: int64(len(magic))}
	return s.files[h], nil
}

// Release removes a hearing's back-ups at authority's signed word.
func (s *Store) Release(message string) error {
	key, err := trust.Key(s.trust.SealingKey)
	if err != nil {
		return err
	}
	var r backup.Release
	if err := jws.Verify(message, backup.TypeRelease, key, &r); err != nil {
		return fmt.Errorf("release of a back-up: %w", err)
	}
	if r.V != 1 || r.Hearing.IsZero() {
		return errors.New("release of a back-up: version or hearing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[r.Hearing]; f != nil {
		f.f.Close()
		delete(s.files, r.Hearing)
	}
	names, err := filepath.Glob(filepath.Join(s.folder, r.Hearing.String()+".*.kb"))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, durable.SyncFolder(s.folder))
}

// Close closes the files; they stay.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for h, f := range s.files {
		err = errors.Join(err, f.f.Close())
		delete(s.files, h)
	}
	return err
}
