package vendorport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"kuule/interview"
)

// Words of a judgement.
const (
	BonaFide  = "bona-fide"
	Suspected = "attack-suspected"
	Undecided = "undecided"
	Match     = "match"
	NoMatch   = "no-match"
	Genuine   = "genuine"
	Suspect   = "suspect"
)

// Assess asks whether pictures were taken of a living person who is there
// (presentation-attack detection, ISO/IEC 30107-3).
type Assess struct {
	Modality string    `json:"modality"` // face or finger
	Frames   []Picture `json:"frames"`   // one at least
	Order    []string  `json:"order"`    // what the person was asked to do, a word for each frame; may be empty
}

// Assessment answers it. A suspicion sends the person to a person.
type Assessment struct {
	Verdict   string    `json:"verdict"` // bona-fide, attack-suspected, undecided
	Score     int       `json:"score"`
	Threshold Threshold `json:"threshold"`
	Algorithm string    `json:"algorithm"`
}

func (a *Assessment) valid() error {
	if !slices.Contains([]string{BonaFide, Suspected, Undecided}, a.Verdict) {
		return fmt.Errorf("%w: a verdict of another kind", ErrAnswer)
	}
	return scored(a.Score, a.Threshold, a.Algorithm)
}

// Judgement is our word for the maker's.
func (a *Assessment) Judgement() interview.Verdict { return asserted(a.Verdict == BonaFide) }

func asserted(yes bool) interview.Verdict {
	if yes {
		return interview.Asserted
	}
	return interview.Undetermined
}

// Template is a biometric template: opaque bytes of a named format. It never
// prints itself.
type Template struct {
	Format string `json:"format"` // FormatFinger, or a word of the maker's
	Data   []byte `json:"data"`
}

func (Template) String() string   { return "redacted template" }
func (Template) GoString() string { return "redacted template" }

// FormatFinger is ISO/IEC 19794-2:2005, finger minutiae, record format.
const FormatFinger = "iso-19794-2-2005"

func (t Template) valid() error {
	if !word.MatchString(t.Format) || len(t.Data) == 0 || len(t.Data) > MaxPicture {
		return fmt.Errorf("%w: a template of format and 1 to %d bytes", ErrAnswer, MaxPicture)
	}
	return nil
}

// Capture asks the scanner for one finger.
type Capture struct {
	Finger  int `json:"finger"`  // 1 right thumb ... 5 right little, 6 left thumb ... 10 left little (ISO/IEC 19794-2)
	Attempt int `json:"attempt"` // from 1
	Wait    int `json:"wait"`    // milliseconds until the person has laid it on
}

// Reasons of a capture that did not come about.
const (
	ReasonTimedOut   = "timed-out"
	ReasonPartBroken = "part-broken"
	ReasonLifted     = "lifted-too-early"
)

// Captured answers it.
type Captured struct {
	Taken    bool     `json:"taken"`
	Reason   string   `json:"reason"`   // where it was not taken: timed-out, part-broken, lifted-too-early
	Quality  int      `json:"quality"`  // NFIQ 2, 0 to 100 (ISO/IEC 29794-4)
	Template Template `json:"template"` // where it was taken
}

func (c *Captured) valid() error {
	if !c.Taken {
		if !slices.Contains([]string{ReasonTimedOut, ReasonPartBroken, ReasonLifted}, c.Reason) || len(c.Template.Data) > 0 {
			return fmt.Errorf("%w: nothing was taken, and the reason is none of the contract", ErrAnswer)
		}
		return nil
	}
	if c.Reason != "" || c.Quality < 0 || c.Quality > 100 {
		return fmt.Errorf("%w: a quality of %d, NFIQ 2 goes from 0 to 100", ErrAnswer, c.Quality)
	}
	return c.Template.valid()
}

// CompareFingers asks whether a template is of one of the fingers of the
// references.
type CompareFingers struct {
	Probe      Template   `json:"probe"`
	References []Template `json:"references"` // 1 to 10
}

// CompareFaces asks whether live pictures show whom the reference shows.
type CompareFaces struct {
	Live      []Picture `json:"live"`
	Reference Picture   `json:"reference"`
}

// Compared answers both.
type Compared struct {
	Verdict   string    `json:"verdict"` // match, no-match, undecided
	Reason    string    `json:"reason"`  // a word, where it is undecided: no-face, several-faces, low-quality ...
	Score     int       `json:"score"`
	Threshold Threshold `json:"threshold"`
	Algorithm string    `json:"algorithm"`
}

func (c *Compared) valid() error {
	switch c.Verdict {
	case Match, NoMatch:
		if c.Reason != "" {
			return fmt.Errorf("%w: a reason beside a decision", ErrAnswer)
		}
	case Undecided:
		if !word.MatchString(c.Reason) || len(c.Reason) > 40 {
			return fmt.Errorf("%w: undecided without a reason of one word", ErrAnswer)
		}
	default:
		return fmt.Errorf("%w: a verdict of another kind", ErrAnswer)
	}
	if err := scored(c.Score, c.Threshold, c.Algorithm); err != nil {
		return err
	}
	if c.Verdict == Match && c.Score < c.Threshold.Score || c.Verdict == NoMatch && c.Score >= c.Threshold.Score {
		return fmt.Errorf("%w: the verdict is not what score and threshold say", ErrAnswer)
	}
	return nil
}

// Judgement is our word for the maker's.
func (c *Compared) Judgement() interview.Verdict { return asserted(c.Verdict == Match) }

// Inspect asks a document reader for what lies on it.
type Inspect struct {
	Wait int `json:"wait"` // milliseconds until a document lies there
}

// Inspected answers it.
type Inspected struct {
	Present   bool      `json:"present"`
	Zone      string    `json:"zone"`    // the machine-readable zone, lines joined by \n; "" if none was read
	Verdict   string    `json:"verdict"` // genuine, suspect, undecided: of the print alone
	Features  []Feature `json:"features"`
	Images    []Scan    `json:"images"`
	Algorithm string    `json:"algorithm"`
}

// Feature is one thing that the reader looked at.
type Feature struct {
	Name    string `json:"name"`    // a word: uv-brightness, ir-visibility, hologram ...
	Verdict string `json:"verdict"` // genuine, suspect, undecided
}

// Scan is one picture of the document. Its hash is of the picture's bytes; the
// bytes may be left out.
type Scan struct {
	Light  string `json:"light"` // white, infrared, ultraviolet
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
	Data   []byte `json:"data"`
}

func (Scan) String() string   { return "redacted scan" }
func (Scan) GoString() string { return "redacted scan" }

const maxZone = 128

func (i *Inspected) valid() error {
	verdicts := []string{Genuine, Suspect, Undecided}
	switch {
	case !i.Present && (i.Zone != "" || len(i.Features)+len(i.Images) > 0):
		return fmt.Errorf("%w: no document, and something was read", ErrAnswer)
	case !slices.Contains(verdicts, i.Verdict):
		return fmt.Errorf("%w: a verdict of another kind", ErrAnswer)
	case len(i.Zone) > maxZone || len(i.Features) > 50 || len(i.Images) > 6:
		return fmt.Errorf("%w: a zone of %d characters, %d features, %d images", ErrAnswer, len(i.Zone), len(i.Features), len(i.Images))
	case i.Algorithm == "" || len(i.Algorithm) > MaxWord:
		return fmt.Errorf("%w: the algorithm has no name, or one over %d bytes", ErrAnswer, MaxWord)
	}
	for _, c := range i.Zone {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '<' || c == '\n') {
			return fmt.Errorf("%w: a zone with a character that no zone has", ErrAnswer)
		}
	}
	for _, f := range i.Features {
		if !word.MatchString(f.Name) || !slices.Contains(verdicts, f.Verdict) {
			return fmt.Errorf("%w: a feature without name or verdict", ErrAnswer)
		}
		if f.Verdict == Suspect && i.Verdict == Genuine {
			return fmt.Errorf("%w: genuine, with a feature that is suspect", ErrAnswer)
		}
	}
	for _, s := range i.Images {
		if !slices.Contains([]string{"white", "infrared", "ultraviolet"}, s.Light) || !hash.MatchString(s.SHA256) || !pictureFormat(s.Format) || len(s.Data) > MaxPicture {
			return fmt.Errorf("%w: an image without light, format or hash", ErrAnswer)
		}
		if sum := sha256.Sum256(s.Data); len(s.Data) > 0 && hex.EncodeToString(sum[:]) != s.SHA256 {
			return fmt.Errorf("%w: the hash is not the image's", ErrAnswer)
		}
	}
	return nil
}

func pictureFormat(f string) bool {
	return f == "image/jpeg" || f == "image/png" || f == "image/jp2"
}

// Judgement is our word for the maker's: what only optics say.
func (i *Inspected) Judgement() interview.Verdict {
	return asserted(i.Present && i.Verdict == Genuine)
}

// Grade asks how good a picture is for a purpose.
type Grade struct {
	Purpose string  `json:"purpose"` // live, document, card
	Picture Picture `json:"picture"`
}

// Graded answers it: whole numbers from 0 to 100, more is better (as in ISO/IEC
// 29794-5).
type Graded struct {
	Overall   int       `json:"overall"`
	Measures  []Measure `json:"measures"`
	Hints     []string  `json:"hints"` // of [Hints], the most important first
	Algorithm string    `json:"algorithm"`
}

// Measure is one of them.
type Measure struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
}

// Hints are what a person at a kiosk can be told with one picture.
func Hints() []string {
	return []string{"no-face", "several-faces", "face-too-small", "face-too-large", "too-dark", "too-bright", "blurred", "turned-away", "eyes-closed", "mouth-open", "glasses", "background"}
}

func (g *Graded) valid() error {
	if g.Overall < 0 || g.Overall > 100 || len(g.Measures) > 60 || len(g.Hints) > 5 || g.Algorithm == "" || len(g.Algorithm) > MaxWord {
		return fmt.Errorf("%w: a grade beyond its bounds", ErrAnswer)
	}
	for _, m := range g.Measures {
		if !word.MatchString(m.Name) || m.Value < 0 || m.Value > 100 {
			return fmt.Errorf("%w: a measure beyond its bounds", ErrAnswer)
		}
	}
	for _, h := range g.Hints {
		if !slices.Contains(Hints(), h) {
			return fmt.Errorf("%w: a hint that nobody can show", ErrAnswer)
		}
	}
	return nil
}

// Search hands in a search for duplicates. The case is told by no name: the
// search's key is all that the part learns.
type Search struct {
	Purpose       string  `json:"purpose"` // duplicates
	Probes        []Probe `json:"probes"`  // of one person
	MaxCandidates int     `json:"maxCandidates"`
}

// Probe is one picture or template that is searched for.
type Probe struct {
	Modality string   `json:"modality"` // face, finger-1 ... finger-10
	Template Template `json:"template"` // its format may be that of a picture
}

// Searching answers it at once; the result is asked for later.
type Searching struct {
	Search string `json:"search"` // the idempotency key
	State  string `json:"state"`  // running, done
	Result string `json:"result"` // where it is done: compact JWS over a SearchResult
}

func (s *Searching) valid() error {
	running, done := s.State == "running" && s.Result == "", s.State == "done" && len(s.Result) > 0 && len(s.Result) < 256<<10
	if !ValidKey(s.Search) || !running && !done {
		return fmt.Errorf("%w: a search is running without a result, or done with one", ErrAnswer)
	}
	return nil
}
