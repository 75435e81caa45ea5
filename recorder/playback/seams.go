package playback

import (
	"slices"

	"kuule/interview"
	"kuule/recorder/journal"
)

// seams finds where a picture that was taken in from a back-up cannot be shown. A
// picture builds on the frames before it. Where a recorder has frames of the back-up
// too, before those that it lacks, one goes on from the other. Else what the first of
// them builds on came to nobody, and nothing is a picture until the next key frame.
type seams struct {
	backups map[int]bool // journals that were taken in
	found   map[seam]*common
	given   map[frameName]seam // by such a journal first
	keys    map[string][]interview.Micros
}

// seam is where one lane's picture comes out of one journal that was taken in.
type seam struct {
	part int
	lane string
}

// common is what such a journal and recorders have of a picture, by capture.
type common struct {
	alone  map[frameName]interview.Micros // no recorder has it
	shared interview.Micros               // the first that one has too
	joined bool                           // there is one
}

type frameName struct {
	member  interview.MemberID
	track   interview.TrackID
	kid     uint64
	counter uint64
}

func nameOf(f journal.Frame) frameName { return frameName{f.Member, f.Track, f.KID, f.Counter} }

func newSeams() *seams {
	return &seams{backups: map[int]bool{}, found: map[seam]*common{}, given: map[frameName]seam{}, keys: map[string][]interview.Micros{}}
}

func (s *seams) of(x seam) *common {
	if s.found[x] == nil {
		s.found[x] = &common{alone: map[frameName]interview.Micros{}}
	}
	return s.found[x]
}

// once notes a frame of a picture as it comes for the first time.
func (s *seams) once(part int, lane string, f journal.Frame, at interview.Micros, key bool) {
	if key {
		s.keys[lane] = append(s.keys[lane], at)
	}
	if s.backups[part] {
		x := seam{part, lane}
		s.given[nameOf(f)] = x
		s.of(x).alone[nameOf(f)] = at
	}
}

// again notes a frame that came before: what a recorder and a back-up both have.
func (s *seams) again(part int, lane string, f journal.Frame) {
	name := nameOf(f)
	x, given := s.given[name]
	switch {
	case given && !s.backups[part]:
		c := s.of(x)
		if at, alone := c.alone[name]; alone {
			delete(c.alone, name)
			c.share(at)
		}
	case !given && s.backups[part]:
		s.of(seam{part, lane}).share(f.Arrival) // of a back-up that is its capture
	}
}

func (c *common) share(at interview.Micros) {
	if !c.joined || at < c.shared {
		c.shared, c.joined = at, true
	}
}

// broken are the stretches in which a lane has frames and no picture, in order.
func (s *seams) broken(lane string) []Span {
	var out []Span
	for x, c := range s.found {
		if x.lane != lane || len(c.alone) == 0 {
			continue
		}
		var from, to interview.Micros
		for _, at := range c.alone {
			if to == 0 || at < from {
				from = at
			}
			to = max(to, at+1)
		}
		if c.joined && c.shared < from {
			continue
		}
		for _, key := range s.keys[lane] {
			if key >= from {
				to = min(to, key)
			}
		}
		if from < to {
			out = append(out, Span{from, to})
		}
	}
	slices.SortFunc(out, func(a, b Span) int { return compare(a.From, b.From) })
	return out
}

// shows reports whether a lane's frame of that moment is a picture, or sound.
func (l *Lane) shows(at interview.Micros) bool {
	return !slices.ContainsFunc(l.broken, func(x Span) bool { return x.From <= at && at < x.To })
}
