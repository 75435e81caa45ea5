package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/retention"
)

// erasedCase is a sealer that has lost a case's key.
type erasedCase struct{ interview.Sealer }

// Open implements interview.Sealer.
func (erasedCase) Open(_ context.Context, c interview.CaseID, _ string, _ []byte) ([]byte, error) {
	return nil, problem.New(problem.CodeErased, "case %s", c)
}

// What a page says was heard cannot fill the log: spans have bounds of time and
// number.
func TestSpansOfAViewingAreBounded(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	desk := g.at(g.world.Desk).signIn("sub-interviewer")
	var v viewingView
	desk.told("POST", "/api/hearings/"+g.world.Hearing.ID.String()+"/viewings", `{"purpose":"appeal"}`, &v)
	row, err := g.door.viewings.store.find(t.Context(), v.Viewing)
	if err != nil {
		t.Fatal(err)
	}
	o := &opening{row: row, spec: viewingSpec{Viewing: v.Viewing + "-" + nonce1}, device: g.world.Desk, until: time.Now().Add(time.Hour), seen: time.Now(), spans: map[string]*spanRow{}}
	g.door.viewings.mu.Lock()
	g.door.viewings.live[v.Viewing] = o
	g.door.viewings.mu.Unlock()
	heard := "/api/viewings/" + v.Viewing + "/heard"
	for what, span := range map[string]string{
		"before the hearing": `{"from":-1,"to":1}`, "ends before it begins": `{"from":2,"to":1}`, "of days": `{"from":0,"to":1000000000000}`,
		"of all time": `{"from":-9007199254740991,"to":9007199254740991}`,
	} {
		desk.want(what, "POST", heard, `{"spans":[`+span+`]}`, problem.CodeMalformed)
	}
	var out none
	desk.told("POST", heard, `{"spans":[{"from":0,"to":1000000}]}`, &out)
	o.mu.Lock()
	o.count = maxSpans
	o.mu.Unlock()
	desk.told("POST", heard, `{"spans":[{"from":1000000,"to":2000000}]}`, &out) // goes on with the same one
	desk.want("one too many", "POST", heard, `{"spans":[{"from":90000000,"to":91000000}]}`, problem.CodeTooFast)
}

// L4: an erasure ends what is being watched of the case, and of no other; that
// somebody listened to it stays in the list, without words.
func TestAnErasureEndsWhatIsWatched(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	key := testKey(t)
	d := &keepingDesk{
		g.door, retention.NewStore(g.door.db, retention.Current(), g.door.sealer, keyringremote.New(g.door.conn), ledger.Outbox{}, key.Public(), time.Now), key.Public(),
	}
	desk := g.at(g.world.Desk).signIn("sub-interviewer")
	var v viewingView
	desk.told("POST", "/api/hearings/"+g.world.Hearing.ID.String()+"/viewings", `{"purpose":"appeal"}`, &v)
	watched := func(id string, c interview.CaseID) *opening {
		o := &opening{
			row: &viewingRow{ID: id, Case: c, Hearing: g.world.Hearing.ID}, spec: viewingSpec{Viewing: id + "-" + nonce1},
			device: g.world.Desk, until: time.Now().Add(time.Hour), seen: time.Now(), spans: map[string]*spanRow{},
		}
		g.door.viewings.mu.Lock()
		g.door.viewings.live[id] = o
		g.door.viewings.mu.Unlock()
		return o
	}
	own, other := watched(v.Viewing, g.world.Hearing.Case), watched(viewingID, interview.NewCaseID())
	message, err := retention.Tombstone{
		V: 1, Subject: own.row.Case.String(), Keys: []retention.Ended{{Kind: keyring.Recording, Versions: []string{"1"}, At: 1}}, Rule: retention.ByOrder, Persons: []string{}, At: 1,
	}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.bury(t.Context(), message+"x"); !errors.Is(err, retention.ErrTombstone) || own.ended {
		t.Fatalf("a tombstone that does not hold: %v, ended %t", err, own.ended)
	}
	if fresh, err := d.bury(t.Context(), message); err != nil || !fresh {
		t.Fatalf("%t, %v", fresh, err)
	}
	if !own.ended || other.ended {
		t.Errorf("of the erased case %t, of the other %t", own.ended, other.ended)
	}
	g.door.viewings.store.sealer = erasedCase{}
	var list struct {
		Viewings []viewingView `json:"viewings"`
	}
	desk.told("GET", "/api/viewings", "", &list)
	if len(list.Viewings) != 1 || list.Viewings[0].Viewing != v.Viewing || list.Viewings[0].Purpose != "" {
		t.Errorf("listed: %+v", list.Viewings)
	}
}
