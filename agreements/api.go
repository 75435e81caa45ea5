package agreements

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kuule/interview"
	"kuule/interview/agreement"
)

type (
	requestInput struct {
		Body struct {
			Organisation agreement.Organisation `json:"organisation"`
			Criteria     agreement.Criteria     `json:"criteria"`
		}
	}
	stepInput struct {
		Agreement interview.AgreementID `path:"agreement"`
		Body      struct {
			To      State  `json:"to"`
			Reason  string `json:"reason" maxLength:"2048"`
			Version int64  `json:"version" minimum:"1"`
		}
	}
	signatureInput struct {
		Agreement interview.AgreementID `path:"agreement"`
		Body      struct {
			Signed string `json:"signed"`
		}
	}
	revokeInput struct {
		Agreement interview.AgreementID `path:"agreement"`
		Body      struct {
			Device interview.DeviceID `json:"device"`
			Reason string             `json:"reason" maxLength:"2048"`
		}
	}
	revokeOutput struct {
		Body struct {
			Generation int64 `json:"generation"`
		}
	}
	agreementOutput  struct{ Body Agreement }
	agreementsOutput struct {
		Body struct {
			Generation int64       `json:"generation"`
			Agreements []Agreement `json:"agreements"`
		}
	}
)

// Register puts the security office's operations on the interface.
func Register(api huma.API, s *Store) {
	interview.Handle(api, huma.Operation{
		OperationID: "request-agreement", Method: http.MethodPost, Path: "/api/agreements", Summary: "Enter a request for an agreement", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, c interview.Caller, in *requestInput) (*agreementOutput, error) {
		a, err := s.Request(ctx, in.Body.Organisation, in.Body.Criteria, c.Subject)
		return &agreementOutput{a}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "list-agreements", Method: http.MethodGet, Path: "/api/agreements", Summary: "The register",
	}, func(ctx context.Context, _ interview.Caller, _ *struct{}) (*agreementsOutput, error) {
		out := &agreementsOutput{}
		var err error
		if out.Body.Generation, err = s.Generation(ctx); err != nil {
			return nil, err
		}
		out.Body.Agreements, err = s.List(ctx)
		return out, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "step-agreement", Method: http.MethodPost, Path: "/api/agreements/{agreement}/steps", Summary: "Move an agreement on, suspend or end it",
	}, func(ctx context.Context, c interview.Caller, in *stepInput) (*agreementOutput, error) {
		a, err := s.Step(ctx, in.Agreement, in.Body.Version, in.Body.To, in.Body.Reason, c.Subject)
		return &agreementOutput{a}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "sign-agreement", Method: http.MethodPut, Path: "/api/agreements/{agreement}/signature", Summary: "Take a document signed by the security office's key into use", MaxBodyBytes: 1 << 20,
	}, func(ctx context.Context, c interview.Caller, in *signatureInput) (*agreementOutput, error) {
		a, err := s.Import(ctx, in.Agreement, in.Body.Signed, c.Subject)
		return &agreementOutput{a}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "revoke-device", Method: http.MethodPost, Path: "/api/agreements/{agreement}/devices/revoke", Summary: "Withdraw the approval of one device, at once",
	}, func(ctx context.Context, c interview.Caller, in *revokeInput) (*revokeOutput, error) {
		out := &revokeOutput{}
		var err error
		out.Body.Generation, err = s.RevokeDevice(ctx, in.Agreement, in.Body.Device, in.Body.Reason, c.Subject)
		return out, err
	})
}
