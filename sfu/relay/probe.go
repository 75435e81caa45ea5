package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
)

// Bounds of the probe.
const (
	maxProbes     = 8                // measurements at one time; each has the machine's attention
	probeLife     = 30 * time.Second // of one measurement
	probeOffer    = 16 << 10
	probePacket   = 1100 // bytes of one packet that the probe sends
	maxFlood      = 6_000_000
	maxFloodTime  = 3 * time.Second
	floodStep     = 5 * time.Millisecond
	maxQueued     = 256 << 10 // bytes that may wait in the data channel before a packet is lost instead
	maxProbeBytes = 16 << 20  // that one measurement may send up
)

// What a packet on the probe's channel is, by its first byte; the numbers after
// it are big endian.
const (
	probeEcho  = 'e' // anything: comes back as it is
	probeFill  = 'f' // anything: is counted
	probeCount = 'c' // asks for the count since the last: 'c', packets uint32, bytes uint32, microseconds from first to last uint32
	probeFlood = 'd' // bits a second uint32, milliseconds uint16: the probe sends 'f' packets at that rate, then 'D' with their number uint32
	probeDone  = 'D'
)

// probe answers data channels on a port that the relay alone reaches.
type probe struct {
	udp    *net.UDPConn
	mux    ice.UDPMux
	api    *webrtc.API
	places chan struct{}

	mu     sync.Mutex
	closed bool
	open   map[*webrtc.PeerConnection]struct{}
	tasks  sync.WaitGroup
}

func newProbe(ip netip.Addr) (*probe, error) {
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, fmt.Errorf("relay: probe: %w", err)
	}
	p := &probe{udp: u, places: make(chan struct{}, maxProbes), open: map[*webrtc.PeerConnection]struct{}{}}
	p.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: u})
	s := webrtc.SettingEngine{}
	s.SetLite(true)
	s.SetICEUDPMux(p.mux)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	family := webrtc.NetworkTypeUDP4
	if ip.Is6() {
		family = webrtc.NetworkTypeUDP6
	}
	s.SetNetworkTypes([]webrtc.NetworkType{family})
	s.SetICETimeouts(5*time.Second, 10*time.Second, time.Second)
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	p.api = webrtc.NewAPI(webrtc.WithSettingEngine(s))
	return p, nil
}

func (p *probe) address() netip.AddrPort { return p.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// Probe answers the offer of one data channel for a measurement.
func (s *Server) Probe(ctx context.Context, offer string) (answer string, err error) {
	return s.probe.answer(ctx, offer)
}

func (p *probe) answer(ctx context.Context, offer string) (string, error) {
	if len(offer) > probeOffer {
		return "", problem.New(problem.CodeTooLarge, "offer of %d bytes, at most %d", len(offer), probeOffer)
	}
	select {
	case p.places <- struct{}{}:
	default:
		return "", problem.New(problem.CodeUnavailable, "%d measurements are under way", maxProbes)
	}
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		<-p.places
		return "", fmt.Errorf("relay: probe: %w", err)
	}
	ended := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(ended) }) }
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.places
		return "", errors.Join(problem.New(problem.CodeUnavailable, "the node is closing"), pc.Close())
	}
	p.open[pc] = struct{}{}
	p.tasks.Go(func() {
		life := time.NewTimer(probeLife)
		defer life.Stop()
		select {
		case <-ended:
		case <-life.C:
		}
		_ = pc.Close()
		p.mu.Lock()
		delete(p.open, pc)
		p.mu.Unlock()
		<-p.places
	})
	p.mu.Unlock()
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateFailed || state == webrtc.PeerConnectionStateClosed {
			end()
		}
	})
	var channels atomic.Int32
	pc.OnDataChannel(func(d *webrtc.DataChannel) {
		if channels.Add(1) > 1 {
			_ = d.Close()
			return
		}
		serveProbe(d, ended, end)
	})
	sdp, err := answerOffer(ctx, pc, offer)
	if err != nil {
		end()
		return "", problem.New(problem.CodeMediaRefused, "probe: %w", err)
	}
	return sdp, nil
}

func answerOffer(ctx context.Context, pc *webrtc.PeerConnection, offer string) (string, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	if len(pc.GetTransceivers()) > 0 {
		return "", errors.New("the offer is of media: a measurement takes one data channel")
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *probe) close() {
	p.mu.Lock()
	p.closed = true
	open := make([]*webrtc.PeerConnection, 0, len(p.open))
	for pc := range p.open {
		open = append(open, pc)
	}
	p.mu.Unlock()
	for _, pc := range open {
		_ = pc.Close()
	}
	p.tasks.Wait()
	_ = p.mux.Close()
	_ = p.udp.Close()
}

// serveProbe answers one channel. Messages come one at a time.
func serveProbe(d *webrtc.DataChannel, ended <-chan struct{}, end func()) {
	var came tally
	var total uint32
	var flooding atomic.Bool
	d.OnClose(end)
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		total += uint32(len(m.Data))
		if len(m.Data) == 0 || total > maxProbeBytes {
			end()
			return
		}
		switch m.Data[0] {
		case probeEcho:
			send(d, m.Data)
		case probeFill:
			came.add(len(m.Data))
		case probeCount:
			send(d, came.take())
		case probeFlood:
			bits, length, ok := readFlood(m.Data)
			if ok && flooding.CompareAndSwap(false, true) {
				go func() {
					defer flooding.Store(false)
					flood(func(p []byte) { send(d, p) }, bits, length, ended)
				}()
			}
		default:
			end()
		}
	})
}

// tally counts what came between two questions.
type tally struct {
	packets, size uint32
	first, last   time.Time
}

func (t *tally) add(size int) {
	now := time.Now()
	if t.packets == 0 {
		t.first = now
	}
	t.packets, t.size, t.last = t.packets+1, t.size+uint32(size), now
}

func (t *tally) take() []byte {
	out := binary.BigEndian.AppendUint32([]byte{probeCount}, t.packets)
	out = binary.BigEndian.AppendUint32(out, t.size)
	out = binary.BigEndian.AppendUint32(out, uint32(t.last.Sub(t.first).Microseconds()))
	*t = tally{}
	return out
}

// readFlood reads how much the page wants to be sent, within bounds.
func readFlood(p []byte) (bits int, length time.Duration, ok bool) {
	if len(p) != 7 {
		return 0, 0, false
	}
	bits = int(binary.BigEndian.Uint32(p[1:5]))
	length = time.Duration(binary.BigEndian.Uint16(p[5:7])) * time.Millisecond
	return min(bits, maxFlood), min(length, maxFloodTime), bits > 0
}

// flood sends packets at a rate. What the way cannot carry is lost before the
// channel, not queued in it.
func flood(send func([]byte), bits int, length time.Duration, ended <-chan struct{}) {
	tick := time.NewTicker(floodStep)
	defer tick.Stop()
	packet := make([]byte, probePacket)
	packet[0] = probeFill
	sent := uint32(0)
	for begin := time.Now(); ; {
		passed := time.Since(begin)
		for due := uint32(min(passed, length).Seconds() * float64(bits) / 8 / probePacket); sent < due; sent++ {
			send(packet)
		}
		if passed >= length {
			send(binary.BigEndian.AppendUint32([]byte{probeDone}, sent))
			return
		}
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
}

func send(d *webrtc.DataChannel, p []byte) {
	if d.BufferedAmount() < maxQueued {
		_ = d.Send(p) // a channel that closed is at its end anyway
	}
}
