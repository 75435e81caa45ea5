package app

import (
	"context"
	"strings"

	"kuule/internal/problem"
	"kuule/interview"
)

// CloseHearing ends a hearing that nobody came back to, as after a crash of the
// server: until a hearing has ended there is no evidence of it to seal.
type CloseHearing struct {
	Hearing interview.HearingID `json:"hearing"`
	Reason  string              `json:"reason"`
}

// ClosedHearing is when it ended.
type ClosedHearing struct {
	Since interview.Micros `json:"since"` // on the hearing clock
}

// closeHearing ends a hearing at the console. While anybody is in the room, or may
// come back to a seat there, that is for the interviewer alone.
func (d *door) closeHearing(ctx context.Context, q CloseHearing) (ClosedHearing, error) {
	reason := strings.TrimSpace(q.Reason)
	if reason == "" {
		return ClosedHearing{}, problem.New(problem.CodePurposeNeeded, "closing %s needs its reason", q.Hearing)
	}
	if d.hub.Occupied(q.Hearing) {
		return ClosedHearing{}, problem.New(problem.CodeConflict, "somebody is in the room of %s, or left it within the time in which a seat is kept: the interviewer ends it there", q.Hearing)
	}
	// After a restart of the door nobody may have opened the room again.
	if _, err := d.hearings.OpenRoom(ctx, q.Hearing, d.epoch); err != nil {
		return ClosedHearing{}, err
	}
	state, err := d.hearings.Transition(ctx, q.Hearing, interview.Ask{To: interview.PhaseEnded, Cause: interview.CauseAbandoned, Reason: reason}, interview.Conditions{})
	if err != nil {
		return ClosedHearing{}, err
	}
	d.hub.PhaseNow(q.Hearing, phaseNow(state))
	d.afterPhase(ctx, q.Hearing, state)
	return ClosedHearing{Since: state.Since}, nil
}

// CloseHearing ends a hearing that nobody came back to.
func (c Console) CloseHearing(ctx context.Context, id interview.HearingID, reason string) (out ClosedHearing, err error) {
	err = c.post(ctx, "/hearings/close", CloseHearing{id, reason}, &out)
	return out, err
}
