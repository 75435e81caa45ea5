package bandwidth

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What feedback packets are made of (section 3.1 of the draft).
const (
	rtcpTransport  = 205 // RTPFB
	formatFeedback = 15
	fixedBytes     = 20             // header up to the first chunk
	deltaUnit      = 250_000        // ns, of an arrival delta
	referenceUnit  = 64_000_000     // ns, of the reference time
	referenceWrap  = int64(1) << 24 // of the reference time's units
)

// ErrFeedback says that a packet is no well-formed transport-wide feedback.
var ErrFeedback = errors.New("no transport-wide feedback")

// IsFeedback reports whether one RTCP packet is transport-wide feedback.
func IsFeedback(rtcp []byte) bool {
	return len(rtcp) >= 2 && rtcp[0]&0x1f == formatFeedback && rtcp[1] == rtcpTransport
}

// feedback is the fixed part of a feedback packet and what follows it.
type feedback struct {
	base      uint16
	count     int
	reference int64 // 24 bits, in referenceUnit
	rest      []byte
}

// parse reads the fixed part. Everything else is read, and bounded, by walk.
func parse(rtcp []byte) (feedback, error) {
	if !IsFeedback(rtcp) || rtcp[0]>>6 != 2 || len(rtcp) < fixedBytes {
		return feedback{}, ErrFeedback
	}
	size := (int(binary.BigEndian.Uint16(rtcp[2:])) + 1) * 4
	if size > len(rtcp) || size < fixedBytes {
		return feedback{}, fmt.Errorf("%w: it says %d bytes and has %d", ErrFeedback, size, len(rtcp))
	}
	f := feedback{
		base:      binary.BigEndian.Uint16(rtcp[12:]),
		count:     int(binary.BigEndian.Uint16(rtcp[14:])),
		reference: int64(rtcp[16])<<16 | int64(rtcp[17])<<8 | int64(rtcp[18]),
		rest:      rtcp[fixedBytes:size],
	}
	if f.count == 0 || f.count > historySize {
		return feedback{}, fmt.Errorf("%w: it is about %d packets", ErrFeedback, f.count)
	}
	return f, nil
}

// symbols of a packet's status.
const (
	statusLost = iota
	statusSmall
	statusLarge
)

// walk visits each packet in order with the time of its arrival in nanoseconds
// after the reference time. It fails before the first visit or not at all.
func (f feedback) walk(visit func(sequence uint16, received bool, after int64)) error {
	deltas, err := f.deltas()
	if err != nil {
		return err
	}
	chunks, done, after := f.rest, 0, int64(0)
	for done < f.count {
		c := chunk(binary.BigEndian.Uint16(chunks))
		chunks = chunks[2:]
		n := min(c.packets(), f.count-done)
		for i := range n {
			received := true
			switch c.status(i) {
			case statusSmall:
				after += int64(deltas[0]) * deltaUnit
				deltas = deltas[1:]
			case statusLarge:
				after += int64(int16(binary.BigEndian.Uint16(deltas))) * deltaUnit
				deltas = deltas[2:]
			default:
				received = false
			}
			visit(f.base+uint16(done+i), received, after)
		}
		done += n
	}
	return nil
}

// deltas checks that every chunk and every delta is there, and returns where
// the deltas begin.
func (f feedback) deltas() ([]byte, error) {
	chunks, done, need := f.rest, 0, 0
	for done < f.count {
		if len(chunks) < 2 {
			return nil, fmt.Errorf("%w: its chunks end after %d of %d packets", ErrFeedback, done, f.count)
		}
		c := chunk(binary.BigEndian.Uint16(chunks))
		chunks = chunks[2:]
		n := min(c.packets(), f.count-done)
		if n == 0 {
			return nil, fmt.Errorf("%w: a chunk is about nothing", ErrFeedback)
		}
		for i := range n {
			switch c.status(i) {
			case statusLost:
			case statusSmall:
				need++
			case statusLarge:
				need += 2
			default:
				return nil, fmt.Errorf("%w: status 3 has no meaning", ErrFeedback)
			}
		}
		done += n
	}
	if len(chunks) < need {
		return nil, fmt.Errorf("%w: %d bytes of deltas, %d are needed", ErrFeedback, len(chunks), need)
	}
	return chunks, nil
}

// chunk is the status of several packets: a run of one status, fourteen of one
// bit or seven of two bits.
type chunk uint16

func (c chunk) packets() int {
	switch {
	case c&0x8000 == 0:
		return int(c & 0x1fff)
	case c&0x4000 == 0:
		return 14
	default:
		return 7
	}
}

func (c chunk) status(i int) int {
	switch {
	case c&0x8000 == 0:
		return int(c >> 13 & 3)
	case c&0x4000 == 0:
		return int(c >> (13 - i) & 1)
	default:
		return int(c >> (12 - 2*i) & 3)
	}
}
