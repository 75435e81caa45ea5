package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kuule/internal/bus"
	"kuule/internal/config"
	"kuule/internal/metrics"
	"kuule/interview"
	"kuule/interview/media"
)

func scrape(t *testing.T, m *legMetrics) string {
	t.Helper()
	h, err := metrics.Handler(metrics.Show(m.show))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestLegsAreShownWhileTheyAreOpen(t *testing.T) {
	t.Parallel()
	m := newLegMetrics()
	at := time.Unix(1_700_000_000, 0)
	m.now = func() time.Time { return at }
	room, leg := interview.NewGroupID(), interview.NewLegID()
	for range 3 {
		m.take(media.Quality{
			Room: room, Leg: leg, IntervalMS: media.QualityEvery, RTT: 40_000, Estimate: 500_000,
			Up:    media.Direction{Bitrate: 600_000, Packets: 100, Loss: 10_000, Jitter: 5000, NACK: 2, PLI: 1},
			Down:  media.Direction{Packets: 200, RTX: 4},
			Slots: []media.SlotQuality{{Mid: "3", Rid: "h", Temporal: 1, Bitrate: 250_000, Freezes: 1, FrozenMS: 600}},
		})
	}
	ids := fmt.Sprintf(`leg="%s",room="%s"`, leg, room)
	text := scrape(t, m)
	for _, want := range []string{
		"kuule_leg_bits_per_second{" + ids + `,way="up"} 600000`,
		"kuule_leg_packets_total{" + ids + `,way="up"} 300`,
		"kuule_leg_packets_total{" + ids + `,way="down"} 600`,
		"kuule_leg_loss_ratio{" + ids + `,way="up"} 0.01`,
		"kuule_leg_jitter_seconds{" + ids + `,way="up"} 0.005`,
		"kuule_leg_nack_total{" + ids + `,way="up"} 6`,
		"kuule_leg_resent_total{" + ids + `,way="down"} 12`,
		"kuule_leg_pli_total{" + ids + `,way="up"} 3`,
		"kuule_leg_round_trip_seconds{" + ids + `} 0.04`,
		"kuule_leg_estimate_bits_per_second{" + ids + `} 500000`,
		"kuule_leg_freezes_total{" + ids + `} 3`,
		"kuule_slot_bits_per_second{leg=\"" + leg.String() + `",mid="3",rid="h",room="` + room.String() + `"} 250000`,
		`kuule_room_legs{room="` + room.String() + `"} 1`,
		"kuule_node_legs 1",
		"process_cpu_seconds_total",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not shown: %s", want)
		}
	}
	at = at.Add(shownFor + time.Second)
	if text := scrape(t, m); strings.Contains(text, leg.String()) || !strings.Contains(text, "kuule_node_legs 0") {
		t.Error("a leg that is gone is still shown")
	}
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m := newLegMetrics()
	for range maxShownLegs + 100 {
		m.take(media.Quality{Leg: interview.NewLegID()})
	}
	if len(m.legs) > maxShownLegs {
		t.Errorf("%d legs", len(m.legs))
	}
}

func TestMetricsAreOffByDefault(t *testing.T) {
	t.Parallel()
	in := &installation{Config: config.Default()}
	for _, name := range append(in.recorderNames(), bus.Main(bus.Door), bus.Main(bus.Authority), bus.Main(bus.SFU), bus.Name{Role: bus.Playback, Instance: "x"}) {
		if p := in.metricsPort(name); p != 0 {
			t.Errorf("%s shows itself at %d", name, p)
		}
	}
	in.Metrics.Recorder = 9100
	seen := map[int]bool{}
	for _, name := range in.recorderNames() {
		if p := in.metricsPort(name); seen[p] || p == 0 {
			t.Errorf("%s at %d", name, p)
		} else {
			seen[p] = true
		}
	}
}
