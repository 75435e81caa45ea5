package stamp_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/internal/audit/stamp"
)

// authority is a time-stamping authority of openssl's, with certificates of its own.
type authority struct {
	t      *testing.T
	folder string
	roots  *x509.CertPool
	alter  func([]byte) []byte // what it answers
}

func (a *authority) path(name string) string { return filepath.Join(a.folder, name) }

func (a *authority) openssl(args ...string) {
	a.t.Helper()
	c := exec.CommandContext(a.t.Context(), "openssl", args...)
	c.Dir = a.folder
	if out, err := c.CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed here")
	}
	a := &authority{t: t, folder: t.TempDir(), roots: x509.NewCertPool()}
	for name, text := range map[string]string{
		"serial": "01\n",
		"ext":    "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n",
		"tsa.cnf": "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256,sha512\n" +
			"accuracy=secs:1\nordering=yes\ntsa_name=yes\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n",
	} {
		if err := os.WriteFile(a.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=root of a test")
	a.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=time of a test")
	a.openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "tsa.pem", "-days", "20", "-extfile", "ext", "-set_serial", "2")
	root, err := os.ReadFile(a.path("ca.pem"))
	if err != nil || !a.roots.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	return a
}

// serve answers as RFC 3161, section 3.4 says.
func (a *authority) serve() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := os.WriteFile(a.path("q.tsq"), question, 0o600); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		a.openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq", "-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "a.tsr")
		answer, err := os.ReadFile(a.path("a.tsr"))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if a.alter != nil {
			answer = a.alter(answer)
		}
		_, _ = w.Write(answer)
	}))
	a.t.Cleanup(s.Close)
	return s.URL
}

// A checkpoint is stamped by an authority outside, and openssl agrees.
func TestAnAuthoritysStampHoldsForItsTextAlone(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	text := []byte("kuule.example/log\n42\nqf5MbzW9\n\n— kuule.example/log AAAA\n")
	answer, got, err := stamp.Ask(t.Context(), http.DefaultClient, a.serve(), text, a.roots)
	if err != nil || time.Since(got.At).Abs() > time.Minute || got.Authority != "CN=time of a test" || got.Serial == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, b := range map[string][]byte{"text": text, "answer.tsr": answer} {
		if err := os.WriteFile(a.path(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.openssl("ts", "-verify", "-in", "answer.tsr", "-data", "text", "-CAfile", "ca.pem")
	again, err := stamp.Verify(answer, text, a.roots)
	if err != nil || again != got {
		t.Errorf("kept: %+v, %v", again, err)
	}

	other := newAuthority(t)
	for name, c := range map[string]struct {
		answer, text []byte
		roots        *x509.CertPool
	}{
		"another text":    {answer, append([]byte("x"), text...), a.roots},
		"another root":    {answer, text, other.roots},
		"no root":         {answer, text, x509.NewCertPool()},
		"nothing":         {nil, text, a.roots},
		"bytes behind it": {append(bytes.Clone(answer), 0), text, a.roots},
		"too long":        {make([]byte, stamp.MaxAnswer+1), text, a.roots},
	} {
		if _, err := stamp.Verify(c.answer, c.text, c.roots); !errors.Is(err, stamp.ErrStamp) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// No flipped byte changes when it was, or of what.
	for i := range answer {
		bad := bytes.Clone(answer)
		bad[i] ^= 1
		if s, err := stamp.Verify(bad, text, a.roots); err == nil && s != got {
			t.Fatalf("byte %d flipped: %+v", i, s)
		}
	}
}

func TestAnAnswerThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	address := a.serve()
	text := []byte("a checkpoint")
	first, _, err := stamp.Ask(t.Context(), http.DefaultClient, address, text, a.roots)
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
		a.alter = alter
		if answer, _, err := stamp.Ask(t.Context(), http.DefaultClient, address, text, a.roots); !errors.Is(err, stamp.ErrStamp) || answer != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(broken.Close)
	if _, _, err := stamp.Ask(t.Context(), http.DefaultClient, broken.URL, text, a.roots); err == nil {
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
