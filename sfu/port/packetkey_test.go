package port

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vector of RFC 7714, section 16.2.1.
func TestPacketsAreSealedAsTheRFCSays(t *testing.T) {
	t.Parallel()
	key := func() *packetKey {
		block, err := aes.NewCipher(fromHex(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"))
		if err != nil {
			t.Fatal(err)
		}
		k := &packetKey{}
		copy(k.salt[:], "Quid pro quo")
		if k.aead, err = cipher.NewGCM(block); err != nil {
			t.Fatal(err)
		}
		return k
	}
	header, clear := fromHex(t, "8040f17b8041f8d35501a0b2"), []byte("Gallia est omnis divisa in partes tres")
	want := fromHex(t, "8040f17b8041f8d35501a0b2"+"32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13")
	room := append(make([]byte, 0, MaxDatagram), header...)
	got := key().seal(room, clear)
	if !bytes.Equal(got, want) {
		t.Fatalf("sealed %x, want %x", got, want)
	}
	back, is := key().open(got, len(header))
	if !is || !bytes.Equal(back[len(header):], clear) {
		t.Errorf("opened %q, %v", back, is)
	}
}

// pair is our side and the library's under the same keys.
func pair(t testing.TB) (*packetKey, *srtp.Context) {
	t.Helper()
	master, salt := bytes.Repeat([]byte{7}, keyBytes), bytes.Repeat([]byte{9}, saltBytes)
	k := &packetKey{}
	if err := k.key(master, salt); err != nil {
		t.Fatal(err)
	}
	x, err := srtp.CreateContext(master, salt, srtp.ProtectionProfileAeadAes256Gcm)
	if err != nil {
		t.Fatal(err)
	}
	return k, x
}

func plainPacket(t testing.TB, source uint32, sequence uint16) []byte {
	t.Helper()
	p := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: source, SequenceNumber: sequence, CSRC: []uint32{5}}, Payload: []byte("sealed before")}
	if err := p.SetExtension(3, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Sequence numbers as they come: over the rollover, late, and of two sources.
var sequences = []uint16{65533, 65535, 65534, 0, 2, 1, 65532, 300, 32000, 31999, 64000, 64001, 900, 899}

// Another implementation opens what is sealed here and seals what is opened here.
func TestPacketsPassToAndFromAnotherImplementation(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	back, forth := pair(t)
	for _, sequence := range sequences {
		for _, source := range []uint32{0, 0xfeedbeef} {
			plain := plainPacket(t, source, sequence)
			var h rtp.Header
			size, err := h.Unmarshal(plain)
			if err != nil {
				t.Fatal(err)
			}
			sealed := ours.seal(append(make([]byte, 0, MaxDatagram), plain[:size]...), plain[size:])
			if got, err := theirs.DecryptRTP(nil, sealed, nil); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%d of %x: theirs opened %x, %v", sequence, source, got, err)
			}
			if sealed, err = forth.EncryptRTP(nil, plain, nil); err != nil {
				t.Fatal(err)
			}
			if got, is := back.open(bytes.Clone(sealed), size); !is || !bytes.Equal(got, plain) {
				t.Fatalf("%d of %x: ours opened %x, %v", sequence, source, got, is)
			}
			if _, is := back.open(bytes.Clone(sealed), size); is {
				t.Fatalf("%d of %x was opened twice", sequence, source)
			}
		}
	}
}

// Each packet is opened once, and what is too old to say not at all, in whatever
// order packets come.
func TestNoPacketIsOpenedTwice(t *testing.T) {
	t.Parallel()
	k, _ := pair(t)
	_, x := pair(t)
	sealed := make([][]byte, 4*replayKept)
	for i := range sealed {
		b, err := x.EncryptRTP(nil, plainPacket(t, 1, uint16(60000+i)), nil) // over a rollover
		if err != nil {
			t.Fatal(err)
		}
		sealed[i] = b
	}
	size := len(plainPacket(t, 1, 0)) - len("sealed before")
	opens := func(i int) bool {
		_, is := k.open(bytes.Clone(sealed[i]), size)
		return is
	}
	for _, step := range []struct {
		packet int
		opened bool
	}{
		{0, true},
		{0, false},
		{3 * replayKept, true}, // a leap over more than is remembered
		{3*replayKept - replayKept, false},
		{3*replayKept - replayKept + 1, true},
		{3*replayKept - replayKept + 1, false},
		{3*replayKept - 1, true},
		{3 * replayKept, false},
		{3*replayKept + 64, true},
		{3*replayKept + 63, true},
		{3*replayKept + 64 - replayKept, false},
		{3*replayKept + 65 - replayKept, true},
		{3*replayKept - 1, false},
	} {
		if opens(step.packet) != step.opened {
			t.Fatalf("packet %d: opened %v", step.packet, !step.opened)
		}
	}
}

// What was changed, cut or made up is not opened, and neither is remembered nor
// takes the place of the true one.
func TestWhatIsNotAuthenticChangesNothing(t *testing.T) {
	t.Parallel()
	k, x := pair(t)
	b, err := x.EncryptRTP(nil, plainPacket(t, 1, 10), nil)
	if err != nil {
		t.Fatal(err)
	}
	size := len(b) - len("sealed before") - tagBytes
	for i := range b {
		forged := bytes.Clone(b)
		forged[i] ^= 1
		if _, is := k.open(forged, size); is {
			t.Errorf("changed at byte %d, it was opened", i)
		}
		if i < len(b)-1 {
			if _, is := k.open(bytes.Clone(b[:i+1]), min(size, i+1)); is {
				t.Errorf("cut after %d bytes, it was opened", i+1)
			}
		}
	}
	if len(k.sources) != 0 {
		t.Errorf("%d sources are remembered", len(k.sources))
	}
	if _, is := k.open(b, size); !is {
		t.Error("the true one was not opened")
	}
}

// A number never leads back to a nonce that was used: the index ends, it does not
// wrap.
func TestAKeyEnds(t *testing.T) {
	t.Parallel()
	k, _ := pair(t)
	k.add(1, maxIndex-2)
	b := plainPacket(t, 1, 0xffff)
	size := len(b) - len("sealed before")
	room := func(sequence uint16) []byte {
		h := append(make([]byte, 0, MaxDatagram), b[:size]...)
		binary.BigEndian.PutUint16(h[2:], sequence)
		return h
	}
	if k.seal(room(0xffff), b[size:]) == nil {
		t.Error("the last packet was not sealed")
	}
	if k.seal(room(0), b[size:]) != nil {
		t.Error("a packet was sealed after the last")
	}
}

// FuzzPacketKey: no bytes make it panic, and none are opened that were not sealed.
func FuzzPacketKey(f *testing.F) {
	_, x := pair(f)
	b, err := x.EncryptRTP(nil, plainPacket(f, 1, 10), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:13])
	f.Fuzz(func(t *testing.T, in []byte) {
		k, _ := pair(t)
		var h rtp.Header
		size, err := h.Unmarshal(in)
		if err != nil {
			return
		}
		if _, is := k.open(bytes.Clone(in), size); is && !bytes.Equal(in, b) {
			t.Errorf("%x was opened", in)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, _ := pair(b)
	plain := plainPacket(b, 1, 1)
	room, payload := append(make([]byte, 0, MaxDatagram), plain[:28]...), make([]byte, 1000)
	b.ReportAllocs()
	for i := range b.N {
		binary.BigEndian.PutUint16(room[2:], uint16(i))
		k.seal(room, payload)
	}
}
