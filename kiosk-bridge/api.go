package kioskbridge

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kuule/interview"
	"kuule/interview/ticket"
)

// Redeemer is the part of a [Store] that the interface needs.
type Redeemer interface {
	Redeem(ctx context.Context, id interview.TicketID, by Redemption) (interview.Ticket, error)
}

type redeemInput struct {
	Ticket interview.TicketID `path:"ticket"`
	Body   struct {
		Hearing interview.HearingID `json:"hearing"`
		Purpose interview.Purpose   `json:"purpose" enum:"hearing,review,preparation"`
	}
}

// Redeemed is what the room terminal learns of the ticket it redeemed.
type Redeemed struct {
	Ticket      interview.TicketID      `json:"ticket"`
	Hearing     interview.HearingID     `json:"hearing"`
	Participant interview.ParticipantID `json:"participant"`
	Seat        interview.SeatID        `json:"seat"`
	Role        interview.Role          `json:"role"`
	Purpose     interview.Purpose       `json:"purpose"`
	Until       time.Time               `json:"until"` // how long the seat is held
}

type redeemOutput struct{ Body Redeemed }

// Register puts the redemption of join tickets on the interface. The caller's
// device is the one whose certificate the door verified.
func Register(api huma.API, tickets Redeemer) {
	interview.Handle(api, huma.Operation{
		OperationID: "redeem-ticket", Method: http.MethodPost, Path: "/api/tickets/{ticket}/redeem",
		Summary: "Redeem a join ticket at the room terminal that it names, once",
	}, func(ctx context.Context, c interview.Caller, in *redeemInput) (*redeemOutput, error) {
		t, err := tickets.Redeem(ctx, in.Ticket, Redemption{Device: c.Device, Hearing: in.Body.Hearing, Purpose: in.Body.Purpose})
		if err != nil {
			return nil, err
		}
		return &redeemOutput{Redeemed{
			Ticket: t.ID, Hearing: t.Hearing, Participant: t.Participant, Seat: t.Seat, Role: t.Role, Purpose: t.Purpose, Until: t.Expires,
		}}, nil
	})
}

// RegisterDesk puts the desk on the interface, but for the officers' words: those
// carry proof that authority has to see (package app).
func RegisterDesk(api huma.API, d *Desk, officer func(interview.Caller) (Officer, error)) {
	interview.Handle(api, huma.Operation{
		OperationID: "raise-call", Method: http.MethodPost, Path: "/api/desk/calls", Summary: "Call for help from a kiosk",
	}, func(ctx context.Context, c interview.Caller, in *raiseInput) (*callOutput, error) {
		call, err := d.Raise(ctx, c.Device, in.Body.Language, in.Body.Step)
		return &callOutput{call}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-call", Method: http.MethodGet, Path: "/api/desk/calls/{call}", Summary: "How the kiosk's own call fares",
	}, func(ctx context.Context, c interview.Caller, in *callInput) (*callOutput, error) {
		call, err := d.Called(ctx, c.Device, in.Call)
		return &callOutput{call}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "answer-call", Method: http.MethodPost, Path: "/api/desk/calls/{call}/answer", Summary: "Take a call", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *callInput) (*struct{}, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		return nil, d.Answer(ctx, by, in.Call)
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-desk", Method: http.MethodGet, Path: "/api/desk", Summary: "What waits for an officer",
	}, func(ctx context.Context, c interview.Caller, in *deskInput) (*deskOutput, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		if err := d.Watch(ctx, by, in.Queues); err != nil {
			return nil, err
		}
		out := &deskOutput{}
		if out.Body.Calls, out.Body.Answers, err = d.Calls(ctx, in.Queues...); err != nil {
			return nil, err
		}
		if out.Body.Queues, err = d.HelpQueues(ctx); err != nil {
			return nil, err
		}
		if out.Body.Notices, err = d.Notices(ctx); err != nil {
			return nil, err
		}
		out.Body.Identifications, err = d.Identifications(ctx, by)
		return out, err
	})
	registerDeskOfKiosks(api, d, officer)
	interview.Handle(api, huma.Operation{
		OperationID: "begin-identification", Method: http.MethodPost, Path: "/api/desk/identifications", Summary: "Begin to identify a person by name and method",
	}, func(ctx context.Context, c interview.Caller, in *beginInput) (*identificationOutput, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		if !in.Body.From.IsZero() {
			i, err := d.GoOn(ctx, by, in.Body.From, in.Body.Method, in.Body.Note)
			return &identificationOutput{i}, err
		}
		i, err := d.Begin(ctx, by, in.Body.Reference, in.Body.Method, in.Body.Note)
		return &identificationOutput{i}, err
	})
}

// registerDeskOfKiosks puts on the interface what the desk sees of kiosks.
func registerDeskOfKiosks(api huma.API, d *Desk, officer func(interview.Caller) (Officer, error)) {
	interview.Handle(api, huma.Operation{
		OperationID: "raise-notice", Method: http.MethodPost, Path: "/api/desk/notices", Summary: "Tell staff of a part of this kiosk", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *noticeInput) (*struct{}, error) {
		return nil, d.Tell(ctx, c.Device, in.Body.Part, in.Body.Code)
	})
	interview.Handle(api, huma.Operation{
		OperationID: "see-notice", Method: http.MethodPost, Path: "/api/desk/notices/{notice}/seen", Summary: "See to a part of a kiosk", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *seeInput) (*struct{}, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		return nil, d.See(ctx, by, in.Notice)
	})
	interview.Handle(api, huma.Operation{
		OperationID: "take-over", Method: http.MethodPost, Path: "/api/desk/handovers", Summary: "Take a kiosk's visit over by the code that the person carries",
	}, func(ctx context.Context, c interview.Caller, in *handoverInput) (*handoverOutput, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		h, err := d.TakeOver(ctx, by, in.Body.Code)
		return &handoverOutput{h}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-visits", Method: http.MethodGet, Path: "/api/desk/visits", Summary: "How long the last day's visits took, and which step was slow",
	}, func(ctx context.Context, c interview.Caller, _ *struct{}) (*figuresOutput, error) {
		if _, err := officer(c); err != nil {
			return nil, err
		}
		f, err := d.Visits(ctx)
		return &figuresOutput{f}, err
	})
}

type (
	raiseInput struct {
		Body struct {
			Language string `json:"language" maxLength:"32"`
			Step     string `json:"step" maxLength:"32"`
		}
	}
	callInput struct {
		Call interview.CallID `path:"call"`
	}
	callOutput struct{ Body Call }
	beginInput struct {
		Body struct {
			Reference string            `json:"reference,omitempty" maxLength:"64"`
			From      interview.VisitID `json:"from,omitzero" required:"false"` // a visit taken over, instead of the reference
			Method    ticket.Method     `json:"method" enum:"document,register,known"`
			Note      string            `json:"note" maxLength:"1000"`
		}
	}
	identificationOutput struct{ Body Identification }
	deskInput            struct {
		Queues []string `query:"queue" maxItems:"20"` // of help that this officer hears; none: all
	}
	deskOutput struct {
		Body struct {
			Calls           []Call           `json:"calls"`
			Answers         Answers          `json:"answers"` // of all queues
			Queues          []Answers        `json:"queues"`  // of each
			Notices         []Notice         `json:"notices"`
			Identifications []Identification `json:"identifications"`
		}
	}
	noticeInput struct {
		Body struct {
			Part Part   `json:"part" maxLength:"32"`
			Code string `json:"code" maxLength:"32"`
		}
	}
	seeInput struct {
		Notice interview.CallID `path:"notice"`
	}
	handoverInput struct {
		Body struct {
			Code string `json:"code" maxLength:"64"`
		}
	}
	handoverOutput struct{ Body HandedOver }
	figuresOutput  struct{ Body Figures }
)
