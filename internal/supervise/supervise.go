package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	firstPause = 50 * time.Millisecond // a recorder has to be back within 2 s
	longPause  = 10 * time.Second
	settled    = 30 * time.Second // a run this long forgives the ones before
)

// Process is one child to run.
type Process struct {
	Name      string   // for logs; unique
	Arguments []string // of the one binary
	User      string   // system user, or empty for the supervisor's own
	Secret    []byte   // handed over through a pipe, at most MaxSecret bytes
}

// State is what became of a process.
type State string

// States that OnChange hears.
const (
	Started State = "started"
	Ready   State = "ready"
	Ended   State = "ended"
)

// Options of a supervisor. The zero value runs this binary and writes to
// standard error.
type Options struct {
	Executable string        // default: this binary
	Output     io.Writer     // where children's lines go; default: standard error
	Log        *slog.Logger  // default: slog.Default
	Grace      time.Duration // between asking a child to end and making it; default 10 s
	ReadyTime  time.Duration // for a child to become ready; default 60 s
	// OnChange hears what happens to children, with the process id, from
	// several goroutines. It must not block.
	OnChange func(name string, state State, pid int)
}

// Supervisor runs processes. Make one with New.
type Supervisor struct {
	executable string
	log        *slog.Logger
	grace      time.Duration
	readyTime  time.Duration
	onChange   func(string, State, int)

	outputMu sync.Mutex
	output   io.Writer

	tasksMu sync.Mutex
	stopped bool
	tasks   sync.WaitGroup
	ctx     context.Context // ends short-lived processes
	cancel  context.CancelFunc
}

// New makes a supervisor.
func New(options Options) (*Supervisor, error) {
	s := &Supervisor{
		executable: options.Executable,
		output:     options.Output,
		log:        options.Log,
		grace:      options.Grace,
		readyTime:  options.ReadyTime,
		onChange:   options.OnChange,
	}
	if s.executable == "" {
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find own binary: %w", err)
		}
		s.executable = path
	}
	if s.output == nil {
		s.output = os.Stderr
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.grace == 0 {
		s.grace = 10 * time.Second
	}
	if s.readyTime == 0 {
		s.readyTime = time.Minute
	}
	if s.onChange == nil {
		s.onChange = func(string, State, int) {}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Run starts the processes in their order, each when the one before is ready,
// and keeps them running until ctx ends; then it stops them in reverse order,
// and every short-lived process with them. It returns nil after an orderly stop
// and an error if a process could not be started the first time.
func (s *Supervisor) Run(ctx context.Context, processes ...Process) error {
	defer s.stopTasks()
	var stops []func()
	defer func() {
		for _, stop := range slices.Backward(stops) {
			stop()
		}
	}()
	for _, process := range processes {
		first, err := s.startReady(ctx, process)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		keeping, cancel := context.WithCancel(context.Background())
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			s.keep(keeping, process, first)
		}()
		stops = append(stops, func() { cancel(); <-kept })
	}
	<-ctx.Done()
	return nil
}

// startReady starts a process and waits until it is ready; if that fails
// nothing of it is left.
func (s *Supervisor) startReady(ctx context.Context, process Process) (*child, error) {
	c, err := s.start(process)
	if err != nil {
		return nil, err
	}
	s.onChange(process.Name, Started, c.pid)
	if err := c.awaitReady(ctx, s.readyTime); err != nil {
		c.stop(s.grace)
		s.onChange(process.Name, Ended, c.pid)
		return nil, fmt.Errorf("start %s: %w", process.Name, err)
	}
	s.onChange(process.Name, Ready, c.pid)
	return c, nil
}

// keep starts the process again each time it ends, until ctx does.
func (s *Supervisor) keep(ctx context.Context, process Process, running *child) {
	pause := firstPause
	for {
		begun := time.Now()
		if running != nil {
			select {
			case <-running.done:
				s.onChange(process.Name, Ended, running.pid)
				s.log.Error("process ended and is started again", "process", process.Name, "reason", ended(running.err))
			case <-ctx.Done():
				running.stop(s.grace)
				s.onChange(process.Name, Ended, running.pid)
				return
			}
		}
		if time.Since(begun) > settled {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, longPause)
		next, err := s.startReady(ctx, process)
		if err != nil && ctx.Err() == nil {
			s.log.Error("process could not be started again", "process", process.Name, "error", err)
		}
		running = next
	}
}

// Task is a running short-lived process.
type Task struct {
	child *child
	grace time.Duration
}

// Done is closed when the process has ended.
func (t *Task) Done() <-chan struct{} { return t.child.done }

// Stop ends the process and waits for its end.
func (t *Task) Stop() { t.child.stop(t.grace) }

// ErrStopped says that the supervisor has stopped and starts nothing more.
var ErrStopped = errors.New("supervisor has stopped")

// Spawn starts a process that is not started again, such as one viewing, and
// returns when it is ready. It ends by itself, by Stop, when ctx ends, or with
// the supervisor.
func (s *Supervisor) Spawn(ctx context.Context, process Process) (*Task, error) {
	if !s.beginTask() {
		return nil, fmt.Errorf("start %s: %w", process.Name, ErrStopped)
	}
	both, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(s.ctx, cancel)
	c, err := s.startReady(both, process)
	if err != nil {
		unlink()
		cancel()
		s.tasks.Done()
		return nil, err
	}
	task := &Task{child: c, grace: s.grace}
	go func() {
		defer s.tasks.Done()
		defer cancel()
		defer unlink()
		select {
		case <-c.done:
		case <-both.Done():
			task.Stop()
		}
		s.onChange(process.Name, Ended, c.pid)
	}()
	return task, nil
}

func (s *Supervisor) beginTask() bool {
	s.tasksMu.Lock()
	defer s.tasksMu.Unlock()
	if s.stopped {
		return false
	}
	s.tasks.Add(1)
	return true
}

func (s *Supervisor) stopTasks() {
	s.tasksMu.Lock()
	s.stopped = true
	s.tasksMu.Unlock()
	s.cancel()
	s.tasks.Wait()
}
