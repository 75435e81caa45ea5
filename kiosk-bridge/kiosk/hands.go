package kiosk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rsc.io/qr"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

const maxPages = 10 // that a person hands in at once

// Offers implements Hands: the steps for which this kiosk and its page have
// parts.
func (v *screenVisit) Offers() []ticket.StepName {
	offers := []ticket.StepName{ticket.StepDocument, ticket.StepApplicant, ticket.StepChip, ticket.StepSignature}
	if v.begin.Camera {
		offers = append(offers, ticket.StepFace, ticket.StepPhoto)
	}
	if v.screen.Fingers != nil {
		offers = append(offers, ticket.StepFingers)
	}
	if v.screen.Scanner != nil {
		offers = append(offers, ticket.StepScan)
	}
	return offers
}

// Take implements Hands.
func (v *screenVisit) Take(ctx context.Context, ask tunnel.Ask) (tunnel.Capture, error) {
	switch ask.Step {
	case ticket.StepDocument:
		return v.document(ctx)
	case ticket.StepApplicant:
		return v.applicant(ctx)
	case ticket.StepFingers:
		return v.fingers(ctx, ask)
	case ticket.StepChip:
		v.letGo()
		card, err := v.card(ctx)
		if err != nil {
			return tunnel.Capture{}, err
		}
		v.open = card
		v.step(StepReading, 0)
		return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1}, nil
	case ticket.StepFace:
		return v.inPage(ctx, StepFace, ask)
	case ticket.StepPhoto:
		return v.inPage(ctx, StepPhoto, ask)
	case ticket.StepSignature:
		return v.inPage(ctx, StepSignature, ask)
	case ticket.StepScan:
		return v.papers(ctx)
	default:
		return tunnel.Capture{Result: tunnel.TakenNotAvailable, Reason: tunnel.ReasonPartAbsent}, nil
	}
}

// Card implements Hands.
func (v *screenVisit) Card() Reader { return &counted{card: v.open, visit: v} }

// letGo closes the chip's reader.
func (v *screenVisit) letGo() {
	if v.open != nil {
		_ = v.open.Close()
		v.open = nil
	}
}

// document waits for the zone, or for the person to say that there is no
// document.
func (v *screenVisit) document(ctx context.Context) (tunnel.Capture, error) {
	none := tunnel.Capture{Result: tunnel.TakenNotAvailable}
	taken := func(zone string, print []byte) tunnel.Capture {
		c := tunnel.Capture{Result: tunnel.TakenDone, Tries: 1, Pieces: []tunnel.Piece{{Kind: "zone", Format: "text/plain", Bytes: []byte(zone)}}}
		if print != nil {
			c.Pieces = append(c.Pieces, tunnel.Piece{Kind: "print", Format: "application/json", Bytes: print})
		}
		return c
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type read struct {
		zone  string
		print []byte
		err   error
	}
	reads := make(chan read, 1)
	if v.screen.Optics == nil {
		v.step(StepZone, 0)
	} else {
		v.step(StepDocument, 0)
		go func() {
			zone, print, err := readDocument(ctx, v.screen.Optics)
			reads <- read{zone, print, err}
		}()
		defer func() { cancel(); <-reads }() // the reader is let go before the next person's
	}
	for {
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case r := <-reads:
			reads <- r
			if r.err != nil {
				return none, r.err
			}
			return taken(r.zone, r.print), nil
		case m, open := <-v.in:
			switch {
			case !open:
				return none, errGone
			case m.Choice != nil && m.Choice.Choice == ChoiceNone:
				return none, nil
			case v.screen.Optics == nil && m.Type == screenZone && m.body(screenZone):
				return taken(m.Zone.Zone, nil), nil
			}
		}
	}
}

// readDocument reads the zone, and where the reader judges it the print.
func readDocument(ctx context.Context, o Optics) (zone string, print []byte, err error) {
	judge, judges := o.(PrintReader)
	if !judges {
		zone, err = o.Zone(ctx)
		return zone, nil, err
	}
	zone, said, err := judge.Read(ctx)
	if err != nil {
		return "", nil, err
	}
	print, err = canon.Marshal(said)
	return zone, print, err
}

// card waits for the document on the chip's reader.
func (v *screenVisit) card(ctx context.Context) (Card, error) {
	v.step(StepChip, 0)
	tick := time.NewTicker(cardPoll)
	defer tick.Stop()
	for {
		card, err := v.screen.OpenCard(ctx)
		if err == nil || !errors.Is(err, ErrNoCard) {
			return card, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// inPage has the page take a capture.
func (v *screenVisit) inPage(ctx context.Context, step Step, ask tunnel.Ask) (tunnel.Capture, error) {
	v.tell(ScreenMessage{Type: screenStep, Step: &ScreenStep{
		Step: step, N: ask.N, Tries: ask.Tries, Seconds: ask.Seconds, Order: ask.Order, Text: ask.Text, TextSHA256: ask.TextSHA256,
	}})
	for {
		m, err := v.expect(ctx, screenTaken)
		if err != nil {
			return tunnel.Capture{}, err
		}
		if m.Taken.N != ask.N { // of a step that is over; its bytes are passed over too
			continue
		}
		return v.capture(ctx, *m.Taken)
	}
}

// capture collects the pieces that a capture announces.
func (v *screenVisit) capture(ctx context.Context, taken ScreenTaken) (tunnel.Capture, error) {
	c := tunnel.Capture{Result: taken.Result, Reason: taken.Reason, Tries: taken.Tries, Values: taken.Values}
	total := 0
	for _, p := range taken.Artefacts {
		total += p.Bytes
		if p.Bytes <= 0 || total > tunnel.MaxTaken {
			return tunnel.Capture{}, problem.New(problem.CodeTooLarge, "the page's capture")
		}
		m, err := v.next(ctx)
		if err != nil {
			return tunnel.Capture{}, err
		}
		if len(m.bytes) != p.Bytes {
			return tunnel.Capture{}, problem.New(problem.CodeMalformed, "the page's capture is not as long as it said")
		}
		c.Pieces = append(c.Pieces, tunnel.Piece{Kind: p.Kind, Format: p.Format, Bytes: m.bytes})
	}
	return c, nil
}

// choose waits for one of some choices; others are passed over.
func (v *screenVisit) choose(ctx context.Context, among ...Choice) (Choice, error) {
	for {
		m, err := v.expect(ctx, screenChoice)
		if err != nil {
			return "", err
		}
		for _, c := range among {
			if m.Choice.Choice == c {
				return c, nil
			}
		}
	}
}

// papers scans what the person brought, page by page (row B16).
func (v *screenVisit) papers(ctx context.Context) (tunnel.Capture, error) {
	c := tunnel.Capture{Result: tunnel.TakenDone}
	broken, total := "", 0
	defer func() {
		// Of a scan that failed altogether the bridge tells.
		if broken != "" && c.Result != tunnel.TakenFailed {
			v.notice(ctx, partScanner, broken)
		}
	}()
	for len(c.Pieces) < maxPages {
		v.step(StepScan, len(c.Pieces))
		choice, err := v.choose(ctx, ChoiceStart, ChoiceSkip)
		if err != nil {
			return c, err
		}
		if choice == ChoiceSkip {
			break
		}
		page, err := v.paper(ctx, &c, &broken)
		if err != nil {
			return c, err
		}
		if page == nil {
			break
		}
		if total += len(page); total > tunnel.MaxTaken {
			break // the rest goes to the desk
		}
		c.Pieces = append(c.Pieces, tunnel.Piece{Kind: "page", Format: "image/jpeg", Bytes: page})
	}
	if len(c.Pieces) == 0 {
		c.Result = tunnel.TakenDeclined
		if c.Reason != "" {
			c.Result = tunnel.TakenFailed
		}
	}
	return c, nil
}

// paper scans one page until the person is content with it. Nil: the person goes
// on without. It leaves in broken what was wrong with the scanner, though not that
// no paper lay there: that is for the person to mend.
func (v *screenVisit) paper(ctx context.Context, c *tunnel.Capture, broken *string) ([]byte, error) {
	for {
		c.Tries = min(c.Tries+1, ticket.MaxTries)
		v.step(StepScanBusy, len(c.Pieces))
		page, err := v.screen.Scanner.Page(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			v.screen.log().Warn("a paper was not scanned", "error", err)
			if c.Reason = ReasonOf(err); c.Reason != tunnel.ReasonNoPaper {
				*broken = c.Reason
			}
			v.step(StepScanFailed, len(c.Pieces))
			choice, err := v.choose(ctx, ChoiceAgain, ChoiceSkip)
			if err != nil || choice == ChoiceSkip {
				return nil, err
			}
			continue
		}
		c.Reason = ""
		v.show(ScreenMessage{Type: screenStep, Step: &ScreenStep{Step: StepScanCheck, Done: len(c.Pieces)}}, page)
		choice, err := v.choose(ctx, ChoiceUse, ChoiceAgain)
		if err != nil {
			return nil, err
		}
		if choice == ChoiceUse {
			return page, nil
		}
	}
}

// after offers what may follow an identification. Whatever comes of it is a note
// on the outcome and never changes it (row B8).
func (v *screenVisit) after(ctx context.Context, out tunnel.Outcome) []string {
	if out.Result == tunnel.ResultAgain {
		return nil
	}
	var notes []string
	if p := v.screen.Payments; p != nil && (v.begin.Service == tunnel.ServiceCard || v.begin.Service == tunnel.ServicePay) {
		if note := v.pay(ctx, *p, out); note != "" {
			notes = append(notes, note)
		}
	}
	if v.screen.Printer != nil && v.screen.Certificate != nil && v.begin.Service != tunnel.ServicePay && (out.Result == tunnel.ResultJoin || out.Result == tunnel.ResultDone) {
		if note := v.print(ctx, out); note != "" {
			notes = append(notes, note)
		}
	}
	return notes
}

// offer shows a step and says whether the person wants it.
func (v *screenVisit) offer(ctx context.Context, step Step) bool {
	v.step(step, 0)
	choice, err := v.choose(ctx, ChoiceStart, ChoiceSkip)
	return err == nil && choice == ChoiceStart
}

func (v *screenVisit) pay(ctx context.Context, p Payments, out tunnel.Outcome) string {
	if !v.offer(ctx, StepPayment) {
		return ""
	}
	v.step(StepPaymentBusy, 0)
	state, err := p.Pay(ctx, NewPayment(), out.Visit.String())
	if err != nil {
		v.screen.log().Warn("a payment did not come about", "error", err)
	}
	if err != nil || state != PaymentApproved {
		return "payment.failed"
	}
	if v.screen.Paid != nil {
		if err := v.again(ctx, func(ctx context.Context) error { return v.screen.Paid(ctx, out.Visit) }); err != nil {
			v.screen.log().Warn("the server was not told of a payment: its terminal has it", "visit", out.Visit, "error", err)
		}
	}
	return "payment.paid"
}

func (v *screenVisit) print(ctx context.Context, out tunnel.Outcome) string {
	if !v.offer(ctx, StepPrint) {
		return ""
	}
	v.step(StepPrintBusy, 0)
	pdf, err := v.screen.Certificate(ctx, out.Visit)
	if err != nil {
		v.screen.log().Warn("there is no certificate to print", "error", err)
		return "print.failed"
	}
	err = v.screen.Printer.Print(ctx, "certificate", pdf)
	clear(pdf)
	if err != nil && ctx.Err() == nil {
		v.notice(ctx, partPrinter, ReasonOf(err))
	}
	switch {
	case err == nil:
		return "print.done"
	case ReasonOf(err) == tunnel.ReasonNoPaper:
		return "print.paper"
	default:
		v.screen.log().Warn("a certificate was not printed", "error", err)
		return "print.failed"
	}
}

// square draws a code as a QR code: rows of 0 and 1.
func square(code string) ([]string, error) {
	if code == "" {
		return nil, nil
	}
	drawn, err := qr.Encode(code, qr.M)
	if err != nil {
		return nil, fmt.Errorf("draw a code: %w", err)
	}
	rows := make([]string, drawn.Size)
	for y := range rows {
		row := make([]byte, drawn.Size)
		for x := range row {
			row[x] = '0'
			if drawn.Black(x, y) {
				row[x] = '1'
			}
		}
		rows[y] = string(row)
	}
	return rows, nil
}

// counted tells the page how the reading goes on: by the chip's answers, since
// nobody knows beforehand how many there will be.
type counted struct {
	card  Card
	visit *screenVisit
}

// Transmit implements Reader.
func (c *counted) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	response, err := c.card.Transmit(ctx, apdu)
	c.visit.done++
	if c.visit.done%progressEach == 0 {
		c.visit.step(StepReading, c.visit.done)
	}
	return response, err
}
