package member_test

import (
	"context"
	"encoding/base64"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/member"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
	"kuule/interview/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a captured door: it says what the test has it say.
type door struct {
	t    *testing.T
	in   chan wire.Message
	said chan wire.Message
	once sync.Once
}

func (d *door) Send(m wire.Message) error {
	d.said <- m
	return nil
}
func (d *door) Receive() <-chan wire.Message { return d.in }
func (d *door) Close()                       { d.once.Do(func() { close(d.in) }) }

func (d *door) says(typ wire.Type, re int64, body any) {
	d.t.Helper()
	m, err := wire.New(typ, body)
	if err != nil {
		d.t.Fatal(err)
	}
	m.Re = re
	d.in <- m
}

// hears waits for a message of a type.
func (d *door) hears(typ wire.Type) wire.Message {
	d.t.Helper()
	for {
		select {
		case m := <-d.said:
			if m.Type == typ {
				return m
			}
		case <-time.After(10 * time.Second):
			d.t.Fatalf("no %s came", typ)
		}
	}
}

// scene is a chair's member at a captured door, with whom it believes in.
type scene struct {
	*member.Member
	door      *door
	inst      *sealingtest.Installation
	group     interview.GroupID
	own       wire.MemberView
	believed  chan []wire.MemberView
	ended     chan error
	admission string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{
		door: &door{t: t, in: make(chan wire.Message, 100), said: make(chan wire.Message, 100)},
		inst: sealingtest.New(t, time.Now()), group: interview.NewGroupID(),
		believed: make(chan []wire.MemberView, 10), ended: make(chan error, 1),
	}
	// The person's device and seat are made by a page that never joins.
	host := s.inst.Page(t, interview.RoleInterviewer)
	var statement string
	cfg := member.Config{
		Hearing: s.inst.Hearing, Trust: s.inst.Trust(),
		Place: sealing.Place{Kind: sealing.KindPage, Device: host.Device, Seats: []interview.SeatID{host.Seats[0].Seat}},
		Prove: func(_ context.Context, st sealing.Statement) (string, wire.Proof, error) {
			text, err := sealing.SignWith(host.Key, host.Cert)(st)
			statement = text
			return text, wire.Proof{}, err
		},
		On: member.Events{
			Members: func(v []wire.MemberView) { s.believed <- v },
			Ended:   func(err error) { s.ended <- err },
		},
	}
	s.door.says(wire.TypeWelcome, 1, wire.Welcome{Group: s.group, Chair: true})
	m, err := member.Join(t.Context(), s.door, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s.Member = m
	a := s.inst.AdmissionOf(host, sealing.KindPage)
	a.Member, a.Statement = m.ID(), jws.Hash(statement)
	s.admission = s.inst.Admit(t, a)
	s.own = wire.MemberView{Member: m.ID(), Kind: sealing.KindPage, Statement: statement, Admission: s.admission, Seats: shown(host), Connected: true}
	return s
}

// shown are a joined page's seats as an honest door shows them.
func shown(j *sealingtest.Joined) []wire.SeatView {
	var out []wire.SeatView
	for _, a := range j.Seats {
		out = append(out, wire.SeatView{Seat: a.Seat, Participant: a.Participant, Role: a.Role, Name: "Name of the " + string(a.Role), Salt: base64.RawURLEncoding.EncodeToString(sealingtest.Salt)})
	}
	return out
}

func view(j *sealingtest.Joined, kind string) wire.MemberView {
	return wire.MemberView{Member: j.ID(), Kind: kind, Statement: j.Statement, Admission: j.Admission, Seats: shown(j), Connected: true}
}

func (s *scene) roster() sealing.Roster {
	s.door.t.Helper()
	var r sealing.Roster
	var b wire.Roster
	if err := s.door.hears(wire.TypeRoster).Read(&b); err != nil {
		s.door.t.Fatal(err)
	}
	if err := jws.Peek(b.Roster, sealing.TypeRoster, &r); err != nil {
		s.door.t.Fatal(err)
	}
	return r
}

// Promise 2: a page believes what was signed, not what the door shows. In a
// pause nobody but pages is on the roster, whatever a recorder is called.
func TestACapturedDoorIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(page, recorder *wire.MemberView){
		"recorder shown as a page":   func(_, r *wire.MemberView) { r.Kind = sealing.KindPage },
		"another name":               func(p, _ *wire.MemberView) { p.Seats[0].Name = "Somebody Else" },
		"another role":               func(p, _ *wire.MemberView) { p.Seats[0].Role = interview.RoleCounsel },
		"another member":             func(p, _ *wire.MemberView) { p.Member = interview.NewMemberID() },
		"a person on the seat less":  func(p, _ *wire.MemberView) { p.Seats = nil },
		"an admission of another":    func(p, r *wire.MemberView) { p.Admission = r.Admission },
		"a statement that is no JWS": func(p, _ *wire.MemberView) { p.Statement = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			page, recorder := view(s.inst.Page(t, interview.RoleApplicant), sealing.KindPage), view(s.inst.Recorder(t), sealing.KindRecorder)
			honest := s.inst.Page(t, interview.RoleInterpreter)
			spoil(&page, &recorder)
			s.door.says(wire.TypeMembers, 0, wire.Members{Members: []wire.MemberView{s.own, page, recorder, view(honest, sealing.KindPage)}})
			<-s.believed
			on := map[interview.MemberID]bool{}
			for _, m := range s.roster().Members {
				on[m.Member] = true
			}
			if !on[honest.ID()] || !on[s.ID()] {
				t.Error("the honest are not on the roster")
			}
			spoiled := page.Member
			if name == "recorder shown as a page" {
				spoiled = recorder.Member
			}
			if on[spoiled] || on[recorder.Member] {
				t.Error("who was shown falsely is on the roster")
			}
		})
	}
}

// Before it has seen itself on the list, a chair signs nothing: the rosters
// that came before it are still on their way.
func TestAChairWaitsForWhatCameBefore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.inst.Page(t, interview.RoleApplicant)
	s.door.says(wire.TypeMembers, 0, wire.Members{Members: []wire.MemberView{view(other, sealing.KindPage)}})
	<-s.believed
	s.door.says(wire.TypeMembers, 0, wire.Members{Members: []wire.MemberView{s.own, view(other, sealing.KindPage)}})
	if r := s.roster(); r.Epoch != 1 || len(r.Members) != 2 {
		t.Errorf("first roster: %+v", r)
	}
}

// A chair whose roster is refused ends: its keys and the room's have parted.
func TestAChairWhoseRosterIsRefusedEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.door.says(wire.TypeProblem, 0, problem.Of(problem.New(problem.CodeRosterInvalid, "epoch")))
	select {
	case err := <-s.ended:
		if !errors.Is(err, problem.New(problem.CodeRosterInvalid, "")) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it went on")
	}
}

// An admission that is said twice opens one media connection and breaks nothing.
func TestAnAdmissionSaidTwice(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.door.says(wire.TypeAdmitted, 0, wire.Admitted{Admission: s.admission})
	s.door.says(wire.TypeAdmitted, 0, wire.Admitted{Admission: s.admission})
	s.door.hears(wire.TypeOffer)
	s.door.says(wire.TypeMembers, 0, wire.Members{Members: []wire.MemberView{s.own}})
	s.roster()
	for len(s.door.said) > 0 {
		if m := <-s.door.said; m.Type == wire.TypeOffer {
			t.Error("a second offer was made")
		}
	}
}

// A request whose answer never comes is given up and forgotten.
func TestARequestIsBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.AskPhase(ctx, interview.PhasePaused, "test"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
