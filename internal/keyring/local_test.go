package keyring_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	"kuule/internal/keyring/shares"
)

func TestLocalKeepsWhatAKeyringPromises(t *testing.T) {
	t.Parallel()
	keyringtest.Run(t, func(t testing.TB) keyring.Keyring { return keyringtest.Local(t) })
}

var (
	passphrase = keyring.NewSecret([]byte("correct horse"))
	someKey    = keyring.Key{Case: "cas_1", Kind: keyring.Records}
)

func create(t *testing.T) (string, *keyring.Local) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "ring")
	ring, err := keyring.CreateLocal(folder, passphrase, keyring.LeastCost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ring.Close() })
	if err := ring.Create(t.Context(), someKey); err != nil {
		t.Fatal(err)
	}
	return folder, ring
}

func TestRingOpensAgainWithItsPassphraseOnly(t *testing.T) {
	t.Parallel()
	folder, ring := create(t)
	wrapped, err := ring.Wrap(t.Context(), someKey, "c", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.OpenLocal(folder, passphrase); !errors.Is(err, keyring.ErrInUse) {
		t.Fatalf("second holder: got %v, want ErrInUse", err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.OpenLocal(folder, keyring.NewSecret([]byte("wrong"))); !errors.Is(err, keyring.ErrPassphrase) {
		t.Fatalf("wrong passphrase: got %v", err)
	}
	if _, err := keyring.OpenLocal(t.TempDir(), passphrase); !errors.Is(err, keyring.ErrNoKeyring) {
		t.Fatalf("empty folder: got %v", err)
	}
	if _, err := keyring.CreateLocal(folder, passphrase, keyring.LeastCost); !errors.Is(err, os.ErrExist) {
		t.Fatalf("create over a ring: got %v", err)
	}
	again, err := keyring.OpenLocal(folder, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.Unwrap(t.Context(), someKey, "c", wrapped); err != nil || string(got.Bytes()) != "x" {
		t.Fatalf("after reopening: %v", err)
	}
}

func TestCostOutOfBoundsIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := keyring.CreateLocal(t.TempDir(), passphrase, keyring.Cost{Time: 1, MemoryKiB: 1024, Threads: 1}); err == nil {
		t.Error("a ring was made that is cheap to guess")
	}
	folder, ring := create(t)
	_ = ring.Close()
	path := filepath.Join(folder, "root.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	huge := strings.Replace(string(text), `"memory_kib":8192`, `"memory_kib":4294967295`, 1)
	if err := os.WriteFile(path, []byte(huge), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.OpenLocal(folder, passphrase); err == nil || errors.Is(err, keyring.ErrPassphrase) {
		t.Errorf("a changed file could claim any memory: %v", err)
	}
}

func TestAKeysFilePutInAnothersPlaceDoesNotOpen(t *testing.T) {
	t.Parallel()
	folder, ring := create(t)
	other := keyring.Key{Case: "cas_2", Kind: keyring.Records}
	text, err := os.ReadFile(filepath.Join(folder, someKey.String()+".json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"as it is":      string(text),
		"with its name": strings.Replace(string(text), "cas_1", "cas_2", 1),
	} {
		if err := os.WriteFile(filepath.Join(folder, other.String()+".json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Wrap(t.Context(), other, "c", []byte("x")); err == nil {
			t.Errorf("%s: key of one case served another", name)
		}
	}
}

func TestDestroyLeavesNoVersionInTheFolder(t *testing.T) {
	t.Parallel()
	folder, ring := create(t)
	path := filepath.Join(folder, someKey.String()+".json")
	held, err := os.Open(path) // what forensics would find: the old blocks
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := ring.Destroy(t.Context(), someKey); err != nil {
		t.Fatal(err)
	}
	var old bytes.Buffer
	if _, err := old.ReadFrom(held); err != nil || len(bytes.Trim(old.Bytes(), "\x00")) != 0 {
		t.Errorf("old file still holds %d bytes, %v", old.Len(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "sealed") {
		t.Errorf("file holds %s, %v", text, err)
	}
}

func TestFilesAreClosedToOthers(t *testing.T) {
	t.Parallel()
	folder, _ := create(t)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

// Every right of every role, each alone: what is not given is refused.
func TestRolesHaveTheirRightsAndNoOther(t *testing.T) {
	t.Parallel()
	given := map[string]map[keyring.Kind]string{
		"door":      {keyring.Records: "create wrap datakey unwrap", keyring.Special: "create wrap datakey unwrap"},
		"recorder":  {keyring.Recording: "create wrap datakey"},
		"playback":  {keyring.Recording: "unwrap"},
		"sfu":       {},
		"authority": {},
		"":          {},
	}
	for role, kinds := range given {
		for _, kind := range []keyring.Kind{keyring.Records, keyring.Recording, keyring.Special} {
			t.Run(role+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				local := keyringtest.Local(t)
				key := keyring.Key{Case: "cas_1", Kind: kind}
				if err := local.Create(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				wrapped, err := local.Wrap(t.Context(), key, "c", []byte("x"))
				if err != nil {
					t.Fatal(err)
				}
				ring := keyring.Restrict(local, keyring.RightsOf(role))
				ctx := t.Context()
				attempts := []struct {
					name string
					do   func() error
				}{
					{"create", func() error { return ring.Create(ctx, keyring.Key{Case: "cas_new", Kind: kind}) }},
					{"wrap", func() error { _, err := ring.Wrap(ctx, key, "c", nil); return err }},
					{"datakey", func() error { _, _, err := ring.DataKey(ctx, key, "c"); return err }},
					{"unwrap", func() error { _, err := ring.Unwrap(ctx, key, "c", wrapped); return err }},
					{"rotate", func() error { return ring.Rotate(ctx, key) }},
					{"rewrap", func() error { _, err := ring.Rewrap(ctx, key, "c", wrapped); return err }},
					{"retire", func() error { return ring.Retire(ctx, key) }},
					{"destroy", func() error { _, err := ring.Destroy(ctx, key); return err }},
				}
				for _, attempt := range attempts {
					err := attempt.do()
					if strings.Contains(" "+kinds[kind]+" ", " "+attempt.name+" ") {
						if err != nil {
							t.Errorf("%s: %v", attempt.name, err)
						}
					} else if !errors.Is(err, keyring.ErrNotAllowed) {
						t.Errorf("%s: got %v, want ErrNotAllowed", attempt.name, err)
					}
				}
			})
		}
	}
}

func TestSecretCannotBePrinted(t *testing.T) {
	t.Parallel()
	secret := keyring.NewSecret([]byte("hunter2"))
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%+v %#v %s %x", secret, secret, &secret, secret), fmt.Sprint([]keyring.Secret{secret})} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("printed %q", text)
		}
	}
	if text, err := json.Marshal(map[string]any{"k": secret}); err == nil {
		t.Errorf("marshalled %s", text)
	}
	secret.Wipe()
	if bytes.Contains(secret.Bytes(), []byte("h")) {
		t.Error("wipe left something")
	}
}

func FuzzUnwrap(f *testing.F) {
	ring := keyringtest.Local(f)
	if err := ring.Create(f.Context(), someKey); err != nil {
		f.Fatal(err)
	}
	good, err := ring.Wrap(f.Context(), someKey, "c", []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("kuule:v01:AAAA")
	f.Add("kuule:v1:")
	f.Fuzz(func(t *testing.T, wrapped string) {
		if _, err := ring.Unwrap(t.Context(), someKey, "c", wrapped); err == nil && wrapped != good {
			t.Fatalf("%q opened", wrapped)
		}
	})
}

// The root key may be locked anew in another way; the keys stay what they are.
func TestALockIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	folder, ring := create(t)
	wrapped, err := ring.Wrap(t.Context(), someKey, "c", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	fresh := keyring.NewSecret([]byte("another passphrase"))
	if err := keyring.Relock(folder, keyring.ByPassphrase(passphrase, keyring.LeastCost), keyring.ByPassphrase(fresh, keyring.LeastCost)); !errors.Is(err, keyring.ErrInUse) {
		t.Errorf("while it is held: got %v", err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	secret[0] = 7
	all, err := shares.Split(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Relock(folder, keyring.ByPassphrase(passphrase, keyring.Cost{}), keyring.ByShares(keyring.NewSecret(secret))); err != nil {
		t.Fatal(err)
	}
	if method, err := keyring.MethodOf(folder); err != nil || method != keyring.MethodShares {
		t.Errorf("%s, %v", method, err)
	}
	if _, err := keyring.OpenLocal(folder, passphrase); !errors.Is(err, keyring.ErrLock) {
		t.Errorf("the old passphrase: got %v", err)
	}
	stranger, err := shares.Split(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{"first and third": {all[0], all[2]}, "of another ring": {stranger[0], stranger[1]}} {
		got, err := shares.Combine(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		again, err := keyring.OpenLocked(folder, keyring.ByShares(keyring.NewSecret(got)))
		if name == "of another ring" {
			if !errors.Is(err, keyring.ErrPassphrase) {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, err := again.Unwrap(t.Context(), someKey, "c", wrapped); err != nil || string(text.Bytes()) != "x" {
			t.Errorf("%s: %v", name, err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := keyring.CreateLocked(t.TempDir(), keyring.ByShares(keyring.NewSecret([]byte("short")))); err == nil {
		t.Error("a short secret was taken for shares")
	}
}
