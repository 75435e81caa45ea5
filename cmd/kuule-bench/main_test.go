package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the media node's process: the load generator starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "server" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestASmallRunMeasures(t *testing.T) {
	c := &sfuCommand{Rooms: 1, Members: 2, Seconds: 1, JSON: true, Yardstick: true}
	r, err := c.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Packets == 0 || r.CPUPerMillion <= 0 || r.Latency.P50 <= 0 || r.Join.P50 <= 0 || r.Spoiled != 0 || r.RatioToPion <= 0 {
		t.Errorf("something was not measured: %+v", r)
	}
	var out bytes.Buffer
	if err := c.write(&out, r); err != nil {
		t.Fatal(err)
	}
	var again result
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || *again.Pion != *r.Pion || again.Latency != r.Latency {
		t.Errorf("printed %s: %v", out.Bytes(), err)
	}
}

func TestACurveIsTraced(t *testing.T) {
	c := &sfuCommand{Rooms: 1, Members: 2, Seconds: 1, Curve: []int{1, 2}}
	all, err := c.trace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := all.Rows[len(all.Rows)-1]
	if all.Rows[0].Rooms != 1 || last.Delivered.P50 <= 0 || last.Delivered.P50 > last.Latency.P50 {
		t.Errorf("found %+v", all)
	}
	if err := all.write(&bytes.Buffer{}, false); err != nil {
		t.Error(err)
	}
}

func TestHalfOfWhatCanBeCarried(t *testing.T) {
	t.Parallel()
	row := func(rooms int, p99 float64) result { return result{Rooms: rooms, Latency: percentiles{P99: p99}} }
	for name, tc := range map[string]struct {
		c    curve
		want int
	}{
		"loss at the last": {curve{Rows: []result{row(20, 1), row(40, 2), row(80, 3)}, LossAt: 80}, 40},
		"no loss":          {curve{Rows: []result{row(20, 1), row(40, 2), row(60, 3)}}, 20},
		"one row":          {curve{Rows: []result{row(20, 1)}}, 0},
	} {
		if tc.c.halve(); tc.c.Half != tc.want {
			t.Errorf("%s: %d rooms", name, tc.c.Half)
		}
	}
}

func TestRunsAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []sfuCommand{{Rooms: 0, Members: 4, Seconds: 1}, {Rooms: 241, Members: 4, Seconds: 1}, {Rooms: 200, Members: 8, Seconds: 1}, {Rooms: 1, Members: 4, Seconds: 1, Curve: []int{5, 0}}, {Rooms: 1, Members: 1, Seconds: 1}, {Rooms: 1, Members: 9, Seconds: 1}, {Rooms: 1, Members: 4}, {Rooms: 1, Members: 4, Seconds: 301}} {
		if c.Validate() == nil {
			t.Errorf("taken: %+v", c)
		}
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	var d []time.Duration
	for i := 100; i > 0; i-- {
		d = append(d, time.Duration(i)*time.Millisecond)
	}
	if got := ranks(d); got != (percentiles{51, 96, 100, 100}) {
		t.Errorf("got %+v", got)
	}
	if got := ranks(nil); got != (percentiles{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// What is printed for programs is one line, with the names that others read.
func TestTheFiguresHaveTheirNames(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &sfuCommand{JSON: true}
	if err := c.write(&out, result{RatioToPion: 0.5, Pion: &result{}}); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(bytes.TrimSpace(out.Bytes()), []byte("\n")) != 0 {
		t.Errorf("more than one line: %s", out.Bytes())
	}
	var found map[string]any
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"forwarded_per_s", "loss", "latency_ms", "cpu_s_per_million", "allocs_per_packet", "rss_mb_per_member", "join_ms", "ratio_to_pion_relay"} {
		if _, is := found[name]; !is {
			t.Errorf("%s is missing", name)
		}
	}
	for of, ranks := range map[string][]string{"latency_ms": {"p50", "p95", "p99", "p999"}, "join_ms": {"p50", "p95"}} {
		list, _ := found[of].(map[string]any)
		for _, rank := range ranks {
			if _, is := list[rank]; !is {
				t.Errorf("%s of %s is missing", rank, of)
			}
		}
	}
}
