package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"kuule/attestation/wire"
	"kuule/interview"
)

func report(held, gone int) wire.BackupReport {
	r := wire.BackupReport{Held: []wire.BackupHeld{}, Gone: []wire.BackupGone{}}
	for range held {
		r.Held = append(r.Held, wire.BackupHeld{Hearing: interview.NewHearingID(), Files: 1, Bytes: 5, Since: 1, Goes: 2})
	}
	for range gone {
		r.Gone = append(r.Gone, wire.BackupGone{Hearing: interview.NewHearingID(), At: 1, Why: wire.BackupAge})
	}
	return r
}

// H5: a device says why a back-up went in words that everybody knows, or it is not
// heard: what it says is read by people and kept in the log.
func TestAReportOfBackupsSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	read := func(r wire.BackupReport) error {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = wire.ReadBackupReport(text)
		return err
	}
	for _, why := range []wire.BackupCause{wire.BackupAge, wire.BackupRoom} {
		r := report(1, 1)
		r.Gone[0].Why = why
		if err := read(r); err != nil {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := read(report(wire.MaxBackups, wire.MaxBackups)); err != nil {
		t.Errorf("as many as may be: %v", err)
	}
	for name, change := range map[string]func(r *wire.BackupReport){
		"no cause":              func(r *wire.BackupReport) { r.Gone[0].Why = "" },
		"a cause of its own":    func(r *wire.BackupReport) { r.Gone[0].Why = "the dog ate it" },
		"what the server says":  func(r *wire.BackupReport) { r.Gone[0].Why = "released" },
		"a very long cause":     func(r *wire.BackupReport) { r.Gone[0].Why = wire.BackupCause(strings.Repeat("age", 1000)) },
		"another's spelling":    func(r *wire.BackupReport) { r.Gone[0].Why = "Age" },
		"one that went nowhere": func(r *wire.BackupReport) { r.Gone[0].Hearing = interview.HearingID{} },
		"at no time":            func(r *wire.BackupReport) { r.Gone[0].At = -1 },
		"held of no hearing":    func(r *wire.BackupReport) { r.Held[0].Hearing = interview.HearingID{} },
		"held without a file":   func(r *wire.BackupReport) { r.Held[0].Files = 0 },
		"fewer than no bytes":   func(r *wire.BackupReport) { r.Held[0].Bytes = -1 },
		"one held too many":     func(r *wire.BackupReport) { *r = report(wire.MaxBackups+1, 0) },
		"one gone too many":     func(r *wire.BackupReport) { *r = report(0, wire.MaxBackups+1) },
	} {
		r := report(1, 1)
		change(&r)
		if err := read(r); !errors.Is(err, wire.ErrBackupReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "{}x", `{"held":[],"gone":[],"more":1}`, `{"held":[],"held":[],"gone":[]}`} {
		if _, err := wire.ReadBackupReport([]byte(text)); !errors.Is(err, wire.ErrBackupReport) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzReadBackupReport(f *testing.F) {
	for _, r := range []wire.BackupReport{report(0, 0), report(2, 1)} {
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add([]byte(strings.Replace(string(text), `"age"`, `"room"`, 1)))
		f.Add([]byte(strings.Replace(string(text), `"age"`, `"x"`, 1)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := wire.ReadBackupReport(text)
		if err != nil {
			return
		}
		if len(r.Held) > wire.MaxBackups || len(r.Gone) > wire.MaxBackups {
			t.Errorf("%d held, %d gone", len(r.Held), len(r.Gone))
		}
		for _, g := range r.Gone {
			if g.Why != wire.BackupAge && g.Why != wire.BackupRoom {
				t.Errorf("went for %q", g.Why)
			}
		}
	})
}
