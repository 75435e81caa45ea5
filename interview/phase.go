package interview

import (
	"time"

	"kuule/internal/problem"
)

// Bounds of the watch over a hearing.
const (
	RecorderSilence = 1500 * time.Millisecond // without durable progress, recording has stopped (H1: visible within 2 s)
	InterviewerAway = 30 * time.Second        // nobody chairs: the hearing pauses
)

// State is the phase of a hearing, why it began and since when.
type State struct {
	Phase  Phase         `json:"phase"`
	Cause  Cause         `json:"cause"`
	Since  Micros        `json:"since"`
	By     ParticipantID `json:"by"`     // who asked; zero when nobody did
	Reason string        `json:"reason"` // who wanted it and why, in words (E2)
	Seq    int64         `json:"seq"`    // of phases, from 1
}

// Ask asks for a transition.
type Ask struct {
	To     Phase
	Cause  Cause
	By     ParticipantID
	Role   Role // of By; "" when the watch asks
	Reason string
	At     Micros
}

// Conditions are what must be known to decide on a transition.
type Conditions struct {
	Recorder bool // a recorder's signed heartbeat shows durable data now
}

// Opened is the first state of every hearing.
func Opened() State { return State{Phase: PhaseWaiting, Cause: CauseOpened, Seq: 1} }

// Next decides on a transition. It is pure: the same state, ask and conditions
// always give the same answer. Problems: CodePhase where the transition does
// not exist or the role may not ask, CodeRecorderMissing (H1), CodeClock where
// time would run backwards.
func (s State) Next(a Ask, c Conditions) (State, error) {
	if err := s.check(a); err != nil {
		return State{}, err
	}
	if a.To == PhaseOnRecord && !c.Recorder {
		return State{}, problem.Refused(problem.CodeRecorderMissing, "phase-recorder-durable", "no recorder shows durable data")
	}
	return State{Phase: a.To, Cause: a.Cause, Since: a.At, By: a.By, Reason: a.Reason, Seq: s.Seq + 1}, nil
}

func (s State) check(a Ask) error {
	refuse := func(rule string) error {
		return problem.Refused(problem.CodePhase, rule, "from %s to %s (%s)", s.Phase, a.To, a.Cause)
	}
	if s.Phase == PhaseEnded {
		return refuse("phase-ended-is-final")
	}
	causes, known := transitions[step{s.Phase, a.To}]
	if !known {
		return refuse("phase-transitions")
	}
	asker, ok := causes[a.Cause]
	if !ok {
		return refuse("phase-causes")
	}
	// People ask in their role; the watch asks for itself and names nobody.
	if asker != a.Role || (asker == "") != a.By.IsZero() {
		return refuse("phase-asked-by-interviewer")
	}
	if a.At < s.Since {
		return problem.Refused(problem.CodeClock, "phase-time-grows", "phase at %d µs cannot begin before %d µs", a.At, s.Since)
	}
	return nil
}

type step struct{ from, to Phase }

// transitions names every step that exists and, for each cause, whose it is:
// the interviewer's, or nobody's (the watch). A hearing that paused for any
// cause goes on only when the interviewer resumes it.
var transitions = map[step]map[Cause]Role{
	{PhaseWaiting, PhaseOnRecord}:     byInterviewer,
	{PhaseWaiting, PhaseConsultation}: byInterviewer,
	{PhaseWaiting, PhaseEnded}:        orAbandoned,

	{PhaseOnRecord, PhasePaused}: {
		CauseInterviewer: RoleInterviewer, CauseRequested: RoleInterviewer,
		CauseRecorderLost: "", CauseConnectionLost: "", CauseInterviewerLost: "",
	},
	{PhaseOnRecord, PhaseConsultation}: byInterviewer,
	{PhaseOnRecord, PhaseEnded}:        orAbandoned,

	{PhasePaused, PhaseOnRecord}:     byInterviewer,
	{PhasePaused, PhaseConsultation}: byInterviewer,
	{PhasePaused, PhaseEnded}:        orAbandoned,

	// A consultation is outside the recorder's and the interviewer's reach, so
	// losing either of them does not end it.
	{PhaseConsultation, PhaseOnRecord}: byInterviewer,
	{PhaseConsultation, PhasePaused}:   byInterviewer,
	{PhaseConsultation, PhaseEnded}:    orAbandoned,
}

var byInterviewer = map[Cause]Role{CauseInterviewer: RoleInterviewer, CauseRequested: RoleInterviewer}

// orAbandoned lets a hearing end, too, that nobody came back to.
var orAbandoned = map[Cause]Role{CauseInterviewer: RoleInterviewer, CauseRequested: RoleInterviewer, CauseAbandoned: ""}

// Seen is when, on the hearing clock, something was last heard of those that a
// hearing on record cannot do without.
type Seen struct {
	Recorder    Micros // end of the durable data, by the best recorder's heartbeat
	Interviewer Micros // the chair's page was connected
	Chaired     bool   // the chair's page is connected now
}

// Watch says which transition the passing of time demands at now, if any.
func (s State) Watch(now Micros, seen Seen) (Ask, bool) {
	if s.Phase != PhaseOnRecord {
		return Ask{}, false
	}
	if now-max(seen.Recorder, s.Since) >= Micros(RecorderSilence.Microseconds()) {
		return Ask{To: PhasePaused, Cause: CauseRecorderLost, At: now}, true
	}
	if !seen.Chaired && now-seen.Interviewer >= Micros(InterviewerAway.Microseconds()) {
		return Ask{To: PhasePaused, Cause: CauseInterviewerLost, At: now}, true
	}
	return Ask{}, false
}
