package kioskbridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// Figures say how long visits took, from the first document placed to the
// verdict (row B10). Times are milliseconds.
type Figures struct {
	Target int64 `json:"target"`
	Visits int   `json:"visits"`
	P50    int64 `json:"p50"`
	P95    int64 `json:"p95"`
	Max    int64 `json:"max"`
	Over   int   `json:"over"` // visits beyond the target

	ToDesk     int              `json:"to_desk"` // visits that people had to go on with (row M6)
	Again      int              `json:"again"`   // that ended in another try
	Retried    int              `json:"retried"` // in which a step was done more than once
	Duplicates DuplicateFigures `json:"duplicates"`

	Steps  []StepFigure `json:"steps"`
	Recent []VisitLine  `json:"recent"` // newest first
}

// DuplicateFigures count the last day's searches for duplicates. They say nothing
// of whom.
type DuplicateFigures struct {
	Searched int `json:"searched"`
	Found    int `json:"found"` // with a hit, which may be false
	Same     int `json:"same"`  // settled as one person under two entries
}

// CountsDuplicates has the figures say what searches for duplicates came to. It
// is called before the desk is used.
func (d *Desk) CountsDuplicates(count func(ctx context.Context, since time.Time) (DuplicateFigures, error)) {
	d.duplicates = count
}

// StepFigure is one step of all visits.
type StepFigure struct {
	Step  ticket.StepName `json:"step"`
	Times int             `json:"times"`
	P50   int64           `json:"p50"`
	P95   int64           `json:"p95"`
	Tries int             `json:"tries"` // beyond the first, of all visits
	Fails int             `json:"fails"`
}

// VisitLine is one visit as staff see it: nothing of who was there.
type VisitLine struct {
	Visit  interview.VisitID  `json:"visit"`
	Kiosk  interview.DeviceID `json:"kiosk"`
	Place  string             `json:"place"`
	Site   string             `json:"site"`
	Route  ticket.Route       `json:"route"`
	Result tunnel.Result      `json:"result"`
	Ended  time.Time          `json:"ended"`
	Took   int64              `json:"took"`
	Slow   ticket.StepName    `json:"slow,omitempty"` // the slowest step of a visit beyond the target
	SlowMS int64              `json:"slow_ms,omitempty"`
}

const (
	figuresOf   = 1000 // visits at most
	recentLines = 20
)

// Visits sums up the visits of the last day.
func (d *Desk) Visits(ctx context.Context) (Figures, error) {
	var rows []Record
	since := d.bridge.Now().Add(-callsKept).UnixMilli()
	err := d.db.NewSelect().Model(&rows).Column("id", "kiosk_id", "site", "route", "result", "ended_at", "steps").
		Where("v.ended_at > ?", since).Where("v.steps <> ''").Where("v.route <> ?", ticket.RouteNobody).Order("v.ended_at DESC").Limit(figuresOf).Scan(ctx)
	if err != nil {
		return Figures{}, fmt.Errorf("read the last day's visits: %w", err)
	}
	var sum Timing
	out := Figures{Recent: []VisitLine{}}
	var ways Figures
	places := map[interview.DeviceID]string{}
	for _, r := range rows {
		account, err := r.Account()
		if err != nil {
			return Figures{}, err
		}
		sum.Add(account)
		switch r.Result {
		case tunnel.ResultDesk:
			ways.ToDesk++
		case tunnel.ResultAgain:
			ways.Again++
		}
		if slices.ContainsFunc(account.Steps, func(s ticket.Step) bool { return s.Tries > 1 }) {
			ways.Retried++
		}
		if len(out.Recent) == recentLines {
			continue
		}
		if _, known := places[r.Kiosk]; !known {
			// A kiosk that no agreement names any more has no place: its id remains.
			places[r.Kiosk], _ = d.places.PlaceOf(ctx, r.Kiosk)
		}
		line := VisitLine{
			Visit: r.ID, Kiosk: r.Kiosk, Place: places[r.Kiosk], Site: r.Site, Route: r.Route, Result: r.Result,
			Ended: time.UnixMilli(r.EndedAt).UTC(), Took: account.Took(),
		}
		if line.Took > d.bridge.Policy.Target {
			line.Slow, line.SlowMS = account.Slowest()
		}
		out.Recent = append(out.Recent, line)
	}
	recent := out.Recent
	out = sum.Figures(d.bridge.Policy.Target)
	out.Recent, out.ToDesk, out.Again, out.Retried = recent, ways.ToDesk, ways.Again, ways.Retried
	if d.duplicates != nil {
		out.Duplicates, err = d.duplicates(ctx, d.bridge.Now().Add(-callsKept))
	}
	return out, err
}

// Timing gathers how long visits and their steps took. It is not safe for
// concurrent use.
type Timing struct {
	whole []int64
	steps map[ticket.StepName]*stepTimes
	order []ticket.StepName
}

type stepTimes struct {
	took         []int64
	tries, fails int
}

// Add adds one visit.
func (t *Timing) Add(s ticket.Steps) {
	if t.steps == nil {
		t.steps = map[ticket.StepName]*stepTimes{}
	}
	t.whole = append(t.whole, s.Took())
	for _, step := range s.Steps {
		of := t.steps[step.Step]
		if of == nil {
			of = &stepTimes{}
			t.steps[step.Step] = of
			t.order = append(t.order, step.Step)
		}
		of.took = append(of.took, step.Ended-step.Began)
		of.tries += max(0, step.Tries-1)
		if step.Result == ticket.StepFailed {
			of.fails++
		}
	}
}

// Figures sums up what was added, against a target.
func (t *Timing) Figures(target int64) Figures {
	out := Figures{Target: target, Visits: len(t.whole), Steps: []StepFigure{}, Recent: []VisitLine{}}
	out.P50, out.P95, out.Max = percentiles(t.whole)
	for _, took := range t.whole {
		if took > target {
			out.Over++
		}
	}
	for _, name := range t.order {
		of := t.steps[name]
		f := StepFigure{Step: name, Times: len(of.took), Tries: of.tries, Fails: of.fails}
		f.P50, f.P95, _ = percentiles(of.took)
		out.Steps = append(out.Steps, f)
	}
	return out
}

func percentiles(of []int64) (p50, p95, most int64) {
	if len(of) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(of))
	at := func(percent int) int64 { return sorted[(len(sorted)-1)*percent/100] }
	return at(50), at(95), at(100)
}
