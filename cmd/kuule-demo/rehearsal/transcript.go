package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"kuule/cmd/kuule-demo/people"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/record"
	"kuule/kiosk-bridge/tunnel"
	"kuule/transcript"
)

// line is what the interviewer types for a sentence of the script.
type line struct {
	Version  int64                   `json:"version"`
	Kind     record.Kind             `json:"kind"`
	At       interview.Micros        `json:"at"`
	Speaker  interview.ParticipantID `json:"speaker"`
	Language string                  `json:"language"`
	Text     string                  `json:"text"`
	Renders  interview.UtteranceID   `json:"renders,omitzero"`
}

func (r *rehearsal) typeLines(ctx context.Context) (string, error) {
	var answer interview.UtteranceID
	var first interview.UtteranceID
	for _, s := range r.spans {
		l := line{At: s.span.From, Language: s.clip.Language, Text: s.clip.Text}
		switch s.clip.Voice {
		case people.Interviewer:
			l.Kind, l.Speaker = record.Question, r.participant(interview.RoleInterviewer).ID
		case people.Applicant:
			l.Kind, l.Speaker = record.Answer, r.participant(interview.RoleApplicant).ID
		case people.Interpreter:
			l.Kind, l.Speaker, l.Renders = record.Rendering, r.participant(interview.RoleInterpreter).ID, answer
		case people.Counsel:
			continue
		}
		id := interview.NewUtteranceID()
		if err := r.put(ctx, id, l); err != nil {
			return "", err
		}
		if s.clip.Voice == people.Applicant {
			answer = id
		}
		if first.IsZero() {
			first = id
			l.Text, l.Version = l.Text[:len(l.Text)-1]+", kiitos.", 1 // typed on
			if err := r.put(ctx, id, l); err != nil {
				return "", err
			}
		}
	}
	var t transcript.Transcript
	if err := r.interviewer.Call(ctx, http.MethodGet, "/api/hearings/"+r.hearing.ID.String()+"/transcript", nil, &t); err != nil {
		return "", err
	}
	if len(t.Utterances) != len(r.spans) || t.State != "draft" {
		return "", fmt.Errorf("%d lines were typed, %d are there (%s)", len(r.spans), len(t.Utterances), t.State)
	}
	if err := r.counsel.Call(ctx, http.MethodGet, "/api/hearings/"+r.hearing.ID.String()+"/transcript", nil, nil); !people.IsProblem(err, problem.CodeForbidden) {
		return "", fmt.Errorf("counsel reads the draft: %w", orAccepted(err))
	}
	return fmt.Sprintf("%d lines of question, answer and rendering against the hearing clock, one typed on", len(t.Utterances)), nil
}

func (r *rehearsal) put(ctx context.Context, id interview.UtteranceID, l line) error {
	return r.interviewer.Call(ctx, http.MethodPut, "/api/hearings/"+r.hearing.ID.String()+"/utterances/"+id.String(), l, nil)
}

// after is the hand-over of the record.
func (r *rehearsal) after() []step {
	var one, two transcript.Sealed
	var content record.Content
	var amendment record.Amendment
	return []step{
		{name: "version 1 sealed", do: func(ctx context.Context) (detail string, err error) {
			if one, content, err = r.seal(ctx); err != nil {
				return "", err
			}
			// J4: what was sealed is never changed.
			u := content.Utterances[0]
			err = r.put(ctx, u.ID, line{Version: u.Version, Kind: u.Kind, At: u.At, Speaker: u.Speaker, Language: u.Language, Text: "muutettu"})
			if !people.IsProblem(err, problem.CodeSealed) {
				return "", fmt.Errorf("a sealed line was changed: %w", orAccepted(err))
			}
			return fmt.Sprintf("%d lines under the pinned sealing key; refused: changing one (%s)", len(content.Utterances), problem.CodeSealed), nil
		}},
		{name: "delivered", do: func(ctx context.Context) (string, error) { return r.deliver(ctx, one) }},
		{name: "amendment, answer, confirmation", do: func(ctx context.Context) (detail string, err error) {
			amendment, err = r.correct(ctx, one, content)
			return fmt.Sprintf("amendment %s to one line by the applicant's seat, answered by the interviewer, confirmed with amendments", amendment.ID), err
		}},
		{name: "version 2 quotes version 1", do: func(ctx context.Context) (detail string, err error) {
			if two, content, err = r.seal(ctx); err != nil {
				return "", err
			}
			key, err := trust.Key(r.stage.Trust.SealingKey)
			if err != nil {
				return "", err
			}
			chain, err := record.VerifyChain([]string{one.Signed, two.Signed}, key)
			if err != nil {
				return "", err
			}
			if chain[1].Previous != jws.Hash(one.Signed) || len(content.Amendments) != 1 || content.Ending == nil || content.Amendments[0].Reply == nil {
				return "", fmt.Errorf("version 2 quotes %q and holds %d amendments", chain[1].Previous, len(content.Amendments))
			}
			return "previous = " + chain[1].Previous + " = hash of version 1; amendment, answer and outcome inside", nil
		}},
	}
}

// seal seals the next version and checks it with nothing but the pinned key.
func (r *rehearsal) seal(ctx context.Context) (transcript.Sealed, record.Content, error) {
	var v transcript.Sealed
	var c record.Content
	if err := r.interviewer.Call(ctx, http.MethodPost, "/api/hearings/"+r.hearing.ID.String()+"/records", map[string]any{}, &v); err != nil {
		return v, c, err
	}
	key, err := trust.Key(r.stage.Trust.SealingKey)
	if err != nil {
		return v, c, err
	}
	sealed, err := record.Verify(v.Signed, key)
	if err != nil {
		return v, c, err
	}
	if sealed.Content != record.HashContent([]byte(v.Content)) {
		return v, c, fmt.Errorf("the content of version %d is not what was sealed", v.Version)
	}
	return v, c, json.Unmarshal([]byte(v.Content), &c)
}

func (r *rehearsal) deliver(ctx context.Context, one transcript.Sealed) (string, error) {
	// The applicant comes back for the review: another visit, another purpose.
	visit, err := r.stage.Visit(ctx, r.participant(interview.RoleApplicant).ID)
	if err != nil {
		return "", err
	}
	if visit.Result != tunnel.ResultJoin {
		return "", fmt.Errorf("the kiosk said %s (%s)", visit.Result, visit.Way)
	}
	if _, err := r.terminal.Redeem(ctx, r.hearing.ID, interview.PurposeReview); err != nil {
		return "", err
	}
	path := "/api/records/" + one.Record.String()
	if err := r.terminal.Call(ctx, http.MethodGet, path, nil, nil); !people.IsProblem(err, problem.CodeNotDelivered) {
		return "", fmt.Errorf("reading the record before it was delivered: %w", orAccepted(err))
	}
	var out struct {
		Deliveries []record.Delivery `json:"deliveries"`
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, path+"/deliver", map[string]string{"language": "ar"}, &out); err != nil {
		return "", err
	}
	if len(out.Deliveries) == 0 {
		return "", fmt.Errorf("nobody was handed the record")
	}
	var review transcript.Review
	if err := r.terminal.Call(ctx, http.MethodGet, path, nil, &review); err != nil {
		return "", err
	}
	if review.Sealed.Signed != one.Signed {
		return "", fmt.Errorf("the terminal got another version")
	}
	var receipt record.Delivery
	if err := r.terminal.Call(ctx, http.MethodPost, path+"/receipt", nil, &receipt); err != nil {
		return "", err
	}
	return fmt.Sprintf("to %d with notice of the right to correct until %s; a second visit's ticket (review) at the terminal; receipt given", len(out.Deliveries), time.Unix(receipt.Deadline, 0).Format(time.DateOnly)), nil
}

func (r *rehearsal) correct(ctx context.Context, one transcript.Sealed, c record.Content) (record.Amendment, error) {
	i := slices.IndexFunc(c.Utterances, func(u record.Utterance) bool { return u.Kind == record.Rendering })
	if i < 0 {
		return record.Amendment{}, fmt.Errorf("no rendering among %d lines", len(c.Utterances))
	}
	path := "/api/records/" + one.Record.String()
	var a record.Amendment
	err := r.terminal.Call(ctx, http.MethodPost, path+"/amendments", map[string]any{
		"kind": "correction", "utterance": c.Utterances[i].ID, "text": "كان ذلك في الرابع من مايو.", "language": "ar", "channel": "terminal",
	}, &a)
	if err != nil {
		return a, err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, "/api/amendments/"+a.ID.String()+"/answer", map[string]string{"decision": "accepted", "text": "Merkitty: neljäs toukokuuta."}, nil); err != nil {
		return a, err
	}
	return a, r.terminal.Call(ctx, http.MethodPost, path+"/outcome", map[string]any{"outcome": record.ConfirmedWithAmendments}, nil)
}
