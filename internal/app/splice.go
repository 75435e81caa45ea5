package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Bounds of telling names apart on the door's port.
const (
	helloBytes  = 16 << 10 // of a ClientHello; one with a post-quantum key share has about two
	helloWithin = 5 * time.Second
	maxHellos   = 1024 // connections that have not said their name yet
	maxHellosIP = 64   // of one address
	maxSplices  = 1000 // connections that are spliced
	maxSpliceIP = 128  // of one address: a house full of terminals behind one router
	spliceIdle  = 12 * time.Minute
)

// errNamed ends reading a ClientHello: all that is wanted is known.
var errNamed = errors.New("the name is known")

// serverName reads a ClientHello and says for which name it is. It returns what
// it read, whole, for whoever goes on with the connection. Nothing is answered
// and nothing is decided: crypto/tls parses, into a connection that cannot send.
func serverName(ctx context.Context, r io.Reader) (name string, read []byte, err error) {
	var kept bytes.Buffer
	named := false
	hello := tls.Server(deaf{io.TeeReader(io.LimitReader(r, helloBytes), &kept)}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, named = hello.ServerName, true
			return nil, errNamed
		},
	})
	err = hello.HandshakeContext(ctx)
	if named {
		err = nil
	}
	return name, kept.Bytes(), err
}

// deaf is a connection that is read and never written.
type deaf struct{ io.Reader }

func (deaf) Write(p []byte) (int, error)      { return len(p), nil }
func (deaf) Close() error                     { return nil }
func (deaf) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (deaf) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (deaf) SetDeadline(time.Time) error      { return nil }
func (deaf) SetReadDeadline(time.Time) error  { return nil }
func (deaf) SetWriteDeadline(time.Time) error { return nil }

// splitter is the door's listener. It tells the relay's connections from the
// door's own by the name that the client asked for, before any certificate is
// asked for, and hands the relay's on as they came: sealed.
type splitter struct {
	net.Listener
	name   string // turn.HOST
	target string // the relay's address for TLS
	ready  chan net.Conn
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	waiting places // connections without a name yet
	spliced places
	failed  error
}

// places are taken by connections: so many in all, and so many by one address,
// so that none takes them all.
type places struct {
	most, each int
	taken      int
	by         map[string]int
}

func newPlaces(most, each int) places { return places{most: most, each: each, by: map[string]int{}} }

func (p *places) enter(from string) bool {
	if p.taken >= p.most || p.by[from] >= p.each {
		return false
	}
	p.taken++
	p.by[from]++
	return true
}

func (p *places) leave(from string) {
	p.taken--
	if p.by[from]--; p.by[from] == 0 {
		delete(p.by, from)
	}
}

func split(ctx context.Context, l net.Listener, name, target string) *splitter {
	ctx, stop := context.WithCancel(ctx)
	s := &splitter{
		Listener: l, name: name, target: target, ready: make(chan net.Conn), ctx: ctx, stop: stop,
		waiting: newPlaces(maxHellos, maxHellosIP), spliced: newPlaces(maxSplices, maxSpliceIP),
	}
	s.work.Go(s.accept)
	return s
}

// Accept implements net.Listener: it gives the door's own connections.
func (s *splitter) Accept() (net.Conn, error) {
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed != nil {
			return nil, s.failed
		}
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends what is spliced.
func (s *splitter) Close() error {
	s.stop()
	err := s.Listener.Close()
	s.work.Wait()
	return err
}

func (s *splitter) accept() {
	pause := 5 * time.Millisecond
	for {
		c, err := s.Listener.Accept()
		var passing net.Error
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
		case errors.As(err, &passing) && passing.Temporary() && s.ctx.Err() == nil: //nolint:staticcheck // as net/http does: too many open files pass
			slog.Warn("door: accept", "err", err)
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
			}
			pause = min(2*pause, time.Second)
			continue
		default:
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			s.stop()
			return
		}
		from := address(c)
		if !s.enter(&s.waiting, from) {
			_ = c.Close()
			continue
		}
		s.work.Go(func() { s.sort(c, from) })
	}
}

// address is who a connection counts for; of IPv6 it is a network of 64 bits,
// since all of it is one subscriber's.
func address(c net.Conn) string {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	a := at.Addr().Unmap().WithZone("")
	if a.Is6() {
		network, _ := a.Prefix(64) // never fails
		a = network.Addr()
	}
	return a.String()
}

func (s *splitter) enter(in *places, from string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return in.enter(from)
}

func (s *splitter) leave(in *places, from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.leave(from)
}

// sort waits for one connection's name and sends it where it belongs. What
// cannot be read goes to the door, which refuses it as TLS does.
func (s *splitter) sort(c net.Conn, from string) {
	_ = c.SetReadDeadline(time.Now().Add(helloWithin))
	waiting := context.AfterFunc(s.ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	name, read, err := serverName(s.ctx, c)
	waiting()
	s.leave(&s.waiting, from)
	if len(read) == 0 || s.ctx.Err() != nil || errors.Is(err, context.Canceled) {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	whole := &replayed{Conn: c, first: read}
	if err == nil && strings.EqualFold(name, s.name) {
		s.splice(whole, from)
		return
	}
	select {
	case s.ready <- whole:
	case <-s.ctx.Done():
		_ = c.Close()
	}
}

// replayed is a connection of which something was read already.
type replayed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(p, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// splice joins the client with the relay until either ends.
func (s *splitter) splice(c *replayed, from string) {
	defer c.Close()
	if !s.enter(&s.spliced, from) {
		return
	}
	defer s.leave(&s.spliced, from)
	dial, cancel := context.WithTimeout(s.ctx, helloWithin)
	defer cancel()
	relay, err := (&net.Dialer{}).DialContext(dial, "tcp", s.target)
	if err != nil {
		slog.Warn("the relay does not answer", "err", err)
		return
	}
	defer relay.Close()
	defer context.AfterFunc(s.ctx, func() {
		_ = c.Close()
		_ = relay.Close()
	})()
	var both sync.WaitGroup
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, patient{from})
		_ = to.Close()
		_ = from.Close()
	}
	both.Go(func() { pipe(relay, c) })
	pipe(c, relay)
	both.Wait()
}

// patient reads with a bound on silence.
type patient struct{ net.Conn }

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(spliceIdle))
	return p.Conn.Read(b)
}
