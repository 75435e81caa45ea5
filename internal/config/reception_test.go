package config

import (
	"strings"
	"testing"
)

const (
	north = "pre_01a20000-0000-7000-8000-000000000001"
	south = "pre_01a20000-0000-7000-8000-000000000002"
)

// B14, B16, B17: everything of a reception is off where nothing is said, and each
// part is switched on by itself.
func TestReceptionIsOffByDefault(t *testing.T) {
	t.Parallel()
	r := Default().Reception
	if len(r.Queues)+len(r.Screen)+len(r.Help) > 0 || r.Casework != (Part{}) {
		t.Errorf("%+v", r)
	}
	for name, text := range map[string]string{
		"queues":   `{"reception":{"queues":[{"name":"help","label":"Service desk","letter":"A","matters":["desk","other"],"desks":["Desk 1"]}]}}`,
		"help":     `{"reception":{"help":[{"name":"hall","label":"Hall","premises":[]}]}}`,
		"premises": `{"reception":{"queues":[{"name":"n","label":"North","letter":"N","matters":["desk"],"desks":["Desk 1"],"premises":["` + north + `"]},{"name":"s","label":"South","letter":"S","matters":["desk"],"desks":["Desk 1"],"premises":["` + south + `"]},{"name":"all","label":"All","letter":"Z","matters":["desk"],"desks":["Hall"]}]}}`,
		"casework": `{"reception":{"casework":{"url":"unix:/run/cases.sock"}}}`,
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s alone: %v", name, err)
		}
	}
}

func TestReceptionRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	good := func() Queue {
		return Queue{Name: "help", Label: "Service desk", Letter: "A", Matters: []string{"desk"}, Desks: []string{"Desk 1"}}
	}
	other := good()
	other.Name, other.Letter = "cards", "B"
	for name, c := range map[string]struct {
		spoil func(*Queue)
		more  func(*Reception)
		want  string
	}{
		"name":           {func(q *Queue) { q.Name = "Help!" }, nil, "small letters"},
		"label":          {func(q *Queue) { q.Label = "" }, nil, "label"},
		"letter":         {func(q *Queue) { q.Letter = "AB" }, nil, "A to Z"},
		"matter":         {func(q *Queue) { q.Matters = []string{"lunch"} }, nil, "no matter"},
		"no desk":        {func(q *Queue) { q.Desks = nil }, nil, "desks"},
		"a matter twice": {nil, func(r *Reception) { r.Queues = append(r.Queues, other) }, "waits in queue"},
		"premises":       {func(q *Queue) { q.Premises = []string{"Joutseno"} }, nil, "no id of premises"},
		"a matter twice at one place": {func(q *Queue) { q.Premises = []string{north} }, func(r *Reception) {
			other.Premises = []string{north}
			r.Queues = append(r.Queues, other)
		}, "waits in queue"},
		"screen alone":    {nil, func(r *Reception) { r.Queues, r.Screen = nil, []string{"fi"} }, "there are none"},
		"plain HTTP":      {nil, func(r *Reception) { r.Casework.URL = "http://cases.example" }, "https://"},
		"no certificates": {nil, func(r *Reception) { r.Casework.URL = "https://cases.example" }, "needs ca"},
	} {
		q := good()
		if c.spoil != nil {
			c.spoil(&q)
		}
		r := Reception{Queues: []Queue{q}}
		if c.more != nil {
			c.more(&r)
		}
		whole := Default()
		whole.Reception = r
		if err := whole.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
