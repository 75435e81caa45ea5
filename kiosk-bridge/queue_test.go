package kioskbridge_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/tunnel"
)

// hall is a waiting room with two queues.
type hall struct {
	*kioskbridge.Queues
	t     *testing.T
	clock *watch
	kiosk interview.DeviceID
	drawn int
}

func newHall(t *testing.T) *hall {
	t.Helper()
	clock := newWatch()
	y, m, d := time.Now().Date()
	clock.pass(time.Until(time.Date(y, m, d+1, 12, 0, 0, 0, time.Local))) // no midnight comes between
	return &hall{t: t, clock: clock, kiosk: interview.NewDeviceID(), Queues: kioskbridge.NewQueues(storetest.Open(t), []kioskbridge.Queue{
		{Name: "help", Label: "Service desk", Letter: "A", Matters: []kioskbridge.Matter{kioskbridge.MatterDesk, kioskbridge.MatterOther}, Desks: []string{"Desk 1", "Desk 2"}},
		{Name: "cards", Label: "Cards", Letter: "B", Matters: []kioskbridge.Matter{kioskbridge.Matter(tunnel.ServiceCard)}, Desks: []string{"Room 4"}},
	}, []string{"fi", "ar"}, clock.now)}
}

func (h *hall) draw(m kioskbridge.Matter) kioskbridge.Drawn {
	h.t.Helper()
	h.drawn++
	n, some, err := h.Draw(h.t.Context(), h.kiosk, fmt.Sprintf("draw-number-%04d", h.drawn), m, "ar")
	if err != nil || !some {
		h.t.Fatalf("no number for %s: %v", m, err)
	}
	return n
}

func (h *hall) next(queue, desk string) kioskbridge.Waiter {
	h.t.Helper()
	n, some, err := h.Next(h.t.Context(), officer("a"), queue, desk)
	if err != nil || !some {
		h.t.Fatalf("nobody was called to %s: %v", desk, err)
	}
	return n
}

// B17: quick matters go past the queue: a service that no queue takes has no
// number, and neither has anything where no queue was set up.
func TestQuickMattersGoPastTheQueue(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	for _, quick := range []tunnel.Service{tunnel.ServiceInterview, tunnel.ServiceIdentity, tunnel.ServicePassport, tunnel.ServicePay} {
		if n, some, err := h.Draw(t.Context(), h.kiosk, "0123456789abcdef", kioskbridge.Matter(quick), "fi"); err != nil || some {
			t.Errorf("%s: %+v %v", quick, n, err)
		}
	}
	off := kioskbridge.NewQueues(storetest.Open(t), nil, nil, h.clock.now)
	for _, m := range []kioskbridge.Matter{kioskbridge.MatterDesk, kioskbridge.MatterOther, kioskbridge.Matter(tunnel.ServiceCard)} {
		if _, some, err := off.Draw(t.Context(), h.kiosk, "0123456789abcdef", m, "fi"); err != nil || some {
			t.Errorf("without queues %s waits: %v", m, err)
		}
	}
	if _, err := off.Shows(t.Context(), h.kiosk); problem.Of(err).Code != problem.CodeNotReady {
		t.Errorf("a screen that nobody set up: %v", err)
	}
}

// B16: numbers are called in the order in which they were drawn, each to one desk,
// and the screen shows number and desk.
func TestNumbersAreCalledInTheirOrder(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	first, second := h.draw(kioskbridge.MatterDesk), h.draw(kioskbridge.MatterOther)
	if card := h.draw(kioskbridge.Matter(tunnel.ServiceCard)); card.Text != "B1" || card.Label != "Cards" || card.Ahead != 0 {
		t.Errorf("card: %+v", card)
	}
	if first.Text != "A1" || second.Text != "A2" || first.Ahead != 0 || second.Ahead != 1 {
		t.Fatalf("%+v %+v", first, second)
	}
	if n := h.next("help", "Desk 1"); n.Text != "A1" || n.Desk != "Desk 1" {
		t.Errorf("first call: %+v", n)
	}
	h.clock.pass(time.Second)
	if n := h.next("help", "Desk 2"); n.Text != "A2" {
		t.Errorf("second call: %+v", n)
	}
	s, err := h.Shows(t.Context(), h.kiosk)
	if err != nil || len(s.Called) != 2 || s.Called[0].Text != "A2" || s.Called[0].Desk != "Desk 2" || s.Called[1].Text != "A1" || s.Waiting != 1 {
		t.Errorf("the screen: %+v %v", s, err)
	}
	// The desk's next call ends what it had open.
	if n, some, err := h.Next(t.Context(), officer("a"), "help", "Desk 1"); err != nil || some {
		t.Errorf("nobody waits any more: %+v %v", n, err)
	}
	if s, err = h.Shows(t.Context(), h.kiosk); err != nil || len(s.Called) != 1 || s.Called[0].Text != "A2" {
		t.Errorf("the screen still shows who is done: %+v %v", s, err)
	}
}

// A lost answer costs nobody a place: the same draw is the same number.
func TestADrawIsMadeOnce(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	a, _, err := h.Draw(t.Context(), h.kiosk, "the-very-same-draw", kioskbridge.MatterDesk, "fi")
	if err != nil {
		t.Fatal(err)
	}
	if b, _, err := h.Draw(t.Context(), h.kiosk, "the-very-same-draw", kioskbridge.MatterDesk, "fi"); err != nil || b.ID != a.ID || b.Text != a.Text {
		t.Errorf("%+v, then %+v %v", a, b, err)
	}
	if c, _, err := h.Draw(t.Context(), interview.NewDeviceID(), "the-very-same-draw", kioskbridge.MatterDesk, "fi"); err != nil || c.ID == a.ID {
		t.Errorf("another kiosk got the same number: %v", err)
	}
}

// Many kiosks at the same moment draw different numbers, and many desks never
// call one number twice.
func TestNumbersAtTheSameMoment(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	const persons = 12
	texts := make(chan string, persons)
	var draws sync.WaitGroup
	for i := range persons {
		draws.Go(func() {
			n, _, err := h.Draw(t.Context(), h.kiosk, fmt.Sprintf("at-the-same-moment-%02d", i), kioskbridge.MatterDesk, "fi")
			if err != nil {
				t.Error(err)
			}
			texts <- n.Text
		})
	}
	draws.Wait()
	close(texts)
	seen := map[string]bool{}
	for text := range texts {
		if seen[text] {
			t.Errorf("%s was drawn twice", text)
		}
		seen[text] = true
	}
	called := make(chan string, persons)
	var calls sync.WaitGroup
	for _, desk := range []string{"Desk 1", "Desk 2"} {
		calls.Go(func() {
			for range persons / 2 {
				n, some, err := h.Next(t.Context(), officer(desk), "help", desk)
				if err != nil || !some {
					t.Errorf("%s: %v %v", desk, some, err)
				}
				called <- n.Text
			}
		})
	}
	calls.Wait()
	close(called)
	for text := range called {
		if !seen[text] {
			t.Errorf("%s was called twice, or never drawn", text)
		}
		delete(seen, text)
	}
}

// B16: call again, did not come, done, hand to another desk.
func TestWhatAnOfficerDoesWithANumber(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	by := officer("a")
	act := func(n kioskbridge.Waiter, a kioskbridge.NumberAct, queue, desk string) problem.Code {
		t.Helper()
		if err := h.Act(t.Context(), by, n.ID, a, queue, desk); err != nil {
			return problem.Of(err).Code
		}
		return ""
	}
	h.draw(kioskbridge.MatterDesk)
	later := h.draw(kioskbridge.Matter(tunnel.ServiceCard))
	n := h.next("help", "Desk 1")
	if code := act(n, kioskbridge.ActAgain, "", ""); code != "" {
		t.Fatal(code)
	}
	if s, err := h.Shows(t.Context(), h.kiosk); err != nil || len(s.Called) != 1 || s.Called[0].Calls != 2 {
		t.Errorf("called again: %+v %v", s, err)
	}
	if code := act(kioskbridge.Waiter{ID: later.ID}, kioskbridge.ActDone, "", ""); code != problem.CodeConflict {
		t.Errorf("what was not called is ended: %q", code)
	}
	for name, to := range map[string][2]string{"no queue": {"lunch", ""}, "no such desk": {"cards", "Desk 1"}} {
		if code := act(n, kioskbridge.ActHand, to[0], to[1]); code == "" {
			t.Errorf("handed to %s", name)
		}
	}
	// Handed on, the number keeps its place: it was drawn first.
	if code := act(n, kioskbridge.ActHand, "cards", "Room 4"); code != "" {
		t.Fatal(code)
	}
	if handed := h.next("cards", "Room 4"); handed.Text != "A1" {
		t.Errorf("handed on: %+v", handed)
	}
	if code := act(n, kioskbridge.ActDone, "", ""); code != "" {
		t.Fatal(code)
	}
	if code := act(n, kioskbridge.ActDone, "", ""); code != problem.CodeNotFound {
		t.Errorf("done twice: %q", code)
	}
	if code := act(h.next("cards", "Room 4"), kioskbridge.ActAbsent, "", ""); code != "" {
		t.Fatal(code)
	}
	lines, err := h.Lines(t.Context(), officer("a"))
	if err != nil || len(lines) != 2 {
		t.Fatal(lines, err)
	}
	// M6: what became of them.
	if f := lines[1].Figures; f.Done != 1 || f.Absent != 1 || f.Handed != 1 {
		t.Errorf("figures: %+v", f)
	}
}

// A number that was handed to one desk is called by no other.
func TestANumberForOneDesk(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.draw(kioskbridge.MatterDesk)
	n := h.next("help", "Desk 1")
	if err := h.Act(t.Context(), officer("a"), n.ID, kioskbridge.ActHand, "help", "Desk 2"); err != nil {
		t.Fatal(err)
	}
	if n, some, err := h.Next(t.Context(), officer("a"), "help", "Desk 1"); err != nil || some {
		t.Errorf("called to the wrong desk: %+v %v", n, err)
	}
	if got := h.next("help", "Desk 2"); got.ID != n.ID {
		t.Errorf("%+v", got)
	}
}

// The wait that is told is measured: by how long people took, at the desks that
// call now. Before anything was measured nobody says a time.
func TestWaitIsMeasured(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	if n := h.draw(kioskbridge.MatterDesk); n.Wait != -1 {
		t.Errorf("a wait out of nothing: %+v", n)
	}
	for range 5 {
		h.draw(kioskbridge.MatterDesk)
	}
	for range 6 { // five of them done, each in four minutes
		h.next("help", "Desk 1")
		h.clock.pass(4 * time.Minute)
	}
	h.next1("help", "Desk 1")
	for range 3 {
		h.draw(kioskbridge.MatterDesk)
	}
	n := h.draw(kioskbridge.MatterDesk)
	if n.Ahead != 3 || n.Wait != 16*60 {
		t.Errorf("three ahead, four minutes each, one desk: %+v", n)
	}
	h.next("help", "Desk 2") // a second desk halves it
	if n = h.draw(kioskbridge.MatterDesk); n.Ahead != 3 || n.Wait != 8*60 {
		t.Errorf("two desks: %+v", n)
	}
}

// next1 calls, whether or not somebody waits.
func (h *hall) next1(queue, desk string) {
	if _, _, err := h.Next(h.t.Context(), officer("a"), queue, desk); err != nil {
		h.t.Fatal(err)
	}
}

// Numbers of yesterday are nobody's any more.
func TestNumbersEndWithTheDay(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	h.draw(kioskbridge.MatterDesk)
	h.clock.pass(24 * time.Hour)
	if n := h.draw(kioskbridge.MatterDesk); n.Text != "A1" || n.Ahead != 0 {
		t.Errorf("the next day: %+v", n)
	}
}

// What is not of the contract draws and calls nothing.
func TestQueuesRefuse(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	for name, c := range map[string][3]string{
		"no draw": {"", "desk", "fi"}, "a matter of its own": {"0123456789abcdef", "lunch", "fi"}, "no language": {"0123456789abcdef", "desk", ""},
	} {
		if _, _, err := h.Draw(t.Context(), h.kiosk, c[0], kioskbridge.Matter(c[1]), c[2]); problem.Of(err).Code != problem.CodeMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string][2]string{"no queue": {"lunch", "Desk 1"}, "another queue's desk": {"help", "Room 4"}} {
		if _, _, err := h.Next(t.Context(), officer("a"), c[0], c[1]); err == nil {
			t.Errorf("%s was called to", name)
		}
	}
}

// B16: queues of two premises do not know each other: kiosks draw, desks call and
// screens show what is of their own place alone. What no queue of the place takes
// waits in the one that is for all.
func TestQueuesOfPremisesAreApart(t *testing.T) {
	t.Parallel()
	h := newHall(t)
	north, south := interview.NewDeviceID(), interview.NewDeviceID()
	q := kioskbridge.NewQueues(storetest.Open(t), []kioskbridge.Queue{
		{Name: "all", Label: "Everybody", Letter: "Z", Matters: []kioskbridge.Matter{kioskbridge.MatterOther, kioskbridge.MatterDesk}, Desks: []string{"Hall"}},
		{Name: "north", Label: "North", Letter: "N", Matters: []kioskbridge.Matter{kioskbridge.MatterDesk}, Desks: []string{"Desk 1"}, Sites: []string{"at-north"}},
		{Name: "south", Label: "South", Letter: "S", Matters: []kioskbridge.Matter{kioskbridge.MatterDesk}, Desks: []string{"Desk 1"}, Sites: []string{"at-south"}},
	}, []string{"fi"}, h.clock.now)
	q.Stand(func(_ context.Context, d interview.DeviceID) (string, error) {
		switch d {
		case north:
			return "at-north", nil
		case south:
			return "at-south", nil
		}
		return "", problem.New(problem.CodeDeviceNotNamed, "test")
	})
	draw := func(kiosk interview.DeviceID, m kioskbridge.Matter, word string) kioskbridge.Drawn {
		t.Helper()
		n, some, err := q.Draw(t.Context(), kiosk, word, m, "fi")
		if err != nil || !some {
			t.Fatalf("%+v %v", n, err)
		}
		return n
	}
	in, of := draw(north, kioskbridge.MatterDesk, "0123456789abcdn1"), draw(south, kioskbridge.MatterDesk, "0123456789abcds1")
	if in.Text != "N1" || of.Text != "S1" || in.Ahead != 0 || of.Ahead != 0 {
		t.Errorf("%+v and %+v", in, of)
	}
	if n := draw(south, kioskbridge.MatterOther, "0123456789abcdz1"); n.Text != "Z1" {
		t.Errorf("what no queue of the place takes: %+v", n)
	}
	if _, _, err := q.Draw(t.Context(), interview.NewDeviceID(), "0123456789abcdx1", kioskbridge.MatterDesk, "fi"); problem.Of(err).Code != problem.CodeDeviceNotNamed {
		t.Errorf("a device that stands nowhere: %v", err)
	}
	atNorth, atSouth := kioskbridge.Officer{Person: "a", Device: north}, kioskbridge.Officer{Person: "b", Device: south}
	if _, _, err := q.Next(t.Context(), atSouth, "north", "Desk 1"); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("the south calls from the north's queue: %v", err)
	}
	called, some, err := q.Next(t.Context(), atNorth, "north", "Desk 1")
	if err != nil || !some || called.Text != "N1" {
		t.Fatalf("%+v %v", called, err)
	}
	// Two desks of one name are two desks: calling at one ends nothing at the other.
	if n, some, err := q.Next(t.Context(), atSouth, "south", "Desk 1"); err != nil || !some || n.Text != "S1" {
		t.Fatalf("%+v %v", n, err)
	}
	if err := q.Act(t.Context(), atSouth, called.ID, kioskbridge.ActDone, "", ""); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("the south ends the north's number: %v", err)
	}
	if err := q.Act(t.Context(), atNorth, called.ID, kioskbridge.ActHand, "south", ""); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("handed to another place: %v", err)
	}
	for screen, want := range map[interview.DeviceID]string{north: "N1", south: "S1"} {
		s, err := q.Shows(t.Context(), screen)
		if err != nil || len(s.Called) != 1 || s.Called[0].Text != want || s.Waiting != 1 {
			t.Errorf("the screen of %s: %+v %v", want, s, err)
		}
	}
	lines, err := q.Lines(t.Context(), atNorth)
	if err != nil || len(lines) != 2 || lines[1].Name != "north" {
		t.Errorf("the north's officer sees %+v %v", lines, err)
	}
	if all, err := q.All(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("in all %d, %v", len(all), err)
	}
}
