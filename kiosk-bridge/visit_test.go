package kioskbridge_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/kiosk"
	"kuule/kiosk-bridge/tunnel"
)

// B1, B21, D2: from a document on the reader to a redeemed ticket that
// authority believes, over a real WebSocket with mutual TLS.
func TestVisitEndsInATicketThatAuthorityBelieves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
	if err != nil {
		t.Fatal(err)
	}
	if out.Result != tunnel.ResultJoin || out.Hearing != w.booking.Hearing || out.Terminal != w.booking.Terminal {
		t.Fatalf("outcome %+v", out)
	}
	waiting, err := w.store.Waiting(t.Context(), w.booking.Terminal)
	if err != nil || len(waiting) != 1 || waiting[0].ID != out.Ticket || waiting[0].Seat != w.booking.Seat {
		t.Fatalf("waiting %v %v", waiting, err)
	}
	got, err := w.store.Redeem(t.Context(), out.Ticket, kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing})
	if err != nil || got.Participant != w.booking.Participant || got.Role != interview.RoleApplicant {
		t.Fatalf("redeemed %+v %v", got, err)
	}
	if waiting, err = w.store.Waiting(t.Context(), w.booking.Terminal); err != nil || len(waiting) != 0 {
		t.Errorf("a redeemed ticket still waits: %v %v", waiting, err)
	}
	if held, err := w.store.Held(t.Context(), w.booking.Terminal); err != nil || len(held) != 1 || !held[0].Expires.After(time.Now().Add(3*time.Hour)) {
		t.Errorf("held %v %v", held, err)
	}
	proof, checks, err := w.store.Proof(t.Context(), out.Ticket, w.booking.Terminal)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := ticket.VerifyTicket(proof, w.trust(), ticket.Expected{
		Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing, Participant: w.booking.Participant, Device: w.booking.Terminal, Now: time.Now(),
	})
	if err != nil || claims.Assurance != ticket.AssuranceSubstantial || claims.Kiosk != w.kiosk.id {
		t.Errorf("authority: %+v %v", claims, err)
	}
	if !slices.Contains(checks, interview.Check{Name: emrtd.CheckFace, Verdict: interview.NotDone, Reason: emrtd.ReasonNotBuilt}) ||
		!slices.Contains(checks, interview.Check{Name: kioskbridge.CheckBooked, Verdict: interview.Verified, Reason: "names-in-other-order"}) {
		t.Errorf("interviewer is told %v", checks)
	}
	var evidence ticket.Evidence
	record, err := w.store.Visit(t.Context(), claims.Visit)
	if err != nil {
		t.Fatal(err)
	}
	if err := canon.Unmarshal([]byte(proof.Evidence), &evidence); err != nil || evidence.ChecksSHA256 != ticket.Hash([]byte(record.Checks)) {
		t.Errorf("evidence does not stand for the verdicts kept: %v", err)
	}
	zone, err := w.bridge.Zone(t.Context(), claims.Visit)
	if err != nil || zone.Surname != "ERIKSSON" {
		t.Errorf("staff read %v %v", zone, err)
	}
}

// The chip may lie behind a socket, in another process: as in the
// demonstration.
func TestVisitWithACardBehindASocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	path := filepath.Join(t.TempDir(), "card.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- emrtdtest.ServeCard(l, p.Card()) }()
	card, err := kiosk.OpenCard(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.client().Visit(t.Context(), reference, p.Printed, card)
	if err != nil || out.Result != tunnel.ResultJoin {
		t.Errorf("%+v %v", out, err)
	}
	// The listener closes while the reader is still there: it is sent away.
	if err := errors.Join(l.Close(), <-served, card.Close()); err != nil {
		t.Error(err)
	}
}

// B19 and promise 6: nothing of the document lies open in the database, and the
// portrait nowhere at all.
func TestNothingPersonalIsStoredOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	recorder := &keeper{card: p.Card()}
	if _, err := w.client().Visit(t.Context(), reference, p.Printed, recorder); err != nil {
		t.Fatal(err)
	}
	if recorder.commands == 0 {
		t.Fatal("the chip was not read")
	}
	zone, err := emrtd.ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := (&emrtd.Inspector{}).Inspect(t.Context(), p.Card(), zone)
	if err != nil || len(doc.Face.Image) < 5000 {
		t.Fatalf("portrait of %d bytes, %v", len(doc.Face.Image), err)
	}
	seen := false
	for _, f := range storetest.Files(t, w.db) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || bytes.Contains(b, []byte(w.booking.Hearing.String()))
		for name, secret := range map[string][]byte{
			"surname": []byte("ERIKSSON"), "number": []byte("L898902C3"), "portrait": doc.Face.Image[1000:1100], "reference": []byte(reference),
		} {
			if bytes.Contains(b, secret) {
				t.Errorf("%s lies open in %s", name, filepath.Base(f))
			}
		}
	}
	if !seen {
		t.Error("the visit was not found in the database: the search proves nothing")
	}
}

type keeper struct {
	card     *emrtdtest.Card
	commands int
}

func (k *keeper) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	k.commands++
	return k.card.Transmit(ctx, apdu)
}

// B1, B2, promise 9: each kind of document has its way on, and none is a no.
func TestEachDocumentHasAWayOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *kioskbridge.Config) { // each visit is somebody's first, and nobody was here before
		c.Policy = kioskbridge.StandardPolicy()
		c.Policy.IdentityDays = 0
	})
	for v, want := range map[emrtdtest.Variant]tunnel.Result{
		emrtdtest.Genuine:         tunnel.ResultJoin,
		emrtdtest.UnknownIssuer:   tunnel.ResultJoin,
		emrtdtest.ExpiredSigner:   tunnel.ResultJoin,
		emrtdtest.ExpiredDocument: tunnel.ResultJoin,
		emrtdtest.AlteredDG1:      tunnel.ResultDesk,
		emrtdtest.AlteredDG2:      tunnel.ResultDesk,
		emrtdtest.AlteredSOD:      tunnel.ResultDesk,
		emrtdtest.ForgedSigner:    tunnel.ResultDesk,
		emrtdtest.OtherState:      tunnel.ResultDesk,
		emrtdtest.SignedTooLate:   tunnel.ResultDesk,
		emrtdtest.MissingDG2:      tunnel.ResultDesk,
		emrtdtest.StrippedHash:    tunnel.ResultDesk,
		emrtdtest.HugeDG2:         tunnel.ResultDesk,
		emrtdtest.PACEOnly:        tunnel.ResultDesk,
		emrtdtest.TornChip:        tunnel.ResultDesk,
		emrtdtest.WrongChecksum:   tunnel.ResultDesk,
		emrtdtest.OtherPrint:      tunnel.ResultDesk,
		emrtdtest.WrongDigit:      tunnel.ResultAgain,
		emrtdtest.WrongMRZ:        tunnel.ResultAgain,
		emrtdtest.DeadChip:        tunnel.ResultAgain,
	} {
		w.kiosk = w.newDevice() // each kiosk has a pace of its own
		w.booking.Participant = interview.NewParticipantID()
		p := w.passport(v)
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		if err != nil {
			t.Errorf("%s: %v", v, err)
			continue
		}
		if out.Result != want || out.Way == "" {
			t.Errorf("%s: %+v, want %s", v, out, want)
		}
		if out.Ticket.IsZero() == (want == tunnel.ResultJoin) {
			t.Errorf("%s: ticket %q with result %s", v, out.Ticket, out.Result)
		}
	}
	for v, want := range map[emrtdtest.Variant]ticket.Assurance{emrtdtest.UnknownIssuer: ticket.AssuranceLow, emrtdtest.Genuine: ticket.AssuranceSubstantial} {
		w.kiosk = w.newDevice()
		p := w.passport(v)
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.claims(t, out.Ticket).Assurance; got != want {
			t.Errorf("%s: assurance %s, want %s", v, got, want)
		}
	}
}

func (w *world) claims(t *testing.T, id interview.TicketID) ticket.Claims {
	t.Helper()
	if _, err := w.store.Redeem(t.Context(), id, kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: w.booking.Purpose}); err != nil {
		t.Fatal(err)
	}
	proof, _, err := w.store.Proof(t.Context(), id, w.booking.Terminal)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ticket.VerifyTicket(proof, w.trust(), ticket.Expected{
		Hearing: w.booking.Hearing, Purpose: w.booking.Purpose, Participant: w.booking.Participant, Device: w.booking.Terminal, Now: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// D2: another person's genuine document opens nothing under this booking.
func TestAnotherPersonsDocumentGoesToTheDesk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, person := range map[string]kioskbridge.Person{
		"other name":   {Name: "Virtanen"},
		"other birth":  {Name: "Anna Maria Eriksson", DateOfBirth: "1974-08-13"},
		"other number": {Name: "Anna Maria Eriksson", DocumentNumber: "X00000001"},
		"other given":  {Name: "Eriksson Beata", DateOfBirth: "1974-08-12"},
	} {
		w.kiosk = w.newDevice()
		w.booking.Person = person
		p := w.passport(emrtdtest.Genuine)
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		if err != nil || out.Result != tunnel.ResultDesk {
			t.Errorf("%s: %+v %v", name, out, err)
		}
	}
	w.kiosk, w.booking.Person = w.newDevice(), kioskbridge.Person{}
	p := w.passport(emrtdtest.Genuine)
	out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
	if err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("unknown to the register: %+v %v", out, err)
	}
	if got := w.claims(t, out.Ticket).Assurance; got != ticket.AssuranceLow {
		t.Errorf("unknown to the register: assurance %s", got)
	}
}

// B21: each single missing condition refuses the redemption, with a code of
// its own, and a refused try uses nothing up.
func TestEachMissingConditionRefusesRedemption(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
	if err != nil {
		t.Fatal(err)
	}
	good := kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing}
	try := func(name string, id interview.TicketID, code problem.Code, spoil func(*kioskbridge.Redemption)) {
		by := good
		spoil(&by)
		if _, err := w.store.Redeem(t.Context(), id, by); err == nil || problem.Of(err).Code != code {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
	nothing := func(*kioskbridge.Redemption) {}
	try("no such ticket", interview.NewTicketID(), problem.CodeTicketInvalid, nothing)
	try("another device", out.Ticket, problem.CodeTicketDevice, func(r *kioskbridge.Redemption) { r.Device = interview.NewDeviceID() })
	try("no device", out.Ticket, problem.CodeTicketDevice, func(r *kioskbridge.Redemption) { r.Device = interview.DeviceID{} })
	try("another hearing", out.Ticket, problem.CodeTicketHearing, func(r *kioskbridge.Redemption) { r.Hearing = interview.NewHearingID() })
	try("another purpose", out.Ticket, problem.CodeTicketHearing, func(r *kioskbridge.Redemption) { r.Purpose = interview.PurposeReview })
	if _, _, err := w.store.Proof(t.Context(), out.Ticket, w.booking.Terminal); problem.Of(err).Code != problem.CodeTicketInvalid {
		t.Errorf("proof before redemption: %v", err)
	}
	if _, err := w.store.Redeem(t.Context(), out.Ticket, good); err != nil {
		t.Fatal(err)
	}
	try("second use", out.Ticket, problem.CodeTicketUsed, nothing)
	if _, _, err := w.store.Proof(t.Context(), out.Ticket, interview.NewDeviceID()); problem.Of(err).Code != problem.CodeTicketDevice {
		t.Errorf("proof for another device: %v", err)
	}
}

// B21: of one person's tickets only the last counts; the others open nothing.
func TestNewerTicketTakesTheOldersPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	var ids [2]interview.TicketID
	for i := range ids {
		w.kiosk = w.newDevice()
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = out.Ticket
	}
	if waiting, err := w.store.Waiting(t.Context(), w.booking.Terminal); err != nil || len(waiting) != 1 || waiting[0].ID != ids[1] {
		t.Fatalf("waiting %v %v", waiting, err)
	}
	by := kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing}
	if _, err := w.store.Redeem(t.Context(), ids[0], by); problem.Of(err).Code != problem.CodeTicketStale {
		t.Errorf("the older one: %v", err)
	}
	if _, err := w.store.Redeem(t.Context(), ids[1], by); err != nil {
		t.Errorf("the newer one: %v", err)
	}
}

// B21: minutes. Tickets before and after their time are refused by the
// database's clock.
func TestTicketOutsideItsMinutesIsRefused(t *testing.T) {
	t.Parallel()
	for name, shift := range map[string]func(w *world){
		"too early": func(w *world) { w.booking.Opens = time.Now().Add(time.Hour) },
		"too late":  func(w *world) { w.bridge.Lifetime = time.Second }, // however slow the machine reads
	} {
		w := newWorld(t)
		shift(w)
		p := w.passport(emrtdtest.Genuine)
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		if err != nil || out.Result != tunnel.ResultJoin {
			t.Fatalf("%s: %+v %v", name, out, err)
		}
		by := kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing}
		waitFor(t, func() bool { return name == "too early" || time.Now().Unix() >= out.Expires })
		if _, err := w.store.Redeem(t.Context(), out.Ticket, by); problem.Of(err).Code != problem.CodeTicketStale {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("condition did not come true")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// B21: of many who redeem at once, one does.
func TestOneRedemptionWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
	if err != nil {
		t.Fatal(err)
	}
	var wins, used int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := w.store.Redeem(t.Context(), out.Ticket, kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case problem.Of(err).Code == problem.CodeTicketUsed:
				used++
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if wins != 1 || used != 7 {
		t.Errorf("%d redeemed, %d were told that it was used", wins, used)
	}
}

// Bookings that cannot be served now are named as such.
func TestBookingOutsideItsTimeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	for name, c := range map[string]struct {
		ref   string
		code  problem.Code
		shift func()
	}{
		"unknown": {"K-0", problem.CodeNotBooked, func() {}},
		"long":    {strings.Repeat("K", 100), problem.CodeTooLarge, func() {}},
		"too soon": {reference, problem.CodeTooEarly, func() {
			w.booking.Opens = time.Now().Add(48 * time.Hour)
			w.booking.Closes = time.Now().Add(50 * time.Hour)
		}},
		"over": {reference, problem.CodeTooLate, func() {
			w.booking.Opens = time.Now().Add(-2 * time.Hour)
			w.booking.Closes = time.Now().Add(-time.Hour)
		}},
	} {
		w.kiosk = w.newDevice()
		c.shift()
		_, err := w.client().Visit(t.Context(), c.ref, p.Printed, p.Card())
		if problem.Of(err).Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

// script speaks to the bridge like a kiosk that is broken or hostile.
type script struct {
	t     *testing.T
	conn  *websocket.Conn
	v     tunnel.Visit
	ask   tunnel.Ask
	steps []ticket.Step
	wall  time.Time // zero: now
}

func (w *world) script(t *testing.T) *script {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: w.kiosk.ClientTLS(), Subprotocols: []string{tunnel.Protocol}, HandshakeTimeout: 5 * time.Second}
	conn, _, err := d.DialContext(t.Context(), w.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &script{t: t, conn: conn}
}

func (s *script) raw(text string) {
	s.t.Helper()
	if err := s.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) send(typ string, body any) {
	s.t.Helper()
	text, err := tunnel.Encode(typ, body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.raw(string(text))
}

func (s *script) receive(typ string, body any) error {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	_, text, err := s.conn.ReadMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	return tunnel.Decode(text, typ, body)
}

// begin gets as far as the greeting; document as far as the chip; evidence as far
// as the evidence.
func (s *script) begin() {
	s.t.Helper()
	if s.wall.IsZero() {
		s.wall = time.Now()
	}
	s.send(tunnel.TypeHello, tunnel.Hello{V: 1, Program: "test", Offers: []ticket.StepName{ticket.StepDocument, ticket.StepChip}, Wall: s.wall.UnixMilli()})
	if err := s.receive(tunnel.TypeVisit, &s.v); err != nil {
		s.t.Fatal(err)
	}
}

// open begins the business and answers the ask for the document with a zone.
func (s *script) open(zone string) {
	s.t.Helper()
	s.begin()
	s.send(tunnel.TypeBegin, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview})
	if err := s.receive(tunnel.TypeAsk, &s.ask); err != nil {
		s.t.Fatal(err)
	}
	sum := ticket.Hash([]byte(zone))
	s.steps = append(s.steps, ticket.Step{Step: s.ask.Step, Result: ticket.StepAsserted, Tries: 1})
	s.send(tunnel.TypeTaken, tunnel.Taken{N: s.ask.N, Step: s.ask.Step, Result: tunnel.TakenDone, Tries: 1, Artefacts: []tunnel.Artefact{{Kind: "zone", Format: "text/plain", Bytes: len(zone), SHA256: sum}}})
	s.bytes([]byte(zone))
}

func (s *script) bytes(b []byte) {
	s.t.Helper()
	if err := s.conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) document(p *emrtdtest.Passport) {
	s.t.Helper()
	s.open(p.Printed)
	if err := s.receive(tunnel.TypeAsk, &s.ask); err != nil {
		s.t.Fatal(err)
	}
	s.steps = append(s.steps, ticket.Step{Step: s.ask.Step, Result: ticket.StepAsserted, Tries: 1})
	s.send(tunnel.TypeTaken, tunnel.Taken{N: s.ask.N, Step: s.ask.Step, Result: tunnel.TakenDone, Tries: 1})
}

// journal is what an honest kiosk writes of the steps so far.
func (s *script) journal() ticket.Journal {
	return ticket.Journal{V: 1, Visit: s.v.Visit, Nonce: s.v.Nonce, Policy: s.v.Policy, Steps: s.steps}
}

func (s *script) sendJournal(j ticket.Journal) {
	s.t.Helper()
	text, err := canon.Marshal(j)
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(tunnel.TypeJournal, tunnel.Journal{Journal: string(text)})
}

func (s *script) evidence(p *emrtdtest.Passport) tunnel.Evidence {
	s.t.Helper()
	s.finish(p)
	s.sendJournal(s.journal())
	var e tunnel.Evidence
	if err := s.receive(tunnel.TypeEvidence, &e); err != nil {
		s.t.Fatal(err)
	}
	return e
}

// finish leaves the chip silent until the bridge asks for the journal.
func (s *script) finish(p *emrtdtest.Passport) {
	s.t.Helper()
	s.document(p)
	for n := 1; ; n++ {
		if err := s.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			s.t.Fatal(err)
		}
		_, text, err := s.conn.ReadMessage()
		if err != nil {
			s.t.Fatal(err)
		}
		if typ, _ := tunnel.Peek(text); typ == tunnel.TypeFinish {
			return
		}
		s.send(tunnel.TypeAnswer, tunnel.Answer{N: n, Silent: true})
	}
}

// Bad input of every kind gets a coded error, and no visit is kept.
func TestBrokenKiosksGetCodedErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	other := w.newDevice()
	vouch := func(s *script, signer *device, e tunnel.Evidence, spoil func(*ticket.Visit)) {
		v := ticket.Visit{
			V: 1, Visit: s.v.Visit, Nonce: s.v.Nonce, EvidenceSHA256: ticket.Hash([]byte(e.Evidence)),
			Hearing: w.booking.Hearing, Participant: w.booking.Participant,
		}
		spoil(&v)
		signed, err := signer.SignStatement(v, ticket.TypVisit)
		if err != nil {
			s.t.Fatal(err)
		}
		s.send(tunnel.TypeVouch, tunnel.Vouch{Visit: signed})
	}
	for name, c := range map[string]struct {
		code problem.Code
		play func(s *script)
	}{
		"not JSON":        {problem.CodeMalformed, func(s *script) { s.raw("hello") }},
		"unknown field":   {problem.CodeMalformed, func(s *script) { s.raw(`{"type":"hello","body":{"v":1,"program":"x","admin":true}}`) }},
		"another version": {problem.CodeMalformed, func(s *script) { s.send(tunnel.TypeHello, tunnel.Hello{V: 2}) }},
		"out of order":    {problem.CodeKioskVisit, func(s *script) { s.send(tunnel.TypeVouch, tunnel.Vouch{}) }},
		"oversized":       {problem.CodeTooLarge, func(s *script) { s.raw(`{"type":"hello","body":"` + strings.Repeat("x", tunnel.MaxMessage) + `"}`) }},
		"no zone":         {problem.CodeMalformed, func(s *script) { s.open("P<") }},
		"other bytes than announced": {problem.CodeKioskVisit, func(s *script) {
			s.begin()
			s.send(tunnel.TypeBegin, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview})
			_ = s.receive(tunnel.TypeAsk, &s.ask)
			s.send(tunnel.TypeTaken, tunnel.Taken{N: 1, Step: ticket.StepDocument, Result: tunnel.TakenDone, Artefacts: []tunnel.Artefact{{Kind: "zone", Format: "text/plain", Bytes: 2, SHA256: ticket.Hash([]byte("P<"))}}})
			s.bytes([]byte("I<"))
		}},
		"more bytes than announced": {problem.CodeTooLarge, func(s *script) {
			s.begin()
			s.send(tunnel.TypeBegin, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview})
			_ = s.receive(tunnel.TypeAsk, &s.ask)
			s.send(tunnel.TypeTaken, tunnel.Taken{N: 1, Step: ticket.StepDocument, Result: tunnel.TakenDone, Artefacts: []tunnel.Artefact{{Kind: "zone", Format: "text/plain", Bytes: 2, SHA256: ticket.Hash([]byte("P<"))}}})
			s.bytes([]byte("P<<"))
		}},
		"no service": {problem.CodeMalformed, func(s *script) { s.begin(); s.send(tunnel.TypeBegin, tunnel.Begin{Reference: reference}) }},
		"answer to another ask": {problem.CodeKioskVisit, func(s *script) {
			s.begin()
			s.send(tunnel.TypeBegin, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview})
			_ = s.receive(tunnel.TypeAsk, &s.ask)
			s.send(tunnel.TypeTaken, tunnel.Taken{N: 2, Step: ticket.StepDocument, Result: tunnel.TakenNotAvailable})
		}},
		"journal of another visit": {problem.CodeKioskVisit, func(s *script) { s.finish(p); j := s.journal(); j.Nonce = "x"; s.sendJournal(j) }},
		"journal by other rules":   {problem.CodeKioskVisit, func(s *script) { s.finish(p); j := s.journal(); j.Policy = "x"; s.sendJournal(j) }},
		"journal without a step":   {problem.CodeKioskVisit, func(s *script) { s.finish(p); j := s.journal(); j.Steps = j.Steps[:1]; s.sendJournal(j) }},
		"journal of other bytes": {problem.CodeKioskVisit, func(s *script) {
			s.finish(p)
			s.steps[0].Artefacts = []ticket.Artefact{{Kind: "page-visible", SHA256: ticket.Hash([]byte("other"))}}
			s.sendJournal(s.journal())
		}},
		"journal that verifies": {problem.CodeKioskVisit, func(s *script) { s.finish(p); s.steps[1].Result = ticket.StepVerified; s.sendJournal(s.journal()) }},
		"answer out of turn": {problem.CodeKioskVisit, func(s *script) {
			s.document(p)
			_ = s.receive(tunnel.TypeAPDU, &tunnel.APDU{})
			s.send(tunnel.TypeAnswer, tunnel.Answer{N: 7, Response: "kAA="})
		}},
		"answer not base64": {problem.CodeMalformed, func(s *script) {
			s.document(p)
			_ = s.receive(tunnel.TypeAPDU, &tunnel.APDU{})
			s.send(tunnel.TypeAnswer, tunnel.Answer{N: 1, Response: "!!"})
		}},
		"binary":             {problem.CodeMalformed, func(s *script) { _ = s.conn.WriteMessage(websocket.BinaryMessage, []byte("{}")) }},
		"vouched by another": {problem.CodeKioskVisit, func(s *script) { vouch(s, other, s.evidence(p), func(*ticket.Visit) {}) }},
		"other evidence":     {problem.CodeKioskVisit, func(s *script) { vouch(s, w.kiosk, s.evidence(p), func(v *ticket.Visit) { v.EvidenceSHA256 = "x" }) }},
		"other nonce":        {problem.CodeKioskVisit, func(s *script) { vouch(s, w.kiosk, s.evidence(p), func(v *ticket.Visit) { v.Nonce = "x" }) }},
		"other hearing": {problem.CodeKioskVisit, func(s *script) {
			vouch(s, w.kiosk, s.evidence(p), func(v *ticket.Visit) { v.Hearing = interview.NewHearingID() })
		}},
		"other person": {problem.CodeKioskVisit, func(s *script) {
			vouch(s, w.kiosk, s.evidence(p), func(v *ticket.Visit) { v.Participant = interview.NewParticipantID() })
		}},
		"no signature": {problem.CodeKioskVisit, func(s *script) { s.evidence(p); s.send(tunnel.TypeVouch, tunnel.Vouch{}) }},
	} {
		w.kiosk = w.newDevice()
		s := w.script(t)
		c.play(s)
		if err := s.receive(tunnel.TypeOutcome, &tunnel.Outcome{}); problem.Of(err).Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if n, err := w.db.NewSelect().TableExpr("kiosk_visit").Count(t.Context()); err != nil || n != 0 {
		t.Errorf("%d visits were kept: %v", n, err)
	}
}

// Who is no kiosk, comes from a page, in a second visit or too fast stays out.
func TestTheDoorOfTheTunnel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dial := func(header http.Header, protocols ...string) error {
		d := websocket.Dialer{TLSClientConfig: w.kiosk.ClientTLS(), Subprotocols: protocols, HandshakeTimeout: 5 * time.Second}
		conn, resp, err := d.DialContext(t.Context(), w.url(), header)
		if err == nil {
			_ = conn.Close()
			return nil
		}
		if resp == nil {
			return err
		}
		var doc problem.Document
		body := make([]byte, 4096)
		n, _ := resp.Body.Read(body)
		if err := canon.Strict(bytes.TrimSpace(body[:n]), &doc); err != nil {
			t.Fatalf("%v: %s", err, body[:n])
		}
		return doc.Err()
	}
	if err := dial(http.Header{"Origin": {"https://evil.example"}}, tunnel.Protocol); err == nil {
		t.Error("a page came in")
	}
	if err := dial(nil); problem.Of(err).Code != problem.CodeMalformed {
		t.Errorf("without subprotocol: %v", err)
	}
	w.script(t)
	if err := dial(nil, tunnel.Protocol); problem.Of(err).Code != problem.CodeKioskVisit {
		t.Errorf("second visit at once: %v", err)
	}
	w.mu.Lock()
	w.notKiosk = true
	w.mu.Unlock()
	if err := dial(nil, tunnel.Protocol); problem.Of(err).Code != problem.CodeForbidden {
		t.Errorf("no kiosk: %v", err)
	}
	w.mu.Lock()
	w.notKiosk = false
	w.mu.Unlock()
	w.kiosk = w.newDevice()
	waitFor(t, func() bool { return problem.Of(dial(nil, tunnel.Protocol)).Code == problem.CodeTooFast })
}

// A kiosk that goes away mid-read frees its place, and can come again.
func TestKioskThatDisconnectsMidRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	s := w.script(t)
	s.document(p)
	if err := s.receive(tunnel.TypeAPDU, &tunnel.APDU{}); err != nil {
		t.Fatal(err)
	}
	_ = s.conn.Close()
	waitFor(t, func() bool {
		p.Card().Reset()
		out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
		return err == nil && out.Result == tunnel.ResultJoin
	})
}

// A kiosk that falls silent does not hold its place for ever.
func TestStalledKioskIsLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *kioskbridge.Config) { c.Patience = 50 * time.Millisecond })
	s := w.script(t)
	if err := s.receive(tunnel.TypeVisit, &tunnel.Visit{}); problem.Of(err).Code != problem.CodeStalled {
		t.Errorf("%v", err)
	}
}

func TestCancelledVisitEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.client().Visit(ctx, reference, p.Printed, canceller{p.Card(), cancel})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type canceller struct {
	card   *emrtdtest.Card
	cancel context.CancelFunc
}

func (c canceller) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	c.cancel()
	return c.card.Transmit(ctx, apdu)
}

func TestBridgeSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	if _, err := kioskbridge.New(kioskbridge.Config{}); err == nil {
		t.Error("a bridge without anything was made")
	}
}

// What happened is on its way to the audit log in the same transaction: where
// it cannot be told, it did not happen.
func TestVisitAndRedemptionAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
	if err != nil {
		t.Fatal(err)
	}
	by := kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing}
	w.outbox.Fail = errors.New("no room in the outbox")
	if _, err := w.store.Redeem(t.Context(), out.Ticket, by); err == nil {
		t.Error("redeemed without a word to the log")
	}
	w.outbox.Fail = nil
	if _, err := w.store.Redeem(t.Context(), out.Ticket, by); err != nil {
		t.Errorf("the failed try used the ticket up: %v", err)
	}
	told := w.outbox.Events()
	if len(told) != 2 || !strings.HasPrefix(told[0], kioskbridge.EventVisitEnded) || !strings.HasPrefix(told[1], kioskbridge.EventTicketRedeemed) ||
		!strings.Contains(told[0], out.Ticket.String()) {
		t.Errorf("told %v", told)
	}
	if all := strings.Join(told, " "); strings.Contains(all, "ERIKSSON") || strings.Contains(all, reference) {
		t.Errorf("personal content in an event: %s", all)
	}
}

// B21: over HTTP the device is the caller's, whatever the request says.
func TestRedemptionOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	out, err := w.client().Visit(t.Context(), reference, p.Printed, p.Card())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	kioskbridge.Register(interview.NewAPI(mux), w.store)
	path := "/api/tickets/" + out.Ticket.String() + "/redeem"
	body := map[string]any{"hearing": w.booking.Hearing, "purpose": interview.PurposeHearing}
	terminal := interview.Caller{Device: w.booking.Terminal}
	for name, c := range map[string]struct {
		caller interview.Caller
		path   string
		body   any
		code   problem.Code
	}{
		"no device":      {interview.Caller{}, path, body, problem.CodeCertificateInvalid},
		"another device": {interview.Caller{Device: interview.NewDeviceID()}, path, body, problem.CodeTicketDevice},
		"unknown field":  {terminal, path, map[string]any{"hearing": w.booking.Hearing, "purpose": "hearing", "device": w.booking.Terminal}, problem.CodeMalformed},
		"no purpose":     {terminal, path, map[string]any{"hearing": w.booking.Hearing}, problem.CodeMalformed},
		"no ticket":      {terminal, "/api/tickets/tkt_1/redeem", body, problem.CodeMalformed},
	} {
		status, answer := interviewtest.Do(mux, c.caller, http.MethodPost, c.path, c.body)
		if got := interviewtest.Code(answer); got != c.code {
			t.Errorf("%s: %d %s, want %s", name, status, answer, c.code)
		}
	}
	if status, answer := interviewtest.Do(mux, terminal, http.MethodPost, path, body); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	if _, answer := interviewtest.Do(mux, terminal, http.MethodPost, path, body); interviewtest.Code(answer) != problem.CodeTicketUsed {
		t.Errorf("second use: %s", answer)
	}
}

// Known attacks on the kiosk's word: a session that is played again, and the
// bundle of another kiosk that is passed on. Neither leaves a visit (B21).
func TestReplayedAndRelayedBundlesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.passport(emrtdtest.Genuine)
	word := func(s *script, signer *device, e tunnel.Evidence) string {
		signed, err := signer.SignStatement(ticket.Visit{
			V: 1, Visit: s.v.Visit, Nonce: s.v.Nonce, EvidenceSHA256: ticket.Hash([]byte(e.Evidence)), Hearing: w.booking.Hearing, Participant: w.booking.Participant,
		}, ticket.TypVisit)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	first := w.script(t)
	e := first.evidence(p)
	old, oldWord := first.journal(), word(first, w.kiosk, e)
	first.send(tunnel.TypeVouch, tunnel.Vouch{Visit: oldWord})
	if err := first.receive(tunnel.TypeOutcome, &tunnel.Outcome{}); err != nil {
		t.Fatal(err)
	}
	_ = first.conn.Close()
	kept := w.count("kiosk_visit")
	genuine := w.kiosk
	for name, play := range map[string]func(s *script){
		"the old journal": func(s *script) { s.finish(p); s.sendJournal(old) },
		"the old word":    func(s *script) { s.evidence(p); s.send(tunnel.TypeVouch, tunnel.Vouch{Visit: oldWord}) },
		"the word of another kiosk over this visit": func(s *script) {
			s.send(tunnel.TypeVouch, tunnel.Vouch{Visit: word(s, genuine, s.evidence(p))})
		},
	} {
		w.kiosk = w.newDevice()
		s := w.script(t)
		play(s)
		if err := s.receive(tunnel.TypeOutcome, &tunnel.Outcome{}); problem.Of(err).Code != problem.CodeKioskVisit {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.count("kiosk_visit"); n != kept {
		t.Errorf("%d visits were kept, %d before", n, kept)
	}
}

// B10, B11: each visit is kept with the steps it took, times on one stopwatch,
// hashes of what came, the way, the rules, the kiosk and where it stands.
func TestVisitIsAccountedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, (&engine{finding: claims, living: isThere}).into)
	w.site, w.place = interview.NewPremisesID().String(), "Hall 1"
	h := with(w.passport(emrtdtest.Genuine))
	if out, err := w.visit(h, tunnel.ServiceInterview); err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("%+v %v", out, err)
	}
	r := w.last()
	s, err := r.Account()
	if err != nil {
		t.Fatal(err)
	}
	want := map[ticket.StepName]ticket.StepResult{
		ticket.StepCode: ticket.StepVerified, ticket.StepDocument: ticket.StepVerified, ticket.StepChip: ticket.StepVerified, ticket.StepFace: ticket.StepAsserted, ticket.StepChecks: ticket.StepVerified,
	}
	for _, step := range s.Steps {
		if want[step.Step] != step.Result || step.Began > step.Ended || step.Ended > s.Verdict {
			t.Errorf("%+v, want %s", step, want[step.Step])
		}
		delete(want, step.Step)
	}
	if len(want) != 0 {
		t.Errorf("not accounted for: %v", want)
	}
	if face := s.Steps[3]; len(face.Artefacts) != 3 || face.Artefacts[0].SHA256 != ticket.Hash(live) {
		t.Errorf("the face's hashes: %+v", face)
	}
	policy, err := kioskbridge.StandardPolicy().Version()
	if err != nil {
		t.Fatal(err)
	}
	var e ticket.Evidence
	if err := canon.Unmarshal([]byte(r.Evidence), &e); err != nil {
		t.Fatal(err)
	}
	if e.Kiosk != w.kiosk.id || e.Site != w.site || r.Site != w.site || r.Kiosk != w.kiosk.id || e.Route != ticket.RouteDocument || e.Policy != policy {
		t.Errorf("evidence %+v", e)
	}
	if e.JournalSHA256 != ticket.Hash([]byte(r.Journal)) || e.StepsSHA256 != ticket.Hash([]byte(r.Steps)) || e.ChecksSHA256 != ticket.Hash([]byte(r.Checks)) {
		t.Error("evidence does not stand for what is kept")
	}
	figures, err := w.desk().Visits(t.Context())
	if err != nil || figures.Visits != 1 || len(figures.Steps) != 5 || len(figures.Recent) != 1 || figures.Recent[0].Site != w.site || figures.Over != 0 {
		t.Errorf("%+v %v", figures, err)
	}
}

// B10: a visit beyond its 90 seconds names the slow step.
func TestSlowVisitNamesItsSlowStep(t *testing.T) {
	t.Parallel()
	clock := newWatch()
	w := newWorld(t, (&engine{finding: claims, living: isThere}).into, func(c *kioskbridge.Config) { c.Now, c.Limit = clock.now, time.Hour })
	h := with(w.passport(emrtdtest.Genuine))
	h.take[ticket.StepFace] = func(ask tunnel.Ask) (tunnel.Capture, error) {
		clock.pass(95 * time.Second)
		return done(tunnel.Piece{Kind: "face", Format: "image/jpeg", Bytes: live}), nil
	}
	w.kiosk = w.newDevice()
	client := w.client()
	client.Now = clock.now
	if out, err := client.Hold(t.Context(), tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview}, clock.now(), h); err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("%+v %v", out, err)
	}
	figures, err := w.desk().Visits(t.Context())
	if err != nil || figures.Over != 1 || figures.Recent[0].Slow != ticket.StepFace || figures.Recent[0].SlowMS < 94_000 {
		t.Errorf("%+v %v", figures, err)
	}
}

// B21: a ticket is for one purpose, whichever it is.
func TestTicketIsForItsPurpose(t *testing.T) {
	t.Parallel()
	all := []interview.Purpose{interview.PurposeHearing, interview.PurposeReview, interview.PurposePreparation}
	for _, purpose := range all {
		w := newWorld(t)
		w.booking.Purpose = purpose
		out, err := w.visit(with(w.passport(emrtdtest.Genuine)), tunnel.ServiceInterview)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range all {
			if other == purpose {
				continue
			}
			_, err := w.store.Redeem(t.Context(), out.Ticket, kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: other})
			if problem.Of(err).Code != problem.CodeTicketHearing {
				t.Errorf("%s redeemed for %s: %v", purpose, other, err)
			}
		}
		if got := w.claims(t, out.Ticket); got.Purpose != purpose {
			t.Errorf("ticket for %s says %s", purpose, got.Purpose)
		}
	}
}
