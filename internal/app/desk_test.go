package app

import (
	"testing"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
)

// officerWorld is an officer at a desk, and evidence of a person to stand for.
type officerWorld struct {
	*vouched
	evidence ticket.Evidence
	message  *ticket.Identification // nil: as the device makes it
	typ      string
}

func newOfficer(t *testing.T) *officerWorld {
	t.Helper()
	v := newVouched(t)
	v.withApplicant()
	v.who = signin.Identity{Issuer: "https://login", Subject: "olga", Name: "Olga Ranta", Role: string(interview.RoleOfficer)}
	v.doc.Persons = []agreement.Person{{Subject: "olga", Role: interview.RoleOfficer}, {Subject: "oiva", Role: interview.RoleOfficer}, {Subject: "kaisa", Role: interview.RoleCounsel}}
	now := time.Now().Unix()
	v.claims.Kiosk, v.claims.Assurance = v.device.DeviceID, ticket.AssuranceLow
	v.claims.NotBefore, v.claims.Expires = now, now+600
	return &officerWorld{vouched: v, typ: ticket.TypIdentification, evidence: ticket.Evidence{
		V: 1, Visit: v.claims.Visit, Nonce: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Kiosk: v.device.DeviceID, Hearing: v.hearing,
		Participant: v.claims.Participant, ChecksSHA256: "c", Assurance: ticket.AssuranceLow, Started: now, Ended: now, Method: ticket.MethodDocument,
	}}
}

// officer is who is signed in at the device.
func (o *officerWorld) officer() string { return viewing.Person(o.who.Issuer, o.who.Subject) }

func (o *officerWorld) text() string {
	o.t.Helper()
	text, err := canon.Marshal(o.evidence)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// stand has the officer who is signed in now stand for the evidence.
func (o *officerWorld) stand() error {
	o.t.Helper()
	signed, err := agreement.Sign(&o.doc, o.office)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.a.shelf.put(signed, o.a.shelf.off[o.doc.ID]); err != nil {
		o.t.Fatal(err)
	}
	i := o.message
	if i == nil {
		made, err := ticket.Identify(o.text(), o.officer(), o.device.DeviceID, time.Now())
		if err != nil {
			o.t.Fatal(err)
		}
		i = &made
	}
	word, err := jws.Sign(*i, o.typ, o.deviceKey, o.cert)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.a.identify(o.t.Context(), identifyQuestion{Evidence: o.text(), Word: person{Certificate: o.cert.Raw, Proof: signin.Proof{IDToken: "token"}, Consent: word}})
}

// ticketOfOfficers is the ticket that a bridge writes over the evidence.
func (o *officerWorld) ticketOfOfficers() ticket.Proof {
	o.t.Helper()
	c := o.claims
	c.EvidenceSHA256 = ticket.Hash([]byte(o.text()))
	signed, err := jws.Sign(c, ticket.TypTicket, o.bridge)
	if err != nil {
		o.t.Fatal(err)
	}
	return ticket.Proof{Ticket: signed, Evidence: o.text()}
}

// B12, promise 2: authority admits the applicant by officers' words that it has
// seen proved itself, as many as the method needs, and by no word of the door.
func TestAuthorityAdmitsByOfficersItHasSeen(t *testing.T) {
	t.Parallel()
	o := newOfficer(t)
	hold := func() problem.Code {
		err := o.a.hold(o.ticketOfOfficers())
		if err == nil {
			return ""
		}
		return problem.Of(err).Code
	}
	if got := hold(); got != problem.CodeTicketInvalid {
		t.Errorf("before any officer: %q", got)
	}
	if err := o.stand(); err != nil {
		t.Fatal(err)
	}
	if got := hold(); got != "" {
		t.Errorf("after the officer: %q", got)
	}

	o = newOfficer(t)
	o.evidence.Method = ticket.MethodKnown
	for range 2 { // one officer twice is one officer
		if err := o.stand(); err != nil {
			t.Fatal(err)
		}
	}
	if got := hold(); got != problem.CodeTicketInvalid {
		t.Errorf("after one of two: %q", got)
	}
	o.who.Subject = "oiva"
	if err := o.stand(); err != nil {
		t.Fatal(err)
	}
	if got := hold(); got != "" {
		t.Errorf("after both: %q", got)
	}
	o.evidence.Participant = interview.NewParticipantID()
	o.claims.Participant = o.evidence.Participant
	if got := hold(); got != problem.CodeTicketInvalid {
		t.Errorf("their words for another person: %q", got)
	}
}

// Each single fact that does not carry its own proof is refused.
func TestOfficersWordNeedsItsOwnProof(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want  problem.Code
		spoil func(*officerWorld)
	}{
		"posture is old":          {problem.CodePostureStale, func(o *officerWorld) { o.freshErr = problem.New(problem.CodePostureStale, "old") }},
		"device is revoked":       {problem.CodeDeviceRevoked, func(o *officerWorld) { o.deviceErr = problem.New(problem.CodeDeviceRevoked, "gone") }},
		"nobody signed in":        {problem.CodeSignIn, func(o *officerWorld) { o.tokenErr = problem.New(problem.CodeSignIn, "nobody") }},
		"counsel":                 {problem.CodeForbidden, func(o *officerWorld) { o.who.Role, o.who.Subject = "counsel", "kaisa" }},
		"agreement names nobody":  {problem.CodeForbidden, func(o *officerWorld) { o.doc.Persons = []agreement.Person{} }},
		"named in another role":   {problem.CodeForbidden, func(o *officerWorld) { o.who.Subject = "kaisa" }},
		"agreement is over":       {problem.CodeNoAgreement, func(o *officerWorld) { o.doc.ValidUntil = o.doc.ValidFrom + 1 }},
		"another kind of message": {problem.CodeStatementInvalid, func(o *officerWorld) { o.typ = ticket.TypVisit }},
		"signed for another":      {problem.CodeStatementInvalid, func(o *officerWorld) { i := o.made(); i.Participant = interview.NewParticipantID(); o.message = &i }},
		"signed by another":       {problem.CodeStatementInvalid, func(o *officerWorld) { i := o.made(); i.Device = interview.NewDeviceID(); o.message = &i }},
		"signed by another officer": {problem.CodeStatementInvalid, func(o *officerWorld) {
			i := o.made()
			i.Officer = viewing.Person("https://login", "oiva")
			o.message = &i
		}},
		"signed long ago":              {problem.CodeStatementInvalid, func(o *officerWorld) { i := o.made(); i.IssuedAt -= 600; o.message = &i }},
		"a method that does not exist": {problem.CodeStatementInvalid, func(o *officerWorld) { i := o.made(); o.message = &i; o.evidence.Method = "guess" }},
	} {
		o := newOfficer(t)
		c.spoil(o)
		if err := o.stand(); err == nil || problem.Of(err).Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if n, err := o.a.visits.officers(o.claims.Visit, ticket.Hash([]byte(o.text()))); err != nil || n != 0 {
			t.Errorf("%s: %d officers are remembered, %v", name, n, err)
		}
	}
}

func (o *officerWorld) made() ticket.Identification {
	o.t.Helper()
	i, err := ticket.Identify(o.text(), o.officer(), o.device.DeviceID, time.Now())
	if err != nil {
		o.t.Fatal(err)
	}
	return i
}
