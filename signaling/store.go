package signaling

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/store"
	"kuule/interview"
)

// messageRow is one signed message of a room.
type messageRow struct {
	bun.BaseModel `bun:"table:room_message"`
	Hearing       interview.HearingID `bun:"hearing_id,pk"`
	Hash          string              `bun:"hash,pk"`
	Kind          string              `bun:"kind"`
	Message       string              `bun:"message"`
	At            int64               `bun:"at"`
}

// Keeper is a Journal in SQL. It writes from one goroutine, in order; Close
// waits until everything that was given is written.
type Keeper struct {
	db    *bun.DB
	log   *slog.Logger
	queue chan messageRow
	done  sync.WaitGroup
	last  int64
}

// NewKeeper starts a keeper.
func NewKeeper(db *bun.DB, log *slog.Logger) *Keeper {
	k := &Keeper{db: db, log: log, queue: make(chan messageRow, 4096)}
	k.done.Go(k.run)
	return k
}

// Keep implements Journal. If the database falls so far behind that the queue
// is full, the message is lost to evidence and that is logged.
func (k *Keeper) Keep(h interview.HearingID, kind, message string) {
	select {
	case k.queue <- messageRow{Hearing: h, Hash: jws.Hash(message), Kind: kind, Message: message, At: time.Now().UnixMicro()}:
	default:
		k.log.Error("a signed message of the room was not kept: the database is too slow", "hearing", h, "kind", kind)
	}
}

func (k *Keeper) run() {
	for row := range k.queue {
		row.At = max(row.At, k.last+1) // order, also within one microsecond
		k.last = row.At
		_, err := k.db.NewInsert().Model(&row).Exec(context.Background())
		if err != nil && !store.IsDuplicate(err) {
			k.log.Error("a signed message of the room was not kept", "hearing", row.Hearing, "kind", row.Kind, "err", err)
		}
	}
}

// Close writes what waits and ends the keeper. Keep must not be called after.
func (k *Keeper) Close() {
	close(k.queue)
	k.done.Wait()
}

// Kept lists a hearing's messages of one kind in the order they came.
func (k *Keeper) Kept(ctx context.Context, h interview.HearingID, kind string) ([]string, error) {
	var rows []messageRow
	err := k.db.NewSelect().Model(&rows).Where("hearing_id = ?", h).Where("kind = ?", kind).OrderExpr("at").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("messages of %s: %w", h, err)
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.Message
	}
	return out, nil
}
