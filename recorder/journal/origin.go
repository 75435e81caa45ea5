package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
)

// List is an origin list as a journal keeps it: in the fewest bytes from which
// the text that its sender signed can be made again. Hearing and group are those
// of the journal's opening.
type List struct {
	Member    interview.MemberID
	Track     interview.TrackID
	Rid       string
	Seq       int64
	Prev      string // hash of the list before's text, "" at 0
	KID       int64
	First     int64  // counter of the first frame
	Hashes    []byte // sealing.OriginHashBytes for each frame
	Signature []byte // r and s, 64 bytes
	Name      string // jws.Hash of the text that was signed
}

const (
	signatureSize = 64
	hashSize      = 32
	maxRid        = 16
)

// originHeader is the header of every list, in base64url.
var originHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"` + sealing.TypeOrigin + `"}`))

var errNotKept = errors.New("an origin list that is not in the form that a journal keeps")

// packOrigin reads a list's text and gives its record, without kind and time. A
// text that cannot be made again from it is refused.
func packOrigin(text []byte, o *Opened) ([]byte, error) {
	l, prev, err := readOrigin(text, o.Hearing, o.Group)
	if err != nil {
		return nil, err
	}
	b := appendText(nil, l.Member.String())
	b = appendText(b, l.Track.String())
	b = appendText(b, l.Rid)
	b = binary.AppendUvarint(b, uint64(l.Seq))
	b = append(b, prev...)
	b = binary.AppendUvarint(b, uint64(l.KID))
	b = binary.AppendUvarint(b, uint64(l.First))
	b = binary.AppendUvarint(b, uint64(len(l.Hashes)/sealing.OriginHashBytes))
	b = append(b, l.Hashes...)
	return append(b, l.Signature...), nil
}

// OriginHashes gives the hashes of a list that a journal of this hearing and group
// keeps: a text that it could not make again is refused. Whose list it is the caller
// has verified.
func OriginHashes(text string, hearing interview.HearingID, group interview.GroupID) ([]byte, error) {
	l, _, err := readOrigin([]byte(text), hearing, group)
	if err != nil {
		return nil, err
	}
	return l.Hashes, nil
}

func readOrigin(text []byte, hearing interview.HearingID, group interview.GroupID) (l *List, prev []byte, err error) {
	var m sealing.Origin
	if err := jws.Peek(string(text), sealing.TypeOrigin, &m); err != nil {
		return nil, nil, err
	}
	hashes, err := base64.RawURLEncoding.DecodeString(m.Hashes)
	if err != nil {
		return nil, nil, errNotKept
	}
	signature, err := base64.RawURLEncoding.DecodeString(string(text[bytes.LastIndexByte(text, '.')+1:]))
	if err != nil {
		return nil, nil, errNotKept
	}
	l = &List{Member: m.Member, Track: m.Track, Rid: m.Rid, Seq: m.Seq, Prev: m.Prev, KID: m.KID, First: m.First, Hashes: hashes, Signature: signature}
	prev, err = base64.RawURLEncoding.DecodeString(l.Prev)
	if err != nil || l.check() != nil || (l.Seq > 0) != (len(prev) == hashSize) || l.Seq == 0 && len(prev) != 0 {
		return nil, nil, errNotKept
	}
	if again, _ := l.appendText(nil, nil, hearing.String(), group.String()); !bytes.Equal(again, text) {
		return nil, nil, errNotKept
	}
	return l, prev, nil
}

// check says whether a list is within what a record can say.
func (l *List) check() error {
	if len(l.Rid) > maxRid || l.Seq < 0 || l.KID < 0 || l.First < 0 || len(l.Signature) != signatureSize {
		return errNotKept
	}
	if n := len(l.Hashes); n == 0 || n%sealing.OriginHashBytes != 0 || n > sealing.MaxOriginFrames*sealing.OriginHashBytes {
		return errNotKept
	}
	for _, c := range []byte(l.Rid) { // nothing that JSON would escape
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return errNotKept
		}
	}
	return nil
}

// list reads the record of a list.
func (d *decoder) list() *List {
	l := &List{}
	var err error
	if l.Member, err = interview.ParseMemberID(d.text()); err != nil {
		d.fail("an origin list's member is no member")
	}
	if l.Track, err = interview.ParseTrackID(d.text()); err != nil {
		d.fail("an origin list's track is no track")
	}
	const most = 1<<53 - 1
	l.Rid = d.text()
	l.Seq = int64(d.uvarint(most, "an origin list's number"))
	if l.Seq > 0 {
		l.Prev = base64.RawURLEncoding.EncodeToString(d.bytes(hashSize))
	}
	l.KID = int64(d.uvarint(most, "an origin list's key id"))
	l.First = int64(d.uvarint(most, "an origin list's counter"))
	l.Hashes = d.bytes(d.uvarint(sealing.MaxOriginFrames, "an origin list's length") * sealing.OriginHashBytes)
	l.Signature = d.bytes(signatureSize)
	if d.err == nil && l.check() != nil {
		d.fail("an origin list is not within its bounds")
	}
	return l
}

// appendText adds the compact text that the sender signed, with its signature.
// room is to work in, and given back.
func (l *List) appendText(b, room []byte, hearing, group string) (text, again []byte) {
	p := append(room[:0], `{"first":`...)
	p = strconv.AppendInt(p, l.First, 10)
	p = append(append(p, `,"group":"`...), group...)
	p = append(p, `","hashes":"`...)
	p = base64.RawURLEncoding.AppendEncode(p, l.Hashes)
	p = append(append(p, `","hearing":"`...), hearing...)
	p = append(p, `","kid":`...)
	p = strconv.AppendInt(p, l.KID, 10)
	p = append(append(p, `,"member":"`...), l.Member.String()...)
	p = append(append(p, `","prev":"`...), l.Prev...)
	p = append(append(p, `","rid":"`...), l.Rid...)
	p = append(p, `","seq":`...)
	p = strconv.AppendInt(p, l.Seq, 10)
	p = append(append(p, `,"track":"`...), l.Track.String()...)
	p = append(p, `","v":1}`...)
	b = append(b, originHeader...)
	b = append(b, '.')
	b = base64.RawURLEncoding.AppendEncode(b, p)
	b = append(b, '.')
	return base64.RawURLEncoding.AppendEncode(b, l.Signature), p
}

// List gives the fields of an entry of type origin that was read from a journal.
func (e Entry) List() (*List, bool) { return e.list, e.list != nil }

// appendOrigin adds a record; body is what packOrigin gave.
func appendOrigin(b []byte, at interview.Micros, body []byte) []byte {
	b = append(b, recordOrigin)
	b = binary.AppendVarint(b, int64(at))
	return append(b, body...)
}

// origin reads a record and gives the entry without its text, which needs the
// journal's opening: see spell.
func (d *decoder) origin() Entry {
	e := Entry{Type: EntryOrigin, At: interview.Micros(d.varint("an entry's time"))}
	e.list = d.list()
	return e
}

// spell gives lists the text that their senders signed.
func spell(entries []Entry, o *Opened) {
	var room []byte
	var hearing, group string
	for i := range entries {
		if l := entries[i].list; l != nil {
			if room == nil {
				room, hearing, group = make([]byte, 0, 512+2*len(l.Hashes)), o.Hearing.String(), o.Group.String()
			}
			entries[i].Body, room = l.appendText(make([]byte, 0, 640+2*len(l.Hashes)), room, hearing, group)
			l.Name = hash(entries[i].Body)
		}
	}
}

// delta is how one RTP time follows another, which counts round (RFC 3550): it
// is meant to wrap.
func delta(now, before uint32) int64 { return int64(int32(now - before)) }

func (d *decoder) delta(before uint32) uint32 {
	v := d.varint("an RTP time")
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail("an RTP time is not within its bounds")
	}
	return before + uint32(v)
}

var errFrameHeader = fmt.Errorf("the frame's own header does not say its key id and counter")
