package vendorport

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// Wanted are kinds of pictures that a register is asked for.
const (
	WantFace    = "face"
	WantFingers = "fingers"
)

// PurposeIdentification is the only purpose for which a register is asked: somebody
// at a kiosk is to be identified (row B12).
const PurposeIdentification = "identification"

// PersonQuestion asks a register for one person. Visit, hearing and purpose are
// for the register's own log of who was looked at and why; nothing that was taken
// of the person at the kiosk is in it (row K10).
type PersonQuestion struct {
	Purpose string   `json:"purpose"`
	Visit   string   `json:"visit"`
	Hearing string   `json:"hearing"`
	Diary   string   `json:"diary"`  // diary number of the person's case
	Number  string   `json:"number"` // of the document of an applicant, as it was typed; may be empty
	Want    []string `json:"want"`   // face, fingers: only what will be compared
}

// RegisteredPerson answers it. A number that is not of a person of that case is
// not found.
type RegisteredPerson struct {
	Found    bool                `json:"found"`
	Name     string              `json:"name"`   // all names, in any order
	Born     string              `json:"born"`   // YYYY-MM-DD, YYYY-MM, YYYY or "": as far as it is known
	Number   string              `json:"number"` // of the document of an applicant; may be empty
	Pictures []RegisteredPicture `json:"pictures"`
}

func (RegisteredPerson) String() string   { return "redacted person" }
func (RegisteredPerson) GoString() string { return "redacted person" }

// RegisteredPicture is one picture or template in a register.
type RegisteredPicture struct {
	Kind   string `json:"kind"`   // face, finger-1 ... finger-10
	Format string `json:"format"` // of a face that of a picture, of a finger FormatFinger or a word of the matcher's
	Data   []byte `json:"data"`
}

func (RegisteredPicture) String() string   { return "redacted picture" }
func (RegisteredPicture) GoString() string { return "redacted picture" }

// Bounds of a register's answer.
const (
	maxName       = 200 // bytes
	maxNumber     = 32
	maxRegistered = 11 // a face and ten fingers
)

var (
	birth        = regexp.MustCompile(`^([0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?)?$`)
	cardNumber   = regexp.MustCompile(`^[A-Z0-9]{0,32}$`)
	registerKind = regexp.MustCompile(`^(face|finger-([1-9]|10))$`)
)

func (p *RegisteredPerson) valid() error {
	switch {
	case !p.Found && (p.Name != "" || p.Born != "" || p.Number != "" || len(p.Pictures) > 0):
		return fmt.Errorf("%w: nobody was found, and something is told of a person", ErrAnswer)
	case len(p.Name) > maxName || !utf8.ValidString(p.Name) || len(p.Number) > maxNumber || !cardNumber.MatchString(p.Number) || !birth.MatchString(p.Born):
		return fmt.Errorf("%w: a name, number or date beyond its bounds", ErrAnswer)
	case len(p.Pictures) > maxRegistered:
		return fmt.Errorf("%w: %d pictures of one person, at most %d", ErrAnswer, len(p.Pictures), maxRegistered)
	}
	seen := map[string]bool{}
	for _, r := range p.Pictures {
		switch {
		case !registerKind.MatchString(r.Kind) || seen[r.Kind]:
			return fmt.Errorf("%w: a picture of another kind, or two of one", ErrAnswer)
		case len(r.Data) == 0 || len(r.Data) > MaxPicture:
			return fmt.Errorf("%w: a picture of 1 to %d bytes", ErrAnswer, MaxPicture)
		case (r.Kind == WantFace) != pictureFormat(r.Format) || !pictureFormat(r.Format) && !word.MatchString(r.Format):
			return fmt.Errorf("%w: a face is a picture, and a finger is a template", ErrAnswer)
		}
		seen[r.Kind] = true
	}
	return nil
}

// wanted refuses pictures that nobody asked for.
func (p *RegisteredPerson) wanted(want []string) error {
	for _, r := range p.Pictures {
		kind := WantFingers
		if r.Kind == WantFace {
			kind = WantFace
		}
		if !slices.Contains(want, kind) {
			return fmt.Errorf("%w: a picture that nobody asked for", ErrAnswer)
		}
	}
	return nil
}

// Forget overwrites the pictures.
func (p *RegisteredPerson) Forget() {
	for _, r := range p.Pictures {
		clear(r.Data)
	}
}
