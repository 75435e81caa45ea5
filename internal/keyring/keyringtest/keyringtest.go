package keyringtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kuule/internal/keyring"
)

// Local makes an empty local ring that is closed with the test.
func Local(t testing.TB) *keyring.Local {
	t.Helper()
	ring, err := keyring.CreateLocal(t.TempDir(), keyring.NewSecret([]byte("correct horse")), keyring.LeastCost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	return ring
}

// Run checks a backend. fresh gives an empty ring each time.
func Run(t *testing.T, fresh func(t testing.TB) keyring.Keyring) {
	key := keyring.Key{Case: "cas_1", Kind: keyring.Recording}
	ready := func(t *testing.T) keyring.Keyring {
		ring := fresh(t)
		if err := ring.Create(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		return ring
	}
	wrap := func(t *testing.T, ring keyring.Keyring, context, text string) string {
		wrapped, err := ring.Wrap(t.Context(), key, context, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return wrapped
	}
	wantOpens := func(t *testing.T, ring keyring.Keyring, context, wrapped, text string) {
		t.Helper()
		got, err := ring.Unwrap(t.Context(), key, context, wrapped)
		if err != nil || string(got.Bytes()) != text {
			t.Fatalf("got %d bytes, %v", len(got.Bytes()), err)
		}
	}

	t.Run("what was wrapped opens, empty too", func(t *testing.T) {
		ring := ready(t)
		for _, text := range []string{"a secret", ""} {
			wantOpens(t, ring, "rec_1", wrap(t, ring, "rec_1", text), text)
		}
		first, second := wrap(t, ring, "rec_1", "same"), wrap(t, ring, "rec_1", "same")
		if first == second {
			t.Error("equal plaintexts have equal wraps")
		}
	})
	t.Run("a wrap opens only in its place", func(t *testing.T) {
		ring := ready(t)
		wrapped := wrap(t, ring, "rec_1", "a secret")
		other := keyring.Key{Case: "cas_2", Kind: keyring.Recording}
		sibling := keyring.Key{Case: "cas_1", Kind: keyring.Records}
		for _, k := range []keyring.Key{other, sibling} {
			if err := ring.Create(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		last := "A"
		if strings.HasSuffix(wrapped, "A") {
			last = "Q"
		}
		cases := []struct {
			name             string
			key              keyring.Key
			context, wrapped string
		}{
			{"other context", key, "rec_2", wrapped},
			{"other case", other, "rec_1", wrapped},
			{"other kind", sibling, "rec_1", wrapped},
			{"changed", key, "rec_1", wrapped[:len(wrapped)-1] + last},
			{"cut", key, "rec_1", wrapped[:len(wrapped)-4]},
			{"later version", key, "rec_1", strings.Replace(wrapped, "v1", "v2", 1)},
			{"empty", key, "rec_1", ""},
		}
		for _, c := range cases {
			if _, err := ring.Unwrap(t.Context(), c.key, c.context, c.wrapped); !errors.Is(err, keyring.ErrUnwrap) {
				t.Errorf("%s: got %v, want ErrUnwrap", c.name, err)
			}
		}
	})
	t.Run("no context, no wrap", func(t *testing.T) {
		ring := ready(t)
		if _, err := ring.Wrap(t.Context(), key, "", []byte("x")); err == nil {
			t.Error("wrapped without a context")
		}
		if _, err := ring.Wrap(t.Context(), key, "rec_1", make([]byte, keyring.MaxPlaintext+1)); err == nil {
			t.Error("wrapped more than allowed")
		}
	})
	t.Run("a data key is fresh and its wrap opens to it", func(t *testing.T) {
		ring := ready(t)
		first, wrapped, err := ring.DataKey(t.Context(), key, "rec_1")
		if err != nil || len(first.Bytes()) != 32 {
			t.Fatalf("got %d bytes, %v", len(first.Bytes()), err)
		}
		wantOpens(t, ring, "rec_1", wrapped, string(first.Bytes()))
		second, _, err := ring.DataKey(t.Context(), key, "rec_1")
		if err != nil || bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("second data key: %v", err)
		}
	})
	t.Run("after a rotation old and new open, and a rewrap moves to the new", func(t *testing.T) {
		ring := ready(t)
		old := wrap(t, ring, "rec_1", "a secret")
		if err := ring.Rotate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		wantOpens(t, ring, "rec_1", old, "a secret")
		renewed, err := ring.Rewrap(t.Context(), key, "rec_1", old)
		if err != nil || renewed == old {
			t.Fatalf("rewrap: %v", err)
		}
		wantOpens(t, ring, "rec_1", renewed, "a secret")
		if _, err := ring.Rewrap(t.Context(), key, "rec_2", old); !errors.Is(err, keyring.ErrUnwrap) {
			t.Errorf("rewrap in another context: got %v", err)
		}
	})
	t.Run("a retired version opens nothing, the newest all that was rewrapped", func(t *testing.T) {
		ring := ready(t)
		old := wrap(t, ring, "rec_1", "a secret")
		if err := ring.Rotate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		renewed, err := ring.Rewrap(t.Context(), key, "rec_1", old)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // again changes nothing
			if err := ring.Retire(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		wantOpens(t, ring, "rec_1", renewed, "a secret")
		if _, err := ring.Unwrap(t.Context(), key, "rec_1", old); !errors.Is(err, keyring.ErrRetired) || !errors.Is(err, keyring.ErrUnwrap) {
			t.Errorf("unwrap of a retired version: got %v, want ErrRetired", err)
		}
		if _, err := ring.Rewrap(t.Context(), key, "rec_1", old); !errors.Is(err, keyring.ErrRetired) {
			t.Errorf("rewrap of a retired version: got %v, want ErrRetired", err)
		}
		wantOpens(t, ring, "rec_1", wrap(t, ring, "rec_1", "a new one"), "a new one")
		proof, err := ring.Destroy(t.Context(), key)
		if err != nil || len(proof.Versions) != 2 {
			t.Errorf("proof %+v, %v; want both versions", proof, err)
		}
	})
	t.Run("a destroyed key is gone with all that it sealed, and stays so", func(t *testing.T) {
		ring := ready(t)
		wrapped := wrap(t, ring, "rec_1", "a secret")
		if err := ring.Rotate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		proof, err := ring.Destroy(t.Context(), key)
		if err != nil || proof.Key != key || len(proof.Versions) != 2 || time.Since(proof.DestroyedAt).Abs() > time.Minute {
			t.Fatalf("proof %+v, %v", proof, err)
		}
		again, err := ring.Destroy(t.Context(), key)
		if err != nil || !again.DestroyedAt.Equal(proof.DestroyedAt) || !slices.Equal(again.Versions, proof.Versions) {
			t.Fatalf("second proof %+v, %v; want the first", again, err)
		}
		_, unwrapping := ring.Unwrap(t.Context(), key, "rec_1", wrapped)
		_, wrapping := ring.Wrap(t.Context(), key, "rec_1", nil)
		for name, err := range map[string]error{
			"unwrap": unwrapping, "wrap": wrapping,
			"rotate": ring.Rotate(t.Context(), key), "create": ring.Create(t.Context(), key),
			"retire": ring.Retire(t.Context(), key),
		} {
			if !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("%s: got %v, want ErrDestroyed", name, err)
			}
		}
	})
	t.Run("of a batch each item has its own outcome", func(t *testing.T) {
		ring := ready(t)
		items := []keyring.Wrapped{
			{Context: "rec_1", Text: wrap(t, ring, "rec_1", "first")},
			{Context: "rec_2", Text: wrap(t, ring, "rec_1", "bound elsewhere")},
			{Context: "rec_3", Text: "no wrapped text"},
			{Context: "rec_4", Text: wrap(t, ring, "rec_4", "last")},
		}
		if err := ring.Rotate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		for range 2 { // what was rewrapped is rewrapped again
			done, err := keyring.RewrapAll(t.Context(), ring, key, items)
			if err != nil || len(done) != len(items) {
				t.Fatalf("%d of %d, %v", len(done), len(items), err)
			}
			for i, want := range []string{"first", "", "", "last"} {
				if want == "" {
					if !errors.Is(done[i].Err, keyring.ErrUnwrap) || done[i].Text != "" {
						t.Errorf("item %d: got %q, %v", i, done[i].Text, done[i].Err)
					}
					continue
				}
				if done[i].Err != nil {
					t.Fatalf("item %d: %v", i, done[i].Err)
				}
				wantOpens(t, ring, items[i].Context, done[i].Text, want)
				items[i].Text = done[i].Text
			}
		}
		bad, err := keyring.RewrapAll(t.Context(), ring, key, items[1:3])
		if err != nil || bad[0].Err == nil || bad[1].Err == nil {
			t.Errorf("a batch of nothing good: %+v, %v", bad, err)
		}
	})
	t.Run("a signing key stays the same and signs", func(t *testing.T) {
		ring := fresh(t)
		signing, ok := ring.(keyring.Signing)
		if !ok {
			t.Fatal("the ring keeps no signing keys")
		}
		digest := sha256.Sum256([]byte("what is signed"))
		var public *ecdsa.PublicKey
		for range 2 {
			signer, err := signing.Signer(t.Context(), "sealing")
			if err != nil {
				t.Fatal(err)
			}
			key, ok := signer.Public().(*ecdsa.PublicKey)
			if !ok || key.Curve != elliptic.P256() || (public != nil && !key.Equal(public)) {
				t.Fatalf("public half is %T, or another one", signer.Public())
			}
			public = key
			signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil || !ecdsa.VerifyASN1(public, digest[:], signature) {
				t.Fatalf("signature: %v", err)
			}
		}
		// A rotated key: the newest signs from now on, the version before still does
		// for whoever asks for it, and each by its own public half.
		if err := signing.RotateSigner(t.Context(), "sealing"); err != nil {
			t.Fatal(err)
		}
		all, err := signing.Signers(t.Context(), "sealing")
		if err != nil || len(all) != 2 || public.Equal(all[0].Public()) || !public.Equal(all[1].Public()) {
			t.Fatalf("%d versions, %v", len(all), err)
		}
		for i, version := range all {
			signature, err := version.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			for j, of := range all {
				if key, _ := of.Public().(*ecdsa.PublicKey); ecdsa.VerifyASN1(key, digest[:], signature) != (i == j) {
					t.Errorf("version %d's signature under version %d's key", i, j)
				}
			}
		}
		if newest, err := signing.Signer(t.Context(), "sealing"); err != nil || !all[0].Public().(*ecdsa.PublicKey).Equal(newest.Public()) {
			t.Errorf("the newest: %v", err)
		}
		if err := signing.RotateSigner(t.Context(), "never-made"); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("a key that is none: %v", err)
		}
		if other, err := signing.Signer(t.Context(), "other"); err != nil || public.Equal(other.Public()) {
			t.Errorf("another name's key: %v", err)
		}
		if _, err := signing.Signer(t.Context(), "../x"); err == nil {
			t.Error("a path was taken for a name")
		}
	})
	t.Run("keys that do not exist, exist already or have no proper name", func(t *testing.T) {
		ring := ready(t)
		if err := ring.Create(t.Context(), key); !errors.Is(err, keyring.ErrExists) {
			t.Errorf("second create: got %v", err)
		}
		if _, err := ring.Wrap(t.Context(), keyring.Key{Case: "cas_9", Kind: keyring.Records}, "c", nil); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("no key: got %v", err)
		}
		if _, err := ring.Unwrap(t.Context(), keyring.Key{Case: "cas_9", Kind: keyring.Records}, "c", "vault:v1:AAAA"); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("no key to unwrap with: got %v", err)
		}
		for _, bad := range []keyring.Key{{}, {Case: "../root", Kind: keyring.Records}, {Case: "cas_1", Kind: "other"}, {Case: "a|b", Kind: keyring.Records}} {
			if err := ring.Create(t.Context(), bad); err == nil {
				t.Errorf("created key %q", bad)
			}
		}
	})
	t.Run("many callers at once", func(t *testing.T) {
		ring := ready(t)
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				context := fmt.Sprint("rec_", i)
				wrapped, err := ring.Wrap(t.Context(), key, context, []byte(context))
				if err == nil && i == 0 {
					err = ring.Rotate(t.Context(), key)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := ring.Unwrap(t.Context(), key, context, wrapped); err != nil || string(got.Bytes()) != context {
					t.Errorf("%s: %v", context, err)
				}
			})
		}
		callers.Wait()
	})
}
