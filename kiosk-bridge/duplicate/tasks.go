package duplicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
)

// Settlement is what an officer found.
type Settlement string

// Settlements. None of them ends anybody's way by itself.
const (
	SamePerson  Settlement = "same-person"  // one person under two entries
	OtherPerson Settlement = "other-person" // a false hit
	SameEntry   Settlement = "same-entry"   // the hit is this person's own entry
	Unsettled   Settlement = "undetermined" // the files do not say
)

// Task is a search that waits for an officer: somebody was found, or the search
// was lost and has to be made by hand.
type Task struct {
	Visit       interview.VisitID       `json:"visit"`
	Case        interview.CaseID        `json:"case"`
	Diary       string                  `json:"diary"` // the case's number, by which officers know it
	Participant interview.ParticipantID `json:"participant"`
	Submitted   time.Time               `json:"submitted"`
	Lost        string                  `json:"lost"` // why there is no result; "" where there is
	Candidates  []Candidate             `json:"candidates"`
	Threshold   string                  `json:"threshold"`
	Line        int                     `json:"line"` // the threshold's score
	Algorithm   string                  `json:"algorithm"`
	Size        int                     `json:"size"` // of the register
	AsOf        time.Time               `json:"asOf"`
}

const (
	maxTasks = 100
	minNote  = 10 // an officer says what was looked at
	maxNote  = 1000
)

// Tasks lists what waits, oldest first. Officers alone may see it: whoever calls
// this has made sure of that.
func (s *Service) Tasks(ctx context.Context) ([]Task, error) {
	var rows []row
	err := s.DB.NewSelect().Model(&rows).Where("d.settled_at = 0").Where("d.state IN (?, ?)", stateHits, stateLost).Order("d.ended_at").Limit(maxTasks).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read searches: %w", err)
	}
	out := []Task{}
	for _, r := range rows {
		t, err := s.task(ctx, r)
		if erased(err) {
			continue // no task is left of a case that was erased, and the others' remain
		}
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (s *Service) task(ctx context.Context, r row) (Task, error) {
	t := Task{
		Visit: r.Visit, Case: r.Case, Participant: r.Participant, Submitted: time.UnixMilli(r.SubmittedAt).UTC(),
		Lost: r.Reason, Candidates: []Candidate{},
	}
	k, err := s.kept(ctx, r) // of a lost one too: it tells whether the case is still there
	if err != nil {
		return Task{}, err
	}
	if s.Diary != nil {
		if t.Diary, err = s.Diary(ctx, r.Case); err != nil {
			return Task{}, fmt.Errorf("search %s: %w", r.Visit, err)
		}
	}
	if r.State == stateLost {
		return t, nil
	}
	var result Result // its signature was checked when it came; the register's key may be another now
	if err := jws.Peek(k.Result, TypResult, &result); err != nil {
		return Task{}, fmt.Errorf("search %s: %w", r.Visit, err)
	}
	t.Candidates, t.Threshold, t.Line = result.Candidates, result.Threshold, result.ThresholdScore
	t.Algorithm, t.Size, t.AsOf = result.Algorithm, result.Size, time.Unix(result.AsOf, 0).UTC()
	return t, nil
}

func (s *Service) kept(ctx context.Context, r row) (kept, error) {
	var k kept
	if err := interview.OpenJSON(ctx, s.Sealer, r.Case, aad(r.Visit), r.Sealed, &k); err != nil {
		return kept{}, fmt.Errorf("search %s: %w", r.Visit, err)
	}
	return k, nil
}

// Counts are what the searches since a time came to.
type Counts struct{ Searched, Found, Same int }

// Count counts them. It says nothing of whom.
func (s *Service) Count(ctx context.Context, since time.Time) (Counts, error) {
	var rows []struct {
		State      string `bun:"state"`
		Settlement string `bun:"settlement"`
		N          int    `bun:"n"`
	}
	err := s.DB.NewSelect().Model((*row)(nil)).ColumnExpr("d.state, d.settlement, COUNT(*) AS n").
		Where("d.submitted_at > ?", since.UnixMilli()).GroupExpr("d.state, d.settlement").Scan(ctx, &rows)
	if err != nil {
		return Counts{}, fmt.Errorf("count searches: %w", err)
	}
	var out Counts
	for _, r := range rows {
		out.Searched += r.N
		if r.State == stateHits {
			out.Found += r.N
		}
		if r.Settlement == string(SamePerson) {
			out.Same += r.N
		}
	}
	return out, nil
}

// Settle ends a task with what an officer found and looked at. It is settled
// once.
func (s *Service) Settle(ctx context.Context, officer string, visit interview.VisitID, found Settlement, note string) error {
	note = strings.TrimSpace(note)
	switch {
	case found != SamePerson && found != OtherPerson && found != SameEntry && found != Unsettled:
		return problem.New(problem.CodeMalformed, "settlement %q is not known", found)
	case len(note) > maxNote || !utf8.ValidString(note):
		return problem.New(problem.CodeTooLarge, "note of %d bytes, at most %d", len(note), maxNote)
	case len(note) < minNote:
		return problem.New(problem.CodeJustificationNeeded, "write what was looked at")
	}
	rows, err := s.rows(ctx, "d.visit_id = ? AND d.state IN ('hits', 'lost')", visit)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return problem.New(problem.CodeNotFound, "no task %s", visit)
	}
	r := rows[0]
	if r.SettledAt != 0 {
		return problem.New(problem.CodeConflict, "task %s was settled already", visit)
	}
	k, err := s.kept(ctx, r)
	if err != nil {
		return err
	}
	k.Note = note
	if r.Sealed, err = interview.SealJSON(ctx, s.Sealer, r.Case, aad(visit), k); err != nil {
		return fmt.Errorf("search %s: %w", visit, err)
	}
	r.Settlement, r.SettledBy, r.SettledAt = string(found), officer, s.Now().UnixMilli()
	return s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		update := tx.NewUpdate().Model(&r).Column("sealed", "settlement", "settled_by", "settled_at").WherePK()
		if err := store.CompareAndSet(ctx, update, r.Version); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return problem.New(problem.CodeConflict, "task %s was settled meanwhile", visit)
			}
			return fmt.Errorf("settle search %s: %w", visit, err)
		}
		return s.Outbox.Append(ctx, tx, interview.Event{Type: EventSettled, Fields: map[string]any{
			"visit": visit, "settlement": found, "officer": officer,
		}})
	})
}
