package kioskbridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// step is where a visit stands. Steps only go forward.
type step string

const (
	stepGreeting  step = "greeting"  // who is there
	stepBeginning step = "beginning" // waiting for the reference
	stepAsking    step = "asking"    // the person does what is asked for
	stepReading   step = "reading"   // APDUs go through the tunnel
	stepVouching  step = "vouching"  // the kiosk signs the evidence
	stepEnded     step = "ended"
)

// maxCommands bounds the APDUs of one visit: the largest files in the shortest
// reads take fewer than five hundred.
const maxCommands = 1024

// clockSkew is how far a kiosk's clock may be off before staff are told.
const clockSkew = time.Minute

// visit is one person at one kiosk. It is used by one goroutine.
type visit struct {
	bridge *Bridge
	kiosk  Kiosk
	conn   *websocket.Conn

	id         interview.VisitID
	nonce      string
	started    time.Time
	step       step
	result     tunnel.Result
	transcript *tunnel.Transcript
	trustList  string // that judged the document
	commands   int
	broken     error // why the tunnel, not the chip, ended the reading

	offers    []ticket.StepName
	anchor    time.Time // when the kiosk's stopwatch showed at
	at        int64
	service   tunnel.Service
	language  string
	booking   Booking
	reference string
	route     ticket.Route
	before    *ticket.Before
	asks      int
	steps     []ticket.Step // as the bridge saw them
	checks    []interview.Check
	findings  []ticket.Finding
	zone      emrtd.MRZ
	number    string // of the document of an applicant
	faceStep  int    // of steps, from 1: where live pictures were taken
	suspect   bool   // the document's print, says its reader
	doubted   bool   // by an engine that was measured
	accounted ticket.Steps
	live      []Image
	kept      []keptPiece
}

func newVisit(b *Bridge, kiosk Kiosk, conn *websocket.Conn) *visit {
	v := &visit{bridge: b, kiosk: kiosk, conn: conn, id: interview.NewVisitID(), started: b.Now(), step: stepGreeting, route: ticket.RouteDocument}
	v.transcript = tunnel.NewTranscript(v.id)
	return v
}

func (v *visit) run(ctx context.Context) (err error) {
	// However the visit ends: who breaks it off leaves no picture either, and takes
	// back nothing that was found out.
	defer func() {
		forget(v.live)
		if err != nil && biometricsFailed(v.route, v.checks) {
			err = errors.Join(err, v.bridge.Store.BreakOff(context.WithoutCancel(ctx), v.id, v.booking, v.bridge.Now()))
		}
	}()
	if err := v.greet(ctx); err != nil {
		return err
	}
	if err := v.begin(ctx); err != nil {
		return err
	}
	if v.service == tunnel.ServicePay { // nobody has to say who pays
		v.route = ticket.RouteNobody
		return v.conclude(ctx)
	}
	if err := v.identify(ctx); err != nil {
		return err
	}
	if err := v.extras(ctx); err != nil {
		return err
	}
	return v.conclude(ctx)
}

// greet makes the nonce to which the kiosk's signature will be bound.
func (v *visit) greet(ctx context.Context) error {
	var hello tunnel.Hello
	if err := v.receive(tunnel.TypeHello, &hello); err != nil {
		return err
	}
	if hello.V != 1 {
		return problem.New(problem.CodeMalformed, "kiosk speaks version %d of the tunnel, 1 is spoken here", hello.V)
	}
	if hello.At < 0 || hello.At > maxWatch || len(hello.Offers) > ticket.MaxSteps {
		return problem.New(problem.CodeMalformed, "kiosk's stopwatch or offers are out of bounds")
	}
	v.offers, v.at, v.anchor = hello.Offers, hello.At, v.bridge.Now()
	// Nothing stands on the kiosk's clock; that it is wrong is worth a word.
	if off := v.anchor.Sub(time.UnixMilli(hello.Wall)); hello.Wall != 0 && (off > clockSkew || off < -clockSkew) {
		v.notice(ctx, PartClock, CodeClockWrong)
	}
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("make a nonce: %w", err)
	}
	v.nonce = base64.RawURLEncoding.EncodeToString(nonce[:])
	v.step = stepBeginning
	return v.send(tunnel.TypeVisit, tunnel.Visit{
		Visit: v.id, Nonce: v.nonce, Kiosk: v.kiosk.Device, Seconds: int(v.bridge.Limit / time.Second), Policy: v.bridge.policyVersion,
	})
}

// maxWatch bounds what a kiosk's stopwatch shows: an hour, in milliseconds.
const maxWatch = 60 * 60 * 1000

// watch is what the kiosk's stopwatch shows at a time of the bridge.
func (v *visit) watch(t time.Time) int64 { return max(0, v.at+t.Sub(v.anchor).Milliseconds()) }

// begin finds what the person came for.
func (v *visit) begin(ctx context.Context) error {
	var m tunnel.Begin
	if err := v.receive(tunnel.TypeBegin, &m); err != nil {
		return err
	}
	switch {
	case len(m.Reference) > tunnel.MaxReference || len(m.Language) > 35:
		return problem.New(problem.CodeTooLarge, "reference or language is too long")
	case !m.Service.Valid():
		return problem.New(problem.CodeMalformed, "kiosk names a service that nobody offers")
	}
	booking, err := v.bridge.Bookings.Booking(ctx, m.Reference)
	if err != nil {
		return err
	}
	if err := booking.open(v.bridge.Now()); err != nil {
		return err
	}
	v.service, v.language, v.reference, v.booking, v.step = m.Service, m.Language, m.Reference, booking, stepAsking
	return nil
}

// Transmit implements [emrtd.Card]: the bridge is the terminal, the kiosk the
// wire.
func (v *visit) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if v.broken != nil {
		return nil, v.broken
	}
	out, err := v.exchange(ctx, apdu)
	if err != nil && !errors.Is(err, errSilent) {
		v.broken = err
	}
	return out, err
}

var errSilent = errors.New("kiosk reports a silent chip")

func (v *visit) exchange(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.commands++
	if v.commands > maxCommands {
		return nil, problem.New(problem.CodeChip, "reading took more than %d commands", maxCommands)
	}
	err := v.send(tunnel.TypeAPDU, tunnel.APDU{N: v.commands, Command: base64.StdEncoding.EncodeToString(apdu)})
	if err != nil {
		return nil, err
	}
	var a tunnel.Answer
	if err := v.receive(tunnel.TypeAnswer, &a); err != nil {
		return nil, err
	}
	if a.N != v.commands || (a.Silent && a.Response != "") {
		return nil, problem.New(problem.CodeKioskVisit, "answer %d came where %d belongs", a.N, v.commands)
	}
	if a.Silent {
		v.transcript.Add(apdu, nil)
		return nil, errSilent
	}
	response, err := base64.StdEncoding.DecodeString(a.Response)
	if err != nil {
		return nil, problem.New(problem.CodeMalformed, "answer %d is not base64", a.N)
	}
	v.transcript.Add(apdu, response)
	return response, nil
}

// ticketFor writes the ticket that stands on a visit.
func (b *Bridge) ticketFor(record Record, booking Booking) (*TicketRecord, error) {
	opens := b.Now()
	if booking.Opens.After(opens) {
		opens = booking.Opens
	}
	earlier := func(a, b time.Time) time.Time {
		if a.Before(b) {
			return a
		}
		return b
	}
	expires, until := earlier(opens.Add(b.Lifetime), booking.Closes), earlier(opens.Add(ticket.MaxHold), booking.Closes)
	c := ticket.Claims{
		V: 1, ID: interview.NewTicketID(), Hearing: booking.Hearing, Purpose: booking.Purpose, Participant: booking.Participant,
		Device: booking.Terminal, Kiosk: record.Kiosk, Visit: record.ID, EvidenceSHA256: ticket.Hash([]byte(record.Evidence)),
		Assurance: record.Assurance, NotBefore: opens.Unix(), Expires: expires.Unix(), Until: until.Unix(),
	}
	signed, err := ticket.Sign(c, b.Key)
	if err != nil {
		return nil, fmt.Errorf("write ticket of visit %s: %w", record.ID, err)
	}
	return &TicketRecord{
		ID: c.ID, Visit: c.Visit, Hearing: c.Hearing, Participant: c.Participant, Seat: booking.Seat, Role: booking.Role, Purpose: c.Purpose,
		Device: c.Device, NotBefore: c.NotBefore, Expires: c.Expires, Until: c.Until, Signed: signed, Version: 1,
	}, nil
}

// Zone opens what was kept of a visit's document, for staff who may see it.
func (b *Bridge) Zone(ctx context.Context, id interview.VisitID) (emrtd.MRZ, error) {
	r, err := b.Store.Visit(ctx, id)
	if err != nil {
		return emrtd.MRZ{}, err
	}
	var kept keptZone
	if err := interview.OpenJSON(ctx, b.Sealer, r.Case, sealedUnder(id), r.Sealed, &kept); err != nil {
		return emrtd.MRZ{}, fmt.Errorf("visit %s: %w", id, err)
	}
	text := ""
	for _, line := range kept.Zone {
		text += line
	}
	return emrtd.ParseMRZ(text)
}

func (v *visit) send(typ string, body any) error {
	text, err := tunnel.Encode(typ, body)
	if err != nil {
		return err
	}
	if err := v.conn.SetWriteDeadline(time.Now().Add(v.bridge.Patience)); err != nil {
		return fmt.Errorf("kiosk is gone: %w", err)
	}
	if err := v.conn.WriteMessage(websocket.TextMessage, text); err != nil {
		return problem.New(problem.CodeStalled, "kiosk does not take its messages: %w", err)
	}
	return nil
}

func (v *visit) receive(typ string, body any) error {
	return v.receiveWithin(v.bridge.Patience, typ, body)
}

func (v *visit) receiveWithin(patience time.Duration, typ string, body any) error {
	if err := v.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("kiosk is gone: %w", err)
	}
	kind, text, err := v.conn.ReadMessage()
	if errors.Is(err, websocket.ErrReadLimit) || len(text) > tunnel.MaxMessage {
		return problem.New(problem.CodeTooLarge, "message over %d bytes", tunnel.MaxMessage)
	}
	if err != nil {
		return problem.New(problem.CodeStalled, "kiosk does not answer: %w", err)
	}
	if kind != websocket.TextMessage {
		return problem.New(problem.CodeMalformed, "message is not text")
	}
	got, err := tunnel.Peek(text)
	if err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	if got != typ {
		return problem.New(problem.CodeKioskVisit, "a message of another type came where %s belongs", typ)
	}
	if err := tunnel.Decode(text, typ, body); err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	return nil
}
