package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/mholt/acmez/v3/acme"

	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/internal/trust"
)

const (
	requestTimeout = 30 * time.Second
	enrolTimeout   = 3 * time.Minute // a TPM may take a minute to make an RSA key
	maxResponse    = 256 << 10
)

// Options say how to enrol.
type Options struct {
	StateDir string // made with 0700 where it is missing
	TPM      string // device file or socket; empty: DefaultTPM
	Server   string // https://HOST[:PORT]; enrolment itself is at enrol.HOST[:PORT]
	Address  string // host:port to dial where names do not resolve; empty: by name
	Trust    []byte // the installation's trust file, got out of band; pinned
}

// Enrolled is what came of an enrolment.
type Enrolled struct {
	wire.Device
	Installation string // name in the trust file
}

// Enrol proves this machine's TPM to the authority and writes the state
// directory. A refusal is a *problem.Error with the authority's code. An
// existing state is replaced only when everything went well.
func Enrol(ctx context.Context, o Options) (Enrolled, error) {
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	pinned, err := trust.Parse(o.Trust)
	if err != nil {
		return Enrolled{}, err
	}
	if o.TPM == "" {
		o.TPM = DefaultTPM
	}
	if err := privateDir(o.StateDir); err != nil {
		return Enrolled{}, err
	}
	tpm, err := openChip(o.TPM)
	if err != nil {
		return Enrolled{}, err
	}
	if err := tpm.flush(); err != nil {
		return Enrolled{}, err
	}
	e, err := newEnroller(tpm, pinned, o.Server, o.Address)
	if err != nil {
		return Enrolled{}, err
	}
	s := state{V: 1, Server: o.Server, Address: o.Address}
	if err := e.attestation(ctx, &s); err != nil {
		return Enrolled{}, fmt.Errorf("enrol: attestation key: %w", err)
	}
	device, err := e.certificate(ctx, &s)
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrol: device certificate: %w", err)
	}
	if err := makeCosigner(o.StateDir, device.DeviceID); err != nil {
		return Enrolled{}, fmt.Errorf("enrol: cosigning key: %w", err)
	}
	if err := writeFile(o.StateDir, fileTrust, o.Trust); err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w", err)
	}
	if err := s.write(o.StateDir); err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w", err)
	}
	return Enrolled{Device: device, Installation: pinned.Name}, nil
}

// Identifier returns the permanent identifier of a TPM: what the security
// office writes into an agreement before the device can enrol.
func Identifier(tpm string) (string, error) {
	if tpm == "" {
		tpm = DefaultTPM
	}
	c, err := openChip(tpm)
	if err != nil {
		return "", err
	}
	_, identifier, _, err := c.endorsement()
	return identifier, err
}

func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("state directory %s is open to others: chmod 700 it", dir)
	}
	return nil
}

// enroller speaks to the authority, for the first certificate and for renewals.
type enroller struct {
	tpm         *chip
	http        *http.Client
	base        string // https://enrol.HOST[:PORT]
	deviceRoots *x509.CertPool
}

func newEnroller(tpm *chip, pinned *trust.File, server, address string) (*enroller, error) {
	u, err := parseServer(server)
	if err != nil {
		return nil, err
	}
	serverRoots, err := trust.Pool(pinned.ServerRoots)
	if err != nil {
		return nil, err
	}
	deviceRoots, err := trust.Pool(pinned.DeviceRoots)
	if err != nil {
		return nil, err
	}
	return &enroller{
		tpm: tpm, base: "https://enrol." + u.Host, deviceRoots: deviceRoots,
		http: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				TLSClientConfig:   &tls.Config{RootCAs: serverRoots, MinVersion: tls.VersionTLS13},
				DialContext:       dialer(address),
				ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the authority does not redirect") },
		},
	}, nil
}

func parseServer(server string) (*url.URL, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("server %q is not https://HOST[:PORT]", server)
	}
	return u, nil
}

// dialer dials address whatever the name, or by name where address is empty.
// TLS checks the name in either case.
func dialer(address string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: requestTimeout}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if address != "" {
			addr = address
		}
		return d.DialContext(ctx, network, addr)
	}
}

// attestation makes an attestation key and gets its certificate.
func (e *enroller) attestation(ctx context.Context, s *state) error {
	defer e.http.CloseIdleConnections()
	ek, identifier, info, err := e.tpm.endorsement()
	if err != nil {
		return err
	}
	blob, params, err := e.tpm.newAttestationKey()
	if err != nil {
		return err
	}
	var credential wire.AttestResponse
	if err := e.post(ctx, "/attestation/attest", wire.AttestRequest{TPMInfo: info, EKCerts: [][]byte{ek}, Params: params}, &credential); err != nil {
		return err
	}
	secret, err := e.tpm.activate(blob, credential)
	if err != nil {
		return fmt.Errorf("open the authority's credential: %w", err)
	}
	var issued wire.SecretResponse
	if err := e.post(ctx, "/attestation/secret", wire.SecretRequest{Secret: secret}, &issued); err != nil {
		return err
	}
	if _, err := parseChain(issued.Chain); err != nil {
		return err
	}
	s.PermanentIdentifier, s.AttestationKey, s.AttestationChain = identifier, blob, issued.Chain
	return nil
}

// certificate makes a new device key and gets its certificate by ACME
// device-attest-01 (RFC 8555 and draft-ietf-acme-device-attest).
func (e *enroller) certificate(ctx context.Context, s *state) (wire.Device, error) {
	defer e.http.CloseIdleConnections()
	client := &acme.Client{Directory: e.base + "/acme/devices/directory", HTTPClient: e.http, PollTimeout: requestTimeout}
	// The account serves this one order: what counts is the TPM's proof.
	accountKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return wire.Device{}, err
	}
	account, err := client.NewAccount(ctx, acme.Account{TermsOfServiceAgreed: true, PrivateKey: accountKey})
	if err != nil {
		return wire.Device{}, refusal(err)
	}
	order, err := client.NewOrder(ctx, account, acme.Order{Identifiers: []acme.Identifier{{Type: "permanent-identifier", Value: s.PermanentIdentifier}}})
	if err != nil {
		return wire.Device{}, refusal(err)
	}
	key, err := e.prove(ctx, client, account, order, s)
	if err != nil {
		return wire.Device{}, err
	}
	csr, err := request(s.PermanentIdentifier, key.key)
	if err != nil {
		return wire.Device{}, err
	}
	if order, err = client.FinalizeOrder(ctx, account, order, csr); err != nil {
		return wire.Device{}, refusal(err)
	}
	chains, err := client.GetCertificateChain(ctx, account, order.Certificate)
	if err != nil {
		return wire.Device{}, refusal(err)
	}
	if len(chains) == 0 {
		return wire.Device{}, errors.New("the authority sent no certificate")
	}
	ders := splitPEM(chains[0].ChainPEM)
	device, err := e.accept(ders, key.key, s.PermanentIdentifier)
	if err != nil {
		return wire.Device{}, err
	}
	s.DeviceKey, s.Chain = key.blob, ders
	return device, nil
}

// prove answers the order's one challenge with a key attested over it.
func (e *enroller) prove(ctx context.Context, client *acme.Client, account acme.Account, order acme.Order, s *state) (attestedKey, error) {
	if len(order.Authorizations) != 1 {
		return attestedKey{}, fmt.Errorf("the authority wants %d proofs, one was expected", len(order.Authorizations))
	}
	authz, err := client.GetAuthorization(ctx, account, order.Authorizations[0])
	if err != nil {
		return attestedKey{}, refusal(err)
	}
	for _, ch := range authz.Challenges {
		if ch.Type != acme.ChallengeTypeDeviceAttest01 {
			continue
		}
		sum := sha256.Sum256([]byte(ch.KeyAuthorization))
		key, err := e.tpm.newDeviceKey(s.AttestationKey, sum[:])
		if err != nil {
			return attestedKey{}, err
		}
		if ch.Payload, err = attestation(s.AttestationChain, key); err != nil {
			return attestedKey{}, err
		}
		if ch, err = client.InitiateChallenge(ctx, account, ch); err != nil {
			return attestedKey{}, refusal(err)
		}
		if ch.Error != nil {
			return attestedKey{}, refusal(*ch.Error)
		}
		return key, nil
	}
	return attestedKey{}, errors.New("the authority offers no device-attest-01 challenge")
}

// attestation is the WebAuthn TPM attestation object
// (https://www.w3.org/TR/webauthn-2/#sctn-tpm-attestation) as ACME carries it.
func attestation(chain [][]byte, key attestedKey) (map[string]string, error) {
	const rs256 = int64(-257) // COSE: RSASSA-PKCS1-v1_5 with SHA-256, as attestation keys sign
	object, err := cbor.Marshal(map[string]any{"fmt": "tpm", "attStmt": map[string]any{
		"ver": "2.0", "alg": rs256, "x5c": chain, "sig": key.signature, "certInfo": key.created, "pubArea": key.public,
	}})
	if err != nil {
		return nil, err
	}
	return map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)}, nil
}

func request(identifier string, key *deviceKey) ([]byte, error) {
	name, err := wire.SubjectAltName(identifier, nil, false)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: identifier}, ExtraExtensions: []pkix.Extension{name},
	}, key)
}

// accept checks what the authority issued before anything is kept: for this
// key and TPM, and leading to a pinned root.
func (e *enroller) accept(ders [][]byte, key *deviceKey, identifier string) (wire.Device, error) {
	chain, err := parseChain(ders)
	if err != nil {
		return wire.Device{}, err
	}
	if err := verifyDevice(chain, e.deviceRoots, time.Time{}); err != nil {
		return wire.Device{}, err
	}
	if !key.public.Equal(chain[0].PublicKey) {
		return wire.Device{}, errors.New("the authority certified another key")
	}
	device, err := wire.ReadDevice(chain[0])
	if err != nil {
		return wire.Device{}, err
	}
	if device.PermanentIdentifier != identifier {
		return wire.Device{}, fmt.Errorf("the authority certified %s, not this TPM", device.PermanentIdentifier)
	}
	return device, nil
}

func verifyDevice(chain []*x509.Certificate, roots *x509.CertPool, at time.Time) error {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("device certificate against the pinned roots: %w", err)
	}
	return nil
}

func splitPEM(text []byte) (ders [][]byte) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return ders
		}
		ders = append(ders, block.Bytes)
	}
}

func (e *enroller) post(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.http.Do(req)
	if err != nil {
		return fmt.Errorf("reach the authority: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("the authority's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var d problem.Document
		if err := json.Unmarshal(answer, &d); err != nil || d.Code == "" {
			return problem.New(problem.CodeUnavailable, "the authority answered %s", resp.Status)
		}
		return d.Err()
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the authority's answer: %w", err)
	}
	return nil
}

// refusal finds our code in an ACME problem's subproblems.
func refusal(err error) error {
	var p acme.Problem
	if !errors.As(err, &p) {
		return err
	}
	for _, sub := range p.Subproblems {
		code := problem.Code(sub.Type[strings.LastIndex(sub.Type, ":")+1:])
		for _, known := range problem.Codes() {
			if code == known {
				return problem.New(code, "%s", sub.Detail)
			}
		}
	}
	return problem.New(problem.CodeQuoteRefused, "the authority refused: %w", err)
}
