package stamptest

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Authority is a time-stamping authority with a root of its own. Alter may be
// changed between questions.
type Authority struct {
	Roots *x509.CertPool      // of its certificate; as PEM in ca.pem
	Alter func([]byte) []byte // what it answers; nil: as it is

	t      testing.TB
	folder string
}

// Path is a file in its folder.
func (a *Authority) Path(name string) string { return filepath.Join(a.folder, name) }

// OpenSSL runs a command of openssl's in its folder.
func (a *Authority) OpenSSL(args ...string) {
	a.t.Helper()
	c := exec.CommandContext(a.t.Context(), "openssl", args...)
	c.Dir = a.folder
	if out, err := c.CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// New makes an authority; the test is skipped where openssl is not installed.
func New(t testing.TB) *Authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed here")
	}
	a := &Authority{Roots: x509.NewCertPool(), t: t, folder: t.TempDir()}
	for name, text := range map[string]string{
		"serial": "01\n",
		"ext":    "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n",
		"tsa.cnf": "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256,sha512\n" +
			"accuracy=secs:1\nordering=yes\ntsa_name=yes\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n",
	} {
		if err := os.WriteFile(a.Path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.OpenSSL("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=root of a test")
	a.OpenSSL("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=time of a test")
	a.OpenSSL("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "tsa.pem", "-days", "20", "-extfile", "ext", "-set_serial", "2")
	root, err := os.ReadFile(a.Path("ca.pem"))
	if err != nil || !a.Roots.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	return a
}

// Serve answers as RFC 3161, section 3.4 says, at the address that it gives, until
// the test ends.
func (a *Authority) Serve() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/timestamp-query" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := os.WriteFile(a.Path("q.tsq"), question, 0o600); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		a.OpenSSL("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q.tsq", "-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "a.tsr")
		answer, err := os.ReadFile(a.Path("a.tsr"))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if a.Alter != nil {
			answer = a.Alter(answer)
		}
		_, _ = w.Write(answer)
	}))
	a.t.Cleanup(s.Close)
	return s.URL
}
