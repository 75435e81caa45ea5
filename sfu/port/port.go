package port

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long a connection may be silent.
const (
	LostAfter     = 1500 * time.Millisecond // nothing authenticated came: the path is lost
	ClosedAfter   = 30 * time.Second        // and so long after, the connection is over
	ConnectWithin = 30 * time.Second        // a connection that is not up by then is over
	lookEvery     = 100 * time.Millisecond
)

// Config says where a port listens.
type Config struct {
	// Addresses are listened on, UDP and TCP; port 0 is chosen by the system, for
	// the first address, and then is the same for all that say 0.
	Addresses []netip.AddrPort
	Log       *slog.Logger
}

// Port is the set of sockets of one node. Its methods are safe for concurrent use.
type Port struct {
	log         *slog.Logger
	sockets     []*socket
	listeners   []net.Listener
	certificate tls.Certificate
	fingerprint string
	buffers     pool
	tasks       sync.WaitGroup
	done        chan struct{}

	mu      sync.RWMutex
	closed  bool
	byName  map[string]*credentials // by local user fragment
	byAddr  map[key]*path
	conns   map[*Conn]struct{}
	streams map[*stream]struct{}
}

// socket is one UDP socket.
type socket struct {
	number uint16
	conn   *net.UDPConn
	raw    syscall.RawConn
	addr   netip.AddrPort
}

// Listen binds the sockets and starts to read.
func Listen(cfg Config) (*Port, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("media port: no address to listen on")
	}
	p := &Port{
		log: cfg.Log, done: make(chan struct{}),
		byName: map[string]*credentials{}, byAddr: map[key]*path{}, conns: map[*Conn]struct{}{}, streams: map[*stream]struct{}{},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if err := p.makeCertificate(); err != nil {
		return nil, err
	}
	chosen := uint16(0)
	for _, a := range cfg.Addresses {
		if a.Port() == 0 {
			a = netip.AddrPortFrom(a.Addr(), chosen)
		}
		if err := p.bind(a); err != nil {
			p.Close()
			return nil, err
		}
		chosen = p.sockets[len(p.sockets)-1].addr.Port()
	}
	for _, s := range p.sockets {
		p.tasks.Go(func() { p.read(s) })
	}
	for _, l := range p.listeners {
		p.tasks.Go(func() { p.accept(l) })
	}
	p.tasks.Go(p.look)
	return p, nil
}

// socketBuffer is asked for; the system gives what it allows.
const socketBuffer = 4 << 20

// bindTries is how often another port is tried when the system's choice for UDP
// is taken for TCP.
const bindTries = 10

func (p *Port) bind(a netip.AddrPort) error {
	var last error
	for range bindTries {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
		if err != nil {
			return fmt.Errorf("media port: listen on %s: %w", a, err)
		}
		bound := udp.LocalAddr().(*net.UDPAddr).AddrPort()
		bound = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
		tcp, err := net.Listen("tcp", bound.String())
		if err != nil {
			_ = udp.Close()
			last = fmt.Errorf("media port: listen on %s over TCP: %w", bound, err)
			if a.Port() != 0 {
				return last
			}
			continue
		}
		raw, err := udp.SyscallConn()
		if err != nil {
			return errors.Join(fmt.Errorf("media port: %s: %w", bound, err), udp.Close(), tcp.Close())
		}
		enlarge(raw)
		p.sockets = append(p.sockets, &socket{number: uint16(len(p.sockets)), conn: udp, raw: raw, addr: bound})
		p.listeners = append(p.listeners, tcp)
		return nil
	}
	return last
}

// enlarge asks for more than an ordinary process gets and takes what it is given.
func enlarge(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		for _, option := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option[0], socketBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option[1], socketBuffer)
			}
		}
	})
}

// makeCertificate makes the node's DTLS certificate. It lives as long as the
// process: its fingerprint goes out with each answer.
func (p *Port) makeCertificate() error {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("media port: certificate: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "kuule"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, secret.Public(), secret)
	if err != nil {
		return fmt.Errorf("media port: certificate: %w", err)
	}
	p.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: secret}
	p.fingerprint = fingerprintOf(der)
	return nil
}

// fingerprintOf is a certificate's SHA-256 fingerprint as SDP writes it (RFC 8122).
func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":"))
}

// Fingerprint is the SHA-256 fingerprint of the port's certificate.
func (p *Port) Fingerprint() string { return p.fingerprint }

// Addresses are the addresses listened on, UDP and TCP alike.
func (p *Port) Addresses() []netip.AddrPort {
	out := make([]netip.AddrPort, len(p.sockets))
	for i, s := range p.sockets {
		out[i] = s.addr
	}
	return out
}

// Candidates are the addresses at which a peer may try to reach the port. Where
// all of the machine's are listened on, they are those that it has now.
func (p *Port) Candidates() []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range p.sockets {
		if !s.addr.Addr().IsUnspecified() {
			out = append(out, s.addr)
			continue
		}
		all, err := net.InterfaceAddrs()
		if err != nil {
			p.log.Warn("the machine's addresses are not known", "err", err)
		}
		for _, a := range all {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && !prefix.Addr().IsLinkLocalUnicast() && (prefix.Addr().Is4() || s.addr.Addr().Is6()) {
				out = append(out, netip.AddrPortFrom(prefix.Addr(), s.addr.Port()))
			}
		}
	}
	return out
}

// Close ends every connection and frees the sockets.
func (p *Port) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.done)
	conns, streams := p.conns, p.streams
	p.conns, p.streams = map[*Conn]struct{}{}, map[*stream]struct{}{}
	p.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	for s := range streams {
		s.close()
	}
	for _, l := range p.listeners {
		_ = l.Close()
	}
	for _, s := range p.sockets {
		_ = s.conn.Close()
	}
	p.tasks.Wait()
}

// read takes datagrams from a socket until it is closed.
func (p *Port) read(s *socket) {
	r := newReceiver(s.raw, &p.buffers)
	out := p.NewBatch()
	for failed := false; ; {
		n, err := r.wait()
		// What came while these were opened and sealed leaves with them: the packets
		// of a picture come one after the other.
		for times := 1; n > 0 && err == nil; times++ {
			p.takeAll(r, s, out, n)
			if times == readTimes {
				break
			}
			n, err = r.more()
		}
		out.Flush()
		select {
		case <-p.done:
			return
		default:
		}
		if err != nil {
			if !failed { // once, however long it goes on
				p.log.Warn("media port could not read", "address", s.addr, "err", err)
			}
			time.Sleep(time.Millisecond)
		}
		failed = err != nil
	}
}

// takeAll handles the datagrams that were received.
func (p *Port) takeAll(r *receiver, s *socket, out *Batch, n int) {
	at := Now()
	for i := range n {
		if buffer, b, from := r.datagram(i); len(b) > 0 {
			p.datagram(out, at, s, from, buffer, b)
		}
		r.done(i)
	}
}

// datagram tells by its first byte what came (RFC 7983).
func (p *Port) datagram(out *Batch, at int64, s *socket, from *sockaddr, buffer *Buffer, b []byte) {
	if b[0] < 4 {
		p.check(at, b, &path{socket: s, name: *from, key: from.key(s.number)})
		return
	}
	p.mu.RLock()
	known := p.byAddr[from.key(s.number)]
	p.mu.RUnlock()
	if known != nil {
		known.conn.take(known, out, at, buffer, b)
	}
}

// look ends what was silent for too long.
func (p *Port) look() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var all []*Conn
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		p.mu.RLock()
		all = all[:0]
		for c := range p.conns {
			all = append(all, c)
		}
		p.mu.RUnlock()
		now := Now()
		for _, c := range all {
			c.look(now)
		}
	}
}
