package interview_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
)

func code(t testing.TB, err error) problem.Code {
	t.Helper()
	var p *problem.Error
	if err != nil && !errors.As(err, &p) {
		t.Fatalf("not a problem: %v", err)
	}
	if p == nil {
		return ""
	}
	return p.Code
}

func TestBookingIsRefusedForEachSingleMissingCondition(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	for name, c := range map[string]struct {
		spoil func(*interview.Booking)
		want  problem.Code
	}{
		"A5 remote without justification": {func(b *interview.Booking) { b.Justification = " \n" }, problem.CodeJustificationNeeded},
		"A6 open vulnerability flag": {func(b *interview.Booking) {
			b.Vulnerabilities = []interview.Vulnerability{{Kind: "minor"}}
		}, problem.CodeVulnerabilityOpen},
		"C3 device in no agreement": {func(b *interview.Booking) { b.Participants[2].Device = interview.NewDeviceID() }, problem.CodeDeviceNotNamed},
		"agreement ends before":     {func(b *interview.Booking) { b.Opens, b.Closes = b.Opens.AddDate(1, 0, 0), b.Closes.AddDate(1, 0, 0) }, problem.CodeNoAgreement},
		"unknown case":              {func(b *interview.Booking) { b.Case = interview.NewCaseID() }, problem.CodeNotFound},
		"no interviewer":            {func(b *interview.Booking) { b.Participants = b.Participants[1:] }, problem.CodeMalformed},
		"two applicants":            {func(b *interview.Booking) { b.Participants = append(b.Participants, b.Participants[1]) }, problem.CodeMalformed},
		"seat without device":       {func(b *interview.Booking) { b.Participants[0].Device = interview.DeviceID{} }, problem.CodeMalformed},
		"window turned round":       {func(b *interview.Booking) { b.Opens, b.Closes = b.Closes, b.Opens }, problem.CodeMalformed},
		"a number that is none":     {func(b *interview.Booking) { b.Participants[1].Card = "a-29" }, problem.CodeMalformed},
		"an interpreter's card":     {func(b *interview.Booking) { b.Participants[2].Card = "A294711" }, problem.CodeMalformed},
		"a day that is none":        {func(b *interview.Booking) { b.Participants[1].Born = "1990-02-30" }, problem.CodeMalformed},
		"staff role in the room":    {func(b *interview.Booking) { b.Participants[2].Role = interview.RoleAdministrator }, problem.CodeMalformed},
	} {
		b := w.Booking
		b.Participants = append([]interview.BookingParticipant{}, w.Booking.Participants...)
		c.spoil(&b)
		if _, err := w.Store.Book(t.Context(), b); code(t, err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	b := w.Booking
	b.Vulnerabilities = []interview.Vulnerability{{Kind: "minor", Decision: "representative takes part"}}
	if _, err := w.Store.Book(t.Context(), b); err != nil {
		t.Errorf("a decided vulnerability blocked: %v", err)
	}
	b.Mode, b.Justification, b.Vulnerabilities[0].Decision = interview.ModeInPerson, "", ""
	if _, err := w.Store.Book(t.Context(), b); err != nil {
		t.Errorf("in person needs no justification: %v", err)
	}
}

func TestABookedHearingReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	h, err := w.Store.Hearing(t.Context(), w.Hearing.ID)
	if err != nil {
		t.Fatal(err)
	}
	if h.Diary != interviewtest.Words[0] || h.Justification != interviewtest.Words[4] || len(h.Seats) != 3 || h.Participants[1].Name != interviewtest.Words[1] {
		t.Errorf("read %+v", h)
	}
	of, err := w.Store.HearingOf(t.Context(), h.Participants[1].ID)
	if err != nil || of.ID != h.ID {
		t.Errorf("hearing of the applicant: %v", err)
	}
	if _, err := w.Store.HearingOf(t.Context(), interview.NewParticipantID()); code(t, err) != problem.CodeNotFound {
		t.Errorf("hearing of nobody: %v", err)
	}
	if seats := h.SeatsAt(w.Terminal); len(seats) != 1 || seats[0].Participant != h.Participants[1].ID {
		t.Errorf("seats at the terminal: %+v", seats)
	}
}

// B12: by what a kiosk knows a person is read as it was booked, and lies nowhere
// open.
func TestWhatAKioskKnowsAPersonByIsSealed(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	w := interviewtest.NewWorld(t, db)
	b := w.Booking
	b.Participants = slices.Clone(b.Participants)
	b.Participants[1].Born, b.Participants[1].Card = "1988-03-14", "A294711"
	booked, err := w.Store.Book(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	h, err := w.Store.Hearing(t.Context(), booked.ID)
	if err != nil || h.Participants[1].Born != "1988-03-14" || h.Participants[1].Card != "A294711" || h.Participants[0].Card != "" {
		t.Fatalf("%+v, %v", h.Participants, err)
	}
	interviewtest.CheckNoPlainText(t, db, "1988-03-14", "A294711")
}

// Promise 6: nothing that speaks of a person is in the database in plain.
func TestPersonalContentIsSealedInTheDatabase(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	w := interviewtest.NewWorld(t, db)
	onRecord(t, w)
	words := append([]string{"her child is ill"}, interviewtest.Words...)
	ask := interview.Ask{To: interview.PhasePaused, Cause: interview.CauseRequested, Role: interview.RoleInterviewer, By: w.Hearing.Participants[0].ID, Reason: words[0]}
	if _, err := w.Store.Transition(t.Context(), w.Hearing.ID, ask, interview.Conditions{}); err != nil {
		t.Fatal(err)
	}
	phases, err := w.Store.Phases(t.Context(), w.Hearing.ID)
	if err != nil || phases[2].Reason != words[0] {
		t.Fatalf("reason of the pause: %+v, %v", phases, err)
	}
	interviewtest.CheckNoPlainText(t, db, words...)
	for _, e := range w.Outbox.Events() {
		for _, word := range words {
			if strings.Contains(e, word) {
				t.Errorf("audit event holds personal content: %s", e)
			}
		}
	}
}

func onRecord(t testing.TB, w *interviewtest.World) *interview.Clock {
	t.Helper()
	clock, err := w.Store.OpenRoom(t.Context(), w.Hearing.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	ask := interview.Ask{To: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Role: interview.RoleInterviewer, By: w.Hearing.Participants[0].ID}
	if _, err := w.Store.Transition(t.Context(), w.Hearing.ID, ask, interview.Conditions{Recorder: true}); err != nil {
		t.Fatal(err)
	}
	return clock
}

func TestATransitionAndItsAuditEventAreKeptTogether(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	onRecord(t, w)
	w.Outbox.Fail = errors.New("outbox is full")
	ask := interview.Ask{To: interview.PhasePaused, Cause: interview.CauseRecorderLost}
	if _, err := w.Store.Transition(t.Context(), w.Hearing.ID, ask, interview.Conditions{}); err == nil {
		t.Fatal("a transition without its audit event was kept")
	}
	h, err := w.Store.Hearing(t.Context(), w.Hearing.ID)
	if err != nil || h.State.Phase != interview.PhaseOnRecord || h.State.Seq != 2 {
		t.Fatalf("state is %+v (%v), want on record as before", h.State, err)
	}
	w.Outbox.Fail = nil
	state, err := w.Store.Transition(t.Context(), w.Hearing.ID, ask, interview.Conditions{})
	if err != nil || state.Phase != interview.PhasePaused {
		t.Fatalf("after the outbox took events again: %+v, %v", state, err)
	}
	events := w.Outbox.Events()
	if last := events[len(events)-1]; !strings.HasPrefix(last, "phase.changed ") || !strings.Contains(last, `"cause":"recorder-lost"`) {
		t.Errorf("last event is %s", last)
	}
}

func TestTheHearingClockFollowsNoWallClockAndLogsItsAnchors(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	clock := onRecord(t, w)
	w.Clock.Pass(90 * time.Second)
	w.Clock.SetWall(-24 * time.Hour)
	if now := clock.Now(); now != 90_000_000 {
		t.Errorf("clock shows %d µs after 90 s and a wall clock set back", now)
	}
	if _, err := w.Store.LogAnchor(t.Context(), w.Hearing.ID, clock, interview.AnchorRecorder); err != nil {
		t.Fatal(err)
	}
	w.Clock.Restart()
	again, err := w.Store.OpenRoom(t.Context(), w.Hearing.ID, 2)
	if err != nil {
		t.Fatal(err)
	}
	if now := again.Now(); now < 90_000_000 {
		t.Errorf("after a takeover the clock shows %d µs, before what was logged", now)
	}
	if _, err := w.Store.OpenRoom(t.Context(), w.Hearing.ID, 1); code(t, err) != problem.CodeConflict {
		t.Errorf("a keeper whose lease is over took the clock: %v", err)
	}
	if _, err := w.Store.LogAnchor(t.Context(), w.Hearing.ID, clock, interview.AnchorRecorder); code(t, err) != problem.CodeConflict {
		t.Errorf("a keeper whose lease is over logged an anchor: %v", err)
	}
	anchors, err := w.Store.Anchors(t.Context(), w.Hearing.ID)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, a := range anchors {
		kinds = append(kinds, string(a.Kind))
	}
	if got := strings.Join(kinds, " "); got != "opening resume recorder takeover" {
		t.Errorf("anchors: %s", got)
	}
}

func TestEndedIsFinalAndStopsTheClock(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	onRecord(t, w)
	w.Clock.Pass(time.Second)
	by := w.Hearing.Participants[0].ID
	end := interview.Ask{To: interview.PhaseEnded, Cause: interview.CauseInterviewer, Role: interview.RoleInterviewer, By: by}
	if _, err := w.Store.Transition(t.Context(), w.Hearing.ID, end, interview.Conditions{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Pass(time.Hour)
	span, err := w.Store.Span(t.Context(), w.Hearing.ID)
	if err != nil || span != 1_000_000 {
		t.Errorf("the hearing's time goes to %d (%v), want its end", span, err)
	}
	resume := interview.Ask{To: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Role: interview.RoleInterviewer, By: by}
	if _, err := w.Store.Transition(t.Context(), w.Hearing.ID, resume, interview.Conditions{Recorder: true}); code(t, err) != problem.CodePhase {
		t.Errorf("after the end: %v", err)
	}
	if _, err := w.Store.OpenRoom(t.Context(), w.Hearing.ID, 9); code(t, err) != problem.CodeTooLate {
		t.Errorf("room of an ended hearing: %v", err)
	}
}

func TestWhatWasBookedIsNotChangedBySQL(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	onRecord(t, interviewtest.NewWorld(t, db))
	for _, q := range []string{
		"UPDATE interview_case SET lodged = '2020-01-01'", "DELETE FROM interview_case", "UPDATE hearing SET mode = 'in-person'",
		"UPDATE hearing SET sealed = x'00'", "UPDATE participant SET subject = 'x'", "UPDATE seat SET device_id = 'x'", "DELETE FROM seat",
		"UPDATE hearing_phase SET cause = 'interviewer'", "DELETE FROM hearing_phase", "UPDATE hearing_anchor SET wall_us = 0",
	} {
		if _, err := db.ExecContext(t.Context(), q); err == nil {
			t.Errorf("%s went through", q)
		}
	}
}

func newServer(w *interviewtest.World) http.Handler {
	mux := http.NewServeMux()
	interview.Register(interview.NewAPI(mux), w.Store, nil)
	return mux
}

func TestEveryRouteAsEveryRole(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	mux := http.NewServeMux()
	api := interview.NewAPI(mux)
	interview.Register(api, w.Store, nil)
	interviewtest.CheckAccess(t, mux, api)
}

// Where people can be seated is told to who may book, and to nobody else.
func TestPlacesAreForWhoBooks(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	srv := newServer(w)
	for _, role := range []interview.Role{interview.RoleInterviewer, interview.RoleCounsel, interview.RoleApplicant, interview.RoleSecurityOffice} {
		caller := w.Caller(role)
		status, body := interviewtest.Do(srv, caller, "GET", "/api/me", nil)
		var me interview.Me
		if err := json.Unmarshal(body, &me); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", role, status, body)
		}
		if me.Subject != caller.Subject {
			t.Errorf("%s: subject %q, want %q", role, me.Subject, caller.Subject)
		}
		own := slices.ContainsFunc(me.Places, func(p interview.Place) bool { return p.Own && p.Device == caller.Device })
		if want := role == interview.RoleInterviewer; own != want || len(me.Places) > 0 != want {
			t.Errorf("%s is told of places: %v", role, me.Places)
		}
	}
}

func TestARouteThatNobodyDecidedOnCannotBeRegistered(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("route was registered")
		}
	}()
	mux := http.NewServeMux()
	registerUnknown(interview.NewAPI(mux))
}

func TestBookOverHTTP(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	srv := newServer(w)
	status, body := interviewtest.Do(srv, w.Caller(interview.RoleInterviewer), "POST", "/api/hearings", w.Booking)
	if status != http.StatusCreated {
		t.Fatalf("booking: %d %s", status, body)
	}
	b := w.Booking
	b.Justification = ""
	status, body = interviewtest.Do(srv, w.Caller(interview.RoleInterviewer), "POST", "/api/hearings", b)
	if status != http.StatusUnprocessableEntity || interviewtest.Code(body) != problem.CodeJustificationNeeded {
		t.Errorf("A5 over HTTP: %d %s", status, body)
	}
}

func TestBadInputIsAnsweredInTheOneShape(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	srv := newServer(w)
	me := w.Caller(interview.RoleInterviewer)
	secret := "Aisha"
	for name, c := range map[string]struct {
		method, path, body string
		want               problem.Code
	}{
		"not JSON":       {"POST", "/api/cases", `{"diary":`, problem.CodeMalformed},
		"unknown field":  {"POST", "/api/cases", `{"diary":"` + secret + `","lodged":"2026-01-01","language":"ar","x":1}`, problem.CodeMalformed},
		"name twice":     {"POST", "/api/cases", `{"diary":"a","diary":"b","lodged":"2026-01-01","language":"ar"}`, problem.CodeMalformed},
		"wrong type":     {"POST", "/api/cases", `{"diary":7,"lodged":"2026-01-01","language":"ar"}`, problem.CodeMalformed},
		"missing field":  {"POST", "/api/cases", `{"diary":"` + secret + `"}`, problem.CodeMalformed},
		"bad language":   {"POST", "/api/cases", `{"diary":"x","lodged":"2026-01-01","language":"no such"}`, problem.CodeMalformed},
		"too large":      {"POST", "/api/cases", `{"diary":"` + strings.Repeat("a", interview.MaxBody) + `"}`, problem.CodeTooLarge},
		"malformed id":   {"GET", "/api/hearings/hrg_x", "", problem.CodeMalformed},
		"id of another":  {"GET", "/api/hearings/" + interview.NewCaseID().String(), "", problem.CodeMalformed},
		"no such":        {"GET", "/api/hearings/" + interview.NewHearingID().String(), "", problem.CodeNotFound},
		"unknown filter": {"GET", "/api/hearings?subject=x", "", problem.CodeMalformed},
	} {
		status, body := interviewtest.Do(srv, me, c.method, c.path, []byte(c.body))
		if got := interviewtest.Code(body); got != c.want || status != problem.Lookup(c.want).Status {
			t.Errorf("%s: got %d %s, want %s", name, status, body, c.want)
		}
		if strings.Contains(string(body), secret) {
			t.Errorf("%s: the answer repeats what was sent: %s", name, body)
		}
	}
}

func TestAHearingExistsOnlyForItsOwnInterviewer(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	srv := newServer(w)
	path := "/api/hearings/" + w.Hearing.ID.String()
	if status, body := interviewtest.Do(srv, w.Caller(interview.RoleInterviewer), "GET", path, nil); status != http.StatusOK {
		t.Fatalf("own hearing: %d %s", status, body)
	}
	other := interview.Caller{Device: w.Desk, Subject: "sub-other", Roles: []interview.Role{interview.RoleInterviewer}}
	if _, body := interviewtest.Do(srv, other, "GET", path, nil); interviewtest.Code(body) != problem.CodeNotFound {
		t.Errorf("another interviewer: %s", body)
	}
	_, list := interviewtest.Do(srv, other, "GET", "/api/hearings", nil)
	if strings.Contains(string(list), w.Hearing.ID.String()) {
		t.Errorf("another interviewer's list: %s", list)
	}
	if _, list = interviewtest.Do(srv, w.Caller(interview.RoleInterviewer), "GET", "/api/hearings", nil); !strings.Contains(string(list), w.Hearing.ID.String()) {
		t.Errorf("own list: %s", list)
	}
}

func TestADeviceLearnsNoNameBeforeSomebodyShowedWhoTheyAre(t *testing.T) {
	t.Parallel()
	w := interviewtest.NewWorld(t, storetest.Open(t))
	srv := newServer(w)
	_, body := interviewtest.Do(srv, interview.Caller{Device: w.Terminal}, "GET", "/api/me", nil)
	if !strings.Contains(string(body), w.Hearing.ID.String()) {
		t.Fatalf("the terminal does not see its seat: %s", body)
	}
	for _, word := range interviewtest.Words {
		if strings.Contains(string(body), word) {
			t.Errorf("the terminal alone learns %q", word)
		}
	}
	_, body = interviewtest.Do(srv, w.Caller(interview.RoleApplicant), "GET", "/api/me", nil)
	if !strings.Contains(string(body), interviewtest.Words[1]) || strings.Contains(string(body), interviewtest.Words[3]) {
		t.Errorf("the applicant's view: %s", body)
	}
	_, body = interviewtest.Do(srv, interview.Caller{Device: interview.NewDeviceID()}, "GET", "/api/me", nil)
	if strings.Contains(string(body), w.Hearing.ID.String()) {
		t.Errorf("another device sees the seat: %s", body)
	}
}
