package interview

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Caller is who asks something over HTTP or a WebSocket: a device that proved
// itself by its certificate, perhaps a person who signed in at it, and the
// join tickets that this device has redeemed. The door's middleware makes it
// from what it verified; nothing in it comes from the page.
type Caller struct {
	Device  DeviceID
	Subject string // of the sign-in; "" where nobody signed in
	Name    string // as the identity provider says
	Roles   []Role // of the person signed in
	Tickets []Ticket
}

// Ticket is a join ticket that the caller's device has redeemed.
type Ticket struct {
	ID          TicketID
	Hearing     HearingID
	Participant ParticipantID
	Seat        SeatID
	Role        Role
	Purpose     Purpose
	Expires     time.Time
}

// String keeps names and subjects out of logs.
func (c Caller) String() string { return "caller at " + c.Device.String() }

// GoString is String.
func (c Caller) GoString() string { return c.String() }

// LogValue is String.
func (c Caller) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Holds reports whether the caller acts in the role, by sign-in or by a ticket
// that is valid now.
func (c Caller) Holds(role Role, now time.Time) bool {
	if c.Subject != "" && slices.Contains(c.Roles, role) {
		return true
	}
	return slices.ContainsFunc(c.Tickets, func(t Ticket) bool { return t.Role == role && now.Before(t.Expires) })
}

// Is reports whether the caller is the participant of the hearing: by subject
// and role, or by a valid ticket of one of the purposes.
func (c Caller) Is(h *Hearing, p Participant, now time.Time, purposes ...Purpose) bool {
	if c.Subject != "" && p.Subject == c.Subject && slices.Contains(c.Roles, p.Role) {
		return true
	}
	return slices.ContainsFunc(c.Tickets, func(t Ticket) bool {
		return t.Hearing == h.ID && t.Participant == p.ID && t.Role == p.Role &&
			now.Before(t.Expires) && slices.Contains(purposes, t.Purpose)
	})
}

// As returns the first participant of the hearing that the caller is.
func (c Caller) As(h *Hearing, now time.Time, purposes ...Purpose) (Participant, bool) {
	i := slices.IndexFunc(h.Participants, func(p Participant) bool { return c.Is(h, p, now, purposes...) })
	if i < 0 {
		return Participant{}, false
	}
	return h.Participants[i], true
}

type callerKey struct{}

// WithCaller puts the caller into a context.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom gives the caller of a request, and whether there is one.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok && !c.Device.IsZero()
}
