package signaling

import (
	"context"
	"errors"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
)

// debt is a transition that could not be written down when it was due.
type debt struct {
	request PhaseRequest
	at      time.Time
}

// debtEvery is how often what is owed to a neighbour is tried again.
const debtEvery = time.Second

// watch looks after what must happen by itself: a recorder or a chair that is
// lost pauses the hearing, who stays away loses the seat, what a neighbour did
// not take is given again, an empty room is forgotten.
func (r *room) watch() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-r.hub.ctx.Done():
			return
		case now := <-tick.C:
			if r.look(now) {
				r.hub.forget(r)
				r.close(problem.New(problem.CodeUnavailable, "the room is empty"))
				return
			}
		}
	}
}

// look does one round of watch and reports whether the room is over.
func (r *room) look(now time.Time) bool {
	l := r.hub.cfg.Limits
	r.mu.Lock()
	switch c := r.chairSession(); {
	case c != nil && c.here():
		r.chairGone = time.Time{}
	case r.chairGone.IsZero():
		r.chairGone = now
	}
	onRecord := r.phase.Phase == interview.PhaseOnRecord
	recorderLost := onRecord && !r.durable(now)
	chairLost := onRecord && !r.chairGone.IsZero() && now.Sub(r.chairGone) > l.ChairLost
	legs := r.expire(now)
	for seat, kept := range r.seats {
		if !kept.until.IsZero() && now.After(kept.until) {
			delete(r.seats, seat)
		}
	}
	owed := r.owed
	if owed != nil && now.Sub(owed.at) < debtEvery {
		owed = nil
	}
	again := len(legs) > 0 || r.wishDue(now) || !r.tableOwed.IsZero() && now.Sub(r.tableOwed) > debtEvery
	r.over = r.over || !r.emptySince.IsZero() && now.Sub(r.emptySince) > l.SeatKept
	over := r.over
	r.mu.Unlock()
	switch {
	case recorderLost:
		r.change(PhaseRequest{To: interview.PhasePaused, Cause: interview.CauseRecorderLost, Reason: "no durable heartbeat"})
	case chairLost:
		r.change(PhaseRequest{To: interview.PhasePaused, Cause: interview.CauseInterviewerLost, Reason: "the interviewer's page is away"})
	case owed != nil:
		r.change(owed.request)
	}
	if again {
		r.forward()
	}
	r.closeLegs(legs)
	return over
}

// expire drops members who stayed away too long and recorders that went
// silent, and returns their legs; the lock is held.
func (r *room) expire(now time.Time) []*leg {
	l := r.hub.cfg.Limits
	var legs []*leg
	for m, s := range r.members {
		// A recorder's connection over the bus does not break when its process is
		// killed; but a living one beats twice a second.
		silent := s.state == recorder && !s.beatAt.IsZero() && now.Sub(s.beatAt) > l.RecorderSilent
		if silent || !s.here() && now.Sub(s.brokeAt) > l.SeatKept {
			delete(r.members, m)
			delete(r.wraps, m)
			legs = append(legs, s.leg)
			s.leg = nil
			why := problem.New(problem.CodeStalled, "nothing was heard of %s", m)
			s.end(wire.TypeRefused, problem.Of(why), why)
		}
	}
	if len(legs) > 0 {
		r.tellMembers()
	}
	return legs
}

// durable reports whether a recorder on the roster has lately proved durable
// data of every publisher; any one recorder is enough. The lock is held.
func (r *room) durable(now time.Time) bool {
	for _, s := range r.members {
		if s.state == recorder && !s.durableAt.IsZero() && now.Sub(s.durableAt) <= r.hub.cfg.Limits.HeartbeatLost {
			return true
		}
	}
	return false
}

// askAtOnce is how long the hearing may take to write a transition down before
// the members are told regardless: together with HeartbeatLost it has to stay
// under the two seconds of H1.
const askAtOnce = 300 * time.Millisecond

// change asks for a transition in the system's name.
func (r *room) change(req PhaseRequest) {
	ctx, cancel := context.WithTimeout(r.hub.ctx, askAtOnce)
	defer cancel()
	now, err := r.hub.cfg.Hearings.Ask(ctx, r.hearing, req)
	if errors.Is(err, problem.New(problem.CodePhase, "")) {
		// Somebody else changed it first: what the hearing says counts.
		now, err = r.hub.cfg.Hearings.Phase(ctx, r.hearing)
	}
	if err != nil {
		r.log.Error("phase could not be changed", "to", req.To, "cause", req.Cause, "err", err)
		r.mu.Lock()
		again := r.owed != nil
		r.owed = &debt{request: req, at: time.Now()}
		r.mu.Unlock()
		if again {
			return
		}
		// The members are told all the same: nobody may believe to be on record.
		r.setPhase(wire.PhaseNow{Phase: req.To, Cause: req.Cause, Since: r.now(), Reason: req.Reason})
		return
	}
	r.mu.Lock()
	r.owed = nil
	r.mu.Unlock()
	r.setPhase(now)
}

// setPhase tells everyone the phase. Of two transitions whose answers overtake
// each other the later one stands. On record nobody sees a screen that is not
// kept: where one is shown already, it is taken away before anybody is told.
func (r *room) setPhase(now wire.PhaseNow) {
	r.mu.Lock()
	if now.Since < r.phase.Since {
		r.mu.Unlock()
		return
	}
	routes := now.Phase != r.phase.Phase && r.sharesScreen()
	r.phase = now
	if routes && now.Phase == interview.PhaseOnRecord {
		r.mu.Unlock()
		r.forward()
		r.mu.Lock()
	}
	if r.phase == now {
		r.tellAll(wire.TypePhaseNow, now)
	}
	r.mu.Unlock()
	if routes && now.Phase != interview.PhaseOnRecord {
		r.forward()
	}
}
