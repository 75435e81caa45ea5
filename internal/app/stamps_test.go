package app

import (
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kuule/internal/audit"
	"kuule/internal/config"
)

// Authority asks the time-stamping authority that the configuration names, and
// does not start without its roots.
func TestTheLogIsStampedWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	tsa := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Header.Get("Content-Type"):
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer tsa.Close()
	c := config.Config{Data: t.TempDir()}
	in := &installation{Config: c, layout: c.Layout()}
	if err := os.MkdirAll(filepath.Dir(in.layout.AuditLog()), 0o700); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.OpenLog(in.layout.AuditLog(), "kuule.test/log", key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	stop, err := startStamps(t.Context(), in, log)
	if err != nil {
		t.Fatal(err)
	}
	stop() // nobody is asked without an address

	in.Stamps = config.Stamps{Authority: tsa.URL, Roots: filepath.Join(c.Data, "roots.pem")}
	for _, text := range []string{"", "no certificate"} {
		if text != "" {
			if err := os.WriteFile(in.Stamps.Roots, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := startStamps(t.Context(), in, log); err == nil {
			t.Errorf("roots %q were taken", text)
		}
	}
	in.Stamps.Roots = filepath.Join(c.Data, "tsa.pem")
	if _, _, err := makeAuthority(c.Data, "tsa", "root of a test"); err != nil {
		t.Fatal(err)
	}
	if stop, err = startStamps(t.Context(), in, log); err != nil {
		t.Fatal(err)
	}
	defer stop()
	select {
	case kind := <-asked:
		if kind != "application/timestamp-query" {
			t.Errorf("asked with %q", kind)
		}
	case <-time.After(time.Minute):
		t.Error("nobody was asked for a stamp")
	}
}
