package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test's own binary is the program in the sandbox: its first argument says
// what it tries.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if attempt, found := attempts[os.Args[1]]; found {
			if err := attempt(os.Args[2:]); err != nil {
				fmt.Println(err)
				os.Exit(3)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

var attempts = map[string]func([]string) error{
	"echo": func([]string) error {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	},
	"environment": func([]string) error {
		if e := os.Environ(); len(e) > 0 {
			return errors.New("there is an environment")
		}
		return nil
	},
	"connect": func(to []string) error {
		c, err := net.Dial("tcp", to[0])
		if err != nil {
			return err
		}
		return c.Close()
	},
	"datagram": func(to []string) error {
		c, err := net.Dial("udp", to[0])
		if err != nil {
			return err
		}
		_, err = c.Write([]byte("x"))
		return err
	},
	"read": func(paths []string) error {
		_, err := os.ReadFile(paths[0])
		return err
	},
	"write": func(paths []string) error { return os.WriteFile(paths[0], []byte("x"), 0o600) },
	"remove": func(paths []string) error {
		return os.Remove(paths[0])
	},
	"memory": func([]string) error {
		b := make([]byte, 3<<30)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		return nil
	},
	"spin": func([]string) error {
		for i := 0; ; i++ {
			if i < 0 {
				return errors.New("overflow")
			}
		}
	},
	"sleep": func([]string) error {
		time.Sleep(time.Hour)
		return nil
	},
	"descriptor": func(arguments []string) error { // writes that many bytes to descriptor 3
		n, err := strconv.Atoi(arguments[0])
		if err != nil {
			return err
		}
		_, err = os.NewFile(3, "3").Write(make([]byte, n))
		return err
	},
	"open": func(arguments []string) error { // opens that many files
		n, err := strconv.Atoi(arguments[0])
		if err != nil {
			return err
		}
		for range n {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return err
			}
		}
		return nil
	},
	"bomb": func([]string) error { // processes without an end, by each call there is
		var all []error
		for name, birth := range processes() {
			for range 100 {
				pid, err := birth()
				if err != 0 {
					all = append(all, fmt.Errorf("%s: %w", name, err))
					break
				}
				if pid == 0 {
					_ = unix.Nanosleep(&unix.Timespec{Sec: 2}, nil)
					unix.Exit(0)
				}
			}
		}
		if len(all) == 0 {
			return nil
		}
		return errors.Join(all...)
	},
	"program": func([]string) error { return exec.Command("/bin/true").Run() },
	"threads": func(arguments []string) error { // that many at once
		n, err := strconv.Atoi(arguments[0])
		if err != nil {
			return err
		}
		var at sync.WaitGroup
		release := make(chan struct{})
		for range n {
			at.Add(1)
			go func() {
				runtime.LockOSThread()
				at.Done()
				<-release
			}()
		}
		at.Wait()
		close(release)
		return nil
	},
	"signal": func(pid []string) error {
		n, err := strconv.Atoi(pid[0])
		if err != nil {
			return err
		}
		return syscall.Kill(n, 0)
	},
}

// processes are the calls that make a process, as a program could use them.
func processes() map[string]func() (uintptr, syscall.Errno) {
	call := func(number, a, b uintptr) func() (uintptr, syscall.Errno) {
		return func() (uintptr, syscall.Errno) {
			pid, _, err := syscall.RawSyscall(number, a, b, 0)
			return pid, err
		}
	}
	three := struct{ flags, pidfd, child, parent, signal, stack, size, tls uint64 }{signal: uint64(unix.SIGCHLD)}
	all := map[string]func() (uintptr, syscall.Errno){
		"clone": call(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0),
		"clone3": func() (uintptr, syscall.Errno) {
			pid, _, err := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&three)), unsafe.Sizeof(three), 0)
			return pid, err
		},
	}
	for _, number := range births {
		all[fmt.Sprint("call ", number)] = call(uintptr(number), 0, 0)
	}
	return all
}

var usual = Limits{Memory: 2 << 30, CPU: 20, File: 1 << 20, Files: 32}

// attempt runs this binary in a sandbox and returns what it said.
func attempt(t *testing.T, l Limits, extra []*os.File, what ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := exec.CommandContext(ctx, self, what...)
	c.Stdin, c.Stdout, c.Stderr, c.ExtraFiles = strings.NewReader("said"), &out, &out, extra
	if err := Start(c, l); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	if ctx.Err() != nil {
		t.Fatalf("%v did not end by itself", what)
	}
	return out.String(), err
}

func needAllWalls(t *testing.T) {
	t.Helper()
	if err := Walls(); err != nil {
		t.Skipf("this system does not allow all walls: %v", err)
	}
}

// A program does its work: pipes, its own memory, files that it was given.
func TestWhatAProgramMayDo(t *testing.T) {
	t.Parallel()
	given := filepath.Join(t.TempDir(), "model")
	if err := os.WriteFile(given, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := attempt(t, usual, nil, "echo"); err != nil || out != "said" {
		t.Errorf("echo: %q %v", out, err)
	}
	if out, err := attempt(t, usual, nil, "environment"); err != nil {
		t.Errorf("environment: %q %v", out, err)
	}
	l := usual
	l.Read = []string{given}
	if out, err := attempt(t, l, nil, "read", given); err != nil {
		t.Errorf("a file that it was given: %q %v", out, err)
	}
	if out, err := attempt(t, usual, []*os.File{memory(t)}, "descriptor", "1000"); err != nil {
		t.Errorf("a descriptor that it was given: %q %v", out, err)
	}
}

func memory(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "test")
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Each thing that a program must not do fails there, and works outside.
func TestWhatAProgramMayNotDo(t *testing.T) {
	t.Parallel()
	needAllWalls(t)
	folder := t.TempDir()
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	address := l.Addr().String()
	for name, what := range map[string][]string{
		"talks to a neighbour":     {"connect", address},
		"sends a datagram":         {"datagram", address},
		"reads another's file":     {"read", secret},
		"writes a file":            {"write", filepath.Join(folder, "new")},
		"writes over a file":       {"write", secret},
		"removes a file":           {"remove", secret},
		"reads the service's life": {"read", "/proc/" + strconv.Itoa(os.Getpid()) + "/environ"},
		"signals the service":      {"signal", strconv.Itoa(os.Getpid())},
	} {
		if out, err := attempt(t, usual, nil, what...); err == nil {
			t.Errorf("%s", name)
		} else if strings.Contains(out, "sandbox:") {
			t.Errorf("%s: the launcher failed: %s", name, out)
		}
	}
	for name, what := range map[string][]string{
		"connect": {"connect", address}, "datagram": {"datagram", address}, "read": {"read", secret}, "write": {"write", secret},
		"life": {"read", "/proc/" + strconv.Itoa(os.Getpid()) + "/environ"}, "signal": {"signal", strconv.Itoa(os.Getpid())},
	} {
		if err := attempts[what[0]](what[1:]); err != nil {
			t.Errorf("outside, %s: %v", name, err)
		}
	}
}

// Each bound ends what goes beyond it.
func TestBoundsEndAProgram(t *testing.T) {
	t.Parallel()
	with := func(change func(*Limits)) Limits {
		l := usual
		change(&l)
		return l
	}
	for name, c := range map[string]struct {
		limits Limits
		extra  bool
		what   []string
	}{
		"memory":         {usual, false, []string{"memory"}},
		"processor time": {with(func(l *Limits) { l.CPU = 1 }), false, []string{"spin"}},
		"output":         {usual, true, []string{"descriptor", "2000000"}},
		"no output":      {with(func(l *Limits) { l.File = 0 }), true, []string{"descriptor", "1"}},
		"open files":     {usual, false, []string{"open", "40"}},
	} {
		var extra []*os.File
		if c.extra {
			extra = append(extra, memory(t))
		}
		if out, err := attempt(t, c.limits, extra, c.what...); err == nil {
			t.Errorf("%s: no bound: %s", name, out)
		} else if strings.Contains(out, "sandbox:") {
			t.Errorf("%s: the launcher failed: %s", name, out)
		}
	}
}

// A program makes no process, by whatever call, and so no bomb of them; threads
// it has, as many as a decoder needs.
func TestAForkBombDoesNotBegin(t *testing.T) {
	t.Parallel()
	out, err := attempt(t, usual, nil, "bomb")
	if err == nil || strings.Contains(out, "sandbox:") {
		t.Fatalf("%v: %s", err, out)
	}
	for name := range processes() {
		if want := name + ": operation not permitted"; !strings.Contains(out, want) && !strings.Contains(out, name+": function not implemented") {
			t.Errorf("%s makes processes: %s", name, out)
		}
	}
	if out, err := attempt(t, usual, nil, "program"); err == nil || !strings.Contains(out, "not permitted") {
		t.Errorf("it started a program: %v %s", err, out)
	}
	roomy := usual
	roomy.Memory = 32 << 30 // each thread reserves addresses for its stack
	if out, err := attempt(t, roomy, nil, "threads", "40"); err != nil {
		t.Errorf("threads: %v %s", err, out)
	}
	if err := attempts["program"](nil); err != nil {
		t.Errorf("outside, a program: %v", err)
	}
}

// Threads are bounded too, each program's by itself, where the service is not root.
func TestThreadsAreBounded(t *testing.T) {
	t.Parallel()
	needAllWalls(t)
	if os.Getuid() == 0 {
		t.Skip("root's threads are not counted")
	}
	roomy := usual
	roomy.Memory = 1 << 40
	if out, err := attempt(t, roomy, nil, "threads", "2000"); err == nil || strings.Contains(out, "sandbox:") {
		t.Errorf("no bound: %v %s", err, out)
	}
}

// Who gives up waiting ends the program.
func TestGivingUpEndsTheProgram(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(ctx, self, "sleep")
	if err := Start(c, usual); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Wait(); err == nil {
		t.Error("it ended well")
	}
}

// What has no bound, or is not there, is not started.
func TestNothingWithoutBounds(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]Limits{
		"memory": {CPU: 1, Files: 1}, "processor time": {Memory: 1, Files: 1}, "files": {Memory: 1, CPU: 1},
	} {
		if err := Start(exec.Command("/bin/true"), l); err == nil {
			t.Errorf("without a bound of %s", name)
		}
	}
	if err := Start(exec.Command("no-such-program-anywhere"), usual); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a program that is not there: %v", err)
	}
}
