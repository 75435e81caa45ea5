package kioskbridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// Stage is a stage of a matter that a visit completed, for the agency's case
// system (row B16).
type Stage string

// Stages.
const (
	StageIdentified Stage = "identified"  // who the person is was found out, with the assurance beside it
	StagePhoto      Stage = "photo-taken" // for the card; an officer approves it
	StageSigned     Stage = "signed"      // bound to the text that was shown
	StageScanned    Stage = "papers-scanned"
	StagePaid       Stage = "paid" // as the payment terminal says
)

// StageEvent is what the case system is told.
type StageEvent struct {
	ID        interview.EventID // the name of the request: told twice, it counts once
	Diary     string
	Stage     Stage
	Visit     interview.VisitID
	Site      string // premises; '' where officers identified at a desk
	Assurance ticket.Assurance
	At        time.Time
}

// CaseSystem is told of stages. The same event may come again: its id says so.
// Safe for concurrent use.
type CaseSystem interface {
	// Tell returns when the system has taken the event. ErrStageRefused: it never
	// will. Any other error: try again later.
	Tell(ctx context.Context, e StageEvent) error
}

// ErrStageRefused says that the case system refuses an event for good.
var ErrStageRefused = errors.New("the case system refuses the event")

// Outcomes of an event.
const (
	stageTaken   = "taken"
	stageRefused = "refused"
	stageErased  = "erased"
)

type stageRow struct {
	bun.BaseModel `bun:"table:kiosk_stage,alias:g"`

	ID        interview.EventID  `bun:"id,pk"`
	Case      interview.CaseID   `bun:"case_id"`
	Visit     interview.VisitID  `bun:"visit_id"`
	Kiosk     interview.DeviceID `bun:"kiosk_id"`
	Site      string             `bun:"site"`
	Stage     Stage              `bun:"stage"`
	Assurance ticket.Assurance   `bun:"assurance"`
	At        int64              `bun:"at"`
	Tries     int64              `bun:"tries"`
	NextAt    int64              `bun:"next_at"`
	EndedAt   int64              `bun:"ended_at"`
	Outcome   string             `bun:"outcome"`
	Version   int64              `bun:"version"`
}

// stages are those that a visit completed.
func (r Record) stages(pieces []PieceRecord) []Stage {
	var out []Stage
	identified := (r.Result == tunnel.ResultJoin || r.Result == tunnel.ResultDone) && r.Assurance != ticket.AssuranceNone
	if identified {
		out = append(out, StageIdentified)
	}
	given := map[ticket.StepName]bool{}
	for _, p := range pieces {
		given[p.Step] = true
	}
	checks, err := r.Verdicts()
	signed := err == nil && given[ticket.StepSignature]
	for _, c := range checks {
		if c.Name == CheckSigned && c.Verdict != interview.Verified {
			signed = false
		}
	}
	if given[ticket.StepPhoto] {
		out = append(out, StagePhoto)
	}
	if signed {
		out = append(out, StageSigned)
	}
	if given[ticket.StepScan] {
		out = append(out, StageScanned)
	}
	return out
}

// saveStages notes what is to be told, in the transaction of what completed it.
func saveStages(ctx context.Context, tx bun.IDB, r Record, stages []Stage, at int64) error {
	for _, s := range stages {
		row := stageRow{
			ID: interview.NewEventID(), Case: r.Case, Visit: r.ID, Kiosk: r.Kiosk, Site: r.Site, Stage: s, Assurance: r.Assurance, At: at, NextAt: at, Version: 1,
		}
		if _, err := tx.NewInsert().Model(&row).On("CONFLICT (visit_id, stage) DO NOTHING").Exec(ctx); err != nil {
			return fmt.Errorf("note stage %s of visit %s: %w", s, r.ID, err)
		}
	}
	return nil
}

// paidWithin is how long after a visit its kiosk may say that it was paid.
const paidWithin = 15 * time.Minute

// Paid notes that a visit's kiosk says its matter was paid. It is the payment
// terminal's word, and told as such; told twice it counts once.
func (d *Desk) Paid(ctx context.Context, kiosk interview.DeviceID, visit interview.VisitID) error {
	r, err := d.bridge.Store.Visit(ctx, visit)
	if err != nil {
		return err
	}
	now := d.bridge.Now()
	switch {
	case r.Kiosk != kiosk: // as if it did not exist: it is not this kiosk's
		return problem.New(problem.CodeNotFound, "visit %s", visit)
	case now.Sub(time.UnixMilli(r.EndedAt)) > paidWithin:
		return problem.New(problem.CodeTooLate, "visit %s is over", visit)
	case !d.bridge.Stages:
		return nil
	}
	return saveStages(ctx, d.db, r, []Stage{StagePaid}, now.UnixMilli())
}

// Stages tells the case system what waits to be told. Nothing of a visit waits
// for it.
type Stages struct {
	DB     *bun.DB
	System CaseSystem
	// Diary finds a case's number; a problem (CodeErased) where it was erased.
	Diary func(ctx context.Context, c interview.CaseID) (string, error)
	// Notice tells staff of what the system does not take; nil: nobody is told.
	Notice func(ctx context.Context, kiosk interview.DeviceID, part Part, code string) error

	Log   *slog.Logger     // nil: slog.Default
	Now   func() time.Time // nil: time.Now
	Every time.Duration    // between looks; 0: 2 s
}

const (
	stagesAtOnce = 20
	stageFirst   = 5 * time.Second // before the second try; doubled each time
	stageMost    = 10 * time.Minute
	stageWaits   = time.Hour // then staff are told
)

// Run works until ctx ends.
func (s Stages) Run(ctx context.Context) {
	if s.Log == nil {
		s.Log = slog.Default()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	tick := time.NewTicker(orElse(s.Every, 2*time.Second))
	defer tick.Stop()
	for {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error("stages could not be told to the case system", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s Stages) look(ctx context.Context) error {
	var rows []stageRow
	err := s.DB.NewSelect().Model(&rows).Where("g.ended_at = 0").Where("g.next_at <= ?", s.Now().UnixMilli()).Order("g.at", "g.id").Limit(stagesAtOnce).Scan(ctx)
	if err != nil {
		return fmt.Errorf("read stages: %w", err)
	}
	var errs []error
	for _, r := range rows {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, s.tell(ctx, r))
	}
	return errors.Join(errs...)
}

func (s Stages) tell(ctx context.Context, r stageRow) error {
	diary, err := s.Diary(ctx, r.Case)
	if errors.Is(err, problem.New(problem.CodeErased, "")) {
		return s.end(ctx, r, stageErased)
	}
	if err == nil {
		err = s.System.Tell(ctx, StageEvent{
			ID: r.ID, Diary: diary, Stage: r.Stage, Visit: r.Visit, Site: r.Site, Assurance: r.Assurance, At: time.UnixMilli(r.At).UTC(),
		})
	}
	switch {
	case err == nil:
		return s.end(ctx, r, stageTaken)
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the end of the process: the next one tells it
	case errors.Is(err, ErrStageRefused):
		s.Log.Warn("the case system refuses a stage", "visit", r.Visit, "stage", r.Stage, "err", err)
		s.notice(ctx, r, CodeStageRefused)
		return s.end(ctx, r, stageRefused)
	}
	now := s.Now()
	if now.Sub(time.UnixMilli(r.At)) > stageWaits {
		s.notice(ctx, r, CodeStageWaits)
	}
	pause := min(stageFirst<<min(r.Tries, 10), stageMost)
	return s.update(ctx, s.DB.NewUpdate().Model((*stageRow)(nil)).Where("id = ?", r.ID).Set("tries = tries + 1").Set("next_at = ?", now.Add(pause).UnixMilli()), r)
}

func (s Stages) notice(ctx context.Context, r stageRow, code string) {
	if s.Notice == nil {
		return
	}
	if err := s.Notice(ctx, r.Kiosk, PartCaseSystem, code); err != nil {
		s.Log.Warn("staff were not told of the case system", "visit", r.Visit, "code", code)
	}
}

func (s Stages) end(ctx context.Context, r stageRow, outcome string) error {
	return s.update(ctx, s.DB.NewUpdate().Model((*stageRow)(nil)).Where("id = ?", r.ID).Set("ended_at = ?", s.Now().UnixMilli()).Set("outcome = ?", outcome), r)
}

func (s Stages) update(ctx context.Context, q *bun.UpdateQuery, r stageRow) error {
	err := store.CompareAndSet(ctx, q, r.Version)
	if errors.Is(err, store.ErrConflict) {
		return nil // another door told it at the same moment
	}
	return err
}
