package signaling

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/problem"
	"kuule/interview"
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
	wished     bool       // a wish has come since the last table
	wishedAt   time.Time  // when a table was last made for wishes
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

// maxOut bounds the members remembered as taken out. Each of them was admitted
// by the chair and taken out by the chair or a revocation.
const maxOut = 4096

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
	return wire.Welcome{Member: s.member, Seats: s.judgement.Seats, Phase: r.phase, Clock: r.clock(0), Group: r.group, Chair: s.judgement.Chair, Subject: r.view}
}

func (r *room) clock(sent int64) wire.Clock {
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

func mapValues[K comparable, V any](m map[K]V) []V {
	out := make([]V, 0, len(m))
	for _, s := range m {
		out = append(out, s)
	}
	return out
}
