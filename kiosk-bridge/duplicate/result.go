package duplicate

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"

	"kuule/internal/jws"
)

// TypResult is the type of a signed result.
const TypResult = "kuule-duplicate-result+jws"

// Bounds of a search.
const (
	MaxProbes     = 11 // a face and ten fingers
	MaxCandidates = 50
	MaxReference  = 32 // bytes of a register's reference
)

// Probe is what is searched for: one template or picture of one person. It never
// prints itself.
type Probe struct {
	Modality string // face, finger-1 ... finger-10
	Format   string
	Data     []byte
}

func (Probe) String() string       { return "redacted probe" }
func (Probe) GoString() string     { return "redacted probe" }
func (Probe) LogValue() slog.Value { return slog.StringValue("redacted") }

// FormatFace512 is the reference engine's template: 512 signed bytes.
const FormatFace512 = "kuule-face-512"

// Sum names probes: SHA-256 over each one's modality, format and bytes, each
// with its length before it.
func Sum(probes []Probe) string {
	h := sha256.New()
	for _, p := range probes {
		fmt.Fprintf(h, "%d:%s%d:%s%d:", len(p.Modality), p.Modality, len(p.Format), p.Format, len(p.Data))
		h.Write(p.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Candidate is somebody in the register who may be the same person. The
// reference is the register's, and another person's: officers alone see it.
type Candidate struct {
	Modality  string `json:"modality"`
	Reference string `json:"reference"`
	Score     int    `json:"score"`
}

// Result is what a register found. Scores are of the algorithm's own scale.
type Result struct {
	V              int         `json:"v"`
	Search         string      `json:"search"` // the idempotency key
	ProbesSHA256   string      `json:"probesSha256"`
	Gallery        string      `json:"gallery"` // its version
	Size           int         `json:"size"`    // templates in it
	AsOf           int64       `json:"asOf"`    // seconds since 1970
	Algorithm      string      `json:"algorithm"`
	Threshold      string      `json:"threshold"` // its id
	ThresholdScore int         `json:"thresholdScore"`
	Candidates     []Candidate `json:"candidates"` // at or over the threshold, the best first
}

// Errors of results and searches.
var (
	// ErrResult says that a result does not count: not signed by the register,
	// of another search, of other probes, or not of the contract.
	ErrResult = errors.New("result of a search does not count")
	// ErrUnknown says that the register knows no such search.
	ErrUnknown = errors.New("register knows no such search")
	// ErrConflict says that the key was used for other probes.
	ErrConflict = errors.New("key of this search was used for other probes")
	// ErrFull says that too many searches wait.
	ErrFull = errors.New("too many searches wait")
)

// SignResult signs r.
func SignResult(r Result, key crypto.Signer) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	return jws.Sign(r, TypResult, key)
}

// ReadResult reads what a register signed for one search and its probes.
func ReadResult(signed string, key crypto.PublicKey, search, probes string) (Result, error) {
	var r Result
	if err := jws.Verify(signed, TypResult, key, &r); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrResult, err)
	}
	if r.Search != search || r.ProbesSHA256 != probes {
		return Result{}, fmt.Errorf("%w: it is of another search or of other probes", ErrResult)
	}
	return r, r.check()
}

var printable = regexp.MustCompile(`^[!-~]{1,100}$`)

func (r Result) check() error {
	fits := func(s string) bool { return len(s) > 0 && len(s) <= 100 }
	switch {
	case r.V != 1 || r.Size < 0 || r.AsOf <= 0 || len(r.Candidates) > MaxCandidates || r.Candidates == nil:
		return fmt.Errorf("%w: version %d, %d templates, %d candidates", ErrResult, r.V, r.Size, len(r.Candidates))
	case !fits(r.Gallery) || !fits(r.Algorithm) || !fits(r.Threshold):
		return fmt.Errorf("%w: gallery, algorithm and threshold need names", ErrResult)
	}
	for i, c := range r.Candidates {
		if len(c.Reference) > MaxReference || !printable.MatchString(c.Reference) || !printable.MatchString(c.Modality) {
			return fmt.Errorf("%w: a candidate without a reference", ErrResult)
		}
		if c.Score < r.ThresholdScore {
			return fmt.Errorf("%w: a candidate below the threshold", ErrResult)
		}
		if i > 0 && c.Score > r.Candidates[i-1].Score {
			return fmt.Errorf("%w: candidates out of order", ErrResult)
		}
	}
	return nil
}

// validProbes reports whether probes can be searched for.
func validProbes(probes []Probe) bool {
	return len(probes) > 0 && len(probes) <= MaxProbes && !slices.ContainsFunc(probes, func(p Probe) bool {
		return !printable.MatchString(p.Modality) || !printable.MatchString(p.Format) || len(p.Data) == 0
	})
}
