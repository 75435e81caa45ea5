package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"kuule/internal/jws"
)

type body struct {
	A int    `json:"a"`
	B string `json:"b"`
}

func TestAMessageCountsOnlyForItsTypeAndKey(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, key := range []crypto.Signer{ec, ed} {
		m, err := jws.Sign(body{1, "x"}, "kuule-test+jws", key)
		if err != nil {
			t.Fatal(err)
		}
		var got body
		if err := jws.Verify(m, "kuule-test+jws", key.Public(), &got); err != nil || got != (body{1, "x"}) {
			t.Fatalf("%T: %v %v", key, got, err)
		}
		if err := jws.Verify(m, "kuule-other+jws", key.Public(), &got); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%T: read under another type: %v", key, err)
		}
		if err := jws.Verify(m, "kuule-test+jws", other.Public(), &got); !errors.Is(err, jws.ErrSignature) {
			t.Errorf("%T: read under another key: %v", key, err)
		}
		p := strings.Split(m, ".")
		forged := p[0] + "." + p[1][:len(p[1])-1] + "A." + p[2]
		if err := jws.Verify(forged, "kuule-test+jws", key.Public(), &got); err == nil {
			t.Errorf("%T: a changed payload was accepted", key)
		}
	}
}

func TestACertificateInsideIsTrustedOnlyUnderAnExpectedRoot(t *testing.T) {
	t.Parallel()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	m, err := jws.Sign(body{}, "kuule-test+jws", key, cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	var got body
	if _, err := jws.VerifyChain(m, "kuule-test+jws", roots, time.Now(), &got); !errors.Is(err, jws.ErrChain) {
		t.Errorf("without a root: %v", err)
	}
	roots.AddCert(cert)
	if leaf, err := jws.VerifyChain(m, "kuule-test+jws", roots, time.Now(), &got); err != nil || leaf.Subject.CommonName != "device" {
		t.Errorf("with its root: %v", err)
	}
	if _, err := jws.VerifyChain(m, "kuule-test+jws", roots, time.Now().Add(2*time.Hour), &got); !errors.Is(err, jws.ErrChain) {
		t.Errorf("after its end: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m, _ := jws.Sign(body{1, "x"}, "kuule-test+jws", key)
	f.Add("e30.e30.AA")
	f.Fuzz(func(t *testing.T, message string) {
		var got body
		if message != m && jws.Verify(message, "kuule-test+jws", key.Public(), &got) == nil {
			t.Fatalf("%q was accepted", message)
		}
	})
}

func TestMessageHasOneText(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	message, err := jws.Sign(map[string]int{"v": 1}, "test+jws", key)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]int
	if err := jws.Verify(message, "test+jws", key.Public(), &out); err != nil {
		t.Fatal(err)
	}
	// The last digit of a 64-byte signature has four bits that decode to nothing.
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, message[len(message)-1])
	for _, other := range []string{message[:len(message)-1] + string(digits[last^1]), message + "\n", message + "="} {
		if err := jws.Verify(other, "test+jws", key.Public(), &out); err == nil {
			t.Fatalf("a second spelling was taken: %q", other[len(other)-4:])
		}
	}
}
