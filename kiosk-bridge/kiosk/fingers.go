package kiosk

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"kuule/interview/ticket"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/tunnel"
)

// fingersNeeded is how many fingers are taken: one good one of those that can be
// compared.
const fingersNeeded = 1

// applicant has the number of the document of an applicant typed or scanned.
func (v *screenVisit) applicant(ctx context.Context) (tunnel.Capture, error) {
	v.step(StepApplicant, v.numbers)
	v.numbers++
	for {
		m, err := v.next(ctx)
		switch {
		case err != nil:
			return tunnel.Capture{}, err
		case m.Type == screenChoice && m.body(screenChoice) && m.Choice.Choice == ChoiceNone:
			return tunnel.Capture{Result: tunnel.TakenNotAvailable, Reason: tunnel.ReasonNotThere}, nil
		case m.Type == screenNumber && m.body(screenNumber):
			kind := tunnel.NumberTyped
			if m.Number.Scanned {
				kind = tunnel.NumberScanned
			}
			piece := tunnel.Piece{Kind: kind, Format: "text/plain", Bytes: []byte(strings.TrimSpace(m.Number.Number))}
			if len(piece.Bytes) == 0 || len(piece.Bytes) > tunnel.MaxNumber {
				continue // the page sends no such number
			}
			return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1, Pieces: []tunnel.Piece{piece}}, nil
		}
	}
}

// fingers takes one of the fingers that can be compared, the best first. A bad
// impression is taken again, three times at most; then another finger is asked
// for, and where none can be had the visit goes on without (row B4).
func (v *screenVisit) fingers(ctx context.Context, ask tunnel.Ask) (tunnel.Capture, error) {
	var positions []int
	for _, kind := range ask.Order {
		if n, err := strconv.Atoi(strings.TrimPrefix(kind, "finger-")); err == nil && n >= 1 && n <= 10 && !slices.Contains(positions, n) {
			positions = append(positions, n)
		}
	}
	taken, err := fingerprint.Take(ctx, glassWithPerson{v}, positions, fingersNeeded, fingerprint.Floor)
	if err != nil {
		return tunnel.Capture{}, err
	}
	c := tunnel.Capture{Result: tunnel.TakenDone, Reason: taken.Reason}
	for _, f := range taken.Fingers {
		c.Tries = min(c.Tries+f.Tries, ticket.MaxTries)
		if f.Quality >= 0 {
			c.Values = append(c.Values, tunnel.Value{Name: "nfiq2-" + strconv.Itoa(f.Position), Score: int64(f.Quality), Scale: 100, Engine: f.Engine})
		}
		if f.Taken() && taken.Taken {
			c.Pieces = append(c.Pieces, tunnel.Piece{Kind: "finger-" + strconv.Itoa(f.Position), Format: tunnel.FormatFinger, Bytes: f.Record})
		}
	}
	if taken.Taken {
		return c, nil
	}
	taken.Forget()
	switch c.Result = tunnel.TakenFailed; taken.Reason {
	case fingerprint.ReasonDeclined:
		c.Result = tunnel.TakenDeclined
	case fingerprint.ReasonMissing:
		c.Result = tunnel.TakenNotAvailable
	}
	return c, nil
}

// glassWithPerson is the scanner with the person before it, who may have another
// finger ready or none.
type glassWithPerson struct{ v *screenVisit }

// Scan implements [fingerprint.Scanner].
func (g glassWithPerson) Scan(ctx context.Context, finger, attempt int) (fingerprint.Impression, error) {
	g.v.tell(ScreenMessage{Type: screenStep, Step: &ScreenStep{Step: StepFingers, Done: attempt - 1, Finger: finger}})
	ctx, cancel := context.WithCancel(ctx)
	type scanned struct {
		impression fingerprint.Impression
		err        error
	}
	scans := make(chan scanned, 1)
	go func() {
		i, err := g.v.screen.Fingers.Scan(ctx, finger, attempt)
		scans <- scanned{i, err}
	}()
	// letGo waits until the scanner is free for the next finger.
	letGo := func(why error) (fingerprint.Impression, error) {
		cancel()
		clear((<-scans).impression.Record)
		return fingerprint.Impression{}, why
	}
	for {
		select {
		case s := <-scans:
			cancel()
			return s.impression, s.err
		case <-ctx.Done():
			return letGo(ctx.Err())
		case m, open := <-g.v.in:
			switch {
			case !open:
				return letGo(errGone)
			case m.Choice != nil && m.Choice.Choice == ChoiceNone:
				return letGo(fingerprint.ErrMissing)
			case m.Choice != nil && m.Choice.Choice == ChoiceSkip:
				return letGo(fingerprint.ErrDeclined)
			}
		}
	}
}
