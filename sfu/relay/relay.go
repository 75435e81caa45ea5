package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// Bounds of a relay.
const (
	DefaultBitrate = 8_000_000 // bits a second of one allocation, each way: a face, three voices and a document
	MaxPerDevice   = 24        // allocations: a browser makes one for each way and network interface, and twice while it reconnects
	MaxAllocations = 2000      // of all
	MaxStreams     = 1000      // connections over TCP, and as many over TLS
	maxChannels    = 8         // of one allocation: the media port has a handful of addresses
)

// Realm is the realm of the long-term mechanism.
const Realm = "kuule"

// Config says where a relay listens and whom it reaches.
type Config struct {
	// Addresses take UDP and TCP; port 0 is chosen by the system.
	Addresses []netip.AddrPort
	// TLS, where it is given, takes the streams that the door splices here.
	// Certificate names the file pair of turn.HOST.
	TLS         net.Listener
	Certificate *tls.Certificate
	Secret      Secret
	// Peers are the node's own media addresses: nothing else is reached.
	Peers []netip.AddrPort
	// Bitrate bounds one allocation each way, in bits a second; 0 is DefaultBitrate.
	Bitrate int
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Counts are what a relay has done since it began.
type Counts struct {
	Allocations int    // open now
	Opened      uint64 // allocations
	Unknown     uint64 // requests with a credential that does not hold
	OverQuota   uint64 // allocations beyond a device's or the relay's number
	Refused     uint64 // packets to or from other addresses than the node's
	Dropped     uint64 // packets beyond the bit rate
	UpBytes     uint64 // to the node
	DownBytes   uint64 // from the node
}

type counters struct {
	opened, unknown, quota, refused, dropped, up, down atomic.Uint64
}

// Server is a running relay. Its methods are safe for concurrent use.
type Server struct {
	secret  Secret
	bitrate int
	now     func() time.Time
	log     *slog.Logger
	peers   peers
	count   counters
	turn    *turn.Server
	udp     []net.PacketConn
	tls     net.Addr // nil: no TLS
	streams []*listener
	probe   *probe
	meter   *meter

	mu     sync.Mutex
	open   map[string]*client // with an allocation, by key
	total  int                // allocations
	device map[string]int     // allocations, by device
	relays map[string]*conn   // by the relayed address
}

// Way says by what the client of a relayed address reaches the relay: udp, tcp or
// tls; "" where the address is none of the relay's.
func (s *Server) Way(relayed string) string {
	s.mu.Lock()
	c := s.relays[relayed]
	s.mu.Unlock()
	if c == nil {
		return ""
	}
	if way := c.way.Load(); way != nil {
		return *way
	}
	return ""
}

// client is one address that has allocations, at one or more of the relay's.
type client struct {
	name        string // of the credential
	allocations int
}

func key(a net.Addr) string { return a.Network() + a.String() }

// New starts a relay. Close it to end its goroutines.
func New(cfg Config) (_ *Server, err error) {
	s := &Server{
		secret: cfg.Secret, bitrate: cfg.Bitrate, now: cfg.Now, log: cfg.Log,
		peers: peers{set: map[netip.AddrPort]bool{}}, open: map[string]*client{}, device: map[string]int{}, relays: map[string]*conn{},
	}
	if s.bitrate == 0 {
		s.bitrate = DefaultBitrate
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	generator, err := s.relayFrom(cfg.Peers)
	if err != nil {
		return nil, err
	}
	for _, p := range cfg.Peers {
		s.peers.allow(p)
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	nearest := generator.four // measurements are of the way that is asked for without a word
	if !nearest.IsValid() {
		nearest = generator.six
	}
	if s.probe, err = newProbe(nearest); err != nil {
		return nil, err
	}
	s.peers.allow(s.probe.address())
	if s.meter, err = newMeter(nearest.Is6()); err != nil {
		return nil, err
	}
	s.peers.allow(s.meter.address())
	config := turn.ServerConfig{
		Realm: Realm, AuthHandler: s.authenticate, QuotaHandler: s.quota, EventHandler: s.events(),
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
		// Who names no address family gets IPv4 (RFC 8656, section 7.2), where there is one.
		StrictAddressFamily: generator.four.IsValid(),
	}
	permit := func(_ net.Addr, ip net.IP) bool { return s.peers.reachable(ip) }
	stream := func(l net.Listener, each int) {
		bounded := newListener(l, MaxStreams, each)
		s.streams = append(s.streams, bounded)
		config.ListenerConfigs = append(config.ListenerConfigs, turn.ListenerConfig{Listener: bounded, RelayAddressGenerator: generator, PermissionHandler: permit})
	}
	for _, a := range cfg.Addresses {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
		if err != nil {
			return nil, fmt.Errorf("relay: listen on %s: %w", a, err)
		}
		s.udp = append(s.udp, c)
		config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{PacketConn: c, RelayAddressGenerator: generator, PermissionHandler: permit})
		bound := c.LocalAddr().(*net.UDPAddr).AddrPort()
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(bound))
		if err != nil {
			return nil, fmt.Errorf("relay: listen on %s: %w", bound, err)
		}
		stream(l, MaxStrangers)
	}
	if cfg.TLS != nil {
		if cfg.Certificate == nil {
			return nil, errors.New("relay: TLS without a certificate")
		}
		s.tls = cfg.TLS.Addr()
		// TURN clients offer no application protocol, and some only TLS 1.2.
		stream(tls.NewListener(cfg.TLS, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cfg.Certificate}}), MaxStreams) // one address: the door counts by whom
	}
	if s.turn, err = turn.NewServer(config); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return s, nil
}

// relayFrom finds the addresses that relayed packets come from: one of each
// family that the media port has.
func (s *Server) relayFrom(peers []netip.AddrPort) (*addresses, error) {
	a := &addresses{server: s}
	for _, p := range peers {
		switch ip := p.Addr().Unmap(); {
		case ip.IsUnspecified():
		case ip.Is4() && !a.four.IsValid():
			a.four = ip
		case ip.Is6() && !a.six.IsValid():
			a.six = ip
		}
	}
	if !a.four.IsValid() && !a.six.IsValid() {
		return nil, errors.New("relay: no address among the media addresses that could be relayed from")
	}
	return a, nil
}

// Addresses are where the relay takes UDP and TCP.
func (s *Server) Addresses() []netip.AddrPort {
	out := make([]netip.AddrPort, len(s.udp))
	for i, c := range s.udp {
		out[i] = c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	return out
}

// Meter is where a relayed client finds datagrams that answer, to measure its
// way by without a browser (the packets of the probe, bare).
func (s *Server) Meter() netip.AddrPort { return s.meter.address() }

// Counts says what the relay has done.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	open := s.total
	s.mu.Unlock()
	c := &s.count
	return Counts{
		Allocations: open, Opened: c.opened.Load(), Unknown: c.unknown.Load(), OverQuota: c.quota.Load(), Refused: c.refused.Load(),
		Dropped: c.dropped.Load(), UpBytes: c.up.Load(), DownBytes: c.down.Load(),
	}
}

// Close ends every allocation and frees the ports.
func (s *Server) Close() error {
	var err error
	if s.turn != nil {
		err = s.turn.Close()
	} else {
		for _, c := range s.udp {
			_ = c.Close()
		}
		for _, l := range s.streams {
			_ = l.Close()
		}
	}
	s.mu.Lock()
	open := make([]*conn, 0, len(s.relays))
	for _, c := range s.relays {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	if s.probe != nil {
		s.probe.close()
	}
	if s.meter != nil {
		s.meter.close()
	}
	return err
}

// authenticate gives the key of a user name that holds: minted and not expired,
// or of the very client whose allocation it opened.
//
// What a name opened is that name's alone: another that holds does not reach it.
func (s *Server) authenticate(q *turn.RequestAttributes) (user string, password []byte, ok bool) {
	name := q.Username
	_, expires, err := readName(name)
	now := s.now()
	if err != nil || q.Realm != Realm || expires.After(now.Add(Lifetime+time.Minute)) {
		s.count.unknown.Add(1)
		return "", nil, false
	}
	if !now.Before(expires) {
		s.mu.Lock()
		c := s.open[key(q.SrcAddr)]
		own := c != nil && c.name == name
		s.mu.Unlock()
		if !own || now.After(expires.Add(MaxStay)) {
			s.count.unknown.Add(1)
			return "", nil, false
		}
	}
	return name, turn.GenerateAuthKey(name, q.Realm, s.secret.password(name, expires)), true
}

func (s *Server) quota(name, _ string, _ net.Addr) bool {
	device, _, err := readName(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.total >= MaxAllocations || s.device[device] >= MaxPerDevice {
		s.count.quota.Add(1)
		return false
	}
	return true
}

func (s *Server) events() turn.EventHandler {
	return turn.EventHandler{
		OnAuth: func(_, _ net.Addr, _, _, _, _ string, verdict bool) {
			if !verdict {
				s.count.unknown.Add(1)
			}
		},
		OnAllocationCreated: func(from, at net.Addr, _, name, _ string, relayed net.Addr, _ int) {
			device, _, _ := readName(name)
			s.count.opened.Add(1)
			way := from.Network()
			if s.tls != nil && at.String() == s.tls.String() {
				way = "tls"
			}
			s.mu.Lock()
			if c := s.relays[relayed.String()]; c != nil {
				c.way.Store(&way)
			}
			c := s.open[key(from)]
			if c == nil {
				c = &client{name: name}
				s.open[key(from)] = c
			}
			c.allocations++
			s.total++
			s.device[device]++
			s.mu.Unlock()
			for _, l := range s.streams {
				l.admit(from)
			}
			s.log.Debug("relay opened", "device", device, "relayed", relayed)
		},
		OnAllocationDeleted: func(from, _ net.Addr, _, name, _ string) {
			device, _, _ := readName(name)
			s.mu.Lock()
			defer s.mu.Unlock()
			if c := s.open[key(from)]; c != nil {
				if c.allocations--; c.allocations == 0 {
					delete(s.open, key(from))
				}
			}
			s.total--
			if s.device[device]--; s.device[device] <= 0 {
				delete(s.device, device)
			}
		},
		OnChannelCreated: func(_, _ net.Addr, _, _, _ string, relayed, _ net.Addr, _ uint16) {
			s.mu.Lock()
			c := s.relays[relayed.String()]
			s.mu.Unlock()
			if c != nil && c.channels.Add(1) > maxChannels {
				s.count.quota.Add(1)
				_ = c.Close() // ends the allocation
			}
		},
		OnChannelDeleted: func(_, _ net.Addr, _, _, _ string, relayed, _ net.Addr, _ uint16) {
			s.mu.Lock()
			c := s.relays[relayed.String()]
			s.mu.Unlock()
			if c != nil {
				c.channels.Add(-1)
			}
		},
	}
}
