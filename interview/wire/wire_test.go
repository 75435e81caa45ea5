package wire_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"kuule/internal/problem"
	"kuule/interview/wire"
)

// bodies are all that a message may carry.
var bodies = map[wire.Type]any{
	wire.TypeJoin: &wire.Join{}, wire.TypeAdmit: &wire.Admit{}, wire.TypeDecline: &wire.Decline{}, wire.TypeRemove: &wire.Remove{},
	wire.TypeRoster: &wire.Roster{}, wire.TypeWraps: &wire.Wraps{}, wire.TypeOrigin: &wire.Origin{}, wire.TypeOffer: &wire.Offer{},
	wire.TypeWish: &wire.Wish{}, wire.TypeShare: &wire.Share{}, wire.TypeSendHint: &wire.SendHint{}, wire.TypePhase: &wire.AskPhase{}, wire.TypeRaise: &wire.Raise{}, wire.TypeHeartbeat: &wire.Heartbeat{}, wire.TypeLeave: &wire.Leave{},
	wire.TypeSync: &wire.Sync{}, wire.TypeWelcome: &wire.Welcome{}, wire.TypeKnock: &wire.Knock{}, wire.TypeKnockGone: &wire.KnockGone{},
	wire.TypeAdmitted: &wire.Admitted{}, wire.TypeRefused: &problem.Document{}, wire.TypeMembers: &wire.Members{}, wire.TypeAnswer: &wire.Answer{},
	wire.TypeSlots: &wire.Slots{}, wire.TypePhaseNow: &wire.PhaseNow{}, wire.TypeRaised: &wire.Raised{}, wire.TypeClock: &wire.Clock{},
}

func TestReadingIsStrict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want problem.Code
	}{
		"empty":               {"", problem.CodeMalformed},
		"array":               {"[]", problem.CodeMalformed},
		"unknown field":       {`{"type":"sync","from":"me"}`, problem.CodeMalformed},
		"field twice":         {`{"type":"sync","id":1,"id":2}`, problem.CodeMalformed},
		"bytes after the end": {`{"type":"sync"}x`, problem.CodeMalformed},
		"too deep":            {`{"type":"sync","body":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, problem.CodeMalformed},
		"id is no integer":    {`{"type":"sync","id":1.5}`, problem.CodeMalformed},
		"too large":           {`{"type":"sync"` + strings.Repeat(" ", wire.MaxSize) + `}`, problem.CodeTooLarge},
	} {
		if _, err := wire.Parse([]byte(tc.text)); !errors.Is(err, problem.New(tc.want, "")) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	for typ, body := range bodies {
		m := wire.Message{Type: typ, Body: []byte(`{"nobody-knows-this":1}`)}
		if err := m.Read(body); !errors.Is(err, problem.New(problem.CodeMalformed, "")) {
			t.Errorf("%s took an unknown field: %v", typ, err)
		}
		m.Body = nil
		if err := m.Read(body); !errors.Is(err, problem.New(problem.CodeMalformed, "")) {
			t.Errorf("%s took no body: %v", typ, err)
		}
	}
}

// FuzzParse reads envelope and body; what is read and written again reads the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"type":"sync","id":3,"body":{"sent":7}}`))
	f.Add([]byte(`{"type":"wraps","body":{"wraps":["a","b"]}}`))
	f.Add([]byte(`{"type":"offer","body":{"sdp":"v=0","tracks":[{"track":"trk_00000000-0000-7000-8000-000000000000","source":"audio","number":0,"mid":"0"}]}}`))
	f.Add([]byte(`{"type":"admit","body":{"member":"mem_00000000-0000-7000-8000-000000000000","seats":null}}`))
	for typ := range bodies {
		f.Add([]byte(`{"type":"` + string(typ) + `","body":{}}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := wire.Parse(text)
		if err != nil {
			return
		}
		known := bodies[m.Type]
		if known == nil {
			return
		}
		body := reflect.New(reflect.TypeOf(known).Elem()).Interface()
		if m.Read(body) != nil {
			return
		}
		again, err := wire.New(m.Type, body)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		second := reflect.New(reflect.TypeOf(known).Elem()).Interface()
		if err := again.Read(second); err != nil || !reflect.DeepEqual(body, second) {
			t.Fatalf("read again: %v\n%+v\n%+v", err, body, second)
		}
	})
}
