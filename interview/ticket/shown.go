package ticket

import (
	"fmt"
	"time"

	"kuule/internal/canon"
	"kuule/interview"
)

// Names of what evidence itself tells the interviewer, before its checks.
const (
	CheckAssurance = "assurance"         // how sure the identity is, and by which way
	CheckBefore    = "identified-before" // that it was found out in an earlier visit
)

// Shown is what the interviewer is told of how sure an identity is: the level, the
// way on which the person was identified, and, where an earlier visit stands
// behind it, how old that is (rows B12, B18, D2).
func Shown(evidence string, now time.Time) ([]interview.Check, error) {
	var e Evidence
	if err := canon.Unmarshal([]byte(evidence), &e); err != nil {
		return nil, fmt.Errorf("evidence of a visit: %w", err)
	}
	way := string(e.Route)
	if e.Method != "" {
		way = string(RouteOfficers) + ", " + string(e.Method)
	}
	level := interview.Check{Name: CheckAssurance, Reason: string(e.Assurance)}
	if way != "" {
		level.Reason += " (" + way + ")"
	}
	switch e.Assurance {
	case AssuranceHigh, AssuranceSubstantial:
		level.Verdict = interview.Verified
	case AssuranceLow:
		level.Verdict = interview.Asserted
	default:
		level.Verdict = interview.Undetermined
	}
	out := []interview.Check{level}
	if e.Before != nil {
		age := now.Sub(time.Unix(e.Before.Ended, 0))
		text := fmt.Sprintf("%d min", int(age.Minutes()))
		if age >= 48*time.Hour {
			text = fmt.Sprintf("%d d", int(age.Hours()/24))
		} else if age >= 2*time.Hour {
			text = fmt.Sprintf("%d h", int(age.Hours()))
		}
		out = append(out, interview.Check{Name: CheckBefore, Verdict: interview.Asserted, Reason: text})
	}
	return out, nil
}
