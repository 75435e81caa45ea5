package viewing

import (
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
)

// JWS "typ" of the two messages.
const (
	TypeConsent  = "kuule-consent+jws"
	TypeApproval = "kuule-approval+jws"
)

// Fresh is how old a consent may be.
const Fresh = time.Minute

// Act is what a person consents to.
type Act string

// Acts.
const (
	ActView    Act = "view"    // I open this recording
	ActApprove Act = "approve" // I allow another person to open it
	ActSeat    Act = "seat"    // I know who sits here, and allow that person to open it here
	ActErase   Act = "erase"   // I order, or confirm, that the case is erased
)

var (
	// ErrConsent says that a consent does not hold.
	ErrConsent = errors.New("consent does not hold")
	// ErrApproval says that an approval does not hold.
	ErrApproval = errors.New("approval does not hold")
)

var (
	idPattern    = regexp.MustCompile(`^view-[0-9a-f]{32}$`)
	erasePattern = regexp.MustCompile(`^erase-[0-9a-f]{32}$`)
	noncePattern = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// CheckID reports whether a text is a viewing's id.
func CheckID(id string) bool { return idPattern.MatchString(id) }

// CheckErasure reports whether a text is the id of an order of erasure.
func CheckErasure(id string) bool { return erasePattern.MatchString(id) }

// Consent is what a device signs for the person who is signed in at it.
type Consent struct {
	V        int                 `json:"v"` // 1
	Act      Act                 `json:"act"`
	Viewing  string              `json:"viewing"`
	Hearing  interview.HearingID `json:"hearing"`
	Purpose  string              `json:"purpose"` // hash of the written purpose
	Nonce    string              `json:"nonce"`   // 16 hex digits of the page's choice: one opening
	Person   string              `json:"person"`  // Person of who is signed in at the device; "" where a participant listens
	Device   interview.DeviceID  `json:"device"`
	IssuedAt int64               `json:"iat"`

	// Participant is who listens to the own hearing at a device where nobody
	// signs in. The device signs that its page asked for this opening; who sits
	// there is proved by a ticket or by an interviewer (H6, H7).
	Participant interview.ParticipantID `json:"participant,omitzero"`
}

// Check reports whether the page's part of a consent has its form.
func (c Consent) Check() error {
	switch {
	case c.Act != ActView && c.Act != ActApprove && c.Act != ActSeat && c.Act != ActErase:
		return fmt.Errorf("%w: act %q is not known", ErrConsent, c.Act)
	case c.Act == ActErase && !CheckErasure(c.Viewing), c.Act != ActErase && !CheckID(c.Viewing), !noncePattern.MatchString(c.Nonce):
		return fmt.Errorf("%w: viewing and nonce are both needed", ErrConsent)
	case c.Hearing.IsZero() || len(c.Purpose) != 43:
		return fmt.Errorf("%w: hearing and purpose are both needed", ErrConsent)
	case !c.Participant.IsZero() && (c.Act != ActView || c.Person != ""):
		return fmt.Errorf("%w: a participant opens the own hearing, and nothing else", ErrConsent)
	}
	return nil
}

// Opening names one opening of a viewing: the process that is started for it.
func (c Consent) Opening() string { return c.Viewing + "-" + c.Nonce }

// Expected is what a consent has to say.
type Expected struct {
	Act     Act
	Viewing string
	Hearing interview.HearingID
	Purpose string // in words
	Person  string
	Device  interview.DeviceID
	Now     time.Time

	Participant interview.ParticipantID // in place of Person
}

// VerifyConsent checks a consent against what is asked for. deviceOf reads the
// device that a verified certificate names.
func VerifyConsent(message string, roots *x509.CertPool, deviceOf func(*x509.Certificate) (interview.DeviceID, error), want Expected) (Consent, error) {
	var c Consent
	leaf, err := jws.VerifyChain(message, TypeConsent, roots, want.Now, &c)
	if err != nil {
		return Consent{}, fmt.Errorf("%w: %w", ErrConsent, err)
	}
	device, err := deviceOf(leaf)
	if err != nil {
		return Consent{}, fmt.Errorf("%w: %w", ErrConsent, err)
	}
	if err := c.Check(); err != nil {
		return Consent{}, err
	}
	age := want.Now.Sub(time.Unix(c.IssuedAt, 0))
	switch {
	case c.V != 1:
		return Consent{}, fmt.Errorf("%w: version %d is not known", ErrConsent, c.V)
	case device != c.Device || device != want.Device:
		return Consent{}, fmt.Errorf("%w: it is another device's", ErrConsent)
	case c.Participant != want.Participant:
		return Consent{}, fmt.Errorf("%w: it is another participant's", ErrConsent)
	case c.Person != want.Person || c.Person == "" && c.Participant.IsZero():
		return Consent{}, fmt.Errorf("%w: it is another person's", ErrConsent)
	case c.Act != want.Act:
		return Consent{}, fmt.Errorf("%w: it is to %q", ErrConsent, c.Act)
	case c.Viewing != want.Viewing || c.Hearing != want.Hearing:
		return Consent{}, fmt.Errorf("%w: it is to another viewing", ErrConsent)
	case subtle.ConstantTimeCompare([]byte(c.Purpose), []byte(jws.Hash(want.Purpose))) != 1:
		return Consent{}, fmt.Errorf("%w: it is for another purpose", ErrConsent)
	case age > Fresh || age < -Fresh:
		return Consent{}, fmt.Errorf("%w: it was signed %s ago", ErrConsent, age.Round(time.Second))
	}
	return c, nil
}

// Approval is authority's word that a second person allows a viewing. Persons
// are named by Person.
type Approval struct {
	V        int                 `json:"v"` // 1
	Viewing  string              `json:"viewing"`
	Case     interview.CaseID    `json:"case"`
	Hearing  interview.HearingID `json:"hearing"`
	Asker    string              `json:"asker"`
	Approver string              `json:"approver"`
	Purpose  string              `json:"purpose"` // hash
	Expires  int64               `json:"exp"`

	// Device is where an interviewer knew who sat there: the approval then
	// counts at that device alone, and is the asker's identity there.
	Device interview.DeviceID `json:"device,omitzero"`
}

// Participant names who listens to the own hearing, without telling who it is.
func Participant(h interview.HearingID, p interview.ParticipantID) string {
	return jws.Hash("kuule-participant\x00" + h.String() + "\x00" + p.String())
}

// Person names somebody of an identity provider without telling who it is.
func Person(issuer, subject string) string {
	return jws.Hash("kuule-person\x00" + issuer + "\x00" + subject)
}

// VerifyApproval checks an approval against the viewing that is to be opened,
// at the device want.Device.
func VerifyApproval(message string, key crypto.PublicKey, want Approval, now time.Time) (Approval, error) {
	var a Approval
	if err := jws.Verify(message, TypeApproval, key, &a); err != nil {
		return Approval{}, fmt.Errorf("%w: %w", ErrApproval, err)
	}
	switch {
	case a.V != 1:
		return Approval{}, fmt.Errorf("%w: version %d is not known", ErrApproval, a.V)
	case a.Viewing != want.Viewing || a.Case != want.Case || a.Hearing != want.Hearing:
		return Approval{}, fmt.Errorf("%w: it is of another viewing", ErrApproval)
	case a.Asker != want.Asker:
		return Approval{}, fmt.Errorf("%w: it was given to another person", ErrApproval)
	case a.Approver == a.Asker || a.Approver == "":
		return Approval{}, fmt.Errorf("%w: it is not a second person's", ErrApproval)
	case a.Purpose != want.Purpose:
		return Approval{}, fmt.Errorf("%w: it was given for another purpose", ErrApproval)
	case !a.Device.IsZero() && a.Device != want.Device:
		return Approval{}, fmt.Errorf("%w: it was given at another device", ErrApproval)
	case now.Unix() >= a.Expires:
		return Approval{}, fmt.Errorf("%w: it has expired", ErrApproval)
	}
	return a, nil
}
