package signaling

import (
	"slices"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// maxChain is how many rosters are kept for members that come back. Who missed
// more starts as a new member: pages keep no longer a memory either.
const maxChain = 16

// chain is a room's newest rosters, oldest first, with all that is needed to
// verify them after their members have left.
type chain struct {
	links []link
	views map[interview.MemberID]wire.MemberView
}

type link struct {
	text    string
	epoch   int64
	chair   interview.MemberID
	members []interview.MemberID
}

// newest gives the text of the newest roster, or "".
func (c *chain) newest() string {
	if len(c.links) == 0 {
		return ""
	}
	return c.links[len(c.links)-1].text
}

// had reports whether a member was on the roster of an epoch; of epochs that are
// too long ago nobody was.
func (c *chain) had(epoch int64, m interview.MemberID) bool {
	for _, l := range c.links {
		if l.epoch == epoch {
			return slices.Contains(l.members, m)
		}
	}
	return false
}

// add keeps a roster and how its members were shown.
func (c *chain) add(text string, r sealing.Roster, members map[interview.MemberID]*Session) {
	l := link{text: text, epoch: r.Epoch, chair: r.Chair}
	if c.views == nil {
		c.views = map[interview.MemberID]wire.MemberView{}
	}
	for _, m := range r.Members {
		l.members = append(l.members, m.Member)
		if s := members[m.Member]; s != nil {
			v := s.shown()
			v.Seats, v.Connected = nil, false // names of those who left are nobody's to show
			c.views[m.Member] = v
		}
	}
	c.links = append(c.links, l)
	if len(c.links) <= maxChain {
		return
	}
	c.links = slices.Delete(c.links, 0, len(c.links)-maxChain)
	for m := range c.views {
		if !slices.ContainsFunc(c.links, func(l link) bool { return slices.Contains(l.members, m) }) {
			delete(c.views, m)
		}
	}
}

// catchUp sends a session that was just seated what it missed. A page that
// comes back gets the rosters since it left, or its roster would not connect to
// the newest one and look like a fork; a new page needs the newest alone. The
// list that goes before shows everyone whom those rosters name, but a chair not
// itself: it signs no roster of its own before it has the newest.
// The lock is held.
func (r *room) catchUp(s *Session) {
	links := r.rosters.links
	if len(links) == 0 {
		return
	}
	if s.join.Admission == "" {
		links = links[len(links)-1:]
	}
	named := map[interview.MemberID]bool{}
	for _, l := range links {
		named[l.chair] = true
		for _, m := range l.members {
			named[m] = s.join.Admission != "" || named[m]
		}
	}
	list := wire.Members{Members: []wire.MemberView{}}
	for m, other := range r.members {
		if m != s.member || s.state != chair {
			list.Members = append(list.Members, other.shown())
		}
	}
	for m, v := range r.rosters.views {
		if named[m] && r.members[m] == nil {
			list.Members = append(list.Members, v)
		}
	}
	sortViews(list.Members)
	s.send(wire.TypeMembers, list)
	for _, l := range links {
		s.send(wire.TypeRoster, wire.Roster{Roster: l.text})
	}
	for _, list := range r.wraps[s.member] {
		s.send(wire.TypeWraps, wire.Wraps{Wraps: list})
	}
}
