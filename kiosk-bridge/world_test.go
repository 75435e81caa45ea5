package kioskbridge_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
)

// reference is the code on the invitation, as interview.ReferenceOf makes them.
const reference = "ZVEB-N63P-Q"

var holder = emrtdtest.Person{Surname: "ERIKSSON", GivenNames: "ANNA MARIA", DocumentNumber: "L898902C3", DateOfBirth: "740812", Sex: "F"}

// world is a bridge behind mutual TLS, a device authority, a kiosk and a state.
type world struct {
	t        testing.TB
	db       *bun.DB
	outbox   interviewtest.Outbox
	store    *kioskbridge.SQL
	bridge   *kioskbridge.Bridge
	bridgeK  *ecdsa.PrivateKey
	root     *x509.Certificate
	rootK    *ecdsa.PrivateKey
	server   *httptest.Server
	kiosk    *device
	booking  kioskbridge.Booking
	state    *emrtdtest.State
	mu       sync.Mutex
	notKiosk bool
	site     string
	place    string
}

func (w *world) url() string { return "wss" + strings.TrimPrefix(w.server.URL, "https") }

// device is an attested device: what kuule-agent's state gives a program.
type device struct {
	id    interview.DeviceID
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	roots *x509.CertPool
}

func (d *device) ClientTLS() *tls.Config {
	return &tls.Config{
		RootCAs: d.roots, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{d.cert.Raw}, PrivateKey: d.key}},
	}
}

func (d *device) SignStatement(payload any, typ string) (string, error) {
	return jws.Sign(payload, typ, d.key, d.cert)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) certificate(name string, key *ecdsa.PrivateKey) *x509.Certificate {
	w.t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: w.root == nil,
	}
	parent, parentKey := w.root, w.rootK
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) newDevice() *device {
	d := &device{id: interview.NewDeviceID(), key: newKey(w.t), roots: x509.NewCertPool()}
	d.cert = w.certificate(d.id.String(), d.key)
	d.roots.AddCert(w.server.Certificate())
	return d
}

func deviceOf(c *x509.Certificate) (interview.DeviceID, error) {
	return interview.ParseDeviceID(c.Subject.CommonName)
}

// Kiosk implements kioskbridge.Kiosks.
func (w *world) Kiosk(r *http.Request) (kioskbridge.Kiosk, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cert := r.TLS.PeerCertificates[0]
	id, err := deviceOf(cert)
	if err != nil || w.notKiosk {
		return kioskbridge.Kiosk{}, problem.New(problem.CodeForbidden, "device %s is no kiosk", id)
	}
	return kioskbridge.Kiosk{Device: id, Certificate: cert, Site: w.site, Place: w.place}, nil
}

// Booking implements kioskbridge.Bookings.
func (w *world) Booking(_ context.Context, ref string) (kioskbridge.Booking, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ref != reference {
		return kioskbridge.Booking{}, problem.New(problem.CodeNotBooked, "nothing is booked under this reference")
	}
	return w.booking, nil
}

func newWorld(t testing.TB, adjust ...func(*kioskbridge.Config)) *world {
	t.Helper()
	w := &world{t: t, db: storetest.Open(t), bridgeK: newKey(t), rootK: newKey(t)}
	w.root = w.certificate("devices", w.rootK)
	w.store = kioskbridge.NewSQL(w.db, &w.outbox)
	now := time.Now()
	w.booking = kioskbridge.Booking{
		Case: interview.NewCaseID(), Hearing: interview.NewHearingID(), Participant: interview.NewParticipantID(),
		Seat: interview.NewSeatID(), Role: interview.RoleApplicant, Purpose: interview.PurposeHearing, Terminal: interview.NewDeviceID(), Place: "Room 2", Name: "Anna Maria Eriksson",
		Opens: now.Add(-time.Hour), Closes: now.Add(4 * time.Hour),
		Person: kioskbridge.Person{Name: "Anna Maria Eriksson", DateOfBirth: "1974-08-12"},
	}
	var err error
	if w.state, err = emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, now); err != nil {
		t.Fatal(err)
	}
	anchors, err := emrtd.ParseCertificates(w.state.CSCA())
	if err != nil {
		t.Fatal(err)
	}
	list, err := emrtd.NewTrustList(anchors...)
	if err != nil {
		t.Fatal(err)
	}
	config := kioskbridge.Config{
		Kiosks: w, Bookings: w, Judge: func() kioskbridge.Judge {
			return kioskbridge.Judge{Inspector: &emrtd.Inspector{Trust: list}, TrustList: list.Version()}
		}, Store: w.store,
		Sealer: &interviewtest.Sealer{}, Key: w.bridgeK, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Patience: 5 * time.Second,
	}
	for _, a := range adjust {
		a(&config)
	}
	if w.bridge, err = kioskbridge.New(config); err != nil {
		t.Fatal(err)
	}
	devices := x509.NewCertPool()
	devices.AddCert(w.root)
	w.server = httptest.NewUnstartedServer(w.bridge)
	w.server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: devices, MinVersion: tls.VersionTLS13}
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	w.server.StartTLS()
	t.Cleanup(func() {
		w.bridge.Close()
		w.server.Close()
	})
	w.kiosk = w.newDevice()
	return w
}

func (w *world) passport(v emrtdtest.Variant) *emrtdtest.Passport {
	w.t.Helper()
	p, err := w.state.Issue(holder, v)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) client() *kiosk.Client { return &kiosk.Client{URL: w.url(), Identity: w.kiosk} }

func (w *world) trust() ticket.Trust {
	roots := x509.NewCertPool()
	roots.AddCert(w.root)
	return ticket.Trust{BridgeKey: w.bridgeK.Public(), DeviceRoots: roots, DeviceOf: deviceOf}
}

// watch is a clock that goes with the real one and further where a test says so.
type watch struct {
	mu     sync.Mutex
	passed time.Duration
}

func newWatch() *watch { return &watch{} }

func (w *watch) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.passed)
}

func (w *watch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed += d
}
