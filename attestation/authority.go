package attestation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/time/rate"

	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	// Enrolment is open to the network, so it is bounded for everybody together:
	// one enrolment takes about a dozen requests.
	enrolRate  = 40 // requests a second
	enrolBurst = 200
)

// Config is what an Authority needs.
type Config struct {
	Dir           string        // for certificates and records, mode 0700
	Keys          KeyStore      // for private keys; nil keeps them in Dir
	Host          string        // host or host:port under which devices reach Handler
	Manufacturers Manufacturers // TPM makers that are believed
	Agreements    Agreements
	PCRs          PCRPolicy        // zero value: DefaultPCRs
	Now           func() time.Time // nil: time.Now
	Log           *slog.Logger     // nil: slog.Default
}

// Authority enrols devices and knows their state. Safe for concurrent use.
type Authority struct {
	attestation *attestationCA
	devices     *deviceCA
	records     *records
	posture     *posture
	roots       *x509.CertPool
	now         func() time.Time
	handler     http.Handler
}

// Open starts the authority, making its keys on the first start. Close it.
func Open(c Config) (*Authority, error) {
	if c.Agreements == nil || c.Host == "" || c.Dir == "" {
		return nil, errors.New("open attestation: directory, host and agreements are needed")
	}
	if len(c.Manufacturers.Roots) == 0 {
		return nil, errors.New("open attestation: no TPM manufacturer is configured: no device could enrol")
	}
	if c.Keys == nil {
		c.Keys = FileKeys(c.Dir)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if len(c.PCRs.Registers) == 0 {
		c.PCRs = DefaultPCRs
	}
	if err := c.PCRs.check(); err != nil {
		return nil, fmt.Errorf("open attestation: %w", err)
	}
	attesting, err := openHierarchy(c.Dir, c.Keys, attestationName, attestationTitle, c.Now())
	if err != nil {
		return nil, err
	}
	issuing, err := openHierarchy(c.Dir, c.Keys, deviceName, deviceTitle, c.Now())
	if err != nil {
		return nil, err
	}
	recs, err := openRecords(filepath.Join(c.Dir, "devices.db"))
	if err != nil {
		return nil, err
	}
	devices, err := openDeviceCA(c.Dir, c.Host, issuing, attesting.root, c.Agreements, recs, c.Now)
	if err != nil {
		return nil, errors.Join(err, recs.close())
	}
	a := &Authority{
		attestation: newAttestationCA(attesting, c.Manufacturers, c.Now, c.Log),
		devices:     devices,
		records:     recs,
		posture:     newPosture(recs, c.PCRs, c.Now),
		roots:       x509.NewCertPool(),
		now:         c.Now,
	}
	a.roots.AddCert(issuing.root)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /attestation/attest", a.attestation.serveAttest)
	mux.HandleFunc("POST /attestation/secret", a.attestation.serveSecret)
	mux.Handle("/acme/", devices)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(problem.CodeNoRoute, "only enrolment is served here"))
	})
	a.handler = limited(rate.NewLimiter(enrolRate, enrolBurst), mux)
	return a, nil
}

// Close releases the authority's files.
func (a *Authority) Close() error {
	return errors.Join(a.devices.step.Shutdown(), a.records.close())
}

// Handler serves enrolment: /attestation/attest, /attestation/secret and
// /acme/devices/... It asks for no client certificate.
func (a *Authority) Handler() http.Handler { return a.handler }

func limited(l *rate.Limiter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.Allow() {
			problem.Write(w, problem.New(problem.CodeTooFast, "enrolment is busy"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// DeviceRoot is the root of device certificates, for the trust file.
func (a *Authority) DeviceRoot() *x509.Certificate { return a.devices.root }

// AttestationRoot is the root of attestation keys' certificates, for the trust
// file.
func (a *Authority) AttestationRoot() *x509.Certificate { return a.attestation.root }

// Device verifies a device certificate and returns whom it names: issued here,
// in time, not revoked, and covered by an agreement in force right now. It is
// the first gate of everything that a device asks for.
func (a *Authority) Device(ctx context.Context, certificate []byte) (wire.Device, error) {
	d, _, err := a.device(ctx, certificate)
	return d, err
}

func (a *Authority) device(ctx context.Context, der []byte) (d wire.Device, attestationKey []byte, err error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return d, nil, problem.New(problem.CodeCertificateInvalid, "device certificate: %w", err)
	}
	intermediates := x509.NewCertPool()
	intermediates.AddCert(a.devices.issuing)
	if _, err := c.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: intermediates, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return d, nil, problem.New(problem.CodeCertificateInvalid, "device certificate: %w", err)
	}
	if d, err = wire.ReadDevice(c); err != nil {
		return d, nil, problem.New(problem.CodeCertificateInvalid, "device certificate: %w", err)
	}
	if err := a.notRevoked(d); err != nil {
		return d, nil, err
	}
	rec, err := a.records.get(d.PermanentIdentifier)
	if err != nil && !errors.Is(err, errNoRecord) {
		return d, nil, err
	}
	issued, ok := rec.Certificates[d.Serial]
	if !ok || rec.Device != d.DeviceID {
		return d, nil, problem.New(problem.CodeCertificateInvalid, "certificate %s of device %s was withdrawn", d.Serial, d.DeviceID)
	}
	named, err := a.devices.named(ctx, d.PermanentIdentifier)
	if err != nil {
		return d, nil, err
	}
	if named.DeviceID != d.DeviceID || named.AgreementID != d.AgreementID {
		return d, nil, problem.New(problem.CodeDeviceNotNamed, "device %s is no longer named by agreement %s: enrol again", d.DeviceID, d.AgreementID)
	}
	return d, issued.AttestationKey, nil
}

func (a *Authority) notRevoked(d wire.Device) error {
	revoked, _, err := a.records.revoked(d.DeviceID)
	if err != nil {
		return err
	}
	if revoked != nil {
		return problem.New(problem.CodeDeviceRevoked, "device %s was revoked at %s", d.DeviceID, revoked.At.UTC().Format(time.RFC3339))
	}
	// ACME lets a device give up its certificate; that counts too.
	gone, err := a.devices.step.IsRevoked(d.Serial)
	if err != nil {
		return fmt.Errorf("revocation of certificate %s: %w", d.Serial, err)
	}
	if gone {
		return problem.New(problem.CodeDeviceRevoked, "certificate %s was given up by its device", d.Serial)
	}
	return nil
}

// Revoke withdraws every certificate of a device, at once, and bars new ones
// until Reinstate. The generation grows with every change, so that whoever
// holds an older one knows to ask again.
func (a *Authority) Revoke(_ context.Context, device interview.DeviceID, reason string) (generation uint64, err error) {
	generation, err = a.records.revoke(device, revocation{At: a.now(), Reason: reason})
	if err != nil {
		return 0, fmt.Errorf("revoke device %s: %w", device, err)
	}
	a.posture.forget(device)
	return generation, nil
}

// Reinstate lets a revoked device enrol again. Certificates from before stay
// withdrawn.
func (a *Authority) Reinstate(_ context.Context, device interview.DeviceID) (generation uint64, err error) {
	generation, err = a.records.reinstate(device)
	if err != nil {
		return 0, fmt.Errorf("reinstate device %s: %w", device, err)
	}
	return generation, nil
}

// IsRevoked reports whether a device is revoked, with the generation of the
// list that was read.
func (a *Authority) IsRevoked(device interview.DeviceID) (revoked bool, generation uint64, err error) {
	r, generation, err := a.records.revoked(device)
	return r != nil, generation, err
}

// Revoked lists the revoked devices with the list's generation.
func (a *Authority) Revoked() (devices []interview.DeviceID, generation uint64, err error) {
	return a.records.revokedDevices()
}

// Challenge gives a device a nonce to quote over. It counts once, for that
// certificate, for 30 seconds.
func (a *Authority) Challenge(ctx context.Context, certificate []byte) (wire.Challenge, error) {
	d, _, err := a.device(ctx, certificate)
	if err != nil {
		return wire.Challenge{}, err
	}
	return a.posture.challenge(d)
}

// Verify judges a quote by the attestation key that was enrolled together with
// the certificate. A refusal is a verdict, not an error: an error means that no
// verdict could be reached.
func (a *Authority) Verify(ctx context.Context, certificate []byte, q wire.NoncedQuote) (Verdict, error) {
	d, attestationKey, err := a.device(ctx, certificate)
	if err != nil {
		return Verdict{}, err
	}
	return a.posture.verify(d, attestationKey, q)
}

// Fresh returns the device's verdict if it is verified and no older than
// within; otherwise a problem that says what is missing.
func (a *Authority) Fresh(device interview.DeviceID, now time.Time, within time.Duration) (Verdict, error) {
	revoked, _, err := a.IsRevoked(device)
	if err != nil {
		return Verdict{}, err
	}
	if revoked {
		return Verdict{}, problem.New(problem.CodeDeviceRevoked, "device %s is revoked", device)
	}
	return a.posture.fresh(device, now, within)
}

// Reapprove forgets what the device's registers were, so that its next quote
// sets them anew. The security office does this after a change that it knows of.
func (a *Authority) Reapprove(_ context.Context, device interview.DeviceID) error {
	err := a.records.forget(device, func(rec *record) { rec.Baseline, rec.BaselineAt = nil, time.Time{} })
	if err != nil {
		return fmt.Errorf("reapprove device %s: %w", device, err)
	}
	a.posture.forget(device)
	return nil
}
