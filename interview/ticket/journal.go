package ticket

import (
	"errors"
	"fmt"
	"regexp"

	"kuule/interview"
)

// StepName names a step of a visit.
type StepName string

// Steps that the bridge asks for, in the order of a whole visit. A kiosk may
// journal steps of its own beside them (language, payment, printing).
const (
	StepCode      StepName = "code"      // the reference on the invitation
	StepDocument  StepName = "document"  // the document's optical zone
	StepApplicant StepName = "applicant" // the number of the document of an applicant (Regulation (EU) 2024/1348, Article 29)
	StepChip      StepName = "chip"      // the document's chip
	StepFace      StepName = "face"      // live pictures of the face
	StepFingers   StepName = "fingers"   // fingerprints
	StepSignature StepName = "signature" // a signature over a text that was shown
	StepPhoto     StepName = "photo"     // a photograph for a card
	StepScan      StepName = "scan"      // papers that somebody brought
	StepChecks    StepName = "checks"    // the bridge's own work: comparing and deciding
)

// StepNames are those steps.
var StepNames = []StepName{StepCode, StepDocument, StepApplicant, StepChip, StepFace, StepFingers, StepSignature, StepPhoto, StepScan, StepChecks}

// StepResult is how a step ended.
type StepResult string

// Results of a step. A kiosk says no more than that something was so: what was
// worked out anew by the bridge is verified.
const (
	StepVerified     StepResult = "verified"
	StepAsserted     StepResult = "asserted"
	StepNotAvailable StepResult = "notAvailable" // the kiosk or the person does not have it
	StepFailed       StepResult = "failed"       // tried, and it did not come about
)

// Artefact is something that a step brought, by its hash.
type Artefact struct {
	Kind   string `json:"kind"`
	SHA256 string `json:"sha256"` // base64url, of the bytes
}

// Step is one step as it was. Times are milliseconds of one stopwatch, which
// began when somebody touched the kiosk: no clock of the wall has to be right.
type Step struct {
	Step      StepName   `json:"step"`
	Began     int64      `json:"began"`
	Ended     int64      `json:"ended"`
	Result    StepResult `json:"result"`
	Reason    string     `json:"reason,omitempty"`
	Tries     int        `json:"tries"`
	Artefacts []Artefact `json:"artefacts,omitempty"`
}

// Help is a call for help in the course of a visit.
type Help struct {
	Step StepName `json:"step"`
	At   int64    `json:"at"`
}

// Journal is what a kiosk noted of a visit: the text whose hash stands in the
// evidence for which it vouches.
type Journal struct {
	V      int               `json:"v"`
	Visit  interview.VisitID `json:"visit"`
	Nonce  string            `json:"nonce"`
	Policy string            `json:"policy"`
	Sent   int64             `json:"sent"` // on the stopwatch
	Steps  []Step            `json:"steps"`
	Help   []Help            `json:"help,omitempty"`
}

// Bounds of a journal.
const (
	MaxSteps   = 64
	MaxTries   = 99
	maxWatch   = 60 * 60 * 1000 // of the stopwatch: an hour
	maxPerStep = 16             // artefacts
)

// ErrJournal says that a journal does not hold together.
var ErrJournal = errors.New("journal of a visit does not hold together")

var (
	journalWord = regexp.MustCompile(`^[a-z][a-zA-Z0-9-]{0,31}$`)
	hashText    = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// Check refuses a journal that no kiosk writes: out of bounds, or with results
// that are not a kiosk's to give.
func (j Journal) Check() error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrJournal, what) }
	switch {
	case j.V != 1:
		return wrong("unknown version")
	case len(j.Steps) > MaxSteps || len(j.Help) > MaxSteps:
		return wrong("too many steps")
	case j.Sent < 0 || j.Sent > maxWatch:
		return wrong("stopwatch out of bounds")
	}
	for _, s := range j.Steps {
		switch {
		case s.Result != StepAsserted && s.Result != StepNotAvailable && s.Result != StepFailed:
			return wrong("a result that is not the kiosk's to give")
		case s.Began < 0 || s.Ended < s.Began || s.Ended > j.Sent:
			return wrong("a step ends before it begins, or after the journal")
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	for _, h := range j.Help {
		if !journalWord.MatchString(string(h.Step)) || h.At < 0 || h.At > j.Sent {
			return wrong("a call for help at no time of the visit")
		}
	}
	return nil
}

func (s Step) check() error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrJournal, what) }
	switch {
	case !journalWord.MatchString(string(s.Step)):
		return wrong("a step without a name")
	case s.Reason != "" && !journalWord.MatchString(s.Reason):
		return wrong("a reason that is no word")
	case s.Tries < 0 || s.Tries > MaxTries:
		return wrong("tries out of bounds")
	case len(s.Artefacts) > maxPerStep:
		return wrong("too many artefacts")
	}
	for _, a := range s.Artefacts {
		if !journalWord.MatchString(a.Kind) || !hashText.MatchString(a.SHA256) {
			return wrong("an artefact without kind or hash")
		}
	}
	return nil
}

// Steps is the bridge's own account of a visit, with the verdicts on what the
// kiosk noted. The salt keeps the kiosk, which learns the hash, from guessing
// them.
type Steps struct {
	Salt    string `json:"salt"` // base64url, 16 bytes
	Policy  string `json:"policy"`
	Steps   []Step `json:"steps"`
	Placed  int64  `json:"placed"`  // when the document first lay there, on the stopwatch
	Verdict int64  `json:"verdict"` // when the bridge had decided
}

// Took is how long the visit took from the first document placed to the verdict,
// in milliseconds (row B10).
func (s Steps) Took() int64 { return max(0, s.Verdict-s.Placed) }

// Slowest is the step that took longest of those the visit waited for.
func (s Steps) Slowest() (name StepName, took int64) {
	for _, step := range s.Steps {
		if d := step.Ended - step.Began; d > took {
			name, took = step.Step, d
		}
	}
	return name, took
}
