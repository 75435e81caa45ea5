package kioskbridge_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
)

// opened is a card that lies on a reader.
type opened struct {
	*emrtdtest.Card
	closed atomic.Bool
}

func (o *opened) Close() error {
	o.closed.Store(true)
	return nil
}

type optics func(context.Context) (string, error)

func (o optics) Zone(ctx context.Context) (string, error) { return o(ctx) }

// screen serves a kiosk's screen on the world's bridge, with a passport on both
// readers.
func (w *world) screen(t *testing.T, adjust func(*kiosk.Screen)) (*websocket.Dialer, string, *opened) {
	t.Helper()
	p := w.passport(emrtdtest.Genuine)
	card := &opened{Card: p.Card()}
	s := &kiosk.Screen{
		Client:   w.client(),
		OpenCard: func(context.Context) (kiosk.Card, error) { return card, nil },
		Optics:   optics(func(context.Context) (string, error) { return p.Printed, nil }),
	}
	if adjust != nil {
		adjust(s)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &websocket.Dialer{Subprotocols: []string{kiosk.ScreenProtocol}}, "ws" + strings.TrimPrefix(server.URL, "http"), card
}

func dialScreen(t *testing.T, d *websocket.Dialer, url string) *websocket.Conn {
	t.Helper()
	conn, resp, err := d.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// hold begins a visit and collects what the page is told.
func hold(t *testing.T, conn *websocket.Conn, code string, answer func(kiosk.Step) *kiosk.ScreenMessage) (steps []kiosk.Step, last kiosk.ScreenMessage) {
	t.Helper()
	if err := conn.WriteJSON(kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: code}}); err != nil {
		t.Fatal(err)
	}
	for {
		var m kiosk.ScreenMessage
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatalf("after %v: %v", steps, err)
		}
		if m.Step == nil {
			return steps, m
		}
		if len(steps) == 0 || steps[len(steps)-1] != m.Step.Step {
			steps = append(steps, m.Step.Step)
		}
		if answer != nil {
			if a := answer(m.Step.Step); a != nil {
				if err := conn.WriteJSON(a); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// B1, B21: from the code on the invitation to the room's name, as a person sees
// it on the screen.
func TestVisitAtTheScreen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, url, card := w.screen(t, nil)
	steps, last := hold(t, dialScreen(t, d, url), reference, nil)
	if last.Outcome == nil || last.Outcome.Result != tunnel.ResultJoin || last.Outcome.Place != w.booking.Place || last.Outcome.Place == "" {
		t.Fatalf("%+v %+v", last.Outcome, last.Problem)
	}
	if want := []kiosk.Step{kiosk.StepDocument, kiosk.StepChip, kiosk.StepReading}; len(steps) != 3 || steps[0] != want[0] || steps[1] != want[1] || steps[2] != want[2] {
		t.Errorf("steps %v", steps)
	}
	if !card.closed.Load() {
		t.Error("the reader was not let go")
	}
}

// Without an optical reader the zone is typed.
func TestVisitWithATypedZone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	printed := w.passport(emrtdtest.Genuine).Printed
	d, url, _ := w.screen(t, func(s *kiosk.Screen) { s.Optics = nil })
	_, last := hold(t, dialScreen(t, d, url), reference, func(s kiosk.Step) *kiosk.ScreenMessage {
		if s != kiosk.StepZone {
			return nil
		}
		return &kiosk.ScreenMessage{Type: "zone", Zone: &kiosk.ScreenZone{Zone: printed}}
	})
	if last.Outcome == nil || last.Outcome.Result != tunnel.ResultJoin {
		t.Errorf("%+v", last)
	}
}

// B12: each thing that fails has its own word on the screen, and nothing hangs.
func TestEachFailureIsToldAtTheScreen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code   string
		adjust func(*kiosk.Screen)
		want   problem.Code // none: staff take over
	}{
		"mistyped code":              {"K7H3-2Q9X-X", nil, problem.CodeMalformed},
		"code of nobody":             {string(interview.ReferenceOf(interview.NewParticipantID())), nil, problem.CodeNotBooked},
		"document reader gone":       {reference, func(s *kiosk.Screen) { s.Optics = kiosk.OpticsSocket{Path: "/nowhere"} }, ""},
		"document reader reads junk": {reference, func(s *kiosk.Screen) { s.Optics = optics(func(context.Context) (string, error) { return "junk", nil }) }, problem.CodeMalformed},
		"chip reader gone": {reference, func(s *kiosk.Screen) {
			s.OpenCard = func(context.Context) (kiosk.Card, error) { return nil, errors.New("unplugged") }
		}, ""},
		"nobody lays a document": {reference, func(s *kiosk.Screen) {
			s.Limit = 300 * time.Millisecond
			s.OpenCard = func(context.Context) (kiosk.Card, error) { return nil, kiosk.ErrNoCard }
		}, problem.CodeStalled},
		"bridge away": {reference, func(s *kiosk.Screen) {
			s.Client = &kiosk.Client{URL: "wss://127.0.0.1:1/", Identity: s.Client.Identity}
		}, problem.CodeUnavailable},
	} {
		w := newWorld(t)
		d, url, _ := w.screen(t, c.adjust)
		_, last := hold(t, dialScreen(t, d, url), c.code, nil)
		if c.want == "" {
			if last.Outcome == nil || last.Outcome.Result != tunnel.ResultDesk || last.Outcome.Handover == "" {
				t.Errorf("%s: %+v, staff were expected", name, last)
			}
			continue
		}
		if last.Problem == nil || last.Problem.Code != c.want || last.Problem.Way == "" {
			t.Errorf("%s: %+v, want %s", name, last.Problem, c.want)
		}
	}
}

// A page that is closed ends its visit, and the next person's begins: also in
// the middle of a reading.
func TestClosedPageEndsItsVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	waits := make(chan struct{}, 1)
	d, url, _ := w.screen(t, func(s *kiosk.Screen) {
		read := s.Optics
		first := true
		s.Optics = optics(func(ctx context.Context) (string, error) {
			if !first {
				return read.Zone(ctx)
			}
			first = false
			waits <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		})
	})
	conn := dialScreen(t, d, url)
	if err := conn.WriteJSON(kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: reference}}); err != nil {
		t.Fatal(err)
	}
	<-waits
	_, resp, err := d.DialContext(t.Context(), url, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusConflict {
		t.Errorf("a second page at the same time: %v", err)
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	var next *websocket.Conn
	waitFor(t, func() bool {
		c, resp, err := d.DialContext(t.Context(), url, nil)
		if err == nil {
			next = c
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	defer func() { _ = next.Close() }()
	if _, last := hold(t, next, reference, nil); last.Outcome == nil || last.Outcome.Result != tunnel.ResultJoin {
		t.Errorf("the next visit: %+v", last)
	}
}
