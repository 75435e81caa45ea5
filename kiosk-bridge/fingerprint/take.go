package fingerprint

import (
	"context"
	"errors"
	"fmt"
)

// Tries is how often one finger is asked for (row B4).
const Tries = 3

// Floor is the NFIQ 2 value below which a finger is asked for again. The scale
// goes from 0 to 100; where the line belongs is for the authority to say, with
// its own scanner and its own matcher.
const Floor = 30

// Reasons why a finger was not taken.
const (
	ReasonLowQuality   = "low-quality"  // three tries, none good enough
	ReasonNotLaid      = "timed-out"    // nobody laid a finger on the glass
	ReasonPartBroken   = "part-broken"  // the scanner does not work
	ReasonMissing      = "not-there"    // the person has no such finger, or not one that can be laid down
	ReasonScannerWrong = "part-invalid" // what it gave is no record
	ReasonDeclined     = "declined"     // the person gives none
)

// Impression is what a scanner gave for one try.
type Impression struct {
	Record  []byte // ISO/IEC 19794-2:2005
	Quality int    // NFIQ 2
	Engine  string // device, firmware and algorithm, where the scanner says it
}

// Errors of a scanner.
var (
	ErrNotLaid = errors.New("no finger was laid on the scanner in time")
	ErrBroken  = errors.New("the scanner does not work")
	// ErrMissing says that the person has no such finger, or cannot lay it down.
	ErrMissing = errors.New("the person has no such finger")
	// ErrDeclined says that the person gives no fingers at all.
	ErrDeclined = errors.New("the person gives no fingers")
)

// Scanner takes one finger once. It returns [ErrNotLaid], [ErrMissing],
// [ErrDeclined] or [ErrBroken] where that did not come about.
type Scanner interface {
	Scan(ctx context.Context, finger, attempt int) (Impression, error)
}

// Finger is how the taking of one finger ended.
type Finger struct {
	Position int // 1 right thumb to 10 left little
	Tries    int
	Quality  int // of the best try; -1 where there was none
	Engine   string
	Reason   string // "" where it was taken
	Record   []byte // of the best try, where it was taken
}

// Taken reports whether the finger can be compared.
func (f Finger) Taken() bool { return f.Reason == "" }

// Result is how the taking ended. Where Taken is false the visit goes on without
// fingers: the face, the register, the desk.
type Result struct {
	Taken   bool
	Reason  string // "" where a finger was taken; else that of the last one
	Fingers []Finger
}

// Forget overwrites what was taken.
func (r Result) Forget() {
	for _, f := range r.Fingers {
		clear(f.Record)
	}
}

// Take asks for fingers in order until as many are taken as are needed. Each has
// [Tries] tries; a try below floor counts as one. A scanner that is broken is not
// asked again. The error is ctx's alone.
func Take(ctx context.Context, s Scanner, positions []int, needed, floor int) (Result, error) {
	var out Result
	taken := 0
	for _, p := range positions {
		f, err := take(ctx, s, p, floor)
		if err != nil {
			out.Forget()
			return Result{}, err
		}
		out.Fingers = append(out.Fingers, f)
		out.Reason = f.Reason
		if f.Taken() {
			if taken++; taken >= needed {
				break
			}
		}
		if f.Reason == ReasonPartBroken || f.Reason == ReasonScannerWrong || f.Reason == ReasonDeclined {
			break
		}
	}
	out.Taken = taken >= needed && needed > 0
	if out.Taken {
		out.Reason = ""
	} else if out.Reason == "" {
		out.Reason = ReasonMissing // all that were asked for are there, and they are too few
	}
	return out, nil
}

func take(ctx context.Context, s Scanner, position, floor int) (Finger, error) {
	f := Finger{Position: position, Quality: -1, Reason: ReasonLowQuality}
	for f.Tries < Tries {
		if err := ctx.Err(); err != nil {
			return Finger{}, fmt.Errorf("take finger %d: %w", position, err)
		}
		f.Tries++
		i, err := s.Scan(ctx, position, f.Tries)
		switch {
		case errors.Is(err, ErrNotLaid):
			if f.Quality < 0 {
				f.Reason = ReasonNotLaid
			}
			continue
		case errors.Is(err, ErrMissing):
			f.Reason = ReasonMissing
			return f, nil
		case errors.Is(err, ErrDeclined):
			f.Reason = ReasonDeclined
			return f, nil
		case err != nil && ctx.Err() != nil:
			return Finger{}, fmt.Errorf("take finger %d: %w", position, ctx.Err())
		case err != nil:
			f.Reason = ReasonPartBroken
			return f, nil //nolint:nilerr // the reason says it
		}
		if _, err := Check(i.Record); err != nil || i.Quality < 0 || i.Quality > 100 {
			clear(i.Record)
			f.Reason = ReasonScannerWrong
			return f, nil //nolint:nilerr // the reason says it
		}
		f.Quality, f.Engine, f.Reason = max(f.Quality, i.Quality), i.Engine, ReasonLowQuality
		if i.Quality >= floor {
			f.Reason, f.Record = "", i.Record
			return f, nil
		}
		clear(i.Record)
	}
	return f, nil
}
