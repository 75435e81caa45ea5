package port

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"
)

// profile is the only one that is offered and taken (RFC 7714).
const profile = dtls.SRTP_AEAD_AES_256_GCM

const (
	flightEvery = 200 * time.Millisecond // a lost handshake message is sent again
	pipeBytes   = 64 << 10               // of a handshake that may wait to be read
	saidBytes   = 256 << 10              // that a peer may say over DTLS in all: a handshake with its repetitions
)

// What of DTLS records is read before DTLS does (RFC 6347, section 4.1).
const (
	recordHeader = 13
	recordAlert  = 21
)

// secure agrees keys and then waits for the peer's goodbye.
func (c *Conn) secure() {
	err := c.handshake()
	if err != nil {
		c.port.log.Debug("handshake failed", "err", err)
		c.end()
		return
	}
	rest := make([]byte, 64)
	for {
		if _, err := c.secured.Read(rest); err != nil {
			c.end()
			return
		}
	}
}

func (c *Conn) handshake() error {
	conn, err := dtls.ServerWithOptions(c.pipe, c.pipe.LocalAddr(),
		dtls.WithCertificates(c.port.certificate),
		dtls.WithSRTPProtectionProfiles(profile),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true), // the address proved itself by ICE
		dtls.WithVerifyPeerCertificate(c.verify),
		dtls.WithFlightInterval(flightEvery),
	)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errors.Join(net.ErrClosed, conn.Close())
	}
	c.secured = conn
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), ConnectWithin)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if err := c.key(conn); err != nil {
		return err
	}
	c.heard.Store(Now())
	c.mu.Lock()
	up := !c.over
	c.up = up
	c.mu.Unlock()
	if up {
		c.handler.State(Connected)
	}
	return nil
}

// verify holds the peer's certificate against the fingerprint it announced.
func (c *Conn) verify(chain [][]byte, _ [][]*x509.Certificate) error {
	if len(chain) == 0 || subtle.ConstantTimeCompare([]byte(fingerprintOf(chain[0])), []byte(strings.ToUpper(c.print))) != 1 {
		return errors.New("certificate is not the announced one")
	}
	return nil
}

// key makes the SRTP keys from the handshake's (RFC 5764).
func (c *Conn) key(conn *dtls.Conn) error {
	if got, is := conn.SelectedSRTPProtectionProfile(); !is || got != profile {
		return fmt.Errorf("srtp: profile %v was agreed", got)
	}
	state, is := conn.ConnectionState()
	if !is {
		return errors.New("srtp: the handshake has no state")
	}
	agreed := srtp.Config{Profile: srtp.ProtectionProfileAeadAes256Gcm}
	if err := agreed.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	in, err := newKeys(agreed.Keys.RemoteMasterKey, agreed.Keys.RemoteMasterSalt)
	if err != nil {
		return err
	}
	out, err := newKeys(agreed.Keys.LocalMasterKey, agreed.Keys.LocalMasterSalt)
	if err != nil {
		return err
	}
	c.receiving.Lock()
	c.in = in
	c.receiving.Unlock()
	c.sending.Lock()
	c.out = out
	c.sending.Unlock()
	return nil
}

// takeRecords hands DTLS what came for it. The library remembers every message of
// a handshake, and obeys an alert in clear at any time, so it is given neither
// without end nor, once there are keys, what anybody could have written.
func (c *Conn) takeRecords(b []byte) {
	c.receiving.Lock()
	if c.in != nil {
		b = sealedRecords(b)
	}
	c.said = min(c.said+len(b), saidBytes+1)
	passes := len(b) > 0 && (c.said <= saidBytes || b[0] == recordAlert)
	c.receiving.Unlock()
	if passes {
		c.pipe.receive(b)
	}
}

// sealedRecords leaves of a datagram the records that are encrypted: those of a
// later epoch than the first.
func sealedRecords(b []byte) []byte {
	kept := b[:0]
	for len(b) >= recordHeader {
		size := recordHeader + int(binary.BigEndian.Uint16(b[recordHeader-2:]))
		if size > len(b) {
			break
		}
		if binary.BigEndian.Uint16(b[3:]) > 0 {
			kept = append(kept, b[:size]...)
		}
		b = b[size:]
	}
	return kept
}

// pipe is the net.PacketConn on which DTLS runs: in from the port's readers,
// out over the selected path, wherever that is by then.
type pipe struct {
	conn *Conn
	in   *packetio.Buffer
}

func newPipe() *pipe {
	p := &pipe{in: packetio.NewBuffer()}
	p.in.SetLimitSize(pipeBytes)
	return p
}

// receive takes one datagram; what does not fit is sent again by the peer.
func (p *pipe) receive(b []byte) { _, _ = p.in.Write(b) }

func (p *pipe) close() { _ = p.in.Close() }

// anywhere stands for the peer's address, which may change.
var anywhere = &net.UDPAddr{}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.in.Read(b)
	return n, anywhere, err
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if to := p.conn.selected.Load(); to != nil {
		to.write(b)
	}
	return len(b), nil
}

func (p *pipe) Close() error                      { return p.in.Close() }
func (p *pipe) LocalAddr() net.Addr               { return anywhere }
func (p *pipe) SetReadDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }
func (p *pipe) SetDeadline(t time.Time) error     { return p.in.SetReadDeadline(t) }
func (p *pipe) SetWriteDeadline(time.Time) error  { return nil }
