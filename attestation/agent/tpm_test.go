package agent

import (
	"crypto/sha256"
	"os"
	"testing"

	"github.com/google/go-attestation/attest"

	"kuule/attestation/attestationtest"
)

// A program that was killed leaves its objects in a TPM without a resource
// manager; the next one still finds room.
func TestLeftoversAreFlushed(t *testing.T) {
	t.Parallel()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	m, err := attestationtest.NewManufacturer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ktpm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	soft, err := m.TPM(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := soft.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := soft.Stop(); err != nil {
			t.Error(err)
		}
	}()
	c, err := openChip(soft.Socket())
	if err != nil {
		t.Fatal(err)
	}
	leak := func(tpm *attest.TPM) error { _, err := tpm.NewAK(nil); return err }
	full := false
	for range 8 {
		if c.do(leak) != nil {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("the TPM never ran out of room, so the test shows nothing")
	}
	if err := c.flush(); err != nil {
		t.Fatal(err)
	}
	blob, _, err := c.newAttestationKey()
	if err != nil {
		t.Fatal(err)
	}
	// The agent's own operations leave nothing behind, however many they are.
	key, err := c.newDeviceKey(blob, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := c.quote(blob, make([]byte, 32), []int{0}); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(nil)
		if _, err := key.key.Sign(nil, sum[:], nil); err != nil {
			t.Fatal(err)
		}
	}
}
