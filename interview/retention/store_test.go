package retention_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/keyring"
	"kuule/internal/keyring/keyringtest"
	"kuule/internal/problem"
	"kuule/internal/store/storetest"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/retention"
)

// office is a store with a case and a clock that a test moves.
type office struct {
	*retention.Store
	db   *bun.DB
	ring keyring.Keyring
	key  *ecdsa.PrivateKey
	now  time.Time
	h    *interview.Hearing
}

// plain seals nothing: what is sealed is not what these tests look at.
type plain struct{}

func (plain) Seal(_ context.Context, _ interview.CaseID, _ string, text []byte) ([]byte, error) {
	return text, nil
}

func (plain) Open(_ context.Context, _ interview.CaseID, _ string, text []byte) ([]byte, error) {
	return text, nil
}

func newOffice(t *testing.T) *office {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{db: storetest.Open(t), ring: keyringtest.Local(t), key: key, now: time.Now()}
	o.Store = retention.NewStore(o.db, retention.Current(), plain{}, o.ring, ledger.Outbox{}, key.Public(), func() time.Time { return o.now })
	c, err := interview.NewStore(o.db, interview.Config{Sealer: plain{}, Outbox: ledger.Outbox{}}).CreateCase(t.Context(), interview.Case{Diary: "1", Lodged: "2026-06-15", Language: "fi"}, "liisa")
	if err != nil {
		t.Fatal(err)
	}
	o.h = &interview.Hearing{ID: interview.NewHearingID(), Case: c.ID}
	return o
}

func (o *office) due(t *testing.T) (out []retention.DueCase) {
	t.Helper()
	err := o.EachCase(t.Context(), func(_ interview.CaseID, _ retention.Facts, due retention.DueCase) error {
		if len(due.Kinds) > 0 {
			out = append(out, due)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func want(t *testing.T, what string, err error, code problem.Code) {
	t.Helper()
	if !errors.Is(err, problem.New(code, "")) {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

// L1, L2, L5: a case is due when its last matter closed long ago, and neither a
// hold nor an extension that a second person approved stands in the way.
func TestACaseBecomesDue(t *testing.T) {
	t.Parallel()
	o, ctx := newOffice(t), t.Context()
	today := o.now.Format(time.DateOnly)
	o.now = o.now.AddDate(20, 0, 0)
	if due := o.due(t); len(due) != 0 {
		t.Errorf("a case whose matter nobody closed is due: %+v", due)
	}
	if err := o.Move(ctx, o.h, retention.EventMatterClosed, "", today, "liisa"); err != nil {
		t.Fatal(err)
	}
	if due := o.due(t); len(due) != 1 || len(due[0].Kinds) != 2 {
		t.Fatalf("due: %+v", due)
	}
	var placed retention.Hold
	hold, err := o.Place(ctx, o.h, "appeal", "liisa", func(h retention.Hold) error { placed = h; return nil })
	if err != nil || placed.ID != hold.ID {
		t.Fatalf("%+v, %v", hold, err)
	}
	if due := o.due(t); len(due) != 0 {
		t.Errorf("due under a hold: %+v", due)
	}
	want(t, "lifted by whoever laid it", o.Lift(ctx, hold, "liisa"), problem.CodeForbidden)
	if err := o.Lift(ctx, hold, "matti"); err != nil {
		t.Fatal(err)
	}
	lifted, err := o.HoldOf(ctx, hold.ID)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "lifted twice", o.Lift(ctx, lifted, "matti"), problem.CodeConflict)
	if due := o.due(t); len(due) != 1 {
		t.Errorf("due after the hold: %+v", due)
	}

	longer := o.now.AddDate(1, 0, 0)
	e, err := o.Extend(ctx, o.h, longer.Format(time.DateOnly), "liisa")
	if err != nil {
		t.Fatal(err)
	}
	if due := o.due(t); len(due) != 1 {
		t.Errorf("an extension that nobody approved counts: %+v", due)
	}
	away := errors.New("authority is away")
	if err := o.Approve(ctx, e, "matti", func(time.Time) error { return away }); !errors.Is(err, away) || len(o.due(t)) != 1 {
		t.Errorf("approved although authority does not know: %v", err)
	}
	want(t, "approved by whoever asked", o.Approve(ctx, e, "liisa", func(time.Time) error { return nil }), problem.CodeForbidden)
	if err := o.Approve(ctx, e, "matti", func(time.Time) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if due := o.due(t); len(due) != 0 {
		t.Errorf("due although extended: %+v", due)
	}
	_, err = o.Extend(ctx, o.h, o.now.AddDate(0, 1, 0).Format(time.DateOnly), "liisa")
	want(t, "shortened", err, problem.CodeKept)

	view, err := o.View(ctx, o.h.Case, o.h.ID)
	if err != nil || len(view.Holds) != 1 || len(view.Extensions) != 1 || view.Marked == "" {
		t.Errorf("%+v, %v", view, err)
	}
	if err := o.Move(ctx, o.h, retention.EventMatterOpened, "second", today, "liisa"); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.AddDate(30, 0, 0)
	if due := o.due(t); len(due) != 0 {
		t.Errorf("due although a new matter is open: %+v", due)
	}
}

func TestWhatMovesNoClock(t *testing.T) {
	t.Parallel()
	o, ctx := newOffice(t), t.Context()
	tomorrow := o.now.AddDate(0, 0, 1).Format(time.DateOnly)
	want(t, "an unknown event", o.Move(ctx, o.h, "wished", "", "2026-06-15", "liisa"), problem.CodeMalformed)
	want(t, "what has not happened", o.Move(ctx, o.h, retention.EventMatterClosed, "", tomorrow, "liisa"), problem.CodeMalformed)
	want(t, "no day", o.Move(ctx, o.h, retention.EventMatterClosed, "", "soon", "liisa"), problem.CodeMalformed)
	for range 500 {
		if err := o.Move(ctx, o.h, retention.EventEntry, "", "2026-06-15", "liisa"); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "more than is read", o.Move(ctx, o.h, retention.EventMatterOpened, "second", "2026-06-16", "liisa"), problem.CodeTooLarge)
	_, err := o.Place(ctx, o.h, "because", "liisa", func(retention.Hold) error { return nil })
	want(t, "a hold without a ground", err, problem.CodeMalformed)
	away := errors.New("authority is away")
	if _, err := o.Place(ctx, o.h, "appeal", "liisa", func(retention.Hold) error { return away }); !errors.Is(err, away) {
		t.Errorf("a hold of which authority does not know: %v", err)
	}
	want(t, "an order that authority did not sign", func() error {
		_, err := o.Order(ctx, o.h, "erase-00112233445566778899aabbccddeeff", "x", "purpose", "liisa")
		if errors.Is(err, retention.ErrOrder) {
			return problem.New(problem.CodeForbidden, "%w", err)
		}
		return err
	}(), problem.CodeForbidden)
}

// L3: notes of special categories go at once, observations after six months,
// each alone.
func TestNotesGoAlone(t *testing.T) {
	t.Parallel()
	o, ctx := newOffice(t), t.Context()
	words := retention.NoteWords{Text: "tells of an illness"}
	needed, err := o.Note(ctx, o.h, retention.ClassSpecial, words, "liisa")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := o.Note(ctx, o.h, retention.ClassSpecial, words, "liisa")
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.Note(ctx, o.h, retention.ClassObservation, words, "liisa")
	want(t, "an observation without its source", err, problem.CodeMalformed)
	_, err = o.Note(ctx, o.h, retention.ClassTranscript, words, "liisa")
	want(t, "a note of another class", err, problem.CodeMalformed)
	seen, err := o.Note(ctx, o.h, retention.ClassObservation, retention.NoteWords{Text: "seen", Source: "guard", Reliability: "heard from others"}, "liisa")
	if err != nil {
		t.Fatal(err)
	}
	due := func() (out []interview.NoteID) {
		list, err := o.NotesDue(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			out = append(out, n.ID)
		}
		return out
	}
	if list := due(); len(list) != 0 {
		t.Errorf("due at once: %v", list)
	}
	if err := o.Needless(ctx, gone, "liisa"); err != nil {
		t.Fatal(err)
	}
	if list := due(); len(list) != 1 || list[0] != gone.ID {
		t.Errorf("due once needless: %v", list)
	}
	proof, err := o.ring.Destroy(ctx, keyring.Key{Case: gone.ID.String(), Kind: keyring.Special})
	if err != nil {
		t.Fatal(err)
	}
	message, err := retention.Tombstone{V: 1, Subject: gone.ID.String(), Keys: []retention.Ended{{Kind: keyring.Special, Versions: proof.Versions, At: proof.DestroyedAt.Unix()}},
		Rule: retention.ByNeedless, Rules: 1, Persons: []string{}, At: o.now.Unix()}.Sign(o.key)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := o.Bury(ctx, message); err != nil || !fresh {
		t.Fatalf("%t, %v", fresh, err)
	}
	notes, err := o.Notes(ctx, o.h.ID)
	if err != nil || len(notes) != 3 {
		t.Fatalf("%d notes, %v", len(notes), err)
	}
	for _, n := range notes {
		erased := n.ID == gone.ID
		if (n.Words.Text == "") != erased || (n.Keeping.State == retention.StateErased) != erased {
			t.Errorf("note %s: %q, %s", n.ID, n.Words.Text, n.Keeping.State)
		}
	}
	o.now = o.now.AddDate(0, 6, 1)
	if list := due(); len(list) != 1 || list[0] != seen.ID {
		t.Errorf("due after six months: %v, want the observation and not %s", list, needed.ID)
	}
	// No note outlives its case, whatever nobody said of it: the one that is
	// needed goes with the case's records.
	proof, err = o.ring.Destroy(ctx, keyring.Key{Case: seen.ID.String(), Kind: keyring.Special})
	if err != nil {
		t.Fatal(err)
	}
	bury := func(subject string, kind keyring.Kind, at time.Time) {
		message, err := retention.Tombstone{V: 1, Subject: subject, Keys: []retention.Ended{{Kind: kind, Versions: []string{"1"}, At: at.Unix()}},
			Rule: retention.ByOrder, Rules: 1, Persons: []string{}, At: o.now.Unix()}.Sign(o.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Bury(ctx, message); err != nil {
			t.Fatal(err)
		}
	}
	bury(seen.ID.String(), keyring.Special, proof.DestroyedAt)
	bury(o.h.Case.String(), keyring.Recording, o.now)
	if list := due(); len(list) != 0 {
		t.Errorf("due although the case's records stay: %v", list)
	}
	bury(o.h.Case.String(), keyring.Records, o.now)
	if list := due(); len(list) != 1 || list[0] != needed.ID {
		t.Errorf("due after the case: %v, want %s", list, needed.ID)
	}
	// No words in the audit log, and none in clear in SQL.
	var bodies []string
	if err := o.db.NewSelect().Table("audit_outbox").Column("body").Scan(ctx, &bodies); err != nil {
		t.Fatal(err)
	}
	var sealed []string
	if err := o.db.NewSelect().Table("retention_note").Column("sealed").Scan(ctx, &sealed); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(append(bodies, sealed...))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"illness", "guard"} {
		if strings.Contains(string(text), word) {
			t.Errorf("%q stands in clear", word)
		}
	}
}

// L6
func TestAHearingsMark(t *testing.T) {
	t.Parallel()
	o, ctx := newOffice(t), t.Context()
	if m, err := o.MarkOf(ctx, o.h.ID); err != nil || m.Class != "" || len(m.Grounds) != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	want(t, "a class on an ordinary record", o.Mark(ctx, o.h, retention.Mark{Grounds: []string{"24"}, Class: "TL IV", ClassItems: []string{"24"}}, "liisa"), problem.CodeForbidden)
	if err := o.Mark(ctx, o.h, retention.Mark{Grounds: []string{"24"}, Class: "TL IV", ClassItems: []string{"9"}}, "liisa"); err != nil {
		t.Fatal(err)
	}
	if m, err := o.MarkOf(ctx, o.h.ID); err != nil || m.Class != "TL IV" {
		t.Errorf("%+v, %v", m, err)
	}
}
