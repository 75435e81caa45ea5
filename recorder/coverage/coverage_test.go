package coverage_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
)

func life(from, to interview.Micros, gaps ...journal.Gap) coverage.Life {
	return coverage.Life{Recording: interview.NewRecordingID(), From: from, To: to, Gaps: gaps}
}

func phases(all ...any) []journal.Phase {
	var out []journal.Phase
	for i := 0; i < len(all); i += 2 {
		out = append(out, journal.Phase{Since: interview.Micros(all[i].(int)), Phase: all[i+1].(interview.Phase)})
	}
	return out
}

// exact holds the promise of H4: the spans tile the time and add up to it.
func exact(t *testing.T, r coverage.Report) {
	t.Helper()
	at := r.From
	var sum interview.Micros
	for _, s := range r.Spans {
		if s.From != at || s.To <= s.From {
			t.Fatalf("span %+v does not follow %d", s, at)
		}
		at, sum = s.To, sum+s.To-s.From
	}
	if at != r.To || sum != r.To-r.From || r.Recorded+r.OffRecord+r.Backup+r.Missing != r.To-r.From {
		t.Fatalf("%d + %d + %d of %d..%d, spans sum up to %d", r.Recorded, r.OffRecord, r.Missing, r.From, r.To, sum)
	}
}

// H4, H5
func TestAMomentIsMissingOnlyWhereNoRecorderHasIt(t *testing.T) {
	t.Parallel()
	on := phases(0, interview.PhaseWaiting, 100, interview.PhaseOnRecord)
	restarted := journal.Gap{Cause: journal.CauseRestarted, From: 400, To: 600}
	for name, c := range map[string]struct {
		phases  []journal.Phase
		lives   []coverage.Life
		missing interview.Micros
		cause   journal.Cause
	}{
		"one recorder, whole":            {on, []coverage.Life{life(50, 1000)}, 0, ""},
		"one recorder, restarted":        {on, []coverage.Life{life(50, 400), life(600, 1000, restarted)}, 200, journal.CauseRestarted},
		"the other goes on":              {on, []coverage.Life{life(50, 400), life(600, 1000, restarted), life(60, 1000)}, 0, ""},
		"both are killed, one later":     {on, []coverage.Life{life(50, 400), life(600, 1000, restarted), life(60, 550), life(900, 1000)}, 50, journal.CauseRestarted},
		"recorder comes after the start": {on, []coverage.Life{life(150, 1000)}, 50, coverage.CauseUnknown},
		"no recorder at all":             {phases(0, interview.PhaseOnRecord, 10, interview.PhaseEnded), nil, 10, coverage.CauseUnknown},
		"killed in a pause": {phases(0, interview.PhaseOnRecord, 300, interview.PhasePaused, 700, interview.PhaseOnRecord),
			[]coverage.Life{life(0, 400), life(600, 1000, restarted)}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := coverage.Of(c.phases, c.lives)
			exact(t, r)
			if r.Missing != c.missing {
				t.Fatalf("%d missing, want %d: %+v", r.Missing, c.missing, r.Spans)
			}
			for _, s := range r.Spans {
				if (s.State == coverage.Missing) != (s.Cause != "") || s.State == coverage.Missing && s.Cause != c.cause {
					t.Fatalf("span %+v, want cause %q", s, c.cause)
				}
			}
		})
	}
}

// H5, H4: what came from a terminal's back-up closes a moment that no recorder
// has, is told apart from what they recorded, and adds nothing elsewhere.
func TestABackupClosesWhatNoRecorderHas(t *testing.T) {
	t.Parallel()
	on := phases(0, interview.PhaseWaiting, 100, interview.PhaseOnRecord, 900, interview.PhasePaused)
	taken := func(from, to interview.Micros, gaps ...journal.Gap) coverage.Life {
		l := life(from, to, gaps...)
		l.Backup = true
		return l
	}
	restarted := journal.Gap{Cause: journal.CauseRestarted, From: 400, To: 600}
	hole := journal.Gap{Cause: journal.CauseNotReceived, From: 450, To: 480}
	for name, c := range map[string]struct {
		lives           []coverage.Life
		backup, missing interview.Micros
	}{
		"the whole of it":          {[]coverage.Life{life(50, 400), life(600, 1000, restarted), taken(400, 600)}, 200, 0},
		"with a hole of its own":   {[]coverage.Life{life(50, 400), life(600, 1000, restarted), taken(400, 600, hole)}, 170, 30},
		"more than is missing":     {[]coverage.Life{life(50, 400), life(600, 1000, restarted), taken(300, 700)}, 200, 0},
		"half of it":               {[]coverage.Life{life(50, 400), life(600, 1000, restarted), taken(500, 600)}, 100, 100},
		"nothing was missing":      {[]coverage.Life{life(50, 1000), taken(400, 600)}, 0, 0},
		"nothing but a back-up":    {[]coverage.Life{taken(100, 950)}, 800, 0},
		"reaching into the pause":  {[]coverage.Life{life(50, 800), taken(800, 1000)}, 100, 0},
		"the gap of a track alone": {[]coverage.Life{life(50, 1000), taken(400, 600, journal.Gap{Cause: journal.CauseNotReceived, From: 450, To: 460, Track: interview.NewTrackID()})}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := coverage.Of(on, c.lives)
			exact(t, r)
			if r.Backup != c.backup || r.Missing != c.missing || len(r.Losses) != 0 {
				t.Fatalf("%d from the back-up and %d missing, want %d and %d: %+v", r.Backup, r.Missing, c.backup, c.missing, r)
			}
			for _, s := range r.Spans {
				if s.State == coverage.Backup && (s.Cause == "" || len(s.Recordings) != 1) {
					t.Fatalf("span %+v says neither why nor from where", s)
				}
			}
		})
	}
}

// H4
func TestALossOfATrackIsClosedByTheOtherRecorder(t *testing.T) {
	t.Parallel()
	m, track, other := interview.NewMemberID(), interview.NewTrackID(), interview.NewTrackID()
	lost := func(of interview.TrackID, from, to interview.Micros) journal.Gap {
		return journal.Gap{Cause: journal.CauseNotReceived, From: from, To: to, Member: m, Track: of, Frames: 1}
	}
	one := life(0, 1000, lost(track, 100, 140), lost(track, 500, 560), lost(other, 700, 720))
	two := life(10, 1000, lost(track, 520, 580))
	r := coverage.Of(nil, []coverage.Life{one, two})
	exact(t, r)
	want := []coverage.Loss{{Member: m, Track: track, From: 520, To: 560, Cause: journal.CauseNotReceived}}
	if r.Missing != 0 || !slices.Equal(r.Losses, want) {
		t.Fatalf("losses %+v, want %+v", r.Losses, want)
	}
	alone := coverage.Of(nil, []coverage.Life{one})
	if len(alone.Losses) != 3 {
		t.Fatalf("one recorder alone: %+v", alone.Losses)
	}
}

// H4: whatever the journals say, the time line adds up, and agrees with looking
// at each microsecond by itself.
func TestTheTimeLineAgreesWithEachMomentByItself(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		some := func(n int) interview.Micros { return interview.Micros(r.IntN(n)) }
		var lives []coverage.Life
		tracks := []interview.TrackID{interview.NewTrackID(), interview.NewTrackID()}
		for range 1 + r.IntN(4) {
			l := life(some(60), 0)
			l.To = l.From + some(60)
			for range r.IntN(4) {
				g := journal.Gap{Cause: journal.CauseQueueFull, From: some(110)}
				g.To = g.From + some(9)
				if r.IntN(2) == 0 {
					g.Track = tracks[r.IntN(2)]
				}
				l.Gaps = append(l.Gaps, g)
			}
			lives = append(lives, l)
		}
		all := []interview.Phase{interview.PhaseOnRecord, interview.PhasePaused}
		var given []journal.Phase
		for at := some(10); at < 100; at += 1 + some(40) {
			given = append(given, journal.Phase{Phase: all[r.IntN(2)], Since: at})
		}
		report := coverage.Of(given, lives)
		exact(t, report)
		var recorded interview.Micros
		lost := map[interview.TrackID]interview.Micros{}
		for at := report.From; at < report.To; at++ {
			on := len(given) == 0
			for _, p := range given {
				if p.Since <= at {
					on = p.Phase == interview.PhaseOnRecord
				}
			}
			have := func(of interview.TrackID) bool {
				return slices.ContainsFunc(lives, func(l coverage.Life) bool {
					return l.From <= at && at < l.To && !slices.ContainsFunc(l.Gaps, func(g journal.Gap) bool {
						return (g.Track.IsZero() || g.Track == of) && g.From <= at && at < max(g.To, g.From+1)
					})
				})
			}
			if on && have(interview.TrackID{}) {
				recorded++
				for _, k := range tracks {
					if !have(k) {
						lost[k]++
					}
				}
			}
		}
		if recorded != report.Recorded {
			t.Fatalf("seed %d: %d recorded, by themselves %d: %+v of %+v", seed, report.Recorded, recorded, report, lives)
		}
		for _, l := range report.Losses {
			lost[l.Track] -= l.To - l.From
		}
		for _, k := range tracks {
			if lost[k] != 0 {
				t.Fatalf("seed %d: losses of a track differ by %d: %+v", seed, lost[k], report.Losses)
			}
		}
	}
}

// H4: five per cent of frames lost for four hours is 90 000 gaps; the report of
// them costs no more than their number.
func TestManyGapsAreCheap(t *testing.T) {
	t.Parallel()
	track := interview.NewTrackID()
	l := life(0, 4*3600*1e6)
	for at := interview.Micros(0); at < l.To; at += 160_000 {
		l.Gaps = append(l.Gaps, journal.Gap{Cause: journal.CauseNotReceived, From: at, To: at + 40_000, Track: track})
	}
	begun := time.Now()
	r := coverage.Of(nil, []coverage.Life{l, life(0, 1)})
	if len(r.Losses) != len(l.Gaps) {
		t.Fatalf("%d losses of %d gaps", len(r.Losses), len(l.Gaps))
	}
	t.Logf("%d gaps in %s", len(l.Gaps), time.Since(begun))
}

// H8
func TestAClockThatJumpsIsFlagged(t *testing.T) {
	t.Parallel()
	at := func(hearing, wall int64) journal.Anchor {
		return journal.Anchor{Hearing: interview.Micros(hearing), Wall: wall}
	}
	for name, c := range map[string]struct {
		anchors []journal.Anchor
		drift   interview.Micros
		flagged bool
	}{
		"steady":              {[]journal.Anchor{at(0, 1e9), at(60e6, 1e9+60e6)}, 0, false},
		"slow drift":          {[]journal.Anchor{at(0, 0), at(60e6, 60e6+2_000), at(120e6, 120e6+4_000)}, 4_000, false},
		"stepped forward":     {[]journal.Anchor{at(0, 0), at(60e6, 60e6+3600e6)}, 3600e6, true},
		"stepped back":        {[]journal.Anchor{at(0, 0), at(60e6, 60e6-3600e6)}, -3600e6, true},
		"there and back":      {[]journal.Anchor{at(0, 0), at(60e6, 60e6+3600e6), at(61e6, 61e6)}, 0, true},
		"one anchor, no word": {[]journal.Anchor{at(0, 0)}, 0, false},
	} {
		if got := coverage.ClockOf(c.anchors); got.Drift != c.drift || got.Flagged != c.flagged {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
