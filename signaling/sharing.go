package signaling

import (
	"slices"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
)

// shareGrace is how long a recorder has for the first picture of a screen that
// is shown while the hearing is on record. Afterwards a screen that it does not
// keep pauses the hearing like any other track.
const shareGrace = 5 * time.Second

// takeShare notes that a screen is shown from now on, or no more. Its track is
// part of the offer from the start, so that showing it renegotiates nothing.
func (r *room) takeShare(s *Session, b wire.Share) error {
	r.mu.Lock()
	if err := r.holds(s); err != nil {
		r.mu.Unlock()
		return err
	}
	if s.leg == nil || !slices.ContainsFunc(s.leg.tracks, func(t wire.OfferTrack) bool {
		return t.Track == b.Track && t.Source == interview.SourceScreen
	}) {
		r.mu.Unlock()
		return problem.New(problem.CodeMediaRefused, "no screen %s was offered", b.Track)
	}
	if b.On {
		if s.leg.shared == nil {
			s.leg.shared = map[interview.TrackID]time.Time{}
		}
		s.leg.shared[b.Track] = time.Now()
	} else {
		delete(s.leg.shared, b.Track)
	}
	r.mu.Unlock()
	r.forward()
	return nil
}

// shows reports whether a track is there to be received. The room's lock is held.
func (l *leg) shows(t wire.OfferTrack) bool {
	_, shared := l.shared[t.Track]
	return t.Source != interview.SourceScreen || shared
}

// owed reports whether a recorder must have kept a track by now. The room's
// lock is held.
func (l *leg) owed(t wire.OfferTrack, now time.Time) bool {
	return l.shows(t) && (t.Source != interview.SourceScreen || now.Sub(l.shared[t.Track]) > shareGrace)
}

// admitted is what a member is told when it is in. The room's lock is held.
func (s *Session) admitted() wire.Admitted {
	a := wire.Admitted{Admission: s.admission}
	if s.leg != nil {
		a.Leg = s.leg.id
	}
	return a
}
