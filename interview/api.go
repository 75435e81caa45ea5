package interview

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/problem"
)

// TicketShelf tells which join tickets wait to be redeemed by a device.
type TicketShelf interface {
	Waiting(ctx context.Context, device DeviceID) ([]Ticket, error)
}

// Me is what a device learns of itself and of who sits at it. Seats of people
// who have not shown who they are carry no name.
type Me struct {
	Device  DeviceID   `json:"device"`
	Subject string     `json:"subject,omitempty"` // of the person signed in
	Name    string     `json:"name,omitempty"`
	Roles   []Role     `json:"roles"`
	Seats   []MySeat   `json:"seats"`            // of today, on this device
	Tickets []MyTicket `json:"tickets"`          // waiting for this device
	Places  []Place    `json:"places,omitempty"` // to who may book: where people can be seated
}

// MySeat is a seat on the caller's device.
type MySeat struct {
	Hearing     HearingID     `json:"hearing"`
	Seat        SeatID        `json:"seat"`
	Participant ParticipantID `json:"participant"`
	Role        Role          `json:"role"`
	Name        string        `json:"name,omitempty"` // only the caller's own
	Mine        bool          `json:"mine"`           // the caller has shown to be this participant
	Place       string        `json:"place"`
	Language    string        `json:"language"`
	Opens       time.Time     `json:"opens"`
	Closes      time.Time     `json:"closes"`
	Phase       Phase         `json:"phase"`
}

// MyTicket is a join ticket that waits, or that this device has redeemed.
type MyTicket struct {
	Ticket   TicketID  `json:"ticket"`
	Hearing  HearingID `json:"hearing"`
	Seat     SeatID    `json:"seat"`
	Role     Role      `json:"role"`
	Purpose  Purpose   `json:"purpose"`
	Expires  time.Time `json:"expires"`
	Redeemed bool      `json:"redeemed"`
}

type (
	caseInput struct {
		Body struct {
			Diary    string `json:"diary" maxLength:"64"`
			Lodged   string `json:"lodged" format:"date"`
			Language string `json:"language" maxLength:"35"`
		}
	}
	caseOutput   struct{ Body Case }
	bookInput    struct{ Body Booking }
	hearingInput struct {
		Hearing HearingID `path:"hearing"`
	}
	hearingOutput struct{ Body *Hearing }
	listInput     struct {
		From time.Time `query:"from"`
		To   time.Time `query:"to"`
	}
	listOutput struct {
		Body struct {
			Hearings []*Hearing `json:"hearings"`
		}
	}
	meInput  struct{}
	meOutput struct{ Body Me }
)

// Register puts the operations of cases, hearings and the caller's own view on
// the interface. Tickets may be nil where no kiosk belongs to the installation.
func Register(api huma.API, s *Store, tickets TicketShelf) {
	Handle(api, huma.Operation{
		OperationID: "me", Method: http.MethodGet, Path: "/api/me", Summary: "This device, who sits at it, its seats and tickets of today",
	}, func(ctx context.Context, c Caller, _ *meInput) (*meOutput, error) {
		me, err := s.me(ctx, c, tickets, time.Now())
		return &meOutput{me}, err
	})
	Handle(api, huma.Operation{
		OperationID: "create-case", Method: http.MethodPost, Path: "/api/cases", Summary: "Create a case", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, c Caller, in *caseInput) (*caseOutput, error) {
		made, err := s.CreateCase(ctx, Case{Diary: in.Body.Diary, Lodged: in.Body.Lodged, Language: in.Body.Language}, c.Subject)
		return &caseOutput{made}, err
	})
	Handle(api, huma.Operation{
		OperationID: "book-hearing", Method: http.MethodPost, Path: "/api/hearings", Summary: "Book a hearing with its participants and seats", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, _ Caller, in *bookInput) (*hearingOutput, error) {
		h, err := s.Book(ctx, in.Body)
		return &hearingOutput{h}, err
	})
	Handle(api, huma.Operation{
		OperationID: "list-hearings", Method: http.MethodGet, Path: "/api/hearings", Summary: "The interviewer's own hearings, by default from yesterday to a month ahead",
	}, func(ctx context.Context, c Caller, in *listInput) (*listOutput, error) {
		from, to := in.From, in.To
		if from.IsZero() {
			from = time.Now().AddDate(0, 0, -1)
		}
		if to.IsZero() {
			to = from.AddDate(0, 1, 1)
		}
		list, err := s.HearingsOf(ctx, c.Subject, RoleInterviewer, from, to)
		out := &listOutput{}
		out.Body.Hearings = list
		return out, err
	})
	Handle(api, huma.Operation{
		OperationID: "get-hearing", Method: http.MethodGet, Path: "/api/hearings/{hearing}", Summary: "One of the interviewer's own hearings",
	}, func(ctx context.Context, c Caller, in *hearingInput) (*hearingOutput, error) {
		h, err := s.Own(ctx, c, in.Hearing)
		return &hearingOutput{h}, err
	})
}

// Own returns a hearing if the caller is its interviewer. To everyone else it
// does not exist (CodeNotFound).
func (s *Store) Own(ctx context.Context, c Caller, id HearingID) (*Hearing, error) {
	h, err := s.Hearing(ctx, id)
	if err != nil {
		return nil, err
	}
	if p, ok := c.As(h, time.Now()); !ok || p.Role != RoleInterviewer {
		return nil, problem.New(problem.CodeNotFound, "hearing %s", id)
	}
	return h, nil
}

// me gathers what the device may know: its seats whose window touches today.
func (s *Store) me(ctx context.Context, c Caller, tickets TicketShelf, now time.Time) (Me, error) {
	out := Me{Device: c.Device, Subject: c.Subject, Name: c.Name, Roles: append([]Role{}, c.Roles...), Seats: []MySeat{}, Tickets: []MyTicket{}}
	hearings, err := s.HearingsAt(ctx, c.Device, now.Add(-12*time.Hour), now.Add(12*time.Hour))
	if err != nil {
		return Me{}, err
	}
	for _, h := range hearings {
		for _, seat := range h.SeatsAt(c.Device) {
			p, _ := h.Participant(seat.Participant)
			my := MySeat{Hearing: h.ID, Seat: seat.ID, Participant: p.ID, Role: p.Role, Place: seat.Place, Language: h.Language, Opens: h.Opens, Closes: h.Closes, Phase: h.State.Phase}
			if c.Is(h, p, now, PurposeHearing, PurposeReview, PurposePreparation) {
				my.Mine, my.Name = true, p.Name
			}
			out.Seats = append(out.Seats, my)
		}
	}
	view := func(t Ticket, redeemed bool) MyTicket {
		return MyTicket{Ticket: t.ID, Hearing: t.Hearing, Seat: t.Seat, Role: t.Role, Purpose: t.Purpose, Expires: t.Expires, Redeemed: redeemed}
	}
	for _, t := range c.Tickets {
		if now.Before(t.Expires) {
			out.Tickets = append(out.Tickets, view(t, true))
		}
	}
	if c.Holds(RoleInterviewer, now) {
		if out.Places, err = s.cfg.Register.Places(ctx, now); err != nil {
			return Me{}, err
		}
		for i := range out.Places {
			out.Places[i].Own = out.Places[i].Device == c.Device
		}
	}
	if tickets == nil {
		return out, nil
	}
	waiting, err := tickets.Waiting(ctx, c.Device)
	if err != nil {
		return Me{}, err
	}
	for _, t := range waiting {
		out.Tickets = append(out.Tickets, view(t, false))
	}
	return out, nil
}
