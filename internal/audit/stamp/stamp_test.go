package stamp_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"kuule/internal/audit/stamp"
	"kuule/internal/audit/stamp/stamptest"
)

// A checkpoint is stamped by an authority outside, and openssl agrees.
func TestAnAuthoritysStampHoldsForItsTextAlone(t *testing.T) {
	t.Parallel()
	a := stamptest.New(t)
	text := []byte("kuule.example/log\n42\nqf5MbzW9\n\n— kuule.example/log AAAA\n")
	answer, got, err := stamp.Ask(t.Context(), http.DefaultClient, a.Serve(), text, a.Roots)
	if err != nil || time.Since(got.At).Abs() > time.Minute || got.Authority != "CN=time of a test" || got.Serial == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, b := range map[string][]byte{"text": text, "answer.tsr": answer} {
		if err := os.WriteFile(a.Path(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.OpenSSL("ts", "-verify", "-in", "answer.tsr", "-data", "text", "-CAfile", "ca.pem")
	again, err := stamp.Verify(answer, text, a.Roots)
	if err != nil || again != got {
		t.Errorf("kept: %+v, %v", again, err)
	}

	other := stamptest.New(t)
	for name, c := range map[string]struct {
		answer, text []byte
		roots        *x509.CertPool
	}{
		"another text":    {answer, append([]byte("x"), text...), a.Roots},
		"another root":    {answer, text, other.Roots},
		"no root":         {answer, text, x509.NewCertPool()},
		"nothing":         {nil, text, a.Roots},
		"bytes behind it": {append(bytes.Clone(answer), 0), text, a.Roots},
		"too long":        {make([]byte, stamp.MaxAnswer+1), text, a.Roots},
	} {
		if _, err := stamp.Verify(c.answer, c.text, c.roots); !errors.Is(err, stamp.ErrStamp) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// No flipped byte changes when it was, or of what.
	for i := range answer {
		bad := bytes.Clone(answer)
		bad[i] ^= 1
		if s, err := stamp.Verify(bad, text, a.Roots); err == nil && s != got {
			t.Fatalf("byte %d flipped: %+v", i, s)
		}
	}
}

func TestAnAnswerThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	a := stamptest.New(t)
	address := a.Serve()
	text := []byte("a checkpoint")
	first, _, err := stamp.Ask(t.Context(), http.DefaultClient, address, text, a.Roots)
	if err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func([]byte) []byte{
		"an answer to an earlier question": func([]byte) []byte { return first },
		"a refusal":                        func([]byte) []byte { return []byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02} },
		"rubbish":                          func([]byte) []byte { return []byte("<html>") },
		"half of it":                       func(b []byte) []byte { return b[:len(b)/2] },
		"too much":                         func(b []byte) []byte { return append(b, make([]byte, stamp.MaxAnswer)...) },
	} {
		a.Alter = alter
		if answer, _, err := stamp.Ask(t.Context(), http.DefaultClient, address, text, a.Roots); !errors.Is(err, stamp.ErrStamp) || answer != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(broken.Close)
	if _, _, err := stamp.Ask(t.Context(), http.DefaultClient, broken.URL, text, a.Roots); err == nil {
		t.Error("nobody is there")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02}, []byte("x"))
	f.Fuzz(func(t *testing.T, answer, text []byte) {
		if _, err := stamp.Verify(answer, text, x509.NewCertPool()); !errors.Is(err, stamp.ErrStamp) {
			t.Errorf("a stranger's stamp: %v", err)
		}
	})
}
