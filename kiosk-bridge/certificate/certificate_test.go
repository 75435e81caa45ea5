package certificate_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/certificate"
)

var now = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

func claims() certificate.Claims {
	return certificate.Claims{V: 1, Visit: interview.NewVisitID(), Kiosk: interview.NewDeviceID(), Diary: "MIG-2026-10482", Name: "Samir (Sami) Håddad", Issued: now.Unix()}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// B16: a certificate has a code that verifies, and any change of it does not.
func TestCertificateVerifies(t *testing.T) {
	t.Parallel()
	key, c := newKey(t), claims()
	code, err := certificate.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	// As a scanner or a typist gives it.
	if got, err := certificate.Verify(" "+code[:90]+"\n"+code[90:]+"\r\n", key.Public(), now); err != nil || got != c {
		t.Errorf("%+v %v", got, err)
	}
	for i := range code {
		changed := []byte(code)
		changed[i] ^= 1
		if _, err := certificate.Verify(string(changed), key.Public(), now); !errors.Is(err, certificate.ErrInvalid) {
			t.Fatalf("changed at %d: %v", i, err)
		}
	}
	for name, verify := range map[string]func() (certificate.Claims, error){
		"another installation": func() (certificate.Claims, error) { return certificate.Verify(code, newKey(t).Public(), now) },
		"before it was made": func() (certificate.Claims, error) {
			return certificate.Verify(code, key.Public(), now.Add(-time.Hour))
		},
		"nothing": func() (certificate.Claims, error) { return certificate.Verify("", key.Public(), now) },
		"too long": func() (certificate.Claims, error) {
			return certificate.Verify(strings.Repeat("a", 9000), key.Public(), now)
		},
	} {
		if _, err := verify(); !errors.Is(err, certificate.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateOfNobodyIsNotSigned(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*certificate.Claims){
		"visit": func(c *certificate.Claims) { c.Visit = interview.VisitID{} }, "kiosk": func(c *certificate.Claims) { c.Kiosk = interview.DeviceID{} },
		"matter": func(c *certificate.Claims) { c.Diary = "" }, "name": func(c *certificate.Claims) { c.Name = "" }, "time": func(c *certificate.Claims) { c.Issued = 0 },
	} {
		c := claims()
		spoil(&c)
		if _, err := certificate.Sign(c, newKey(t)); err == nil {
			t.Errorf("without %s it is signed", name)
		}
	}
}

// What stands on the paper is what was signed, and a reader of PDFs finds it.
func TestPaperSaysWhatWasSigned(t *testing.T) {
	t.Parallel()
	key, c := newKey(t), claims()
	code, err := certificate.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	pdf, err := certificate.PDF(c, code, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	again, err := certificate.PDF(c, code, time.UTC)
	if err != nil || !bytes.Equal(pdf, again) {
		t.Error("the same certificate gives two papers")
	}
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is missing: apt-get install poppler-utils")
	}
	cmd := exec.Command(tool, "-layout", "-", "-")
	cmd.Stdin = bytes.NewReader(pdf)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Todistus vireilläolosta", c.Name, c.Diary, "20.11.2026", "no identity document"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the paper does not say %q:\n%s", want, text)
		}
	}
	_, printed, _ := strings.Cut(string(text), "genuine.\n")
	if got, err := certificate.Verify(printed, key.Public(), now); err != nil || got != c {
		t.Errorf("the code in letters: %v", err)
	}
}

func TestNamesThatPrintersCannotWrite(t *testing.T) {
	t.Parallel()
	c := claims()
	c.Name = "سمير حداد"
	if _, err := certificate.PDF(c, "x", time.UTC); !errors.Is(err, certificate.ErrLetters) {
		t.Errorf("%v", err)
	}
}

func FuzzVerify(f *testing.F) {
	key := newKey(f)
	code, err := certificate.Sign(claims(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := certificate.Verify(text, key.Public(), now); err != nil && !errors.Is(err, certificate.ErrInvalid) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
