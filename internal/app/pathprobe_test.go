package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/sfu"
	"kuule/sfu/relay"
)

// probing is a media node that answers measurements, for pages played by a library.
type probing struct {
	t      *testing.T
	probes *directProbes
	node   *sfu.Node
	pass   bool
}

func newProbing(t *testing.T, life time.Duration) *probing {
	t.Helper()
	probes := newDirectProbes()
	probes.life = life
	node, err := sfu.New(sfu.Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, OnEvent: probes.told})
	if err != nil {
		t.Fatal(err)
	}
	probes.node = node
	t.Cleanup(node.Close)
	return &probing{t: t, probes: probes, node: node}
}

// call opens one end of a measurement; with connect it waits until it is up.
func (p *probing) call(room interview.GroupID, direction webrtc.RTPTransceiverDirection, connect bool) (*webrtc.PeerConnection, probeAnswer, error) {
	p.t.Helper()
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = pc.GracefulClose() })
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: direction}); err != nil {
		p.t.Fatal(err)
	}
	up := make(chan struct{}, 1)
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			up <- struct{}{}
		}
	})
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.probes.answer(p.t.Context(), probeQuestion{Offer: offer.SDP, Direct: true, Pass: p.pass, Room: room})
	if err != nil || !connect {
		return pc, answer, err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.Answer}); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-up:
	case <-time.After(time.Minute):
		p.t.Fatal("the end of a measurement did not connect")
	}
	return pc, answer, nil
}

const (
	sends    = webrtc.RTPTransceiverDirectionSendonly
	receives = webrtc.RTPTransceiverDirectionRecvonly
)

// free waits until nothing of any measurement is left.
func (p *probing) free(after string) {
	p.t.Helper()
	var places, rooms int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		p.probes.mu.Lock()
		places = len(p.probes.open)
		p.probes.mu.Unlock()
		if rooms = p.node.Rooms(); places == 0 && rooms == 0 {
			return
		}
	}
	p.t.Fatalf("%s: %d places and %d rooms are held", after, places, rooms)
}

// A measurement's place, legs and room are free when either end says goodbye, and
// after its time whoever is silent, or never came.
func TestAMeasurementLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life time.Duration
		end  func(p *probing)
	}{
		"the sender leaves": {time.Hour, func(p *probing) {
			from, a, err := p.call(interview.GroupID{}, sends, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.call(a.Room, receives, true); err != nil {
				t.Fatal(err)
			}
			_ = from.Close()
		}},
		"the receiver leaves": {time.Hour, func(p *probing) {
			_, a, err := p.call(interview.GroupID{}, sends, true)
			if err != nil {
				t.Fatal(err)
			}
			to, _, err := p.call(a.Room, receives, true)
			if err != nil {
				t.Fatal(err)
			}
			_ = to.Close()
		}},
		"the sender leaves before anybody listens": {time.Hour, func(p *probing) {
			from, _, err := p.call(interview.GroupID{}, sends, true)
			if err != nil {
				t.Fatal(err)
			}
			_ = from.Close()
		}},
		"time is over": {500 * time.Millisecond, func(p *probing) {
			_, a, err := p.call(interview.GroupID{}, sends, false)
			if err != nil {
				t.Fatal(err)
			}
			_, _, _ = p.call(a.Room, receives, false) // may come too late
		}},
		"nobody ever came": {10 * time.Millisecond, func(p *probing) {
			if _, _, err := p.call(interview.GroupID{}, sends, false); err != nil {
				t.Fatal(err)
			}
		}},
		"the receiver's offer is refused": {time.Hour, func(p *probing) {
			_, a, err := p.call(interview.GroupID{}, sends, false)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.probes.answer(t.Context(), probeQuestion{Offer: "a=fingerprint:sha-256 AA\r\n", Direct: true, Room: a.Room})
			if err == nil {
				t.Fatal("was taken")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProbing(t, c.life)
			c.end(p)
			p.free(name)
		})
	}
}

// A room of a measurement has one receiver, is nobody's after its end, and there
// are so many at one time.
func TestMeasurementsOfTheMediaPortAreBounded(t *testing.T) {
	t.Parallel()
	p := newProbing(t, time.Hour)
	_, a, err := p.call(interview.GroupID{}, sends, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.call(a.Room, receives, false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.call(a.Room, receives, false); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("a second receiver: %v", err)
	}
	if _, _, err := p.call(interview.NewGroupID(), receives, false); !errors.Is(err, problem.New(problem.CodeNotFound, "")) {
		t.Errorf("a receiver in a room that no measurement has: %v", err)
	}
	// Who measures under a pass leaves places for devices.
	p.pass = true
	for n := range maxByPass + 1 {
		if _, _, err := p.call(interview.GroupID{}, sends, false); errors.Is(err, problem.New(problem.CodeUnavailable, "")) != (n == maxByPass) {
			t.Fatalf("measurement %d under a pass: %v", n, err)
		}
	}
	p.pass = false
	for range maxDirect - 1 - maxByPass {
		if _, _, err := p.call(interview.GroupID{}, sends, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.call(interview.GroupID{}, sends, false); !errors.Is(err, problem.New(problem.CodeUnavailable, "")) {
		t.Errorf("one too many: %v", err)
	}
	p.probes.end(a.Room)
	if _, _, err := p.call(a.Room, receives, false); !errors.Is(err, problem.New(problem.CodeNotFound, "")) {
		t.Errorf("after the end: %v", err)
	}
	if _, _, err := p.call(interview.GroupID{}, sends, false); err != nil {
		t.Errorf("the place is not free: %v", err)
	}
}

// Whoever has no certificate and announces a body that never comes holds a
// connection for seconds, not for as long as it likes.
func TestABodyThatNeverComesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	for _, path := range []string{measurePath, "/enrol/begin"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			c, err := tls.Dial("tcp", g.address, &tls.Config{ServerName: "enrol." + doorName, RootCAs: g.servers, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(4 * enrolTimeout))
			if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: enrol.%s\r\nContent-Length: 1000\r\n\r\n", path, doorName); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still held")
			}
		})
	}
}

// Without a device certificate the media port is measured only under a pass that
// the console made and that still holds; each lack alone is enough, and the pass
// opens nothing else.
func TestOnlyAPassMeasuresWithoutADevice(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	secret, err := relay.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	other, err := relay.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan probeQuestion, 64)
	if err := bus.Handle(g.bus.Connect(t, bus.Main(bus.SFU)), "leg.probe", func(_ context.Context, _ bus.Name, q probeQuestion) (probeAnswer, error) {
		asked <- q
		return probeAnswer{Answer: "v=0"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	c := g.caller("enrol."+doorName, nil)
	now := time.Now()
	pass := func(s relay.Secret, device string, at time.Time) func(*http.Request) {
		m := s.Mint(device, at)
		return func(r *http.Request) { r.Header.Set("Authorization", "Pass "+m.Username+":"+m.Password) }
	}
	const question = `{"offer":"v=0"}`
	g.door.paths.secret = relay.Secret{}
	c.want("where no secret was made", "POST", measurePath, question, problem.CodeForbidden, pass(relay.Secret{}, console, now))
	g.door.paths.secret = secret
	for what, change := range map[string]func(*http.Request){
		"no pass":             func(*http.Request) {},
		"another word":        func(r *http.Request) { r.Header.Set("Authorization", "Pass x") },
		"another secret":      pass(other, console, now),
		"a device's":          pass(secret, interview.NewDeviceID().String(), now),
		"an old one":          pass(secret, console, now.Add(-relay.Lifetime-time.Second)),
		"one of a later time": pass(secret, console, now.Add(time.Hour)),
		"a cut one": func(r *http.Request) {
			pass(secret, console, now)(r)
			r.Header.Set("Authorization", strings.TrimSuffix(r.Header.Get("Authorization"), r.Header.Get("Authorization")[60:]))
		},
	} {
		c.want(what, "POST", measurePath, question, problem.CodeForbidden, change)
	}
	good := pass(secret, console, now)
	c.want("another method", "GET", measurePath, "", problem.CodeNoRoute, good)
	c.want("oversized", "POST", measurePath, `{"offer":"`+strings.Repeat("x", 2*maxOffer)+`"}`, problem.CodeTooLarge, good)
	c.want("an offer too long", "POST", measurePath, `{"offer":"`+strings.Repeat("x", maxOffer+1)+`"}`, problem.CodeTooLarge, good)
	if len(asked) != 0 {
		t.Fatalf("the media node was asked %d times", len(asked))
	}
	if status, _, err := c.ask("POST", measurePath, question, good); err != nil || status != http.StatusOK {
		t.Fatalf("the right one: %d, %v", status, err)
	}
	if q := <-asked; !q.Direct || q.Offer != "v=0" {
		text, _ := json.Marshal(q)
		t.Errorf("the media node was asked %s", text)
	}
	// It opens no other path: they are enrolment's, as without it.
	if status, _, err := c.ask("POST", "/api/paths", "{}", good); err != nil || status != http.StatusTeapot {
		t.Errorf("another path: %d, %v", status, err)
	}
	// And it measures so often.
	refused := false
	for range measureBurst + 1 {
		_, code, err := c.ask("POST", measurePath, question, good)
		if err != nil {
			t.Fatal(err)
		}
		refused = refused || code == problem.CodeTooFast
	}
	if !refused {
		t.Error("a pass measures without end")
	}
}

// FuzzPassHeader: nothing but a pass that was minted is taken for one.
func FuzzPassHeader(f *testing.F) {
	secret, err := relay.NewSecret()
	if err != nil {
		f.Fatal(err)
	}
	p := &paths{secret: secret}
	f.Add("Pass 1:console:x")
	f.Add("Pass :")
	f.Fuzz(func(t *testing.T, header string) {
		if name, ok := p.passed(&http.Request{Header: http.Header{"Authorization": {header}}}); ok {
			t.Fatalf("%q is a pass of %q", header, name)
		}
	})
}

// FuzzProbeOffer: whatever is offered for a measurement is answered or refused, and
// what is refused leaves no room behind.
func FuzzProbeOffer(f *testing.F) {
	probes := newDirectProbes()
	node, err := sfu.New(sfu.Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, OnEvent: probes.told})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(node.Close)
	probes.node = node
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 AA\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=rtpmap:111 opus/48000/2\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		a, err := probes.answer(t.Context(), probeQuestion{Offer: offer, Direct: true})
		if err == nil {
			if a.Answer == "" || a.Room.IsZero() {
				t.Fatalf("answered %+v", a)
			}
			probes.end(a.Room)
		}
		if n := node.Rooms(); n != 0 {
			t.Fatalf("%d rooms are left", n)
		}
	})
}
