package intake

import (
	"errors"
	"testing"

	"kuule/interview/backup"
)

// H5: no more is granted than a grant can say, and the error names which bound it is.
func TestEvidenceHoldsTheBoundsOfAGrant(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		limit int
		grant func(n int) backup.Grant
	}{
		"spans":      {backup.MaxSpans, func(n int) backup.Grant { return backup.Grant{Spans: make([]backup.Span, n)} }},
		"rosters":    {backup.MaxKnown, func(n int) backup.Grant { return backup.Grant{Rosters: make([]string, n)} }},
		"statements": {backup.MaxKnown, func(n int) backup.Grant { return backup.Grant{Statements: make([]string, n)} }},
	} {
		if err := within(of.grant(of.limit)); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if err := within(of.grant(of.limit + 1)); !errors.Is(err, ErrLong) {
			t.Errorf("%s beyond the limit: %v", name, err)
		}
	}
}
