package interview

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"kuule/internal/problem"
)

// Bounds of a booking.
const (
	MaxParticipants  = 16
	MaxNameBytes     = 200
	MaxTextBytes     = 8 << 10 // justification, decision, reason
	MaxHearingLength = 24 * time.Hour
)

// Case is one applicant's matter.
type Case struct {
	ID       CaseID `json:"case"`
	Diary    string `json:"diary"`    // diary number
	Lodged   string `json:"lodged"`   // date of lodging, YYYY-MM-DD
	Language string `json:"language"` // the applicant's, BCP 47
}

func (c Case) check() error {
	if strings.TrimSpace(c.Diary) == "" || len(c.Diary) > 64 {
		return problem.New(problem.CodeMalformed, "case needs a diary number of at most 64 bytes")
	}
	if _, err := time.Parse(time.DateOnly, c.Lodged); err != nil {
		return problem.New(problem.CodeMalformed, "lodging date is not YYYY-MM-DD")
	}
	return checkLanguage(c.Language)
}

func checkLanguage(tag string) error {
	if _, err := language.Parse(tag); err != nil || len(tag) > 35 {
		return problem.New(problem.CodeMalformed, "language is not a BCP 47 tag")
	}
	return nil
}

// Hearing is one hearing of a case, with who sits where.
type Hearing struct {
	ID              HearingID       `json:"hearing"`
	Case            CaseID          `json:"case"`
	Diary           string          `json:"diary"`
	Language        string          `json:"language"`
	Mode            Mode            `json:"mode"`
	Justification   string          `json:"justification"`
	Vulnerabilities []Vulnerability `json:"vulnerabilities"`
	Opens           time.Time       `json:"opens"` // the door's window
	Closes          time.Time       `json:"closes"`
	OpenedAt        time.Time       `json:"opened_at,omitzero"` // wall clock at zero of the hearing clock
	Participants    []Participant   `json:"participants"`
	Seats           []Seat          `json:"seats"`
	State           State           `json:"state"`
	Erased          bool            `json:"erased,omitempty"` // its case was erased: no names and words remain
}

// Participant is a person in a role at the hearing.
type Participant struct {
	ID      ParticipantID `json:"participant"`
	Role    Role          `json:"role"`
	Name    string        `json:"name"`
	Subject string        `json:"subject"` // of the sign-in; "" for who comes by ticket

	// Reference stands on the invitation of who comes by ticket.
	Reference Reference `json:"reference,omitempty"`

	// Born is the date of birth of who comes by ticket, as far as it is known:
	// YYYY-MM-DD, YYYY-MM or YYYY. A kiosk holds documents against it.
	Born string `json:"born,omitempty"`

	// Card is the number of the document of an applicant (Regulation (EU) 2024/1348,
	// Article 29), capital letters and digits, as far as it is known. A kiosk holds
	// against it what somebody without a passport types.
	Card string `json:"card,omitempty"`
}

// Seat is where a participant sits.
type Seat struct {
	ID          SeatID        `json:"seat"`
	Participant ParticipantID `json:"participant"`
	Device      DeviceID      `json:"device"`
	Premises    PremisesID    `json:"premises"`
	Agreement   AgreementID   `json:"agreement"` // covered the seat at booking
	Place       string        `json:"place"`     // the premises' label
}

// Vulnerability is a flag that somebody raised. It is open until a decision on
// how it is met is written down (A6).
type Vulnerability struct {
	Kind     string `json:"kind"`
	Decision string `json:"decision"`
}

// Participant returns the participant with an id.
func (h *Hearing) Participant(id ParticipantID) (Participant, bool) {
	i := slices.IndexFunc(h.Participants, func(p Participant) bool { return p.ID == id })
	if i < 0 {
		return Participant{}, false
	}
	return h.Participants[i], true
}

// Seat returns the seat with an id.
func (h *Hearing) Seat(id SeatID) (Seat, bool) {
	i := slices.IndexFunc(h.Seats, func(s Seat) bool { return s.ID == id })
	if i < 0 {
		return Seat{}, false
	}
	return h.Seats[i], true
}

// SeatsAt returns the seats on a device.
func (h *Hearing) SeatsAt(device DeviceID) []Seat {
	var out []Seat
	for _, s := range h.Seats {
		if s.Device == device {
			out = append(out, s)
		}
	}
	return out
}

// Booking asks for a hearing.
type Booking struct {
	Case            CaseID               `json:"case"`
	Language        string               `json:"language"`
	Mode            Mode                 `json:"mode" enum:"in-person,remote"`
	Justification   string               `json:"justification,omitempty"`
	Vulnerabilities []Vulnerability      `json:"vulnerabilities,omitempty" maxItems:"32"`
	Opens           time.Time            `json:"opens"`
	Closes          time.Time            `json:"closes"`
	Participants    []BookingParticipant `json:"participants" maxItems:"16"`
}

// BookingParticipant names a person, the role and where the person will sit.
type BookingParticipant struct {
	Role     Role       `json:"role"`
	Name     string     `json:"name"`
	Subject  string     `json:"subject,omitempty"`
	Device   DeviceID   `json:"device"`
	Premises PremisesID `json:"premises"`
	Born     string     `json:"born,omitempty" maxLength:"10"`
	Card     string     `json:"card,omitempty" maxLength:"20"`
}

// Check decides on a booking as far as it speaks for itself. Problems:
// CodeJustificationNeeded (A5), CodeVulnerabilityOpen (A6), CodeMalformed.
func (b Booking) Check() error {
	malformed := func(what string) error { return problem.New(problem.CodeMalformed, "booking: %s", what) }
	if b.Case.IsZero() {
		return malformed("names no case")
	}
	if err := checkLanguage(b.Language); err != nil {
		return err
	}
	if b.Opens.IsZero() || !b.Opens.Before(b.Closes) || b.Closes.Sub(b.Opens) > MaxHearingLength {
		return malformed("needs a window of at most 24 hours")
	}
	if len(b.Justification) > MaxTextBytes || len(b.Vulnerabilities) > 32 {
		return malformed("justification or list of vulnerabilities is too long")
	}
	for _, v := range b.Vulnerabilities {
		if strings.TrimSpace(v.Kind) == "" || len(v.Kind) > MaxNameBytes || len(v.Decision) > MaxTextBytes {
			return malformed("a vulnerability needs its kind, and a decision of bounded length")
		}
	}
	if err := b.checkMode(); err != nil {
		return err
	}
	return b.checkParticipants(malformed)
}

func (b Booking) checkMode() error {
	switch b.Mode {
	case ModeInPerson:
		return nil
	case ModeRemote:
	default:
		return problem.New(problem.CodeMalformed, "booking: mode is not known")
	}
	if strings.TrimSpace(b.Justification) == "" {
		return problem.Refused(problem.CodeJustificationNeeded, "booking-remote-justified", "remote hearing without written justification")
	}
	if slices.ContainsFunc(b.Vulnerabilities, func(v Vulnerability) bool { return strings.TrimSpace(v.Decision) == "" }) {
		return problem.Refused(problem.CodeVulnerabilityOpen, "booking-vulnerability-decided", "a vulnerability flag has no decision yet")
	}
	return nil
}

func (b Booking) checkParticipants(malformed func(string) error) error {
	if len(b.Participants) > MaxParticipants {
		return malformed("has too many participants")
	}
	count := map[Role]int{}
	for _, p := range b.Participants {
		count[p.Role]++
		switch {
		case !p.Role.InRoom():
			return malformed("a participant has no role of the room")
		case strings.TrimSpace(p.Name) == "" || len(p.Name) > MaxNameBytes || len(p.Subject) > MaxNameBytes:
			return malformed("a participant needs a name of at most 200 bytes")
		case p.Role == RoleApplicant && p.Subject != "":
			return malformed("the applicant comes by ticket, not by sign-in")
		case p.Role == RoleInterviewer && p.Subject == "":
			return malformed("the interviewer needs a subject to sign in with")
		case p.Born != "" && (p.Subject != "" || !isDate(p.Born)):
			return malformed("a date of birth is YYYY-MM-DD, YYYY-MM or YYYY, of who comes by ticket")
		case p.Card != "" && (p.Role != RoleApplicant || !cardNumber.MatchString(p.Card)):
			return malformed("the number of the document of an applicant is 4 to 20 capital letters and digits")
		case p.Device.IsZero() || p.Premises.IsZero():
			return malformed("every seat needs its device and premises")
		}
	}
	if count[RoleInterviewer] != 1 || count[RoleApplicant] != 1 {
		return malformed("needs exactly one interviewer and one applicant")
	}
	return nil
}

var cardNumber = regexp.MustCompile(`^[A-Z0-9]{4,20}$`)

// isDate reads a date as far as it is known.
func isDate(text string) bool {
	for _, layout := range []string{time.DateOnly, "2006-01", "2006"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}
