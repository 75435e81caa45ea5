package retention

import (
	"slices"
	"time"

	"kuule/internal/keyring"
)

// State is how something is kept.
type State string

// States, the strongest first.
const (
	StateErased  State = "erased"  // its key was destroyed
	StateHeld    State = "held"    // a hold keeps it whatever its time
	StatePending State = "pending" // a matter is open: no period has begun
	StateRunning State = "running" // kept until a date
	StateDue     State = "due"     // its time has come
	StateKept    State = "kept"    // no rule ends it
)

// Event is something that moves a case's clocks.
type Event struct {
	Kind   EventKind `json:"kind"`
	Matter string    `json:"matter,omitempty"` // the matter that it concerns; empty: the case's first
	On     time.Time `json:"on"`
}

// Facts are what is known of a case, or of one note.
type Facts struct {
	Events   []Event
	Holds    int64                      // that lie on it now
	Extended time.Time                  // approved by a second person; zero: none
	Erased   map[keyring.Kind]time.Time // keys that were destroyed
}

// Keeping is how one class of a case is kept.
type Keeping struct {
	Class   Class     `json:"class"`
	State   State     `json:"state"`
	Until   time.Time `json:"until,omitzero"`  // running, due: the first day on which it may be erased; held: its own period's
	Erased  time.Time `json:"erased,omitzero"` // when its key was destroyed
	Source  string    `json:"source"`          // the law
	Version int       `json:"version"`         // of the rules
}

// Keep decides how a class is kept at a time. Days are days in UTC.
func (r Rules) Keep(class Class, f Facts, now time.Time) Keeping {
	rule, known := r.Of(class)
	k := Keeping{Class: class, State: StateKept, Source: rule.Source, Version: r.Version}
	if rule.Key != "" {
		if at, gone := f.Erased[rule.Key]; gone {
			k.State, k.Erased = StateErased, at
			return k
		}
	}
	if !known || len(rule.After) == 0 {
		return k
	}
	begins := f.latest(rule.After)
	perItem := slices.Contains(rule.After, EventNeedless) || slices.Contains(rule.After, EventNoted)
	switch {
	case begins.IsZero(), !perItem && f.open():
		k.State = StatePending
	default:
		k.Until = later(begins.UTC().Truncate(24*time.Hour).AddDate(rule.Years, rule.Months, 0), f.Extended)
		k.State = StateRunning
		if !now.Before(k.Until) {
			k.State = StateDue
		}
	}
	if f.Holds > 0 {
		k.State = StateHeld
	}
	return k
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (f Facts) latest(kinds []EventKind) (out time.Time) {
	for _, e := range f.Events {
		if slices.Contains(kinds, e.Kind) {
			out = later(out, e.On)
		}
	}
	return out
}

// open reports whether a matter of the case is pending: one that was opened
// after it was last closed, or no matter of which anybody said that it ended.
func (f Facts) open() bool {
	opened, closed := map[string]time.Time{"": {}}, map[string]time.Time{}
	for _, e := range f.Events {
		switch e.Kind {
		case EventMatterOpened:
			opened[e.Matter] = later(opened[e.Matter], e.On)
		case EventMatterClosed:
			closed[e.Matter] = later(closed[e.Matter], e.On)
		}
	}
	for matter, at := range opened {
		end, ended := closed[matter]
		if !ended || end.Before(at) {
			return true
		}
	}
	return false
}

// Due lists the keys of a case whose time has come: every class that is sealed
// under the key is due.
func (r Rules) Due(f Facts, now time.Time) []keyring.Kind {
	due, wait := map[keyring.Kind]bool{}, map[keyring.Kind]bool{}
	for _, rule := range r.Classes {
		if rule.Key == "" || rule.Key == keyring.Special { // notes have clocks of their own
			continue
		}
		if r.Keep(rule.Class, f, now).State == StateDue {
			due[rule.Key] = true
		} else {
			wait[rule.Key] = true
		}
	}
	var out []keyring.Kind
	for _, kind := range []keyring.Kind{keyring.Recording, keyring.Records} {
		if due[kind] && !wait[kind] {
			out = append(out, kind)
		}
	}
	return out
}

// Least is the earliest day on which anything of a case that began now may be
// erased by the clock: the first lock of its keys and files.
func (r Rules) Least(now time.Time) time.Time {
	out := now.UTC().Truncate(24 * time.Hour)
	begin := out
	for _, rule := range r.Classes {
		if rule.Key != keyring.Special && len(rule.After) > 0 {
			out = later(out, begin.AddDate(rule.Years, rule.Months, 0))
		}
	}
	return out
}

// LeastOf is the earliest day on which the clock can erase a key under which
// something was sealed at a time: no rule of what it seals ends sooner.
func (r Rules) LeastOf(kind keyring.Kind, sealed time.Time) time.Time {
	begin := sealed.UTC().Truncate(24 * time.Hour)
	out := begin
	for _, rule := range r.Classes {
		if rule.Key == kind && len(rule.After) > 0 {
			out = later(out, begin.AddDate(rule.Years, rule.Months, 0))
		}
	}
	return out
}
