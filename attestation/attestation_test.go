package attestation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"kuule/attestation"
	"kuule/attestation/agent"
	"kuule/attestation/attestationtest"
	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
)

func TestMain(m *testing.M) {
	// glog, which a dependency of step-ca brings along, flushes for ever.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// house is an authority with everything around it that a device meets.
type house struct {
	*attestation.Authority
	maker      *attestationtest.Manufacturer
	agreements *agreements
	posture    *attestation.PostureServer
	verdicts   chan attestation.Verdict
	server     string
	address    string
	trust      []byte
	logSigner  note.Signer
	bundleKey  ed25519.PrivateKey
	dir        string
}

func (h *house) deviceRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(h.DeviceRoot())
	return pool
}

// agreements is a register of devices that tests change.
type agreements struct {
	mu    sync.Mutex
	named map[string]attestation.Named
}

func (a *agreements) ForDevice(_ context.Context, identifier string) (attestation.Named, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.named[identifier]
	if !ok {
		return attestation.Named{}, attestation.ErrNotNamed
	}
	return n, nil
}

func (a *agreements) name(identifier string) attestation.Named {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := attestation.Named{DeviceID: interview.NewDeviceID(), AgreementID: interview.NewAgreementID(), Premises: []interview.PremisesID{interview.NewPremisesID()}}
	a.named[identifier] = n
	return n
}

func (a *agreements) change(identifier string, f func(*attestation.Named)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.named[identifier]
	f(&n)
	a.named[identifier] = n
}

func (a *agreements) end(identifier string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.named, identifier)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if err := attestationtest.Available(); err != nil {
		t.Skip(err)
	}
	maker, err := attestationtest.NewManufacturer(t.TempDir())
	check(t, err)
	h := &house{maker: maker, agreements: &agreements{named: map[string]attestation.Named{}}, verdicts: make(chan attestation.Verdict, 64), dir: t.TempDir()}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	h.address, h.server = l.Addr().String(), "https://kuule.test:"+port
	h.Authority, err = attestation.Open(attestation.Config{
		Dir: h.dir, Host: "enrol.kuule.test:" + port, Agreements: h.agreements,
		Manufacturers: attestation.Manufacturers{Roots: maker.Roots(), Intermediates: maker.Intermediates()},
	})
	check(t, err)
	t.Cleanup(func() { check(t, h.Close()) })
	h.posture = &attestation.PostureServer{Verifier: h.Authority, Every: 200 * time.Millisecond, Verdict: func(v attestation.Verdict) {
		select {
		case h.verdicts <- v:
		default:
		}
	}}

	serverCert, serverRoot := serverCertificate(t)
	clientRoots := x509.NewCertPool()
	clientRoots.AddCert(h.DeviceRoot())
	mux := http.NewServeMux()
	mux.Handle(agent.PosturePath, h.posture)
	mux.Handle("/", h.Handler())
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	srv.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{serverCert},
		// As the door will: nobody is asked for a certificate at enrol.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{serverCert}}
			if hello.ServerName != "enrol.kuule.test" {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clientRoots
			}
			return c, nil
		},
	}
	srv.StartTLS()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })

	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	h.bundleKey = private
	spki, err := trust.EncodeKey(public)
	check(t, err)
	logSecret, logKey, err := note.GenerateKey(rand.Reader, "kuule.test/log")
	check(t, err)
	h.logSigner, err = note.NewSigner(logSecret)
	check(t, err)
	f := trust.File{
		V: 1, Name: "test", Demonstration: true, LogKey: logKey,
		ServerRoots: []string{trust.EncodeCertificate(serverRoot)}, DeviceRoots: []string{trust.EncodeCertificate(h.DeviceRoot())}, RecorderRoots: []string{trust.EncodeCertificate(serverRoot)},
		StatementKey: spki, SealingKey: spki, OfficeKey: spki, BundleKey: spki,
	}
	h.trust, err = f.Marshal()
	check(t, err)
	return h
}

func serverCertificate(t *testing.T) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test server"}, DNSNames: []string{"kuule.test", "enrol.kuule.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	check(t, err)
	parsed, err := x509.ParseCertificate(der)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, parsed
}

func startTPM(t *testing.T, m *attestationtest.Manufacturer) *attestationtest.TPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "ktpm") // a short path: it holds sockets
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	tpm, err := m.TPM(t.Context(), dir)
	check(t, err)
	check(t, tpm.Start(t.Context()))
	t.Cleanup(func() { check(t, tpm.Stop()) })
	return tpm
}

func (h *house) options(tpm *attestationtest.TPM, dir string) agent.Options {
	return agent.Options{StateDir: dir, TPM: tpm.Socket(), Server: h.server, Address: h.address, Trust: h.trust}
}

// enrolled is a device of its own TPM, named by an agreement and enrolled.
func (h *house) enrolled(t *testing.T) (*agent.Device, *attestationtest.TPM, attestation.Named) {
	t.Helper()
	tpm := startTPM(t, h.maker)
	identifier, err := agent.Identifier(tpm.Socket())
	check(t, err)
	named := h.agreements.name(identifier)
	dir := filepath.Join(t.TempDir(), "state")
	_, err = agent.Enrol(t.Context(), h.options(tpm, dir))
	check(t, err)
	d, err := agent.Open(dir, tpm.Socket())
	check(t, err)
	return d, tpm, named
}

func leafOf(d *agent.Device) []byte { return d.TLSCertificate().Certificate[0] }

// answered runs one challenge and quote of d.
func (h *house) answered(t *testing.T, d *agent.Device) wire.NoncedQuote {
	t.Helper()
	c, err := h.Challenge(t.Context(), leafOf(d))
	check(t, err)
	q, err := d.Quote(c.Nonce, c.PCRs)
	check(t, err)
	return wire.NoncedQuote{Nonce: c.Nonce, Quote: q}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if !errors.Is(err, problem.New(code, "")) {
		t.Errorf("got %v, want code %s", err, code)
	}
}

// C3, C11: a device that an agreement names enrols, and its certificate says
// which device and agreement.
func TestEnrolment(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, named := h.enrolled(t)
	got := d.Info()
	if got.DeviceID != named.DeviceID || got.AgreementID != named.AgreementID {
		t.Errorf("certificate names %s and %s, want %s and %s", got.DeviceID, got.AgreementID, named.DeviceID, named.AgreementID)
	}
	if life := got.NotAfter.Sub(got.NotBefore); life > attestation.Lifetime+5*time.Minute || time.Until(got.NotAfter) > attestation.Lifetime {
		t.Errorf("certificate lives %s, want at most %s", life, attestation.Lifetime)
	}
	checked, err := h.Device(t.Context(), leafOf(d))
	check(t, err)
	if checked != got {
		t.Errorf("authority reads %+v, device %+v", checked, got)
	}
}

// C3: each missing condition alone refuses enrolment, with its own reason.
func TestEnrolmentRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger, err := attestationtest.NewManufacturer(t.TempDir())
	check(t, err)
	for name, tc := range map[string]struct {
		maker *attestationtest.Manufacturer
		with  func(identifier string)
		want  problem.Code
	}{
		"unknown manufacturer": {stranger, func(id string) { h.agreements.name(id) }, problem.CodeManufacturerUnknown},
		"no agreement":         {h.maker, func(string) {}, problem.CodeDeviceNotNamed},
		"agreement has ended": {h.maker, func(id string) {
			h.agreements.name(id)
			h.agreements.change(id, func(n *attestation.Named) { n.Until = time.Now().Add(-time.Second) })
		}, problem.CodeDeviceNotNamed},
		"device has been revoked": {h.maker, func(id string) {
			_, err := h.Revoke(t.Context(), h.agreements.name(id).DeviceID, "lost")
			check(t, err)
		}, problem.CodeDeviceRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tpm := startTPM(t, tc.maker)
			identifier, err := agent.Identifier(tpm.Socket())
			check(t, err)
			tc.with(identifier)
			dir := filepath.Join(t.TempDir(), "state")
			_, err = agent.Enrol(t.Context(), h.options(tpm, dir))
			wantCode(t, err, tc.want)
			if _, err := agent.Open(dir, tpm.Socket()); !errors.Is(err, agent.ErrNotEnrolled) {
				t.Errorf("after a refusal the device opens: %v", err)
			}
		})
	}
}

// A certificate never outlives the agreement.
func TestCertificateEndsWithAgreement(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tpm := startTPM(t, h.maker)
	identifier, err := agent.Identifier(tpm.Socket())
	check(t, err)
	h.agreements.name(identifier)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	h.agreements.change(identifier, func(n *attestation.Named) { n.Until = end })
	e, err := agent.Enrol(t.Context(), h.options(tpm, filepath.Join(t.TempDir(), "state")))
	check(t, err)
	if e.NotAfter.After(end) {
		t.Errorf("certificate lives until %s, the agreement until %s", e.NotAfter, end)
	}
}

// C5: a quote over a fresh nonce verifies, once.
func TestQuote(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, named := h.enrolled(t)
	if _, err := h.Fresh(named.DeviceID, time.Now(), time.Minute); err == nil {
		t.Error("a device that sent no quote is fresh")
	} else {
		wantCode(t, err, problem.CodePostureStale)
	}
	q := h.answered(t, d)
	v, err := h.Verify(t.Context(), leafOf(d), q)
	check(t, err)
	if v.Outcome != interview.Verified {
		t.Fatalf("verdict %+v", v)
	}
	_, err = h.Fresh(named.DeviceID, time.Now(), time.Minute)
	check(t, err)
	_, err = h.Fresh(named.DeviceID, time.Now().Add(61*time.Second), time.Minute)
	wantCode(t, err, problem.CodePostureStale)

	// C5: the same quote again is a replay.
	v, err = h.Verify(t.Context(), leafOf(d), q)
	check(t, err)
	if v.Outcome != interview.Failed || v.Code != problem.CodeQuoteRefused {
		t.Errorf("replay: verdict %+v", v)
	}
	_, err = h.Fresh(named.DeviceID, time.Now(), time.Minute)
	wantCode(t, err, problem.CodeQuoteRefused)
}

// C5: what does not hold in a quote is found, whatever it is.
func TestQuoteRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, _ := h.enrolled(t)
	other, _, _ := h.enrolled(t)
	for name, change := range map[string]func(q *wire.NoncedQuote){
		"another TPM's key": func(q *wire.NoncedQuote) {
			var err error
			q.Quote, err = other.Quote(q.Nonce, attestation.DefaultPCRs.Registers)
			check(t, err)
		},
		"nonce nobody gave":       func(q *wire.NoncedQuote) { q.Nonce = make([]byte, wire.NonceSize) },
		"short nonce":             func(q *wire.NoncedQuote) { q.Nonce = q.Nonce[:8] },
		"old quote for new nonce": func(q *wire.NoncedQuote) { q.Quote = h.answered(t, d).Quote },
		"register value changed":  func(q *wire.NoncedQuote) { q.Quote.PCRs[3].Digest[0] ^= 1 },
		"register left out":       func(q *wire.NoncedQuote) { q.Quote.PCRs = q.Quote.PCRs[1:] },
		"fewer registers quoted": func(q *wire.NoncedQuote) {
			var err error
			q.Quote, err = d.Quote(q.Nonce, attestation.DefaultPCRs.Registers[1:])
			check(t, err)
			q.Quote.PCRs = append([]wire.PCR{{Index: 0, Digest: make([]byte, 32)}}, q.Quote.PCRs...)
		},
		"signature changed": func(q *wire.NoncedQuote) { q.Quote.Signature[len(q.Quote.Signature)-1] ^= 1 },
		"empty":             func(q *wire.NoncedQuote) { q.Quote = wire.Quote{} },
		"another certificate's nonce": func(q *wire.NoncedQuote) {
			c, err := h.Challenge(t.Context(), leafOf(other))
			check(t, err)
			q.Nonce = c.Nonce
			q.Quote, err = d.Quote(c.Nonce, c.PCRs)
			check(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := h.answered(t, d)
			change(&q)
			v, err := h.Verify(t.Context(), leafOf(d), q)
			check(t, err)
			if v.Outcome != interview.Failed || v.Code != problem.CodeQuoteRefused {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

// C5: a device that starts differently is noticed, until the security office
// approves the change.
func TestPostureDrift(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, tpm, named := h.enrolled(t)
	verdict := func() attestation.Verdict {
		t.Helper()
		v, err := h.Verify(t.Context(), leafOf(d), h.answered(t, d))
		check(t, err)
		return v
	}
	if v := verdict(); v.Outcome != interview.Verified {
		t.Fatalf("first quote: %+v", v)
	}
	check(t, tpm.Extend(4, sha256.Sum256([]byte("another boot loader"))))
	if v := verdict(); v.Outcome != interview.Failed || v.Code != problem.CodePostureDrift {
		t.Errorf("after another boot loader: %+v", v)
	}
	_, err := h.Fresh(named.DeviceID, time.Now(), time.Minute)
	wantCode(t, err, problem.CodePostureDrift)
	// Enrolling again does not wipe the drift out.
	check(t, d.Renew(t.Context()))
	if v := verdict(); v.Code != problem.CodePostureDrift {
		t.Errorf("after renewal: %+v", v)
	}
	check(t, h.Reapprove(t.Context(), named.DeviceID))
	if v := verdict(); v.Outcome != interview.Verified {
		t.Errorf("after approval: %+v", v)
	}
}

// C5: a state directory on other hardware opens nothing.
func TestCopiedStateIsUselessElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tpm := startTPM(t, h.maker)
	identifier, err := agent.Identifier(tpm.Socket())
	check(t, err)
	h.agreements.name(identifier)
	dir := filepath.Join(t.TempDir(), "state")
	_, err = agent.Enrol(t.Context(), h.options(tpm, dir))
	check(t, err)

	thief := startTPM(t, h.maker)
	copied := filepath.Join(t.TempDir(), "state")
	check(t, os.CopyFS(copied, os.DirFS(dir)))
	check(t, os.Chmod(copied, 0o700))
	entries, err := os.ReadDir(copied)
	check(t, err)
	for _, e := range entries {
		check(t, os.Chmod(filepath.Join(copied, e.Name()), 0o600))
	}
	if _, err := agent.Open(copied, thief.Socket()); err == nil {
		t.Error("the copied state opens on another TPM")
	}
	if _, err := agent.Open(copied, tpm.Socket()); err != nil {
		t.Errorf("the copy itself is bad, so the test shows nothing: %v", err)
	}
}

// C5, K: revocation counts at once, and only a new enrolment after it is lifted
// brings the device back.
func TestRevocation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, named := h.enrolled(t)
	q := h.answered(t, d)
	_, err := h.Verify(t.Context(), leafOf(d), q)
	check(t, err)
	_, before, err := h.IsRevoked(named.DeviceID)
	check(t, err)

	generation, err := h.Revoke(t.Context(), named.DeviceID, "agreement ended")
	check(t, err)
	if generation <= before {
		t.Errorf("generation went from %d to %d", before, generation)
	}
	if revoked, g, err := h.IsRevoked(named.DeviceID); err != nil || !revoked || g != generation {
		t.Errorf("revoked %v, generation %d, %v", revoked, g, err)
	}
	_, err = h.Device(t.Context(), leafOf(d))
	wantCode(t, err, problem.CodeDeviceRevoked)
	_, err = h.Challenge(t.Context(), leafOf(d))
	wantCode(t, err, problem.CodeDeviceRevoked)
	_, err = h.Fresh(named.DeviceID, time.Now(), time.Minute)
	wantCode(t, err, problem.CodeDeviceRevoked)
	wantCode(t, d.Renew(t.Context()), problem.CodeDeviceRevoked)

	later, err := h.Reinstate(t.Context(), named.DeviceID)
	check(t, err)
	if later <= generation {
		t.Errorf("generation went from %d to %d", generation, later)
	}
	_, err = h.Device(t.Context(), leafOf(d))
	wantCode(t, err, problem.CodeCertificateInvalid) // the old certificate stays withdrawn
	check(t, d.Renew(t.Context()))
	_, err = h.Device(t.Context(), leafOf(d))
	check(t, err)
}

// C3: when the agreement no longer names the device, its certificate is worth
// nothing from that moment.
func TestAgreementEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, _ := h.enrolled(t)
	identifier := d.Info().PermanentIdentifier
	h.agreements.change(identifier, func(n *attestation.Named) { n.AgreementID = interview.NewAgreementID() })
	_, err := h.Device(t.Context(), leafOf(d))
	wantCode(t, err, problem.CodeDeviceNotNamed)
	h.agreements.end(identifier)
	_, err = h.Device(t.Context(), leafOf(d))
	wantCode(t, err, problem.CodeDeviceNotNamed)
}

func TestDeviceCertificateOfAnotherAuthority(t *testing.T) {
	t.Parallel()
	h, other := newHouse(t), newHouse(t)
	d, _, _ := other.enrolled(t)
	_, err := h.Device(t.Context(), leafOf(d))
	wantCode(t, err, problem.CodeCertificateInvalid)
	_, err = h.Device(t.Context(), []byte("no certificate"))
	wantCode(t, err, problem.CodeCertificateInvalid)
}

// The authority's keys and records outlive a restart; what is there in part is
// never made anew.
func TestAuthorityRestarts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, _, _ := h.enrolled(t)
	root := h.DeviceRoot()
	check(t, h.Close())
	config := attestation.Config{
		Dir: h.dir, Host: "enrol.kuule.test", Agreements: h.agreements,
		Manufacturers: attestation.Manufacturers{Roots: h.maker.Roots(), Intermediates: h.maker.Intermediates()},
	}
	var err error
	h.Authority, err = attestation.Open(config)
	check(t, err)
	if !h.DeviceRoot().Equal(root) {
		t.Error("the restart made another root")
	}
	if made, err := attestation.MakeDeviceRoot(h.dir); err != nil || !made.Equal(root) {
		t.Errorf("another root would be pinned: %v", err)
	}
	v, err := h.Verify(t.Context(), leafOf(d), h.answered(t, d))
	check(t, err)
	if v.Outcome != interview.Verified {
		t.Errorf("after the restart: %+v", v)
	}
	check(t, h.Close())
	key := filepath.Join(h.dir, "device-issuing.key")
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", st, err)
	}
	check(t, os.Rename(key, key+".gone"))
	if a, err := attestation.Open(config); err == nil {
		_ = a.Close()
		t.Error("the authority started without its key")
	}
	check(t, os.Rename(key+".gone", key))
	h.Authority, err = attestation.Open(config)
	check(t, err)
}
