package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
)

// Conn carries the messages of a room. Receive's channel is closed when the
// connection has ended.
type Conn interface {
	Send(wire.Message) error
	Receive() <-chan wire.Message
	Close()
}

// Prove has the device sign a statement and brings what shows who sits there.
type Prove func(ctx context.Context, st sealing.Statement) (statement string, proof wire.Proof, err error)

// Config is what a member is made from.
type Config struct {
	Hearing interview.HearingID
	Place   sealing.Place // Kind, Device, Seats; the rest is filled in
	Trust   *sealing.Trust
	Prove   Prove
	Publish []interview.Source
	Log     *slog.Logger

	// Keep, when set, takes every sender key (a recorder journals it).
	Keep func(w sealing.Wrap, key []byte) error
	// Own, when set, is told of what the member makes itself (a room terminal's
	// back-up).
	Own Own
	// KeyEvery, when set, asks for a key frame of every picture that brought none
	// for so long (a recorder's reader begins there).
	KeyEvery time.Duration
	// On holds what the member's owner wants to be told.
	On Events
}

// Own takes what a member sends, as it is sealed. None of its methods may block or
// call the member; what it is given belongs to the member.
type Own interface {
	Key(w sealing.Wrap, key []byte) // a new sender key of its own
	Frame(track interview.TrackID, capture interview.Micros, sealed []byte)
	List(text string) // an origin list that it signed
}

// Events are called from the member's own goroutines, one message after the
// other; Frame from one goroutine per slot, at the same time as others. Any may
// be nil. None may block for long or call Close.
type Events struct {
	Frame     func(Frame)                  // a sealed frame came
	KeyFrame  func(interview.TrackID)      // a receiver needs a key frame
	Connected func(bool)                   // the media connection is up, or not
	Knock     func(wire.Knock)             // chair: somebody waits
	Members   func([]wire.MemberView)      // everyone admitted, after checking
	Roster    func(sealing.Roster, string) // a roster came into force
	Wrap      func(sealing.Wrap)           // a sender key came
	Phase     func(wire.PhaseNow)
	Heartbeat func(sealing.Heartbeat)
	Origin    func(lists []string) // recorder: origin lists, not yet verified
	Raised    func(wire.Raised)
	Hint      func(wire.SendHint) // how a track is to be sent from now on
	Ended     func(error)         // the connection is over; a *problem.Error when refused
}

// Member is one member in a room. Its methods are safe for concurrent use.
type Member struct {
	cfg  Config
	conn Conn
	self *sealing.Identity
	peer *Peer
	log  *slog.Logger

	statement string
	admission string
	group     *sealing.Group
	tracks    []Publish
	isChair   bool
	voices    map[interview.TrackID]*voice // own; the lock is for what they hold

	mu       sync.Mutex
	nextID   int64
	pending  map[int64]chan wire.Message
	views    []wire.MemberView
	recorder bool // chair: recorders belong on the roster now
	offset   time.Duration
	phase    wire.PhaseNow
	welcome  wire.Welcome

	admitted chan struct{}
	open     bool          // the media connection was asked for
	broken   chan struct{} // the media connection wants to be looked at
	renew    bool          // and is not known to the media node any more
	tasks    sync.WaitGroup
	ctx      context.Context
	stop     context.CancelCauseFunc
}

// originEvery is how often origin lists are signed.
const originEvery = time.Second

// Join enters a room over conn and returns once the member waits to be admitted,
// or is in. The error of a refusal is a *problem.Error. Close the member to
// leave.
func Join(ctx context.Context, conn Conn, cfg Config) (*Member, error) {
	m := &Member{cfg: cfg, conn: conn, log: cfg.Log, pending: map[int64]chan wire.Message{}, voices: map[interview.TrackID]*voice{}, admitted: make(chan struct{}), broken: make(chan struct{}, 1)}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.ctx, m.stop = context.WithCancelCause(context.Background())
	var err error
	if m.self, err = sealing.NewIdentity(); err != nil {
		return nil, err
	}
	for i, s := range cfg.Publish {
		t := Publish{Track: interview.NewTrackID(), Source: s, Number: i}
		if s == interview.SourceAudio {
			m.voices[t.Track] = &voice{}
		}
		m.tracks = append(m.tracks, t)
	}
	if m.peer, err = NewPeer(m.tracks, m.frame, m.keyFrame); err != nil {
		return nil, err
	}
	m.peer.KeyEvery(cfg.KeyEvery)
	m.peer.OnState(func(s webrtc.PeerConnectionState) {
		m.look()
		if cfg.On.Connected != nil && (s == webrtc.PeerConnectionStateConnected || s == webrtc.PeerConnectionStateDisconnected || s == webrtc.PeerConnectionStateFailed) {
			cfg.On.Connected(s == webrtc.PeerConnectionStateConnected)
		}
	})
	if err := m.enter(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// enter states who this is, asks to be let in and starts to listen.
func (m *Member) enter(ctx context.Context) error {
	place := m.cfg.Place
	place.Hearing, place.DTLS = m.cfg.Hearing, m.peer.Fingerprint()
	if place.Life == 0 {
		place.Life = sealing.MaxStatementHours * time.Hour
	}
	join := wire.Join{Hearing: m.cfg.Hearing}
	var err error
	join.Statement, err = m.self.Statement(place, time.Now(), func(st sealing.Statement) (string, error) {
		text, proof, err := m.cfg.Prove(ctx, st)
		join.Proof = proof
		return text, err
	})
	if err != nil {
		return fmt.Errorf("join %s: %w", m.cfg.Hearing, err)
	}
	m.statement = join.Statement
	msg, err := wire.New(wire.TypeJoin, join)
	if err != nil {
		return err
	}
	msg.ID = 1
	m.nextID = 1
	if err := m.conn.Send(msg); err != nil {
		return fmt.Errorf("join %s: %w", m.cfg.Hearing, err)
	}
	// An admission may overtake the welcome: what comes before it is kept.
	var early []wire.Message
	for m.group == nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("join %s: %w", m.cfg.Hearing, ctx.Err())
		case in, open := <-m.conn.Receive():
			switch {
			case !open:
				return problem.New(problem.CodeUnavailable, "join %s: the connection ended", m.cfg.Hearing)
			case in.Re == 1 && in.Type == wire.TypeWelcome:
				if err := m.welcomed(in); err != nil {
					return err
				}
			case in.Re == 1:
				return asProblem(in)
			default:
				early = append(early, in)
			}
		}
	}
	m.tasks.Go(func() { m.listen(early) })
	return nil
}

func (m *Member) welcomed(in wire.Message) error {
	if err := in.Read(&m.welcome); err != nil {
		return err
	}
	m.phase = m.welcome.Phase
	m.syncClock(m.welcome.Clock)
	c := sealing.Config{
		Trust: m.cfg.Trust, Self: m.self, Hearing: m.cfg.Hearing, Group: m.welcome.Group,
		Rules: sealing.HearingRules(), Keep: m.cfg.Keep,
	}
	if m.cfg.Own != nil {
		c.Made = m.cfg.Own.Key
	}
	g, err := sealing.NewGroup(c)
	if err != nil {
		return err
	}
	for _, t := range m.tracks {
		if err := g.AddTrack(t.Track, t.Source, t.Number); err != nil {
			return err
		}
	}
	m.group, m.isChair = g, m.welcome.Chair
	return nil
}

// asProblem turns a refusal into its error.
func asProblem(in wire.Message) error {
	var d problem.Document
	if err := in.Read(&d); err != nil {
		return err
	}
	return d.Err()
}

// Close leaves the room and waits for the member's goroutines.
func (m *Member) Close() {
	m.stop(context.Canceled)
	m.conn.Close()
	m.link().Close()
	m.tasks.Wait()
	m.link().Close() // one that was begun meanwhile
}

// Done is closed when the member's connection has ended.
func (m *Member) Done() <-chan struct{} { return m.ctx.Done() }

// ID is the member's id.
func (m *Member) ID() interview.MemberID { return m.self.Member() }

// Identity is the member's page keys: a recorder signs heartbeats with them.
func (m *Member) Identity() *sealing.Identity { return m.self }

// Group is the member's view of keys and members.
func (m *Member) Group() *sealing.Group { return m.group }

// GroupID names the group.
func (m *Member) GroupID() interview.GroupID { return m.welcome.Group }

// Welcome is what the door said at the start.
func (m *Member) Welcome() wire.Welcome { return m.welcome }

// Statement is the member's signed statement.
func (m *Member) Statement() string { return m.statement }

// Tracks are the tracks that the member publishes.
func (m *Member) Tracks() []Publish { return slices.Clone(m.tracks) }

// Phase is the phase last told.
func (m *Member) Phase() wire.PhaseNow {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.phase
}

// Now is the hearing clock as this member knows it.
func (m *Member) Now() interview.Micros {
	m.mu.Lock()
	defer m.mu.Unlock()
	return interview.Micros(max(0, time.Since(start)+m.offset) / time.Microsecond)
}

// start is the zero of this process' monotonic clock.
var start = time.Now()

func (m *Member) syncClock(c wire.Clock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offset = time.Duration(c.Now)*time.Microsecond - time.Since(start)
}

// Admitted is closed when the member has been let in and its media connection
// has been answered.
func (m *Member) Admitted() <-chan struct{} { return m.admitted }

// listen handles messages in their order.
func (m *Member) listen(early []wire.Message) {
	for _, in := range early {
		m.take(in)
	}
	tick := time.NewTicker(originEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.ctx.Done():
			m.ended(context.Cause(m.ctx))
			return
		case <-tick.C:
			m.sendOrigins()
		case in, open := <-m.conn.Receive():
			if !open {
				m.stop(problem.New(problem.CodeUnavailable, "the connection to the door ended"))
				m.ended(context.Cause(m.ctx))
				return
			}
			m.take(in)
		}
	}
}

func (m *Member) ended(why error) {
	m.mu.Lock()
	for id, ch := range m.pending {
		close(ch)
		delete(m.pending, id)
	}
	m.mu.Unlock()
	if m.cfg.On.Ended != nil {
		m.cfg.On.Ended(why)
	}
}

// take handles one message.
func (m *Member) take(in wire.Message) {
	if in.Re != 0 {
		m.mu.Lock()
		ch := m.pending[in.Re]
		delete(m.pending, in.Re)
		m.mu.Unlock()
		if ch != nil {
			ch <- in
		}
		return
	}
	var err error
	switch in.Type {
	case wire.TypeAdmitted:
		err = read(in, m.takeAdmitted)
	case wire.TypeMembers:
		err = read(in, m.takeMembers)
	case wire.TypeRoster:
		err = read(in, func(b wire.Roster) error { return m.takeRoster(b.Roster) })
	case wire.TypeWraps:
		err = read(in, m.takeWraps)
	case wire.TypeSlots:
		err = read(in, func(b wire.Slots) error { m.link().SetSlots(b.Slots); return nil })
	case wire.TypePhaseNow:
		err = read(in, m.takePhase)
	case wire.TypeHeartbeat:
		err = read(in, m.takeHeartbeat)
	case wire.TypeOrigin:
		err = read(in, func(b wire.Origin) error { tell(m.cfg.On.Origin, b.Lists); return nil })
	case wire.TypeKnock:
		err = read(in, func(b wire.Knock) error { tell(m.cfg.On.Knock, b); return nil })
	case wire.TypeRaised:
		err = read(in, func(b wire.Raised) error { tell(m.cfg.On.Raised, b); return nil })
	case wire.TypeSendHint:
		err = read(in, m.takeHint)
	case wire.TypeProblem:
		err = asProblem(in)
		if m.isChair && errors.Is(err, problem.New(problem.CodeRosterInvalid, "")) {
			m.stop(err) // this page's rosters and the room's have parted: a new instance starts from the newest
		}
	case wire.TypeRefused:
		m.stop(asProblem(in))
	case wire.TypeSuperseded:
		m.stop(problem.New(problem.CodeSeatTaken, "another page took the seat"))
	}
	if err != nil {
		m.log.Warn("message was not accepted", "type", in.Type, "err", err)
	}
}

func read[B any](in wire.Message, f func(B) error) error {
	var b B
	if err := in.Read(&b); err != nil {
		return err
	}
	return f(b)
}

func tell[B any](f func(B), b B) {
	if f != nil {
		f(b)
	}
}

// takeAdmitted checks the own admission and opens the media connection.
func (m *Member) takeAdmitted(b wire.Admitted) error {
	if _, err := m.group.AddMember(m.statement, b.Admission, time.Now()); err != nil {
		m.stop(err)
		return err
	}
	if m.open { // said again: it names the leg that the room still knows
		m.forgotten(b.Leg)
		return nil
	}
	m.admission, m.open = b.Admission, true
	m.tasks.Go(func() {
		if err := m.call(m.link()); err != nil {
			m.stop(err)
			return
		}
		close(m.admitted)
		m.keepLink()
	})
	return nil
}

// takeMembers checks everyone. Who does not hold is nobody to this member,
// whatever the door says.
func (m *Member) takeMembers(b wire.Members) error {
	checked := b.Members[:0]
	listed := map[interview.MemberID]bool{m.ID(): true}
	for _, v := range b.Members {
		known, err := m.group.AddMember(v.Statement, v.Admission, time.Now())
		if err == nil {
			listed[known.Statement.Member] = true
			err = sameAsShown(v, known)
		}
		if err != nil {
			m.log.Warn("a member does not hold", "member", v.Member, "err", err)
			continue
		}
		if len(v.Seats) == len(known.Admission.Seats) { // who has left is shown without names
			checked = append(checked, v)
		}
	}
	m.mu.Lock()
	before := m.views
	m.views = checked
	m.mu.Unlock()
	for _, v := range before {
		if !listed[v.Member] {
			m.group.Forget(v.Member)
		}
	}
	tell(m.cfg.On.Members, checked)
	if m.isChair {
		return m.updateRoster("join")
	}
	return nil
}

// sameAsShown compares what the door says of a member with what was signed: a
// recorder shown as a page would otherwise come into the group in a pause, and
// a name could be anybody's.
func sameAsShown(v wire.MemberView, known *sealing.Member) error {
	if v.Member != known.Statement.Member || v.Kind != known.Statement.Kind {
		return fmt.Errorf("%w: shown as %s %s, signed as %s %s", sealing.ErrMember, v.Kind, v.Member, known.Statement.Kind, known.Statement.Member)
	}
	if v.Connected && len(v.Seats) != len(known.Admission.Seats) {
		return fmt.Errorf("%w: %s is shown with %d seats of %d", sealing.ErrMember, v.Member, len(v.Seats), len(known.Admission.Seats))
	}
	for _, shown := range v.Seats {
		if !slices.ContainsFunc(known.Admission.Seats, func(a sealing.AdmittedSeat) bool {
			return a.Seat == shown.Seat && a.Participant == shown.Participant && a.Role == shown.Role && a.NameIs(shown.Salt, shown.Name)
		}) {
			return fmt.Errorf("%w: seat %s of %s is shown with another person", sealing.ErrMember, shown.Seat, v.Member)
		}
	}
	return nil
}

// IncludeRecorder says, for the chair, whether recorders are on the roster: on
// before going on record, off in a pause.
func (m *Member) IncludeRecorder(yes bool) error {
	m.mu.Lock()
	m.recorder = yes
	m.mu.Unlock()
	reason := "pause"
	if yes {
		reason = "resume"
	}
	return m.updateRoster(reason)
}

// updateRoster signs a new roster if the members that belong on it are others
// than those of the one in force.
func (m *Member) updateRoster(reason string) error {
	m.mu.Lock()
	if !slices.ContainsFunc(m.views, func(v wire.MemberView) bool { return v.Member == m.ID() }) {
		m.mu.Unlock()
		return nil // what came before this page is still on its way
	}
	want := []interview.MemberID{m.ID()}
	for _, v := range m.views {
		if v.Member != m.ID() && v.Connected && (v.Kind == sealing.KindPage || m.recorder) {
			want = append(want, v.Member)
		}
	}
	m.mu.Unlock()
	have, _, is := m.group.Roster()
	if is {
		left := slices.ContainsFunc(have.Members, func(r sealing.RosterMember) bool { return !slices.Contains(want, r.Member) })
		if !left && len(have.Members) == len(want) {
			return nil
		}
		if left && reason == "join" {
			reason = "leave"
		}
	}
	text, err := m.group.SignRoster(want, reason, m.Now())
	if err != nil {
		return err
	}
	if err := m.post(wire.TypeRoster, wire.Roster{Roster: text}); err != nil {
		return err
	}
	return m.afterRoster(text)
}

func (m *Member) takeRoster(text string) error {
	if _, current, is := m.group.Roster(); is && current == text {
		return nil // the chair's own, come back
	}
	if _, err := m.group.ApplyRoster(text); err != nil {
		if errors.Is(err, sealing.ErrFork) {
			// A roster was missed, or somebody shows different ones: keys cannot be
			// trusted any more. A new instance starts from the newest roster.
			m.stop(problem.New(problem.CodeRosterInvalid, "%w", err))
		}
		return err
	}
	return m.afterRoster(text)
}

// afterRoster gives the new epoch's keys to everyone on the roster.
func (m *Member) afterRoster(text string) error {
	roster, _, _ := m.group.Roster()
	tell2(m.cfg.On.Roster, roster, text)
	if !slices.ContainsFunc(roster.Members, func(r sealing.RosterMember) bool { return r.Member == m.ID() }) {
		return nil
	}
	var all []string
	for _, t := range m.tracks {
		wraps, err := m.group.Wraps(t.Track, t.Source, t.Number)
		if err != nil {
			return err
		}
		all = append(all, wraps...)
	}
	if len(all) == 0 {
		return nil
	}
	return m.post(wire.TypeWraps, wire.Wraps{Wraps: all})
}

func tell2[A, B any](f func(A, B), a A, b B) {
	if f != nil {
		f(a, b)
	}
}

func (m *Member) takeWraps(b wire.Wraps) error {
	var errs []error
	for _, text := range b.Wraps {
		w, err := m.group.AcceptWrap(text)
		if err != nil && !errors.Is(err, sealing.ErrReplay) {
			errs = append(errs, err)
			continue
		}
		if err == nil {
			tell(m.cfg.On.Wrap, w)
		}
	}
	return errors.Join(errs...)
}

func (m *Member) takePhase(now wire.PhaseNow) error {
	m.mu.Lock()
	m.phase = now
	// What the door tells of is past: a clock that is behind it by the way of its
	// message would have a recorder end before the phase that ended it.
	m.offset = max(m.offset, time.Duration(now.Since)*time.Microsecond-time.Since(start))
	m.mu.Unlock()
	tell(m.cfg.On.Phase, now)
	return nil
}

func (m *Member) takeHeartbeat(b wire.Heartbeat) error {
	h, err := m.group.AcceptHeartbeat(b.Heartbeat)
	if err != nil {
		return err
	}
	tell(m.cfg.On.Heartbeat, h)
	return nil
}

func (m *Member) sendOrigins() {
	if len(m.tracks) == 0 {
		return
	}
	lists, err := m.group.Origins()
	if err != nil || len(lists) == 0 {
		if err != nil {
			m.log.Warn("origin lists", "err", err)
		}
		return
	}
	if m.cfg.Own != nil {
		for _, text := range lists {
			m.cfg.Own.List(text)
		}
	}
	if err := m.post(wire.TypeOrigin, wire.Origin{Lists: lists}); err != nil {
		m.log.Warn("origin lists", "err", err)
	}
}

func (m *Member) frame(f Frame) { tell(m.cfg.On.Frame, f) }

func (m *Member) keyFrame(t interview.TrackID) { tell(m.cfg.On.KeyFrame, t) }

// Open opens a frame as coming from where the door says it does: a frame of
// anybody else is refused.
func (m *Member) Open(dst []byte, f Frame) (sealing.FrameHeader, []byte, error) {
	return m.group.Open(dst, f.Slot.Member, f.Slot.Track, f.Sealed)
}

// Send seals one frame of an own track and sends it. Before the first key, or
// outside the roster, the frame is refused with sealing.ErrNoKey: nothing is
// ever sent in clear. While the room asks for sound to be sent twice, a frame of
// sound brings the one before along (RFC 2198).
func (m *Member) Send(i int, h sealing.FrameHeader, payload []byte, rtpTime uint32, key bool) error {
	t := m.tracks[i]
	h.Source = t.Source
	payload = m.packed(t, &h, payload, rtpTime)
	sealed, err := m.group.Seal(nil, t.Track, h, payload)
	if err != nil {
		return err
	}
	if m.cfg.Own != nil {
		m.cfg.Own.Frame(t.Track, h.Capture, sealed)
	}
	return m.link().SendFrame(t.Track, Outgoing{Sealed: sealed, RTPTime: rtpTime, Key: key, Redundant: h.Redundant})
}

// post sends a message that wants no answer but may get a problem.
func (m *Member) post(t wire.Type, body any) error {
	msg, err := wire.New(t, body)
	if err != nil {
		return err
	}
	return m.conn.Send(msg)
}

// Heartbeat signs and sends a recorder's heartbeat.
func (m *Member) Heartbeat(h sealing.Heartbeat) error {
	h.Hearing, h.Group = m.cfg.Hearing, m.welcome.Group
	text, err := m.self.SignHeartbeat(h)
	if err != nil {
		return err
	}
	return m.post(wire.TypeHeartbeat, wire.Heartbeat{Heartbeat: text})
}

// Request sends a message and reads its answer into out, which may be nil. A
// problem is returned as its error.
func (m *Member) Request(ctx context.Context, t wire.Type, body, out any) error {
	msg, err := wire.New(t, body)
	if err != nil {
		return err
	}
	ch := make(chan wire.Message, 1)
	m.mu.Lock()
	m.nextID++
	msg.ID = m.nextID
	m.pending[msg.ID] = ch
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.pending, msg.ID)
		m.mu.Unlock()
	}()
	if err := m.conn.Send(msg); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	select {
	case in, open := <-ch:
		switch {
		case !open:
			return problem.New(problem.CodeUnavailable, "%s: the connection ended", t)
		case in.Type == wire.TypeProblem || in.Type == wire.TypeRefused:
			return asProblem(in)
		case out == nil:
			return nil
		}
		return in.Read(out)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", t, ctx.Err())
	case <-m.ctx.Done():
		return fmt.Errorf("%s: %w", t, context.Cause(m.ctx))
	}
}

// Admit lets in a waiting member with exactly the persons that were seen.
func (m *Member) Admit(ctx context.Context, k wire.Knock) error {
	b := wire.Admit{Member: k.Member}
	for _, s := range k.Seats {
		b.Seats = append(b.Seats, s.Seat)
	}
	return m.Request(ctx, wire.TypeAdmit, b, nil)
}

// Wish says what this member makes of what it receives, instead of what it said
// before.
func (m *Member) Wish(ctx context.Context, slots ...wire.SlotWish) error {
	return m.Request(ctx, wire.TypeWish, wire.Wish{Slots: slots}, nil)
}

// AskPhase asks for a transition.
func (m *Member) AskPhase(ctx context.Context, to interview.Phase, reason string) error {
	var now wire.PhaseNow
	return m.Request(ctx, wire.TypePhase, wire.AskPhase{To: to, Reason: reason}, &now)
}
