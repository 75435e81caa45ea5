package kioskbridge

import (
	"context"
	"log/slog"

	"kuule/interview"
)

// Modality is a part of the body that can be compared.
type Modality string

// Modalities.
const (
	ModalityFace    Modality = "face"
	ModalityFingers Modality = "fingers"
)

// Image is one picture of a person. It lives as long as the call that it is
// given to and never prints itself.
type Image struct {
	Kind, Format string
	Bytes        []byte
}

func (Image) String() string       { return "redacted image" }
func (Image) GoString() string     { return "redacted image" }
func (Image) LogValue() slog.Value { return slog.StringValue("redacted") }

// Finding is what an engine says of pictures.
type Finding struct {
	Verdict    interview.Verdict
	Reason     string
	Score      int64  // millionths, -1,000,000 to 1,000,000
	Threshold  string // id of the threshold that was used
	Engine     string // name and version
	Unmeasured bool   // a reference engine whose errors nobody measured: it decides nothing alone
}

// MatchQuestion asks whether live pictures show whom the reference shows.
type MatchQuestion struct {
	Modality  Modality
	Live      []Image
	Reference Image
}

// Matcher compares one to one. An error means that it could not be asked: the
// visit goes on. It keeps nothing of the pictures (row B19). Safe for concurrent
// use.
type Matcher interface {
	Match(ctx context.Context, q MatchQuestion) (Finding, error)
}

// Liveness judges whether live pictures were taken of a living person who is
// there: presentation-attack detection. Safe for concurrent use.
type Liveness interface {
	Live(ctx context.Context, m Modality, live []Image, order []string) (Finding, error)
}

// Registry tells what the authority's register has of one person (rows B12, B3,
// B4). That there is nobody is an ordinary answer. Nothing that was taken of the
// person is shown to it (row K10). Safe for concurrent use.
type Registry interface {
	Person(ctx context.Context, q RegisterQuestion) (Registered, error)
}

// RegisterQuestion names a person to the register by the case, and by what the
// person typed from the document of an applicant; visit and hearing are for the
// register's own log. Only pictures that will be compared are asked for.
type RegisterQuestion struct {
	Visit   interview.VisitID
	Hearing interview.HearingID
	Diary   string
	Number  string // may be empty
	Face    bool
	Fingers bool
}

func (q RegisterQuestion) compares() bool { return q.Face || q.Fingers }

// Registered is a person as the register has them. The pictures are of kinds face
// and finger-1 to finger-10 (ISO/IEC 19794-4 positions), one of each at most.
type Registered struct {
	Found    bool
	Person   Person
	Pictures []Image
}

func (Registered) String() string       { return "redacted person" }
func (Registered) GoString() string     { return "redacted person" }
func (Registered) LogValue() slog.Value { return slog.StringValue("redacted") }

// DuplicateSearch hands in a search one to many (row B5). Visit is its
// idempotency key.
type DuplicateSearch struct {
	Visit       interview.VisitID
	Case        interview.CaseID
	Participant interview.ParticipantID
	Probes      []Image
}

// Duplicates takes searches and answers at once: what is found goes to officers
// by its own way, never back through a visit. Safe for concurrent use.
type Duplicates interface {
	Submit(ctx context.Context, s DuplicateSearch) error
}

// Names of the checks that engines answer.
const (
	CheckFingers      = "fingers"       // the prints are those in the register
	CheckRegisterFace = "face-register" // the live pictures are of who is on the register's (row B3)
	CheckLiveness     = "liveness"      // the live pictures are of a living person who is there
)

// Reasons of those checks, beside the engines' own.
const (
	reasonEngineAbsent = "engine-absent" // there is one, and it does not answer
	reasonNoEngine     = "no-engine"
	reasonNoReference  = "no-reference" // nothing to compare with
	reasonNotTaken     = "not-taken"    // no live picture
)

// judge makes a check of what an engine said. An engine that nobody measured
// decides nothing alone: its yes and its no are both left to a person.
func (f Finding) judge(name string) interview.Check {
	if f.Unmeasured && f.Verdict != interview.NotDone {
		return interview.Check{Name: name, Verdict: interview.Undetermined, Reason: f.Reason}
	}
	return interview.Check{Name: name, Verdict: f.Verdict, Reason: f.Reason}
}
