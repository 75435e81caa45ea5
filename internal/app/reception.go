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
		Diary: func(ctx context.Context, c interview.CaseID) (string, error) {
			found, err := d.hearings.Case(ctx, c)
			return found.Diary, err
		},
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
