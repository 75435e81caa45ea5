package sealing

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
)

const (
	// MaxPendingOrigins bounds the lists of a track that wait to be collected.
	MaxPendingOrigins = 32
	// MaxOriginBytes bounds one signed list.
	MaxOriginBytes = 16 << 10
)

// originator gathers the hashes of a track's sealed frames. The track's mutex
// guards it.
type originator struct {
	closed []originRun
	open   originRun
	seq    int64
	prev   string
}

// originRun is frames of consecutive counters under one key.
type originRun struct {
	kid    int64
	first  uint64
	hashes []byte
}

func (r *originRun) frames() int { return len(r.hashes) / OriginHashBytes }

func (o *originator) full() bool { return len(o.closed) >= MaxPendingOrigins }

func (o *originator) add(kid int64, counter uint64, sealed []byte) {
	n := o.open.frames()
	if n > 0 && (o.open.kid != kid || o.open.first+uint64(n) != counter || n == MaxOriginFrames) {
		o.closed = append(o.closed, o.open)
		o.open, n = originRun{}, 0
	}
	if n == 0 {
		o.open.kid, o.open.first = kid, counter
		if o.open.hashes == nil {
			o.open.hashes = make([]byte, 0, MaxOriginFrames*OriginHashBytes)
		}
	}
	sum := sha256.Sum256(sealed)
	o.open.hashes = append(o.open.hashes, sum[:OriginHashBytes]...)
}

// take hands over what was gathered.
func (o *originator) take() []originRun {
	runs := o.closed
	if o.open.frames() > 0 {
		open := o.open
		open.hashes = bytes.Clone(open.hashes)
		o.open.hashes = o.open.hashes[:0]
		runs = append(runs, open)
	}
	o.closed = nil
	return runs
}

// Origins signs and returns the lists of all frames sealed since the last
// call, of every own track. Call it once a second, and before leaving.
func (g *Group) Origins() ([]string, error) {
	g.mu.RLock()
	own := make([]*sending, 0, len(g.own))
	for _, s := range g.own {
		if s.origins != nil {
			own = append(own, s)
		}
	}
	g.mu.RUnlock()
	slices.SortFunc(own, func(a, b *sending) int { return a.number - b.number })
	var lists []string
	for _, s := range own {
		signed, err := s.signOrigins(g.c.Hearing, g.c.Group, g.c.Self)
		lists = append(lists, signed...)
		if err != nil {
			return lists, err
		}
	}
	return lists, nil
}

func (s *sending) signOrigins(hearing interview.HearingID, group interview.GroupID, self *Identity) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lists []string
	for _, run := range s.origins.take() {
		text, err := jws.Sign(Origin{
			V: 1, Hearing: hearing, Group: group, Member: self.member, Track: s.track, Seq: s.origins.seq,
			Prev: s.origins.prev, KID: run.kid, First: int64(run.first),
			Hashes: base64.RawURLEncoding.EncodeToString(run.hashes),
		}, TypeOrigin, self.sign)
		if err != nil {
			return lists, fmt.Errorf("origin list: %w", err)
		}
		s.origins.seq++
		s.origins.prev = jws.Hash(text)
		lists = append(lists, text)
	}
	return lists, nil
}

// VerifyOrigin checks a list's signature, that it is the member's own, and its
// bounds. Whether its key id was the member's in that epoch needs the roster:
// see PlaceOf and Group.AcceptOrigin.
func (m *Member) VerifyOrigin(message string) (Origin, error) {
	var o Origin
	if len(message) > MaxOriginBytes || m.Recorder() {
		return Origin{}, fmt.Errorf("%w: too long, or from a recorder", ErrOrigin)
	}
	if err := jws.Verify(message, TypeOrigin, m.sign, &o); err != nil {
		return Origin{}, fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	hashes, err := base64.RawURLEncoding.Strict().DecodeString(o.Hashes)
	n := len(hashes) / OriginHashBytes
	switch {
	case o.V != 1 || o.Member != m.Statement.Member || o.Hearing != m.Statement.Hearing:
		return Origin{}, fmt.Errorf("%w: it is of another version, member or hearing", ErrOrigin)
	case err != nil || len(hashes)%OriginHashBytes != 0 || n == 0 || n > MaxOriginFrames:
		return Origin{}, fmt.Errorf("%w: hashes are malformed, none or too many", ErrOrigin)
	case o.Track.IsZero() || len(o.Rid) > 16 || o.Seq < 0 || o.First < 0 || o.KID < 0 || (o.Seq == 0) != (o.Prev == ""):
		return Origin{}, fmt.Errorf("%w: a value is out of bounds", ErrOrigin)
	}
	return o, nil
}

// Covers reports whether the list names this sealed frame, by key id, counter
// and hash. The list must have been verified.
func (o *Origin) Covers(sealed []byte) bool {
	h, err := sframe.ParseHeader(sealed)
	if err != nil || h.KID != uint64(o.KID) || h.Counter < uint64(o.First) {
		return false
	}
	hashes, err := base64.RawURLEncoding.DecodeString(o.Hashes)
	i := h.Counter - uint64(o.First)
	if err != nil || i >= uint64(len(hashes)/OriginHashBytes) {
		return false
	}
	sum := sha256.Sum256(sealed)
	return subtle.ConstantTimeCompare(sum[:OriginHashBytes], hashes[i*OriginHashBytes:(i+1)*OriginHashBytes]) == 1
}

// PlaceOf splits a key id into epoch, place on that epoch's roster and track number.
func PlaceOf(kid int64) (epoch int64, place, number int) {
	return kid >> 10, int(kid >> 4 & (MaxMembers - 1)), numberOf(kid)
}

type listOf struct {
	member interview.MemberID
	track  interview.TrackID
	rid    string
}

type listHead struct {
	seq  int64
	hash string
}

// AcceptOrigin verifies a list of a known member: its key id must be that
// member's in its epoch, and lists must follow each other. Lists may be lost;
// none is taken twice or out of order.
func (g *Group) AcceptOrigin(message string) (Origin, error) {
	var peek Origin
	if len(message) > MaxOriginBytes {
		return Origin{}, fmt.Errorf("%w: longer than %d bytes", ErrOrigin, MaxOriginBytes)
	}
	if err := jws.Peek(message, TypeOrigin, &peek); err != nil {
		return Origin{}, fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	m := g.Member(peek.Member)
	if m == nil {
		return Origin{}, fmt.Errorf("%w: %s", ErrUnknownMember, peek.Member)
	}
	o, err := m.VerifyOrigin(message)
	if err != nil {
		return Origin{}, err
	}
	if o.Group != g.c.Group || !g.c.Rules.Origins {
		return Origin{}, fmt.Errorf("%w: it is of another group", ErrOrigin)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	epoch, place, number := PlaceOf(o.KID)
	if at := g.places[epoch]; place >= len(at) || at[place] != o.Member {
		return Origin{}, fmt.Errorf("%w: key id %d was not %s's", ErrOrigin, o.KID, o.Member)
	}
	if facts, ok := g.tracks[trackOf{o.Member, o.Track}]; ok && facts.number != number {
		return Origin{}, fmt.Errorf("%w: key id %d is not of %s", ErrOrigin, o.KID, o.Track)
	}
	of := listOf{o.Member, o.Track, o.Rid}
	last, ok := g.lists[of]
	if ok && o.Seq <= last.seq {
		return Origin{}, fmt.Errorf("%w: origin list %d of %s", ErrReplay, o.Seq, o.Track)
	}
	if ok && o.Seq == last.seq+1 && o.Prev != last.hash {
		return Origin{}, fmt.Errorf("%w: list %d of %s does not follow the one before", ErrOrigin, o.Seq, o.Track)
	}
	if !ok && len(g.lists) >= MaxKnown*MaxTracks {
		return Origin{}, fmt.Errorf("%w: too many tracks", ErrOrigin)
	}
	g.lists[of] = listHead{o.Seq, jws.Hash(message)}
	return o, nil
}
