package kioskbridge

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
)

// Bookings finds what a person at the kiosk came for. The reference is the one
// printed on the invitation; a problem (CodeNotBooked) when it names nothing.
type Bookings interface {
	Booking(ctx context.Context, reference string) (Booking, error)
}

// Booking is one person's seat at one hearing, as far as a ticket needs it.
type Booking struct {
	Case        interview.CaseID
	Hearing     interview.HearingID
	Diary       string // diary number of the case
	Participant interview.ParticipantID
	Name        string // as booked, for officers; never on a kiosk
	Seat        interview.SeatID
	Role        interview.Role
	Purpose     interview.Purpose
	Terminal    interview.DeviceID // the room terminal where the seat is
	Place       string             // that room's label, for people
	Opens       time.Time          // a ticket opens no earlier
	Closes      time.Time          // a seat is held no longer
	Person      Person             // what the register knows
}

// open says whether somebody may be identified for the booking now.
func (b Booking) open(now time.Time) error {
	switch {
	case !b.Closes.After(now):
		return problem.New(problem.CodeTooLate, "hearing %s closed at %s", b.Hearing, b.Closes.UTC().Format(time.RFC3339))
	case b.Opens.Sub(now) > ticket.MaxVisitAge:
		return problem.New(problem.CodeTooEarly, "hearing %s opens at %s, people are identified for it from %s before", b.Hearing, b.Opens.UTC().Format(time.RFC3339), ticket.MaxVisitAge)
	}
	return nil
}

// Person is who was booked, as the authority's records say. Empty fields are not
// known. It is personal content and never prints itself.
type Person struct {
	Name           string // all names, in any order and spelling
	DateOfBirth    string // YYYY-MM-DD, YYYY-MM or YYYY: as far as it is known
	DocumentNumber string

	// ApplicantNumber is of the document of an applicant (Regulation (EU) 2024/1348,
	// Article 29).
	ApplicantNumber string
}

func (Person) String() string       { return "redacted person" }
func (Person) GoString() string     { return "redacted person" }
func (Person) LogValue() slog.Value { return slog.StringValue("redacted") }

// CheckBooked is the name of the check that the document's holder is the person
// who was booked.
const CheckBooked = "booked-person"

// Reasons of that check.
const (
	reasonRegisterEmpty = "register-knows-nothing"
	reasonOtherPerson   = "other-name"
	reasonOtherBirth    = "other-birth-date"
	reasonOtherNumber   = "other-document-number"
	reasonOtherOrder    = "names-in-other-order"
	reasonOtherSpelling = "names-spelt-differently"
	reasonNearlyNames   = "names-nearly-alike"
	reasonSomeNames     = "some-names"           // the others are on one side only
	reasonNameOnly      = "birth-date-unknown"   // the name agrees, and there is nothing else
	reasonBirthOnly     = "name-unknown"         // or the other way round
	reasonOtherScript   = "name-in-other-script" // which no rule turns into the document's letters
	reasonBirthClose    = "birth-date-close"     // day and month exchanged, or one of them a guess
)

// compareRegistered holds who the register says it is against the booking. It is
// the register's word: asserted at most. The register's names may be in any
// script; what cannot be compared is left to the interviewer.
func (p Person) compareRegistered(r Person) interview.Check {
	p.DocumentNumber = "" // of a travel document: the register's is another
	zone := emrtd.MRZ{Surname: r.Name, DateOfBirth: zoneBirth(r.DateOfBirth)}
	if words, known := zoneWords(r.Name); len(words) == 0 || !known {
		p.Name = "" // by the date of birth alone
	}
	c := p.compare(zone)
	if c.Verdict == interview.Verified {
		c.Verdict = interview.Asserted
	}
	return c
}

// zoneBirth writes a date as zones do, with "<" for what nobody knows.
func zoneBirth(date string) string {
	parts := strings.Split(date, "-")
	if len(parts[0]) != 4 {
		return ""
	}
	out := parts[0][2:]
	for i := 1; i < 3; i++ {
		if i < len(parts) {
			out += parts[i]
		} else {
			out += "<<"
		}
	}
	return out
}

// compare judges whether the document is the booked person's. Names are compared
// as zones print them and tolerantly of spelling and order; a date of birth that
// is known must agree. What nobody can say is left to the interviewer: what the
// records do not know, they cannot deny.
func (p Person) compare(zone emrtd.MRZ) interview.Check {
	check := func(v interview.Verdict, reason string) interview.Check {
		return interview.Check{Name: CheckBooked, Verdict: v, Reason: reason}
	}
	if p.DocumentNumber != "" && !strings.EqualFold(p.DocumentNumber, zone.DocumentNumber) {
		return check(interview.Failed, reasonOtherNumber)
	}
	birth := compareBirth(p.DateOfBirth, zone.DateOfBirth)
	if birth == birthOther {
		return check(interview.Failed, reasonOtherBirth)
	}
	booked, known := zoneWords(p.Name)
	printed, _ := zoneWords(zone.Surname + " " + zone.GivenNames)
	switch {
	case !known:
		return check(interview.Undetermined, reasonOtherScript)
	case len(booked) == 0 && birth == birthUnknown && p.DocumentNumber == "":
		return check(interview.Undetermined, reasonRegisterEmpty)
	case len(booked) == 0 && p.DocumentNumber == "":
		return check(interview.Undetermined, reasonBirthOnly)
	case len(booked) == 0:
		return check(interview.Verified, emrtd.ReasonOK)
	}
	how := agree(booked, printed, zone.NameCut())
	if how == agreeNot {
		return check(interview.Failed, reasonOtherPerson)
	}
	if birth == birthClose {
		return check(interview.Undetermined, reasonBirthClose)
	}
	if how == agreeNearly {
		return check(interview.Undetermined, reasonNearlyNames)
	}
	if birth == birthUnknown && p.DocumentNumber == "" {
		return check(interview.Undetermined, reasonNameOnly)
	}
	switch how {
	case agreeOrder:
		return check(interview.Verified, reasonOtherOrder)
	case agreeSpelt:
		return check(interview.Verified, reasonOtherSpelling)
	case agreeSome:
		return check(interview.Verified, reasonSomeNames)
	default:
		return check(interview.Verified, emrtd.ReasonOK)
	}
}

type birthAgreement int

const (
	birthUnknown birthAgreement = iota
	birthSame
	birthClose
	birthOther
)

// compareBirth compares a date of the records with a zone's YYMMDD. Parts that
// either does not know agree with everything; the first of January stands, in
// many records, for a day that nobody knew.
func compareBirth(known, zone string) birthAgreement {
	parts := strings.Split(known, "-")
	if len(parts[0]) != 4 || len(zone) != 6 {
		return birthUnknown
	}
	year, month, day := zone[:2], zone[2:4], zone[4:]
	if strings.Contains(year, "<") {
		return birthUnknown
	}
	if parts[0][2:] != year {
		return birthOther
	}
	if len(parts) < 2 || strings.Contains(month, "<") {
		return birthSame
	}
	if len(parts) == 2 || strings.Contains(day, "<") {
		if parts[1] == month {
			return birthSame
		}
		return birthOther
	}
	switch {
	case parts[1] == month && parts[2] == day:
		return birthSame
	case parts[1] == day && parts[2] == month, parts[1]+parts[2] == "0101", month+day == "0101":
		return birthClose
	default:
		return birthOther
	}
}
