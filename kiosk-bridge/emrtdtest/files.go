package emrtdtest

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
)

// object writes tag, length and value; tags above FF have two bytes.
func object(tag uint16, value []byte) []byte {
	var out []byte
	if tag > 0xFF {
		out = append(out, byte(tag>>8))
	}
	out = append(out, byte(tag))
	switch n := len(value); {
	case n < 128:
		out = append(out, byte(n))
	case n < 256:
		out = append(out, 0x81, byte(n))
	case n < 65536:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, value...)
}

func dataGroup1(zone string) []byte { return object(0x61, object(0x5F1F, []byte(zone))) }

// dataGroup2 puts a JPEG into a face record (ISO/IEC 19794-5) inside the
// biometric group of 9303-10, 4.7.2.
func dataGroup2(jpg []byte, width, height int) []byte {
	face := binary.BigEndian.AppendUint32(nil, uint32(20+12+len(jpg)))
	face = append(face, make([]byte, 16)...)
	picture := []byte{1, 0}
	picture = binary.BigEndian.AppendUint16(picture, uint16(width))
	picture = binary.BigEndian.AppendUint16(picture, uint16(height))
	picture = append(picture, 1, 0, 0, 0, 0, 0)
	record := []byte("FAC\x00010\x00")
	record = binary.BigEndian.AppendUint32(record, uint32(14+len(face)+len(picture)+len(jpg)))
	record = append(record, 0, 1)
	record = append(append(append(record, face...), picture...), jpg...)
	header := object(0xA1, []byte{0x80, 2, 1, 1, 0x81, 1, 2, 0x87, 2, 1, 1, 0x88, 2, 0, 8})
	template := object(0x7F60, append(header, object(0x5F2E, record)...))
	return object(0x75, object(0x7F61, append([]byte{2, 1, 1}, template...)))
}

func commonData(tags ...byte) []byte {
	body := append(object(0x5F01, []byte("0107")), object(0x5F36, []byte("040000"))...)
	return object(0x60, append(body, object(0x5C, tags)...))
}

// portrait draws a face of nobody: an oval with eyes and mouth on a plain
// ground, varied by name, with grain so that its size is that of a real one.
func portrait(name string) (jpg []byte, width, height int, err error) {
	const w, h = 240, 320
	f := fnv.New64a()
	_, _ = f.Write([]byte(name))
	rnd := rand.New(rand.NewPCG(f.Sum64(), 1)) // a picture, not a secret
	skin := color.RGBA{uint8(120 + rnd.IntN(110)), uint8(90 + rnd.IntN(90)), uint8(70 + rnd.IntN(80)), 255}
	hair := uint8(20 + rnd.IntN(80))
	eyes := 130 + rnd.IntN(12)
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	oval := func(x, y, cx, cy, rx, ry int) bool {
		dx, dy := float64(x-cx)/float64(rx), float64(y-cy)/float64(ry)
		return dx*dx+dy*dy <= 1
	}
	for y := range h {
		for x := range w {
			c := color.RGBA{205, 208, 212, 255}
			switch {
			case oval(x, y, 90, eyes, 12, 6), oval(x, y, 150, eyes, 12, 6), oval(x, y, 120, 215, 26, 6):
				c = color.RGBA{50, 35, 35, 255}
			case oval(x, y, 120, 165, 70, 95):
				c = skin
			case oval(x, y, 120, 140, 84, 105):
				c = color.RGBA{hair, hair, hair, 255}
			case oval(x, y, 120, 330, 115, 70):
				c = color.RGBA{60, 70, 95, 255}
			}
			grain := rnd.IntN(25) - 12
			shade := func(v uint8) uint8 { return uint8(min(255, max(0, int(v)+grain))) }
			img.SetRGBA(x, y, color.RGBA{shade(c.R), shade(c.G), shade(c.B), 255})
		}
	}
	var buf bytes.Buffer
	err = jpeg.Encode(&buf, img, &jpeg.Options{Quality: 70})
	return buf.Bytes(), w, h, err
}
