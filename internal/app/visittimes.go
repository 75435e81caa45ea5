package app

import (
	"slices"
	"sync"

	"kuule/internal/metrics"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/tunnel"
)

// visitTimes shows how long the last visits at kiosks took (row B10). Safe for
// concurrent use.
type visitTimes struct {
	mu    sync.Mutex
	last  []ticket.Steps // newest last
	ended map[tunnel.Result]int
	slow  map[ticket.StepName]int // visits beyond the target, by their slowest step
}

// lastVisits is of how many visits the shares are.
const lastVisits = 200

func (t *visitTimes) add(s ticket.Steps, result tunnel.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.ended, t.slow = map[tunnel.Result]int{}, map[ticket.StepName]int{}
	}
	t.ended[result]++
	if s.Took() > kioskbridge.StandardPolicy().Target {
		step, _ := s.Slowest()
		t.slow[step]++
	}
	if t.last = append(t.last, s); len(t.last) > lastVisits {
		t.last = t.last[1:]
	}
}

func (t *visitTimes) show(put metrics.Put) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum kioskbridge.Timing
	for _, s := range t.last {
		sum.Add(s)
	}
	f := sum.Figures(kioskbridge.StandardPolicy().Target)
	seconds := func(ms int64) float64 { return float64(ms) / 1000 }
	put(metrics.Gauge, "kiosk_visit_seconds", "From the first document placed to the verdict, of the last visits.", seconds(f.P50), "quantile", "0.5")
	put(metrics.Gauge, "kiosk_visit_seconds", "From the first document placed to the verdict, of the last visits.", seconds(f.P95), "quantile", "0.95")
	for _, s := range f.Steps {
		if !slices.Contains(ticket.StepNames, s.Step) {
			continue // a kiosk may journal what it likes: no label of its making
		}
		put(metrics.Gauge, "kiosk_step_seconds", "A step of the last visits.", seconds(s.P50), "step", string(s.Step), "quantile", "0.5")
		put(metrics.Gauge, "kiosk_step_seconds", "A step of the last visits.", seconds(s.P95), "step", string(s.Step), "quantile", "0.95")
	}
	for result, n := range t.ended {
		put(metrics.Counter, "kiosk_visits_total", "Visits that ended, by where the person went.", float64(n), "result", string(result))
	}
	for step, n := range t.slow {
		put(metrics.Counter, "kiosk_slow_visits_total", "Visits beyond 90 seconds, by their slowest step.", float64(n), "step", string(step))
	}
}
