package kioskbridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
)

// Call is a call for help at a kiosk (row B14): who is there is nobody's to
// know before an officer stands beside them.
type Call struct {
	ID       interview.CallID `json:"call"`
	Place    string           `json:"place"`    // where the kiosk stands
	Language string           `json:"language"` // that the person chose
	Step     string           `json:"step"`     // what the screen showed
	Raised   time.Time        `json:"raised"`
	Answered bool             `json:"answered"`
}

// Answers is how long people waited for an answer, over the last day.
type Answers struct {
	Calls int   `json:"calls"` // answered
	P50   int64 `json:"p50"`   // seconds
	P95   int64 `json:"p95"`
}

type callRow struct {
	bun.BaseModel `bun:"table:desk_call,alias:c"`

	ID         interview.CallID   `bun:"id,pk"`
	Kiosk      interview.DeviceID `bun:"kiosk_id"`
	Place      string             `bun:"place"`
	Language   string             `bun:"language"`
	Step       string             `bun:"step"`
	RaisedAt   int64              `bun:"raised_at"`
	AnsweredAt int64              `bun:"answered_at"`
	AnsweredBy string             `bun:"answered_by"`
	Version    int64              `bun:"version"`
}

func (c callRow) view() Call {
	return Call{
		ID: c.ID, Place: c.Place, Language: c.Language, Step: c.Step,
		Raised: time.UnixMilli(c.RaisedAt).UTC(), Answered: c.AnsweredAt != 0,
	}
}

var callWord = regexp.MustCompile(`^[a-z][a-zA-Z.-]{0,31}$`)

// Raise calls for help from a kiosk. While its last call is open, that one goes
// on: a person who presses twice waits no shorter.
func (d *Desk) Raise(ctx context.Context, kiosk interview.DeviceID, language, step string) (Call, error) {
	if !callWord.MatchString(language) || !callWord.MatchString(step) {
		return Call{}, problem.New(problem.CodeMalformed, "language and step of the screen are both needed")
	}
	place, err := d.places.PlaceOf(ctx, kiosk)
	if err != nil {
		return Call{}, err
	}
	var out Call
	err = d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var open callRow
		err := tx.NewSelect().Model(&open).Where("c.kiosk_id = ?", kiosk).Where("c.answered_at = 0").Order("c.raised_at").Limit(1).Scan(ctx)
		if err == nil {
			out = open.view()
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the calls of kiosk %s: %w", kiosk, err)
		}
		row := callRow{ID: interview.NewCallID(), Kiosk: kiosk, Place: place, Language: language, Step: step, RaisedAt: d.bridge.Now().UnixMilli(), Version: 1}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return fmt.Errorf("save a call of kiosk %s: %w", kiosk, err)
		}
		out = row.view()
		return nil
	})
	return out, err
}

// Called tells a kiosk how its own call fares.
func (d *Desk) Called(ctx context.Context, kiosk interview.DeviceID, id interview.CallID) (Call, error) {
	row, err := d.call(ctx, d.db, id)
	if err != nil {
		return Call{}, err
	}
	if row.Kiosk != kiosk {
		return Call{}, problem.New(problem.CodeNotFound, "call %s", id)
	}
	return row.view(), nil
}

func (d *Desk) call(ctx context.Context, db bun.IDB, id interview.CallID) (callRow, error) {
	var row callRow
	err := db.NewSelect().Model(&row).Where("c.id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, problem.New(problem.CodeNotFound, "call %s", id)
	}
	if err != nil {
		return row, fmt.Errorf("read call %s: %w", id, err)
	}
	return row, nil
}

// Answer takes a call: the officer is on the way. A call is answered once.
func (d *Desk) Answer(ctx context.Context, by Officer, id interview.CallID) error {
	return d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row, err := d.call(ctx, tx, id)
		if err != nil {
			return err
		}
		if row.AnsweredAt != 0 {
			return problem.New(problem.CodeConflict, "call %s was answered already", id)
		}
		now := d.bridge.Now().UnixMilli()
		update := tx.NewUpdate().Model((*callRow)(nil)).Set("answered_at = ?", now).Set("answered_by = ?", by.Person).Where("id = ?", id)
		if err := store.CompareAndSet(ctx, update, row.Version); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return problem.New(problem.CodeConflict, "call %s was answered meanwhile", id)
			}
			return fmt.Errorf("answer call %s: %w", id, err)
		}
		return d.outbox.Append(ctx, tx, interview.Event{Type: EventDeskCall, Fields: map[string]any{
			"call": id, "kiosk": row.Kiosk, "answered": (now - row.RaisedAt) / 1000, "officer": by.Person,
		}})
	})
}

// Calls lists the calls that wait, oldest first, and how long the last day's
// waited.
func (d *Desk) Calls(ctx context.Context) ([]Call, Answers, error) {
	var open, answered []callRow
	if err := d.db.NewSelect().Model(&open).Where("c.answered_at = 0").Order("c.raised_at").Limit(maxDesk).Scan(ctx); err != nil {
		return nil, Answers{}, fmt.Errorf("read the calls: %w", err)
	}
	since := d.bridge.Now().Add(-callsKept).UnixMilli()
	if err := d.db.NewSelect().Model(&answered).Where("c.answered_at > ?", since).Order("c.raised_at DESC").Limit(1000).Scan(ctx); err != nil {
		return nil, Answers{}, fmt.Errorf("read the calls: %w", err)
	}
	out := []Call{}
	for _, c := range open {
		out = append(out, c.view())
	}
	waits := make([]int64, len(answered))
	for i, c := range answered {
		waits[i] = (c.AnsweredAt - c.RaisedAt) / 1000
	}
	return out, summarise(waits), nil
}

func summarise(waits []int64) Answers {
	if len(waits) == 0 {
		return Answers{}
	}
	slices.Sort(waits)
	at := func(percent int) int64 { return waits[(len(waits)-1)*percent/100] }
	return Answers{Calls: len(waits), P50: at(50), P95: at(95)}
}
