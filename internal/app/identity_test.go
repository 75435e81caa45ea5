package app

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"kuule/internal/config"
)

// The provider's certificate counts if the named roots issued it, and not by any
// other way; a file without roots is an error at start, not at the first sign-in.
func TestProviderIsTrustedByTheNamedRoots(t *testing.T) {
	t.Parallel()
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["ES256"]}`,
			server.URL, server.URL+"/authorize", server.URL+"/token", server.URL+"/keys")
	}))
	defer server.Close()
	folder := t.TempDir()
	roots := filepath.Join(folder, "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Identity{Issuer: server.URL, ClientID: "kuule"}
	for ca, trusted := range map[string]bool{roots: true, "": false} {
		c.CA = ca
		v, err := verifierOf(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Endpoint(t.Context()); (err == nil) != trusted {
			t.Errorf("roots %q: %v", ca, err)
		}
	}
	c.CA = filepath.Join(folder, "empty.pem")
	if err := os.WriteFile(c.CA, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verifierOf(c); err == nil {
		t.Error("a file without roots was taken")
	}
}
