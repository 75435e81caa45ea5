package vendorport

import (
	"context"
	"fmt"
	"slices"
)

// StageEvent tells the agency's case system that a stage of a matter is complete
// (row B16). The idempotency key is the event's: told again, it counts once.
type StageEvent struct {
	Case      string `json:"case"`      // diary number
	Stage     string `json:"stage"`     // of [StageNames]
	Visit     string `json:"visit"`     // after which, for questions; names nobody
	Site      string `json:"site"`      // premises of the kiosk; "" at a desk
	Assurance string `json:"assurance"` // none, low, substantial, high
	At        int64  `json:"at"`        // seconds since 1970
}

// StageNames are the stages that are told.
func StageNames() []string {
	return []string{"identified", "photo-taken", "signed", "papers-scanned", "paid"}
}

// StageTaken answers it: taken, or never to be taken, with a reason of one word.
// A system that cannot say yet refuses with busy, and is asked again.
type StageTaken struct {
	Taken  bool   `json:"taken"`
	Reason string `json:"reason"` // where it was not: unknown-case, closed ...
}

func (s *StageTaken) valid() error {
	if s.Taken != (s.Reason == "") || s.Reason != "" && (!word.MatchString(s.Reason) || len(s.Reason) > 40) {
		return fmt.Errorf("%w: taken without a reason, or not taken with one of one word", ErrAnswer)
	}
	return nil
}

// Stage tells a case system of a stage.
func (c *Client) Stage(ctx context.Context, idempotency string, in StageEvent) (*StageTaken, error) {
	if !slices.Contains(StageNames(), in.Stage) {
		return nil, fmt.Errorf("%w: there is no stage %q", ErrRefused, in.Stage)
	}
	out := &StageTaken{}
	if err := c.do(ctx, OpStage, idempotency, in, out); err != nil {
		return nil, err
	}
	return out, nil
}
