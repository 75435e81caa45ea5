package signaling_test

import (
	"testing"

	"kuule/interview"
	"kuule/interview/wire"
)

// A room with a recorder alone is empty; with somebody in it, at its door, or whose
// seat is still kept it is not.
func TestARecorderAloneOccupiesNoRoom(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	h := d.world.Hearing
	if d.hub.Occupied(h) {
		t.Fatal("nobody came yet")
	}
	d.comeRecorder("one")
	if d.hub.Occupied(h) {
		t.Fatal("a recorder alone")
	}
	waits := d.come(d.world.Person(interview.RoleApplicant, "Amal"))
	if !d.hub.Occupied(h) {
		t.Fatal("somebody waits at the door")
	}
	waits.must(waits.ask(wire.TypeLeave, wire.Leave{}))
	eventually(t, "who waited has left", func() bool { return !d.hub.Occupied(h) })
	chair := d.chair()
	if !d.hub.Occupied(h) {
		t.Fatal("the chair is in")
	}
	chair.line.Close(nil) // the connection breaks: the seat is kept
	if !d.hub.Occupied(h) {
		t.Error("a seat that is kept")
	}
}
