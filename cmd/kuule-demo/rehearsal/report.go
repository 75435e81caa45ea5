package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrAbsent says that a step cannot be tried because something of the house is
// not there yet.
var ErrAbsent = errors.New("absent")

// Result is how one step went.
type Result struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	MS     int64  `json:"ms"`
	Detail string `json:"detail"`
}

// Report is how the rehearsal went.
type Report struct {
	OK    bool     `json:"ok"`
	Steps []Result `json:"steps"`
}

// step is one named part of the rehearsal: it gives what it found, in words.
type step struct {
	name string
	do   func(context.Context) (string, error)
	long time.Duration // 0: stepTime
}

// stepTime bounds one step.
const stepTime = 60 * time.Second

// run runs steps in their order. After one that failed the others are not
// reached: each stands on those before it.
func run(ctx context.Context, steps []step, tell func(Result)) Report {
	report := Report{OK: true, Steps: []Result{}}
	failed := ""
	for _, s := range steps {
		r := Result{Name: s.name}
		if failed != "" {
			r.Detail = "not reached: " + failed + " failed"
		} else {
			r = s.try(ctx)
		}
		if !r.OK {
			report.OK = false
			if failed == "" {
				failed = s.name
			}
		}
		report.Steps = append(report.Steps, r)
		tell(r)
	}
	return report
}

func (s step) try(ctx context.Context) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, max(stepTime, s.long))
	defer cancel()
	began := time.Now()
	detail, err := s.do(ctx)
	r = Result{Name: s.name, OK: err == nil, MS: time.Since(began).Milliseconds(), Detail: detail}
	switch {
	case errors.Is(err, ErrAbsent):
		r.Detail = err.Error()
	case err != nil:
		r.Detail = fmt.Sprintf("%s: %v", orElse(detail, "failed"), err)
	}
	return r
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
