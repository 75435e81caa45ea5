package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/metrics"
	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/vendorport"
)

// registerReception puts on the interface what reception does with visitors
// beside their identification, as far as it is set up.
func (d *door) registerReception(api huma.API, desk *kioskbridge.Desk) {
	settings := d.in.Reception
	help := make([]kioskbridge.HelpQueue, len(settings.Help))
	for i, h := range settings.Help {
		help[i] = kioskbridge.HelpQueue{Name: h.Name, Label: h.Label, Sites: h.Premises}
	}
	desk.Rings(help, d.siteOf)
	desk.CountsDuplicates(func(ctx context.Context, since time.Time) (kioskbridge.DuplicateFigures, error) {
		n, err := d.biometrics.duplicates.Count(ctx, since)
		return kioskbridge.DuplicateFigures(n), err
	})
	kioskbridge.RegisterQueues(api, d.queues, d.officer)
	kioskbridge.RegisterPaid(api, desk)
}

// openQueues makes the waiting numbers that the configuration names.
func (d *door) openQueues() *kioskbridge.Queues {
	settings := d.in.Reception
	set := make([]kioskbridge.Queue, len(settings.Queues))
	for i, q := range settings.Queues {
		set[i] = kioskbridge.Queue{Name: q.Name, Label: q.Label, Letter: q.Letter, Desks: q.Desks, Sites: q.Premises}
		for _, m := range q.Matters {
			set[i].Matters = append(set[i].Matters, kioskbridge.Matter(m))
		}
	}
	out := kioskbridge.NewQueues(d.db, set, settings.Screen, time.Now)
	out.Stand(d.siteOf)
	return out
}

// queuesWithin bounds how long somebody who watches the numbers waits for them.
const queuesWithin = 2 * time.Second

// showQueues gives how many wait where, and for how long, by the names of queues
// in the configuration (rows B16, M6).
func showQueues(queues *kioskbridge.Queues, put metrics.Put) {
	ctx, cancel := context.WithTimeout(context.Background(), queuesWithin)
	defer cancel()
	lines, err := queues.All(ctx)
	if err != nil {
		slog.Warn("the queues' numbers are not shown", "err", err)
		return
	}
	for _, l := range lines {
		put(metrics.Gauge, "queue_waiting", "Waiting numbers that were not called yet.", float64(len(l.Waiting)), "queue", l.Name)
		put(metrics.Gauge, "queue_called", "Waiting numbers at a desk, or on the way there.", float64(len(l.Called)), "queue", l.Name)
		for state, n := range map[string]int64{"drawn": l.Figures.Drawn, "done": l.Figures.Done, "absent": l.Figures.Absent, "handed": l.Figures.Handed} {
			put(metrics.Gauge, "queue_day_numbers", "Waiting numbers of the last day, by what came of them.", float64(n), "queue", l.Name, "state", state)
		}
		put(metrics.Gauge, "queue_wait_seconds", "From the draw to the first call, of the last day.", float64(l.Figures.WaitP50), "queue", l.Name, "quantile", "0.5")
		put(metrics.Gauge, "queue_wait_seconds", "From the draw to the first call, of the last day.", float64(l.Figures.WaitP95), "queue", l.Name, "quantile", "0.95")
		put(metrics.Gauge, "queue_service_seconds", "From the last call to the end, of the last day.", float64(l.Figures.TookP50), "queue", l.Name, "quantile", "0.5")
	}
}

// siteOf finds the premises where a device stands.
func (d *door) siteOf(ctx context.Context, device interview.DeviceID) (string, error) {
	p, err := d.placeOf(ctx, device)
	return p.Premises.String(), err
}

// diary finds a case's number.
func (d *door) diary(ctx context.Context, c interview.CaseID) (string, error) {
	found, err := d.hearings.Case(ctx, c)
	return found.Diary, err
}

// openCasework opens the way to the agency's case system; nil where none is set
// up. Its run tells stages until ctx ends.
func (d *door) openCasework() (run func(context.Context), err error) {
	part := d.in.Reception.Casework
	if part.URL == "" {
		return nil, nil
	}
	part.Port = string(vendorport.PortCasework)
	client, err := openPart(part)
	if err != nil {
		return nil, fmt.Errorf("case system: %w", err)
	}
	stages := kioskbridge.Stages{
		DB: d.db, System: engines.Casework{Client: client}, Log: slog.Default(),
		Diary: d.diary,
		Notice: func(ctx context.Context, kiosk interview.DeviceID, part kioskbridge.Part, code string) error {
			place, err := d.PlaceOf(ctx, kiosk)
			if err != nil {
				return err
			}
			return d.tickets.Notice(ctx, kioskbridge.Kiosk{Device: kiosk, Place: place}, part, code, time.Now())
		},
	}
	return func(ctx context.Context) {
		defer client.Close()
		stages.Run(ctx)
	}, nil
}
