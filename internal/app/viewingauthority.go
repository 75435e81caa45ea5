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
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/viewing"
	"kuule/recorder/journal"
)

const (
	// maxViewings bounds how many approvals hold at one time.
	maxViewings = 64
	// approvalLife is how long a second person's approval holds.
	approvalLife = 24 * time.Hour
)

type (
	// person is somebody at a device, with everything that proves it.
	person struct {
		Certificate []byte       `json:"certificate"`
		Proof       signin.Proof `json:"proof"`
		Consent     string       `json:"consent"`
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
		Asker    string              `json:"asker"` // viewing.Person
		Approver person              `json:"approver"`
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

// approveViewing allows one playback process the keys of one hearing: asked for
// by an interviewer who was admitted to that hearing, or an interviewer or
// counsel whom a second person allowed it, for a written purpose (H6, K1).
func (a *authority) approveViewing(ctx context.Context, q viewQuestion) error {
	if strings.TrimSpace(q.Purpose) == "" {
		return problem.New(problem.CodePurposeNeeded, "viewing of hearing %s", q.Hearing)
	}
	now := time.Now()
	who, role, consent, err := a.prove(ctx, q.Asker, viewing.Expected{Act: viewing.ActView, Viewing: q.Viewing, Hearing: q.Hearing, Purpose: q.Purpose, Now: now}, interview.RoleCounsel)
	if err != nil {
		return err
	}
	if consent.Opening() != q.Opening {
		return problem.Refused(problem.CodeStatementInvalid, "viewing-consent", "consent is to opening %s", consent.Opening())
	}
	own, err := a.visits.met(q.Hearing, who)
	if err != nil {
		return err
	}
	own = own && role == interview.RoleInterviewer
	if !own {
		want := viewing.Approval{Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Asker: who, Purpose: jws.Hash(q.Purpose)}
		if _, err := viewing.VerifyApproval(q.Approval, a.sealing.Public(), want, now); err != nil {
			return problem.Refused(problem.CodeForbidden, "viewing-second-person", "%w", err)
		}
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

// allowViewing signs that a second interviewer allows a viewing.
func (a *authority) allowViewing(ctx context.Context, q allowQuestion) (allowAnswer, error) {
	now := time.Now()
	who, _, _, err := a.prove(ctx, q.Approver, viewing.Expected{Act: viewing.ActApprove, Viewing: q.Viewing, Hearing: q.Hearing, Purpose: q.Purpose, Now: now})
	if err != nil {
		return allowAnswer{}, err
	}
	if who == q.Asker {
		return allowAnswer{}, problem.Refused(problem.CodeForbidden, "viewing-second-person", "nobody approves the own request")
	}
	out := allowAnswer{Expires: now.Add(approvalLife).Unix()}
	out.Approval, err = jws.Sign(viewing.Approval{
		V: 1, Viewing: q.Viewing, Case: q.Case, Hearing: q.Hearing, Asker: q.Asker, Approver: who, Purpose: jws.Hash(q.Purpose), Expires: out.Expires,
	}, viewing.TypeApproval, a.sealing)
	slog.Info("viewing allowed by a second person", "viewing", q.Viewing, "hearing", q.Hearing)
	return out, err
}

// approveUnwrap implements keyringremote.Approve.
func (a *authority) approveUnwrap(_ context.Context, opening string, key keyring.Key, bound string) error {
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
