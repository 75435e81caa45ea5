package kioskbridge

import (
	"sync"
	"time"

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
}

func (p *portraits) keep(t interview.TicketID, i Image, until time.Time) {
	own := Image{Kind: i.Kind, Format: i.Format, Bytes: append([]byte{}, i.Bytes...)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[interview.TicketID]portrait{}
	}
	for id, old := range p.kept {
		if !old.until.After(time.Now()) {
			p.drop(id)
		}
	}
	if len(p.kept) < maxPortraits {
		p.kept[t] = portrait{own, until}
	}
}

func (p *portraits) drop(t interview.TicketID) {
	clear(p.kept[t].image.Bytes)
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
func (b *Bridge) ForgetPortrait(t interview.TicketID) {
	b.portraits.mu.Lock()
	defer b.portraits.mu.Unlock()
	b.portraits.drop(t)
}
