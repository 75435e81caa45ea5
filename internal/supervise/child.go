package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxSecret bounds what is handed over, so that it always fits into the
	// pipe's buffer and a child that does not read it blocks nobody.
	MaxSecret = 32 << 10

	supervisedVariable = "KUULE_SUPERVISED"
	secretFD           = 3
	readyFD            = 4
	readyWord          = "ready\n"
	maxLine            = 16 << 10 // longer lines of a child's output are cut into parts
)

// ErrNotSupervised says that this process was not started by a supervisor.
var ErrNotSupervised = errors.New("this process is started by `kuule serve`, not by hand")

// Inherit is the child's side: it reads the secret that the supervisor handed
// over and returns the function that tells it that the child is ready. It can
// be called once.
func Inherit() (secret []byte, ready func() error, err error) {
	if os.Getenv(supervisedVariable) == "" {
		return nil, nil, ErrNotSupervised
	}
	unix.CloseOnExec(secretFD)
	unix.CloseOnExec(readyFD)
	from := os.NewFile(secretFD, "secret")
	defer from.Close()
	secret, err = io.ReadAll(io.LimitReader(from, MaxSecret+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read what the supervisor hands over: %w", err)
	}
	to := os.NewFile(readyFD, "ready")
	return secret, func() error {
		_, err := to.WriteString(readyWord)
		return errors.Join(err, to.Close())
	}, nil
}

// child is one run of a process.
type child struct {
	pid   int
	ready chan struct{} // closed when it said so
	done  chan struct{} // closed when it and all that it started are gone
	err   error         // how it ended; read after done
}

// pipes are the child's connections to its supervisor: theirs go to the child.
type pipes struct {
	secretMine, readyMine, outputMine    *os.File
	secretTheirs, readyTheirs, outTheirs *os.File
}

func newPipes() (p pipes, err error) {
	var errs [3]error
	p.secretTheirs, p.secretMine, errs[0] = os.Pipe()
	p.readyMine, p.readyTheirs, errs[1] = os.Pipe()
	p.outputMine, p.outTheirs, errs[2] = os.Pipe()
	if err := errors.Join(errs[:]...); err != nil {
		p.closeTheirs()
		p.closeMine()
		return pipes{}, err
	}
	return p, nil
}

func (p pipes) closeTheirs() { closeAll(p.secretTheirs, p.readyTheirs, p.outTheirs) }
func (p pipes) closeMine()   { closeAll(p.secretMine, p.readyMine, p.outputMine) }

func closeAll(files ...*os.File) {
	for _, file := range files {
		_ = file.Close() // nil files answer an error of their own
	}
}

// start runs the process once.
func (s *Supervisor) start(process Process) (*child, error) {
	if len(process.Secret) > MaxSecret {
		return nil, fmt.Errorf("start %s: its secret has %d bytes, at most %d", process.Name, len(process.Secret), MaxSecret)
	}
	command, err := s.command(process)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", process.Name, err)
	}
	p, err := newPipes()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", process.Name, err)
	}
	command.Stdout, command.Stderr = p.outTheirs, p.outTheirs
	command.ExtraFiles = []*os.File{p.secretTheirs, p.readyTheirs}

	c := &child{ready: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread that started the
		// child ends, not the process: this one has to stay (prctl(2)).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		p.closeTheirs()
		if err != nil {
			p.closeMine()
			started <- err
			return
		}
		c.pid = command.Process.Pid
		started <- nil
		s.attend(process, c, command, p)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", process.Name, err)
	}
	return c, nil
}

// attend hands over the secret and stays with the child until it has ended.
func (s *Supervisor) attend(process Process, c *child, command *exec.Cmd, p pipes) {
	defer close(c.done)
	defer p.closeMine()
	// A child that ended already breaks the pipe; its end is noticed below.
	_, _ = p.secretMine.Write(process.Secret)
	_ = p.secretMine.Close()

	var readers sync.WaitGroup
	readers.Go(func() {
		word := make([]byte, len(readyWord))
		if _, err := io.ReadFull(p.readyMine, word); err == nil && string(word) == readyWord {
			close(c.ready)
		}
	})
	readers.Go(func() { s.forward(process.Name, p.outputMine) })

	awaitEnd(c.pid)
	// The child is dead but not reaped: its number is still its own, so this
	// reaches its group and nobody else's.
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	c.err = command.Wait()
	last := time.Now().Add(time.Second) // what it printed last is read, then no more
	_ = p.readyMine.SetReadDeadline(last)
	_ = p.outputMine.SetReadDeadline(last)
	readers.Wait()
}

// awaitEnd returns when the child has ended, without reaping it.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// stop asks the child's group to end and makes it after the grace time. The
// child's own end ends its group.
func (c *child) stop(grace time.Duration) {
	_ = unix.Kill(-c.pid, unix.SIGTERM)
	select {
	case <-c.done:
		return
	case <-time.After(grace):
	}
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	<-c.done
}

func (s *Supervisor) command(process Process) (*exec.Cmd, error) {
	credential, err := s.credential(process)
	if err != nil {
		return nil, err
	}
	command := exec.Command(s.executable, process.Arguments...)
	command.Env = append(environment(), supervisedVariable+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true, // Ctrl-C at a terminal reaches the supervisor alone
		Pdeathsig:  syscall.SIGKILL,
		Credential: credential,
	}
	return command, nil
}

// environment is what a child gets of the supervisor's: nothing that could
// hold a secret.
func environment() []string {
	var kept []string
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR", "GOMAXPROCS", "GOMEMLIMIT", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			kept = append(kept, name+"="+value)
		}
	}
	return kept
}

// credential is nil where the child runs under the supervisor's own user.
func (s *Supervisor) credential(process Process) (*syscall.Credential, error) {
	if process.User == "" {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		s.log.Warn("process runs under the same user as the supervisor, which is not root",
			slog.String("process", process.Name), slog.String("wanted", process.User))
		return nil, nil
	}
	account, err := user.Lookup(process.User)
	if err != nil {
		return nil, fmt.Errorf("%w: make the system user, or take it out of the configuration", err)
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, fmt.Errorf("user %s: %w", process.User, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// forward copies a child's output line by line under its name.
func (s *Supervisor) forward(name string, output io.Reader) {
	reader := bufio.NewReaderSize(output, maxLine)
	for {
		line, _, err := reader.ReadLine() // long lines come in parts
		if err != nil {
			return
		}
		s.print(name, line)
	}
}

func (s *Supervisor) print(name string, line []byte) {
	s.outputMu.Lock()
	defer s.outputMu.Unlock()
	_, _ = fmt.Fprintf(s.output, "%-10s | %s\n", name, line)
}

// awaitReady returns when the child said that it is ready.
func (c *child) awaitReady(ctx context.Context, within time.Duration) error {
	select {
	case <-c.ready:
		return nil
	case <-c.done:
		return fmt.Errorf("ended before it was ready: %w", ended(c.err))
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(within):
		return fmt.Errorf("not ready within %v", within)
	}
}

func ended(err error) error {
	if err == nil {
		return errors.New("it exited by itself")
	}
	return err
}
