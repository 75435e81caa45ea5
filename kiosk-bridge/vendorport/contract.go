package vendorport

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"
)

// Version is the version of the contract that is spoken here.
const Version = 1

// Headers of the contract.
const (
	HeaderVersion     = "Kuule-Port-Version" // of every request but the description's
	HeaderIdempotency = "Idempotency-Key"    // of every POST: 16 to 64 letters, digits, hyphens and underscores
	HeaderDeadline    = "Kuule-Deadline"     // of every POST: milliseconds that the caller waits
)

// Paths of the contract.
const (
	PathDescription = "/kuule/port" // GET
	PathOperation   = "/kuule/v1/"  // POST, then the operation
	PathSearches    = "/kuule/v1/searches/"
)

// Bounds of the contract.
const (
	MaxRequest  = 16 << 20 // bytes
	MaxAnswer   = 4 << 20
	MaxPicture  = 4 << 20 // of one picture or template, before base64
	MaxPictures = 9
	MaxWord     = 100 // of a name or an identifier
	Remembered  = 10 * time.Minute
)

// Port is a kind of part.
type Port string

// Ports.
const (
	PortPAD         Port = "pad"
	PortFingerprint Port = "fingerprint"
	PortOptics      Port = "optics"
	PortQuality     Port = "quality"
	PortFace        Port = "face"
	PortDuplicates  Port = "duplicates"
	PortRegister    Port = "register"
	PortCasework    Port = "casework"
)

// Operation is what a part is asked.
type Operation string

// Operations. A fingerprint part may have one of two: the scanner stands in the
// kiosk, the matcher with the server.
const (
	OpAssess  Operation = "assess"  // pad, quality
	OpCapture Operation = "capture" // fingerprint
	OpCompare Operation = "compare" // fingerprint, face
	OpInspect Operation = "inspect" // optics
	OpSearch  Operation = "search"  // duplicates
	OpPerson  Operation = "person"  // register
	OpStage   Operation = "stage"   // casework
)

var operations = map[Port][]Operation{
	PortPAD: {OpAssess}, PortFingerprint: {OpCapture, OpCompare}, PortOptics: {OpInspect},
	PortQuality: {OpAssess}, PortFace: {OpCompare}, PortDuplicates: {OpSearch}, PortRegister: {OpPerson}, PortCasework: {OpStage},
}

// Ports lists all kinds of parts.
func Ports() []Port {
	return []Port{PortPAD, PortFingerprint, PortOptics, PortQuality, PortFace, PortDuplicates, PortRegister, PortCasework}
}

// Description is what a part says of itself.
type Description struct {
	Port       Port        `json:"port"`
	Versions   []int       `json:"versions"` // of the contract
	Vendor     string      `json:"vendor"`
	Product    string      `json:"product"`
	Release    string      `json:"release"` // version of the product
	Serial     string      `json:"serial"`  // of a device; "" for a program
	Algorithm  string      `json:"algorithm"`
	Operations []Operation `json:"operations"`
	Measured   string      `json:"measured"` // report of an independent measurement: standard, laboratory, number; "" without one
}

// Engine names the part in what is kept of its answers.
func (d Description) Engine() string { return d.Vendor + " " + d.Product + " " + d.Release }

// Offers reports whether the part answers an operation.
func (d Description) Offers(o Operation) bool { return slices.Contains(d.Operations, o) }

func (d Description) valid(want Port) error {
	switch {
	case d.Port != want:
		return fmt.Errorf("%w: it is a part for %q, %q was expected", ErrAnswer, d.Port, want)
	case len(d.Versions) > 20 || !slices.Contains(d.Versions, Version):
		return fmt.Errorf("%w: it speaks versions %v of the contract, %d is spoken here", ErrVersion, d.Versions[:min(len(d.Versions), 20)], Version)
	case d.Vendor == "" || d.Product == "" || d.Release == "":
		return fmt.Errorf("%w: vendor, product and release are all needed", ErrAnswer)
	case len(d.Operations) == 0 || len(d.Operations) > 4:
		return fmt.Errorf("%w: %d operations", ErrAnswer, len(d.Operations))
	}
	for _, text := range []string{d.Vendor, d.Product, d.Release, d.Serial, d.Algorithm, d.Measured} {
		if len(text) > MaxWord {
			return fmt.Errorf("%w: a name of %d bytes, at most %d", ErrAnswer, len(text), MaxWord)
		}
	}
	for _, o := range d.Operations {
		if !slices.Contains(operations[want], o) {
			return fmt.Errorf("%w: a part for %q has no operation of another kind", ErrAnswer, want)
		}
	}
	return nil
}

// Code is why a part did not do what it was asked.
type Code string

// Codes of refusals, with the status that each has.
const (
	CodeMalformed Code = "malformed" // 400: the request is not of the contract
	CodeUnknown   Code = "unknown"   // 404: no such operation or search
	CodeVersion   Code = "version"   // 406: the version of the contract is not spoken
	CodeConflict  Code = "conflict"  // 409: the key was used for another request
	CodeTooLarge  Code = "too-large" // 413
	CodeBusy      Code = "busy"      // 503: ask again after Retry-After
	CodeDevice    Code = "device"    // 502: the device behind the part is gone or broken
)

// Statuses are the HTTP status of each code.
var Statuses = map[Code]int{
	CodeMalformed: 400, CodeUnknown: 404, CodeVersion: 406, CodeConflict: 409, CodeTooLarge: 413, CodeBusy: 503, CodeDevice: 502,
}

// Refusal is the body of an answer that is none (application/problem+json). It
// must quote nothing of the request.
type Refusal struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"` // for the maker's support; never shown to anybody
}

func (r Refusal) valid(status int) error {
	if want, known := Statuses[r.Code]; !known || want != status || len(r.Detail) > 500 {
		return fmt.Errorf("%w: status %d with a refusal that the contract does not know", ErrAnswer, status)
	}
	return nil
}

// Errors of a part. None says anything of a person.
var (
	// ErrAway says that the part does not answer, or refuses for now.
	ErrAway = errors.New("part does not answer")
	// ErrAnswer says that what it answers is not of the contract.
	ErrAnswer = errors.New("part's answer is not of the contract")
	// ErrVersion says that no version of the contract is spoken on both sides.
	ErrVersion = errors.New("part speaks no common version of the contract")
	// ErrRefused says that the part refuses the request for good.
	ErrRefused = errors.New("part refuses the request")
	// ErrUnknown and ErrConflict are refusals of a search: it is not known, or its
	// key was used for another.
	ErrUnknown  = fmt.Errorf("%w: it knows no such thing", ErrRefused)
	ErrConflict = fmt.Errorf("%w: the key was used for another request", ErrRefused)
)

// Picture is one picture in a request. It never prints itself.
type Picture struct {
	Format string `json:"format"` // image/jpeg, image/png or image/jp2
	Data   []byte `json:"data"`   // base64
	At     int    `json:"at"`     // milliseconds since the first of a row
}

func (Picture) String() string       { return "redacted picture" }
func (Picture) GoString() string     { return "redacted picture" }
func (Picture) LogValue() slog.Value { return slog.StringValue("redacted") }

// Threshold is the line that the maker drew through its scores.
type Threshold struct {
	ID    string `json:"id"`
	Score int    `json:"score"`
}

const maxScore = 1_000_000_000

var (
	word = regexp.MustCompile(`^[a-z0-9][a-z0-9._/-]{0,99}$`)
	hash = regexp.MustCompile(`^[0-9a-f]{64}$`)
	key  = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)
)

// ValidKey reports whether a text can be an idempotency key or the name of a
// search.
func ValidKey(s string) bool { return key.MatchString(s) }

func scored(score int, t Threshold, algorithm string) error {
	switch {
	case score < -maxScore || score > maxScore || t.Score < -maxScore || t.Score > maxScore:
		return fmt.Errorf("%w: a score beyond ±%d", ErrAnswer, maxScore)
	case !word.MatchString(t.ID):
		return fmt.Errorf("%w: a threshold needs an id of small letters, digits, dots, hyphens and slashes", ErrAnswer)
	case algorithm == "" || len(algorithm) > MaxWord:
		return fmt.Errorf("%w: the algorithm has no name, or one over %d bytes", ErrAnswer, MaxWord)
	}
	return nil
}
