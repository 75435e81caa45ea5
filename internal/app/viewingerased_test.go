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
