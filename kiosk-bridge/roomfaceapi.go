package kioskbridge

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/problem"
	"kuule/interview"
)

// maxRoomPicture bounds one picture of a room terminal, with its JSON.
const maxRoomPicture = 1 << 20

// Own finds out which participant of a hearing the caller is, who has to be its
// interviewer; a problem for everybody else.
type Own func(context.Context, interview.Caller, interview.HearingID) (interview.ParticipantID, error)

// RegisterFaces puts on the interface what the room terminal sends of a face, and
// what the hearing's own interviewer, and nobody else, sees of it (row B21).
func RegisterFaces(api huma.API, f *RoomFaces, own Own) {
	registerTerminalsFaces(api, f)
	interview.Handle(api, huma.Operation{
		OperationID: "get-portrait", Method: http.MethodGet, Path: "/api/hearings/{hearing}/portraits/{participant}",
		Summary: "The picture that the kiosk took, to hold beside the live one",
	}, func(ctx context.Context, c interview.Caller, in *personInput) (*portraitOutput, error) {
		out := &portraitOutput{} // none is an ordinary answer
		if _, err := own(ctx, c, in.Hearing); err != nil {
			return nil, err
		}
		t, err := f.tickets.Entered(ctx, in.Hearing, in.Participant)
		if problem.Of(err).Code == problem.CodeNotFound {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if i, ok := f.bridge.Portrait(t); ok {
			out.Body.Format, out.Body.Image = i.Format, i.Bytes
		}
		return out, nil
	})
	interview.Handle(api, huma.Operation{
		OperationID: "get-faces", Method: http.MethodGet, Path: "/api/hearings/{hearing}/faces/{participant}",
		Summary: "What comparisons at the room terminal said, as advice",
	}, func(ctx context.Context, c interview.Caller, in *personInput) (*toldOutput, error) {
		if _, err := own(ctx, c, in.Hearing); err != nil {
			return nil, err
		}
		told, err := f.Told(ctx, in.Hearing, in.Participant)
		return &toldOutput{told}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "ask-face", Method: http.MethodPost, Path: "/api/hearings/{hearing}/faces/{participant}/asked",
		Summary: "Have the room terminal compare again", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *personInput) (*struct{}, error) {
		if _, err := own(ctx, c, in.Hearing); err != nil {
			return nil, err
		}
		return nil, f.Ask(ctx, in.Hearing, in.Participant)
	})
	interview.Handle(api, huma.Operation{
		OperationID: "say-face", Method: http.MethodPost, Path: "/api/hearings/{hearing}/faces/{participant}/said",
		Summary: "The interviewer says whether it is the person", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *saidInput) (*struct{}, error) {
		by, err := own(ctx, c, in.Hearing)
		if err != nil {
			return nil, err
		}
		return nil, f.Say(ctx, in.Hearing, in.Participant, in.Body.Said, by.String())
	})
}

// registerTerminalsFaces are the two routes of the room terminal: which ticket it
// redeemed is what its certificate proves.
func registerTerminalsFaces(api huma.API, f *RoomFaces) {
	held := func(c interview.Caller, in personInput) (interview.Ticket, error) {
		now := f.bridge.Now()
		i := slices.IndexFunc(c.Tickets, func(t interview.Ticket) bool {
			return t.Hearing == in.Hearing && t.Participant == in.Participant && t.Purpose == interview.PurposeHearing && now.Before(t.Expires)
		})
		if i < 0 {
			return interview.Ticket{}, problem.New(problem.CodeNotFound, "this device holds no ticket of participant %s", in.Participant)
		}
		return c.Tickets[i], nil
	}
	interview.Handle(api, huma.Operation{
		OperationID: "get-face-wanted", Method: http.MethodGet, Path: "/api/hearings/{hearing}/faces/{participant}/wanted",
		Summary: "Whether this room terminal is to take a picture of the person",
	}, func(ctx context.Context, c interview.Caller, in *personInput) (*wantedOutput, error) {
		t, err := held(c, *in)
		if err != nil {
			return nil, err
		}
		w, err := f.Wanted(ctx, t)
		return &wantedOutput{w}, err
	})
	interview.Handle(api, huma.Operation{
		OperationID: "compare-face", Method: http.MethodPost, Path: "/api/hearings/{hearing}/faces/{participant}",
		Summary: "Compare the face before this room terminal with the kiosk's picture", MaxBodyBytes: maxRoomPicture,
	}, func(ctx context.Context, c interview.Caller, in *pictureInput) (*needsOutput, error) {
		defer clear(in.Body.Image)
		t, err := held(c, personInput{in.Hearing, in.Participant})
		if err != nil {
			return nil, err
		}
		out := &needsOutput{}
		out.Body.Needs, err = f.Compare(ctx, t, c.Device, RoomPicture{
			Occasion: in.Body.Occasion, Image: Image{Kind: "face", Format: in.Body.Format, Bytes: in.Body.Image}, Reason: in.Body.Reason, Last: in.Body.Last,
		})
		return out, err
	})
}

type (
	personInput struct {
		Hearing     interview.HearingID     `path:"hearing"`
		Participant interview.ParticipantID `path:"participant"`
	}
	portraitOutput struct {
		Body struct {
			Format string `json:"format"` // "" where there is none, or none any more
			Image  []byte `json:"image"`  // base64
		}
	}
	toldOutput   struct{ Body Told }
	wantedOutput struct{ Body Wanted }
	saidInput    struct {
		Hearing     interview.HearingID     `path:"hearing"`
		Participant interview.ParticipantID `path:"participant"`
		Body        struct {
			Said Said `json:"said" enum:"confirmed,doubted"`
		}
	}
	pictureInput struct {
		Hearing     interview.HearingID     `path:"hearing"`
		Participant interview.ParticipantID `path:"participant"`
		Body        struct {
			Occasion Occasion `json:"occasion" enum:"entered,returned,break,asked"`
			Format   string   `json:"format,omitempty" maxLength:"20"`
			Image    []byte   `json:"image,omitempty"` // base64
			Reason   string   `json:"reason,omitempty" maxLength:"20"`
			Last     bool     `json:"last"`
		}
	}
	needsOutput struct {
		Body struct {
			Needs string `json:"needs"` // what a better picture needs; "": nothing more
		}
	}
)
