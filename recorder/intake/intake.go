package intake

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
)

var (
	// ErrStranger says that a chunk is not of this hearing's room as the evidence
	// knows it.
	ErrStranger = errors.New("the evidence does not know this chunk's roster or sender")
	// ErrNothing says that recorders have everything: nothing may be taken in.
	ErrNothing = errors.New("recorders have all that was on record")
	// ErrLong says that more was granted or brought than is taken in at once, and
	// which bound it was.
	ErrLong = errors.New("it is more than is taken in at once")
)

// maxRoom bounds one list of a bundle that is read here, in bytes.
const maxRoom = evidence.MaxListing

// How far around a moment that no recorder has frames are taken in: what was
// captured before a recorder ended may not have arrived there, and one that came
// back has no key for what was sent before it was on the roster. Never beyond what
// was on record; what a recorder has too counts once.
const (
	slackBefore = interview.Micros(500_000)
	slackAfter  = interview.Micros(1_000_000)
)

// Frame is one frame that was taken in.
type Frame struct {
	Member  interview.MemberID
	Track   interview.TrackID
	Source  interview.Source
	KID     uint64
	Counter uint64
	Capture interview.Micros
	Sealed  []byte // as its sender sealed it
	Codec   []byte // what is inside; of sound that was packed twice, its own packet

	key *heldKey // that opened it: nobody signs for keys, and a later file may bring another
}

// Report is what a back-up held.
type Report struct {
	Chunks  int64            `json:"chunks"`
	Frames  int64            `json:"frames"`
	Taken   int64            `json:"taken"`
	Had     int64            `json:"had"`      // outside what was granted
	Unsure  int64            `json:"unproved"` // on no list of their sender, or not opened
	From    interview.Micros `json:"from"`     // of what was taken
	To      interview.Micros `json:"to"`
	Missing interview.Micros `json:"missing"` // that may be taken in
}

// Evidence is what a verified bundle, or a grant, says of a hearing's room.
type Evidence struct {
	report evidence.Report // of a bundle
	grant  backup.Grant
	known  map[string]bool // rosters and statements

	// Limits can be lowered before the first Read.
	Limits Limits

	// Of what was read so far.
	lists     map[sentUnder][]list
	listBytes int64
	rosters   map[epochOf]string
	keys      map[sentUnder][]*heldKey // at most sameName of each, the one that came last first
	keyCount  int
	tracks    map[sentUnder]bool
}

// Open verifies a bundle and reads from it who was in the room.
func Open(bundle io.ReaderAt, size int64, t *trust.File, o evidence.Options) (*Evidence, error) {
	r, err := evidence.Verify(bundle, size, t, o)
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(bundle, size)
	if err != nil {
		return nil, err
	}
	lists := map[string][]string{}
	for _, name := range []string{"room/rosters", "room/statements", "room/admissions"} {
		f, err := z.Open(name)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(f, maxRoom))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if line != "" {
				lists[name] = append(lists[name], line)
			}
		}
	}
	g := backup.Grant{
		V: 1, Case: r.Manifest.Case, Hearing: r.Manifest.Hearing, Bundle: r.Name, Spans: lacking(r.Coverage.Spans),
		Rosters: []string{}, Statements: []string{},
	}
	for _, text := range lists["room/rosters"] {
		g.Rosters = append(g.Rosters, jws.Hash(text))
	}
	if g.Statements, err = admitted(lists["room/statements"], lists["room/admissions"]); err != nil {
		return nil, err
	}
	if err := within(g); err != nil {
		return nil, err
	}
	e := Under(g)
	e.report = r
	return e, nil
}

// within refuses what no grant says.
func within(g backup.Grant) error {
	switch {
	case len(g.Spans) > backup.MaxSpans:
		return fmt.Errorf("%w: %d stretches are missing, at most %d", ErrLong, len(g.Spans), backup.MaxSpans)
	case len(g.Rosters) > backup.MaxKnown:
		return fmt.Errorf("%w: the room had %d rosters, at most %d", ErrLong, len(g.Rosters), backup.MaxKnown)
	case len(g.Statements) > backup.MaxKnown:
		return fmt.Errorf("%w: %d pages were in the room, at most %d", ErrLong, len(g.Statements), backup.MaxKnown)
	}
	return nil
}

// Under is the evidence that a grant stands for, whose signature was verified.
func Under(g backup.Grant) *Evidence {
	e := &Evidence{
		Limits: DefaultLimits(), grant: g, known: map[string]bool{},
		lists: map[sentUnder][]list{}, rosters: map[epochOf]string{}, keys: map[sentUnder][]*heldKey{}, tracks: map[sentUnder]bool{},
	}
	for _, h := range slices.Concat(g.Rosters, g.Statements) {
		e.known[h] = true
	}
	return e
}

// lacking gives the stretches on record that no recorder has, with their slack.
func lacking(spans []coverage.Span) []backup.Span {
	out := []backup.Span{}
	recorded := func(i int) bool { return i >= 0 && i < len(spans) && spans[i].State == coverage.Recorded }
	for i, s := range spans {
		if s.State != coverage.Missing && s.State != coverage.Backup {
			continue
		}
		x := backup.Span{From: s.From, To: s.To}
		for k := i - 1; recorded(k) && x.From > s.From-slackBefore; k-- {
			x.From = max(spans[k].From, s.From-slackBefore)
		}
		for k := i + 1; recorded(k) && x.To < s.To+slackAfter; k++ {
			x.To = min(spans[k].To, s.To+slackAfter)
		}
		if n := len(out); n > 0 && x.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, x.To)
			continue
		}
		out = append(out, x)
	}
	return out
}

// admitted names the statements that were admitted: a page names itself in its
// statement, and another's could name the same member.
func admitted(statements, admissions []string) ([]string, error) {
	named := map[string]bool{}
	for _, text := range admissions {
		var a sealing.Admission
		if err := jws.Peek(text, sealing.TypeAdmission, &a); err != nil { // verified in the bundle
			return nil, err
		}
		named[a.Statement] = a.Kind == sealing.KindPage
	}
	out := []string{}
	for _, text := range statements {
		if h := jws.Hash(text); named[h] {
			out = append(out, h)
		}
	}
	return out, nil
}

// Hearing is whose evidence it is.
func (e *Evidence) Hearing() interview.HearingID { return e.grant.Hearing }

// Report is what verifying the bundle said; of a mere grant nothing.
func (e *Evidence) Report() evidence.Report { return e.report }

// Grant is what may be taken in by this evidence, to be signed; ErrNothing where
// no recorder lacks anything.
func (e *Evidence) Grant(now time.Time) (backup.Grant, error) {
	if len(e.grant.Spans) == 0 {
		return backup.Grant{}, ErrNothing
	}
	g := e.grant
	g.At = now.Unix()
	return g, nil
}

func (e *Evidence) total() (sum interview.Micros) {
	for _, s := range e.grant.Spans {
		sum += s.To - s.From
	}
	return sum
}

// sentUnder is what a sender's lists are of. Without a key id it is a track.
type sentUnder struct {
	member interview.MemberID // who signed it
	track  interview.TrackID
	kid    uint64
}

// list is one list that a sender signed.
type list struct {
	first  uint64 // counter
	seq    int64
	hashes []byte
	text   string
}

// hashOf gives the hash that the list has for a counter, or nil.
func (l *list) hashOf(counter uint64) []byte {
	if n := counter - l.first; counter >= l.first && n < uint64(len(l.hashes)/sealing.OriginHashBytes) {
		return l.hashes[n*sealing.OriginHashBytes:][:sealing.OriginHashBytes]
	}
	return nil
}

// listOf finds the list that speaks of a frame: lists of one sender do not overlap.
// Nil: there is none.
func (e *Evidence) listOf(of sentUnder, counter uint64) *list {
	all := e.lists[of]
	n, here := slices.BinarySearchFunc(all, counter, func(l list, c uint64) int { return cmp.Compare(l.first, c) })
	if !here {
		n--
	}
	if n < 0 || all[n].hashOf(counter) == nil {
		return nil
	}
	return &all[n]
}

type epochOf struct {
	group interview.GroupID
	epoch int64
}

// sameName is how many keys of one name are held. Nobody signs for a key, so a
// file of somebody else may give another's name to a wrong one; only the right one
// opens a frame, and it comes with its owner's file.
const sameName = 4

type heldKey struct {
	key    *sealing.FrameKey
	member interview.MemberID
	of     backup.Key
	raw    []byte
}

// open opens a frame; of sound that was packed with copies of what came before it
// (RFC 2198) it gives its own packet.
func (k *heldKey) open(sealed []byte) (sealing.FrameHeader, []byte, error) {
	head, codec, err := k.key.Open(nil, sealed)
	if err != nil || !head.Redundant {
		return head, codec, err
	}
	blocks, err := opusred.Split(nil, codec)
	if err != nil || len(blocks) == 0 || blocks[len(blocks)-1].Ago != 0 {
		return head, nil, sealing.ErrFrame
	}
	return head, blocks[len(blocks)-1].Opus, nil
}

// Read reads a back-up file through, twice: lists first, since the list of a
// frame may stand in a later chunk. take is given each frame that counts. What is
// held in memory stays within Limits; ErrLong where a file would pass them.
func (e *Evidence) Read(ctx context.Context, open func() (io.ReadCloser, error), own hpke.PrivateKey, t *trust.File, take func(Frame) error) (Report, error) {
	r := Report{Missing: e.total()}
	pass := func(each func(*backup.Chunk) error) error {
		f, err := open()
		if err != nil {
			return err
		}
		return errors.Join(backup.Read(f, e.grant.Hearing, own, func(c *backup.Chunk) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return each(c)
		}), f.Close())
	}
	err := pass(func(c *backup.Chunk) error {
		if err := c.Check(t); err != nil {
			return err
		}
		return e.learn(c, own)
	})
	if err != nil {
		return r, err
	}
	e.sort()
	return r, pass(func(c *backup.Chunk) error {
		r.Chunks++
		for _, f := range c.Frames {
			if err := e.frame(&r, c, f, take); err != nil {
				return err
			}
		}
		return nil
	})
}

// learn takes a chunk's keys and the lists that its sender signed.
func (e *Evidence) learn(c *backup.Chunk, own hpke.PrivateKey) error {
	if !e.known[jws.Hash(c.Roster)] || !e.known[jws.Hash(c.Statement)] {
		return ErrStranger
	}
	var s sealing.Statement
	if err := jws.Peek(c.Statement, sealing.TypeStatement, &s); err != nil { // verified in the bundle
		return err
	}
	if s.Member != c.Member || s.Hearing != e.grant.Hearing {
		return ErrStranger
	}
	point, err := base64.RawURLEncoding.DecodeString(s.SignKey)
	if err != nil {
		return err
	}
	signer, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	e.rosters[epochOf{c.Group, c.Epoch}] = c.Roster
	for _, k := range c.Keys {
		if err := e.learnKey(c, k, own); err != nil {
			return err
		}
	}
	for _, text := range c.Origins {
		if err := e.learnList(c, text, signer); err != nil {
			return fmt.Errorf("origin list: %w", err)
		}
	}
	return nil
}

func (e *Evidence) learnKey(c *backup.Chunk, k backup.Key, own hpke.PrivateKey) error {
	raw, err := c.OpenKey(own, k)
	if err != nil {
		return err
	}
	of := sentUnder{c.Member, k.Track, uint64(k.KID)}
	held := e.keys[of]
	if slices.ContainsFunc(held, func(h *heldKey) bool { return h.of.Source == k.Source && bytes.Equal(h.raw, raw) }) {
		return nil // it knows what it opened: a frame in two files counts once
	}
	if len(held) == sameName {
		held = held[:sameName-1]
	} else if e.keyCount++; e.keyCount > e.Limits.Keys {
		return fmt.Errorf("%w: more than %d sender keys", ErrLong, e.Limits.Keys)
	}
	if of := (sentUnder{member: c.Member, track: k.Track}); !e.tracks[of] {
		if len(e.tracks) >= e.Limits.Tracks {
			return fmt.Errorf("%w: more than %d tracks", ErrLong, e.Limits.Tracks)
		}
		e.tracks[of] = true
	}
	key, err := sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, raw)
	if err != nil {
		return err
	}
	e.keys[of] = slices.Insert(held, 0, &heldKey{key, c.Member, k, raw})
	return nil
}

// learnList takes a list that a journal can keep, and no other: what is taken in
// stands beside it.
func (e *Evidence) learnList(c *backup.Chunk, text string, signer *ecdsa.PublicKey) error {
	var o sealing.Origin
	if err := jws.Verify(text, sealing.TypeOrigin, signer, &o); err != nil {
		return err
	}
	if o.Member != c.Member || o.Hearing != e.grant.Hearing || o.Group != c.Group {
		return ErrStranger
	}
	hashes, err := journal.OriginHashes(text, o.Hearing, o.Group)
	if err != nil {
		return err
	}
	if e.listBytes += int64(len(text) + len(hashes)); e.listBytes > e.Limits.Lists {
		return fmt.Errorf("%w: signed lists of more than %d bytes", ErrLong, e.Limits.Lists)
	}
	of := sentUnder{c.Member, o.Track, uint64(o.KID)}
	e.lists[of] = append(e.lists[of], list{uint64(o.First), o.Seq, hashes, text})
	return nil
}

// sort puts lists in the order of what they speak of. One that stands in two files
// is there once.
func (e *Evidence) sort() {
	for of, all := range e.lists {
		slices.SortStableFunc(all, func(a, b list) int { return cmp.Compare(a.first, b.first) })
		e.lists[of] = slices.CompactFunc(all, func(a, b list) bool {
			again := a.text == b.text
			if again {
				e.listBytes -= int64(len(b.text) + len(b.hashes))
			}
			return again
		})
	}
}

func (e *Evidence) frame(r *Report, c *backup.Chunk, f backup.Frame, take func(Frame) error) error {
	r.Frames++
	sealed, err := f.Bytes()
	if err != nil {
		return err
	}
	h, err := sframe.ParseHeader(sealed)
	if err != nil {
		return err
	}
	stands := e.listOf(sentUnder{c.Member, f.Track, h.KID}, h.Counter)
	sum := sha256.Sum256(sealed)
	if stands == nil || !bytes.Equal(stands.hashOf(h.Counter), sum[:sealing.OriginHashBytes]) {
		r.Unsure++
		return nil
	}
	var key *heldKey
	var head sealing.FrameHeader
	var codec []byte
	err = sealing.ErrFrame
	for _, key = range e.keys[sentUnder{c.Member, f.Track, h.KID}] {
		if head, codec, err = key.open(sealed); err == nil || errors.Is(err, sealing.ErrReplay) {
			break
		}
	}
	switch {
	case errors.Is(err, sealing.ErrReplay):
		r.Had++ // it stands in two files
		return nil
	case err != nil:
		r.Unsure++
		return nil //nolint:nilerr // counted: one frame that does not open is no fault of the others
	}
	if e.grant.Within(head.Capture) < 0 {
		r.Had++
		return nil
	}
	if r.Taken == 0 {
		r.From = head.Capture
	}
	r.Taken++
	r.From, r.To = min(r.From, head.Capture), max(r.To, head.Capture)
	return take(Frame{c.Member, f.Track, head.Source, h.KID, h.Counter, head.Capture, sealed, codec, key})
}
