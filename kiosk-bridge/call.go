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
	Queue    string           `json:"queue"`   // of staff, in which it rings
	Staffed  bool             `json:"staffed"` // somebody has that queue open now
}

// HelpQueue is a queue of staff that the help buttons of some premises ring.
type HelpQueue struct {
	Name  string
	Label string   // for officers
	Sites []string // premises whose kiosks ring here; none: those of no other queue
}

// helpName is the queue of an installation that named none.
const helpName = "desk"

// staffSeen is how long an officer counts as being there after the last look.
const staffSeen = 20 * time.Second

// Rings names the queues that help buttons ring, and how a kiosk's premises are
// found. Without it all ring in one. It is called before the desk is used.
func (d *Desk) Rings(set []HelpQueue, site func(context.Context, interview.DeviceID) (string, error)) {
	if len(set) > 0 {
		d.help, d.site = set, site
	}
}

// queues are those that there are.
func (d *Desk) queues() []HelpQueue {
	if len(d.help) == 0 {
		return []HelpQueue{{Name: helpName}}
	}
	return d.help
}

// queueOf is where a kiosk's call rings: in the queue of its premises, else in
// the first that takes any, else in the first.
func (d *Desk) queueOf(ctx context.Context, kiosk interview.DeviceID) (string, error) {
	set := d.queues()
	if d.site == nil {
		return set[0].Name, nil
	}
	site, err := d.site(ctx, kiosk)
	if err != nil {
		return "", err
	}
	for _, takes := range []func(HelpQueue) bool{
		func(q HelpQueue) bool { return slices.Contains(q.Sites, site) },
		func(q HelpQueue) bool { return len(q.Sites) == 0 },
	} {
		if i := slices.IndexFunc(set, takes); i >= 0 {
			return set[i].Name, nil
		}
	}
	return set[0].Name, nil
}

type watchRow struct {
	bun.BaseModel `bun:"table:desk_watch,alias:w"`

	Queue   string `bun:"queue,pk"`
	Officer string `bun:"officer,pk"`
	SeenAt  int64  `bun:"seen_at"`
}

// Watch notes that an officer has queues open: all of them where none is named.
// A queue that nobody watches rings all the same, and the person is told.
func (d *Desk) Watch(ctx context.Context, by Officer, names []string) error {
	now := d.bridge.Now().UnixMilli()
	for _, q := range d.queues() {
		if len(names) > 0 && !slices.Contains(names, q.Name) {
			continue
		}
		row := watchRow{Queue: q.Name, Officer: by.Person, SeenAt: now}
		_, err := d.db.NewInsert().Model(&row).On("CONFLICT (queue, officer) DO UPDATE").Set("seen_at = EXCLUDED.seen_at").
			Where("w.seen_at < ?", now-staffSeen.Milliseconds()/4).Exec(ctx)
		if err != nil {
			return fmt.Errorf("note who watches queue %s: %w", q.Name, err)
		}
	}
	return nil
}

func (d *Desk) staffed(ctx context.Context, queue string) (bool, error) {
	there, err := d.db.NewSelect().Model((*watchRow)(nil)).Where("w.queue = ?", queue).
		Where("w.seen_at > ?", d.bridge.Now().Add(-staffSeen).UnixMilli()).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("read who watches queue %s: %w", queue, err)
	}
	return there, nil
}

// told adds to a kiosk's call whether somebody is there to hear it.
func (d *Desk) told(ctx context.Context, c Call) (_ Call, err error) {
	c.Staffed, err = d.staffed(ctx, c.Queue)
	return c, err
}

// Answers is how long people waited for an answer, over the last day.
type Answers struct {
	Queue   string `json:"queue,omitempty"` // '' all
	Label   string `json:"label,omitempty"`
	Staffed bool   `json:"staffed"`
	Calls   int    `json:"calls"` // answered
	P50     int64  `json:"p50"`   // seconds
	P95     int64  `json:"p95"`
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
	Queue      string             `bun:"queue"`
	Version    int64              `bun:"version"`
}

func (c callRow) view() Call {
	return Call{
		ID: c.ID, Place: c.Place, Language: c.Language, Step: c.Step,
		Raised: time.UnixMilli(c.RaisedAt).UTC(), Answered: c.AnsweredAt != 0, Queue: c.Queue,
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
	queue, err := d.queueOf(ctx, kiosk)
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
		row := callRow{ID: interview.NewCallID(), Kiosk: kiosk, Place: place, Language: language, Step: step, RaisedAt: d.bridge.Now().UnixMilli(), Queue: queue, Version: 1}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return fmt.Errorf("save a call of kiosk %s: %w", kiosk, err)
		}
		out = row.view()
		return nil
	})
	if err != nil {
		return Call{}, err
	}
	return d.told(ctx, out)
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
	return d.told(ctx, row.view())
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

// Calls lists the calls that wait in some queues (none named: in all), oldest
// first, and how long the last day's waited.
func (d *Desk) Calls(ctx context.Context, names ...string) ([]Call, Answers, error) {
	var open []callRow
	waiting := d.db.NewSelect().Model(&open).Where("c.answered_at = 0").Order("c.raised_at").Limit(maxDesk)
	if len(names) > 0 {
		waiting = waiting.Where("c.queue IN ?", bun.Tuple(names))
	}
	if err := waiting.Scan(ctx); err != nil {
		return nil, Answers{}, fmt.Errorf("read the calls: %w", err)
	}
	out := []Call{}
	for _, c := range open {
		out = append(out, c.view())
	}
	answered, err := d.answered(ctx)
	return out, summarise(answered, ""), err
}

func (d *Desk) answered(ctx context.Context) ([]callRow, error) {
	var rows []callRow
	since := d.bridge.Now().Add(-callsKept).UnixMilli()
	if err := d.db.NewSelect().Model(&rows).Where("c.answered_at > ?", since).Order("c.raised_at DESC").Limit(1000).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the calls: %w", err)
	}
	return rows, nil
}

// HelpQueues says of each queue how long the last day's calls waited, and whether
// somebody is there.
func (d *Desk) HelpQueues(ctx context.Context) ([]Answers, error) {
	answered, err := d.answered(ctx)
	if err != nil {
		return nil, err
	}
	out := []Answers{}
	for _, q := range d.queues() {
		sum := summarise(answered, q.Name)
		sum.Queue, sum.Label = q.Name, q.Label
		if sum.Staffed, err = d.staffed(ctx, q.Name); err != nil {
			return nil, err
		}
		out = append(out, sum)
	}
	return out, nil
}

// summarise sums up the calls of a queue; "" of all.
func summarise(answered []callRow, queue string) Answers {
	var waits []int64
	for _, c := range answered {
		if queue == "" || c.Queue == queue {
			waits = append(waits, (c.AnsweredAt-c.RaisedAt)/1000)
		}
	}
	p50, p95, _ := percentiles(waits)
	return Answers{Calls: len(waits), P50: p50, P95: p95}
}
