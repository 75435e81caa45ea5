package emrtd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

// ErrDataGroup says that a file of the chip does not have the shape that its
// number asks for.
var ErrDataGroup = errors.New("data group cannot be read")

// ParseDG1 reads the machine-readable zone as the chip holds it (9303-10, 4.7.1).
func ParseDG1(file []byte) (MRZ, error) {
	body, err := onlyTLV(file, 0x61)
	if err != nil {
		return MRZ{}, fmt.Errorf("%w: DG1: %w", ErrDataGroup, err)
	}
	zone, err := onlyTLV(body, 0x5F1F)
	if err != nil {
		return MRZ{}, fmt.Errorf("%w: DG1: %w", ErrDataGroup, err)
	}
	m, err := ParseMRZ(string(zone))
	if err != nil {
		return MRZ{}, fmt.Errorf("%w: DG1: %w", ErrDataGroup, err)
	}
	return m, nil
}

// Face is the portrait of DG2, still encoded. It is personal content and never
// prints itself.
type Face struct {
	Format string // image/jpeg or image/jp2
	Image  []byte
}

func (Face) String() string       { return "redacted portrait" }
func (Face) GoString() string     { return "redacted portrait" }
func (Face) LogValue() slog.Value { return slog.StringValue("redacted") }

// ParseDG2 finds the first portrait in DG2 (9303-10, 4.7.2; ISO/IEC 19794-5
// inside a CBEFF group). The image itself is not decoded.
func ParseDG2(file []byte) (Face, error) {
	body, err := onlyTLV(file, 0x75)
	if err != nil {
		return Face{}, fmt.Errorf("%w: DG2: %w", ErrDataGroup, err)
	}
	for _, tag := range []uint32{0x7F61, 0x7F60} {
		if body, err = childTLV(body, tag); err != nil {
			return Face{}, fmt.Errorf("%w: DG2: %w", ErrDataGroup, err)
		}
	}
	record, err := childTLV(body, 0x5F2E)
	if err != nil {
		if record, err = childTLV(body, 0x7F2E); err != nil {
			return Face{}, fmt.Errorf("%w: DG2: %w", ErrDataGroup, err)
		}
	}
	return parseFaceRecord(record)
}

// parseFaceRecord reads the header of ISO/IEC 19794-5:2005, 5.4 to 5.7: 14
// bytes, then per face 20 bytes, 8 for each feature point, 12 on the image.
func parseFaceRecord(b []byte) (Face, error) {
	if len(b) < 14+20+12 || !bytes.Equal(b[:4], []byte("FAC\x00")) {
		return Face{}, fmt.Errorf("%w: DG2: no face record", ErrDataGroup)
	}
	if total := binary.BigEndian.Uint32(b[8:]); uint64(total) > uint64(len(b)) {
		return Face{}, fmt.Errorf("%w: DG2: face record of %d bytes announced, %d there", ErrDataGroup, total, len(b))
	}
	if binary.BigEndian.Uint16(b[12:]) < 1 {
		return Face{}, fmt.Errorf("%w: DG2: no face", ErrDataGroup)
	}
	length := uint64(binary.BigEndian.Uint32(b[14:]))
	head := uint64(20 + 8*int(binary.BigEndian.Uint16(b[18:])) + 12)
	if length <= head || 14+length > uint64(len(b)) {
		return Face{}, fmt.Errorf("%w: DG2: face of %d bytes", ErrDataGroup, length)
	}
	image := b[14+head : 14+length]
	switch {
	case bytes.HasPrefix(image, []byte{0xFF, 0xD8, 0xFF}):
		return Face{"image/jpeg", image}, nil
	case bytes.HasPrefix(image, []byte{0, 0, 0, 0x0C, 'j', 'P', ' ', ' '}), bytes.HasPrefix(image, []byte{0xFF, 0x4F, 0xFF, 0x51}):
		return Face{"image/jp2", image}, nil
	}
	return Face{}, fmt.Errorf("%w: DG2: image is neither JPEG nor JPEG 2000", ErrDataGroup)
}

// groupByTag are the data group numbers by the tag under which EF.COM lists
// them (9303-10, table 38).
var groupByTag = map[byte]int{
	0x61: 1, 0x75: 2, 0x63: 3, 0x76: 4, 0x65: 5, 0x66: 6, 0x67: 7, 0x68: 8,
	0x69: 9, 0x6A: 10, 0x6B: 11, 0x6C: 12, 0x6D: 13, 0x6E: 14, 0x6F: 15, 0x70: 16,
}

// parseCOM reads the list of data groups. It is not signed: SOD's list counts.
func parseCOM(file []byte) ([]int, error) {
	body, err := onlyTLV(file, 0x60)
	if err != nil {
		return nil, fmt.Errorf("%w: EF.COM: %w", ErrDataGroup, err)
	}
	tags, err := childTLV(body, 0x5C)
	if err != nil {
		return nil, fmt.Errorf("%w: EF.COM: %w", ErrDataGroup, err)
	}
	var out []int
	for _, t := range tags {
		n, ok := groupByTag[t]
		if !ok {
			return nil, fmt.Errorf("%w: EF.COM: tag %02X", ErrDataGroup, t)
		}
		out = append(out, n)
	}
	return out, nil
}
