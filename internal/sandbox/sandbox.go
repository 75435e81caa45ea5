package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Limits bound a program. It starts no other program: it has threads alone.
type Limits struct {
	Memory uint64   `json:"memory"` // bytes of address space
	CPU    uint64   `json:"cpu"`    // seconds of processor time
	File   uint64   `json:"file"`   // bytes of the largest file that it may write; 0: none, pipes remain
	Files  uint64   `json:"files"`  // open files
	Read   []string `json:"read"`   // files and folders beyond the system's programs and libraries that it may open
}

// ErrOpen says that this system offers no wall to put around a program.
var ErrOpen = errors.New("the system allows neither namespaces nor Landlock: programs that decode what strangers sent are not run here")

// grace is how long a program's pipes may outlive it.
const grace = 5 * time.Second

const walled = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS

// Start starts c, made by [exec.CommandContext] and not started yet, within the
// limits. Its environment is empty unless c.Env says otherwise, its folder is
// the root. Whoever starts it waits for it: c.Wait.
func Start(c *exec.Cmd, l Limits) error {
	if c.Err != nil {
		return c.Err
	}
	if l.Memory == 0 || l.CPU == 0 || l.Files == 0 {
		return fmt.Errorf("run %s: memory, processor time and files need a bound each", c.Path)
	}
	missing := Walls()
	if errors.Is(missing, ErrOpen) {
		return fmt.Errorf("run %s: %w", c.Path, missing)
	}
	apart := !errors.Is(missing, errNoNamespaces)
	order, err := json.Marshal(launch{Program: c.Path, Arguments: c.Args, Limits: l, Apart: apart})
	if err != nil {
		return fmt.Errorf("run %s: %w", c.Path, err)
	}
	if c.Env == nil {
		c.Env = []string{}
	}
	c.Path, c.Args, c.Dir = "/proc/self/exe", []string{launcher, string(order)}, "/"
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if apart {
		c.SysProcAttr.Cloneflags = walled
	}
	if c.Cancel != nil { // the program and what it started
		c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	}
	if c.WaitDelay == 0 {
		c.WaitDelay = grace
	}
	return c.Start()
}

// Errors of [Walls], which may be joined.
var (
	errNoNamespaces = errors.New("no namespaces of their own for decoding programs: allow unprivileged user namespaces")
	errNoLandlock   = errors.New("no Landlock for decoding programs: they could read the service's files; use Linux 5.13 or later with Landlock in its list of security modules")
)

// Walls says which walls this system does not allow, each with what to do; nil
// means that all stand, [ErrOpen] that none does.
var Walls = sync.OnceValue(func() error {
	c := exec.Command("/proc/self/exe")
	c.Args, c.Env = []string{launcher, probe}, []string{}
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: walled}
	var missing []error
	if err := c.Run(); err != nil {
		missing = append(missing, fmt.Errorf("%w (%w)", errNoNamespaces, err))
	}
	if landlockVersion() < 1 {
		missing = append(missing, errNoLandlock)
	}
	if len(missing) == 2 {
		missing = append(missing, ErrOpen)
	}
	err := errors.Join(missing...)
	if err != nil {
		slog.Warn("programs that decode what strangers sent run behind fewer walls", "err", err)
	}
	return err
})
