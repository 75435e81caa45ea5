package policy_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"kuule/internal/policy"
)

const rules = `
@id("may-enter") @note("x") permit(principal, action == Action::"enter", resource);
@id("not-at-night") forbid(principal, action, resource) when { context.hour > 21 };
@id("not-wet") forbid(principal, action, resource) when { context has shoes && context.shoes.wet };
`

func load(t *testing.T, text string) (*policy.Engine, error) {
	t.Helper()
	return policy.Load(fstest.MapFS{"a.cedar": {Data: []byte(text)}}, "*.cedar")
}

func enter(context map[string]any) policy.Request {
	return policy.Request{
		Principal: policy.Entity{Type: "Person", ID: "p"}, Action: policy.Entity{Type: "Action", ID: "enter"},
		Resource: policy.Entity{Type: "Room", ID: "r"}, Context: context,
	}
}

func TestAnswersNameTheRulesThatDecided(t *testing.T) {
	t.Parallel()
	e, err := load(t, rules)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Decide(enter(map[string]any{"hour": int64(9)}))
	if err != nil || !r.Allowed || len(r.Rules) != 1 || r.Rules[0].ID != "may-enter" || r.Rules[0].Annotations["note"] != "x" {
		t.Errorf("by day: %+v, %v", r, err)
	}
	r, err = e.Decide(enter(map[string]any{"hour": int64(23), "shoes": map[string]any{"wet": true}}))
	if err != nil || r.Allowed || len(r.Rules) != 2 || r.Rules[0].ID != "not-at-night" || r.Rules[1].ID != "not-wet" {
		t.Errorf("by night, wet: %+v, %v", r, err)
	}
	leave := enter(map[string]any{"hour": int64(9)})
	leave.Action.ID = "leave"
	if r, err = e.Decide(leave); err != nil || r.Allowed || len(r.Rules) != 0 {
		t.Errorf("what nothing permits: %+v, %v", r, err)
	}
}

// Cedar skips a policy that fails; a forbid that is skipped would let in.
func TestARuleThatCannotBeEvaluatedDenies(t *testing.T) {
	t.Parallel()
	e, err := load(t, rules)
	if err != nil {
		t.Fatal(err)
	}
	for name, facts := range map[string]map[string]any{
		"missing fact":       {},
		"fact of other type": {"hour": "late"},
		"unknown Go type":    {"hour": 9.5},
	} {
		if r, err := e.Decide(enter(facts)); r.Allowed || !errors.Is(err, policy.ErrPolicy) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestPoliciesWithoutTheirOwnNameAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no id":     `permit(principal, action, resource);`,
		"id twice":  `@id("a") permit(principal, action, resource); @id("a") forbid(principal, action, resource);`,
		"odd id":    `@id("A b") permit(principal, action, resource);`,
		"no syntax": `permit(`,
		"empty":     ``,
	} {
		if _, err := load(t, text); !errors.Is(err, policy.ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
