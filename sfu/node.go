package sfu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
)

// Bounds of a node.
const (
	MaxLegs       = 1000 // per node
	MaxRoomLegs   = 64   // per room
	MaxSlots      = 32   // per leg
	MaxTracks     = 8    // published per leg
	MaxOfferBytes = 128 << 10
	repairPackets = 256              // kept of each slot for repair: over a second of the fastest picture
	connectWithin = 30 * time.Second // a leg that is not connected by then is closed
)

// Config says where a node listens.
type Config struct {
	// Addresses are the UDP addresses of the one media port; port 0 is chosen by
	// the system. Loopback addresses are offered as candidates like any other.
	Addresses []netip.AddrPort
	Log       *slog.Logger
	// OnEvent is called when a leg's state changes, from the node's own
	// goroutines, never with a lock held.
	OnEvent func(media.Event)
}

// Node is one media node. Its methods are safe for concurrent use.
type Node struct {
	api     *webrtc.API
	mux     ice.UDPMux
	conns   []net.PacketConn
	log     *slog.Logger
	onEvent func(media.Event)

	mu     sync.Mutex
	closed bool
	legs   int // open, and those being opened
	rooms  map[interview.GroupID]*room
	tasks  sync.WaitGroup // legs on their way out
}

// New binds the node's port and is ready for legs.
func New(cfg Config) (*Node, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("media node: no address to listen on")
	}
	n := &Node{log: cfg.Log, onEvent: cfg.OnEvent, rooms: map[interview.GroupID]*room{}}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.onEvent == nil {
		n.onEvent = func(media.Event) {}
	}
	var muxes []ice.UDPMux
	for _, a := range cfg.Addresses {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
		if err != nil {
			n.Close()
			return nil, fmt.Errorf("media node: listen on %s: %w", a, err)
		}
		n.conns = append(n.conns, c)
		muxes = append(muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c}))
	}
	n.mux = ice.NewMultiUDPMuxDefault(muxes...)
	api, err := newAPI(n.mux)
	if err != nil {
		n.Close()
		return nil, err
	}
	n.api = api
	return n, nil
}

// Addresses are the addresses the node listens on.
func (n *Node) Addresses() []net.Addr {
	out := make([]net.Addr, len(n.conns))
	for i, c := range n.conns {
		out[i] = c.LocalAddr()
	}
	return out
}

// Close ends every leg and frees the port.
func (n *Node) Close() {
	n.mu.Lock()
	n.closed = true
	var legs []*leg
	for _, r := range n.rooms {
		for _, l := range r.legs {
			legs = append(legs, l)
		}
	}
	for _, r := range n.rooms {
		r.legs = map[interview.LegID]*leg{}
	}
	n.mu.Unlock()
	for _, l := range legs {
		l.close()
	}
	n.tasks.Wait()
	if n.mux != nil {
		_ = n.mux.Close()
	}
	for _, c := range n.conns {
		_ = c.Close()
	}
}

// newAPI registers exactly the codecs, extensions and feedback that a hearing
// needs. Each interceptor that is left out saves its cost on every packet.
func newAPI(mux ice.UDPMux) (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	video := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
	codecs := map[webrtc.RTPCodecType][]webrtc.RTPCodecParameters{
		webrtc.RTPCodecTypeAudio: {
			{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}, PayloadType: 111},
		},
		webrtc.RTPCodecTypeVideo: {
			{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: video}, PayloadType: 96},
			{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}, PayloadType: 97},
		},
	}
	for kind, list := range codecs {
		for _, c := range list {
			if err := m.RegisterCodec(c, kind); err != nil {
				return nil, fmt.Errorf("media node: %s: %w", c.MimeType, err)
			}
		}
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: "urn:ietf:params:rtp-hdrext:sdes:mid"}, kind); err != nil {
			return nil, fmt.Errorf("media node: %w", err)
		}
	}
	if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: media.DependencyDescriptorURI}, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	registry := &interceptor.Registry{}
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(repairPackets))
	if err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	generator, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	receiver, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	registry.Add(responder)
	registry.Add(generator)
	registry.Add(receiver)
	if err := webrtc.ConfigureTWCCSender(m, registry); err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}

	s := webrtc.SettingEngine{}
	s.SetLite(true)
	s.SetICEUDPMux(mux)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	// As DTLS server the node chooses the profile, and offers no other: a client
	// that cannot do it is refused rather than served with less.
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM)
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, fmt.Errorf("media node: %w", err)
	}
	s.SetICETimeouts(2*time.Second, 15*time.Second, 500*time.Millisecond)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s)), nil
}

// OpenLeg answers a member's offer. An open leg of the same id is replaced.
func (n *Node) OpenLeg(ctx context.Context, req media.OpenLeg) (media.LegOpened, error) {
	if err := checkOpen(req); err != nil {
		return media.LegOpened{}, err
	}
	n.CloseLeg(media.CloseLeg{Room: req.Room, Leg: req.Leg})
	// The place is taken before the work is done, so that a flood of offers does
	// no more work than there are places.
	if err := n.reserve(req.Room); err != nil {
		return media.LegOpened{}, err
	}
	l, opened, err := n.newLeg(ctx, req)
	n.mu.Lock()
	r := n.rooms[req.Room]
	r.opening--
	switch {
	case err != nil:
	case n.closed:
		err = problem.New(problem.CodeUnavailable, "media node: it is closing")
	case r.legs[req.Leg] != nil:
		err = problem.New(problem.CodeConflict, "media node: leg %s was opened twice at once", req.Leg)
	}
	if err != nil {
		n.legs--
		n.tidy(r)
		n.mu.Unlock()
		if l != nil {
			l.close()
		}
		return media.LegOpened{}, err
	}
	r.legs[req.Leg] = l
	l.patience = time.AfterFunc(connectWithin, func() { n.abandon(l) })
	// Routes of the table that is in force may name this leg already.
	r.apply(n.log)
	n.mu.Unlock()
	return opened, nil
}

// reserve takes a place for a leg that is being opened.
func (n *Node) reserve(id interview.GroupID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[id]
	if n.closed || n.legs >= MaxLegs || r != nil && len(r.legs)+r.opening >= MaxRoomLegs {
		return problem.New(problem.CodeUnavailable, "media node: no place for another leg")
	}
	if r == nil {
		r = &room{id: id, legs: map[interview.LegID]*leg{}}
		n.rooms[id] = r
	}
	r.opening++
	n.legs++
	return nil
}

// tidy forgets a room of which nothing is left; the lock is held.
func (n *Node) tidy(r *room) {
	if len(r.legs) == 0 && r.opening == 0 && len(r.table.Routes) == 0 && n.rooms[r.id] == r {
		delete(n.rooms, r.id)
	}
}

// leave abandons a leg from one of its own callbacks, which closing waits for.
func (n *Node) leave(l *leg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.tasks.Go(func() { n.abandon(l) })
	}
}

// abandon closes a leg whose connection failed or never came: the door may have
// restarted and not know of it any more.
func (n *Node) abandon(l *leg) {
	n.mu.Lock()
	r := n.rooms[l.room]
	if n.closed || r == nil || r.legs[l.id] != l || l.connected.Load() {
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	n.log.Info("leg is abandoned", "leg", l.id)
	n.CloseLeg(media.CloseLeg{Room: l.room, Leg: l.id})
	n.onEvent(media.Event{Room: l.room, Leg: l.id, State: media.LegClosed})
}

// CloseLeg ends a leg; a leg that is not there is no error.
func (n *Node) CloseLeg(req media.CloseLeg) {
	n.mu.Lock()
	r := n.rooms[req.Room]
	if r == nil || r.legs[req.Leg] == nil {
		n.mu.Unlock()
		return
	}
	l := r.legs[req.Leg]
	delete(r.legs, req.Leg)
	n.legs--
	r.apply(n.log)
	n.tidy(r)
	n.mu.Unlock()
	l.close()
}

// Forward replaces a room's table. A generation that does not grow is refused,
// so that an old command can open nothing again.
func (n *Node) Forward(t media.Table) error {
	if len(t.Routes) > MaxRoomLegs*MaxSlots {
		return problem.New(problem.CodeTooLarge, "media node: table of %d routes", len(t.Routes))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.rooms[t.Room]
	if r == nil {
		if len(t.Routes) == 0 {
			return nil
		}
		r = &room{id: t.Room, legs: map[interview.LegID]*leg{}}
		n.rooms[t.Room] = r
	}
	if t.Generation <= r.table.Generation {
		return problem.New(problem.CodeConflict, "media node: table generation %d is not newer than %d", t.Generation, r.table.Generation)
	}
	r.table = t
	r.apply(n.log)
	n.tidy(r)
	return nil
}

func checkOpen(req media.OpenLeg) error {
	switch {
	case req.Room.IsZero() || req.Leg.IsZero():
		return problem.New(problem.CodeMalformed, "leg without room or id")
	case len(req.Offer) > MaxOfferBytes:
		return problem.New(problem.CodeTooLarge, "offer of %d bytes, at most %d", len(req.Offer), MaxOfferBytes)
	case len(req.Tracks) > MaxTracks:
		return problem.New(problem.CodeMediaRefused, "%d tracks, at most %d", len(req.Tracks), MaxTracks)
	}
	return nil
}
