package attestation_test

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"go.step.sm/crypto/tpm"
	stepattestation "go.step.sm/crypto/tpm/attestation"
	"go.step.sm/crypto/tpm/storage"
)

// The attestation authority speaks the protocol of go.step.sm/crypto: another
// program's client gets the same certificate.
func TestStepClientIsServed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	soft := startTPM(t, h.maker)
	srv := httptest.NewTLSServer(h.Handler())
	t.Cleanup(srv.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	check(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))

	chip, err := tpm.New(tpm.WithDeviceName(soft.Socket()), tpm.WithStore(storage.NewDirstore(t.TempDir())), tpm.WithDisableDownload())
	check(t, err)
	eks, err := chip.GetEKs(t.Context())
	check(t, err)
	ak, err := chip.CreateAK(t.Context(), "ak")
	check(t, err)
	client, err := stepattestation.NewClient(srv.URL+"/attestation", stepattestation.WithRootsFile(roots))
	check(t, err)
	chain, err := client.Attest(t.Context(), chip, eks[0], ak)
	check(t, err)
	check(t, ak.SetCertificateChain(t.Context(), chain))
	ak, err = chip.GetAK(t.Context(), "ak")
	check(t, err)
	identifier, err := eks[0].FingerprintURI()
	check(t, err)
	if !ak.HasValidPermanentIdentifier(identifier.String()) {
		t.Errorf("the certificate does not name %s", identifier)
	}
}
