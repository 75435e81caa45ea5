package intake

import (
	"archive/zip"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
)

// ErrStranger says that a chunk is not of this hearing's room as the evidence
// knows it.
var ErrStranger = errors.New("the evidence does not know this chunk's roster or sender")

// maxRoom bounds one list of a bundle that is read here, in bytes.
const maxRoom = evidence.MaxListing

// Frame is one frame that was taken in.
type Frame struct {
	Member  interview.MemberID
	Track   interview.TrackID
	Capture interview.Micros
	Codec   []byte
}

// Report is what a back-up held.
type Report struct {
	Chunks  int64            `json:"chunks"`
	Frames  int64            `json:"frames"`
	Taken   int64            `json:"taken"`
	Had     int64            `json:"had"`      // a recorder has their moment
	Unsure  int64            `json:"unproved"` // on no list of their sender, or not opened
	From    interview.Micros `json:"from"`     // of what was taken
	To      interview.Micros `json:"to"`
	Missing interview.Micros `json:"missing"` // by the evidence, before
}

// Evidence is a verified bundle.
type Evidence struct {
	hearing    interview.HearingID
	missing    []coverage.Span
	total      interview.Micros
	rosters    map[string]bool
	statements map[string]bool
}

// Open verifies a bundle and reads from it who was in the room.
func Open(bundle io.ReaderAt, size int64, t *trust.File, o evidence.Options) (*Evidence, error) {
	r, err := evidence.Verify(bundle, size, t, o)
	if err != nil {
		return nil, err
	}
	e := &Evidence{hearing: r.Manifest.Hearing, total: r.Coverage.Missing, rosters: map[string]bool{}, statements: map[string]bool{}}
	for _, s := range r.Coverage.Spans {
		if s.State == coverage.Missing {
			e.missing = append(e.missing, s)
		}
	}
	z, err := zip.NewReader(bundle, size)
	if err != nil {
		return nil, err
	}
	admissions := map[string]bool{}
	for name, into := range map[string]map[string]bool{"room/rosters": e.rosters, "room/statements": e.statements, "room/admissions": admissions} {
		f, err := z.Open(name)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(f, maxRoom))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			into[line] = line != ""
		}
	}
	return e, e.admitted(admissions)
}

// admitted leaves the statements that were admitted: a page names itself in its
// statement, and another's could name the same member.
func (e *Evidence) admitted(admissions map[string]bool) error {
	named := map[string]bool{}
	for text := range admissions {
		if text == "" {
			continue
		}
		var a sealing.Admission
		if err := jws.Peek(text, sealing.TypeAdmission, &a); err != nil { // verified in the bundle
			return err
		}
		named[a.Statement] = true
	}
	for text := range e.statements {
		e.statements[text] = named[jws.Hash(text)]
	}
	return nil
}

// Hearing is whose evidence it is.
func (e *Evidence) Hearing() interview.HearingID { return e.hearing }

// lacks reports whether no recorder has a moment.
func (e *Evidence) lacks(t interview.Micros) bool {
	for _, s := range e.missing {
		if s.From <= t && t < s.To {
			return true
		}
	}
	return false
}

type listed struct {
	member interview.MemberID // who signed it
	track  interview.TrackID
	kid    uint64
	count  uint64
}

// Read reads a back-up file through, twice: lists first, since the list of a
// frame may stand in a later chunk. take is given each frame that counts.
func (e *Evidence) Read(open func() (io.ReadCloser, error), own hpke.PrivateKey, t *trust.File, take func(Frame) error) (Report, error) {
	r := Report{Missing: e.total}
	lists := map[listed][]byte{}
	keys := map[uint64]*sealing.FrameKey{}
	pass := func(each func(*backup.Chunk) error) error {
		f, err := open()
		if err != nil {
			return err
		}
		return errors.Join(backup.Read(f, e.hearing, own, each), f.Close())
	}
	err := pass(func(c *backup.Chunk) error {
		if err := c.Check(t); err != nil {
			return err
		}
		return e.lists(c, own, lists, keys)
	})
	if err != nil {
		return r, err
	}
	return r, pass(func(c *backup.Chunk) error {
		r.Chunks++
		for _, f := range c.Frames {
			if err := e.frame(&r, c, f, lists, keys, take); err != nil {
				return err
			}
		}
		return nil
	})
}

// lists takes a chunk's keys and the lists that its sender signed.
func (e *Evidence) lists(c *backup.Chunk, own hpke.PrivateKey, into map[listed][]byte, keys map[uint64]*sealing.FrameKey) error {
	if !e.rosters[c.Roster] || !e.statements[c.Statement] {
		return ErrStranger
	}
	var s sealing.Statement
	if err := jws.Peek(c.Statement, sealing.TypeStatement, &s); err != nil { // verified in the bundle
		return err
	}
	if s.Member != c.Member || s.Hearing != e.hearing {
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
	for _, k := range c.Keys {
		raw, err := c.OpenKey(own, k)
		if err != nil {
			return err
		}
		key, err := sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, raw)
		if err != nil {
			return err
		}
		keys[uint64(k.KID)] = key
	}
	for _, text := range c.Origins {
		var o sealing.Origin
		if err := jws.Verify(text, sealing.TypeOrigin, signer, &o); err != nil {
			return fmt.Errorf("origin list: %w", err)
		}
		hashes, err := base64.RawURLEncoding.DecodeString(o.Hashes)
		if err != nil || o.Member != c.Member || o.Hearing != e.hearing {
			return ErrStranger
		}
		for n := uint64(0); len(hashes) >= sealing.OriginHashBytes; n++ {
			into[listed{c.Member, o.Track, uint64(o.KID), uint64(o.First) + n}] = hashes[:sealing.OriginHashBytes]
			hashes = hashes[sealing.OriginHashBytes:]
		}
	}
	return nil
}

func (e *Evidence) frame(r *Report, c *backup.Chunk, f backup.Frame, lists map[listed][]byte, keys map[uint64]*sealing.FrameKey, take func(Frame) error) error {
	r.Frames++
	sealed, err := f.Bytes()
	if err != nil {
		return err
	}
	h, err := sframe.ParseHeader(sealed)
	if err != nil {
		return err
	}
	want := lists[listed{c.Member, f.Track, h.KID, h.Counter}]
	sum := sha256.Sum256(sealed)
	key := keys[h.KID]
	proved := key != nil && want != nil && bytes.Equal(want, sum[:sealing.OriginHashBytes])
	var head sealing.FrameHeader
	var codec []byte
	if proved {
		head, codec, err = key.Open(nil, sealed)
		if proved = err == nil; proved && head.Redundant {
			// Sound that was packed with copies of what came before it (RFC 2198).
			blocks, err := opusred.Split(nil, codec)
			if proved = err == nil && len(blocks) > 0 && blocks[len(blocks)-1].Ago == 0; proved {
				codec = blocks[len(blocks)-1].Opus
			}
		}
	}
	if !proved {
		r.Unsure++
		return nil
	}
	if !e.lacks(head.Capture) {
		r.Had++
		return nil
	}
	if r.Taken == 0 {
		r.From = head.Capture
	}
	r.Taken++
	r.From, r.To = min(r.From, head.Capture), max(r.To, head.Capture)
	return take(Frame{c.Member, f.Track, head.Capture, codec})
}
