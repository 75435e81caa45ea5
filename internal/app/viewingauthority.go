package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
	"kuule/recorder/journal"
)

const (
	// maxViewings bounds how many approvals hold at one time.
	maxViewings = 64
	// approvalLife is how long a second person's approval holds.
	approvalLife = 24 * time.Hour
	// seatedLife is how long an interviewer's word holds that somebody sits at a device.
	seatedLife = 4 * time.Hour
)

type (
	// person is somebody at a device, with everything that proves it.
	person struct {
		Certificate []byte       `json:"certificate"`
		Proof       signin.Proof `json:"proof"`
		Consent     string       `json:"consent"`

		// Of who listens to the own hearing and signs in nowhere: the participant,
		// with the ticket for a review, or without one where an interviewer said at
		// the device who sits there.
		Participant interview.ParticipantID `json:"participant,omitzero"`
		Ticket      ticket.Proof            `json:"ticket,omitzero"`
	}
	viewQuestion struct {
		Opening    string                  `json:"opening"` // of the playback process
		Viewing    string                  `json:"viewing"`
		Case       interview.CaseID        `json:"case"`
		Hearing    interview.HearingID     `json:"hearing"`
		Recordings []interview.RecordingID `json:"recordings"`
		Purpose    string                  `json:"purpose"`
		Asker      person                  `json:"asker"`
		Approval   string                  `json:"approval,omitempty"` // kuule-approval+jws; own hearings need none
	}
	allowQuestion struct {
		Viewing  string              `json:"viewing"`
		Case     interview.CaseID    `json:"case"`
		Hearing  interview.HearingID `json:"hearing"`
		Purpose  string              `json:"purpose"`
		Asker    string              `json:"asker"` // viewing.Person, or viewing.Participant
		Approver person              `json:"approver"`

		// Participant sits at the approver's own device, as the approver says.
		Participant interview.ParticipantID `json:"participant,omitzero"`
	}
	allowAnswer struct {
		Approval string `json:"approval"`
		Expires  int64  `json:"expires"`
	}
)

// approved is an opening: the keys of one hearing's recordings, each once,
// within the time of one viewing.
type approved struct {
	key    keyring.Key
	bounds []string // wrap contexts whose key was not given out yet
	until  time.Time
}

// prove checks that an interviewer, or somebody of another role that is named,
// signed in at a device that proves its state now, consents to exactly this
// there. The identity token alone is not enough: the door keeps it for hours
// after the person has gone home. Counsel counts at a device whose agreement
// names that person (S4).
func (a *authority) prove(ctx context.Context, p person, want viewing.Expected, also ...interview.Role) (string, interview.Role, viewing.Consent, error) {
	device, err := a.devices.Device(ctx, p.Certificate)
	if err != nil {
		return "", "", viewing.Consent{}, err
	}
	if _, err := a.devices.Fresh(device.DeviceID, want.Now, postureAge); err != nil {
		return "", "", viewing.Consent{}, err
	}
	who, err := a.people.Verify(ctx, p.Proof, device.DeviceID.String())
	if err != nil {
		return "", "", viewing.Consent{}, err
	}
	switch role := interview.Role(who.Role); {
	case role == interview.RoleInterviewer:
	case !slices.Contains(also, role):
		return "", "", viewing.Consent{}, problem.Refused(problem.CodeForbidden, "viewing-by-interviewer", "role %s opens no recording", role)
	default:
		doc, err := a.shelf.covering(device.DeviceID)
		if err != nil || !doc.Names(who.Subject, role) {
			return "", "", viewing.Consent{}, problem.Refused(problem.CodeNoAgreement, "viewing-agreement", "no agreement in force names this person at device %s", device.DeviceID)
		}
	}
	want.Device, want.Person = device.DeviceID, viewing.Person(who.Issuer, who.Subject)
	c, err := viewing.VerifyConsent(p.Consent, a.deviceRoot, deviceOf, want)
	if err != nil {
		return "", "", c, problem.Refused(problem.CodeStatementInvalid, "viewing-consent", "%w", err)
	}
	return want.Person, interview.Role(who.Role), c, nil
}

// proveParticipant checks that the applicant of the hearing sits at a device
// that proves its state now and consents to exactly this there (H6, H7): by the
// ticket of a kiosk for the review, which names this device, or by the approval
// of an interviewer who signed at this very device who sits there. That the
// participant is the hearing's applicant, authority knows from the admission to
// it. Without an interviewer's approval nothing opens.
func (a *authority) proveParticipant(ctx context.Context, q viewQuestion, now time.Time) (viewing.Consent, error) {
	p := q.Asker
	device, err := a.devices.Device(ctx, p.Certificate)
	if err != nil {
		return viewing.Consent{}, err
	}
	if _, err := a.devices.Fresh(device.DeviceID, now, postureAge); err != nil {
		return viewing.Consent{}, err
	}
	c, err := viewing.VerifyConsent(p.Consent, a.deviceRoot, deviceOf, viewing.Expected{
		Act: viewing.ActView, Viewing: q.Viewing, Hearing: q.Hearing, Purpose: q.Purpose, Participant: p.Participant, Device: device.DeviceID, Now: now,
	})
	if err != nil {
		return c, problem.Refused(problem.CodeStatementInvalid, "viewing-consent", "%w", err)
	}
	who := viewing.Participant(q.Hearing, p.Participant)
	met, err := a.visits.met(q.Hearing, who)
	if err != nil {
		return c, err
	}
	if !met {
		return c, problem.Refused(problem.CodeForbidden, "viewing-own-hearing", "participant %s was never admitted to hearing %s as its applicant", p.Participant, q.Hearing)
	}
	approval, err := viewing.VerifyApproval(q.Approval, versionsOf(a.sealing), viewing.Approval{
		Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Asker: who, Purpose: jws.Hash(q.Purpose), Device: device.DeviceID,
	}, now)
	if err != nil {
		return c, problem.Refused(problem.CodeForbidden, "viewing-second-person", "%w", err)
	}
	if approval.Device == device.DeviceID {
		return c, nil // the interviewer knew who sits here
	}
	var claims ticket.Claims
	if err := jws.Peek(p.Ticket.Ticket, ticket.TypTicket, &claims); err != nil {
		return c, problem.New(problem.CodeTicketInvalid, "%w", err)
	}
	return c, a.acceptTicket(p.Ticket, claims, ticket.Expected{
		Hearing: q.Hearing, Purpose: interview.PurposeReview, Participant: p.Participant, Device: device.DeviceID, Now: now,
	})
}

// proveViewer checks who opens a recording, and by which right: an interviewer
// who was admitted to that hearing; an interviewer, counsel or the hearing's
// applicant whom a second person allowed it.
func (a *authority) proveViewer(ctx context.Context, q viewQuestion, now time.Time) (c viewing.Consent, own bool, err error) {
	if !q.Asker.Participant.IsZero() {
		c, err = a.proveParticipant(ctx, q, now)
		return c, false, err
	}
	who, role, c, err := a.prove(ctx, q.Asker, viewing.Expected{Act: viewing.ActView, Viewing: q.Viewing, Hearing: q.Hearing, Purpose: q.Purpose, Now: now}, interview.RoleCounsel)
	if err != nil {
		return c, false, err
	}
	if own, err = a.visits.met(q.Hearing, who); err != nil {
		return c, false, err
	}
	if own = own && role == interview.RoleInterviewer; own {
		return c, true, nil
	}
	want := viewing.Approval{Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Asker: who, Purpose: jws.Hash(q.Purpose), Device: c.Device}
	if _, err := viewing.VerifyApproval(q.Approval, versionsOf(a.sealing), want, now); err != nil {
		return c, false, problem.Refused(problem.CodeForbidden, "viewing-second-person", "%w", err)
	}
	return c, false, nil
}

// approveViewing allows one playback process the keys of one hearing, for a
// written purpose (H6, K1).
func (a *authority) approveViewing(ctx context.Context, q viewQuestion) error {
	if strings.TrimSpace(q.Purpose) == "" {
		return problem.New(problem.CodePurposeNeeded, "viewing of hearing %s", q.Hearing)
	}
	now := time.Now()
	consent, own, err := a.proveViewer(ctx, q, now)
	if err != nil {
		return err
	}
	if consent.Opening() != q.Opening {
		return problem.Refused(problem.CodeStatementInvalid, "viewing-consent", "consent is to opening %s", consent.Opening())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.viewings, func(_ string, v *approved) bool { return !now.Before(v.until) })
	switch {
	case a.viewings[q.Opening] != nil:
		return problem.New(problem.CodeConflict, "viewing %s was approved before", q.Opening)
	case len(a.viewings) >= maxViewings:
		return problem.New(problem.CodeTooFast, "%d viewings are approved already", maxViewings)
	}
	v := &approved{key: keyring.Key{Case: q.Case.String(), Kind: keyring.Recording}, until: now.Add(keysWithin)}
	for _, r := range q.Recordings {
		v.bounds = append(v.bounds, journal.WrapContext(q.Hearing, r))
	}
	a.viewings[q.Opening] = v
	// The door writes the audit event; this line is not the door's to leave out.
	slog.Info("viewing approved", "viewing", q.Opening, "case", q.Case, "hearing", q.Hearing, "own", own, "device", consent.Device)
	return nil
}

// allowViewing signs that a second interviewer allows a viewing, or at a
// device that a hearing's applicant sits there and may listen.
func (a *authority) allowViewing(ctx context.Context, q allowQuestion) (allowAnswer, error) {
	now := time.Now()
	act, life := viewing.ActApprove, approvalLife
	if !q.Participant.IsZero() {
		act, life = viewing.ActSeat, seatedLife
		q.Asker = viewing.Participant(q.Hearing, q.Participant)
	}
	who, _, c, err := a.prove(ctx, q.Approver, viewing.Expected{Act: act, Viewing: q.Viewing, Hearing: q.Hearing, Purpose: q.Purpose, Now: now})
	if err != nil {
		return allowAnswer{}, err
	}
	if who == q.Asker {
		return allowAnswer{}, problem.Refused(problem.CodeForbidden, "viewing-second-person", "nobody approves the own request")
	}
	approval := viewing.Approval{
		V: 1, Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Asker: q.Asker, Approver: who, Purpose: jws.Hash(q.Purpose), Expires: now.Add(life).Unix(),
	}
	if !q.Participant.IsZero() {
		approval.Device = c.Device
	}
	out := allowAnswer{Expires: approval.Expires}
	out.Approval, err = jws.Sign(approval, viewing.TypeApproval, a.sealing)
	slog.Info("viewing allowed by a second person", "viewing", q.Viewing, "hearing", q.Hearing)
	return out, err
}

// approveUnwrap implements keyringremote.Approve.
func (a *authority) approveUnwrap(_ context.Context, opening string, key keyring.Key, bound string) error {
	if strings.HasPrefix(bound, keyringremote.Guard) {
		return a.readings.use(key, bound, time.Now())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if v := a.viewings[opening]; v != nil && key == v.key && time.Now().Before(v.until) {
		if i := slices.Index(v.bounds, bound); i >= 0 {
			v.bounds = slices.Delete(v.bounds, i, i+1)
			return nil
		}
	}
	return problem.Refused(problem.CodeForbidden, "viewing-approved", "viewing %s was not approved for this key", opening)
}
