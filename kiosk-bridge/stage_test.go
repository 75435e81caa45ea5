package kioskbridge_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// caseSystem is the agency's, as a test has it.
type caseSystem struct {
	mu    sync.Mutex
	told  []kioskbridge.StageEvent
	fails []error // one after the other
}

func (c *caseSystem) Tell(_ context.Context, e kioskbridge.StageEvent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, e)
	if len(c.fails) > 0 {
		err := c.fails[0]
		c.fails = c.fails[1:]
		return err
	}
	return nil
}

func (c *caseSystem) stages() []kioskbridge.Stage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []kioskbridge.Stage
	for _, e := range c.told {
		out = append(out, e.Stage)
	}
	return out
}

// automation is a bridge that tells a case system, and the clock it goes by.
type automation struct {
	*world
	system *caseSystem
	clock  *watch
	diary  func(context.Context, interview.CaseID) (string, error)
	seen   []string
}

func newAutomation(t *testing.T, on bool) *automation {
	t.Helper()
	a := &automation{system: &caseSystem{}, clock: newWatch()}
	a.diary = func(context.Context, interview.CaseID) (string, error) { return "MIG-2026-10482", nil }
	a.world = newWorld(t, func(c *kioskbridge.Config) { c.Stages, c.Now = on, a.clock.now }, (&engine{finding: matches, living: isThere}).into)
	return a
}

// run tells until nothing is left to be told now, and gives what the system heard.
func (a *automation) run(until func() bool) {
	a.t.Helper()
	ctx, stop := context.WithCancel(a.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		kioskbridge.Stages{
			DB: a.db, System: a.system, Diary: a.diary, Now: a.clock.now, Every: 5 * time.Millisecond,
			Notice: func(_ context.Context, _ interview.DeviceID, part kioskbridge.Part, code string) error {
				a.seen = append(a.seen, string(part)+" "+code)
				return nil
			},
		}.Run(ctx)
	}()
	deadline := time.Now().Add(30 * time.Second)
	for !until() {
		if time.Now().After(deadline) {
			a.t.Fatalf("the case system heard %v", a.system.stages())
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	<-done
}

func (a *automation) open() (n int64) {
	a.t.Helper()
	if err := a.db.NewRaw("SELECT COUNT(*) FROM kiosk_stage WHERE ended_at = 0").Scan(a.t.Context(), &n); err != nil {
		a.t.Fatal(err)
	}
	return n
}

// B16: what a visit completed is told to the agency's case system, each stage
// once, with the case's number and the visit; the visit never waits for it.
func TestStagesAreToldToTheCaseSystem(t *testing.T) {
	t.Parallel()
	a := newAutomation(t, true)
	out, err := a.visit(with(a.passport(emrtdtest.Genuine)), tunnel.ServiceCard)
	if err != nil || out.Result != tunnel.ResultDone {
		t.Fatalf("%+v %v", out, err) // and nobody has told anything yet
	}
	visit := a.last()
	desk := a.desk()
	for range 2 { // the kiosk's answer was lost the first time
		if err := desk.Paid(t.Context(), visit.Kiosk, visit.ID); err != nil {
			t.Fatal(err)
		}
	}
	a.system.fails = []error{errors.New("the line broke after it had been taken")}
	a.run(func() bool { a.clock.pass(time.Second); return a.open() == 0 })
	got := a.system.stages()
	slices.Sort(got)
	if want := []kioskbridge.Stage{"identified", "paid", "photo-taken", "signed"}; !slices.Equal(slices.Compact(got), want) {
		t.Errorf("told %v, want %v", got, want)
	}
	ids := map[interview.EventID]kioskbridge.Stage{}
	for _, e := range a.system.told {
		if s, known := ids[e.ID]; known && s != e.Stage {
			t.Errorf("event %s is %s and %s", e.ID, s, e.Stage)
		}
		ids[e.ID] = e.Stage
		if e.Diary != "MIG-2026-10482" || e.Visit != visit.ID || e.At.IsZero() {
			t.Errorf("told %+v", e)
		}
	}
	if len(ids) != 4 || len(a.system.told) != 5 {
		t.Errorf("%d events, told %d times: the one whose answer was lost is told again under its name", len(ids), len(a.system.told))
	}
}

// Stage automation is a switch of its own, and off.
func TestStagesAreOffUnlessSwitchedOn(t *testing.T) {
	t.Parallel()
	a := newAutomation(t, false)
	if _, err := a.visit(with(a.passport(emrtdtest.Genuine)), tunnel.ServiceCard); err != nil {
		t.Fatal(err)
	}
	visit := a.last()
	if err := a.desk().Paid(t.Context(), visit.Kiosk, visit.ID); err != nil {
		t.Fatal(err)
	}
	if n := a.open(); n != 0 {
		t.Errorf("%d stages wait to be told", n)
	}
}

// A system that refuses, one that is away for long, and a case that was erased.
func TestStagesThatCannotBeTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails  []error
		diary  error
		notice string
		told   int
	}{
		"refused for good": {[]error{kioskbridge.ErrStageRefused}, nil, "case-system stage-refused", 1},
		"erased":           {nil, problem.New(problem.CodeErased, "the case"), "", 0},
		"away for long":    {slices.Repeat([]error{errors.New("away")}, 16), nil, "case-system stage-waits", 17},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAutomation(t, true)
			a.system.fails = c.fails
			a.diary = func(context.Context, interview.CaseID) (string, error) { return "1", c.diary }
			if out, err := a.visit(with(a.passport(emrtdtest.Genuine)), tunnel.ServiceInterview); err != nil || out.Result != tunnel.ResultJoin {
				t.Fatalf("the visit waits for the case system: %+v %v", out, err)
			}
			a.run(func() bool { a.clock.pass(time.Minute); return a.open() == 0 })
			if len(a.system.told) != c.told {
				t.Errorf("told %d times, want %d", len(a.system.told), c.told)
			}
			if got := slices.Contains(a.seen, c.notice); got != (c.notice != "") {
				t.Errorf("staff were told %q, want %q", a.seen, c.notice)
			}
		})
	}
}

// Only a visit's own kiosk says that it was paid, and only for minutes.
func TestPaidIsTheKiosksWord(t *testing.T) {
	t.Parallel()
	a := newAutomation(t, true)
	if out, err := a.visit(with(nil), tunnel.ServicePay); err != nil || out.Result != tunnel.ResultDone || !out.Ticket.IsZero() {
		t.Fatalf("%+v %v", out, err)
	}
	visit, desk := a.last(), a.desk()
	// B17: who pays is not identified, and nothing stands on such a visit.
	if visit.Route != ticket.RouteNobody || visit.Assurance != ticket.AssuranceNone {
		t.Errorf("%+v", visit)
	}
	if _, again, err := a.store.Identity(t.Context(), a.booking, a.clock.now().Add(-time.Hour)); err != nil || again {
		t.Errorf("a payment counts as an identity: %v", err)
	}
	if err := desk.Paid(t.Context(), interview.NewDeviceID(), visit.ID); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("another kiosk: %v", err)
	}
	if err := desk.Paid(t.Context(), visit.Kiosk, interview.NewVisitID()); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("no such visit: %v", err)
	}
	a.clock.pass(16 * time.Minute)
	if err := desk.Paid(t.Context(), visit.Kiosk, visit.ID); problem.Of(err).Code != problem.CodeTooLate {
		t.Errorf("after its minutes: %v", err)
	}
	if n := a.open(); n != 0 {
		t.Errorf("%d stages wait", n)
	}
}
