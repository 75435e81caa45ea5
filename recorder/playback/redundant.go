package playback

import (
	"slices"

	"kuule/interview"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

// taken is one packet or picture of an opened frame.
type taken struct {
	at    interview.Micros // capture
	codec []byte
	spare bool // a copy that came with a later packet, for where the first was lost
	of    sealedAs
}

// sealedAs is the frame in which a packet was sealed first. A sender seals each
// packet of a voice once, in order: the copy of the one before carries the number
// before its own. The zero value is not known: the first frame under a new key
// brings a copy of one under the old.
type sealedAs struct{ kid, counter uint64 }

// lostAfter tells how many packets of a voice are missing between two. It is not
// known where a key or a page changed between them.
func (s sealedAs) lostAfter(before sealedAs) (lost int64, known bool) {
	if s.kid == 0 || s.kid != before.kid || s.counter <= before.counter || s.counter-before.counter > mostLost {
		return 0, false
	}
	return int64(s.counter-before.counter) - 1, true
}

// A sender's machine that is busy seals late, and then much at once: what stands
// by its numbers right after what came before is not apart from it, however its
// times look, until they tell that a microphone had stopped.
const (
	mostLost = 500
	stopped  = 1_000_000 // microseconds
)

// missing is how much of a voice is missing before a packet, in microseconds:
// by the numbers of what was sealed, else by the distance of the times.
func (s sealedAs) missing(before sealedAs, length, apart int64) (missing int64, known bool) {
	lost, known := s.lostAfter(before)
	if !known || apart > lost*length+stopped || apart < -stopped {
		return apart, false
	}
	return lost * length, true
}

// apart is by how much a packet and its copy may differ in time at most, where it
// is not known what the copy was sealed as: times are those of sealing, and a
// busy machine seals late.
const apart = interview.Micros(10_000)

// order is where a packet stands among others: a copy after what it copies.
func (t taken) order() interview.Micros {
	if t.spare {
		return t.at + apart
	}
	return t.at
}

// copies tells packets that were taken already from those that were not.
type copies struct {
	seen [128]sealedAs // the newest; a voice has a second of Reorder's packets in it
	next int
	last interview.Micros // capture of the newest packet taken
	any  bool
}

// first reports whether a packet comes for the first time, as itself or as a copy.
func (c *copies) first(t taken) bool {
	if t.of != (sealedAs{}) {
		if slices.Contains(c.seen[:], t.of) {
			return false
		}
	} else if t.spare && c.any && t.at-c.last < apart {
		return false
	}
	c.seen[c.next%len(c.seen)] = t.of
	c.next++
	c.last, c.any = t.at, true
	return true
}

// usual is the length of a packet on any but a narrow link, in microseconds. A
// frame's time is that of its sealing, when the last sound in it was heard.
const usual = 20_000

// begins tells where a packet that was sealed at a moment has its place, so that
// it begins where the one before it ends, whatever the length of both.
func begins(source interview.Source, sealed interview.Micros, codec []byte) interview.Micros {
	if source != interview.SourceAudio {
		return sealed
	}
	return sealed - interview.Micros(max(0, opusDuration(codec)-usual))
}

// unpack gives what an opened frame holds: sound that was packed twice
// (RFC 2198) brings earlier packets again. What does not read is left out.
func unpack(f journal.Frame, head sealing.FrameHeader, codec []byte) []taken {
	own := sealedAs{f.KID, f.Counter}
	if !head.Redundant {
		return []taken{{at: begins(head.Source, head.Capture, codec), codec: codec, of: own}}
	}
	blocks, err := opusred.Split(nil, codec)
	if err != nil {
		return nil
	}
	out := make([]taken, len(blocks))
	for i, b := range blocks {
		out[i] = taken{at: begins(head.Source, head.Capture-interview.Micros(b.Ago)*1000/48, b.Opus), codec: b.Opus, spare: b.Ago > 0}
		if ago := uint64(len(blocks) - 1 - i); ago <= own.counter {
			out[i].of = sealedAs{own.kid, own.counter - ago}
		}
	}
	return out
}
