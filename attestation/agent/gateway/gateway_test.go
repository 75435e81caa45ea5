package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"kuule/attestation/agent/gateway/gatewaytest"
	agentsignin "kuule/attestation/agent/signin"
	"kuule/internal/idptest"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/trust"
	"kuule/interview"
)

func TestMain(m *testing.M) {
	// net/http keeps a connection half open for a moment after it refused a body.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var samplePages = fstest.MapFS{
	"index.html":    {Data: []byte("<!doctype html><title>Kuule</title><script src=\"/assets/app.js\"></script>")},
	"assets/app.js": {Data: []byte("document.title = 'ran'")},
}

// door is the server behind: it demands the device's certificate and tells
// what reached it.
type door struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
	// answer adds what a captured server might.
	answer func(http.Header)
}

type echo struct {
	Device string      `json:"device"`
	Path   string      `json:"path"`
	Header http.Header `json:"header"`
}

func (d *door) requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen)
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.seen = append(d.seen, r.Header.Clone())
	d.mu.Unlock()
	me := echo{r.TLS.PeerCertificates[0].Subject.CommonName, r.URL.Path, r.Header}
	if strings.HasPrefix(r.URL.Path, "/ws/") {
		up := websocket.Upgrader{Subprotocols: []string{"kuule.v1"}}
		if r.URL.Path == "/ws/other" {
			up.Subprotocols = nil
		}
		c, err := up.Upgrade(w, r, http.Header{"Set-Cookie": {"a=b"}})
		if err != nil {
			return
		}
		defer c.Close()
		if c.WriteJSON(me) != nil {
			return
		}
		for {
			kind, text, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, text) != nil {
				return
			}
		}
	}
	if d.answer != nil {
		d.answer(w.Header())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(me)
}

type deviceKey struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func (k deviceKey) SignStatement(payload any, typ string) (string, error) {
	return jws.Sign(payload, typ, k.key, k.cert)
}

type fixture struct {
	*Gateway
	addr *Address
	door *door
	key  deviceKey
	idp  *idptest.Provider
}

type option func(*Config)

// serve runs a gateway with everything real behind it: TLS door, device key,
// identity provider.
func serve(t *testing.T, options ...option) *fixture {
	t.Helper()
	f := &fixture{door: &door{}, key: newDeviceKey(t)}
	roots := x509.NewCertPool()
	roots.AddCert(f.key.cert)
	f.door.Server = httptest.NewUnstartedServer(f.door)
	f.door.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert}
	f.door.EnableHTTP2 = true
	f.door.StartTLS()
	t.Cleanup(f.door.Close)
	doorRoots := x509.NewCertPool()
	doorRoots.AddCert(f.door.Certificate())
	transport := NewTransport(&tls.Config{RootCAs: doorRoots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{f.key.cert.Raw}, PrivateKey: f.key.key}, nil
	}}, f.door.Listener.Addr().String())
	t.Cleanup(transport.CloseIdleConnections)

	var err error
	if f.addr, err = Bind(t.Context(), "counsel.localhost", 0); err != nil {
		t.Fatal(err)
	}
	device := interview.NewDeviceID()
	f.idp, err = idptest.Start(t.Context(), "127.0.0.1:0", []idptest.Persona{{Subject: "c1", Name: "Aino Avustaja", Role: "counsel", Redirect: f.addr.Callback()}, {Subject: "o1", Name: "Olga Ranta", Role: "officer", Redirect: f.addr.Callback()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.idp.Close(); err != nil {
			t.Error(err)
		}
	})
	verifier, err := signin.NewVerifier(signin.Config{Issuer: f.idp.Issuer(), ClientID: idptest.ClientID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Client().CloseIdleConnections)
	client, err := agentsignin.New(agentsignin.Config{Verifier: verifier, ClientID: idptest.ClientID, Redirect: f.addr.Callback(), DeviceID: device.String()})
	if err != nil {
		t.Fatal(err)
	}
	doorURL := &url.URL{Scheme: "https", Host: "example.com"} // the test certificate's name, not to be resolved
	cfg := Config{
		Address: f.addr, BrowserUID: uint32(os.Getuid()), Pages: samplePages, Door: doorURL, Transport: transport,
		Device: Device{ID: device, Label: "Avustajan kone", Kind: "workstation", Trust: &trust.File{V: 1, Name: "test"}},
		Signer: f.key, SignIn: client, Log: slog.New(slog.DiscardHandler),
	}
	for _, o := range options {
		o(&cfg)
	}
	if f.Gateway, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

func newDeviceKey(t *testing.T) deviceKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device-1"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device-1"}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return deviceKey{key, cert}
}

func (f *fixture) open(t *testing.T) *gatewaytest.Page {
	t.Helper()
	p, err := gatewaytest.Open(t.Context(), f.StartURL(false).URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func isProblem(err error, code problem.Code) bool { return errors.Is(err, problem.New(code, "")) }

func TestThePageReachesTheDoorAsTheDevice(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	var got echo
	if err := page.Call(t.Context(), http.MethodPost, "/api/hearings", map[string]int{"a": 1}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Device != "device-1" || got.Path != "/api/hearings" {
		t.Errorf("door saw %+v", got)
	}
	for _, name := range []string{"Authorization", "Cookie", "Origin", "Referer", "Sec-Fetch-Site", signin.HeaderToken} {
		if got.Header.Get(name) != "" {
			t.Errorf("%s reached the door", name)
		}
	}
}

func TestTheSocketReachesTheDoorWithoutTheBearer(t *testing.T) {
	t.Parallel()
	f := serve(t)
	page := f.open(t)
	c, err := page.Socket(t.Context(), "/ws/room")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Subprotocol() != "kuule.v1" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	var got echo
	if err := c.ReadJSON(&got); err != nil {
		t.Fatal(err)
	}
	if got.Device != "device-1" || got.Header.Get("Sec-Websocket-Protocol") != "kuule.v1" || got.Header.Get("Origin") != "" {
		t.Errorf("door saw %+v", got)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := c.ReadMessage(); err != nil || string(text) != "hello" {
		t.Errorf("echo %q, %v", text, err)
	}
}

func TestADoorThatSwitchesToAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	f := serve(t)
	if c, err := f.open(t).Socket(t.Context(), "/ws/other"); err == nil {
		c.Close()
		t.Error("socket opened without the room's protocol")
	} else if !isProblem(err, problem.CodeUnavailable) {
		t.Error(err)
	}
}

// A captured server must not set cookies, open the origin to others, bring a
// worker or loosen the page's policy.
func TestWhatTheDoorMayNotSayIsStripped(t *testing.T) {
	t.Parallel()
	f := serve(t)
	f.door.answer = func(h http.Header) {
		for name, value := range map[string]string{"Set-Cookie": "a=b", "Access-Control-Allow-Origin": "*", "Service-Worker-Allowed": "/",
			"Content-Security-Policy": "default-src *", "Clear-Site-Data": "*", "Location": "https://evil.example", "Link": "</x>;rel=preload",
			"Refresh": "0;url=https://evil.example", "X-Content-Type-Options": "", "Cache-Control": "public", "Etag": `"kept"`} {
			h.Set(name, value)
		}
	}
	page := f.open(t)
	req, err := page.Request(t.Context(), http.MethodGet, "/api/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := page.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Origin", "Service-Worker-Allowed", "Clear-Site-Data", "Location", "Link", "Refresh"} {
		if v := resp.Header.Get(name); v != "" {
			t.Errorf("%s: %s reached the page", name, v)
		}
	}
	for name, want := range map[string]string{"Content-Security-Policy": strictPolicy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Etag": `"kept"`} {
		if got := resp.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestPagesCarryThePolicy(t *testing.T) {
	t.Parallel()
	f := serve(t)
	for path, want := range map[string]struct {
		code        int
		contentType string
	}{
		"/":                 {200, "text/html; charset=utf-8"},
		"/hearing/anything": {200, "text/html; charset=utf-8"}, // the page's own address
		"/assets/app.js":    {200, "text/javascript; charset=utf-8"},
		"/assets/none.js":   {404, "application/problem+json"},
	} {
		resp := f.raw(t, http.MethodGet, path, navigation(nil))
		if resp.StatusCode != want.code || resp.Header.Get("Content-Type") != want.contentType {
			t.Errorf("%s: %d %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		if want.code == 200 && resp.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s: policy %q", path, resp.Header.Get("Content-Security-Policy"))
		}
		for _, name := range []string{"Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options"} {
			if resp.Header.Get(name) == "" {
				t.Errorf("%s lacks %s", path, name)
			}
		}
	}
}

func navigation(h http.Header) http.Header {
	out := http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}
	for k, v := range h {
		out[k] = v
	}
	return out
}

// raw sends exactly these headers to the gateway's socket. "Host" is the host.
func (f *fixture) raw(t *testing.T, method, path string, h http.Header) *http.Response {
	t.Helper()
	return rawTo(t, f.addr, "127.0.0.1", method, path, h)
}

func rawTo(t *testing.T, a *Address, ip, method, path string, h http.Header) *http.Response {
	t.Helper()
	resp, err := tryRaw(t.Context(), a, ip, method, path, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func tryRaw(ctx context.Context, a *Address, ip, method, path string, h http.Header) (*http.Response, error) {
	var body *strings.Reader
	if method != http.MethodGet {
		body = strings.NewReader("{}")
	} else {
		body = strings.NewReader("")
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.Host()+path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range h {
		req.Header[k] = v
	}
	if host := h.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(a.listeners[0].Addr().String())
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(ip, port))
	}}
	return transport.RoundTrip(req)
}

func TestBothLoopbackFamiliesAnswer(t *testing.T) {
	t.Parallel()
	f := serve(t)
	if len(f.addr.listeners) == 1 {
		t.Skip("this host has no IPv6")
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		if resp := rawTo(t, f.addr, ip, http.MethodGet, "/", navigation(nil)); resp.StatusCode != http.StatusOK {
			t.Errorf("%s answered %s", ip, resp.Status)
		}
	}
}

func TestAGatewayThatLacksAnythingIsNotMade(t *testing.T) {
	t.Parallel()
	addr, err := Bind(t.Context(), "counsel.localhost", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer addr.Close()
	good := func() Config {
		return Config{Address: addr, Pages: samplePages, Door: &url.URL{Scheme: "https", Host: "door"}, Transport: http.DefaultTransport, Signer: deviceKey{},
			Device: Device{ID: interview.NewDeviceID(), Trust: &trust.File{}}}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"address": func(c *Config) { c.Address = nil }, "pages": func(c *Config) { c.Pages = nil }, "door": func(c *Config) { c.Door = nil },
		"transport": func(c *Config) { c.Transport = nil }, "signer": func(c *Config) { c.Signer = nil }, "trust": func(c *Config) { c.Device.Trust = nil },
		"device": func(c *Config) { c.Device.ID = interview.DeviceID{} }, "https": func(c *Config) { c.Door = &url.URL{Scheme: "http", Host: "door"} },
		"index": func(c *Config) { c.Pages = fstest.MapFS{"a.js": {Data: []byte("x")}} },
	} {
		c := good()
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("made without %s", name)
		}
	}
	c := good()
	c.Pages = fstest.MapFS{}
	if _, err := New(c); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty pages: %v", err)
	}
}
