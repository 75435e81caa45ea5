package signaling

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/tracing"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// requestTimeout bounds what one message may make the door do.
const requestTimeout = 10 * time.Second

// Session is one connection's conversation. Handle and Closed are called by the
// connection's one reader, which alone sets room; the rest of a session is
// guarded by its room's lock once it has one.
type Session struct {
	hub   *Hub
	peer  Peer
	conn  Conn
	limit *rate.Limiter
	bytes *rate.Limiter
	rare  *rate.Limiter // of the device, shared by its sessions

	once  sync.Once
	ended bool  // Closed was called
	room  *room // nil until joined, then the same to the end
	state who

	member    interview.MemberID
	join      wire.Join
	judgement Judgement
	statement sealing.Statement
	admission string
	since     interview.Micros
	leg       *leg
	wishes    map[interview.TrackID]wire.SlotWish
	advice    map[interview.TrackID]media.Advice // told to the member about its tracks
	opening   interview.LegID                    // that the node is asked for
	early     map[interview.TrackID]media.Advice // what it said of that one before it was opened here

	revocations int64     // of the device when the join was judged
	brokeAt     time.Time // when the connection of a member ended; zero while it is here
	beatAt      time.Time // recorder: last heartbeat, or when it came
	durableAt   time.Time // recorder: last heartbeat that showed everything durable
}

// Handle takes one message and answers it. It returns an error only when the
// connection must end.
func (s *Session) Handle(ctx context.Context, text []byte) error {
	if s.ended {
		return problem.New(problem.CodeNotReady, "message after the end of the connection")
	}
	now := time.Now()
	if l := s.hub.cfg.Limits; !s.limit.AllowN(now, 1) || !s.bytes.AllowN(now, len(text)) {
		return problem.New(problem.CodeTooFast, "more than %d messages or %d bytes a second", l.MessagesPerSecond, l.BytesPerSecond)
	}
	m, err := wire.Parse(text)
	if err != nil {
		return s.answerProblem(wire.Message{}, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := may(m.Type, s.currentState()); err != nil {
		return s.answerProblem(m, err)
	}
	if rare[m.Type] && !s.rare.Allow() {
		return s.answerProblem(m, problem.New(problem.CodeTooFast, "message %q", m.Type))
	}
	reply, err := s.dispatch(ctx, m)
	if err != nil {
		return s.answerProblem(m, err)
	}
	reply.Re = m.ID
	return s.conn.Send(reply)
}

func (s *Session) currentState() who {
	if s.room == nil {
		return s.state
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	return s.state
}

// answerProblem tells the member what went wrong. A refused join is a message
// of its own kind, since the page then shows the way still open.
func (s *Session) answerProblem(m wire.Message, err error) error {
	t := wire.TypeProblem
	if m.Type == wire.TypeJoin {
		t = wire.TypeRefused
	}
	doc := problem.Of(err)
	if doc.Code == problem.CodeInternal {
		s.hub.cfg.Log.Error("message failed", "type", m.Type, "err", err)
	}
	reply, err := wire.New(t, doc)
	if err != nil {
		return err
	}
	reply.Re = m.ID
	return s.conn.Send(reply)
}

func (s *Session) dispatch(ctx context.Context, m wire.Message) (wire.Message, error) {
	switch m.Type {
	case wire.TypeJoin:
		return with(m, func(b wire.Join) (wire.Message, error) { return s.handleJoin(ctx, b) })
	case wire.TypeAdmit:
		return with(m, func(b wire.Admit) (wire.Message, error) { return ok, s.room.admit(ctx, s, b) })
	case wire.TypeDecline:
		return with(m, func(b wire.Decline) (wire.Message, error) { return ok, s.room.decline(s, b) })
	case wire.TypeRemove:
		return with(m, func(b wire.Remove) (wire.Message, error) { return ok, s.room.remove(s, b) })
	case wire.TypeRoster:
		return with(m, func(b wire.Roster) (wire.Message, error) { return ok, s.room.takeRoster(s, b.Roster) })
	case wire.TypeWraps:
		return with(m, func(b wire.Wraps) (wire.Message, error) { return ok, s.room.takeWraps(s, b.Wraps) })
	case wire.TypeOrigin:
		return with(m, func(b wire.Origin) (wire.Message, error) { return ok, s.room.takeOrigins(s, b.Lists) })
	case wire.TypeOffer:
		return with(m, func(b wire.Offer) (out wire.Message, err error) {
			ctx, span := tracing.Begin(tracing.Of(ctx, s.member.String()), "offer")
			defer func() { tracing.End(span, err) }()
			return s.room.openLeg(ctx, s, b)
		})
	case wire.TypeWish:
		return with(m, func(b wire.Wish) (wire.Message, error) { return ok, s.room.takeWish(s, b) })
	case wire.TypeShare:
		return with(m, func(b wire.Share) (wire.Message, error) { return ok, s.room.takeShare(s, b) })
	case wire.TypePhase:
		return with(m, func(b wire.AskPhase) (wire.Message, error) { return s.room.askPhase(ctx, s, b) })
	case wire.TypeRaise:
		return with(m, func(b wire.Raise) (wire.Message, error) { return ok, s.room.raise(s, b) })
	case wire.TypeHeartbeat:
		return with(m, func(b wire.Heartbeat) (wire.Message, error) { return ok, s.room.takeHeartbeat(s, b.Heartbeat) })
	case wire.TypeLeave:
		return with(m, func(wire.Leave) (wire.Message, error) { s.room.left(s, true); return ok, nil })
	case wire.TypeSync:
		return with(m, func(b wire.Sync) (wire.Message, error) { return wire.New(wire.TypeClock, s.room.clock(b.Sent)) })
	default:
		return wire.Message{}, problem.New(problem.CodeNoRoute, "message %q", m.Type)
	}
}

var ok = wire.Message{Type: wire.TypeOK}

// with reads the body that a message must have and hands it on.
func with[B any](m wire.Message, f func(B) (wire.Message, error)) (wire.Message, error) {
	var b B
	if err := m.Read(&b); err != nil {
		return wire.Message{}, err
	}
	return f(b)
}

// handleJoin judges who stands at the door and lets them in, or wait.
func (s *Session) handleJoin(ctx context.Context, join wire.Join) (_ wire.Message, err error) {
	var st sealing.Statement
	if err := jws.Peek(join.Statement, sealing.TypeStatement, &st); err != nil {
		return wire.Message{}, problem.New(problem.CodeStatementInvalid, "%w", err)
	}
	if st.Hearing != join.Hearing || st.Member.IsZero() || (st.Kind == sealing.KindRecorder) != s.peer.Recorder {
		return wire.Message{}, problem.New(problem.CodeStatementInvalid, "statement is for another hearing or another kind of member")
	}
	ctx, span := tracing.Begin(tracing.Of(ctx, st.Member.String()), "join", "hearing", st.Hearing.String(), "member", st.Member.String())
	defer func() { tracing.End(span, err) }()
	revocations := s.hub.revocations(s.peer)
	judge := s.hub.cfg.Admission.Judge
	if join.Admission != "" {
		judge = s.hub.cfg.Admission.Returning
	}
	j, err := judge(ctx, s.peer, join)
	s.hub.cfg.Audit.Joined(join.Hearing, s.peer, j.Rule, err)
	if err != nil {
		return wire.Message{}, err
	}
	r, err := s.hub.room(ctx, join.Hearing)
	if err != nil {
		return wire.Message{}, err
	}
	s.member, s.join, s.judgement, s.statement, s.revocations = st.Member, join, j, st, revocations
	s.room = r
	if err := r.enter(ctx, s); err != nil {
		s.room = nil // not in the room: nobody else has seen this session
		return wire.Message{}, err
	}
	return wire.New(wire.TypeWelcome, r.welcome(s))
}

// Closed tells the room that the connection has ended. The member stays on the
// roster until the chair or the time says otherwise.
func (s *Session) Closed() {
	s.once.Do(func() {
		s.ended = true
		if s.room != nil {
			s.room.left(s, false)
		}
	})
}

// sameSeats reports whether a list names exactly the judged seats.
func (s *Session) sameSeats(seats []interview.SeatID) bool {
	have := make([]interview.SeatID, len(s.judgement.Seats))
	for i, v := range s.judgement.Seats {
		have[i] = v.Seat
	}
	return sameSet(have, seats)
}

func sameSet(a, b []interview.SeatID) bool {
	byText := func(x, y interview.SeatID) int { return strings.Compare(x.String(), y.String()) }
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, byText)
	slices.SortFunc(b, byText)
	return slices.Equal(a, b)
}

// here reports whether the session has its connection; the room's lock is held.
func (s *Session) here() bool { return s.brokeAt.IsZero() && s.state != gone }

// send queues a message; a socket that takes none any more is cut.
func (s *Session) send(t wire.Type, body any) {
	m, err := wire.New(t, body)
	if err != nil {
		s.hub.cfg.Log.Error("message could not be written", "type", t, "err", err)
		return
	}
	s.deliver(m)
}

func (s *Session) deliver(m wire.Message) {
	if err := s.conn.Send(m); err != nil {
		s.conn.Close(errors.Join(problem.New(problem.CodeStalled, "member %s", s.member), err))
	}
}

// end tells a session why it is over and closes its connection.
func (s *Session) end(t wire.Type, body any, why error) {
	s.state = gone
	if s.brokeAt.IsZero() {
		s.send(t, body)
		s.conn.Close(why)
	}
}
