package opusred

import (
	"encoding/binary"
	"errors"
)

// PayloadType is that of Opus in the blocks' headers, as every offer here has it.
const PayloadType = 111

// Bounds: the fields of a block's header have 14 and 10 bits.
const (
	MaxBlocks = 8
	maxAgo    = 1<<14 - 1
	maxBlock  = 1<<10 - 1
)

// ErrMalformed says that a payload is not redundant audio data.
var ErrMalformed = errors.New("redundant audio: the payload is malformed")

// Block is one Opus packet of a payload. Ago is how many ticks of 48 kHz before
// the payload's RTP time it was captured; 0 is the payload's own.
type Block struct {
	Ago  uint32
	Opus []byte
}

// Append appends the payload of blocks, oldest first, the own last. Blocks that
// do not fit a header's fields are left out.
func Append(dst []byte, blocks ...Block) []byte {
	if len(blocks) == 0 {
		return dst
	}
	own := blocks[len(blocks)-1]
	older := blocks[max(0, len(blocks)-MaxBlocks) : len(blocks)-1]
	fits := func(b Block) bool { return b.Ago <= maxAgo && len(b.Opus) <= maxBlock }
	for _, b := range older {
		if fits(b) {
			dst = binary.BigEndian.AppendUint32(dst, 1<<31|PayloadType<<24|b.Ago<<10|uint32(len(b.Opus)))
		}
	}
	dst = append(dst, PayloadType)
	for _, b := range older {
		if fits(b) {
			dst = append(dst, b.Opus...)
		}
	}
	return append(dst, own.Opus...)
}

// Own is the packet of a payload's own time, pointing into it; nil where it has
// none or is malformed.
func Own(payload []byte) []byte {
	var room [MaxBlocks + 1]Block
	blocks, err := Split(room[:0], payload)
	if err != nil || len(blocks) == 0 || blocks[len(blocks)-1].Ago != 0 {
		return nil
	}
	return blocks[len(blocks)-1].Opus
}

// Split takes a payload apart: its blocks, oldest first, the own last, appended
// to dst and pointing into payload. Empty blocks, which senders use where they
// have nothing, are left out.
func Split(dst []Block, payload []byte) ([]Block, error) {
	headers := 0
	for at := 0; ; at += 4 {
		if at >= len(payload) || headers == MaxBlocks || payload[at]&0x7F != PayloadType {
			return dst, ErrMalformed
		}
		if payload[at]&0x80 == 0 {
			break
		}
		headers++
	}
	data := payload[4*headers+1:]
	start := len(dst)
	for i := range headers {
		header := binary.BigEndian.Uint32(payload[4*i:])
		n := int(header & maxBlock)
		if n > len(data) {
			return dst[:start], ErrMalformed
		}
		if n > 0 {
			dst = append(dst, Block{Ago: header >> 10 & maxAgo, Opus: data[:n]})
		}
		data = data[n:]
	}
	if len(data) > 0 {
		dst = append(dst, Block{Opus: data})
	}
	return dst, nil
}
