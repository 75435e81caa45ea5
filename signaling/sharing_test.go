package signaling_test

import (
	"slices"
	"testing"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
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

// H1: a screen that is shown already when the hearing goes on record is taken
// away from people at that moment, and before they are told; it comes back once a
// recorder has kept a picture of it. In a pause it is shown at once.
func TestAScreenIsTakenAwayWhenTheRecordBegins(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	one := d.comeRecorder("one")
	chair.sign("resume", chair, amal, one)
	voice := wire.OfferTrack{Track: interview.NewTrackID(), Source: interview.SourceAudio, Mid: "0"}
	screen := wire.OfferTrack{Track: interview.NewTrackID(), Source: interview.SourceScreen, Number: 1, Mid: "1"}
	chair.offered = []wire.OfferTrack{voice, screen}
	chair.connected(chair.publish())
	opened := func(g *guest, answer wire.Message) interview.LegID {
		g.connected(answer)
		return body[wire.Answer](t, answer).Leg
	}
	amals := opened(amal, amal.publish())
	recorders := opened(one, one.ask(wire.TypeOffer, wire.Offer{SDP: "v=0"}))
	sent := func(track interview.TrackID, to interview.LegID) bool {
		return slices.ContainsFunc(d.media.Table().Routes, func(r media.Route) bool { return r.Track == track && r.To == to })
	}
	receives := func(g *guest) bool {
		g.read()
		slots, _ := last[wire.Slots](g, wire.TypeSlots)
		return slices.ContainsFunc(slots.Slots, func(s wire.Slot) bool { return s.Track == screen.Track })
	}
	chair.must(chair.ask(wire.TypeShare, wire.Share{Track: screen.Track, On: true}))
	if !sent(screen.Track, amals) || !sent(screen.Track, recorders) || !receives(amal) {
		t.Fatal("before the record a shown screen does not come")
	}
	keep := func(seq int64, tracks ...wire.OfferTrack) {
		chair.offered = tracks
		one.must(one.beat(seq, interview.RecorderRecording, chair, amal))
	}
	keep(1, voice)
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseOnRecord}))
	if sent(screen.Track, amals) || receives(amal) {
		t.Error("on record a screen is shown that no recorder has kept")
	}
	if !sent(screen.Track, recorders) || !sent(voice.Track, amals) {
		t.Error("the recorder does not get the screen, or people do not get the voice")
	}
	keep(2, voice)
	if receives(amal) {
		t.Error("a heartbeat without the screen shows it")
	}
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhasePaused}))
	if !receives(amal) {
		t.Error("in a pause the screen is not shown")
	}
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseOnRecord}))
	if receives(amal) {
		t.Error("on record again, and the screen is shown unkept")
	}
	keep(3, voice, screen)
	if !receives(amal) || !sent(screen.Track, amals) {
		t.Error("the screen is kept and not shown")
	}
}
