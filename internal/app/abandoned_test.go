package app

import (
	"context"
	"errors"
	"io"
	"testing"

	"kuule/internal/bus"
	"kuule/internal/problem"
	"kuule/interview"
	kioskbridge "kuule/kiosk-bridge"
)

// H1: a hearing that was left open, as by a crash, is closed at the console, with a
// reason, once and for good; until then its evidence is refused, and says how.
func TestAnAbandonedHearingIsClosedAtTheConsole(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	h := g.world.Hearing.ID
	g.door.bridge = &kioskbridge.Bridge{}
	ended := 0
	if err := bus.Handle(g.recorder, "recorder.end", func(_ context.Context, _ bus.Name, q hearingQuestion) (none, error) {
		if q.Hearing == h {
			ended++
		}
		return none{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := g.door.buildEvidence(t.Context(), h, io.Discard); !errors.Is(err, problem.New(problem.CodeRecordingState, "")) {
		t.Fatalf("evidence of an open hearing: %v", err)
	}
	if _, err := g.door.closeHearing(t.Context(), CloseHearing{Hearing: h, Reason: " "}); !errors.Is(err, problem.New(problem.CodePurposeNeeded, "")) {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := g.door.closeHearing(t.Context(), CloseHearing{Hearing: interview.NewHearingID(), Reason: "crash"}); err == nil {
		t.Error("a hearing that there is not")
	}
	if _, err := g.door.closeHearing(t.Context(), CloseHearing{Hearing: h, Reason: "the server crashed, nobody came back"}); err != nil {
		t.Fatal(err)
	}
	now, err := (hearings{g.door}).Phase(t.Context(), h)
	if err != nil || now.Phase != interview.PhaseEnded || now.Cause != interview.CauseAbandoned || !now.By.IsZero() || ended == 0 {
		t.Fatalf("%+v, recorders told %d times: %v", now, ended, err)
	}
	if _, err := g.door.closeHearing(t.Context(), CloseHearing{Hearing: h, Reason: "again"}); !errors.Is(err, problem.New(problem.CodePhase, "")) && !errors.Is(err, problem.New(problem.CodeTooLate, "")) {
		t.Errorf("a second time: %v", err)
	}
}
