package sfutest

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Forwarder is a UDP port that leads to another one over a link of its own for
// each client, in each direction the same Link for all of them.
type Forwarder struct {
	Up, Down *Link // to the target, and back

	socket *net.UDPConn
	target *net.UDPAddr
	begin  time.Time
	up     lane

	mu      sync.Mutex
	closed  bool
	clients map[netip.AddrPort]*client
	done    sync.WaitGroup
}

// client is one source address and the socket with which it reaches the target.
type client struct {
	socket *net.UDPConn
	down   lane
}

// NewForwarder listens on a free port of 127.0.0.1. Close it.
func NewForwarder(target netip.AddrPort, up, down Shape) (*Forwarder, error) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("forwarder: %w", err)
	}
	f := &Forwarder{Up: NewLink(up, 11), Down: NewLink(down, 12), socket: socket, target: net.UDPAddrFromAddrPort(target), begin: time.Now(), clients: map[netip.AddrPort]*client{}}
	f.up = newLane(&f.done)
	f.done.Go(f.listen)
	return f, nil
}

// Address is where clients send to.
func (f *Forwarder) Address() netip.AddrPort {
	return f.socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close frees the ports and waits for the forwarder's goroutines.
func (f *Forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	_ = f.socket.Close()
	for _, c := range f.clients {
		_ = c.socket.Close()
		c.down.close()
	}
	f.up.close()
	f.mu.Unlock()
	f.done.Wait()
}

// ipOverhead is what IP and UDP headers add to a packet.
const ipOverhead = 28

func (f *Forwarder) listen() {
	buf := make([]byte, 65536)
	for {
		n, from, err := f.socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		c := f.client(from)
		if c == nil {
			return
		}
		now := time.Since(f.begin)
		if at, ok := f.Up.Send(n+ipOverhead, now); ok {
			f.up.put(parcel{at: f.begin.Add(at), bytes: append([]byte(nil), buf[:n]...), deliver: func(b []byte) { _, _ = c.socket.Write(b) }})
		}
	}
}

func (f *Forwarder) client(from netip.AddrPort) *client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.clients[from]; c != nil || f.closed {
		return c
	}
	socket, err := net.DialUDP("udp4", nil, f.target)
	if err != nil {
		return nil
	}
	c := &client{socket: socket, down: newLane(&f.done)}
	f.clients[from] = c
	f.done.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				if f.isClosed() {
					return
				}
				continue // the target's port was not open: UDP tells that once
			}
			if at, ok := f.Down.Send(n+ipOverhead, time.Since(f.begin)); ok {
				c.down.put(parcel{at: f.begin.Add(at), bytes: append([]byte(nil), buf[:n]...), deliver: func(b []byte) { _, _ = f.socket.WriteToUDPAddrPort(b, from) }})
			}
		}
	})
	return c
}

func (f *Forwarder) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

var candidate = regexp.MustCompile(`(?m)^a=candidate:.*\r?\n`)

// Rewrite makes an SDP lead to the forwarder, and to nothing else.
func (f *Forwarder) Rewrite(sdp string) string {
	own := fmt.Sprintf("a=candidate:1 1 udp 2130706431 %s %d typ host\r\n", f.Address().Addr(), f.Address().Port())
	first := true
	return candidate.ReplaceAllStringFunc(sdp, func(line string) string {
		if !first || !strings.Contains(line, " udp ") && !strings.Contains(line, " UDP ") {
			return ""
		}
		first = false
		return own
	})
}

// parcel is a packet on its way.
type parcel struct {
	at      time.Time
	bytes   []byte
	deliver func([]byte)
}

// lane delivers parcels in order, each at its time.
type lane struct {
	parcels chan parcel
	ended   chan struct{}
}

func newLane(done *sync.WaitGroup) lane {
	l := lane{parcels: make(chan parcel, 4096), ended: make(chan struct{})}
	done.Go(func() {
		for {
			select {
			case <-l.ended:
				return
			case p := <-l.parcels:
				if wait := time.Until(p.at); wait > 0 {
					select {
					case <-time.After(wait):
					case <-l.ended:
						return
					}
				}
				p.deliver(p.bytes)
			}
		}
	})
	return l
}

func (l lane) put(p parcel) {
	select {
	case l.parcels <- p:
	default: // more than any link's queue holds
	}
}

func (l lane) close() { close(l.ended) }
