package emrtd

import (
	"errors"
	"fmt"
)

// ErrTLV says that bytes are not well-formed tag-length-value data.
var ErrTLV = errors.New("malformed TLV")

// tlv is one BER-TLV object of a chip's file (ISO/IEC 7816-4, 5.2.2).
type tlv struct {
	tag   uint32
	value []byte
	raw   []byte
}

// nextTLV takes one object off b. Tags have at most two bytes and lengths at
// most three, which is all that the logical data structure uses.
func nextTLV(b []byte) (t tlv, rest []byte, err error) {
	header, length, err := tlvHeader(b)
	if err != nil {
		return tlv{}, nil, err
	}
	if length > len(b)-header {
		return tlv{}, nil, fmt.Errorf("%w: %d bytes announced, %d there", ErrTLV, length, len(b)-header)
	}
	t.tag = uint32(b[0])
	if b[0]&0x1F == 0x1F {
		t.tag = t.tag<<8 | uint32(b[1])
	}
	end := header + length
	t.value, t.raw = b[header:end:end], b[:end:end]
	return t, b[end:], nil
}

// tlvHeader returns how long the header is and how long the value will be.
func tlvHeader(b []byte) (header, length int, err error) {
	i := 1
	if len(b) < 2 {
		return 0, 0, fmt.Errorf("%w: truncated", ErrTLV)
	}
	if b[0]&0x1F == 0x1F {
		if b[1]&0x80 != 0 {
			return 0, 0, fmt.Errorf("%w: tag longer than two bytes", ErrTLV)
		}
		i = 2
	}
	if i >= len(b) {
		return 0, 0, fmt.Errorf("%w: truncated", ErrTLV)
	}
	first := b[i]
	i++
	if first < 0x80 {
		return i, int(first), nil
	}
	n := int(first & 0x7F)
	if n == 0 || n > 3 || i+n > len(b) {
		return 0, 0, fmt.Errorf("%w: length of %d bytes", ErrTLV, n)
	}
	for _, x := range b[i : i+n] {
		length = length<<8 | int(x)
	}
	return i + n, length, nil
}

// onlyTLV reads an object that must carry tag and fill b to its end.
func onlyTLV(b []byte, tag uint32) ([]byte, error) {
	t, rest, err := nextTLV(b)
	if err != nil {
		return nil, err
	}
	if t.tag != tag || len(rest) != 0 {
		return nil, fmt.Errorf("%w: tag %X and %d bytes behind it where tag %X alone belongs", ErrTLV, t.tag, len(rest), tag)
	}
	return t.value, nil
}

// childTLV finds the first object with tag among the objects in b.
func childTLV(b []byte, tag uint32) ([]byte, error) {
	for len(b) > 0 {
		t, rest, err := nextTLV(b)
		if err != nil {
			return nil, err
		}
		if t.tag == tag {
			return t.value, nil
		}
		b = rest
	}
	return nil, fmt.Errorf("%w: tag %X is absent", ErrTLV, tag)
}

// appendTLV writes one object with a one-byte tag.
func appendTLV(dst []byte, tag byte, value []byte) []byte {
	dst = append(dst, tag)
	dst = appendLength(dst, len(value))
	return append(dst, value...)
}

func appendLength(dst []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n < 0x100:
		return append(dst, 0x81, byte(n))
	case n < 0x10000:
		return append(dst, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		return append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
