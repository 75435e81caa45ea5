package signaling_test

import (
	"encoding/json"
	"errors"
	"flag"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
	"kuule/interview/wire"
	"kuule/signaling"
	"kuule/signaling/signalingtest"
)

func TestMain(m *testing.M) {
	// Each check plays a whole hearing with real keys; -rapid.checks plays more.
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// door is a hub with a world around it and no network.
type door struct {
	t     testing.TB
	world *signalingtest.World
	media *signalingtest.NoMedia
	trust *sealing.Trust
	hub   *signaling.Hub
}

func newDoor(t testing.TB, change ...func(*signaling.Config)) *door {
	t.Helper()
	d := &door{t: t, world: signalingtest.New(), media: &signalingtest.NoMedia{}}
	var err error
	if d.trust, err = d.world.Trust(); err != nil {
		t.Fatal(err)
	}
	cfg := d.world.Config(d.media)
	for _, c := range change {
		c(&cfg)
	}
	d.hub = signaling.NewHub(cfg)
	t.Cleanup(d.hub.Close)
	return d
}

// line is a connection whose other end only listens.
type line struct {
	mu     sync.Mutex
	got    []wire.Message
	read   int
	closed bool
	full   bool
}

var errFull = errors.New("the line takes no more")

func (l *line) Send(m wire.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return errFull
	}
	l.got = append(l.got, m)
	return nil
}

func (l *line) Close(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// news gives what came since the last call.
func (l *line) news() []wire.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.got[l.read:])
	l.read = len(l.got)
	return out
}

func (l *line) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// guest is a page or a recorder with real keys, whose messages are written by hand.
type guest struct {
	d         *door
	peer      signaling.Peer
	self      *sealing.Identity
	group     *sealing.Group
	statement string
	admission string
	session   *signaling.Session
	line      *line
	nextID    int64
	seen      []wire.Message
	refusals  []error // of rosters and wraps
	offered   []wire.OfferTrack
}

// arrive connects somebody who has not joined yet.
func (d *door) arrive(p *signalingtest.Person) *guest {
	d.t.Helper()
	g := &guest{d: d, peer: p.Peer(), self: sealingtest.Identity(d.t)}
	place := p.Place()
	place.Hearing, place.DTLS, place.Life = d.world.Hearing, sealingtest.DTLS, time.Hour
	g.state(place, func(st sealing.Statement) (string, error) {
		text, _, err := p.Prove(d.t.Context(), st)
		return text, err
	})
	return g
}

func (d *door) arriveRecorder(instance string) *guest {
	d.t.Helper()
	g := &guest{d: d, peer: signaling.Peer{Recorder: true, Instance: instance}, self: sealingtest.Identity(d.t)}
	g.state(sealing.Place{Kind: sealing.KindRecorder, Hearing: d.world.Hearing, DTLS: sealingtest.DTLS, Life: time.Hour}, func(st sealing.Statement) (string, error) {
		text, _, err := d.world.ProveRecorder(d.t.Context(), st)
		return text, err
	})
	return g
}

func (g *guest) state(place sealing.Place, sign sealing.SignStatement) {
	g.d.t.Helper()
	var err error
	if g.statement, err = g.self.Statement(place, time.Now(), sign); err != nil {
		g.d.t.Fatal(err)
	}
	if g.group, err = sealing.NewGroup(sealing.Config{Trust: g.d.trust, Self: g.self, Hearing: g.d.world.Hearing, Group: g.d.world.Group, Rules: sealing.HearingRules()}); err != nil {
		g.d.t.Fatal(err)
	}
	g.connect()
}

func (g *guest) connect() {
	g.line = &line{}
	g.session = g.d.hub.Connect(g.peer, g.line)
}

func (g *guest) id() interview.MemberID { return g.self.Member() }

// ask sends a message and gives its answer. Whatever else comes is kept.
func (g *guest) ask(t wire.Type, body any) wire.Message {
	g.d.t.Helper()
	m, err := wire.New(t, body)
	if err != nil {
		g.d.t.Fatal(err)
	}
	g.nextID++
	m.ID = g.nextID
	text, err := json.Marshal(m)
	if err != nil {
		g.d.t.Fatal(err)
	}
	if err := g.session.Handle(g.d.t.Context(), text); err != nil {
		return problemMessage(g.d.t, err)
	}
	g.read()
	for _, in := range slices.Backward(g.seen) {
		if in.Re == m.ID {
			return in
		}
	}
	g.d.t.Fatalf("%s was not answered", t)
	return wire.Message{}
}

func problemMessage(t testing.TB, err error) wire.Message {
	m, wrong := wire.New(wire.TypeProblem, problem.Of(err))
	if wrong != nil {
		t.Fatal(wrong)
	}
	return m
}

// code is the code of a problem or refusal, "" of any other answer.
func code(t testing.TB, m wire.Message) problem.Code {
	t.Helper()
	if m.Type != wire.TypeProblem && m.Type != wire.TypeRefused {
		return ""
	}
	var d problem.Document
	if err := m.Read(&d); err != nil {
		t.Fatal(err)
	}
	return d.Code
}

func (g *guest) must(m wire.Message) wire.Message {
	g.d.t.Helper()
	if c := code(g.d.t, m); c != "" {
		g.d.t.Fatalf("refused: %s: %s", c, m.Body)
	}
	return m
}

func (g *guest) refused(want problem.Code, m wire.Message) {
	g.d.t.Helper()
	if got := code(g.d.t, m); got != want {
		g.d.t.Errorf("answered %q (%s %s), want %q", got, m.Type, m.Body, want)
	}
}

// read takes what came as a page would.
func (g *guest) read() {
	g.d.t.Helper()
	for _, m := range g.line.news() {
		g.seen = append(g.seen, m)
		switch m.Type {
		case wire.TypeAdmitted:
			g.admission = body[wire.Admitted](g.d.t, m).Admission
		case wire.TypeMembers:
			for _, v := range body[wire.Members](g.d.t, m).Members {
				if _, err := g.group.AddMember(v.Statement, v.Admission, time.Now()); err != nil {
					g.refusals = append(g.refusals, err)
				}
			}
		case wire.TypeRoster:
			if _, err := g.group.ApplyRoster(body[wire.Roster](g.d.t, m).Roster); err != nil && !errors.Is(err, sealing.ErrStale) {
				g.refusals = append(g.refusals, err)
			}
		case wire.TypeWraps:
			for _, w := range body[wire.Wraps](g.d.t, m).Wraps {
				if _, err := g.group.AcceptWrap(w); err != nil && !errors.Is(err, sealing.ErrReplay) {
					g.refusals = append(g.refusals, err)
				}
			}
		}
	}
}

func body[B any](t testing.TB, m wire.Message) B {
	t.Helper()
	var b B
	if err := m.Read(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

// last gives the newest message of a type that came unasked.
func last[B any](g *guest, typ wire.Type) (B, bool) {
	g.d.t.Helper()
	g.read()
	for _, m := range slices.Backward(g.seen) {
		if m.Type == typ && m.Re == 0 {
			return body[B](g.d.t, m), true
		}
	}
	var none B
	return none, false
}

func (g *guest) count(typ wire.Type) int {
	g.read()
	n := 0
	for _, m := range g.seen {
		if m.Type == typ {
			n++
		}
	}
	return n
}

func (g *guest) join() wire.Message {
	g.d.t.Helper()
	return g.ask(wire.TypeJoin, wire.Join{Hearing: g.d.world.Hearing, Statement: g.statement, Admission: g.admission})
}

// come joins and fails the test if that is refused.
func (d *door) come(p *signalingtest.Person) *guest {
	d.t.Helper()
	g := d.arrive(p)
	g.must(g.join())
	return g
}

func (d *door) comeRecorder(instance string) *guest {
	d.t.Helper()
	g := d.arriveRecorder(instance)
	g.must(g.join())
	return g
}

// chair opens the room with an interviewer.
func (d *door) chair() *guest {
	d.t.Helper()
	return d.come(d.world.Person(interview.RoleInterviewer, "Irja"))
}

func (g *guest) admit(other *guest) {
	g.d.t.Helper()
	k, ok := last[wire.Knock](g, wire.TypeKnock)
	if !ok || k.Member != other.id() {
		g.d.t.Fatalf("%s did not knock", other.id())
	}
	b := wire.Admit{Member: k.Member}
	for _, s := range k.Seats {
		b.Seats = append(b.Seats, s.Seat)
	}
	g.must(g.ask(wire.TypeAdmit, b))
	other.read()
}

// seat has somebody come and be admitted.
func (g *guest) seat(p *signalingtest.Person) *guest {
	g.d.t.Helper()
	other := g.d.come(p)
	g.admit(other)
	return other
}

// sign makes and posts the chair's next roster.
func (g *guest) sign(reason string, members ...*guest) string {
	g.d.t.Helper()
	g.read()
	ids := make([]interview.MemberID, len(members))
	for i, m := range members {
		ids[i] = m.id()
	}
	text, err := g.group.SignRoster(ids, reason, g.d.world.Now())
	if err != nil {
		g.d.t.Fatal(err)
	}
	g.must(g.ask(wire.TypeRoster, wire.Roster{Roster: text}))
	for _, m := range members {
		m.read()
	}
	return text
}

// lose breaks the connection without a word.
func (g *guest) lose() { g.session.Closed() }

// publish opens a leg with one audio track.
func (g *guest) publish() wire.Message {
	g.d.t.Helper()
	if g.offered == nil {
		g.offered = []wire.OfferTrack{{Track: interview.NewTrackID(), Source: interview.SourceAudio, Mid: "0"}}
	}
	return g.ask(wire.TypeOffer, wire.Offer{SDP: "v=0", Tracks: g.offered})
}

// connected has the media node say that the leg of an answer is up.
func (g *guest) connected(answer wire.Message) {
	g.d.t.Helper()
	g.d.hub.LegEvent(media.Event{Room: g.d.world.Group, Leg: body[wire.Answer](g.d.t, g.must(answer)).Leg, State: media.LegConnected})
}

// beat sends a recorder's heartbeat that names the tracks of the publishers.
func (g *guest) beat(seq int64, state interview.RecorderState, publishers ...*guest) wire.Message {
	g.d.t.Helper()
	h := sealing.Heartbeat{Hearing: g.d.world.Hearing, Group: g.d.world.Group, Recording: interview.NewRecordingID(), State: state, Seq: seq, Durable: g.d.world.Now(), Now: g.d.world.Now()}
	for _, p := range publishers {
		for _, t := range p.offered {
			h.Tracks = append(h.Tracks, sealing.TrackDurable{Track: t.Track, Durable: h.Now})
		}
	}
	text, err := g.self.SignHeartbeat(h)
	if err != nil {
		g.d.t.Fatal(err)
	}
	return g.ask(wire.TypeHeartbeat, wire.Heartbeat{Heartbeat: text})
}

// eventually waits for something that the room does by itself.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
