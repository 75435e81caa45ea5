package sealing

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
)

// Times and bounds of a group's state.
const (
	// Linger is how long keys of the epoch before still open frames in flight.
	Linger = 5 * time.Second
	// Grace is how long a sender goes on under its old key when nobody left,
	// so that the wraps of the new one arrive first. When somebody left there
	// is none.
	Grace = 250 * time.Millisecond
	// MaxKnown bounds the members known, those who have left included.
	MaxKnown = 4 * MaxMembers
	// MaxEpoch bounds epochs, so that key ids stay exact integers in JSON.
	MaxEpoch = 1 << 32
	// keptRosters is for how many epochs late origin lists are still placed.
	keptRosters = 16
)

// Rules say who may chair a group, who may be in it, and whether its members
// sign origin lists.
type Rules struct {
	Chair   func(*Member) bool
	Member  func(*Member) bool
	Origins bool
}

// HearingRules are those of a hearing: the interviewer's page chairs, everyone admitted may be in it,
// and frames are evidence.
func HearingRules() Rules {
	return Rules{
		Chair:   func(m *Member) bool { return m.HasRole(interview.RoleInterviewer) },
		Member:  func(*Member) bool { return true },
		Origins: true,
	}
}

// ConsultationRules are those of a private consultation: counsel's page chairs, or the representative's; neither
// the interviewer nor a recorder may be in it, and nothing is evidence.
func ConsultationRules() Rules {
	member := func(m *Member) bool { return !m.Recorder() && !m.HasRole(interview.RoleInterviewer) }
	return Rules{
		Chair: func(m *Member) bool {
			return member(m) && (m.HasRole(interview.RoleCounsel) || m.HasRole(interview.RoleRepresentative))
		},
		Member: member,
	}
}

// Config is what a group is made from.
type Config struct {
	Trust   *Trust
	Self    *Identity
	Hearing interview.HearingID
	Group   interview.GroupID
	Rules   Rules            // HearingRules or ConsultationRules
	Keys    KeyAgreement     // nil: SignedWraps
	Now     func() time.Time // nil: time.Now

	// Keep, when set, is called with every sender key taken, before AcceptWrap
	// returns. A recorder seals it into its journal. The key is overwritten
	// after the call. Keep must not call the group.
	Keep func(w Wrap, key []byte) error
	// Made, when set, is called with every sender key of its own that the member
	// makes, before it is used: a room terminal's back-up keeps it, sealed. The key
	// is overwritten after the call. Made must not call the group.
	Made func(w Wrap, key []byte)
}

// Group is the state of one member in a group: who is known, which roster is
// in force, its own keys and those of others. It is safe for concurrent use.
// A Group is never stored: after a restart its member is a new one.
type Group struct {
	c Config

	mu     sync.RWMutex
	known  map[interview.MemberID]*Member
	roster *rosterState
	places map[int64][]interview.MemberID // epoch -> members by place
	keys   map[int64]*receiving           // by key id
	tracks map[trackOf]trackFacts         // what senders said of their tracks
	own    map[interview.TrackID]*sending
	lists  map[listOf]listHead
	beats  map[interview.MemberID]int64
}

type rosterState struct {
	Roster
	text string
	hash string
}

// receiving is one sender key of another member.
type receiving struct {
	member interview.MemberID
	track  interview.TrackID
	source interview.Source
	epoch  int64
	meta   []byte
	opener *sframe.Opener
	digest [32]byte  // of the key, to tell a second key from a repetition
	until  time.Time // zero while the epoch is in force
}

type trackOf struct {
	member interview.MemberID
	track  interview.TrackID
}

type trackFacts struct {
	source interview.Source
	number int
}

// NewGroup makes the state of a member that knows nobody yet.
func NewGroup(c Config) (*Group, error) {
	if c.Trust == nil || c.Self == nil || c.Hearing.IsZero() || c.Group.IsZero() || c.Rules.Chair == nil || c.Rules.Member == nil {
		return nil, errors.New("group: trust, identity, hearing, group and rules are all needed")
	}
	if c.Keys == nil {
		c.Keys = SignedWraps(c.Self)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Group{
		c:      c,
		known:  map[interview.MemberID]*Member{},
		places: map[int64][]interview.MemberID{},
		keys:   map[int64]*receiving{},
		tracks: map[trackOf]trackFacts{},
		own:    map[interview.TrackID]*sending{},
		lists:  map[listOf]listHead{},
		beats:  map[interview.MemberID]int64{},
	}, nil
}

// AddMember verifies a member (oneself included) and makes it known. That puts
// it on no roster. The same pair again changes nothing; a different one for
// the same member is refused.
func (g *Group) AddMember(statement, admission string, now time.Time) (*Member, error) {
	m, err := g.c.Trust.VerifyMember(statement, admission, now)
	if err != nil {
		return nil, err
	}
	id := m.Statement.Member
	switch {
	case m.Statement.Hearing != g.c.Hearing:
		return nil, fmt.Errorf("%w: %s is of another hearing", ErrMember, id)
	case !g.c.Rules.Member(m):
		return nil, fmt.Errorf("%w: %s", ErrMember, id)
	case id == g.c.Self.member && !g.c.Self.is(m):
		return nil, fmt.Errorf("%w: statement of this member with other keys", ErrStatement)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.known[id]; old != nil {
		if old.StatementHash != m.StatementHash || old.AdmissionHash != m.AdmissionHash {
			return nil, fmt.Errorf("%w: %s is known with another statement or admission", ErrMember, id)
		}
		return old, nil
	}
	if len(g.known) >= MaxKnown {
		return nil, fmt.Errorf("%w: %d members are known, forget those who left", ErrMember, MaxKnown)
	}
	g.known[id] = m
	return m, nil
}

// Forget drops a member that is not on the roster. What it said stays known,
// so that nothing can be replayed should it return.
func (g *Group) Forget(id interview.MemberID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roster == nil || g.roster.place(id) < 0 {
		delete(g.known, id)
	}
}

// Member returns a known member, or nil.
func (g *Group) Member(id interview.MemberID) *Member {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.known[id]
}

// Roster returns the roster in force and its text; false before the first.
func (g *Group) Roster() (Roster, string, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.roster == nil {
		return Roster{}, "", false
	}
	r := g.roster.Roster
	r.Members = slices.Clone(r.Members)
	return r, g.roster.text, true
}

// SAS is the short authentication string of the roster in force, or "".
func (g *Group) SAS() string {
	_, text, ok := g.Roster()
	if !ok {
		return ""
	}
	return SAS(text)
}

// Reasons of a roster.
var rosterReasons = []string{"join", "leave", "pause", "resume", "chair", "revoked"}

// SignRoster makes, signs and applies the next roster with the members in the
// order given. Only who may chair can, and only with known members.
func (g *Group) SignRoster(members []interview.MemberID, reason string, at interview.Micros) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := Roster{V: 1, Hearing: g.c.Hearing, Group: g.c.Group, Epoch: 1, Chair: g.c.Self.member, Members: make([]RosterMember, 0, len(members)), Reason: reason, At: at}
	if g.roster != nil {
		r.Epoch, r.Prev = g.roster.Epoch+1, g.roster.hash
	}
	for _, id := range members {
		m := g.known[id]
		if m == nil {
			return "", fmt.Errorf("%w: %s", ErrUnknownMember, id)
		}
		r.Members = append(r.Members, RosterMember{Member: id, Admission: m.AdmissionHash})
	}
	if err := g.checkRoster(&r); err != nil {
		return "", err
	}
	text, err := jws.Sign(r, TypeRoster, g.c.Self.sign)
	if err != nil {
		return "", fmt.Errorf("roster: %w", err)
	}
	g.enforce(r, text)
	return text, nil
}

// ApplyRoster verifies a roster and puts it in force. The first one seen is
// taken whatever came before it; each later one must follow the one in force.
// The roster in force again changes nothing. While this member is not on the
// roster, it need not know the others that are.
func (g *Group) ApplyRoster(message string) (Roster, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roster != nil && g.roster.text == message {
		return g.roster.Roster, nil
	}
	var r Roster
	// Only the chair is used of what is not verified yet, to find its key.
	if err := jws.Peek(message, TypeRoster, &r); err != nil {
		return Roster{}, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	chair := g.known[r.Chair]
	if chair == nil {
		return Roster{}, fmt.Errorf("%w: chair %s", ErrUnknownMember, r.Chair)
	}
	r = Roster{}
	if err := jws.Verify(message, TypeRoster, chair.sign, &r); err != nil {
		return Roster{}, fmt.Errorf("%w: %w", ErrRoster, err)
	}
	if err := g.checkRoster(&r); err != nil {
		return Roster{}, err
	}
	g.enforce(r, message)
	return r, nil
}

func (g *Group) checkRoster(r *Roster) error {
	switch {
	case r.V != 1 || r.Hearing != g.c.Hearing || r.Group != g.c.Group:
		return fmt.Errorf("%w: it is of another version, hearing or group", ErrRoster)
	case r.Epoch < 1 || r.Epoch > MaxEpoch || r.At < 0 || !slices.Contains(rosterReasons, r.Reason):
		return fmt.Errorf("%w: epoch, time or reason is out of bounds", ErrRoster)
	case len(r.Members) == 0 || len(r.Members) > MaxMembers || repeats(r.ids()):
		return fmt.Errorf("%w: members repeat, or are none or more than %d", ErrRoster, MaxMembers)
	}
	if g.roster != nil {
		if r.Epoch <= g.roster.Epoch {
			return fmt.Errorf("%w: epoch %d, in force is %d", ErrStale, r.Epoch, g.roster.Epoch)
		}
		if r.Prev != g.roster.hash {
			return fmt.Errorf("%w: epoch %d after %d", ErrFork, r.Epoch, g.roster.Epoch)
		}
	}
	chair := g.known[r.Chair]
	if chair == nil {
		return fmt.Errorf("%w: chair %s", ErrUnknownMember, r.Chair)
	}
	if chair.Recorder() || !g.c.Rules.Chair(chair) || r.place(r.Chair) < 0 {
		return fmt.Errorf("%w: %s", ErrChair, r.Chair)
	}
	onIt := r.place(g.c.Self.member) >= 0
	now := g.c.Now()
	for _, rm := range r.Members {
		m := g.known[rm.Member]
		if m == nil {
			if !onIt {
				continue
			}
			return fmt.Errorf("%w: %s on the roster", ErrUnknownMember, rm.Member)
		}
		if subtle.ConstantTimeCompare([]byte(m.AdmissionHash), []byte(rm.Admission)) != 1 {
			return fmt.Errorf("%w: %s is listed with another admission", ErrRoster, rm.Member)
		}
		if err := m.validAt(now); err != nil {
			return err
		}
	}
	return nil
}

func (m *Member) validAt(now time.Time) error {
	if err := within(m.Statement.IssuedAt, m.Statement.ExpiresAt, now); err != nil {
		return fmt.Errorf("statement of %s: %w", m.Statement.Member, err)
	}
	if err := within(m.Admission.IssuedAt, m.Admission.ExpiresAt, now); err != nil {
		return fmt.Errorf("admission of %s: %w", m.Statement.Member, err)
	}
	return nil
}

func (r *Roster) place(id interview.MemberID) int {
	return slices.IndexFunc(r.Members, func(m RosterMember) bool { return m.Member == id })
}

func (r *Roster) ids() []interview.MemberID {
	ids := make([]interview.MemberID, len(r.Members))
	for i, m := range r.Members {
		ids[i] = m.Member
	}
	return ids
}

// enforce puts a verified roster in force: keys of the epoch before linger for
// frames in flight of those who stayed; everything older is dropped.
func (g *Group) enforce(r Roster, text string) {
	before := g.roster
	g.roster = &rosterState{Roster: r, text: text, hash: jws.Hash(text)}
	g.places[r.Epoch] = r.ids()
	for len(g.places) > keptRosters {
		oldest := r.Epoch
		for e := range g.places {
			oldest = min(oldest, e)
		}
		delete(g.places, oldest)
	}
	now := g.c.Now()
	for kid, k := range g.keys {
		if !k.until.IsZero() || r.place(k.member) < 0 {
			delete(g.keys, kid)
			continue
		}
		k.until = now.Add(Linger)
	}
	left := r.place(g.c.Self.member) < 0
	if before != nil {
		left = left || slices.ContainsFunc(before.Members, func(m RosterMember) bool { return r.place(m.Member) < 0 })
	}
	for _, s := range g.own {
		s.rotate(left)
	}
}

// AddTrack declares one of this member's own tracks, before its first Wraps.
// A number, 0 to 15, belongs to one track for the member's life.
func (g *Group) AddTrack(track interview.TrackID, source interview.Source, number int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addTrack(track, source, number)
}

func (g *Group) addTrack(track interview.TrackID, source interview.Source, number int) error {
	if track.IsZero() || sourceCode(source) == 0 || number < 0 || number >= MaxTracks {
		return fmt.Errorf("%w: track, source or number is out of bounds", ErrTrack)
	}
	if s := g.own[track]; s != nil {
		if s.source != source || s.number != number {
			return fmt.Errorf("%w: %s is declared otherwise", ErrTrack, track)
		}
		return nil
	}
	for _, s := range g.own {
		if s.number == number {
			return fmt.Errorf("%w: number %d is taken", ErrTrack, number)
		}
	}
	g.own[track] = newSending(track, source, number, g.c.Rules.Origins)
	return nil
}

// Wraps makes this member's key of the track for the epoch in force, unless it
// has one, and returns one wrap for every other member on the roster. Asked
// again in the same epoch it returns the same wraps.
func (g *Group) Wraps(track interview.TrackID, source interview.Source, number int) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roster == nil {
		return nil, fmt.Errorf("%w: no roster is in force", ErrNotOnRoster)
	}
	self := g.known[g.c.Self.member]
	place := g.roster.place(g.c.Self.member)
	if self == nil || place < 0 {
		return nil, fmt.Errorf("%w: this member", ErrNotOnRoster)
	}
	if self.Recorder() {
		return nil, fmt.Errorf("%w: a recorder publishes nothing", ErrMember)
	}
	if err := g.addTrack(track, source, number); err != nil {
		return nil, err
	}
	s := g.own[track]
	if k := s.newest(); k != nil && k.epoch == g.roster.Epoch {
		return slices.Clone(k.wraps), nil
	}
	var key [SenderKeyBytes]byte
	rand.Read(key[:])
	defer clear(key[:])
	w := Wrap{
		V: 1, Hearing: g.c.Hearing, Group: g.c.Group, Epoch: g.roster.Epoch, Sender: g.c.Self.member,
		Track: track, Source: source, KID: KID(g.roster.Epoch, place, number), Roster: g.roster.hash,
	}
	wraps := make([]string, 0, len(g.roster.Members)-1)
	for _, rm := range g.roster.Members {
		if rm.Member == g.c.Self.member {
			continue
		}
		text, err := g.c.Keys.Give(w, key[:], g.known[rm.Member])
		if err != nil {
			return nil, err
		}
		wraps = append(wraps, text)
	}
	sealer, err := sframe.NewSealer(key[:], uint64(w.KID))
	if err != nil {
		return nil, err
	}
	if g.c.Made != nil {
		g.c.Made(w, key[:])
	}
	s.take(&sendKey{epoch: w.Epoch, kid: w.KID, sealer: sealer, wraps: wraps}, g.c.Now().Add(Grace))
	return slices.Clone(wraps), nil
}

// AcceptWrap verifies a wrap for this member and takes its key. It must be of
// the epoch and roster in force, from a page on that roster, for a key id that
// is the sender's own; each key id has one key. ErrReplay says that the key is
// already here.
func (g *Group) AcceptWrap(message string) (Wrap, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.roster == nil || g.roster.place(g.c.Self.member) < 0 {
		return Wrap{}, fmt.Errorf("%w: this member", ErrNotOnRoster)
	}
	w, key, err := g.c.Keys.Take(message, g.sender)
	if err != nil {
		return Wrap{}, err
	}
	defer clear(key)
	if err := g.checkWrap(&w); err != nil {
		return Wrap{}, err
	}
	digest := sha256.Sum256(key)
	if k := g.keys[w.KID]; k != nil {
		if k.digest == digest && k.track == w.Track {
			return Wrap{}, fmt.Errorf("%w: wrap of key id %d", ErrReplay, w.KID)
		}
		return Wrap{}, fmt.Errorf("%w: %d of %s", ErrSecondKey, w.KID, w.Sender)
	}
	opener, err := sframe.NewOpener(key, uint64(w.KID))
	if err != nil {
		return Wrap{}, fmt.Errorf("%w: %w", ErrWrap, err)
	}
	if g.c.Keep != nil {
		if err := g.c.Keep(w, key); err != nil {
			return Wrap{}, fmt.Errorf("keep sender key: %w", err)
		}
	}
	g.tracks[trackOf{w.Sender, w.Track}] = trackFacts{w.Source, numberOf(w.KID)}
	g.keys[w.KID] = &receiving{
		member: w.Sender, track: w.Track, source: w.Source, epoch: w.Epoch,
		meta: FrameMetadata(w.Track), opener: opener, digest: digest,
	}
	return w, nil
}

// sender finds who may have signed a wrap: a page on the roster, not oneself.
func (g *Group) sender(id interview.MemberID) (*Member, error) {
	m := g.known[id]
	if m == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknownMember, id)
	}
	if g.roster.place(id) < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotOnRoster, id)
	}
	if m.Recorder() || id == g.c.Self.member {
		return nil, fmt.Errorf("%w: %s gives no keys", ErrMember, id)
	}
	return m, nil
}

func (g *Group) checkWrap(w *Wrap) error {
	if w.Hearing != g.c.Hearing || w.Group != g.c.Group {
		return fmt.Errorf("%w: it is of another hearing or group", ErrWrap)
	}
	if w.Epoch != g.roster.Epoch || w.Roster != g.roster.hash {
		return fmt.Errorf("%w: wrap of epoch %d, in force is %d", ErrEpoch, w.Epoch, g.roster.Epoch)
	}
	number := numberOf(w.KID)
	if w.KID != KID(w.Epoch, g.roster.place(w.Sender), number) {
		return fmt.Errorf("%w: key id %d is not the sender's", ErrWrap, w.KID)
	}
	if w.Track.IsZero() || sourceCode(w.Source) == 0 {
		return fmt.Errorf("%w: track or source is missing", ErrTrack)
	}
	for of, facts := range g.tracks {
		if of.member != w.Sender || of.track != w.Track && facts.number != number {
			continue
		}
		if of.track != w.Track || facts != (trackFacts{w.Source, number}) {
			return fmt.Errorf("%w: %s was declared otherwise by %s", ErrTrack, w.Track, w.Sender)
		}
	}
	return nil
}

func numberOf(kid int64) int { return int(kid & (MaxTracks - 1)) }
