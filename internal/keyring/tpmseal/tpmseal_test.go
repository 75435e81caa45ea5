package tpmseal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"kuule/internal/keyring"
	"kuule/internal/keyring/tpmseal"
)

// software starts a software TPM of its own.
func software(t *testing.T) (tpmseal.Device, string) {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm is not installed: apt-get install swtpm")
	}
	folder := t.TempDir()
	socket := filepath.Join(folder, "s")
	command := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+folder, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
	})
	return tpmseal.Device("unix:" + socket), socket
}

// try waits for the TPM to take connections; it serves one at a time.
func try(t *testing.T, do func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = do(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func TestWhatATPMSealedOpensThereAndInThatStateOnly(t *testing.T) {
	t.Parallel()
	device, socket := software(t)
	secret := []byte("0123456789abcdef0123456789abcdef")
	var kept []byte
	try(t, func() (err error) { kept, err = device.Seal(secret); return err })
	if bytes.Contains(kept, secret) {
		t.Fatal("the secret stands in what is kept")
	}
	try(t, func() error {
		got, err := device.Unseal(kept)
		if err == nil && !bytes.Equal(got, secret) {
			t.Fatalf("got %x", got)
		}
		return err
	})
	other, _ := software(t)
	try(t, func() error { _, err := other.Seal(secret); return err })
	try(t, func() error {
		if _, err := other.Unseal(kept); !errors.Is(err, tpmseal.ErrState) {
			return errors.Join(errors.New("another TPM opened it"), err)
		}
		return nil
	})
	// Another boot state.
	try(t, func() error {
		tpm, err := linuxudstpm.Open(socket)
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte("another loader"))
		_, err = tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(7), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: sum[:]}}},
		}.Execute(tpm)
		return errors.Join(err, tpm.Close())
	})
	try(t, func() error {
		if _, err := device.Unseal(kept); !errors.Is(err, tpmseal.ErrState) {
			return errors.Join(errors.New("opened in another state"), err)
		}
		return nil
	})
}

func TestARingLockedByTheTPM(t *testing.T) {
	t.Parallel()
	device, _ := software(t)
	try(t, func() error { _, err := device.Seal([]byte("x")); return err })
	folder := filepath.Join(t.TempDir(), "ring")
	ring, err := keyring.CreateLocked(folder, keyring.ByTPM(device))
	if err != nil {
		t.Fatal(err)
	}
	key := keyring.Key{Case: "cas_1", Kind: keyring.Records}
	if err := ring.Create(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := keyring.OpenLocked(folder, keyring.ByTPM(device))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Wrap(t.Context(), key, "c", nil); err != nil {
		t.Error(err)
	}
}

func FuzzUnseal(f *testing.F) {
	f.Add([]byte(`{"public": "AAAA", "private": "AAAA"}`))
	f.Fuzz(func(t *testing.T, kept []byte) {
		if _, err := tpmseal.Device("unix:/nonexistent").Unseal(kept); err == nil {
			t.Fatal("opened without a TPM")
		}
	})
}
