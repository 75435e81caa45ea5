package retention_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/interview"
	"kuule/interview/retention"
)

// FuzzVerifyTombstone signs whatever comes as authority would: a tombstone names one
// case or note and keys that a keyring has, and no path; an order is not over.
func FuzzVerifyTombstone(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	for _, x := range []any{
		retention.Tombstone{V: 1, Subject: interview.NewCaseID().String(), Keys: []retention.Ended{{Kind: keyring.Recording, Versions: []string{"a"}, At: 1}}, Rule: retention.ByClock, Persons: []string{}, At: 1},
		retention.Tombstone{V: 1, Subject: "cas_../../../../../../../../../../x", Keys: []retention.Ended{{Kind: "all"}}},
		retention.Order{V: 1, Erasure: "erase-0", Case: interview.NewCaseID(), Hearing: interview.NewHearingID(), Purpose: "p", Asker: "a", Expires: now.Unix() + 60},
		retention.Order{V: 1, Case: interview.NewCaseID(), Asker: "a", Expires: 1},
	} {
		text, err := canon.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := retention.VerifyTombstone(text, key.Public()); !errors.Is(err, retention.ErrTombstone) {
			t.Errorf("unsigned: %v", err)
		}
		if message, err := jws.Sign(json.RawMessage(text), retention.TypeTombstone, key); err == nil {
			s, err := retention.VerifyTombstone(message, key.Public())
			if err == nil && (strings.ContainsAny(s.Subject, "./\\\x00") || len(s.Keys) == 0) {
				t.Errorf("holds: %+v", s)
			}
		}
		if message, err := jws.Sign(json.RawMessage(text), retention.TypeOrder, key); err == nil {
			o, err := retention.VerifyOrder(message, key.Public(), now)
			if err == nil && (o.Expires <= now.Unix() || o.Case.IsZero() || o.Asker == "") {
				t.Errorf("holds: %+v", o)
			}
		}
	})
}
