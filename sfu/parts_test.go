package sfu

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/media"
)

func TestWhatComesTwiceIsSeenOnce(t *testing.T) {
	t.Parallel()
	var w window
	for _, step := range []struct {
		seq  uint16
		want bool
	}{{65530, true}, {65530, false}, {2, true}, {65535, true}, {65535, false}, {3, true}, {1027, true}, {3, false}, {1026, true}, {1026, false}, {5000, true}, {1027, false}} {
		if got := w.first(step.seq); got != step.want {
			t.Errorf("sequence number %d: first is %v, want %v", step.seq, got, step.want)
		}
	}
}

func FuzzDescriptor(f *testing.F) {
	f.Add([]byte{0x80, 0, 1, 0x80, 0, 0x3A, 0x41, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseDescriptor(b)
		if !ok {
			return
		}
		setFrameNumber(b, d.frameNumber+1)
		if again, _ := parseDescriptor(b); again.frameNumber != d.frameNumber+1 || again.key != d.key {
			t.Fatalf("renumbering changed more than the number: %+v to %+v", d, again)
		}
	})
}

// Whatever bytes a publisher sends, the receivers' stream keeps its own header:
// no extension, source or padding of the publisher's goes through.
func FuzzPacket(f *testing.F) {
	whole := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: 9, Timestamp: 3}, Payload: []byte("sealed")}
	if err := whole.SetExtension(5, []byte{0xC0, 0, 1, 0x80, 0, 0x3A, 0x41, 1, 0}); err != nil {
		f.Fatal(err)
	}
	if err := whole.SetExtension(6, []byte("private")); err != nil {
		f.Fatal(err)
	}
	b, err := whole.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xB2, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xBE, 0xDE, 0, 1, 0x51, 1, 2, 0, 'x', 1})
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0xFF, 0xFF})
	t, _, sinks := wired(f, webrtc.RTPCodecTypeVideo, 1)
	key := append([]byte(nil), b...)
	var p rtp.Packet
	n := uint16(0)
	f.Fuzz(func(tt *testing.T, b []byte) {
		for _, packet := range [][]byte{key, b} {
			n++
			binary.BigEndian.PutUint16(key[2:], n)
			t.take(&p, packet, 5, &window{})
		}
		h := sinks[0].last
		if len(h.CSRC) > 0 || h.SSRC != 7 || h.PayloadType != 96 || h.Padding || len(h.GetExtensionIDs()) > 1 || h.GetExtension(6) != nil {
			tt.Fatalf("forwarded header %+v", h)
		}
	})
}

// Whatever an offer says, it is refused or stays in its bounds: no slot or
// track beyond them, no media line under another fingerprint.
func FuzzOffer(f *testing.F) {
	const print = "AA:BB"
	line := "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=fingerprint:sha-256 AA:BB\r\n"
	head := "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
	f.Add(head+line, "0")
	f.Add(head+"a=fingerprint:sha-256 AA:BB\r\n"+strings.ReplaceAll(line, "sendonly", "recvonly"), "1")
	f.Add(head+strings.Repeat(strings.ReplaceAll(line, "sendonly", "recvonly"), MaxSlots+1), "")
	f.Add(head+line+line, "0")
	track := interview.NewTrackID()
	f.Fuzz(func(t *testing.T, offer, mid string) {
		lines, err := readOffer(media.OpenLeg{Offer: offer, Fingerprint: print, Tracks: []media.Publish{{Mid: mid, Track: track, Source: interview.SourceAudio}}})
		if err != nil {
			return
		}
		sending, mids := 0, map[string]bool{}
		for _, l := range lines {
			if l.sends {
				sending++
			}
			mids[l.mid] = true
		}
		if sending != 1 || len(lines)-sending > MaxSlots || len(mids) != len(lines) || !strings.Contains(strings.ToUpper(offer), print) {
			t.Fatalf("taken: %+v", lines)
		}
	})
}

// The forward path allocates nothing: a room of many would pay for it in pauses.
func TestForwardingAllocatesNothing(t *testing.T) {
	tr, _, sinks := wired(t, webrtc.RTPCodecTypeVideo, 7)
	whole := &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 1000)}
	if err := whole.SetExtension(5, []byte{0xC0, 0, 1, 0x80, 0, 0x3A, 0x41, 1, 0}); err != nil {
		t.Fatal(err)
	}
	b, err := whole.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var p rtp.Packet
	var seen window
	n := uint16(0)
	if got := testing.AllocsPerRun(1000, func() {
		n++
		binary.BigEndian.PutUint16(b[2:], n)
		tr.take(&p, b, 5, &seen)
	}); got > 3 { // under the race detector pools lose some on purpose
		t.Errorf("%v allocations for one packet to seven receivers", got)
	}
	if sinks[6].packets < 1000 {
		t.Fatalf("%d packets were forwarded", sinks[6].packets)
	}
}
