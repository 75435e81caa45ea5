package relay

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a connection over TCP or TLS.
const (
	idleBefore = 20 * time.Second // to the end of its whole life, until it has an allocation
	idleAfter  = 12 * time.Minute // between two of its messages: longer than an allocation lives unrefreshed
	sendWithin = 5 * time.Second
)

// MaxStrangers is how many connections of one address may have no allocation yet.
const MaxStrangers = 64

// source is who a connection counts for; of IPv6 it is a network of 64 bits, since
// all of it is one subscriber's. What the door splices comes from the machine
// itself and was counted there.
func source(a net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(a.String())
	from := at.Addr().Unmap().WithZone("")
	switch {
	case err != nil:
		return netip.Addr{}
	case from.Is6():
		network, _ := from.Prefix(64) // never fails
		return network.Addr()
	}
	return from
}

// listener bounds connections in number and time, and closes those that are
// open with itself.
type listener struct {
	net.Listener
	max, each int

	mu        sync.Mutex
	closed    bool
	open      map[string]*stream // by the remote address
	strangers map[netip.Addr]int // those without an allocation
}

func newListener(l net.Listener, most, each int) *listener {
	return &listener{Listener: l, max: most, each: each, open: map[string]*stream{}, strangers: map[netip.Addr]int{}}
}

// Accept waits for the next connection that there is a place for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		s := &stream{Conn: c, of: l, key: key(c.RemoteAddr()), from: source(c.RemoteAddr()), stranger: true}
		_ = c.SetDeadline(time.Now().Add(idleBefore))
		l.mu.Lock()
		full := l.closed || len(l.open) >= l.max || l.open[s.key] != nil || l.strangers[s.from] >= l.each
		if !full {
			l.open[s.key] = s
			l.strangers[s.from]++
		}
		l.mu.Unlock()
		if full {
			_ = c.Close()
			continue
		}
		return s, nil
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.mu.Lock()
	l.closed = true
	open := make([]*stream, 0, len(l.open))
	for _, s := range l.open {
		open = append(open, s)
	}
	l.mu.Unlock()
	err := l.Listener.Close()
	for _, s := range open {
		_ = s.Close()
	}
	return err
}

// admit gives the connection of an allocation its longer patience.
func (l *listener) admit(remote net.Addr) {
	l.mu.Lock()
	s := l.open[key(remote)]
	if s != nil {
		s.known()
	}
	l.mu.Unlock()
	if s != nil {
		s.allocated.Store(true)
		_ = s.SetDeadline(time.Time{})
	}
}

// stream is one connection.
type stream struct {
	net.Conn
	of        *listener
	key       string
	from      netip.Addr
	stranger  bool // guarded by the listener's lock
	allocated atomic.Bool
	once      sync.Once
}

// known frees the stream's place among the strangers; the listener's lock is held.
func (s *stream) known() {
	if !s.stranger {
		return
	}
	s.stranger = false
	if s.of.strangers[s.from]--; s.of.strangers[s.from] == 0 {
		delete(s.of.strangers, s.from)
	}
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	if s.allocated.Load() {
		_ = s.SetReadDeadline(time.Now().Add(idleAfter))
	}
	return s.Conn.Read(p)
}

// Write implements net.Conn. Who does not read is cut off.
func (s *stream) Write(p []byte) (int, error) {
	if s.allocated.Load() {
		_ = s.SetWriteDeadline(time.Now().Add(sendWithin))
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		_ = s.Close()
	}
	return n, err
}

// Close implements net.Conn.
func (s *stream) Close() (err error) {
	s.once.Do(func() {
		s.of.mu.Lock()
		delete(s.of.open, s.key)
		s.known()
		s.of.mu.Unlock()
		err = s.Conn.Close()
	})
	return err
}
