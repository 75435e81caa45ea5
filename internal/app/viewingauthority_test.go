package app

import (
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/interview/viewing"
	"kuule/recorder/journal"
)

const viewingID = "view-00112233445566778899aabbccddeeff"

// wantsToView makes the question of an interviewer who sits at the device of v
// and was admitted to the hearing.
func wantsToView(v *vouched, nonce string) viewQuestion {
	v.t.Helper()
	v.who.Role = string(interview.RoleInterviewer)
	if err := v.a.visits.meet(v.hearing, viewing.Person(v.who.Issuer, v.who.Subject)); err != nil {
		v.t.Fatal(err)
	}
	q := viewQuestion{
		Opening: viewingID + "-" + nonce, Viewing: viewingID, Case: interview.NewCaseID(), Hearing: v.hearing,
		Recordings: []interview.RecordingID{interview.NewRecordingID()}, Purpose: "appeal",
	}
	q.Asker = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce)
	return q
}

// person is whoever is signed in at v's device, with a consent signed there.
func (v *vouched) person(act viewing.Act, h interview.HearingID, purpose, nonce string) person {
	v.t.Helper()
	return person{Certificate: v.cert.Raw, Proof: signin.Proof{IDToken: "token"}, Consent: v.consents(viewing.Consent{
		Act: act, Hearing: h, Nonce: nonce, Person: viewing.Person(v.who.Issuer, v.who.Subject),
	}, purpose)}
}

// consents signs a consent at v's device.
func (v *vouched) consents(c viewing.Consent, purpose string) string {
	v.t.Helper()
	c.V, c.Viewing, c.Purpose, c.Device, c.IssuedAt = 1, viewingID, jws.Hash(purpose), v.device.DeviceID, time.Now().Unix()
	text, err := jws.Sign(c, viewing.TypeConsent, v.deviceKey, v.cert)
	if err != nil {
		v.t.Fatal(err)
	}
	return text
}

const nonce1 = "0011223344556677"

// H6: keys of a recording are for one opening that the hearing's interviewer,
// signed in at an attested device, consented to there, with a purpose.
func TestAViewingNeedsItsApproval(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  problem.Code
		spoil func(*vouched, *viewQuestion)
	}{
		"no purpose":       {problem.CodePurposeNeeded, func(_ *vouched, q *viewQuestion) { q.Purpose = " " }},
		"device withdrawn": {problem.CodeDeviceRevoked, func(v *vouched, _ *viewQuestion) { v.deviceErr = problem.New(problem.CodeDeviceRevoked, "test") }},
		"device is off":    {problem.CodePostureStale, func(v *vouched, _ *viewQuestion) { v.freshErr = problem.New(problem.CodePostureStale, "test") }},
		"not signed in":    {problem.CodeSignIn, func(v *vouched, _ *viewQuestion) { v.tokenErr = problem.New(problem.CodeSignIn, "test") }},
		"security office":  {problem.CodeForbidden, func(v *vouched, _ *viewQuestion) { v.who.Role = string(interview.RoleSecurityOffice) }}, // O3
		"administrator":    {problem.CodeForbidden, func(v *vouched, _ *viewQuestion) { v.who.Role = string(interview.RoleAdministrator) }},
		"no consent":       {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Asker.Consent = "" }},
		"another purpose":  {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Purpose = "curiosity" }},
		"another hearing":  {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Hearing = interview.NewHearingID() }},
		"another opening":  {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Opening += "8" }},
		"consent to allow": {problem.CodeStatementInvalid, func(v *vouched, q *viewQuestion) {
			q.Asker = v.person(viewing.ActApprove, q.Hearing, q.Purpose, nonce1)
		}},
		"consent of another device": {problem.CodeStatementInvalid, func(v *vouched, q *viewQuestion) {
			v.cert = v.certificate(interview.NewDeviceID(), v.device.PermanentIdentifier, v.deviceKey)
			q.Asker = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1)
		}},
		"another's hearing": {problem.CodeForbidden, func(v *vouched, q *viewQuestion) {
			v.who.Subject = "somebody-else"
			q.Asker = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1)
		}},
		// A captured door keeps tokens of who was signed in at this device before.
		"another's consent": {problem.CodeStatementInvalid, func(v *vouched, _ *viewQuestion) { v.who.Subject = "somebody-else" }},
	} {
		v := newVouched(t)
		q := wantsToView(v, nonce1)
		c.spoil(v, &q)
		if err := v.a.approveViewing(t.Context(), q); !errors.Is(err, problem.New(c.code, "")) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	v := newVouched(t)
	q := wantsToView(v, nonce1)
	key := keyring.Key{Case: q.Case.String(), Kind: keyring.Recording}
	bound := journal.WrapContext(q.Hearing, q.Recordings[0])
	if err := v.a.approveUnwrap(t.Context(), q.Opening, key, bound); err == nil {
		t.Error("a key before the approval")
	}
	if err := v.a.approveViewing(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	// A captured door has the token and the consent that were used: they open nothing more.
	if err := v.a.approveViewing(t.Context(), q); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("the same consent a second time: %v", err)
	}
	for name, err := range map[string]error{
		"another opening":   v.a.approveUnwrap(t.Context(), viewingID+"-ff11223344556677", key, bound),
		"another recording": v.a.approveUnwrap(t.Context(), q.Opening, key, journal.WrapContext(q.Hearing, interview.NewRecordingID())),
		"another case":      v.a.approveUnwrap(t.Context(), q.Opening, keyring.Key{Case: interview.NewCaseID().String(), Kind: keyring.Recording}, bound),
		"records key":       v.a.approveUnwrap(t.Context(), q.Opening, keyring.Key{Case: q.Case.String(), Kind: keyring.Records}, bound),
	} {
		if !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := v.a.approveUnwrap(t.Context(), q.Opening, key, bound); err != nil {
		t.Errorf("an approved viewing was refused: %v", err)
	}
	if err := v.a.approveUnwrap(t.Context(), q.Opening, key, bound); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
		t.Errorf("the same key a second time: %v", err)
	}
}

// H6: another's hearing opens with a second interviewer's approval, and only
// for whom, what and as long as it was given.
func TestAnothersHearingNeedsASecondPerson(t *testing.T) {
	t.Parallel()
	// The asker and the approver sit at the same device here, one after the other:
	// each consent names who was signed in.
	approvedBy := func(v *vouched, who string, q viewQuestion, spoil func(*allowQuestion)) (string, error) {
		asker := v.who.Subject
		v.who.Subject = who
		defer func() { v.who.Subject = asker }()
		allow := allowQuestion{
			Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Purpose: q.Purpose, Asker: viewing.Person(v.who.Issuer, asker),
			Approver: v.person(viewing.ActApprove, q.Hearing, q.Purpose, "8899aabbccddeeff"),
		}
		if spoil != nil {
			spoil(&allow)
		}
		a, err := v.a.allowViewing(t.Context(), allow)
		return a.Approval, err
	}
	setup := func() (*vouched, viewQuestion) {
		v := newVouched(t)
		q := wantsToView(v, nonce1)
		v.who.Subject = "colleague"
		q.Asker = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1)
		return v, q
	}
	v, q := setup()
	var err error
	if q.Approval, err = approvedBy(v, "kaisa", q, nil); err != nil {
		t.Fatal(err)
	}
	if err := v.a.approveViewing(t.Context(), q); err != nil {
		t.Errorf("an allowed viewing was refused: %v", err)
	}

	for name, spoil := range map[string]func(*vouched, *allowQuestion){
		"own request": func(v *vouched, a *allowQuestion) {
			v.who.Subject = "colleague"
			a.Approver = v.person(viewing.ActApprove, a.Hearing, a.Purpose, nonce1)
		},
		"another's consent": func(v *vouched, _ *allowQuestion) { v.who.Subject = "fourth" },
		"no consent":        func(_ *vouched, a *allowQuestion) { a.Approver.Consent = "" },
		"other consent": func(v *vouched, a *allowQuestion) {
			a.Approver = v.person(viewing.ActView, a.Hearing, a.Purpose, nonce1)
		},
		"other purpose": func(_ *vouched, a *allowQuestion) { a.Purpose = "curiosity" },
		"other hearing": func(_ *vouched, a *allowQuestion) { a.Hearing = interview.NewHearingID() },
		"other role":    func(v *vouched, _ *allowQuestion) { v.who.Role = string(interview.RoleSecurityOffice) },
		"device off":    func(v *vouched, _ *allowQuestion) { v.freshErr = problem.New(problem.CodePostureStale, "test") },
		"device gone":   func(v *vouched, _ *allowQuestion) { v.deviceErr = problem.New(problem.CodeDeviceRevoked, "test") },
		"not signed in": func(v *vouched, _ *allowQuestion) { v.tokenErr = problem.New(problem.CodeSignIn, "test") },
	} {
		v, q := setup()
		if text, err := approvedBy(v, "kaisa", q, func(a *allowQuestion) { spoil(v, a) }); err == nil || text != "" {
			t.Errorf("approval with %s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*vouched, *viewQuestion){
		"no approval": func(_ *vouched, q *viewQuestion) { q.Approval = "" },
		"another asker": func(v *vouched, q *viewQuestion) {
			v.who.Subject = "third"
			q.Asker = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1)
		},
		"another case": func(_ *vouched, q *viewQuestion) { q.Case = interview.NewCaseID() },
		"another purpose": func(v *vouched, q *viewQuestion) {
			q.Purpose = "x"
			q.Asker = v.person(viewing.ActView, q.Hearing, "x", nonce1)
		},
		"forged approval":  func(v *vouched, q *viewQuestion) { v.a.sealing = testKey(t) },
		"consent as proof": func(_ *vouched, q *viewQuestion) { q.Approval = q.Asker.Consent },
	} {
		v, q := setup()
		if q.Approval, err = approvedBy(v, "kaisa", q, nil); err != nil {
			t.Fatal(err)
		}
		spoil(v, &q)
		if err := v.a.approveViewing(t.Context(), q); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
			t.Errorf("viewing with %s: %v", name, err)
		}
	}
}

// H6: an approval is for minutes, and many of them push nobody else's away.
func TestAnApprovalOfAViewingEnds(t *testing.T) {
	t.Parallel()
	v := newVouched(t)
	var q viewQuestion
	for i := range maxViewings + 1 {
		q = wantsToView(v, hex.EncodeToString(fmt.Appendf(nil, "%08d", i)))
		err := v.a.approveViewing(t.Context(), q)
		if i < maxViewings && err != nil {
			t.Fatal(err)
		}
		if i == maxViewings && !errors.Is(err, problem.New(problem.CodeTooFast, "")) {
			t.Errorf("more than %d: %v", maxViewings, err)
		}
	}
	first := viewingID + "-" + hex.EncodeToString([]byte("00000000"))
	v.a.viewings[first].until = time.Now()
	if err := v.a.approveUnwrap(t.Context(), first, v.a.viewings[first].key, v.a.viewings[first].bounds[0]); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
		t.Errorf("after its minutes: %v", err)
	}
	if err := v.a.approveViewing(t.Context(), q); err != nil {
		t.Errorf("the place of one that ended: %v", err)
	}
}

// agree puts v's agreement on the shelf, in force or not.
func (v *vouched) agree(off ...bool) {
	v.t.Helper()
	signed, err := agreement.Sign(&v.doc, v.office)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.a.shelf.put(signed, len(off) > 0 && off[0]); err != nil {
		v.t.Fatal(err)
	}
}

// K1: counsel opens a recording at a device whose agreement in force names that
// person, with a second person's approval; each missing one alone refuses.
func TestCounselOpensWhatWasAllowedAtTheOwnDevice(t *testing.T) {
	t.Parallel()
	setup := func() (*vouched, viewQuestion) {
		v := newVouched(t)
		v.agree()
		q := wantsToView(v, nonce1)
		v.who.Subject = "interviewer"
		allowed, err := v.a.allowViewing(t.Context(), allowQuestion{
			Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Purpose: q.Purpose, Asker: viewing.Person(v.who.Issuer, "kaisa"),
			Approver: v.person(viewing.ActApprove, q.Hearing, q.Purpose, "8899aabbccddeeff"),
		})
		if err != nil {
			t.Fatal(err)
		}
		v.who.Subject, v.who.Role = "kaisa", string(interview.RoleCounsel)
		q.Approval, q.Asker = allowed.Approval, v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1)
		return v, q
	}
	v, q := setup()
	if err := v.a.approveViewing(t.Context(), q); err != nil {
		t.Fatalf("counsel who was allowed: %v", err)
	}
	for name, c := range map[string]struct {
		code  problem.Code
		spoil func(*vouched, *viewQuestion)
	}{
		// wantsToView noted this very person as one who was admitted: as interviewer.
		"no approval":            {problem.CodeForbidden, func(_ *vouched, q *viewQuestion) { q.Approval = "" }},
		"agreement is suspended": {problem.CodeNoAgreement, func(v *vouched, _ *viewQuestion) { v.agree(true) }},
		"not named there": {problem.CodeNoAgreement, func(v *vouched, q *viewQuestion) {
			v.who.Subject = "somebody"
			q.Asker = v.person(viewing.ActView, q.Hearing, q.Purpose, nonce1)
		}},
		"state is old":            {problem.CodePostureStale, func(v *vouched, _ *viewQuestion) { v.freshErr = problem.New(problem.CodePostureStale, "test") }},
		"device withdrawn":        {problem.CodeDeviceRevoked, func(v *vouched, _ *viewQuestion) { v.deviceErr = problem.New(problem.CodeDeviceRevoked, "test") }},
		"not signed in":           {problem.CodeSignIn, func(v *vouched, _ *viewQuestion) { v.tokenErr = problem.New(problem.CodeSignIn, "test") }},
		"an interpreter":          {problem.CodeForbidden, func(v *vouched, _ *viewQuestion) { v.who.Role = string(interview.RoleInterpreter) }},
		"a representative":        {problem.CodeForbidden, func(v *vouched, _ *viewQuestion) { v.who.Role = string(interview.RoleRepresentative) }},
		"for another purpose":     {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Purpose = "curiosity" }},
		"of another hearing":      {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Hearing = interview.NewHearingID() }},
		"consent of nobody":       {problem.CodeStatementInvalid, func(_ *vouched, q *viewQuestion) { q.Asker.Consent = "" }},
		"approval of the counsel": {problem.CodeForbidden, func(v *vouched, q *viewQuestion) { q.Approval = q.Asker.Consent }},
	} {
		v, q := setup()
		c.spoil(v, &q)
		if err := v.a.approveViewing(t.Context(), q); !errors.Is(err, problem.New(c.code, "")) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	// Nor does counsel allow anybody, or order an erasure.
	v, q = setup()
	if _, err := v.a.allowViewing(t.Context(), allowQuestion{
		Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Purpose: q.Purpose, Asker: "x", Approver: v.person(viewing.ActApprove, q.Hearing, q.Purpose, "8899aabbccddeeff"),
	}); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
		t.Errorf("counsel allows: %v", err)
	}
}
