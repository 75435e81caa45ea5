package interview

import "slices"

// Role is what a participant is at a hearing.
type Role string

// Roles of participants.
const (
	RoleInterviewer    Role = "interviewer"    // holds the hearing and chairs the room
	RoleApplicant      Role = "applicant"      // the person who is heard
	RoleCounsel        Role = "counsel"        // the applicant's legal counsel
	RoleInterpreter    Role = "interpreter"    // renders between languages
	RoleRepresentative Role = "representative" // acts for a child
)

// Roles of staff outside the room.
const (
	RoleSecurityOffice Role = "security-office" // manages agreements and devices; opens no recording
	RoleAdministrator  Role = "administrator"   // runs the installation; does neither
	RoleOfficer        Role = "officer"         // identifies people whom no machine can, and answers kiosks' calls
)

// Valid reports whether r is one of the roles above.
func (r Role) Valid() bool {
	return r.InRoom() || r == RoleSecurityOffice || r == RoleAdministrator || r == RoleOfficer
}

// InRoom reports whether r can hold a seat.
func (r Role) InRoom() bool {
	return slices.Contains([]Role{RoleInterviewer, RoleApplicant, RoleCounsel, RoleInterpreter, RoleRepresentative}, r)
}

// Mode is how a hearing is held.
type Mode string

// Modes of a hearing. Remote needs a written justification (row A5).
const (
	ModeInPerson Mode = "in-person"
	ModeRemote   Mode = "remote"
)

// Purpose is what a join ticket opens the door for.
type Purpose string

// Purposes of a join ticket.
const (
	PurposeHearing     Purpose = "hearing"
	PurposeReview      Purpose = "review"
	PurposePreparation Purpose = "preparation"
)

// Valid reports whether p is one of the purposes above.
func (p Purpose) Valid() bool {
	return p == PurposeHearing || p == PurposeReview || p == PurposePreparation
}

// Verdict is the outcome of any check of a person, device, document or place.
type Verdict string

// Verdicts. Only Verified and Failed are judgements of our own; a check that
// could not be made is Undetermined, and one that was not tried is NotDone.
const (
	Verified     Verdict = "verified"     // checked here, and it holds
	Asserted     Verdict = "asserted"     // somebody else says so
	Undetermined Verdict = "undetermined" // tried, no answer; never counts as failed
	Failed       Verdict = "failed"       // checked here, and it does not hold
	NotDone      Verdict = "not done"     // not tried
)

// Check is one check with its verdict and the code of its reason.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
}

// Phase is where a hearing stands. Phases belong to this package alone; other
// rooms ask for a transition.
type Phase string

// Phases of a hearing. A lost connection or recorder is a cause of Paused.
const (
	PhaseWaiting      Phase = "waiting"
	PhaseOnRecord     Phase = "on-record"
	PhasePaused       Phase = "paused"
	PhaseConsultation Phase = "consultation"
	PhaseEnded        Phase = "ended"
)

// Cause says why a phase began.
type Cause string

// Causes of a phase.
const (
	CauseOpened          Cause = "opened"           // the room was opened
	CauseInterviewer     Cause = "interviewer"      // the interviewer asked
	CauseRequested       Cause = "requested"        // somebody asked for a break
	CauseRecorderLost    Cause = "recorder-lost"    // no durable heartbeat
	CauseConnectionLost  Cause = "connection-lost"  // a needed person is out
	CauseInterviewerLost Cause = "interviewer-lost" // the roster's signer is away
	CauseAbandoned       Cause = "abandoned"        // nobody came back: it was closed at the server's console
)

// RecorderState is what a recorder says of itself: another word than the phase.
type RecorderState string

// States of a recorder.
const (
	RecorderStarting  RecorderState = "starting" // in the room, without a journal yet
	RecorderRecording RecorderState = "recording"
	RecorderBehind    RecorderState = "behind" // durable data older than 2 s
	RecorderFailed    RecorderState = "failed"
	RecorderStopped   RecorderState = "stopped"
)

// Source is what a track carries.
type Source string

// Sources of a track.
const (
	SourceAudio  Source = "audio"
	SourceVideo  Source = "video"
	SourceScreen Source = "screen"
)

// Micros is a moment on the hearing clock: microseconds since the hearing was
// opened. It is never negative within a hearing.
type Micros int64
