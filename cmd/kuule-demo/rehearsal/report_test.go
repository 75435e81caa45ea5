package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Every step is named whatever happens, and one that failed or is absent fails
// the whole.
func TestReportNamesEveryStep(t *testing.T) {
	t.Parallel()
	fine := func(context.Context) (string, error) { return "found", nil }
	for name, tc := range map[string]struct {
		second error
		ok     bool
		detail string
	}{
		"all right": {nil, true, "found"},
		"failed":    {errors.New("broken"), false, "broken"},
		"absent":    {fmt.Errorf("%w: no such script", ErrAbsent), false, "absent: no such script"},
	} {
		var told []string
		report := run(t.Context(), []step{{name: "one", do: fine}, {name: "two", do: func(context.Context) (string, error) { return "found", tc.second }}, {name: "three", do: fine}},
			func(r Result) { told = append(told, r.Name) })
		if report.OK != tc.ok || len(report.Steps) != 3 || strings.Join(told, " ") != "one two three" {
			t.Errorf("%s: %+v told %v", name, report, told)
		}
		if !strings.Contains(report.Steps[1].Detail, tc.detail) {
			t.Errorf("%s: %q", name, report.Steps[1].Detail)
		}
		if !tc.ok && (report.Steps[2].OK || report.Steps[2].Detail != "not reached: two failed") {
			t.Errorf("%s: after a failure %+v", name, report.Steps[2])
		}
	}
}

// The shape that CI reads.
func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Report{OK: true, Steps: []Result{{Name: "n", OK: true, MS: 3, Detail: "d"}}})
	if err != nil || string(text) != `{"ok":true,"steps":[{"name":"n","ok":true,"ms":3,"detail":"d"}]}` {
		t.Errorf("%s %v", text, err)
	}
}
