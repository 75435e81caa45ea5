package record_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/record"
)

// FuzzVerifyChain signs whatever comes as authority would, for both versions of one
// hearing: what holds is of one hearing, and the second quotes the first.
func FuzzVerifyChain(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	first := record.Record{V: 1, ID: interview.NewRecordID(), Hearing: interview.NewHearingID(), Case: interview.NewCaseID(), Version: 1, Content: "x", Rule: "2", SealedAt: 1}
	text := func(r record.Record) string {
		b, err := canon.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		return string(b)
	}
	signed, err := jws.Sign(first, record.Type, key)
	if err != nil {
		f.Fatal(err)
	}
	second := first
	second.Version, second.Previous, second.Outcome, second.SealedAt = 2, jws.Hash(signed), record.Confirmed, 2
	f.Add(text(first), text(second))
	f.Add(text(first), text(first))
	f.Add(text(second), "{}")
	f.Fuzz(func(t *testing.T, one, two string) {
		a, err := jws.Sign(json.RawMessage(one), record.Type, key)
		if err != nil {
			return
		}
		if chain, err := record.VerifyChain([]string{a}, key.Public()); err == nil && (len(chain) != 1 || chain[0].Version != 1) {
			t.Errorf("holds: %+v", chain[0])
		}
		b, err := jws.Sign(json.RawMessage(two), record.Type, key)
		if err != nil {
			return
		}
		chain, err := record.VerifyChain([]string{a, b}, key.Public())
		if err == nil && (chain[0].Hearing != chain[1].Hearing || chain[1].Version != 2 || chain[1].SealedAt < chain[0].SealedAt) {
			t.Errorf("hold: %+v, %+v", chain[0], chain[1])
		}
	})
}
