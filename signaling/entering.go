package signaling

import (
	"context"
	"slices"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
)

// enter puts a judged session into the room: admitted at once (the chair, a
// recorder, who returns, a seat admitted before), or to the waiting room.
func (r *room) enter(ctx context.Context, s *Session) error {
	r.mu.Lock()
	if err := r.maySit(s); err != nil {
		r.mu.Unlock()
		return err
	}
	if s.judgement.Chair && r.chairTaken(s) {
		s.judgement.Chair = false // another interviewer's device chairs: this one is admitted like everybody
	}
	returning := s.join.Admission != ""
	if !returning && !s.judgement.Chair && !s.peer.Recorder && !r.seatsKept(s) {
		defer r.mu.Unlock()
		return r.wait(s)
	}
	r.mu.Unlock()
	admission := s.join.Admission
	if !returning {
		var err error
		if admission, err = r.hub.cfg.Admission.Countersign(ctx, s.join, s.judgement); err != nil {
			return err
		}
	}
	return r.seat(s, admission)
}

// wait puts a session into the waiting room, in the place of others that the
// same device has there: nobody can fill it alone. The lock is held.
func (r *room) wait(s *Session) error {
	for m, other := range r.waiters {
		if other.peer.Device != s.peer.Device {
			continue
		}
		delete(r.waiters, m)
		other.end(wire.TypeSuperseded, nil, problem.New(problem.CodeSeatTaken, "superseded by %s", s.member))
		if m != s.member {
			r.tellChair(wire.TypeKnockGone, wire.KnockGone{Member: m})
		}
	}
	if len(r.waiters) >= r.hub.cfg.Limits.MaxMembers {
		return problem.New(problem.CodeUnavailable, "the waiting room is full")
	}
	s.state, s.since = waiting, r.now()
	r.waiters[s.member] = s
	r.emptySince = time.Time{}
	r.tellChair(wire.TypeKnock, s.knock())
	return nil
}

// maySit says why a session cannot be in this room, if so; the lock is held.
func (r *room) maySit(s *Session) error {
	if r.over || r.hub.revocations(s.peer) != s.revocations {
		return problem.New(problem.CodeUnavailable, "the room or the device changed while joining; try again")
	}
	if _, is := r.out[s.member]; is {
		return problem.Refused(problem.CodeDeclined, "chair", "%s was taken out of the room", s.member)
	}
	stay := 0
	for _, list := range []map[interview.MemberID]*Session{r.members, r.waiters} {
		if other := list[s.member]; other != nil && other != s && (other.join.Statement != s.join.Statement || other.peer.Device != s.peer.Device) {
			// The statement of a page that waits is not verified yet: it may say
			// anything, also somebody else's name.
			return problem.New(problem.CodeStatementInvalid, "%s is another page", s.member)
		}
	}
	for m, other := range r.members {
		switch {
		case other == s || m == s.member:
		case replaces(s, other):
			if s.join.Admission != "" && other.here() {
				return problem.New(problem.CodeSeatTaken, "a newer page of this device took the seat")
			}
		case other.here() && sharesSeat(s, other):
			return problem.New(problem.CodeSeatTaken, "the seat is held at device %s", other.peer.Device)
		default:
			stay++
		}
	}
	if stay >= r.hub.cfg.Limits.MaxMembers {
		return problem.New(problem.CodeUnavailable, "the room is full")
	}
	return nil
}

// replaces reports whether s takes the place of other: the same page again, a
// newer page of its device, or the same recorder come back.
func replaces(s, other *Session) bool {
	switch {
	case s.member == other.member:
		return true
	case s.peer.Recorder != other.peer.Recorder:
		return false
	case s.peer.Recorder:
		return s.peer.Instance != "" && s.peer.Instance == other.peer.Instance
	default:
		return s.peer.Device == other.peer.Device
	}
}

func sharesSeat(a, b *Session) bool {
	return slices.ContainsFunc(a.judgement.Seats, func(v wire.SeatView) bool {
		return slices.ContainsFunc(b.judgement.Seats, func(w wire.SeatView) bool { return v.Seat == w.Seat })
	})
}

// chairTaken reports whether another device chairs; the lock is held.
func (r *room) chairTaken(s *Session) bool {
	c := r.chairSession()
	return c != nil && c.here() && c.peer.Device != s.peer.Device
}

// seatsKept reports whether the chair has admitted exactly these seats at this
// device a short while ago: then a reload needs no second knock. The lock is held.
func (r *room) seatsKept(s *Session) bool {
	for _, v := range s.judgement.Seats {
		kept, is := r.seats[v.Seat]
		if !is || kept.device != s.peer.Device || !kept.until.IsZero() && time.Now().After(kept.until) {
			return false
		}
	}
	return len(s.judgement.Seats) > 0
}

// seat makes a session a member: older pages of the same seats are superseded,
// everyone gets the new list, and the member what it needs to catch up.
func (r *room) seat(s *Session, admission string) error {
	r.mu.Lock()
	err := r.maySit(s)
	switch {
	case err != nil:
	case s.state == gone || s.state == waiting && r.waiters[s.member] != s:
		err = problem.New(problem.CodeNotFound, "%s left while being admitted", s.member)
	}
	if err != nil {
		r.mu.Unlock()
		return err
	}
	closed := r.supersede(s)
	delete(r.waiters, s.member)
	s.admission = admission
	switch {
	case s.peer.Recorder:
		s.state, s.beatAt = recorder, time.Time{}
	case s.judgement.Chair && !r.chairTaken(s):
		s.state = chair
		r.chairGone = time.Time{}
		r.demote(s)
	default:
		s.state, s.judgement.Chair = seated, false
	}
	r.members[s.member] = s
	r.emptySince = time.Time{}
	for _, v := range s.judgement.Seats {
		r.seats[v.Seat] = keptSeat{device: s.peer.Device}
	}
	s.send(wire.TypeAdmitted, s.admitted())
	r.catchUp(s)
	s.repeatAdvice()
	r.tellMembers()
	if s.state == chair {
		for _, w := range r.waiters {
			s.send(wire.TypeKnock, w.knock())
		}
	}
	r.mu.Unlock()
	r.hub.cfg.Journal.Keep(r.hearing, "statement", s.join.Statement)
	r.hub.cfg.Journal.Keep(r.hearing, "admission", admission)
	r.forward()
	r.closeLegs(closed)
	return nil
}

// supersede ends the sessions that s takes the place of and returns the legs
// that go with them; the lock is held.
func (r *room) supersede(s *Session) []*leg {
	var closed []*leg
	for m, other := range r.members {
		if other == s || !replaces(s, other) && (other.here() || !sharesSeat(s, other)) {
			continue
		}
		delete(r.members, m)
		if m == s.member { // the same page, after its connection broke
			s.leg, other.leg = other.leg, nil
			s.wishes, s.advice = other.wishes, other.advice
			other.state = gone
			other.conn.Close(problem.New(problem.CodeSeatTaken, "the page came back"))
			continue
		}
		delete(r.wraps, m)
		closed = append(closed, other.leg)
		other.leg = nil
		other.end(wire.TypeSuperseded, nil, problem.New(problem.CodeSeatTaken, "superseded by %s", s.member))
	}
	for m, other := range r.waiters {
		if other != s && replaces(s, other) {
			delete(r.waiters, m)
			other.end(wire.TypeSuperseded, nil, problem.New(problem.CodeSeatTaken, "superseded by %s", s.member))
			r.tellChair(wire.TypeKnockGone, wire.KnockGone{Member: m})
		}
	}
	return closed
}

// demote leaves s the only chair; the lock is held.
func (r *room) demote(s *Session) {
	for _, other := range r.members {
		if other != s && other.state == chair {
			other.state, other.judgement.Chair = seated, false
		}
	}
}

// admit lets a waiting member in, for exactly the persons the chair saw (D1).
func (r *room) admit(ctx context.Context, by *Session, b wire.Admit) error {
	r.mu.Lock()
	err := r.holdsChair(by)
	s := r.waiters[b.Member]
	r.mu.Unlock()
	switch {
	case err != nil:
		return err
	case s == nil:
		return problem.New(problem.CodeNotFound, "nobody waits as %s", b.Member)
	case !s.sameSeats(b.Seats):
		return problem.New(problem.CodeConflict, "the persons at %s are others than were seen", b.Member)
	}
	admission, err := r.hub.cfg.Admission.Countersign(ctx, s.join, s.judgement)
	if err != nil {
		return err
	}
	return r.seat(s, admission)
}

func (r *room) decline(by *Session, b wire.Decline) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holdsChair(by); err != nil {
		return err
	}
	s := r.waiters[b.Member]
	if s == nil {
		return problem.New(problem.CodeNotFound, "nobody waits as %s", b.Member)
	}
	delete(r.waiters, b.Member)
	why := problem.Refused(problem.CodeDeclined, "chair", "%s", b.Reason)
	s.end(wire.TypeRefused, problem.Of(why), why)
	r.noteEmpty()
	return nil
}

// remove takes a member out at the chair's word.
func (r *room) remove(by *Session, b wire.Remove) error {
	r.mu.Lock()
	err := r.holdsChair(by)
	s := r.members[b.Member]
	switch {
	case err != nil:
	case s == nil || s == by:
		err = problem.New(problem.CodeNotFound, "no member %s that could be removed", b.Member)
	case len(r.out) >= maxOut:
		err = problem.New(problem.CodeUnavailable, "%d members were removed: end the hearing", len(r.out))
	}
	if err != nil {
		r.mu.Unlock()
		return err
	}
	l := r.drop(s, problem.Refused(problem.CodeDeclined, "chair", "%s", b.Reason))
	r.tellMembers()
	r.mu.Unlock()
	r.forward()
	r.closeLeg(l)
	return nil
}

// drop ends a membership and its kept seats for good and returns its leg; the
// lock is held.
func (r *room) drop(s *Session, why error) *leg {
	delete(r.members, s.member)
	delete(r.wraps, s.member)
	r.out[s.member] = struct{}{}
	for _, v := range s.judgement.Seats {
		delete(r.seats, v.Seat)
	}
	s.end(wire.TypeRefused, problem.Of(why), why)
	r.noteEmpty()
	l := s.leg
	s.leg = nil
	return l
}

func (r *room) revoke(device interview.DeviceID, why error) {
	r.mu.Lock()
	var legs []*leg
	for m, s := range r.waiters {
		if s.peer.Device == device && !s.peer.Recorder {
			delete(r.waiters, m)
			s.end(wire.TypeRefused, problem.Of(why), why)
			r.tellChair(wire.TypeKnockGone, wire.KnockGone{Member: m})
		}
	}
	found := false
	for _, s := range r.members {
		if s.peer.Device == device && !s.peer.Recorder {
			legs, found = append(legs, r.drop(s, why)), true
		}
	}
	for seat, kept := range r.seats {
		if kept.device == device {
			delete(r.seats, seat)
		}
	}
	if found {
		r.tellMembers()
	}
	r.noteEmpty()
	r.mu.Unlock()
	if found {
		r.forward()
		r.closeLegs(legs)
	}
}
