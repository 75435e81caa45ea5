package pipeline

import (
	"bytes"
	"image"
	"image/draw"
	_ "image/jpeg" // the two encodings that are taken
	_ "image/png"
	"math"

	"kuule/kiosk-bridge/face"
)

// decode reads the picture's size before its pixels, and says why there is none.
func decode(encoded []byte) (m *image.RGBA, reason string) {
	c, _, err := image.DecodeConfig(bytes.NewReader(encoded))
	switch {
	case err != nil:
		return nil, face.ReasonUnreadable
	case c.Width > face.MaxPixels || c.Height > face.MaxPixels || c.Width*c.Height > face.MaxPixels:
		return nil, face.ReasonTooLarge
	case c.Width < face.MinSide || c.Height < face.MinSide:
		return nil, face.ReasonUnreadable
	}
	decoded, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		return nil, face.ReasonUnreadable
	}
	out := image.NewRGBA(image.Rect(0, 0, c.Width, c.Height))
	draw.Draw(out, out.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
	return out, ""
}

// point is a place on a picture.
type point struct{ x, y float64 }

// sample maps every pixel of a small picture to a place on a large one.
type sample func(x, y float64) point

// window is the part of a picture that begins at (x, y), drawn w by h from scale
// pixels each.
func window(x, y, scaleX, scaleY float64) sample {
	return func(u, v float64) point { return point{x + u*scaleX, y + v*scaleY} }
}

// read draws a small picture of w by h, each pixel the mean of as many places as
// one pixel covers. What lies outside of m is grey.
func read(m *image.RGBA, w, h int, at sample) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	one, next, down := at(0, 0), at(1, 0), at(0, 1)
	scale := math.Max(math.Hypot(next.x-one.x, next.y-one.y), math.Hypot(down.x-one.x, down.y-one.y))
	taps := min(max(int(math.Ceil(scale)), 1), 8)
	for y := range h {
		for x := range w {
			var sum [3]float64
			for v := range taps {
				for u := range taps {
					p := at(float64(x)+(float64(u)+0.5)/float64(taps), float64(y)+(float64(v)+0.5)/float64(taps))
					c := bilinear(m, p.x-0.5, p.y-0.5)
					for i := range sum {
						sum[i] += c[i]
					}
				}
			}
			o := out.PixOffset(x, y)
			for i := range sum {
				out.Pix[o+i] = uint8(sum[i]/float64(taps*taps) + 0.5)
			}
			out.Pix[o+3] = 255
		}
	}
	return out
}

const grey = 127

func bilinear(m *image.RGBA, x, y float64) [3]float64 {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	if !(x > -1 && y > -1 && x < float64(w) && y < float64(h)) { // also where it is no number
		return [3]float64{grey, grey, grey}
	}
	x0, y0 := int(math.Floor(x)), int(math.Floor(y))
	fx, fy := x-float64(x0), y-float64(y0)
	var out [3]float64
	for _, c := range [4]struct {
		x, y   int
		weight float64
	}{{x0, y0, (1 - fx) * (1 - fy)}, {x0 + 1, y0, fx * (1 - fy)}, {x0, y0 + 1, (1 - fx) * fy}, {x0 + 1, y0 + 1, fx * fy}} {
		o := m.PixOffset(min(max(c.x, 0), w-1), min(max(c.y, 0), h-1))
		for i := range out {
			out[i] += c.weight * float64(m.Pix[o+i])
		}
	}
	return out
}

// planes lays the colours of a picture behind each other, as networks take them.
func planes(m *image.RGBA, subtract, divide float32) []float32 {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := make([]float32, 3*w*h)
	for i := range w * h {
		for c := range 3 {
			out[c*w*h+i] = (float32(m.Pix[4*i+c]) - subtract) / divide
		}
	}
	return out
}

func luma(m *image.RGBA) []float64 {
	out := make([]float64, len(m.Pix)/4)
	for i := range out {
		out[i] = 0.299*float64(m.Pix[4*i]) + 0.587*float64(m.Pix[4*i+1]) + 0.114*float64(m.Pix[4*i+2])
	}
	return out
}

// light is the mean of the grey values, sharpness the variance of their
// Laplacian.
func light(m *image.RGBA) (mean, sharpness int) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	g := luma(m)
	var sum float64
	for _, v := range g {
		sum += v
	}
	var n, s, q float64
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			l := 4*g[i] - g[i-1] - g[i+1] - g[i-w] - g[i+w]
			n, s, q = n+1, s+l, q+l*l
		}
	}
	return int(sum / float64(len(g))), int(q/n - (s/n)*(s/n))
}
