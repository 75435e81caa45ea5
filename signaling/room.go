package signaling

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// room is one hearing's door. Its lock is held only while state changes, never
// while a neighbour is called.
type room struct {
	hub     *Hub
	hearing interview.HearingID
	group   interview.GroupID
	view    wire.HearingView
	now     func() interview.Micros
	log     *slog.Logger
	done    chan struct{}
	once    sync.Once

	mu         sync.Mutex
	phase      wire.PhaseNow
	members    map[interview.MemberID]*Session // admitted; a broken connection stays until it is removed
	waiters    map[interview.MemberID]*Session
	seats      map[interview.SeatID]keptSeat // whom the chair has admitted
	roster     sealing.Roster
	rosterText string
	wraps      map[interview.MemberID][]string // of the present epoch, for those who reconnect
	generation int64
	heartbeat  heartbeat
	chairGone  time.Time // zero while the chair's page is here
	emptySince time.Time
	forwarding sync.Mutex // one table at a time, in order
}

// keptSeat remembers that the chair admitted a seat at a device.
type keptSeat struct {
	device interview.DeviceID
	until  time.Time
}

// heartbeat is the last durable word of any recorder.
type heartbeat struct {
	at      time.Time
	durable bool
}

func newRoom(h *Hub, hearing interview.HearingID, o Opened, phase wire.PhaseNow) *room {
	return &room{
		hub: h, hearing: hearing, group: o.Group, view: o.View, now: o.Clock, phase: phase,
		log: h.cfg.Log.With("hearing", hearing), done: make(chan struct{}),
		members: map[interview.MemberID]*Session{}, waiters: map[interview.MemberID]*Session{},
		seats: map[interview.SeatID]keptSeat{}, wraps: map[interview.MemberID][]string{},
		// Generations must grow over restarts of the door too.
		generation: time.Now().UnixMicro(), emptySince: time.Now(),
	}
}

func (r *room) close() {
	r.once.Do(func() { close(r.done) })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range slices.Concat(mapValues(r.members), mapValues(r.waiters)) {
		if s.conn != nil {
			s.conn.Close(problem.New(problem.CodeUnavailable, "the door is closing"))
		}
	}
}

// watch looks after what must happen by itself: a recorder or a chair that is
// lost pauses the hearing, an empty room is forgotten.
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
				r.close()
				return
			}
		}
	}
}

// look does one round of watch and reports whether the room is over.
func (r *room) look(now time.Time) bool {
	l := r.hub.cfg.Limits
	r.mu.Lock()
	onRecord := r.phase.Phase == interview.PhaseOnRecord
	recorderLost := onRecord && (!r.heartbeat.durable || now.Sub(r.heartbeat.at) > l.HeartbeatLost)
	chairLost := onRecord && !r.chairGone.IsZero() && now.Sub(r.chairGone) > l.ChairLost
	over := !r.emptySince.IsZero() && now.Sub(r.emptySince) > l.SeatKept
	r.mu.Unlock()
	switch {
	case recorderLost:
		r.change(PhaseRequest{To: interview.PhasePaused, Cause: interview.CauseRecorderLost, Reason: "no durable heartbeat"})
	case chairLost:
		r.change(PhaseRequest{To: interview.PhasePaused, Cause: interview.CauseInterviewerLost, Reason: "the interviewer's page is away"})
	}
	return over
}

// change asks for a transition in the system's name.
func (r *room) change(req PhaseRequest) {
	ctx, cancel := context.WithTimeout(r.hub.ctx, requestTimeout)
	defer cancel()
	now, err := r.hub.cfg.Hearings.Ask(ctx, r.hearing, req)
	if err != nil {
		r.log.Error("phase could not be changed", "to", req.To, "cause", req.Cause, "err", err)
		// The members are told all the same: nobody may believe to be on record.
		now = wire.PhaseNow{Phase: req.To, Cause: req.Cause, Since: r.now(), Reason: req.Reason}
	}
	r.setPhase(now)
}

func (r *room) setPhase(now wire.PhaseNow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = now
	r.tellAll(wire.TypePhaseNow, now)
}

// tellAll sends to every member with a connection; the lock is held.
func (r *room) tellAll(t wire.Type, body any) {
	for _, s := range r.members {
		if s.conn != nil {
			s.send(t, body)
		}
	}
}

// chairSession gives the admitted chair, or nil; the lock is held.
func (r *room) chairSession() *Session {
	for _, s := range r.members {
		if s.state == chair {
			return s
		}
	}
	return nil
}

// enter puts a judged session into the room: admitted at once (the chair, a
// recorder, who returns, a seat admitted before), or to the waiting room.
func (r *room) enter(ctx context.Context, s *Session) error {
	r.mu.Lock()
	if len(r.members)+len(r.waiters) >= r.hub.cfg.Limits.MaxMembers {
		r.mu.Unlock()
		return problem.New(problem.CodeUnavailable, "the room is full")
	}
	returning := s.join.Admission != ""
	direct := returning || s.judgement.Chair || s.peer.Recorder || r.seatsKept(s)
	if !direct {
		s.room, s.state, s.since = r, waiting, r.now()
		r.waiters[s.member] = s
		if c := r.chairSession(); c != nil {
			c.send(wire.TypeKnock, s.knock())
		}
		r.emptySince = time.Time{}
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	admission := s.join.Admission
	if !returning {
		var err error
		if admission, err = r.hub.cfg.Admission.Countersign(ctx, s.join, s.judgement); err != nil {
			return err
		}
	}
	r.seat(s, admission)
	return nil
}

// seatsKept reports whether the chair has admitted exactly these seats at this
// device a short while ago: then a reload needs no second knock. The lock is held.
func (r *room) seatsKept(s *Session) bool {
	for _, v := range s.judgement.Seats {
		kept, is := r.seats[v.Seat]
		if !is || kept.device != s.peer.Device || time.Now().After(kept.until) {
			return false
		}
	}
	return len(s.judgement.Seats) > 0
}

// seat makes a session a member: older pages of the same seats are superseded,
// everyone gets the new list, and the member what it needs to catch up.
func (r *room) seat(s *Session, admission string) {
	r.hub.cfg.Journal.Keep(r.hearing, "statement", s.join.Statement)
	r.hub.cfg.Journal.Keep(r.hearing, "admission", admission)
	r.mu.Lock()
	var closed []*leg
	for m, other := range r.members {
		if other.peer.Device == s.peer.Device && other.peer.Recorder == s.peer.Recorder && other != s {
			if m == s.member { // the same page, after its connection broke
				s.leg = other.leg
			} else if other.leg != nil {
				closed = append(closed, other.leg)
			}
			if other.conn != nil {
				if m != s.member {
					other.send(wire.TypeSuperseded, nil)
				}
				other.conn.Close(problem.New(problem.CodeSeatTaken, "superseded by %s", s.member))
			}
			delete(r.members, m)
		}
	}
	delete(r.waiters, s.member)
	s.room, s.admission = r, admission
	s.state = seated
	switch {
	case s.peer.Recorder:
		s.state = recorder
	case s.judgement.Chair:
		s.state = chair
		r.chairGone = time.Time{}
	}
	r.members[s.member] = s
	r.emptySince = time.Time{}
	for _, v := range s.judgement.Seats {
		r.seats[v.Seat] = keptSeat{device: s.peer.Device, until: time.Now().Add(r.hub.cfg.Limits.SeatKept)}
	}
	s.send(wire.TypeAdmitted, wire.Admitted{Admission: admission})
	r.tellMembers()
	if r.rosterText != "" {
		s.send(wire.TypeRoster, wire.Roster{Roster: r.rosterText})
	}
	if w := r.wraps[s.member]; len(w) > 0 {
		s.send(wire.TypeWraps, wire.Wraps{Wraps: w})
	}
	if s.state == chair {
		for _, w := range r.waiters {
			s.send(wire.TypeKnock, w.knock())
		}
	}
	r.mu.Unlock()
	for _, l := range closed {
		r.closeLeg(l)
	}
	r.forward()
}

func (s *Session) knock() wire.Knock {
	return wire.Knock{Member: s.member, Device: s.peer.Device, Label: s.judgement.Label, Seats: s.judgement.Seats, Checks: s.judgement.Checks, Rule: s.judgement.Rule, Waiting: s.since}
}

// tellMembers sends the list of members; the lock is held.
func (r *room) tellMembers() {
	list := wire.Members{}
	for m, s := range r.members {
		kind := sealing.KindPage
		if s.peer.Recorder {
			kind = sealing.KindRecorder
		}
		list.Members = append(list.Members, wire.MemberView{Member: m, Kind: kind, Statement: s.join.Statement, Admission: s.admission, Seats: s.judgement.Seats, Connected: s.conn != nil})
	}
	slices.SortFunc(list.Members, func(a, b wire.MemberView) int { return strings.Compare(a.Member.String(), b.Member.String()) })
	r.tellAll(wire.TypeMembers, list)
}

func (r *room) welcome(s *Session) wire.Welcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return wire.Welcome{Member: s.member, Seats: s.judgement.Seats, Phase: r.phase, Clock: r.clockNow(0), Group: r.group, Chair: s.judgement.Chair, Subject: r.view}
}

func (r *room) clock(sent int64) wire.Clock { return r.clockNow(sent) }

func (r *room) clockNow(sent int64) wire.Clock {
	return wire.Clock{Now: r.now(), Wall: time.Now().UnixMicro(), Sent: sent}
}

// admit lets a waiting member in, for exactly the persons the chair saw (D1).
func (r *room) admit(ctx context.Context, b wire.Admit) error {
	r.mu.Lock()
	s := r.waiters[b.Member]
	r.mu.Unlock()
	switch {
	case s == nil:
		return problem.New(problem.CodeNotFound, "nobody waits as %s", b.Member)
	case !s.sameSeats(b.Seats):
		return problem.New(problem.CodeConflict, "the persons at %s are others than were seen", b.Member)
	}
	admission, err := r.hub.cfg.Admission.Countersign(ctx, s.join, s.judgement)
	if err != nil {
		return err
	}
	r.mu.Lock()
	gone := r.waiters[b.Member] != s
	r.mu.Unlock()
	if gone {
		return problem.New(problem.CodeNotFound, "%s left while being admitted", b.Member)
	}
	r.seat(s, admission)
	return nil
}

func (r *room) decline(b wire.Decline) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.waiters[b.Member]
	if s == nil {
		return problem.New(problem.CodeNotFound, "nobody waits as %s", b.Member)
	}
	delete(r.waiters, b.Member)
	s.state, s.room = stranger, nil
	s.send(wire.TypeRefused, problem.Of(problem.Refused(problem.CodeDeclined, "chair", "%s", b.Reason)))
	return nil
}

// remove takes a member out at the chair's word.
func (r *room) remove(b wire.Remove) error {
	r.mu.Lock()
	s := r.members[b.Member]
	if s == nil || s.state == chair {
		r.mu.Unlock()
		return problem.New(problem.CodeNotFound, "no member %s that could be removed", b.Member)
	}
	r.drop(s, problem.Refused(problem.CodeDeclined, "chair", "%s", b.Reason))
	l := s.leg
	r.mu.Unlock()
	r.closeLeg(l)
	r.forward()
	return nil
}

// drop ends a membership and its kept seats; the lock is held.
func (r *room) drop(s *Session, why error) {
	delete(r.members, s.member)
	delete(r.wraps, s.member)
	for _, v := range s.judgement.Seats {
		delete(r.seats, v.Seat)
	}
	if s.conn != nil {
		s.send(wire.TypeRefused, problem.Of(why))
		s.conn.Close(why)
	}
	r.tellMembers()
}

func (r *room) revoke(device interview.DeviceID, why error) {
	r.mu.Lock()
	var legs []*leg
	for _, list := range []map[interview.MemberID]*Session{r.members, r.waiters} {
		for m, s := range list {
			if s.peer.Device == device {
				delete(r.waiters, m)
				legs = append(legs, s.leg)
				r.drop(s, why)
			}
		}
	}
	r.mu.Unlock()
	for _, l := range legs {
		r.closeLeg(l)
	}
	r.forward()
}

// left is called when a connection ends (the seat is kept) or a member says
// goodbye (it is not).
func (r *room) left(s *Session, goodbye bool) {
	r.mu.Lock()
	var l *leg
	switch {
	case r.waiters[s.member] == s:
		delete(r.waiters, s.member)
		if c := r.chairSession(); c != nil && c.conn != nil {
			c.send(wire.TypeKnockGone, wire.KnockGone{Member: s.member})
		}
	case r.members[s.member] == s:
		s.conn = keepOr(s.conn, goodbye)
		if s.state == chair {
			r.chairGone = time.Now()
		}
		if goodbye || s.peer.Recorder {
			delete(r.members, s.member)
			l = s.leg
		}
		if s.peer.Recorder {
			r.heartbeat = heartbeat{}
		}
		r.tellMembers()
	}
	if !slices.ContainsFunc(mapValues(r.members), func(m *Session) bool { return m.conn != nil && !m.peer.Recorder }) && len(r.waiters) == 0 {
		r.emptySince = time.Now()
	}
	r.mu.Unlock()
	if l != nil {
		r.closeLeg(l)
		r.forward()
	}
}

// keepOr forgets a broken connection; after a goodbye the answer still has to go out.
func keepOr(c Conn, keep bool) Conn {
	if keep {
		return c
	}
	return nil
}

func mapValues(m map[interview.MemberID]*Session) []*Session {
	out := make([]*Session, 0, len(m))
	for _, s := range m {
		out = append(out, s)
	}
	return out
}

// takeRoster hands the chair's roster on and forwards media by it. Whether it
// holds is for the pages to judge: they verify its signature.
func (r *room) takeRoster(_ context.Context, s *Session, text string) error {
	var roster sealing.Roster
	if err := jws.Peek(text, sealing.TypeRoster, &roster); err != nil {
		return problem.New(problem.CodeRosterInvalid, "%w", err)
	}
	if len(roster.Members) > sealing.MaxMembers || roster.Chair != s.member || roster.Group != r.group || roster.Hearing != r.hearing {
		return problem.New(problem.CodeRosterInvalid, "roster is not this room's or not its chair's")
	}
	r.mu.Lock()
	if roster.Epoch <= r.roster.Epoch {
		r.mu.Unlock()
		return problem.New(problem.CodeRosterInvalid, "epoch %d is not newer than %d", roster.Epoch, r.roster.Epoch)
	}
	r.roster, r.rosterText = roster, text
	r.wraps = map[interview.MemberID][]string{}
	r.tellAll(wire.TypeRoster, wire.Roster{Roster: text})
	r.mu.Unlock()
	r.hub.cfg.Journal.Keep(r.hearing, "roster", text)
	r.forward()
	return nil
}

// takeWraps hands each wrap to its recipient.
func (r *room) takeWraps(s *Session, wraps []string) error {
	if len(wraps) > sealing.MaxMembers*sealing.MaxTracks {
		return problem.New(problem.CodeTooLarge, "%d wraps", len(wraps))
	}
	to := map[interview.MemberID][]string{}
	epoch := int64(-1)
	for _, text := range wraps {
		var w sealing.Wrap
		if err := jws.Peek(text, sealing.TypeWrap, &w); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		if w.Sender != s.member || w.Group != r.group || (epoch >= 0 && w.Epoch != epoch) {
			return problem.New(problem.CodeForbidden, "wrap in another member's name, group or epoch")
		}
		epoch = w.Epoch
		to[w.Recipient] = append(to[w.Recipient], text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch != r.roster.Epoch {
		return nil // of an epoch that has passed: nobody could use it
	}
	for m, list := range to {
		if len(r.wraps[m])+len(list) > sealing.MaxMembers*sealing.MaxTracks {
			return problem.New(problem.CodeTooLarge, "too many wraps for one member in one epoch")
		}
		r.wraps[m] = append(r.wraps[m], list...)
		if other := r.members[m]; other != nil && other.conn != nil {
			other.send(wire.TypeWraps, wire.Wraps{Wraps: list})
		}
	}
	return nil
}

// takeOrigins hands origin lists to the recorders.
func (r *room) takeOrigins(s *Session, lists []string) error {
	for _, text := range lists {
		var o sealing.Origin
		if err := jws.Peek(text, sealing.TypeOrigin, &o); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		if o.Member != s.member {
			return problem.New(problem.CodeForbidden, "origin list in another member's name")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.members {
		if other.state == recorder && other.conn != nil {
			other.send(wire.TypeOrigin, wire.Origin{Lists: lists})
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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heartbeat = heartbeat{at: time.Now(), durable: h.State == interview.RecorderRecording && r.coversPublishers(h)}
	r.tellAll(wire.TypeHeartbeat, wire.Heartbeat{Heartbeat: text})
	return nil
}

// coversPublishers reports whether the recorder has durable data of every
// track that a member on the roster publishes; the lock is held.
func (r *room) coversPublishers(h sealing.Heartbeat) bool {
	have := map[interview.TrackID]bool{}
	for _, t := range h.Tracks {
		have[t.Track] = true
	}
	for _, m := range r.roster.Members {
		s := r.members[m.Member]
		if s == nil || s.leg == nil || !s.leg.connected {
			continue
		}
		for _, t := range s.leg.tracks {
			if !have[t.Track] {
				return false
			}
		}
	}
	return true
}

// askPhase asks the hearing for a transition at the chair's word.
func (r *room) askPhase(ctx context.Context, s *Session, b wire.AskPhase) (wire.Message, error) {
	if len(b.Reason) > 2000 {
		return wire.Message{}, problem.New(problem.CodeTooLarge, "reason of %d bytes", len(b.Reason))
	}
	r.mu.Lock()
	req := PhaseRequest{To: b.To, Cause: interview.CauseInterviewer, Reason: b.Reason, Durable: r.heartbeat.durable && time.Since(r.heartbeat.at) <= r.hub.cfg.Limits.HeartbeatLost}
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
	if b.What != "break" && b.What != "speak" {
		return problem.New(problem.CodeMalformed, "what is raised must be break or speak")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tellAll(wire.TypeRaised, wire.Raised{Member: s.member, What: b.What, At: r.now()})
	return nil
}

func (r *room) legEvent(ev media.Event) {
	r.mu.Lock()
	changed := false
	for _, s := range r.members {
		if s.leg != nil && s.leg.id == ev.Leg {
			changed = s.leg.connected != (ev.State == media.LegConnected)
			s.leg.connected = ev.State == media.LegConnected
		}
	}
	r.mu.Unlock()
	if changed {
		r.log.Info("leg", "leg", ev.Leg, "state", ev.State)
	}
}
