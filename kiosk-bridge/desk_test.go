package kioskbridge_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/tunnel"
)

type places string

func (p places) PlaceOf(context.Context, interview.DeviceID) (string, error) { return string(p), nil }

func (w *world) desk() *kioskbridge.Desk {
	return kioskbridge.NewDesk(w.bridge, w.db, &w.outbox, places("Hall"))
}

func officer(name string) kioskbridge.Officer {
	return kioskbridge.Officer{Person: "hash-of-" + name, Device: interview.NewDeviceID()}
}

const note = "Looked at the document of an applicant, number 4711."

// B12, B15: an officer identifies a person whom no kiosk could, and the ticket
// waits at the room terminal with a low assurance and the method.
func TestOfficerIdentifiesByDocument(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, by := w.desk(), officer("a")
	i, err := d.Begin(t.Context(), by, reference, ticket.MethodDocument, note)
	if err != nil || i.Name != w.booking.Name || i.Needed != 1 {
		t.Fatalf("%+v %v", i, err)
	}
	evidence, err := ticket.ReadEvidence(i.Evidence)
	if err != nil || evidence.Participant != w.booking.Participant || evidence.Kiosk != by.Device {
		t.Fatalf("evidence %+v %v", evidence, err)
	}
	out, err := d.Word(t.Context(), by, i.Visit, "signed")
	if err != nil || out.Result != tunnel.ResultJoin || out.Place != w.booking.Place {
		t.Fatalf("%+v %v", out, err)
	}
	got, err := w.store.Redeem(t.Context(), out.Ticket, kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing})
	if err != nil || got.Participant != w.booking.Participant {
		t.Fatalf("redeemed %+v %v", got, err)
	}
	proof, checks, err := w.store.Proof(t.Context(), out.Ticket, w.booking.Terminal)
	if err != nil || len(checks) != 1 || checks[0] != (interview.Check{Name: kioskbridge.CheckOfficers, Verdict: interview.Asserted, Reason: "document"}) {
		t.Fatalf("the interviewer is shown %v, %v", checks, err)
	}
	trust := w.trust()
	trust.Identified = func(v interview.VisitID, sha string) (int, error) {
		if v != i.Visit || sha != ticket.Hash([]byte(i.Evidence)) {
			return 0, nil
		}
		return 1, nil
	}
	claims, err := ticket.VerifyTicket(proof, trust, ticket.Expected{
		Hearing: w.booking.Hearing, Purpose: interview.PurposeHearing, Participant: w.booking.Participant, Device: w.booking.Terminal, Now: time.Now(),
	})
	if err != nil || claims.Assurance != ticket.AssuranceLow {
		t.Errorf("authority: %+v %v", claims, err)
	}
	var hashed ticket.Evidence
	record, err := w.store.Visit(t.Context(), i.Visit)
	if err != nil {
		t.Fatal(err)
	}
	if err := canon.Unmarshal([]byte(record.Evidence), &hashed); err != nil || hashed.ChecksSHA256 != ticket.Hash([]byte(record.Checks)) {
		t.Errorf("evidence does not stand for the verdicts kept: %v", err)
	}
	if all, err := d.Identifications(t.Context(), by); err != nil || len(all) != 0 {
		t.Errorf("still waits: %v %v", all, err)
	}
	if _, err := d.Word(t.Context(), officer("b"), i.Visit, "signed"); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("a word after the end: %v", err)
	}
}

// B12: without document and register two different officers are needed.
func TestTwoOfficersWhereNothingElseIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, a, b := w.desk(), officer("a"), officer("b")
	i, err := d.Begin(t.Context(), a, reference, ticket.MethodKnown, note)
	if err != nil || i.Needed != 2 {
		t.Fatalf("%+v %v", i, err)
	}
	out, err := d.Word(t.Context(), a, i.Visit, "signed by a")
	if err != nil || out.Result != tunnel.ResultDesk || !out.Ticket.IsZero() {
		t.Fatalf("after one: %+v %v", out, err)
	}
	if _, err := d.Word(t.Context(), a, i.Visit, "signed by a again"); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("the same officer twice: %v", err)
	}
	all, err := d.Identifications(t.Context(), a)
	if err != nil || len(all) != 1 || !all[0].Mine || all[0].Words != 1 {
		t.Fatalf("first officer sees %+v %v", all, err)
	}
	if all, err = d.Identifications(t.Context(), b); err != nil || len(all) != 1 || all[0].Mine || all[0].Note != note {
		t.Fatalf("second officer sees %+v %v", all, err)
	}
	if out, err = d.Word(t.Context(), b, i.Visit, "signed by b"); err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("after two: %+v %v", out, err)
	}
	if record, err := w.store.Visit(t.Context(), i.Visit); err != nil || record.Vouched != "signed by a\nsigned by b" {
		t.Errorf("kept %q %v", record.Vouched, err)
	}
}

// Each single missing condition refuses the beginning, with a code of its own.
func TestIdentificationIsRefusedForEachMissingCondition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reference string
		method    ticket.Method
		note      string
		spoil     func(*world)
		want      problem.Code
	}{
		"unknown method":     {reference, "guess", note, nil, problem.CodeMalformed},
		"nothing written":    {reference, ticket.MethodDocument, " ", nil, problem.CodeJustificationNeeded},
		"too much written":   {reference, ticket.MethodDocument, strings.Repeat("x", 1001), nil, problem.CodeTooLarge},
		"code of nobody":     {"0000-0000-0", ticket.MethodDocument, note, nil, problem.CodeNotBooked},
		"hearing is over":    {reference, ticket.MethodDocument, note, func(w *world) { w.booking.Closes = time.Now().Add(-time.Minute) }, problem.CodeTooLate},
		"hearing is far off": {reference, ticket.MethodDocument, note, func(w *world) { w.booking.Opens = time.Now().Add(13 * time.Hour) }, problem.CodeTooEarly},
	} {
		w := newWorld(t)
		if c.spoil != nil {
			c.spoil(w)
		}
		if _, err := w.desk().Begin(t.Context(), officer("a"), c.reference, c.method, c.note); err == nil || problem.Of(err).Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// A booking that changed, or an hour that passed, is not identified for.
func TestIdentificationGoesStale(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(c *kioskbridge.Config) { c.Now = func() time.Time { return now } })
	d, by := w.desk(), officer("a")
	begin := func() kioskbridge.Identification {
		t.Helper()
		i, err := d.Begin(t.Context(), by, reference, ticket.MethodRegister, note)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	i := begin()
	booked := w.booking
	w.booking.Hearing = interview.NewHearingID()
	if _, err := d.Word(t.Context(), by, i.Visit, "signed"); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("another hearing: %v", err)
	}
	w.booking = booked
	w.booking.Participant = interview.NewParticipantID()
	if _, err := d.Word(t.Context(), by, i.Visit, "signed"); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("another person: %v", err)
	}
	w.booking = booked
	now = now.Add(time.Hour + time.Second)
	if _, err := d.Word(t.Context(), by, i.Visit, "signed"); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("an hour later: %v", err)
	}
}

// B19 and promise 6: what officers write lies nowhere open.
func TestNothingOfTheDeskIsStoredOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.booking.Name = "Amal Haddad-Karimi"
	d, by := w.desk(), officer("a")
	i, err := d.Begin(t.Context(), by, reference, ticket.MethodDocument, note)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Word(t.Context(), by, i.Visit, "signed"); err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, f := range storetest.Files(t, w.db) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || bytes.Contains(b, []byte(i.Visit.String()))
		for _, secret := range []string{"Haddad", "4711", reference} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s lies open in %s", secret, filepath.Base(f))
			}
		}
	}
	if !seen {
		t.Error("the identification was not found in the database: the search proves nothing")
	}
}

// B14: a call reaches the queue, is answered once, and the time to answer is
// measured.
func TestCallsAreAnsweredOnceAndMeasured(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(c *kioskbridge.Config) { c.Now = func() time.Time { return now } })
	d, by, kiosk := w.desk(), officer("a"), interview.NewDeviceID()
	call, err := d.Raise(t.Context(), kiosk, "ar", "step.chip")
	if err != nil || call.Place != "Hall" || call.Answered {
		t.Fatalf("%+v %v", call, err)
	}
	if again, err := d.Raise(t.Context(), kiosk, "ar", "code"); err != nil || again.ID != call.ID {
		t.Errorf("pressed twice: %+v %v", again, err)
	}
	if open, _, err := d.Calls(t.Context()); err != nil || len(open) != 1 || open[0].Language != "ar" {
		t.Fatalf("queue %+v %v", open, err)
	}
	if _, err := d.Called(t.Context(), interview.NewDeviceID(), call.ID); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("another kiosk's call: %v", err)
	}
	now = now.Add(42 * time.Second)
	if err := d.Answer(t.Context(), by, call.ID); err != nil {
		t.Fatal(err)
	}
	if err := d.Answer(t.Context(), officer("b"), call.ID); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("answered twice: %v", err)
	}
	if mine, err := d.Called(t.Context(), kiosk, call.ID); err != nil || !mine.Answered {
		t.Errorf("the kiosk learns %+v %v", mine, err)
	}
	open, answers, err := d.Calls(t.Context())
	if err != nil || len(open) != 0 || answers != (kioskbridge.Answers{Calls: 1, P50: 42, P95: 42}) {
		t.Errorf("%+v %+v %v", open, answers, err)
	}
	if next, err := d.Raise(t.Context(), kiosk, "fi", "code"); err != nil || next.ID == call.ID {
		t.Errorf("the next person's call: %+v %v", next, err)
	}
	for _, bad := range [][2]string{{"", "code"}, {"fi", ""}, {"fi", "<b>"}, {strings.Repeat("f", 40), "code"}} {
		if _, err := d.Raise(t.Context(), kiosk, bad[0], bad[1]); problem.Of(err).Code != problem.CodeMalformed {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// erasing is a sealer of which one case was erased.
type erasing struct {
	interviewtest.Sealer

	erased interview.CaseID
}

func (s *erasing) Open(ctx context.Context, c interview.CaseID, aad string, sealed []byte) ([]byte, error) {
	if c == s.erased {
		return nil, problem.New(problem.CodeErased, "case %s", c)
	}
	return s.Sealer.Open(ctx, c, aad, sealed)
}

// An erased case leaves the desk's other people in their list.
func TestAnErasedCaseHidesNobodyElseAtTheDesk(t *testing.T) {
	t.Parallel()
	sealer := &erasing{}
	w := newWorld(t, func(c *kioskbridge.Config) { c.Sealer = sealer })
	d, by := w.desk(), officer("a")
	if _, err := d.Begin(t.Context(), by, reference, ticket.MethodDocument, note); err != nil {
		t.Fatal(err)
	}
	sealer.erased = w.booking.Case
	w.booking.Case = interview.NewCaseID()
	second, err := d.Begin(t.Context(), by, reference, ticket.MethodDocument, note)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := d.Identifications(t.Context(), by); err != nil || len(all) != 1 || all[0].Visit != second.Visit {
		t.Errorf("%v %v", all, err)
	}
}

// B12: two officers who speak at the same moment end the identification, once: who
// came second is heard, or told to say it again.
func TestTwoOfficersAtTheSameMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, a, b := w.desk(), officer("a"), officer("b")
	i, err := d.Begin(t.Context(), a, reference, ticket.MethodKnown, note)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan tunnel.Result, 2)
	for _, by := range []kioskbridge.Officer{a, b} {
		go func() {
			out, err := d.Word(t.Context(), by, i.Visit, "signed")
			for tries := 0; problem.Of(err).Code == problem.CodeConflict && tries < 10; tries++ {
				out, err = d.Word(t.Context(), by, i.Visit, "signed")
			}
			if err != nil {
				t.Error(err)
			}
			results <- out.Result
		}()
	}
	if x, y := <-results, <-results; x == y || x != tunnel.ResultJoin && y != tunnel.ResultJoin {
		t.Errorf("%s and %s", x, y)
	}
	var version int64
	if err := w.db.NewRaw("SELECT version FROM desk_identification WHERE visit_id = ?", i.Visit).Scan(t.Context(), &version); err != nil || version != 3 {
		t.Errorf("version %d, %v: a word left no mark that another could meet", version, err)
	}
}
