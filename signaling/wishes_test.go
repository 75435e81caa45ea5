package signaling_test

import (
	"slices"
	"testing"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/wire"
	"kuule/signaling"
	"kuule/signaling/signalingtest"
)

// pair is an interviewer and an applicant who both publish.
func pair(t *testing.T, change ...func(*signaling.Config)) (d *door, chair, amal *guest) {
	d = newDoor(t, change...)
	chair = d.chair()
	amal = chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	chair.sign("join", chair, amal)
	chair.connected(chair.publish())
	amal.connected(amal.publish())
	return d, chair, amal
}

// route is the route of from's track to somebody else, in the newest table.
func (d *door) route(from *guest) media.Route {
	for _, r := range d.media.Table().Routes {
		if r.Track == from.offered[0].Track {
			return r
		}
	}
	return media.Route{}
}

// N5: what a listener says about a track reaches the media node, and what it no
// longer says goes back to what its role makes of it.
func TestAWishIsForwarded(t *testing.T) {
	t.Parallel()
	d, chair, amal := pair(t)
	byRole := d.route(amal)
	if byRole.Off || byRole.Height != 0 {
		t.Fatalf("without a wish: %+v", byRole)
	}
	wish := wire.SlotWish{Track: amal.offered[0].Track, Rank: 5, Height: 240, Off: true}
	chair.must(chair.ask(wire.TypeWish, wire.Wish{Slots: []wire.SlotWish{wish, {Track: interview.NewTrackID()}}}))
	eventually(t, "the wish is in the table", func() bool {
		r := d.route(amal)
		return r.Rank == 5 && r.Height == 240 && r.Off
	})
	if r := d.route(chair); r.Off || r.Rank == 5 {
		t.Errorf("one member's wish changed what another is sent: %+v", r)
	}
	// A page that comes back to its seat finds its wishes kept.
	chair.must(chair.ask(wire.TypeWish, wire.Wish{}))
	eventually(t, "the wish is gone", func() bool { return d.route(amal) == byRole })
}

// Many wishes make few tables: a page cannot keep the media node busy.
func TestWishesAreJoined(t *testing.T) {
	t.Parallel()
	d, chair, amal := pair(t, func(c *signaling.Config) { c.Limits.MessagesPerSecond = 10_000 })
	before := d.media.Table().Generation
	for i := range 200 {
		chair.must(chair.ask(wire.TypeWish, wire.Wish{Slots: []wire.SlotWish{{Track: amal.offered[0].Track, Height: i + 1}}}))
	}
	eventually(t, "the newest wish is in the table", func() bool { return d.route(amal).Height == 200 })
	if tables := d.media.Table().Generation - before; tables > 20 {
		t.Errorf("200 wishes made %d tables", tables)
	}
}

func TestBadWishesChangeNothing(t *testing.T) {
	t.Parallel()
	d, chair, amal := pair(t)
	track := amal.offered[0].Track
	for name, slots := range map[string][]wire.SlotWish{
		"rank below":  {{Track: track, Rank: -1}},
		"rank above":  {{Track: track, Rank: media.MaxRank + 1}},
		"too high":    {{Track: track, Height: media.MaxHeight + 1}},
		"one twice":   {{Track: track}, {Track: track}},
		"below floor": {{Track: track, Height: -1}},
	} {
		if got := code(t, chair.ask(wire.TypeWish, wire.Wish{Slots: slots})); got != problem.CodeMalformed {
			t.Errorf("%s: %q", name, got)
		}
	}
	many := make([]wire.SlotWish, wire.MaxWishes+1)
	for i := range many {
		many[i].Track = interview.NewTrackID()
	}
	if got := code(t, chair.ask(wire.TypeWish, wire.Wish{Slots: many})); got != problem.CodeTooLarge {
		t.Errorf("too many: %q", got)
	}
	if r := d.route(amal); r.Height != 0 {
		t.Errorf("a bad wish took effect: %+v", r)
	}
}

// The media node's advice reaches the sender of the track and nobody else, and
// again when it missed it.
func TestAdviceReachesItsSender(t *testing.T) {
	t.Parallel()
	d, chair, amal := pair(t)
	leg := d.route(amal).From
	advice := media.Advice{PacketMS: 60, Bitrate: 16_000, Red: true, Unneeded: []string{"f"}}
	hint := media.Hint{Room: d.world.Group, Leg: leg, Track: amal.offered[0].Track, Advice: advice}
	strays := []media.Hint{hint, hint, hint}
	strays[0].Track = chair.offered[0].Track // not this leg's
	strays[1].Leg = interview.NewLegID()
	strays[2].Room = interview.NewGroupID()
	for _, h := range strays {
		d.hub.Hint(h)
	}
	if amal.count(wire.TypeSendHint)+chair.count(wire.TypeSendHint) > 0 {
		t.Fatal("advice for nobody was told to somebody")
	}
	d.hub.Hint(hint)
	got, ok := last[wire.SendHint](amal, wire.TypeSendHint)
	if !ok || got.Track != hint.Track || got.PacketMS != 60 || got.Bitrate != 16_000 || !got.Red || !slices.Equal(got.Unneeded, []string{"f"}) || chair.count(wire.TypeSendHint) > 0 {
		t.Errorf("told %+v, the other %d times", got, chair.count(wire.TypeSendHint))
	}
	amal.lose()
	amal.connect()
	amal.must(amal.join())
	if amal.count(wire.TypeSendHint) != 2 {
		t.Errorf("told %d times after the page came back", amal.count(wire.TypeSendHint))
	}
}

// A leg that is new begins as its room sends, which its answer says, and what was
// advised before is not said again; for one that moved it holds.
func TestAnAnswerSaysHowToBegin(t *testing.T) {
	t.Parallel()
	d, _, amal := pair(t)
	old := media.Hint{Room: d.world.Group, Leg: d.route(amal).From, Track: amal.offered[0].Track, Advice: media.Advice{PacketMS: 60, Unneeded: []string{"f"}}}
	d.hub.Hint(old)
	repeated := func() (wire.SendHint, int) {
		before := amal.count(wire.TypeSendHint)
		amal.lose()
		amal.connect()
		amal.must(amal.join())
		got, _ := last[wire.SendHint](amal, wire.TypeSendHint)
		return got, amal.count(wire.TypeSendHint) - before
	}
	offer := func(sdp string) []wire.SendHint {
		return body[wire.Answer](t, amal.must(amal.ask(wire.TypeOffer, wire.Offer{SDP: sdp, Tracks: amal.offered}))).Hints
	}
	if hints := offer(signalingtest.Restart); len(hints) > 0 {
		t.Errorf("a leg that moved is told %+v", hints)
	}
	if got, _ := repeated(); got.PacketMS != 60 {
		t.Errorf("what holds was repeated as %+v", got)
	}
	for _, red := range []bool{true, false} {
		d.media.Redundant(red)
		hints := offer("v=0")
		if len(hints) != len(amal.offered) || hints[0].Track != amal.offered[0].Track || hints[0].Red != red || hints[0].PacketMS != 0 {
			t.Errorf("a new leg begins with %+v, redundant is %v", hints, red)
		}
		// What the node says while the door waits for its answer is newer than that.
		d.media.Opening = func(req media.OpenLeg) {
			d.hub.Hint(media.Hint{Room: req.Room, Leg: req.Leg, Track: req.Tracks[0].Track, Advice: media.Advice{PacketMS: 60}})
		}
		if hints := offer("v=0"); len(hints) != len(amal.offered) || hints[0].PacketMS != 60 {
			t.Errorf("what was said meanwhile is lost: %+v", hints)
		}
		d.media.Opening = nil
		hints = offer("v=0")
		d.hub.Hint(old) // a leg of before
		if got, n := repeated(); n != len(hints) || got.PacketMS != 0 || got.Unneeded != nil {
			t.Errorf("told %d times, at last %+v", n, got)
		}
	}
}
