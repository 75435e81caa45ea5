package attestation

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-attestation/attest"
	"github.com/google/go-tpm/tpmutil"
	acmeclient "github.com/mholt/acmez/v3/acme"
	"github.com/smallstep/certificates/acme"

	"kuule/attestation/attestationtest"
	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
)

// anyDevice is an agreement that names every TPM: what is refused below is not
// refused for want of one.
type anyDevice struct{ named Named }

func (a anyDevice) ForDevice(context.Context, string) (Named, error) { return a.named, nil }

// chip is a TPM of the tests' own, to make what no honest agent would.
type chip struct {
	tpm *attest.TPM
	ak  *attest.AK
	id  string
}

type channel struct{ io.ReadWriter }

func (channel) Close() error                    { return nil }
func (channel) MeasurementLog() ([]byte, error) { return nil, nil }

func newChip(t *testing.T, m *attestationtest.Manufacturer) *chip {
	t.Helper()
	dir, err := os.MkdirTemp("", "ktpm")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	soft, err := m.TPM(t.Context(), dir)
	must(t, err)
	must(t, soft.Start(t.Context()))
	t.Cleanup(func() { must(t, soft.Stop()) })
	tpm, err := attest.OpenTPM(&attest.OpenConfig{CommandChannel: channel{tpmutil.NewEmulatorReadWriteCloser(soft.Socket())}})
	must(t, err)
	eks, err := tpm.EKs()
	must(t, err)
	id, err := wire.PermanentIdentifier(eks[0].Public)
	must(t, err)
	ak, err := tpm.NewAK(nil)
	must(t, err)
	return &chip{tpm, ak, id}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openForGuard opens an authority for every device and serves it over plain
// HTTP made to look like the door's.
func openForGuard(t *testing.T, m *attestationtest.Manufacturer) (*Authority, *acmeclient.Client) {
	t.Helper()
	a, err := Open(Config{
		Dir: t.TempDir(), Host: "enrol.kuule.test",
		Agreements:    anyDevice{Named{DeviceID: interview.NewDeviceID(), AgreementID: interview.NewAgreementID()}},
		Manufacturers: Manufacturers{Roots: m.Roots(), Intermediates: m.Intermediates()},
		Log:           slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(func() { must(t, a.Close()) })
	return a, &acmeclient.Client{
		Directory: "https://enrol.kuule.test/acme/devices/directory", PollTimeout: 5 * time.Second,
		HTTPClient: &http.Client{Transport: inProcess{a}},
	}
}

// inProcess answers requests with the authority's handler, as the bus does.
type inProcess struct{ a *Authority }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.Host = "evil.example" // the caller's word counts for nothing
	p.a.Handler().ServeHTTP(w, served)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// forge signs an attestation key's certificate as the test wants it.
func (c *chip) forge(t *testing.T, ca *hierarchy, identifiers []string, change func(*x509.Certificate)) [][]byte {
	t.Helper()
	serial, err := newSerial()
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{wire.OIDAttestationKey},
		ExtraExtensions:    []pkix.Extension{names(t, identifiers)},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.issuing, c.ak.Public(), ca.key)
	must(t, err)
	return [][]byte{der, ca.issuing.Raw}
}

// names is a subject alternative name with the hardware's name and any number
// of permanent identifiers.
func names(t *testing.T, identifiers []string) pkix.Extension {
	t.Helper()
	hw := &wire.Hardware{Manufacturer: "id:00001014", Model: "swtpm", Version: "id:20191023"}
	var all []asn1.RawValue
	ext, err := wire.SubjectAltName("x", hw, true)
	must(t, err)
	var parts []asn1.RawValue
	_, err = asn1.Unmarshal(ext.Value, &parts)
	must(t, err)
	for _, id := range identifiers {
		one, err := wire.SubjectAltName(id, nil, true)
		must(t, err)
		var p []asn1.RawValue
		_, err = asn1.Unmarshal(one.Value, &p)
		must(t, err)
		all = append(all, p[0])
	}
	ext.Value, err = asn1.Marshal(append(all, parts[1]))
	must(t, err)
	return ext
}

// order runs the whole of ACME for identifier with the given attestation chain.
// requestKey signs the request; nil is the key that was attested.
func (c *chip) order(t *testing.T, client *acmeclient.Client, identifier string, chain [][]byte, requestKey crypto.Signer) error {
	t.Helper()
	ctx := t.Context()
	accountKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	account, err := client.NewAccount(ctx, acmeclient.Account{TermsOfServiceAgreed: true, PrivateKey: accountKey})
	must(t, err)
	order, err := client.NewOrder(ctx, account, acmeclient.Order{Identifiers: []acmeclient.Identifier{{Type: "permanent-identifier", Value: identifier}}})
	if err != nil {
		return err
	}
	authz, err := client.GetAuthorization(ctx, account, order.Authorizations[0])
	must(t, err)
	challenge := authz.Challenges[0]
	sum := sha256.Sum256([]byte(challenge.KeyAuthorization))
	key, err := c.tpm.NewKey(c.ak, &attest.KeyConfig{Algorithm: attest.ECDSA, Size: 256, QualifyingData: sum[:]})
	must(t, err)
	defer func() { must(t, key.Close()) }()
	p := key.CertificationParameters()
	object, err := cbor.Marshal(map[string]any{"fmt": "tpm", "attStmt": map[string]any{
		"ver": "2.0", "alg": int64(-257), "x5c": chain, "sig": p.CreateSignature, "certInfo": p.CreateAttestation, "pubArea": p.Public,
	}})
	must(t, err)
	challenge.Payload = map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)}
	challenge, err = client.InitiateChallenge(ctx, account, challenge)
	if err != nil {
		return err
	}
	if challenge.Error != nil {
		return *challenge.Error
	}
	if requestKey == nil {
		private, err := key.Private(key.Public())
		must(t, err)
		requestKey, _ = private.(crypto.Signer)
	}
	name, err := wire.SubjectAltName(identifier, nil, false)
	must(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: identifier, OrganizationalUnit: []string{"dev_of-my-own-choice"}}, ExtraExtensions: []pkix.Extension{name},
		DNSNames: nil,
	}, requestKey)
	must(t, err)
	order, err = client.FinalizeOrder(ctx, account, order, csr)
	if err != nil {
		return err
	}
	_, err = client.GetCertificateChain(ctx, account, order.Certificate)
	return err
}

// C3: the attestation key's certificate decides which device it is. One that
// names none would pass for any at step-ca: the control proves that, and that
// the guard is what refuses it.
func TestAttestationCertificateMustNameTheDevice(t *testing.T) {
	t.Parallel()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	m, err := attestationtest.NewManufacturer(t.TempDir())
	must(t, err)
	c := newChip(t, m)
	victim := wire.IdentifierPrefix + base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, tc := range map[string]struct {
		claim       string
		identifiers []string
		change      func(*x509.Certificate)
		want        problem.Code // of the guarded authority; empty: accepted
		stepAccepts bool         // without the guard, as far as its challenge goes
	}{
		"names the device":          {c.id, []string{c.id}, nil, "", true},
		"names no device":           {victim, nil, nil, problem.CodeNoPermanentID, true},
		"names another device":      {victim, []string{c.id}, nil, problem.CodeCertificateInvalid, false},
		"names two devices":         {victim, []string{c.id, victim}, nil, problem.CodeCertificateInvalid, true},
		"expired":                   {c.id, []string{c.id}, func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Minute) }, problem.CodeCertificateInvalid, false},
		"not for attestation":       {c.id, []string{c.id}, func(x *x509.Certificate) { x.UnknownExtKeyUsage = nil }, problem.CodeQuoteRefused, false},
		"with a subject of its own": {c.id, []string{c.id}, func(x *x509.Certificate) { x.Subject.CommonName = "x" }, problem.CodeQuoteRefused, false},
	} {
		t.Run(name, func(t *testing.T) {
			guarded, client := openForGuard(t, m)
			err := c.order(t, client, tc.claim, c.forge(t, guarded.attestation.hierarchy, tc.identifiers, tc.change), nil)
			wantProblem(t, err, tc.want)

			bare, client := openForGuard(t, m)
			g, ok := acme.MustDatabaseFromContext(bare.devices.base).(*guard)
			if !ok {
				t.Fatal("the guard does not stand before the database")
			}
			bare.devices.base = acme.NewDatabaseContext(bare.devices.base, g.DB)
			err = c.order(t, client, tc.claim, c.forge(t, bare.attestation.hierarchy, tc.identifiers, tc.change), nil)
			if accepted := err == nil; accepted != tc.stepAccepts {
				t.Errorf("control: step-ca alone accepted: %v (%v), want %v", accepted, err, tc.stepAccepts)
			}
		})
	}
}

// A chain to another installation's attestation authority, a key that was not
// attested, and orders for anything but one device are refused.
func TestOrderRefused(t *testing.T) {
	t.Parallel()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	m, err := attestationtest.NewManufacturer(t.TempDir())
	must(t, err)
	c := newChip(t, m)
	a, client := openForGuard(t, m)
	other, _ := openForGuard(t, m)
	good := c.forge(t, a.attestation.hierarchy, []string{c.id}, nil)

	wantProblem(t, c.order(t, client, c.id, c.forge(t, other.attestation.hierarchy, []string{c.id}, nil), nil), problem.CodeQuoteRefused)

	outside, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	if err := c.order(t, client, c.id, good, outside); err == nil {
		t.Error("a key outside the TPM was certified")
	}
	for _, claim := range []string{"host.example", "urn:ek:sha256:AAAA", ""} {
		if err := c.order(t, client, claim, good, nil); err == nil {
			t.Errorf("an order for %q was taken", claim)
		}
	}
	wantProblem(t, c.order(t, client, c.id, good, nil), "")
}

func wantProblem(t *testing.T, err error, want problem.Code) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var p acmeclient.Problem
	if !errors.As(err, &p) {
		t.Errorf("got %v, want %s", err, want)
		return
	}
	for _, sub := range p.Subproblems {
		if strings.HasSuffix(sub.Type, ":"+string(want)) {
			return
		}
	}
	t.Errorf("got %v, want %s", err, want)
}

// The endorsement certificate has to be one, whole and in time.
func TestEndorsementRefused(t *testing.T) {
	t.Parallel()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	m, err := attestationtest.NewManufacturer(t.TempDir())
	must(t, err)
	a, _ := openForGuard(t, m)
	c := newChip(t, m)
	eks, err := c.tpm.EKs()
	must(t, err)
	p := c.ak.AttestationParameters()
	good := wire.AttestRequest{
		EKCerts: [][]byte{eks[0].Certificate.Raw},
		Params:  wire.AttestParameters{Public: p.Public, CreateData: p.CreateData, CreateAttestation: p.CreateAttestation, CreateSignature: p.CreateSignature},
	}
	if _, err := a.attestation.attest(good); err != nil {
		t.Fatal(err)
	}
	later := newAttestationCA(a.attestation.hierarchy, Manufacturers{Roots: m.Roots(), Intermediates: m.Intermediates()},
		func() time.Time { return time.Now().AddDate(50, 0, 0) }, slog.New(slog.DiscardHandler))
	_, err = later.attest(good)
	code(t, err, problem.CodeManufacturerUnknown)

	for name, tc := range map[string]struct {
		change func(*wire.AttestRequest)
		want   problem.Code
	}{
		"no certificate":         {func(r *wire.AttestRequest) { r.EKCerts = nil }, problem.CodeManufacturerUnknown},
		"two certificates":       {func(r *wire.AttestRequest) { r.EKCerts = append(r.EKCerts, r.EKCerts[0]) }, problem.CodeManufacturerUnknown},
		"not a certificate":      {func(r *wire.AttestRequest) { r.EKCerts = [][]byte{[]byte("x")} }, problem.CodeMalformed},
		"manufacturer's own":     {func(r *wire.AttestRequest) { r.EKCerts = [][]byte{m.Intermediates()[0].Raw} }, problem.CodeCertificateInvalid},
		"no attestation key":     {func(r *wire.AttestRequest) { r.Params.Public = nil }, problem.CodeMalformed},
		"creation not certified": {func(r *wire.AttestRequest) { r.Params.CreateSignature = r.Params.CreateSignature[:10] }, problem.CodeQuoteRefused},
		"TPM 1.2":                {func(r *wire.AttestRequest) { r.Params.UseTCSDActivationFormat = true }, problem.CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			tc.change(&r)
			_, err := a.attestation.attest(r)
			code(t, err, tc.want)
		})
	}
}

// The secret opens once, within a minute, and the table of those who wait is
// bounded.
func TestCredentialCountsOnceAndForAMinute(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h, err := openHierarchy(t.TempDir(), FileKeys(t.TempDir()), "attestation", "test", now)
	must(t, err)
	ca := newAttestationCA(h, Manufacturers{}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	p := pendingKey{key: key.Public(), identifier: wire.IdentifierPrefix + "x", hardware: wire.Hardware{Manufacturer: "m", Model: "m", Version: "v"}}
	must(t, ca.remember([]byte("a"), p))
	_, err = ca.certify(wire.SecretRequest{Secret: []byte("b")})
	code(t, err, problem.CodeQuoteRefused)
	resp, err := ca.certify(wire.SecretRequest{Secret: []byte("a")})
	must(t, err)
	leaf, err := x509.ParseCertificate(resp.Chain[0])
	must(t, err)
	if ids, hw, err := wire.Names(leaf); err != nil || len(ids) != 1 || ids[0] != p.identifier || hw != p.hardware {
		t.Errorf("certificate names %q, %+v, %v", ids, hw, err)
	}
	_, err = ca.certify(wire.SecretRequest{Secret: []byte("a")})
	code(t, err, problem.CodeQuoteRefused)

	must(t, ca.remember([]byte("c"), p))
	now = now.Add(pendingLifetime + time.Second)
	_, err = ca.certify(wire.SecretRequest{Secret: []byte("c")})
	code(t, err, problem.CodeQuoteRefused)

	for i := range maxPending {
		must(t, ca.remember([]byte{byte(i), byte(i >> 8), 1}, p))
	}
	code(t, ca.remember([]byte("one more"), p), problem.CodeTooFast)
	now = now.Add(pendingLifetime + time.Second)
	must(t, ca.remember([]byte("one more"), p))
}

func code(t *testing.T, err error, want problem.Code) {
	t.Helper()
	if !errors.Is(err, problem.New(want, "")) {
		t.Errorf("got %v, want code %s", err, want)
	}
}

// Enrolment answers in problem documents, and nothing else is served beside it.
func TestHandlerBounds(t *testing.T) {
	t.Parallel()
	m, err := attestationtest.NewManufacturer(t.TempDir())
	must(t, err)
	a, _ := openForGuard(t, m)
	for name, tc := range map[string]struct {
		method, path, body string
		want               problem.Code
	}{
		"not JSON":     {"POST", "/attestation/attest", "{", problem.CodeMalformed},
		"too large":    {"POST", "/attestation/secret", strings.Repeat(" ", wire.MaxRequest+1), problem.CodeTooLarge},
		"unknown path": {"GET", "/", "", problem.CodeNoRoute},
		"wrong secret": {"POST", "/attestation/secret", `{"secret":"AAAA"}`, problem.CodeQuoteRefused},
		"no EK":        {"POST", "/attestation/attest", `{}`, problem.CodeManufacturerUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
			var d problem.Document
			must(t, json.NewDecoder(w.Body).Decode(&d))
			if d.Code != tc.want || d.Status != w.Code {
				t.Errorf("%d %+v, want %s", w.Code, d, tc.want)
			}
		})
	}
	refused := false
	for range 2 * enrolBurst {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		refused = refused || w.Code == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("no rate bound was met")
	}
}

func FuzzReadAttestation(f *testing.F) {
	f.Add([]byte(`{"attObj":"o2NmbXRjdHBt"}`))
	f.Add([]byte(`{}`))
	object, err := cbor.Marshal(map[string]any{"fmt": "tpm", "attStmt": map[string]any{"x5c": []any{[]byte{0x30}}, "pubArea": []byte{0}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"attObj":"` + base64.RawURLEncoding.EncodeToString(object) + `"}`))
	f.Fuzz(func(_ *testing.T, payload []byte) { _, _ = readAttestation(payload) })
}
