package signaling

import (
	"testing"
	"time"

	"kuule/interview"
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
