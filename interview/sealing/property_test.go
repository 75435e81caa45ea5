package sealing_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"kuule/interview"
	"kuule/interview/sealing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever the order of joining, leaving, pausing and resuming: who is on the
// roster reads what is sealed from then on, who is off it does not, and no key
// and counter is ever used twice.
func TestOnTheRosterReadsOffTheRosterDoesNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chairJoined, recJoined := w.Page(t, interview.RoleInterviewer), w.Recorder(t)
	others := []interview.Role{interview.RoleApplicant, interview.RoleCounsel, interview.RoleInterpreter, interview.RoleRepresentative}
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{Installation: w.Installation, t: t, group: interview.NewGroupID(), now: w.Now}
		chair, rec := w.sit(chairJoined, sealing.HearingRules()), w.sit(recJoined, sealing.HearingRules())
		everyone := []*person{chair, rec}
		for _, r := range others {
			everyone = append(everyone, w.page(r))
		}
		w.know(everyone...)
		on := []*person{chair}
		used := map[string]bool{}
		var reason string
		for step := range rapid.IntRange(1, 4).Draw(rt, "steps") {
			i := rapid.IntRange(1, len(everyone)-1).Draw(rt, "who")
			p := everyone[i]
			if at := slices.Index(on, p); at >= 0 {
				on = slices.Delete(slices.Clone(on), at, at+1)
				reason = map[bool]string{true: "pause", false: "leave"}[p == rec]
			} else {
				on = append(slices.Clone(on), p)
				reason = map[bool]string{true: "resume", false: "join"}[p == rec]
			}
			// A roster lists its members in any order.
			order := rapid.Permutation(on).Draw(rt, "order")
			w.roster(chair, order, reason, everyone...)
			pages := slices.DeleteFunc(slices.Clone(order), func(p *person) bool { return p == rec })
			for _, p := range pages {
				wraps, err := p.Wraps(p.track, interview.SourceAudio, 0)
				if err != nil {
					rt.Fatal(err)
				}
				// The network hands every wrap to everyone.
				for _, text := range wraps {
					for _, q := range everyone {
						_, err := q.AcceptWrap(text)
						if good := q.ID() == recipient(t, text); good != (err == nil) {
							rt.Fatalf("wrap for %s at %s: %v", recipient(t, text), q.ID(), err)
						}
					}
				}
			}
			w.now = w.now.Add(sealing.Grace)
			for _, speaker := range everyone {
				words := fmt.Sprintf("step %d", step)
				sealed, err := speaker.Seal(nil, speaker.track, sealing.FrameHeader{Source: interview.SourceAudio, Level: sealing.NoLevel}, []byte(words))
				if !slices.Contains(pages, speaker) {
					if err == nil {
						rt.Fatalf("%s seals from outside", speaker.ID())
					}
					continue
				}
				if err != nil {
					rt.Fatal(err)
				}
				if head := string(sealed[:min(8, len(sealed))]) + speaker.ID().String(); used[head] {
					rt.Fatal("a key and counter came twice")
				} else {
					used[head] = true
				}
				for _, hearer := range everyone {
					if hearer == speaker {
						continue
					}
					got, err := hearer.hear(speaker, sealed)
					if slices.Contains(on, hearer) {
						if err != nil || got != words {
							rt.Fatalf("on the roster, but hears %q: %v", got, err)
						}
					} else if !errors.Is(err, sealing.ErrNoKey) {
						rt.Fatalf("off the roster, but: %q %v", got, err)
					}
				}
			}
		}
	})
}

// No text of the network's own making is taken for any signed message.
func FuzzMessages(f *testing.F) {
	w := newWorld(f)
	chair, applicant, rec := w.trio()
	_, roster, _ := chair.Roster()
	wraps, err := chair.Wraps(chair.track, interview.SourceAudio, 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{chair.Statement, chair.Admission, roster, wraps[0], "", "e30.e30.AA"} {
		f.Add(text)
	}
	known := map[string]bool{roster: true}
	f.Fuzz(func(t *testing.T, text string) {
		if known[text] {
			return
		}
		if text != chair.Statement && text != applicant.Statement && text != rec.Statement {
			if _, err := applicant.AddMember(text, chair.Admission, w.now); err == nil {
				t.Error("taken for a statement")
			}
		}
		if text != chair.Admission {
			if _, err := applicant.AddMember(chair.Statement, text, w.now); err == nil {
				t.Error("taken for an admission")
			}
		}
		if _, err := applicant.ApplyRoster(text); err == nil {
			t.Error("taken for a roster")
		}
		if _, err := applicant.AcceptWrap(text); err == nil {
			t.Error("taken for a wrap")
		}
		if _, err := applicant.AcceptOrigin(text); err == nil {
			t.Error("taken for an origin list")
		}
		if _, err := applicant.AcceptHeartbeat(text); err == nil {
			t.Error("taken for a heartbeat")
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	h, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: interview.SourceVideo, Capture: 7, Level: 3})
	if err != nil || len(h) != sealing.FrameHeaderBytes {
		f.Fatal(err)
	}
	f.Add(append(h, "frame"...))
	f.Fuzz(func(t *testing.T, opened []byte) {
		h, frame, err := sealing.ParseFrame(opened)
		if err != nil {
			return
		}
		again, err := sealing.AppendFrameHeader(nil, h)
		if err != nil || string(append(again, frame...)) != string(opened) {
			t.Fatalf("%x reads as %+v", opened, h)
		}
	})
}
