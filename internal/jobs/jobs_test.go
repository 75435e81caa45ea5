package jobs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func address(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") }

// until runs jobs until the condition holds.
func until(t *testing.T, at string, holds func() bool, list ...jobs.Job) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- jobs.Run(ctx, at, list...) }()
	deadline := time.Now().Add(60 * time.Second)
	for !holds() {
		select {
		case err := <-ended:
			t.Fatalf("ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Error("the jobs did not run in time")
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestJobsRunAtEveryStartAndAfterAFailure(t *testing.T) {
	t.Parallel()
	at := address(t)
	var runs, failures atomic.Int32
	steady := jobs.Job{Name: "steady", Every: time.Hour, Timeout: time.Second, Run: func(context.Context) error { runs.Add(1); return nil }}
	until(t, at, func() bool { return runs.Load() == 1 }, steady)
	until(t, at, func() bool { return runs.Load() == 2 }, steady)
	failing := jobs.Job{Name: "failing", Every: time.Hour, Timeout: time.Second, Run: func(context.Context) error {
		if failures.Add(1) == 1 {
			return errors.New("the keyring is away")
		}
		return nil
	}}
	until(t, at, func() bool { return failures.Load() == 2 }, failing)
}

func TestAJobsFileIsClosedToOthers(t *testing.T) {
	t.Parallel()
	at := address(t)
	var runs atomic.Int32
	until(t, at, func() bool { return runs.Load() == 1 }, jobs.Job{Name: "a", Every: time.Hour, Timeout: time.Second, Run: func(context.Context) error { runs.Add(1); return nil }})
	if info, err := os.Stat(at[len("sqlite:"):]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestJobsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := jobs.Job{Name: "a", Every: time.Hour, Timeout: time.Second, Run: func(context.Context) error { return nil }}
	for name, list := range map[string][]jobs.Job{
		"twice": {good, good}, "without a name": {{Every: time.Hour, Timeout: time.Second}},
		"too often": {{Name: "b", Every: time.Millisecond, Timeout: time.Second}}, "without a bound": {{Name: "b", Every: time.Hour}},
	} {
		if err := jobs.Run(t.Context(), address(t), list...); err == nil {
			t.Errorf("a job %s was run", name)
		}
	}
	if err := jobs.Run(t.Context(), "mysql://x", good); err == nil {
		t.Error("unknown address was opened")
	}
}

func TestJobsOnPostgreSQL(t *testing.T) {
	at := os.Getenv("KUULE_TEST_POSTGRES")
	if at == "" {
		t.Skip("KUULE_TEST_POSTGRES names no empty PostgreSQL database")
	}
	var runs atomic.Int32
	until(t, at, func() bool { return runs.Load() == 1 }, jobs.Job{Name: "a", Every: time.Hour, Timeout: time.Second, Run: func(context.Context) error { runs.Add(1); return nil }})
}
