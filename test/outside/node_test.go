package outside

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	patience    = 60 * time.Second
	descriptors = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)

// node builds and starts a media node, and gives the address that takes offers.
func node(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kuule-bench")
	build := exec.Command("go", "build", "-o", program, "./cmd/kuule-bench")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(program, "node", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	said, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		if err := run.Wait(); err != nil {
			t.Errorf("the node ended with %v", err)
		}
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if at := regexp.MustCompile(`http=(http://\S+)`).FindStringSubmatch(lines.Text()); at != nil {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return at[1]
		}
	}
	t.Fatal("the node did not say where it takes offers")
	return ""
}

// member is one connection: a voice and a picture out, one of each in.
type member struct {
	t        *testing.T
	base     string
	place    string // of the leg
	pc       *webrtc.PeerConnection
	out      [2]*webrtc.TrackLocalStaticRTP
	senders  [2]*webrtc.RTPSender
	packets  [2]chan *rtp.Packet // in: sound, picture
	pictures atomic.Uint32       // source of the pictures that come
	keys     chan struct{}       // a key frame was asked for
	sequence [2]uint16
	frame    uint16
}

func enter(t *testing.T, base, room string) *member {
	t.Helper()
	engine := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "transport-cc"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for _, c := range []struct {
		webrtc.RTPCodecParameters
		kind webrtc.RTPCodecType
	}{
		{webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, RTCPFeedback: feedback[:2]}, PayloadType: 111}, webrtc.RTPCodecTypeAudio},
		{webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, PayloadType: 96}, webrtc.RTPCodecTypeVideo},
		{webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}, PayloadType: 97}, webrtc.RTPCodecTypeVideo},
	} {
		if err := engine.RegisterCodec(c.RTPCodecParameters, c.kind); err != nil {
			t.Fatal(err)
		}
	}
	if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: descriptors}, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	m := &member{t: t, base: base, pc: pc, keys: make(chan struct{}, 1000), packets: [2]chan *rtp.Packet{make(chan *rtp.Packet, 10000), make(chan *rtp.Packet, 10000)}}
	for i, c := range []webrtc.RTPCodecCapability{{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, {MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}} {
		if m.out[i], err = webrtc.NewTrackLocalStaticRTP(c, fmt.Sprint("out-", i), "member"); err != nil {
			t.Fatal(err)
		}
		line, err := pc.AddTransceiverFromTrack(m.out[i], webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			t.Fatal(err)
		}
		m.senders[i] = line.Sender()
		go m.heed(line.Sender())
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		i := 0
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			i = 1
			m.pictures.Store(uint32(track.SSRC()))
		}
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			select {
			case m.packets[i] <- p:
			default:
			}
		}
	})
	if status := m.negotiate(base+"/rooms/"+room+"/legs", nil); status != http.StatusCreated {
		t.Fatalf("answered %d", status)
	}
	return m
}

// heed listens for key frame requests.
func (m *member) heed(s *webrtc.RTPSender) {
	for {
		packets, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if _, is := p.(*rtcp.PictureLossIndication); is {
				select {
				case m.keys <- struct{}{}:
				default:
				}
			}
		}
	}
}

// negotiate offers and takes the answer.
func (m *member) negotiate(where string, options *webrtc.OfferOptions) int {
	m.t.Helper()
	offer, err := m.pc.CreateOffer(options)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.pc.SetLocalDescription(offer); err != nil {
		m.t.Fatal(err)
	}
	// The client's candidates are of no use to the node: it learns its peer by the checks.
	status, head, body := ask(m.t, http.MethodPost, where, offer.SDP)
	if status != http.StatusCreated {
		m.t.Fatalf("%d: %s", status, body)
	}
	m.place = head.Get("Location")
	if err := m.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}); err != nil {
		m.t.Fatalf("%v\n%s", err, body)
	}
	return status
}

func ask(t *testing.T, method, where, body string) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, where, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(text)
}

// talk sends until the test ends: 50 packets of sound and 25 pictures a second,
// with a key frame when one is asked for.
func (m *member) talk() {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	m.t.Cleanup(func() { cancel(); <-over })
	var extension uint8
	for _, e := range m.senders[1].GetParameters().HeaderExtensions {
		if e.URI == descriptors {
			extension = uint8(e.ID)
		}
	}
	if extension == 0 {
		m.t.Fatal("the node does not take the descriptor")
	}
	go func() {
		defer close(over)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := uint32(0); ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_ = m.out[0].WriteRTP(m.packet(0, 960*i, []byte("sound, sealed"), 0, nil))
			if i%2 != 0 {
				continue
			}
			key := m.frame == 0
			for len(m.keys) > 0 {
				<-m.keys
				key = true
			}
			m.frame++
			d := binary.BigEndian.AppendUint16([]byte{0xC1}, m.frame)
			if key {
				d[0] = 0xC0
				d = append(d, 0x80, 0x00, 0x3A, 0x41, 0x01, 0x00)
			}
			_ = m.out[1].WriteRTP(m.packet(1, 1800*i, []byte("a picture, sealed"), extension, d))
		}
	}()
}

func (m *member) packet(i int, timestamp uint32, payload []byte, extension uint8, descriptor []byte) *rtp.Packet {
	m.sequence[i]++
	p := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: m.sequence[i], Timestamp: timestamp}, Payload: payload}
	if extension != 0 {
		if err := p.SetExtension(extension, descriptor); err != nil {
			m.t.Error(err)
		}
	}
	return p
}

// next waits for a packet.
func (m *member) next(i int) *rtp.Packet {
	m.t.Helper()
	select {
	case p := <-m.packets[i]:
		return p
	case <-time.After(patience):
		m.t.Fatalf("nothing came on line %d", i)
		return nil
	}
}

// drain throws away what came.
func (m *member) drain(i int) {
	for len(m.packets[i]) > 0 {
		<-m.packets[i]
	}
}

func TestAClientOfAnotherCodeBase(t *testing.T) {
	base := node(t)
	speaker := enter(t, base, "room%201")
	listener := enter(t, base, "room%201")
	speaker.talk()

	// What was sent comes, numbered anew, with the descriptor.
	for i, want := range []string{"sound, sealed", "a picture, sealed"} {
		if p := listener.next(i); !bytes.Equal(p.Payload, []byte(want)) {
			t.Errorf("line %d: %q", i, p.Payload)
		}
	}
	first, second := listener.next(1), listener.next(1)
	if len(first.GetExtensionIDs()) == 0 || second.SequenceNumber != first.SequenceNumber+1 {
		t.Errorf("pictures %d and %d, extensions %v", first.SequenceNumber, second.SequenceNumber, first.GetExtensionIDs())
	}

	// A key frame that is asked for reaches its sender as a question, and comes.
	structured := func() bool {
		p := listener.next(1)
		for _, id := range p.GetExtensionIDs() {
			if len(p.GetExtension(id)) > 3 {
				return true
			}
		}
		return false
	}
	listener.drain(1)
	for structured() { // of the join
	}
	if err := listener.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: listener.pictures.Load()}}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); !structured(); {
		if time.Now().After(end) {
			t.Fatal("no key frame came")
		}
	}

	// Whose lines these are is told, and what is not wanted does not come.
	status, _, body := ask(t, http.MethodGet, base+listener.place, "")
	var told struct {
		Slots []struct{ Mid, Kind, From, Line string }
	}
	if err := json.Unmarshal([]byte(body), &told); err != nil || status != http.StatusOK || len(told.Slots) != 2 {
		t.Fatalf("%d: %s: %v", status, body, err)
	}
	leg := speaker.place[strings.LastIndex(speaker.place, "/")+1:]
	for i, s := range told.Slots {
		if s.From != leg || s.Line != fmt.Sprint(i) {
			t.Errorf("slot %+v, want %s", s, leg)
		}
	}
	off := fmt.Sprintf(`{"slots":[{"mid":%q,"off":true}]}`, told.Slots[0].Mid)
	if status, _, body := ask(t, http.MethodPut, base+listener.place+"/wish", off); status != http.StatusNoContent {
		t.Fatalf("%d: %s", status, body)
	}
	silent := func() bool { // for as long as 25 pictures take
		listener.drain(0)
		listener.drain(1)
		for range 25 {
			listener.next(1)
		}
		return len(listener.packets[0]) == 0
	}
	for end := time.Now().Add(patience); !silent(); {
		if time.Now().After(end) {
			t.Fatal("sound that was not wanted still came")
		}
	}
	if status, _, body := ask(t, http.MethodPut, base+listener.place+"/wish", `{"slots":[]}`); status != http.StatusNoContent {
		t.Fatalf("%d: %s", status, body)
	}
	listener.next(0)

	// Another offer of the same connection is an ICE restart: the leg stays.
	before := listener.place
	listener.negotiate(base+before, &webrtc.OfferOptions{ICERestart: true})
	if listener.place != before {
		t.Errorf("the leg is %s, not %s", listener.place, before)
	}
	listener.drain(0)
	listener.next(0)

	// And who leaves is gone.
	if status, _, _ := ask(t, http.MethodDelete, base+speaker.place, ""); status != http.StatusNoContent {
		t.Errorf("leaving: %d", status)
	}
	if _, _, body := ask(t, http.MethodGet, base+listener.place, ""); strings.Contains(body, leg) {
		t.Errorf("still there: %s", body)
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	base := node(t)
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil { // sendrecv
		t.Fatal(err)
	}
	both, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		method, where, body string
		status              int
		says                string
	}{
		"no offer":                {http.MethodPost, "/rooms/r/legs", "hello", http.StatusBadRequest, ""},
		"both directions":         {http.MethodPost, "/rooms/r/legs", both.SDP, http.StatusBadRequest, "sendonly or recvonly"},
		"a passive client":        {http.MethodPost, "/rooms/r/legs", strings.ReplaceAll(both.SDP, "setup:actpass", "setup:passive"), http.StatusBadRequest, "server of DTLS"},
		"too long":                {http.MethodPost, "/rooms/r/legs", strings.Repeat("a", 200<<10), http.StatusRequestEntityTooLarge, ""},
		"a place that is none":    {http.MethodPost, "/rooms/r/legs/here", both.SDP, http.StatusBadRequest, ""},
		"a leg that is not there": {http.MethodGet, "/rooms/r/legs/leg_01890000-0000-7000-8000-000000000001", "", http.StatusNotFound, ""},
		"its wish":                {http.MethodPut, "/rooms/r/legs/leg_01890000-0000-7000-8000-000000000001/wish", `{"slots":[]}`, http.StatusNotFound, ""},
		"no wish":                 {http.MethodPut, "/rooms/r/legs/leg_01890000-0000-7000-8000-000000000001/wish", `[]`, http.StatusBadRequest, ""},
		"a wish beyond bounds":    {http.MethodPut, "/rooms/r/legs/leg_01890000-0000-7000-8000-000000000001/wish", `{"slots":[{"mid":"1","rank":64}]}`, http.StatusUnprocessableEntity, "ranks below 64"},
	} {
		if status, _, body := ask(t, tc.method, base+tc.where, tc.body); status != tc.status || !strings.Contains(body, tc.says) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
