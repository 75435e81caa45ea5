package face

import "kuule/interview"

// Threshold is a line that somebody drew through an engine's scores.
type Threshold struct {
	ID    string
	Score int // millionths: from here on the pictures count as near each other
}

// Reference is the line of the reference engine. It was drawn by looking at 22
// faces: it is a reading aid for a person who looks as well, and its error rates
// are unknown.
var Reference = Threshold{ID: "reference-unmeasured-1", Score: 450_000}

// Reasons of a comparison beside those of a look.
const (
	ReasonNear                = "reference-near"             // the engine finds the pictures alike; it cannot decide
	ReasonFar                 = "reference-far"              // it finds them unlike; it cannot decide that either
	ReasonReferenceUnusable   = "reference-picture-unusable" // the document's or register's picture
	ReasonNoEngine            = "no-engine"
	ReasonEngineAbsent        = "engine-absent"
	ReasonEngineTimedOut      = "engine-timed-out"
	ReasonReferenceUnreadable = "reference-picture-unreadable"
)

// Comparison is what the reference engine says of live pictures and one
// reference picture, as it is kept: numbers and names, no picture, no template.
type Comparison struct {
	Score      int    `json:"score"` // millionths, of the best live picture; 0 where nothing was compared
	Threshold  string `json:"threshold"`
	Engine     string `json:"engine"`
	Unmeasured bool   `json:"unmeasured"` // always: this is the reference engine
	Reason     string `json:"reason"`
	Live       []Look `json:"live"`
	Reference  Look   `json:"reference"`
}

// Verdict is the word for the comparison: undetermined, whatever the score. An
// engine whose errors nobody has measured neither proves that two pictures show
// one person nor that they show two.
func (Comparison) Verdict() interview.Verdict { return interview.Undetermined }

// Compared reports whether there is a score.
func (c Comparison) Compared() bool { return c.Reason == ReasonNear || c.Reason == ReasonFar }

// conclude takes the best of the live pictures: those that look into the camera,
// and only without one of these those that do not.
func conclude(a Answer) Comparison {
	c := Comparison{Threshold: Reference.ID, Engine: a.Engine, Unmeasured: true, Reference: a.Looks[0], Live: a.Looks[1:]}
	switch {
	case c.Reference.Reason == ReasonUnreadable || c.Reference.Reason == ReasonTooLarge:
		c.Reason = ReasonReferenceUnreadable
		return c
	case !c.Reference.Usable():
		c.Reason = ReasonReferenceUnusable
		return c
	}
	best := -1
	for i, l := range c.Live {
		switch {
		case l.Reason == ReasonSeveralFaces: // whoever else is there could be the one who matches
			c.Reason = ReasonSeveralFaces
			return c
		case !l.Usable():
		case best < 0 || l.Reason == "" && c.Live[best].Reason != "" || l.Reason == c.Live[best].Reason && a.Scores[i] > a.Scores[best]:
			best = i
		}
	}
	if best < 0 {
		c.Reason = c.Live[0].Reason
		return c
	}
	c.Score, c.Reason = a.Scores[best], ReasonFar
	if c.Score >= Reference.Score {
		c.Reason = ReasonNear
	}
	return c
}
