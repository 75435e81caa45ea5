package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// ErrPolicy says that policies or facts cannot be used as they are.
var ErrPolicy = errors.New("policy cannot be evaluated")

// MaxPolicies bounds an engine.
const MaxPolicies = 500

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// Rule is one policy by its name.
type Rule struct {
	ID          string
	Permit      bool
	Annotations map[string]string
	order       int
}

// Engine holds policies that were loaded together. It is immutable and safe for
// concurrent use.
type Engine struct {
	set   *cedar.PolicySet
	rules map[string]Rule
}

// Load reads every file of fsys that matches pattern, in the order of names.
// Each policy needs an @id of its own.
func Load(fsys fs.FS, pattern string) (*Engine, error) {
	files, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	slices.Sort(files)
	e := &Engine{set: cedar.NewPolicySet(), rules: map[string]Rule{}}
	for _, file := range files {
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
		}
		if err := e.add(file, text); err != nil {
			return nil, err
		}
	}
	if len(e.rules) == 0 {
		return nil, fmt.Errorf("%w: no policy matches %s", ErrPolicy, pattern)
	}
	return e, nil
}

// add names each policy by its own @id: parsed from one file together, Cedar
// would call them policy0, policy1 and so on.
func (e *Engine) add(file string, text []byte) error {
	list, err := cedar.NewPolicyListFromBytes(file, text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrPolicy, file, err)
	}
	for _, p := range list {
		notes := map[string]string{}
		for k, v := range p.Annotations() {
			notes[string(k)] = string(v)
		}
		id := notes["id"]
		if !ruleName.MatchString(id) {
			return fmt.Errorf("%w: %s line %d: a policy needs an @id of lower-case words", ErrPolicy, file, p.Position().Line)
		}
		if _, twice := e.rules[id]; twice {
			return fmt.Errorf("%w: %s: rule %s exists twice", ErrPolicy, file, id)
		}
		if len(e.rules) == MaxPolicies {
			return fmt.Errorf("%w: more than %d rules", ErrPolicy, MaxPolicies)
		}
		e.set.Add(cedar.PolicyID(id), p)
		e.rules[id] = Rule{ID: id, Permit: bool(p.Effect() == cedar.Permit), Annotations: notes, order: len(e.rules)}
	}
	return nil
}

// Rules lists all rules in the order in which they were written.
func (e *Engine) Rules() []Rule {
	out := make([]Rule, 0, len(e.rules))
	for _, r := range e.rules {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Rule) int { return a.order - b.order })
	return out
}

// Entity names who acts, what is done or what is acted on.
type Entity struct{ Type, ID string }

// Request is a question with its facts. Context holds bool, int64, string,
// []string and nested map[string]any; a fact that is not known is left out.
type Request struct {
	Principal, Action, Resource Entity
	Context                     map[string]any
}

// Result is the answer. Rules are those that decided, in the order in which
// they were written: permits where it is allowed, forbids where one of them
// denied it, none where nothing permitted it.
type Result struct {
	Allowed bool
	Rules   []Rule
}

// Decide answers a request. Where a policy cannot be evaluated against the
// facts the answer is no, with ErrPolicy naming the policy.
func (e *Engine) Decide(r Request) (Result, error) {
	context, err := record(r.Context, 0)
	if err != nil {
		return Result{}, err
	}
	decision, why := cedar.Authorize(e.set, nil, cedar.Request{
		Principal: uid(r.Principal), Action: uid(r.Action), Resource: uid(r.Resource), Context: context,
	})
	if len(why.Errors) > 0 {
		return Result{}, fmt.Errorf("%w: rule %s: %s", ErrPolicy, why.Errors[0].PolicyID, why.Errors[0].Message)
	}
	out := Result{Allowed: decision == cedar.Allow}
	for _, reason := range why.Reasons {
		out.Rules = append(out.Rules, e.rules[string(reason.PolicyID)])
	}
	slices.SortFunc(out.Rules, func(a, b Rule) int { return a.order - b.order })
	return out, nil
}

func uid(e Entity) cedar.EntityUID {
	return cedar.NewEntityUID(types.EntityType(e.Type), types.String(e.ID))
}

func record(m map[string]any, depth int) (cedar.Record, error) {
	if depth > 4 {
		return cedar.Record{}, fmt.Errorf("%w: facts nest too deep", ErrPolicy)
	}
	out := cedar.RecordMap{}
	for name, v := range m {
		switch v := v.(type) {
		case bool:
			out[types.String(name)] = types.Boolean(v)
		case int64:
			out[types.String(name)] = types.Long(v)
		case string:
			out[types.String(name)] = types.String(v)
		case []string:
			values := make([]types.Value, len(v))
			for i, s := range v {
				values[i] = types.String(s)
			}
			out[types.String(name)] = cedar.NewSet(values...)
		case map[string]any:
			inner, err := record(v, depth+1)
			if err != nil {
				return cedar.Record{}, err
			}
			out[types.String(name)] = inner
		default:
			return cedar.Record{}, fmt.Errorf("%w: fact %s has type %T", ErrPolicy, name, v)
		}
	}
	return cedar.NewRecord(out), nil
}
