package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuule/agreements"
	"kuule/agreements/agreementstest"
	agentsignin "kuule/attestation/agent/signin"
	"kuule/attestation/wire"
	"kuule/internal/bus"
	"kuule/internal/bus/bustest"
	"kuule/internal/config"
	"kuule/internal/idptest"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/store/storetest"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/interviewtest"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/recorder"
	"kuule/recorder/journal"
	"kuule/signaling"
)

const (
	doorName = "kuule.test"
	landing  = "http://kuule.localhost:8701/gw/signin/callback"
)

// personas are one person of each role that signs in, and a second interviewer.
var personas = []idptest.Persona{
	{Subject: "sub-interviewer", Name: "Ida", Role: "interviewer", Redirect: landing},
	{Subject: "sub-colleague", Name: "Kai", Role: "interviewer", Redirect: landing},
	{Subject: "sub-counsel", Name: "Lea", Role: "counsel", Redirect: landing},
	{Subject: "sub-interpreter", Name: "Tom", Role: "interpreter", Redirect: landing},
	{Subject: "sub-representative", Name: "Eva", Role: "representative", Redirect: landing},
	{Subject: "sub-security-office", Name: "Olo", Role: "security-office", Redirect: landing},
	{Subject: "sub-administrator", Name: "Adi", Role: "administrator", Redirect: landing},
	{Subject: "sub-officer", Name: "Ossi", Role: "officer", Redirect: landing},
}

// gatehouse is a door behind a real listener. Authority's answers are the
// test's: certificates are checked against nothing but its one root here.
type gatehouse struct {
	t        *testing.T
	door     *door
	world    *interviewtest.World
	address  string
	servers  *x509.CertPool
	devices  *x509.Certificate
	key      *ecdsa.PrivateKey
	office   *ecdsa.PrivateKey
	provider *idptest.Provider
	revoked  atomic.Bool
	enrolled chan string // paths that reached authority's enrolment
	views    atomic.Int32
	bus      *bustest.Bus
	recorder *bus.Conn
	sealing  *ecdsa.PrivateKey
	bridge   *kioskbridge.Bridge // nil unless a test opened one
}

func testRoot(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := testKey(t)
	return issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key, key), key
}

func issue(t *testing.T, tmpl, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber, tmpl.NotBefore, tmpl.NotAfter = serial(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newGatehouse opens one; prepare is done before it serves.
func newGatehouse(t *testing.T, prepare ...func(*gatehouse)) *gatehouse {
	t.Helper()
	g := &gatehouse{t: t, sealing: testKey(t), servers: x509.NewCertPool(), enrolled: make(chan string, 64)}
	serverRoot, serverKey := testRoot(t, "servers")
	g.servers.AddCert(serverRoot)
	g.devices, g.key = testRoot(t, "devices")
	var err error
	if g.provider, err = idptest.Start(t.Context(), "127.0.0.1:0", personas); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.provider.Close() })

	wireBus := bustest.Start(t)
	g.bus = wireBus
	g.serveAuthority(wireBus.Connect(t, bus.Main(bus.Authority)))
	g.recorder = wireBus.Connect(t, bus.Name{Role: bus.Recorder, Instance: "1"})
	if err := bus.Handle(g.recorder, "recorder.files", func(context.Context, bus.Name, hearingQuestion) (journalList, error) {
		return journalList{Files: []recorder.File{{Recording: interview.NewRecordingID(), Name: journal.FileName(1), Size: 9}}}, nil
	}); err != nil {
		t.Fatal(err)
	}

	c := config.Default()
	c.Recorders = []string{""}
	c.Data, c.Host = filepath.Join(t.TempDir(), "data"), doorName
	c.Identity = config.Identity{Issuer: g.provider.Issuer(), ClientID: idptest.ClientID}
	in := &installation{Config: c, layout: c.Layout(), trust: &trust.File{V: 1, DeviceRoots: []string{trust.EncodeCertificate(g.devices)}}, relay: make([]byte, 32)}
	if err := in.layout.Make(in.layout.Door()); err != nil {
		t.Fatal(err)
	}
	g.office = testKey(t)
	for k, key := range map[*string]*ecdsa.PrivateKey{&in.trust.OfficeKey: g.office, &in.trust.SealingKey: g.sealing, &in.trust.StatementKey: testKey(t)} {
		if *k, err = trust.EncodeKey(key.Public()); err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.Open(t)
	if g.door, err = openDoor(in, wireBus.Connect(t, bus.Main(bus.Door)), db); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.door.keeper.Close)
	t.Cleanup(g.door.people.Client().CloseIdleConnections)
	g.world = interviewtest.NewWorld(t, db)
	g.door.hearings = g.world.Store
	g.door.hub = signaling.NewHub(signaling.Config{
		Admission: joins{g.door}, Hearings: hearings{g.door}, Media: busMedia{g.door.conn}, Recorders: recorders{g.door},
		Journal: g.door.keeper, Audit: joinAudit{g.door}, Limits: signaling.Defaults, Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(g.door.hub.Close)

	leaf := testKey(t)
	pair := tls.Certificate{PrivateKey: leaf, Certificate: [][]byte{issue(t, &x509.Certificate{DNSNames: []string{doorName, "enrol." + doorName}}, serverRoot, leaf, serverKey).Raw}}
	g.door.biometrics = &biometrics{}
	for _, f := range prepare {
		f(g)
	}
	server := g.door.server(pair, g.door.handler(g.bridge))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return g
}

func (g *gatehouse) serveAuthority(conn *bus.Conn) {
	g.t.Helper()
	for _, err := range []error{
		keyringremote.Serve(conn, keyringtest.Local(g.t), func(context.Context, string, keyring.Key, string) error { return nil }),
		bus.Handle(conn, "posture.device", func(_ context.Context, _ bus.Name, q certificateQuestion) (wire.Device, error) {
			if g.revoked.Load() {
				return wire.Device{}, problem.New(problem.CodeDeviceRevoked, "test")
			}
			c, err := x509.ParseCertificate(q.Certificate)
			if err != nil {
				return wire.Device{}, err
			}
			return wire.ReadDevice(c)
		}),
		bus.Handle(conn, "view.allow", func(context.Context, bus.Name, allowQuestion) (allowAnswer, error) {
			return allowAnswer{Approval: "signed", Expires: time.Now().Add(time.Hour).Unix()}, nil
		}),
		bus.Handle(conn, "seal", func(_ context.Context, _ bus.Name, q sealQuestion) (sealAnswer, error) {
			text, err := jws.Sign(q.Payload, q.Type, g.sealing)
			return sealAnswer{Message: text}, err
		}),
		bus.Handle(conn, "view", func(context.Context, bus.Name, viewQuestion) (none, error) {
			g.views.Add(1)
			return none{}, problem.New(problem.CodeNotReady, "far enough for this test")
		}),
		bus.HandleHTTP(conn, "enrol", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case g.enrolled <- r.URL.Path:
			default: // a test that only counts refusals
			}
			w.WriteHeader(http.StatusTeapot)
		})),
	} {
		if err != nil {
			g.t.Fatal(err)
		}
	}
}

// certificate makes a device's certificate of a root.
func (g *gatehouse) certificate(device interview.DeviceID, root *x509.Certificate, by *ecdsa.PrivateKey) *tls.Certificate {
	g.t.Helper()
	id := "urn:ek:sha256:" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	san, err := wire.SubjectAltName(id, nil, false)
	if err != nil {
		g.t.Fatal(err)
	}
	key := testKey(g.t)
	c := issue(g.t, &x509.Certificate{
		Subject:  pkix.Name{CommonName: id, Organization: []string{interview.NewAgreementID().String()}, OrganizationalUnit: []string{device.String()}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, ExtraExtensions: []pkix.Extension{san},
	}, root, key, by)
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

// caller is a client of the door: by a server name, at a device or at none.
type caller struct {
	*http.Client
	g      *gatehouse
	name   string
	device interview.DeviceID
	proof  signin.Proof
}

func (g *gatehouse) caller(name string, cert *tls.Certificate, change ...func(*tls.Config)) *caller {
	g.t.Helper()
	conf := &tls.Config{ServerName: name, RootCAs: g.servers}
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	for _, f := range change {
		f(conf)
	}
	transport := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", g.address)
	}}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &caller{Client: &http.Client{Transport: transport, Timeout: 10 * time.Second}, g: g, name: name}
}

// at is a client at an approved device.
func (g *gatehouse) at(device interview.DeviceID) *caller {
	g.t.Helper()
	c := g.caller(doorName, g.certificate(device, g.devices, g.key))
	c.device = device
	return c
}

// signIn has a person sign in at the caller's device.
func (c *caller) signIn(subject string) *caller {
	c.g.t.Helper()
	v, err := signin.NewVerifier(signin.Config{Issuer: c.g.provider.Issuer(), ClientID: idptest.ClientID})
	if err != nil {
		c.g.t.Fatal(err)
	}
	c.g.t.Cleanup(v.Client().CloseIdleConnections)
	client, err := agentsignin.New(agentsignin.Config{Verifier: v, ClientID: idptest.ClientID, Redirect: landing, DeviceID: c.device.String()})
	if err != nil {
		c.g.t.Fatal(err)
	}
	start, attempt, err := client.Begin(c.g.t.Context())
	if err != nil {
		c.g.t.Fatal(err)
	}
	back, err := c.g.provider.Login(c.g.t.Context(), start, subject)
	if err != nil {
		c.g.t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		c.g.t.Fatal(err)
	}
	if _, c.proof, err = client.Finish(c.g.t.Context(), attempt, u.Query().Get("code")); err != nil {
		c.g.t.Fatal(err)
	}
	return c
}

// ask sends one request and returns its status and the code of a problem.
func (c *caller) ask(method, path, body string, change ...func(*http.Request)) (int, problem.Code, error) {
	r, err := http.NewRequestWithContext(c.g.t.Context(), method, "https://"+c.name+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.proof.IDToken != "" {
		c.proof.SetHeader(r.Header)
	}
	for _, f := range change {
		f(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	var d problem.Document
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		if err := json.Unmarshal(text, &d); err != nil {
			return 0, "", fmt.Errorf("%s: %w", text, err)
		}
	}
	return resp.StatusCode, d.Code, nil
}

func (c *caller) want(what, method, path, body string, want problem.Code, change ...func(*http.Request)) {
	c.g.t.Helper()
	if status, code, err := c.ask(method, path, body, change...); err != nil || code != want {
		c.g.t.Errorf("%s: status %d, problem %q, %v; want %q", what, status, code, err, want)
	}
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

// C5: enrol.HOST alone asks for no certificate, and leads to
// nothing but enrolment.
func TestTheHandshakeDecidesWhoComesIn(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	device := interview.NewDeviceID()
	strangers, strangersKey := testRoot(t, "devices") // the same name, another key
	for name, c := range map[string]*caller{
		"no certificate":       g.caller(doorName, nil),
		"another root":         g.caller(doorName, g.certificate(device, strangers, strangersKey)),
		"TLS 1.2":              g.caller(doorName, g.certificate(device, g.devices, g.key), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		"TLS 1.2 at enrolment": g.caller("enrol."+doorName, nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		"no server name": g.caller(doorName, nil, func(c *tls.Config) {
			c.ServerName, c.InsecureSkipVerify = "", true // no name is sent for an address
		}),
	} {
		if status, _, err := c.ask("GET", "/api/me", ""); err == nil {
			t.Errorf("%s: came in, status %d", name, status)
		}
	}
	if status, _, err := g.at(device).ask("GET", "/api/me", ""); err != nil || status != http.StatusOK {
		t.Fatalf("an approved device: %d, %v", status, err)
	}

	enrol := g.caller("enrol."+doorName, nil)
	for _, path := range []string{"/acme/devices/directory", "/api/me", "/agent/bundle", "/ws/room", "/agent/posture"} {
		for _, name := range []string{"enrol." + doorName, doorName} {
			if status, _, err := enrol.ask("GET", path, "", host(name)); err != nil || status != http.StatusTeapot {
				t.Errorf("%s as host %s: %d, %v: went elsewhere than to enrolment", path, name, status, err)
			}
			if got := <-g.enrolled; got != path {
				t.Errorf("enrolment saw %s, want %s", got, path)
			}
		}
	}
	// And a device's connection is not enrolment's, whatever its Host says.
	g.at(device).want("host of enrolment", "GET", "/acme/devices/directory", "", problem.CodeNoRoute, host("enrol."+doorName))
	// A certificate shown at enrolment's name opens nothing there either.
	if status, _, err := g.caller("enrol."+doorName, g.certificate(device, g.devices, g.key)).ask("GET", "/api/me", "", host(doorName)); err != nil || status != http.StatusTeapot {
		t.Errorf("with a certificate at enrolment: %d, %v", status, err)
	}
}

// oneSession offers every server the session that any server gave.
type oneSession struct {
	last atomic.Pointer[tls.ClientSessionState]
}

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) {
	v := s.last.Load()
	return v, v != nil
}
func (s *oneSession) Put(_ string, v *tls.ClientSessionState) { s.last.Store(v) }

// A session of enrolment, which knew no certificate, resumes nowhere else.
func TestASessionOfEnrolmentOpensNoDoor(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	sessions := &oneSession{}
	keep := func(c *tls.Config) { c.ClientSessionCache = sessions }
	if status, _, err := g.caller("enrol."+doorName, nil, keep).ask("GET", "/acme/", ""); err != nil || status != http.StatusTeapot {
		t.Fatalf("%d, %v", status, err)
	}
	if sessions.last.Load() == nil {
		t.Fatal("the server gave no session to try")
	}
	if status, code, err := g.caller(doorName, nil, keep).ask("GET", "/api/me", ""); err == nil {
		t.Errorf("came in: %d %s", status, code)
	}
}

// Promise 2: revocation counts on a connection that is open already.
func TestARevokedDeviceIsRefusedOnItsOpenConnection(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	c := g.at(interview.NewDeviceID())
	if status, _, err := c.ask("GET", "/api/me", ""); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	g.revoked.Store(true)
	deadline := time.Now().Add(2*deviceCached + time.Second)
	for {
		_, code, err := c.ask("GET", "/api/me", "")
		if err == nil && code == problem.CodeDeviceRevoked {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still answered: %q, %v", code, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.want("room", "GET", "/ws/room", "", problem.CodeDeviceRevoked)
}

// C2, O3: a token counts at the device where its person signed in, and each
// route is for the roles that the table names.
func TestWhoMayAskWhat(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	desk := g.at(g.world.Desk)
	desk.want("nobody signed in", "GET", "/api/hearings", "", problem.CodeSignIn)
	desk.signIn("sub-interviewer")
	if status, _, err := desk.ask("GET", "/api/hearings", ""); err != nil || status != http.StatusOK {
		t.Fatalf("interviewer: %d, %v", status, err)
	}
	// Any device may send the gateway's headers; the token still is the desk's.
	thief := g.at(interview.NewDeviceID())
	thief.proof = desk.proof
	thief.want("token of another device", "GET", "/api/hearings", "", problem.CodeSignIn)
	thief.want("token of another device, where none is needed", "GET", "/api/me", "", problem.CodeSignIn)
	forged := g.at(g.world.Desk)
	forged.proof = signin.Proof{IDToken: desk.proof.IDToken, NonceRandom: base64.RawURLEncoding.EncodeToString(make([]byte, 32))}
	forged.want("token with another nonce", "GET", "/api/hearings", "", problem.CodeSignIn)
}

func TestWhatTheDoorDoesNotKnowItRefusesByCode(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	c := g.at(g.world.Desk).signIn("sub-interviewer")
	for _, path := range []string{"/", "/nothing", "/api/nothing", "/api", "/agent", "/agent/bundle/../../door/tls.key", "/evidence/" + g.world.Hearing.ID.String(), "/agreements/import"} {
		status, code, err := c.ask("GET", path, "")
		if err != nil || status != http.StatusNotFound || code != problem.CodeNoRoute {
			t.Errorf("%s: %d %q %v", path, status, code, err)
		}
	}
	const lodged = `"lodged":"2026-10-01","language":"ar"`
	for what, q := range map[string]struct {
		body string
		want problem.Code
	}{
		"not JSON":      {`{"diary":`, problem.CodeMalformed},
		"unknown field": {`{"diary":"M/1",` + lodged + `,"x":1}`, problem.CodeMalformed},
		"twice":         {`{"diary":"M/1","diary":"M/2",` + lodged + `}`, problem.CodeMalformed},
		"oversized":     {`{"diary":"` + strings.Repeat("x", interview.MaxBody) + `",` + lodged + `}`, problem.CodeTooLarge},
	} {
		c.want(what, "POST", "/api/cases", q.body, q.want)
	}
	c.want("unknown method", "DELETE", "/api/me", "", problem.CodeNoRoute)
}

// Anybody on the network may send to enrolment: each request is bounded before
// authority hears of it.
func TestEnrolmentIsBoundedAtTheDoor(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	c := g.caller("enrol."+doorName, nil)
	c.want("oversized", "POST", "/attestation/attest", strings.Repeat("x", wire.MaxRequest+1), problem.CodeTooLarge)
	if status, _, err := c.ask("POST", "/attestation/attest", strings.Repeat("x", wire.MaxRequest)); err != nil || status != http.StatusTeapot {
		t.Errorf("at the bound: %d, %v", status, err)
	}
	// Requests whose body never comes take all the places and no more.
	stall := func() {
		conn, err := tls.Dial("tcp", g.address, &tls.Config{ServerName: "enrol." + doorName, RootCAs: g.servers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "POST /attestation/attest HTTP/1.1\r\nHost: enrol."+doorName+"\r\nContent-Length: 10\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range maxEnrolling {
		stall()
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, code, err := c.ask("GET", "/acme/", "")
		if err == nil && code == problem.CodeTooFast {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("one more was taken: %q, %v", code, err)
		}
		stall() // the one that was asked may have had the last one's place
	}
}

// What the door writes into its own log and answers never holds a token.
func TestNoTokenComesBack(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	c := g.at(g.world.Desk)
	c.proof = signin.Proof{IDToken: "eyJhbGciOiJub25lIn0.c2VjcmV0.", NonceRandom: "secret-nonce"}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+doorName+"/api/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.proof.SetHeader(r.Header)
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || bytes.Contains(text, []byte("c2VjcmV0")) || bytes.Contains(text, []byte("secret")) {
		t.Errorf("answer repeats the proof: %s, %v", text, err)
	}
}

// C1: suspending an agreement puts its devices out of their rooms, not only
// out of their next join.
func TestASuspendedAgreementNamesNobody(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	first := newVouched(t).doc
	a, err := agreementstest.InForce(t.Context(), g.door.register, g.office, &first)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := g.door.register.InUse(t.Context())
	if err != nil || len(signed) != 1 {
		t.Fatalf("%d, %v", len(signed), err)
	}
	if got, err := g.door.unnamed(t.Context(), signed[0].Signed); err != nil || len(got) != 0 {
		t.Errorf("in force: %v, %v", got, err)
	}
	if _, err := g.door.register.Step(t.Context(), a.ID, a.Version, agreements.Suspended, "incident", "office"); err != nil {
		t.Fatal(err)
	}
	if got, err := g.door.unnamed(t.Context(), signed[0].Signed); err != nil || len(got) != 1 || got[0] != first.Devices[0].ID {
		t.Errorf("suspended: %v, %v", got, err)
	}
}

// The administrator's socket is for the door's own user alone, in its folder.
func TestTheAdministratorsSocketIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	admin, err := g.door.serveAdmin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	socket, err := os.Stat(g.door.in.path(adminSocketFile))
	if err != nil || socket.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", socket.Mode(), err)
	}
	folder, err := os.Stat(g.door.in.layout.Door())
	if err != nil || folder.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", folder.Mode(), err)
	}
}
