package retention

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"kuule/internal/canon"
	"kuule/internal/keyring"
)

// Class is a kind of data that is kept by one rule.
type Class string

// Classes of data.
const (
	ClassRecording   Class = "recording"
	ClassTranscript  Class = "transcript"      // and all else that is sealed under the case's records key
	ClassKiosk       Class = "kiosk-evidence"  // what a visit at a kiosk left
	ClassQuality     Class = "quality-figures" // figures of legs, which name nobody
	ClassSpecial     Class = "special"         // special categories of personal data
	ClassObservation Class = "observation"     // observations in the sense of 615/2020 7 §
	ClassLog         Class = "audit-log"
)

// EventKind is what moves a clock.
type EventKind string

// Events. Entry is the last thing that was entered in the case; the store finds
// it out by itself.
const (
	EventEntry          EventKind = "entry"
	EventMatterOpened   EventKind = "matter-opened"
	EventMatterClosed   EventKind = "matter-closed"
	EventResidenceEnded EventKind = "residence-ended"
	EventNeedless       EventKind = "needless" // of one note
	EventNoted          EventKind = "noted"    // of one note
)

// Rule is how long one class is kept.
type Rule struct {
	Class  Class        `json:"class"`
	Key    keyring.Kind `json:"key"` // under which it is sealed; empty: none
	Years  int          `json:"years"`
	Months int          `json:"months"`
	After  []EventKind  `json:"after"` // the latest of these begins the period; none: kept
	Source string       `json:"source"`
}

// Rules are one dated version of all rules (O7).
type Rules struct {
	Version int    `json:"version"`
	From    string `json:"from"` // date on which this version comes into force
	Classes []Rule `json:"classes"`
}

//go:embed rules.json
var rulesText []byte

// Current are the rules in force.
func Current() Rules {
	r, err := ParseRules(rulesText)
	if err != nil {
		panic(err) // a test reads them
	}
	return r
}

// ParseRules reads rules strictly.
func ParseRules(text []byte) (Rules, error) {
	var r Rules
	if err := canon.Strict(text, &r); err != nil {
		return Rules{}, fmt.Errorf("retention rules: %w", err)
	}
	if _, err := time.Parse(time.DateOnly, r.From); err != nil || r.Version < 1 {
		return Rules{}, errors.New("retention rules: version and date of their beginning are needed")
	}
	seen := map[Class]bool{}
	for _, c := range r.Classes {
		switch {
		case c.Class == "" || seen[c.Class]:
			return Rules{}, fmt.Errorf("retention rules: class %q is missing or named twice", c.Class)
		case c.Years < 0 || c.Months < 0 || c.Years > 100 || c.Months > 1200:
			return Rules{}, fmt.Errorf("retention rules: period of %s is out of bounds", c.Class)
		case c.Source == "":
			return Rules{}, fmt.Errorf("retention rules: %s names no law", c.Class)
		case c.Key != "" && c.Key != keyring.Records && c.Key != keyring.Recording && c.Key != keyring.Special:
			return Rules{}, fmt.Errorf("retention rules: %q is no kind of key", c.Key)
		}
		seen[c.Class] = true
	}
	return r, nil
}

// Of gives a class's rule.
func (r Rules) Of(class Class) (Rule, bool) {
	i := slices.IndexFunc(r.Classes, func(c Rule) bool { return c.Class == class })
	if i < 0 {
		return Rule{}, false
	}
	return r.Classes[i], true
}
