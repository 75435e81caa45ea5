package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kuule/internal/audit"
	"kuule/internal/config"
	"kuule/internal/trust"
	"kuule/interview"
)

// The log of a data folder is stamped by an authority outside, and held against
// the stamp afterwards: one that was cut since is found.
func TestALogIsStampedAndHeldAgainstItsStamp(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed here")
	}
	folder := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "openssl", args...)
		c.Dir = folder
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("serial", "01\n")
	write("ext", "extendedKeyUsage=critical,timeStamping\n")
	write("tsa.cnf", "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\ness_cert_id_alg=sha256\n")
	run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=root of a test")
	run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=time of a test")
	run("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "tsa.pem", "-days", "20", "-extfile", "ext", "-set_serial", "2")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		write("q", string(question))
		run("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "q", "-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "a")
		answer, _ := os.ReadFile(filepath.Join(folder, "a"))
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)

	where := data{Data: t.TempDir()}
	layout := config.NewLayout(where.Data)
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := audit.LogKey("kuule.test/log", public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(layout.AuditLog()), 0o700); err != nil {
		t.Fatal(err)
	}
	trusted := trust.File{V: 1, LogKey: logKey}
	for _, into := range []*string{&trusted.StatementKey, &trusted.SealingKey, &trusted.OfficeKey, &trusted.BundleKey} {
		if *into, err = trust.EncodeKey(public); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted.ServerRoots, trusted.DeviceRoots, trusted.RecorderRoots = []string{string(root)}, []string{string(root)}, []string{string(root)}
	text, err := trusted.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(layout.Trust(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	grow := func(n int) {
		t.Helper()
		log, err := audit.OpenLog(layout.AuditLog(), "kuule.test/log", key)
		if err != nil {
			t.Fatal(err)
		}
		var leaves []audit.Leaf
		for range n {
			sum := make([]byte, 32)
			_, _ = rand.Read(sum)
			leaves = append(leaves, audit.Leaf{ID: interview.NewEventID().String(), Type: "room.join", V: 1, H: base64.RawURLEncoding.EncodeToString(sum)})
		}
		if _, err := log.Append(t.Context(), leaves); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	grow(5)
	kept := t.TempDir()
	c := stampCommand{data: where, From: s.URL, Roots: filepath.Join(folder, "ca.pem"), Out: kept}
	var said bytes.Buffer
	if err := c.Run(t.Context(), &said); err != nil || !strings.Contains(said.String(), "5 entries were there at ") {
		t.Fatalf("%s, %v", said.String(), err)
	}
	grow(3)
	check := checkCommand{data: where, Stamps: kept, Roots: c.Roots}
	said.Reset()
	if err := check.Run(t.Context(), &said); err != nil || !strings.Contains(said.String(), "says CN=time of a test") || !strings.Contains(said.String(), "8 entries") {
		t.Fatalf("%s, %v", said.String(), err)
	}
	if err := (checkCommand{data: where, Stamps: kept}).Run(t.Context(), io.Discard); err == nil {
		t.Error("a stamp was trusted without roots")
	}
	// Another log in its place, as long and signed with the same key.
	if err := os.RemoveAll(layout.AuditLog()); err != nil {
		t.Fatal(err)
	}
	grow(8)
	if err := check.Run(t.Context(), io.Discard); err == nil {
		t.Error("a log that was made anew agrees with the stamp")
	}
}
