package ticket

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
)

// Types of the signed messages (docs/protocol.md).
const (
	TypTicket = "kuule-ticket+jws"
	TypVisit  = "kuule-kiosk-visit+jws"
)

const (
	// MaxLifetime bounds how long a ticket can be redeemed.
	MaxLifetime = 15 * time.Minute
	// MaxHold bounds how long after its opening a redeemed ticket keeps a seat.
	MaxHold = 12 * time.Hour
	// MaxVisitAge bounds how old a visit may be when the ticket opens.
	MaxVisitAge = 12 * time.Hour
	// skew is how far the clocks of kiosk, door and authority may differ.
	skew = time.Minute
	// nonceSize is the length of a visit's nonce in bytes.
	nonceSize = 32
)

// Assurance says how sure an identity is, from its route.
type Assurance string

// Levels of assurance.
const (
	AssuranceHigh        Assurance = "high"        // the chip proves to be no copy, and a measured engine compared the face of a living person
	AssuranceSubstantial Assurance = "substantial" // the chip's data are the issuer's
	AssuranceLow         Assurance = "low"         // read, but the issuer could not be established
	AssuranceNone        Assurance = "none"        // not identified: to the desk
)

// Valid reports whether a is a level on which a ticket can stand.
func (a Assurance) Valid() bool {
	return a == AssuranceHigh || a == AssuranceSubstantial || a == AssuranceLow
}

// Claims are what a ticket says. Times are seconds since 1970.
type Claims struct {
	V              int                     `json:"v"`
	ID             interview.TicketID      `json:"id"`
	Hearing        interview.HearingID     `json:"hearing"`
	Purpose        interview.Purpose       `json:"purpose"`
	Participant    interview.ParticipantID `json:"participant"`
	Device         interview.DeviceID      `json:"device"` // the room terminal
	Kiosk          interview.DeviceID      `json:"kiosk"`
	Visit          interview.VisitID       `json:"visit"`
	EvidenceSHA256 string                  `json:"evidence_sha256"`
	Assurance      Assurance               `json:"assurance"`
	NotBefore      int64                   `json:"nbf"`
	Expires        int64                   `json:"exp"`   // after this it cannot be redeemed
	Until          int64                   `json:"until"` // after this a redeemed ticket keeps no seat
}

// Visit is what the kiosk's device key signs.
type Visit struct {
	V              int                     `json:"v"`
	Visit          interview.VisitID       `json:"visit"`
	Nonce          string                  `json:"nonce"` // base64url, the bridge's
	EvidenceSHA256 string                  `json:"evidence_sha256"`
	Hearing        interview.HearingID     `json:"hearing"`
	Participant    interview.ParticipantID `json:"participant"`
}

// Evidence is what kiosk and bridge both saw of a visit, without any personal
// content. The kiosk signs its hash only after it has compared the visit, the
// nonce and the hash of the exchanged APDUs with its own.
type Evidence struct {
	V            int                     `json:"v"`
	Visit        interview.VisitID       `json:"visit"`
	Nonce        string                  `json:"nonce"`
	Kiosk        interview.DeviceID      `json:"kiosk"`
	Hearing      interview.HearingID     `json:"hearing"`
	Participant  interview.ParticipantID `json:"participant"`
	APDUSHA256   string                  `json:"apdu_sha256"`
	ChecksSHA256 string                  `json:"checks_sha256"` // of Checks: verdicts, salted
	TrustList    string                  `json:"trust_list"`    // version of the issuers' list
	Assurance    Assurance               `json:"assurance"`
	Started      int64                   `json:"started"`
	Ended        int64                   `json:"ended"`

	// Method says how officers identified the person; empty where a kiosk read a
	// document. Kiosk is then the device at which the first of them sat.
	Method Method `json:"method,omitempty"`

	// Officers is how many have to stand for it where that is more than the method
	// asks for: two, where a kiosk's biometrics failed before.
	Officers int `json:"officers,omitempty"`

	// Of a visit at a kiosk: the way that it took, the rules by which it was
	// judged, where the kiosk stands, the kiosk's own journal and, salted, the
	// bridge's account with its verdicts.
	Route         Route  `json:"route,omitempty"`
	Policy        string `json:"policy,omitempty"`
	Site          string `json:"site,omitempty"`
	JournalSHA256 string `json:"journal_sha256,omitempty"`
	StepsSHA256   string `json:"steps_sha256,omitempty"`

	// Before is an earlier visit on which this one stands, by its evidence: an
	// identity that was found out once (row B18), or what a kiosk handed over to
	// the desk (row B15).
	Before *Before `json:"before,omitempty"`
}

// Route is the way on which a person was identified.
type Route string

// Routes.
const (
	RouteDocument Route = "document" // a travel document with its chip
	RouteRegister Route = "register" // the biometrics in the register (row B12)
	RouteReused   Route = "reused"   // an identity found out before and still valid (row B18)
	RouteOfficers Route = "officers" // officers' words
	RouteNobody   Route = "nobody"   // nobody was identified: a matter for which it is not needed
)

// Before names an earlier visit.
type Before struct {
	Visit          interview.VisitID `json:"visit"`
	EvidenceSHA256 string            `json:"evidence_sha256"`
	Ended          int64             `json:"ended"`
}

// Checks are the verdicts of a visit. The salt keeps the kiosk, which learns
// their hash, from guessing them.
type Checks struct {
	Salt     string            `json:"salt"` // base64url, 16 bytes
	Checks   []interview.Check `json:"checks"`
	Findings []Finding         `json:"findings,omitempty"`
}

// Finding is the number behind a check: what an engine, or a part of the kiosk,
// measured, by which threshold, and which it was.
type Finding struct {
	Check      string `json:"check"`
	Verdict    string `json:"verdict"`
	Score      int64  `json:"score"`
	Scale      int64  `json:"scale"` // the highest that there is
	Threshold  string `json:"threshold,omitempty"`
	Engine     string `json:"engine"`
	Unmeasured bool   `json:"unmeasured,omitempty"`
}

// Proof is a ticket with what it stands on.
type Proof struct {
	Ticket   string `json:"ticket"`   // kuule-ticket+jws
	Visit    string `json:"visit"`    // kuule-kiosk-visit+jws
	Evidence string `json:"evidence"` // canonical JSON
}

// Hash is how one text names another here: SHA-256 in base64url.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Sign signs a ticket with the bridge's key. What does not hold is not signed.
func Sign(c Claims, key crypto.Signer) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	return jws.Sign(c, TypTicket, key)
}

// check refuses claims that no bridge would make.
func (c Claims) check() error {
	invalid := func(what string) error {
		return problem.New(problem.CodeTicketInvalid, "ticket %s: %s", c.ID, what)
	}
	switch {
	case c.V != 1:
		return invalid("unknown version")
	case c.ID.IsZero() || c.Hearing.IsZero() || c.Participant.IsZero() || c.Device.IsZero() || c.Kiosk.IsZero() || c.Visit.IsZero():
		return invalid("names nobody or nothing")
	case !c.Purpose.Valid():
		return invalid("unknown purpose")
	case !c.Assurance.Valid():
		return invalid("no assurance")
	case c.EvidenceSHA256 == "":
		return invalid("no evidence")
	case c.Expires <= c.NotBefore || c.Expires-c.NotBefore > int64(MaxLifetime/time.Second):
		return invalid("lifetime out of bounds")
	case c.Until < c.Expires || c.Until-c.NotBefore > int64(MaxHold/time.Second):
		return invalid("hold out of bounds")
	}
	return nil
}

// Trust is what a verifier knows of its own, from the installation file.
type Trust struct {
	BridgeKey   crypto.PublicKey
	DeviceRoots *x509.CertPool
	// DeviceOf reads the device that a verified certificate names.
	DeviceOf func(*x509.Certificate) (interview.DeviceID, error)
	// Identified counts the officers, each proved by identification and sign-in,
	// who stand for this evidence of this visit. Nil: none.
	Identified func(visit interview.VisitID, evidenceSHA256 string) (int, error)
}

// Expected is the seat that somebody wants to take with a ticket.
type Expected struct {
	Hearing     interview.HearingID
	Purpose     interview.Purpose
	Participant interview.ParticipantID
	Device      interview.DeviceID // whose certificate was just verified
	Now         time.Time

	// Held says that the ticket was redeemed in time and keeps the seat: after
	// a reload the page joins again, until the ticket's hold ends.
	Held bool
}

// VerifyTicket checks all three texts of a proof against the verifier's own
// trust, and that they speak of the seat expected. Errors are problems with a
// ticket's code. It remembers nothing: that a ticket is used once is the
// database row's business.
func VerifyTicket(p Proof, t Trust, want Expected) (Claims, error) {
	var c Claims
	if err := jws.Verify(p.Ticket, TypTicket, t.BridgeKey, &c); err != nil {
		return Claims{}, problem.New(problem.CodeTicketInvalid, "ticket: %w", err)
	}
	if err := c.check(); err != nil {
		return Claims{}, err
	}
	if err := verifyVisit(p, t, c); err != nil {
		return Claims{}, problem.New(problem.CodeTicketInvalid, "ticket %s: %w", c.ID, err)
	}
	return c, Matches(c, want)
}

// Matches decides whether a ticket is for the seat expected, and open now.
func Matches(c Claims, want Expected) error {
	ends := c.Expires
	if want.Held {
		ends = c.Until
	}
	switch now := want.Now.Unix(); {
	case want.Device != c.Device:
		return problem.New(problem.CodeTicketDevice, "ticket %s names device %s, not %s", c.ID, c.Device, want.Device)
	case want.Hearing != c.Hearing:
		return problem.New(problem.CodeTicketHearing, "ticket %s is for hearing %s, not %s", c.ID, c.Hearing, want.Hearing)
	case want.Purpose != c.Purpose:
		return problem.New(problem.CodeTicketHearing, "ticket %s is for the purpose %q, not %q", c.ID, c.Purpose, want.Purpose)
	case want.Participant != c.Participant:
		return problem.New(problem.CodeTicketHearing, "ticket %s is for participant %s, not %s", c.ID, c.Participant, want.Participant)
	case now < c.NotBefore:
		return problem.New(problem.CodeTicketStale, "ticket %s opens at %s", c.ID, time.Unix(c.NotBefore, 0).UTC().Format(time.RFC3339))
	case now >= ends:
		return problem.New(problem.CodeTicketStale, "ticket %s ended at %s", c.ID, time.Unix(ends, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// verifyVisit checks that the kiosk which the ticket names vouches for the
// evidence on which the ticket stands.
func verifyVisit(p Proof, t Trust, c Claims) error {
	var e Evidence
	if err := canon.Unmarshal([]byte(p.Evidence), &e); err != nil {
		return errors.New("evidence cannot be read")
	}
	if Hash([]byte(p.Evidence)) != c.EvidenceSHA256 {
		return errors.New("stands on other evidence")
	}
	if e.Method != "" {
		return verifyOfficers(e, t, c)
	}
	ended := time.Unix(e.Ended, 0)
	var v Visit
	cert, err := jws.VerifyChain(p.Visit, TypVisit, t.DeviceRoots, ended, &v)
	if err != nil {
		return err
	}
	kiosk, err := t.DeviceOf(cert)
	if err != nil {
		return err
	}
	switch {
	case v.V != 1:
		return errors.New("unknown version of visit")
	case kiosk != e.Kiosk:
		return errors.New("visit is vouched for by another device than the kiosk named")
	case v.EvidenceSHA256 != c.EvidenceSHA256:
		return errors.New("kiosk vouches for other evidence")
	case v.Visit != e.Visit:
		return errors.New("visit is another one")
	case v.Nonce != e.Nonce:
		return errors.New("nonce is another one")
	case v.Hearing != e.Hearing:
		return errors.New("visit was for another hearing")
	case v.Participant != e.Participant:
		return errors.New("visit was another participant's")
	}
	return e.bears(c)
}

// bears checks that a ticket says what the evidence it stands on says.
func (e Evidence) bears(c Claims) error {
	opens, ended := time.Unix(c.NotBefore, 0), time.Unix(e.Ended, 0)
	switch {
	case e.V != 1:
		return errors.New("unknown version of evidence")
	case !validNonce(e.Nonce):
		return errors.New("nonce is another one")
	case e.Kiosk != c.Kiosk:
		return errors.New("visit was at another kiosk")
	case e.Visit != c.Visit:
		return errors.New("visit is another one")
	case e.Hearing != c.Hearing:
		return errors.New("visit was for another hearing")
	case e.Participant != c.Participant:
		return errors.New("visit was another participant's")
	case e.Assurance != c.Assurance:
		return errors.New("visit gave another assurance")
	case e.Ended < e.Started || opens.Sub(ended) > MaxVisitAge || ended.Sub(opens) > skew:
		return errors.New("visit does not fit the ticket's time")
	}
	return nil
}

func validNonce(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == nonceSize
}
