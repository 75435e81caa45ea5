package signaling_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/signaling"
	"kuule/signaling/signalingtest"
)

// D1: an admission counts for exactly the persons that the chair saw.
func TestTheChairAdmitsWhomItSaw(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	p := d.world.Person(interview.RoleApplicant, "Amal")
	g := d.come(p)
	for name, seats := range map[string][]interview.SeatID{
		"nobody": nil, "another": {interview.NewSeatID()}, "one more": {p.Seat.Seat, interview.NewSeatID()}, "twice": {p.Seat.Seat, p.Seat.Seat},
	} {
		if got := code(t, chair.ask(wire.TypeAdmit, wire.Admit{Member: g.id(), Seats: seats})); got != problem.CodeConflict {
			t.Errorf("admitted as %s: %q", name, got)
		}
	}
	if g.count(wire.TypeAdmitted) > 0 {
		t.Fatal("admitted all the same")
	}
	chair.admit(g)
	if g.count(wire.TypeAdmitted) != 1 {
		t.Error("not admitted")
	}
}

// C9, D1: who is declined, or removed, is told why; neither an old admission
// nor a reload brings a removed page back without the chair.
func TestWhoWasTakenOutStaysOut(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	p := d.world.Person(interview.RoleApplicant, "Amal")

	declined := d.come(p)
	chair.must(chair.ask(wire.TypeDecline, wire.Decline{Member: declined.id(), Reason: "not expected"}))
	if why, ok := last[problem.Document](declined, wire.TypeRefused); !ok || why.Code != problem.CodeDeclined || why.Way == "" || !declined.line.isClosed() {
		t.Errorf("declined: %+v, closed %v", why, declined.line.isClosed())
	}
	declined.refused(problem.CodeNotReady, declined.ask(wire.TypeSync, wire.Sync{}))

	g := chair.seat(p)
	chair.sign("join", chair, g)
	g.must(g.publish())
	chair.must(chair.ask(wire.TypeRemove, wire.Remove{Member: g.id(), Reason: "asked to leave"}))
	if why, ok := last[problem.Document](g, wire.TypeRefused); !ok || why.Code != problem.CodeDeclined {
		t.Errorf("removed: %+v", why)
	}
	g.refused(problem.CodeNotReady, g.publish())
	if d.media.Legs() != 0 {
		t.Errorf("%d legs are open after the removal", d.media.Legs())
	}
	g.lose()
	g.connect()
	g.refused(problem.CodeDeclined, g.join())
	again := d.come(p)
	if again.count(wire.TypeAdmitted) > 0 {
		t.Error("a removed device came back by a reload")
	}
}

// A seat survives a broken connection and a reload, without a second knock;
// after a goodbye it does not.
func TestASeatIsKeptUntilGoodbye(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	p := d.world.Person(interview.RoleApplicant, "Amal")
	g := chair.seat(p)
	g.lose()
	reload := d.come(p)
	if reload.count(wire.TypeAdmitted) != 1 || chair.count(wire.TypeKnock) != 1 {
		t.Error("a reload had to knock again")
	}
	reload.must(reload.ask(wire.TypeLeave, wire.Leave{}))
	reload.lose()
	if after := d.come(p); after.count(wire.TypeAdmitted) != 0 || chair.count(wire.TypeKnock) != 2 {
		t.Error("a seat was kept after a goodbye")
	}
}

// A page that came back takes the place of the one before; that one is told,
// says nothing more, and its admission does not win the seat back.
func TestANewerPageSupersedes(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	p := d.world.Person(interview.RoleInterviewer, "Irja")
	first := d.come(p)
	second := d.come(p)
	if first.count(wire.TypeSuperseded) != 1 || !first.line.isClosed() {
		t.Error("the older page was not told")
	}
	first.refused(problem.CodeNotReady, first.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseEnded}))
	first.lose()
	first.connect()
	first.refused(problem.CodeSeatTaken, first.join())
	second.must(second.ask(wire.TypePhase, wire.AskPhase{To: interview.PhasePaused}))
}

// Only one device chairs: a second interviewer comes in like everybody else.
func TestOneDeviceChairs(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	other := d.come(d.world.Person(interview.RoleInterviewer, "Ilmo"))
	if w := body[wire.Welcome](t, other.seen[len(other.seen)-1]); w.Chair || other.count(wire.TypeAdmitted) > 0 {
		t.Error("a second device chairs")
	}
	chair.admit(other)
	other.refused(problem.CodeForbidden, other.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseEnded}))
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhasePaused}))
}

// A statement is verified only when authority countersigns: until then a page
// may name itself as anybody. That must cost the real one nothing.
func TestNobodyTakesAnothersName(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	g := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	thief := d.arrive(d.world.Person(interview.RoleCounsel, "Kaisa"))
	thief.self = g.self
	place := sealing.Place{Kind: sealing.KindPage, Hearing: d.world.Hearing, Device: thief.peer.Device, Seats: []interview.SeatID{interview.NewSeatID()}, DTLS: "AA", Life: time.Hour}
	thief.state(place, func(st sealing.Statement) (string, error) {
		text, _, err := d.world.Person(interview.RoleCounsel, "Mallory").Prove(t.Context(), st)
		return text, err
	})
	thief.refused(problem.CodeStatementInvalid, thief.join())
	g.must(g.ask(wire.TypeSync, wire.Sync{}))
	chair.must(chair.ask(wire.TypeRemove, wire.Remove{Member: g.id()}))
}

// One device holds one place in the waiting room: it cannot fill it alone.
func TestADeviceWaitsOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	p := d.world.Person(interview.RoleApplicant, "Amal")
	first := d.come(p)
	second := d.come(p)
	if first.count(wire.TypeSuperseded) != 1 {
		t.Error("the older page still waits")
	}
	if gone, ok := last[wire.KnockGone](chair, wire.TypeKnockGone); !ok || gone.Member != first.id() {
		t.Error("the chair still sees the older page")
	}
	chair.admit(second)
}

// Two devices never hold one seat.
func TestASeatIsHeldOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	p := d.world.Person(interview.RoleApplicant, "Amal")
	other := d.world.Person(interview.RoleApplicant, "Amal")
	other.Seat = p.Seat
	g := chair.seat(p)
	second := d.arrive(other)
	second.refused(problem.CodeSeatTaken, second.join())
	g.must(g.ask(wire.TypeSync, wire.Sync{}))
}

// A flood of joins, offers or raised hands is answered by a code and reaches
// nobody; a flood of anything ends the connection.
func TestFloodsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	g := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	refused := 0
	for range 60 {
		if code(t, g.ask(wire.TypeRaise, wire.Raise{What: "speak"})) == problem.CodeTooFast {
			refused++
		}
	}
	if n := chair.count(wire.TypeRaised); n > 30 || refused < 30 {
		t.Errorf("of 60 raised hands %d reached the chair, %d were refused", n, refused)
	}
	err := error(nil)
	for i := 0; i < 300 && err == nil; i++ {
		err = g.session.Handle(t.Context(), []byte(`{"type":"sync","body":{"sent":1}}`))
	}
	if !errors.Is(err, problem.New(problem.CodeTooFast, "")) {
		t.Errorf("300 messages at once: %v", err)
	}
	big := append(append([]byte(`{"type":"origin","body":{"lists":["`), bytes.Repeat([]byte("a"), 200<<10)...), `"]}}`...)
	for i := 0; i < 20 && err == nil; i++ {
		err = chair.session.Handle(t.Context(), big)
	}
	if !errors.Is(err, problem.New(problem.CodeTooFast, "")) {
		t.Errorf("4 MB at once: %v", err)
	}
}

// Bad input gets a coded error and loses nothing.
func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	for name, tc := range map[string]struct {
		text string
		want problem.Code
	}{
		"no JSON":                {"hello", problem.CodeMalformed},
		"nothing":                {"", problem.CodeMalformed},
		"two values":             {`{"type":"sync"} {}`, problem.CodeMalformed},
		"unknown envelope field": {`{"type":"sync","body":{"sent":1},"to":"all"}`, problem.CodeMalformed},
		"unknown body field":     {`{"type":"sync","body":{"sent":1,"now":2}}`, problem.CodeMalformed},
		"name twice":             {`{"type":"sync","type":"roster","body":{"sent":1}}`, problem.CodeMalformed},
		"no body":                {`{"type":"sync"}`, problem.CodeMalformed},
		"body of another kind":   {`{"type":"sync","body":[1]}`, problem.CodeMalformed},
		"fraction":               {`{"type":"sync","body":{"sent":1.5}}`, problem.CodeMalformed},
		"unknown type":           {`{"type":"shout","body":{}}`, problem.CodeNoRoute},
		"oversized":              {`{"type":"sync","body":{"sent":1}` + string(bytes.Repeat([]byte(" "), wire.MaxSize)) + `}`, problem.CodeTooLarge},
		"what nobody raises":     {`{"type":"admit","body":{"member":"x","seats":[]}}`, problem.CodeMalformed},
	} {
		if err := chair.session.Handle(t.Context(), []byte(tc.text)); err != nil {
			t.Fatalf("%s: the connection was to end: %v", name, err)
		}
		news := chair.line.news()
		if len(news) != 1 || code(t, news[0]) != tc.want {
			t.Errorf("%s: answered %v, want %s", name, news, tc.want)
		}
	}
	chair.must(chair.ask(wire.TypeSync, wire.Sync{Sent: 7}))
}

// What comes after the end of a connection is refused, not dereferenced.
func TestNothingAfterClosed(t *testing.T) {
	t.Parallel()
	for _, state := range states {
		g := in(t, state)
		g.session.Closed()
		g.session.Closed()
		if err := g.session.Handle(t.Context(), []byte(`{"type":"sync","body":{"sent":1}}`)); err == nil {
			t.Errorf("%s: a message was taken after the end", state)
		}
	}
}

// A socket that takes nothing any more is cut, and holds up nobody.
func TestAStalledLineIsCut(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	g := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	g.line.mu.Lock()
	g.line.full = true
	g.line.mu.Unlock()
	chair.sign("join", chair)
	if !g.line.isClosed() {
		t.Error("a stalled line was not cut")
	}
}

// Promise 2: rosters and wraps go only to whom they concern, and nobody speaks
// in another's name.
func TestWrapsInOthersNames(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	kaisa := chair.seat(d.world.Person(interview.RoleCounsel, "Kaisa"))
	outside := chair.seat(d.world.Person(interview.RoleInterpreter, "Tuula"))
	chair.sign("join", chair, amal, kaisa)
	wraps := func(g *guest, number int) []string {
		w, err := g.group.Wraps(interview.NewTrackID(), interview.SourceAudio, number)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	mine := wraps(amal, 0)
	kaisa.refused(problem.CodeForbidden, kaisa.ask(wire.TypeWraps, wire.Wraps{Wraps: mine}))
	outside.refused(problem.CodeForbidden, outside.ask(wire.TypeWraps, wire.Wraps{Wraps: mine}))
	for range 40 { // sent again and again, each wrap is handed on once
		amal.must(amal.ask(wire.TypeWraps, wire.Wraps{Wraps: mine}))
	}
	if kaisa.count(wire.TypeWraps) != 1 || outside.count(wire.TypeWraps) != 0 {
		t.Errorf("wraps reached counsel %d times, the member outside %d times", kaisa.count(wire.TypeWraps), outside.count(wire.TypeWraps))
	}
	// One sender cannot use up what others need.
	for n := 1; n < sealing.MaxTracks; n++ {
		amal.must(amal.ask(wire.TypeWraps, wire.Wraps{Wraps: wraps(amal, n)}))
	}
	kaisa.must(kaisa.ask(wire.TypeWraps, wire.Wraps{Wraps: wraps(kaisa, 0)}))
	if len(amal.refusals)+len(kaisa.refusals) > 0 {
		t.Errorf("refused: %v %v", amal.refusals, kaisa.refusals)
	}
}

// A member that comes back with its admission gets the rosters that it missed,
// in order, and the wraps of the epoch: its group sees no fork.
func TestWhoComesBackCatchesUp(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	kaisa := chair.seat(d.world.Person(interview.RoleCounsel, "Kaisa"))
	chair.sign("join", chair, amal, kaisa)

	amal.lose()
	chair.sign("leave", chair, kaisa)
	tuula := chair.seat(d.world.Person(interview.RoleInterpreter, "Tuula"))
	chair.sign("join", chair, kaisa, tuula)
	tuula.must(tuula.ask(wire.TypeLeave, wire.Leave{}))
	newest := chair.sign("leave", chair, kaisa)

	amal.connect()
	amal.must(amal.join())
	if _, text, _ := amal.group.Roster(); text != newest || len(amal.refusals) > 0 {
		t.Fatalf("the page that came back is not at the newest roster: %v", amal.refusals)
	}
	chair.sign("join", chair, kaisa, amal)
	w, err := chair.group.Wraps(interview.NewTrackID(), interview.SourceAudio, 0)
	if err != nil {
		t.Fatal(err)
	}
	amal.lose()
	chair.must(chair.ask(wire.TypeWraps, wire.Wraps{Wraps: w}))
	amal.connect()
	amal.must(amal.join())
	if amal.count(wire.TypeWraps) != 1 || len(amal.refusals) > 0 {
		t.Errorf("wraps of the epoch came %d times, refused: %v", amal.count(wire.TypeWraps), amal.refusals)
	}
}

// The chair's page may be reloaded: the new one goes on from the newest roster,
// although the page that signed it is gone, and so does everybody else.
func TestTheChairsPageIsReloaded(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	p := d.world.Person(interview.RoleInterviewer, "Irja")
	chair := d.come(p)
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	chair.sign("join", chair, amal)
	chair.lose()
	chair = d.come(p)
	for _, m := range chair.seen { // nothing shows it on the list before it has the roster
		if m.Type == wire.TypeRoster {
			break
		}
		if m.Type == wire.TypeMembers {
			for _, v := range body[wire.Members](t, m).Members {
				if v.Member == chair.id() {
					t.Error("the new page would sign a roster of its own first")
				}
			}
		}
	}
	chair.sign("chair", chair, amal)
	newcomer := chair.seat(d.world.Person(interview.RoleCounsel, "Kaisa"))
	chair.sign("join", chair, amal, newcomer)
	for _, g := range []*guest{chair, amal, newcomer} {
		if r, _, _ := g.group.Roster(); r.Epoch != 3 || len(g.refusals) > 0 {
			t.Errorf("at epoch %d, refused: %v", r.Epoch, g.refusals)
		}
	}
}

// A roster that does not follow the newest one is not handed on: it would look
// like a fork to every page.
func TestRostersFormOneChain(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	first := chair.sign("join", chair, amal)
	chair.must(chair.ask(wire.TypeRoster, wire.Roster{Roster: first})) // again, after a doubt
	lost, err := chair.group.SignRoster([]interview.MemberID{chair.id()}, "leave", 1)
	if err != nil {
		t.Fatal(err)
	}
	next, err := chair.group.SignRoster([]interview.MemberID{chair.id(), amal.id()}, "join", 2)
	if err != nil {
		t.Fatal(err)
	}
	chair.refused(problem.CodeRosterInvalid, chair.ask(wire.TypeRoster, wire.Roster{Roster: next}))
	chair.must(chair.ask(wire.TypeRoster, wire.Roster{Roster: lost}))
	chair.must(chair.ask(wire.TypeRoster, wire.Roster{Roster: next}))
	if amal.read(); len(amal.refusals) > 0 {
		t.Errorf("the page saw a fork: %v", amal.refusals)
	}
}

// recorded is a room on record with a chair that publishes and two recorders.
func recorded(t *testing.T) (d *door, chair, one, two *guest) {
	t.Helper()
	d = newDoor(t, func(c *signaling.Config) { c.Limits.HeartbeatLost = 300 * time.Millisecond })
	chair = d.chair()
	one, two = d.comeRecorder("one"), d.comeRecorder("two")
	chair.sign("resume", chair, one, two)
	chair.connected(chair.publish())
	one.must(one.beat(1, interview.RecorderRecording, chair))
	two.must(two.beat(1, interview.RecorderRecording, chair))
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseOnRecord}))
	return d, chair, one, two
}

func (g *guest) phase() interview.Phase {
	p, _ := last[wire.PhaseNow](g, wire.TypePhaseNow)
	return p.Phase
}

// Dual recording: either recorder alone suffices, whichever way the other ends.
func TestOneOfTwoRecordersIsEnough(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*guest){
		"connection lost": (*guest).lose,
		"says failed":     func(g *guest) { g.beat(2, interview.RecorderFailed) },
		"falls silent":    func(*guest) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, chair, one, two := recorded(t)
			end(one)
			for seq := int64(2); seq < 10; seq++ {
				two.must(two.beat(seq, interview.RecorderRecording, chair))
				time.Sleep(100 * time.Millisecond) // beats go on for longer than one is missed
			}
			if chair.phase() != interview.PhaseOnRecord {
				t.Error("the hearing paused although one recorder went on")
			}
			end(two)
			eventually(t, "nobody records, so the hearing pauses", func() bool { return chair.phase() == interview.PhasePaused })
			if now, _ := d.world.Phase(t.Context(), d.world.Hearing); now.Cause != interview.CauseRecorderLost {
				t.Errorf("paused by %s", now.Cause)
			}
		})
	}
}

// H1: what counts is a recorder on the roster that has every publisher.
func TestWhatIsNotOnRecord(t *testing.T) {
	t.Parallel()
	onRecord := func(chair *guest) problem.Code {
		return code(t, chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseOnRecord}))
	}
	for name, tc := range map[string]struct {
		roster   bool
		publish  bool
		state    interview.RecorderState
		covers   bool
		accepted bool
	}{
		"all is well":                {true, true, interview.RecorderRecording, true, true},
		"recorder outside the group": {false, true, interview.RecorderRecording, true, false},
		"nobody publishes":           {true, false, interview.RecorderRecording, true, false},
		"recorder behind":            {true, true, interview.RecorderBehind, true, false},
		"recorder failed":            {true, true, interview.RecorderFailed, true, false},
		"a track is missing":         {true, true, interview.RecorderRecording, false, false},
	} {
		d := newDoor(t)
		chair, rec := d.chair(), d.comeRecorder("one")
		if tc.roster {
			chair.sign("resume", chair, rec)
		} else {
			chair.sign("join", chair)
		}
		if tc.publish {
			chair.connected(chair.publish())
		}
		var covered []*guest
		if tc.covers {
			covered = []*guest{chair}
		}
		rec.must(rec.beat(1, tc.state, covered...))
		if got := onRecord(chair); (got == "") != tc.accepted {
			t.Errorf("%s: answered %q", name, got)
		}
	}
}

// A restarted recorder takes its own place, not that of another one.
func TestARecorderReplacesItselfOnly(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	one, two := d.comeRecorder("one"), d.comeRecorder("two")
	d.comeRecorder("one")
	if one.count(wire.TypeSuperseded) != 1 || two.count(wire.TypeSuperseded) != 0 {
		t.Error("the wrong recorder was superseded")
	}
	if m, _ := last[wire.Members](chair, wire.TypeMembers); len(m.Members) != 3 {
		t.Errorf("%d members", len(m.Members))
	}
}

// A recorder whose process was killed leaves no connection that breaks.
func TestASilentRecorderIsDropped(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(c *signaling.Config) { c.Limits.RecorderSilent = 100 * time.Millisecond })
	chair, rec := d.chair(), d.comeRecorder("one")
	rec.must(rec.beat(1, interview.RecorderRecording))
	eventually(t, "the recorder is dropped", func() bool {
		m, _ := last[wire.Members](chair, wire.TypeMembers)
		return len(m.Members) == 1 && rec.line.isClosed()
	})
}

// The chair's page away, also when its device was revoked, pauses the hearing.
func TestTheChairIsLost(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(c *signaling.Config) { c.Limits.ChairLost = 200 * time.Millisecond })
	chair, rec := d.chair(), d.comeRecorder("one")
	chair.sign("resume", chair, rec)
	amal := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	amal.connected(amal.publish())
	chair.sign("join", chair, amal, rec)
	rec.must(rec.beat(1, interview.RecorderRecording, amal))
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseOnRecord}))
	d.hub.Revoke(chair.peer.Device, problem.New(problem.CodeDeviceRevoked, "test"))
	if !chair.line.isClosed() {
		t.Fatal("a revoked device kept its connection")
	}
	eventually(t, "the hearing pauses", func() bool { return amal.phase() == interview.PhasePaused })
	if p, _ := last[wire.PhaseNow](amal, wire.TypePhaseNow); p.Cause != interview.CauseInterviewerLost {
		t.Errorf("paused by %s", p.Cause)
	}
}

// refusingHearings writes no transition down until it is told to.
type refusingHearings struct {
	*signalingtest.World
	mu      sync.Mutex
	refuses bool
}

func (h *refusingHearings) Ask(ctx context.Context, id interview.HearingID, ask signaling.PhaseRequest) (wire.PhaseNow, error) {
	h.mu.Lock()
	refuses := h.refuses
	h.mu.Unlock()
	if refuses {
		<-ctx.Done() // a database that hangs
		return wire.PhaseNow{}, ctx.Err()
	}
	return h.World.Ask(ctx, id, ask)
}

// H1: members leave "on record" within 2 s also when the database hangs, and
// the pause is written down as soon as it answers again.
func TestAPauseDoesNotWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	hearings := &refusingHearings{}
	d := newDoor(t, func(c *signaling.Config) {
		hearings.World = c.Hearings.(*signalingtest.World)
		c.Hearings = hearings
	})
	chair, rec := d.chair(), d.comeRecorder("one")
	chair.sign("resume", chair, rec)
	chair.connected(chair.publish())
	rec.must(rec.beat(1, interview.RecorderRecording, chair))
	beat := time.Now()
	chair.must(chair.ask(wire.TypePhase, wire.AskPhase{To: interview.PhaseOnRecord}))
	hearings.mu.Lock()
	hearings.refuses = true
	hearings.mu.Unlock()
	eventually(t, "the page is told", func() bool { return chair.phase() == interview.PhasePaused })
	if d := time.Since(beat); d > 2*time.Second {
		t.Errorf("the page was told after %v", d)
	}
	if now, _ := d.world.Phase(t.Context(), d.world.Hearing); now.Phase != interview.PhaseOnRecord {
		t.Fatal("the database did not hang")
	}
	hearings.mu.Lock()
	hearings.refuses = false
	hearings.mu.Unlock()
	eventually(t, "the hearing knows", func() bool {
		now, _ := d.world.Phase(t.Context(), d.world.Hearing)
		return now.Phase == interview.PhasePaused
	})
}

// slowAdmission countersigns only when it is let.
type slowAdmission struct {
	*signalingtest.World
	entered, goOn chan struct{}
}

func (a *slowAdmission) Countersign(ctx context.Context, join wire.Join, j signaling.Judgement) (string, error) {
	a.entered <- struct{}{}
	<-a.goOn
	return a.World.Countersign(ctx, join, j)
}

// A revocation counts for a join that was judged before it.
func TestARevocationOvertakesAJoin(t *testing.T) {
	t.Parallel()
	slow := &slowAdmission{entered: make(chan struct{}), goOn: make(chan struct{})}
	d := newDoor(t, func(c *signaling.Config) {
		slow.World = c.Admission.(*signalingtest.World)
		c.Admission = slow
	})
	g := d.arrive(d.world.Person(interview.RoleInterviewer, "Irja"))
	answer := make(chan wire.Message)
	go func() { answer <- g.join() }()
	<-slow.entered
	d.hub.Revoke(g.peer.Device, problem.New(problem.CodeDeviceRevoked, "test"))
	slow.goOn <- struct{}{}
	g.refused(problem.CodeUnavailable, <-answer)
	if g.count(wire.TypeAdmitted) > 0 {
		t.Error("a revoked device was admitted")
	}
}

// slowMedia opens legs only when it is let.
type slowMedia struct {
	*signalingtest.NoMedia
	entered, goOn chan struct{}
}

func (m *slowMedia) OpenLeg(ctx context.Context, req media.OpenLeg) (media.LegOpened, error) {
	m.entered <- struct{}{}
	<-m.goOn
	return m.NoMedia.OpenLeg(ctx, req)
}

// Who is removed while the media node answers leaves no leg behind.
func TestNoLegOutlivesItsMember(t *testing.T) {
	t.Parallel()
	slow := &slowMedia{entered: make(chan struct{}), goOn: make(chan struct{})}
	d := newDoor(t, func(c *signaling.Config) {
		slow.NoMedia = c.Media.(*signalingtest.NoMedia)
		c.Media = slow
	})
	chair := d.chair()
	g := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	answer := make(chan wire.Message)
	go func() { answer <- g.publish() }()
	<-slow.entered
	chair.must(chair.ask(wire.TypeRemove, wire.Remove{Member: g.id()}))
	slow.goOn <- struct{}{}
	g.refused(problem.CodeNotReady, <-answer)
	if d.media.Legs() != 0 {
		t.Errorf("%d legs are left", d.media.Legs())
	}
}

// A recorder's word that a track is durable is about one track: nobody
// publishes under the id of another's.
func TestATrackHasOneSender(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	g := chair.seat(d.world.Person(interview.RoleApplicant, "Amal"))
	chair.must(chair.publish())
	g.offered = chair.offered
	g.refused(problem.CodeMediaRefused, g.publish())
	if d.media.Legs() != 1 {
		t.Errorf("%d legs are open", d.media.Legs())
	}
}

// Closing the hub ends connections and legs, and nobody comes in afterwards.
func TestTheHubCloses(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	chair.must(chair.publish())
	late := d.arrive(d.world.Person(interview.RoleApplicant, "Amal"))
	d.hub.Close()
	d.hub.Close()
	if !chair.line.isClosed() || d.media.Legs() != 0 {
		t.Errorf("connection closed: %v, %d legs", chair.line.isClosed(), d.media.Legs())
	}
	late.refused(problem.CodeUnavailable, late.join())
	chair.refused(problem.CodeNotReady, chair.ask(wire.TypeSync, wire.Sync{}))
}

// An empty room is forgotten, and opens again for who comes later.
func TestAnEmptyRoomIsForgotten(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(c *signaling.Config) { c.Limits.SeatKept = 150 * time.Millisecond })
	chair, rec := d.chair(), d.comeRecorder("one")
	chair.must(chair.publish())
	chair.lose()
	eventually(t, "the recorder is sent away", rec.line.isClosed)
	if d.media.Legs() != 0 {
		t.Errorf("%d legs are left", d.media.Legs())
	}
	eventually(t, "a new room opens", func() bool {
		g := d.arrive(d.world.Person(interview.RoleInterviewer, "Ilmo"))
		return code(t, g.join()) == ""
	})
}

// A6, E2: what is said in a pause leaves nothing with the recorder, not even
// hashes; the lists of what came before the pause still reach it.
func TestAPauseSendsTheRecorderNoOriginLists(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	chair := d.chair()
	rec := d.comeRecorder("one")
	track := interview.NewTrackID()
	if err := chair.group.AddTrack(track, interview.SourceAudio, 0); err != nil {
		t.Fatal(err)
	}
	say := func() []string {
		t.Helper()
		if _, err := chair.group.Wraps(track, interview.SourceAudio, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := chair.group.Seal(nil, track, sealing.FrameHeader{Source: interview.SourceAudio}, []byte("frame")); err != nil {
			t.Fatal(err)
		}
		lists, err := chair.group.Origins()
		if err != nil || len(lists) != 1 {
			t.Fatalf("%d lists, %v", len(lists), err)
		}
		return lists
	}
	chair.sign("resume", chair, rec)
	before := say()
	chair.sign("pause", chair)
	during := say()
	chair.must(chair.ask(wire.TypeOrigin, wire.Origin{Lists: append(before, during...)}))
	got, told := last[wire.Origin](rec, wire.TypeOrigin)
	if !told || len(got.Lists) != 1 || got.Lists[0] != before[0] {
		t.Errorf("the recorder was sent %d lists, want the one of before the pause", len(got.Lists))
	}
}
