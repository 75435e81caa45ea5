package problem_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"kuule/internal/problem"
)

// C9: a refusal always comes with a way that is still open.
func TestEveryProblemLeavesAWayOpen(t *testing.T) {
	t.Parallel()
	for _, c := range problem.Codes() {
		e := problem.Lookup(c)
		if e.Way == "" || e.Title == "" || e.Status < 400 || e.Status > 599 {
			t.Errorf("%s: incomplete entry %+v", c, e)
		}
	}
}

func TestWhatIsInsideStaysInside(t *testing.T) {
	t.Parallel()
	d := problem.Of(fmt.Errorf("open /secret/path: %w", io.EOF))
	if d.Code != problem.CodeInternal || d.Detail != "" {
		t.Errorf("an inner error leaked: %+v", d)
	}
	err := fmt.Errorf("join: %w", problem.New(problem.CodePremises, "device %s: %w", "dev_1", io.EOF))
	if d := problem.Of(err); d.Code != problem.CodePremises || d.Way != problem.WayAgency {
		t.Errorf("a wrapped problem was lost: %+v", d)
	}
	if !errors.Is(err, io.EOF) || !errors.Is(err, problem.New(problem.CodePremises, "")) {
		t.Error("causes and codes must be found by errors.Is")
	}
}
