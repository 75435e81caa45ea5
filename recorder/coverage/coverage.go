package coverage

import (
	"cmp"
	"slices"

	"kuule/interview"
	"kuule/recorder/journal"
)

// State says what became of a span of the hearing.
type State string

// States of a span.
const (
	Recorded  State = "recorded"   // on record, and durable at one recorder or more
	OffRecord State = "off-record" // waiting, paused or in consultation: nothing is kept
	Backup    State = "backup"     // on record, no recorder kept it, and a room terminal's back-up of its own sound was taken in
	Missing   State = "missing"    // on record, and nobody kept it
)

// CauseUnknown is of what is missing without a recorder's word why: no recorder
// had come yet, or none came back.
const CauseUnknown journal.Cause = "unknown"

// Life is what one journal says in clear.
type Life struct {
	Recording interview.RecordingID
	From, To  interview.Micros // its blocks tile this
	Gaps      []journal.Gap
	Backup    bool // it holds what came from a room terminal's back-up, and no recorder's
}

// Span is a stretch of the hearing in which nothing changes.
type Span struct {
	From       interview.Micros        `json:"from"`
	To         interview.Micros        `json:"to"`
	Phase      interview.Phase         `json:"phase"`
	State      State                   `json:"state"`
	Recordings []interview.RecordingID `json:"recordings"` // that have it
	Cause      journal.Cause           `json:"cause"`      // why no recorder has it
}

// Loss is a stretch of one track that no recorder kept whole.
type Loss struct {
	Member interview.MemberID `json:"member"`
	Track  interview.TrackID  `json:"track"`
	From   interview.Micros   `json:"from"`
	To     interview.Micros   `json:"to"`
	Cause  journal.Cause      `json:"cause"`
}

// Report is the time line of a hearing. Recorded + OffRecord + Backup + Missing
// is To - From, and the spans follow each other without a hole.
type Report struct {
	From      interview.Micros `json:"from"`
	To        interview.Micros `json:"to"`
	Recorded  interview.Micros `json:"recorded"`
	OffRecord interview.Micros `json:"off_record"`
	Backup    interview.Micros `json:"backup"`
	Missing   interview.Micros `json:"missing"`
	Spans     []Span           `json:"spans"`
	Losses    []Loss           `json:"losses"`
}

// Of lays the journals of a hearing over each other. Phases are in the order in
// which they came; without any the whole time counts as on record.
func Of(phases []journal.Phase, lives []Life) Report {
	r := Report{Spans: []Span{}, Losses: []Loss{}}
	if len(phases) == 0 && len(lives) == 0 {
		return r
	}
	first := true
	reach := func(from, to interview.Micros) {
		if first {
			r.From, r.To, first = from, to, false
		}
		r.From, r.To = min(r.From, from), max(r.To, to)
	}
	for _, p := range phases {
		reach(p.Since, p.Since)
	}
	for _, l := range lives {
		reach(l.From, l.To)
	}
	c := &laying{phases: phases, lives: lives, from: r.From, to: r.To}
	r.Spans = c.spans()
	for _, s := range r.Spans {
		switch s.State {
		case Recorded:
			r.Recorded += s.To - s.From
		case OffRecord:
			r.OffRecord += s.To - s.From
		case Backup:
			r.Backup += s.To - s.From
		case Missing:
			r.Missing += s.To - s.From
		}
	}
	r.Losses = c.losses(r.Spans)
	return r
}

type laying struct {
	phases   []journal.Phase
	lives    []Life
	from, to interview.Micros
}

// end of a gap; one that a single frame marks has some length too.
func end(g journal.Gap) interview.Micros { return max(g.To, g.From+1) }

func everybody(g journal.Gap) bool { return g.Track.IsZero() }

// cuts are the moments at which something may change for a track, or for
// everybody where of is zero.
func (c *laying) cuts(of interview.TrackID) []interview.Micros {
	out := []interview.Micros{c.from, c.to}
	add := func(t interview.Micros) {
		if c.from < t && t < c.to {
			out = append(out, t)
		}
	}
	for _, p := range c.phases {
		add(p.Since)
	}
	for _, l := range c.lives {
		add(l.From)
		add(l.To)
		for _, g := range l.Gaps {
			if everybody(g) || g.Track == of {
				add(g.From)
				add(end(g))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// phase at a moment.
func (c *laying) phase(t interview.Micros) interview.Phase {
	now := interview.PhaseWaiting
	if len(c.phases) == 0 {
		now = interview.PhaseOnRecord
	}
	for _, p := range c.phases {
		if p.Since <= t {
			now = p.Phase
		}
	}
	return now
}

// moment is what is known of a stretch between two cuts.
type moment struct {
	from, to interview.Micros
	have     []interview.RecordingID // recorders' that have it
	backup   []interview.RecordingID // taken in from a back-up
	member   interview.MemberID      // whose is missing
	cause    journal.Cause           // why no recorder has it
}

// walk gives the stretches of a track, or of everybody where of is zero, in
// order. Gaps are looked at once, so that many cost no more than their number.
func (c *laying) walk(of interview.TrackID, each func(moment)) {
	type lane struct {
		life Life
		wait []journal.Gap // sorted by their beginnings
		open []journal.Gap
	}
	lanes := make([]lane, len(c.lives))
	for i, l := range c.lives {
		lanes[i].life = l
		for _, g := range l.Gaps {
			if everybody(g) || g.Track == of {
				lanes[i].wait = append(lanes[i].wait, g)
			}
		}
		slices.SortStableFunc(lanes[i].wait, func(a, b journal.Gap) int { return cmp.Compare(a.From, b.From) })
	}
	cuts := c.cuts(of)
	for i := range len(cuts) - 1 {
		m := moment{from: cuts[i], to: cuts[i+1], have: []interview.RecordingID{}, cause: CauseUnknown}
		for k := range lanes {
			l := &lanes[k]
			for len(l.wait) > 0 && l.wait[0].From <= m.from {
				l.open, l.wait = append(l.open, l.wait[0]), l.wait[1:]
			}
			l.open = slices.DeleteFunc(l.open, func(g journal.Gap) bool { return end(g) <= m.from })
			if len(l.open) > 0 {
				if m.cause == CauseUnknown && !l.life.Backup {
					m.member, m.cause = l.open[0].Member, l.open[0].Cause
				}
				continue
			}
			switch has := l.life.From <= m.from && m.from < l.life.To; {
			case has && l.life.Backup:
				m.backup = append(m.backup, l.life.Recording)
			case has:
				m.have = append(m.have, l.life.Recording)
			}
		}
		if len(m.have) > 0 {
			m.cause = ""
		}
		each(m)
	}
}

func (c *laying) spans() []Span {
	out := []Span{}
	c.walk(interview.TrackID{}, func(m moment) {
		s := Span{From: m.from, To: m.to, Phase: c.phase(m.from), Recordings: m.have, Cause: m.cause}
		switch {
		case s.Phase != interview.PhaseOnRecord:
			s.State, s.Cause = OffRecord, ""
		case len(s.Recordings) > 0:
			s.State = Recorded
		case len(m.backup) > 0:
			s.State, s.Recordings = Backup, m.backup
		default:
			s.State = Missing
		}
		if n := len(out); n > 0 && same(out[n-1], s) {
			out[n-1].To = s.To
			return
		}
		out = append(out, s)
	})
	return out
}

func same(a, b Span) bool {
	return a.State == b.State && a.Phase == b.Phase && a.Cause == b.Cause && slices.Equal(a.Recordings, b.Recordings)
}

// losses are what single tracks miss beyond what everybody misses.
func (c *laying) losses(spans []Span) []Loss {
	out := []Loss{}
	seen := map[interview.TrackID]bool{}
	for _, l := range c.lives {
		for _, g := range l.Gaps {
			if l.Backup || everybody(g) || seen[g.Track] {
				continue
			}
			seen[g.Track] = true
			out = append(out, c.track(g.Track, spans)...)
		}
	}
	slices.SortFunc(out, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Track.String(), b.Track.String()))
	})
	return out
}

// track gives the losses of one track within the spans that are recorded.
func (c *laying) track(of interview.TrackID, spans []Span) []Loss {
	var out []Loss
	at := 0
	c.walk(of, func(m moment) {
		// The cuts of a track are those of everybody and more: each lies in one span.
		for at < len(spans)-1 && spans[at].To <= m.from {
			at++
		}
		if len(m.have) > 0 || spans[at].State != Recorded {
			return
		}
		if n := len(out); n > 0 && out[n-1].To == m.from && out[n-1].Cause == m.cause {
			out[n-1].To = m.to
			return
		}
		out = append(out, Loss{Member: m.member, Track: of, From: m.from, To: m.to, Cause: m.cause})
	})
	return out
}
