package ticket

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
)

// TypIdentification is an officer's word, signed by the device at which that
// officer is signed in (docs/protocol.md).
const TypIdentification = "kuule-identification+jws"

// FreshIdentification is how old an identification may be when it is handed in.
const FreshIdentification = 2 * time.Minute

// Method is how officers identified a person whom no kiosk could (rows B12,
// B15; Regulation (EU) 2024/1348, Article 29(7)). Each gives a low assurance,
// which travels to the interviewer with the method.
type Method string

// Methods.
const (
	MethodDocument Method = "document" // a travel or identity document, or the document of an applicant, looked at by a person
	MethodRegister Method = "register" // compared with the photograph and details in the register
	MethodKnown    Method = "known"    // neither: two officers stand for it
)

// Officers is how many different officers the method needs; 0: there is no such
// method.
func (m Method) Officers() int {
	switch m {
	case MethodDocument, MethodRegister:
		return 1
	case MethodKnown:
		return 2
	default:
		return 0
	}
}

// maxOfficers is the most that evidence can ask for.
const maxOfficers = 2

// Identification is what an officer's device signs: that the officer stands for
// exactly this evidence.
type Identification struct {
	V              int                     `json:"v"` // 1
	Visit          interview.VisitID       `json:"visit"`
	EvidenceSHA256 string                  `json:"evidence_sha256"`
	Hearing        interview.HearingID     `json:"hearing"`
	Participant    interview.ParticipantID `json:"participant"`
	Method         Method                  `json:"method"`
	Officer        string                  `json:"officer"` // viewing.Person of who is signed in at the device
	Device         interview.DeviceID      `json:"device"`  // at which the officer sits
	IssuedAt       int64                   `json:"iat"`
}

// ErrIdentification says that an officer's identification does not hold.
var ErrIdentification = errors.New("identification does not hold")

// Identify makes what the device signs, from the evidence as the server gives
// it. It refuses evidence that no officer could stand for.
func Identify(evidence, officer string, device interview.DeviceID, now time.Time) (Identification, error) {
	e, err := ReadEvidence(evidence)
	if err != nil {
		return Identification{}, err
	}
	if age := now.Sub(time.Unix(e.Ended, 0)); age > MaxVisitAge || age < -skew {
		return Identification{}, fmt.Errorf("%w: the evidence is of another day", ErrIdentification)
	}
	return Identification{
		V: 1, Visit: e.Visit, EvidenceSHA256: Hash([]byte(evidence)), Hearing: e.Hearing, Participant: e.Participant,
		Method: e.Method, Officer: officer, Device: device, IssuedAt: now.Unix(),
	}, nil
}

// ReadEvidence reads the evidence of an identification by officers, strictly.
func ReadEvidence(text string) (Evidence, error) {
	var e Evidence
	if err := canon.Unmarshal([]byte(text), &e); err != nil {
		return Evidence{}, fmt.Errorf("%w: evidence cannot be read", ErrIdentification)
	}
	switch {
	case e.V != 1 || e.Visit.IsZero() || e.Hearing.IsZero() || e.Participant.IsZero() || e.Kiosk.IsZero() || !validNonce(e.Nonce):
		return Evidence{}, fmt.Errorf("%w: evidence names nobody or nothing", ErrIdentification)
	case e.Method.Officers() == 0:
		return Evidence{}, fmt.Errorf("%w: method %q is not known", ErrIdentification, e.Method)
	case e.Officers < 0 || e.Officers > maxOfficers:
		return Evidence{}, fmt.Errorf("%w: nobody asks for %d officers", ErrIdentification, e.Officers)
	case e.Assurance != AssuranceLow:
		return Evidence{}, fmt.Errorf("%w: officers give a low assurance, not %q", ErrIdentification, e.Assurance)
	}
	return e, nil
}

// VerifyIdentification checks an officer's identification of this evidence, at
// the device whose certificate signed it, while that officer was signed in there.
// That the sign-in is genuine is the caller's to verify.
func VerifyIdentification(message, evidence, officer string, roots *x509.CertPool, deviceOf func(*x509.Certificate) (interview.DeviceID, error), now time.Time) (Identification, error) {
	e, err := ReadEvidence(evidence)
	if err != nil {
		return Identification{}, err
	}
	var i Identification
	cert, err := jws.VerifyChain(message, TypIdentification, roots, now, &i)
	if err != nil {
		return Identification{}, fmt.Errorf("%w: %w", ErrIdentification, err)
	}
	device, err := deviceOf(cert)
	if err != nil {
		return Identification{}, fmt.Errorf("%w: %w", ErrIdentification, err)
	}
	age := now.Sub(time.Unix(i.IssuedAt, 0))
	switch {
	case i.V != 1:
		return Identification{}, fmt.Errorf("%w: version %d is not known", ErrIdentification, i.V)
	case i.Device != device:
		return Identification{}, fmt.Errorf("%w: it is another device's", ErrIdentification)
	case i.Officer == "" || i.Officer != officer:
		return Identification{}, fmt.Errorf("%w: it is another officer's", ErrIdentification)
	case i.EvidenceSHA256 != Hash([]byte(evidence)) || i.Visit != e.Visit || i.Hearing != e.Hearing || i.Participant != e.Participant || i.Method != e.Method:
		return Identification{}, fmt.Errorf("%w: it is of other evidence", ErrIdentification)
	case age > FreshIdentification || age < -FreshIdentification:
		return Identification{}, fmt.Errorf("%w: it was signed %s ago", ErrIdentification, age.Round(time.Second))
	}
	return i, nil
}

// verifyOfficers checks that as many officers stand for the evidence as its
// method needs.
func verifyOfficers(e Evidence, t Trust, c Claims) error {
	needed := max(e.Method.Officers(), e.Officers)
	switch {
	case e.Method.Officers() == 0:
		return fmt.Errorf("method %q is not known", e.Method)
	case e.Assurance != AssuranceLow:
		return errors.New("officers give a low assurance")
	case t.Identified == nil:
		return errors.New("nobody here knows of the officers")
	}
	found, err := t.Identified(c.Visit, c.EvidenceSHA256)
	if err != nil {
		return err
	}
	if found < needed {
		return fmt.Errorf("%d officers stand for it, %d are needed", found, needed)
	}
	return e.bears(c)
}
