package transcript_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/record"
	"kuule/transcript"
)

// authority seals with a key of its own, as the process does over the bus.
type authority struct {
	key    ed25519.PrivateKey
	lies   bool
	before func() // happens while a record is being sealed
}

func (a *authority) SealRecord(_ context.Context, r record.Record) (string, error) {
	if a.before != nil {
		a.before()
	}
	if a.lies {
		r.Content = "AAAA"
	}
	return jws.Sign(r, record.Type, a.key)
}

// desk is one hearing on record with its transcript over HTTP.
type desk struct {
	*interviewtest.World
	t         testing.TB
	srv       http.Handler
	store     *transcript.Store
	authority *authority
	sealing   ed25519.PublicKey
	mu        sync.Mutex
	at        time.Time
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = d.at.Add(by)
}

func newDesk(t testing.TB, open func(testing.TB) *interviewtest.World) *desk {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{World: open(t), t: t, authority: &authority{key: key}, sealing: pub, at: time.Now()}
	d.store = transcript.NewStore(d.DB, transcript.Config{
		Hearings: d.Store, Sealer: d.Sealer, Authority: d.authority, SealingKey: pub, Outbox: d.Outbox, Now: d.now,
	})
	mux := http.NewServeMux()
	transcript.Register(interview.NewAPI(mux), d.store)
	d.srv = mux
	if _, err := d.Store.OpenRoom(t.Context(), d.Hearing.ID, 1); err != nil {
		t.Fatal(err)
	}
	d.phase(interview.PhaseOnRecord)
	d.Clock.Pass(10 * time.Second)
	return d
}

func world(t testing.TB) *interviewtest.World { return interviewtest.NewWorld(t, storetest.Open(t)) }

func (d *desk) phase(to interview.Phase) {
	d.t.Helper()
	ask := interview.Ask{To: to, Cause: interview.CauseInterviewer, Role: interview.RoleInterviewer, By: d.Hearing.Participants[0].ID}
	if _, err := d.Store.Transition(d.t.Context(), d.Hearing.ID, ask, interview.Conditions{Recorder: true}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) do(role interview.Role, method, path string, body, out any) (int, problem.Code) {
	d.t.Helper()
	status, text := interviewtest.Do(d.srv, d.Caller(role), method, path, body)
	if out != nil && status < 300 {
		if err := json.Unmarshal(text, out); err != nil {
			d.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return status, interviewtest.Code(text)
}

func (d *desk) must(role interview.Role, method, path string, body, out any) {
	d.t.Helper()
	if status, code := d.do(role, method, path, body, out); status >= 300 {
		d.t.Fatalf("%s %s as %s: %d %s", method, path, role, status, code)
	}
}

func (d *desk) line(id interview.UtteranceID) string {
	return "/api/hearings/" + d.Hearing.ID.String() + "/utterances/" + id.String()
}

func (d *desk) records() string { return "/api/hearings/" + d.Hearing.ID.String() + "/records" }

func (d *desk) body(version int64, at interview.Micros, kind record.Kind, text string) map[string]any {
	speaker := d.Hearing.Participants[0].ID
	if kind == record.Answer {
		speaker = d.Hearing.Participants[1].ID
	}
	return map[string]any{"version": version, "kind": kind, "at": at, "speaker": speaker, "language": "fi", "text": text}
}

var (
	question = "Mika on nimenne, kysyttiin kuulusteltavalta"
	answer   = "Nimeni on Aisha ja lahdin Kabulista"
	amended  = "En lahtenyt Kabulista vaan Heratista"
)

// sealed ends the hearing with a question and an answer and seals version 1.
func (d *desk) sealed() (transcript.Sealed, [2]interview.UtteranceID) {
	d.t.Helper()
	ids := [2]interview.UtteranceID{interview.NewUtteranceID(), interview.NewUtteranceID()}
	d.must(interview.RoleInterviewer, "PUT", d.line(ids[0]), d.body(0, 1_000_000, record.Question, question), nil)
	d.must(interview.RoleInterviewer, "PUT", d.line(ids[1]), d.body(0, 2_000_000, record.Answer, answer), nil)
	d.phase(interview.PhaseEnded)
	var v transcript.Sealed
	d.must(interview.RoleInterviewer, "POST", d.records(), nil, &v)
	return v, ids
}

func (d *desk) deliver(v transcript.Sealed) {
	d.t.Helper()
	d.must(interview.RoleInterviewer, "POST", "/api/records/"+v.Record.String()+"/deliver", map[string]any{"language": "ar"}, nil)
}

func correction(target interview.UtteranceID, text string) map[string]any {
	return map[string]any{"kind": "correction", "utterance": target, "text": text, "language": "fi", "channel": "terminal"}
}

// J1, J4, J7, J9: the whole way, and both versions verify without the server.
func TestARecordIsHandedOverCorrectedConfirmedAndSealedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	v1, ids := d.sealed()
	at := "/api/records/" + v1.Record.String()
	if _, code := d.do(interview.RoleApplicant, "GET", at, nil, nil); code != problem.CodeNotDelivered {
		t.Fatalf("before the hand-over the applicant got %q", code)
	}
	list := func() (out struct {
		Records []transcript.Listed `json:"records"`
	}) {
		d.must(interview.RoleApplicant, "GET", d.records(), nil, &out)
		return out
	}
	if got := list(); len(got.Records) != 0 {
		t.Errorf("before the hand-over the applicant's list shows %+v", got)
	}
	d.deliver(v1)
	if got := list(); len(got.Records) != 1 || got.Records[0].Record != v1.Record || got.Records[0].Delivery.Deadline == 0 {
		t.Errorf("after the hand-over the applicant's list shows %+v", got)
	}
	var review transcript.Review
	d.must(interview.RoleApplicant, "GET", at, nil, &review)
	if review.Sealed.Content != v1.Content || !strings.Contains(review.Sealed.Content, answer) || !strings.Contains(review.Sealed.Content, "hand-over-7-days") {
		t.Errorf("the applicant reads %+v", review.Sealed)
	}
	d.must(interview.RoleApplicant, "POST", at+"/receipt", nil, nil)
	d.pass(time.Hour)
	d.must(interview.RoleApplicant, "POST", at+"/receipt", nil, nil)
	var a record.Amendment
	d.must(interview.RoleApplicant, "POST", at+"/amendments", correction(ids[1], amended), &a)
	if a.Number != 1 || a.Late || a.By != d.Hearing.Participants[1].ID {
		t.Errorf("amendment: %+v", a)
	}
	d.must(interview.RoleApplicant, "POST", at+"/outcome", map[string]any{"outcome": "confirmed-with-amendments"}, nil)
	if _, code := d.do(interview.RoleInterviewer, "POST", d.records(), nil, nil); code != problem.CodeNotReady {
		t.Errorf("version 2 before the amendment was answered: %q", code)
	}
	reply := map[string]any{"decision": "accepted", "text": "Korjaus otettu huomioon"}
	d.must(interview.RoleInterviewer, "POST", "/api/amendments/"+a.ID.String()+"/answer", reply, nil)
	var v2 transcript.Sealed
	d.must(interview.RoleInterviewer, "POST", d.records(), nil, &v2)

	records, err := record.VerifyChain([]string{v1.Signed, v2.Signed}, d.sealing)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := record.VerifyContents(records, [][]byte{[]byte(v1.Content), []byte(v2.Content)})
	if err != nil {
		t.Fatal(err)
	}
	last := contents[1]
	if records[1].Previous != jws.Hash(v1.Signed) || records[1].Outcome != record.ConfirmedWithAmendments {
		t.Errorf("version 2: %+v", records[1])
	}
	if last.Utterances[1].Text != answer || last.Amendments[0].Text != amended || last.Amendments[0].Utterance != ids[1] || last.Amendments[0].Reply.Decision != "accepted" {
		t.Error("version 2 does not hold the original with the amendment beside it")
	}
	if last.Justification != interviewtest.Words[4] || last.Deliveries[0].Language != "ar" {
		t.Errorf("A5 or the hand-over is missing: %+v", last)
	}
	for _, word := range append([]string{question, answer, amended}, interviewtest.Words...) {
		for _, signed := range []string{v1.Signed, v2.Signed} {
			var text map[string]any
			if err := jws.Verify(signed, record.Type, d.sealing, &text); err != nil || strings.Contains(fmt.Sprint(text), word) {
				t.Errorf("the signed record holds %q (%v)", word, err)
			}
		}
	}
	if _, code := d.do(interview.RoleInterviewer, "POST", d.records(), nil, nil); code != problem.CodeSealed {
		t.Errorf("a third version: %q", code)
	}
	if _, code := d.do(interview.RoleApplicant, "POST", at+"/amendments", correction(ids[1], "x"), nil); code != problem.CodeOutcomeSet {
		t.Errorf("an amendment after the outcome: %q", code)
	}
	words := append([]string{question, answer, amended, "Korjaus otettu"}, interviewtest.Words...)
	interviewtest.CheckNoPlainText(t, d.DB, words...)
	for _, e := range d.Outbox.Events() {
		for _, word := range words {
			if strings.Contains(e, word) {
				t.Errorf("audit event holds %q", word)
			}
		}
	}
}

// I1: lines belong to the hearing's time; of two writers one is told; what was
// answered is durable and repeating it is harmless.
func TestTypingIsCompareAndSetAgainstTheHearingClock(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	id := interview.NewUtteranceID()
	put := func(at string, body map[string]any) problem.Code {
		t.Helper()
		_, code := d.do(interview.RoleInterviewer, "PUT", at, body, nil)
		return code
	}
	here := d.line(id)
	if code := put(here, d.body(0, 1, record.Note, "a")); code != "" {
		t.Fatal(code)
	}
	if code := put(here, d.body(0, 1, record.Note, "a")); code != "" {
		t.Errorf("the same again after a lost answer: %s", code)
	}
	if code := put(here, d.body(0, 1, record.Note, "b")); code != problem.CodeConflict {
		t.Errorf("another wording at an old version: %q", code)
	}
	if code := put(here, d.body(1, 1, record.Note, "ab")); code != "" {
		t.Errorf("the next wording: %s", code)
	}
	if code := put(here, d.body(7, 1, record.Note, "z")); code != problem.CodeConflict {
		t.Errorf("a version from the future: %q", code)
	}
	other := interview.NewParticipantID()
	stranger := d.body(0, 1, record.Note, "a")
	stranger["speaker"] = other
	for name, c := range map[string]struct {
		body map[string]any
		want problem.Code
	}{
		"after now":        {d.body(0, 10_000_001, record.Note, "a"), problem.CodeClock},
		"before the start": {d.body(0, -1, record.Note, "a"), problem.CodeClock},
		"too long":         {d.body(0, 1, record.Note, strings.Repeat("a", transcript.MaxText+1)), problem.CodeTooLarge},
		"unknown kind":     {d.body(0, 1, "song", "a"), problem.CodeMalformed},
		"by a stranger":    {stranger, problem.CodeMalformed},
	} {
		if code := put(d.line(interview.NewUtteranceID()), c.body); code != c.want {
			t.Errorf("%s: got %q, want %s", name, code, c.want)
		}
	}
	var got transcript.Transcript
	d.must(interview.RoleInterviewer, "GET", "/api/hearings/"+d.Hearing.ID.String()+"/transcript", nil, &got)
	if len(got.Utterances) != 1 || got.Utterances[0].Text != "ab" || got.Utterances[0].Version != 2 || got.Span != 10_000_000 {
		t.Errorf("transcript: %+v", got)
	}
}

func TestBeforeTheOpeningTheTranscriptIsEmptyAndTakesNothing(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := transcript.NewStore(w.DB, transcript.Config{Hearings: w.Store, Sealer: w.Sealer, Outbox: w.Outbox})
	mux := http.NewServeMux()
	transcript.Register(interview.NewAPI(mux), s)
	at := "/api/hearings/" + w.Hearing.ID.String()
	me := w.Caller(interview.RoleInterviewer)
	if status, body := interviewtest.Do(mux, me, "GET", at+"/transcript", nil); status != http.StatusOK || !strings.Contains(string(body), `"utterances":[]`) {
		t.Errorf("%d %s", status, body)
	}
	line := map[string]any{"version": 0, "kind": "note", "at": 0, "speaker": w.Hearing.Participants[0].ID, "language": "fi", "text": "a"}
	if _, body := interviewtest.Do(mux, me, "PUT", at+"/utterances/"+interview.NewUtteranceID().String(), line); interviewtest.Code(body) != problem.CodeNotReady {
		t.Errorf("a line before the opening: %s", body)
	}
}

func TestManyWritersOfOneLineLeaveOneHistory(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	id := interview.NewUtteranceID()
	var won sync.Map
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			u := record.Utterance{ID: id, Kind: record.Note, Speaker: d.Hearing.Participants[0].ID, Language: "fi", Text: fmt.Sprint(n)}
			if _, err := d.store.Put(context.Background(), d.Hearing, u); err == nil {
				won.Store(n, true)
			} else if !errors.Is(err, problem.New(problem.CodeConflict, "")) {
				t.Errorf("writer %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	winners := 0
	won.Range(func(any, any) bool { winners++; return true })
	if winners != 1 {
		t.Errorf("%d writers were told that they won", winners)
	}
}

func TestATranscriptHasABound(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	text := strings.Repeat("a", transcript.MaxText)
	for range transcript.MaxTranscript / transcript.MaxText {
		d.must(interview.RoleInterviewer, "PUT", d.line(interview.NewUtteranceID()), d.body(0, 1, record.Note, text), nil)
	}
	if _, code := d.do(interview.RoleInterviewer, "PUT", d.line(interview.NewUtteranceID()), d.body(0, 1, record.Note, "a"), nil); code != problem.CodeTooLarge {
		t.Errorf("beyond the bound: %q", code)
	}
}

func TestEachSingleMissingConditionOfSealingAndEnding(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	seal := func() problem.Code {
		_, code := d.do(interview.RoleInterviewer, "POST", d.records(), nil, nil)
		return code
	}
	id := interview.NewUtteranceID()
	d.must(interview.RoleInterviewer, "PUT", d.line(id), d.body(0, 1, record.Note, "a"), nil)
	if code := seal(); code != problem.CodeNotReady {
		t.Errorf("before the end: %q", code)
	}
	d.must(interview.RoleInterviewer, "PUT", d.line(id), d.body(1, 1, record.Note, " "), nil)
	d.phase(interview.PhaseEnded)
	if code := seal(); code != problem.CodeNotReady {
		t.Errorf("without a line: %q", code)
	}
	d.must(interview.RoleInterviewer, "PUT", d.line(id), d.body(2, 1, record.Note, "a"), nil)
	d.authority.lies = true
	if code := seal(); code != problem.CodeUnavailable {
		t.Errorf("an authority that seals something else: %q", code)
	}
	d.authority.lies = false
	var v transcript.Sealed
	d.must(interview.RoleInterviewer, "POST", d.records(), nil, &v)
	if code := seal(); code != problem.CodeNotReady {
		t.Errorf("version 2 without an outcome: %q", code)
	}
	at := "/api/records/" + v.Record.String()
	end := func(role interview.Role, body map[string]any) problem.Code {
		_, code := d.do(role, "POST", at+"/outcome", body, nil)
		return code
	}
	confirm := map[string]any{"outcome": "confirmed"}
	if code := end(interview.RoleApplicant, confirm); code != problem.CodeNotDelivered {
		t.Errorf("outcome before the hand-over: %q", code)
	}
	d.deliver(v)
	for name, c := range map[string]struct {
		role interview.Role
		body map[string]any
		want problem.Code
	}{
		"J7 refusal without reasons":      {interview.RoleApplicant, map[string]any{"outcome": "refused"}, problem.CodeReasonsNeeded},
		"reasons and none given at once":  {interview.RoleApplicant, map[string]any{"outcome": "refused", "reasons": "a", "declined_reasons": true}, problem.CodeReasonsNeeded},
		"confirmed with reasons":          {interview.RoleApplicant, map[string]any{"outcome": "confirmed", "reasons": "a"}, problem.CodeMalformed},
		"amendments that are not there":   {interview.RoleApplicant, map[string]any{"outcome": "confirmed-with-amendments"}, problem.CodeConflict},
		"unknown outcome":                 {interview.RoleApplicant, map[string]any{"outcome": "maybe"}, problem.CodeMalformed},
		"the interviewer confirms":        {interview.RoleInterviewer, confirm, problem.CodeForbidden},
		"silence before the limit passed": {interview.RoleInterviewer, map[string]any{"outcome": "no-reply"}, problem.CodeNotReady},
		"silence noted by the applicant":  {interview.RoleApplicant, map[string]any{"outcome": "no-reply"}, problem.CodeForbidden},
	} {
		if code := end(c.role, c.body); code != c.want {
			t.Errorf("%s: got %q, want %s", name, code, c.want)
		}
	}
	if code := end(interview.RoleApplicant, map[string]any{"outcome": "refused", "declined_reasons": true}); code != "" {
		t.Errorf("declined to give reasons: %q", code)
	}
	if code := end(interview.RoleApplicant, confirm); code != problem.CodeOutcomeSet {
		t.Errorf("J7 a second outcome: %q", code)
	}
}

// What was read is what is sealed: a line typed meanwhile is never lost.
func TestALineTypedWhileSealingIsAConflictAndNotLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	d.must(interview.RoleInterviewer, "PUT", d.line(interview.NewUtteranceID()), d.body(0, 1, record.Note, "a"), nil)
	d.phase(interview.PhaseEnded)
	d.authority.before = func() {
		d.must(interview.RoleInterviewer, "PUT", d.line(interview.NewUtteranceID()), d.body(0, 2, record.Note, "typed meanwhile"), nil)
	}
	if _, code := d.do(interview.RoleInterviewer, "POST", d.records(), nil, nil); code != problem.CodeConflict {
		t.Fatalf("sealed over a line typed meanwhile: %q", code)
	}
	d.authority.before = nil
	var v transcript.Sealed
	d.must(interview.RoleInterviewer, "POST", d.records(), nil, &v)
	if !strings.Contains(v.Content, "typed meanwhile") {
		t.Error("the line is lost")
	}
}

// Two who seal at once make one version 1.
func TestTwoWhoSealAtOnceMakeOneVersion(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	d.must(interview.RoleInterviewer, "PUT", d.line(interview.NewUtteranceID()), d.body(0, 1, record.Note, "a"), nil)
	d.phase(interview.PhaseEnded)
	h, err := d.Store.Hearing(t.Context(), d.Hearing.ID)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _, _ = d.store.Seal(context.Background(), h) })
	}
	wg.Wait()
	versions, err := d.store.Versions(t.Context(), h)
	if err != nil || len(versions) != 1 {
		t.Errorf("%d versions, %v", len(versions), err)
	}
}

// J6: late amendments are taken and marked; silence counts after the limit.
func TestWhatComesAfterTheLimitIsMarkedLate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	v, ids := d.sealed()
	d.deliver(v)
	at := "/api/records/" + v.Record.String()
	d.pass(30 * 24 * time.Hour)
	// The ticket of a later visit: the world's lasts an hour by the wall clock.
	var a record.Amendment
	d.must(interview.RoleCounsel, "POST", at+"/amendments", map[string]any{
		"kind": "correction", "utterance": ids[1], "text": amended, "language": "fi", "channel": "written", "on_behalf": d.Hearing.Participants[1].ID,
	}, &a)
	if !a.Late || a.OnBehalf != d.Hearing.Participants[1].ID || a.By != d.Hearing.Participants[2].ID {
		t.Errorf("amendment: %+v", a)
	}
	d.must(interview.RoleInterviewer, "POST", at+"/outcome", map[string]any{"outcome": "no-reply"}, nil)
}

func TestARecordExistsOnlyForThoseWhoHaveAPartInIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	v, _ := d.sealed()
	d.deliver(v)
	at := "/api/records/" + v.Record.String()
	hearingTicket := d.Ticket(d.Hearing.Participants[1], interview.PurposeHearing)
	stale := d.Caller(interview.RoleApplicant)
	stale.Tickets[0].Expires = time.Now().Add(-time.Second)
	for name, c := range map[string]interview.Caller{
		"another counsel":        {Device: d.Chambers, Subject: "sub-x", Roles: []interview.Role{interview.RoleCounsel}},
		"another interviewer":    {Device: d.Desk, Subject: "sub-x", Roles: []interview.Role{interview.RoleInterviewer}},
		"ticket for the hearing": hearingTicket,
		"stale ticket":           stale,
	} {
		for _, path := range []string{at, d.records()} {
			status, body := interviewtest.Do(d.srv, c, "GET", path, nil)
			if status < 400 || strings.Contains(string(body), answer) {
				t.Errorf("%s reads %s: %d", name, path, status)
			}
		}
	}
	if status, _ := d.do(interview.RoleCounsel, "POST", at+"/deliver", map[string]any{"language": "fi"}, nil); status < 400 {
		t.Error("counsel handed the record over")
	}
}

// J4: whatever is called with whatever, version 1 stays byte for byte.
func TestNoCallChangesASealedLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	v, ids := d.sealed()
	d.deliver(v)
	routes := interview.Access()
	var names []string
	for name := range routes {
		if strings.Contains(name, "utterances") || strings.Contains(name, "record") || strings.Contains(name, "amendments") || strings.Contains(name, "transcript") {
			names = append(names, name)
		}
	}
	amendments := []string{interview.NewAmendmentID().String()}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(rt, "calls") {
			method, path, _ := strings.Cut(rapid.SampledFrom(names).Draw(rt, "route"), " ")
			path = strings.NewReplacer(
				"{hearing}", d.Hearing.ID.String(), "{record}", v.Record.String(),
				"{utterance}", rapid.SampledFrom([]string{ids[0].String(), ids[1].String(), interview.NewUtteranceID().String()}).Draw(rt, "line"),
				"{amendment}", rapid.SampledFrom(amendments).Draw(rt, "amendment"),
			).Replace(path)
			body := map[string]any{}
			for name, values := range map[string][]any{
				"version": {0, 1, 2}, "kind": {"question", "answer", "correction", "addition"}, "at": {1_000_000, 2_000_000},
				"speaker": {d.Hearing.Participants[0].ID, d.Hearing.Participants[1].ID}, "language": {"fi"},
				"text": {"changed", ""}, "utterance": {ids[0], ids[1]}, "channel": {"terminal"},
				"outcome": {"refused"}, "reasons": {"because"}, "decision": {"accepted"},
			} {
				if rapid.IntRange(0, 9).Draw(rt, "with "+name) > 0 {
					body[name] = rapid.SampledFrom(values).Draw(rt, name)
				}
			}
			trim(path, body)
			role := rapid.SampledFrom([]interview.Role{interview.RoleInterviewer, interview.RoleApplicant, interview.RoleCounsel}).Draw(rt, "role")
			var send any
			if method != "GET" && !strings.HasSuffix(path, "/receipt") && !strings.HasSuffix(path, "/records") {
				send = body
			}
			status, text := interviewtest.Do(d.srv, d.Caller(role), method, path, send)
			if status >= 500 {
				rt.Fatalf("%s %s %v as %s: %d %s", method, path, body, role, status, text)
			}
			if strings.Contains(path, "/utterances/") && status < 400 {
				rt.Fatalf("a line was taken after the sealing: %s", text)
			}
			var a record.Amendment
			if strings.HasSuffix(path, "/amendments") && status == http.StatusCreated && json.Unmarshal(text, &a) == nil && len(amendments) < 50 {
				amendments = append(amendments, a.ID.String())
			}
			versions, err := d.store.Versions(context.Background(), d.Hearing)
			if err != nil || versions[0] != v {
				rt.Fatalf("version 1 was changed by %s %s %v (%v)", method, path, body, err)
			}
		}
	})
	for _, table := range []string{"utterance", "transcript_record", "record_delivery", "amendment", "amendment_reply", "record_outcome"} {
		if _, err := d.DB.ExecContext(t.Context(), "DELETE FROM "+table); err == nil {
			if n, _ := d.DB.NewSelect().Table(table).Count(t.Context()); n == 0 && (table == "utterance" || table == "transcript_record") {
				t.Errorf("rows of %s could be deleted", table)
			}
		}
	}
	for _, q := range []string{"UPDATE utterance SET sealed = x'00'", "UPDATE utterance SET version = 9", "UPDATE transcript_record SET sealed = x'00'", "UPDATE transcript_record SET signed = ''"} {
		if _, err := d.DB.ExecContext(t.Context(), q); err == nil {
			t.Errorf("%s went through", q)
		}
	}
}

// trim keeps the fields that the route knows: unknown ones are refused at the
// door, which would make the calls harmless for another reason.
func trim(path string, body map[string]any) {
	known := map[string][]string{
		"/utterances/": {"version", "kind", "at", "speaker", "language", "text"}, "/deliver": {"language"},
		"/amendments": {"kind", "utterance", "text", "language", "channel"}, "/outcome": {"outcome", "reasons"}, "/answer": {"decision", "text"},
	}
	for part, fields := range known {
		if !strings.Contains(path, part) || (part == "/amendments" && strings.HasSuffix(path, "/answer")) {
			continue
		}
		for name := range body {
			if !strings.Contains(" "+strings.Join(fields, " ")+" ", " "+name+" ") {
				delete(body, name)
			}
		}
	}
}

func TestEveryRouteAsEveryRole(t *testing.T) {
	t.Parallel()
	d := newDesk(t, world)
	mux := http.NewServeMux()
	api := interview.NewAPI(mux)
	transcript.Register(api, d.store)
	interviewtest.CheckAccess(t, mux, api)
}
