package kioskbridge_test

import (
	"context"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
)

func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("a long form: set KUULE_SOAK=1")
	}
}

// simulated is a person with a passport before a kiosk. What people and radio
// need passes on a watch, not in the test; what programs need is real.
type simulated struct {
	*hands
	clock *watch
	rand  *rand.Rand
}

// between is a time that people take: mostly near the lower end, seldom near the
// upper one.
func (s *simulated) between(least, most time.Duration) time.Duration {
	x := s.rand.Float64()
	return least + time.Duration(x*x*float64(most-least))
}

// seldom is true once in n.
func (s *simulated) seldom(n int) bool { return s.rand.IntN(n) == 0 }

// Take implements kiosk.Hands.
func (s *simulated) Take(ctx context.Context, ask tunnel.Ask) (tunnel.Capture, error) {
	began := s.clock.now()
	tries := 1
	switch ask.Step {
	case ticket.StepDocument: // from the first placing until the zone was read
		s.clock.pass(s.between(2*time.Second, 8*time.Second))
		if s.seldom(8) { // laid askew
			tries++
			s.clock.pass(s.between(3*time.Second, 8*time.Second))
		}
	case ticket.StepChip: // moved to the other reader
		s.clock.pass(s.between(2*time.Second, 6*time.Second))
		if s.seldom(10) { // taken off too early
			tries++
			s.clock.pass(s.between(3*time.Second, 8*time.Second))
		}
	case ticket.StepFace: // three looks, and the pictures' way to the bridge
		s.clock.pass(s.between(5*time.Second, 12*time.Second))
		if s.seldom(6) {
			tries++
			s.clock.pass(s.between(4*time.Second, 9*time.Second))
		}
	case ticket.StepFingers: // the sentence, and one finger: one good one is enough
		s.clock.pass(s.between(3*time.Second, 7*time.Second))
		if s.seldom(5) {
			tries++
			s.clock.pass(s.between(3*time.Second, 6*time.Second))
		}
	}
	c, err := s.hands.Take(ctx, ask)
	c.Tries, c.Began = tries, began
	return c, err
}

// Card implements kiosk.Hands.
func (s *simulated) Card() kiosk.Reader { return radio{s.hands.card, s.clock} }

// radio is a contactless reader: each command takes the time of its bytes at 106
// kbit/s with the chip's own thinking, and a round trip of 20 ms to the bridge.
type radio struct {
	kiosk.Reader
	clock *watch
}

func (r radio) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	answer, err := r.Reader.Transmit(ctx, apdu)
	r.clock.pass(20*time.Millisecond + 15*time.Millisecond + time.Duration(len(apdu)+len(answer))*75*time.Microsecond)
	return answer, err
}

// slowly is an engine that takes the time of the reference engine.
type slowly struct {
	*engine
	clock *watch
}

func (s slowly) Match(ctx context.Context, q kioskbridge.MatchQuestion) (kioskbridge.Finding, error) {
	s.clock.pass(300 * time.Millisecond)
	return s.engine.Match(ctx, q)
}

// simulate holds n visits by seeded people and sums their times up.
func simulate(t *testing.T, n int) (placed kioskbridge.Figures, touched []int64) {
	t.Helper()
	clock := newWatch()
	e := &engine{finding: claims, living: isThere, pictures: []kioskbridge.Image{{Kind: "finger-2", Format: "image/png", Bytes: []byte("print in the register")}}}
	w := newWorld(t, e.into, func(c *kioskbridge.Config) { c.Faces, c.Now, c.Limit = slowly{e, clock}, clock.now, 3*time.Minute })
	var sum kioskbridge.Timing
	for i := range n {
		p, err := w.state.Issue(holder, emrtdtest.WithAll)
		if err != nil {
			t.Fatal(err)
		}
		s := &simulated{hands: with(p), clock: clock, rand: rand.New(rand.NewPCG(1, uint64(i)))}
		w.kiosk = w.newDevice()
		client := w.client()
		client.Now = clock.now
		first := clock.now()
		clock.pass(s.between(6*time.Second, 20*time.Second)) // language, service, code
		now := clock.now()
		w.booking.Opens, w.booking.Closes = now.Add(-time.Hour), now.Add(time.Hour)
		out, err := client.Hold(t.Context(), tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview}, first, s)
		if err != nil || out.Result != tunnel.ResultJoin {
			t.Fatalf("visit %d: %+v %v", i, out, err)
		}
		steps := w.lastSteps()
		sum.Add(steps)
		touched = append(touched, steps.Verdict)
	}
	slices.Sort(touched)
	return sum.Figures(90_000), touched
}

func judgeTimes(t *testing.T, f kioskbridge.Figures, touched []int64) {
	t.Helper()
	last := len(touched) - 1
	t.Logf("%d visits, from the first touch to the verdict: p50 %d ms, p95 %d ms, longest %d ms", len(touched), touched[last/2], touched[last*95/100], touched[last])
	t.Logf("%d visits, from the first document placed to the verdict: p50 %d ms, p95 %d ms, longest %d ms", f.Visits, f.P50, f.P95, f.Max)
	for _, s := range f.Steps {
		t.Logf("  %-10s %3d times, p50 %6d ms, p95 %6d ms, %d further tries", s.Step, s.Times, s.P50, s.P95, s.Tries)
	}
	if touched[last/2] >= 60_000 || touched[last] >= 90_000 || f.Over != 0 {
		t.Errorf("p50 %d ms, longest %d ms", touched[last/2], touched[last])
	}
}

// B10: a simulated person's whole visit. The people's times are a model, see
// [simulated]; programs, signatures, chip and database are real.
func TestSimulatedVisitsKeepTheirTime(t *testing.T) {
	t.Parallel()
	placed, touched := simulate(t, 8)
	judgeTimes(t, placed, touched)
}

// B10: the same over 200 people.
func TestSoakSimulatedVisits(t *testing.T) {
	soak(t)
	placed, touched := simulate(t, 200)
	judgeTimes(t, placed, touched)
}

// fifty holds one visit at each of n kiosks at once, and gives how long each took.
func fifty(t *testing.T, n int) (each []time.Duration, all time.Duration) {
	t.Helper()
	e := &engine{finding: claims, living: isThere}
	w := newWorld(t, e.into, func(c *kioskbridge.Config) { c.Patience = time.Minute })
	clients, people := make([]*kiosk.Client, n), make([]*hands, n)
	for i := range n {
		p, err := w.state.Issue(holder, emrtdtest.WithAll)
		if err != nil {
			t.Fatal(err)
		}
		w.kiosk = w.newDevice()
		clients[i], people[i] = w.client(), with(p)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	together := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-together
			began := time.Now()
			out, err := clients[i].Hold(t.Context(), tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview}, began, people[i])
			mu.Lock()
			defer mu.Unlock()
			each = append(each, time.Since(began))
			if err != nil || out.Result != tunnel.ResultJoin {
				t.Errorf("kiosk %d: %+v %v", i, out, problem.Of(err).Code)
			}
		})
	}
	began := time.Now()
	close(together)
	group.Wait()
	if got := w.count("kiosk_visit"); got != n {
		t.Errorf("%d visits are kept of %d", got, n)
	}
	slices.Sort(each)
	return each, time.Since(began)
}

// B11: several kiosks at once do not come in each other's way.
func TestKiosksAtOnce(t *testing.T) {
	t.Parallel()
	fifty(t, 8)
}

// B11: fifty kiosks at once on one core, bridge, kiosks and chips together: every
// visit ends in its ticket.
func TestSoakFiftyKiosksOnOneCore(t *testing.T) {
	soak(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	each, all := fifty(t, 50)
	t.Logf("50 kiosks at once on one core: all done after %s; a visit's programs took p50 %s, p95 %s, at most %s",
		all.Round(time.Millisecond), each[24].Round(time.Millisecond), each[47].Round(time.Millisecond), each[49].Round(time.Millisecond))
}
