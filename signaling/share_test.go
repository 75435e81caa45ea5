package signaling

import (
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// H1: the time that a recorder has for the first picture of a screen is not
// begun anew by saying again that it is shown.
func TestAScreenIsOwedOnceItsGraceIsOver(t *testing.T) {
	t.Parallel()
	l, began := &leg{}, time.Now()
	screen := wire.OfferTrack{Track: interview.NewTrackID(), Source: interview.SourceScreen}
	if l.owed(screen, began) {
		t.Error("a screen that nobody shows is owed")
	}
	if l.share(screen.Track, false, began) || !l.share(screen.Track, true, began) {
		t.Error("what is no news is told, or what is news is not")
	}
	for after := time.Second; after <= shareGrace; after += time.Second {
		if l.share(screen.Track, true, began.Add(after)) {
			t.Error("a screen that is shown already is news")
		}
		if l.owed(screen, began.Add(after)) {
			t.Errorf("owed after %s", after)
		}
	}
	if !l.owed(screen, began.Add(shareGrace+1)) {
		t.Error("saying it again put off what is owed")
	}
	if !l.share(screen.Track, false, began) || l.shows(screen) {
		t.Error("it is still shown")
	}
}

// H1: on record a screen goes to the recorders first, and to people when one of
// them has kept a picture of it. What is shown again waits again.
func TestAScreenIsSeenOnRecordOnceItIsKept(t *testing.T) {
	t.Parallel()
	screen := wire.OfferTrack{Track: interview.NewTrackID(), Source: interview.SourceScreen}
	counsel := &Session{member: interview.NewMemberID(), leg: &leg{tracks: []wire.OfferTrack{screen}}}
	chair := &Session{member: interview.NewMemberID(), leg: &leg{}}
	keeper := &Session{member: interview.NewMemberID(), leg: &leg{}, peer: Peer{Recorder: true}}
	on := []*Session{counsel, chair, keeper}
	r := &room{members: map[interview.MemberID]*Session{}}
	for _, s := range on {
		r.members[s.member] = s
	}
	sees := func(want string, phase interview.Phase, people, recorders bool) {
		t.Helper()
		r.phase.Phase = phase
		if got := len(r.sourcesFor(chair, on)) == 1; got != people {
			t.Errorf("%s: the chair sees it: %v", want, got)
		}
		if got := len(r.sourcesFor(keeper, on)) == 1; got != recorders {
			t.Errorf("%s: the recorder gets it: %v", want, got)
		}
	}
	sees("before it is shown", interview.PhaseOnRecord, false, false)
	counsel.leg.share(screen.Track, true, time.Now())
	sees("shown in a pause", interview.PhasePaused, true, true)
	sees("shown on record", interview.PhaseOnRecord, false, true)
	if r.noteScreens(sealing.Heartbeat{}) {
		t.Error("a heartbeat without the screen is news")
	}
	sees("not kept", interview.PhaseOnRecord, false, true)
	kept := sealing.Heartbeat{Tracks: []sealing.TrackDurable{{Track: screen.Track}}}
	if !r.noteScreens(kept) || r.noteScreens(kept) {
		t.Error("the first picture is no news, or the second is")
	}
	sees("kept", interview.PhaseOnRecord, true, true)
	counsel.leg.share(screen.Track, false, time.Now())
	counsel.leg.share(screen.Track, true, time.Now())
	sees("shown again", interview.PhaseOnRecord, false, true)
}
