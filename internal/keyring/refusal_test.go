package keyring_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"kuule/internal/keyring"
)

// H2: a passphrase that is wrong says so, and leaves the keyring as it was, byte for
// byte: to open it, to lock it anew, or to make another in its place.
func TestAWrongPassphraseChangesNothing(t *testing.T) {
	t.Parallel()
	folder, ring := create(t)
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	files := func() map[string][]byte {
		out := map[string][]byte{}
		err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			out[path], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := files()
	for _, wrong := range []string{"", "wrong", "correct horse batterx", string(bytes.Repeat([]byte("x"), 4096))} {
		secret := func() keyring.Secret { return keyring.NewSecret([]byte(wrong)) }
		if _, err := keyring.OpenLocal(folder, secret()); !errors.Is(err, keyring.ErrPassphrase) {
			t.Errorf("%.10q opens: %v", wrong, err)
		}
		from, to := keyring.ByPassphrase(secret(), keyring.LeastCost), keyring.ByPassphrase(keyring.NewSecret([]byte("another horse")), keyring.LeastCost)
		if err := keyring.Relock(folder, from, to); err == nil {
			t.Errorf("%.10q locks anew", wrong)
		}
		if _, err := keyring.CreateLocal(folder, secret(), keyring.LeastCost); err == nil || wrong != "" && !errors.Is(err, os.ErrExist) {
			t.Errorf("%.10q makes another: %v", wrong, err)
		}
	}
	after := files()
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	for path, text := range before {
		if !bytes.Equal(text, after[path]) {
			t.Errorf("%s changed", path)
		}
	}
	again, err := keyring.OpenLocal(folder, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
