package sealing_test

import (
	"crypto/ecdsa"
	"errors"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
)

// world is one hearing with its installation and a clock that tests move.
type world struct {
	*sealingtest.Installation
	t     testing.TB
	group interview.GroupID
	now   time.Time
}

func newWorld(t testing.TB) *world {
	now := time.Unix(1_780_000_000, 0)
	return &world{Installation: sealingtest.New(t, now), t: t, group: interview.NewGroupID(), now: now}
}

// person is a member together with its state of the group.
type person struct {
	*sealingtest.Joined
	*sealing.Group
	track interview.TrackID
}

func (w *world) sit(j *sealingtest.Joined, rules sealing.Rules) *person {
	w.t.Helper()
	g, err := sealing.NewGroup(sealing.Config{
		Trust: w.Trust(), Self: j.Identity, Hearing: w.Hearing, Group: w.group, Rules: rules,
		Now: func() time.Time { return w.now },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return &person{Joined: j, Group: g, track: interview.NewTrackID()}
}

func (w *world) page(roles ...interview.Role) *person {
	w.t.Helper()
	return w.sit(w.Page(w.t, roles...), sealing.HearingRules())
}

func (w *world) recorder() *person {
	w.t.Helper()
	return w.sit(w.Recorder(w.t), sealing.HearingRules())
}

// know shows every member to every other.
func (w *world) know(people ...*person) {
	w.t.Helper()
	for _, p := range people {
		for _, q := range people {
			if _, err := p.AddMember(q.Statement, q.Admission, w.now); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// roster has the chair sign a roster of members, and everyone told apply it.
func (w *world) roster(chair *person, members []*person, reason string, told ...*person) string {
	w.t.Helper()
	text, err := chair.SignRoster(ids(members), reason, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range told {
		if _, err := p.ApplyRoster(text); err != nil {
			w.t.Fatal(err)
		}
	}
	return text
}

// wrap has every page of people give its audio key, and deliver it to whom it is for.
func (w *world) wrap(people ...*person) {
	w.t.Helper()
	for _, p := range people {
		wraps, err := p.Wraps(p.track, interview.SourceAudio, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, text := range wraps {
			for _, q := range people {
				if q.ID() == recipient(w.t, text) {
					if _, err := q.AcceptWrap(text); err != nil && !errors.Is(err, sealing.ErrReplay) {
						w.t.Fatal(err)
					}
				}
			}
		}
	}
	w.now = w.now.Add(sealing.Grace)
}

func recipient(t testing.TB, wrap string) interview.MemberID {
	t.Helper()
	var v sealing.Wrap
	if err := jws.Peek(wrap, sealing.TypeWrap, &v); err != nil {
		t.Fatal(err)
	}
	return v.Recipient
}

func wrapFor(t testing.TB, wraps []string, id interview.MemberID) string {
	t.Helper()
	for _, text := range wraps {
		if recipient(t, text) == id {
			return text
		}
	}
	t.Fatalf("no wrap for %s", id)
	return ""
}

func (p *person) say(t testing.TB, words string) []byte {
	t.Helper()
	out, err := p.Seal(nil, p.track, sealing.FrameHeader{Source: interview.SourceAudio, Capture: 42, Level: 30}, []byte(words))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *person) hear(from *person, sealed []byte) (string, error) {
	_, frame, err := p.Open(nil, from.ID(), from.track, sealed)
	return string(frame), err
}

func ids(people []*person) []interview.MemberID {
	out := make([]interview.MemberID, len(people))
	for i, p := range people {
		out[i] = p.ID()
	}
	return out
}

func sign(t testing.TB, payload any, typ string, key *ecdsa.PrivateKey) string {
	t.Helper()
	text, err := jws.Sign(payload, typ, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func pageKey(p *person) *ecdsa.PrivateKey { return p.Identity.Signer().(*ecdsa.PrivateKey) }

// trio is an interviewer who chairs, an applicant and a recorder, all sealed
// to each other in epoch 1.
func (w *world) trio() (chair, applicant, rec *person) {
	chair, applicant, rec = w.page(interview.RoleInterviewer), w.page(interview.RoleApplicant, interview.RoleCounsel), w.recorder()
	w.know(chair, applicant, rec)
	w.roster(chair, []*person{chair, applicant, rec}, "join", applicant, rec)
	pages := []*person{chair, applicant}
	for _, p := range pages {
		wraps, err := p.Wraps(p.track, interview.SourceAudio, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, q := range []*person{chair, applicant, rec} {
			if q != p {
				if _, err := q.AcceptWrap(wrapFor(w.t, wraps, q.ID())); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	return chair, applicant, rec
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}
