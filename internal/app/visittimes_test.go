package app

import (
	"strings"
	"testing"

	"kuule/internal/metrics"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// B10, M6: a visit beyond 90 seconds names its slow step to who watches the numbers.
// A kiosk may journal steps of its own naming; they make no endless labels.
func TestVisitTimesAreShown(t *testing.T) {
	t.Parallel()
	var times visitTimes
	for _, face := range []int64{6_000, 7_000, 95_000} {
		times.add(ticket.Steps{
			Steps:   []ticket.Step{{Step: ticket.StepDocument, Ended: 4_000}, {Step: ticket.StepFace, Began: 4_000, Ended: 4_000 + face}, {Step: "strange-step", Ended: 1}},
			Verdict: 4_000 + face,
		}, tunnel.ResultJoin)
	}
	shown := map[string]float64{}
	times.show(func(_ metrics.Kind, name, _ string, value float64, labels ...string) {
		shown[name+" "+strings.Join(labels, " ")] = value
	})
	for name, want := range map[string]float64{
		"kiosk_visit_seconds quantile 0.5":          11,
		"kiosk_step_seconds step face quantile 0.5": 7,
		"kiosk_visits_total result join":            3,
		"kiosk_slow_visits_total step face":         1,
	} {
		if shown[name] != want {
			t.Errorf("%s is %v, want %v", name, shown[name], want)
		}
	}
	for name := range shown {
		if strings.Contains(name, "strange") {
			t.Errorf("a label of a kiosk's own making: %s", name)
		}
	}
}
