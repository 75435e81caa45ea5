package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite" // driver "sqlite"
)

// Job is something that happens again and again.
type Job struct {
	Name    string        // lower-case words joined by hyphens
	Every   time.Duration // at least a second; it also runs at every start
	Timeout time.Duration // of one run
	Run     func(context.Context) error
}

// attempts bounds how often one occurrence is tried.
const attempts = 10

// stopping is how long a run may take to end when the process does.
const stopping = 5 * time.Second

// named is the one kind of job that river sees.
type named struct {
	Name string `json:"name"`
}

// Kind implements river.JobArgs.
func (named) Kind() string { return "named" }

// worker runs a job by its name.
type worker struct {
	river.WorkerDefaults[named]
	jobs map[string]Job
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[named]) error {
	known, ok := w.jobs[job.Args.Name]
	if !ok { // of another version of the program
		return river.JobCancel(fmt.Errorf("no job is called %q", job.Args.Name))
	}
	if err := known.Run(ctx); err != nil {
		return fmt.Errorf("job %s: %w", known.Name, err)
	}
	return nil
}

// Timeout implements river.Worker.
func (w *worker) Timeout(job *river.Job[named]) time.Duration { return w.jobs[job.Args.Name].Timeout }

// Run runs jobs until ctx ends. The address is "sqlite:PATH" of the queue's own
// file, or a "postgres://" URL.
func Run(ctx context.Context, address string, list ...Job) error {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return onSQLite(ctx, path, list)
	}
	if !strings.HasPrefix(address, "postgres://") {
		return errors.New(`jobs: address must begin with "sqlite:" or "postgres://"`)
	}
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return errors.New("jobs: the postgres:// address cannot be used: check it in the configuration")
	}
	defer pool.Close()
	return run(ctx, riverpgxv5.New(pool), list)
}

func onSQLite(ctx context.Context, path string, list []Job) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // the mode of its journal as well
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1) // as river's driver asks for
	return run(ctx, riversqlite.New(pool), list)
}

func run[T any](ctx context.Context, driver riverdriver.Driver[T], list []Job) error {
	work := &worker{jobs: map[string]Job{}}
	var periodic []*river.PeriodicJob
	for _, job := range list {
		if job.Name == "" || job.Every < time.Second || job.Timeout <= 0 || work.jobs[job.Name].Name != "" {
			return fmt.Errorf("jobs: %q needs a name of its own, a period of at least a second and a bound", job.Name)
		}
		work.jobs[job.Name] = job
		periodic = append(periodic, river.NewPeriodicJob(river.PeriodicInterval(job.Every), func() (river.JobArgs, *river.InsertOpts) {
			// While one waits or runs there is no second.
			return named{job.Name}, &river.InsertOpts{MaxAttempts: attempts, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
				rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
			}}}
		}, &river.PeriodicJobOpts{RunOnStart: true}))
	}
	quiet := slog.New(levelled{slog.Default().Handler(), slog.LevelWarn})
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("jobs: make the queue's tables: %w", err)
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, work); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	client, err := river.NewClient(driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}}, Workers: workers, PeriodicJobs: periodic, Logger: quiet,
	})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	<-ctx.Done()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopping)
	defer cancel()
	if err := client.StopAndCancel(bounded); err != nil {
		return fmt.Errorf("jobs: stop: %w", err)
	}
	return nil
}

// levelled is a log handler that leaves out what is below a level.
type levelled struct {
	slog.Handler
	least slog.Level
}

// Enabled implements slog.Handler.
func (l levelled) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= l.least && l.Handler.Enabled(ctx, level)
}
