package app

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/backup"
)

// H5: what lies at a terminal is known and stays so when it went: released, by age,
// or without a word; and only what went without a release is an event of its own.
// A device that has no seat in a hearing says nothing about it.
func TestWhatLiesAtTerminalsIsKnown(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	h, other := g.world.Hearing.ID, interview.NewHearingID()
	now := time.Now()
	held := func(ids ...interview.HearingID) wire.BackupReport {
		r := wire.BackupReport{}
		for _, id := range ids {
			r.Held = append(r.Held, wire.BackupHeld{Hearing: id, Files: 1, Bytes: 5, Since: now.Unix(), Goes: now.Add(14 * 24 * time.Hour).Unix()})
		}
		return r
	}
	take := func(device interview.DeviceID, r wire.BackupReport) wire.BackupAnswer {
		t.Helper()
		out, err := g.door.takeReport(t.Context(), device, r, now)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	listed := func(all bool) []TerminalBackup {
		t.Helper()
		out, err := g.door.listBackups(t.Context(), ListBackups{All: all})
		if err != nil {
			t.Fatal(err)
		}
		return out.Backups
	}
	gone := func() int {
		t.Helper()
		n, err := g.door.db.NewSelect().Table("audit_outbox").Where("type = ?", eventBackupGone).Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	if out := take(g.world.Terminal, held(h, other)); len(out.Releases) != 0 {
		t.Fatalf("released: %v", out)
	}
	take(interview.NewDeviceID(), held(h))
	if all := listed(false); len(all) != 1 || all[0].Hearing != h || all[0].Device != g.world.Terminal || all[0].Diary == "" {
		t.Fatalf("%+v", all)
	}
	// It went by age, and came back with a disk that was put back.
	aged := wire.BackupReport{Gone: []wire.BackupGone{{Hearing: h, At: now.Unix(), Why: "age"}}}
	take(g.world.Terminal, aged)
	if all := listed(true); len(listed(false)) != 0 || len(all) != 1 || all[0].Ended != "age" || gone() != 1 {
		t.Fatalf("%+v, %d events", all, gone())
	}
	take(g.world.Terminal, held(h))
	// It is there no more, and nobody says why.
	take(g.world.Terminal, wire.BackupReport{})
	if all := listed(true); len(all) != 1 || all[0].Ended != backupUnknown || gone() != 2 {
		t.Fatalf("%+v, %d events", all, gone())
	}
	// Authority released it: the terminal is told, and that it went is no surprise.
	take(g.world.Terminal, held(h))
	naming := func(device interview.DeviceID) string {
		text, err := jws.Sign(backup.Release{V: 2, Hearing: h, Devices: []interview.DeviceID{device}}, backup.TypeRelease, testKey(t))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	// A release of other devices is none of its business.
	release := naming(g.world.Terminal)
	g.door.keeper.Keep(h, keptRelease, release)
	g.door.keeper.Keep(h, keptRelease, naming(interview.NewDeviceID()))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if out := take(g.world.Terminal, held(h)); len(out.Releases) == 1 && out.Releases[0] == release {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the terminal is not told")
		}
	}
	take(g.world.Terminal, wire.BackupReport{})
	if all := listed(true); len(all) != 1 || all[0].Ended != backupReleased || gone() != 2 {
		t.Fatalf("%+v, %d events", all, gone())
	}
}

// H5: a terminal that gives a cause which nobody knows is not heard, at its own
// connection: nothing of what it said is kept, and what was known stays.
func TestATerminalsOwnWordsAreNotKept(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t)
	h := g.world.Hearing.ID
	terminal := g.at(g.world.Terminal)
	report := wire.BackupReport{Held: []wire.BackupHeld{{Hearing: h, Files: 1, Bytes: 5, Since: 1, Goes: 2}}, Gone: []wire.BackupGone{}}
	post := func(what string, r wire.BackupReport, want problem.Code) {
		t.Helper()
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		terminal.want(what, http.MethodPost, wire.BackupsPath, string(text), want)
	}
	post("what lies there", report, "")
	for _, why := range []wire.BackupCause{"", "released", "unknown", "deleted by <b>counsel</b>"} {
		gone := wire.BackupReport{Held: []wire.BackupHeld{}, Gone: []wire.BackupGone{{Hearing: h, At: 3, Why: why}}}
		post("it went for "+string(why), gone, problem.CodeMalformed)
	}
	all, err := g.door.listBackups(t.Context(), ListBackups{All: true})
	if err != nil || len(all.Backups) != 1 || all.Backups[0].Ended != "" {
		t.Fatalf("%+v, %v", all, err)
	}
	gone := wire.BackupReport{Held: []wire.BackupHeld{}, Gone: []wire.BackupGone{{Hearing: h, At: 3, Why: wire.BackupRoom}}}
	post("it went for a newer one", gone, "")
	all, err = g.door.listBackups(t.Context(), ListBackups{All: true})
	if err != nil || len(all.Backups) != 1 || all.Backups[0].Ended != string(wire.BackupRoom) {
		t.Errorf("%+v, %v", all, err)
	}
}
