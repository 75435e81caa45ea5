package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const graceful = 15 * time.Second

// process is one program that the stage started, in a process group of its own.
type process struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{}
	err       error // after done
	once      sync.Once
}

// start runs a program whose lines go to a file.
func (s *Stage) start(name, program string, args ...string) (*process, error) {
	path := filepath.Join(s.logs(), name+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	// Ctrl-C at the terminal is the stage's to handle, in its order; and nothing
	// outlives it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, log: path, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = append(s.processes, p)
	return p, nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop asks the whole group to end, and makes it.
func (p *process) stop() {
	p.once.Do(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(graceful):
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.done
		}
	})
}

// until polls ready while the process runs. The last lines of its log say why
// it did not come up.
func (p *process) until(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = ready(ctx); last == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w\n%s", p.name, errors.Join(p.err, last), tail(p.log, 12))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, last, tail(p.log, 12))
		case <-tick.C:
		}
	}
}

// tail is the end of a log, for people.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// call runs a program to its end and gives what it printed.
func call(ctx context.Context, in, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(in)
	var out, bad strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &bad
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), &CallError{Program: filepath.Base(program), Text: strings.TrimSpace(bad.String()), Err: err}
	}
	return out.String(), nil
}

// CallError is what a program said that did not succeed.
type CallError struct {
	Program, Text string
	Err           error
}

// Error says what the program said.
func (e *CallError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Program, e.Err, e.Text) }

// Unwrap gives the exit.
func (e *CallError) Unwrap() error { return e.Err }
