package attestation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/acme"
	acmeapi "github.com/smallstep/certificates/acme/api"
	acmedb "github.com/smallstep/certificates/acme/db/nosql"
	stepca "github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
	"github.com/smallstep/certificates/webhook"
	"github.com/smallstep/nosql"

	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	// Lifetime is the longest that a device certificate lives.
	Lifetime = 24 * time.Hour

	// Provisioner is the name under which ACME is served:
	// /acme/devices/directory.
	Provisioner = "devices"

	agreementTimeout = 5 * time.Second
)

// Named is what an agreement in force says of one device.
type Named struct {
	DeviceID    interview.DeviceID
	AgreementID interview.AgreementID
	Premises    []interview.PremisesID // where the device may be used
	Until       time.Time              // end of the agreement; zero where it has none
}

// ErrNotNamed is what Agreements answers for a device that no agreement in
// force names.
var ErrNotNamed = errors.New("no agreement in force names this device")

// Agreements tells which agreement in force names a TPM (rows C3, C11).
// It must be safe for concurrent use and answer within seconds.
type Agreements interface {
	// ForDevice returns the agreement in force that names the TPM, or ErrNotNamed.
	ForDevice(ctx context.Context, permanentIdentifier string) (Named, error)
}

// deviceCA is step-ca with one ACME provisioner that accepts nothing but TPM
// attestations of our own attestation authority.
type deviceCA struct {
	*hierarchy
	step       *stepca.Authority
	agreements Agreements
	records    *records
	now        func() time.Time
	mux        http.Handler
	base       context.Context // holds what step-ca's handlers look up
	host       string
}

func openDeviceCA(dir, host string, h *hierarchy, attestationRoot *x509.Certificate, agreements Agreements, records *records, now func() time.Time) (*deviceCA, error) {
	ca := &deviceCA{hierarchy: h, agreements: agreements, records: records, now: now, host: host}
	yes := true
	dbConfig := &db.Config{Type: "bbolt", DataSource: filepath.Join(dir, "acme.db")}
	authDB, err := db.New(dbConfig)
	if err != nil {
		return nil, fmt.Errorf("open device authority: %w", err)
	}
	noSQL, ok := authDB.(nosql.DB)
	if !ok {
		return nil, fmt.Errorf("open device authority: %T is no key-value store", authDB)
	}
	ca.step, err = stepca.NewEmbedded(
		stepca.WithConfig(&config.Config{
			DNSNames: []string{host}, DB: dbConfig,
			AuthorityConfig: &config.AuthConfig{Provisioners: provisioner.List{&provisioner.ACME{
				Type: "ACME", Name: Provisioner, ForceCN: true,
				Challenges:         []provisioner.ACMEChallenge{provisioner.DEVICE_ATTEST_01},
				AttestationFormats: []provisioner.ACMEAttestationFormat{provisioner.TPM},
				AttestationRoots:   encodeCertificate(attestationRoot),
				Claims: &provisioner.Claims{
					MinTLSDur: duration(time.Minute), MaxTLSDur: duration(Lifetime), DefaultTLSDur: duration(Lifetime),
					DisableRenewal: &yes,
				},
			}}},
		}),
		stepca.WithDatabase(authDB),
		stepca.WithX509RootCerts(h.root),
		stepca.WithX509Signer(h.issuing, h.key),
		stepca.WithX509Enforcers(provisioner.CertificateEnforcerFunc(ca.enforce)),
		stepca.WithQuietInit(),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open device authority: %w", err), authDB.Shutdown())
	}
	store, err := acmedb.New(noSQL)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open device authority: %w", err), ca.step.Shutdown())
	}
	ca.base = stepca.NewContext(context.Background(), ca.step)
	ca.base = db.NewContext(ca.base, authDB)
	ca.base = acme.NewContext(ca.base, newGuard(store, records, now), acme.NewClient(), acme.NewLinker(host, "acme"), nil)
	mux := chi.NewRouter()
	mux.Route("/acme", func(r chi.Router) { acmeapi.Route(r) })
	ca.mux = mux
	return ca, nil
}

func duration(d time.Duration) *provisioner.Duration { return &provisioner.Duration{Duration: d} }

// ServeHTTP answers ACME. Links and the check of the signed URL use the
// configured host: the request's own Host is the client's word.
func (ca *deviceCA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(valuesOf{r.Context(), ca.base})
	r.Host, r.URL.Host, r.URL.Scheme = ca.host, ca.host, "https"
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxRequest)
	ca.mux.ServeHTTP(w, r)
}

// valuesOf is a request's context that also finds the values of another.
type valuesOf struct {
	context.Context
	also context.Context
}

func (c valuesOf) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.also.Value(key)
}

// enforce is step-ca's last call before it signs. What the certificate says is
// decided here, from the agreement alone; nothing of the request survives but
// the key and the identifier that were attested.
func (ca *deviceCA) enforce(c *x509.Certificate) error {
	identifier := c.Subject.CommonName
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return refusal(problem.New(problem.CodeMalformed, "the device key must be P-256"))
	}
	ctx, cancel := context.WithTimeout(ca.base, agreementTimeout)
	defer cancel()
	named, err := ca.named(ctx, identifier)
	if err != nil {
		return refusal(err)
	}
	name, err := wire.SubjectAltName(identifier, nil, false)
	if err != nil {
		return err
	}
	c.Subject = pkix.Name{
		CommonName:         identifier,
		Organization:       []string{named.AgreementID.String()},
		OrganizationalUnit: []string{named.DeviceID.String()},
	}
	c.RawSubject = nil
	c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs = nil, nil, nil, nil
	c.ExtraExtensions = []pkix.Extension{name}
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage, c.UnknownExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil
	c.IsCA, c.BasicConstraintsValid = false, true
	if latest := ca.now().Add(Lifetime); c.NotAfter.After(latest) {
		c.NotAfter = latest
	}
	if !named.Until.IsZero() && c.NotAfter.After(named.Until) {
		c.NotAfter = named.Until
	}
	return nil
}

// named asks which agreement in force names the TPM, and refuses a device that
// is revoked.
func (ca *deviceCA) named(ctx context.Context, identifier string) (Named, error) {
	if !wire.ValidIdentifier(identifier) {
		return Named{}, problem.New(problem.CodeNoPermanentID, "%q is no permanent identifier", identifier)
	}
	named, err := ca.agreements.ForDevice(ctx, identifier)
	switch {
	case errors.Is(err, ErrNotNamed):
		return Named{}, problem.New(problem.CodeDeviceNotNamed, "no agreement in force names %s", identifier)
	case err != nil:
		return Named{}, problem.New(problem.CodeUnavailable, "agreements of %s: %w", identifier, err)
	case named.DeviceID.IsZero() || named.AgreementID.IsZero():
		return Named{}, problem.New(problem.CodeDeviceNotNamed, "the agreement names %s without an id", identifier)
	case !named.Until.IsZero() && !ca.now().Before(named.Until):
		return Named{}, problem.New(problem.CodeDeviceNotNamed, "the agreement that names %s has ended", identifier)
	}
	revoked, _, err := ca.records.revoked(named.DeviceID)
	if err != nil {
		return Named{}, fmt.Errorf("revocation of %s: %w", named.DeviceID, err)
	}
	if revoked != nil {
		return Named{}, problem.New(problem.CodeDeviceRevoked, "device %s was revoked at %s", named.DeviceID, revoked.At.UTC().Format(time.RFC3339))
	}
	return named, nil
}

// refusal puts a problem's code into the one error type that step-ca passes on
// to ACME clients as a subproblem.
func refusal(err error) error {
	d := problem.Of(err)
	return &webhook.Error{Code: string(d.Code), Message: d.Detail}
}
