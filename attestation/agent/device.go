package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/trust"
)

// Device is an enrolled device with its TPM. Safe for concurrent use.
type Device struct {
	dir      string
	tpm      *chip
	trust    *trust.File
	roots    *x509.CertPool // of the server
	cosigner *cosigner

	renewing sync.Mutex
	mu       sync.RWMutex // guards what follows
	state    state
	chain    []*x509.Certificate
	key      *deviceKey
	device   wire.Device
	posture  Posture
	changed  chan struct{} // closed when another certificate takes the place of this one
}

// PinnedTrust is the trust file that the device got when it was enrolled.
func PinnedTrust(stateDir string) (*trust.File, error) {
	text, err := readFile(stateDir, fileTrust)
	if err != nil {
		return nil, fmt.Errorf("pinned trust file: %w", err)
	}
	pinned, err := trust.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("pinned trust file: %w", err)
	}
	return pinned, nil
}

// Open opens an enrolled device. It fails on any machine but the one that
// enrolled: the TPM has to sign with the certified key.
func Open(stateDir, tpm string) (*Device, error) {
	s, err := readState(stateDir)
	if err != nil {
		return nil, err
	}
	pinned, err := PinnedTrust(stateDir)
	if err != nil {
		return nil, err
	}
	roots, err := trust.Pool(pinned.ServerRoots)
	if err != nil {
		return nil, fmt.Errorf("pinned trust file: %w", err)
	}
	if tpm == "" {
		tpm = DefaultTPM
	}
	c, err := openChip(tpm)
	if err != nil {
		return nil, err
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	d := &Device{dir: stateDir, tpm: c, trust: pinned, roots: roots, posture: readPosture(stateDir)}
	d.posture.Connected = false // that was another run
	if err := d.use(s); err != nil {
		return nil, err
	}
	// One signature proves that this TPM holds the key.
	digest := make([]byte, 32)
	if _, err := d.key.Sign(nil, digest, nil); err != nil {
		return nil, fmt.Errorf("open device %s: %w", d.device.DeviceID, err)
	}
	if d.cosigner, err = openCosigner(stateDir, pinned.LogKey); err != nil {
		return nil, fmt.Errorf("cosigning key: %w", err)
	}
	return d, nil
}

// use makes s the device's current state.
func (d *Device) use(s state) error {
	chain, err := parseChain(s.Chain)
	if err != nil {
		return err
	}
	pub, ok := chain[0].PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return errors.New("the device certificate holds no P-256 key")
	}
	device, err := wire.ReadDevice(chain[0])
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.chain, d.device = s, chain, device
	d.key = &deviceKey{chip: d.tpm, blob: s.DeviceKey, public: pub}
	if d.changed != nil {
		close(d.changed)
	}
	d.changed = make(chan struct{})
	return nil
}

// Renewed is closed once the current certificate is no longer the current one:
// connections that were made with it are best made anew.
func (d *Device) Renewed() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.changed
}

// Info returns what the current certificate says.
func (d *Device) Info() wire.Device {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.device
}

// Trust is the pinned trust file. Callers do not change it.
func (d *Device) Trust() *trust.File { return d.trust }

// Server is the server's URL, https://HOST[:PORT].
func (d *Device) Server() string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.state.Server
}

// Address is what to dial instead of the server's name; empty: the name.
func (d *Device) Address() string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.state.Address
}

// TLSCertificate is the current certificate; its key stays in the TPM.
func (d *Device) TLSCertificate() tls.Certificate {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c := tls.Certificate{PrivateKey: d.key, Leaf: d.chain[0], SupportedSignatureAlgorithms: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}}
	for _, cert := range d.chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// ClientTLS makes a configuration for connections to the server: the pinned
// roots, and the certificate that is current at each handshake.
func (d *Device) ClientTLS() *tls.Config {
	return &tls.Config{
		RootCAs: d.roots, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c := d.TLSCertificate()
			return &c, nil
		},
	}
}

// SignStatement signs payload with the device key as a compact JWS of type typ
// with the certificate chain in x5c.
func (d *Device) SignStatement(payload any, typ string) (string, error) {
	d.mu.RLock()
	key, chain := d.key, d.chain
	d.mu.RUnlock()
	return jws.Sign(payload, typ, key, chain...)
}

// Quote has the enrolled attestation key sign the registers over nonce.
func (d *Device) Quote(nonce []byte, registers []int) (wire.Quote, error) {
	d.mu.RLock()
	ak := d.state.AttestationKey
	d.mu.RUnlock()
	return d.tpm.quote(ak, nonce, registers)
}

// RenewAt is two thirds into the life of the current certificate.
func (d *Device) RenewAt() time.Time {
	i := d.Info()
	return i.NotBefore.Add(i.NotAfter.Sub(i.NotBefore) * 2 / 3)
}

// Renew gets a new certificate for a new key. The old one serves until the new
// state is on disk. The attestation key is made anew when its own certificate
// is in its last third.
func (d *Device) Renew(ctx context.Context) error {
	d.renewing.Lock()
	defer d.renewing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	d.mu.RLock()
	s, old := d.state, d.device
	d.mu.RUnlock()
	e, err := newEnroller(d.tpm, d.trust, s.Server, s.Address)
	if err != nil {
		return err
	}
	ak, err := parseChain(s.AttestationChain)
	if err != nil {
		return err
	}
	if time.Now().After(ak[0].NotBefore.Add(ak[0].NotAfter.Sub(ak[0].NotBefore) * 2 / 3)) {
		if err := e.attestation(ctx, &s); err != nil {
			return fmt.Errorf("renew attestation key: %w", err)
		}
	}
	renewed, err := e.certificate(ctx, &s)
	if err != nil {
		return fmt.Errorf("renew device certificate: %w", err)
	}
	if renewed.DeviceID != old.DeviceID {
		return fmt.Errorf("this machine is now device %s, it was %s: enrol again", renewed.DeviceID, old.DeviceID)
	}
	if err := s.write(d.dir); err != nil {
		return fmt.Errorf("renew device certificate: %w", err)
	}
	return d.use(s)
}
