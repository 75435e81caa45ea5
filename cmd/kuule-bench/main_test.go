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

func TestRunsAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []sfuCommand{{Rooms: 0, Members: 4, Seconds: 1}, {Rooms: 101, Members: 4, Seconds: 1}, {Rooms: 1, Members: 1, Seconds: 1}, {Rooms: 1, Members: 9, Seconds: 1}, {Rooms: 1, Members: 4}, {Rooms: 1, Members: 4, Seconds: 301}} {
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
