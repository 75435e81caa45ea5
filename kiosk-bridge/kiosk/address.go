package kiosk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// ErrPlain says that a part's address would send what is said in the clear over a
// network.
var ErrPlain = errors.New("what is said there would travel in the clear: only this machine itself may be reached without TLS")

// onMachine reports whether a host is this machine by its own name or address.
func onMachine(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// checkPrinter refuses a printer's address that cannot be used: ipps goes
// anywhere, ipp to this machine alone.
func checkPrinter(printer string) (*url.URL, error) {
	u, err := url.Parse(printer)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "ipp" && u.Scheme != "ipps" {
		return nil, errors.New("a printer's address is such as ipps://printer.example/ipp/print")
	}
	if u.Scheme == "ipp" && !onMachine(u.Hostname()) {
		return nil, fmt.Errorf("printer %s: use ipps: %w", u.Host, ErrPlain)
	}
	return u, nil
}

// CheckPrinter says what is wrong with a printer's address, before anything is
// sent there.
func CheckPrinter(printer string) error {
	_, err := checkPrinter(printer)
	return err
}

// CheckPayments says what is wrong with the address of a payment port, before
// anything is sent there: https anywhere, http to this machine alone, or a socket.
func CheckPayments(port string) error {
	if path, ok := strings.CutPrefix(port, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return errors.New("payment port: unix: needs the absolute path of a socket")
		}
		return nil
	}
	u, err := url.Parse(port)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("a payment port is at https://HOST, at http://127.0.0.1 or at unix:PATH")
	}
	if u.Scheme == "http" && !onMachine(u.Hostname()) {
		return fmt.Errorf("payment port %s: use https: %w", u.Host, ErrPlain)
	}
	return nil
}

// PartClient speaks with a printer or a payment port whose certificate comes from
// an authority of the house; an empty file means those of the system. It goes
// through no proxy and follows nobody elsewhere.
func PartClient(caFile, address string) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read the part's authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}
