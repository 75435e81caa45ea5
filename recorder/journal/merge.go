package journal

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"kuule/interview"
)

// Part is one journal of a hearing with the data key that opens it.
type Part struct {
	Reader *Reader
	Key    DataKey
}

// Moment is one opened block of a merge.
type Moment struct {
	*Block
	Part   int     // which of the parts it is of
	Frames []Frame // those that no part gave before, in the order of their arrival
	Sealed []Entry // entries of the sealed section
	Twice  []Frame // those left out, since another part gave them before
}

// Merge reads the journals of one hearing side by side, in the order of their
// blocks' beginnings, so that what one recorder missed comes from another: a
// frame is named by member, track, key id and counter, and is given once. It
// holds one block per journal and the counters seen. Entries are given as they
// stand: each recorder tells of its own life. Not safe for concurrent use.
type Merge struct {
	parts []*part
	once  Once
}

type part struct {
	Part
	number int
	next   *Block
	err    error // what ended it
	told   bool
}

// NewMerge merges journals of one hearing.
func NewMerge(parts ...Part) *Merge {
	m := &Merge{}
	for i, p := range parts {
		m.parts = append(m.parts, &part{Part: p, number: i})
	}
	return m
}

// Next returns the next block, or io.EOF when every journal has ended. A
// journal in which something is wrong ends there and Next returns its
// *PlaceError, once: called again it goes on with the others.
func (m *Merge) Next() (*Moment, error) {
	var first *part
	for _, p := range m.parts {
		if p.next == nil && p.err == nil {
			p.next, p.err = p.Reader.Next()
		}
		if p.err != nil {
			if !p.told && !errors.Is(p.err, io.EOF) {
				p.told = true
				return nil, p.err
			}
			continue
		}
		if first == nil || p.next.Head.From < first.next.Head.From {
			first = p
		}
	}
	if first == nil {
		return nil, io.EOF
	}
	b := first.next
	first.next = nil
	frames, sealed, err := b.Open(first.Key)
	if err != nil {
		first.err, first.told = err, true
		return nil, err
	}
	x := &Moment{Block: b, Part: first.number, Sealed: sealed}
	x.Frames = frames[:0]
	for _, f := range frames {
		if m.once.First(f) {
			x.Frames = append(x.Frames, f)
		} else {
			x.Twice = append(x.Twice, f)
		}
	}
	return x, nil
}

// Once is a set of frames. It takes memory for every hole in the counters, not
// for every frame. The zero value is empty. Not safe for concurrent use.
type Once struct{ seen map[counted][]span }

// counted is what counters count: frames of one track under one key.
type counted struct {
	member interview.MemberID
	track  interview.TrackID
	kid    uint64
}

// span is the counters from first to last.
type span struct{ first, last uint64 }

// Hole is counters of one track under one key that no part had, between others
// that some part had.
type Hole struct {
	Member interview.MemberID `json:"member"`
	Track  interview.TrackID  `json:"track"`
	KID    uint64             `json:"kid"`
	First  uint64             `json:"first"`
	Last   uint64             `json:"last"`
}

// Holes are what is missing of the frames seen so far, in the order of tracks
// and counters.
func (o *Once) Holes() []Hole {
	out := []Hole{}
	for of, spans := range o.seen {
		for i := 1; i < len(spans); i++ {
			out = append(out, Hole{of.member, of.track, of.kid, spans[i-1].last + 1, spans[i].first - 1})
		}
	}
	slices.SortFunc(out, func(a, b Hole) int {
		return cmp.Or(cmp.Compare(a.Track.String(), b.Track.String()), cmp.Compare(a.KID, b.KID), cmp.Compare(a.First, b.First))
	})
	return out
}

// First adds a frame and reports whether it was not in the set.
func (o *Once) First(f Frame) bool {
	if o.seen == nil {
		o.seen = map[counted][]span{}
	}
	key := counted{f.Member, f.Track, f.KID}
	spans := o.seen[key]
	c := f.Counter
	// Frames come nearly in order: look from the end.
	i := len(spans)
	for i > 0 && spans[i-1].first > c {
		i--
	}
	if i > 0 && c <= spans[i-1].last {
		return false
	}
	before := i > 0 && spans[i-1].last+1 == c
	after := i < len(spans) && c+1 == spans[i].first
	switch {
	case before && after:
		spans[i-1].last = spans[i].last
		spans = slices.Delete(spans, i, i+1)
	case before:
		spans[i-1].last = c
	case after:
		spans[i].first = c
	default:
		spans = slices.Insert(spans, i, span{c, c})
	}
	o.seen[key] = spans
	return true
}
