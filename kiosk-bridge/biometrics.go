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

// Registry gives the pictures that the authority's register has of a person
// (rows B12, B3). None is an ordinary answer. Safe for concurrent use.
type Registry interface {
	Pictures(ctx context.Context, q RegisterQuestion) ([]Image, error)
}

// RegisterQuestion names a person to the register. Number is what the person
// typed from the document of an applicant; it may be empty.
type RegisterQuestion struct {
	Case        interview.CaseID
	Participant interview.ParticipantID
	Number      string
}

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
	CheckFingers  = "fingers"  // the prints are those in the register
	CheckLiveness = "liveness" // the live pictures are of a living person who is there
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
	if f.Unmeasured && (f.Verdict == interview.Verified || f.Verdict == interview.Failed) {
		return interview.Check{Name: name, Verdict: interview.Undetermined, Reason: f.Reason}
	}
	return interview.Check{Name: name, Verdict: f.Verdict, Reason: f.Reason}
}
