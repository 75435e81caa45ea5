package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kuule/internal/durable"
	"kuule/interview"
	"kuule/recorder/journal"
)

// Config is what a recorder needs.
type Config struct {
	Folder string // its disk: one folder per hearing
	Joiner Joiner
	Keys   journal.KeyWrapper
	Log    *slog.Logger
	// Disk opens a journal's folder; nil: journal.Directory.
	Disk func(path string) (journal.Disk, error)
	// Checkpoint, if set, is told where a journal's chain stands: at its
	// beginning, after each phase, every minute and at its end. It goes to the
	// audit log, so that a journal cannot be written again later. It must not block.
	Checkpoint func(Checkpoint)
	// Archive, if set, gets a copy of every file of a journal that is complete.
	Archive Archive
	// Wall is the machine's wall clock; nil: time.Now. It decides nothing: anchors
	// say how it went against the hearing clock.
	Wall func() time.Time
	// Retry is the first wait before joining again, doubled up to 2 s; 0: 100 ms.
	Retry time.Duration
}

// Checkpoint is a durable block of a journal's chain.
type Checkpoint struct {
	Hearing   interview.HearingID   `json:"hearing"`
	Recording interview.RecordingID `json:"recording"`
	Seq       int64                 `json:"seq"`
	Head      string                `json:"head"`
	Durable   interview.Micros      `json:"durable"`
}

// Recorder records hearings. Its methods are safe for concurrent use.
type Recorder struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	lives  sync.WaitGroup

	complete chan struct{} // a file of a journal is complete
	lock     *os.File      // on the folder

	mu       sync.Mutex
	sessions map[interview.HearingID]*session
	closed   bool
}

var (
	// ErrClosed says that the recorder is ending.
	ErrClosed = errors.New("recorder is ending")
	// ErrFolderInUse says that another process records into the folder: nothing in
	// it was touched.
	ErrFolderInUse = errors.New("another process records into this folder: end it first")
)

const lockName = ".lock"

// New makes a recorder and goes on with the hearings that were open when its
// process last ended, however it ended.
func New(cfg Config) (*Recorder, error) {
	if cfg.Folder == "" || cfg.Joiner == nil || cfg.Keys == nil {
		return nil, errors.New("recorder: folder, joiner and keys are all needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Disk == nil {
		cfg.Disk = journal.Directory
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 100 * time.Millisecond
	}
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	lock, err := lockFolder(cfg.Folder)
	if err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	r := &Recorder{cfg: cfg, sessions: map[interview.HearingID]*session{}, complete: make(chan struct{}, 1), lock: lock}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	states, err := r.states()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("recorder: %w", err), lock.Close())
	}
	for _, s := range states {
		if !s.Ended {
			cfg.Log.Info("going on with an open hearing", "hearing", s.Hearing.Hearing)
			r.start(s)
		}
	}
	if cfg.Archive != nil {
		r.lives.Go(r.archive)
	}
	return r, nil
}

// lockFolder takes the folder for this process, since going on with a hearing
// cuts the torn end of its last journal: of one that is still being written
// that would be what was just said. The system gives the lock back with the
// process, however it ends.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", folder, ErrFolderInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	return f, nil
}

// Open begins to record a hearing and returns once that is remembered on disk;
// joining goes on by itself. Opening an open hearing again changes nothing.
func (r *Recorder) Open(h Hearing) error {
	if h.Case.IsZero() || h.Hearing.IsZero() {
		return errors.New("open hearing: case and hearing are both needed")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.sessions[h.Hearing] != nil {
		return nil
	}
	s, err := r.readState(h.Hearing)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s = state{V: 1, Hearing: h, Recordings: []interview.RecordingID{}}
	case err != nil:
		return fmt.Errorf("open hearing: %w", err)
	case s.Hearing != h:
		return fmt.Errorf("open hearing %s: it was opened for another case", h.Hearing)
	}
	s.Ended = false
	if err := r.writeState(s); err != nil {
		return fmt.Errorf("open hearing: %w", err)
	}
	r.startLocked(s)
	return nil
}

func (r *Recorder) start(s state) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startLocked(s)
}

func (r *Recorder) startLocked(s state) {
	x := newSession(r, s)
	r.sessions[s.Hearing.Hearing] = x
	r.lives.Go(x.run)
}

// End ends the recording of a hearing: what waits is written, the journal
// closed, the room left. It returns when that is done and remembered.
func (r *Recorder) End(ctx context.Context, h interview.HearingID) error {
	r.mu.Lock()
	s := r.sessions[h]
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	s.end()
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("end recording of %s: %w", h, ctx.Err())
	}
	r.mu.Lock()
	delete(r.sessions, h)
	r.mu.Unlock()
	defer r.completed()
	return s.remember(func(st *state) { st.Ended = true })
}

// Status is what a recorder says of one hearing.
type Status struct {
	Hearing   Hearing                 `json:"hearing"`
	Recording interview.RecordingID   `json:"recording"` // zero while it is not in the room
	State     interview.RecorderState `json:"state"`
	Durable   interview.Micros        `json:"durable"`
	Lives     int                     `json:"lives"` // recordings begun, by this process and those before it
}

// Status tells how every open hearing does.
func (r *Recorder) Status() []Status {
	r.mu.Lock()
	all := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s)
	}
	r.mu.Unlock()
	out := make([]Status, 0, len(all))
	for _, s := range all {
		out = append(out, s.status())
	}
	return out
}

// Close leaves all rooms. Hearings stay open: the next process goes on.
func (r *Recorder) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.lives.Wait()
	_ = durable.SyncFolder(r.cfg.Folder)
	_ = r.lock.Close()
}
