package backup

import (
	"crypto/hpke"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/durable"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
)

// Bounds of what a terminal keeps. Pictures are left out before sound is: by law
// the sound is what counts.
const (
	MaxHearing  = backup.MaxFile // bytes of a hearing's file
	MaxPictures = 3 << 30        // bytes of a hearing: from then on its sound alone
	MaxTotal    = 16 << 30
	MaxFiles    = 8
	LeastFree   = 1 << 30             // of the disk, in bytes: nothing more is kept
	PictureFree = 4 << 30             // of the disk: no pictures are kept
	MinAge      = 24 * time.Hour      // since it was last written: until then no other takes its place
	MaxAge      = 14 * 24 * time.Hour // since it was last written: then a file goes even without a release
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
	gone   []Gone
	Limits Limits
}

// Limits are bounds that a test can lower.
type Limits struct {
	Hearing, Pictures, Total int64
	LeastFree, PictureFree   int64
	Files                    int
	Free                     func(folder string) (int64, error) // bytes that the disk has left
}

// Held is what lies here of one hearing.
type Held struct {
	Hearing interview.HearingID
	Files   int
	Bytes   int64
	Since   time.Time // the first was begun
	Last    time.Time // something was written last
}

// Goes is when it goes by age.
func (h Held) Goes() time.Time { return h.Last.Add(MaxAge) }

// Gone is a back-up that was removed here without a release.
type Gone struct {
	Hearing interview.HearingID
	At      time.Time
	Why     wire.BackupCause
}

type file struct {
	f    *os.File
	size int64
	n    int64
	// pictures are tracks that are no sound, as their keys said.
	pictures map[interview.TrackID]bool
	thinned  bool // pictures are left out
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
	s := &Store{folder: folder, trust: t, to: to, files: map[interview.HearingID]*file{}, Limits: Limits{
		Hearing: MaxHearing, Pictures: MaxPictures, Total: MaxTotal, LeastFree: LeastFree, PictureFree: PictureFree, Files: MaxFiles, Free: durable.Free,
	}}
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
			err = s.remove(filepath.Join(s.folder, e.Name()), now, wire.BackupAge)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// maxGone bounds what is remembered until somebody asks.
const maxGone = 1024

// remove deletes a file without a release, and remembers that.
func (s *Store) remove(path string, now time.Time, why wire.BackupCause) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	if h, err := interview.ParseHearingID(name); err == nil && len(s.gone) < maxGone {
		s.gone = append(s.gone, Gone{h, now, why})
	}
	return nil
}

// Held lists what lies here, the oldest first.
func (s *Store) Held() ([]Held, error) {
	names, err := filepath.Glob(filepath.Join(s.folder, "*.kb"))
	if err != nil {
		return nil, err
	}
	by := map[interview.HearingID]*Held{}
	for _, path := range names {
		name, rest, _ := strings.Cut(filepath.Base(path), ".")
		id, err := interview.ParseHearingID(name)
		if err != nil {
			continue
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		run, _ := strconv.ParseInt(strings.TrimSuffix(rest, ".kb"), 10, 64)
		begun := time.Unix(0, run)
		h := by[id]
		if h == nil {
			h = &Held{Hearing: id, Since: begun}
			by[id] = h
		}
		h.Files, h.Bytes = h.Files+1, h.Bytes+info.Size()
		if begun.Before(h.Since) {
			h.Since = begun
		}
		if info.ModTime().After(h.Last) {
			h.Last = info.ModTime()
		}
	}
	out := make([]Held, 0, len(by))
	for _, h := range by {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Held) int { return a.Since.Compare(b.Since) })
	return out, nil
}

// Gone gives what was removed without a release since the agent began, and forgets
// it once told returns nil.
func (s *Store) Gone(told func([]Gone) error) error {
	s.mu.Lock()
	gone := slices.Clone(s.gone)
	s.mu.Unlock()
	if err := told(gone); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = s.gone[len(gone):]
	return nil
}

// Prune removes what is old.
func (s *Store) Prune(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prune(now)
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
	return s.remove(oldest, now, wire.BackupRoom)
}

// total is how many bytes lie here.
func (s *Store) total() (sum int64, err error) {
	all, err := s.Held()
	for _, h := range all {
		sum += h.Bytes
	}
	return sum, err
}

// spare is what the disk has left, where that is enough to keep anything more.
func (s *Store) spare() (int64, error) {
	left, err := s.Limits.Free(s.folder)
	if err != nil {
		return 0, fmt.Errorf("back-up: %w", err)
	}
	if left < s.Limits.LeastFree {
		return 0, fmt.Errorf("%w: the disk has %d bytes left", ErrFull, left)
	}
	return left, nil
}

// thin leaves the pictures out of a chunk. Whose track is not known counts as sound.
func (f *file) thin(c *backup.Chunk) *backup.Chunk {
	out := *c
	out.Frames = slices.DeleteFunc(slices.Clone(c.Frames), func(x backup.Frame) bool { return f.pictures[x.Track] })
	out.Origins = slices.DeleteFunc(slices.Clone(c.Origins), func(text string) bool {
		var o sealing.Origin
		return jws.Peek(text, sealing.TypeOrigin, &o) == nil && f.pictures[o.Track]
	})
	return &out
}

// Append keeps a chunk, durably when it returns nil. It refuses what does not
// show a recorder in its epoch.
func (s *Store) Append(c *backup.Chunk) error {
	if err := c.Check(s.trust); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	spare, err := s.spare()
	if err != nil {
		return err
	}
	f, err := s.open(c.Hearing)
	if err != nil {
		return err
	}
	for _, k := range c.Keys {
		if len(f.pictures) < maxTracks {
			f.pictures[k.Track] = k.Source != interview.SourceAudio
		}
	}
	if f.size >= s.Limits.Pictures || spare < s.Limits.PictureFree {
		if !f.thinned {
			f.thinned = true
			slog.Warn("the back-up keeps no pictures any more, but sound", "hearing", c.Hearing, "bytes", f.size)
		}
		if c = f.thin(c); len(c.Keys)+len(c.Frames)+len(c.Origins) == 0 {
			return nil
		}
	}
	if f.n >= backup.MaxChunks {
		return fmt.Errorf("%w: %d chunks of %s", ErrFull, f.n, c.Hearing)
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

// maxTracks bounds the tracks that are remembered of a hearing.
const maxTracks = 256

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
	if sum, err := s.total(); err != nil || sum > s.Limits.Total {
		return nil, errors.Join(err, fmt.Errorf("%w: %d bytes in all", ErrFull, sum))
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
	s.files[h] = &file{f: f, size: int64(len(magic)), pictures: map[interview.TrackID]bool{}}
	return s.files[h], nil
}

// Release removes a hearing's back-ups at authority's signed word, where it names
// this device: what another terminal may delete may be wanted of this one.
func (s *Store) Release(message string, own interview.DeviceID) error {
	key, err := s.trust.Sealing()
	if err != nil {
		return err
	}
	r, err := backup.VerifyRelease(message, key)
	if err != nil {
		return err
	}
	if !r.Names(own) {
		return fmt.Errorf("release of a back-up: it does not name %s", own)
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
