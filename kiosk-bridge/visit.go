package kioskbridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// step is where a visit stands. Steps only go forward.
type step string

const (
	stepGreeting step = "greeting" // who is there
	stepDocument step = "document" // waiting for reference and zone
	stepReading  step = "reading"  // APDUs go through the tunnel
	stepVouching step = "vouching" // the kiosk signs the evidence
	stepEnded    step = "ended"
)

// maxCommands bounds the APDUs of one visit: the largest files in the shortest
// reads take fewer than five hundred.
const maxCommands = 1024

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
}

func newVisit(b *Bridge, kiosk Kiosk, conn *websocket.Conn) *visit {
	v := &visit{bridge: b, kiosk: kiosk, conn: conn, id: interview.NewVisitID(), started: b.Now(), step: stepGreeting}
	v.transcript = tunnel.NewTranscript(v.id)
	return v
}

func (v *visit) run(ctx context.Context) error {
	if err := v.greet(); err != nil {
		return err
	}
	booking, zone, err := v.document(ctx)
	if err != nil {
		return err
	}
	judge := v.bridge.Judge()
	v.trustList = judge.TrustList
	doc, err := judge.Inspect(ctx, v, zone)
	if v.broken != nil {
		return v.broken
	}
	if err != nil {
		return fmt.Errorf("inspect document: %w", err)
	}
	return v.conclude(ctx, booking, zone, doc)
}

// greet makes the nonce to which the kiosk's signature will be bound.
func (v *visit) greet() error {
	var hello tunnel.Hello
	if err := v.receive(tunnel.TypeHello, &hello); err != nil {
		return err
	}
	if hello.V != 1 {
		return problem.New(problem.CodeMalformed, "kiosk speaks version %d of the tunnel, 1 is spoken here", hello.V)
	}
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("make a nonce: %w", err)
	}
	v.nonce = base64.RawURLEncoding.EncodeToString(nonce[:])
	v.step = stepDocument
	return v.send(tunnel.TypeVisit, tunnel.Visit{
		Visit: v.id, Nonce: v.nonce, Kiosk: v.kiosk.Device, Seconds: int(v.bridge.Limit / time.Second),
	})
}

func (v *visit) document(ctx context.Context) (Booking, emrtd.MRZ, error) {
	var d tunnel.Document
	// People need time to find the page: the visit's own limit applies here.
	if err := v.receiveWithin(v.bridge.Limit, tunnel.TypeDocument, &d); err != nil {
		return Booking{}, emrtd.MRZ{}, err
	}
	if len(d.Reference) > tunnel.MaxReference || len(d.Zone) > tunnel.MaxZone {
		return Booking{}, emrtd.MRZ{}, problem.New(problem.CodeTooLarge, "reference or zone is too long")
	}
	zone, err := emrtd.ParseMRZ(d.Zone)
	if err != nil {
		return Booking{}, emrtd.MRZ{}, problem.New(problem.CodeMalformed, "%w", emrtd.ErrMRZ)
	}
	booking, err := v.bridge.Bookings.Booking(ctx, d.Reference)
	if err != nil {
		return Booking{}, emrtd.MRZ{}, err
	}
	if err := booking.open(v.bridge.Now()); err != nil {
		return Booking{}, emrtd.MRZ{}, err
	}
	v.step = stepReading
	return booking, zone, nil
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

// conclude has the kiosk vouch for the evidence, keeps the visit, and writes
// the ticket where the verdicts allow one.
func (v *visit) conclude(ctx context.Context, booking Booking, zone emrtd.MRZ, doc *emrtd.Document) error {
	v.step = stepVouching
	checks := append(doc.Checks, booking.Person.compare(zone))
	result, way, assurance := decide(checks)
	record := Record{
		ID: v.id, Case: booking.Case, Hearing: booking.Hearing, Participant: booking.Participant, Kiosk: v.kiosk.Device,
		Result: result, Assurance: assurance, StartedAt: v.started.UnixMilli(),
	}
	if err := v.vouch(&record, checks); err != nil {
		return err
	}
	var err error
	record.Sealed, err = interview.SealJSON(ctx, v.bridge.Sealer, booking.Case, sealedUnder(v.id), keptZone{zone.Lines})
	if err != nil {
		return fmt.Errorf("visit %s: %w", v.id, err)
	}
	out := tunnel.Outcome{Result: result, Way: way}
	var written *TicketRecord
	if result == tunnel.ResultJoin {
		if written, err = v.bridge.ticketFor(record, booking); err != nil {
			return err
		}
		out.Ticket, out.Hearing, out.Terminal, out.Place, out.Expires = written.ID, written.Hearing, written.Device, booking.Place, written.Expires
	}
	if err := v.bridge.Store.Save(ctx, record, written); err != nil {
		return err
	}
	v.step, v.result = stepEnded, result
	return v.send(tunnel.TypeOutcome, out)
}

// keptZone is what is kept of a document, sealed. The portrait is not.
type keptZone struct {
	Zone []string `json:"zone"`
}

func sealedUnder(id interview.VisitID) string { return "kiosk_visit.sealed:" + id.String() }

// vouch fills in evidence, checks and the kiosk's signature over them.
func (v *visit) vouch(record *Record, checks []interview.Check) error {
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	verdicts, err := canon.Marshal(ticket.Checks{Salt: base64.RawURLEncoding.EncodeToString(salt[:]), Checks: checks})
	if err != nil {
		return err
	}
	ended := v.bridge.Now()
	evidence, err := canon.Marshal(ticket.Evidence{
		V: 1, Visit: v.id, Nonce: v.nonce, Kiosk: v.kiosk.Device, Hearing: record.Hearing, Participant: record.Participant,
		APDUSHA256: v.transcript.Sum(), ChecksSHA256: ticket.Hash(verdicts), TrustList: v.trustList,
		Assurance: record.Assurance, Started: v.started.Unix(), Ended: ended.Unix(),
	})
	if err != nil {
		return err
	}
	if err := v.send(tunnel.TypeEvidence, tunnel.Evidence{Evidence: string(evidence)}); err != nil {
		return err
	}
	var m tunnel.Vouch
	if err := v.receive(tunnel.TypeVouch, &m); err != nil {
		return err
	}
	want := ticket.Visit{
		V: 1, Visit: v.id, Nonce: v.nonce, EvidenceSHA256: ticket.Hash(evidence), Hearing: record.Hearing, Participant: record.Participant,
	}
	var got ticket.Visit
	// The key is the one that made this connection; authority checks the chain.
	if err := jws.Verify(m.Visit, ticket.TypVisit, v.kiosk.Certificate.PublicKey, &got); err != nil {
		return problem.New(problem.CodeKioskVisit, "kiosk's signature: %w", err)
	}
	if got != want {
		return problem.New(problem.CodeKioskVisit, "kiosk vouches for something else than visit %s", v.id)
	}
	record.Evidence, record.Vouched, record.Checks, record.EndedAt = string(evidence), m.Visit, string(verdicts), ended.UnixMilli()
	return nil
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
