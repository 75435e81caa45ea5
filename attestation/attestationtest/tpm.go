package attestationtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/google/go-tpm/tpmutil"
)

const (
	setupTimeout = 2 * time.Minute // making a TPM computes RSA primes
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
	maxSocket    = 100 // of a path, in bytes; the kernel takes 107
)

// TPM is one software TPM: its state in a directory, and a process while it
// runs. It serves one client at a time; others wait.
type TPM struct {
	dir, socket string

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
}

// TPM opens the TPM whose state is in dir, making it on first use. It does not
// run yet.
func (m *Manufacturer) TPM(ctx context.Context, dir string) (*TPM, error) {
	t := &TPM{dir: dir, socket: filepath.Join(dir, "tpm.sock")}
	if len(t.socket) > maxSocket {
		return nil, fmt.Errorf("software TPM: path %s is too long for a socket", t.socket)
	}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		return t, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "swtpm_setup", "--tpm2", "--tpmstate", dir, "--overwrite",
		"--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--config", m.path("setup.conf")).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("swtpm_setup in %s: %w\n%s", dir, err, out)
	}
	return t, os.WriteFile(filepath.Join(dir, "made"), nil, 0o600)
}

// Socket is where the TPM is reached while it runs: what the agent takes as
// its TPM.
func (t *TPM) Socket() string { return t.socket }

// Start runs the TPM and returns when it answers.
func (t *TPM) Start(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.process != nil {
		return errors.New("software TPM: runs already")
	}
	if err := os.Remove(t.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+t.dir,
		"--server", "type=unixio,path="+t.socket, "--ctrl", "type=unixio,path="+t.socket+".c",
		"--flags", "not-need-init,startup-clear", "--log", "file="+filepath.Join(t.dir, "swtpm.log")+",level=1")
	// It must not outlive whoever started it, nor be hit by the terminal's Ctrl-C
	// before it was shut down.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("software TPM: %w", err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.process, t.exited = cmd, exited
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := t.ready(ctx); err != nil {
		t.kill()
		return fmt.Errorf("software TPM in %s: %w", t.dir, err)
	}
	return nil
}

// ready waits until the TPM answers, and lifts a lock-out that a crash may
// have left behind.
func (t *TPM) ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", t.socket); err == nil {
			_ = c.Close()
			break
		}
		select {
		case <-t.exited:
			return errors.New("swtpm ended at once: see swtpm.log there")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return t.Do(func(rw io.ReadWriter) error {
		return tpm2.DictionaryAttackLockReset(rw, tpm2.AuthCommand{Session: tpm2.HandlePasswordSession, Attributes: tpm2.AttrContinueSession})
	})
}

// Do runs f with a way to send commands; each takes a connection of its own.
func (t *TPM) Do(f func(io.ReadWriter) error) error {
	return f(tpmutil.NewEmulatorReadWriteCloser(t.socket))
}

// Extend measures data into a register, as firmware does when something else
// boots.
func (t *TPM) Extend(register int, digest [32]byte) error {
	return t.Do(func(rw io.ReadWriter) error {
		return tpm2.PCRExtend(rw, tpmutil.Handle(register), tpm2.AlgSHA256, digest[:], "")
	})
}

// Stop shuts the TPM down in order. Without that it would count the crash as an
// attack and after some lock itself.
func (t *TPM) Stop() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.process == nil {
		return nil
	}
	select {
	case <-t.exited:
		t.process = nil
		return nil
	default:
	}
	err := t.Do(func(rw io.ReadWriter) error { return tpm2.Shutdown(rw, tpm2.StartupClear) })
	_ = t.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.exited:
		t.process = nil
	case <-time.After(stopTimeout):
		t.kill()
	}
	if err != nil {
		return fmt.Errorf("shut down software TPM: %w", err)
	}
	return nil
}

func (t *TPM) kill() {
	_ = t.process.Process.Kill()
	<-t.exited
	t.process = nil
}
