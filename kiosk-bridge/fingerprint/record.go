package fingerprint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrRecord says that bytes are no record of finger minutiae.
var ErrRecord = errors.New("no record of finger minutiae (ISO/IEC 19794-2:2005)")

// Bounds of a record: ten fingers of 255 minutiae, with room for a maker's own
// data.
const (
	MaxRecord   = 64 << 10
	recordHead  = 24
	viewHead    = 4
	minutiaSize = 6
)

// View is what the frame of a record says of one impression.
type View struct {
	Finger   int // 0 unknown, 1 right thumb to 10 left little
	Quality  int // of the maker's scale, 0 to 100
	Minutiae int
}

// Check reads the frame of a record: header, and for each view its header, its
// minutiae and its extended data (ISO/IEC 19794-2:2005, 7). Every length must
// fit and nothing may remain.
func Check(b []byte) ([]View, error) {
	if len(b) < recordHead || len(b) > MaxRecord || !bytes.Equal(b[:8], []byte("FMR\x00 20\x00")) {
		return nil, ErrRecord
	}
	if total := binary.BigEndian.Uint32(b[8:]); uint64(total) != uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d bytes announced, %d there", ErrRecord, total, len(b))
	}
	width, height := int(binary.BigEndian.Uint16(b[14:])), int(binary.BigEndian.Uint16(b[16:]))
	if width == 0 || height == 0 || width > 1<<14 || height > 1<<14 {
		return nil, fmt.Errorf("%w: a picture of %d times %d", ErrRecord, width, height)
	}
	views := make([]View, b[22])
	if len(views) == 0 {
		return nil, fmt.Errorf("%w: no view", ErrRecord)
	}
	rest := b[recordHead:]
	for i := range views {
		v, after, err := view(rest, width, height)
		if err != nil {
			return nil, err
		}
		views[i], rest = v, after
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last view", ErrRecord, len(rest))
	}
	return views, nil
}

func view(b []byte, width, height int) (View, []byte, error) {
	if len(b) < viewHead {
		return View{}, nil, fmt.Errorf("%w: a view is cut", ErrRecord)
	}
	v := View{Finger: int(b[0]), Quality: int(b[2]), Minutiae: int(b[3])}
	if v.Finger > 10 || v.Quality > 100 {
		return View{}, nil, fmt.Errorf("%w: finger %d of quality %d", ErrRecord, v.Finger, v.Quality)
	}
	b = b[viewHead:]
	if len(b) < v.Minutiae*minutiaSize+2 {
		return View{}, nil, fmt.Errorf("%w: %d minutiae are cut", ErrRecord, v.Minutiae)
	}
	for i := range v.Minutiae {
		m := b[i*minutiaSize:]
		x, y := int(binary.BigEndian.Uint16(m)&0x3FFF), int(binary.BigEndian.Uint16(m[2:])&0x3FFF)
		if x >= width || y >= height {
			return View{}, nil, fmt.Errorf("%w: a minutia beside the picture", ErrRecord)
		}
	}
	b = b[v.Minutiae*minutiaSize:]
	extended := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+extended {
		return View{}, nil, fmt.Errorf("%w: extended data are cut", ErrRecord)
	}
	return v, b[2+extended:], nil
}
