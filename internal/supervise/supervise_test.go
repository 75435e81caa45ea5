package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary is the one binary: with an argument that starts with "child:"
// it behaves as a process of the installation.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "child:") {
		os.Exit(behave(strings.TrimPrefix(os.Args[1], "child:")))
	}
	goleak.VerifyTestMain(m)
}

func behave(how string) int {
	if how == "supervisor" { // one that will be killed
		s, err := New(Options{Output: os.Stdout, OnChange: func(_ string, state State, pid int) {
			if state == Ready {
				fmt.Println("pid", pid)
			}
		}})
		if err != nil {
			return 1
		}
		_ = s.Run(context.Background(), Process{Name: "a", Arguments: []string{"child:stubborn"}})
		return 0
	}
	secret, ready, err := Inherit()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGTERM)
	switch how {
	case "broken":
		fmt.Println("cannot open my port")
		return 3
	case "silent":
		<-ended
		return 0
	case "stubborn":
		signal.Ignore(unix.SIGTERM)
	case "parent": // leaves a grandchild behind that ignores being asked
		grandchild := exec.Command("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
		if err := grandchild.Start(); err != nil {
			return 1
		}
		fmt.Println("grandchild", grandchild.Process.Pid)
	}
	fmt.Printf("secret %s, arguments %s\n", secret, os.Args[1:])
	fmt.Println("environment", os.Environ())
	if err := ready(); err != nil {
		return 1
	}
	<-ended
	return 0
}

// world watches a supervisor.
type world struct {
	t          *testing.T
	supervisor *Supervisor
	events     chan event
	output     *lockedBuffer
}

type event struct {
	name  string
	state State
	pid   int
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, events: make(chan event, 64), output: &lockedBuffer{}}
	s, err := New(Options{
		Output: w.output, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Grace: 300 * time.Millisecond, ReadyTime: 20 * time.Second,
		OnChange: func(name string, state State, pid int) { w.events <- event{name, state, pid} },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.supervisor = s
	return w
}

// run starts the processes and returns how to stop them.
func (w *world) run(processes ...Process) (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.supervisor.Run(ctx, processes...) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-ended })
		return result
	}
	w.t.Cleanup(func() { _ = stop() })
	return stop
}

func (w *world) await(name string, state State) int {
	w.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case e := <-w.events:
			if e.name == name && e.state == state {
				return e.pid
			}
		case <-timeout:
			w.t.Fatalf("%s was never %s; output:\n%s", name, state, w.output)
		}
	}
}

// printed waits until a child has printed the text and returns what follows it:
// output and readiness come through pipes of their own, in no order.
func (w *world) printed(text string) string {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, rest, found := strings.Cut(w.output.String(), text); found {
			return rest
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%q was never printed; output:\n%s", text, w.output)
		}
	}
}

func wantGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !errors.Is(unix.Kill(pid, 0), unix.ESRCH) && !zombie(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// zombie says that a process has ended and only waits for init to notice.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestKilledProcessIsStartedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(Process{Name: "recorder", Arguments: []string{"child:plain"}})
	pid := w.await("recorder", Ready)
	for range 2 {
		begun := time.Now()
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		next := w.await("recorder", Ready)
		if next == pid {
			t.Fatal("the same process")
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("back after %v", took)
		}
		pid = next
	}
}

func TestStopEndsAllInReverseOrderAlsoThoseWhoDoNotListen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run(
		Process{Name: "door", Arguments: []string{"child:plain"}},
		Process{Name: "sfu", Arguments: []string{"child:stubborn"}},
		Process{Name: "recorder", Arguments: []string{"child:parent"}},
	)
	pids := []int{w.await("door", Ready), w.await("sfu", Ready), w.await("recorder", Ready)}
	number, _, _ := strings.Cut(w.printed("grandchild "), "\n")
	grandchild, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range append(pids, grandchild) {
		wantGone(t, pid)
	}
	var order []string
	for len(w.events) > 0 {
		if e := <-w.events; e.state == Ended {
			order = append(order, e.name)
		}
	}
	if got := strings.Join(order, " "); got != "recorder sfu door" {
		t.Errorf("stopped in the order %s", got)
	}
}

func TestSecretComesThroughThePipeAndNowhereElse(t *testing.T) {
	t.Setenv("KUULE_PASSPHRASE", "hunter2")
	w := newWorld(t)
	stop := w.run(Process{Name: "authority", Arguments: []string{"child:plain"}, Secret: []byte("s3cret")})
	pid := w.await("authority", Ready)
	for _, file := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil || bytes.Contains(text, []byte("s3cret")) || bytes.Contains(text, []byte("hunter2")) {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if out := w.output.String(); !strings.Contains(out, "authority  | secret s3cret, arguments [child:plain]\n") || strings.Contains(out, "hunter2") {
		t.Errorf("output: %s", out)
	}
	if _, err := w.supervisor.start(Process{Name: "x", Secret: make([]byte, MaxSecret+1)}); err == nil {
		t.Error("secret larger than the pipe was taken")
	}
}

func TestFirstStartThatFailsIsSaidAndLeavesNothing(t *testing.T) {
	t.Parallel()
	cases := map[string]Process{
		"ends before it is ready": {Name: "bad", Arguments: []string{"child:broken"}},
		"never ready":             {Name: "bad", Arguments: []string{"child:silent"}},
		"unknown user":            {Name: "bad", Arguments: []string{"child:plain"}, User: "no-such-user-here"},
	}
	for name, bad := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if bad.User != "" && os.Geteuid() != 0 {
				t.Skip("users are changed by root only")
			}
			w := newWorld(t)
			if name == "never ready" {
				w.supervisor.readyTime = 500 * time.Millisecond
			}
			err := w.supervisor.Run(t.Context(), Process{Name: "door", Arguments: []string{"child:plain"}}, bad)
			if err == nil || !strings.Contains(err.Error(), "start bad") {
				t.Fatalf("got %v", err)
			}
			for len(w.events) > 0 {
				if e := <-w.events; e.state == Started {
					wantGone(t, e.pid)
				}
			}
		})
	}
}

func TestProcessRunsUnderItsUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("users are changed by root only")
	}
	// The test binary lies in a folder that others may not enter: hand it over
	// in one that they may.
	folder, err := os.MkdirTemp("", "supervise")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder+"/kuule", binary, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.supervisor.executable = folder + "/kuule"
	w.run(Process{Name: "sfu", Arguments: []string{"child:plain"}, User: "nobody"})
	pid := w.await("sfu", Ready)
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == 0 {
		t.Error("still root")
	}
}

func TestShortLivedProcessEndsByItselfByStopByItsContextAndWithTheSupervisor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run()
	viewing := Process{Name: "playback", Arguments: []string{"child:stubborn"}}
	spawn := func(ctx context.Context) (*Task, int) {
		task, err := w.supervisor.Spawn(ctx, viewing)
		if err != nil {
			t.Fatal(err)
		}
		return task, w.await("playback", Ready)
	}
	byStop, first := spawn(t.Context())
	byStop.Stop()
	wantGone(t, first)

	ctx, cancel := context.WithCancel(t.Context())
	byContext, second := spawn(ctx)
	cancel()
	<-byContext.Done()
	wantGone(t, second)

	killed, third := spawn(t.Context())
	if err := unix.Kill(third, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-killed.Done()

	_, fourth := spawn(t.Context())
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	wantGone(t, fourth)
	if _, err := w.supervisor.Spawn(t.Context(), viewing); !errors.Is(err, ErrStopped) {
		t.Errorf("after the stop: got %v", err)
	}
}

func TestChildrenOfAKilledSupervisorDie(t *testing.T) {
	t.Parallel()
	supervisor := exec.Command(os.Args[0], "child:supervisor")
	output, err := supervisor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	// Its output goes on until its child, which holds nothing of it, is ready.
	pid := 0
	line := make([]byte, 0, 256)
	for pid == 0 {
		one := make([]byte, 1)
		if _, err := output.Read(one); err != nil {
			t.Fatalf("supervisor ended: %v", err)
		}
		if one[0] != '\n' {
			line = append(line, one[0])
			continue
		}
		if number, ok := strings.CutPrefix(string(line), "pid "); ok {
			pid, _ = strconv.Atoi(number)
		}
		line = line[:0]
	}
	if err := supervisor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = supervisor.Wait()
	wantGone(t, pid)
}

func TestByHandThereIsNothingToInherit(t *testing.T) {
	t.Parallel()
	if _, _, err := Inherit(); !errors.Is(err, ErrNotSupervised) {
		t.Fatalf("got %v", err)
	}
}
