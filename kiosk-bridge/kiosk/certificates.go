package kiosk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"kuule/interview"
)

// Certificates gets certificates of pending matters from the server, by the
// kiosk's own device certificate. It is safe for concurrent use.
type Certificates struct {
	Server   string // https://HOST
	Identity Identity
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil: as addresses say
}

// CertificatePath is the server's route.
const CertificatePath = "/api/kiosk/certificates"

const maxCertificate = 1 << 20

// Get returns the PDF of the certificate that follows a visit of this kiosk.
func (c *Certificates) Get(ctx context.Context, visit interview.VisitID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]interview.VisitID{"visit": visit})
	if err != nil {
		return nil, err
	}
	resp, err := post(ctx, c.Server+CertificatePath, body, c.Identity, c.Dial)
	if err != nil {
		return nil, fmt.Errorf("ask for a certificate: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	pdf, err := io.ReadAll(io.LimitReader(resp.Body, maxCertificate+1))
	if err != nil || len(pdf) > maxCertificate || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		return nil, errors.New("ask for a certificate: what came is none")
	}
	return pdf, nil
}

// post asks the server as this kiosk. An answer other than success is an error.
func post(ctx context.Context, url string, body []byte, identity Identity, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{TLSClientConfig: identity.ClientTLS(), DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		return nil, refusal(resp, errors.New("refused"))
	}
	return resp, nil
}
