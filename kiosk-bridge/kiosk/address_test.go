package kiosk_test

import (
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/kiosk/paymenttest"
)

// Names and payments travel in the clear to no other machine: the address is
// refused, and nothing is sent.
func TestPartsOffTheMachineNeedTLS(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{
		"ipps://printer.example/ipp/print": nil, "ipps://192.0.2.7:8631/ipp/print": nil,
		"ipp://localhost/ipp/print": nil, "ipp://127.0.0.1:8631/ipp/print": nil, "ipp://[::1]/ipp/print": nil,
		"ipp://printer.example/ipp/print": kiosk.ErrPlain, "ipp://192.0.2.7/ipp/print": kiosk.ErrPlain, "ipp://localhost.example/ipp/print": kiosk.ErrPlain,
		"ipp://127.0.0.1.example/ipp/print": kiosk.ErrPlain, "ipp://[2001:db8::1]/ipp": kiosk.ErrPlain,
	} {
		if err := kiosk.CheckPrinter(address); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if err := (&kiosk.Printer{URL: address, HTTP: noNetwork(t)}).Print(t.Context(), "x", []byte("x")); want != nil && !errors.Is(err, want) {
			t.Errorf("printed at %s: %v", address, err)
		}
	}
	for address, want := range map[string]error{
		"https://pay.example": nil, "https://192.0.2.7:8443/port": nil, "http://127.0.0.1:9000": nil, "http://[::1]:9000": nil, "http://localhost:9000": nil, "unix:/run/pay.sock": nil,
		"http://pay.example": kiosk.ErrPlain, "http://192.0.2.7": kiosk.ErrPlain, "http://0.0.0.0": kiosk.ErrPlain,
	} {
		if err := kiosk.CheckPayments(address); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v", address, err)
		}
		p := kiosk.Payments{URL: address, Cents: 1, Currency: "EUR", Within: time.Millisecond, HTTP: noNetwork(t)}
		if _, err := p.Pay(t.Context(), kiosk.NewPayment(), "x"); want != nil && !errors.Is(err, want) {
			t.Errorf("paid at %s: %v", address, err)
		}
	}
	for _, none := range []string{"", "printer", "http://printer.example", "ipps://user:secret@printer.example/x", "ftp://printer.example"} {
		if err := kiosk.CheckPrinter(none); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("printer %q: %v", none, err)
		}
	}
	for _, none := range []string{"", "pay", "unix:", "unix:relative", "ftp://pay.example", "https://user:secret@pay.example", "https://pay.example?x=1"} {
		if err := kiosk.CheckPayments(none); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("payment port %q: %v", none, err)
		}
	}
}

// noNetwork fails the test where something is asked of a network that was to be
// refused; refused addresses never come so far.
func noNetwork(t *testing.T) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "http" && r.URL.Host != "localhost:9000" && !strings.HasPrefix(r.URL.Host, "localhost") && !strings.HasPrefix(r.URL.Host, "127.0.0.1:") && !strings.HasPrefix(r.URL.Host, "[::1]") && r.URL.Host != "part" {
			t.Errorf("asked in the clear at %s", r.URL.Host)
		}
		return nil, errors.New("no network")
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A payment port behind TLS of the house's own authority, and one behind a socket.
func TestPaymentPortBehindTLSAndSocket(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(&paymenttest.Port{})
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pay.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: &paymenttest.Port{}, ReadHeaderTimeout: time.Minute}
	go func() { _ = local.Serve(l) }()
	t.Cleanup(func() { _ = local.Close() })
	for address, file := range map[string]string{secure.URL: ca, "unix:" + path: ""} {
		client, err := kiosk.PartClient(file, address)
		if err != nil {
			t.Fatal(err)
		}
		p := kiosk.Payments{URL: address, Cents: 53000, Currency: "EUR", Within: 30 * time.Second, HTTP: client}
		if state, err := p.Pay(t.Context(), kiosk.NewPayment(), "vis_1"); err != nil || state != kiosk.PaymentApproved {
			t.Errorf("%s: %q %v", address, state, err)
		}
	}
	// A certificate of nobody known is refused.
	stranger, err := kiosk.PartClient("", secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (kiosk.Payments{URL: secure.URL, Cents: 1, Currency: "EUR", Within: time.Second, HTTP: stranger}).Pay(t.Context(), kiosk.NewPayment(), "x"); err == nil {
		t.Error("a stranger's payment port was believed")
	}
}
