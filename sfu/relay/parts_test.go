package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
)

func FuzzName(f *testing.F) {
	f.Add("1700000000:dev_01890000-0000-7000-8000-000000000001")
	f.Add(":")
	f.Add("-1:x")
	f.Fuzz(func(t *testing.T, name string) {
		device, expires, err := readName(name)
		if err == nil && (device == "" || expires.Unix() <= 0 || len(name) > maxName) {
			t.Fatalf("%q was read as %q until %s", name, device, expires)
		}
	})
}

func FuzzFlood(f *testing.F) {
	f.Add([]byte{'d', 0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		bits, length, ok := readFlood(p)
		if ok && (bits <= 0 || bits > maxFlood || length < 0 || length > maxFloodTime) {
			t.Fatalf("%x: %d bit/s for %s", p, bits, length)
		}
	})
}

// probing connects a data channel straight to the probe.
func probing(t *testing.T, p *probe) (*webrtc.DataChannel, <-chan []byte) {
	t.Helper()
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	ordered, again := false, uint16(0)
	d, err := pc.CreateDataChannel("path", &webrtc.DataChannelInit{Ordered: &ordered, MaxRetransmits: &again})
	if err != nil {
		t.Fatal(err)
	}
	opened, got := make(chan struct{}), make(chan []byte, 10000)
	d.OnOpen(func() { close(opened) })
	d.OnMessage(func(m webrtc.DataChannelMessage) { got <- m.Data })
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer, err := p.answer(t.Context(), pc.LocalDescription().SDP)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-opened:
	case <-time.After(10 * time.Second):
		t.Fatal("the probe does not answer")
	}
	return d, got
}

func aProbe(t *testing.T) *probe {
	t.Helper()
	p, err := newProbe(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func next(t *testing.T, got <-chan []byte) []byte {
	t.Helper()
	select {
	case b := <-got:
		return b
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		return nil
	}
}

func TestProbeMeasuresBothWays(t *testing.T) {
	t.Parallel()
	d, got := probing(t, aProbe(t))
	if err := d.Send([]byte("e7")); err != nil {
		t.Fatal(err)
	}
	if b := next(t, got); string(b) != "e7" {
		t.Fatalf("echo: %q", b)
	}
	for range 20 {
		if err := d.Send(append([]byte{probeFill}, make([]byte, 499)...)); err != nil {
			t.Fatal(err)
		}
	}
	counted := uint32(0)
	for counted < 10000 { // unordered: the question may overtake what it asks about
		if err := d.Send([]byte{probeCount}); err != nil {
			t.Fatal(err)
		}
		b := next(t, got)
		if len(b) != 13 || b[0] != probeCount {
			t.Fatalf("count: %x", b)
		}
		counted += binary.BigEndian.Uint32(b[5:])
	}
	ask := binary.BigEndian.AppendUint32([]byte{probeFlood}, 1_000_000)
	if err := d.Send(binary.BigEndian.AppendUint16(ask, 200)); err != nil {
		t.Fatal(err)
	}
	for came := 0; ; came++ {
		b := next(t, got)
		if b[0] == probeDone {
			if sent := int(binary.BigEndian.Uint32(b[1:])); sent < 15 || came == 0 || came > sent {
				t.Errorf("%d packets came of %d", came, sent)
			}
			break
		}
	}
}

func TestProbeIsBounded(t *testing.T) {
	t.Parallel()
	p := aProbe(t)
	if _, err := p.answer(t.Context(), string(make([]byte, probeOffer+1))); !errors.Is(err, problem.New(problem.CodeTooLarge, "")) {
		t.Errorf("a huge offer: %v", err)
	}
	if _, err := p.answer(t.Context(), "v=0"); !errors.Is(err, problem.New(problem.CodeMediaRefused, "")) {
		t.Errorf("no offer: %v", err)
	}
	media, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer media.Close()
	if _, err := media.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	withMedia, err := media.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.answer(t.Context(), withMedia.SDP); !errors.Is(err, problem.New(problem.CodeMediaRefused, "")) {
		t.Errorf("an offer of media: %v", err)
	}
	open := 0
	offerer, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer offerer.Close()
	if _, err := offerer.CreateDataChannel("path", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := offerer.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range maxProbes + 4 { // those refused above may still be giving their place back
		_, err := p.answer(ctx, offer.SDP)
		switch {
		case err == nil:
			open++
		case !errors.Is(err, problem.New(problem.CodeUnavailable, "")):
			t.Fatal(err)
		}
	}
	if open == 0 || open > maxProbes {
		t.Errorf("%d measurements at once, at most %d", open, maxProbes)
	}
}
