package attestation

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/go-attestation/attest"

	"kuule/attestation/wire"
	"kuule/internal/problem"
)

const (
	pendingLifetime = time.Minute
	maxPending      = 256
	akLifetime      = 90 * 24 * time.Hour
)

// Manufacturers are the makers of TPMs that are believed.
type Manufacturers struct {
	Roots         []*x509.Certificate
	Intermediates []*x509.Certificate
}

// attestationCA certifies attestation keys: it verifies the endorsement key's
// certificate, has the TPM open a credential that only the holder of both keys
// can open (TPM 2.0 Library Part 1, section 24), and then names the TPM in the
// attestation key's certificate, always.
type attestationCA struct {
	*hierarchy
	roots, intermediates *x509.CertPool
	now                  func() time.Time
	log                  *slog.Logger

	mu      sync.Mutex
	pending map[[sha256.Size]byte]pendingKey // by hash of the secret
}

// pendingKey waits for its TPM to show the secret.
type pendingKey struct {
	key        crypto.PublicKey
	identifier string
	hardware   wire.Hardware
	until      time.Time
}

func newAttestationCA(h *hierarchy, m Manufacturers, now func() time.Time, log *slog.Logger) *attestationCA {
	ca := &attestationCA{
		hierarchy: h, roots: x509.NewCertPool(), intermediates: x509.NewCertPool(),
		now: now, log: log, pending: map[[sha256.Size]byte]pendingKey{},
	}
	for _, c := range m.Roots {
		ca.roots.AddCert(c)
	}
	for _, c := range m.Intermediates {
		ca.intermediates.AddCert(c)
	}
	return ca
}

func (ca *attestationCA) serveAttest(w http.ResponseWriter, r *http.Request) {
	var req wire.AttestRequest
	if err := readJSON(r, &req); err != nil {
		problem.Write(w, err)
		return
	}
	resp, err := ca.attest(req)
	if err != nil {
		ca.log.Warn("attestation key refused", "err", err)
		problem.Write(w, err)
		return
	}
	writeJSON(w, resp)
}

func (ca *attestationCA) serveSecret(w http.ResponseWriter, r *http.Request) {
	var req wire.SecretRequest
	if err := readJSON(r, &req); err != nil {
		problem.Write(w, err)
		return
	}
	resp, err := ca.certify(req)
	if err != nil {
		ca.log.Warn("attestation key refused", "err", err)
		problem.Write(w, err)
		return
	}
	writeJSON(w, resp)
}

// attest verifies where the TPM comes from and how the key was made, and makes
// the credential to open.
func (ca *attestationCA) attest(req wire.AttestRequest) (wire.AttestResponse, error) {
	ek, err := ca.endorsement(req.EKCerts)
	if err != nil {
		return wire.AttestResponse{}, err
	}
	identifier, err := wire.PermanentIdentifier(ek.PublicKey)
	if err != nil {
		return wire.AttestResponse{}, problem.New(problem.CodeCertificateInvalid, "endorsement key: %w", err)
	}
	_, hardware, err := wire.Names(ek)
	if err != nil || !hardware.Complete() {
		return wire.AttestResponse{}, problem.New(problem.CodeCertificateInvalid, "the endorsement certificate of %s does not state manufacturer, model and version", identifier)
	}
	if req.Params.UseTCSDActivationFormat {
		return wire.AttestResponse{}, problem.New(problem.CodeMalformed, "TPM 1.2 is not supported")
	}
	ak, err := attestationKey(req.Params.Public)
	if err != nil {
		return wire.AttestResponse{}, err
	}
	// Generate checks that the key is restricted to what the TPM itself made,
	// cannot leave it, and was certified at its creation.
	params := attest.ActivationParameters{EK: ek.PublicKey, AK: attest.AttestationParameters{
		Public: req.Params.Public, CreateData: req.Params.CreateData,
		CreateAttestation: req.Params.CreateAttestation, CreateSignature: req.Params.CreateSignature,
	}}
	secret, credential, err := params.Generate()
	if err != nil {
		return wire.AttestResponse{}, problem.New(problem.CodeQuoteRefused, "the attestation key of %s was not made as it must be: %w", identifier, err)
	}
	if err := ca.remember(secret, pendingKey{key: ak, identifier: identifier, hardware: hardware}); err != nil {
		return wire.AttestResponse{}, err
	}
	return wire.AttestResponse{Credential: credential.Credential, Secret: credential.Secret}, nil
}

// endorsement returns the endorsement certificate if a known manufacturer
// issued it for that purpose.
func (ca *attestationCA) endorsement(ders [][]byte) (*x509.Certificate, error) {
	if len(ders) != 1 {
		return nil, problem.New(problem.CodeManufacturerUnknown, "exactly one endorsement certificate is needed, %d came", len(ders))
	}
	ek, err := attest.ParseEKCertificate(ders[0])
	if err != nil {
		return nil, problem.New(problem.CodeMalformed, "endorsement certificate: %w", err)
	}
	wire.IgnoreUnhandledName(ek)
	if _, err := ek.Verify(x509.VerifyOptions{
		Roots: ca.roots, Intermediates: ca.intermediates, CurrentTime: ca.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return nil, problem.New(problem.CodeManufacturerUnknown, "endorsement certificate issued by %q: %w", ek.Issuer, err)
	}
	if !slices.ContainsFunc(ek.UnknownExtKeyUsage, wire.OIDEndorsementKey.Equal) {
		return nil, problem.New(problem.CodeCertificateInvalid, "the certificate issued by %q is not one of an endorsement key", ek.Issuer)
	}
	if ek.IsCA {
		return nil, problem.New(problem.CodeCertificateInvalid, "the certificate issued by %q is an authority's, not a TPM's", ek.Issuer)
	}
	return ek, nil
}

// attestationKey reads a key that signs with RSA and SHA-256, as quotes of
// this installation do.
func attestationKey(public []byte) (crypto.PublicKey, error) {
	ak, err := attest.ParseAKPublic(public)
	if err != nil {
		return nil, problem.New(problem.CodeMalformed, "attestation key: %w", err)
	}
	k, ok := ak.Public.(*rsa.PublicKey)
	if !ok || ak.Hash != crypto.SHA256 || k.N.BitLen() < 2048 {
		return nil, problem.New(problem.CodeMalformed, "the attestation key must be RSA of 2048 bits or more with SHA-256")
	}
	return k, nil
}

func (ca *attestationCA) remember(secret []byte, p pendingKey) error {
	now := ca.now()
	p.until = now.Add(pendingLifetime)
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if len(ca.pending) >= maxPending {
		for k, old := range ca.pending {
			if now.After(old.until) {
				delete(ca.pending, k)
			}
		}
	}
	if len(ca.pending) >= maxPending {
		return problem.New(problem.CodeTooFast, "%d devices are enrolling already", maxPending)
	}
	ca.pending[sha256.Sum256(secret)] = p
	return nil
}

// certify issues the certificate to the TPM that opened the credential. The
// lookup is by hash, so its time says nothing of the secret. A secret counts
// once.
func (ca *attestationCA) certify(req wire.SecretRequest) (wire.SecretResponse, error) {
	sum := sha256.Sum256(req.Secret)
	ca.mu.Lock()
	p, ok := ca.pending[sum]
	delete(ca.pending, sum)
	ca.mu.Unlock()
	if !ok || ca.now().After(p.until) {
		return wire.SecretResponse{}, problem.New(problem.CodeQuoteRefused, "the credential was not opened, or not within a minute")
	}
	ak, err := ca.issue(p)
	if err != nil {
		return wire.SecretResponse{}, err
	}
	return wire.SecretResponse{Chain: [][]byte{ak.Raw, ca.issuing.Raw}}, nil
}

// issue makes the certificate as WebAuthn section 8.3.1 wants it
// (https://www.w3.org/TR/webauthn-2/#sctn-tpm-cert-requirements), and with the
// permanent identifier, without which step-ca would accept any.
func (ca *attestationCA) issue(p pendingKey) (*x509.Certificate, error) {
	name, err := wire.SubjectAltName(p.identifier, &p.hardware, true)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := ca.now()
	t := &x509.Certificate{
		SerialNumber: serial, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(akLifetime),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{wire.OIDAttestationKey},
	}
	t.ExtraExtensions = append(t.ExtraExtensions, name)
	der, err := x509.CreateCertificate(rand.Reader, t, ca.issuing, p.key, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// readJSON reads a bounded body. Unknown fields are let through here alone:
// the protocol is another project's and may grow.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxRequest+1))
	if err != nil {
		return problem.New(problem.CodeMalformed, "the request broke off")
	}
	if len(body) > wire.MaxRequest {
		return problem.New(problem.CodeTooLarge, "the request is larger than %d bytes", wire.MaxRequest)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return problem.New(problem.CodeMalformed, "the request is not the JSON expected: %w", err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}
