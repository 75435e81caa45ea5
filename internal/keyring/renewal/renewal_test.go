package renewal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	"kuule/internal/keyring/renewal"
)

var key = keyring.Key{Case: "cas_1", Kind: keyring.Recording}

func over(t testing.TB, ring keyring.Keyring) (*renewal.Ring, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "wraps")
	r, err := renewal.Over(ring, folder)
	if err != nil {
		t.Fatal(err)
	}
	return r, folder
}

func TestARingWithARegisterKeepsWhatAKeyringPromises(t *testing.T) {
	t.Parallel()
	keyringtest.Run(t, func(t testing.TB) keyring.Keyring {
		ring, _ := over(t, keyringtest.Local(t))
		return ring
	})
}

// Keys rotate without encrypting media anew: what was first given out goes on
// opening, although its version is gone.
func TestTextsGivenOutLongAgoOpenAfterTheirVersionIsRetired(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	local := keyringtest.Local(t)
	ring, folder := over(t, local)
	if err := ring.Create(ctx, key); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, bound := range []string{"rec_1", "rec_2"} {
		text, err := ring.Wrap(ctx, key, bound, []byte("data key of "+bound))
		if err != nil {
			t.Fatal(err)
		}
		texts[bound] = text
	}
	_, sealed, err := ring.DataKey(ctx, key, "rec_3")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		report, err := ring.Renew(ctx, key, true)
		if err != nil || report.Texts != 3 || !report.Retired {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	if _, err := local.Unwrap(ctx, key, "rec_1", texts["rec_1"]); !errors.Is(err, keyring.ErrRetired) {
		t.Fatalf("the old version still opens: %v", err)
	}
	again, err := renewal.Over(local, folder) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	for bound, text := range texts {
		got, err := again.Unwrap(ctx, key, bound, text)
		if err != nil || string(got.Bytes()) != "data key of "+bound {
			t.Errorf("%s: %v", bound, err)
		}
	}
	if _, err := again.Unwrap(ctx, key, "rec_3", sealed); err != nil {
		t.Error(err)
	}
	if _, err := again.Unwrap(ctx, key, "rec_2", texts["rec_1"]); !errors.Is(err, keyring.ErrUnwrap) {
		t.Errorf("in another context: got %v", err)
	}
	if keys, err := again.Keys(); err != nil || len(keys) != 1 || keys[0] != key {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := again.Destroy(ctx, key); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("%d registers of a destroyed key, %v", len(entries), err)
	}
}

func TestOldVersionsStayWhileAnyTextNeedsThem(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	local := keyringtest.Local(t)
	// A key from before there was a register.
	if err := local.Create(ctx, key); err != nil {
		t.Fatal(err)
	}
	unknown, err := local.Wrap(ctx, key, "rec_0", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	ring, folder := over(t, local)
	if _, err := ring.Wrap(ctx, key, "rec_1", []byte("y")); err != nil {
		t.Fatal(err)
	}
	if report, err := ring.Renew(ctx, key, true); !errors.Is(err, renewal.ErrIncomplete) || report.Retired {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := ring.Unwrap(ctx, key, "rec_0", unknown); err != nil {
		t.Errorf("a text that was not registered: %v", err)
	}
	// A text that does not rewrap is named, and the others are renewed.
	path := filepath.Join(folder, key.String()+".wraps")
	reg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := strings.Replace(strings.Replace(string(reg), `"whole":false`, `"whole":true`, 1), `"rec_1"`, `"rec_9"`, 1)
	if err := os.WriteFile(path, []byte(spoiled), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Wrap(ctx, key, "rec_2", []byte("z")); err != nil {
		t.Fatal(err)
	}
	report, err := ring.Renew(ctx, key, true)
	if !errors.Is(err, renewal.ErrFailed) || report.Retired || report.Texts != 1 || len(report.Failed) != 1 || report.Failed[0] != "rec_9" {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := ring.Unwrap(ctx, key, "rec_0", unknown); err != nil {
		t.Errorf("an old version ended although a text needs it: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Unwrap(ctx, key, "rec_0", unknown); err == nil || errors.Is(err, keyring.ErrUnwrap) {
		t.Errorf("damaged register: got %v", err)
	}
}
