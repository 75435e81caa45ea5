package playback

import (
	"kuule/interview"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
)

// taken is one packet or picture of an opened frame.
type taken struct {
	at    interview.Micros // capture
	codec []byte
	spare bool // a copy that came with a later packet, for where the first was lost
}

// apart is by how much a packet and its copy may differ in time at most.
const apart = interview.Micros(10_000)

// order is where a packet stands among others: a copy after what it copies.
func (t taken) order() interview.Micros {
	if t.spare {
		return t.at + apart
	}
	return t.at
}

// unpack gives what an opened frame holds: sound that was packed twice
// (RFC 2198) brings earlier packets again. What does not read is left out.
func unpack(head sealing.FrameHeader, codec []byte) []taken {
	if !head.Redundant {
		return []taken{{at: head.Capture, codec: codec}}
	}
	blocks, err := opusred.Split(nil, codec)
	if err != nil {
		return nil
	}
	out := make([]taken, len(blocks))
	for i, b := range blocks {
		out[i] = taken{at: head.Capture - interview.Micros(b.Ago)*1000/48, codec: b.Opus, spare: b.Ago > 0}
	}
	return out
}
