package pipeline

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"kuule/kiosk-bridge/face"
)

// Sizes of what the networks take and give.
const (
	DetectWidth, DetectHeight = 320, 240
	Anchors                   = 4420 // places where a face may be
	LandmarkSide              = 64
	Landmarks                 = 68
	FeatureSide               = 112
)

// Nets are the three networks. They are not safe for concurrent use.
type Nets interface {
	// Detect takes planes of 320 by 240 and gives for each anchor two scores (no
	// face, face) and the corners of a box, between 0 and 1.
	Detect(planes []float32) (scores, boxes []float32, err error)
	// Landmarks takes 64 by 64 grey values of a box and gives 68 places in it.
	Landmarks(grey []float32) ([]float32, error)
	// Features takes planes of 112 by 112 and gives 512 numbers.
	Features(planes []float32) ([]float32, error)
}

// Person is what one picture shows.
type Person struct {
	Look     face.Look
	features []float64 // of length one; nil where it cannot be compared
}

// Describe looks at one encoded picture. What the picture lacks is in the look;
// an error means that a network failed.
func Describe(n Nets, encoded []byte) (Person, error) {
	m, reason := decode(encoded)
	if reason != "" {
		return Person{Look: face.Look{Reason: reason}}, nil
	}
	boxes, err := detect(n, m)
	if err != nil {
		return Person{}, err
	}
	if len(boxes) == 0 {
		return Person{Look: face.Look{}.Judge()}, nil
	}
	p := Person{Look: face.Look{Faces: others(boxes), Width: int(boxes[0].width())}}
	five, err := landmarks(n, m, boxes[0])
	if err != nil {
		return Person{}, err
	}
	aligned, ok := align(m, five)
	if !ok {
		return Person{Look: face.Look{}.Judge()}, nil // a box around something that has no face
	}
	p.Look.Light, p.Look.Sharpness = light(aligned)
	p.Look.Turn = turn(five)
	p.Look = p.Look.Judge()
	if !p.Look.Usable() {
		return p, nil
	}
	raw, err := n.Features(planes(aligned, 127, 128))
	if err != nil {
		return Person{}, fmt.Errorf("describe a face: %w", err)
	}
	p.features, err = unit(raw)
	return p, err
}

// Likeness is the cosine of two faces in millionths, 0 where one of them cannot
// be compared.
func Likeness(a, b Person) int {
	if a.features == nil || b.features == nil {
		return 0
	}
	var s float64
	for i := range a.features {
		s += a.features[i] * b.features[i]
	}
	return int(math.Round(max(-1, min(1, s)) * face.One))
}

// Template is the face in steps of which 127 are its largest number; nil where
// there is none. It keeps the direction, which is all that likeness asks for.
func (p Person) Template() []int8 {
	if p.features == nil {
		return nil
	}
	var most float64
	for _, v := range p.features {
		most = max(most, math.Abs(v))
	}
	out := make([]int8, len(p.features))
	for i, v := range p.features {
		out[i] = int8(math.Round(v / most * 127))
	}
	return out
}

func unit(raw []float32) ([]float64, error) {
	if len(raw) != face.Dimensions {
		return nil, fmt.Errorf("a face of %d numbers, %d expected", len(raw), face.Dimensions)
	}
	out := make([]float64, len(raw))
	var n float64
	for i, v := range raw {
		out[i] = float64(v)
		n += out[i] * out[i]
	}
	n = math.Sqrt(n)
	if !(n > 1e-6) || math.IsInf(n, 0) {
		return nil, errors.New("the network described nothing")
	}
	for i := range out {
		out[i] /= n
	}
	return out, nil
}

type box struct{ x1, y1, x2, y2, score float64 }

func (b box) width() float64 { return b.x2 - b.x1 }
func (b box) area() float64  { return max(0, b.x2-b.x1) * max(0, b.y2-b.y1) }

func (b box) overlap(c box) float64 {
	both := max(0, min(b.x2, c.x2)-max(b.x1, c.x1)) * max(0, min(b.y2, c.y2)-max(b.y1, c.y1))
	return both / (b.area() + c.area() - both)
}

const (
	sure      = 0.7 // score of a face
	same      = 0.4 // overlap of two boxes around one face
	bystander = 0.4 // of the largest face's width: somebody smaller stands far behind
	maxBoxes  = 400 // looked at; a picture of noise may give thousands
)

// detect finds faces, the largest first. The picture is laid into the network's
// without changing its shape.
func detect(n Nets, m *image.RGBA) ([]box, error) {
	w, h := float64(m.Rect.Dx()), float64(m.Rect.Dy())
	scale := max(w/DetectWidth, h/DetectHeight)
	left, upper := (w-scale*DetectWidth)/2, (h-scale*DetectHeight)/2
	scores, corners, err := n.Detect(planes(read(m, DetectWidth, DetectHeight, window(left, upper, scale, scale)), 127, 128))
	if err != nil {
		return nil, fmt.Errorf("find faces: %w", err)
	}
	if len(scores) != 2*Anchors || len(corners) != 4*Anchors {
		return nil, fmt.Errorf("find faces: %d scores and %d corners", len(scores), len(corners))
	}
	var found []box
	for i := range Anchors {
		score := float64(scores[2*i+1])
		if !(score > sure) {
			continue
		}
		c := corners[4*i : 4*i+4]
		b := box{
			left + float64(c[0])*scale*DetectWidth, upper + float64(c[1])*scale*DetectHeight,
			left + float64(c[2])*scale*DetectWidth, upper + float64(c[3])*scale*DetectHeight, score,
		}
		if b.area() > 0 {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b box) int { return sign(b.score - a.score) })
	found = found[:min(len(found), maxBoxes)]
	var kept []box
	for _, b := range found {
		if !slices.ContainsFunc(kept, func(k box) bool { return k.overlap(b) > same }) {
			kept = append(kept, b)
		}
	}
	slices.SortFunc(kept, func(a, b box) int { return sign(b.width() - a.width()) })
	return kept, nil
}

func sign(v float64) int {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	default:
		return 0
	}
}

// others counts the faces that are no bystander's.
func others(boxes []box) int {
	n := 0
	for _, b := range boxes {
		if b.width() >= bystander*boxes[0].width() {
			n++
		}
	}
	return n
}

// landmarks gives eyes, nose and corners of the mouth.
func landmarks(n Nets, m *image.RGBA, b box) ([5]point, error) {
	scaleX, scaleY := (b.x2-b.x1)/LandmarkSide, (b.y2-b.y1)/LandmarkSide
	small := luma(read(m, LandmarkSide, LandmarkSide, window(b.x1, b.y1, scaleX, scaleY)))
	in := make([]float32, len(small))
	for i, v := range small {
		in[i] = float32(v / 256)
	}
	out, err := n.Landmarks(in)
	if err != nil {
		return [5]point{}, fmt.Errorf("find eyes and mouth: %w", err)
	}
	if len(out) != 2*Landmarks {
		return [5]point{}, fmt.Errorf("find eyes and mouth: %d numbers", len(out))
	}
	mean := func(of ...int) point {
		var p point
		for _, i := range of {
			p.x += (b.x1 + float64(out[2*i])*(b.x2-b.x1)) / float64(len(of))
			p.y += (b.y1 + float64(out[2*i+1])*(b.y2-b.y1)) / float64(len(of))
		}
		return p
	}
	return [5]point{mean(37, 38, 40, 41), mean(43, 44, 46, 47), mean(30), mean(48, 60), mean(54, 64)}, nil
}

// turn is how far the nose is off the middle of the eyes.
func turn(five [5]point) int {
	l, r, nose := five[0], five[1], five[2]
	dx, dy := r.x-l.x, r.y-l.y
	d := dx*dx + dy*dy
	return int(1000 * (((nose.x-l.x)*dx+(nose.y-l.y)*dy)/d - 0.5))
}

// places are where eyes, nose and mouth belong on a picture of 112 by 112.
var places = [5]point{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}

// align turns, scales and moves a face so that it lies where the network expects
// it: the similarity that fits the five places best (Umeyama, 1991).
func align(m *image.RGBA, five [5]point) (*image.RGBA, bool) {
	var to, from point
	for i := range five {
		to.x, to.y = to.x+places[i].x/5, to.y+places[i].y/5
		from.x, from.y = from.x+five[i].x/5, from.y+five[i].y/5
	}
	var a, b, n float64
	for i := range five {
		u, v := places[i].x-to.x, places[i].y-to.y
		x, y := five[i].x-from.x, five[i].y-from.y
		a, b, n = a+u*x+v*y, b+u*y-v*x, n+u*u+v*v
	}
	a, b = a/n, b/n
	scale := math.Hypot(a, b)
	if !(scale > 0.05) || scale > 1e3 || five[0] == five[1] {
		return nil, false
	}
	return read(m, FeatureSide, FeatureSide, func(x, y float64) point {
		x, y = x-to.x, y-to.y
		return point{a*x - b*y + from.x, b*x + a*y + from.y}
	}), true
}
