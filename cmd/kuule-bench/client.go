package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/packetio"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/bandwidth"
	"kuule/sfu/offer"
)

// client is one member as cheap as it can be: one socket, no library between it
// and the packets. It speaks to any media node that answers its offer, and
// checks every packet that comes by its content.
type client struct {
	room    interview.GroupID
	leg     interview.LegID
	tracks  [2]media.Publish // sound, picture
	slots   []media.Slot
	session uint64
	version int

	naming sync.Mutex // of the ICE credentials: checks go on while they change
	own    credentials
	remote credentials

	mu     sync.Mutex // of what is received
	socket atomic.Pointer[net.UDPConn]
	cut    atomic.Bool                 // the network takes and gives nothing
	dead   atomic.Pointer[net.UDPConn] // the network of one socket alone
	trying atomic.Pointer[net.UDPConn] // answers by this one count; nil: by any
	pipe   *packetio.Buffer
	secure *dtls.Conn
	tasks  sync.WaitGroup
	found  chan struct{} // a check was answered
	node   netip.AddrPort
	closed atomic.Bool
	done   chan struct{}

	sending sync.Mutex
	out     *srtp.Context
	header  rtp.Header
	wire    [1500]byte
	number  uint16 // transport-wide
	streams [2]sentStream

	in       *srtp.Context
	got      rtp.Header
	sources  map[uint32]*gotSource
	list     []*gotSource
	arrivals bandwidth.Recorder
	reported int64
	scratch  [1500]byte
	report   reports

	counting *atomic.Bool
	counts   counts
	onMedia  atomic.Pointer[func()] // called with each media packet
	watched  *watch                 // guarded by mu
	wantKey  atomic.Bool
	stamps   bool          // the system says when packets came to the socket
	waited   time.Duration // of the packet that is taken, in the socket; guarded by mu
}

// credentials are ICE's (RFC 8445, 5.3).
type credentials struct{ fragment, password string }

// sentStream is one stream that a client sends.
type sentStream struct {
	ssrc, repair    uint32
	payload         uint8
	sequence        uint16
	frame           uint16
	timestamp       uint32
	packets, octets uint32
	sentAt          int64
	kept            [256]keptPacket
	again           uint16
}

// keptPacket is one that a node may ask for again.
type keptPacket struct {
	sequence uint16
	size     int
	b        [1300]byte // header and payload in clear
	header   int
}

// counts are what one client saw while counting.
type counts struct {
	packets int64
	sent    int64
	spoiled int64 // packets whose content was not what was sent
	again   int64 // that came more than once
	latency []time.Duration

	delivered []time.Duration // to the socket, with stamps
}

// The first bytes of each packet's payload.
const (
	stampTime    = 0  // 8 bytes: when it was sent
	stampCounted = 8  // 1 byte
	stampSender  = 9  // 4 bytes: its source
	stampNumber  = 13 // 4 bytes: counts the packets of a source
	stampSum     = 17 // 4 bytes: of all other bytes
	stampBytes   = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp writes the stamp of a payload.
func stamp(b []byte, source, number uint32, counted bool) {
	binary.BigEndian.PutUint64(b[stampTime:], uint64(time.Since(start)))
	b[stampCounted] = 0
	if counted {
		b[stampCounted] = 1
	}
	binary.BigEndian.PutUint32(b[stampSender:], source)
	binary.BigEndian.PutUint32(b[stampNumber:], number)
	binary.BigEndian.PutUint32(b[stampSum:], sumOf(b))
}

func sumOf(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:stampSum], castagnoli), castagnoli, b[stampBytes:])
}

// benchKey is shared by all members: making one for each would measure that.
var benchKey = sync.OnceValues(func() (tls.Certificate, error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, secret.Public(), secret)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: secret}, err
})

func randomSource() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:]) | 1
}

// newClient makes a member that has not joined yet.
func newClient(room interview.GroupID, counting *atomic.Bool) *client {
	c := &client{
		room: room, leg: interview.NewLegID(), session: uint64(time.Now().UnixNano()), counting: counting,
		pipe: packetio.NewBuffer(), found: make(chan struct{}, 1), done: make(chan struct{}), sources: map[uint32]*gotSource{},
	}
	c.pipe.SetLimitSize(64 << 10)
	for i, source := range []interview.Source{interview.SourceAudio, interview.SourceVideo} {
		c.tracks[i] = media.Publish{Mid: strconv.Itoa(i), Track: interview.NewTrackID(), Source: source}
		c.streams[i] = sentStream{ssrc: randomSource(), repair: randomSource(), payload: 111, sequence: uint16(randomSource()), timestamp: randomSource()}
	}
	c.streams[1].payload = 96
	c.restart()
	return c
}

// restart gives the next offer new ICE credentials.
func (c *client) restart() {
	c.naming.Lock()
	c.own = credentials{rand.Text()[:8], rand.Text()}
	c.naming.Unlock()
	c.version++
}

func fingerprint() (string, error) {
	cert, err := benchKey()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.Certificate[0])
	return strings.ToUpper(strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")), nil
}

// Header extensions by the numbers that a client gives them.
const (
	idMid        = 1
	idTransport  = 3
	idDescriptor = 5
)

// offer writes what the client offers: two tracks out, and slots for those of
// the others of its room.
func (c *client) offer(others int) (media.OpenLeg, error) {
	print, err := fingerprint()
	if err != nil {
		return media.OpenLeg{}, err
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	c.naming.Lock()
	own := c.own
	c.naming.Unlock()
	mids := make([]string, 2+2*others)
	for i := range mids {
		mids[i] = strconv.Itoa(i)
	}
	line("v=0\r\no=- %d %d IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE %s\r\na=extmap-allow-mixed\r\na=msid-semantic:WMS *", c.session, c.version, strings.Join(mids, " "))
	for i, mid := range mids {
		sound, sends := i%2 == 0, i < 2
		if sound {
			line("m=audio 9 UDP/TLS/RTP/SAVPF 111")
		} else {
			line("m=video 9 UDP/TLS/RTP/SAVPF 96 97")
		}
		line("c=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\na=rtcp-mux\r\na=rtcp-rsize", mid, own.fragment, own.password, print)
		line("a=extmap:%d %s\r\na=extmap:%d %s", idMid, offer.MidURI, idTransport, offer.TransportURI)
		if sound {
			line("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack")
		} else {
			line("a=extmap:%d %s", idDescriptor, media.DependencyDescriptorURI)
			line("a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96")
		}
		if !sends {
			line("a=recvonly")
			continue
		}
		s := &c.streams[i]
		line("a=sendonly\r\na=msid:bench track-%d", i)
		if !sound {
			line("a=ssrc-group:FID %d %d\r\na=ssrc:%d cname:bench", s.ssrc, s.repair, s.repair)
		}
		line("a=ssrc:%d cname:bench", s.ssrc)
	}
	return media.OpenLeg{Room: c.room, Leg: c.leg, Offer: b.String(), Fingerprint: print, Tracks: c.tracks[:]}, nil
}

// answered reads where the node is and what it sends.
func (c *client) answered(sdp string, slots []media.Slot) (netip.AddrPort, error) {
	var at netip.AddrPort
	c.naming.Lock()
	defer c.naming.Unlock()
	for l := range strings.Lines(sdp) {
		key, value, _ := strings.Cut(strings.TrimSpace(l), ":")
		switch key {
		case "a=ice-ufrag":
			c.remote.fragment = value
		case "a=ice-pwd":
			c.remote.password = value
		case "a=candidate":
			f := strings.Fields(value)
			if len(f) > 6 && strings.EqualFold(f[2], "udp") && !at.IsValid() {
				ip, err := netip.ParseAddr(f[4])
				port, err2 := strconv.ParseUint(f[5], 10, 16)
				if err := errors.Join(err, err2); err != nil {
					return at, fmt.Errorf("candidate %q: %w", value, err)
				}
				at = netip.AddrPortFrom(ip, uint16(port))
			}
		}
	}
	if !at.IsValid() || c.remote.fragment == "" {
		return at, errors.New("the answer names no UDP candidate")
	}
	c.slots, c.node = slots, at
	return at, nil
}

// connect takes the answer and brings the connection up.
func (c *client) connect(ctx context.Context, at netip.AddrPort) error {
	if err := c.dial(at); err != nil {
		return err
	}
	if err := c.checkUntilFound(ctx); err != nil {
		return err
	}
	cert, err := benchKey()
	if err != nil {
		return err
	}
	secure, err := dtls.ClientWithOptions(clientPipe{c}, &net.UDPAddr{},
		dtls.WithCertificates(cert), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret), dtls.WithInsecureSkipVerify(true),
		dtls.WithFlightInterval(200*time.Millisecond))
	if err != nil {
		return err
	}
	c.secure = secure
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	state, _ := secure.ConnectionState()
	keys := srtp.Config{Profile: srtp.ProtectionProfileAeadAes256Gcm}
	if err := keys.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return err
	}
	in, err := srtp.CreateContext(keys.Keys.RemoteMasterKey, keys.Keys.RemoteMasterSalt, keys.Profile, srtp.SRTPReplayProtection(1024), srtp.SRTCPReplayProtection(64))
	if err != nil {
		return err
	}
	out, err := srtp.CreateContext(keys.Keys.LocalMasterKey, keys.Keys.LocalMasterSalt, keys.Profile)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.in = in
	c.mu.Unlock()
	c.sending.Lock()
	c.out = out
	c.sending.Unlock()
	c.tasks.Go(c.keepChecking)
	return nil
}

// dial takes a socket of its own, as a member on another machine has one, and
// leaves the one before.
func (c *client) dial(at netip.AddrPort) error {
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	if c.stamps {
		if err := stampArrivals(socket); err != nil {
			return errors.Join(err, socket.Close())
		}
	}
	if old := c.socket.Swap(socket); old != nil {
		_ = old.Close()
	}
	c.tasks.Go(func() { c.read(socket) })
	return nil
}

func (c *client) write(b []byte) { c.writeBy(c.socket.Load(), b) }

func (c *client) writeBy(socket *net.UDPConn, b []byte) {
	if !c.cut.Load() && socket != c.dead.Load() {
		_, _ = socket.Write(b) // what is lost is lost
	}
}

// beside opens another way to the node, from another address where the machine
// has one for it, and has it checked, while the one in use stays what it is.
func (c *client) beside(ctx context.Context, at netip.AddrPort) (*net.UDPConn, error) {
	var from *net.UDPAddr
	if now := c.socket.Load().LocalAddr().(*net.UDPAddr); at.Addr().Is4() && at.Addr().IsLoopback() {
		from = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3-now.IP.To4()[3])} // 1 and 2 in turns
	}
	socket, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	c.trying.Store(socket)
	defer c.trying.Store(nil)
	select {
	case <-c.found: // of a check before
	default:
	}
	c.tasks.Go(func() { c.read(socket) })
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		c.checkBy(socket, false)
		select {
		case <-c.found:
			return socket, nil
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("no check was answered: %w", ctx.Err()), socket.Close())
		case <-again.C:
		}
	}
}

// take sends by another way from now on, says so to the node, and still listens
// to the one before, which it gives.
func (c *client) take(socket *net.UDPConn) (old *net.UDPConn) {
	old = c.socket.Swap(socket)
	c.check()
	return old
}

// check sends one connectivity check that nominates.
func (c *client) check() { c.checkBy(c.socket.Load(), true) }

func (c *client) checkBy(socket *net.UDPConn, nominate bool) {
	c.naming.Lock()
	own, remote := c.own, c.remote
	c.naming.Unlock()
	setters := []stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(remote.fragment + ":" + own.fragment),
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)},
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0x6e, 0, 0, 0xff}}}
	if nominate {
		setters = append(setters, stun.RawAttribute{Type: stun.AttrUseCandidate})
	}
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(remote.password), stun.Fingerprint)...)
	if err == nil {
		c.writeBy(socket, m.Raw)
	}
}

func (c *client) checkUntilFound(ctx context.Context) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		c.check()
		select {
		case <-c.found:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("no check was answered: %w", ctx.Err())
		case <-again.C:
		}
	}
}

// keepChecking keeps the consent, as browsers do.
func (c *client) keepChecking() {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
			c.check()
		}
	}
}

func (c *client) close() {
	if c.closed.Swap(true) {
		return
	}
	if c.secure != nil {
		_ = c.secure.Close()
	}
	_ = c.pipe.Close()
	if socket := c.socket.Load(); socket != nil {
		_ = socket.Close()
	}
	close(c.done)
	c.tasks.Wait()
}

// read takes datagrams until its socket is closed.
func (c *client) read(socket *net.UDPConn) {
	b, control := make([]byte, 1600), make([]byte, 64)
	receive := func() (int, time.Duration, error) {
		n, err := socket.Read(b)
		return n, 0, err
	}
	if c.stamps {
		receive = func() (int, time.Duration, error) {
			n, size, _, _, err := socket.ReadMsgUDPAddrPort(b, control)
			return n, waited(control[:size]), err
		}
	}
	for {
		n, waited, err := receive()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the other end is not there for a moment
		}
		if c.cut.Load() || n == 0 || c.dead.Load() == socket {
			continue
		}
		switch d := b[:n]; {
		case d[0] < 4:
			if trying := c.trying.Load(); stun.IsMessage(d) && (trying == nil || trying == socket) {
				select {
				case c.found <- struct{}{}:
				default:
				}
			}
		case d[0] < 64:
			_, _ = c.pipe.Write(d)
		case n >= 12 && d[1] >= 192 && d[1] <= 223:
			c.mu.Lock()
			c.takeControl(d)
			c.mu.Unlock()
		case n >= 12:
			c.mu.Lock()
			c.waited = waited
			c.takePacket(d)
			c.mu.Unlock()
		}
	}
}

// clientPipe is the client's net.PacketConn for DTLS.
type clientPipe struct{ c *client }

func (p clientPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.c.pipe.Read(b)
	return n, &net.UDPAddr{}, err
}
func (p clientPipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.c.write(b)
	return len(b), nil
}
func (p clientPipe) Close() error                      { return p.c.pipe.Close() }
func (p clientPipe) LocalAddr() net.Addr               { return &net.UDPAddr{} }
func (p clientPipe) SetReadDeadline(t time.Time) error { return p.c.pipe.SetReadDeadline(t) }
func (p clientPipe) SetDeadline(t time.Time) error     { return p.c.pipe.SetReadDeadline(t) }
func (p clientPipe) SetWriteDeadline(time.Time) error  { return nil }

// send sends one frame in packets of the given payload size.
func (c *client) send(i int, packets, size int, ticks uint32, key bool) {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.out == nil {
		return
	}
	s := &c.streams[i]
	s.timestamp += ticks
	s.frame++
	counted := c.counting.Load()
	for n := range packets {
		s.sequence++
		c.number++
		h := c.headerOf(s, i, s.sequence, c.number, n == packets-1)
		if i == 1 {
			h = appendDescriptor(h, s.frame, n == 0, n == packets-1, key)
		}
		h = finishHeader(h)
		k := &s.kept[int(s.sequence)%len(s.kept)]
		s.packets++
		s.octets += uint32(size)
		k.sequence, k.header, k.size = s.sequence, copy(k.b[:], h), len(h)+size
		body := k.b[k.header:k.size]
		stamp(body, s.ssrc, s.packets, counted)
		s.sentAt = int64(time.Since(start))
		if out, err := c.out.EncryptRTP(c.wire[:0], k.b[:k.size], &c.header); err == nil {
			c.write(out)
		}
		if counted {
			c.counts.sent++
		}
	}
}

// headerOf begins a header: mid and transport-wide number in two-byte elements.
func (c *client) headerOf(s *sentStream, i int, sequence, number uint16, last bool) []byte {
	h := c.scratch[:0]
	payload := s.payload
	if last {
		payload |= 0x80
	}
	h = append(h, 0x90, payload)
	h = binary.BigEndian.AppendUint16(h, sequence)
	h = binary.BigEndian.AppendUint32(h, s.timestamp)
	h = binary.BigEndian.AppendUint32(h, s.ssrc)
	h = append(h, 0x10, 0, 0, 0, idMid, 1, '0'+byte(i), idTransport, 2)
	return binary.BigEndian.AppendUint16(h, number)
}

func finishHeader(h []byte) []byte {
	for len(h)%4 != 0 {
		h = append(h, 0)
	}
	binary.BigEndian.PutUint16(h[14:], uint16(len(h)/4-4))
	return h
}

// appendDescriptor writes the Dependency Descriptor of a stream of one layer (AV1
// RTP specification, appendix A.8).
func appendDescriptor(h []byte, frame uint16, first, last, key bool) []byte {
	flags := byte(0x01)
	if key {
		flags = 0
	}
	if first {
		flags |= 0x80
	}
	if last {
		flags |= 0x40
	}
	d := []byte{flags, byte(frame >> 8), byte(frame)}
	if key && first {
		d = append(d, 0x80, 0x00, 0x3A, 0x41, 0x01, 0x00)
	}
	h = append(h, idDescriptor, byte(len(d)))
	return append(h, d...)
}

// resend answers a node's NACK by the repair stream, or as it was.
func (c *client) resend(i int, sequence uint16) {
	c.sending.Lock()
	defer c.sending.Unlock()
	s := &c.streams[i]
	k := &s.kept[int(sequence)%len(s.kept)]
	if c.out == nil || k.size == 0 || k.sequence != sequence {
		return
	}
	b := k.b[:k.size]
	if i == 1 {
		var again [1400]byte
		n := copy(again[:], k.b[:k.header])
		n += copy(again[n:], []byte{byte(sequence >> 8), byte(sequence)})
		n += copy(again[n:], k.b[k.header:k.size])
		s.again++
		again[1] = again[1]&0x80 | 97
		binary.BigEndian.PutUint16(again[2:], s.again)
		binary.BigEndian.PutUint32(again[8:], s.repair)
		b = again[:n]
	}
	if out, err := c.out.EncryptRTP(c.wire[:0], b, &c.header); err == nil {
		c.write(out)
	}
}

// slotsOf lists the mids of a kind.
func (c *client) slotsOf(kind string) []string {
	var out []string
	for _, s := range c.slots {
		if s.Kind == kind {
			out = append(out, s.Mid)
		}
	}
	slices.Sort(out)
	return out
}
