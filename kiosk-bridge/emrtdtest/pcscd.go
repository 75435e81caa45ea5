package emrtdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrNoService says that this machine has no PC/SC service with a virtual reader,
// or none that this user may start; the message says what to do.
var ErrNoService = errors.New("no PC/SC service with a virtual reader")

// serviceSocket is where programs reach Debian's pcscd.
const serviceSocket = "/run/pcscd/pcscd.comm"

// Slots are where the virtual reader of Debian's vsmartcard-vpcd waits for cards,
// by the names that the PC/SC service gives its two slots.
var Slots = []struct{ Name, Address string }{
	{"Virtual PCD 00 00", "127.0.0.1:35963"},
	{"Virtual PCD 00 01", "127.0.0.1:35964"},
}

// StartService starts this machine's PC/SC service unless it answers, and returns
// when it does. There is one of it on a machine, and it is shared: stop ends only
// what was started here.
func StartService(ctx context.Context) (stop func(), err error) {
	if serviceAnswers() {
		return func() {}, nil
	}
	path, err := exec.LookPath("pcscd")
	if err != nil {
		path = "/usr/sbin/pcscd" // not on everybody's path
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: apt-get install pcscd vsmartcard-vpcd", ErrNoService)
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: it does not run, and only root can start it (systemctl start pcscd)", ErrNoService)
	}
	if err := os.MkdirAll(filepath.Dir(serviceSocket), 0o755); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(path, "--foreground")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start pcscd: %w", err)
	}
	over := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(over)
	}()
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-over:
		case <-time.After(5 * time.Second): // on a busy machine it may miss the signal while its reader waits
			_ = cmd.Process.Kill()
			<-over
		}
	}
	for !serviceAnswers() {
		select {
		case <-over:
			return nil, fmt.Errorf("pcscd ended: %s", said.String())
		case <-ctx.Done():
			stop()
			return nil, fmt.Errorf("pcscd does not answer: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return stop, nil
}

func serviceAnswers() bool {
	conn, err := net.DialTimeout("unix", serviceSocket, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
