package sframe

import (
	"errors"
	"math/bits"
)

// MaxHeader is the length of the longest header in bytes.
const MaxHeader = 17

// ErrHeader says that bytes do not begin with a minimally encoded SFrame header.
var ErrHeader = errors.New("malformed sframe header")

// Header is what stands in clear before a sealed frame (RFC 9605 section 4.3).
type Header struct {
	KID     uint64 // key id
	Counter uint64
	Len     int // bytes of the encoded header
}

// ParseHeader reads the header at the start of a sealed frame. An encoding
// longer than needed is refused, so that a header has one form only.
func ParseHeader(sealed []byte) (Header, error) {
	if len(sealed) == 0 {
		return Header{}, ErrHeader
	}
	config := sealed[0]
	h := Header{Len: 1}
	var ok bool
	if h.KID, ok = h.field(sealed, config>>4); !ok {
		return Header{}, ErrHeader
	}
	if h.Counter, ok = h.field(sealed, config); !ok {
		return Header{}, ErrHeader
	}
	return h, nil
}

// field reads one number: its low four bits of config are the extension flag
// and either the value itself or the number of bytes less one.
func (h *Header) field(sealed []byte, config byte) (uint64, bool) {
	low := config & 0x07
	if config&0x08 == 0 {
		return uint64(low), true
	}
	n := int(low) + 1
	if len(sealed) < h.Len+n {
		return 0, false
	}
	var v uint64
	for _, b := range sealed[h.Len : h.Len+n] {
		v = v<<8 | uint64(b)
	}
	h.Len += n
	return v, v >= 8 && byteLen(v) == n
}

// AppendHeader appends the encoded header of kid and counter to dst.
func AppendHeader(dst []byte, kid, counter uint64) []byte {
	at := len(dst)
	dst = append(dst, 0)
	k, dst := appendField(dst, kid)
	c, dst := appendField(dst, counter)
	dst[at] = k<<4 | c
	return dst
}

func appendField(dst []byte, v uint64) (byte, []byte) {
	if v < 8 {
		return byte(v), dst
	}
	n := byteLen(v)
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return 0x08 | byte(n-1), dst
}

func byteLen(v uint64) int { return (bits.Len64(v) + 7) / 8 }
