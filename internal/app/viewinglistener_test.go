package app

import (
	"errors"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
	kioskbridge "kuule/kiosk-bridge"
)

// listening is the applicant of v's hearing at v's device, with a ticket for the
// review, an interviewer's approval and the device's consent.
func listening(v *vouched) viewQuestion {
	v.t.Helper()
	v.withApplicant()
	v.claims.Purpose = interview.PurposeReview
	if err := v.a.visits.meet(v.hearing, viewing.Participant(v.hearing, v.claims.Participant)); err != nil {
		v.t.Fatal(err)
	}
	q := viewQuestion{
		Opening: viewingID + "-" + nonce1, Viewing: viewingID, Case: interview.NewCaseID(), Hearing: v.hearing,
		Recordings: []interview.RecordingID{interview.NewRecordingID()}, Purpose: "appeal",
	}
	q.Asker = v.sitter(q, v.claims.Participant)
	q.Asker.Ticket = v.ticket()
	q.Approval = v.allowed(q, interview.ParticipantID{}, nil)
	return q
}

// sitter is the participant at v's device, with a consent signed there.
func (v *vouched) sitter(q viewQuestion, p interview.ParticipantID) person {
	v.t.Helper()
	return person{Certificate: v.cert.Raw, Participant: p, Consent: v.consents(viewing.Consent{
		Act: viewing.ActView, Hearing: q.Hearing, Nonce: nonce1, Participant: p,
	}, q.Purpose)}
}

// allowed is an interviewer's approval of what q asks for: from elsewhere, or at
// v's device for who sits there.
func (v *vouched) allowed(q viewQuestion, seated interview.ParticipantID, spoil func(*allowQuestion)) string {
	v.t.Helper()
	who := v.who
	defer func() { v.who = who }()
	v.who = signin.Identity{Issuer: who.Issuer, Subject: "interviewer", Role: string(interview.RoleInterviewer)}
	act := viewing.ActApprove
	if !seated.IsZero() {
		act = viewing.ActSeat
	}
	a := allowQuestion{
		Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Purpose: q.Purpose, Asker: viewing.Participant(q.Hearing, q.Asker.Participant),
		Approver: v.person(act, q.Hearing, q.Purpose, "8899aabbccddeeff"), Participant: seated,
	}
	if spoil != nil {
		spoil(&a)
	}
	out, err := v.a.allowViewing(v.t.Context(), a)
	if err != nil {
		v.t.Fatal(err)
	}
	return out.Approval
}

// H6, H7: the applicant opens the own hearing at the terminal that the kiosk's
// ticket for the review names, with an interviewer's permission; each missing
// one alone refuses.
func TestTheApplicantOpensTheOwnHearingWithTicketAndPermission(t *testing.T) {
	t.Parallel()
	v := newVouched(t)
	if err := v.a.approveViewing(t.Context(), listening(v)); err != nil {
		t.Fatalf("the applicant who was allowed: %v", err)
	}
	ticketWith := func(change func(*ticket.Claims)) func(*vouched, *viewQuestion) {
		return func(v *vouched, q *viewQuestion) {
			change(&v.claims)
			q.Asker.Ticket = v.ticket()
		}
	}
	for name, c := range map[string]struct {
		code  problem.Code
		spoil func(*vouched, *viewQuestion)
	}{
		"no permission":    {problem.CodeForbidden, func(_ *vouched, q *viewQuestion) { q.Approval = "" }},
		"no purpose":       {problem.CodePurposeNeeded, func(_ *vouched, q *viewQuestion) { q.Purpose = " " }},
		"no ticket":        {problem.CodeTicketInvalid, func(_ *vouched, q *viewQuestion) { q.Asker.Ticket = ticket.Proof{} }},
		"no consent":       {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Asker.Consent = "" }},
		"device withdrawn": {problem.CodeDeviceRevoked, func(v *vouched, _ *viewQuestion) { v.deviceErr = problem.New(problem.CodeDeviceRevoked, "test") }},
		"device is off":    {problem.CodePostureStale, func(v *vouched, _ *viewQuestion) { v.freshErr = problem.New(problem.CodePostureStale, "test") }},
		"another purpose":  {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Purpose = "curiosity" }},
		"another opening":  {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Opening += "8" }},
		"another case":     {problem.CodeForbidden, func(_ *vouched, q *viewQuestion) { q.Case = interview.NewCaseID() }},
		"another hearing":  {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Hearing = interview.NewHearingID() }},
		"somebody else": {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) {
			q.Asker.Participant = interview.NewParticipantID()
		}},
		"who was not the applicant there": {problem.CodeForbidden, func(v *vouched, q *viewQuestion) {
			other := interview.NewParticipantID()
			q.Asker = v.sitter(*q, other)
			v.claims.Participant = other
			q.Asker.Ticket = v.ticket()
			q.Approval = v.allowed(*q, interview.ParticipantID{}, nil)
		}},
		"permission of somebody else": {problem.CodeForbidden, func(v *vouched, q *viewQuestion) {
			q.Approval = v.allowed(*q, interview.ParticipantID{}, func(a *allowQuestion) { a.Asker = viewing.Participant(q.Hearing, interview.NewParticipantID()) })
		}},
		"a person's consent in place of the participant's": {problem.CodeStatementInvalid, func(v *vouched, q *viewQuestion) {
			q.Asker.Consent = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1).Consent
		}},
		"the participant's consent in place of a person's": {problem.CodeStatementInvalid, func(v *vouched, q *viewQuestion) {
			v.who.Role = string(interview.RoleInterviewer)
			q.Asker.Participant = interview.ParticipantID{}
		}},
		"ticket of the hearing itself":  {problem.CodeTicketHearing, ticketWith(func(c *ticket.Claims) { c.Purpose = interview.PurposeHearing })},
		"ticket for a preparation":      {problem.CodeTicketHearing, ticketWith(func(c *ticket.Claims) { c.Purpose = interview.PurposePreparation })},
		"ticket of another hearing":     {problem.CodeTicketHearing, ticketWith(func(c *ticket.Claims) { c.Hearing = interview.NewHearingID() })},
		"ticket of another participant": {problem.CodeTicketHearing, ticketWith(func(c *ticket.Claims) { c.Participant = interview.NewParticipantID() })},
		"ticket of another device":      {problem.CodeTicketDevice, ticketWith(func(c *ticket.Claims) { c.Device = interview.NewDeviceID() })},
		"ticket that is over": {problem.CodeTicketStale, ticketWith(func(c *ticket.Claims) {
			c.NotBefore, c.Expires = c.NotBefore-900, c.Expires-900
		})},
		"ticket of another bridge": {problem.CodeTicketInvalid, func(v *vouched, _ *viewQuestion) { v.a.bridge = testKey(v.t).Public() }},
	} {
		v := newVouched(t)
		q := listening(v)
		c.spoil(v, &q)
		if err := v.a.approveViewing(t.Context(), q); !errors.Is(err, problem.New(c.code, "")) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	// A ticket whose minutes are over opens what it was redeemed for in time.
	v = newVouched(t)
	q := listening(v)
	v.claims.NotBefore, v.claims.Expires = v.claims.NotBefore-900, v.claims.Expires-900
	q.Asker.Ticket = v.ticket()
	if err := v.a.visits.use(v.claims.Visit, q.Asker.Ticket.Ticket); err != nil {
		t.Fatal(err)
	}
	if err := v.a.approveViewing(t.Context(), q); err != nil {
		t.Errorf("a ticket that was held in time: %v", err)
	}
}

// H7: at a listening station an interviewer signs, at this very device, who
// sits there; that is permission and identity there, and nowhere else.
func TestAnInterviewerSeatsTheApplicantAtTheStation(t *testing.T) {
	t.Parallel()
	setup := func() (*vouched, viewQuestion) {
		v := newVouched(t)
		q := listening(v)
		q.Asker.Ticket = ticket.Proof{}
		q.Approval = v.allowed(q, q.Asker.Participant, nil)
		return v, q
	}
	v, q := setup()
	if err := v.a.approveViewing(t.Context(), q); err != nil {
		t.Fatalf("who was seated: %v", err)
	}
	for name, spoil := range map[string]func(*vouched, *viewQuestion){
		"at another device": func(v *vouched, q *viewQuestion) {
			v.device.DeviceID = interview.NewDeviceID()
			v.cert = v.certificate(v.device.DeviceID, v.device.PermanentIdentifier, v.deviceKey)
			q.Asker = v.sitter(*q, q.Asker.Participant)
		},
		"somebody else": func(v *vouched, q *viewQuestion) {
			other := interview.NewParticipantID()
			if err := v.a.visits.meet(v.hearing, viewing.Participant(v.hearing, other)); err != nil {
				v.t.Fatal(err)
			}
			q.Asker = v.sitter(*q, other)
		},
		"of another viewing": func(v *vouched, q *viewQuestion) { v.a.sealing = testKey(v.t) },
	} {
		v, q := setup()
		spoil(v, &q)
		if err := v.a.approveViewing(t.Context(), q); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What an interviewer signs elsewhere, or to allow alone, seats nobody.
	for name, act := range map[string]viewing.Act{"approved": viewing.ActApprove, "opened": viewing.ActView} {
		v, q := setup()
		v.who = signin.Identity{Issuer: v.who.Issuer, Subject: "interviewer", Role: string(interview.RoleInterviewer)}
		if _, err := v.a.allowViewing(t.Context(), allowQuestion{
			Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Purpose: q.Purpose, Participant: q.Asker.Participant,
			Approver: v.person(act, q.Hearing, q.Purpose, "8899aabbccddeeff"),
		}); !errors.Is(err, problem.New(problem.CodeStatementInvalid, "")) {
			t.Errorf("%s in place of seated: %v", name, err)
		}
	}
	for _, role := range []interview.Role{interview.RoleCounsel, interview.RoleOfficer, interview.RoleSecurityOffice, interview.RoleInterpreter} {
		v, q := setup()
		v.who = signin.Identity{Issuer: v.who.Issuer, Subject: "kaisa", Role: string(role)}
		if _, err := v.a.allowViewing(t.Context(), allowQuestion{
			Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Purpose: q.Purpose, Participant: q.Asker.Participant,
			Approver: v.person(viewing.ActSeat, q.Hearing, q.Purpose, "8899aabbccddeeff"),
		}); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
			t.Errorf("%s seats somebody: %v", role, err)
		}
	}
}

// redeemed gives the terminal a ticket of the world's applicant.
func (g *gatehouse) redeemed(purpose interview.Purpose, until time.Time, change ...func(*kioskbridge.Record)) interview.Participant {
	g.t.Helper()
	h := g.world.Hearing
	for _, s := range h.Seats {
		p, _ := h.Participant(s.Participant)
		if p.Role != interview.RoleApplicant {
			continue
		}
		visit, now := interview.NewVisitID(), time.Now()
		record := &kioskbridge.Record{ID: visit, Case: h.Case, Hearing: h.ID, Participant: p.ID, Role: p.Role, Purpose: purpose, Kiosk: interview.NewDeviceID(), Checks: `{"checks":[],"salt":""}`, Evidence: "{}", Sealed: []byte{}}
		for _, f := range change {
			f(record)
		}
		for _, row := range []any{
			record,
			&kioskbridge.TicketRecord{
				ID: interview.NewTicketID(), Visit: visit, Hearing: h.ID, Participant: p.ID, Seat: s.ID, Role: p.Role, Purpose: purpose, Device: g.world.Terminal,
				NotBefore: now.Unix() - 60, Expires: now.Unix() + 60, Until: until.Unix(), RedeemedAt: now.Unix(), Version: 2,
			},
		} {
			if _, err := g.door.db.NewInsert().Model(row).Exec(g.t.Context()); err != nil {
				g.t.Fatal(err)
			}
		}
		return p
	}
	g.t.Fatal("nobody is the applicant")
	return interview.Participant{}
}

// over ends the world's hearing.
func (g *gatehouse) over() {
	g.t.Helper()
	if _, err := g.door.db.NewUpdate().Table("hearing").Set("phase = ?", interview.PhaseEnded).Where("id = ?", g.world.Hearing.ID).Exec(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// H6, H7: with a ticket for the review the applicant asks at the terminal, the
// hearing's interviewer decides at the own desk, and no copy is to be had.
func TestTheApplicantListensAtTheTerminal(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	ask := "/api/hearings/" + g.world.Hearing.ID.String() + "/viewings"
	const purpose = `{"purpose":"muutoksenhaku"}`
	terminal, owner := g.at(g.world.Terminal), g.at(g.world.Desk).signIn("sub-interviewer")
	terminal.want("nobody sits there", "POST", ask, purpose, problem.CodeSignIn)
	p := g.redeemed(interview.PurposeHearing, time.Now().Add(time.Hour))
	terminal.want("with the hearing's own ticket", "POST", ask, purpose, problem.CodeSignIn)
	g.redeemed(interview.PurposeReview, time.Now().Add(time.Hour))
	terminal.want("while the hearing is open", "POST", ask, purpose, problem.CodeNotReady)
	g.over()
	terminal.want("another's hearing", "POST", "/api/hearings/"+interview.NewHearingID().String()+"/viewings", purpose, problem.CodeSignIn)
	terminal.want("without a purpose", "POST", ask, `{"purpose":" "}`, problem.CodePurposeNeeded)
	terminal.want("seats itself", "POST", ask, `{"purpose":"x","seated":true}`, problem.CodeForbidden)
	g.at(interview.NewDeviceID()).want("at another device", "POST", ask, purpose, problem.CodeSignIn)

	var v viewingView
	terminal.told("POST", ask, purpose, &v)
	if v.State != viewingAsked || v.Own || !v.Mine || v.Role != interview.RoleApplicant || v.Participant != p.ID || v.Asker != p.Name {
		t.Fatalf("asked: %+v", v)
	}
	path := "/api/viewings/" + v.Viewing
	terminal.want("before the decision", "POST", path+"/open", consentTo(t, v), problem.CodeForbidden)
	terminal.want("decides it", "POST", path+"/decision", `{"allow":true,"reason":"r","consent":"x"}`, problem.CodeForbidden)
	terminal.want("who listened", "GET", ask, "", problem.CodeForbidden)
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	owner.told("GET", "/api/viewings", "", &list)
	if len(list.Viewings) != 1 || !list.Viewings[0].Decide || list.Viewings[0].Role != interview.RoleApplicant {
		t.Fatalf("to decide: %+v", list)
	}
	var decided viewingView
	owner.told("POST", path+"/decision", `{"allow":true,"reason":"valitus","consent":"x"}`, &decided)
	owner.want("the interviewer opens it", "POST", path+"/open", consentTo(t, v), problem.CodeNotFound)
	g.at(g.world.Chambers).signIn("sub-counsel").want("counsel opens it", "POST", path+"/open", consentTo(t, v), problem.CodeNotFound)
	g.at(interview.NewDeviceID()).want("another device opens it", "POST", path+"/open", consentTo(t, v), problem.CodeSignIn)
	terminal.want("allowed", "POST", path+"/open", consentTo(t, v), problem.CodeNotReady) // what authority says here
	if n := g.views.Load(); n != 1 {
		t.Errorf("authority was asked %d times", n)
	}
	terminal.told("GET", "/api/viewings", "", &list)
	if len(list.Viewings) != 1 || !list.Viewings[0].Mine {
		t.Errorf("the applicant's own: %+v", list)
	}
	for what, at := range map[string]string{"a copy": "/export", "a release": "/release", "a receipt": "/handed"} {
		terminal.want(what, "POST", path+at, `{}`, problem.CodeForbidden)
	}
}

// B21, H7: a ticket whose time is over asks for nothing.
func TestATicketForTheReviewEnds(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	g.over()
	g.redeemed(interview.PurposeReview, time.Now().Add(-time.Second))
	g.at(g.world.Terminal).want("afterwards", "POST", "/api/hearings/"+g.world.Hearing.ID.String()+"/viewings", `{"purpose":"p"}`, problem.CodeSignIn)
}

// H7: at a station an interviewer seats the applicant, signs out, and the
// applicant listens there until it is over.
func TestTheApplicantListensAtAStation(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	ask := "/api/hearings/" + g.world.Hearing.ID.String() + "/viewings"
	const seat = `{"purpose":"muutoksenhaku","seated":true}`
	device := interview.NewDeviceID()
	station, staff := g.at(device), g.at(device).signIn("sub-colleague")
	staff.want("while the hearing is open", "POST", ask, seat, problem.CodeNotReady)
	g.over()
	station.want("nobody signed in", "POST", ask, seat, problem.CodeSignIn)
	for _, subject := range []string{"sub-counsel", "sub-interpreter", "sub-security-office"} {
		g.at(device).signIn(subject).want(subject, "POST", ask, seat, problem.CodeForbidden)
	}
	var v viewingView
	staff.told("POST", ask, seat, &v)
	if v.State != viewingAsked || !v.Decide || !v.Station || v.Role != interview.RoleApplicant || v.Participant.IsZero() {
		t.Fatalf("seated: %+v", v)
	}
	path := "/api/viewings/" + v.Viewing
	const allow = `{"allow":true,"reason":"henkilöllisyys tarkistettu","consent":"x"}`
	station.want("before the interviewer's word", "POST", path+"/open", consentTo(t, v), problem.CodeSignIn)
	g.at(g.world.Desk).signIn("sub-colleague").want("decided elsewhere", "POST", path+"/decision", allow, problem.CodeForbidden)
	g.at(device).signIn("sub-interviewer").want("another decides", "POST", path+"/decision", allow, problem.CodeNotFound)
	staff.told("POST", path+"/decision", allow, &v)

	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	station.told("GET", "/api/viewings", "", &list)
	if len(list.Viewings) != 1 || !list.Viewings[0].Mine || list.Viewings[0].State != viewingAllowed {
		t.Fatalf("at the station: %+v", list)
	}
	g.at(interview.NewDeviceID()).want("at another device", "POST", path+"/open", consentTo(t, v), problem.CodeSignIn)
	station.want("there", "POST", path+"/open", consentTo(t, v), problem.CodeNotReady) // what authority says here
	station.want("a copy", "POST", path+"/export", `{}`, problem.CodeSignIn)
	station.want("who listened", "GET", ask, "", problem.CodeSignIn)
	station.want("the record", "GET", "/api/hearings/"+g.world.Hearing.ID.String()+"/records", "", problem.CodeSignIn)

	// Who has finished is gone; nobody who sits down next opens it.
	row, err := g.door.viewings.store.find(t.Context(), v.Viewing)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.door.viewings.store.over(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	station.want("once it is over", "POST", path+"/open", consentTo(t, v), problem.CodeSignIn)
}

// H6: what the page tells twice, because the first answer did not come, counts
// once; what it tells with its farewell counts.
func TestWhatWasHeardCountsOnce(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	d := g.door.viewings
	o := &opening{row: &viewingRow{ID: viewingID, Hearing: g.world.Hearing.ID}, spec: viewingSpec{Viewing: viewingID + "-" + nonce1}, spans: map[string]*spanRow{}}
	v := &viewingRow{ID: viewingID, Case: g.world.Case.ID, Hearing: g.world.Hearing.ID, Asker: "a", State: viewingAllowed, Expires: time.Now().Add(time.Hour).Unix(), Version: 1, words: viewingWords{Purpose: "p"}}
	if err := d.store.add(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	tell := func(after int64, spans ...[2]interview.Micros) {
		t.Helper()
		in := heardSpans{After: &after}
		for _, s := range spans {
			in.Spans = append(in.Spans, heardSpan{s[0], s[1]})
		}
		if err := d.hear(t.Context(), o, in); err != nil {
			t.Fatal(err)
		}
	}
	const second = interview.Micros(1_000_000)
	tell(0, [2]interview.Micros{0, 5 * second}, [2]interview.Micros{30 * second, 35 * second})
	tell(0, [2]interview.Micros{0, 5 * second}, [2]interview.Micros{30 * second, 35 * second}, [2]interview.Micros{35 * second, 38 * second})
	tell(3, [2]interview.Micros{90 * second, 91 * second})
	d.end(t.Context(), o)
	spans, err := d.store.spans(t.Context(), viewingID)
	if err != nil {
		t.Fatal(err)
	}
	var heard [][2]interview.Micros
	for _, s := range spans {
		heard = append(heard, [2]interview.Micros{s.From, s.To})
	}
	if want := [][2]interview.Micros{{0, 5 * second}, {30 * second, 38 * second}, {90 * second, 91 * second}}; len(heard) != 3 || heard[0] != want[0] || heard[1] != want[1] || heard[2] != want[2] {
		t.Errorf("heard %v, want %v", heard, want)
	}
}
