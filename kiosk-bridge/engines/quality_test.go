package engines_test

import (
	"testing"

	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// B7: a maker's grade with its numbers and hints; a picture that is none is an error.
func TestPicturesAreGradedByTheirPart(t *testing.T) {
	t.Parallel()
	q := engines.Quality{Part: &engines.Part{Client: vendorporttest.Client(t, vendorporttest.Quality())}}
	for width, want := range map[int]struct {
		score int64
		hints int
	}{400: {80, 0}, 100: {20, 1}} {
		g, err := q.Grade(t.Context(), kioskbridge.PurposeCard, image(1, facetest.View{Width: width, Height: width}))
		if err != nil || g.Engine != "Simulator play of quality 1" || len(g.Measures) != 2 || len(g.Hints) != want.hints ||
			g.Measures[0] != (kioskbridge.Measure{Name: "quality", Score: want.score, Scale: 100}) || g.Measures[1].Name != "quality-size" {
			t.Errorf("%d: %+v, %v", width, g, err)
		}
	}
	if _, err := q.Grade(t.Context(), kioskbridge.PurposeLive, kioskbridge.Image{Format: "image/jpeg", Bytes: []byte("no picture")}); err == nil {
		t.Error("what is no picture was graded")
	}
}
