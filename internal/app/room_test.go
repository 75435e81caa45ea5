package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
	"kuule/interview/opusred"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/sfu"
	"kuule/signaling"
	"kuule/signaling/signalingtest"
)

// step-ca's badger logs through glog, which flushes for as long as a process lives.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"))
}

// house is a door and a media node in one process, with a world around them.
type house struct {
	t     *testing.T
	world *signalingtest.World
	trust *sealing.Trust
	hub   *signaling.Hub
	media localMedia
	url   string
	mu    sync.Mutex
	peers map[string]signaling.Peer
}

// localMedia is the media node of now: one may take another's place.
type localMedia struct {
	node atomic.Pointer[sfu.Node]
	ways sync.Map // by the fingerprint of a member's statement: a way of its own to the node
}

// way is how one member reaches the node: what it offers, and where to.
type way struct{ offer, answer func(sdp string) string }

func (l *localMedia) OpenLeg(ctx context.Context, r media.OpenLeg) (media.LegOpened, error) {
	found, _ := l.ways.Load(r.Fingerprint)
	w, own := found.(way)
	if own {
		r.Offer = w.offer(r.Offer)
	}
	opened, err := l.node.Load().OpenLeg(ctx, r)
	if own && err == nil {
		opened.Answer = w.answer(opened.Answer)
	}
	return opened, err
}
func (l *localMedia) CloseLeg(_ context.Context, r media.CloseLeg) error {
	l.node.Load().CloseLeg(r)
	return nil
}
func (l *localMedia) Forward(_ context.Context, t media.Table) error { return l.node.Load().Forward(t) }

func newHouse(t *testing.T, limits signaling.Limits) *house {
	t.Helper()
	h := &house{t: t, world: signalingtest.New(), peers: map[string]signaling.Peer{}}
	var err error
	if h.trust, err = h.world.Trust(); err != nil {
		t.Fatal(err)
	}
	h.startNode()
	cfg := h.world.Config(&h.media)
	cfg.Limits = limits
	hub := signaling.NewHub(cfg)
	h.hub = hub
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		peer := h.peers[r.URL.Query().Get("peer")]
		h.mu.Unlock()
		hub.ServeWebSocket(w, r, peer)
	}))
	h.url = "ws" + strings.TrimPrefix(server.URL, "http")
	t.Cleanup(func() {
		hub.Close()
		server.Close()
		h.media.node.Load().Close()
	})
	return h
}

// startNode begins a media node that knows nothing. One that was there before
// says nothing any more, as one that was killed.
func (h *house) startNode() {
	h.t.Helper()
	var node atomic.Pointer[sfu.Node]
	made, err := sfu.New(sfu.Config{
		Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		OnEvent: func(ev media.Event) {
			if own := node.Load(); own != nil && own == h.media.node.Load() {
				h.hub.LegEvent(ev)
			}
		},
		OnHint: func(hint media.Hint) {
			if own := node.Load(); own != nil && own == h.media.node.Load() {
				h.hub.Hint(hint)
			}
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	node.Store(made)
	h.media.node.Store(made)
}

func (h *house) dial(name string, peer signaling.Peer) member.Conn {
	h.t.Helper()
	h.mu.Lock()
	h.peers[name] = peer
	h.mu.Unlock()
	conn, err := member.Dial(h.t.Context(), h.url+"?peer="+name, nil, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// someone is a member with what they heard.
type someone struct {
	*member.Member
	knocks chan wire.Knock
	ended  chan error
	phases chan wire.PhaseNow

	mu    sync.Mutex
	heard map[interview.MemberID]int
	all   int // frames that opened
	twice int // and have a copy of the one before
	bad   map[string]int
}

func (h *house) config(s *someone) member.Config {
	s.knocks, s.ended, s.phases = make(chan wire.Knock, 10), make(chan error, 1), make(chan wire.PhaseNow, 100)
	s.heard, s.bad = map[interview.MemberID]int{}, map[string]int{}
	return member.Config{Hearing: h.world.Hearing, Trust: h.trust, On: member.Events{
		Knock: func(k wire.Knock) { s.knocks <- k },
		Ended: func(err error) { s.ended <- err },
		Phase: func(p wire.PhaseNow) {
			select {
			case s.phases <- p:
			default:
			}
		},
		Frame: func(f member.Frame) {
			head, payload, err := s.Open(nil, f)
			s.mu.Lock()
			defer s.mu.Unlock()
			if err == nil {
				s.all++
			}
			if head.Redundant {
				payload = opusred.Own(payload)
				s.twice++
			}
			switch {
			case err != nil:
				s.bad[err.Error()]++
			case bytes.HasPrefix(payload, []byte(f.Slot.Member.String())):
				s.heard[f.Slot.Member]++
			default:
				s.bad["a frame of another member: "+string(payload)]++
			}
		},
	}}
}

func (h *house) join(p *signalingtest.Person, sources ...interview.Source) *someone {
	h.t.Helper()
	s := &someone{}
	cfg := h.config(s)
	cfg.Place, cfg.Prove, cfg.Publish = p.Place(), p.Prove, sources
	return h.enter(s, cfg, p.Device.String(), p.Peer())
}

func (h *house) recorder() *someone {
	h.t.Helper()
	s := &someone{}
	cfg := h.config(s)
	cfg.Place = sealing.Place{Kind: sealing.KindRecorder}
	cfg.Prove = h.world.ProveRecorder
	return h.enter(s, cfg, "recorder", signaling.Peer{Recorder: true})
}

func (h *house) enter(s *someone, cfg member.Config, name string, peer signaling.Peer) *someone {
	h.t.Helper()
	m, err := member.Join(h.t.Context(), h.dial(name, peer), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	s.Member = m
	h.t.Cleanup(m.Close)
	return s
}

func (h *house) admitted(s *someone) {
	h.t.Helper()
	select {
	case <-s.Admitted():
	case err := <-s.ended:
		h.t.Fatalf("the member ended: %v", err)
	case <-time.After(15 * time.Second):
		h.t.Fatal("the member was not admitted")
	}
}

// talk sends frames that begin with the member's id until stop.
func (s *someone) talk(stop <-chan struct{}) {
	for n := uint32(0); ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		for i := range s.Tracks() {
			_ = s.Send(i, sealing.FrameHeader{Capture: s.Now(), Level: 30}, fmt.Appendf(nil, "%s says %d", s.ID(), n), n*960, n%20 == 0)
		}
	}
}

// hears waits until s has opened frames of everyone given.
func (h *house) hears(s *someone, others ...*someone) {
	h.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		s.mu.Lock()
		all := true
		for _, o := range others {
			all = all && s.heard[o.ID()] >= 5
		}
		bad := fmt.Sprint(s.bad)
		s.mu.Unlock()
		if all {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s heard %v, refused %v", s.ID(), s.heard, bad)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *house) admit(chair, s *someone) {
	h.t.Helper()
	select {
	case k := <-chair.knocks:
		if err := chair.Admit(h.t.Context(), k); err != nil {
			h.t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		h.t.Fatal("nobody knocked")
	}
	h.admitted(s)
}

// D1, promise 2: three people and a recorder meet; each hears the others and
// nobody else; sound and picture travel sealed.
func TestThreePeopleAndARecorderMeet(t *testing.T) {
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"), interview.SourceAudio, interview.SourceVideo)
	h.admitted(chair)
	applicant := h.join(h.world.Person(interview.RoleApplicant, "Amal"), interview.SourceAudio, interview.SourceVideo)
	h.admit(chair, applicant)
	counsel := h.join(h.world.Person(interview.RoleCounsel, "Kaisa"), interview.SourceAudio)
	h.admit(chair, counsel)
	recorder := h.recorder()
	h.admitted(recorder)
	stop := make(chan struct{})
	defer close(stop)
	for _, s := range []*someone{chair, applicant, counsel} {
		go s.talk(stop)
	}
	h.hears(chair, applicant, counsel)
	h.hears(applicant, chair, counsel)
	h.hears(counsel, chair, applicant)

	// A6, F2: a recorder that is not on the roster is sent nothing.
	recorder.mu.Lock()
	if len(recorder.heard)+len(recorder.bad) > 0 {
		t.Errorf("the recorder got frames outside the roster: %v %v", recorder.heard, recorder.bad)
	}
	recorder.mu.Unlock()
	if err := chair.IncludeRecorder(true); err != nil {
		t.Fatal(err)
	}
	h.hears(recorder, chair, applicant, counsel)
	if a, b, c := chair.Group().SAS(), applicant.Group().SAS(), counsel.Group().SAS(); a != b || b != c || a == "" {
		t.Errorf("authentication strings differ: %q %q %q", a, b, c)
	}

	// H1: on record only while a recorder proves durable data; it ends by itself.
	if err := chair.AskPhase(t.Context(), interview.PhaseOnRecord, "start"); !errors.Is(err, problem.New(problem.CodeRecorderMissing, "")) {
		t.Fatalf("on record without a durable recorder: %v", err)
	}
	beat := func(seq int64) {
		hb := sealing.Heartbeat{Recording: interview.NewRecordingID(), State: interview.RecorderRecording, Seq: seq, Durable: recorder.Now(), Now: recorder.Now()}
		for _, s := range []*someone{chair, applicant, counsel} {
			for _, tr := range s.Tracks() {
				hb.Tracks = append(hb.Tracks, sealing.TrackDurable{Track: tr.Track, Durable: recorder.Now()})
			}
		}
		if err := recorder.Heartbeat(hb); err != nil {
			t.Error(err)
		}
	}
	beats := make(chan struct{})
	go func() {
		for seq := int64(1); ; seq++ {
			select {
			case <-beats:
				return
			case <-time.After(200 * time.Millisecond):
				beat(seq)
			}
		}
	}()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := chair.AskPhase(t.Context(), interview.PhaseOnRecord, "start")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	close(beats)
	lost := time.Now()
	for {
		select {
		case p := <-applicant.phases:
			if p.Phase != interview.PhasePaused {
				continue
			}
			if p.Cause != interview.CauseRecorderLost {
				t.Errorf("paused by %s", p.Cause)
			}
			t.Logf("left on record %v after the last heartbeat could have come", time.Since(lost))
			return
		case <-time.After(5 * time.Second):
			t.Fatal("the hearing stayed on record without a recorder")
		}
	}
}

// A connection that breaks costs nobody the seat; a reload is a new member with
// new keys at the same seat, without a second knock.
func TestAReloadBringsTheSeatBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"), interview.SourceAudio)
	h.admitted(chair)
	amal := h.world.Person(interview.RoleApplicant, "Amal")
	before := h.join(amal, interview.SourceAudio)
	h.admit(chair, before)
	before.Close()
	after := h.join(amal, interview.SourceAudio)
	h.admitted(after)
	if before.ID() == after.ID() {
		t.Fatal("a reload kept its member")
	}
	stop := make(chan struct{})
	defer close(stop)
	go chair.talk(stop)
	go after.talk(stop)
	h.hears(after, chair)
	h.hears(chair, after)
	if len(chair.knocks) > 0 {
		t.Error("the interviewer was asked twice for the same person at the same device")
	}
}

// B, C: who is refused is told the rule and the way still open; who is declined too.
func TestWhoIsKeptOutIsToldWhy(t *testing.T) {
	t.Parallel()
	h := newHouse(t, signaling.Defaults)
	chair := h.join(h.world.Person(interview.RoleInterviewer, "Irja"))
	h.admitted(chair)

	ghost := signalingtest.New().Person(interview.RoleCounsel, "Nobody")
	s := &someone{}
	cfg := h.config(s)
	cfg.Place, cfg.Prove = ghost.Place(), ghost.Prove
	_, err := member.Join(t.Context(), h.dial("ghost", ghost.Peer()), cfg)
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.CodeDeviceNotNamed || p.Rule == "" {
		t.Errorf("an unnamed device: %v", err)
	}

	declined := h.join(h.world.Person(interview.RoleApplicant, "Amal"))
	k := <-chair.knocks
	if err := chair.Request(t.Context(), wire.TypeAdmit, wire.Admit{Member: k.Member, Seats: []interview.SeatID{interview.NewSeatID()}}, nil); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("admitted as somebody else than was seen: %v", err)
	}
	if err := chair.Request(t.Context(), wire.TypeDecline, wire.Decline{Member: k.Member, Reason: "not expected"}, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-declined.ended:
		if !errors.As(err, &p) || p.Code != problem.CodeDeclined || p.Entry().Way == "" {
			t.Errorf("declined: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the declined member was told nothing")
	}
}
