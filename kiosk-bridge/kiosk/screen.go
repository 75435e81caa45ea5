package kiosk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// ScreenProtocol is the WebSocket subprotocol between the kiosk's page and its
// program.
const ScreenProtocol = "kuule-screen.v1"

// Messages between page and program. The page sends begin, and zone where the
// program asks for it; whatever the visit's state, closing the socket ends it.
type (
	// ScreenMessage is one message; of the bodies, the one of its type is set.
	ScreenMessage struct {
		Type    string            `json:"type"`
		Begin   *ScreenBegin      `json:"begin,omitempty"`
		Zone    *ScreenZone       `json:"zone,omitempty"`
		Step    *ScreenStep       `json:"step,omitempty"`
		Outcome *tunnel.Outcome   `json:"outcome,omitempty"`
		Problem *problem.Document `json:"problem,omitempty"`
	}

	// ScreenBegin begins a visit with the reference on the invitation.
	ScreenBegin struct {
		Reference string `json:"reference"`
	}

	// ScreenZone is a document's machine-readable zone as somebody typed it.
	ScreenZone struct {
		Zone string `json:"zone"`
	}

	// ScreenStep is what happens now. Done counts the chip's answers so far.
	ScreenStep struct {
		Step Step `json:"step"`
		Done int  `json:"done"`
	}
)

// Types of messages.
const (
	screenBegin   = "begin"
	screenZone    = "zone"
	screenStep    = "step"
	screenOutcome = "outcome"
	screenProblem = "problem"
)

// Step is what the person at the kiosk is waiting for.
type Step string

// Steps of a visit, in their order.
const (
	StepDocument Step = "document" // the open document on the optical reader
	StepZone     Step = "zone"     // this kiosk has no optical reader: the zone is typed
	StepChip     Step = "chip"     // the document on the chip's reader
	StepReading  Step = "reading"  // the chip answers; do not move it
)

// Optics reads the machine-readable zone of the document that lies open on a
// reader. It waits until there is one, or ctx ends.
type Optics interface {
	Zone(ctx context.Context) (string, error)
}

// Screen serves the kiosk's page: one visit at a time, from the reference to the
// outcome. What passes through is forgotten with the visit.
type Screen struct {
	Client   *Client
	OpenCard func(ctx context.Context) (Card, error) // ErrNoCard: not yet
	Optics   Optics                                  // nil: the zone is typed
	Limit    time.Duration                           // of a visit; 0: three minutes
	Log      *slog.Logger                            // nil: slog.Default

	busy atomic.Bool
}

const (
	visitLimit   = 3 * time.Minute
	maxScreen    = 4 << 10
	cardPoll     = 250 * time.Millisecond
	progressEach = 4 // of the chip's answers between two messages
)

var screenUpgrader = websocket.Upgrader{
	HandshakeTimeout: 5 * time.Second, Subprotocols: []string{ScreenProtocol},
	// Host, Origin, the browser's user and the bearer were checked by the gateway.
	CheckOrigin: func(*http.Request) bool { return true },
}

// ServeHTTP holds one visit with the page. It is safe for concurrent use: the
// second of two pages is told that the kiosk is in use.
func (s *Screen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.busy.CompareAndSwap(false, true) {
		problem.Write(w, problem.New(problem.CodeKioskVisit, "this kiosk is in a visit already"))
		return
	}
	defer s.busy.Store(false)
	conn, err := screenUpgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer func() { _ = conn.Close() }()
	conn.SetReadLimit(maxScreen)
	limit := s.Limit
	if limit == 0 {
		limit = visitLimit
	}
	// The request's context ends with the hijacked connection's server only.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), limit)
	defer cancel()
	v := &screenVisit{screen: s, conn: conn, out: make(chan ScreenMessage, 16), in: make(chan ScreenMessage), touched: time.Now()}
	written := make(chan struct{})
	go func() {
		defer close(written)
		v.write()
	}()
	go func() {
		v.read()
		cancel() // the page has gone: so has the person
	}()
	last := v.run(ctx)
	v.tell(last)
	close(v.out)
	<-written
}

func (s *Screen) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

// screenVisit is one visit at the screen.
type screenVisit struct {
	screen *Screen
	conn   *websocket.Conn
	in     chan ScreenMessage
	out    chan ScreenMessage
	gone   atomic.Bool

	touched time.Time // the page: the visit's stopwatch began
	open    Card      // the chip's reader, with a document
	done    int       // of the chip's answers
}

func (v *screenVisit) tell(m ScreenMessage) {
	if v.gone.Load() {
		return
	}
	v.out <- m // its writer takes until the visit ends
}

func (v *screenVisit) step(step Step, done int) {
	v.tell(ScreenMessage{Type: screenStep, Step: &ScreenStep{step, done}})
}

func (v *screenVisit) write() {
	for m := range v.out {
		if v.gone.Load() {
			continue
		}
		_ = v.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if err := v.conn.WriteJSON(m); err != nil {
			v.gone.Store(true)
			_ = v.conn.Close()
		}
	}
	_ = v.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
}

func (v *screenVisit) read() {
	defer close(v.in)
	for {
		_, text, err := v.conn.ReadMessage()
		if err != nil {
			v.gone.Store(true)
			return
		}
		var m ScreenMessage
		if err := canon.Strict(text, &m); err != nil {
			v.screen.log().Warn("the kiosk's page sent what cannot be read")
			_ = v.conn.Close()
			v.gone.Store(true)
			return
		}
		select {
		case v.in <- m:
		case <-time.After(time.Second): // nobody asked
		}
	}
}

// errGone says that the page was closed; nobody is there to be told.
var errGone = errors.New("the kiosk's page was closed")

func (v *screenVisit) expect(ctx context.Context, typ string) (ScreenMessage, error) {
	select {
	case <-ctx.Done():
		return ScreenMessage{}, ctx.Err()
	case m, open := <-v.in:
		switch {
		case !open:
			return m, errGone
		case m.Type != typ || (typ == screenBegin) != (m.Begin != nil) || (typ == screenZone) != (m.Zone != nil):
			return m, problem.New(problem.CodeMalformed, "the kiosk's page sent another message than %s", typ)
		}
		return m, nil
	}
}

// run holds the visit and returns its last message.
func (v *screenVisit) run(ctx context.Context) ScreenMessage {
	out, err := v.visit(ctx)
	if err == nil {
		v.screen.log().Info("visit at the screen ended", "result", out.Result)
		return ScreenMessage{Type: screenOutcome, Outcome: &out}
	}
	var known *problem.Error
	switch {
	case errors.As(err, &known):
	case errors.Is(err, context.DeadlineExceeded):
		err = problem.New(problem.CodeStalled, "the visit took too long")
	case errors.Is(err, ErrNoCard):
		err = problem.New(problem.CodeChip, "%w", err)
	default:
		err = problem.New(problem.CodeUnavailable, "%w", err)
	}
	doc := problem.Of(err)
	v.screen.log().Warn("visit at the screen broke off", "code", doc.Code)
	return ScreenMessage{Type: screenProblem, Problem: &doc}
}

func (v *screenVisit) visit(ctx context.Context) (tunnel.Outcome, error) {
	var none tunnel.Outcome
	begin, err := v.expect(ctx, screenBegin)
	if err != nil {
		return none, err
	}
	// A mistyped reference is told at once, not after the document was read.
	reference, err := interview.ParseReference(begin.Begin.Reference)
	if err != nil {
		return none, err
	}
	defer v.letGo()
	business := tunnel.Begin{Reference: string(reference), Service: tunnel.ServiceInterview}
	out, err := v.screen.Client.Hold(ctx, business, v.touched, v)
	if err != nil {
		return none, err
	}
	return out, nil
}

// Offers implements Hands.
func (v *screenVisit) Offers() []ticket.StepName {
	return []ticket.StepName{ticket.StepDocument, ticket.StepChip}
}

// Take implements Hands.
func (v *screenVisit) Take(ctx context.Context, ask tunnel.Ask) (tunnel.Capture, error) {
	switch ask.Step {
	case ticket.StepDocument:
		zone, err := v.zone(ctx)
		if err != nil {
			return tunnel.Capture{}, err
		}
		return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1, Pieces: []tunnel.Piece{{Kind: "zone", Format: "text/plain", Bytes: []byte(zone)}}}, nil
	case ticket.StepChip:
		v.letGo()
		card, err := v.card(ctx)
		if err != nil {
			return tunnel.Capture{}, err
		}
		v.open = card
		v.step(StepReading, 0)
		return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1}, nil
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

func (v *screenVisit) zone(ctx context.Context) (string, error) {
	if v.screen.Optics != nil {
		v.step(StepDocument, 0)
		return v.screen.Optics.Zone(ctx)
	}
	v.step(StepZone, 0)
	m, err := v.expect(ctx, screenZone)
	if err != nil {
		return "", err
	}
	return m.Zone.Zone, nil
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
