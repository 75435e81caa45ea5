package transcript

import (
	"testing"
	"time"
)

// J6: the day of delivery does not count, and no limit ends on a free day.
func TestTheTimeLimitEndsWithAWorkingDay(t *testing.T) {
	t.Parallel()
	rule := Rule{ID: "r", From: "2026-01-01", Days: 7, Zone: "Europe/Helsinki"}
	for delivered, want := range map[string]string{
		"2026-11-16T09:00:00+02:00": "2026-11-24", // Monday: through Monday
		"2026-11-16T23:59:59+02:00": "2026-11-24",
		"2026-11-17T00:00:00+02:00": "2026-11-25",
		"2026-11-16T22:30:00Z":      "2026-11-25", // already the 17th in Helsinki
		"2026-11-13T09:00:00+02:00": "2026-11-21", // Friday
		"2026-11-14T09:00:00+02:00": "2026-11-24", // ends Saturday: Monday
		"2026-11-29T09:00:00+02:00": "2026-12-08", // ends Independence Day, a Sunday
		"2026-12-17T09:00:00+02:00": "2026-12-29", // Christmas eve to Sunday
		"2026-03-27T09:00:00+02:00": "2026-04-08", // Good Friday to Easter Monday
		"2026-05-07T09:00:00+03:00": "2026-05-16", // Ascension: Friday
		"2026-06-12T09:00:00+03:00": "2026-06-23", // Midsummer eve to Sunday
		"2026-04-24T09:00:00+03:00": "2026-05-05", // May Day, a Friday
	} {
		at, err := time.Parse(time.RFC3339, delivered)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rule.Deadline(at)
		if err != nil || got.Format(time.DateTime) != want+" 00:00:00" {
			t.Errorf("delivered %s: limit ends before %s (%v), want %s", delivered, got, err, want)
		}
	}
}

func TestARuleCountsFromItsDate(t *testing.T) {
	t.Parallel()
	rules := []Rule{{ID: "old", From: "2026-01-01", Zone: "Europe/Helsinki"}, {ID: "new", From: "2026-07-01", Zone: "Europe/Helsinki"}}
	for at, want := range map[string]string{
		"2025-12-31T21:59:59Z": "", "2025-12-31T22:00:00Z": "old", "2026-06-30T20:59:59Z": "old", "2026-06-30T21:00:00Z": "new",
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := ruleAt(rules, when); got.ID != want {
			t.Errorf("at %s: rule %q, want %q", at, got.ID, want)
		}
	}
}
