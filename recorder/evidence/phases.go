package evidence

import (
	"fmt"

	"kuule/interview"
	"kuule/recorder/journal"
)

// told is the phases that one recorder was told, in its signed journal.
type told struct {
	life   Recording
	gaps   []journal.Gap
	phases []journal.Phase
}

// Bounds of comparing phases: how far the same change may lie apart where the room
// was told of it before it was written down, and how long a recorder may take to
// hear of it.
const (
	sameChange = interview.Micros(1_000_000)
	heardOf    = interview.Micros(2_000_000)
)

// tell keeps what this recorder was told.
func (j *recordingCheck) tell() {
	if j.report.Backup == nil && len(j.phases) > 0 {
		j.v.told = append(j.v.told, told{j.want, j.report.Gaps, j.phases})
	}
}

// dispute holds the room's list of phases, which is the door's word, against what
// recorders were told at the time. What differs is named; which of the two is
// right only people can say.
func (v *verifier) dispute(list []journal.Phase) {
	say := func(format string, a ...any) {
		text := phasesName + ": " + fmt.Sprintf(format, a...)
		v.report.Disputed = append(v.report.Disputed, text)
		v.report.Notes = append(v.report.Notes, text)
	}
	for _, t := range v.told {
		for _, p := range t.phases {
			if !among(list, p) {
				say("recording %s was told %q since %.1f s, and the list does not say so", t.life.Recording, p.Phase, float64(p.Since)/1e6)
			}
		}
		for _, p := range list {
			if t.heard(p.Since) && !among(t.phases, p) {
				say("it says %q since %.1f s, and recording %s was not told", p.Phase, float64(p.Since)/1e6, t.life.Recording)
			}
		}
	}
}

func among(list []journal.Phase, p journal.Phase) bool {
	for _, x := range list {
		if x.Phase == p.Phase && x.Since-p.Since <= sameChange && p.Since-x.Since <= sameChange {
			return true
		}
	}
	return false
}

// heard reports whether the recorder was in the room when a phase began and for
// long enough after.
func (t *told) heard(since interview.Micros) bool {
	if since < t.life.From || since+heardOf > t.life.To {
		return false
	}
	for _, g := range t.gaps {
		if g.Track.IsZero() && g.From < since+heardOf && since < g.To {
			return false
		}
	}
	return true
}
