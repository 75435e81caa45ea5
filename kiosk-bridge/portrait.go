package kioskbridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"kuule/internal/problem"
	"kuule/interview"
)

// maxPortraits bounds how many pictures wait at once.
const maxPortraits = 256

// portraits are pictures taken at kiosks, for the interviewer to hold beside the
// live picture and for comparison with the room terminal's (decision 19). They
// are in this process's memory and nowhere else (row B19), until the hearing ends
// or the ticket keeps no seat any more; a restart forgets them. Safe for
// concurrent use.
type portraits struct {
	mu   sync.Mutex
	kept map[interview.TicketID]*portrait
}

type portrait struct {
	image   Image
	hearing interview.HearingID
	until   time.Time
	end     *time.Timer   // destroys it, also where nobody asks any more
	asked   bool          // the interviewer wants it compared
	busy    bool          // it is being compared
	pace    *rate.Limiter // of comparisons
}

// A room terminal may send a picture each few seconds, and a few at once: each
// costs a process of the face engine.
const (
	facePace  = 3 * time.Second
	faceBurst = 4
)

func (p *portraits) keep(t interview.TicketID, h interview.HearingID, i Image, now, until time.Time) {
	own := Image{Kind: i.Kind, Format: i.Format, Bytes: append([]byte{}, i.Bytes...)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[interview.TicketID]*portrait{}
	}
	if len(p.kept) < maxPortraits {
		end := time.AfterFunc(until.Sub(now), func() { p.forget(t) })
		p.kept[t] = &portrait{image: own, hearing: h, until: until, end: end, pace: rate.NewLimiter(rate.Every(facePace), faceBurst)}
	}
}

func (p *portraits) forget(t interview.TicketID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(t)
}

// forgetHearing destroys the pictures of a hearing.
func (p *portraits) forgetHearing(h interview.HearingID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, found := range p.kept {
		if found.hearing == h {
			p.drop(t)
		}
	}
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

// at finds a picture whose time is not over. The caller holds mu.
func (p *portraits) at(t interview.TicketID, now time.Time) *portrait {
	found, ok := p.kept[t]
	if ok && !found.until.After(now) {
		p.drop(t)
		return nil
	}
	return found
}

// compare gives a copy of a picture to hold another one against, one comparison
// at a time; done ends it.
func (p *portraits) compare(t interview.TicketID, now time.Time) (reference Image, done func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.at(t, now)
	switch {
	case found == nil:
		return Image{}, nil, problem.New(problem.CodeNotFound, "the kiosk's picture for ticket %s is not kept any more", t)
	case found.busy || !found.pace.AllowN(now, 1):
		return Image{}, nil, problem.New(problem.CodeTooFast, "pictures for ticket %s come too fast", t)
	}
	found.busy = true
	return found.copy(), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		found.busy = false
	}, nil
}

func (p *portrait) copy() Image {
	return Image{Kind: p.image.Kind, Format: p.image.Format, Bytes: append([]byte{}, p.image.Bytes...)}
}

// ask notes that the interviewer wants a comparison; false where there is no picture.
func (p *portraits) ask(t interview.TicketID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.kept[t]
	if ok {
		found.asked = true
	}
	return ok
}

// answered notes that a comparison was made.
func (p *portraits) answered(t interview.TicketID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found, ok := p.kept[t]; ok {
		found.asked = false
	}
}

// asked says whether a comparison is waited for, and whether there is a picture.
func (p *portraits) asked(t interview.TicketID) (asked, there bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.kept[t]
	return ok && found.asked, ok
}

// Portrait is the picture taken at the kiosk for a ticket, while there is one.
func (b *Bridge) Portrait(t interview.TicketID) (Image, bool) {
	p := &b.portraits
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.at(t, b.Now())
	if found == nil {
		return Image{}, false
	}
	return found.copy(), true
}

// ForgetPortraits destroys the pictures of a hearing: it has ended.
func (b *Bridge) ForgetPortraits(h interview.HearingID) { b.portraits.forgetHearing(h) }

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
