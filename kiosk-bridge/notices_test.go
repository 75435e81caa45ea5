package kioskbridge_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/kiosk/paymenttest"
	"kuule/kiosk-bridge/tunnel"
)

// jammed is a scanner that fails so many times with a reason, then gives pages.
type jammed struct {
	fails  int
	reason string
}

func (s *jammed) Page(context.Context) ([]byte, error) {
	if s.fails > 0 {
		s.fails--
		return nil, &kiosk.PartError{Part: "scanner", Reason: s.reason}
	}
	return []byte("\xff\xd8\xff a page"), nil
}

// toldWithin waits until the desk shows as many notices.
func (w *world) toldWithin(n int) []string {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if told := w.told(); len(told) >= n || time.Now().After(end) {
			return told
		}
	}
}

// B14, B16: staff are told of a part that fails, once: by the kiosk where the
// bridge does not learn of it, and by the bridge where it does.
func TestStaffAreToldOfPartsOnce(t *testing.T) {
	t.Parallel()
	printer := func(err error) func(*kiosk.Screen) {
		return func(s *kiosk.Screen) { s.Printer = paper(func([]byte) error { return err }) }
	}
	scanner := func(fails int, reason string) func(*kiosk.Screen) {
		return func(s *kiosk.Screen) { s.Scanner = &jammed{fails, reason} }
	}
	skip := map[kiosk.Step][]kiosk.Choice{kiosk.StepScanFailed: {kiosk.ChoiceSkip}}
	for name, c := range map[string]struct {
		adjust func(*kiosk.Screen)
		first  map[kiosk.Step][]kiosk.Choice
		desk   []string
		kiosk  int // notices of its own
	}{
		"all works":            {nil, nil, nil, 0},
		"printer out of paper": {printer(&kiosk.PartError{Part: "printer", Reason: tunnel.ReasonNoPaper}), nil, []string{"printer no-paper"}, 1},
		"printer on fire":      {printer(errors.New("on fire")), nil, []string{"printer part-broken"}, 1},
		"certificate refused": {func(s *kiosk.Screen) {
			s.Certificate = func(context.Context, interview.VisitID) ([]byte, error) { return nil, errors.New("refused") }
		}, nil, nil, 0},
		"scanner jams twice, then works":  {scanner(2, tunnel.ReasonPartBroken), nil, []string{"scanner part-broken"}, 1},
		"no paper laid in, then laid in":  {scanner(2, tunnel.ReasonNoPaper), nil, nil, 0},
		"scanner gone: the bridge's word": {scanner(9, tunnel.ReasonPartAbsent), skip, []string{"scanner part-absent"}, 0},
		"chip reader: the bridge's word": {func(s *kiosk.Screen) {
			s.OpenCard = func(context.Context) (kiosk.Card, error) { return nil, errors.New("unplugged") }
		}, nil, []string{"chip-reader part-broken"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			desk, own := w.desk(), make(chan string, 16)
			p := w.card(t, &paymenttest.Port{}, func(s *kiosk.Screen) {
				if c.adjust != nil {
					c.adjust(s)
				}
				s.Tell = func(ctx context.Context, part, code string) error {
					defer func() { own <- part }()
					return desk.Tell(ctx, w.kiosk.id, kioskbridge.Part(part), code)
				}
			})
			if c.first != nil {
				p.first = map[kiosk.Step][]kiosk.Choice{kiosk.StepScanFailed: slices.Clone(c.first[kiosk.StepScanFailed])}
			}
			if last := p.visit(tunnel.ServiceCard); last.Outcome == nil {
				t.Fatalf("%+v", last.Problem)
			}
			if told := w.toldWithin(len(c.desk)); !slices.Equal(told, c.desk) && len(told)+len(c.desk) > 0 {
				t.Errorf("the desk shows %v, want %v", told, c.desk)
			}
			for range c.kiosk {
				<-own
			}
			if len(own) > 0 {
				t.Errorf("the kiosk told of %s too", <-own)
			}
		})
	}
}

// dialWhenFree waits until the visit before is over.
func dialWhenFree(t *testing.T, d *websocket.Dialer, url string) *websocket.Conn {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, resp, err := d.DialContext(t.Context(), url, nil)
		if resp != nil {
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// A camera that was there and is not any more is told of; a kiosk that never had
// one is not broken.
func TestStaffAreToldOfACameraThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := make(chan string, 4)
	d, url, _ := w.screen(t, func(s *kiosk.Screen) {
		s.Tell = func(_ context.Context, part, code string) error {
			told <- part + " " + code
			return nil
		}
	})
	visit := func(camera bool) {
		t.Helper()
		conn := dialWhenFree(t, d, url)
		if err := conn.WriteJSON(kiosk.ScreenMessage{Type: "begin", Begin: &kiosk.ScreenBegin{Reference: reference, Camera: camera}}); err != nil {
			t.Fatal(err)
		}
		var m kiosk.ScreenMessage
		for m.Step == nil && m.Outcome == nil && m.Problem == nil {
			if err := conn.ReadJSON(&m); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.Close()
	}
	visit(false)
	visit(true)
	if len(told) > 0 {
		t.Errorf("told of %s", <-told)
	}
	visit(false)
	select {
	case got := <-told:
		if got != "camera part-absent" {
			t.Errorf("told of %s", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody was told")
	}
}

// B16: that staff cannot be told blocks nothing and changes nothing.
func TestNobodyWaitsForANotice(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	for name, tell := range map[string]func(context.Context, string, string) error{
		"refused": func(context.Context, string, string) error { return problem.New(problem.CodeUnavailable, "no server") },
		"hangs": func(context.Context, string, string) error {
			<-ended
			return context.Canceled
		},
	} {
		p := newWorld(t).card(t, &paymenttest.Port{}, func(s *kiosk.Screen) {
			s.Tell = tell
			s.Printer = paper(func([]byte) error { return &kiosk.PartError{Part: "printer", Reason: tunnel.ReasonNoPaper} })
		})
		last := p.visit(tunnel.ServiceCard)
		if last.Outcome == nil || last.Outcome.Result != tunnel.ResultDone || !slices.Equal(last.Outcome.Notes, []string{"payment.paid", "print.paper"}) {
			t.Errorf("%s: %+v %+v", name, last.Outcome, last.Problem)
		}
	}
}

// A notice goes to the server by the kiosk's own certificate; a refusal is an
// error with the server's code.
func TestNoticesGoByTheKiosksCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var said string
	refuse := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said = r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
		if refuse {
			problem.Write(out, problem.New(problem.CodeMalformed, "no such part"))
			return
		}
		out.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	w.kiosk.roots.AddCert(server.Certificate())
	n := &kiosk.Notices{Server: server.URL, Identity: w.kiosk}
	if err := n.Tell(t.Context(), "printer", tunnel.ReasonNoPaper); err != nil || said != `POST /api/desk/notices application/json {"code":"no-paper","part":"printer"}` {
		t.Errorf("%v: %s", err, said)
	}
	refuse = true
	if err := n.Tell(t.Context(), "toaster", tunnel.ReasonNoPaper); problem.Of(err).Code != problem.CodeMalformed {
		t.Errorf("refused: %v", err)
	}
}
