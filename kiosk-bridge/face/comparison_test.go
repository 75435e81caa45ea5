package face

import (
	"testing"

	"kuule/interview"
)

// B3: the score is kept with threshold and engine, and decides nothing.
func TestAReferenceEngineNeverDecides(t *testing.T) {
	t.Parallel()
	good, turned := Look{Faces: 1}, Look{Faces: 1, Reason: ReasonTurnedAway}
	for name, c := range map[string]struct {
		looks  []Look
		scores []int
		reason string
		score  int
	}{
		"alike":                           {[]Look{good, good}, []int{999_999}, ReasonNear, 999_999},
		"at the line":                     {[]Look{good, good}, []int{Reference.Score}, ReasonNear, Reference.Score},
		"just below it":                   {[]Look{good, good}, []int{Reference.Score - 1}, ReasonFar, Reference.Score - 1},
		"unlike":                          {[]Look{good, good}, []int{-300_000}, ReasonFar, -300_000},
		"the best counts":                 {[]Look{good, good, good}, []int{100_000, 700_000}, ReasonNear, 700_000},
		"one that looks at us counts":     {[]Look{good, turned, good}, []int{900_000, 300_000}, ReasonFar, 300_000},
		"turned is better than nothing":   {[]Look{good, turned, {Reason: ReasonNoFace}}, []int{600_000, 0}, ReasonNear, 600_000},
		"nobody is there":                 {[]Look{good, {Reason: ReasonNoFace}}, []int{0}, ReasonNoFace, 0},
		"two persons":                     {[]Look{good, good, {Faces: 2, Reason: ReasonSeveralFaces}}, []int{900_000, 0}, ReasonSeveralFaces, 0},
		"dark":                            {[]Look{good, {Faces: 1, Reason: ReasonTooDark}}, []int{0}, ReasonTooDark, 0},
		"the document's picture is empty": {[]Look{{Reason: ReasonNoFace}, good}, []int{0}, ReasonReferenceUnusable, 0},
		"the document's cannot be read":   {[]Look{{Reason: ReasonUnreadable}, good}, []int{0}, ReasonReferenceUnreadable, 0},
	} {
		got := conclude(Answer{Engine: "e", Looks: c.looks, Scores: c.scores})
		if got.Reason != c.reason || got.Score != c.score {
			t.Errorf("%s: %s with %d, want %s with %d", name, got.Reason, got.Score, c.reason, c.score)
		}
		if got.Verdict() != interview.Undetermined || !got.Unmeasured || got.Threshold != Reference.ID || got.Engine != "e" {
			t.Errorf("%s: verdict %s of %+v", name, got.Verdict(), got)
		}
	}
}

func TestALookNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	good := Look{Faces: 1, Width: 200, Light: 120, Sharpness: 500}
	for reason, change := range map[string]func(*Look){
		"":                 func(*Look) {},
		ReasonNoFace:       func(l *Look) { l.Faces = 0 },
		ReasonSeveralFaces: func(l *Look) { l.Faces = 2 },
		ReasonTooSmall:     func(l *Look) { l.Width = minWidth - 1 },
		ReasonTooDark:      func(l *Look) { l.Light = minLight - 1 },
		ReasonTooBright:    func(l *Look) { l.Light = maxLight + 1 },
		ReasonBlurred:      func(l *Look) { l.Sharpness = minSharpness - 1 },
		ReasonTurnedAway:   func(l *Look) { l.Turn = -maxTurn - 1 },
	} {
		l := good
		change(&l)
		if got := l.Judge(); got.Reason != reason || !got.valid() {
			t.Errorf("%+v judged %q, want %q", l, got.Reason, reason)
		}
	}
}
