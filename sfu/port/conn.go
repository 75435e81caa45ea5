package port

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// State is how a connection fares.
type State int

// States of a connection.
const (
	Connected State = iota // keys are agreed and packets come
	Lost                   // nothing authenticated came for LostAfter
	Moved                  // packets take another path from now on; the one before still brought some
	Rescued                // likewise, but the one before brought none any more
	Closed                 // over: said by the peer, or for too long silent
)

// Packet is one RTP packet of the peer, decrypted where it was received. It is
// valid until the handler returns; its bytes longer, if the buffer is retained.
type Packet struct {
	Header  rtp.Header
	Payload []byte // without padding
	Size    int    // of the datagram
	At      int64  // when it came, see Now
	Buffer  *Buffer
}

// Handler takes what a connection received. Packet and Control are called by one
// goroutine at a time for each connection; what they add to the batch is sent
// once they have returned. State is called by others and must not block.
type Handler interface {
	Packet(out *Batch, p *Packet)
	Control(out *Batch, at int64, compound []byte)
	State(s State)
}

// Bounds of one connection.
const (
	maxPaths   = 32 // of a few generations, each by several networks, families and protocols
	maxSources = 64 // synchronization sources that the peer may use, RTP and RTCP each
)

// Conn is one peer's connection. Its methods are safe for concurrent use.
type Conn struct {
	port    *Port
	handler Handler
	print   string // of the peer's certificate
	pipe    *pipe
	tasks   sync.WaitGroup
	opened  int64

	selected atomic.Pointer[path]
	beside   atomic.Pointer[path] // is sent everything too, while the selected one is silent
	heard    atomic.Int64

	receiving sync.Mutex
	in        *keys
	packet    Packet
	control   rtcp.Header
	reporters map[uint32]struct{} // sources of RTCP
	said      int                 // bytes of DTLS

	sending   sync.Mutex
	out       *keys
	outReport rtcp.Header

	mu      sync.Mutex
	secured *dtls.Conn
	up      bool
	lost    bool
	over    bool // Closed was told
	closed  bool // Close was called

	checks quota

	// Guarded by the port's lock.
	names []*credentials
	paths []*path
}

// Open makes a connection that waits for a peer whose certificate has the given
// SHA-256 fingerprint. Close it to free its place.
func (p *Port) Open(fingerprint string, h Handler) (*Conn, error) {
	c := &Conn{port: p, handler: h, print: fingerprint, opened: Now(), pipe: newPipe(), reporters: map[uint32]struct{}{}}
	c.pipe.conn = c
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("media port: it is closed")
	}
	p.conns[c] = struct{}{}
	p.name(c)
	c.tasks.Go(c.secure)
	return c, nil
}

// take handles one datagram from a path that proved itself.
func (c *Conn) take(via *path, out *Batch, at int64, buffer *Buffer, b []byte) {
	switch {
	case b[0] >= 20 && b[0] <= 63:
		c.takeRecords(b)
	case b[0] < 128 || b[0] > 191 || len(b) < 8:
	case b[1] >= 192 && b[1] <= 223: // RFC 5761
		if c.takeControl(via, out, at, b) {
			c.follow(via, at)
		}
	default:
		if c.takePacket(via, out, at, buffer, b) {
			c.follow(via, at)
		}
	}
}

// takePacket reports whether the packet is the peer's.
func (c *Conn) takePacket(via *path, out *Batch, at int64, buffer *Buffer, b []byte) bool {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.in == nil {
		return false
	}
	p := &c.packet
	header, err := p.Header.Unmarshal(b)
	if err != nil {
		return false
	}
	clear, authentic := c.in.packets.open(b, header)
	if !authentic {
		return false
	}
	c.heardBy(via, at)
	p.Payload = payloadOf(clear, &p.Header)
	p.Size, p.At, p.Buffer = len(b), at, buffer
	c.handler.Packet(out, p)
	return true
}

// payloadOf cuts header and padding off; nil if the padding is not as it must be.
func payloadOf(b []byte, h *rtp.Header) []byte {
	from := 12 + 4*len(h.CSRC)
	if h.Extension {
		from += 4 + 4*int(binary.BigEndian.Uint16(b[from+2:])) // its bounds were checked
	}
	to := len(b)
	if h.Padding {
		if to <= from || b[to-1] == 0 || int(b[to-1]) > to-from {
			return nil
		}
		to -= int(b[to-1])
	}
	return b[from:to]
}

// takeControl reports whether the reports are the peer's.
func (c *Conn) takeControl(via *path, out *Batch, at int64, b []byte) bool {
	source := binary.BigEndian.Uint32(b[4:])
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.in == nil {
		return false
	}
	_, known := c.reporters[source]
	if !known && len(c.reporters) >= maxSources {
		return false
	}
	clear, err := c.in.control.DecryptRTCP(b, b, &c.control)
	if err != nil {
		return false
	}
	if !known {
		c.reporters[source] = struct{}{}
	}
	c.heardBy(via, at)
	c.handler.Control(out, at, clear)
	return true
}

// sealedControl is what SRTCP adds to a report (RFC 7714, section 9).
const sealedControl = tagBytes + 4

// Send seals an RTP packet made of header, prefix and payload and adds it to the
// batch; without keys or a path it is dropped. A sequence number must never be
// used for two different packets, retransmissions included: that would give
// the cipher's key away.
func (c *Conn) Send(out *Batch, header, prefix, payload []byte) {
	to := c.selected.Load()
	if to == nil || len(header)+len(prefix)+len(payload)+tagBytes > slotSize {
		return
	}
	slot := out.slot(to)
	n := copy(slot, header)
	if len(prefix) > 0 {
		n += copy(slot[n:], prefix)
		n += copy(slot[n:], payload)
		payload = slot[len(header):n]
	}
	c.sending.Lock()
	if c.out == nil {
		c.sending.Unlock()
		return
	}
	datagram := c.out.packets.seal(slot[:len(header)], payload)
	c.sending.Unlock()
	if datagram != nil {
		c.add(out, to, datagram)
	}
}

// add gives a sealed datagram to the batch. While it is not known whether the
// selected path still carries, another one takes it too: what comes twice is
// dropped by the peer's replay window (RFC 3711, section 3.3.2).
func (c *Conn) add(out *Batch, to *path, datagram []byte) {
	out.add(to, datagram)
	if beside := c.beside.Load(); beside != nil && beside != to {
		slot := out.slot(beside)
		out.add(beside, slot[:copy(slot, datagram)])
	}
}

// SendControl seals a compound RTCP packet and adds it to the batch.
func (c *Conn) SendControl(out *Batch, compound []byte) {
	to := c.selected.Load()
	if to == nil || len(compound)+sealedControl > slotSize {
		return
	}
	slot := out.slot(to)
	n := copy(slot, compound)
	c.sending.Lock()
	if c.out == nil {
		c.sending.Unlock()
		return
	}
	datagram, err := c.out.control.EncryptRTCP(slot, slot[:n], &c.outReport)
	c.sending.Unlock()
	if err == nil {
		c.add(out, to, datagram)
	}
}

// Heard is when something authenticated came last, see Now; 0 for never.
func (c *Conn) Heard() int64 { return c.heard.Load() }

// Path says over what the peer is sent to: its network (udp or tcp) and address.
func (c *Conn) Path() (network, remote string) {
	to := c.selected.Load()
	switch {
	case to == nil:
		return "", ""
	case to.stream != nil:
		return "tcp", to.stream.conn.RemoteAddr().String()
	}
	return "udp", to.name.addrPort().String()
}

// look tells what the silence of a connection means.
func (c *Conn) look(now int64) {
	c.doubt(now)
	heard := c.heard.Load()
	c.mu.Lock()
	var told []State
	switch {
	case c.over:
	case !c.up && now-c.opened > int64(ConnectWithin),
		c.up && now-heard > int64(LostAfter+ClosedAfter):
		c.over = true
		told = append(told, Closed)
	case c.up && !c.lost && now-heard > int64(LostAfter):
		c.lost = true
		told = append(told, Lost)
	case c.lost && now-heard <= int64(LostAfter):
		c.lost = false
		told = append(told, Connected)
	}
	c.mu.Unlock()
	for _, s := range told {
		c.handler.State(s)
	}
}

// end tells that the connection is over, once.
func (c *Conn) end() {
	c.mu.Lock()
	told := c.over || c.closed
	c.over = true
	c.mu.Unlock()
	if !told {
		c.handler.State(Closed)
	}
}

// Close ends the connection and waits for its goroutines. Nothing is told of it.
// It must not be called from the handler.
func (c *Conn) Close() {
	c.mu.Lock()
	secured, again := c.secured, c.closed
	c.closed, c.over = true, true
	c.mu.Unlock()
	if again {
		return
	}
	if secured != nil {
		_ = secured.Close() // says goodbye over the path
	}
	c.pipe.close()
	p := c.port
	p.mu.Lock()
	delete(p.conns, c)
	for _, n := range c.names {
		delete(p.byName, n.name)
	}
	var streams []*stream
	for _, to := range c.paths {
		if p.byAddr[to.key] == to {
			delete(p.byAddr, to.key)
		}
		if to.stream != nil {
			streams = append(streams, to.stream)
		}
	}
	p.mu.Unlock()
	for _, s := range streams {
		s.close()
	}
	c.tasks.Wait()
	c.selected.Store(nil)
	c.beside.Store(nil)
}

// write sends what is not media, at once.
func (to *path) write(b []byte) {
	if to.stream != nil {
		to.stream.queue(b)
		return
	}
	_, _ = to.socket.conn.WriteToUDPAddrPort(b, to.name.addrPort()) // what is lost is asked for again
}

var _ net.PacketConn = (*pipe)(nil)
