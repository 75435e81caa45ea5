package kioskbridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kuule/internal/problem"
	"kuule/interview"
)

// maxPortraits bounds how many pictures wait at once.
const maxPortraits = 256

// portraits are pictures taken at kiosks, for the interviewer to hold beside the
// live picture. They are in this process's memory and nowhere else (row B19),
// until the interviewer has said who it is or the ticket keeps no seat any more;
// a restart forgets them. Safe for concurrent use.
type portraits struct {
	mu   sync.Mutex
	kept map[interview.TicketID]portrait
}

type portrait struct {
	image Image
	until time.Time
	end   *time.Timer // destroys it, also where nobody asks any more
}

func (p *portraits) keep(t interview.TicketID, i Image, now, until time.Time) {
	own := Image{Kind: i.Kind, Format: i.Format, Bytes: append([]byte{}, i.Bytes...)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[interview.TicketID]portrait{}
	}
	if len(p.kept) < maxPortraits {
		p.kept[t] = portrait{own, until, time.AfterFunc(until.Sub(now), func() { p.forget(t) })}
	}
}

func (p *portraits) forget(t interview.TicketID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(t)
}

// drop destroys a picture, if there is one. The caller holds mu.
func (p *portraits) drop(t interview.TicketID) {
	found, ok := p.kept[t]
	if !ok {
		return
	}
	found.end.Stop()
	clear(found.image.Bytes)
	delete(p.kept, t)
}

// Portrait is the picture taken at the kiosk for a ticket, while there is one.
func (b *Bridge) Portrait(t interview.TicketID) (Image, bool) {
	p := &b.portraits
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.kept[t]
	if ok && !found.until.After(b.Now()) {
		p.drop(t)
		ok = false
	}
	if !ok {
		return Image{}, false
	}
	return Image{Kind: found.image.Kind, Format: found.image.Format, Bytes: append([]byte{}, found.image.Bytes...)}, true
}

// ForgetPortrait destroys the picture of a ticket: the interviewer has confirmed
// the person, or somebody asked.
func (b *Bridge) ForgetPortrait(t interview.TicketID) { b.portraits.forget(t) }

// Entered finds the ticket with which somebody entered a hearing.
func (s *SQL) Entered(ctx context.Context, h interview.HearingID, p interview.ParticipantID) (interview.TicketID, error) {
	var t TicketRecord
	err := s.db.NewSelect().Model(&t).Column("id").Where("t.hearing_id = ?", h).Where("t.participant_id = ?", p).Where("t.redeemed_at <> 0").
		Order("t.id DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return interview.TicketID{}, problem.New(problem.CodeNotFound, "nobody entered hearing %s as %s by ticket", h, p)
	}
	if err != nil {
		return interview.TicketID{}, fmt.Errorf("find the ticket of %s: %w", p, err)
	}
	return t.ID, nil
}

// RegisterPortraits puts on the interface the pictures that kiosks took, for the
// interviewer of the hearing alone; own says whether the caller is that one.
func RegisterPortraits(api huma.API, b *Bridge, tickets *SQL, own func(context.Context, interview.Caller, interview.HearingID) error) {
	interview.Handle(api, huma.Operation{
		OperationID: "get-portrait", Method: http.MethodGet, Path: "/api/hearings/{hearing}/portraits/{participant}",
		Summary: "The picture that the kiosk took, to hold beside the live one",
	}, func(ctx context.Context, c interview.Caller, in *portraitInput) (*portraitOutput, error) {
		out := &portraitOutput{} // none is an ordinary answer
		if err := own(ctx, c, in.Hearing); err != nil {
			return nil, err
		}
		t, err := tickets.Entered(ctx, in.Hearing, in.Participant)
		if problem.Of(err).Code == problem.CodeNotFound {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if i, ok := b.Portrait(t); ok {
			out.Body.Format, out.Body.Image = i.Format, i.Bytes
		}
		return out, nil
	})
	interview.Handle(api, huma.Operation{
		OperationID: "forget-portrait", Method: http.MethodPost, Path: "/api/hearings/{hearing}/portraits/{participant}/confirmed",
		Summary: "The interviewer has seen who it is: destroy the picture", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, c interview.Caller, in *portraitInput) (*struct{}, error) {
		if err := own(ctx, c, in.Hearing); err != nil {
			return nil, err
		}
		t, err := tickets.Entered(ctx, in.Hearing, in.Participant)
		if err == nil {
			b.ForgetPortrait(t)
		}
		return nil, err
	})
}

type (
	portraitInput struct {
		Hearing     interview.HearingID     `path:"hearing"`
		Participant interview.ParticipantID `path:"participant"`
	}
	portraitOutput struct {
		Body struct {
			Format string `json:"format"` // "" where there is none, or none any more
			Image  []byte `json:"image"`  // base64
		}
	}
)
