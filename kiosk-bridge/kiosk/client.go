package kiosk

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// Identity is the kiosk's device: its certificate for mutual TLS, and its
// device key for what it vouches for.
type Identity interface {
	// ClientTLS gives the pinned roots and the certificate of the moment.
	ClientTLS() *tls.Config
	// SignStatement signs payload as a compact JWS of type typ with the device
	// key and puts the certificate chain into x5c.
	SignStatement(payload any, typ string) (string, error)
}

// Reader is a card reader with a document on it.
type Reader interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// Client speaks to one bridge. It is safe for concurrent use, though a reader
// is not.
type Client struct {
	URL      string // wss://HOST/ws/kiosk
	Identity Identity
	Dialer   *websocket.Dialer // nil: the default, with the identity's TLS
	Now      func() time.Time  // the visit's stopwatch; nil: time.Now
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Program names this client to the bridge.
const Program = "kuule-kiosk"

// ErrRefusedToVouch says that the bridge asked for a signature over something
// that did not happen here. The visit ends; staff should be told.
var ErrRefusedToVouch = errors.New("kiosk refuses to vouch: the bridge's evidence is not of this visit")

const (
	patience  = 20 * time.Second // for one message of the bridge
	freeAfter = 200 * time.Millisecond
	freeTries = 15
)

// Hands are the kiosk's parts with a person before them. They are used by one
// visit at a time.
type Hands interface {
	// Offers names the steps for which there are parts.
	Offers() []ticket.StepName
	// Take has the person do one step. An error says that the part broke; who
	// goes away ends ctx.
	Take(ctx context.Context, ask tunnel.Ask) (tunnel.Capture, error)
	// Card is the reader with the document that the step "chip" has found.
	Card() Reader
}

// Hold runs one visit: what the person came for, and the hands that do what the
// bridge asks. The visit's stopwatch began when somebody touched the kiosk.
func (c *Client) Hold(ctx context.Context, begin tunnel.Begin, touched time.Time, hands Hands) (tunnel.Outcome, error) {
	conn, err := c.dial(ctx)
	// The bridge may not have noticed yet that the person before has gone.
	for try := 0; problem.Of(err).Code == problem.CodeKioskVisit && try < freeTries; try++ {
		select {
		case <-ctx.Done():
		case <-time.After(freeAfter):
		}
		conn, err = c.dial(ctx)
	}
	if err != nil {
		return tunnel.Outcome{}, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	v := &visit{client: c, conn: conn, hands: hands, touched: touched}
	out, err := v.run(ctx, begin)
	if err != nil && ctx.Err() != nil {
		return tunnel.Outcome{}, fmt.Errorf("visit was broken off: %w", ctx.Err())
	}
	return out, err
}

// Visit runs one visit with nothing but a document: the reference on the
// person's invitation, the optical zone, and the reader on which it lies.
func (c *Client) Visit(ctx context.Context, reference, zone string, card Reader) (tunnel.Outcome, error) {
	return c.Hold(ctx, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview}, c.now(), laid{zone, card})
}

// laid is a document that lies on both readers.
type laid struct {
	zone string
	card Reader
}

// Offers implements Hands.
func (laid) Offers() []ticket.StepName {
	return []ticket.StepName{ticket.StepDocument, ticket.StepChip}
}

// Take implements Hands.
func (l laid) Take(_ context.Context, ask tunnel.Ask) (tunnel.Capture, error) {
	switch ask.Step {
	case ticket.StepDocument:
		return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1, Pieces: []tunnel.Piece{{Kind: "zone", Format: "text/plain", Bytes: []byte(l.zone)}}}, nil
	case ticket.StepChip:
		return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1}, nil
	default:
		return tunnel.Capture{Result: tunnel.TakenNotAvailable, Reason: tunnel.ReasonPartAbsent}, nil
	}
}

// Card implements Hands.
func (l laid) Card() Reader { return l.card }

func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	d := websocket.Dialer{HandshakeTimeout: patience}
	if c.Dialer != nil {
		d = *c.Dialer
	}
	d.TLSClientConfig = c.Identity.ClientTLS()
	d.Subprotocols = []string{tunnel.Protocol}
	conn, resp, err := d.DialContext(ctx, c.URL, nil)
	if resp != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the bridge at %s: %w", c.URL, refusal(resp, err))
	}
	conn.SetReadLimit(tunnel.MaxMessage)
	return conn, nil
}

// refusal reads the problem document of a door that did not open.
func refusal(resp *http.Response, err error) error {
	if resp == nil {
		return err
	}
	var d problem.Document
	if json.NewDecoder(io.LimitReader(resp.Body, 4096)).Decode(&d) == nil && d.Code != "" {
		return d.Err()
	}
	return fmt.Errorf("%w (status %d)", err, resp.StatusCode)
}

type visit struct {
	client     *Client
	conn       *websocket.Conn
	hands      Hands
	touched    time.Time
	greeting   tunnel.Visit
	transcript *tunnel.Transcript
	asks       int
	commands   int
	reading    int // the step of the journal in which the chip is read, from 1
	steps      []ticket.Step
	journal    string // as it was sent
}

// watch reads the visit's stopwatch.
func (v *visit) watch(at time.Time) int64 { return max(0, at.Sub(v.touched).Milliseconds()) }

func (v *visit) run(ctx context.Context, begin tunnel.Begin) (tunnel.Outcome, error) {
	var out tunnel.Outcome
	now := v.client.now()
	if v.touched.IsZero() || v.touched.After(now) {
		v.touched = now
	}
	hello := tunnel.Hello{V: 1, Program: Program, Offers: v.hands.Offers(), At: v.watch(now), Wall: now.UnixMilli()}
	if err := v.send(tunnel.TypeHello, hello); err != nil {
		return out, err
	}
	text, err := v.read(patience)
	if err != nil {
		return out, err
	}
	if err := tunnel.Decode(text, tunnel.TypeVisit, &v.greeting); err != nil {
		return out, err
	}
	v.transcript = tunnel.NewTranscript(v.greeting.Visit)
	v.steps = append(v.steps, ticket.Step{Step: ticket.StepCode, Ended: v.watch(now), Result: ticket.StepAsserted, Tries: 1})
	if err := v.send(tunnel.TypeBegin, begin); err != nil {
		return out, err
	}
	for {
		if text, err = v.read(patience); err != nil {
			return out, err
		}
		typ, err := tunnel.Peek(text)
		if err != nil {
			return out, err
		}
		switch typ {
		case tunnel.TypeAsk:
			err = v.take(ctx, text)
		case tunnel.TypeAPDU:
			err = v.pipe(ctx, text)
		case tunnel.TypeFinish:
			err = v.account(text)
		case tunnel.TypeEvidence:
			err = v.vouch(text)
		default:
			err = tunnel.Decode(text, tunnel.TypeOutcome, &out)
			if err != nil {
				return tunnel.Outcome{}, err
			}
			out.Visit = v.greeting.Visit
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// take has a step done and tells what came of it.
func (v *visit) take(ctx context.Context, text []byte) error {
	var ask tunnel.Ask
	if err := tunnel.Decode(text, tunnel.TypeAsk, &ask); err != nil {
		return err
	}
	if v.asks++; ask.N != v.asks || ask.Seconds <= 0 {
		return fmt.Errorf("%w: ask %d", tunnel.ErrMessage, ask.N)
	}
	began := v.client.now()
	within, cancel := context.WithTimeout(ctx, time.Duration(ask.Seconds)*time.Second)
	defer cancel()
	c, err := v.hands.Take(within, ask)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case within.Err() != nil && err != nil:
		c = tunnel.Capture{Result: tunnel.TakenFailed, Reason: tunnel.ReasonTimedOut}
	case err != nil:
		c = tunnel.Capture{Result: tunnel.TakenFailed, Reason: tunnel.ReasonPartBroken}
	}
	if !c.Began.IsZero() {
		began = c.Began
	}
	taken := tunnel.Taken{N: ask.N, Step: ask.Step, Result: c.Result, Reason: c.Reason, Tries: c.Tries, Values: c.Values}
	if ask.Step == ticket.StepFingers {
		defer func() { // they are the bridge's now (row B19)
			for _, p := range c.Pieces {
				clear(p.Bytes)
			}
		}()
	}
	step := ticket.Step{Step: ask.Step, Began: v.watch(began), Result: ticket.StepAsserted, Reason: c.Reason, Tries: c.Tries}
	for _, p := range c.Pieces {
		sum := ticket.Hash(p.Bytes)
		taken.Artefacts = append(taken.Artefacts, tunnel.Artefact{Kind: p.Kind, Format: p.Format, Bytes: len(p.Bytes), SHA256: sum})
		if tunnel.Journalled(p.Format) {
			step.Artefacts = append(step.Artefacts, ticket.Artefact{Kind: p.Kind, SHA256: sum})
		}
	}
	switch c.Result {
	case tunnel.TakenNotAvailable, tunnel.TakenDeclined:
		step.Result = ticket.StepNotAvailable
	case tunnel.TakenFailed:
		step.Result = ticket.StepFailed
	case tunnel.TakenDone:
	}
	step.Ended = max(step.Began, v.watch(v.client.now()))
	v.steps = append(v.steps, step)
	if ask.Step == ticket.StepChip && c.Result == tunnel.TakenDone {
		v.reading = len(v.steps)
	}
	if err := v.send(tunnel.TypeTaken, taken); err != nil {
		return err
	}
	for _, p := range c.Pieces {
		if err := v.sendBytes(p.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) sendBytes(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), tunnel.MaxPart)
		if err := v.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if err := v.conn.WriteMessage(websocket.BinaryMessage, b[:n]); err != nil {
			return fmt.Errorf("send a capture to the bridge: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// pipe carries one command to the chip and its answer back.
func (v *visit) pipe(ctx context.Context, text []byte) error {
	var a tunnel.APDU
	if err := tunnel.Decode(text, tunnel.TypeAPDU, &a); err != nil {
		return err
	}
	command, err := base64.StdEncoding.DecodeString(a.Command)
	if v.commands++; err != nil || a.N != v.commands || v.reading == 0 {
		return fmt.Errorf("%w: command %d", tunnel.ErrMessage, a.N)
	}
	answer := tunnel.Answer{N: a.N}
	response, err := v.hands.Card().Transmit(ctx, command)
	if err != nil || len(response) < 2 { // less than a status is no answer
		response, answer.Silent = nil, true
	}
	v.transcript.Add(command, response)
	v.steps[v.reading-1].Ended = v.watch(v.client.now())
	answer.Response = base64.StdEncoding.EncodeToString(response)
	return v.send(tunnel.TypeAnswer, answer)
}

// account sends the journal of all that was done here.
func (v *visit) account(text []byte) error {
	if err := tunnel.Decode(text, tunnel.TypeFinish, &tunnel.Finish{}); err != nil {
		return err
	}
	j := ticket.Journal{V: 1, Visit: v.greeting.Visit, Nonce: v.greeting.Nonce, Policy: v.greeting.Policy, Sent: v.watch(v.client.now()), Steps: v.steps}
	journal, err := canon.Marshal(j)
	if err != nil {
		return fmt.Errorf("journal of visit %s: %w", j.Visit, err)
	}
	v.journal = string(journal)
	return v.send(tunnel.TypeJournal, tunnel.Journal{Journal: v.journal})
}

// vouch signs the bridge's evidence if it is of this visit.
func (v *visit) vouch(text []byte) error {
	var m tunnel.Evidence
	if err := tunnel.Decode(text, tunnel.TypeEvidence, &m); err != nil {
		return err
	}
	var e ticket.Evidence
	if err := canon.Unmarshal([]byte(m.Evidence), &e); err != nil {
		return fmt.Errorf("%w: %w", ErrRefusedToVouch, err)
	}
	g := v.greeting
	if e.V != 1 || e.Visit != g.Visit || e.Nonce != g.Nonce || e.Kiosk != g.Kiosk || e.Policy != g.Policy || e.APDUSHA256 != v.transcript.Sum() ||
		v.journal == "" || e.JournalSHA256 != ticket.Hash([]byte(v.journal)) {
		return fmt.Errorf("%w: %s", ErrRefusedToVouch, e.Visit)
	}
	signed, err := v.client.Identity.SignStatement(ticket.Visit{
		V: 1, Visit: e.Visit, Nonce: e.Nonce, EvidenceSHA256: ticket.Hash([]byte(m.Evidence)),
		Hearing: e.Hearing, Participant: e.Participant,
	}, ticket.TypVisit)
	if err != nil {
		return fmt.Errorf("vouch for visit %s: %w", e.Visit, err)
	}
	return v.send(tunnel.TypeVouch, tunnel.Vouch{Visit: signed})
}

func (v *visit) send(typ string, body any) error {
	text, err := tunnel.Encode(typ, body)
	if err != nil {
		return err
	}
	if err := v.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := v.conn.WriteMessage(websocket.TextMessage, text); err != nil {
		return fmt.Errorf("send %s to the bridge: %w", typ, err)
	}
	return nil
}

func (v *visit) read(within time.Duration) ([]byte, error) {
	if err := v.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	kind, text, err := v.conn.ReadMessage()
	if err != nil {
		return nil, fmt.Errorf("bridge does not answer: %w", err)
	}
	if kind != websocket.TextMessage {
		return nil, fmt.Errorf("%w: not text", tunnel.ErrMessage)
	}
	return text, nil
}
