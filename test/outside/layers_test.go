package outside

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	midURI      = "urn:ietf:params:rtp-hdrext:sdes:mid"
	ridURI      = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	repairedURI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	vp8Picture  = 96
	vp8Repair   = 97
)

// rids are the layers of the picture, best first, and how many bytes one has.
var rids = []struct {
	rid   string
	bytes int
}{{"f", 900}, {"h", 400}, {"q", 120}}

// leaky is a socket that loses one in ten of the datagrams it is to send, once it
// is told to.
type leaky struct {
	net.PacketConn
	leaks atomic.Bool
	lost  atomic.Int64
	sent  atomic.Int64
}

// WriteTo sends, or not.
func (l *leaky) WriteTo(b []byte, to net.Addr) (int, error) {
	if l.leaks.Load() && len(b) > 100 && l.sent.Add(1)%10 == 0 {
		l.lost.Add(1)
		return len(b), nil
	}
	return l.PacketConn.WriteTo(b, to)
}

// layered sends one picture in three layers, keeps what it sent, and sends again
// by RTX (RFC 4588) what it is asked for.
type layered struct {
	*member
	socket *leaky
	layers []*layer
	asked  atomic.Int64 // packets that NACKs named
}

// layer is one rid: what was sent, by its number, and the repair stream's next.
type layer struct {
	track *webrtc.TrackLocalStaticRTP
	ssrc  webrtc.SSRC
	rtx   webrtc.SSRC

	mu     sync.Mutex
	kept   [512]*rtp.Packet
	next   uint16
	repair uint16
	frame  uint16
	key    bool // was asked for
}

// writers takes hold of each stream's writer below the library: a repair has a
// source of its own, which no track writes.
type writers struct {
	interceptor.NoOp
	mu sync.Mutex
	of map[webrtc.SSRC]interceptor.RTPWriter
}

// NewInterceptor implements interceptor.Factory.
func (w *writers) NewInterceptor(string) (interceptor.Interceptor, error) { return w, nil }

// BindLocalStream implements interceptor.Interceptor.
func (w *writers) BindLocalStream(info *interceptor.StreamInfo, out interceptor.RTPWriter) interceptor.RTPWriter {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of[webrtc.SSRC(info.SSRC)] = out
	return out
}

func enterLayered(t *testing.T, base, room string) *layered {
	t.Helper()
	engine, registry, below := &webrtc.MediaEngine{}, &interceptor.Registry{}, &writers{of: map[webrtc.SSRC]interceptor.RTPWriter{}}
	registry.Add(below)
	for _, c := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}}, PayloadType: vp8Picture},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprint("apt=", vp8Picture)}, PayloadType: vp8Repair},
	} {
		if err := engine.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	for _, uri := range []string{descriptors, midURI, ridURI, repairedURI} {
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &layered{socket: &leaky{PacketConn: plain}}
	mux := webrtc.NewICEUDPMux(nil, s.socket)
	t.Cleanup(func() { _ = mux.Close() })
	settings := webrtc.SettingEngine{}
	settings.SetICEUDPMux(mux)
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	s.member = &member{t: t, base: base, pc: pc}
	var line *webrtc.RTPTransceiver
	for i, r := range rids {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "picture", "member", webrtc.WithRTPStreamID(r.rid))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			line, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		} else {
			err = line.Sender().AddEncoding(track)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.layers = append(s.layers, &layer{track: track})
	}
	if status := s.negotiate(base+"/rooms/"+room+"/legs", nil); status != http.StatusCreated {
		t.Fatalf("answered %d", status)
	}
	parameters := line.Sender().GetParameters()
	ids := map[string]uint8{}
	for _, e := range parameters.HeaderExtensions {
		ids[e.URI] = uint8(e.ID)
	}
	for i, e := range parameters.Encodings {
		s.layers[i].ssrc, s.layers[i].rtx = e.SSRC, e.RTX.SSRC
		if e.RTX.SSRC == 0 {
			s.layers[i].rtx = e.SSRC + 1 // named by nothing but its rid
		}
		go s.answer(line, i, below, ids)
	}
	s.show(line.Mid(), ids)
	return s
}

// answer heeds what comes back on one layer.
func (s *layered) answer(line *webrtc.RTPTransceiver, i int, below *writers, ids map[string]uint8) {
	l := s.layers[i]
	for {
		packets, _, err := line.Sender().ReadSimulcastRTCP(rids[i].rid)
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication:
				l.mu.Lock()
				l.key = true
				l.mu.Unlock()
			case *rtcp.TransportLayerNack:
				if webrtc.SSRC(p.MediaSSRC) != l.ssrc {
					continue
				}
				below.mu.Lock()
				out := below.of[l.ssrc]
				below.mu.Unlock()
				for _, pair := range p.Nacks {
					for _, n := range pair.PacketList() {
						s.asked.Add(1)
						l.again(out, n, line.Mid(), rids[i].rid, ids)
					}
				}
			}
		}
	}
}

// again sends one packet by the repair stream: its own number goes before the
// payload.
func (l *layer) again(out interceptor.RTPWriter, n uint16, mid, rid string, ids map[string]uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.kept[n%uint16(len(l.kept))]
	if was == nil || was.SequenceNumber != n || out == nil {
		return
	}
	l.repair++
	p := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: was.Marker, PayloadType: vp8Repair, SSRC: uint32(l.rtx), SequenceNumber: l.repair, Timestamp: was.Timestamp}}
	_ = p.SetExtension(ids[midURI], []byte(mid))
	_ = p.SetExtension(ids[repairedURI], []byte(rid))
	_ = p.SetExtension(ids[descriptors], was.GetExtension(ids[descriptors]))
	p.Payload = append(binary.BigEndian.AppendUint16(nil, n), was.Payload...)
	_, _ = out.Write(&p.Header, p.Payload, nil)
}

// show sends 30 pictures a second in each layer, whose payload says which rid and
// which picture it is.
func (s *layered) show(mid string, ids map[string]uint8) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	s.t.Cleanup(func() { cancel(); <-over })
	go func() {
		defer close(over)
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for n := uint32(1); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for i, l := range s.layers {
				l.send(n, rids[i].rid, rids[i].bytes, mid, ids)
			}
		}
	}()
}

func (l *layer) send(n uint32, rid string, bytes int, mid string, ids map[string]uint8) {
	l.mu.Lock()
	l.frame++
	l.next++
	d := binary.BigEndian.AppendUint16([]byte{0xC1}, l.frame)
	if l.frame == 1 || l.key {
		d[0], l.key = 0xC0, false
		d = append(d, 0x80, 0x00, 0x3A, 0x41, 0x01, 0x00)
	}
	p := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: l.next, Timestamp: 3000 * n}}
	_ = p.SetExtension(ids[midURI], []byte(mid))
	_ = p.SetExtension(ids[ridURI], []byte(rid))
	_ = p.SetExtension(ids[descriptors], d)
	p.Payload = append(binary.BigEndian.AppendUint32([]byte(rid), n), make([]byte, bytes)...)
	l.kept[l.next%uint16(len(l.kept))] = p
	l.mu.Unlock()
	_ = l.track.WriteRTP(p)
}

// picture reads what a payload says.
func picture(p *rtp.Packet) (rid string, n uint32) {
	if len(p.Payload) < 5 {
		return "", 0
	}
	return string(p.Payload[:1]), binary.BigEndian.Uint32(p.Payload[1:])
}

// A client of another code base publishes a picture in three layers and repairs
// it by RTX: a receiver gets the layer of the size that it asks for, whole, while
// one in ten packets is lost on the sender's way.
func TestLayersAndRepairsOfAnotherCodeBase(t *testing.T) {
	base := node(t)
	speaker := enterLayered(t, base, "layers")
	listener := enter(t, base, "layers")
	_, _, body := ask(t, http.MethodGet, base+listener.place, "")
	var told struct {
		Slots []struct{ Mid, Kind, Line string }
	}
	if err := json.Unmarshal([]byte(body), &told); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(told.Slots, func(s struct{ Mid, Kind, Line string }) bool { return s.Kind == "video" && s.Line == "0" })
	if i < 0 {
		t.Fatalf("the picture has no slot: %s", body)
	}
	mid := told.Slots[i].Mid
	wish := func(height int) {
		t.Helper()
		text := fmt.Sprintf(`{"slots":[{"mid":%q,"height":%d}]}`, mid, height)
		if status, _, body := ask(t, http.MethodPut, base+listener.place+"/wish", text); status != http.StatusNoContent {
			t.Fatalf("%d: %s", status, body)
		}
	}
	until := func(want string) {
		t.Helper()
		listener.drain(1)
		for end := time.Now().Add(patience); ; {
			if rid, _ := picture(listener.next(1)); rid == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("layer %s did not come", want)
			}
		}
	}
	wish(0)
	until("f")
	wish(100)
	until("q")
	wish(0)
	until("f")

	speaker.socket.leaks.Store(true)
	came := map[uint32]bool{}
	first, last := uint32(0), uint32(0)
	for len(came) < 300 {
		p := listener.next(1)
		rid, n := picture(p)
		if rid != "f" || len(p.Payload) != 905 {
			continue
		}
		if first == 0 {
			first = n
		}
		last = max(last, n)
		came[n] = true
	}
	all := int(last - first + 1)
	lost, asked := speaker.socket.lost.Load(), speaker.asked.Load()
	t.Logf("%d of %d pictures came; %d datagrams were lost on the way to the node, %d packets were asked for again", len(came), all, lost, asked)
	if lost < 50 || asked < 20 || all-len(came) > all/50 {
		t.Errorf("%d of %d pictures came; %d datagrams were lost, %d packets were asked for again", len(came), all, lost, asked)
	}
}
