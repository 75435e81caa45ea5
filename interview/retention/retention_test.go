package retention_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kuule/internal/keyring"
	"kuule/interview"
	"kuule/interview/retention"
)

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func event(kind retention.EventKind, on string, matter ...string) retention.Event {
	return retention.Event{Kind: kind, On: day(on), Matter: strings.Join(matter, "")}
}

// L1: every class has a period, what begins it, and the law that says so.
func TestEveryClassNamesItsLaw(t *testing.T) {
	t.Parallel()
	rules := retention.Current()
	for _, class := range []retention.Class{retention.ClassRecording, retention.ClassTranscript, retention.ClassKiosk, retention.ClassQuality, retention.ClassSpecial, retention.ClassObservation, retention.ClassLog} {
		if rule, ok := rules.Of(class); !ok || !strings.Contains(rule.Source, "§") {
			t.Errorf("%s: %+v", class, rule)
		}
	}
	if rule, _ := rules.Of(retention.ClassRecording); rule.Years < 5 {
		t.Error("recording is kept for less than five years")
	}
}

// L1
func TestClockBeginsWithTheLastEventOfTheLastMatter(t *testing.T) {
	t.Parallel()
	rules := retention.Current()
	closed := []retention.Event{event("matter-opened", "2026-06-15"), event("entry", "2026-09-01"), event("matter-closed", "2026-10-01")}
	for _, c := range []struct {
		name   string
		events []retention.Event
		now    string
		state  retention.State
		until  string
	}{
		{"nothing is known", nil, "2050-01-01", retention.StatePending, ""},
		{"nobody closed the matter", closed[:2], "2050-01-01", retention.StatePending, ""},
		{"closed", closed, "2026-10-02", retention.StateRunning, "2031-10-01"},
		{"the day before", closed, "2031-09-30", retention.StateRunning, "2031-10-01"},
		{"the day", closed, "2031-10-01", retention.StateDue, "2031-10-01"},
		{"an entry after the end", append(slices.Clone(closed), event("entry", "2028-02-29")), "2031-10-01", retention.StateRunning, "2033-03-01"},
		{"right of residence ended later", append(slices.Clone(closed), event("residence-ended", "2030-01-01")), "2031-10-01", retention.StateRunning, "2035-01-01"},
		{"a new matter", append(slices.Clone(closed), event("matter-opened", "2031-09-01", "second")), "2040-01-01", retention.StatePending, ""},
		{"the new matter closed", append(slices.Clone(closed), event("matter-opened", "2031-09-01", "second"), event("matter-closed", "2032-01-01", "second")), "2036-12-31", retention.StateRunning, "2037-01-01"},
		{"the first matter opened again", append(slices.Clone(closed), event("matter-opened", "2027-01-01")), "2050-01-01", retention.StatePending, ""},
	} {
		got := rules.Keep(retention.ClassRecording, retention.Facts{Events: c.events}, day(c.now))
		until := ""
		if !got.Until.IsZero() {
			until = got.Until.Format(time.DateOnly)
		}
		if got.State != c.state || until != c.until {
			t.Errorf("%s: %s until %q, want %s until %q", c.name, got.State, until, c.state, c.until)
		}
	}
}

// L2, L3, L5: what is stronger than a period.
func TestHoldsExtensionsAndErasure(t *testing.T) {
	t.Parallel()
	rules, now := retention.Current(), day("2040-01-01")
	over := []retention.Event{event("matter-opened", "2026-06-15"), event("matter-closed", "2026-10-01")}
	keep := func(class retention.Class, f retention.Facts) retention.Keeping { return rules.Keep(class, f, now) }
	if k := keep(retention.ClassTranscript, retention.Facts{Events: over}); k.State != retention.StateDue {
		t.Errorf("without anything: %s", k.State)
	}
	if k := keep(retention.ClassTranscript, retention.Facts{Events: over, Holds: 1}); k.State != retention.StateHeld {
		t.Errorf("under a hold: %s", k.State)
	}
	if due := rules.Due(retention.Facts{Events: over, Holds: 1}, now); len(due) != 0 {
		t.Errorf("due under a hold: %v", due)
	}
	if due := rules.Due(retention.Facts{Events: over}, now); !slices.Equal(due, []keyring.Kind{keyring.Recording, keyring.Records}) {
		t.Errorf("due: %v", due)
	}
	if k := keep(retention.ClassTranscript, retention.Facts{Events: over, Extended: day("2041-01-01")}); k.State != retention.StateRunning || !k.Until.Equal(day("2041-01-01")) {
		t.Errorf("extended: %+v", k)
	}
	if k := keep(retention.ClassTranscript, retention.Facts{Events: over, Extended: day("2027-01-01")}); !k.Until.Equal(day("2031-10-01")) {
		t.Errorf("an extension made it shorter: %+v", k)
	}
	gone := map[keyring.Kind]time.Time{keyring.Recording: day("2039-01-01")}
	if k := keep(retention.ClassRecording, retention.Facts{Events: over, Erased: gone, Holds: 1}); k.State != retention.StateErased || k.Erased.IsZero() {
		t.Errorf("erased: %+v", k)
	}
	if k := keep(retention.ClassTranscript, retention.Facts{Events: over, Erased: gone}); k.State != retention.StateDue {
		t.Errorf("the other key: %+v", k)
	}
	if k := keep(retention.ClassLog, retention.Facts{Events: over}); k.State != retention.StateKept {
		t.Errorf("audit log: %+v", k)
	}
	// L3: at once when needless, whatever else is pending; observations after six months.
	if k := keep(retention.ClassSpecial, retention.Facts{Events: []retention.Event{event("noted", "2026-06-15")}}); k.State != retention.StatePending {
		t.Errorf("special that is needed: %s", k.State)
	}
	if k := keep(retention.ClassSpecial, retention.Facts{Events: []retention.Event{event("needless", "2040-01-01")}}); k.State != retention.StateDue {
		t.Errorf("special that is needless: %+v", k)
	}
	for on, want := range map[string]retention.State{"2039-07-01": retention.StateDue, "2039-07-02": retention.StateRunning} {
		if k := keep(retention.ClassObservation, retention.Facts{Events: []retention.Event{event("noted", on)}}); k.State != want {
			t.Errorf("observation of %s: %+v", on, k)
		}
	}
}

// L1, L5: nothing that happens makes a period end earlier.
func TestNoEventShortensAPeriod(t *testing.T) {
	t.Parallel()
	rules := retention.Current()
	kinds := []retention.EventKind{retention.EventEntry, retention.EventMatterOpened, retention.EventMatterClosed, retention.EventResidenceEnded}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) retention.Event {
			return retention.Event{Kind: rapid.SampledFrom(kinds).Draw(t, label), On: day("2026-06-12").AddDate(0, 0, rapid.IntRange(0, 4000).Draw(t, label+" day")), Matter: rapid.SampledFrom([]string{"", "b"}).Draw(t, label+" matter")}
		}
		var f retention.Facts
		for range rapid.IntRange(0, 6).Draw(t, "events") {
			f.Events = append(f.Events, draw("event"))
		}
		now := day("2026-06-12").AddDate(0, 0, rapid.IntRange(0, 9000).Draw(t, "now"))
		before := rules.Keep(retention.ClassRecording, f, now)
		g := f
		g.Events = append(slices.Clone(f.Events), draw("later"))
		after := rules.Keep(retention.ClassRecording, g, now)
		if before.State != retention.StatePending && !after.Until.IsZero() && after.Until.Before(before.Until) {
			t.Fatalf("until %s became %s", before.Until, after.Until)
		}
		g.Holds = 1
		if s := rules.Keep(retention.ClassRecording, g, now).State; s != retention.StateHeld {
			t.Fatalf("under a hold: %s", s)
		}
	})
}

// L6
func TestNoSecurityClassOnOrdinaryRecords(t *testing.T) {
	t.Parallel()
	if err := retention.Ordinary().Check(); err != nil {
		t.Error(err)
	}
	if text := retention.Ordinary().String(); text != "SALASSA PIDETTÄVÄ, JulkL 24.1 § 24, 31c k" || strings.Contains(text, "TL") {
		t.Errorf("mark reads %q", text)
	}
	good := retention.Mark{Grounds: []string{"24"}, Class: "TL IV", ClassItems: []string{"9"}}
	if err := good.Check(); err != nil || !strings.Contains(good.String(), "TL IV") {
		t.Errorf("%v, %s", err, good)
	}
	for name, m := range map[string]retention.Mark{
		"no ground":                        {},
		"class for the ordinary ground":    {Grounds: []string{"24"}, Class: "TL IV", ClassItems: []string{"24"}},
		"class with one ground too many":   {Grounds: []string{"24"}, Class: "TL IV", ClassItems: []string{"9", "24"}},
		"class without its ground":         {Grounds: []string{"9"}, Class: "TL IV"},
		"ground of a class without one":    {Grounds: []string{"24"}, ClassItems: []string{"9"}},
		"unknown class":                    {Grounds: []string{"24"}, Class: "TL V", ClassItems: []string{"9"}},
		"something else in place of items": {Grounds: []string{"24 §"}},
	} {
		if err := m.Check(); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// O7: rules are versions of law; one that is not understood whole is refused.
func TestRulesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no version": `{"version": 0, "from": "2026-06-12", "classes": []}`,
		"no date":    `{"version": 1, "from": "soon", "classes": []}`,
		"no law":     `{"version": 1, "from": "2026-06-12", "classes": [{"class": "recording", "key": "", "years": 5, "months": 0, "after": [], "source": ""}]}`,
		"twice":      `{"version": 1, "from": "2026-06-12", "classes": [{"class": "a", "key": "", "years": 5, "months": 0, "after": [], "source": "s"}, {"class": "a", "key": "", "years": 5, "months": 0, "after": [], "source": "s"}]}`,
		"negative":   `{"version": 1, "from": "2026-06-12", "classes": [{"class": "a", "key": "", "years": -5, "months": 0, "after": [], "source": "s"}]}`,
		"unknown":    `{"version": 1, "from": "2026-06-12", "classes": [], "period": 1}`,
	} {
		if _, err := retention.ParseRules([]byte(text)); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// L4
func TestTombstonesAndOrdersHoldByTheirSignature(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := retention.Tombstone{V: 1, Subject: interview.NewCaseID().String(), Keys: []retention.Ended{{Kind: keyring.Recording, Versions: []string{"a"}, At: 1}}, Rule: retention.ByClock, Rules: 1, Persons: []string{}, At: 1}
	message, err := good.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := retention.VerifyTombstone(message, key.Public()); err != nil || got.Subject != good.Subject {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := retention.VerifyTombstone(message, other.Public()); !errors.Is(err, retention.ErrTombstone) {
		t.Errorf("another key: %v", err)
	}
	for name, change := range map[string]func(*retention.Tombstone){
		"no keys":      func(t *retention.Tombstone) { t.Keys = nil },
		"unknown kind": func(t *retention.Tombstone) { t.Keys[0].Kind = "all" },
		"a path":       func(t *retention.Tombstone) { t.Subject = "../cas" },
		"version":      func(t *retention.Tombstone) { t.V = 2 },
	} {
		bad := good
		bad.Keys = slices.Clone(good.Keys)
		change(&bad)
		message, err := bad.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := retention.VerifyTombstone(message, key.Public()); !errors.Is(err, retention.ErrTombstone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(`{"version": 1, "from": "2026-06-12", "classes": []}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := retention.ParseRules(text); err == nil && r.Version < 1 {
			t.Fatal("rules without a version")
		}
	})
}
