package attestation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/smallstep/certificates/acme"

	"kuule/attestation/wire"
	"kuule/internal/problem"
)

const (
	attestedLifetime = 10 * time.Minute
	maxAttested      = 1024

	// problemType begins the type of the ACME subproblem that carries our code
	// (RFC 8555 section 6.7.1).
	problemType = "urn:kuule:problem:"
)

// guard stands between step-ca's ACME and its database, where every decision
// passes. It refuses what step-ca would let through (an attestation key whose
// certificate names no device), gives each refusal our code, and ties each
// certificate to the attestation key that vouched for its key.
type guard struct {
	acme.DB
	records *records
	now     func() time.Time

	mu       sync.Mutex
	attested map[[sha256.Size]byte]attested // by hash of the device key
}

// attested is a device key that an attestation key vouched for.
type attested struct {
	identifier     string
	attestationKey []byte // SubjectPublicKeyInfo
	until          time.Time
}

func newGuard(db acme.DB, records *records, now func() time.Time) *guard {
	return &guard{DB: db, records: records, now: now, attested: map[[sha256.Size]byte]attested{}}
}

// CreateOrder lets through only orders for exactly one device.
func (g *guard) CreateOrder(ctx context.Context, o *acme.Order) error {
	if len(o.Identifiers) != 1 || o.Identifiers[0].Type != acme.PermanentIdentifier || !wire.ValidIdentifier(o.Identifiers[0].Value) {
		return acme.NewDetailedError(acme.ErrorRejectedIdentifierType, "an order names exactly one device by its permanent identifier")
	}
	return g.DB.CreateOrder(ctx, o)
}

// UpdateChallenge is the last step before a challenge counts. By now step-ca
// has checked the chain to our attestation authority, the signature over the
// new key and the binding to the ACME account.
func (g *guard) UpdateChallenge(ctx context.Context, ch *acme.Challenge) error {
	statement, refusal := g.examine(ch)
	switch {
	case refusal != nil:
		g.refuse(ch, refusal)
	case ch.Status == acme.StatusValid:
		if refusal := g.remember(statement); refusal != nil {
			g.refuse(ch, refusal)
		}
	case ch.Error != nil:
		g.refuse(ch, problem.New(problem.CodeQuoteRefused, "the attestation of the device key does not hold"))
	}
	return g.DB.UpdateChallenge(ctx, ch)
}

// examine reads the attestation once more and says what our rules find wrong
// with it.
func (g *guard) examine(ch *acme.Challenge) (attestation, *problem.Error) {
	a, err := readAttestation(ch.Payload)
	if err != nil {
		return a, problem.New(problem.CodeMalformed, "attestation: %w", err)
	}
	ids, _, err := wire.Names(a.attestationKey)
	switch {
	case err != nil:
		return a, problem.New(problem.CodeCertificateInvalid, "attestation certificate: %w", err)
	case len(ids) == 0:
		return a, problem.New(problem.CodeNoPermanentID, "the attestation certificate names no device, %s was asked for", ch.Value)
	case len(ids) != 1 || ids[0] != ch.Value:
		return a, problem.New(problem.CodeCertificateInvalid, "the attestation certificate names %q, %s was asked for", ids, ch.Value)
	case g.now().After(a.attestationKey.NotAfter):
		return a, problem.New(problem.CodeCertificateInvalid, "the attestation certificate of %s expired at %s", ch.Value, a.attestationKey.NotAfter.UTC().Format(time.RFC3339))
	}
	a.identifier = ch.Value
	return a, nil
}

func (g *guard) refuse(ch *acme.Challenge, p *problem.Error) {
	if ch.Error == nil || ch.Status == acme.StatusValid {
		ch.Error = acme.NewDetailedError(acme.ErrorBadAttestationStatementType, "%s", p.Detail)
	}
	ch.Status, ch.ValidatedAt = acme.StatusInvalid, ""
	_ = ch.Error.AddSubproblems(acme.Subproblem{Type: problemType + string(p.Code), Detail: p.Detail})
}

func (g *guard) remember(a attestation) *problem.Error {
	ak, err := x509.MarshalPKIXPublicKey(a.attestationKey.PublicKey)
	if err != nil {
		return problem.New(problem.CodeMalformed, "attestation key: %w", err)
	}
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.attested) >= maxAttested {
		for k, v := range g.attested {
			if now.After(v.until) {
				delete(g.attested, k)
			}
		}
	}
	if len(g.attested) >= maxAttested {
		return problem.New(problem.CodeTooFast, "%d devices are enrolling already", maxAttested)
	}
	g.attested[a.deviceKey] = attested{identifier: a.identifier, attestationKey: ak, until: now.Add(attestedLifetime)}
	return nil
}

// CreateCertificate is called with a certificate just signed, before its owner
// can fetch it: no record, no certificate.
func (g *guard) CreateCertificate(ctx context.Context, c *acme.Certificate) error {
	device, err := wire.ReadDevice(c.Leaf)
	if err != nil {
		return acme.WrapErrorISE(err, "certificate without a device")
	}
	key, err := keyHash(c.Leaf.PublicKey)
	if err != nil {
		return acme.WrapErrorISE(err, "certificate key")
	}
	now := g.now()
	g.mu.Lock()
	a, ok := g.attested[key]
	delete(g.attested, key)
	g.mu.Unlock()
	if !ok || now.After(a.until) || a.identifier != device.PermanentIdentifier {
		return acme.NewDetailedError(acme.ErrorUnauthorizedType, "the attestation of this key is too old: enrol again")
	}
	if err := g.records.enrol(device, a.attestationKey, now); err != nil {
		return acme.WrapErrorISE(err, "record device")
	}
	return g.DB.CreateCertificate(ctx, c)
}

// attestation is the part of a WebAuthn TPM attestation statement
// (https://www.w3.org/TR/webauthn-2/#sctn-tpm-attestation) that our rules need.
type attestation struct {
	attestationKey *x509.Certificate
	deviceKey      [sha256.Size]byte
	identifier     string
}

// readAttestation reads the payload of a device-attest-01 challenge
// (https://www.ietf.org/archive/id/draft-acme-device-attest-03.html) with the
// decoders and the defaults that step-ca uses, so that both see the same.
func readAttestation(payload []byte) (attestation, error) {
	var p struct {
		AttObj string `json:"attObj"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return attestation{}, err
	}
	object, err := base64.RawURLEncoding.DecodeString(p.AttObj)
	if err != nil {
		return attestation{}, err
	}
	var o struct {
		Format    string         `json:"fmt"`
		Statement map[string]any `json:"attStmt,omitempty"`
	}
	if err := cbor.Unmarshal(object, &o); err != nil {
		return attestation{}, err
	}
	if o.Format != "tpm" {
		return attestation{}, fmt.Errorf("format %q is not tpm", o.Format)
	}
	chain, _ := o.Statement["x5c"].([]any)
	if len(chain) == 0 {
		return attestation{}, fmt.Errorf("no attestation certificate")
	}
	der, _ := chain[0].([]byte)
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return attestation{}, err
	}
	area, _ := o.Statement["pubArea"].([]byte)
	public, err := tpm2.DecodePublic(area)
	if err != nil {
		return attestation{}, err
	}
	key, err := public.Key()
	if err != nil {
		return attestation{}, err
	}
	hash, err := keyHash(key)
	return attestation{attestationKey: leaf, deviceKey: hash}, err
}

func keyHash(key any) ([sha256.Size]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(der), nil
}
