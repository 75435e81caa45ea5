package kioskbridge_test

import (
	"context"
	"testing"
	"time"

	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
)

// B14: a call rings in the queue of staff that is named for the kiosk's premises;
// the person is told whether anybody is there; the time to answer is measured for
// each queue by itself.
func TestHelpRingsANamedQueue(t *testing.T) {
	t.Parallel()
	clock := newWatch()
	w := newWorld(t, func(c *kioskbridge.Config) { c.Now = clock.now })
	d := w.desk()
	north, south, elsewhere := interview.NewDeviceID(), interview.NewDeviceID(), interview.NewDeviceID()
	sites := map[interview.DeviceID]string{north: "pre_north", south: "pre_south", elsewhere: "pre_elsewhere"}
	d.Rings([]kioskbridge.HelpQueue{
		{Name: "north", Label: "North", Sites: []string{"pre_north"}}, {Name: "south", Label: "South", Sites: []string{"pre_south"}}, {Name: "night", Label: "Night"},
	}, func(_ context.Context, k interview.DeviceID) (string, error) { return sites[k], nil })
	ctx, by := t.Context(), officer("a")
	raise := func(k interview.DeviceID) kioskbridge.Call {
		t.Helper()
		c, err := d.Raise(ctx, k, "ar", "code")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := raise(north); c.Queue != "north" || c.Staffed {
		t.Errorf("nobody is there yet: %+v", c)
	}
	if c := raise(elsewhere); c.Queue != "night" {
		t.Errorf("premises of no queue: %+v", c)
	}
	if err := d.Watch(ctx, by, []string{"north"}); err != nil {
		t.Fatal(err)
	}
	// The same call, while it waits: now somebody is there.
	call := raise(north)
	if !call.Staffed {
		t.Errorf("an officer has the queue open: %+v", call)
	}
	if c := raise(south); c.Queue != "south" || c.Staffed {
		t.Errorf("the other queue is not watched: %+v", c)
	}
	if calls, _, err := d.Calls(ctx, "north"); err != nil || len(calls) != 1 || calls[0].ID != call.ID {
		t.Errorf("the north's officer hears %+v %v", calls, err)
	}
	if calls, _, err := d.Calls(ctx); err != nil || len(calls) != 3 {
		t.Errorf("who named no queue hears %+v %v", calls, err)
	}
	clock.pass(42 * time.Second)
	if err := d.Answer(ctx, by, call.ID); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Called(ctx, north, call.ID); err != nil || !c.Answered || c.Staffed {
		t.Errorf("after the officer went away: %+v %v", c, err)
	}
	queues, err := d.HelpQueues(ctx)
	if err != nil || len(queues) != 3 {
		t.Fatal(queues, err)
	}
	if n := queues[0]; n.Queue != "north" || n.Calls != 1 || n.P50 < 42 || n.P50 > 45 {
		t.Errorf("the north's time to answer: %+v", n)
	}
	if s := queues[1]; s.Calls != 0 || s.P50 != 0 {
		t.Errorf("the south answered nothing: %+v", s)
	}
}

// An installation that names no queue has one, which all kiosks ring.
func TestHelpRingsWithoutNamedQueues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk()
	c, err := d.Raise(t.Context(), interview.NewDeviceID(), "fi", "code")
	if err != nil || c.Queue != "desk" || c.Staffed {
		t.Fatalf("%+v %v", c, err)
	}
	if err := d.Watch(t.Context(), officer("a"), nil); err != nil {
		t.Fatal(err)
	}
	if queues, err := d.HelpQueues(t.Context()); err != nil || len(queues) != 1 || !queues[0].Staffed {
		t.Errorf("%+v %v", queues, err)
	}
}
