package face

import "log/slog"

// One is a likeness of one, in the millionths in which scores are counted.
const One = 1_000_000

// Dimensions is the count of numbers in a template.
const Dimensions = 512

// Reasons why a picture cannot be compared; "" where it can. They are the
// capture's hints too.
const (
	ReasonNoFace       = "no-face"
	ReasonSeveralFaces = "several-faces"
	ReasonTooSmall     = "face-too-small"
	ReasonTooDark      = "too-dark"
	ReasonTooBright    = "too-bright"
	ReasonBlurred      = "blurred"
	ReasonTurnedAway   = "turned-away"
	ReasonUnreadable   = "picture-unreadable"
	ReasonTooLarge     = "picture-too-large"
)

// Look is what the engine sees on a picture.
type Look struct {
	Faces     int    `json:"faces"`
	Width     int    `json:"width"`     // of the largest face, pixels
	Light     int    `json:"light"`     // of that face, 0 to 255
	Sharpness int    `json:"sharpness"` // variance of the Laplacian of its grey values
	Turn      int    `json:"turn"`      // thousandths of the distance of the eyes by which the nose is off the middle; negative: to the picture's left
	Reason    string `json:"reason"`    // "" if it can be compared
}

// Usable reports whether a face on the picture can be compared. One that is
// turned away can, badly.
func (l Look) Usable() bool { return l.Reason == "" || l.Reason == ReasonTurnedAway }

func (l Look) valid() bool {
	switch l.Reason {
	case "", ReasonTurnedAway, ReasonTooSmall, ReasonTooDark, ReasonTooBright, ReasonBlurred:
		return l.Faces >= 1
	case ReasonSeveralFaces:
		return l.Faces >= 2
	case ReasonNoFace, ReasonUnreadable, ReasonTooLarge:
		return l.Faces == 0
	default:
		return false
	}
}

// Limits of a usable face. They were tried on drawn faces and a handful of
// pictures; they stand for no standard.
const (
	minWidth     = 60 // pixels; ICAO 9303-9 asks for 90 between the eyes, a scanned register picture has less
	minLight     = 45
	maxLight     = 225
	minSharpness = 12
	maxTurn      = 220
)

// Judge fills in the reason.
func (l Look) Judge() Look {
	switch {
	case l.Reason != "":
	case l.Faces == 0:
		l.Reason = ReasonNoFace
	case l.Faces > 1:
		l.Reason = ReasonSeveralFaces
	case l.Width < minWidth:
		l.Reason = ReasonTooSmall
	case l.Light < minLight:
		l.Reason = ReasonTooDark
	case l.Light > maxLight:
		l.Reason = ReasonTooBright
	case l.Sharpness < minSharpness:
		l.Reason = ReasonBlurred
	case l.Turn < -maxTurn || l.Turn > maxTurn:
		l.Reason = ReasonTurnedAway
	}
	return l
}

// Template is a face as numbers, of which only the direction counts. It names a
// person as a picture does, and never prints itself. Clear it when it was used.
type Template []int8

func (Template) String() string       { return "redacted template" }
func (Template) GoString() string     { return "redacted template" }
func (Template) LogValue() slog.Value { return slog.StringValue("redacted") }

// Clear overwrites the template.
func (t Template) Clear() { clear(t) }
