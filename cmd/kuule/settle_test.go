package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/attestation/agent/bundle"
	"kuule/internal/app"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/recorder/coverage"
)

// H5: a back-up is wanted where one lies that was not taken in, or where nothing
// could be released; what a workstation lacks, which keeps none, wants nothing.
func TestWhatIsWantedIsSaid(t *testing.T) {
	t.Parallel()
	id, terminal, station := interview.NewHearingID(), interview.NewDeviceID(), interview.NewDeviceID()
	lacks := []backup.Span{{From: 2_000_000, To: 2_400_000}}
	for name, c := range map[string]struct {
		s      app.SettledBackups
		wanted bool
		says   []string
	}{
		"everything is here":  {app.SettledBackups{Release: "x", Released: []interview.DeviceID{terminal, station}}, false, []string{"released: " + terminal.String(), "released: " + station.String()}},
		"one terminal lacks":  {app.SettledBackups{Release: "x", Released: []interview.DeviceID{station}, Wanted: []app.WantedBackup{{Device: terminal, Label: "huone 2", Held: true, Spans: lacks}}}, true, []string{"lacking: 400 ms of " + terminal.String() + " (huone 2): its back-up is WANTED"}},
		"a workstation lacks": {app.SettledBackups{Release: "x", Released: []interview.DeviceID{terminal}, Wanted: []app.WantedBackup{{Device: station, Spans: lacks}}, Backup: 400_000}, false, []string{"taken in from a back-up: 400 ms", "it has said of no back-up"}},
		"nothing is released": {app.SettledBackups{Missing: []coverage.Span{{From: 2_000_000, To: 2_400_000, Cause: "unknown"}}}, true, []string{"missing: 400 ms, from 2.0 s on, because of unknown"}},
	} {
		text, wanted := said(id, c.s)
		if wanted != c.wanted {
			t.Errorf("%s: wanted %t:\n%s", name, wanted, text)
		}
		for _, s := range c.says {
			if !strings.Contains(text, s) {
				t.Errorf("%s: no %q in\n%s", name, s, text)
			}
		}
	}
}

// H5: the office's word is signed with its key, on what is named, with a reason, or
// not at all.
func TestTheOfficeSignsWhatIsLost(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "office.key")
	key, err := bundle.GenerateDevKey(path)
	must(t, err)
	h, d, m := interview.NewHearingID(), interview.NewDeviceID(), interview.NewMemberID()
	good := lostCommand{Hearing: h.String(), Device: []string{d.String()}, Recorder: []string{m.String()}, Reason: "levy hajosi", Key: path}
	var out bytes.Buffer
	must(t, good.Run(&out))
	l, err := backup.VerifyLoss(strings.TrimSpace(out.String()), key.Public(), time.Now())
	must(t, err)
	if l.Hearing != h || len(l.Devices) != 1 || l.Devices[0] != d || len(l.Recorders) != 1 || l.Recorders[0] != m || l.Reason != "levy hajosi" {
		t.Fatalf("%+v", l)
	}
	for name, change := range map[string]func(c *lostCommand){
		"no hearing":       func(c *lostCommand) { c.Hearing = "x" },
		"another's id":     func(c *lostCommand) { c.Device = []string{m.String()} },
		"no recorder's id": func(c *lostCommand) { c.Recorder = []string{d.String()} },
		"nothing named":    func(c *lostCommand) { c.Device, c.Recorder = nil, nil },
		"no reason":        func(c *lostCommand) { c.Reason = " " },
		"no key":           func(c *lostCommand) { c.Key = path + "x" },
	} {
		c := good
		change(&c)
		out.Reset()
		if err := c.Run(&out); err == nil || out.Len() != 0 {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
	}
}
