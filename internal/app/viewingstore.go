package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
)

// States of a viewing.
const (
	viewingAsked    = "asked"
	viewingAllowed  = "allowed"
	viewingDeclined = "declined"
)

// Audit events of viewings (906/2019 17 §: who, why, when).
const (
	eventAsked    = "viewing.asked"
	eventDecided  = "viewing.decided"
	eventOpened   = "recording.viewed"
	eventSpan     = "recording.span"
	eventExported = "recording.exported"
	eventReleased = "recording.released"
)

type viewingRow struct {
	bun.BaseModel `bun:"table:viewing"`
	ID            string              `bun:"id,pk"`
	Case          interview.CaseID    `bun:"case_id"`
	Hearing       interview.HearingID `bun:"hearing_id"`
	Asker         string              `bun:"asker"`
	Approver      string              `bun:"approver"`
	State         string              `bun:"state"`
	Created       int64               `bun:"created_at"`
	Decided       int64               `bun:"decided_at"`
	Expires       int64               `bun:"expires"`
	Approval      string              `bun:"approval"`
	Sealed        []byte              `bun:"sealed"`
	Version       int64               `bun:"version"`

	// Of the applicant who listens to the own hearing. Station is where an
	// interviewer said who sits there; without one a ticket for the review counts.
	Participant interview.ParticipantID `bun:"participant_id"`
	Station     interview.DeviceID      `bun:"station_id"`

	words viewingWords `bun:"-"`
}

// viewingWords is what a viewing says of people.
type viewingWords struct {
	Purpose  string `json:"purpose"`
	Asker    string `json:"asker"`    // name
	Approver string `json:"approver"` // name, once decided
	Reason   string `json:"reason"`   // of the decision

	Role interview.Role `json:"role,omitempty"` // of the asker; "": interviewer
}

type spanRow struct {
	bun.BaseModel `bun:"table:viewing_span"`
	Opening       string              `bun:"opening,pk"`
	Number        int64               `bun:"number,pk"`
	Viewing       string              `bun:"viewing_id"`
	Hearing       interview.HearingID `bun:"hearing_id"`
	Kind          string              `bun:"kind"`
	From          interview.Micros    `bun:"from_us"`
	To            interview.Micros    `bun:"to_us"`
	First         int64               `bun:"first_at"`
	Last          int64               `bun:"last_at"`
	Logged        bool                `bun:"logged"`
}

// viewingStore keeps viewings, and logs each step in the same transaction.
type viewingStore struct {
	db     *bun.DB
	sealer interview.Sealer
}

func (s viewingStore) seal(ctx context.Context, v *viewingRow) error {
	var err error
	v.Sealed, err = interview.SealJSON(ctx, s.sealer, v.Case, "viewing|"+v.ID, v.words)
	return err
}

// open reads a viewing's words; of an erased case there are none any more.
func (s viewingStore) open(ctx context.Context, v *viewingRow) error {
	return interview.OpenJSON(ctx, s.sealer, v.Case, "viewing|"+v.ID, v.Sealed, &v.words)
}

// add keeps a new viewing with its event.
func (s viewingStore) add(ctx context.Context, v *viewingRow) error {
	if err := s.seal(ctx, v); err != nil {
		return err
	}
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(v).Exec(ctx); err != nil {
			return fmt.Errorf("keep viewing %s: %w", v.ID, err)
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Hearing: v.Hearing, Type: eventAsked, Fields: map[string]any{
			"viewing": v.ID, "by": v.Asker, "approver": v.Approver, "purpose_hash": jws.Hash(v.words.Purpose),
		}})
	})
}

// find gives a viewing with its words.
func (s viewingStore) find(ctx context.Context, id string) (*viewingRow, error) {
	v := &viewingRow{ID: id}
	err := s.db.NewSelect().Model(v).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, problem.New(problem.CodeNotFound, "viewing %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("viewing %s: %w", id, err)
	}
	return v, s.open(ctx, v)
}

// decide keeps the second person's decision, by compare-and-set.
func (s viewingStore) decide(ctx context.Context, v *viewingRow) error {
	if err := s.seal(ctx, v); err != nil {
		return err
	}
	before := v.Version
	v.Version++
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		r, err := tx.NewUpdate().Model(v).WherePK().Where("version = ?", before).Where("state = ?", viewingAsked).Exec(ctx)
		if err != nil {
			return fmt.Errorf("decide viewing %s: %w", v.ID, err)
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			return problem.New(problem.CodeConflict, "viewing %s was decided before", v.ID)
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Hearing: v.Hearing, Type: eventDecided, Fields: map[string]any{
			"viewing": v.ID, "by": v.Approver, "decision": v.State, "expires": v.Expires, "reason_hash": jws.Hash(v.words.Reason),
		}})
	})
}

// over ends a viewing for good: nobody opens it again.
func (s viewingStore) over(ctx context.Context, v *viewingRow) error {
	_, err := s.db.NewUpdate().Model((*viewingRow)(nil)).Set("expires = ?", time.Now().Unix()).Where("id = ?", v.ID).Exec(ctx)
	return err
}

// seated gives the viewings that hold at a device because an interviewer said
// there who sits at it.
func (s viewingStore) seated(ctx context.Context, device interview.DeviceID) ([]*viewingRow, error) {
	var rows []*viewingRow
	err := s.db.NewSelect().Model(&rows).Where("station_id = ?", device).Where("state = ?", viewingAllowed).Where("expires > ?", time.Now().Unix()).Limit(maxListed).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("who sits at %s: %w", device, err)
	}
	return rows, nil
}

// maxListed bounds every list of viewings.
const maxListed = 100

// list gives the newest viewings that the condition names.
func (s viewingStore) list(ctx context.Context, where string, args ...any) ([]*viewingRow, error) {
	var rows []*viewingRow
	if err := s.db.NewSelect().Model(&rows).Where(where, args...).Order("created_at DESC", "id").Limit(maxListed).Scan(ctx); err != nil {
		return nil, fmt.Errorf("viewings: %w", err)
	}
	for _, v := range rows {
		// That somebody listened to a case which was erased since stays known.
		if err := s.open(ctx, v); err != nil && !errors.Is(err, problem.New(problem.CodeErased, "")) {
			return nil, err
		}
	}
	return rows, nil
}

func (s viewingStore) spans(ctx context.Context, viewing string) ([]spanRow, error) {
	var rows []spanRow
	err := s.db.NewSelect().Model(&rows).Where("viewing_id = ?", viewing).Order("first_at", "opening", "number").Limit(10 * maxListed).Scan(ctx)
	return rows, err
}

// keepSpan writes a span as far as it goes now; done logs it.
func (s viewingStore) keepSpan(ctx context.Context, r *spanRow, done bool) error {
	r.Last, r.Logged = time.Now().Unix(), done
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(r).On("CONFLICT (opening, number) DO UPDATE").Set("to_us = EXCLUDED.to_us").Set("last_at = EXCLUDED.last_at").Set("logged = EXCLUDED.logged").Exec(ctx); err != nil {
			return fmt.Errorf("span of %s: %w", r.Opening, err)
		}
		if !done {
			return nil
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Hearing: r.Hearing, Type: eventSpan, Fields: map[string]any{
			"viewing": r.Viewing, "opening": r.Opening, "kind": r.Kind, "from": int64(r.From), "to": int64(r.To), "begun": r.First, "ended": r.Last,
		}})
	})
}

// logOpen logs the spans that a door left open when it ended.
func (s viewingStore) logOpen(ctx context.Context) error {
	var rows []spanRow
	if err := s.db.NewSelect().Model(&rows).Where("logged = ?", false).Scan(ctx); err != nil {
		return err
	}
	for i := range rows {
		if err := s.keepSpan(ctx, &rows[i], true); err != nil {
			return err
		}
	}
	return nil
}

// event logs one event of an opened viewing.
func (s viewingStore) event(ctx context.Context, v *viewingRow, name string, fields map[string]any) error {
	fields["viewing"], fields["by"] = v.ID, v.Asker
	return ledger.Outbox{}.Append(ctx, s.db, interview.Event{Hearing: v.Hearing, Type: name, Fields: fields})
}
