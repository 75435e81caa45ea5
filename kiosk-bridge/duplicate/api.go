package duplicate

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kuule/interview"
)

// Register puts the officers' tasks on the interface. Officer names the caller,
// and refuses whoever is none.
func Register(api huma.API, s *Service, officer func(interview.Caller) (string, error)) {
	interview.Handle(api, huma.Operation{
		OperationID: "get-duplicates", Method: http.MethodGet, Path: "/api/desk/duplicates", Summary: "Possible duplicates that wait for an officer",
	}, func(ctx context.Context, c interview.Caller, _ *struct{}) (*tasksOutput, error) {
		if _, err := officer(c); err != nil {
			return nil, err
		}
		out := &tasksOutput{}
		var err error
		out.Body.Tasks, err = s.Tasks(ctx)
		return out, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "settle-duplicate", Method: http.MethodPost, Path: "/api/desk/duplicates/{visit}", Summary: "Settle a possible duplicate",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *settleInput) (*struct{}, error) {
		by, err := officer(c)
		if err != nil {
			return nil, err
		}
		return nil, s.Settle(ctx, by, in.Visit, in.Body.Settlement, in.Body.Note)
	})
}

type (
	tasksOutput struct {
		Body struct {
			Tasks []Task `json:"tasks"`
		}
	}
	settleInput struct {
		Visit interview.VisitID `path:"visit"`
		Body  struct {
			Settlement Settlement `json:"settlement" enum:"same-person,other-person,same-entry,undetermined"`
			Note       string     `json:"note" maxLength:"1000"`
		}
	}
)
