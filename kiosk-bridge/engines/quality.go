package engines

import (
	"context"

	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/vendorport"
)

// Quality grades pictures by a maker's part.
type Quality struct{ *Part }

var _ kioskbridge.Grader = Quality{}

// Grade implements [kioskbridge.Grader].
func (q Quality) Grade(ctx context.Context, p kioskbridge.Purpose, i kioskbridge.Image) (kioskbridge.Grade, error) {
	about, err := q.describe(ctx)
	if err != nil {
		return kioskbridge.Grade{}, err
	}
	g, err := q.Client.Grade(ctx, "", vendorport.Grade{Purpose: string(p), Picture: picture(i)})
	if err != nil {
		return kioskbridge.Grade{}, err
	}
	out := kioskbridge.Grade{Engine: about.Engine(), Hints: g.Hints, Measures: []kioskbridge.Measure{{Name: "quality", Score: int64(g.Overall), Scale: 100}}}
	for _, m := range g.Measures {
		out.Measures = append(out.Measures, kioskbridge.Measure{Name: "quality-" + m.Name, Score: int64(m.Value), Scale: 100})
	}
	return out, nil
}
