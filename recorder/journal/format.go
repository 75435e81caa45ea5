package journal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"kuule/internal/sframe"
	"kuule/interview"
)

// TypeJournal is the JWS "typ" of a block's head.
const TypeJournal = "kuule-journal+jws"

// Bounds of a journal. A reader refuses what is larger before it allocates.
const (
	MaxHead   = 4 << 10   // bytes of a block's signed head
	MaxClear  = 8 << 20   // bytes of a block's clear section
	MaxSealed = 32 << 20  // bytes of a block's sealed section
	MaxEntry  = 512 << 10 // bytes of one entry's body
	MaxFrame  = 1 << 20   // bytes of one sealed frame
	MaxTracks = 1024      // tracks that one block speaks of
	MaxFiles  = 1 << 16   // files of one journal
)

const (
	version    = 2
	fileMagic  = "kuulejr2" // the first eight bytes of every file
	blockMagic = "KJB1"
	prefixSize = 16 // magic and three lengths
)

// ErrMalformed says that bytes are not a journal of this version.
var ErrMalformed = errors.New("malformed journal")

// Head is what a recorder signs of each block: its place in the chain and the
// hashes of its two sections. Hashes are base64url SHA-256.
type Head struct {
	V         int                   `json:"v"` // 2
	Hearing   interview.HearingID   `json:"hearing"`
	Recording interview.RecordingID `json:"recording"`
	Seq       int64                 `json:"seq"`  // from 0, without holes
	File      int64                 `json:"file"` // from 1: the file that holds it
	Prev      string                `json:"prev"` // hash of the head before, or ""
	From      interview.Micros      `json:"from"` // the block before ended here
	To        interview.Micros      `json:"to"`   // all that arrived until here is in this block or before
	Frames    int64                 `json:"frames"`
	Clear     string                `json:"clear"`
	Sealed    string                `json:"sealed"`
}

// Frame is one codec frame as its sender sealed it (RFC 9605), with what the
// recorder noted at its arrival.
type Frame struct {
	Member  interview.MemberID
	Track   interview.TrackID
	Source  interview.Source
	Rid     string // simulcast layer, "" where there is one
	KID     uint64
	Counter uint64
	RTPTime uint32
	Arrival interview.Micros
	Capture interview.Micros // from inside the seal; counted for Durable, not written
	Key     bool             // a key frame, so that a reader can begin here
	Lost    uint32           // frames of this track and rid missing before this one
	Sealed  []byte
}

const (
	recordTrack  = 1
	recordFrame  = 2
	recordEntry  = 3
	recordOrigin = 4
	flagKey      = 1
)

type slot struct {
	member interview.MemberID
	track  interview.TrackID
	source interview.Source
	rid    string
}

func hash(parts ...[]byte) string {
	h := sha256.New()
	for _, b := range parts {
		_, _ = h.Write(b)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// appendText adds a text of at most 255 bytes.
func appendText(b []byte, s string) []byte {
	return append(append(b, byte(len(s))), s...)
}

func appendEntry(b []byte, e Entry) []byte {
	b = append(b, recordEntry)
	b = appendText(b, string(e.Type))
	b = binary.AppendVarint(b, int64(e.At))
	b = binary.AppendUvarint(b, uint64(len(e.Body)))
	return append(b, e.Body...)
}

// placed is a slot's number in a block, and the RTP time of its frame before.
type placed struct {
	n   uint64
	rtp uint32
}

// appendFrames adds the frames in their order; a track's record stands before
// its first frame. slots is room to work in.
func appendFrames(b []byte, from interview.Micros, frames []Frame, slots map[slot]placed) []byte {
	clear(slots)
	for i := range frames {
		f := &frames[i]
		s := slot{f.Member, f.Track, f.Source, f.Rid}
		at, known := slots[s]
		if !known {
			at.n = uint64(len(slots))
			b = append(b, recordTrack)
			b = appendText(b, f.Member.String())
			b = appendText(b, f.Track.String())
			b = appendText(b, string(f.Source))
			b = appendText(b, f.Rid)
		}
		var flags byte
		if f.Key {
			flags |= flagKey
		}
		b = append(b, recordFrame)
		b = binary.AppendUvarint(b, at.n)
		b = append(b, flags)
		b = binary.AppendVarint(b, delta(f.RTPTime, at.rtp))
		b = binary.AppendVarint(b, int64(f.Arrival-from))
		b = binary.AppendUvarint(b, uint64(f.Lost))
		b = binary.AppendUvarint(b, uint64(len(f.Sealed)))
		b = append(b, f.Sealed...)
		at.rtp, from = f.RTPTime, f.Arrival
		slots[s] = at
	}
	return b
}

// decoder reads one section; the first fault stays.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("section ends inside a record")
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint(limit uint64, what string) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.fail(what + " is not within its bounds")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint(what string) int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(what + " is not a number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if uint64(len(d.b)) < n {
		d.fail("section ends inside a record")
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) text() string { return string(d.bytes(uint64(d.byte()))) }

func (d *decoder) entry(sealed bool) Entry {
	e := Entry{Type: EntryType(d.text())}
	e.At = interview.Micros(d.varint("an entry's time"))
	e.Body = d.bytes(d.uvarint(MaxEntry, "an entry's length"))
	if s, ok := sections[e.Type]; d.err == nil && (!ok || s.sealed != sealed || e.Type == EntryOrigin) {
		d.fail(fmt.Sprintf("an entry of type %q does not stand here", e.Type))
	}
	return e
}

func (d *decoder) slot() slot {
	var s slot
	var err error
	if s.member, err = interview.ParseMemberID(d.text()); err != nil {
		d.fail("a track's member is no member")
	}
	if s.track, err = interview.ParseTrackID(d.text()); err != nil {
		d.fail("a track's id is no track")
	}
	s.source, s.rid = interview.Source(d.text()), d.text()
	if !known(s.source) {
		d.fail(fmt.Sprintf("source %q is not known", s.source))
	}
	return s
}

// known reports whether a track may be of that source.
func known(s interview.Source) bool {
	return s == interview.SourceAudio || s == interview.SourceVideo || s == interview.SourceScreen
}

// decodeClear reads a clear section: entries and origin lists.
func decodeClear(b []byte) ([]Entry, error) {
	d := &decoder{b: b}
	var out []Entry
	for len(d.b) > 0 {
		switch k := d.byte(); k {
		case recordEntry:
			out = append(out, d.entry(false))
		case recordOrigin:
			out = append(out, d.origin())
		default:
			d.fail(fmt.Sprintf("record kind %d does not stand in the clear section", k))
		}
	}
	return out, d.err
}

// decodeSealed reads an opened section: tracks, frames and sealed entries.
func decodeSealed(b []byte, from interview.Micros) ([]Frame, []Entry, error) {
	d := &decoder{b: b}
	var slots []slot
	var times []uint32 // of each slot's frame before
	var frames []Frame
	var entries []Entry
	for len(d.b) > 0 {
		switch k := d.byte(); k {
		case recordTrack:
			if len(slots) == MaxTracks {
				d.fail("too many tracks in one block")
				break
			}
			slots, times = append(slots, d.slot()), append(times, 0)
		case recordFrame:
			n := d.uvarint(MaxTracks, "a frame's track")
			flags := d.byte()
			if flags&^flagKey != 0 || n >= uint64(len(slots)) {
				d.fail("a frame with unknown flags or of no track")
				break
			}
			s := slots[n]
			f := Frame{
				Member: s.member, Track: s.track, Source: s.source, Rid: s.rid, Key: flags&flagKey != 0,
				RTPTime: d.delta(times[n]),
				Arrival: from + interview.Micros(d.varint("an arrival time")),
				Lost:    uint32(d.uvarint(math.MaxUint32, "a loss mark")),
			}
			f.Sealed = d.bytes(d.uvarint(MaxFrame, "a frame's length"))
			h, err := sframe.ParseHeader(f.Sealed)
			if err != nil {
				d.fail("a frame's own header does not read")
				break
			}
			f.KID, f.Counter = h.KID, h.Counter
			times[n], from = f.RTPTime, f.Arrival
			frames = append(frames, f)
		case recordEntry:
			entries = append(entries, d.entry(true))
		default:
			d.fail(fmt.Sprintf("record kind %d is not known", k))
		}
	}
	return frames, entries, d.err
}

// assemble appends a block to b: prefix, signed head, clear and sealed section.
func assemble(b []byte, head string, clear, sealed []byte) ([]byte, error) {
	if len(head) > MaxHead || len(clear) > MaxClear || len(sealed) > MaxSealed {
		return nil, fmt.Errorf("block of %d+%d+%d bytes is larger than a block may be", len(head), len(clear), len(sealed))
	}
	b = slices.Grow(b, prefixSize+len(head)+len(clear)+len(sealed))
	b = append(b, blockMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(clear)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(sealed)))
	b = append(b, head...)
	b = append(b, clear...)
	return append(b, sealed...), nil
}

// prefix reads a block's first bytes.
type lengths struct{ head, clear, sealed int }

func (l lengths) total() int64 { return prefixSize + int64(l.head) + int64(l.clear) + int64(l.sealed) }

func parsePrefix(b []byte) (lengths, error) {
	if len(b) < prefixSize || string(b[:4]) != blockMagic {
		return lengths{}, fmt.Errorf("%w: no block begins here", ErrMalformed)
	}
	l := lengths{
		head:   int(binary.BigEndian.Uint32(b[4:])),
		clear:  int(binary.BigEndian.Uint32(b[8:])),
		sealed: int(binary.BigEndian.Uint32(b[12:])),
	}
	if l.head == 0 || l.head > MaxHead || l.clear > MaxClear || l.sealed > MaxSealed {
		return lengths{}, fmt.Errorf("%w: a block's lengths are not within their bounds", ErrMalformed)
	}
	return l, nil
}
