package playback

import (
	"encoding/binary"
	"math"

	"kuule/interview"
)

// The few elements of WebM that a media segment needs (RFC 9559; byte stream
// format of Media Source Extensions, https://www.w3.org/TR/mse-byte-stream-format-webm/).

func element(dst []byte, id uint32, body []byte) []byte {
	dst = elementID(dst, id)
	dst = binary.BigEndian.AppendUint64(dst, 1<<56|uint64(len(body)))
	return append(dst, body...)
}

func elementID(dst []byte, id uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift > 0 {
			dst = append(dst, byte(id>>shift))
		}
	}
	return dst
}

func number(dst []byte, id uint32, n uint64) []byte {
	return element(dst, id, binary.BigEndian.AppendUint64(nil, n))
}

// beginning is the initialisation segment of one lane.
func beginning(l Lane, width, height int) []byte {
	var head []byte
	for _, x := range []struct {
		id uint32
		n  uint64
	}{{0x4286, 1}, {0x42f7, 1}, {0x42f2, 4}, {0x42f3, 8}} {
		head = number(head, x.id, x.n)
	}
	head = element(head, 0x4282, []byte("webm"))
	head = number(number(head, 0x4287, 4), 0x4285, 2)

	info := number(nil, 0x2ad7b1, 1_000_000) // a millisecond
	info = element(element(info, 0x4d80, []byte("kuule")), 0x5741, []byte("kuule"))

	entry := number(number(nil, 0xd7, 1), 0x73c5, 1)
	if l.Source == interview.SourceAudio {
		entry = number(entry, 0x83, 2)
		entry = element(entry, 0x86, []byte("A_OPUS"))
		entry = element(entry, 0x63a2, opusHead())
		entry = number(number(entry, 0x56aa, opusDelay), 0x56bb, opusRoll)
		entry = element(entry, 0xe1, number(element(nil, 0xb5, binary.BigEndian.AppendUint64(nil, math.Float64bits(48000))), 0x9f, 1))
	} else {
		entry = number(entry, 0x83, 1)
		entry = element(entry, 0x86, []byte("V_VP8"))
		entry = element(entry, 0xe0, number(number(nil, 0xb0, uint64(width)), 0xba, uint64(height)))
	}
	out := element(nil, 0x1a45dfa3, head)
	out = append(elementID(out, 0x18538067), 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // of unknown size
	out = element(out, 0x1549a966, info)
	return element(out, 0x1654ae6b, element(nil, 0xae, entry))
}

// timed is a codec frame with its place in the view, in milliseconds.
type timed struct {
	at, length int64
	key        bool
	codec      []byte
}

const clusterLength = 5000 // milliseconds

// clusters appends frames, in order, as clusters of at most 5 s.
func clusters(dst []byte, frames []timed) []byte {
	for len(frames) > 0 {
		base := frames[0].at
		body := number(nil, 0xe7, uint64(base))
		n := 0
		for n < len(frames) && frames[n].at-base < clusterLength {
			f := frames[n]
			block := append([]byte{0x81}, byte((f.at-base)>>8), byte(f.at-base), 0)
			group := element(nil, 0xa1, append(block, f.codec...))
			group = number(group, 0x9b, uint64(f.length))
			if !f.key {
				group = element(group, 0xfb, []byte{0xff}) // refers to the frame before
			}
			body = element(body, 0xa0, group)
			n++
		}
		dst = element(dst, 0x1f43b675, body)
		frames = frames[n:]
	}
	return dst
}
