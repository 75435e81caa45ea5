package quality

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"kuule/interview"
	"kuule/interview/media"
)

// Bounds of a keeper.
const (
	maxLegs     = 4096
	maxTracks   = 8192
	forgetAfter = 10 * time.Minute // without a word of a leg
	writeEvery  = 10 * time.Second
	maxListed   = 500
)

// Lookup finds out whose a leg is; false where it is not known any more.
type Lookup func(room interview.GroupID, leg interview.LegID) (Whose, bool)

// Keeper sums up what the media node tells and keeps it with the hearing. Its
// methods are safe for concurrent use and never wait for the database, but for
// Close and Of.
type Keeper struct {
	db     *bun.DB
	lookup Lookup
	log    *slog.Logger
	now    func() time.Time
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	legs   map[interview.LegID]*tally
	voices map[interview.TrackID]bool
	away   map[away]time.Time // devices whose leg was lost, until another of theirs comes
	lost   map[Cause]time.Duration
}

type away struct {
	hearing interview.HearingID
	device  interview.DeviceID
}

// NewKeeper starts a keeper. Close it to write what is left.
func NewKeeper(db *bun.DB, lookup Lookup, log *slog.Logger) *Keeper {
	return newKeeper(db, lookup, log, time.Now)
}

func newKeeper(db *bun.DB, lookup Lookup, log *slog.Logger, now func() time.Time) *Keeper {
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{
		db: db, lookup: lookup, log: log, now: now, stop: stop,
		legs: map[interview.LegID]*tally{}, voices: map[interview.TrackID]bool{}, away: map[away]time.Time{}, lost: map[Cause]time.Duration{},
	}
	k.done.Go(func() { k.run(ctx) })
	return k
}

// Take counts a report of the media node.
func (k *Keeper) Take(q media.Quality) {
	whose, known := k.lookup(q.Room, q.Leg)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range q.Tracks {
		if len(k.voices) >= maxTracks {
			clear(k.voices) // filled again by the next reports
		}
		k.voices[t.Track] = t.Source == interview.SourceAudio
	}
	if t := k.tally(q.Leg, whose, known); t != nil {
		t.connected(k.now())
		t.add(q, k.voices, k.now())
		k.count(t)
	}
}

// Event takes the node's word on a leg's connection. An event of no leg says
// that the node began anew: every leg that it had is gone.
func (k *Keeper) Event(ev media.Event) {
	if ev.Leg.IsZero() {
		k.mu.Lock()
		defer k.mu.Unlock()
		for id, t := range k.legs {
			k.close(t)
			if !t.changed {
				delete(k.legs, id)
			}
		}
		return
	}
	whose, known := k.lookup(ev.Room, ev.Leg)
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tally(ev.Leg, whose, known)
	if t == nil {
		return
	}
	now := k.now()
	t.heard = now
	switch ev.State {
	case media.LegConnected:
		t.connected(now)
		k.count(t)
	case media.LegDisconnected:
		t.disconnected(now)
	case media.LegClosed:
		k.close(t) // the node says so of its own accord: nobody hung up
	}
}

// close ends a leg that was lost; the lock is held.
func (k *Keeper) close(t *tally) {
	t.disconnected(k.now())
	if len(k.away) < maxLegs {
		k.away[away{t.Hearing, t.Device}] = t.gone
	}
	t.gone = time.Time{}
}

// tally finds or begins the sum of a leg; the lock is held.
func (k *Keeper) tally(leg interview.LegID, whose Whose, known bool) *tally {
	t := k.legs[leg]
	if t != nil || !known || len(k.legs) >= maxLegs {
		return t
	}
	t = newTally(leg, whose, k.now())
	k.legs[leg] = t
	key := away{whose.Hearing, whose.Device}
	if since, ok := k.away[key]; ok {
		delete(k.away, key)
		t.gone = since
		t.connected(k.now())
		k.count(t)
	}
	return t
}

// count adds what a leg has lost since it was counted last; the lock is held.
func (k *Keeper) count(t *tally) {
	for c, ms := range t.leg.Causes {
		k.lost[c] += time.Duration(ms-t.counted[c]) * time.Millisecond
		t.counted[c] = ms
	}
}

// Lost is how much time was lost since the keeper began, by cause.
func (k *Keeper) Lost() map[Cause]time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[Cause]time.Duration{}
	for _, c := range Causes {
		out[c] = k.lost[c]
	}
	return out
}

func (k *Keeper) run(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			k.write(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			k.write(ctx)
		}
	}
}

// Close writes what is left and ends the keeper.
func (k *Keeper) Close() {
	k.stop()
	k.done.Wait()
}

// row is one leg in SQL.
type row struct {
	bun.BaseModel `bun:"table:leg_quality"`
	Leg           interview.LegID     `bun:"leg_id,pk"`
	Hearing       interview.HearingID `bun:"hearing_id"`
	Began         int64               `bun:"began"`
	Lasted        int64               `bun:"lasted"`
	Lost          int64               `bun:"lost"`
	Summary       string              `bun:"summary"`
}

// write keeps what has changed and forgets legs that are over.
func (k *Keeper) write(ctx context.Context) {
	var rows []*row
	k.mu.Lock()
	for id, t := range k.legs {
		if t.changed {
			t.changed = false
			text, err := json.Marshal(t.leg)
			if err != nil {
				continue
			}
			rows = append(rows, &row{Leg: id, Hearing: t.Hearing, Began: t.leg.Began, Lasted: t.leg.Lasted, Lost: t.leg.Lost, Summary: string(text)})
		}
		if k.now().Sub(t.heard) > forgetAfter {
			delete(k.legs, id)
		}
	}
	for key, since := range k.away {
		if k.now().Sub(since) > forgetAfter {
			delete(k.away, key)
		}
	}
	k.mu.Unlock()
	if len(rows) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := k.db.NewInsert().Model(&rows).On("CONFLICT (leg_id) DO UPDATE").
		Set("lasted = EXCLUDED.lasted").Set("lost = EXCLUDED.lost").Set("summary = EXCLUDED.summary").Exec(ctx)
	if err == nil {
		return
	}
	k.log.Warn("the quality of legs was not kept", "legs", len(rows), "err", err)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range rows {
		if t := k.legs[r.Leg]; t != nil {
			t.changed = true
		}
	}
}

// Of lists what is kept of a hearing's legs, in the order in which they began.
func (k *Keeper) Of(ctx context.Context, hearing interview.HearingID) ([]Leg, error) {
	k.write(ctx)
	var rows []row
	if err := k.db.NewSelect().Model(&rows).Where("hearing_id = ?", hearing).Order("began", "leg_id").Limit(maxListed).Scan(ctx); err != nil {
		return nil, fmt.Errorf("quality of %s: %w", hearing, err)
	}
	out := make([]Leg, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal([]byte(r.Summary), &out[i]); err != nil {
			return nil, fmt.Errorf("quality of leg %s: %w", r.Leg, err)
		}
	}
	return out, nil
}
