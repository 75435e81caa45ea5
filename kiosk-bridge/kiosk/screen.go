package kiosk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/tunnel"
)

// ScreenProtocol is the WebSocket subprotocol between the kiosk's page and its
// program.
const ScreenProtocol = "kuule-screen.v1"

// Messages between page and program. The page sends begin, and then what it is
// asked for; whatever the visit's state, closing the socket ends it. Bytes of
// captures go in binary messages, one a piece, after the taken that announces
// them; the picture of a scanned page comes in one.
type (
	// ScreenMessage is one message; of the bodies, the one of its type is set.
	ScreenMessage struct {
		Type    string            `json:"type"`
		Begin   *ScreenBegin      `json:"begin,omitempty"`
		Zone    *ScreenZone       `json:"zone,omitempty"`
		Taken   *ScreenTaken      `json:"taken,omitempty"`
		Choice  *ScreenChoice     `json:"choice,omitempty"`
		Number  *ScreenNumber     `json:"applicant,omitempty"`
		Step    *ScreenStep       `json:"step,omitempty"`
		Outcome *ScreenOutcome    `json:"outcome,omitempty"`
		Problem *problem.Document `json:"problem,omitempty"`
	}

	// ScreenBegin begins a visit: the reference on the invitation, what the person
	// came for (an interview where nothing is said) and the language chosen.
	ScreenBegin struct {
		Reference string         `json:"reference"`
		Service   tunnel.Service `json:"service,omitempty"`
		Language  string         `json:"language,omitempty"`
		Camera    bool           `json:"camera,omitempty"` // the page has one
	}

	// ScreenZone is a document's machine-readable zone as somebody typed it.
	ScreenZone struct {
		Zone string `json:"zone"`
	}

	// ScreenNumber is the number of the document of an applicant, as somebody typed it
	// or laid it before the scanner of the invitation, which types for them.
	ScreenNumber struct {
		Number  string `json:"number"`
		Scanned bool   `json:"scanned"`
	}

	// ScreenTaken is what came of a capture in the page.
	ScreenTaken struct {
		N         int                `json:"n"`
		Result    tunnel.TakenResult `json:"result"`
		Reason    string             `json:"reason"`
		Tries     int                `json:"tries"`
		Values    []tunnel.Value     `json:"values"`
		Artefacts []ScreenPiece      `json:"artefacts"`
	}

	// ScreenPiece announces a binary message.
	ScreenPiece struct {
		Kind   string `json:"kind"`
		Format string `json:"format"`
		Bytes  int    `json:"bytes"`
	}

	// ScreenChoice is what the person touched.
	ScreenChoice struct {
		Choice Choice `json:"choice"`
	}

	// ScreenStep is what happens now. Done counts the chip's answers so far, the
	// pages that were scanned, the tries of a finger or of a number before; the rest
	// is of the bridge's ask.
	ScreenStep struct {
		Step       Step     `json:"step"`
		Done       int      `json:"done"`
		N          int      `json:"n,omitempty"`
		Tries      int      `json:"tries,omitempty"`
		Seconds    int      `json:"seconds,omitempty"`
		Order      []string `json:"order,omitempty"`
		Text       string   `json:"text,omitempty"`
		TextSHA256 string   `json:"text_sha256,omitempty"`
		Finger     int      `json:"finger,omitempty"` // 1 right thumb to 10 left little
	}

	// ScreenOutcome is where the person goes, and how what came after ended.
	ScreenOutcome struct {
		tunnel.Outcome

		Square []string `json:"square,omitempty"` // the handover as a QR code: rows of 0 and 1
		Notes  []string `json:"notes,omitempty"`

		Number *ScreenWaiting `json:"number,omitempty"` // to wait for people
	}
)

// Types of messages.
const (
	screenBegin   = "begin"
	screenZone    = "zone"
	screenTaken   = "taken"
	screenChoice  = "choice"
	screenNumber  = "applicant"
	screenStep    = "step"
	screenOutcome = "outcome"
	screenProblem = "problem"
)

// Step is what the person at the kiosk is waiting for.
type Step string

// Steps of a visit, in their order.
const (
	StepDocument  Step = "document"  // the open document on the optical reader
	StepZone      Step = "zone"      // this kiosk has no optical reader: the zone is typed
	StepChip      Step = "chip"      // the document on the chip's reader
	StepReading   Step = "reading"   // the chip answers; do not move it
	StepApplicant Step = "applicant" // the number of the document of an applicant is typed, or scanned
	StepFace      Step = "face"      // live pictures, in the page
	StepFingers   Step = "fingers"   // a finger on the scanner
	StepPhoto     Step = "photo"     // a photograph for a card, in the page
	StepSignature Step = "signature" // in the page

	StepScan       Step = "scan"        // a paper on the scanner
	StepScanBusy   Step = "scan-busy"   // it is read
	StepScanCheck  Step = "scan-check"  // its picture follows: is it whole?
	StepScanFailed Step = "scan-failed" // once more, or without

	StepPayment     Step = "payment" // pay now, or later
	StepPaymentBusy Step = "payment-busy"
	StepPrint       Step = "print" // a certificate, or none
	StepPrintBusy   Step = "print-busy"
)

// Choice is what a person touches where there is a choice.
type Choice string

// Choices.
const (
	ChoiceNone  Choice = "none" // I have none of it
	ChoiceStart Choice = "start"
	ChoiceUse   Choice = "use"
	ChoiceAgain Choice = "again"
	ChoiceSkip  Choice = "skip"
)

// Optics reads the machine-readable zone of the document that lies open on a
// reader. It waits until there is one, or ctx ends.
type Optics interface {
	Zone(ctx context.Context) (string, error)
}

// PrintReader is an [Optics] that also judges the print.
type PrintReader interface {
	// Read gives the zone, and what the reader says of the document that bears it.
	Read(ctx context.Context) (zone string, print tunnel.Print, err error)
}

// Screen serves the kiosk's page: one visit at a time, from the reference to the
// outcome. What passes through is forgotten with the visit.
type Screen struct {
	Client   *Client
	OpenCard func(ctx context.Context) (Card, error) // ErrNoCard: not yet
	Optics   Optics                                  // nil: the zone is typed
	Services []tunnel.Service                        // that are held here; none: interview
	Fingers  fingerprint.Scanner                     // nil: no fingers are taken here
	Scanner  Pages                                   // nil: papers go to the desk
	Payments *Payments                               // nil: nothing is paid here
	Printer  Paper                                   // nil: nothing is printed here
	// Certificate gives the paper that a person's matter is pending, after a visit
	// here; nil: none is offered.
	Certificate func(ctx context.Context, visit interview.VisitID) ([]byte, error)
	// Number draws a waiting number; nil: none are given. Paid tells that a payment
	// was approved; nil: nobody is told.
	Number func(ctx context.Context, draw, matter, language string) (*Number, error)
	Paid   func(ctx context.Context, visit interview.VisitID) error
	// Tell tells staff of a part that does not work and of which no step of a visit
	// tells the bridge; nil: nobody is told.
	Tell  func(ctx context.Context, part, code string) error
	Limit time.Duration // of a visit; 0: three minutes
	Log   *slog.Logger  // nil: slog.Default

	busy   atomic.Bool
	camera atomic.Bool // the page had one, in some visit
}

// Pages reads papers, one page at a time, as JPEG.
type Pages interface {
	Page(ctx context.Context) ([]byte, error)
}

// Paper prints a PDF and returns when it has come out.
type Paper interface {
	Print(ctx context.Context, title string, pdf []byte) error
}

const (
	visitLimit   = 3 * time.Minute
	afterLimit   = 4 * time.Minute // for paying and printing
	maxScreen    = 8 << 20         // of a message: one piece of a capture
	maxText      = 16 << 10        // of a message that is none
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
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	v := &screenVisit{screen: s, conn: conn, limit: limit, out: make(chan outgoing, 16), in: make(chan incoming), touched: time.Now(), told: map[string]bool{}}
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

// incoming is a message of the page: one that can be read, or bytes.
type incoming struct {
	ScreenMessage

	bytes []byte
}

// outgoing is a message for the page, and bytes that follow it.
type outgoing struct {
	ScreenMessage

	bytes []byte
}

// screenVisit is one visit at the screen.
type screenVisit struct {
	screen *Screen
	conn   *websocket.Conn
	limit  time.Duration
	in     chan incoming
	out    chan outgoing
	gone   atomic.Bool
	begin  ScreenBegin

	touched time.Time // the page: the visit's stopwatch began
	open    Card      // the chip's reader, with a document
	done    int       // of the chip's answers
	numbers int       // asks for the number of an applicant's document

	told map[string]bool // of which parts staff were told
}

func (v *screenVisit) tell(m ScreenMessage) { v.show(m, nil) }

func (v *screenVisit) show(m ScreenMessage, picture []byte) {
	if v.gone.Load() {
		return
	}
	v.out <- outgoing{m, picture} // its writer takes until the visit ends
}

func (v *screenVisit) step(step Step, done int) {
	v.tell(ScreenMessage{Type: screenStep, Step: &ScreenStep{Step: step, Done: done}})
}

func (v *screenVisit) write() {
	for m := range v.out {
		if v.gone.Load() {
			continue
		}
		_ = v.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		err := v.conn.WriteJSON(m.ScreenMessage)
		if err == nil && m.bytes != nil {
			err = v.conn.WriteMessage(websocket.BinaryMessage, m.bytes)
		}
		if err != nil {
			v.gone.Store(true)
			_ = v.conn.Close()
		}
	}
	_ = v.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
}

func (v *screenVisit) read() {
	defer close(v.in)
	for {
		kind, text, err := v.conn.ReadMessage()
		if err != nil {
			v.gone.Store(true)
			return
		}
		var m incoming
		if kind == websocket.BinaryMessage {
			m.bytes = text
		} else if len(text) > maxText || canon.Strict(text, &m.ScreenMessage) != nil {
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

// next waits for a message of the page.
func (v *screenVisit) next(ctx context.Context) (incoming, error) {
	select {
	case <-ctx.Done():
		return incoming{}, ctx.Err()
	case m, open := <-v.in:
		if !open {
			return m, errGone
		}
		return m, nil
	}
}

// expect waits for a message of one type. What the person touched a moment too
// late, for a step that is over, is passed over.
func (v *screenVisit) expect(ctx context.Context, typ string) (incoming, error) {
	for {
		m, err := v.next(ctx)
		switch {
		case err != nil:
			return m, err
		case m.Type == typ && m.body(typ):
			return m, nil
		case m.bytes != nil || (m.Type == screenTaken || m.Type == screenChoice || m.Type == screenZone || m.Type == screenNumber) && m.Type != typ:
		default:
			return m, problem.New(problem.CodeMalformed, "the kiosk's page sent another message than %s", typ)
		}
	}
}

// body says whether the body of that type is there, and no other.
func (m incoming) body(typ string) bool {
	for name, there := range map[string]bool{screenBegin: m.Begin != nil, screenZone: m.Zone != nil, screenTaken: m.Taken != nil, screenChoice: m.Choice != nil, screenNumber: m.Number != nil} {
		if there != (name == typ) {
			return false
		}
	}
	return m.Step == nil && m.Outcome == nil && m.Problem == nil
}

// run holds the visit and returns its last message.
func (v *screenVisit) run(ctx context.Context) ScreenMessage {
	limited, cancel := context.WithTimeout(ctx, v.limit)
	defer cancel()
	out, err := v.visit(limited)
	if err == nil {
		v.screen.log().Info("visit at the screen ended", "result", out.Result)
		after, cancel := context.WithTimeout(ctx, afterLimit)
		defer cancel()
		last := ScreenOutcome{Outcome: out, Notes: v.after(after, out)}
		last.Number = v.number(after, v.matter(out))
		if last.Square, err = square(out.Handover); err != nil {
			v.screen.log().Warn("the handover is shown without its square", "error", err)
		}
		return ScreenMessage{Type: screenOutcome, Outcome: &last}
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
	m, err := v.expect(ctx, screenBegin)
	if err != nil {
		return none, err
	}
	v.begin = *m.Begin
	if v.begin.Service == ServiceOther { // nothing is asked, and nobody is identified
		return tunnel.Outcome{Result: tunnel.ResultDesk, Way: problem.WayAskStaff}, nil
	}
	// A mistyped reference is told at once, not after the document was read.
	reference, err := interview.ParseReference(v.begin.Reference)
	if err != nil {
		return none, err
	}
	if v.begin.Service == "" {
		v.begin.Service = tunnel.ServiceInterview
	}
	if !slices.Contains(v.screen.services(), v.begin.Service) {
		return none, problem.New(problem.CodeForbidden, "this kiosk is not set up for the service")
	}
	v.missCamera(ctx)
	defer v.letGo()
	business := tunnel.Begin{Reference: string(reference), Service: v.begin.Service, Language: v.begin.Language}
	return v.screen.Client.Hold(ctx, business, v.touched, v)
}

// services are held here.
func (s *Screen) services() []tunnel.Service {
	if len(s.Services) == 0 {
		return []tunnel.Service{tunnel.ServiceInterview}
	}
	return s.Services
}
