package kiosk

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"kuule/internal/canon"
	"kuule/interview"
	"kuule/kiosk-bridge/certificate"
	"kuule/kiosk-bridge/tunnel"
)

// ServiceOther is what somebody came for that no kiosk does: there is no visit,
// and a waiting number where a queue takes it.
const ServiceOther tunnel.Service = "other"

// Number is a waiting number.
type Number struct {
	ID    interview.NumberID `json:"id"`
	Text  string             `json:"text"`
	Label string             `json:"label"` // of the queue
	Ahead int64              `json:"ahead"` // persons
	Wait  int64              `json:"wait"`  // seconds; -1: nobody knows
}

// ScreenWaiting is a number as the page shows it.
type ScreenWaiting struct {
	Number

	Printed bool `json:"printed"` // it lies in the printer
}

// NumberPath and PaidPath are the server's routes.
const (
	NumberPath = "/api/kiosk/numbers"
	PaidPath   = "/api/kiosk/payments"
)

// Counter is the server's side of reception, asked by the kiosk's own device
// certificate. It is safe for concurrent use.
type Counter struct {
	Server   string // https://HOST
	Identity Identity
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil: as addresses say
}

const maxNumber = 16 << 10

// Draw draws a number for a matter; nil where no queue takes it. Asked again
// under the same draw it is the same number.
func (c *Counter) Draw(ctx context.Context, draw, matter, language string) (*Number, error) {
	body, err := json.Marshal(map[string]string{"draw": draw, "matter": matter, "language": language})
	if err != nil {
		return nil, err
	}
	resp, err := post(ctx, c.Server+NumberPath, body, c.Identity, c.Dial)
	if err != nil {
		return nil, fmt.Errorf("draw a number: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxNumber))
	if err != nil {
		return nil, fmt.Errorf("draw a number: %w", err)
	}
	var out struct {
		Schema string  `json:"$schema"`
		Number *Number `json:"number"`
	}
	if err := canon.Strict(text, &out); err != nil {
		return nil, fmt.Errorf("draw a number: %w", err)
	}
	return out.Number, nil
}

// Paid tells the server that the payment after a visit here was approved.
func (c *Counter) Paid(ctx context.Context, visit interview.VisitID) error {
	body, err := json.Marshal(map[string]interview.VisitID{"visit": visit})
	if err != nil {
		return err
	}
	resp, err := post(ctx, c.Server+PaidPath, body, c.Identity, c.Dial)
	if err != nil {
		return fmt.Errorf("tell of a payment: %w", err)
	}
	return resp.Body.Close()
}

const (
	counterWithin = 8 * time.Second // a person stands there
	counterTries  = 3
)

// number draws one, and prints it where there is a printer. Without a queue, or
// where the server does not answer, there is none: the person goes to the desk.
func (v *screenVisit) number(ctx context.Context, matter string) *ScreenWaiting {
	if v.screen.Number == nil || matter == "" {
		return nil
	}
	draw := rand.Text()
	var drawn *Number
	err := v.again(ctx, func(ctx context.Context) (err error) {
		drawn, err = v.screen.Number(ctx, draw, matter, v.begin.Language)
		return err
	})
	if err != nil {
		v.screen.log().Warn("no waiting number was drawn", "error", err)
	}
	if err != nil || drawn == nil {
		return nil
	}
	out := &ScreenWaiting{Number: *drawn}
	if v.screen.Printer == nil {
		return out
	}
	v.step(StepPrintBusy, 0)
	slip, err := certificate.Slip(drawn.Text, drawn.Label, time.Now())
	if err == nil {
		err = v.screen.Printer.Print(ctx, "number", slip)
	}
	if err != nil && ctx.Err() == nil {
		v.screen.log().Warn("a waiting number was not printed", "error", err)
		v.notice(ctx, partPrinter, ReasonOf(err))
	}
	out.Printed = err == nil
	return out
}

// again asks the server a few times: each time it is the same request.
func (v *screenVisit) again(ctx context.Context, ask func(context.Context) error) error {
	for n := 1; ; n++ {
		limited, cancel := context.WithTimeout(ctx, counterWithin)
		err := ask(limited)
		cancel()
		if err == nil || n == counterTries || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// matter is what somebody waits for after a visit; ” nothing.
func (v *screenVisit) matter(out tunnel.Outcome) string {
	switch {
	case v.begin.Service == ServiceOther, out.Result == tunnel.ResultJoin, out.Result == tunnel.ResultDone:
		return string(v.begin.Service)
	case out.Result == tunnel.ResultDesk:
		return "desk"
	default:
		return ""
	}
}
