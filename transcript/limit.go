package transcript

import (
	"errors"
	"time"
	_ "time/tzdata" // installations without a zone database
)

// Rule is the time limit for corrections from a date on: data, so that a change
// of law or practice is a new row and old hearings keep theirs.
type Rule struct {
	ID     string
	From   string // date, YYYY-MM-DD, from which deliveries follow the rule
	Days   int64  // calendar days after the day of delivery
	Zone   string // IANA time zone in which days begin
	Source string
}

// DefaultRules is the limit where the agency has set no other. Regulation (EU)
// 2024/1348, Article 14(3), asks for a specified time limit before the decision
// and leaves its length to the Member State.
var DefaultRules = []Rule{{
	ID: "hand-over-7-days", From: "2026-06-12", Days: 7, Zone: "Europe/Helsinki",
	Source: "Regulation (EU) 2024/1348, Article 14(3); length set by the agency",
}}

var errNoRule = errors.New("no rule for the time limit is in force on the day of delivery: add one to the configuration")

// ruleAt returns the newest rule that is in force at a time.
func ruleAt(rules []Rule, at time.Time) (Rule, error) {
	var found Rule
	for _, r := range rules {
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			return Rule{}, err
		}
		from, err := time.ParseInLocation(time.DateOnly, r.From, zone)
		if err != nil {
			return Rule{}, err
		}
		if !at.Before(from) && r.From >= found.From {
			found = r
		}
	}
	if found.ID == "" {
		return Rule{}, errNoRule
	}
	return found, nil
}

// Deadline is the first moment after the time limit: the day of delivery does
// not count, and a limit that would end on a Saturday, Sunday or holiday ends
// on the next working day (Act 150/1930, sections 2 and 5,
// https://www.finlex.fi/fi/laki/ajantasa/1930/19300150).
func (r Rule) Deadline(delivered time.Time) (time.Time, error) {
	zone, err := time.LoadLocation(r.Zone)
	if err != nil {
		return time.Time{}, err
	}
	y, m, d := delivered.In(zone).Date()
	last := time.Date(y, m, d+int(r.Days), 0, 0, 0, 0, zone)
	for free(last) {
		last = last.AddDate(0, 0, 1)
	}
	return last.AddDate(0, 0, 1), nil
}

// free reports whether a limit does not end on that day.
func free(day time.Time) bool {
	if wd := day.Weekday(); wd == time.Saturday || wd == time.Sunday {
		return true
	}
	switch day.Format("01-02") {
	case "01-01", "01-06", "05-01", "12-06", "12-24", "12-25", "12-26":
		return true
	}
	// Midsummer eve: the Friday between 19 and 25 June.
	if day.Month() == time.June && day.Weekday() == time.Friday && day.Day() >= 19 && day.Day() <= 25 {
		return true
	}
	easter := easterSunday(day.Year(), day.Location())
	for _, after := range []int{-2, 1, 39} { // Good Friday, Easter Monday, Ascension
		if sameDay(day, easter.AddDate(0, 0, after)) {
			return true
		}
	}
	return false
}

func sameDay(a, b time.Time) bool { return a.Format(time.DateOnly) == b.Format(time.DateOnly) }

// easterSunday is the Gregorian computus in the form of Meeus, Jones and Butcher.
func easterSunday(year int, zone *time.Location) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 19*l) / 433
	month := (h + l - 7*m + 90) / 25
	day := (h + l - 7*m + 33*month + 19) % 32
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, zone)
}
