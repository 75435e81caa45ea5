package kioskbridge_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/kiosk/paymenttest"
	"kuule/kiosk-bridge/tunnel"
)

// counter is the server's side of reception, as a test has it.
type counter struct {
	mu      sync.Mutex
	queues  map[string]string // matter to number
	draws   []string
	matters []string
	fails   int
	paid    []interview.VisitID
}

func (c *counter) draw(_ context.Context, draw, matter, _ string) (*kiosk.Number, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draws, c.matters = append(c.draws, draw), append(c.matters, matter)
	if c.fails > 0 {
		c.fails--
		return nil, errors.New("the line broke")
	}
	text, some := c.queues[matter]
	if !some {
		return nil, nil
	}
	return &kiosk.Number{Text: text, Label: "Desk", Ahead: 2, Wait: 600}, nil
}

func (c *counter) into(s *kiosk.Screen) {
	s.Number = c.draw
	s.Paid = func(_ context.Context, v interview.VisitID) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paid = append(c.paid, v)
		return nil
	}
	s.Services = tunnel.Services
}

// B16, B17: who needs a person has a number, printed; a quick matter goes past.
func TestWhoNeedsAPersonHasANumber(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service  tunnel.Service
		passport emrtdtest.Variant
		number   string
		matter   string
	}{
		"something that no kiosk does":     {kiosk.ServiceOther, emrtdtest.Genuine, "B7", "other"},
		"sent to the desk":                 {tunnel.ServiceInterview, emrtdtest.AlteredDG2, "A12", "desk"},
		"a service that has a queue":       {tunnel.ServiceCard, emrtdtest.Genuine, "C3", "card"},
		"only the identification":          {tunnel.ServiceIdentity, emrtdtest.Genuine, "", "identity"},
		"a passport is shown":              {tunnel.ServicePassport, emrtdtest.Genuine, "", "passport"},
		"only paying":                      {tunnel.ServicePay, emrtdtest.Genuine, "", "pay"},
		"an interview goes on to its room": {tunnel.ServiceInterview, emrtdtest.Genuine, "", "interview"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := &counter{queues: map[string]string{"other": "B7", "desk": "A12", "card": "C3"}}
			var printed [][]byte
			w := newWorld(t)
			p := w.card(t, &paymenttest.Port{}, func(s *kiosk.Screen) {
				at.into(s)
				s.Optics, s.OpenCard = w.lays(c.passport)
				s.Printer = paper(func(pdf []byte) error { printed = append(printed, bytes.Clone(pdf)); return nil })
			})
			last := p.visit(c.service)
			if last.Outcome == nil {
				t.Fatalf("%+v", last.Problem)
			}
			if got := last.Outcome.Number; c.number == "" && got != nil || c.number != "" && (got == nil || got.Text != c.number || got.Wait != 600 || !got.Printed) {
				t.Errorf("number %+v, want %q", got, c.number)
			}
			if len(at.matters) != 1 || at.matters[0] != c.matter {
				t.Errorf("asked for %v, want %s", at.matters, c.matter)
			}
			if c.number != "" && (len(printed) == 0 || !bytes.Contains(printed[len(printed)-1], []byte("("+c.number+") Tj"))) {
				t.Error("the number is not on the paper")
			}
			if c.service == tunnel.ServicePay && (len(at.paid) != 1 || last.Outcome.Notes[0] != "payment.paid") {
				t.Errorf("paid %v, notes %v", at.paid, last.Outcome.Notes)
			}
		})
	}
}

// A number that cannot be drawn, or not printed, changes nothing of where the
// person goes; a lost answer is asked for again under the same name.
func TestANumberIsNoCondition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := &counter{queues: map[string]string{"other": "B7"}, fails: 2}
	p := w.card(t, &paymenttest.Port{}, lost.into)
	if last := p.visit(kiosk.ServiceOther); last.Outcome == nil || last.Outcome.Number == nil || last.Outcome.Number.Text != "B7" {
		t.Errorf("after two lost answers: %+v", last.Outcome)
	}
	if len(lost.draws) != 3 || lost.draws[0] != lost.draws[2] {
		t.Errorf("draws %v", lost.draws)
	}
	away := &counter{fails: 9}
	p = w.card(t, &paymenttest.Port{}, away.into)
	if last := p.visit(kiosk.ServiceOther); last.Outcome == nil || last.Outcome.Result != tunnel.ResultDesk || last.Outcome.Number != nil {
		t.Errorf("without the server: %+v", last)
	}
	broken := &counter{queues: map[string]string{"other": "B7"}}
	p = w.card(t, &paymenttest.Port{}, func(s *kiosk.Screen) {
		broken.into(s)
		s.Printer = paper(func([]byte) error { return &kiosk.PartError{Part: "printer", Reason: tunnel.ReasonNoPaper} })
	})
	if last := p.visit(kiosk.ServiceOther); last.Outcome == nil || last.Outcome.Number == nil || last.Outcome.Number.Printed {
		t.Errorf("without paper the number is on the screen: %+v", last.Outcome)
	}
	p = w.card(t, &paymenttest.Port{}, nil) // waiting numbers are off
	if last := p.visit(kiosk.ServiceOther); last.Outcome == nil || last.Outcome.Result != tunnel.ResultDesk || last.Outcome.Number != nil {
		t.Errorf("switched off: %+v", last)
	}
}

// lays has a passport on both readers.
func (w *world) lays(v emrtdtest.Variant) (kiosk.Optics, func(context.Context) (kiosk.Card, error)) {
	p := w.passport(v)
	return optics(func(context.Context) (string, error) { return p.Printed, nil }),
		func(context.Context) (kiosk.Card, error) { return &opened{Card: p.Card()}, nil }
}
