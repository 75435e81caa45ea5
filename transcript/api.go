package transcript

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/record"
)

// Transcript is the interviewer's whole view.
type Transcript struct {
	Hearing    interview.HearingID `json:"hearing"`
	State      string              `json:"state"` // draft, sealed
	Span       interview.Micros    `json:"span"`  // how far the hearing's time goes
	Utterances []record.Utterance  `json:"utterances"`
	Records    []Sealed            `json:"records"`
	After      After               `json:"after"`
}

// Review is a sealed version as its reader gets it.
type Review struct {
	Sealed Sealed `json:"sealed"`
	After  After  `json:"after"` // of version 1; as it is now
}

// Listed is a sealed version as a list shows it.
type Listed struct {
	Record   interview.RecordID `json:"record"`
	Version  int64              `json:"version"`
	At       int64              `json:"at"`                 // Unix seconds
	Delivery *record.Delivery   `json:"delivery,omitempty"` // to the caller
}

type (
	recordsOutput struct {
		Body struct {
			Records []Listed `json:"records"`
		}
	}
	recordsInput struct {
		Hearing interview.HearingID `path:"hearing"`
	}
	transcriptOutput struct{ Body Transcript }
	putInput         struct {
		Hearing   interview.HearingID   `path:"hearing"`
		Utterance interview.UtteranceID `path:"utterance"`
		Body      struct {
			Version  int64                   `json:"version" minimum:"0" doc:"the version that the page saw; 0 for a new line"`
			Kind     record.Kind             `json:"kind" enum:"question,answer,rendering,note"`
			At       interview.Micros        `json:"at"`
			Speaker  interview.ParticipantID `json:"speaker"`
			Language string                  `json:"language" maxLength:"35"`
			Text     string                  `json:"text"`
			Renders  interview.UtteranceID   `json:"renders,omitempty"`
		}
	}
	utteranceOutput struct{ Body record.Utterance }
	sealedOutput    struct{ Body Sealed }
	recordInput     struct {
		Record interview.RecordID `path:"record"`
	}
	deliverInput struct {
		Record interview.RecordID `path:"record"`
		Body   struct {
			Language string `json:"language" maxLength:"35"`
		}
	}
	deliverOutput struct {
		Body struct {
			Deliveries []record.Delivery `json:"deliveries"`
		}
	}
	reviewOutput  struct{ Body Review }
	receiptOutput struct{ Body record.Delivery }
	amendInput    struct {
		Record interview.RecordID `path:"record"`
		Body   struct {
			Kind      string                  `json:"kind" enum:"correction,translation,addition,comment"`
			Utterance interview.UtteranceID   `json:"utterance,omitempty"`
			Text      string                  `json:"text"`
			Language  string                  `json:"language" maxLength:"35"`
			OnBehalf  interview.ParticipantID `json:"on_behalf,omitempty"`
			Channel   string                  `json:"channel" enum:"terminal,oral,telephone,written"`
		}
	}
	amendOutput struct{ Body record.Amendment }
	endInput    struct {
		Record interview.RecordID `path:"record"`
		Body   struct {
			Outcome         record.Outcome `json:"outcome" enum:"confirmed,confirmed-with-amendments,refused,no-reply"`
			Reasons         string         `json:"reasons,omitempty"`
			DeclinedReasons bool           `json:"declined_reasons,omitempty"`
		}
	}
	endOutput  struct{ Body record.Ending }
	replyInput struct {
		Amendment interview.AmendmentID `path:"amendment"`
		Body      struct {
			Decision string `json:"decision" enum:"accepted,noted,disputed"`
			Text     string `json:"text"`
		}
	}
	replyOutput struct{ Body record.Reply }
)

// maxBody bounds the bodies that carry one text.
const maxBody = 8*MaxText + 4<<10

// Register puts the transcript's operations on the interface.
func Register(api huma.API, s *Store) {
	registerDraft(api, s)
	registerReview(api, s)
}

func registerDraft(api huma.API, s *Store) {
	interview.Handle(api, huma.Operation{
		OperationID: "get-transcript", Method: http.MethodGet, Path: "/api/hearings/{hearing}/transcript", Summary: "Lines, sealed versions and what followed them",
	}, func(ctx context.Context, c interview.Caller, in *recordsInput) (*transcriptOutput, error) {
		t, err := s.transcript(ctx, c, in.Hearing)
		return &transcriptOutput{t}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "put-utterance", Method: http.MethodPut, Path: "/api/hearings/{hearing}/utterances/{utterance}", Summary: "Keep a wording of a line", MaxBodyBytes: maxBody,
	}, func(ctx context.Context, c interview.Caller, in *putInput) (*utteranceOutput, error) {
		h, err := s.cfg.Hearings.Own(ctx, c, in.Hearing)
		if err != nil {
			return nil, err
		}
		u, err := s.Put(ctx, h, record.Utterance{
			ID: in.Utterance, Version: in.Body.Version, Kind: in.Body.Kind, At: in.Body.At, Speaker: in.Body.Speaker,
			Language: in.Body.Language, Text: in.Body.Text, Renders: in.Body.Renders,
		})
		return &utteranceOutput{u}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "seal-record", Method: http.MethodPost, Path: "/api/hearings/{hearing}/records", Summary: "Seal the next version", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, c interview.Caller, in *recordsInput) (*sealedOutput, error) {
		h, err := s.cfg.Hearings.Own(ctx, c, in.Hearing)
		if err != nil {
			return nil, err
		}
		v, err := s.Seal(ctx, h)
		return &sealedOutput{v}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "deliver-record", Method: http.MethodPost, Path: "/api/records/{record}/deliver", Summary: "Hand a version over with the notice of the right to correct",
	}, func(ctx context.Context, c interview.Caller, in *deliverInput) (*deliverOutput, error) {
		h, v, p, err := s.find(ctx, c, in.Record)
		if err != nil {
			return nil, err
		}
		if p.Role != interview.RoleInterviewer {
			return nil, problem.New(problem.CodeNotFound, "record %s", in.Record)
		}
		out := &deliverOutput{}
		out.Body.Deliveries, err = s.Deliver(ctx, h, v, in.Body.Language)
		return out, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "answer-amendment", Method: http.MethodPost, Path: "/api/amendments/{amendment}/answer", Summary: "Answer an amendment", MaxBodyBytes: maxBody,
	}, func(ctx context.Context, c interview.Caller, in *replyInput) (*replyOutput, error) {
		r, err := s.Reply(ctx, c, in.Amendment, record.Reply{Decision: in.Body.Decision, Text: in.Body.Text})
		return &replyOutput{r}, err
	})
}

func registerReview(api huma.API, s *Store) {
	interview.Handle(api, huma.Operation{
		OperationID: "list-records", Method: http.MethodGet, Path: "/api/hearings/{hearing}/records", Summary: "Sealed versions; to the applicant's side those that were handed over",
	}, func(ctx context.Context, c interview.Caller, in *recordsInput) (*recordsOutput, error) {
		out := &recordsOutput{}
		var err error
		out.Body.Records, err = s.list(ctx, c, in.Hearing)
		return out, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-record", Method: http.MethodGet, Path: "/api/records/{record}", Summary: "A sealed version; the applicant's side once it was handed over",
	}, func(ctx context.Context, c interview.Caller, in *recordInput) (*reviewOutput, error) {
		r, err := s.review(ctx, c, in.Record)
		return &reviewOutput{r}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "receive-record", Method: http.MethodPost, Path: "/api/records/{record}/receipt", Summary: "Confirm the receipt",
	}, func(ctx context.Context, c interview.Caller, in *recordInput) (*receiptOutput, error) {
		h, v, p, err := s.find(ctx, c, in.Record)
		if err != nil {
			return nil, err
		}
		d, err := s.Receive(ctx, h, v, p.ID)
		return &receiptOutput{d}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "amend-record", Method: http.MethodPost, Path: "/api/records/{record}/amendments", Summary: "Add an amendment", DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, c interview.Caller, in *amendInput) (*amendOutput, error) {
		h, v, p, err := s.find(ctx, c, in.Record)
		if err != nil {
			return nil, err
		}
		a, err := s.Amend(ctx, h, v, p, record.Amendment{
			Kind: in.Body.Kind, Utterance: in.Body.Utterance, Text: in.Body.Text, Language: in.Body.Language,
			OnBehalf: in.Body.OnBehalf, Channel: in.Body.Channel,
		})
		return &amendOutput{a}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "end-record", Method: http.MethodPost, Path: "/api/records/{record}/outcome", Summary: "Set the one outcome", DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
	}, func(ctx context.Context, c interview.Caller, in *endInput) (*endOutput, error) {
		h, v, p, err := s.find(ctx, c, in.Record)
		if err != nil {
			return nil, err
		}
		e, err := s.End(ctx, h, v, p, record.Ending{Outcome: in.Body.Outcome, Reasons: in.Body.Reasons, DeclinedReasons: in.Body.DeclinedReasons})
		return &endOutput{e}, err
	})
}

func (s *Store) transcript(ctx context.Context, c interview.Caller, id interview.HearingID) (Transcript, error) {
	h, err := s.cfg.Hearings.Own(ctx, c, id)
	if err != nil {
		return Transcript{}, err
	}
	span, err := s.cfg.Hearings.Span(ctx, id)
	if err != nil && !errors.Is(err, problem.New(problem.CodeNotReady, "")) { // before the opening it is zero
		return Transcript{}, err
	}
	out := Transcript{Hearing: id, State: stateDraft, Span: span, After: After{Deliveries: []record.Delivery{}, Amendments: []record.Amendment{}}}
	if out.Utterances, err = s.Lines(ctx, h); err != nil {
		return Transcript{}, err
	}
	if out.Records, err = s.Versions(ctx, h); err != nil || len(out.Records) == 0 {
		return out, err
	}
	out.State = stateSealed
	out.After, err = s.After(ctx, h, out.Records[0])
	return out, err
}

func (s *Store) list(ctx context.Context, c interview.Caller, id interview.HearingID) ([]Listed, error) {
	h, err := s.cfg.Hearings.Hearing(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := s.reader(c, h)
	if err != nil {
		return nil, problem.New(problem.CodeNotFound, "hearing %s", id)
	}
	var rows []recordRow
	if err := s.db.NewSelect().Model(&rows).Column("id", "version", "at").Where("hearing_id = ?", id).Order("version").Scan(ctx); err != nil {
		return nil, err
	}
	out := []Listed{}
	for _, row := range rows {
		one := Listed{Record: row.ID, Version: row.Version, At: row.At}
		d, err := s.delivered(ctx, Sealed{Record: row.ID}, p.ID)
		switch {
		case err == nil:
			one.Delivery = &d
		case !errors.Is(err, problem.New(problem.CodeNotDelivered, "")):
			return nil, err
		case side(p.Role):
			continue
		}
		out = append(out, one)
	}
	return out, nil
}

func (s *Store) review(ctx context.Context, c interview.Caller, id interview.RecordID) (Review, error) {
	h, v, p, err := s.find(ctx, c, id)
	if err != nil {
		return Review{}, err
	}
	if side(p.Role) {
		if _, err := s.delivered(ctx, v, p.ID); err != nil {
			return Review{}, err
		}
	}
	versions, err := s.Versions(ctx, h)
	if err != nil {
		return Review{}, err
	}
	after, err := s.After(ctx, h, versions[0])
	return Review{Sealed: v, After: after}, err
}
