package app

import (
	"testing"

	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
)

// H5: a back-up goes only where recorders have everything; any one thing that
// they lack keeps it.
func TestBackupsGoOnlyWhereNothingIsMissing(t *testing.T) {
	t.Parallel()
	recorded := coverage.Span{From: 0, To: 10, Phase: interview.PhaseOnRecord, State: coverage.Recorded}
	paused := coverage.Span{From: 10, To: 20, Phase: interview.PhasePaused, State: coverage.OffRecord}
	missing := coverage.Span{From: 20, To: 21, Phase: interview.PhaseOnRecord, State: coverage.Missing}
	for name, c := range map[string]struct {
		report evidence.Report
		wanted bool
	}{
		"everything is recorded":  {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded, paused}}}, false},
		"a microsecond is not":    {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded, paused, missing}}}, true},
		"a recorder left nothing": {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded}}, Silent: []interview.MemberID{interview.NewMemberID()}}, true},
	} {
		if got := settled(c.report); got.wanted() != c.wanted || got.Release != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
