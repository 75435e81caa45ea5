package member

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"kuule/internal/descriptor"
)

// A frame is handed on only if everything it needs was: a recording must hold no
// damaged picture. After an unrepaired loss the next that counts is a key frame.
func TestNoDamagedPictureIsHandedOn(t *testing.T) {
	t.Parallel()
	var got []byte
	p, err := NewPeer(nil, func(f Frame) { got = append(got, f.Sealed[0]) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	in := &incoming{peer: p, picture: true, describeID: 5, count: &p.pictures}
	in.losses.Deadline, in.losses.Patience = pictureDeadline, patience
	at := int64(0)
	come := func(n uint16, key bool, needs ...uint16) {
		f := descriptor.Frame{First: true, Last: true, Key: key, Number: n, Layers: 1}
		for _, of := range needs {
			f.Diffs = append(f.Diffs, n-of)
		}
		packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n) * 3000, Marker: true}, Payload: []byte{0x10, byte(n)}}
		if err := packet.SetExtension(5, descriptor.Append(nil, f)); err != nil {
			t.Fatal(err)
		}
		in.take(packet, at)
		in.ask(at)
		in.release(at)
	}
	come(1, false, 0) // joined in the middle: nothing is known of frame 0
	come(2, true)
	come(3, false, 2)
	come(5, false, 4) // frame 4 is missing, and waited for
	come(6, false, 3)
	if !slices.Equal(got, []byte{2, 3}) {
		t.Fatalf("handed on %v", got)
	}
	at += pictureDeadline // until it is given up
	in.ask(at)
	in.release(at)
	come(7, false, 5)
	come(8, true)
	come(9, false, 8)
	if !slices.Equal(got, []byte{2, 3, 6, 8, 9}) {
		t.Errorf("handed on %v", got)
	}
	// A repair that comes in time changes nothing but the order of arrival.
	come(11, false, 10)
	come(10, false, 9)
	come(10, false, 9)
	if !slices.Equal(got, []byte{2, 3, 6, 8, 9, 10, 11}) {
		t.Errorf("handed on %v", got)
	}
}

// H6: one who records asks for a key frame where none came for the time set, once
// in that time, and not where they come by themselves; nobody else asks.
func TestAKeyFrameIsAskedForWhereNoneComes(t *testing.T) {
	t.Parallel()
	const every = int64(10e9)
	p, err := NewPeer(nil, func(Frame) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	// asked plays a picture for a minute, 25 frames a second, and gives when it
	// was asked, in seconds.
	asked := func(in *incoming, keyAt func(second int64) bool) (at []int64) {
		for n := range int64(60 * 25) {
			now := int64(1e9) + n*40e6
			in.started = true
			in.frame = descriptor.Descriptor{First: true, Frame: uint16(n), Known: true}
			if n%25 == 0 && keyAt(n/25) {
				in.frame.Structure = true
			}
			in.whole(now)
			if in.stale(now) {
				at = append(at, n/25)
			}
		}
		return at
	}
	never := func(int64) bool { return false }
	if got := asked(&incoming{peer: p, picture: true}, never); got != nil {
		t.Errorf("asked at %v by nobody who records", got)
	}
	p.KeyEvery(time.Duration(every))
	if got := asked(&incoming{peer: p, picture: true}, never); !slices.Equal(got, []int64{10, 20, 30, 40, 50}) {
		t.Errorf("without any key frame it was asked at %v", got)
	}
	if got := asked(&incoming{peer: p, picture: true}, func(s int64) bool { return s%9 == 0 }); got != nil {
		t.Errorf("with a key frame every 9 s it was asked at %v", got)
	}
	if got := asked(&incoming{peer: p, picture: true}, func(s int64) bool { return s == 25 }); !slices.Equal(got, []int64{10, 20, 35, 45, 55}) {
		t.Errorf("with one at 25 s it was asked at %v", got)
	}
	if got := asked(&incoming{peer: p}, never); got != nil {
		t.Errorf("sound was asked for at %v", got)
	}
}

// Whatever packets come in whatever order, what is handed on is bounded and
// nothing else is held.
func FuzzIncoming(f *testing.F) {
	p, err := NewPeer(nil, func(frame Frame) {
		if len(frame.Sealed) > maxFrame {
			f.Fatalf("a frame of %d bytes", len(frame.Sealed))
		}
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.Close)
	key := descriptor.Append(nil, descriptor.Frame{First: true, Last: true, Key: true, Number: 1, Layers: 1})
	packet := func(sequence uint16, b []byte) []byte {
		h := rtp.Header{Version: 2, SequenceNumber: sequence, Marker: true}
		if err := h.SetExtension(5, key); err != nil {
			f.Fatal(err)
		}
		raw, err := (&rtp.Packet{Header: h, Payload: b}).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	f.Add(packet(1, []byte{0x10, 1, 2}), packet(3, []byte{0x90, 0x80}), true)
	f.Add(packet(65535, []byte{0x10}), packet(2000, nil), false)
	f.Fuzz(func(t *testing.T, first, second []byte, picture bool) {
		in := &incoming{peer: p, picture: picture, describeID: 5, count: &p.pictures}
		in.losses.Deadline, in.losses.Patience = pictureDeadline, patience
		at := int64(0)
		for _, raw := range [][]byte{first, second, first} {
			var packet rtp.Packet
			if packet.Unmarshal(raw) != nil {
				continue
			}
			at += pictureDeadline
			in.take(&packet, at)
			in.losses.Due(at, assumedTrip, make([]uint16, 0, 32))
			in.release(at)
			in.tell()
		}
		if in.size > maxFrame && in.parts != nil {
			t.Fatalf("%d bytes of a frame are held", in.size)
		}
	})
}

// A publisher whose frames have no end fills no memory: what is longer than a
// recording takes is given up, and the next frame counts again.
func TestAFrameWithoutAnEndIsGivenUp(t *testing.T) {
	t.Parallel()
	var got []int
	p, err := NewPeer(nil, func(f Frame) { got = append(got, len(f.Sealed)) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	in := &incoming{peer: p, picture: true, count: &p.pictures}
	n := uint16(0)
	come := func(first, last bool, size int) {
		n++
		b := make([]byte, 1+size)
		if first {
			b[0] = 0x10
		}
		in.take(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Marker: last}, Payload: b}, 0)
		in.release(0)
	}
	come(true, false, 1000)
	for range 2 * maxFrame / 1000 {
		come(false, false, 1000)
		if in.size > maxFrame && in.parts != nil {
			t.Fatalf("%d bytes are held", in.size)
		}
	}
	come(false, true, 1000)
	come(true, false, 10)
	come(false, true, 20)
	if !slices.Equal(got, []int{30}) {
		t.Errorf("handed on frames of %v bytes", got)
	}
}
