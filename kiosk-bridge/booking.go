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

// Person is who was booked, as the zone of a document would spell it. Empty
// fields are not known. It is personal content and never prints itself.
type Person struct {
	Surname, GivenNames string
	DateOfBirth         string // YYMMDD
	DocumentNumber      string
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
	reasonOtherPerson   = "other-person"
)

// compare judges whether the document is the booked person's. What the register
// does not know it cannot deny: then the interviewer decides.
func (p Person) compare(zone emrtd.MRZ) interview.Check {
	check := interview.Check{Name: CheckBooked, Verdict: interview.Verified, Reason: emrtd.ReasonOK}
	known := 0
	for _, pair := range [][2]string{
		{p.DocumentNumber, zone.DocumentNumber},
		{p.DateOfBirth, zone.DateOfBirth},
		{spell(p.Surname), spell(zone.Surname)},
		{spell(p.GivenNames), spell(zone.GivenNames)},
	} {
		if pair[0] == "" {
			continue
		}
		known++
		if !strings.EqualFold(pair[0], pair[1]) {
			check.Verdict, check.Reason = interview.Failed, reasonOtherPerson
		}
	}
	if known == 0 {
		check.Verdict, check.Reason = interview.Undetermined, reasonRegisterEmpty
	}
	return check
}

// spell drops what zones do not print: spaces, hyphens and apostrophes.
func spell(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -'’<", r) {
			return -1
		}
		return r
	}, name)
}
