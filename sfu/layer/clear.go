package layer

import "kuule/internal/descriptor"

// Undescribed makes a descriptor for a VP8 packet that came without one, from a
// publisher that leaves the first byte of each frame in clear. It tells a
// frame's first packet and key frames (RFC 7741, sections 4.2 and 4.3) and
// nothing else: no temporal layer is left out of such a stream, and since its
// picture ids stand in the payload, which nobody here may rewrite, a receiver
// sees them jump when its source changes. Where frames are sealed whole the byte
// is ciphertext and the answer means nothing: use it only where it was agreed.
func Undescribed(payload []byte) (descriptor.Descriptor, bool) {
	const (
		extended, start, partition = 0x80, 0x10, 0x07
		pictureID, tl0, tid, keyID = 0x80, 0x40, 0x20, 0x10
	)
	if len(payload) < 2 {
		return descriptor.Descriptor{}, false
	}
	at := 1
	if payload[0]&extended != 0 {
		x := payload[1]
		at++
		if x&pictureID != 0 {
			if len(payload) <= at {
				return descriptor.Descriptor{}, false
			}
			at += 1 + int(payload[at]>>7)
		}
		if x&tl0 != 0 {
			at++
		}
		if x&(tid|keyID) != 0 {
			at++
		}
	}
	if len(payload) <= at {
		return descriptor.Descriptor{}, false
	}
	first := payload[0]&start != 0 && payload[0]&partition == 0
	return descriptor.Descriptor{First: first, Structure: first && payload[at]&1 == 0}, true
}
