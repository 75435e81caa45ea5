package signaling

import (
	"context"
	"slices"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// takeRoster hands the chair's roster on and forwards media by it. Whether it
// holds is for the pages to judge: they verify its signature.
func (r *room) takeRoster(s *Session, text string) error {
	var roster sealing.Roster
	if err := jws.Peek(text, sealing.TypeRoster, &roster); err != nil {
		return problem.New(problem.CodeRosterInvalid, "%w", err)
	}
	if len(roster.Members) > sealing.MaxMembers || roster.Chair != s.member || roster.Group != r.group || roster.Hearing != r.hearing || roster.Epoch < 1 || roster.Epoch > sealing.MaxEpoch {
		return problem.New(problem.CodeRosterInvalid, "roster is not this room's or not its chair's")
	}
	r.mu.Lock()
	err := r.holdsChair(s)
	newest := r.rosters.newest()
	switch {
	case err != nil:
	case text == newest:
		r.mu.Unlock()
		return nil // told again after a broken connection
	case newest != "" && roster.Epoch <= r.roster.Epoch:
		err = problem.New(problem.CodeRosterInvalid, "epoch %d is not newer than %d", roster.Epoch, r.roster.Epoch)
	case newest != "" && roster.Prev != jws.Hash(newest):
		// Handed on, it would look like a fork to every page.
		err = problem.New(problem.CodeRosterInvalid, "epoch %d does not follow the newest roster", roster.Epoch)
	}
	if err != nil {
		r.mu.Unlock()
		return err
	}
	r.roster = roster
	r.rosters.add(text, roster, r.members)
	r.wraps = map[interview.MemberID]senders{}
	r.tellAll(wire.TypeRoster, wire.Roster{Roster: text})
	r.mu.Unlock()
	r.hub.cfg.Journal.Keep(r.hearing, "roster", text)
	r.forward()
	return nil
}

// onRoster reports whether the newest roster names a member; the lock is held.
func (r *room) onRoster(m interview.MemberID) bool {
	return slices.ContainsFunc(r.roster.Members, func(x sealing.RosterMember) bool { return x.Member == m })
}

// senders are the wraps for one recipient, by their sender.
type senders map[interview.MemberID][]string

// takeWraps hands each wrap to its recipient.
func (r *room) takeWraps(s *Session, wraps []string) error {
	if len(wraps) > sealing.MaxMembers*sealing.MaxTracks {
		return problem.New(problem.CodeTooLarge, "%d wraps", len(wraps))
	}
	to := map[interview.MemberID][]string{}
	epoch := int64(0)
	for i, text := range wraps {
		var w sealing.Wrap
		if err := jws.Peek(text, sealing.TypeWrap, &w); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		if w.Sender != s.member || w.Recipient == s.member || w.Group != r.group || w.Hearing != r.hearing || i > 0 && w.Epoch != epoch {
			return problem.New(problem.CodeForbidden, "wrap in another member's name, group or epoch")
		}
		epoch = w.Epoch
		to[w.Recipient] = append(to[w.Recipient], text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(s); err != nil {
		return err
	}
	if len(wraps) == 0 || epoch != r.roster.Epoch {
		return nil // of an epoch that has passed: nobody could use it
	}
	if !r.onRoster(s.member) {
		return problem.New(problem.CodeForbidden, "wraps of a member outside the roster")
	}
	for m, list := range to {
		if !r.onRoster(m) {
			return problem.New(problem.CodeForbidden, "wrap for a member outside the roster")
		}
		if r.wraps[m] == nil {
			r.wraps[m] = senders{}
		}
		// A sender has so many tracks; what it sends again is no new wrap.
		kept := r.wraps[m][s.member]
		list = slices.DeleteFunc(list, func(text string) bool { return slices.Contains(kept, text) })
		if len(kept)+len(list) > sealing.MaxTracks {
			return problem.New(problem.CodeTooLarge, "too many wraps for one member in one epoch")
		}
		r.wraps[m][s.member] = append(kept, list...)
		if other := r.members[m]; len(list) > 0 && other != nil && other.here() {
			other.send(wire.TypeWraps, wire.Wraps{Wraps: list})
		}
	}
	return nil
}

// takeOrigins hands origin lists to the recorders.
//
// A recorder gets lists of epochs that it was on the roster of, and no others:
// not even the hashes of what was said in a pause are its business.
func (r *room) takeOrigins(s *Session, lists []string) error {
	epochs := make([]int64, len(lists))
	for i, text := range lists {
		var o sealing.Origin
		if err := jws.Peek(text, sealing.TypeOrigin, &o); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		if o.Member != s.member || o.Group != r.group || o.Hearing != r.hearing {
			return problem.New(problem.CodeForbidden, "origin list in another member's name, group or hearing")
		}
		epochs[i], _, _ = sealing.PlaceOf(o.KID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(s); err != nil {
		return err
	}
	for _, other := range r.members {
		if other.state != recorder {
			continue
		}
		var its []string
		for i, text := range lists {
			if r.rosters.had(epochs[i], other.member) {
				its = append(its, text)
			}
		}
		if len(its) > 0 {
			other.send(wire.TypeOrigin, wire.Origin{Lists: its})
		}
	}
	return nil
}

// takeHeartbeat hands a recorder's heartbeat to everyone and notes what it says.
func (r *room) takeHeartbeat(s *Session, text string) error {
	var h sealing.Heartbeat
	if err := jws.Peek(text, sealing.TypeHeartbeat, &h); err != nil {
		return problem.New(problem.CodeMalformed, "%w", err)
	}
	if h.Member != s.member || h.Hearing != r.hearing {
		return problem.New(problem.CodeForbidden, "heartbeat in another member's name")
	}
	shows, err := r.noteHeartbeat(s, h, text)
	if shows {
		r.forward()
	}
	return err
}

// noteHeartbeat reports whether a screen may be shown now that waited for it.
func (r *room) noteHeartbeat(s *Session, h sealing.Heartbeat, text string) (shows bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(s); err != nil {
		return false, err
	}
	s.beatAt = time.Now()
	if h.State == interview.RecorderRecording && r.onRoster(s.member) {
		shows = r.noteScreens(h)
	}
	switch {
	case h.State == interview.RecorderFailed || h.State == interview.RecorderStopped:
		s.durableAt = time.Time{}
	case h.State == interview.RecorderRecording && r.onRoster(s.member) && r.coversPublishers(h):
		s.durableAt = s.beatAt
	}
	r.tellAll(wire.TypeHeartbeat, wire.Heartbeat{Heartbeat: text})
	return shows, nil
}

// coversPublishers reports whether the recorder has durable data of every
// track that a member on the roster publishes, and of one at least; the lock is
// held.
func (r *room) coversPublishers(h sealing.Heartbeat) bool {
	have := map[interview.TrackID]bool{}
	for _, t := range h.Tracks {
		have[t.Track] = true
	}
	covered := false
	for _, m := range r.roster.Members {
		s := r.members[m.Member]
		if s == nil || s.leg == nil || !s.leg.connected {
			continue
		}
		for _, t := range s.leg.tracks {
			if !s.leg.owed(t, time.Now()) {
				continue
			}
			if !have[t.Track] {
				return false
			}
			covered = true
		}
	}
	return covered
}

// askPhase asks the hearing for a transition at the chair's word.
func (r *room) askPhase(ctx context.Context, s *Session, b wire.AskPhase) (wire.Message, error) {
	if len(b.Reason) > 2000 {
		return wire.Message{}, problem.New(problem.CodeTooLarge, "reason of %d bytes", len(b.Reason))
	}
	r.mu.Lock()
	if err := r.holdsChair(s); err != nil {
		r.mu.Unlock()
		return wire.Message{}, err
	}
	req := PhaseRequest{To: b.To, Cause: interview.CauseInterviewer, Reason: b.Reason, Durable: r.durable(time.Now())}
	if len(s.judgement.Seats) > 0 {
		req.By = s.judgement.Seats[0].Participant
	}
	for _, m := range r.roster.Members {
		req.Members = append(req.Members, m.Member)
	}
	r.mu.Unlock()
	now, err := r.hub.cfg.Hearings.Ask(ctx, r.hearing, req)
	if err != nil {
		return wire.Message{}, err
	}
	r.setPhase(now)
	return wire.New(wire.TypePhaseNow, now)
}

func (r *room) raise(s *Session, b wire.Raise) error {
	if !slices.Contains(wire.Raisable, b.What) {
		return problem.New(problem.CodeMalformed, "what is raised must be one of %v", wire.Raisable)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(s); err != nil {
		return err
	}
	r.tellAll(wire.TypeRaised, wire.Raised{Member: s.member, What: b.What, At: r.now()})
	return nil
}

// legEvent notes how a leg fares. Whose leg is gone, with or without the node, is
// told so and offers anew: an admission that names no leg says it.
func (r *room) legEvent(ev media.Event) {
	r.mu.Lock()
	changed, gone := false, false
	for _, s := range r.members {
		switch {
		case s.leg == nil:
		case ev.State == media.NodeStarted, ev.State == media.LegClosed && s.leg.id == ev.Leg:
			s.leg, gone = nil, true
			if s.here() {
				s.send(wire.TypeAdmitted, wire.Admitted{Admission: s.admission})
			}
		case s.leg.id == ev.Leg:
			changed = s.leg.connected != (ev.State == media.LegConnected)
			s.leg.connected = ev.State == media.LegConnected
		}
	}
	r.mu.Unlock()
	if changed || gone {
		r.log.Info("leg", "leg", ev.Leg, "state", ev.State)
	}
	if gone {
		r.forward()
	}
}
