package signaling_test

import (
	"testing"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/wire"
	"kuule/signaling/signalingtest"
)

// D6: a member that comes over another path keeps its leg, and with it what is
// recorded of it; a fresh connection is another leg.
func TestAnotherPathKeepsTheLeg(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	offer := func(sdp string) interview.LegID {
		return body[wire.Answer](t, chair.must(chair.ask(wire.TypeOffer, wire.Offer{SDP: sdp, Tracks: chair.offered}))).Leg
	}
	chair.must(chair.publish())
	first := offer("v=0")
	if again := offer(signalingtest.Restart); again != first {
		t.Errorf("a restart made leg %s of %s", again, first)
	}
	if fresh := offer("v=0"); fresh == first {
		t.Error("a fresh connection kept the leg")
	}
	if d.media.Legs() != 1 {
		t.Errorf("%d legs are open", d.media.Legs())
	}
}

// Whose leg is gone, alone or with the whole media node, is told to offer anew.
func TestWhoseLegIsGoneIsToldSo(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	for _, state := range []media.LegState{media.LegClosed, media.NodeStarted} {
		leg := body[wire.Answer](t, chair.must(chair.publish())).Leg
		before := chair.count(wire.TypeAdmitted)
		ev := media.Event{State: state}
		if state == media.LegClosed {
			ev.Room, ev.Leg = d.world.Group, leg
		}
		d.hub.LegEvent(ev)
		told, _ := last[wire.Admitted](chair, wire.TypeAdmitted)
		if chair.count(wire.TypeAdmitted) != before+1 || !told.Leg.IsZero() || told.Admission != chair.admission {
			t.Errorf("%s: told %+v", state, told)
		}
	}
}
