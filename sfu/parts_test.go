package sfu

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"kuule/internal/repair"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/layer"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// sink is a leg's network: it counts, and keeps the last of everything.
type sink struct {
	packets  int
	last     [2048]byte
	size     int
	prefixed bool
	reports  [][]byte
	keep     bool // reports
}

func (s *sink) Send(_ *port.Batch, header, prefix, payload []byte) {
	s.packets++
	s.prefixed = len(prefix) > 0
	s.size = copy(s.last[:], header)
	s.size += copy(s.last[s.size:], prefix)
	s.size += copy(s.last[s.size:], payload)
}

func (s *sink) SendControl(_ *port.Batch, compound []byte) {
	if s.keep {
		s.reports = append(s.reports, append([]byte(nil), compound...))
	}
}
func (s *sink) Credentials() (string, string) { return "", "" }
func (s *sink) Restart() (string, string)     { return "", "" }
func (s *sink) Close()                        {}

// packet gives what was sent last.
func (s *sink) packet(t testing.TB) *rtp.Packet {
	t.Helper()
	var p rtp.Packet
	if err := p.Unmarshal(s.last[:s.size]); err != nil {
		t.Fatalf("what was sent is no packet: %v", err)
	}
	return &p
}

const (
	testPayload = 96
	testRepair  = 97
	testSource  = 0xAAAA
	testAgain   = 0xAAAB
)

func testLine(kind offer.Kind, mid string, sends bool) *offer.Line {
	l := &offer.Line{Mid: mid, Kind: kind, Sends: sends, Nack: true, Uses: offer.Extensions{Mid: 1, Mixed: true}}
	if kind == offer.Audio {
		l.Types[offer.Opus] = testPayload
		return l
	}
	l.Types[offer.VP8], l.Types[offer.RTX] = testPayload, testRepair
	l.Uses.Descriptor = 5
	l.Sources = []offer.Source{{Media: testSource, Repair: testAgain}}
	return l
}

// wired makes a leg that sends a track of a kind, and n legs with a slot for it
// whose network are sinks.
func wired(kind offer.Kind, n int) (*leg, []*slot, []*sink) {
	from := &leg{conn: &sink{}, streams: map[uint32]*stream{}, allowance: allowing(1e9, 1e12), reports: allowing(1e9, 1e12), repairs: allowing(1e9, 1e12), uses: offer.Extensions{Mid: 1, Descriptor: 5, Mixed: true}}
	from.connected.Store(true)
	t := newTrack(from, media.Publish{Track: interview.NewTrackID(), Mid: "v"}, testLine(kind, "v", true))
	t.allowance = allowing(1e9, 1e12)
	t.announced[testSource] = announcement{}
	from.tracks = []*track{t}
	var slots []*slot
	var sinks []*sink
	for range n {
		out := &sink{}
		to := &leg{conn: out, streams: map[uint32]*stream{}, allowance: allowing(1e9, 1e12), reports: allowing(1e9, 1e12), repairs: allowing(1e9, 1e12)}
		s := newSlot(to, testLine(kind, "s", false))
		to.slots = []*slot{s}
		s.assign(t, media.Route{})
		slots, sinks = append(slots, s), append(sinks, out)
	}
	t.setSubscribers(slots)
	return from, slots, sinks
}

// keyDescriptor is the descriptor of a key frame's first packet.
var keyDescriptor = []byte{0xC0, 0, 1, 0x80, 0, 0x3A, 0x41, 1, 0}

// frameDescriptor is that of a frame's only packet; frame 1 is a key frame.
func frameDescriptor(n uint16) []byte {
	if n == 1 {
		return keyDescriptor
	}
	return []byte{0xC1, byte(n >> 8), byte(n)}
}

// arriving makes a packet as a port would hand it on.
func arriving(t testing.TB, source uint32, payload uint8, sequence uint16, descriptor, body []byte) *port.Packet {
	t.Helper()
	p := &port.Packet{Header: rtp.Header{Version: 2, SSRC: source, PayloadType: payload, SequenceNumber: sequence, Timestamp: uint32(sequence) * 3000}, Payload: body, Size: 100 + len(body), At: int64(sequence) * 1e6, Buffer: &port.Buffer{}}
	p.Buffer.Retain()
	p.Buffer.Retain() // one reference more than is given up, so that it never goes to a pool
	if descriptor != nil {
		if err := p.Header.SetExtension(5, descriptor); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// A packet that is asked for again comes as a repair under numbers of its own: a
// number that was sealed once is never sealed with another header.
func TestAMissingPictureComesAsARepair(t *testing.T) {
	t.Parallel()
	from, slots, sinks := wired(offer.Video, 1)
	for n := uint16(1); n <= 3; n++ {
		from.Packet(nil, arriving(t, testSource, testPayload, n, keyDescriptor, []byte{byte(n)}))
	}
	ask := nackOf(slots[0].ssrc, 2)
	slots[0].leg.Control(nil, 1, ask)
	p := sinks[0].packet(t)
	if p.SSRC != slots[0].repairs || p.PayloadType != testRepair || binary.BigEndian.Uint16(p.Payload) != 2 || p.Payload[2] != 2 {
		t.Errorf("repair: %v", p)
	}
	sent := sinks[0].packets
	slots[0].leg.Control(nil, 2, ask) // asked for again at once
	slots[0].leg.Control(nil, 2, nackOf(slots[0].ssrc, 900))
	if sinks[0].packets != sent {
		t.Error("a packet was sent again at once, or one that never was")
	}
}

// A sound that is asked for again is the very same packet.
func TestAMissingSoundComesAsItWas(t *testing.T) {
	t.Parallel()
	from, slots, sinks := wired(offer.Audio, 1)
	slots[0].uses.Transport = 3
	from.Packet(nil, arriving(t, testSource, testPayload, 7, nil, []byte("sound")))
	first := append([]byte(nil), sinks[0].last[:sinks[0].size]...)
	from.Packet(nil, arriving(t, testSource, testPayload, 8, nil, []byte("later")))
	slots[0].leg.Control(nil, 1, nackOf(slots[0].ssrc, 7))
	if got := sinks[0].last[:sinks[0].size]; string(got) != string(first) {
		t.Errorf("sent % x, then % x", first, got)
	}
}

func nackOf(source uint32, sequence uint16) []byte {
	return repair.AppendNACK(nil, 1, source, []uint16{sequence})
}

// A repair of the sender's fills the gap once, and its padding probes nothing.
func TestARepairIsForwardedOnce(t *testing.T) {
	t.Parallel()
	from, _, sinks := wired(offer.Video, 1)
	from.Packet(nil, arriving(t, testSource, testPayload, 1, keyDescriptor, []byte("one")))
	from.Packet(nil, arriving(t, testSource, testPayload, 3, keyDescriptor, []byte("three")))
	for range 2 {
		from.Packet(nil, arriving(t, testAgain, testRepair, 40, keyDescriptor, []byte{0, 2, 't', 'w', 'o'}))
	}
	from.Packet(nil, arriving(t, testAgain, testRepair, 41, nil, nil))
	from.Packet(nil, arriving(t, testAgain, testRepair, 42, nil, []byte{0, 9}))
	if sinks[0].packets != 3 {
		t.Fatalf("%d packets were forwarded", sinks[0].packets)
	}
	if p := sinks[0].packet(t); p.SequenceNumber != 2 || string(p.Payload) != "two" {
		t.Errorf("forwarded %v", p)
	}
}

// What is missing is asked for, no more once it came, and not for ever.
func TestWhatIsMissingIsAskedFor(t *testing.T) {
	t.Parallel()
	from, _, _ := wired(offer.Video, 1)
	out := from.conn.(*sink)
	out.keep = true
	for _, n := range []uint16{1, 2, 5, 6} {
		from.Packet(nil, arriving(t, testSource, testPayload, n, frameDescriptor(n), []byte("x")))
	}
	asked := func(at int64) (list []uint16) {
		out.reports = nil
		from.order[0].tick(at, nil)
		for _, b := range out.reports {
			packets, err := rtcp.Unmarshal(b)
			if err != nil {
				t.Fatal(err)
			}
			nack, is := packets[0].(*rtcp.TransportLayerNack)
			for i := 0; is && i < len(nack.Nacks); i++ {
				list = append(list, nack.Nacks[i].PacketList()...)
			}
		}
		return list
	}
	if got := asked(6e6); got != nil {
		t.Errorf("asked for %v before it could have come by itself", got)
	}
	if got := asked(30e6); len(got) != 2 || got[0] != 3 || got[1] != 4 {
		t.Errorf("asked for %v", got)
	}
	from.Packet(nil, arriving(t, testSource, testPayload, 4, frameDescriptor(4), []byte("x")))
	if got := asked(200e6); len(got) != 1 || got[0] != 3 {
		t.Errorf("then for %v", got)
	}
	for i := range int64(20) {
		asked(300e6 + i*100e6)
	}
	if got := asked(10e9); got != nil {
		t.Errorf("still for %v", got)
	}
}

// A publisher that floods is cut to its allowance.
func TestAFloodIsCutToItsAllowance(t *testing.T) {
	t.Parallel()
	from, _, sinks := wired(offer.Audio, 1)
	from.tracks[0].allowance = soundAllowance
	for i := range 10_000 { // within one second
		p := arriving(t, testSource, testPayload, uint16(i), nil, []byte("noise"))
		p.At = int64(i) * 100_000
		from.Packet(nil, p)
	}
	if got, most := sinks[0].packets, int(2*soundAllowance.packets)+1; got > most || got < most/2 {
		t.Errorf("%d packets of 10000 were forwarded, the allowance is %d", got, most)
	}
}

// Reports that the node writes are read by others as it means them.
func TestReportsAreWellFormed(t *testing.T) {
	t.Parallel()
	from, slots, sinks := wired(offer.Video, 1)
	out := from.conn.(*sink)
	out.keep, sinks[0].keep = true, true
	for _, n := range []uint16{65534, 65535, 1} { // one is lost
		from.Packet(nil, arriving(t, testSource, testPayload, n, keyDescriptor, []byte("x")))
	}
	sr, err := (&rtcp.SenderReport{SSRC: testSource, NTPTime: 7 << 32, RTPTime: 5}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	from.Control(nil, 3e9, sr)
	from.sendReports(4e9, nil)
	got, err := rtcp.Unmarshal(out.reports[len(out.reports)-1])
	if err != nil {
		t.Fatal(err)
	}
	r := got[0].(*rtcp.ReceiverReport).Reports[0]
	if r.SSRC != testSource || r.TotalLost != 1 || r.FractionLost != 64 || r.LastSequenceNumber != 1<<16+1 || r.LastSenderReport != 7<<16 || r.Delay != 65536 {
		t.Errorf("receiver report %+v", r)
	}
	got, err = rtcp.Unmarshal(sinks[0].reports[len(sinks[0].reports)-1])
	if err != nil {
		t.Fatal(err)
	}
	if s := got[0].(*rtcp.SenderReport); s.SSRC != slots[0].ssrc || s.NTPTime != 7<<32 || s.PacketCount != 3 {
		t.Errorf("sender report %+v", s)
	}
}

// Whatever bytes a publisher sends, the receivers' stream keeps its own header:
// no extension, source or padding of the publisher's goes through.
func FuzzPacket(f *testing.F) {
	whole := &rtp.Packet{Header: rtp.Header{Version: 2, SSRC: testSource, PayloadType: testPayload, SequenceNumber: 9, Timestamp: 3}, Payload: []byte("sealed")}
	if err := whole.SetExtension(5, keyDescriptor); err != nil {
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
	f.Add([]byte{0xB2, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0xAA, 0xAA, 0, 0, 0, 1, 0, 0, 0, 2, 0xBE, 0xDE, 0, 1, 0x51, 1, 2, 0, 'x', 1})
	f.Add([]byte{0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0xAA, 0xAA, 0x10, 0, 0xFF, 0xFF})
	from, slots, sinks := wired(offer.Video, 1)
	n := uint16(0)
	f.Fuzz(func(t *testing.T, b []byte) {
		n++
		from.Packet(nil, arriving(t, testSource, testPayload, n, keyDescriptor, []byte("sealed")))
		var p rtp.Packet
		if p.Unmarshal(b) != nil {
			return
		}
		in := &port.Packet{Header: p.Header, Payload: p.Payload, Size: len(b), At: int64(n) * 1e6, Buffer: &port.Buffer{}}
		in.Buffer.Retain()
		in.Buffer.Retain()
		from.Packet(nil, in)
		h := sinks[0].packet(t).Header
		if len(h.CSRC) > 0 || h.SSRC != slots[0].ssrc || h.PayloadType != testPayload || h.Padding || len(h.GetExtensionIDs()) > 1 || h.GetExtension(6) != nil {
			t.Fatalf("forwarded header %+v", h)
		}
	})
}

// Whatever reports a peer sends, nothing breaks and nothing is sent without bound.
func FuzzControl(f *testing.F) {
	f.Add(nackOf(1, 3))
	f.Add(repair.AppendPLI(nil, 1, 2))
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		from, slots, sinks := wired(offer.Video, 1)
		slots[0].ssrc = 1
		from.Packet(nil, arriving(t, testSource, testPayload, 3, keyDescriptor, []byte("x")))
		sinks[0].packets = 0
		slots[0].leg.Control(nil, 1e9, append([]byte(nil), b...))
		from.Control(nil, 1e9, b)
		if sinks[0].packets > 1 {
			t.Fatalf("%d packets were sent again", sinks[0].packets)
		}
	})
}

// Whatever an offer says, it is refused or stays in its bounds: no slot or
// track beyond them, no media line under another fingerprint.
func FuzzOffer(f *testing.F) {
	const print = "AA:BB"
	line := "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=setup:actpass\r\na=rtpmap:111 opus/48000/2\r\na=fingerprint:sha-256 AA:BB\r\n"
	head := "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
	f.Add(head+line, "0")
	f.Add(head+"a=fingerprint:sha-256 AA:BB\r\n"+strings.ReplaceAll(line, "sendonly", "recvonly"), "1")
	f.Add(head+strings.Repeat(strings.ReplaceAll(line, "sendonly", "recvonly"), MaxSlots+1), "")
	f.Add(head+line+line, "0")
	track := interview.NewTrackID()
	f.Fuzz(func(t *testing.T, text, mid string) {
		o, err := readOffer(media.OpenLeg{Offer: text, Fingerprint: print, Tracks: []media.Publish{{Mid: mid, Track: track, Source: interview.SourceAudio}}})
		if err != nil {
			return
		}
		sending, mids := 0, map[string]bool{}
		for _, l := range o.Lines {
			if l.Sends {
				sending++
			}
			mids[l.Mid] = true
		}
		if sending != 1 || len(o.Lines)-sending > MaxSlots || len(mids) != len(o.Lines) || !strings.Contains(strings.ToUpper(text), print) {
			t.Fatalf("taken: %+v", o)
		}
	})
}

// The forward path allocates nothing: a room of many would pay for it in pauses.
func TestForwardingAllocatesNothing(t *testing.T) {
	from, _, sinks := wired(offer.Video, 7)
	p := arriving(t, testSource, testPayload, 0, keyDescriptor, make([]byte, 1000))
	if got := testing.AllocsPerRun(1000, func() {
		p.Header.SequenceNumber++
		p.At += 1e6
		from.Packet(nil, p)
	}); got != 0 {
		t.Errorf("%v allocations for one packet to seven receivers", got)
	}
	if sinks[6].packets < 1000 {
		t.Fatalf("%d packets were forwarded", sinks[6].packets)
	}
}

// BenchmarkForward is one packet from a publisher to seven others, without the
// sockets and SRTP around it: ns and allocations are of all seven together.
func BenchmarkForward(b *testing.B) {
	for name, kind := range map[string]offer.Kind{"audio": offer.Audio, "video": offer.Video} {
		b.Run(name, func(b *testing.B) {
			from, _, sinks := wired(kind, 7)
			var d []byte
			if kind == offer.Video {
				d = keyDescriptor
			}
			p := arriving(b, testSource, testPayload, 0, d, make([]byte, 1000))
			b.ReportAllocs()
			for b.Loop() {
				p.Header.SequenceNumber++
				p.At += 1e6
				from.Packet(nil, p)
			}
			if sinks[0].packets == 0 {
				b.Fatal("nothing was forwarded")
			}
		})
	}
}

// E12: what a slot was sent by one source is not sent again once another has its
// place, nor once none has.
func TestNothingOfAFormerSourceIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]*track{"another": {kind: offer.Video}, "none": nil} {
		from, slots, sinks := wired(offer.Video, 1)
		for n := uint16(1); n <= 3; n++ {
			from.Packet(nil, arriving(t, testSource, testPayload, n, frameDescriptor(n), []byte{byte(n)}))
		}
		slots[0].resend(2, 1e9, nil)
		if sinks[0].packets != 4 {
			t.Fatalf("%s: %d packets were sent", name, sinks[0].packets)
		}
		slots[0].assign(next, media.Route{})
		for n := range uint16(5) {
			slots[0].resend(n, 2e9, nil)
		}
		if sinks[0].packets != 4 {
			t.Errorf("%s: %d packets of the former source were sent again", name, sinks[0].packets-4)
		}
	}
}

// D6: what is asked for once more is sent twice at once: whoever asks again has
// lost the packet and its repair, and stands still.
func TestWhatIsAskedForAgainIsSentTwice(t *testing.T) {
	t.Parallel()
	from, slots, sinks := wired(offer.Video, 1)
	from.Packet(nil, arriving(t, testSource, testPayload, 1, frameDescriptor(1), []byte{1}))
	for i, want := range []int{2, 4, 6} {
		slots[0].resend(1, int64(1+i)*1e9, nil)
		if sinks[0].packets != want {
			t.Errorf("after question %d %d packets were sent, want %d", i+1, sinks[0].packets, want)
		}
	}
	slots[0].resend(1, 3e9+resendAfter/2, nil)
	if sinks[0].packets != 6 {
		t.Error("a question that came twice was answered twice")
	}
}

// On a link that is known to be narrow, repairs of pictures have to share it: a
// receiver that has lost everything for want of room does not get it again and
// again in front of the voices. A sound is still sent again, but not while the
// repair before may be on its way.
func TestRepairsShareANarrowLink(t *testing.T) {
	t.Parallel()
	const estimate, seconds = 150_000, 4
	for kind, most := range map[offer.Kind]int{offer.Video: seconds * estimate / 8 * 2, offer.Audio: 1 << 20} {
		from, slots, sinks := wired(kind, 1)
		slot := slots[0]
		source := uint32(testSource)
		for n := uint16(1); n <= 30; n++ {
			var p *port.Packet
			if kind == offer.Video {
				p = arriving(t, source, testPayload, n, frameDescriptor(n), make([]byte, 1000))
			} else {
				p = arriving(t, source, testPayload, n, nil, make([]byte, 60))
			}
			from.Packet(nil, p)
		}
		sent := sinks[0].packets
		if sent != 30 {
			t.Fatalf("%s: %d packets were sent", kind, sent)
		}
		slot.leg.way.pacer.Limit(estimate, 1e9)
		slot.leg.roundTrip.Store(200e6)
		for at := int64(1e9); at < 1e9+seconds*1e9; at += 20e6 {
			for n := uint16(1); n <= 30; n++ {
				slot.resend(n, at, nil)
			}
		}
		again := sinks[0].packets - sent
		bytes := int(slot.resentBytes)
		if bytes > most {
			t.Errorf("%s: %d bytes of repairs in %d s of a link of %d bit/s", kind, bytes, seconds, estimate)
		}
		if again == 0 {
			t.Errorf("%s: nothing was repaired", kind)
		}
		if kind == offer.Audio && again != 30*resendTimes {
			t.Errorf("%d sounds were sent again, want each %d times", again, resendTimes)
		}
		slot.aim(layer.Target{Layer: layer.Off}, true)
		before := sinks[0].packets
		for n := uint16(1); n <= 30; n++ {
			slot.kept[n%uint16(len(slot.kept))].times = 0
			slot.resend(n, 100e9, nil)
		}
		if sinks[0].packets != before {
			t.Errorf("%s: what is not sent any more is repaired", kind)
		}
	}
}

// On a narrow link a sound that is asked for every 20 ms is sent again once in a
// round trip, elsewhere with every question.
func TestARepairOnItsWayIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, narrow := range []bool{false, true} {
		from, slots, sinks := wired(offer.Audio, 1)
		from.Packet(nil, arriving(t, testSource, testPayload, 1, nil, make([]byte, 60)))
		if narrow {
			slots[0].leg.way.pacer.Limit(150_000, 1e9)
		}
		slots[0].leg.roundTrip.Store(200e6)
		for i := range int64(5) {
			slots[0].resend(1, 1e9+i*20e6, nil)
		}
		want := 1 + 1 + 4*2 // the packet, one repair, then two for each question
		if narrow {
			want = 2
		}
		if sinks[0].packets != want {
			t.Errorf("narrow %v: %d packets, want %d", narrow, sinks[0].packets, want)
		}
	}
}
