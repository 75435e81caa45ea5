package sfu

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"

	"kuule/internal/descriptor"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/layer"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// simulcast makes a leg that sends a picture in layers f, h and q, and one with a
// slot for it.
func simulcast(t testing.TB) (from *leg, s *slot, out *sink) {
	t.Helper()
	uses := offer.Extensions{Mid: 1, Rid: 2, RepairedRid: 3, Descriptor: 5, Mixed: true}
	from = &leg{conn: &sink{}, streams: map[uint32]*stream{}, allowance: allowing(1e9, 1e12), reports: allowing(1e9, 1e12), repairs: allowing(1e9, 1e12), uses: uses}
	from.connected.Store(true)
	line := testLine(offer.Video, "v", true)
	line.Rids, line.Sources, line.Uses = []string{"f", "h", "q"}, nil, uses
	p := newTrack(from, media.Publish{Track: interview.NewTrackID(), Mid: "v"}, line)
	p.allowance = allowing(1e9, 1e12)
	from.tracks = []*track{p}
	out = &sink{}
	to := &leg{conn: out, streams: map[uint32]*stream{}, allowance: allowing(1e9, 1e12), reports: allowing(1e9, 1e12), repairs: allowing(1e9, 1e12)}
	s = newSlot(to, testLine(offer.Video, "s", false))
	to.slots = []*slot{s}
	s.assign(p, media.Route{})
	p.setSubscribers(to.slots)
	return from, s, out
}

// layered makes a packet that names itself.
func layered(t testing.TB, source uint32, payload uint8, mid, rid string, sequence uint16, frame descriptor.Frame) *port.Packet {
	t.Helper()
	p := arriving(t, source, payload, sequence, nil, []byte{byte(sequence)})
	p.Header = rtp.Header{Version: 2, SSRC: source, PayloadType: payload, SequenceNumber: sequence, Timestamp: uint32(sequence) * 3000}
	for id, text := range map[uint8]string{1: mid, 2: rid} {
		if text == "" {
			continue
		}
		if err := p.Header.SetExtension(id, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Header.SetExtension(5, descriptor.Append(nil, frame)); err != nil {
		t.Fatal(err)
	}
	return p
}

// What nobody offered is ignored: another codec, layer, line or source.
func TestWhatIsUnknownIsIgnored(t *testing.T) {
	t.Parallel()
	from, _, out := simulcast(t)
	key := descriptor.Frame{First: true, Last: true, Key: true, Number: 1, Layers: 1}
	for name, p := range map[string]*port.Packet{
		"codec":            layered(t, 1, 50, "v", "f", 1, key),
		"layer":            layered(t, 2, testPayload, "v", "x", 1, key),
		"no layer":         layered(t, 3, testPayload, "v", "", 1, key),
		"line":             layered(t, 4, testPayload, "w", "f", 1, key),
		"no line":          layered(t, 5, testPayload, "", "f", 1, key),
		"repair of nought": layered(t, 6, testRepair, "v", "h", 1, key),
	} {
		if from.Packet(nil, p); out.packets > 0 {
			t.Fatalf("forwarded: unknown %s", name)
		}
	}
	from.Packet(nil, layered(t, 7, testPayload, "v", "f", 1, key))
	if out.packets != 1 {
		t.Fatal("what is known is not forwarded")
	}
	// A second source of the same layer, and more sources than layers, are none.
	for source := uint32(100); source < 200; source++ {
		from.Packet(nil, layered(t, source, testPayload, "v", "f", uint16(source), key))
	}
	if out.packets != 1 || len(from.streams) > 2*offer.MaxRids*MaxTracks {
		t.Errorf("%d packets were forwarded, %d streams are known", out.packets, len(from.streams))
	}
}

// Header extensions that were not agreed are no reason to refuse a packet, and go
// no further: a level in clear would tell when somebody speaks.
func TestUnknownExtensionsGoNoFurther(t *testing.T) {
	t.Parallel()
	from, _, out := simulcast(t)
	p := layered(t, 7, testPayload, "v", "f", 1, descriptor.Frame{First: true, Last: true, Key: true, Number: 1, Layers: 1})
	for _, id := range []uint8{4, 9, 14} {
		if err := p.Header.SetExtension(id, []byte{0xd7, id}); err != nil {
			t.Fatal(err)
		}
	}
	from.Packet(nil, p)
	var sent rtp.Packet
	if err := sent.Unmarshal(out.last[:out.size]); err != nil || out.packets != 1 {
		t.Fatalf("%d packets were forwarded: %v", out.packets, err)
	}
	if ids := sent.GetExtensionIDs(); len(ids) != 1 || ids[0] != 5 || bytes.Contains(out.last[:out.size], []byte{0xd7, 9}) {
		t.Errorf("extensions %v were forwarded: %x", ids, out.last[:out.size])
	}
}

// A receiver is sent one layer of the three, and a repair only of that one.
func TestARepairOfALayerFillsItsGap(t *testing.T) {
	t.Parallel()
	from, s, out := simulcast(t)
	s.aim(layer.Target{Layer: 2, Temporal: layer.AllTemporal}, false)
	frame := func(n uint16) descriptor.Frame {
		f := descriptor.Frame{First: true, Last: true, Key: n == 1, Number: n, Layers: 1}
		if !f.Key {
			f.Diffs = []uint16{1}
		}
		return f
	}
	for n := uint16(1); n <= 5; n++ {
		for source, rid := range map[uint32]string{1: "f", 2: "h", 3: "q"} {
			if n == 3 && rid == "f" {
				continue // lost
			}
			from.Packet(nil, layered(t, source, testPayload, "v", rid, n, frame(n)))
		}
	}
	if s.selector.Current() != 2 {
		t.Fatalf("layer %d is sent", s.selector.Current())
	}
	sent := out.packets
	again := layered(t, 11, testRepair, "v", "f", 900, frame(3))
	again.Payload = []byte{0, 3, 'x'}
	from.Packet(nil, again)
	if p := out.packet(t); out.packets != sent+1 || string(p.Payload) != "x" {
		t.Errorf("the gap stays: %v", p)
	}
}

// Without descriptors the one byte in clear tells key frames; where descriptors
// were agreed, the same bytes tell nothing.
func TestAPictureWithoutDescriptors(t *testing.T) {
	t.Parallel()
	const key, other = 0x00, 0x01 // VP8's frame tag
	for _, agreed := range []bool{false, true} {
		from, _, out := wired(offer.Video, 1)
		if !agreed {
			from.tracks[0].uses.Descriptor = 0
		}
		sent := func(sequence uint16, payload ...byte) bool {
			before := out[0].packets
			from.Packet(nil, arriving(t, testSource, testPayload, sequence, nil, payload))
			return out[0].packets > before
		}
		for sequence, tc := range []struct {
			payload []byte
			want    bool
		}{
			{[]byte{0x10, other, 9}, false}, // before the first key frame
			{[]byte{0x00, key, 9}, false},   // no frame begins here
			{[]byte{0x10, key, 9}, true},
			{[]byte{0x00, 7, 9}, true}, // the key frame's second packet
			{[]byte{0x10, other, 9}, true},
		} {
			if got := sent(uint16(sequence+1), tc.payload...); got != (tc.want && !agreed) {
				t.Errorf("descriptors agreed %v, packet %d: sent %v", agreed, sequence+1, got)
			}
		}
	}
}
