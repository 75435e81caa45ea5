package app

import (
	"strings"
	"testing"
	"time"

	"kuule/internal/metrics"
	"kuule/internal/store/storetest"
	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
)

// B16, M6: who watches the numbers sees how many wait where, by the queue's name:
// nothing of who waits, or for what.
func TestQueuesAreShown(t *testing.T) {
	t.Parallel()
	queues := kioskbridge.NewQueues(storetest.Open(t), []kioskbridge.Queue{
		{Name: "desk", Label: "Palvelupiste", Letter: "A", Matters: []kioskbridge.Matter{kioskbridge.MatterOther}, Desks: []string{"Tiski 1"}},
		{Name: "empty", Label: "Kortit", Letter: "B", Matters: []kioskbridge.Matter{"card"}, Desks: []string{"Tiski 2"}},
	}, nil, time.Now)
	kiosk := interview.NewDeviceID()
	for _, draw := range []string{"0123456789abcde1", "0123456789abcde2", "0123456789abcde3"} {
		if _, some, err := queues.Draw(t.Context(), kiosk, draw, kioskbridge.MatterOther, "ckb"); err != nil || !some {
			t.Fatal(err)
		}
	}
	if _, some, err := queues.Next(t.Context(), kioskbridge.Officer{Person: "officer-of-the-day"}, "desk", "Tiski 1"); err != nil || !some {
		t.Fatal(err)
	}
	shown := map[string]float64{}
	showQueues(queues, func(_ metrics.Kind, name, _ string, value float64, labels ...string) {
		shown[name+" "+strings.Join(labels, " ")] = value
	})
	for name, want := range map[string]float64{
		"queue_waiting queue desk":                   2,
		"queue_called queue desk":                    1,
		"queue_waiting queue empty":                  0,
		"queue_day_numbers queue desk state drawn":   3,
		"queue_day_numbers queue desk state done":    0,
		"queue_wait_seconds queue desk quantile 0.5": 0,
	} {
		if got, there := shown[name]; !there || got != want {
			t.Errorf("%s is %v (%t), want %v", name, got, there, want)
		}
	}
	for name := range shown {
		for _, secret := range []string{"ckb", "officer-of-the-day", kiosk.String(), "A1", "Tiski"} {
			if strings.Contains(name, secret) {
				t.Errorf("%s says %s", name, secret)
			}
		}
	}
}
