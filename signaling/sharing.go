package signaling

import (
	"slices"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/sealing"
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
	changed := s.leg.share(b.Track, b.On, time.Now())
	r.mu.Unlock()
	if changed {
		r.forward()
	}
	return nil
}

// share notes that a screen is shown, or not, and reports whether that is news.
// Who says it again has not begun anew: the recorder's grace is of the first
// picture. The room's lock is held.
func (l *leg) share(track interview.TrackID, on bool, now time.Time) bool {
	if _, shown := l.shared[track]; shown == on {
		return false
	}
	delete(l.kept, track)
	if !on {
		delete(l.shared, track)
		return true
	}
	if l.shared == nil {
		l.shared = map[interview.TrackID]time.Time{}
	}
	l.shared[track] = now
	return true
}

// shows reports whether a track is there to be received. The room's lock is held.
func (l *leg) shows(t wire.OfferTrack) bool {
	_, shared := l.shared[t.Track]
	return t.Source != interview.SourceScreen || shared
}

// keeps reports whether a track may be shown on record: a screen once it was
// kept, anything else at once. The room's lock is held.
func (l *leg) keeps(t wire.OfferTrack) bool {
	_, kept := l.kept[t.Track]
	return t.Source != interview.SourceScreen || kept
}

// noteScreens notes which shown screens a recorder has durable data of, and
// reports whether one is new. The room's lock is held.
func (r *room) noteScreens(h sealing.Heartbeat) bool {
	news := false
	for _, s := range r.members {
		if s.leg == nil {
			continue
		}
		for track := range s.leg.shared {
			if _, known := s.leg.kept[track]; known || !slices.ContainsFunc(h.Tracks, func(t sealing.TrackDurable) bool { return t.Track == track }) {
				continue
			}
			if s.leg.kept == nil {
				s.leg.kept = map[interview.TrackID]struct{}{}
			}
			s.leg.kept[track] = struct{}{}
			news = true
		}
	}
	return news
}

// sharesScreen reports whether anybody shows a screen. The room's lock is held.
func (r *room) sharesScreen() bool {
	for _, s := range r.members {
		if s.leg != nil && len(s.leg.shared) > 0 {
			return true
		}
	}
	return false
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
