package renewal_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// L5: what was wrapped when is what authority counts a period from. Where nothing
// says when, as in a register or of a key from before times were noted, it is when it
// was first seen so, written down then: not knowing never makes a period shorter.
func TestWhatHasNoTimeCountsFromWhenItWasFirstSeen(t *testing.T) {
	t.Parallel()
	ctx, before := t.Context(), time.Now().Add(-time.Second)
	local := keyringtest.Local(t)
	ring, folder := over(t, local)
	last := func(r *renewal.Ring, key keyring.Key) time.Time {
		t.Helper()
		at, err := r.Last(ctx, key)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return at
	}
	again := func() *renewal.Ring {
		t.Helper()
		r, err := renewal.Over(local, folder)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	register := func(key keyring.Key) string { return filepath.Join(folder, key.String()+".wraps") }
	change := func(key keyring.Key, change func(m map[string]any)) {
		t.Helper()
		text, err := os.ReadFile(register(key))
		m := map[string]any{}
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err == nil {
			change(m)
			text, err = json.Marshal(m)
		}
		if err == nil {
			err = os.WriteFile(register(key), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	none := keyring.Key{Case: "cas_none", Kind: keyring.Records}
	if at := last(ring, none); !at.IsZero() {
		t.Errorf("no key: %s", at)
	}
	if _, err := os.Stat(register(none)); err == nil {
		t.Error("a register was made for no key")
	}

	// One that was made today and wrapped nothing yet.
	if err := ring.Create(ctx, key); err != nil {
		t.Fatal(err)
	}
	if at := last(ring, key); at.Before(before) {
		t.Errorf("made today: %s", at)
	}
	// A register that says nothing of time, with something in it or nothing.
	for name, texts := range map[string]int{"empty": 0, "one text": 1} {
		old := keyring.Key{Case: "cas_" + strings.Fields(name)[0], Kind: keyring.Recording}
		if err := ring.Create(ctx, old); err != nil {
			t.Fatal(err)
		}
		for range texts {
			if _, err := ring.Wrap(ctx, old, "rec_1", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		change(old, func(m map[string]any) {
			delete(m, "made")
			list, _ := m["texts"].([]any)
			for _, x := range list {
				delete(x.(map[string]any), "at")
			}
		})
		if at := last(again(), old); at.Before(before) {
			t.Errorf("%s: %s", name, at)
		}
		seen := time.Now().AddDate(-1, 0, 0).Truncate(time.Second)
		change(old, func(m map[string]any) {
			if m["seen"] == nil {
				t.Errorf("%s: it is not written down when it was seen", name)
			}
			m["seen"] = seen.Unix() // as if that had been a year ago
		})
		if at := last(again(), old); !at.Equal(seen) {
			t.Errorf("%s, seen a year ago: %s", name, at)
		}
		// What is wrapped from now on has its time.
		if _, err := again().Wrap(ctx, old, "rec_2", []byte("y")); err != nil {
			t.Fatal(err)
		}
		if at := last(again(), old); at.Before(before) {
			t.Errorf("%s, wrapped again: %s", name, at)
		}
	}
	// A key from before there were registers.
	older := keyring.Key{Case: "cas_older", Kind: keyring.Recording}
	if err := local.Create(ctx, older); err != nil {
		t.Fatal(err)
	}
	first := last(again(), older)
	if first.Before(before) {
		t.Errorf("without a register: %s", first)
	}
	change(older, func(m map[string]any) { m["seen"] = 5 })
	if at := last(again(), older); at.Unix() != 5 {
		t.Errorf("without a register, seen before: %s", at)
	}
	// What is destroyed has no period any more.
	if _, err := ring.Destroy(ctx, older); err != nil {
		t.Fatal(err)
	}
	if at := last(ring, older); !at.IsZero() {
		t.Errorf("destroyed: %s", at)
	}
	// A register that cannot be read says nothing: that is an error and no time.
	if err := os.WriteFile(register(key), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at, err := again().Last(ctx, key); err == nil {
		t.Errorf("damaged: %s", at)
	}
}
