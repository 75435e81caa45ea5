package interview_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"kuule/internal/problem"
	"kuule/interview"
)

var (
	phases = []interview.Phase{interview.PhaseWaiting, interview.PhaseOnRecord, interview.PhasePaused, interview.PhaseConsultation, interview.PhaseEnded}
	causes = []interview.Cause{
		interview.CauseOpened, interview.CauseInterviewer, interview.CauseRequested,
		interview.CauseRecorderLost, interview.CauseConnectionLost, interview.CauseInterviewerLost, interview.CauseAbandoned,
	}
	roles = []interview.Role{
		"", interview.RoleInterviewer, interview.RoleApplicant, interview.RoleCounsel, interview.RoleInterpreter,
		interview.RoleRepresentative, interview.RoleSecurityOffice, interview.RoleAdministrator,
	}
)

// H1, E2: whatever is asked in whatever order, the promises of the phases hold.
func TestPhasesKeepTheirPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		state := interview.Opened()
		var now interview.Micros
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += interview.Micros(rapid.Int64Range(-3, 1000).Draw(t, "passes"))
			ask := interview.Ask{
				To: rapid.SampledFrom(phases).Draw(t, "to"), Cause: rapid.SampledFrom(causes).Draw(t, "cause"),
				Role: rapid.SampledFrom(roles).Draw(t, "role"), At: now,
			}
			if ask.Role != "" {
				ask.By = interview.NewParticipantID()
			}
			c := interview.Conditions{Recorder: rapid.Bool().Draw(t, "recorder")}
			next, err := state.Next(ask, c)
			if err != nil {
				var p *problem.Error
				if !errors.As(err, &p) || p.Rule == "" {
					t.Fatalf("refusal without a rule: %v", err)
				}
				if next != (interview.State{}) {
					t.Fatal("a refusal changed the state")
				}
				continue
			}
			switch {
			case state.Phase == interview.PhaseEnded:
				t.Fatal("something came after the end")
			case next.Phase == interview.PhaseOnRecord && !c.Recorder:
				t.Fatal("on record without a durable recorder")
			case next.Phase == interview.PhaseOnRecord && ask.Role != interview.RoleInterviewer:
				t.Fatalf("%q put the hearing on record", ask.Role)
			case ask.Cause == interview.CauseAbandoned && (next.Phase != interview.PhaseEnded || ask.Role != ""):
				t.Fatalf("%q went to %s as abandoned", ask.Role, next.Phase)
			case state.Phase == interview.PhasePaused && ask.Role != interview.RoleInterviewer && ask.Cause != interview.CauseAbandoned:
				t.Fatalf("%q ended a pause", ask.Role)
			case next.Phase == interview.PhaseWaiting:
				t.Fatal("a hearing went back to waiting")
			case next.Since < state.Since || next.Seq != state.Seq+1:
				t.Fatalf("time or order ran backwards: %+v then %+v", state, next)
			}
			state = next
		}
	})
}

// H1: the recorder's loss pauses within 2 s; nothing but the interviewer resumes.
func TestWatchPausesWhenRecorderOrChairIsGone(t *testing.T) {
	t.Parallel()
	onRecord := interview.State{Phase: interview.PhaseOnRecord, Since: 10_000_000, Seq: 2}
	for name, c := range map[string]struct {
		state interview.State
		now   interview.Micros
		seen  interview.Seen
		cause interview.Cause
	}{
		"all is well":                    {onRecord, 60_000_000, interview.Seen{Recorder: 59_000_000, Interviewer: 60_000_000, Chaired: true}, ""},
		"recorder just in time":          {onRecord, 60_000_000, interview.Seen{Recorder: 58_500_001, Chaired: true}, ""},
		"recorder silent":                {onRecord, 60_000_000, interview.Seen{Recorder: 58_500_000, Chaired: true}, interview.CauseRecorderLost},
		"recorder has not begun yet":     {onRecord, 11_000_000, interview.Seen{Recorder: 0, Chaired: true}, ""},
		"chair away 29 s":                {onRecord, 60_000_000, interview.Seen{Recorder: 60_000_000, Interviewer: 31_000_000}, ""},
		"chair away 30 s":                {onRecord, 60_000_000, interview.Seen{Recorder: 60_000_000, Interviewer: 30_000_000}, interview.CauseInterviewerLost},
		"nothing to watch in a pause":    {interview.State{Phase: interview.PhasePaused}, 60_000_000, interview.Seen{}, ""},
		"a consultation is not recorded": {interview.State{Phase: interview.PhaseConsultation}, 60_000_000, interview.Seen{}, ""},
	} {
		ask, due := c.state.Watch(c.now, c.seen)
		if due != (c.cause != "") || ask.Cause != c.cause {
			t.Errorf("%s: got %v %q, want %q", name, due, ask.Cause, c.cause)
			continue
		}
		if !due {
			continue
		}
		paused, err := c.state.Next(ask, interview.Conditions{})
		if err != nil || paused.Phase != interview.PhasePaused {
			t.Errorf("%s: what the watch demands was refused: %v", name, err)
		}
	}
}
