package kioskbridge

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kuule/interview"
)

// RegisterQueues puts waiting numbers on the interface: kiosks draw them, the
// waiting room's screen shows them, officers call them.
func RegisterQueues(api huma.API, q *Queues, officer func(interview.Caller) (Officer, error)) {
	interview.Handle(api, huma.Operation{
		OperationID: "draw-number", Method: http.MethodPost, Path: "/api/kiosk/numbers", Summary: "Draw a waiting number at a kiosk, where a queue takes the matter",
	}, func(ctx context.Context, c interview.Caller, in *drawInput) (*drawOutput, error) {
		n, some, err := q.Draw(ctx, c.Device, in.Body.Draw, in.Body.Matter, in.Body.Language)
		if err != nil {
			return nil, err
		}
		out := &drawOutput{}
		if some {
			out.Body.Number = &n
		}
		return out, nil
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-screen", Method: http.MethodGet, Path: "/api/queues", Summary: "What the waiting room's screen shows",
	}, func(ctx context.Context, c interview.Caller, _ *struct{}) (*screenOutput, error) {
		s, err := q.Shows(ctx, c.Device)
		return &screenOutput{s}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-queues", Method: http.MethodGet, Path: "/api/desk/queues", Summary: "Who waits, in which queue",
	}, func(ctx context.Context, c interview.Caller, _ *struct{}) (*linesOutput, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		out := &linesOutput{}
		out.Body.Queues, err = q.Lines(ctx, by)
		return out, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "call-next", Method: http.MethodPost, Path: "/api/desk/queues/{queue}/next", Summary: "Call the next number to a desk",
	}, func(ctx context.Context, c interview.Caller, in *nextInput) (*nextOutput, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		n, some, err := q.Next(ctx, by, in.Queue, in.Body.Desk)
		if err != nil {
			return nil, err
		}
		out := &nextOutput{}
		if some {
			out.Body.Number = &n
		}
		return out, nil
	})
	interview.Handle(api, huma.Operation{
		OperationID: "act-on-number", Method: http.MethodPost, Path: "/api/desk/numbers/{number}", Summary: "Call a number again, end it, or hand it on",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *actInput) (*struct{}, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		return nil, q.Act(ctx, by, in.Number, in.Body.Act, in.Body.Queue, in.Body.Desk)
	})
}

type (
	drawInput struct {
		Body struct {
			Draw     string `json:"draw" maxLength:"64"`
			Matter   Matter `json:"matter" maxLength:"32"`
			Language string `json:"language" maxLength:"32"`
		}
	}
	drawOutput struct {
		Body struct {
			Number *Drawn `json:"number,omitempty"` // none: no queue takes the matter
		}
	}
	screenOutput struct{ Body Screen }
	linesOutput  struct {
		Body struct {
			Queues []Line `json:"queues"`
		}
	}
	nextInput struct {
		Queue string `path:"queue" maxLength:"32"`
		Body  struct {
			Desk string `json:"desk" maxLength:"64"`
		}
	}
	nextOutput struct {
		Body struct {
			Number *Waiter `json:"number,omitempty"` // none: nobody waits
		}
	}
	actInput struct {
		Number interview.NumberID `path:"number"`
		Body   struct {
			Act   NumberAct `json:"act" enum:"again,absent,done,hand"`
			Queue string    `json:"queue,omitempty" maxLength:"32"`
			Desk  string    `json:"desk,omitempty" maxLength:"64"`
		}
	}
)

// RegisterPaid puts on the interface what a kiosk says of a payment.
func RegisterPaid(api huma.API, d *Desk) {
	interview.Handle(api, huma.Operation{
		OperationID: "tell-paid", Method: http.MethodPost, Path: "/api/kiosk/payments", Summary: "Tell that the payment terminal approved a payment after a visit here",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *paidInput) (*struct{}, error) {
		return nil, d.Paid(ctx, c.Device, in.Body.Visit)
	})
}

type paidInput struct {
	Body struct {
		Visit interview.VisitID `json:"visit"`
	}
}
