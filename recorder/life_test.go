package recorder

import (
	"testing"

	"kuule/interview"
	"kuule/recorder/journal"
)

// H4: a gap never ends before it begins, also where a frame that waited for its key
// is counted after one that came later: no reader would take such a journal.
func TestAGapEndsAfterItsBeginning(t *testing.T) {
	t.Parallel()
	l := newLife(nil)
	f := Frame{Member: interview.NewMemberID(), Track: interview.NewTrackID()}
	l.missing(f, journal.CauseNotReceived, 20_692_762, 20_114_909, 2)
	l.missing(f, journal.CauseNotReceived, 20_000_000, 20_050_000, 1)
	g := l.gaps[gapOf{f.Track, journal.CauseNotReceived}]
	if g == nil || g.From != 20_000_000 || g.To != 20_692_762 || g.Frames != 3 {
		t.Fatalf("%+v", g)
	}
}
