package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/cmd/kuule-demo/people"
	"kuule/cmd/kuule-demo/stage"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// desk is the way on for whom no kiosk can identify: a call from the kiosk is
// answered, and two officers stand for a person without any document. The
// ticket that they bring is left to run out: the kiosk's is used.
func (r *rehearsal) desk(ctx context.Context) (string, error) {
	answered, err := r.callForHelp(ctx)
	if err != nil {
		return "", err
	}
	reference := r.participant(interview.RoleApplicant).Reference
	var begun identification
	for i, subject := range []string{stage.SubjectOfficer, stage.SubjectColleague} {
		page, err := r.officer(ctx, subject)
		if err != nil {
			return "", err
		}
		if i == 0 {
			in := map[string]any{"reference": reference, "method": ticket.MethodKnown, "note": "No document and no register; known from the reception centre. " + wordDesk}
			if err := page.Call(ctx, http.MethodPost, "/api/desk/identifications", in, &begun); err != nil {
				return "", fmt.Errorf("begin the identification: %w", err)
			}
			if err := refuseInventedWord(ctx, page, begun); err != nil {
				return "", err
			}
		}
		out, err := stand(ctx, page, begun)
		page.Close()
		if err != nil {
			return "", fmt.Errorf("officer %d: %w", i+1, err)
		}
		if want := []tunnel.Result{tunnel.ResultDesk, tunnel.ResultJoin}[i]; out.Result != want {
			return "", fmt.Errorf("after %d officers: %s, %s was expected", i+1, out.Result, want)
		}
	}
	return answered + "; two officers, each signed by the desk's device, stand for a person without documents; refused: an invented word (" + string(problem.CodeStatementInvalid) + ")", nil
}

type identification struct {
	Visit    interview.VisitID `json:"visit"`
	Evidence string            `json:"evidence"`
}

func (r *rehearsal) officer(ctx context.Context, subject string) (*gatewaytest.Page, error) {
	page, err := r.stage.Page(ctx, stage.DeviceDesk)
	if err != nil {
		return nil, err
	}
	if err := page.SignIn(ctx, r.stage.Provider, subject); err != nil {
		return nil, fmt.Errorf("officer signs in: %w", err)
	}
	return page, nil
}

// callForHelp presses the kiosk's button and answers at the desk (B14).
func (r *rehearsal) callForHelp(ctx context.Context) (string, error) {
	kiosk, err := r.stage.Page(ctx, stage.DeviceKiosk)
	if err != nil {
		return "", err
	}
	defer kiosk.Close()
	var call struct {
		Call     interview.CallID `json:"call"`
		Place    string           `json:"place"`
		Answered bool             `json:"answered"`
	}
	if err := kiosk.Call(ctx, http.MethodPost, "/api/desk/calls", map[string]string{"language": "ar", "step": "code"}, &call); err != nil {
		return "", fmt.Errorf("call for help: %w", err)
	}
	desk, err := r.officer(ctx, stage.SubjectOfficer)
	if err != nil {
		return "", err
	}
	defer desk.Close()
	if err := desk.Call(ctx, http.MethodPost, "/api/desk/calls/"+call.Call.String()+"/answer", nil, nil); err != nil {
		return "", fmt.Errorf("answer the call: %w", err)
	}
	if err := kiosk.Call(ctx, http.MethodGet, "/api/desk/calls/"+call.Call.String(), nil, &call); err != nil {
		return "", err
	}
	if !call.Answered {
		return "", errors.New("the kiosk does not learn that somebody comes")
	}
	return "a call from " + call.Place + " answered", nil
}

// stand has the device sign for its officer and brings the word.
func stand(ctx context.Context, page *gatewaytest.Page, i identification) (out tunnel.Outcome, err error) {
	var word struct {
		Signed string `json:"signed"`
	}
	if err := page.Call(ctx, http.MethodPost, "/gw/identification", map[string]string{"evidence": i.Evidence}, &word); err != nil {
		return out, fmt.Errorf("the device signs: %w", err)
	}
	err = page.Call(ctx, http.MethodPut, "/api/desk/identifications/"+i.Visit.String()+"/word", word, &out)
	return out, err
}

func refuseInventedWord(ctx context.Context, page *gatewaytest.Page, i identification) error {
	err := page.Call(ctx, http.MethodPut, "/api/desk/identifications/"+i.Visit.String()+"/word", map[string]string{"signed": "e30.e30.e30"}, nil)
	if !people.IsProblem(err, problem.CodeStatementInvalid) {
		return fmt.Errorf("an invented word: %w", orAccepted(err))
	}
	return nil
}
