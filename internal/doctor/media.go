package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// The media port answers nobody unknown over UDP, so who measures it first asks
// the door, by the pass, for a room of its own: one connection sends sounds there
// and another one gets them back, each over one network alone.
const (
	mediaSounds   = 6         // beside the one that carries echoes
	mediaRate     = 2_400_000 // bit/s, over all of them: a voice may have half a megabit
	mediaFill     = 1000      // bytes
	mediaReport   = 2 * time.Second
	maxAnswer     = 64 << 10
	soundClock    = 48000
	soundType     = 111
	mediaSettles  = 10 * time.Second // until both ends are connected
	mediaWaiting  = 4096             // packets that wait to be looked at
	mediaIdleTime = 200 * time.Millisecond
)

// errNoPass says why a way was not tried.
var errNoPass = errors.New("the media port answers nobody unknown over UDP: give a pass of `kuule doctor pass`")

// network is one way to the media port.
type network struct {
	leg      string
	protocol string // in candidates
	six      bool
}

func (n network) kind() webrtc.NetworkType {
	switch {
	case n.protocol == "udp" && n.six:
		return webrtc.NetworkTypeUDP6
	case n.protocol == "udp":
		return webrtc.NetworkTypeUDP4
	case n.six:
		return webrtc.NetworkTypeTCP6
	default:
		return webrtc.NetworkTypeTCP4
	}
}

// alone leaves of an answer's candidates those of this network, and gives the
// first.
func (n network) alone(sdp string) (text, first string) {
	var kept []string
	for line := range strings.SplitAfterSeq(sdp, "\n") {
		f := strings.Fields(line)
		if strings.HasPrefix(line, "a=candidate:") {
			if len(f) < 6 || !strings.EqualFold(f[2], n.protocol) || strings.Contains(f[4], ":") != n.six {
				continue
			}
			if first == "" {
				first = net.JoinHostPort(f[4], f[5])
			}
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, ""), first
}

// measured measures one network of the media port under the pass.
func (t Target) measured(ctx context.Context, n network, address, door string) Leg {
	l := Leg{Leg: n.leg, Address: address}
	if t.Pass == nil {
		l.Untried, l.Why = true, "not tried: "+errNoPass.Error()
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, 2*mediaSettles+2*measureFor+echoes*echoEvery+echoWait+mediaReport)
	defer cancel()
	asking := &asker{target: t, door: door}
	defer asking.close()
	from, err := newSounder(n)
	if err != nil {
		l.Untried, l.Why = true, "not tried: "+err.Error()
		return l
	}
	defer from.close()
	room, err := from.call(ctx, asking, "", &l)
	if err != nil {
		l.Untried, l.Why = true, "not tried: "+err.Error()
		return l
	}
	if !from.connected(ctx) {
		l.Why = "cut: no answer"
		return l
	}
	to, err := newListener(n)
	if err != nil {
		l.Untried, l.Why = true, "not tried: "+err.Error()
		return l
	}
	defer to.close()
	if _, err := to.call(ctx, asking, room, &l); err != nil {
		l.Why = "it broke under way: " + err.Error()
		return l
	}
	if !to.connected(ctx) {
		l.Why = "cut: no answer to a second connection"
		return l
	}
	way := &mirror{from: from, to: to}
	way.begin(ctx)
	l.setEcho(echo(way, nil, make([]time.Time, echoes), func(i int) []byte {
		return binary.BigEndian.AppendUint32(make([]byte, 0, echoBytes), uint32(i))[:echoBytes]
	}, func(p []byte) int {
		if len(p) != echoBytes {
			return -1
		}
		return min(int(binary.BigEndian.Uint32(p)), echoes-1)
	}))
	if !l.Works {
		l.Why = "cut: connected, but no sound comes back"
		return l
	}
	l.Up, l.Down = way.rates(ctx)
	return l
}

// asker asks the door to answer offers.
type asker struct {
	target Target
	door   string
	client *http.Client
}

func (a *asker) close() {
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
}

type mediaQuestion struct {
	Offer string `json:"offer"`
	Room  string `json:"room,omitempty"`
}

type mediaAnswer struct {
	Answer string `json:"answer"`
	Room   string `json:"room"`
}

// ask hands an offer to the door, at the name that needs no device certificate.
func (a *asker) ask(ctx context.Context, q mediaQuestion) (out mediaAnswer, err error) {
	name := "enrol." + a.target.Host
	if a.client == nil {
		a.client = &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialTLS(ctx, a.door, name, a.target.Roots)
		}}, Timeout: mediaSettles}
	}
	body, err := json.Marshal(q)
	if err != nil {
		return out, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+name+"/measure", bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Pass "+a.target.Pass.Username+":"+a.target.Pass.Password)
	resp, err := a.client.Do(r)
	if err != nil {
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			return out, errors.New("the door's certificate is not of this installation")
		}
		return out, fmt.Errorf("the door did not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return out, err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Title string `json:"title"`
		}
		_ = json.Unmarshal(text, &problem) // the status says enough
		return out, fmt.Errorf("the door refused the measurement (%s %s)", resp.Status, problem.Title)
	}
	return out, json.Unmarshal(text, &out)
}

// end is one connection of a measurement.
type end struct {
	network network
	pc      *webrtc.PeerConnection
	up      chan struct{}
	tasks   sync.WaitGroup
	close   func()
}

func newEnd(n network) (*end, error) {
	engine := &webrtc.MediaEngine{}
	// Without feedback nobody grows or shrinks by themselves what is to be measured.
	if err := engine.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: soundClock, Channels: 2}, PayloadType: soundType,
	}, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{n.kind()})
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM)
	s.LoggerFactory = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	e := &end{network: n, pc: pc, up: make(chan struct{})}
	e.close = sync.OnceFunc(func() {
		_ = pc.GracefulClose()
		e.tasks.Wait()
	})
	connected := sync.OnceFunc(func() { close(e.up) })
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			connected()
		}
	})
	return e, nil
}

// call offers to the door and takes the answer, as far as it is of this network.
func (e *end) call(ctx context.Context, a *asker, room string, l *Leg) (string, error) {
	offer, err := e.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(e.pc)
	if err := e.pc.SetLocalDescription(offer); err != nil {
		return "", err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	answered, err := a.ask(ctx, mediaQuestion{Offer: offer.SDP, Room: room})
	if err != nil {
		return "", err
	}
	sdp, first := e.network.alone(answered.Answer)
	if first == "" {
		return "", errors.New("the installation has no media port of this family of addresses")
	}
	l.Address = first
	return answered.Room, e.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp})
}

func (e *end) connected(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, mediaSettles)
	defer cancel()
	select {
	case <-e.up:
		return true
	case <-ctx.Done():
		return false
	}
}

// sounder is the end that sends: echoes on its first track, what is measured on
// the others.
type sounder struct {
	*end
	tracks []*webrtc.TrackLocalStaticRTP
	sent   []uint16
	before []uint16        // what was measured began
	came   []atomic.Uint32 // at the node, as it reports
	upTo   []atomic.Uint32 // the last that such a report knows of
}

func newSounder(n network) (*sounder, error) {
	e, err := newEnd(n)
	if err != nil {
		return nil, err
	}
	s := &sounder{end: e, sent: make([]uint16, mediaSounds+1), came: make([]atomic.Uint32, mediaSounds+1), upTo: make([]atomic.Uint32, mediaSounds+1)}
	for i := range s.sent {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: soundClock, Channels: 2}, fmt.Sprint("sound-", i), "doctor")
		if err == nil {
			var line *webrtc.RTPTransceiver
			if line, err = e.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err == nil {
				e.tasks.Go(func() { s.heed(i, line.Sender()) })
			}
		}
		if err != nil {
			e.close()
			return nil, err
		}
		s.tracks = append(s.tracks, track)
	}
	return s, nil
}

// heed reads the node's reports on one track (RFC 3550, section 6.4.1).
func (s *sounder) heed(i int, sender *webrtc.RTPSender) {
	source := uint32(sender.GetParameters().Encodings[0].SSRC)
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if r, is := p.(*rtcp.ReceiverReport); is {
				for _, about := range r.Reports {
					if about.SSRC != source {
						continue
					}
					// Numbers begin with 1.
					s.came[i].Store(about.LastSequenceNumber - min(about.TotalLost, about.LastSequenceNumber))
					s.upTo[i].Store(about.LastSequenceNumber)
				}
			}
		}
	}
}

func (s *sounder) send(i int, payload []byte) error {
	s.sent[i]++
	return s.tracks[i].WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: s.sent[i], Timestamp: uint32(s.sent[i]) * soundClock / 50}, Payload: payload})
}

// listener is the end that gets everything back.
type listener struct {
	*end
	in chan []byte
}

func newListener(n network) (*listener, error) {
	e, err := newEnd(n)
	if err != nil {
		return nil, err
	}
	l := &listener{end: e, in: make(chan []byte, mediaWaiting)}
	e.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		e.tasks.Go(func() {
			for {
				p, _, err := t.ReadRTP()
				if err != nil {
					return
				}
				select {
				case l.in <- slices.Clone(p.Payload):
				default: // as if it were lost
				}
			}
		})
	})
	for range mediaSounds + 1 {
		if _, err := e.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			e.close()
			return nil, err
		}
	}
	return l, nil
}

// mirror is the way through the media port and back, for echoes.
type mirror struct {
	from  *sounder
	to    *listener
	until time.Time
}

// ReadFrom gives what came back next.
func (m *mirror) ReadFrom(b []byte) (int, net.Addr, error) {
	var late <-chan time.Time
	if !m.until.IsZero() {
		timer := time.NewTimer(time.Until(m.until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case p := <-m.to.in:
		return copy(b, p), nil, nil
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo sends on the track for echoes.
func (m *mirror) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), m.from.send(0, b) }

// SetReadDeadline bounds the next ReadFrom.
func (m *mirror) SetReadDeadline(t time.Time) error {
	m.until = t
	return nil
}

// begin has every track carry something before anything is counted: the first
// packet of one may come before its other end is ready.
func (m *mirror) begin(ctx context.Context) {
	ready := map[byte]bool{}
	b := make([]byte, 1500)
	for end := time.Now().Add(echoWait); time.Now().Before(end) && len(ready) < len(m.from.tracks) && ctx.Err() == nil; {
		for i := range m.from.tracks {
			if !ready[byte(i)] {
				_ = m.from.send(i, []byte{byte(i)}) // what did not leave does not come back
			}
		}
		_ = m.SetReadDeadline(time.Now().Add(mediaIdleTime))
		for len(ready) < len(m.from.tracks) {
			n, _, err := m.ReadFrom(b)
			if err != nil {
				break
			}
			if n == 1 {
				ready[b[0]] = true
			}
		}
	}
	m.from.before = slices.Clone(m.from.sent)
}

// rates sends at the measuring rate, and gives in bit/s what of it came to the
// node and what came back.
func (m *mirror) rates(ctx context.Context) (up, down float64) {
	var first, last time.Time
	bytes := 0
	counted := make(chan struct{})
	counting, stop := context.WithCancel(ctx)
	go func() {
		defer close(counted)
		for {
			select {
			case p := <-m.to.in:
				if len(p) != mediaFill {
					continue
				}
				last = time.Now()
				if first.IsZero() {
					first = last
					continue
				}
				bytes += len(p)
			case <-counting.Done():
				return
			}
		}
	}()
	fill := make([]byte, mediaFill)
	began := time.Now()
	for sent := 0; time.Since(began) < measureFor && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		for due := int(time.Since(began).Seconds() * mediaRate / 8); sent < due; sent += mediaFill {
			if m.from.send(1+sent/mediaFill%mediaSounds, fill) != nil {
				break
			}
		}
	}
	took := time.Since(began)
	came := m.from.reported(ctx)
	stop()
	<-counted
	if last.After(first) {
		down = math.Round(float64(bytes) * 8 / last.Sub(first).Seconds())
	}
	return math.Round(float64(came*mediaFill) * 8 / took.Seconds()), down
}

// reported waits for the node's reports on what was sent last, and gives how many
// packets came there.
func (s *sounder) reported(ctx context.Context) (came int) {
	ctx, cancel := context.WithTimeout(ctx, mediaReport)
	defer cancel()
	for {
		came = 0
		whole := true
		for i := 1; i <= mediaSounds; i++ {
			came += max(0, int(s.came[i].Load())-int(s.before[i]))
			whole = whole && s.upTo[i].Load() >= uint32(s.sent[i])
		}
		select {
		case <-ctx.Done():
			return came
		case <-time.After(mediaIdleTime):
		}
		if whole {
			return came
		}
	}
}

// isSix reports whether an address is of IPv6.
func isSix(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.Unmap().Is6()
}
