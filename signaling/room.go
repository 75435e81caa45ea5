package signaling

import (
	"context"
	"errors"
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
// while a neighbour is called; the hub's lock may be taken under it, not the
// other way round.
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
	over       bool // forgotten: nobody may enter any more
	phase      wire.PhaseNow
	owed       *debt                           // a pause that the hearing has not taken down yet
	members    map[interview.MemberID]*Session // admitted; a broken connection stays for a while
	waiters    map[interview.MemberID]*Session // at most one for each device
	seats      map[interview.SeatID]keptSeat   // whom the chair has admitted
	out        map[interview.MemberID]struct{} // taken out: their admissions bring nobody back
	rosters    chain                           // the newest, and those before it that a member may have missed
	roster     sealing.Roster                  // the newest
	wraps      map[interview.MemberID]senders  // by recipient, of the present epoch, for those who reconnect
	generation int64
	chairGone  time.Time // zero while the chair's page is here
	emptySince time.Time
	tableOwed  time.Time  // when a forwarding table was refused; zero while all is well
	wanted     int64      // changes that a table has to show
	shown      int64      // changes that the last table showed
	forwarding sync.Mutex // one table at a time, in order
}

// keptSeat remembers that the chair admitted a seat at a device.
type keptSeat struct {
	device interview.DeviceID
	until  time.Time // zero while its member is connected
}

// debt is a transition that could not be written down when it was due.
type debt struct {
	request PhaseRequest
	at      time.Time
}

// maxOut bounds the members remembered as taken out. Each of them was admitted
// by the chair and taken out by the chair or a revocation.
const maxOut = 4096

// debtEvery is how often what is owed to a neighbour is tried again.
const debtEvery = time.Second

func newRoom(h *Hub, hearing interview.HearingID, o Opened, phase wire.PhaseNow) *room {
	return &room{
		hub: h, hearing: hearing, group: o.Group, view: o.View, now: o.Clock, phase: phase,
		log: h.cfg.Log.With("hearing", hearing), done: make(chan struct{}),
		members: map[interview.MemberID]*Session{}, waiters: map[interview.MemberID]*Session{},
		seats: map[interview.SeatID]keptSeat{}, out: map[interview.MemberID]struct{}{}, wraps: map[interview.MemberID]senders{},
		// Generations must grow over restarts of the door too.
		generation: time.Now().UnixMicro(), emptySince: time.Now(),
	}
}

// close ends the room for everybody in it, media included.
func (r *room) close(why error) {
	r.once.Do(func() { close(r.done) })
	r.mu.Lock()
	r.over = true
	var legs []*leg
	for _, s := range slices.Concat(mapValues(r.members), mapValues(r.waiters)) {
		legs = append(legs, s.leg)
		s.state, s.leg = gone, nil
		s.conn.Close(why)
	}
	r.members, r.waiters = map[interview.MemberID]*Session{}, map[interview.MemberID]*Session{}
	r.mu.Unlock()
	r.forward()
	r.closeLegs(legs)
}

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
	again := len(legs) > 0 || !r.tableOwed.IsZero() && now.Sub(r.tableOwed) > debtEvery
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
// each other the later one stands.
func (r *room) setPhase(now wire.PhaseNow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Since < r.phase.Since {
		return
	}
	r.phase = now
	r.tellAll(wire.TypePhaseNow, now)
}

// tellAll sends to every member with a connection; the lock is held.
func (r *room) tellAll(t wire.Type, body any) {
	m, err := wire.New(t, body)
	if err != nil {
		r.log.Error("message could not be written", "type", t, "err", err)
		return
	}
	for _, s := range r.members {
		if s.here() {
			s.deliver(m)
		}
	}
}

// tellChair sends to the chair, if it is here; the lock is held.
func (r *room) tellChair(t wire.Type, body any) {
	if c := r.chairSession(); c != nil && c.here() {
		c.send(t, body)
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
	s.send(wire.TypeAdmitted, wire.Admitted{Admission: admission})
	r.catchUp(s)
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

func (s *Session) knock() wire.Knock {
	return wire.Knock{Member: s.member, Device: s.peer.Device, Label: s.judgement.Label, Seats: s.judgement.Seats, Checks: s.judgement.Checks, Rule: s.judgement.Rule, Waiting: s.since}
}

// tellMembers sends the list of members; the lock is held.
func (r *room) tellMembers() {
	list := wire.Members{Members: make([]wire.MemberView, 0, len(r.members))}
	for _, s := range r.members {
		list.Members = append(list.Members, s.shown())
	}
	sortViews(list.Members)
	r.tellAll(wire.TypeMembers, list)
}

// shown is how everyone sees a member.
func (s *Session) shown() wire.MemberView {
	kind := sealing.KindPage
	if s.peer.Recorder {
		kind = sealing.KindRecorder
	}
	return wire.MemberView{Member: s.member, Kind: kind, Statement: s.join.Statement, Admission: s.admission, Seats: s.judgement.Seats, Connected: s.here()}
}

func sortViews(list []wire.MemberView) {
	slices.SortFunc(list, func(a, b wire.MemberView) int { return strings.Compare(a.Member.String(), b.Member.String()) })
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

// holds reports whether a session is a member now: it may have been taken out
// while its message was on the way. The lock is held.
func (r *room) holds(s *Session) error {
	if r.members[s.member] != s || s.state == gone {
		return problem.New(problem.CodeNotReady, "%s is no member any more", s.member)
	}
	return nil
}

// holdsChair is holds for what only the chair may do; the lock is held.
func (r *room) holdsChair(s *Session) error {
	if err := r.holds(s); err != nil {
		return err
	}
	if s.state != chair {
		return problem.New(problem.CodeForbidden, "%s does not chair any more", s.member)
	}
	return nil
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

// left is called when a connection ends (the seat is kept) or a member says
// goodbye (it is not).
func (r *room) left(s *Session, goodbye bool) {
	r.mu.Lock()
	var l *leg
	removed := false
	switch {
	case r.waiters[s.member] == s:
		delete(r.waiters, s.member)
		r.tellChair(wire.TypeKnockGone, wire.KnockGone{Member: s.member})
		s.state = gone
	case r.members[s.member] == s:
		now := time.Now()
		if !goodbye {
			s.brokeAt = now
		}
		for _, v := range s.judgement.Seats {
			if goodbye {
				delete(r.seats, v.Seat)
			} else {
				r.seats[v.Seat] = keptSeat{device: s.peer.Device, until: now.Add(r.hub.cfg.Limits.SeatKept)}
			}
		}
		if removed = goodbye || s.peer.Recorder; removed {
			delete(r.members, s.member)
			delete(r.wraps, s.member)
			s.state = gone
			l, s.leg = s.leg, nil
		}
		r.tellMembers()
	}
	r.noteEmpty()
	r.mu.Unlock()
	if removed {
		r.forward()
		r.closeLeg(l)
	}
}

// noteEmpty begins to count the time that nobody is here; the lock is held.
func (r *room) noteEmpty() {
	someone := len(r.waiters) > 0
	for _, s := range r.members {
		someone = someone || s.here() && !s.peer.Recorder
	}
	switch {
	case someone:
		r.emptySince = time.Time{}
	case r.emptySince.IsZero():
		r.emptySince = time.Now()
	}
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
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.holds(s); err != nil {
		return err
	}
	s.beatAt = time.Now()
	switch {
	case h.State == interview.RecorderFailed || h.State == interview.RecorderStopped:
		s.durableAt = time.Time{}
	case h.State == interview.RecorderRecording && r.onRoster(s.member) && r.coversPublishers(h):
		s.durableAt = s.beatAt
	}
	r.tellAll(wire.TypeHeartbeat, wire.Heartbeat{Heartbeat: text})
	return nil
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
