package admission

import (
	"embed"
	"fmt"
	"slices"
	"time"

	"kuule/internal/policy"
	"kuule/internal/problem"
	"kuule/interview"
)

//go:embed rules.cedar
var files embed.FS

// Outcome is what becomes of a join.
type Outcome string

// Outcomes.
const (
	Allow  Outcome = "allow"  // in, as chair
	Wait   Outcome = "wait"   // in the waiting room until admitted by name (D1)
	Refuse Outcome = "refuse" // not in; the way still open is told
)

// RuleDefault is the rule of a refusal where nothing permits the join.
const RuleDefault = "deny-by-default"

// Facts are what is known when a seat is asked for. Each comes from a check of
// its own; a zero value never lets anybody in.
type Facts struct {
	Now      time.Time
	Hearing  Hearing
	Seat     Seat
	Device   Device
	Premises interview.PremisesID // where the register places the device
	Person   *Person              // who signed in at the device, if anybody
	Ticket   *Ticket              // for this seat's participant, if there is one
	Coverage Coverage
}

// Hearing is the hearing that the page asked for.
type Hearing struct {
	ID     interview.HearingID
	Opens  time.Time
	Closes time.Time
	Phase  interview.Phase
}

// Seat is the booked seat.
type Seat struct {
	ID           interview.SeatID
	Participant  interview.ParticipantID
	Role         interview.Role
	Subject      string // booked; "" for who comes by ticket
	Device       interview.DeviceID
	Premises     interview.PremisesID
	BesideClient bool // the applicant's seat is on the same device
	Taken        bool // another device or page holds it
}

// Device is the device that asks, as its certificate names it.
type Device struct {
	ID        interview.DeviceID
	Named     bool // by an agreement in force (C3, C11)
	Revoked   bool
	Posture   interview.Verdict
	PostureAt time.Time // of the last verified quote; zero: never
}

// Person is who signed in at the device.
type Person struct {
	Subject string
	Roles   []interview.Role
	Verdict interview.Verdict // of the identity token
}

// Ticket is a join ticket that the device redeemed.
type Ticket struct {
	ID          interview.TicketID
	Hearing     interview.HearingID
	Participant interview.ParticipantID
	Device      interview.DeviceID
	Purpose     interview.Purpose
	Expires     time.Time
	Verdict     interview.Verdict // of the bridge's signature
}

// Coverage is what the agreement in force covers for this seat.
type Coverage struct{ Device, Premises, Person bool }

// Decision is the answer, with the rule that gave it.
type Decision struct {
	Outcome Outcome
	Rule    string
	Code    problem.Code // of a refusal
	Way     problem.Way  // still open after a refusal (C9)
	Rules   []string     // all that refused, the one told first
}

// Err is the refusal as a problem; nil where the join is not refused.
func (d Decision) Err() error {
	if d.Outcome != Refuse {
		return nil
	}
	return problem.Refused(d.Code, d.Rule, "join refused")
}

// Engine decides joins. It is safe for concurrent use.
type Engine struct{ policies *policy.Engine }

// New loads the rules. It refuses rules whose annotations the code does not
// know, so that a rule never decides without a code that people understand.
func New() (*Engine, error) {
	p, err := policy.Load(files, "*.cedar")
	if err != nil {
		return nil, err
	}
	known := problem.Codes()
	for _, r := range p.Rules() {
		outcome, code := Outcome(r.Annotations["outcome"]), problem.Code(r.Annotations["code"])
		if r.Permit && outcome != Allow && outcome != Wait {
			return nil, fmt.Errorf("%w: rule %s permits without an outcome", policy.ErrPolicy, r.ID)
		}
		if !r.Permit && !slices.Contains(known, code) {
			return nil, fmt.Errorf("%w: rule %s refuses without a known code", policy.ErrPolicy, r.ID)
		}
	}
	return &Engine{p}, nil
}

// Rules lists the ids of all rules, in their order.
func (e *Engine) Rules() []string {
	var ids []string
	for _, r := range e.policies.Rules() {
		ids = append(ids, r.ID)
	}
	return ids
}

// Decide answers for one seat. An error means that the rules could not be
// evaluated; nobody is let in by it.
func (e *Engine) Decide(f Facts) (Decision, error) {
	r, err := e.policies.Decide(policy.Request{
		Principal: policy.Entity{Type: "Device", ID: f.Device.ID.String()},
		Action:    policy.Entity{Type: "Action", ID: "join"},
		Resource:  policy.Entity{Type: "Seat", ID: f.Seat.ID.String()},
		Context:   f.context(),
	})
	if err != nil {
		return refusal(RuleDefault, problem.CodeInternal), err
	}
	if len(r.Rules) == 0 {
		return refusal(RuleDefault, problem.CodeForbidden), nil
	}
	first := r.Rules[0]
	if r.Allowed {
		return Decision{Outcome: Outcome(first.Annotations["outcome"]), Rule: first.ID}, nil
	}
	d := refusal(first.ID, problem.Code(first.Annotations["code"]))
	d.Rules = nil
	for _, rule := range r.Rules {
		d.Rules = append(d.Rules, rule.ID)
	}
	return d, nil
}

// DecideAll answers for all seats of one device's statement together: the first
// refusal refuses all, and whoever is not the interviewer makes all of them wait.
// No seat is a refusal too.
func (e *Engine) DecideAll(seats []Facts) (Decision, error) {
	out := refusal(RuleDefault, problem.CodeNotBooked)
	for _, f := range seats {
		d, err := e.Decide(f)
		if err != nil || d.Outcome == Refuse {
			return d, err
		}
		if out.Outcome == Refuse || d.Outcome == Wait {
			out = d
		}
	}
	return out, nil
}

func refusal(rule string, code problem.Code) Decision {
	return Decision{Outcome: Refuse, Rule: rule, Code: code, Way: problem.Lookup(code).Way, Rules: []string{rule}}
}

// context turns facts into what the rules read.
func (f Facts) context() map[string]any {
	device := map[string]any{"named": f.Device.Named, "revoked": f.Device.Revoked, "posture": string(f.Device.Posture)}
	if !f.Device.PostureAt.IsZero() {
		device["posture_age_ms"] = f.Now.Sub(f.Device.PostureAt).Milliseconds()
	}
	c := map[string]any{
		"device": device,
		"hearing": map[string]any{
			"open": !f.Now.Before(f.Hearing.Opens),
			"over": f.Hearing.Phase == interview.PhaseEnded || !f.Now.Before(f.Hearing.Closes),
		},
		"seat": map[string]any{
			"role": string(f.Seat.Role), "taken": f.Seat.Taken, "beside_client": f.Seat.BesideClient,
			"on_device": !f.Device.ID.IsZero() && f.Seat.Device == f.Device.ID,
		},
		"premises": map[string]any{"agreed": !f.Premises.IsZero() && f.Premises == f.Seat.Premises},
		"coverage": map[string]any{"device": f.Coverage.Device, "premises": f.Coverage.Premises, "person": f.Coverage.Person},
	}
	if p := f.Person; p != nil {
		c["person"] = map[string]any{
			"verdict": string(p.Verdict), "in_role": slices.Contains(p.Roles, f.Seat.Role),
			"booked": p.Subject != "" && p.Subject == f.Seat.Subject,
		}
	}
	if t := f.Ticket; t != nil {
		c["ticket"] = map[string]any{
			"verdict": string(t.Verdict), "purpose": string(t.Purpose), "stale": !f.Now.Before(t.Expires),
			"device": t.Device == f.Device.ID, "hearing": t.Hearing == f.Hearing.ID, "participant": t.Participant == f.Seat.Participant,
		}
	}
	return c
}

// Checks are the facts as the interviewer sees them before admitting by name.
func (f Facts) Checks() []interview.Check {
	who := interview.Check{Name: "identity", Verdict: interview.NotDone, Reason: "nobody-shown"}
	switch {
	case f.Ticket != nil:
		who = interview.Check{Name: "identity", Verdict: f.Ticket.Verdict, Reason: "join-ticket"}
	case f.Person != nil:
		who = interview.Check{Name: "identity", Verdict: f.Person.Verdict, Reason: "sign-in"}
	}
	place := interview.Check{Name: "premises", Verdict: interview.Failed, Reason: "not-agreed"}
	if !f.Premises.IsZero() && f.Premises == f.Seat.Premises {
		// The register places the device there; nothing measured it.
		place = interview.Check{Name: "premises", Verdict: interview.Asserted, Reason: "register"}
	}
	agreed := interview.Check{Name: "agreement", Verdict: interview.Failed, Reason: "not-named"}
	if f.Device.Named && !f.Device.Revoked {
		agreed = interview.Check{Name: "agreement", Verdict: interview.Verified, Reason: "in-force"}
	}
	return []interview.Check{who, {Name: "posture", Verdict: f.Device.Posture, Reason: "quote"}, place, agreed}
}
