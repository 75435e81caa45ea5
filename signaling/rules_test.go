package signaling_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/wire"
)

// States of a session, as the table of who may say what knows them.
var states = []string{"stranger", "waiting", "chair", "seated", "recorder", "gone"}

// mayBeSent says, for every type of package wire, in which states it may be
// sent to the door; nil for what only the door sends.
var mayBeSent = map[wire.Type][]string{
	wire.TypeJoin:      {"stranger"},
	wire.TypeAdmit:     {"chair"},
	wire.TypeDecline:   {"chair"},
	wire.TypeRemove:    {"chair"},
	wire.TypeRoster:    {"chair"},
	wire.TypeWraps:     {"chair", "seated"},
	wire.TypeOrigin:    {"chair", "seated"},
	wire.TypeOffer:     {"chair", "seated", "recorder"},
	wire.TypeWish:      {"chair", "seated", "recorder"},
	wire.TypeShare:     {"chair", "seated"},
	wire.TypePhase:     {"chair"},
	wire.TypeRaise:     {"seated"},
	wire.TypeHeartbeat: {"recorder"},
	wire.TypeLeave:     {"waiting", "chair", "seated", "recorder"},
	wire.TypeSync:      {"waiting", "chair", "seated", "recorder"},

	wire.TypeOK: nil, wire.TypeProblem: nil, wire.TypeWelcome: nil, wire.TypeKnock: nil, wire.TypeKnockGone: nil,
	wire.TypeAdmitted: nil, wire.TypeRefused: nil, wire.TypeMembers: nil, wire.TypeAnswer: nil, wire.TypeSlots: nil, wire.TypeSendHint: nil,
	wire.TypePhaseNow: nil, wire.TypeRaised: nil, wire.TypeClock: nil, wire.TypeSuperseded: nil,
}

// wireTypes reads the types from the source of package wire, so that a new one
// cannot be forgotten here.
func wireTypes(t *testing.T) []wire.Type {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../interview/wire/wire.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []wire.Type
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if named, ok := v.Type.(*ast.Ident); ok && named.Name == "Type" {
			for _, value := range v.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, wire.Type(text))
			}
		}
		return true
	})
	return out
}

// in makes a guest in a state, in a room of its own.
func in(t *testing.T, state string) *guest {
	t.Helper()
	d := newDoor(t)
	applicant := d.world.Person(interview.RoleApplicant, "Amal")
	switch state {
	case "stranger":
		return d.arrive(applicant)
	case "waiting":
		return d.come(applicant)
	case "recorder":
		return d.comeRecorder("a")
	case "chair":
		return d.chair()
	}
	c := d.chair()
	g := c.seat(applicant)
	if state == "gone" {
		c.must(c.ask(wire.TypeRemove, wire.Remove{Member: g.id(), Reason: "test"}))
	}
	return g
}

// Bad input, "a table holds every message against every state": each type is
// tried in each state; who may not is told so by the right code, and who may is
// refused for the empty body, if at all.
func TestWhoMaySayWhat(t *testing.T) {
	t.Parallel()
	types := wireTypes(t)
	if len(types) != len(mayBeSent) {
		t.Errorf("package wire has %d types, this table %d", len(types), len(mayBeSent))
	}
	for _, state := range states {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			for _, typ := range types {
				allowed, known := mayBeSent[typ]
				if !known {
					t.Errorf("no entry says who may send %q", typ)
					continue
				}
				got := code(t, in(t, state).ask(typ, struct{}{}))
				want := problem.CodeForbidden
				switch {
				case allowed == nil:
					want = problem.CodeNoRoute
				case slices.Contains(allowed, state):
					if slices.Contains([]problem.Code{problem.CodeNoRoute, problem.CodeForbidden, problem.CodeNotAdmitted, problem.CodeNotReady}, got) {
						t.Errorf("%s may not send %q: %s", state, typ, got)
					}
					continue
				case state == "waiting":
					want = problem.CodeNotAdmitted
				case state == "gone":
					want = problem.CodeNotReady
				}
				if got != want {
					t.Errorf("%s sends %q: answered %q, want %q", state, typ, got, want)
				}
			}
		})
	}
}
