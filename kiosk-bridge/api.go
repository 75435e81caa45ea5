package kioskbridge

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kuule/interview"
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
