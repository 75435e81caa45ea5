package face_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"testing"

	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/face/facetest"
)

// B3: pictures of one person are nearer to each other than any two of different
// people. Drawn faces show that the engine sees and separates; they measure no
// error rate.
func TestOnePersonIsNearerThanAnother(t *testing.T) {
	t.Parallel()
	e := facetest.Engine(t)
	const people = 4
	var chips [][]byte
	for n := range uint64(people) {
		chips = append(chips, facetest.New(n).JPEG(facetest.View{Quality: 75}))
	}
	lowest, highest := face.One, -face.One
	for n := range uint64(people) {
		live := facetest.New(n).JPEG(facetest.View{Width: 480, Height: 480, Yaw: 0.12, From: -0.5, Quality: 60, Noise: 4, Light: 0.9})
		for other, chip := range chips {
			c, err := e.Compare(t.Context(), [][]byte{live}, chip)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Compared() {
				t.Fatalf("person %d with %d: %s, %+v", n, other, c.Reason, c.Live)
			}
			if c.Engine != e.Version() {
				t.Errorf("compared by %q, opened as %q", c.Engine, e.Version())
			}
			if uint64(other) == n {
				lowest = min(lowest, c.Score)
			} else {
				highest = max(highest, c.Score)
			}
		}
	}
	t.Logf("same person at least %d, different people at most %d millionths", lowest, highest)
	if lowest <= highest || lowest < face.Reference.Score {
		t.Errorf("same person at least %d, different people at most %d", lowest, highest)
	}
}

func TestWhatAPictureLacksIsNamed(t *testing.T) {
	t.Parallel()
	e := facetest.Engine(t)
	p := facetest.New(3)
	ordinary := facetest.View{Width: 480, Height: 480}
	dark, small := ordinary, ordinary
	dark.Light, small.Size = 0.1, 0.22
	for name, c := range map[string]struct {
		picture []byte
		want    string
	}{
		"an ordinary picture":  {p.JPEG(ordinary), ""},
		"an empty room":        {facetest.Encode(facetest.Draw(ordinary), 0), face.ReasonNoFace},
		"two persons":          {facetest.Encode(facetest.Draw(facetest.View{Width: 800, Height: 480}, p, facetest.New(5)), 0), face.ReasonSeveralFaces},
		"somebody far away":    {p.JPEG(small), face.ReasonTooSmall},
		"no light":             {p.JPEG(dark), face.ReasonTooDark},
		"no picture":           {[]byte("no picture at all"), face.ReasonUnreadable},
		"a picture cut":        {p.JPEG(ordinary)[:900], face.ReasonUnreadable},
		"a few pixels":         {pixels(t, 20, 20), face.ReasonUnreadable},
		"a bomb of pixels":     {bomb(t), face.ReasonTooLarge},
		"JPEG 2000 as it came": {[]byte{0, 0, 0, 0x0C, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A}, face.ReasonUnreadable},
	} {
		l, err := e.Look(t.Context(), c.picture)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if l.Reason != c.want {
			t.Errorf("%s: %q, want %q: %+v", name, l.Reason, c.want, l)
		}
	}
}

func TestATemplateIsOfOneFaceOnly(t *testing.T) {
	t.Parallel()
	e := facetest.Engine(t)
	s, l, err := e.Template(t.Context(), facetest.New(1).JPEG(facetest.View{}))
	if err != nil || len(s) != face.Dimensions {
		t.Errorf("%d numbers, %+v, %v", len(s), l, err)
	}
	two := facetest.Encode(facetest.Draw(facetest.View{Width: 800, Height: 480}, facetest.New(1), facetest.New(2)), 0)
	if s, l, err = e.Template(t.Context(), two); err != nil || s != nil || l.Reason != face.ReasonSeveralFaces {
		t.Errorf("of two persons: %d numbers, %+v, %v", len(s), l, err)
	}
}

func pixels(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	m := image.NewGray(image.Rect(0, 0, w, h))
	m.SetGray(1, 1, color.Gray{200})
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb announces 60000 times 60000 pixels in its header.
func bomb(t *testing.T) []byte {
	t.Helper()
	b := pixels(t, 64, 64)
	binary.BigEndian.PutUint32(b[16:], 60000)
	binary.BigEndian.PutUint32(b[20:], 60000)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}
