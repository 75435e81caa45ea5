package sfu

import (
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/media"
)

// sink is the network of a slot: it counts.
type sink struct {
	packets int
	last    rtp.Header
}

func (s *sink) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	s.packets++
	s.last = *h
	return h.MarshalSize() + len(payload), nil
}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// bound is the context that a connection would give to a slot's track.
type bound struct {
	sink  *sink
	codec webrtc.RTPCodecParameters
}

func (b bound) CodecParameters() []webrtc.RTPCodecParameters {
	return []webrtc.RTPCodecParameters{b.codec}
}
func (b bound) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	return []webrtc.RTPHeaderExtensionParameter{{URI: media.DependencyDescriptorURI, ID: 5}}
}
func (b bound) SSRC() webrtc.SSRC                       { return 7 }
func (b bound) SSRCRetransmission() webrtc.SSRC         { return 0 }
func (b bound) SSRCForwardErrorCorrection() webrtc.SSRC { return 0 }
func (b bound) WriteStream() webrtc.TrackLocalWriter    { return b.sink }
func (b bound) ID() string                              { return "bound" }
func (b bound) RTCPReader() interceptor.RTCPReader      { return nil }

// wired makes a track of a kind with n slots that write to sinks.
func wired(tb testing.TB, kind webrtc.RTPCodecType, n int) (*track, []*slot, []*sink) {
	tb.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = pc.Close() })
	t := &track{id: interview.NewTrackID(), kind: kind, pc: pc}
	var slots []*slot
	var sinks []*sink
	for range n {
		s, err := newSlot(pc, "m", kind)
		if err != nil {
			tb.Fatal(err)
		}
		out := &sink{}
		if _, err := s.local.Bind(bound{sink: out, codec: webrtc.RTPCodecParameters{RTPCodecCapability: s.local.Codec(), PayloadType: 96}}); err != nil {
			tb.Fatal(err)
		}
		slots, sinks = append(slots, s), append(sinks, out)
	}
	t.setSubscribers(slots)
	for _, s := range slots {
		s.ddID = 5
	}
	return t, slots, sinks
}

// BenchmarkForward is one packet from a publisher to seven others, without the
// sockets and SRTP around it: ns and allocations are of all seven together.
func BenchmarkForward(b *testing.B) {
	for name, kind := range map[string]webrtc.RTPCodecType{"audio": webrtc.RTPCodecTypeAudio, "video": webrtc.RTPCodecTypeVideo} {
		b.Run(name, func(b *testing.B) {
			t, _, sinks := wired(b, kind, 7)
			p := &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 1000)}
			var dd []byte
			if kind == webrtc.RTPCodecTypeVideo {
				dd = []byte{0xC0, 0, 1, 0x80, 0, 0x3A, 0x41, 1, 0}
			}
			b.ReportAllocs()
			for b.Loop() {
				p.SequenceNumber++
				t.forward(p, dd)
			}
			if sinks[0].packets == 0 {
				b.Fatal("nothing was forwarded")
			}
		})
	}
}
