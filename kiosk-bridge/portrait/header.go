package portrait

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	maxBoxes      = 64
	maxComponents = 4
	maxDepth      = 16
	maxTiles      = 256
)

// shape is what a header says of a picture.
type shape struct {
	width, height, components int
	file                      bool // boxes around the codestream
}

func unreadable(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrUnreadable, fmt.Sprintf(format, a...))
}

// parseHeader reads the shape of a JPEG 2000 picture: a codestream by itself, or
// one in a file of boxes (ISO/IEC 15444-1, annexes A and I). Where both say how
// large the picture is they must agree, since a decoder may believe either.
func parseHeader(b []byte) (shape, error) {
	if bytes.HasPrefix(b, []byte{0xFF, 0x4F, 0xFF, 0x51}) {
		return parseCodestream(b)
	}
	var said *shape
	for n := 0; len(b) > 0; n++ {
		if n == maxBoxes {
			return shape{}, unreadable("more than %d boxes", maxBoxes)
		}
		kind, body, rest, err := nextBox(b)
		if err != nil {
			return shape{}, err
		}
		switch {
		case n == 0 && (kind != "jP  " || !bytes.Equal(body, []byte{0x0D, 0x0A, 0x87, 0x0A})):
			return shape{}, unreadable("no JPEG 2000")
		case kind == "jp2h" && said != nil:
			return shape{}, unreadable("two headers")
		case kind == "jp2h":
			if said, err = parseImageHeader(body); err != nil {
				return shape{}, err
			}
		case kind == "jp2c":
			s, err := parseCodestream(body)
			if err != nil {
				return shape{}, err
			}
			if s.file = true; said == nil || said.width != s.width || said.height != s.height || said.components != s.components {
				return shape{}, unreadable("file and codestream say different sizes")
			}
			return s, nil
		}
		b = rest
	}
	return shape{}, unreadable("no codestream")
}

func nextBox(b []byte) (kind string, body, rest []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, unreadable("box cut short")
	}
	head, length := uint64(8), uint64(binary.BigEndian.Uint32(b))
	switch length {
	case 0: // to the end
		length = uint64(len(b))
	case 1:
		if len(b) < 16 {
			return "", nil, nil, unreadable("box cut short")
		}
		head, length = 16, binary.BigEndian.Uint64(b[8:])
	}
	if length < head || length > uint64(len(b)) {
		return "", nil, nil, unreadable("box of %d bytes, %d there", length, len(b))
	}
	return string(b[4:8]), b[head:length], b[length:], nil
}

// parseImageHeader reads the superbox whose first child is the image header. A
// palette would make other components than the codestream says, and no portrait
// has one.
func parseImageHeader(b []byte) (*shape, error) {
	var s *shape
	for n := 0; len(b) > 0; n++ {
		kind, body, rest, err := nextBox(b)
		if err != nil {
			return nil, err
		}
		switch {
		case n == maxBoxes, n == 0 && (kind != "ihdr" || len(body) != 14), n > 0 && kind == "ihdr", kind == "pclr", kind == "cmap":
			return nil, unreadable("header with %q", kind)
		case n == 0:
			s = &shape{
				height: int(binary.BigEndian.Uint32(body)), width: int(binary.BigEndian.Uint32(body[4:])), components: int(binary.BigEndian.Uint16(body[8:])),
			}
		}
		b = rest
	}
	if s == nil {
		return nil, unreadable("header without an image header")
	}
	return s, nil
}

// parseCodestream reads the marker SIZ (ISO/IEC 15444-1, A.5.1).
func parseCodestream(b []byte) (shape, error) {
	const fixed = 2 + 2 + 2 + 2 + 8*4 + 2 // markers, length, capabilities, sizes, components
	if len(b) < fixed || !bytes.HasPrefix(b, []byte{0xFF, 0x4F, 0xFF, 0x51}) {
		return shape{}, unreadable("no codestream")
	}
	at := func(i int) uint64 { return uint64(binary.BigEndian.Uint32(b[8+4*i:])) }
	right, bottom, left, top := at(0), at(1), at(2), at(3)
	tileWidth, tileHeight, tileLeft, tileTop := at(4), at(5), at(6), at(7)
	components := int(binary.BigEndian.Uint16(b[fixed-2:]))
	if components < 1 || components > maxComponents || int(binary.BigEndian.Uint16(b[4:])) != 38+3*components || len(b) < fixed+3*components {
		return shape{}, unreadable("%d components", components)
	}
	for c := range components {
		part := b[fixed+3*c:]
		if depth := part[0]&0x7F + 1; depth > maxDepth || part[1] < 1 || part[1] > 4 || part[2] < 1 || part[2] > 4 {
			return shape{}, unreadable("component of %d bits, every %d by %d", depth, part[1], part[2])
		}
	}
	if left >= right || top >= bottom || tileWidth == 0 || tileHeight == 0 || tileLeft > left || tileTop > top {
		return shape{}, unreadable("picture or tile without a size")
	}
	// Numbers have 32 bits, so that nothing here overflows 64.
	s := shape{width: int(right - left), height: int(bottom - top), components: components}
	if right > 2*MaxSide || bottom > 2*MaxSide { // of the grid on which the picture lies
		return shape{}, fmt.Errorf("%w: grid of %d by %d", ErrTooLarge, right, bottom)
	}
	if err := s.bounded(); err != nil {
		return shape{}, err
	}
	across, down := (right-tileLeft+tileWidth-1)/tileWidth, (bottom-tileTop+tileHeight-1)/tileHeight
	if across*down > maxTiles {
		return shape{}, fmt.Errorf("%w: %d tiles", ErrTooLarge, across*down)
	}
	return s, nil
}

func (s shape) bounded() error {
	if s.width < 1 || s.height < 1 {
		return unreadable("picture without a size")
	}
	if s.width > MaxSide || s.height > MaxSide || s.width*s.height > MaxPixels {
		return fmt.Errorf("%w: %d by %d pixels", ErrTooLarge, s.width, s.height)
	}
	return nil
}
