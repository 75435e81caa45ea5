package people

import (
	"bytes"
	"io/fs"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is said and shown is whole: constant packet sizes (sizes tell what is
// said), one level per packet, pictures that begin with a key frame.
func TestMediaIsWhole(t *testing.T) {
	t.Parallel()
	m, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(m.Clips, m.Silence) {
		loud := false
		for i, p := range c.Packets {
			if len(p) != len(m.Silence.Packets[0]) {
				t.Fatalf("%q: packet %d has %d bytes", c.Text, i, len(p))
			}
			loud = loud || c.Levels[i] < speech
		}
		if loud != (c.Text != "") {
			t.Errorf("%q: speech %t", c.Text, loud)
		}
		// RFC 6716 section 3.1: one frame of 20 ms per packet.
		if config, code := c.Packets[0][0]>>3, c.Packets[0][0]&3; code != 0 || !twentyMS(config) {
			t.Errorf("%q: TOC %08b", c.Text, c.Packets[0][0])
		}
	}
	for _, v := range cameras {
		if p := m.Pictures[v]; !p[0].Key || len(p) < 10 {
			t.Errorf("%s: %d pictures", v, len(p))
		}
	}
}

func twentyMS(config byte) bool {
	if config < 12 { // SILK: 10, 20, 40, 60
		return config%4 == 1
	}
	if config < 16 { // hybrid: 10, 20
		return config%2 == 1
	}
	return config%4 == 3 // CELT: 2.5, 5, 10, 20
}

// No packet or picture is in two people's mouths: recognising by content would
// prove nothing.
func TestContentTellsPeopleApart(t *testing.T) {
	t.Parallel()
	m, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	whose := map[string]Voice{}
	for _, c := range m.Clips {
		for _, p := range c.Packets {
			if v, taken := whose[string(p)]; taken && v != c.Voice {
				t.Fatalf("a packet is said by %s and %s", v, c.Voice)
			}
			whose[string(p)] = c.Voice
		}
	}
	for v, all := range m.Pictures {
		for _, p := range all {
			if other, taken := whose[string(p.Data)]; taken && other != v {
				t.Fatalf("a picture is shown by %s and %s", v, other)
			}
			whose[string(p.Data)] = v
		}
	}
}

func TestMediaStaysSmall(t *testing.T) {
	t.Parallel()
	var sum int64
	err := fs.WalkDir(files, "media", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil || sum > 400<<10 {
		t.Errorf("%d bytes, %v", sum, err)
	}
}

func FuzzOggPackets(f *testing.F) {
	b, err := files.ReadFile("media/" + silenceName)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("OggS"))
	f.Add(bytes.Repeat([]byte{0xff}, 300))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = oggPackets(b) // must neither panic nor go on for ever
	})
}
