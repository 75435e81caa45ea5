package sealing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/opusred"
)

// frameVersion stands in the high half of a frame header's first byte.
const frameVersion = 1

// NoLevel is the level of a frame that has none.
const NoLevel = 255

// redundantAudio is the code of sound packed twice (package opusred).
const redundantAudio = 4

func sourceCode(s interview.Source) byte {
	switch s {
	case interview.SourceAudio:
		return 1
	case interview.SourceVideo:
		return 2
	case interview.SourceScreen:
		return 3
	default:
		return 0
	}
}

// AppendFrameHeader appends the encoded header to dst.
func AppendFrameHeader(dst []byte, h FrameHeader) ([]byte, error) {
	code := sourceCode(h.Source)
	if code == 0 || h.Capture < 0 {
		return dst, fmt.Errorf("%w: header without source or with a time before the hearing", ErrFrame)
	}
	if h.Redundant {
		if h.Source != interview.SourceAudio {
			return dst, fmt.Errorf("%w: only sound is packed twice", ErrFrame)
		}
		code = redundantAudio
	}
	dst = append(dst, frameVersion<<4|code)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Capture))
	return append(dst, h.Level), nil
}

// ParseFrame cuts what was inside a seal into header and frame, without copying.
func ParseFrame(opened []byte) (FrameHeader, []byte, error) {
	if len(opened) < FrameHeaderBytes || opened[0]>>4 != frameVersion || opened[1]&0x80 != 0 {
		return FrameHeader{}, nil, ErrFrame
	}
	h := FrameHeader{Capture: interview.Micros(binary.BigEndian.Uint64(opened[1:9])), Level: opened[9]}
	switch opened[0] & 0x0f {
	case 1:
		h.Source = interview.SourceAudio
	case 2:
		h.Source = interview.SourceVideo
	case 3:
		h.Source = interview.SourceScreen
	case redundantAudio:
		h.Source, h.Redundant = interview.SourceAudio, true
	default:
		return FrameHeader{}, nil, ErrFrame
	}
	return h, opened[FrameHeaderBytes:], nil
}

// FrameMetadata is what SFrame authenticates beside a frame: the track id's text.
func FrameMetadata(track interview.TrackID) []byte { return []byte(track.String()) }

// FrameKey is one sender key at rest, for who opens a recording: it opens the
// frames of one key id and track.
type FrameKey struct {
	opener *sframe.Opener
	source interview.Source
	meta   []byte
}

// NewFrameKey takes the sender key that a wrap carried; it does not keep key.
func NewFrameKey(w Wrap, key []byte) (*FrameKey, error) {
	o, err := sframe.NewOpener(key, uint64(w.KID))
	if err != nil {
		return nil, err
	}
	return &FrameKey{opener: o, source: w.Source, meta: FrameMetadata(w.Track)}, nil
}

// Open opens a frame, each once and in about the order it was sealed (within
// sframe.Window), appending to dst; header and frame are returned.
func (k *FrameKey) Open(dst, sealed []byte) (FrameHeader, []byte, error) {
	return openFrame(k.opener, k.source, dst, k.meta, sealed)
}

func openFrame(o *sframe.Opener, source interview.Source, dst, meta, sealed []byte) (FrameHeader, []byte, error) {
	at := len(dst)
	out, err := o.Open(dst, meta, sealed)
	if errors.Is(err, sframe.ErrReplay) {
		return FrameHeader{}, nil, ErrReplay
	}
	if err != nil {
		return FrameHeader{}, nil, ErrFrame
	}
	h, frame, err := ParseFrame(out[at:])
	if err != nil {
		return FrameHeader{}, nil, err
	}
	if h.Source != source {
		return FrameHeader{}, nil, ErrTrack
	}
	return h, frame, nil
}

// sendKey is one of this member's own sender keys.
type sendKey struct {
	epoch  int64
	kid    int64
	sealer *sframe.Sealer
	wraps  []string
}

// sending is one of this member's own tracks. Its keys change under the lock
// of the group and its own; frames are sealed under its own alone.
type sending struct {
	track   interview.TrackID
	source  interview.Source
	number  int
	meta    []byte
	origins *originator // nil: none are signed

	mu    sync.Mutex
	cur   *sendKey
	next  *sendKey // takes over at from
	from  time.Time
	used  *sendKey // of the newest frame
	plain []byte
}

func newSending(track interview.TrackID, source interview.Source, number int, origins bool) *sending {
	s := &sending{track: track, source: source, number: number, meta: FrameMetadata(track)}
	if origins {
		s.origins = &originator{}
	}
	return s
}

func (s *sending) newest() *sendKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		return s.next
	}
	return s.cur
}

// rotate prepares for a new epoch. When somebody left, nothing more is sealed
// under keys that the one who left has.
func (s *sending) rotate(left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		s.cur, s.next = s.next, nil
	}
	if left {
		s.cur = nil
	}
}

func (s *sending) take(k *sendKey, from time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur == nil {
		s.cur, s.next = k, nil
		return
	}
	s.next, s.from = k, from
}

// Seal seals one frame of an own track and appends it to dst. It refuses with
// ErrNoKey until Wraps was called for the roster in force (or, when nobody
// left, goes on under the epoch before), and with ErrOrigin when origin lists
// were not collected for long.
func (g *Group) Seal(dst []byte, track interview.TrackID, h FrameHeader, frame []byte) ([]byte, error) {
	g.mu.RLock()
	s := g.own[track]
	g.mu.RUnlock()
	if s == nil {
		return dst, fmt.Errorf("%w: %s is not declared", ErrTrack, track)
	}
	if h.Source != s.source {
		return dst, fmt.Errorf("%w: a frame of %s on a track of %s", ErrTrack, h.Source, s.source)
	}
	return s.seal(dst, h, frame, g.c.Now)
}

func (s *sending) seal(dst []byte, h FrameHeader, frame []byte, now func() time.Time) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil && !now().Before(s.from) {
		s.cur, s.next = s.next, nil
	}
	if s.cur == nil {
		return dst, ErrNoKey
	}
	if s.origins != nil && s.origins.full() {
		return dst, ErrOrigin
	}
	if h.Redundant && s.used != s.cur {
		// What was said before a key is not sealed under it: whoever comes in, or
		// comes back, with the key was not there to hear it.
		own := opusred.Own(frame)
		if own == nil {
			return dst, fmt.Errorf("%w: packed sound cannot be read", ErrFrame)
		}
		frame = opusred.Append(nil, opusred.Block{Opus: own})
	}
	plain, err := AppendFrameHeader(s.plain[:0], h)
	if err != nil {
		return dst, err
	}
	s.plain = append(plain, frame...)
	at := len(dst)
	out, counter, err := s.cur.sealer.Seal(dst, s.meta, s.plain)
	if err != nil {
		return dst, err
	}
	s.used = s.cur
	if s.origins != nil {
		s.origins.add(s.cur.kid, counter, out[at:])
	}
	return out, nil
}

// Open opens a frame that came where the given member's track is expected and
// appends to dst; header and frame (within dst's array) are returned. A frame
// of any other member or track, one seen before, or one without a key here is
// refused. ErrNoKey may pass once the sender's wrap has come.
func (g *Group) Open(dst []byte, member interview.MemberID, track interview.TrackID, sealed []byte) (FrameHeader, []byte, error) {
	fh, err := sframe.ParseHeader(sealed)
	if err != nil || fh.KID > uint64(KID(MaxEpoch, MaxMembers-1, MaxTracks-1)) {
		return FrameHeader{}, nil, ErrFrame
	}
	g.mu.RLock()
	k := g.keys[int64(fh.KID)]
	g.mu.RUnlock()
	if k == nil {
		return FrameHeader{}, nil, ErrNoKey
	}
	if k.member != member || k.track != track {
		return FrameHeader{}, nil, ErrTrack
	}
	g.mu.RLock()
	until := k.until
	g.mu.RUnlock()
	if !until.IsZero() && g.c.Now().After(until) {
		return FrameHeader{}, nil, ErrNoKey
	}
	return openFrame(k.opener, k.source, dst, k.meta, sealed)
}
