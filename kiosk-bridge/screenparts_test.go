package kioskbridge_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/kiosk/paymenttest"
	"kuule/kiosk-bridge/tunnel"
)

// scanner gives pages, or fails so many times first.
type scanner struct{ fails int }

func (s *scanner) Page(context.Context) ([]byte, error) {
	if s.fails > 0 {
		s.fails--
		return nil, &kiosk.PartError{Part: "scanner", Reason: tunnel.ReasonNoPaper}
	}
	return []byte("\xff\xd8\xff a page"), nil
}

type paper func(pdf []byte) error

func (p paper) Print(_ context.Context, _ string, pdf []byte) error { return p(pdf) }

// person is somebody at the page who does what the screen says.
type person struct {
	t      *testing.T
	conn   *websocket.Conn
	signs  string                        // the hash that is signed; empty: the right one
	first  map[kiosk.Step][]kiosk.Choice // before the usual choice
	steps  []kiosk.Step
	signed string
}

func (p *person) send(m kiosk.ScreenMessage, pieces ...[]byte) {
	p.t.Helper()
	if err := p.conn.WriteJSON(m); err != nil {
		p.t.Fatal(err)
	}
	for _, b := range pieces {
		if err := p.conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *person) takes(n int, kind, format string, b []byte) {
	p.t.Helper()
	p.send(kiosk.ScreenMessage{Type: "taken", Taken: &kiosk.ScreenTaken{
		N: n, Result: tunnel.TakenDone, Tries: 1, Artefacts: []kiosk.ScreenPiece{{Kind: kind, Format: format, Bytes: len(b)}},
	}}, b)
}

var usual = map[kiosk.Step]kiosk.Choice{
	kiosk.StepScanCheck: kiosk.ChoiceUse, kiosk.StepScanFailed: kiosk.ChoiceAgain, kiosk.StepPayment: kiosk.ChoiceStart, kiosk.StepPrint: kiosk.ChoiceStart,
}

func (p *person) visit(service tunnel.Service) kiosk.ScreenMessage {
	p.t.Helper()
	p.send(kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: reference, Service: service, Language: "fi", Camera: true}})
	for {
		kind, text, err := p.conn.ReadMessage()
		if err != nil {
			p.t.Fatalf("after %v: %v", p.steps, err)
		}
		if kind == websocket.BinaryMessage {
			continue // the picture of a page
		}
		var m kiosk.ScreenMessage
		if err := json.Unmarshal(text, &m); err != nil {
			p.t.Fatal(err)
		}
		if m.Step == nil {
			return m
		}
		s := *m.Step
		if len(p.steps) == 0 || p.steps[len(p.steps)-1] != s.Step {
			p.steps = append(p.steps, s.Step)
		}
		switch s.Step {
		case kiosk.StepPhoto:
			p.takes(s.N, "photo", "image/jpeg", []byte("\xff\xd8\xff a face"))
		case kiosk.StepSignature:
			sum := sha256.Sum256([]byte(s.Text))
			if p.signed = base64.RawURLEncoding.EncodeToString(sum[:]); p.signed != s.TextSHA256 {
				p.t.Errorf("the hash on screen is not that of %q", s.Text)
			}
			hash := s.TextSHA256
			if p.signs != "" {
				hash = p.signs
			}
			p.takes(s.N, "signature", "application/json", []byte(`{"v":1,"text_sha256":"`+hash+`","strokes":[[{"x":1,"y":2,"t":0,"p":500},{"x":3,"y":4,"t":9,"p":500},{"x":5,"y":6,"t":17,"p":500}]]}`))
		case kiosk.StepScan:
			choice := kiosk.ChoiceStart
			if s.Done > 0 {
				choice = kiosk.ChoiceSkip
			}
			p.choose(s.Step, choice)
		default:
			if c, asks := usual[s.Step]; asks {
				p.choose(s.Step, c)
			}
		}
	}
}

func (p *person) choose(step kiosk.Step, choice kiosk.Choice) {
	p.t.Helper()
	if first := p.first[step]; len(first) > 0 {
		choice, p.first[step] = first[0], first[1:]
	}
	p.send(kiosk.ScreenMessage{Type: "choice", Choice: &kiosk.ScreenChoice{Choice: choice}})
}

// card is a screen at which residence cards are dealt with, all parts working.
func (w *world) card(t *testing.T, port *paymenttest.Port, adjust func(*kiosk.Screen)) *person {
	t.Helper()
	payments := httptest.NewServer(port)
	t.Cleanup(payments.Close)
	d, url, _ := w.screen(t, func(s *kiosk.Screen) {
		s.Services = []tunnel.Service{tunnel.ServiceInterview, tunnel.ServiceCard}
		s.Scanner = &scanner{}
		s.Payments = &kiosk.Payments{URL: payments.URL, Cents: 53000, Currency: "EUR"}
		s.Printer = paper(func([]byte) error { return nil })
		s.Certificate = func(context.Context, interview.VisitID) ([]byte, error) { return []byte("%PDF-1.7"), nil }
		if adjust != nil {
			adjust(s)
		}
	})
	return &person{t: t, conn: dialScreen(t, d, url), first: map[kiosk.Step][]kiosk.Choice{}}
}

// B6, B7, B8, B16, B17: a card's photograph, signature and papers, then payment
// and a certificate; all after the person was identified.
func TestCardAtTheScreen(t *testing.T) {
	t.Parallel()
	port := &paymenttest.Port{}
	p := newWorld(t).card(t, port, nil)
	last := p.visit(tunnel.ServiceCard)
	if last.Outcome == nil || last.Outcome.Result != tunnel.ResultDone || !slices.Equal(last.Outcome.Notes, []string{"payment.paid", "print.done"}) {
		t.Fatalf("%+v %+v", last.Outcome, last.Problem)
	}
	want := []kiosk.Step{
		kiosk.StepDocument, kiosk.StepChip, kiosk.StepReading, kiosk.StepPhoto, kiosk.StepSignature,
		kiosk.StepScan, kiosk.StepScanBusy, kiosk.StepScanCheck, kiosk.StepScan, kiosk.StepPayment, kiosk.StepPaymentBusy, kiosk.StepPrint, kiosk.StepPrintBusy,
	}
	if !slices.Equal(p.steps, want) {
		t.Errorf("steps %v", p.steps)
	}
	if n, cents := port.Taken(); n != 1 || cents != 53000 {
		t.Errorf("%d payments, %d cents", n, cents)
	}
}

// B7, B17: another service takes no photograph, no signature, no papers and no
// money; a service for which the kiosk is not set up is refused.
func TestServicesAreApart(t *testing.T) {
	t.Parallel()
	p := newWorld(t).card(t, &paymenttest.Port{}, nil)
	last := p.visit(tunnel.ServiceInterview)
	for _, step := range []kiosk.Step{kiosk.StepPhoto, kiosk.StepSignature, kiosk.StepScan, kiosk.StepPayment} {
		if slices.Contains(p.steps, step) {
			t.Errorf("an interview asks for %s", step)
		}
	}
	if last.Outcome == nil || last.Outcome.Result != tunnel.ResultJoin {
		t.Errorf("%+v", last)
	}
	other := newWorld(t).card(t, &paymenttest.Port{}, func(s *kiosk.Screen) { s.Services = nil })
	if last := other.visit(tunnel.ServiceCard); last.Problem == nil || last.Problem.Code != problem.CodeForbidden {
		t.Errorf("a service that is not held here: %+v", last)
	}
}

// B8, B16: whatever fails after an identification is a note on the outcome, and
// never another outcome.
func TestNothingAfterBlocksTheWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		adjust func(*kiosk.Screen)
		first  map[kiosk.Step][]kiosk.Choice
		notes  []string
	}{
		"payment port away": {func(s *kiosk.Screen) { s.Payments.URL, s.Payments.Within = "http://127.0.0.1:1", 1 }, nil, []string{"payment.failed", "print.done"}},
		"declined":          {func(s *kiosk.Screen) { s.Payments.Cents = 53051 }, nil, []string{"payment.failed", "print.done"}},
		"pays later":        {nil, map[kiosk.Step][]kiosk.Choice{kiosk.StepPayment: {kiosk.ChoiceSkip}, kiosk.StepPrint: {kiosk.ChoiceSkip}}, nil},
		"no paper in the printer": {func(s *kiosk.Screen) {
			s.Printer = paper(func([]byte) error { return &kiosk.PartError{Part: "printer", Reason: tunnel.ReasonNoPaper} })
		}, nil, []string{"payment.paid", "print.paper"}},
		"printer broken": {func(s *kiosk.Screen) { s.Printer = paper(func([]byte) error { return errors.New("on fire") }) }, nil, []string{"payment.paid", "print.failed"}},
		"no certificate": {func(s *kiosk.Screen) {
			s.Certificate = func(context.Context, interview.VisitID) ([]byte, error) { return nil, errors.New("refused") }
		}, nil, []string{"payment.paid", "print.failed"}},
		"scanner without paper, then with": {func(s *kiosk.Screen) { s.Scanner = &scanner{fails: 2} }, nil, []string{"payment.paid", "print.done"}},
		"scanner given up":                 {func(s *kiosk.Screen) { s.Scanner = &scanner{fails: 9} }, map[kiosk.Step][]kiosk.Choice{kiosk.StepScanFailed: {kiosk.ChoiceSkip}}, []string{"payment.paid", "print.done"}},
	} {
		p := newWorld(t).card(t, &paymenttest.Port{}, c.adjust)
		if c.first != nil {
			p.first = c.first
		}
		last := p.visit(tunnel.ServiceCard)
		if last.Outcome == nil || last.Outcome.Result != tunnel.ResultDone || !slices.Equal(last.Outcome.Notes, c.notes) {
			t.Errorf("%s: %+v %+v", name, last.Outcome, last.Problem)
		}
	}
}

// B12, B15: who has no document says so at the screen and is handed over to the
// desk, with a code and its square; the optical reader is let go.
func TestNoDocumentAtTheScreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	released := make(chan struct{})
	d, url, _ := w.screen(t, func(s *kiosk.Screen) {
		s.Optics = optics(func(ctx context.Context) (string, error) {
			<-ctx.Done()
			close(released)
			return "", ctx.Err()
		})
	})
	_, last := hold(t, dialScreen(t, d, url), reference, func(s kiosk.Step) *kiosk.ScreenMessage {
		if s != kiosk.StepDocument {
			return nil
		}
		return &kiosk.ScreenMessage{Type: "choice", Choice: &kiosk.ScreenChoice{Choice: kiosk.ChoiceNone}}
	})
	if last.Outcome == nil || last.Outcome.Result != tunnel.ResultDesk || last.Outcome.Handover == "" || len(last.Outcome.Square) < 21 {
		t.Errorf("%+v %+v", last.Outcome, last.Problem)
	}
	<-released
}

// A page that announces one thing and sends another spoils its own visit alone.
func TestPagesThatLie(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]kiosk.ScreenTaken{
		"another length": {Result: tunnel.TakenDone, Artefacts: []kiosk.ScreenPiece{{Kind: "photo", Format: "image/jpeg", Bytes: 3}}},
		"too large":      {Result: tunnel.TakenDone, Artefacts: []kiosk.ScreenPiece{{Kind: "photo", Format: "image/jpeg", Bytes: 1 << 30}}},
		"no length":      {Result: tunnel.TakenDone, Artefacts: []kiosk.ScreenPiece{{Kind: "photo", Format: "image/jpeg"}}},
	} {
		p := newWorld(t).card(t, &paymenttest.Port{}, func(s *kiosk.Screen) { s.Scanner = nil })
		p.send(kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: reference, Service: tunnel.ServiceCard, Camera: true}})
		steps := map[kiosk.Step]int{}
		for {
			var m kiosk.ScreenMessage
			if err := p.conn.ReadJSON(&m); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if m.Step == nil {
				if m.Outcome == nil { // the step failed; the visit went on
					t.Errorf("%s: %+v", name, m.Problem)
				}
				break
			}
			steps[m.Step.Step]++
			switch m.Step.Step {
			case kiosk.StepPhoto:
				taken.N = m.Step.N
				p.send(kiosk.ScreenMessage{Type: "taken", Taken: &taken}, []byte("four"))
			case kiosk.StepSignature:
				p.send(kiosk.ScreenMessage{Type: "taken", Taken: &kiosk.ScreenTaken{N: m.Step.N, Result: tunnel.TakenDeclined}})
			case kiosk.StepPayment, kiosk.StepPrint:
				p.choose(m.Step.Step, kiosk.ChoiceSkip)
			}
		}
	}
}
