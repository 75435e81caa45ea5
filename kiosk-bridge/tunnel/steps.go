package tunnel

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"kuule/interview/ticket"
)

// Service is what a person came to the kiosk for (row B17).
type Service string

// Services.
const (
	ServiceInterview Service = "interview" // an interview: ends in a ticket
	ServiceCard      Service = "card"      // a residence card: photograph and signature besides
	ServiceIdentity  Service = "identity"  // only to be identified
	ServicePassport  Service = "passport"  // to show a new passport: read as for identity
	ServicePay       Service = "pay"       // to pay for a matter: nobody is identified
)

// Services lists them all.
var Services = []Service{ServiceInterview, ServiceIdentity, ServicePassport, ServiceCard, ServicePay}

// Valid reports whether s is one of the services.
func (s Service) Valid() bool {
	return slices.Contains(Services, s)
}

// Begin opens the person's business. The reference finds a booking.
type Begin struct {
	Reference string  `json:"reference"`
	Service   Service `json:"service"`
	Language  string  `json:"language,omitempty"` // that the person chose
}

func (Begin) String() string       { return "redacted business" }
func (Begin) GoString() string     { return "redacted business" }
func (Begin) LogValue() slog.Value { return slog.StringValue("redacted") }

// Ask asks for one step. Asks are counted from 1.
type Ask struct {
	N          int             `json:"n"`
	Step       ticket.StepName `json:"step"`
	Tries      int             `json:"tries"`           // the kiosk lets the person try so often
	Seconds    int             `json:"seconds"`         // after which the kiosk has answered
	Order      []string        `json:"order,omitempty"` // in which to look, or the fingers that can be compared, the best first
	Text       string          `json:"text,omitempty"`  // what is signed, as it was shown
	TextSHA256 string          `json:"text_sha256,omitempty"`
}

// TakenResult is what came of a step at the kiosk.
type TakenResult string

// Results of a step at the kiosk.
const (
	TakenDone         TakenResult = "taken"
	TakenNotAvailable TakenResult = "notAvailable" // no such part, or the person has none
	TakenDeclined     TakenResult = "declined"
	TakenFailed       TakenResult = "failed"
)

// Reasons why a step did not come about.
const (
	ReasonPartAbsent = "part-absent"
	ReasonPartBroken = "part-broken"
	ReasonCameraGone = "camera-gone"
	ReasonTwoPersons = "two-persons"
	ReasonNoPerson   = "no-person"
	ReasonLowQuality = "low-quality"
	ReasonTimedOut   = "timed-out"
	ReasonNoPaper    = "no-paper"
	ReasonDeclined   = "declined"
	ReasonNotThere   = "not-there" // the person has none of it
)

// Kinds of what the step "applicant" brings: the number of the document of an
// applicant, and how it came.
const (
	NumberTyped   = "typed"
	NumberScanned = "scanned"
)

// FormatFinger is a record of finger minutiae (ISO/IEC 19794-2:2005).
const FormatFinger = "application/vnd.iso.fmr"

// Value is what a part of the kiosk says of a capture. It is kept as asserted.
type Value struct {
	Name   string `json:"name"`
	Score  int64  `json:"score"`
	Scale  int64  `json:"scale"`  // the highest that there is
	Engine string `json:"engine"` // device, firmware and algorithm
}

// Artefact announces bytes that follow.
type Artefact struct {
	Kind   string `json:"kind"`
	Format string `json:"format"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"` // base64url
}

// Taken answers an ask; the artefacts' bytes follow in binary messages.
type Taken struct {
	N         int             `json:"n"`
	Step      ticket.StepName `json:"step"`
	Result    TakenResult     `json:"result"`
	Reason    string          `json:"reason,omitempty"`
	Tries     int             `json:"tries"`
	Values    []Value         `json:"values,omitempty"`
	Artefacts []Artefact      `json:"artefacts,omitempty"`
}

// Finish says that nothing more is asked.
type Finish struct{}

// Journal is the canonical text of ticket.Journal.
type Journal struct {
	Journal string `json:"journal"`
}

// Capture is what came of a step, with the bytes. Those are personal content: it
// never prints itself.
type Capture struct {
	Result TakenResult
	Reason string
	Tries  int
	Values []Value
	Pieces []Piece

	// Began, at the kiosk alone, is when the step began for the person: the
	// document lay there. Zero: when it was asked for.
	Began time.Time
}

// Piece is one artefact with its bytes.
type Piece struct {
	Kind, Format string
	Bytes        []byte
}

func (Capture) String() string       { return "redacted capture" }
func (Capture) GoString() string     { return "redacted capture" }
func (Capture) LogValue() slog.Value { return slog.StringValue("redacted") }
func (Piece) String() string         { return "redacted piece" }
func (Piece) GoString() string       { return "redacted piece" }
func (Piece) LogValue() slog.Value   { return slog.StringValue("redacted") }

const (
	// MaxPart bounds one binary message.
	MaxPart = 64 << 10
	// MaxTaken bounds the artefacts of one step together.
	MaxTaken = 16 << 20
	// MaxNumber bounds the number of the document of an applicant.
	MaxNumber = 32
	// MaxEngine bounds what a value says of the part that it comes from.
	MaxEngine = 128

	maxValues    = 16
	maxArtefacts = 16
)

// kind is what may come as an artefact of a step.
type kind struct {
	formats []string
	bytes   int
	most    int // of that kind in one step
}

var (
	pictures = []string{"image/jpeg", "image/png"}
	page     = kind{pictures, 2 << 20, 1}
	number   = kind{[]string{"text/plain"}, MaxNumber, 1}
	finger   = kind{[]string{"image/png", FormatFinger}, 512 << 10, 1}
)

// kinds are the artefacts of each step.
var kinds = map[ticket.StepName]map[string]kind{
	ticket.StepDocument: {
		"zone": {[]string{"text/plain"}, MaxZone, 1}, "can": {[]string{"text/plain"}, 6, 1},
		"print":        {[]string{"application/json"}, maxPrint, 1},
		"page-visible": page, "page-infrared": page, "page-ultraviolet": page,
	},
	ticket.StepApplicant: {NumberTyped: number, NumberScanned: number},
	ticket.StepChip:      {},
	ticket.StepFace:      {"face": {pictures, 256 << 10, 8}},
	ticket.StepFingers: {
		"finger-1": finger, "finger-2": finger, "finger-3": finger, "finger-4": finger, "finger-5": finger,
		"finger-6": finger, "finger-7": finger, "finger-8": finger, "finger-9": finger, "finger-10": finger,
	},
	ticket.StepSignature: {"signature": {[]string{"application/json"}, 256 << 10, 1}, "signature-picture": {[]string{"image/png"}, 256 << 10, 1}},
	ticket.StepPhoto:     {"photo": {[]string{"image/jpeg"}, 4 << 20, 1}},
	ticket.StepScan:      {"page": {[]string{"image/jpeg", "image/png", "application/pdf"}, 8 << 20, 10}},
}

// Journalled reports whether an artefact's hash stands in journals. Short texts
// (zones and numbers) could be guessed from theirs, so they do not.
func Journalled(format string) bool { return format != "text/plain" }

// Check refuses an answer that does not belong to the ask, or announces what is
// not the step's or out of bounds.
func (t Taken) Check(ask Ask) error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrMessage, what) }
	switch {
	case t.N != ask.N || t.Step != ask.Step:
		return wrong("an answer to another ask")
	case t.Result != TakenDone && t.Result != TakenNotAvailable && t.Result != TakenDeclined && t.Result != TakenFailed:
		return wrong("an unknown result")
	case t.Result != TakenDone && len(t.Artefacts) > 0:
		return wrong("artefacts of a step that did not come about")
	case t.Tries < 0 || t.Tries > ticket.MaxTries || len(t.Reason) > 32:
		return wrong("tries or reason out of bounds")
	case len(t.Values) > maxValues || len(t.Artefacts) > maxArtefacts:
		return wrong("too many values or artefacts")
	}
	for _, v := range t.Values {
		if v.Name == "" || len(v.Name) > 64 || len(v.Engine) > MaxEngine || v.Scale <= 0 || v.Score < 0 || v.Score > v.Scale {
			return wrong("a value out of bounds")
		}
	}
	count, total := map[string]int{}, 0
	for _, a := range t.Artefacts {
		k, known := kinds[t.Step][a.Kind]
		count[a.Kind]++
		total += a.Bytes
		switch {
		case !known || !slices.Contains(k.formats, a.Format):
			return wrong("an artefact that does not belong to the step")
		case a.Bytes <= 0 || count[a.Kind] > k.most:
			return wrong("an artefact out of bounds")
		case a.Bytes > k.bytes || total > MaxTaken:
			return fmt.Errorf("%w: %w", ErrMessage, ErrLarge)
		}
	}
	return nil
}
