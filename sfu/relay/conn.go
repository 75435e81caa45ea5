package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

// peers are the addresses that may be relayed to.
type peers struct {
	mu  sync.RWMutex
	set map[netip.AddrPort]bool
}

func (p *peers) allow(a netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set[plain(a)] = true
}

func (p *peers) allowed(a netip.AddrPort) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.set[plain(a)]
}

// reachable reports whether an address is one of the allowed, at any port: the
// port is decided packet by packet.
func (p *peers) reachable(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for a := range p.set {
		if a.Addr() == addr.Unmap() {
			return true
		}
	}
	return false
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// conn is one relayed address: a socket that speaks with the allowed peers
// alone and only so fast.
type conn struct {
	*net.UDPConn
	peers    *peers
	up, down *rate.Limiter
	count    *counters
	channels atomic.Int32
	way      atomic.Pointer[string] // by which its client reaches the relay
	forget   func()
}

// Close implements net.PacketConn.
func (c *conn) Close() error {
	c.forget()
	return c.UDPConn.Close()
}

// WriteTo sends to an allowed peer; all else is dropped as the network would.
func (c *conn) WriteTo(p []byte, to net.Addr) (int, error) {
	addr, ok := to.(*net.UDPAddr)
	if !ok || !c.peers.allowed(addr.AddrPort()) {
		c.count.refused.Add(1)
		return len(p), nil
	}
	if !c.up.AllowN(time.Now(), len(p)) {
		c.count.dropped.Add(1)
		return len(p), nil
	}
	c.count.up.Add(uint64(len(p)))
	return c.UDPConn.WriteTo(p, addr)
}

// ReadFrom reads what an allowed peer sent.
func (c *conn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(p)
		if err != nil {
			return n, nil, err
		}
		if !c.peers.allowed(from) {
			c.count.refused.Add(1)
			continue
		}
		if !c.down.AllowN(time.Now(), n) {
			c.count.dropped.Add(1)
			continue
		}
		c.count.down.Add(uint64(n))
		return n, net.UDPAddrFromAddrPort(plain(from)), nil
	}
}

var errNoStreams = errors.New("relay: relays datagrams alone (no RFC 6062)")

// addresses makes relayed addresses. It implements turn.RelayAddressGenerator.
type addresses struct {
	server *Server
	four   netip.Addr // invalid: no IPv4 address is relayed from
	six    netip.Addr
}

// from is the address that packets of a family are relayed from.
func (a *addresses) from(network string) (netip.Addr, error) {
	switch {
	case network == "udp4" && a.four.IsValid():
		return a.four, nil
	case network == "udp6" && a.six.IsValid():
		return a.six, nil
	}
	return netip.Addr{}, fmt.Errorf("relay: the media port has no address for %q", network)
}

// Validate implements turn.RelayAddressGenerator.
func (a *addresses) Validate() error { return nil }

// AllocatePacketConn implements turn.RelayAddressGenerator. A client's wish for
// a port is not heard, that for an address family is (RFC 8656, section 7.2).
func (a *addresses) AllocatePacketConn(wish turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	ip, err := a.from(wish.Network)
	if err != nil {
		return nil, nil, err
	}
	u, err := net.ListenUDP(wish.Network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, nil, err
	}
	perSecond := rate.Limit(a.server.bitrate / 8)
	burst := a.server.bitrate / 16 // half a second's worth
	c := &conn{UDPConn: u, peers: &a.server.peers, count: &a.server.count, up: rate.NewLimiter(perSecond, burst), down: rate.NewLimiter(perSecond, burst)}
	key := u.LocalAddr().String()
	c.forget = func() {
		a.server.mu.Lock()
		defer a.server.mu.Unlock()
		delete(a.server.relays, key)
	}
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.relays[key] = c
	return c, u.LocalAddr(), nil
}

// AllocateListener implements turn.RelayAddressGenerator.
func (a *addresses) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errNoStreams
}

// AllocateConn implements turn.RelayAddressGenerator.
func (a *addresses) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errNoStreams
}
