package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"

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
	set := make([]kioskbridge.Queue, len(settings.Queues))
	for i, q := range settings.Queues {
		set[i] = kioskbridge.Queue{Name: q.Name, Label: q.Label, Letter: q.Letter, Desks: q.Desks}
		for _, m := range q.Matters {
			set[i].Matters = append(set[i].Matters, kioskbridge.Matter(m))
		}
	}
	kioskbridge.RegisterQueues(api, kioskbridge.NewQueues(d.db, set, settings.Screen, time.Now), d.officer)
	kioskbridge.RegisterPaid(api, desk)
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
