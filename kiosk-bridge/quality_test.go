package kioskbridge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"kuule/internal/canon"
	"kuule/interview"
	"kuule/interview/ticket"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/emrtdtest"
	"kuule/kiosk-bridge/tunnel"
)

// grader is a part that says how good pictures are.
type grader struct {
	err   error
	hints []string
	mu    sync.Mutex
	asked []string
}

func (g *grader) Grade(_ context.Context, p kioskbridge.Purpose, picture kioskbridge.Image) (kioskbridge.Grade, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, fmt.Sprintf("%s %s", p, picture.Format))
	return kioskbridge.Grade{
		Engine: "grader 1", Hints: g.hints, Measures: []kioskbridge.Measure{{Name: "quality", Score: 71, Scale: 100}, {Name: "quality-sharpness", Score: 40, Scale: 100}},
	}, g.err
}

// graded is the grade that was kept with the photograph of the last visit.
func (w *world) graded() *kioskbridge.Grade {
	w.t.Helper()
	var row kioskbridge.PieceRecord
	if err := w.db.NewSelect().Model(&row).Where("p.visit_id = ?", w.last().ID).Where("p.kind = 'photo'").Scan(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	var kept struct{ Grade *kioskbridge.Grade }
	if err := interview.OpenJSON(w.t.Context(), w.bridge.Sealer, row.Case, fmt.Sprintf("kiosk_piece.sealed:%s|%d", row.Visit, row.N), row.Sealed, &kept); err != nil {
		w.t.Fatal(err)
	}
	return kept.Grade
}

// said are the findings of the last visit, "check verdict score/scale engine".
func (w *world) said() []string {
	w.t.Helper()
	var c ticket.Checks
	if err := canon.Unmarshal([]byte(w.last().Checks), &c); err != nil {
		w.t.Fatal(err)
	}
	out := make([]string, 0, len(c.Findings))
	for _, f := range c.Findings {
		out = append(out, fmt.Sprintf("%s %s %d/%d %s", f.Check, f.Verdict, f.Score, f.Scale, f.Engine))
	}
	return out
}

// B7: a part that grades pictures is asked about the live picture, the document's
// portrait and the card's photograph; its word is asserted, kept with the
// photograph, and changes nothing of where the person goes.
func TestPicturesAreGraded(t *testing.T) {
	t.Parallel()
	g := &grader{hints: []string{"eyes-closed"}}
	w := newWorld(t, (&engine{finding: claims, living: isThere}).into, func(c *kioskbridge.Config) { c.Quality = g })
	out, err := w.visit(with(w.passport(emrtdtest.Genuine)), tunnel.ServiceCard)
	if err != nil || out.Result != tunnel.ResultDone {
		t.Fatalf("%+v %v", out, err)
	}
	if want := []string{"live image/jpeg", "document image/jpeg", "card image/jpeg"}; !slices.Equal(g.asked, want) {
		t.Errorf("asked %q, want %q", g.asked, want)
	}
	said := strings.Join(w.said(), "\n")
	for _, want := range []string{"face.quality asserted 71/100 grader 1", "chip.quality-sharpness asserted 40/100 grader 1", "photo.quality asserted 71/100 grader 1"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not among %s", want, said)
		}
	}
	checks, err := w.last().Verdicts()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"quality-live", "quality-document", "quality-card"} {
		if !slices.Contains(checks, interview.Check{Name: name, Verdict: interview.Asserted, Reason: "eyes-closed"}) {
			t.Errorf("%s is not in %+v", name, checks)
		}
	}
	if kept := w.graded(); kept == nil || kept.Engine != "grader 1" || len(kept.Measures) != 2 || kept.Hints[0] != "eyes-closed" {
		t.Errorf("with the photograph: %+v", kept)
	}
}

// A part that does not answer stops nobody, and staff are told; without one the
// hints of the page that took the photograph are kept with it.
func TestAPhotographKeepsThePagesHints(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]kioskbridge.Grader{"no part": nil, "one that is away": &grader{err: errors.New("away")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, (&engine{finding: claims, living: isThere}).into, func(c *kioskbridge.Config) { c.Quality = part })
			h := with(w.passport(emrtdtest.Genuine))
			h.take[ticket.StepPhoto] = func(tunnel.Ask) (tunnel.Capture, error) {
				c := done(tunnel.Piece{Kind: "photo", Format: "image/jpeg", Bytes: []byte("\xff\xd8\xff photograph")})
				c.Values = []tunnel.Value{{Name: "hint-light", Score: 512, Scale: 1000, Engine: "kuule-page hints 1"}}
				return c, nil
			}
			if out, err := w.visit(h, tunnel.ServiceCard); err != nil || out.Result != tunnel.ResultDone {
				t.Fatalf("%+v %v", out, err)
			}
			if kept := w.graded(); kept == nil || kept.Engine != "kuule-page hints 1" || !slices.Equal(kept.Measures, []kioskbridge.Measure{{Name: "hint-light", Score: 512, Scale: 1000}}) {
				t.Errorf("with the photograph: %+v", kept)
			}
			if said := strings.Join(w.said(), "\n"); !strings.Contains(said, "photo.hint-light asserted 512/1000 kuule-page hints 1") {
				t.Errorf("in the evidence: %s", said)
			}
			if told := w.told(); (len(told) > 0) != (part != nil) {
				t.Errorf("staff were told %q", told)
			}
		})
	}
}
