package interview_test

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kuule/interview"
)

func registerUnknown(api huma.API) {
	interview.Handle(api, huma.Operation{OperationID: "x", Method: http.MethodGet, Path: "/api/everything"},
		func(context.Context, interview.Caller, *struct{}) (*struct{}, error) { return nil, nil })
}
