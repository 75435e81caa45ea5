package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/store"
)

// MaxBatch bounds how many leaves are appended at once.
const MaxBatch = 256

// Appender takes leaves into the log and returns the place of each. It is
// idempotent: a leaf that is there already keeps its place.
type Appender interface {
	Append(ctx context.Context, leaves []Leaf) ([]uint64, error)
}

// Row is an event as SQL keeps it.
type Row struct {
	bun.BaseModel `bun:"table:audit_outbox"`
	ID            string `bun:"id,pk"`
	HearingID     string `bun:"hearing_id"`
	Type          string `bun:"type"`
	Version       int    `bun:"version"`
	Body          string `bun:"body"`       // canonical JSON
	Salt          string `bun:"salt"`       // base64url
	CreatedAt     int64  `bun:"created_at"` // database clock, milliseconds
	LogIndex      *int64 `bun:"log_index"`  // nil: not in the log yet
}

// Leaf computes the row's entry in the log anew from its body and salt.
func (r Row) Leaf() (Leaf, error) {
	salt, err := base64.RawURLEncoding.DecodeString(r.Salt)
	if err != nil {
		return Leaf{}, fmt.Errorf("audit event %s: salt cannot be read: %w", r.ID, err)
	}
	leaf := Leaf{ID: r.ID, Type: r.Type, V: r.Version, H: saltedHash(salt, []byte(r.Body))}
	return leaf, leaf.check()
}

// Record puts an event into the outbox. Give it the transaction of the change
// that the event tells of, so that neither stands without the other.
func Record(ctx context.Context, db bun.IDB, e Event) error {
	row := Row{
		ID:        e.id,
		HearingID: e.hearing,
		Type:      e.typ.Name,
		Version:   e.typ.Version,
		Body:      string(e.body),
		Salt:      base64.RawURLEncoding.EncodeToString(e.salt),
	}
	_, err := db.NewInsert().Model(&row).Value("created_at", "?", store.Clock(db)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("record audit event %s: %w", e.typ.Name, err)
	}
	return nil
}

// Events lists a hearing's events in the order of their making.
func Events(ctx context.Context, db bun.IDB, hearing string) ([]Row, error) {
	var rows []Row
	err := db.NewSelect().Model(&rows).Where("hearing_id = ?", hearing).Order("id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list audit events of %s: %w", hearing, err)
	}
	return rows, nil
}

// Drain carries at most MaxBatch waiting events to the log and writes their
// places back. It returns how many it carried. Killed at any point, it can be
// repeated: the log knows what it has.
func Drain(ctx context.Context, db *bun.DB, log Appender) (int, error) {
	var rows []Row
	err := db.NewSelect().Model(&rows).Where("log_index IS NULL").Order("id").Limit(MaxBatch).Scan(ctx)
	if err != nil {
		return 0, fmt.Errorf("read audit outbox: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	leaves := make([]Leaf, len(rows))
	for i, row := range rows {
		if leaves[i], err = row.Leaf(); err != nil {
			return 0, err
		}
	}
	places, err := log.Append(ctx, leaves)
	if err != nil {
		return 0, fmt.Errorf("append to audit log: %w", err)
	}
	if len(places) != len(rows) {
		return 0, fmt.Errorf("append to audit log: %d places for %d events", len(places), len(rows))
	}
	return len(rows), db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for i, row := range rows {
			_, err := tx.NewUpdate().Model(&row).Set("log_index = ?", places[i]).WherePK().Where("log_index IS NULL").Exec(ctx)
			if err != nil {
				return fmt.Errorf("note place of audit event %s: %w", row.ID, err)
			}
		}
		return nil
	})
}

// Worker drains the outbox for as long as it runs.
type Worker struct {
	DB       *bun.DB
	Log      Appender
	Interval time.Duration // between looks into an empty outbox; 0: 250 ms
}

// Run drains until ctx ends. While the log is away events wait and it tries
// again; nothing that happens in a hearing waits for it.
func (w Worker) Run(ctx context.Context) {
	interval := w.Interval
	if interval == 0 {
		interval = 250 * time.Millisecond
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		carried, err := Drain(ctx, w.DB, w.Log)
		switch {
		case err != nil && ctx.Err() == nil:
			if !failing {
				slog.Error("audit events wait: the log does not take them", "error", err)
			}
			failing = true
			timer.Reset(4 * interval)
		case carried == MaxBatch:
			failing = false
			timer.Reset(0)
		default:
			failing = false
			timer.Reset(interval)
		}
	}
}
