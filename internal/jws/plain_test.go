package jws

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"testing"
)

// slow is Verify without its short cut.
func slow(message, typ string, key *ecdsa.PublicKey, out any) error {
	obj, err := parse(message, typ)
	if err != nil {
		return err
	}
	return verify(obj, typ, key, out)
}

func TestTheShortCutJudgesAsTheLongWay(t *testing.T) {
	t.Parallel()
	const typ = "kuule-test+jws"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := Sign(map[string]any{"a": 1, "b": "x"}, typ, key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := split(good, typ)
	if err != nil || !p.plain {
		t.Fatalf("what Sign makes does not take the short cut: %v", err)
	}
	texts := []string{good, good + ".", "." + good, good + ".AA", p.signed, p.signed + ".", p.signed + ".AA", p.signed + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), ""}
	for i := range good { // each digit changed, and a line break put in at each place
		texts = append(texts, good[:i]+"Q"+good[i+1:], good[:i]+"\n"+good[i:], good[:i]+good[i+1:])
	}
	for _, text := range texts {
		for _, k := range []*ecdsa.PublicKey{&key.PublicKey, &other.PublicKey} {
			var a, b map[string]any
			fast, long := Verify(text, typ, k, &a), slow(text, typ, k, &b)
			for _, kind := range []error{nil, ErrMalformed, ErrSignature} {
				if errors.Is(fast, kind) != errors.Is(long, kind) {
					t.Fatalf("%q: %v, the long way says %v", text, fast, long)
				}
			}
		}
	}
}
