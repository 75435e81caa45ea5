package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Prefix begins the name of every series of Kuule's own.
const Prefix = "kuule"

// Bounds of a scrape.
const (
	maxScrapes   = 4
	scrapeWithin = 10 * time.Second
)

// Serve answers scrapes on a loopback port until ctx ends; port 0 answers none.
// CPU, memory and goroutines of the process are always among what is shown.
func Serve(ctx context.Context, port int, shown ...prometheus.Collector) error {
	if port == 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	h, err := Handler(shown...)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: scrapeWithin, WriteTimeout: scrapeWithin, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	go func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			slog.Error("metrics ended", "err", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

// Handler answers one process's scrapes.
func Handler(shown ...prometheus.Collector) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range append([]prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}, shown...) {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeWithin}), nil
}

// Show is a collector of what a function gives at each scrape. The function
// gets what to call for each value.
func Show(gather func(put Put)) prometheus.Collector { return show(gather) }

// Put gives one value of a series. Labels are name and value in turn.
type Put func(kind Kind, name, help string, value float64, labels ...string)

// Kind is what a value is.
type Kind int

// Kinds of values.
const (
	Gauge   Kind = iota // now
	Counter             // since the process, or what it counts, began
)

type show func(put Put)

// Describe implements prometheus.Collector: what there is depends on what goes on.
func (s show) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s show) Collect(out chan<- prometheus.Metric) {
	s(func(kind Kind, name, help string, value float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		typ := prometheus.GaugeValue
		if kind == Counter {
			typ = prometheus.CounterValue
		}
		m, err := prometheus.NewConstMetric(prometheus.NewDesc(prometheus.BuildFQName(Prefix, "", name), help, names, nil), typ, value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
		out <- m
	})
}
