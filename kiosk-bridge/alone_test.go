package kioskbridge_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// aloneVariable marks the process that this test starts in a network namespace
// of its own.
const aloneVariable = "KUULE_TEST_ALONE"

// Promise 8, B9, B20: bridge and kiosk in a network namespace that has nothing but its
// loopback: a whole visit, with chip, face, search and ticket, ends as it does
// elsewhere, and nobody so much as tried to send a packet out of the house. No
// issuing state, and nobody else, is asked anything.
func TestNothingLeavesTheHouse(t *testing.T) {
	if os.Getenv(aloneVariable) != "" {
		insideAlone(t)
		return
	}
	command := exec.Command(os.Args[0], "-test.run=^TestNothingLeavesTheHouse$", "-test.v")
	command.Env = append(os.Environ(), aloneVariable+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := command.CombinedOutput()
	var ran *exec.ExitError
	if err != nil && !errors.As(err, &ran) {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "packets went over the loopback") {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "packets") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

func insideAlone(t *testing.T) {
	raiseLoopback(t)
	before := counters(t)
	w := newWorld(t, (&engine{finding: claims, living: isThere}).into)
	out, err := w.visit(with(w.passport(emrtdtest.WithAll)), tunnel.ServiceInterview)
	if err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("%+v %v", out, err)
	}
	after := counters(t)
	sent, loop := after["Ip OutRequests"]-before["Ip OutRequests"], after["lo"]-before["lo"]
	t.Logf("%d packets were sent, %d packets went over the loopback", sent, loop)
	if loop == 0 || sent > loop {
		t.Errorf("%d packets were sent, %d of them over the loopback", sent, loop)
	}
	for _, name := range []string{"Ip OutNoRoutes", "Udp OutDatagrams", "other interfaces"} {
		if n := after[name] - before[name]; n != 0 {
			t.Errorf("%s: %d", name, n)
		}
	}
	// The counters can count: a packet to the outside is seen to be tried.
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err == nil {
		_ = unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 1}})
		_ = unix.Close(fd)
	}
	if tried := counters(t); tried["Ip OutNoRoutes"] == after["Ip OutNoRoutes"] {
		t.Error("a packet to the outside was not counted: the test proves nothing")
	}
}

func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		t.Fatal(err)
	}
}

// counters are the kernel's of this namespace: what IP and UDP sent, and what
// each interface did.
func counters(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{"other interfaces": 0}
	read := func(path string, each func(fields []string)) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		for s := bufio.NewScanner(f); s.Scan(); {
			each(strings.Fields(strings.Replace(s.Text(), ":", " ", 1)))
		}
	}
	heads := map[string][]string{}
	read("/proc/self/net/snmp", func(fields []string) {
		name := fields[0]
		if heads[name] == nil {
			heads[name] = fields
			return
		}
		for i, text := range fields[1:] {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				out[name+" "+heads[name][i+1]] = n
			}
		}
	})
	read("/proc/self/net/dev", func(fields []string) {
		if len(fields) < 11 || strings.Contains(fields[0], "|") {
			return
		}
		if n, err := strconv.ParseInt(fields[10], 10, 64); err == nil { // packets sent
			if fields[0] == "lo" {
				out["lo"] = n
			} else {
				out["other interfaces"] += n
			}
		}
	})
	return out
}
