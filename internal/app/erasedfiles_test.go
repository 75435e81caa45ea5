package app

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"testing"
	"time"

	"kuule/internal/blob"
	"kuule/internal/bus"
	"kuule/internal/keyring"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/retention"
	"kuule/recorder"
)

// tombstoneOf is authority's proof for a case.
func tombstoneOf(t *testing.T, key crypto.Signer, subject string, kinds ...keyring.Kind) string {
	t.Helper()
	stone := retention.Tombstone{V: 1, Subject: subject, Rule: retention.ByClock, Rules: 1, Persons: []string{}, At: time.Now().Unix()}
	for _, k := range kinds {
		stone.Keys = append(stone.Keys, retention.Ended{Kind: k, Versions: []string{"1"}, At: time.Now().Unix()})
	}
	text, err := stone.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A recorder removes files on authority's signed proof alone: each single thing
// that the proof needs.
func TestFilesGoOnTheProofAlone(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	rec, err := recorder.New(recorder.Config{Folder: t.TempDir(), Joiner: noRooms{}, Keys: recordingKeys{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rec.Close)
	c := interview.NewCaseID().String()
	for name, proof := range map[string]string{
		"no proof":        "",
		"another's":       tombstoneOf(t, testKey(t), c, keyring.Recording),
		"records alone":   tombstoneOf(t, key, c, keyring.Records),
		"a note's":        tombstoneOf(t, key, interview.NewNoteID().String(), keyring.Special),
		"not a tombstone": "e30.e30.AA",
	} {
		if _, err := eraseFiles(t.Context(), rec, key.Public(), erasedQuestion{proof}); !errors.Is(err, problem.New(problem.CodeForbidden, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := eraseFiles(t.Context(), rec, key.Public(), erasedQuestion{tombstoneOf(t, key, c, keyring.Recording)}); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

type noRooms struct{}

func (noRooms) Join(context.Context, recorder.Hearing, recorder.Events) (recorder.Room, error) {
	return nil, errors.New("no rooms here")
}

// L4, L5, L7: each look asks every recorder for what is left, keeps it dated
// where it changed, and shows it.
func TestWhatIsLeftOfErasedFilesIsOnRecord(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	key := testKey(t)
	g.door.keeping.sealing = key.Public()
	g.door.keeping.store = retention.NewStore(g.door.db, retention.Current(), g.door.sealer, nil, ledger.Outbox{}, key.Public(), time.Now)
	c := g.world.Hearing.Case
	proof := tombstoneOf(t, key, c.String(), keyring.Recording)
	if _, err := g.door.keeping.store.Bury(t.Context(), proof); err != nil {
		t.Fatal(err)
	}
	lock := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	answers := []recorder.Remains{{Deleted: 3, Left: 2, Until: lock}, {Left: 2, Until: lock}, {Deleted: 2}, {}}
	asked := 0
	if err := bus.Handle(g.recorder, "recorder.erase", func(_ context.Context, _ bus.Name, q erasedQuestion) (recorder.Remains, error) {
		if q.Proof != proof {
			return recorder.Remains{}, errors.New("another proof")
		}
		asked++
		return answers[asked-1], nil
	}); err != nil {
		t.Fatal(err)
	}
	var logged int
	for i, want := range []FilesLeft{{Deleted: 3, Left: 2, Until: lock.Unix()}, {Deleted: 3, Left: 2, Until: lock.Unix()}, {Deleted: 5}, {Deleted: 5}} {
		var report ErasureReport
		if err := g.door.keeping.clearFiles(t.Context(), &report); err != nil || len(report.Failed) > 0 {
			t.Fatal(report.Failed, err)
		}
		got, err := g.door.keeping.filesLeft(t.Context(), c)
		if err != nil || got.At == 0 {
			t.Fatalf("look %d: %+v %v", i, got, err)
		}
		if got.At = 0; got != want {
			t.Errorf("look %d: %+v, want %+v", i, got, want)
		}
		n, err := g.door.db.NewSelect().Table("audit_outbox").Where("type = ?", eventFiles).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		logged = int(n)
	}
	if logged != 2 {
		t.Errorf("%d events for two changes", logged)
	}
}

// L5: files are locked where the storage locks: at once as they come, and as
// long as the case's clock says.
func TestFilesAreLockedAsTheClockSays(t *testing.T) {
	t.Parallel()
	folder, err := blob.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(s blob.Store, name string) blob.Info {
		if err := (lockedArchive{s}).Put(t.Context(), name, bytes.NewReader([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		info, err := folder.Stat(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if info := put(folder, "a/1"); !info.Until.IsZero() {
		t.Errorf("an ordinary folder locks: %+v", info)
	}
	if info := put(onceOnly{folder}, "a/2"); info.Until.Before(time.Now().AddDate(4, 10, 0)) {
		t.Errorf("write-once storage does not lock for the whole period: %+v", info)
	}
	now := time.Now()
	d := &keepingDesk{store: retention.NewStore(nil, retention.Current(), nil, nil, nil, nil, time.Now)}
	day := func(y int) time.Time { return now.UTC().Truncate(24*time.Hour).AddDate(y, 0, 0) }
	closed := []retention.Event{{Kind: retention.EventEntry, On: day(-1)}, {Kind: retention.EventMatterClosed, On: day(-1)}}
	for name, c := range map[string]struct {
		f    retention.Facts
		want time.Time
	}{
		"its period runs":   {retention.Facts{Events: closed}, day(4)},
		"a matter is open":  {retention.Facts{}, firstLock(now)},
		"a longer one":      {retention.Facts{Events: closed, Extended: day(9)}, day(9)},
		"open, and longer":  {retention.Facts{Extended: day(9)}, day(9)},
		"held, with period": {retention.Facts{Events: closed, Holds: 1}, day(4)},
	} {
		if got := d.fileLock(c.f, now); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

type onceOnly struct{ *blob.Folder }

func (onceOnly) WriteOnce() bool { return true }
