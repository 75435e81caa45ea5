package facetest

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
)

// Person are the measures of a head. X and y are half widths of a standard face,
// y downwards, the eyes' line at 0.
type Person struct {
	width, jaw, chin, crown      float64
	eyeApart, eyeWide, eyeHigh   float64
	eyeTilt                      float64
	browUp, browThick, browBend  float64
	noseLong, noseWide, noseHigh float64
	mouthDown, mouthWide, lips   float64
	cheeks, sockets              float64
	hairline, hairSide           float64
	beard                        float64
	age                          float64
	skin, hair, iris, lip        [3]float64
	grain                        uint64
}

// New draws the lots of a person: the same number, the same person.
func New(number uint64) Person {
	r := rand.New(rand.NewPCG(number, 77))
	in := func(from, to float64) float64 { return from + (to-from)*r.Float64() }
	tone := in(0, 1)
	mix := func(a, b [3]float64, t float64) [3]float64 {
		return [3]float64{a[0] + (b[0]-a[0])*t, a[1] + (b[1]-a[1])*t, a[2] + (b[2]-a[2])*t}
	}
	p := Person{
		width: in(0.86, 1.06), jaw: in(0.62, 0.88), chin: in(1.12, 1.38), crown: in(1.15, 1.35),
		eyeApart: in(0.38, 0.48), eyeWide: in(0.17, 0.225), eyeHigh: in(0.06, 0.1), eyeTilt: in(-0.12, 0.12),
		browUp: in(0.19, 0.29), browThick: in(0.025, 0.065), browBend: in(0.02, 0.11),
		noseLong: in(0.44, 0.62), noseWide: in(0.15, 0.25), noseHigh: in(0.22, 0.4),
		mouthDown: in(0.76, 0.88), mouthWide: in(0.28, 0.42), lips: in(0.05, 0.11),
		cheeks: in(0.0, 0.12), sockets: in(0.06, 0.16), hairline: in(0.6, 0.85), hairSide: in(0.0, 1), age: in(0, 1),
		skin: mix([3]float64{236, 195, 170}, [3]float64{110, 72, 50}, tone),
		hair: mix([3]float64{25, 18, 15}, [3]float64{150, 110, 60}, in(0, 1)*(1-tone)),
		iris: mix([3]float64{60, 38, 20}, [3]float64{90, 130, 150}, in(0, 1)*(1-tone)),
		lip:  [3]float64{in(150, 190), in(75, 105), in(75, 100)}, grain: r.Uint64(),
	}
	if r.IntN(3) == 0 {
		p.beard = in(0.5, 0.9)
	}
	p.lip = mix(p.lip, p.skin, 0.35)
	return p
}

// View is how a person is pictured.
type View struct {
	Width, Height int     // 0: 413 by 531, a passport's picture
	Yaw           float64 // radians; positive: turned to the picture's right
	Pitch, Roll   float64
	Light         float64 // of the lamp; 0: 1
	From          float64 // where the lamp stands, radians to the side
	Size          float64 // of the head on the picture; 0: 1
	X             float64 // of the head, in picture widths off the middle
	Quality       int     // of the JPEG; 0: 90
	Noise         float64 // of the camera, in grey values
}

// JPEG pictures a person.
func (p Person) JPEG(v View) []byte { return Encode(Draw(v, p), v.Quality) }

// Encode makes a JPEG.
func Encode(m image.Image, quality int) []byte {
	if quality == 0 {
		quality = 90
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Draw pictures people beside each other, or nobody.
func Draw(v View, people ...Person) *image.RGBA {
	if v.Width == 0 {
		v.Width, v.Height = 413, 531
	}
	if v.Light == 0 {
		v.Light = 1
	}
	if v.Size == 0 {
		v.Size = 1
	}
	c := newCanvas(v.Width, v.Height, v.Light)
	for i, p := range people {
		x := v.X + (float64(i)+0.5)/float64(len(people)) - 0.5
		c.head(p, v, (0.5+x)*float64(v.Width), float64(len(people)))
	}
	return c.picture(v)
}

type canvas struct {
	w, h  int
	depth []float64
	paint [][3]float64
}

func newCanvas(w, h int, light float64) *canvas {
	c := &canvas{w, h, make([]float64, w*h), make([][3]float64, w*h)}
	for i := range c.depth {
		c.depth[i] = math.Inf(-1)
		shade := light * (205 - 20*float64(i/w)/float64(h))
		c.paint[i] = [3]float64{shade, shade, shade + 4}
	}
	return c
}

func (c *canvas) picture(v View) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, c.w, c.h))
	noise := rand.New(rand.NewPCG(uint64(v.Quality)+uint64(1000*(v.Yaw+10)), 5))
	for i, p := range c.paint {
		n := v.Noise * noise.NormFloat64()
		out.SetRGBA(i%c.w, i/c.w, color.RGBA{level(p[0] + n), level(p[1] + n), level(p[2] + n), 255})
	}
	return out
}

func level(v float64) uint8 { return uint8(max(0, min(255, v))) }

type vector struct{ x, y, z float64 }

func (a vector) minus(b vector) vector { return vector{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vector) cross(b vector) vector {
	return vector{a.y*b.z - a.z*b.y, a.z*b.x - a.x*b.z, a.x*b.y - a.y*b.x}
}
func (a vector) dot(b vector) float64 { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vector) unit() vector {
	n := math.Sqrt(a.dot(a)) + 1e-12
	return vector{a.x / n, a.y / n, a.z / n}
}

func (v View) turn(p vector) vector {
	s, c := math.Sincos(v.Yaw)
	p = vector{c*p.x + s*p.z, p.y, c*p.z - s*p.x}
	s, c = math.Sincos(v.Pitch)
	p = vector{p.x, c*p.y + s*p.z, c*p.z - s*p.y}
	s, c = math.Sincos(v.Roll)
	return vector{c*p.x - s*p.y, s*p.x + c*p.y, p.z}
}

// head draws a grid over longitude and latitude of the head, then neck and
// shoulders.
func (c *canvas) head(p Person, v View, middle, people float64) {
	unit := 0.29 * float64(c.h) / 1.35 * v.Size / math.Sqrt(people)
	lift := 0.47 * float64(c.h)
	lamp := vector{math.Sin(v.From + 0.25), -0.45, math.Cos(v.From)}.unit()
	to := func(q vector) vector { return vector{middle + unit*q.x, lift + unit*q.y, unit * q.z} }
	light := func(n vector, paint [3]float64, gloss float64) [3]float64 {
		diffuse := max(0, n.dot(lamp))
		half := vector{lamp.x, lamp.y, lamp.z + 1}.unit()
		shine := gloss * math.Pow(max(0, n.dot(half)), 24)
		l := v.Light * (0.38 + 0.72*diffuse)
		return [3]float64{paint[0]*l + 255*shine*v.Light, paint[1]*l + 250*shine*v.Light, paint[2]*l + 245*shine*v.Light}
	}
	// Shoulders and neck first: the head hides them.
	cloth := [3]float64{60 + 40*p.age, 70, 95 - 30*p.age}
	c.surface(220, 120, func(s, t float64) (vector, [3]float64, float64) {
		x := 4.4 * (s - 0.5)
		y := 1.95 + 0.22*x*x + 2.2*t
		return vector{x, y, 0.1 - 0.12*x*x + 0.3*t}, cloth, 0
	}, to, light)
	c.surface(160, 120, func(s, t float64) (vector, [3]float64, float64) {
		a := math.Pi * (s - 0.5)
		return vector{0.55 * p.jaw * 1.25 * math.Sin(a), 0.7 + 1.6*t, 0.5*math.Cos(a) - 0.35}, dim(p.skin, 0.82), 0
	}, func(q vector) vector { return to(v.turn(q)) }, light)
	n := int(max(260, 2.6*unit))
	c.surface(n, n, func(s, t float64) (vector, [3]float64, float64) {
		q := p.shape(2*math.Pi*(s-0.5)*0.999, math.Pi*t)
		paint, gloss := p.colour(q)
		return q, paint, gloss
	}, func(q vector) vector { return to(v.turn(q)) }, light)
}

func dim(c [3]float64, by float64) [3]float64 { return [3]float64{c[0] * by, c[1] * by, c[2] * by} }

// surface draws a grid of points as quads, each lit by its own normal.
func (c *canvas) surface(w, h int, at func(s, t float64) (vector, [3]float64, float64), to func(vector) vector, light func(vector, [3]float64, float64) [3]float64) {
	place := make([]vector, (w+1)*(h+1))
	paint := make([][3]float64, len(place))
	gloss := make([]float64, len(place))
	for j := 0; j <= h; j++ {
		for i := 0; i <= w; i++ {
			k := j*(w+1) + i
			q, colour, g := at(float64(i)/float64(w), float64(j)/float64(h))
			place[k], paint[k], gloss[k] = to(q), colour, g
		}
	}
	for j := range h {
		for i := range w {
			a, b, d, e := j*(w+1)+i, j*(w+1)+i+1, (j+1)*(w+1)+i, (j+1)*(w+1)+i+1
			n := place[e].minus(place[a]).cross(place[d].minus(place[b])).unit()
			if n.z < 0 {
				n = vector{-n.x, -n.y, -n.z}
			}
			lit := light(n, paint[a], gloss[a])
			c.triangle(place[a], place[b], place[d], lit)
			c.triangle(place[b], place[e], place[d], lit)
		}
	}
}

func (c *canvas) triangle(a, b, d vector, paint [3]float64) {
	area := (b.x-a.x)*(d.y-a.y) - (b.y-a.y)*(d.x-a.x)
	if math.Abs(area) < 1e-9 {
		return
	}
	x0, x1 := int(max(0, math.Floor(min(a.x, b.x, d.x)))), int(min(float64(c.w-1), math.Ceil(max(a.x, b.x, d.x))))
	y0, y1 := int(max(0, math.Floor(min(a.y, b.y, d.y)))), int(min(float64(c.h-1), math.Ceil(max(a.y, b.y, d.y))))
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			px, py := float64(x), float64(y)
			u := ((b.x-px)*(d.y-py) - (b.y-py)*(d.x-px)) / area
			w := ((d.x-px)*(a.y-py) - (d.y-py)*(a.x-px)) / area
			if u < -1e-3 || w < -1e-3 || u+w > 1.001 {
				continue
			}
			z := u*a.z + w*b.z + (1-u-w)*d.z
			if i := y*c.w + x; z > c.depth[i] {
				c.depth[i], c.paint[i] = z, paint
			}
		}
	}
}

func bump(x, y, rx, ry float64) float64 { return math.Exp(-(x*x)/(rx*rx) - (y*y)/(ry*ry)) }

func step(from, to, v float64) float64 {
	t := max(0, min(1, (v-from)/(to-from)))
	return t * t * (3 - 2*t)
}

// shape is the head's surface at a longitude (0: front) and latitude (0: crown).
func (p Person) shape(longitude, latitude float64) vector {
	up := -math.Cos(latitude) // -1 crown, 1 chin
	var y float64
	if up < 0 {
		y = up * p.crown
	} else {
		y = up * p.chin
	}
	ring := math.Sin(latitude)
	ring = math.Pow(max(0, ring), 0.82)
	wide := p.width
	if y > 0 { // narrows to the jaw
		wide *= 1 - (1-p.jaw)*step(0.1, p.chin, y)
	}
	x := wide * ring * math.Sin(longitude)
	z := 0.95 * ring * math.Cos(longitude)
	if math.Cos(longitude) > 0 {
		z = 0.95*ring*math.Pow(math.Cos(longitude), 0.75) + p.relief(x, y)*step(0, 0.35, math.Cos(longitude))
	}
	return vector{x, y, z}
}

// relief is what nose, eyes, brows, mouth and cheeks add.
func (p Person) relief(x, y float64) float64 {
	a := math.Abs(x)
	z := 0.0
	// Nose: a ridge that grows to its tip, wings beside it.
	along := step(-0.08, p.noseLong, y) * (1 - step(p.noseLong, p.noseLong+0.1, y))
	z += p.noseHigh * along * math.Exp(-x*x/(math.Pow(p.noseWide*(0.35+0.4*step(0, p.noseLong, y)), 2)))
	z += 0.1 * bump(a-p.noseWide*0.72, y-p.noseLong+0.02, 0.07, 0.07)
	z -= p.sockets * bump(a-p.eyeApart, y+0.02, 0.24, 0.15)
	z += 0.07 * bump(a-p.eyeApart, y, p.eyeWide*0.9, p.eyeHigh*1.3) // eyeball
	z += 0.07 * bump(a-p.eyeApart*0.9, y+p.browUp, 0.32, 0.09)      // brow
	z += p.cheeks * bump(a-0.52, y-0.42, 0.22, 0.22)
	z += 0.09 * bump(x, y-p.mouthDown, p.mouthWide*1.2, 0.2)
	z += 0.055 * bump(x, y-p.mouthDown+p.lips*0.5, p.mouthWide*0.8, p.lips*0.5)
	z += 0.065 * bump(x, y-p.mouthDown-p.lips*0.6, p.mouthWide*0.7, p.lips*0.6)
	z -= 0.05 * bump(x, y-p.mouthDown, p.mouthWide, 0.02)
	z += 0.1 * bump(x, y-p.chin+0.14, 0.25, 0.13) // chin
	z -= 0.03 * p.age * bump(a-0.36-0.25*(y-0.5), y-0.6, 0.03, 0.2)
	return z
}

// colour is what the surface is painted with, and how much it shines.
func (p Person) colour(q vector) ([3]float64, float64) {
	x, y, a := q.x, q.y, math.Abs(q.x)
	skin := p.skin
	grain := 1 + 0.03*(noise(p.grain, 14*x, 14*y)-0.5) + 0.04*(noise(p.grain+1, 40*x, 40*y)-0.5)
	paint, gloss := dim(skin, grain), 0.1
	over := func(c [3]float64, t float64) {
		for i := range paint {
			paint[i] += (c[i] - paint[i]) * max(0, min(1, t))
		}
	}
	back := q.z < -0.12
	// Blush, shade under the brows, beard.
	over([3]float64{skin[0] * 1.02, skin[1] * 0.86, skin[2] * 0.85}, 0.5*bump(a-0.5, y-0.42, 0.25, 0.2))
	over(dim(skin, 0.72), 0.6*bump(a-p.eyeApart, y+0.03, 0.22, 0.11))
	if p.beard > 0 {
		jaw := step(0.5, 0.75, y+0.25*a) * (1 - bump(x, y-p.mouthDown, p.mouthWide*0.9, p.lips*1.5))
		over(dim(p.hair, 0.9+0.3*noise(p.grain+2, 60*x, 60*y)), p.beard*jaw)
	}
	// Mouth.
	mx, my := x/p.mouthWide, (y-p.mouthDown)/p.lips
	curve := my - 0.35*mx*mx*0.6
	if math.Abs(mx) < 1 && q.z > 0 {
		half := math.Sqrt(1 - mx*mx)
		over(p.lip, step(1.15, 0.8, math.Abs(curve)/max(half, 0.05))*0.9)
		over(dim(p.lip, 0.35), step(0.16, 0.03, math.Abs(curve)))
		gloss = 0.14
	}
	// Nostrils.
	over(dim(skin, 0.3), bump(a-p.noseWide*0.42, y-p.noseLong-0.03, 0.05, 0.03)*1.1)
	// Eyes.
	side := 1.0
	if x < 0 {
		side = -1
	}
	ex, ey := a-p.eyeApart, y+p.eyeTilt*(a-p.eyeApart)
	if q.z > 0 && math.Abs(ex) < p.eyeWide {
		opening := p.eyeHigh * (1 - ex*ex/(p.eyeWide*p.eyeWide))
		d := math.Abs(ey) - opening
		if d < 0 {
			paint, gloss = [3]float64{226, 222, 216}, 0.25
			over(dim(skin, 0.6), 0.5*step(-0.03, 0, d))
			r := math.Hypot(x-side*p.eyeApart, y+0.01)
			over(p.iris, step(p.eyeHigh*1.02, p.eyeHigh*0.92, r))
			over([3]float64{8, 8, 10}, step(p.eyeHigh*0.5, p.eyeHigh*0.42, r))
			over([3]float64{255, 255, 255}, bump(x-side*p.eyeApart+0.03, y+0.04, 0.018, 0.018))
		}
		if ey < 0 {
			over([3]float64{20, 14, 12}, step(0.028, 0.006, math.Abs(d))) // lashes
		} else {
			over(dim(skin, 0.6), 0.6*step(0.02, 0.004, math.Abs(d)))
		}
	}
	// Crease above the eye, brows.
	over(dim(skin, 0.62), 0.6*bump(ex, 0, p.eyeWide, 1)*step(0.03, 0.005, math.Abs(y+p.eyeHigh*1.75*(1-0.5*ex*ex/(p.eyeWide*p.eyeWide)))))
	bx := (a - p.eyeApart*0.98) / (p.eyeWide * 1.35)
	brow := y + p.browUp + p.browBend*(1-bx*bx) - 0.02
	if math.Abs(bx) < 1 && q.z > 0 {
		over(dim(p.hair, 0.8+0.5*noise(p.grain+3, 90*x, 30*y)), 0.92*step(p.browThick, p.browThick*0.5, math.Abs(brow))*(1-step(0.7, 1, math.Abs(bx))))
	}
	// Hair.
	line := -p.hairline + 0.12*p.hairSide*math.Sin(3*x+p.hairSide*4) + 0.22*x*x
	if y < line || back || a > p.width*0.9 && y < 0.05+0.3*p.hairSide {
		over(dim(p.hair, 0.75+0.6*noise(p.grain+4, 50*x, 8*y)), step(line+0.03, line-0.05, y)+boolean(back || a > p.width*0.9 && y < 0.05+0.3*p.hairSide))
		gloss = 0.05
	}
	return paint, gloss
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// noise is smooth, between 0 and 1.
func noise(seed uint64, x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := x-x0, y-y0
	fx, fy = fx*fx*(3-2*fx), fy*fy*(3-2*fy)
	at := func(i, j float64) float64 {
		h := seed ^ uint64(int64(i))*0x9E3779B97F4A7C15 ^ uint64(int64(j))*0xC2B2AE3D27D4EB4F
		h ^= h >> 31
		h *= 0x94D049BB133111EB
		h ^= h >> 29
		return float64(h>>40) / float64(1<<24)
	}
	return (at(x0, y0)*(1-fx)+at(x0+1, y0)*fx)*(1-fy) + (at(x0, y0+1)*(1-fx)+at(x0+1, y0+1)*fx)*fy
}
