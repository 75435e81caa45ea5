package tunnel

import (
	"encoding/hex"
	"fmt"
	"slices"

	"kuule/internal/canon"
)

// Print is what a document reader says of the print of a document: its own word,
// which the bridge keeps as asserted. It travels as canonical JSON, so that its
// hash stands in the kiosk's journal.
type Print struct {
	V        int            `json:"v"`
	Verdict  string         `json:"verdict"`  // genuine, suspect, undecided
	Features []PrintFeature `json:"features"` // what it looked at
	Images   []PrintImage   `json:"images"`   // what it saw; the pictures themselves stay with it
	Engine   string         `json:"engine"`   // device and algorithm
}

// PrintFeature is one thing that the reader looked at.
type PrintFeature struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
}

// PrintImage names a picture of the document.
type PrintImage struct {
	Light  string `json:"light"`  // white, infrared, ultraviolet
	SHA256 string `json:"sha256"` // hexadecimal, of the picture's bytes
}

// Verdicts of the print.
const (
	PrintGenuine   = "genuine"
	PrintSuspect   = "suspect"
	PrintUndecided = "undecided"
)

const (
	maxPrint    = 16 << 10 // bytes
	maxFeatures = 50
	maxImages   = 6
)

// ReadPrint reads what a kiosk says that its reader said, strictly.
func ReadPrint(text []byte) (Print, error) {
	var p Print
	if err := canon.Unmarshal(text, &p); err != nil {
		return Print{}, fmt.Errorf("%w: what a reader says of the print", ErrMessage)
	}
	verdicts, lights := []string{PrintGenuine, PrintSuspect, PrintUndecided}, []string{"white", "infrared", "ultraviolet"}
	wrong := p.V != 1 || !slices.Contains(verdicts, p.Verdict) || len(p.Features) > maxFeatures || len(p.Images) > maxImages || !word(p.Engine, MaxEngine)
	for _, f := range p.Features {
		wrong = wrong || !word(f.Name, 64) || !slices.Contains(verdicts, f.Verdict) || f.Verdict == PrintSuspect && p.Verdict == PrintGenuine
	}
	for _, i := range p.Images {
		sum, err := hex.DecodeString(i.SHA256)
		wrong = wrong || err != nil || len(sum) != 32 || !slices.Contains(lights, i.Light)
	}
	if wrong {
		return Print{}, fmt.Errorf("%w: what a reader says of the print is out of bounds", ErrMessage)
	}
	return p, nil
}

// word is a short printable text.
func word(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}
