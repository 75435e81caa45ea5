package trustlist

import (
	"crypto/ecdsa"
	"encoding/json"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/kiosk-bridge/emrtdtest"
)

// FuzzVerify has two persons sign whatever comes as the statement over whatever comes
// as a list: what holds is true of the file.
func FuzzVerify(f *testing.F) {
	state, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	file := state.CSCA()
	s, _, err := Prepare(file, "", 1, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	for _, change := range []func(s *Statement){
		func(*Statement) {}, func(s *Statement) { s.Sequence = -1 }, func(s *Statement) { s.Certificates++ },
		func(s *Statement) { s.Pin = "../x" }, func(s *Statement) { s.V = 2 }, func(s *Statement) { s.Prepared = 1 << 52 },
	} {
		other := s
		change(&other)
		text, err := canon.Marshal(other)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file, string(text))
	}
	f.Add([]byte("no list"), "{}")
	a, b := key(f), key(f)
	f.Fuzz(func(t *testing.T, file []byte, statement string) {
		var approvals [2]string
		for i, k := range []*ecdsa.PrivateKey{a, b} {
			text, err := jws.Sign(json.RawMessage(statement), Typ, k)
			if err != nil {
				return
			}
			approvals[i] = text
		}
		got, err := Verify(file, approvals, publics(a, b))
		if err != nil {
			return
		}
		again, _, err := Prepare(file, got.Statement.Pin, got.Statement.Sequence, time.Unix(got.Statement.Prepared, 0))
		if err != nil || again != got.Statement || got.List.Len() == 0 {
			t.Errorf("holds: %+v, %v", got.Statement, err)
		}
	})
}
