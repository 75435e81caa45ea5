package sfu

import "encoding/binary"

// descriptor is the mandatory part of a Dependency Descriptor.
type descriptor struct {
	firstInFrame bool
	lastInFrame  bool
	frameNumber  uint16
	key          bool // a template structure is attached: a new coded video sequence
}

// parseDescriptor reads the first three bytes and the structure flag. It
// reports false for anything shorter than the specification allows.
func parseDescriptor(b []byte) (descriptor, bool) {
	if len(b) < 3 {
		return descriptor{}, false
	}
	return descriptor{
		firstInFrame: b[0]&0x80 != 0,
		lastInFrame:  b[0]&0x40 != 0,
		frameNumber:  binary.BigEndian.Uint16(b[1:3]),
		key:          len(b) > 3 && b[3]&0x80 != 0,
	}, true
}

// setFrameNumber rewrites the frame number in place: it is byte-aligned in the
// mandatory part. Frame numbers are shared over a sender's layers, so a
// receiver's stream must be renumbered when its source changes, or the new key
// frame looks old to the decoder.
func setFrameNumber(b []byte, n uint16) { binary.BigEndian.PutUint16(b[1:3], n) }
