package kioskbridge

import (
	"context"

	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// Purpose is what a picture has to be good for.
type Purpose string

// Purposes of pictures.
const (
	PurposeLive     Purpose = "live"     // of the person at the kiosk
	PurposeDocument Purpose = "document" // the portrait on the chip
	PurposeCard     Purpose = "card"     // the photograph of a residence card (row B7)
)

// Grade is how good a picture is, as a part or the kiosk's page says it: whole
// numbers up to their scale, more is better. It is asserted and decides nothing.
type Grade struct {
	Engine   string    `json:"engine"`
	Measures []Measure `json:"measures"`        // the first one of a part is the whole
	Hints    []string  `json:"hints,omitempty"` // what could be better, the weightiest first
}

// Measure is one number of a grade.
type Measure struct {
	Name  string `json:"name"`
	Score int64  `json:"score"`
	Scale int64  `json:"scale"` // the highest that there is
}

// Grader says how good pictures are. An error means that it could not be asked:
// the visit goes on. It keeps nothing of the pictures (row B19). Safe for
// concurrent use.
type Grader interface {
	Grade(ctx context.Context, p Purpose, picture Image) (Grade, error)
}

// CheckQuality is the name, before the purpose, of the checks of pictures' quality.
const CheckQuality = "quality-"

// maxMeasures bounds what is kept of one grade.
const maxMeasures = 20

// grade asks how good a picture is. What is said stands in the evidence as
// asserted, number by number; nil where nobody was asked or nobody answered.
func (v *visit) grade(ctx context.Context, step ticket.StepName, p Purpose, picture Image) *Grade {
	if v.bridge.Quality == nil || len(picture.Bytes) == 0 {
		return nil
	}
	name := CheckQuality + string(p)
	g, err := v.bridge.Quality.Grade(ctx, p, picture)
	if err != nil {
		v.set(name, interview.Undetermined, reasonEngineAbsent)
		v.notice(ctx, PartEngine, reasonEngineAbsent)
		return nil
	}
	g.Measures = g.Measures[:min(len(g.Measures), maxMeasures)]
	reason := emrtd.ReasonOK
	if len(g.Hints) > 0 {
		reason = g.Hints[0]
	}
	v.set(name, interview.Asserted, reason)
	for _, m := range g.Measures {
		v.findings = append(v.findings, ticket.Finding{Check: string(step) + "." + m.Name, Verdict: string(interview.Asserted), Score: m.Score, Scale: m.Scale, Engine: g.Engine})
	}
	return &g
}

// gradePhoto is the quality of a card's photograph, kept with it (row B7): the
// part's word, or the hints of the page that took it.
func (v *visit) gradePhoto(ctx context.Context, c tunnel.Capture, picture Image) *Grade {
	if g := v.grade(ctx, ticket.StepPhoto, PurposeCard, picture); g != nil {
		return g
	}
	if len(c.Values) == 0 {
		return nil
	}
	g := &Grade{Engine: c.Values[0].Engine}
	for _, x := range c.Values {
		g.Measures = append(g.Measures, Measure{x.Name, x.Score, x.Scale})
	}
	return g
}
