package agreements

import (
	"slices"

	"kuule/internal/problem"
)

// State is where an agreement stands.
type State string

// States of an agreement. Only a signed one is in force, within its time.
const (
	Requested   State = "requested"
	Negotiation State = "negotiation"
	Assessment  State = "assessment"
	Decision    State = "decision"
	Signed      State = "signed"
	Suspended   State = "suspended"
	Ended       State = "ended"
)

// steps says which state may follow which. To be signed from decision needs the
// office's signature, so that step is taken by Import alone.
var steps = map[State][]State{
	Requested:   {Negotiation, Ended},
	Negotiation: {Assessment, Ended},
	Assessment:  {Decision, Negotiation, Ended},
	Decision:    {Negotiation, Ended},
	Signed:      {Suspended, Ended},
	Suspended:   {Signed, Ended},
	Ended:       {},
}

// step refuses a step that does not exist with CodeAgreementState.
func (s State) step(to State) error {
	if !slices.Contains(steps[s], to) {
		return problem.Refused(problem.CodeAgreementState, "agreement-steps", "an agreement does not go from %s to %s", s, to)
	}
	return nil
}

// importable refuses a signed document where the agreement is not decided yet,
// or is over.
func (s State) importable() error {
	if s != Decision && s != Signed {
		return problem.Refused(problem.CodeAgreementState, "agreement-signed-after-decision", "an agreement in state %s takes no signed document", s)
	}
	return nil
}
