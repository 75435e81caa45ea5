package signaling

import (
	"slices"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// wishEvery is the shortest time between two tables that are made for wishes: a
// page may change its mind as often as it likes, the media node hears the newest.
const wishEvery = 200 * time.Millisecond

// takeWish keeps what a member makes of the tracks that it receives. The watch
// has it forwarded.
func (r *room) takeWish(s *Session, b wire.Wish) error {
	if len(b.Slots) > wire.MaxWishes {
		return problem.New(problem.CodeTooLarge, "wishes for %d tracks, at most %d", len(b.Slots), wire.MaxWishes)
	}
	wishes := make(map[interview.TrackID]wire.SlotWish, len(b.Slots))
	for _, w := range b.Slots {
		if _, twice := wishes[w.Track]; twice || w.Rank < 0 || w.Rank > media.MaxRank || w.Height < 0 || w.Height > media.MaxHeight {
			return problem.New(problem.CodeMalformed, "wish for track %s", w.Track)
		}
		wishes[w.Track] = w
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(s); err != nil {
		return err
	}
	s.wishes, r.wished = wishes, true
	return nil
}

// wishDue reports whether a table has to be made for wishes now; the lock is held.
func (r *room) wishDue(now time.Time) bool {
	if !r.wished || now.Sub(r.wishedAt) < wishEvery {
		return false
	}
	r.wishedAt = now
	return true
}

// voices and faces order whose voice is kept longest, and whose face is shown
// first, for a listener who has not said. An interviewer follows the
// interpreter's words and the applicant's face.
var (
	voices = map[interview.Role][]interview.Role{
		interview.RoleInterviewer:    {interview.RoleInterpreter, interview.RoleApplicant, interview.RoleCounsel, interview.RoleRepresentative},
		interview.RoleApplicant:      {interview.RoleInterpreter, interview.RoleInterviewer, interview.RoleCounsel, interview.RoleRepresentative},
		interview.RoleInterpreter:    {interview.RoleApplicant, interview.RoleInterviewer, interview.RoleCounsel, interview.RoleRepresentative},
		interview.RoleCounsel:        {interview.RoleInterviewer, interview.RoleInterpreter, interview.RoleApplicant, interview.RoleRepresentative},
		interview.RoleRepresentative: {interview.RoleInterviewer, interview.RoleInterpreter, interview.RoleApplicant, interview.RoleCounsel},
	}
	faces = map[interview.Role][]interview.Role{
		interview.RoleInterviewer:    {interview.RoleApplicant, interview.RoleInterpreter, interview.RoleCounsel, interview.RoleRepresentative},
		interview.RoleApplicant:      {interview.RoleInterviewer, interview.RoleInterpreter, interview.RoleCounsel, interview.RoleRepresentative},
		interview.RoleInterpreter:    {interview.RoleApplicant, interview.RoleInterviewer, interview.RoleCounsel, interview.RoleRepresentative},
		interview.RoleCounsel:        {interview.RoleApplicant, interview.RoleInterviewer, interview.RoleInterpreter, interview.RoleRepresentative},
		interview.RoleRepresentative: {interview.RoleApplicant, interview.RoleInterviewer, interview.RoleInterpreter, interview.RoleCounsel},
	}
	// A recorder's order is of use only when its own link is broken.
	recorded = []interview.Role{interview.RoleApplicant, interview.RoleInterviewer, interview.RoleInterpreter, interview.RoleCounsel, interview.RoleRepresentative}
)

// rank is the default rank of a track: what the people at the receiving device
// need most of what those at the sending one give. Several people may share a
// device. A shared screen comes after the first face.
func rank(to, from []interview.Role, source interview.Source) int {
	orders := voices
	if source != interview.SourceAudio {
		orders = faces
	}
	best := len(recorded)
	look := func(order []interview.Role) {
		for _, role := range from {
			if i := slices.Index(order, role); i >= 0 {
				best = min(best, i)
			}
		}
	}
	for _, role := range to {
		look(orders[role])
	}
	if len(to) == 0 {
		look(recorded)
	}
	switch {
	case source == interview.SourceScreen:
		return 1
	case source == interview.SourceVideo && best > 0:
		return best + 1
	default:
		return best
	}
}

// roles are those of the people at a member's device; a recorder has none.
func (s *Session) roles() []interview.Role {
	out := make([]interview.Role, 0, len(s.judgement.Seats))
	for _, v := range s.judgement.Seats {
		out = append(out, v.Role)
	}
	return out
}

// hint passes the media node's advice on to the member whose track it is about.
func (r *room) hint(h media.Hint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.members {
		if s.opening == h.Leg && !h.Leg.IsZero() { // the answer takes it along
			if s.early == nil {
				s.early = map[interview.TrackID]media.Advice{}
			}
			if len(s.early) < sealing.MaxTracks {
				s.early[h.Track] = h.Advice
			}
			continue
		}
		if s.leg == nil || s.leg.id != h.Leg || !slices.ContainsFunc(s.leg.tracks, func(t wire.OfferTrack) bool { return t.Track == h.Track }) {
			continue
		}
		if len(s.advice) > sealing.MaxTracks || s.advice == nil { // tracks of legs that are gone
			s.advice = map[interview.TrackID]media.Advice{}
		}
		s.advice[h.Track] = h.Advice
		if s.here() {
			s.send(wire.TypeSendHint, sendHint(h.Track, h.Advice))
		}
	}
}

// repeatAdvice tells a member that came back what it may have missed; the
// room's lock is held.
func (s *Session) repeatAdvice() {
	if s.leg == nil {
		return
	}
	for _, t := range s.leg.tracks {
		if a, ok := s.advice[t.Track]; ok {
			s.send(wire.TypeSendHint, sendHint(t.Track, a))
		}
	}
}

func sendHint(track interview.TrackID, a media.Advice) wire.SendHint {
	return wire.SendHint{Track: track, PacketMS: a.PacketMS, Bitrate: a.Bitrate, Red: a.Red, Unneeded: a.Unneeded}
}
