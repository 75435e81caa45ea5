package admission_test

import (
	"slices"
	"testing"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/admission"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// counsel is away from the client, with everything in order.
func counsel() admission.Facts {
	device, premises := interview.NewDeviceID(), interview.NewPremisesID()
	return admission.Facts{
		Now:     now,
		Hearing: admission.Hearing{ID: interview.NewHearingID(), Opens: now.Add(-time.Minute), Closes: now.Add(time.Hour), Phase: interview.PhaseWaiting},
		Seat: admission.Seat{
			ID: interview.NewSeatID(), Participant: interview.NewParticipantID(), Role: interview.RoleCounsel, Subject: "sub-c", Device: device, Premises: premises,
		},
		Device:   admission.Device{ID: device, Named: true, Posture: interview.Verified, PostureAt: now.Add(-time.Minute)},
		Premises: premises,
		Person:   &admission.Person{Subject: "sub-c", Roles: []interview.Role{interview.RoleCounsel}, Verdict: interview.Verified},
		Coverage: admission.Coverage{Device: true, Premises: true, Person: true},
	}
}

func applicant() admission.Facts {
	f := counsel()
	f.Seat.Role, f.Seat.Subject, f.Person, f.Coverage = interview.RoleApplicant, "", nil, admission.Coverage{}
	f.Ticket = &admission.Ticket{
		ID: interview.NewTicketID(), Hearing: f.Hearing.ID, Participant: f.Seat.Participant, Device: f.Device.ID,
		Purpose: interview.PurposeHearing, Expires: now.Add(time.Minute), Verdict: interview.Verified,
	}
	return f
}

func interviewer() admission.Facts {
	f := counsel()
	f.Seat.Role, f.Person.Roles, f.Coverage = interview.RoleInterviewer, []interview.Role{interview.RoleInterviewer}, admission.Coverage{}
	return f
}

func engine(t testing.TB) *admission.Engine {
	t.Helper()
	e, err := admission.New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// D1: the interviewer chairs; everybody else waits to be admitted by name.
func TestNobodyEntersDirectlyButTheInterviewer(t *testing.T) {
	t.Parallel()
	e := engine(t)
	interpreter := interviewer()
	interpreter.Seat.Role, interpreter.Person.Roles = interview.RoleInterpreter, []interview.Role{interview.RoleInterpreter}
	broughtByTicket := interpreter
	broughtByTicket.Person, broughtByTicket.Ticket = nil, applicant().Ticket
	broughtByTicket.Ticket.Hearing, broughtByTicket.Ticket.Participant, broughtByTicket.Ticket.Device = interpreter.Hearing.ID, interpreter.Seat.Participant, interpreter.Device.ID
	beside := counsel()
	beside.Seat.BesideClient, beside.Coverage = true, admission.Coverage{}
	for name, c := range map[string]struct {
		facts admission.Facts
		want  admission.Outcome
		rule  string
	}{
		"interviewer":            {interviewer(), admission.Allow, "interviewer-chairs"},
		"applicant":              {applicant(), admission.Wait, "interviewer-admits-by-name"},
		"counsel":                {counsel(), admission.Wait, "interviewer-admits-by-name"},
		"counsel beside client":  {beside, admission.Wait, "interviewer-admits-by-name"},
		"interpreter by sign-in": {interpreter, admission.Wait, "interviewer-admits-by-name"},
		"interpreter by ticket":  {broughtByTicket, admission.Wait, "interviewer-admits-by-name"},
	} {
		d, err := e.Decide(c.facts)
		if err != nil || d.Outcome != c.want || d.Rule != c.rule || d.Err() != nil {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// C9: each single missing condition is refused with its own code, rule and way.
func TestEachSingleMissingConditionIsRefused(t *testing.T) {
	t.Parallel()
	e := engine(t)
	tested := map[string]bool{"interviewer-chairs": true, "interviewer-admits-by-name": true}
	for name, c := range map[string]struct {
		facts func() admission.Facts
		spoil func(*admission.Facts)
		rule  string
		code  problem.Code
		way   problem.Way
	}{
		"device revoked":            {counsel, func(f *admission.Facts) { f.Device.Revoked = true }, "device-not-revoked", problem.CodeDeviceRevoked, problem.WayAgency},
		"C3 C11 device not named":   {applicant, func(f *admission.Facts) { f.Device.Named = false }, "device-named-by-agreement", problem.CodeDeviceNotNamed, problem.WayAgency},
		"posture older than 60 s":   {counsel, func(f *admission.Facts) { f.Device.PostureAt = now.Add(-60*time.Second - time.Millisecond) }, "device-posture-fresh", problem.CodePostureStale, problem.WayRetry},
		"posture never":             {counsel, func(f *admission.Facts) { f.Device.PostureAt = time.Time{} }, "device-posture-fresh", problem.CodePostureStale, problem.WayRetry},
		"posture from the future":   {counsel, func(f *admission.Facts) { f.Device.PostureAt = now.Add(time.Second) }, "device-posture-fresh", problem.CodePostureStale, problem.WayRetry},
		"posture failed":            {counsel, func(f *admission.Facts) { f.Device.Posture = interview.Failed }, "device-posture-verified", problem.CodePostureDrift, problem.WayAskOffice},
		"posture undetermined":      {counsel, func(f *admission.Facts) { f.Device.Posture = interview.Undetermined }, "device-posture-verified", problem.CodePostureDrift, problem.WayAskOffice},
		"hearing ended":             {counsel, func(f *admission.Facts) { f.Hearing.Phase = interview.PhaseEnded }, "hearing-not-over", problem.CodeTooLate, problem.WayInterviewer},
		"window closed":             {counsel, func(f *admission.Facts) { f.Hearing.Closes = now }, "hearing-not-over", problem.CodeTooLate, problem.WayInterviewer},
		"door not open yet":         {interviewer, func(f *admission.Facts) { f.Hearing.Opens = now.Add(time.Second) }, "hearing-door-open", problem.CodeTooEarly, problem.WayRetry},
		"seat of another device":    {counsel, func(f *admission.Facts) { f.Seat.Device = interview.NewDeviceID() }, "seat-on-this-device", problem.CodeDeviceNotSeated, problem.WayCentre},
		"seat held already":         {applicant, func(f *admission.Facts) { f.Seat.Taken = true }, "seat-free", problem.CodeSeatTaken, problem.WayInterviewer},
		"C4 other premises":         {counsel, func(f *admission.Facts) { f.Premises = interview.NewPremisesID() }, "device-at-agreed-premises", problem.CodePremises, problem.WayAgency},
		"premises unknown":          {counsel, func(f *admission.Facts) { f.Premises = interview.PremisesID{} }, "device-at-agreed-premises", problem.CodePremises, problem.WayAgency},
		"applicant without ticket":  {applicant, func(f *admission.Facts) { f.Ticket = nil }, "applicant-by-ticket", problem.CodeTicketInvalid, problem.WayKiosk},
		"ticket not verified":       {applicant, func(f *admission.Facts) { f.Ticket.Verdict = interview.Failed }, "ticket-verified", problem.CodeTicketInvalid, problem.WayKiosk},
		"B21 ticket, other device":  {applicant, func(f *admission.Facts) { f.Ticket.Device = interview.NewDeviceID() }, "ticket-for-this-device", problem.CodeTicketDevice, problem.WayAskStaff},
		"B21 ticket, other hearing": {applicant, func(f *admission.Facts) { f.Ticket.Hearing = interview.NewHearingID() }, "ticket-for-this-seat", problem.CodeTicketHearing, problem.WayAskStaff},
		"ticket, other participant": {applicant, func(f *admission.Facts) { f.Ticket.Participant = interview.NewParticipantID() }, "ticket-for-this-seat", problem.CodeTicketHearing, problem.WayAskStaff},
		"ticket, other purpose":     {applicant, func(f *admission.Facts) { f.Ticket.Purpose = interview.PurposeReview }, "ticket-for-this-seat", problem.CodeTicketHearing, problem.WayAskStaff},
		"B21 ticket stale":          {applicant, func(f *admission.Facts) { f.Ticket.Expires = now }, "ticket-in-time", problem.CodeTicketStale, problem.WayNewTicket},
		"nobody signed in":          {counsel, func(f *admission.Facts) { f.Person = nil }, "person-signed-in", problem.CodeSignIn, problem.WaySignIn},
		"sign-in not verified":      {counsel, func(f *admission.Facts) { f.Person.Verdict = interview.Asserted }, "person-signed-in", problem.CodeSignIn, problem.WaySignIn},
		"another person":            {interviewer, func(f *admission.Facts) { f.Person.Subject = "sub-x" }, "person-booked", problem.CodeNotBooked, problem.WayInterviewer},
		"no longer in the role":     {counsel, func(f *admission.Facts) { f.Person.Roles = []interview.Role{interview.RoleAdministrator} }, "person-in-role", problem.CodeForbidden, problem.WayAskOffice},
		"counsel's device":          {counsel, func(f *admission.Facts) { f.Coverage = admission.Coverage{} }, "counsel-device-covered", problem.CodeNoAgreement, problem.WayAgency},
		"counsel's premises":        {counsel, func(f *admission.Facts) { f.Coverage.Premises = false }, "counsel-premises-covered", problem.CodePremises, problem.WayAgency},
		"C6 counsel left the firm":  {counsel, func(f *admission.Facts) { f.Coverage.Person = false }, "counsel-person-covered", problem.CodeNoAgreement, problem.WayAgency},
		"no role of the room": {interviewer, func(f *admission.Facts) {
			f.Seat.Role, f.Person.Roles = interview.RoleAdministrator, []interview.Role{interview.RoleAdministrator}
		}, admission.RuleDefault, problem.CodeForbidden, problem.WayAskOffice},
	} {
		f := c.facts()
		c.spoil(&f)
		d, err := e.Decide(f)
		if err != nil || d.Outcome != admission.Refuse || d.Rule != c.rule || d.Code != c.code || d.Way != c.way || len(d.Rules) != 1 {
			t.Errorf("%s: got %+v, %v; want rule %s, code %s, way %s, alone", name, d, err, c.rule, c.code, c.way)
		}
		if p := problem.Of(d.Err()); p.Rule != c.rule || p.Code != c.code || p.Way != c.way {
			t.Errorf("%s: as a problem: %+v", name, p)
		}
		tested[c.rule] = true
	}
	for _, rule := range e.Rules() {
		if !tested[rule] {
			t.Errorf("rule %s has no test of its own", rule)
		}
	}
}

func TestSeveralSeatsOfOneDeviceAreDecidedTogether(t *testing.T) {
	t.Parallel()
	e := engine(t)
	if d, err := e.DecideAll(nil); err != nil || d.Outcome != admission.Refuse {
		t.Errorf("no seat: %+v, %v", d, err)
	}
	if d, err := e.DecideAll([]admission.Facts{interviewer(), applicant()}); err != nil || d.Outcome != admission.Wait {
		t.Errorf("interviewer and applicant at one device: %+v, %v", d, err)
	}
	late := applicant()
	late.Ticket.Expires = now
	if d, err := e.DecideAll([]admission.Facts{interviewer(), late}); err != nil || d.Code != problem.CodeTicketStale {
		t.Errorf("one of two refused: %+v, %v", d, err)
	}
}

func TestNothingKnownLetsNobodyIn(t *testing.T) {
	t.Parallel()
	d, err := engine(t).Decide(admission.Facts{})
	if err != nil || d.Outcome != admission.Refuse || len(d.Rules) < 5 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestTheInterviewerSeesWhatWasCheckedAndWhatWasNot(t *testing.T) {
	t.Parallel()
	checks := counsel().Checks()
	if !slices.Contains(checks, interview.Check{Name: "premises", Verdict: interview.Asserted, Reason: "register"}) ||
		!slices.Contains(checks, interview.Check{Name: "identity", Verdict: interview.Verified, Reason: "sign-in"}) {
		t.Errorf("counsel: %+v", checks)
	}
}
