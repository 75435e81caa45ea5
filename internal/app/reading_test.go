package app

import (
	"context"
	"testing"
	"time"

	"kuule/internal/bus"
	"kuule/internal/bus/bustest"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
	kioskbridge "kuule/kiosk-bridge"
)

// readerWorld is an officer who reads back what was given in a visit.
type readerWorld struct {
	*officerWorld
	question readQuestion
	word     func(*ticket.Reading) // nil: as the device makes it
}

func newReader(t *testing.T) *readerWorld {
	t.Helper()
	o := newOfficer(t)
	return &readerWorld{officerWorld: o, question: readQuestion{
		Case: interview.NewCaseID(), Hearing: o.hearing, Visit: interview.NewVisitID(), Pieces: []int64{1, 2}, Purpose: "The photograph is approved for the card.",
	}}
}

// ask has the person who is signed in now read back.
func (r *readerWorld) ask() error {
	r.t.Helper()
	signed, err := agreement.Sign(&r.doc, r.office)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.a.shelf.put(signed, r.a.shelf.off[r.doc.ID]); err != nil {
		r.t.Fatal(err)
	}
	word := ticket.Reading{
		V: 1, Visit: r.question.Visit, Hearing: r.question.Hearing, Purpose: ticket.Hash([]byte(r.question.Purpose)),
		Reader: r.officer(), Device: r.device.DeviceID, IssuedAt: time.Now().Unix(),
	}
	if r.word != nil {
		r.word(&word)
	}
	typ := ticket.TypReading
	if r.typ != ticket.TypIdentification {
		typ = r.typ
	}
	text, err := jws.Sign(word, typ, r.deviceKey, r.cert)
	if err != nil {
		r.t.Fatal(err)
	}
	q := r.question
	q.Reader = person{Certificate: r.cert.Raw, Proof: signin.Proof{IDToken: "token"}, Consent: text}
	return r.a.approveReading(r.t.Context(), q)
}

// may says whether the piece could be unwrapped now.
func (r *readerWorld) may(n int64) error {
	key := keyring.Key{Case: r.question.Case.String(), Kind: keyring.Records}
	return r.a.approveUnwrap(r.t.Context(), "main", key, pieceContext(r.question.Hearing, r.question.Visit, n))
}

// B6, B7, B16: what was given at a kiosk is unwrapped for a reader whom authority
// proved, each piece once, and nothing else is.
func TestAReadingOpensItsPiecesOnce(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	if err := r.may(1); problem.Of(err).Code != problem.CodeForbidden {
		t.Errorf("before anybody asked: %v", err)
	}
	if err := r.ask(); err != nil {
		t.Fatal(err)
	}
	if err := r.may(3); err == nil {
		t.Error("a piece that was not named is unwrapped")
	}
	for _, n := range r.question.Pieces {
		if err := r.may(n); err != nil {
			t.Errorf("piece %d: %v", n, err)
		}
		if err := r.may(n); err == nil {
			t.Errorf("piece %d a second time", n)
		}
	}
	other := r.question
	r.question.Case = interview.NewCaseID()
	if err := r.may(1); err == nil {
		t.Error("under another case's key")
	}
	r.question = other
	r.question.Visit = interview.NewVisitID()
	if err := r.may(1); err == nil {
		t.Error("of another visit")
	}
}

// An interviewer reads what was given for a hearing at which that one was.
func TestAnInterviewerReadsOfTheOwnHearing(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	r.who.Role, r.who.Subject = string(interview.RoleInterviewer), "irja"
	if err := r.ask(); problem.Of(err).Code != problem.CodeForbidden {
		t.Errorf("of a hearing of somebody else: %v", err)
	}
	if err := r.a.visits.meet(r.hearing, viewing.Person(r.who.Issuer, r.who.Subject)); err != nil {
		t.Fatal(err)
	}
	if err := r.ask(); err != nil {
		t.Errorf("of the own hearing: %v", err)
	}
}

// Each single condition that is missing refuses a reading, and nothing opens.
func TestAReadingNeedsItsOwnProof(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want  problem.Code
		spoil func(*readerWorld)
	}{
		"no purpose":              {problem.CodePurposeNeeded, func(r *readerWorld) { r.question.Purpose = "  " }},
		"no piece":                {problem.CodeTooLarge, func(r *readerWorld) { r.question.Pieces = nil }},
		"posture is old":          {problem.CodePostureStale, func(r *readerWorld) { r.freshErr = problem.New(problem.CodePostureStale, "old") }},
		"device is revoked":       {problem.CodeDeviceRevoked, func(r *readerWorld) { r.deviceErr = problem.New(problem.CodeDeviceRevoked, "gone") }},
		"nobody signed in":        {problem.CodeSignIn, func(r *readerWorld) { r.tokenErr = problem.New(problem.CodeSignIn, "nobody") }},
		"counsel":                 {problem.CodeForbidden, func(r *readerWorld) { r.who.Role, r.who.Subject = "counsel", "kaisa" }},
		"administrator":           {problem.CodeForbidden, func(r *readerWorld) { r.who.Role = "administrator" }},
		"agreement names nobody":  {problem.CodeForbidden, func(r *readerWorld) { r.doc.Persons = []agreement.Person{} }},
		"agreement is over":       {problem.CodeNoAgreement, func(r *readerWorld) { r.doc.ValidUntil = r.doc.ValidFrom + 1 }},
		"another kind of message": {problem.CodeStatementInvalid, func(r *readerWorld) { r.typ = ticket.TypVisit }},
		"of another visit":        {problem.CodeStatementInvalid, func(r *readerWorld) { r.word = func(w *ticket.Reading) { w.Visit = interview.NewVisitID() } }},
		"of another hearing":      {problem.CodeStatementInvalid, func(r *readerWorld) { r.word = func(w *ticket.Reading) { w.Hearing = interview.NewHearingID() } }},
		"for another purpose": {problem.CodeStatementInvalid, func(r *readerWorld) {
			r.word = func(w *ticket.Reading) { w.Purpose = ticket.Hash([]byte("out of curiosity")) }
		}},
		"of another person": {problem.CodeStatementInvalid, func(r *readerWorld) {
			r.word = func(w *ticket.Reading) { w.Reader = viewing.Person("https://login", "oiva") }
		}},
		"of another device":  {problem.CodeStatementInvalid, func(r *readerWorld) { r.word = func(w *ticket.Reading) { w.Device = interview.NewDeviceID() } }},
		"signed long ago":    {problem.CodeStatementInvalid, func(r *readerWorld) { r.word = func(w *ticket.Reading) { w.IssuedAt -= 300 } }},
		"of another version": {problem.CodeStatementInvalid, func(r *readerWorld) { r.word = func(w *ticket.Reading) { w.V = 2 } }},
	} {
		r := newReader(t)
		c.spoil(r)
		if err := r.ask(); err == nil || problem.Of(err).Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if err := r.may(1); err == nil {
			t.Errorf("%s: a piece opens", name)
		}
	}
}

// A word opens once: a captured server cannot use what an officer signed again.
func TestAReadersWordCountsOnce(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	at := time.Now().Unix()
	r.word = func(w *ticket.Reading) { w.IssuedAt = at }
	key := keyring.Key{Case: r.question.Case.String(), Kind: keyring.Records}
	if err := r.a.readings.allow("word", key, []string{"a"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := r.a.readings.allow("word", key, []string{"a"}, time.Now()); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("a second time: %v", err)
	}
	if err := r.a.readings.use(key, "a", time.Now().Add(2*readWithin)); err == nil {
		t.Error("after its minute")
	}
}

// A piece is sealed under the case's records key, and over the bus itself nobody
// unwraps it without approval: not the door, which may unwrap all else of that
// key.
func TestThePieceOpensThroughAuthorityAlone(t *testing.T) {
	t.Parallel()
	ring := keyringtest.Local(t)
	r := newReader(t)
	wire := bustest.Start(t)
	if err := keyringremote.Serve(wire.Connect(t, bus.Main(bus.Authority)), ring, r.a.approveUnwrap); err != nil {
		t.Fatal(err)
	}
	sealer := pieceSealer{keyringremote.New(wire.Connect(t, bus.Main(bus.Door)))}
	name := kioskbridge.PieceName{Case: r.question.Case, Hearing: r.question.Hearing, Visit: r.question.Visit, N: 1}
	wrapped, sealed, err := sealer.SealPiece(t.Context(), name, []byte("a photograph"))
	if err != nil {
		t.Fatal(err)
	}
	open := func() (string, error) {
		plain, err := sealer.OpenPiece(context.WithoutCancel(t.Context()), name, wrapped, sealed)
		return string(plain), err
	}
	if plain, err := open(); err == nil {
		t.Fatalf("the door opened it alone: %q", plain)
	}
	if err := r.ask(); err != nil {
		t.Fatal(err)
	}
	if plain, err := open(); err != nil || plain != "a photograph" {
		t.Errorf("after approval: %q %v", plain, err)
	}
	if _, err := open(); err == nil {
		t.Error("opened twice on one approval")
	}
	// The case's erasure takes it along.
	if _, err := ring.Destroy(t.Context(), keyring.Key{Case: r.question.Case.String(), Kind: keyring.Records}); err != nil {
		t.Fatal(err)
	}
	if err := r.ask(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); problem.Of(err).Code != problem.CodeErased {
		t.Errorf("after erasure: %v", err)
	}
}
