package metrics_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcessAndOwnValuesAreShown(t *testing.T) {
	t.Parallel()
	h, err := metrics.Handler(metrics.Show(func(put metrics.Put) {
		put(metrics.Gauge, "legs", "Open legs.", 3)
		put(metrics.Counter, "lost_seconds_total", "Time lost.", 1.5, "cause", "loss")
		put(metrics.Counter, "lost_seconds_total", "Time lost.", 2, "cause", "delay")
	}))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"kuule_legs 3", `kuule_lost_seconds_total{cause="loss"} 1.5`, `kuule_lost_seconds_total{cause="delay"} 2`, "process_cpu_seconds_total", "go_goroutines"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not shown", want)
		}
	}
}

func TestOffUntilAPortIsNamed(t *testing.T) {
	t.Parallel()
	if err := metrics.Serve(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := metrics.Serve(t.Context(), port); err == nil {
		t.Error("a port that is taken was no error")
	}
	_ = l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if err := metrics.Serve(ctx, port); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) int {
		r, err := client.Get("http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + path)
		if err != nil {
			return 0
		}
		defer r.Body.Close()
		_, _ = io.Copy(io.Discard, r.Body)
		return r.StatusCode
	}
	if get("/metrics") != http.StatusOK || get("/") != http.StatusNotFound {
		t.Error("/metrics and nothing else")
	}
	cancel()
	for end := time.Now().Add(30 * time.Second); get("/metrics") != 0; {
		if time.Now().After(end) {
			t.Fatal("still answered")
		}
	}
}
