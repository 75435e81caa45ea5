package signaling_test

import (
	"slices"
	"testing"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
)

// A screen is offered when its page enters the room and received only while it
// is shown; the label of a microphone goes along to those who hear it.
func TestAScreenIsReceivedWhileItIsShown(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	chair.sign("join", chair, amal)
	seat := interview.NewSeatID()
	voice := wire.OfferTrack{Track: interview.NewTrackID(), Source: interview.SourceAudio, Mid: "0", Seat: seat}
	screen := wire.OfferTrack{Track: interview.NewTrackID(), Source: interview.SourceScreen, Number: 1, Mid: "1"}
	if got := code(t, chair.ask(wire.TypeShare, wire.Share{Track: screen.Track, On: true})); got != problem.CodeMediaRefused {
		t.Errorf("a screen before any offer: %s", got)
	}
	chair.offered = []wire.OfferTrack{voice, screen}
	chair.connected(chair.publish())
	amal.connected(amal.publish())

	receives := func(track interview.TrackID) bool {
		amal.read()
		slots, _ := last[wire.Slots](amal, wire.TypeSlots)
		return slices.ContainsFunc(slots.Slots, func(s wire.Slot) bool { return s.Track == track && (track != voice.Track || s.Seat == seat) })
	}
	eventually(t, "the voice comes with its seat", func() bool { return receives(voice.Track) })
	if receives(screen.Track) {
		t.Error("a screen that nobody shows is received")
	}
	if got := code(t, chair.ask(wire.TypeShare, wire.Share{Track: voice.Track, On: true})); got != problem.CodeMediaRefused {
		t.Errorf("a voice shared as a screen: %s", got)
	}
	if got := code(t, amal.ask(wire.TypeShare, wire.Share{Track: screen.Track, On: true})); got != problem.CodeMediaRefused {
		t.Errorf("another member's screen: %s", got)
	}
	chair.must(chair.ask(wire.TypeShare, wire.Share{Track: screen.Track, On: true}))
	eventually(t, "the screen is received", func() bool { return receives(screen.Track) })
	chair.must(chair.ask(wire.TypeShare, wire.Share{Track: screen.Track}))
	eventually(t, "the screen is gone", func() bool { return !receives(screen.Track) })
}
