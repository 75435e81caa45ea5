package pipeline

import (
	"errors"
	"image"
	"image/color"
	"math"
	"testing"

	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/face/facetest"
)

// nets answer as they are told.
type nets struct {
	boxes    [][4]float32
	marks    func(i int) (x, y float32)
	features []float32
	err      error
}

func (n nets) Detect([]float32) ([]float32, []float32, error) {
	scores, boxes := make([]float32, 2*Anchors), make([]float32, 4*Anchors)
	for i, b := range n.boxes {
		scores[2*i+1] = 0.99
		copy(boxes[4*i:], b[:])
	}
	return scores, boxes, n.err
}

func (n nets) Landmarks([]float32) ([]float32, error) {
	out := make([]float32, 2*Landmarks)
	for i := range Landmarks {
		out[2*i], out[2*i+1] = n.marks(i)
	}
	return out, n.err
}

func (n nets) Features([]float32) ([]float32, error) { return n.features, n.err }

// straight are the marks of a face that looks at us.
func straight(i int) (x, y float32) {
	switch {
	case i == 30:
		return 0.5, 0.6
	case i >= 36 && i < 42:
		return 0.3, 0.4
	case i >= 42 && i < 48:
		return 0.7, 0.4
	case i == 48 || i == 60:
		return 0.35, 0.8
	case i == 54 || i == 64:
		return 0.65, 0.8
	default:
		return 0.5, 0.5
	}
}

func ordinary() nets {
	return nets{boxes: [][4]float32{{0.3, 0.2, 0.7, 0.8}}, marks: straight, features: direction(1)}
}

func direction(i int) []float32 {
	out := make([]float32, face.Dimensions)
	out[i] = 3
	return out
}

func picture() []byte { return facetest.New(1).JPEG(facetest.View{Width: 320, Height: 320}) }

func TestAFaceIsDescribedAndCompared(t *testing.T) {
	t.Parallel()
	n := ordinary()
	a, err := Describe(n, picture())
	if err != nil || a.Look.Reason != "" {
		t.Fatal(a.Look, err)
	}
	n.features = direction(2)
	b, err := Describe(n, picture())
	if err != nil {
		t.Fatal(err)
	}
	if got := Likeness(a, a); got != face.One {
		t.Errorf("with itself %d", got)
	}
	if got := Likeness(a, b); got != 0 {
		t.Errorf("with one at a right angle %d", got)
	}
	if s := a.Template(); len(s) != face.Dimensions || s[1] != 127 || s[2] != 0 {
		t.Errorf("template of %d numbers, %v", len(s), s[:3])
	}
}

func TestFacesAreCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		boxes [][4]float32
		want  string
	}{
		"none":                      {nil, face.ReasonNoFace},
		"one, found three times":    {[][4]float32{{0.3, 0.2, 0.7, 0.8}, {0.31, 0.2, 0.7, 0.8}, {0.3, 0.22, 0.69, 0.8}}, ""},
		"two":                       {[][4]float32{{0.1, 0.2, 0.4, 0.8}, {0.6, 0.2, 0.9, 0.8}}, face.ReasonSeveralFaces},
		"one, and a picture behind": {[][4]float32{{0.3, 0.2, 0.7, 0.8}, {0.8, 0.1, 0.85, 0.2}}, ""},
		"a box turned inside out":   {[][4]float32{{0.7, 0.8, 0.3, 0.2}}, face.ReasonNoFace},
		"a box of no numbers":       {[][4]float32{{float32(math.NaN()), 0, 1, 1}}, face.ReasonNoFace},
	} {
		n := ordinary()
		n.boxes = c.boxes
		p, err := Describe(n, picture())
		if err != nil || p.Look.Reason != c.want {
			t.Errorf("%s: %+v, %v", name, p.Look, err)
		}
		if p.Look.Reason != "" && Likeness(p, p) != 0 {
			t.Errorf("%s: compared nevertheless", name)
		}
	}
}

func TestATurnedHeadIsSeen(t *testing.T) {
	t.Parallel()
	n := ordinary()
	n.marks = func(i int) (x, y float32) {
		if i == 30 {
			return 0.66, 0.6
		}
		return straight(i)
	}
	p, err := Describe(n, picture())
	if err != nil || p.Look.Reason != face.ReasonTurnedAway || p.Look.Turn < 350 {
		t.Errorf("%+v, %v", p.Look, err)
	}
}

// Eyes, nose and mouth come to lie where the network expects them, however the
// head was turned on the picture.
func TestAFaceIsLaidStraight(t *testing.T) {
	t.Parallel()
	const scale, angle, right, down = 2.5, 0.4, 60.0, 40.0
	s, c := math.Sincos(angle)
	m := image.NewRGBA(image.Rect(0, 0, 400, 400))
	var five [5]point
	for i, p := range places {
		five[i] = point{scale*(c*p.x-s*p.y) + right + 120, scale*(s*p.x+c*p.y) + down}
		for y := -4; y <= 4; y++ {
			for x := -4; x <= 4; x++ {
				m.Set(int(five[i].x)+x, int(five[i].y)+y, color.White)
			}
		}
	}
	out, ok := align(m, five)
	if !ok {
		t.Fatal("not laid straight")
	}
	for i, p := range places {
		if got := out.RGBAAt(int(p.x), int(p.y)).R; got < 150 {
			t.Errorf("place %d is %d, not white", i, got)
		}
	}
	if got := out.RGBAAt(10, 100).R; got > 50 {
		t.Errorf("elsewhere it is %d", got)
	}
}

func TestANetworkThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	n := ordinary()
	n.err = errors.New("broken")
	if _, err := Describe(n, picture()); err == nil {
		t.Error("a broken network described a face")
	}
	n = ordinary()
	n.features = make([]float32, face.Dimensions)
	if _, err := Describe(n, picture()); err == nil {
		t.Error("a network described nothing, and it was taken")
	}
	n.features = []float32{1}
	if _, err := Describe(n, picture()); err == nil {
		t.Error("a network described one number, and it was taken")
	}
}

// Marks that make no face must not make the geometry fall over.
func FuzzDescribe(f *testing.F) {
	small := facetest.New(1).JPEG(facetest.View{Width: 80, Height: 80})
	f.Add(small, float32(0.3), float32(0.7), float32(0.4))
	f.Add([]byte{}, float32(math.Inf(1)), float32(math.NaN()), float32(-1e30))
	f.Fuzz(func(t *testing.T, b []byte, x, y, z float32) {
		if len(b) > 4000 {
			return
		}
		n := nets{boxes: [][4]float32{{x, y, z, 1}, {0.1, x, 0.9, z}, {0.2, 0.2, 0.8, 0.8}}, features: direction(3), marks: func(i int) (float32, float32) {
			return x * float32(i), y + z*float32(i%7)
		}}
		p, err := Describe(n, b)
		if err != nil {
			t.Fatal(err)
		}
		if l := Likeness(p, p); l < -face.One || l > face.One {
			t.Errorf("a likeness of %d", l)
		}
	})
}
