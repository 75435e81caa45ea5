package ledger_test

import (
	"strings"
	"testing"

	"kuule/internal/audit"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/interviewtest"
	"kuule/interview/ledger"
)

// Promise: every change of a hearing stands in the outbox, without a word about
// a person.
func TestAHearingsEventsReachTheOutbox(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	w := interviewtest.NewWorld(t, db)
	s := interview.NewStore(db, interview.Config{Sealer: w.Sealer, Outbox: ledger.Outbox{}, Clock: w.Clock.Read})
	if _, err := s.OpenRoom(t.Context(), w.Hearing.ID, 1); err != nil {
		t.Fatal(err)
	}
	rows, err := audit.Events(t.Context(), db, w.Hearing.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.Type)
		for _, word := range interviewtest.Words {
			if strings.Contains(r.Body, word) {
				t.Errorf("%s holds %q", r.Type, word)
			}
		}
	}
	if strings.Join(got, " ") != "phase.changed hearing.anchor" {
		t.Errorf("events: %v", got)
	}
}

func TestAnEventThatTheLedgerDoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	for _, e := range []interview.Event{
		{Type: "no.such"},
		{Type: "case.created"},
		{Type: "case.created", Fields: map[string]any{"case": "c", "name": "somebody"}},
	} {
		if err := ledger.Check(e); err == nil {
			t.Errorf("%+v was accepted", e)
		}
	}
}
