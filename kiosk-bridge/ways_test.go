package kioskbridge_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// live is a picture of a face, as far as tests need one: bytes to look for.
var live = []byte("\xff\xd8\xff live picture of a face, 0123456789abcdef")

// hands are a kiosk's parts with a person before them, as a test wants them.
type hands struct {
	offers []ticket.StepName
	zone   string
	card   kiosk.Reader
	take   map[ticket.StepName]func(tunnel.Ask) (tunnel.Capture, error)
	mu     sync.Mutex
	asked  []ticket.StepName
}

var everyStep = []ticket.StepName{
	ticket.StepDocument, ticket.StepApplicant, ticket.StepChip, ticket.StepFace, ticket.StepFingers, ticket.StepSignature, ticket.StepPhoto, ticket.StepScan,
}

func with(p *emrtdtest.Passport) *hands {
	h := &hands{offers: everyStep, take: map[ticket.StepName]func(tunnel.Ask) (tunnel.Capture, error){}}
	if p != nil {
		h.zone, h.card = p.Printed, p.Card()
	}
	return h
}

func (h *hands) Offers() []ticket.StepName { return h.offers }

func (h *hands) Card() kiosk.Reader { return h.card }

func done(pieces ...tunnel.Piece) tunnel.Capture {
	return tunnel.Capture{Result: tunnel.TakenDone, Tries: 1, Pieces: pieces}
}

func (h *hands) Take(_ context.Context, ask tunnel.Ask) (tunnel.Capture, error) {
	h.mu.Lock()
	h.asked = append(h.asked, ask.Step)
	h.mu.Unlock()
	if f := h.take[ask.Step]; f != nil {
		return f(ask)
	}
	switch ask.Step {
	case ticket.StepDocument:
		if h.zone == "" {
			return tunnel.Capture{Result: tunnel.TakenNotAvailable}, nil
		}
		return done(tunnel.Piece{Kind: "zone", Format: "text/plain", Bytes: []byte(h.zone)}), nil
	case ticket.StepChip:
		return done(), nil
	case ticket.StepFace:
		var frames []tunnel.Piece
		for range ask.Order {
			frames = append(frames, tunnel.Piece{Kind: "face", Format: "image/jpeg", Bytes: live})
		}
		return done(frames...), nil
	case ticket.StepFingers:
		return done(tunnel.Piece{Kind: "finger-2", Format: "image/png", Bytes: []byte("live finger")}), nil
	case ticket.StepSignature:
		text := fmt.Sprintf(`{"v":1,"text_sha256":%q,"strokes":[[{"x":1,"y":1,"t":0,"p":500},{"x":2,"y":2,"t":9,"p":500},{"x":3,"y":1,"t":19,"p":500}]]}`, ask.TextSHA256)
		return done(tunnel.Piece{Kind: "signature", Format: "application/json", Bytes: []byte(text)}), nil
	case ticket.StepPhoto:
		return done(tunnel.Piece{Kind: "photo", Format: "image/jpeg", Bytes: []byte("\xff\xd8\xff photograph")}), nil
	default:
		return tunnel.Capture{Result: tunnel.TakenNotAvailable}, nil
	}
}

// visit holds a visit at a kiosk of its own.
func (w *world) visit(h *hands, s tunnel.Service) (tunnel.Outcome, error) {
	w.kiosk = w.newDevice()
	return w.client().Hold(w.t.Context(), tunnel.Begin{Reference: reference, Service: s, Language: "en"}, time.Now(), h)
}

// last is the newest visit that was kept.
func (w *world) last() kioskbridge.Record {
	w.t.Helper()
	var r kioskbridge.Record
	if err := w.db.NewSelect().Model(&r).Order("v.ended_at DESC", "v.id DESC").Limit(1).Scan(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) lastSteps() ticket.Steps {
	w.t.Helper()
	s, err := w.last().Account()
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// engine is a matcher, a liveness check, a register and a search in one.
type engine struct {
	finding, living kioskbridge.Finding
	err             error
	pictures        []kioskbridge.Image
	number, name    string // of who is in the register
	looked          []kioskbridge.RegisterQuestion
	mu              sync.Mutex
	searches        []kioskbridge.DuplicateSearch
	reference       []byte // of the last match
	handed          [][]byte
}

func (e *engine) Match(_ context.Context, q kioskbridge.MatchQuestion) (kioskbridge.Finding, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reference = bytes.Clone(q.Reference.Bytes)
	e.handed = append(e.handed, q.Reference.Bytes)
	for _, i := range q.Live {
		e.handed = append(e.handed, i.Bytes)
	}
	return e.finding, e.err
}

func (e *engine) Live(context.Context, kioskbridge.Modality, []kioskbridge.Image, []string) (kioskbridge.Finding, error) {
	return e.living, e.err
}

func (e *engine) Person(_ context.Context, q kioskbridge.RegisterQuestion) (kioskbridge.Registered, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looked = append(e.looked, q)
	if len(e.pictures) == 0 || e.number != "" && q.Number != "" && q.Number != e.number {
		return kioskbridge.Registered{}, e.err
	}
	out := kioskbridge.Registered{Found: true, Person: kioskbridge.Person{Name: cmp.Or(e.name, "Anna Maria Eriksson"), DateOfBirth: "1974-08-12", ApplicantNumber: e.number}}
	for _, p := range e.pictures {
		if p.Kind == "face" && q.Face || p.Kind != "face" && q.Fingers {
			out.Pictures = append(out.Pictures, kioskbridge.Image{Kind: p.Kind, Format: p.Format, Bytes: bytes.Clone(p.Bytes)})
		}
	}
	return out, e.err
}

func (e *engine) Submit(_ context.Context, s kioskbridge.DuplicateSearch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.searches = append(e.searches, s)
	return e.err
}

func (e *engine) into(c *kioskbridge.Config) {
	c.Faces, c.Fingers, c.Liveness, c.Register, c.Duplicates = e, e, e, e, e
}

var (
	matches   = kioskbridge.Finding{Verdict: interview.Verified, Reason: "match", Score: 912_000, Threshold: "t1", Engine: "measured 1"}
	claims    = kioskbridge.Finding{Verdict: interview.Asserted, Reason: "match", Score: 912_000, Threshold: "t1", Engine: "vendor 1"}
	differs   = kioskbridge.Finding{Verdict: interview.Undetermined, Reason: "no-match", Score: 12_000, Threshold: "t1", Engine: "vendor 1"}
	nearly    = kioskbridge.Finding{Verdict: interview.Undetermined, Reason: "reference-near", Score: 612_000, Engine: "reference", Unmeasured: true}
	far       = kioskbridge.Finding{Verdict: interview.Undetermined, Reason: "reference-far", Score: 12_000, Engine: "reference", Unmeasured: true}
	boldly    = kioskbridge.Finding{Verdict: interview.Verified, Reason: "reference-near", Engine: "reference", Unmeasured: true}
	isThere   = kioskbridge.Finding{Verdict: interview.Verified, Reason: "bona-fide", Engine: "pad 1"}
	suspicion = kioskbridge.Finding{Verdict: interview.Undetermined, Reason: "attack-suspected", Engine: "pad 1"}
)

// B3: what engines say of the face, and where the person goes: a measured engine
// that doubts leads to people, one that nobody measured decides nothing, and one
// that is absent stops nobody.
func TestFacesAreComparedWithThePortrait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		face, living kioskbridge.Finding
		err          error
		chip         emrtdtest.Variant
		result       tunnel.Result
		assurance    ticket.Assurance
		verdict      interview.Verdict
	}{
		"measured match":               {matches, isThere, nil, emrtdtest.Genuine, tunnel.ResultJoin, ticket.AssuranceSubstantial, interview.Verified},
		"and a chip that is no copy":   {matches, isThere, nil, emrtdtest.WithAll, tunnel.ResultJoin, ticket.AssuranceHigh, interview.Verified},
		"a vendor's match":             {claims, isThere, nil, emrtdtest.WithAll, tunnel.ResultJoin, ticket.AssuranceSubstantial, interview.Asserted},
		"a vendor's doubt":             {differs, isThere, nil, emrtdtest.Genuine, tunnel.ResultDesk, ticket.AssuranceNone, interview.Undetermined},
		"a suspicion of presentation":  {matches, suspicion, nil, emrtdtest.Genuine, tunnel.ResultDesk, ticket.AssuranceNone, interview.Verified},
		"the reference engine's yes":   {boldly, isThere, nil, emrtdtest.WithAll, tunnel.ResultJoin, ticket.AssuranceSubstantial, interview.Undetermined},
		"the reference engine's near":  {nearly, isThere, nil, emrtdtest.Genuine, tunnel.ResultJoin, ticket.AssuranceSubstantial, interview.Undetermined},
		"the reference engine's doubt": {far, isThere, nil, emrtdtest.Genuine, tunnel.ResultJoin, ticket.AssuranceSubstantial, interview.Undetermined},
		"no answer":                    {matches, isThere, errors.New("gone"), emrtdtest.Genuine, tunnel.ResultJoin, ticket.AssuranceSubstantial, interview.Undetermined},
	} {
		e := &engine{finding: c.face, living: c.living, err: c.err}
		w := newWorld(t, e.into)
		out, err := w.visit(with(w.passport(c.chip)), tunnel.ServiceInterview)
		if err != nil || out.Result != c.result {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		r := w.last()
		checks, err := r.Verdicts()
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(checks, func(c interview.Check) bool { return c.Name == emrtd.CheckFace }); i < 0 || checks[i].Verdict != c.verdict {
			t.Errorf("%s: interviewer is told %v", name, checks)
		}
		if r.Assurance != c.assurance {
			t.Errorf("%s: assurance %s, want %s", name, r.Assurance, c.assurance)
		}
		if c.err == nil && !strings.Contains(r.Checks, c.face.Engine) {
			t.Errorf("%s: engine and score are not kept: %s", name, r.Checks)
		}
		if c.err == nil && len(e.reference) < 5000 {
			t.Errorf("%s: compared with %d bytes, not with the chip's portrait", name, len(e.reference))
		}
	}
}

// B19: of what was compared nothing is left when the visit is over, also where it
// was broken off.
func TestComparedPicturesAreOverwritten(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]bool{"to its end": false, "broken off": true} {
		e := &engine{finding: matches, living: isThere, pictures: []kioskbridge.Image{{Kind: "finger-2", Format: "image/png", Bytes: []byte("print in the register")}}}
		w := newWorld(t, e.into)
		h := with(w.passport(emrtdtest.Genuine))
		if broken {
			h.take[ticket.StepPhoto] = func(tunnel.Ask) (tunnel.Capture, error) {
				return done(tunnel.Piece{Kind: "zone", Format: "text/plain", Bytes: []byte("of another step")}), nil
			}
		}
		if _, err := w.visit(h, tunnel.ServiceCard); (err != nil) != broken {
			t.Fatalf("%s: %v", name, err)
		}
		w.bridge.Close() // and the visit has ended
		if len(e.handed) < 5 {
			t.Fatalf("%s: %d pictures were compared", name, len(e.handed))
		}
		for i, b := range e.handed {
			if !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("%s: picture %d is still there", name, i)
			}
		}
	}
}

// B5: the search for duplicates is handed in by the visit's id with the live
// pictures, and whatever becomes of it, neither kiosk nor interviewer learns it.
func TestSearchForDuplicatesIsHandedIn(t *testing.T) {
	t.Parallel()
	e := &engine{finding: matches, living: isThere}
	w := newWorld(t, e.into)
	if out, err := w.visit(with(w.passport(emrtdtest.Genuine)), tunnel.ServiceInterview); err != nil || out.Result != tunnel.ResultJoin {
		t.Fatalf("%+v %v", out, err)
	}
	r := w.last()
	if len(e.searches) != 1 || e.searches[0].Visit != r.ID || e.searches[0].Case != w.booking.Case || len(e.searches[0].Probes) == 0 {
		t.Errorf("searches %+v", e.searches)
	}
	if strings.Contains(r.Checks+r.Steps+r.Evidence, "duplicate") {
		t.Error("the visit speaks of the search")
	}
}

// typesNumber types the number of the document of an applicant.
func typesNumber(tunnel.Ask) (tunnel.Capture, error) {
	return done(tunnel.Piece{Kind: tunnel.NumberTyped, Format: "text/plain", Bytes: []byte("A29-4711")}), nil
}

// B12: who has no document with a chip is compared with the register's pictures.
// An engine that nobody measured leaves it to an officer.
func TestWayByTheRegister(t *testing.T) {
	t.Parallel()
	picture := []kioskbridge.Image{
		{Kind: "face", Format: "image/jpeg", Bytes: []byte("picture in the register")}, {Kind: "finger-2", Format: "image/png", Bytes: []byte("print in the register")},
	}
	for name, c := range map[string]struct {
		finding   kioskbridge.Finding
		pictures  []kioskbridge.Image
		err       error
		result    tunnel.Result
		assurance ticket.Assurance
	}{
		"measured, face and finger": {matches, picture, nil, tunnel.ResultJoin, ticket.AssuranceSubstantial},
		"measured, face alone":      {matches, picture[:1], nil, tunnel.ResultJoin, ticket.AssuranceLow},
		"a vendor's word":           {claims, picture, nil, tunnel.ResultJoin, ticket.AssuranceLow},
		"a vendor's doubt":          {differs, picture, nil, tunnel.ResultDesk, ticket.AssuranceNone},
		"the reference engine":      {boldly, picture, nil, tunnel.ResultDesk, ticket.AssuranceNone},
		"not in the register":       {matches, nil, nil, tunnel.ResultDesk, ticket.AssuranceNone},
		"register does not answer":  {matches, picture, errors.New("gone"), tunnel.ResultDesk, ticket.AssuranceNone},
	} {
		e := &engine{finding: c.finding, living: isThere, pictures: c.pictures, err: c.err}
		w := newWorld(t, e.into)
		h := with(nil)
		h.take[ticket.StepApplicant] = typesNumber
		out, err := w.visit(h, tunnel.ServiceInterview)
		if err != nil || out.Result != c.result {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		r := w.last()
		if r.Route != ticket.RouteRegister || r.Assurance != c.assurance {
			t.Errorf("%s: route %s, assurance %s", name, r.Route, r.Assurance)
		}
		if (out.Handover != "") != (c.result == tunnel.ResultDesk) {
			t.Errorf("%s: code for the desk %q", name, out.Handover)
		}
		if c.result == tunnel.ResultJoin {
			if got := w.claims(t, out.Ticket); got.Assurance != c.assurance {
				t.Errorf("%s: ticket of assurance %s", name, got.Assurance)
			}
		}
	}
	// Without any register the person is led to people, not away.
	w := newWorld(t)
	if out, err := w.visit(with(nil), tunnel.ServiceInterview); err != nil || out.Result != tunnel.ResultDesk || out.Handover == "" {
		t.Errorf("no register: %+v %v", out, err)
	}
}

// B12, B15: on the way by the register a finger that was asked for and did not
// come leads to the desk with a word on why, whatever the face says: who waits
// until the time is over goes on with no less than who says that there is none.
// There two officers stand for the person, by whatever method, and one does not
// suffice, nor after another visit that ended otherwise. What lies with the
// scanner, and a register that has no fingers, stops nobody.
func TestWithoutAFingerTheRegisterLeadsToTwoOfficers(t *testing.T) {
	t.Parallel()
	picture := []kioskbridge.Image{
		{Kind: "face", Format: "image/jpeg", Bytes: []byte("picture in the register")}, {Kind: "finger-2", Format: "image/png", Bytes: []byte("print in the register")},
	}
	for name, c := range map[string]struct {
		taken  tunnel.TakenResult
		reason string
		join   bool
		after  []tunnel.Result // of visits with a dead chip afterwards
	}{
		"the time ran out":     {tunnel.TakenFailed, tunnel.ReasonTimedOut, false, nil},
		"none good enough":     {tunnel.TakenFailed, tunnel.ReasonLowQuality, false, nil},
		"gives none":           {tunnel.TakenDeclined, tunnel.ReasonDeclined, false, nil},
		"has none":             {tunnel.TakenNotAvailable, tunnel.ReasonNotThere, false, nil},
		"and then once more":   {tunnel.TakenDeclined, tunnel.ReasonDeclined, false, []tunnel.Result{tunnel.ResultAgain}},
		"and then a dead chip": {tunnel.TakenDeclined, tunnel.ReasonDeclined, false, []tunnel.Result{tunnel.ResultAgain, tunnel.ResultDesk}},
		"the scanner is gone":  {tunnel.TakenFailed, tunnel.ReasonPartBroken, true, nil},
		"a finger":             {tunnel.TakenDone, "", true, nil},
	} {
		e := &engine{finding: matches, living: isThere, pictures: picture}
		w := newWorld(t, e.into)
		h := with(nil)
		h.take[ticket.StepApplicant] = typesNumber
		if !c.join || c.reason != "" {
			h.take[ticket.StepFingers] = func(tunnel.Ask) (tunnel.Capture, error) {
				return tunnel.Capture{Result: c.taken, Reason: c.reason, Tries: 3}, nil
			}
		}
		out, err := w.visit(h, tunnel.ServiceInterview)
		if err != nil || (out.Result == tunnel.ResultJoin) != c.join || (out.Result == tunnel.ResultDesk) == c.join {
			t.Errorf("%s: %+v %v", name, out, err)
			continue
		}
		if (out.Because == tunnel.BecauseFingers) == c.join || (out.Handover == "") != c.join {
			t.Errorf("%s: told %q, code %q", name, out.Because, out.Handover)
		}
		if c.join {
			continue
		}
		if w.verdict(emrtd.CheckFace) == "failed" || !strings.HasPrefix(w.verdict(kioskbridge.CheckRegisterFace), "verified") {
			t.Errorf("%s: the face did not hold, so this shows nothing: %s", name, w.verdict(kioskbridge.CheckRegisterFace))
		}
		failed := w.last().ID
		dead := with(w.passport(emrtdtest.DeadChip))
		for n, want := range c.after {
			if out, err := w.visit(dead, tunnel.ServiceInterview); err != nil || out.Result != want {
				t.Fatalf("%s, visit %d afterwards: %+v %v", name, n+1, out, err)
			}
		}
		d, a, b := w.desk(), officer("a"), officer("b")
		if _, err := d.TakeOver(t.Context(), a, out.Handover); err != nil {
			t.Fatal(err)
		}
		i, err := d.GoOn(t.Context(), a, failed, ticket.MethodRegister, note)
		if err != nil || i.Needed != 2 || !strings.Contains(i.Evidence, `"officers":2`) {
			t.Fatalf("%s: %+v %v", name, i, err)
		}
		// With the invitation alone it is no other person.
		if again, err := d.Begin(t.Context(), b, reference, ticket.MethodDocument, note); err != nil || again.Needed != 2 {
			t.Errorf("%s, by the invitation: %+v %v", name, again, err)
		}
		if out, err := d.Word(t.Context(), a, i.Visit, "signed by a"); err != nil || out.Result != tunnel.ResultDesk {
			t.Errorf("%s, after one officer: %+v %v", name, out, err)
		}
		if out, err := d.Word(t.Context(), b, i.Visit, "signed by b"); err != nil || out.Result != tunnel.ResultJoin {
			t.Errorf("%s, after two officers: %+v %v", name, out, err)
		}
	}
}

// B12: who breaks a visit off when a finger is asked for has not made that undone;
// who leaves before has lost nothing.
func TestWhoBreaksOffAfterABiometricNeedsTwoOfficers(t *testing.T) {
	t.Parallel()
	picture := []kioskbridge.Image{
		{Kind: "face", Format: "image/jpeg", Bytes: []byte("picture in the register")}, {Kind: "finger-2", Format: "image/png", Bytes: []byte("print in the register")},
	}
	for name, c := range map[string]struct {
		leaves ticket.StepName
		needed int
	}{
		"at the finger":             {ticket.StepFingers, 2},
		"before anything was found": {ticket.StepApplicant, 1},
	} {
		e := &engine{finding: matches, living: isThere, pictures: picture}
		w := newWorld(t, e.into)
		h := with(nil)
		h.take[ticket.StepApplicant] = typesNumber
		ctx, leave := context.WithCancel(t.Context())
		h.take[c.leaves] = func(tunnel.Ask) (tunnel.Capture, error) {
			leave()
			return tunnel.Capture{}, ctx.Err()
		}
		if _, err := w.client().Hold(ctx, tunnel.Begin{Reference: reference, Service: tunnel.ServiceInterview, Language: "en"}, time.Now(), h); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: the visit was not broken off: %v", name, err)
		}
		if c.needed > 1 {
			waitFor(t, func() bool {
				n, err := w.db.NewSelect().Table("kiosk_broken_off").Count(t.Context())
				return err == nil && n == 1
			})
		}
		if i, err := w.desk().Begin(t.Context(), officer("a"), reference, ticket.MethodRegister, note); err != nil || i.Needed != c.needed {
			t.Errorf("%s: %d officers, %v", name, i.Needed, err)
		}
	}
}

// A chip that is dead is no biometric: one officer looks at the document, unless
// the visits are so many that not all of them are read.
func TestADeadChipNeedsOneOfficer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := with(w.passport(emrtdtest.DeadChip))
	for range 2 {
		if _, err := w.visit(h, tunnel.ServiceInterview); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.last(); r.Result != tunnel.ResultDesk {
		t.Fatalf("%s", r.Result)
	}
	i, err := w.desk().Begin(t.Context(), officer("a"), reference, ticket.MethodDocument, note)
	if err != nil || i.Needed != 1 || strings.Contains(i.Evidence, "officers\":") {
		t.Errorf("%+v %v", i, err)
	}
	many := make([]kioskbridge.Record, 100)
	for n := range many {
		many[n] = w.last()
		many[n].ID = interview.NewVisitID()
	}
	if _, err := w.db.NewInsert().Model(&many).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i, err := w.desk().Begin(t.Context(), officer("a"), reference, ticket.MethodDocument, note); err != nil || i.Needed != 2 {
		t.Errorf("with %d visits: %+v %v", len(many), i, err)
	}
}

// B18: an identity found out once is used for the next hearing and for another
// purpose, with nothing captured again; its age and origin are told. Too old, by
// another document, or for the same seat the whole way is gone.
func TestIdentityFoundOutOnceIsUsedAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	e := &engine{finding: matches, living: isThere}
	w := newWorld(t, e.into, func(c *kioskbridge.Config) { c.Now = func() time.Time { return now } })
	p := w.passport(emrtdtest.Genuine)
	first := with(p)
	if out, err := w.visit(first, tunnel.ServiceIdentity); err != nil || out.Result != tunnel.ResultDone || !out.Ticket.IsZero() {
		t.Fatalf("%+v %v", out, err)
	}
	before := w.last()
	visit := func(h *hands) kioskbridge.Record {
		t.Helper()
		if p.Card() != nil {
			p.Card().Reset()
		}
		if out, err := w.visit(h, tunnel.ServiceInterview); err != nil || out.Result != tunnel.ResultJoin {
			t.Fatalf("%+v %v", out, err)
		}
		return w.last()
	}
	book := func(purpose interview.Purpose) {
		w.booking.Hearing, w.booking.Participant, w.booking.Purpose = interview.NewHearingID(), interview.NewParticipantID(), purpose
		w.booking.Opens, w.booking.Closes = now.Add(-time.Hour), now.Add(4*time.Hour)
	}
	for _, purpose := range []interview.Purpose{interview.PurposeHearing, interview.PurposeReview, interview.PurposePreparation} {
		now = now.Add(24 * time.Hour)
		book(purpose)
		h := with(p)
		r := visit(h)
		if r.Route != ticket.RouteReused || r.Assurance != ticket.AssuranceLow || !slices.Equal(h.asked, []ticket.StepName{ticket.StepDocument}) {
			t.Errorf("%s: route %s, assurance %s, asked for %v", purpose, r.Route, r.Assurance, h.asked)
		}
		var evidence ticket.Evidence
		if err := canon.Unmarshal([]byte(r.Evidence), &evidence); err != nil || evidence.Before == nil || evidence.Before.Visit != before.ID || evidence.Before.EvidenceSHA256 != ticket.Hash([]byte(before.Evidence)) {
			t.Fatalf("%s: provenance %+v %v", purpose, evidence.Before, err)
		}
		shown, err := ticket.Shown(r.Evidence, now)
		if err != nil || len(shown) != 2 || shown[0].Reason != "low (reused)" || shown[1].Name != ticket.CheckBefore {
			t.Errorf("%s: the interviewer is shown %v %v", purpose, shown, err)
		}
	}
	if got := visit(with(p)); got.Route != ticket.RouteDocument {
		t.Errorf("a second visit for the same seat: %s", got.Route)
	}
	book(interview.PurposeHearing)
	other, err := w.state.Issue(emrtdtest.Person{Surname: "ERIKSSON", GivenNames: "ANNA MARIA", DocumentNumber: "L000000C3", DateOfBirth: "740812", Sex: "F"}, emrtdtest.Genuine)
	if err != nil {
		t.Fatal(err)
	}
	if got := visit(with(other)); got.Route != ticket.RouteDocument {
		t.Errorf("with another document: %s", got.Route)
	}
	book(interview.PurposeHearing)
	w.booking.Person.Name = "Matti Virtanen"
	if out, err := w.visit(with(other), tunnel.ServiceInterview); err != nil || out.Result != tunnel.ResultDesk {
		t.Errorf("another person's identity: %+v %v", out, err)
	}
	w.booking.Person.Name = "Anna Eriksson"
	now = now.Add(31 * 24 * time.Hour)
	book(interview.PurposeHearing)
	other.Card().Reset()
	if got := visit(with(other)); got.Route != ticket.RouteDocument {
		t.Errorf("after its validity: %s", got.Route)
	}
}

// B15: the desk goes on where the kiosk stopped, by a code that can be used once
// and for minutes, by the officer who took it, for the same person.
func TestDeskGoesOnWhereTheKioskStopped(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, func(c *kioskbridge.Config) { c.Now = func() time.Time { return now } })
	d, a, b := w.desk(), officer("a"), officer("b")
	out, err := w.visit(with(w.passport(emrtdtest.AlteredDG2)), tunnel.ServiceInterview)
	if err != nil || out.Result != tunnel.ResultDesk {
		t.Fatalf("%+v %v", out, err)
	}
	from := w.last()
	if _, err := d.TakeOver(t.Context(), a, "nonsense"); problem.Of(err).Code != problem.CodeMalformed {
		t.Errorf("nonsense: %v", err)
	}
	if _, err := d.TakeOver(t.Context(), a, "0000-0000-0000"); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("a guess: %v", err)
	}
	if _, err := d.GoOn(t.Context(), a, from.ID, ticket.MethodDocument, note); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("going on without the code: %v", err)
	}
	handed, err := d.TakeOver(t.Context(), a, " "+strings.ToLower(out.Handover))
	if err != nil || handed.Visit != from.ID || handed.Name != w.booking.Name || handed.Surname != "ERIKSSON" || len(handed.Checks) < 10 || len(handed.Steps) < 3 {
		t.Fatalf("%+v %v", handed, err)
	}
	if _, err := d.TakeOver(t.Context(), b, out.Handover); problem.Of(err).Code != problem.CodeTicketUsed {
		t.Errorf("a second use: %v", err)
	}
	if _, err := d.GoOn(t.Context(), b, from.ID, ticket.MethodDocument, note); problem.Of(err).Code != problem.CodeNotFound {
		t.Errorf("another officer goes on: %v", err)
	}
	booked := w.booking
	w.booking.Participant = interview.NewParticipantID()
	if _, err := d.GoOn(t.Context(), a, from.ID, ticket.MethodDocument, note); problem.Of(err).Code != problem.CodeConflict {
		t.Errorf("for another person: %v", err)
	}
	w.booking = booked
	i, err := d.GoOn(t.Context(), a, from.ID, ticket.MethodDocument, note)
	if err != nil || i.From != from.ID {
		t.Fatalf("%+v %v", i, err)
	}
	joined, err := d.Word(t.Context(), a, i.Visit, "signed")
	if err != nil || joined.Result != tunnel.ResultJoin {
		t.Fatalf("%+v %v", joined, err)
	}
	if _, err := w.store.Redeem(t.Context(), joined.Ticket, kioskbridge.Redemption{Device: w.booking.Terminal, Hearing: w.booking.Hearing, Purpose: w.booking.Purpose}); err != nil {
		t.Fatal(err)
	}
	proof, checks, err := w.store.Proof(t.Context(), joined.Ticket, w.booking.Terminal)
	if err != nil || checks[0].Name != kioskbridge.CheckOfficers || !slices.ContainsFunc(checks, func(c interview.Check) bool { return c.Name == emrtd.CheckDG2 && c.Verdict == interview.Failed }) {
		t.Errorf("the interviewer is shown %v %v", checks, err)
	}
	shown, err := ticket.Shown(proof.Evidence, now)
	if err != nil || len(shown) != 2 || shown[0].Reason != "low (officers, document)" || shown[1].Name != ticket.CheckBefore {
		t.Errorf("provenance %v %v", shown, err)
	}

	if out, err = w.visit(with(w.passport(emrtdtest.AlteredDG2)), tunnel.ServiceInterview); err != nil {
		t.Fatal(err)
	}
	now = now.Add(15*time.Minute + time.Second)
	if _, err := d.TakeOver(t.Context(), a, out.Handover); problem.Of(err).Code != problem.CodeTicketStale {
		t.Errorf("after its minutes: %v", err)
	}
}

// B6, B7: a card's signature is bound to the text that was shown, and what the
// service is about is kept sealed; live pictures are kept nowhere (B19).
func TestCardServiceKeepsWhatItIsAbout(t *testing.T) {
	t.Parallel()
	e := &engine{finding: matches, living: isThere}
	w := newWorld(t, e.into)
	h := with(w.passport(emrtdtest.Genuine))
	if out, err := w.visit(h, tunnel.ServiceCard); err != nil || out.Result != tunnel.ResultDone {
		t.Fatalf("%+v %v", out, err)
	}
	r := w.last()
	if !strings.Contains(r.Checks, `{"name":"signature-bound","reason":"ok","verdict":"verified"}`) {
		t.Errorf("checks %s", r.Checks)
	}
	var pieces []kioskbridge.PieceRecord
	if err := w.db.NewSelect().Model(&pieces).Order("p.n").Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(pieces) != 3 || pieces[0].Kind != "photo" || pieces[1].Kind != kioskbridge.KindSignedText || pieces[2].Kind != "signature" || pieces[0].SHA256 != ticket.Hash([]byte("\xff\xd8\xff photograph")) {
		t.Errorf("kept %+v", pieces)
	}
	w.nothingHolds(map[string][]byte{"live picture": live, "photograph in the clear": []byte("\xff\xd8\xff photograph"), "finger": []byte("live finger")})

	h = with(w.passport(emrtdtest.Genuine))
	h.take[ticket.StepSignature] = func(tunnel.Ask) (tunnel.Capture, error) {
		return done(tunnel.Piece{Kind: "signature", Format: "application/json", Bytes: []byte(`{"v":1,"text_sha256":"x","strokes":[[{"x":1},{"x":2},{"x":3}]]}`)}), nil
	}
	if out, err := w.visit(h, tunnel.ServiceCard); err != nil || out.Result != tunnel.ResultDone {
		t.Fatalf("%+v %v", out, err)
	}
	if r = w.last(); !strings.Contains(r.Checks, `{"name":"signature-bound","reason":"another-text","verdict":"failed"}`) {
		t.Errorf("a signature over another text: %s", r.Checks)
	}
}

// nothingHolds scans what the database keeps.
func (w *world) nothingHolds(secrets map[string][]byte) {
	w.t.Helper()
	seen, visit := false, []byte(w.last().ID.String())
	for _, f := range storetest.Files(w.t, w.db) {
		b, err := os.ReadFile(f)
		if err != nil {
			w.t.Fatal(err)
		}
		seen = seen || bytes.Contains(b, visit)
		for name, secret := range secrets {
			if bytes.Contains(b, secret) {
				w.t.Errorf("%s lies in %s", name, filepath.Base(f))
			}
		}
	}
	if !seen {
		w.t.Error("the visit was not found: the search proves nothing")
	}
}

// B1: a card opens by the number printed on it; a wrong one is tried once more.
func TestCardAccessNumberOpensTheChip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for can, want := range map[string]tunnel.Result{"271828": tunnel.ResultJoin, "000000": tunnel.ResultAgain} {
		p := w.passport(emrtdtest.WithPACE)
		h := with(p)
		h.take[ticket.StepDocument] = func(tunnel.Ask) (tunnel.Capture, error) {
			return done(tunnel.Piece{Kind: "zone", Format: "text/plain", Bytes: []byte(p.Printed)}, tunnel.Piece{Kind: "can", Format: "text/plain", Bytes: []byte(can)}), nil
		}
		if out, err := w.visit(h, tunnel.ServiceInterview); err != nil || out.Result != want {
			t.Errorf("%s: %+v %v, want %s", can, out, err, want)
		}
	}
}

// B10, B14, B15: the desk of kiosks over HTTP: officers alone take visits over and
// see figures; any kiosk tells of its parts.
func TestDeskOfKiosksOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mux := http.NewServeMux()
	by := officer("a")
	kioskbridge.RegisterDesk(interview.NewAPI(mux), w.desk(), func(c interview.Caller) (kioskbridge.Officer, error) { return by, nil })
	staff := interview.Caller{Device: by.Device, Subject: "a", Roles: []interview.Role{interview.RoleOfficer}}
	device := interview.Caller{Device: interview.NewDeviceID()}
	out, err := w.visit(with(w.passport(emrtdtest.AlteredDG1)), tunnel.ServiceInterview)
	if err != nil || out.Handover == "" {
		t.Fatalf("%+v %v", out, err)
	}
	do := func(c interview.Caller, method, path string, body any, want int) []byte {
		t.Helper()
		status, answer := interviewtest.Do(mux, c, method, path, body)
		if status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
		return answer
	}
	for _, route := range []string{"/api/desk/handovers", "/api/desk/notices/" + interview.NewCallID().String() + "/seen"} {
		do(device, http.MethodPost, route, map[string]any{"code": out.Handover}, http.StatusUnauthorized)
	}
	do(device, http.MethodGet, "/api/desk/visits", nil, http.StatusUnauthorized)
	do(device, http.MethodPost, "/api/desk/notices", map[string]any{"part": "printer", "code": "no-paper"}, http.StatusNoContent)
	var handed kioskbridge.HandedOver
	if err := json.Unmarshal(do(staff, http.MethodPost, "/api/desk/handovers", map[string]any{"code": out.Handover}, http.StatusOK), &handed); err != nil {
		t.Fatal(err)
	}
	do(staff, http.MethodPost, "/api/desk/identifications", map[string]any{"from": handed.Visit, "method": "document", "note": note}, http.StatusOK)
	var figures kioskbridge.Figures
	if err := json.Unmarshal(do(staff, http.MethodGet, "/api/desk/visits", nil, http.StatusOK), &figures); err != nil || figures.Visits != 1 || figures.Recent[0].Result != tunnel.ResultDesk {
		t.Errorf("%+v %v", figures, err)
	}
	var waiting struct {
		Notices         []kioskbridge.Notice
		Identifications []kioskbridge.Identification
	}
	if err := json.Unmarshal(do(staff, http.MethodGet, "/api/desk", nil, http.StatusOK), &waiting); err != nil || len(waiting.Notices) != 1 || len(waiting.Identifications) != 1 || waiting.Identifications[0].From != handed.Visit {
		t.Fatalf("%+v %v", waiting, err)
	}
	do(staff, http.MethodPost, "/api/desk/notices/"+waiting.Notices[0].ID.String()+"/seen", nil, http.StatusNoContent)
}
