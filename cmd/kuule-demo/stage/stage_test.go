package stage

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A library of the installation flushes its log for as long as it lives.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"kuule", "kuule-agent", "kuule-kiosk"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// A folder that is somebody else's is not emptied; its own is, unless kept.
func TestOnlyItsOwnFolderIsEmptied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: dir, Bin: programs(t), BrowserUID: -1}
	if _, err := New(o); err == nil {
		t.Fatal("a folder that is not a demonstration's was taken")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, mark), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own folder was not made anew: %v", err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Parallel()
	bin := programs(t)
	if err := os.Remove(filepath.Join(bin, "kuule-agent")); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{Dir: t.TempDir(), Bin: bin})
	if err == nil || !strings.Contains(err.Error(), "kuule-agent") || !strings.Contains(err.Error(), "make build") {
		t.Errorf("%v", err)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if _, err := freePorts(port, portCount); err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) || !strings.Contains(err.Error(), "--port-base") {
		t.Errorf("%v", err)
	}
	if base, err := freePorts(0, portCount); err != nil || base == 0 {
		t.Errorf("%d %v", base, err)
	}
}

// What was started ends with everything that it started itself.
func TestStopEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	s := &Stage{o: Options{Dir: t.TempDir()}}
	if err := os.MkdirAll(s.logs(), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := s.start("shell", "/bin/sh", "-c", "sleep 300 & echo $!; wait")
	if err != nil {
		t.Fatal(err)
	}
	var child string
	ctx := t.Context()
	for deadline := time.Now().Add(30 * time.Second); child == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		child = strings.TrimSpace(string(text))
	}
	if len(s.Parts()) != 1 || !s.Parts()[0].Runs {
		t.Errorf("%+v", s.Parts())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + child + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s outlived its group", child)
		}
	}
	if err := p.until(ctx, func(context.Context) error { return errors.New("not ready") }); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("%v", err)
	}
}
