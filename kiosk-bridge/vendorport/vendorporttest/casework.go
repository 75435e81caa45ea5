package vendorporttest

import (
	"slices"
	"sync"

	"kuule/kiosk-bridge/vendorport"
)

// CaseSystem is a case system that is played: it knows the cases that it is
// given, and takes each event once.
type CaseSystem struct {
	*Part

	mu    sync.Mutex
	taken []vendorport.StageEvent
}

// Taken lists what was taken, in its order.
func (c *CaseSystem) Taken() []vendorport.StageEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.taken)
}

// Casework plays a case system that knows some cases; none: all.
func Casework(cases ...string) *CaseSystem {
	c := &CaseSystem{Part: &Part{Description: describe(vendorport.PortCasework, vendorport.OpStage)}}
	c.Answer = func(_ vendorport.Operation, body []byte) (any, *vendorport.Refusal) {
		var in vendorport.StageEvent
		if r := c.read(body, &in); r != nil {
			return nil, r
		}
		if !slices.Contains(vendorport.StageNames(), in.Stage) && !c.has(Credulous) || in.Case == "" || in.At <= 0 {
			return nil, &vendorport.Refusal{Code: vendorport.CodeMalformed, Detail: "case, stage and time are all needed"}
		}
		if len(cases) > 0 && !slices.Contains(cases, in.Case) {
			return &vendorport.StageTaken{Reason: "unknown-case"}, nil
		}
		if c.has(Contrary) {
			return &vendorport.StageTaken{Taken: true, Reason: "unknown-case"}, nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taken = append(c.taken, in)
		return &vendorport.StageTaken{Taken: true}, nil
	}
	return c
}
