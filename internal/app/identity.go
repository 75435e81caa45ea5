package app

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"kuule/internal/config"
	"kuule/internal/signin"
)

// verifierOf verifies what the agency's provider says of a person. The provider's
// certificate has to come from the roots that the configuration names, or the
// machine's own.
func verifierOf(c config.Identity) (*signin.Verifier, error) {
	roots, err := rootsOf(c.CA)
	if err != nil {
		return nil, fmt.Errorf("identity: ca: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return signin.NewVerifier(signin.Config{Issuer: c.Issuer, ClientID: c.ClientID, HTTP: &http.Client{Transport: transport}})
}
