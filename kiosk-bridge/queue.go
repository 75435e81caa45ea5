package kioskbridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/kiosk-bridge/tunnel"
)

// Matter is what a visitor waits for: a service of the kiosk (tunnel.Service), or
// one of two more.
type Matter string

// Matters beside the services.
const (
	MatterDesk  Matter = "desk"  // the kiosk sent the person to people
	MatterOther Matter = "other" // something that no kiosk does
)

// Valid says whether there is such a matter.
func (m Matter) Valid() bool {
	return m == MatterDesk || m == MatterOther || tunnel.Service(m).Valid()
}

// Queue is people who wait for the same desks. A matter that no queue takes needs
// no number: quick matters go past all queues (row B17).
type Queue struct {
	Name    string   // in addresses
	Label   string   // for people
	Letter  string   // before its numbers
	Matters []Matter // that it takes
	Desks   []string // that call from it: what the screen shows, "Desk 2"
	Sites   []string // premises whose kiosks, desks and screens it has; none: those of all, for matters that no queue of the premises takes
}

// Queues give waiting numbers and call them (row B16). A number names nobody and
// says nothing of what somebody came for. Methods are safe for concurrent use.
type Queues struct {
	db        *bun.DB
	set       []Queue
	languages []string // of the screen; none: there is no screen
	now       func() time.Time
	site      func(context.Context, interview.DeviceID) (string, error)
}

// NewQueues makes the queues of an installation, of which there may be none. A
// waiting-room screen is answered where it has languages.
func NewQueues(db *bun.DB, set []Queue, languages []string, now func() time.Time) *Queues {
	return &Queues{db: db, set: set, languages: languages, now: now}
}

// Stand says how the premises of a device are found. Without it all queues are
// everywhere. It is called before the queues are used.
func (q *Queues) Stand(site func(context.Context, interview.DeviceID) (string, error)) { q.site = site }

// at are the queues of the premises where a device stands.
func (q *Queues) at(ctx context.Context, device interview.DeviceID) ([]Queue, error) {
	sited := func(s Queue) bool { return len(s.Sites) > 0 }
	if q.site == nil || !slices.ContainsFunc(q.set, sited) {
		return slices.Clone(q.set), nil
	}
	site, err := q.site(ctx, device)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(q.set), func(s Queue) bool { return sited(s) && !slices.Contains(s.Sites, site) }), nil
}

func names(set []Queue) []string {
	out := []string{""} // no queue is called so: a place may have none
	for _, s := range set {
		out = append(out, s.Name)
	}
	return out
}

const (
	maxWaiting   = 300              // in one queue: more is nobody's crowd
	maxShown     = 8                // numbers on the screen
	shownFor     = 15 * time.Minute // after its last call
	staffedFor   = 30 * time.Minute // a desk counts after its last call
	measuredFrom = 5                // persons before a wait is estimated
	measuredMost = 200
)

// Outcomes of a number.
const (
	numberDone   = "done"
	numberAbsent = "absent"
)

type numberRow struct {
	bun.BaseModel `bun:"table:queue_number,alias:q"`

	ID       interview.NumberID `bun:"id,pk"`
	Day      string             `bun:"day"`
	Letter   string             `bun:"letter"`
	Number   int64              `bun:"number"`
	Queue    string             `bun:"queue"`
	ForDesk  string             `bun:"for_desk"`
	Matter   Matter             `bun:"matter"`
	Language string             `bun:"language"`
	Kiosk    interview.DeviceID `bun:"kiosk_id"`
	Draw     string             `bun:"draw"`
	DrawnAt  int64              `bun:"drawn_at"`
	FirstAt  int64              `bun:"first_at"`
	CalledAt int64              `bun:"called_at"`
	Calls    int64              `bun:"calls"`
	Desk     string             `bun:"desk"`
	Officer  string             `bun:"officer"`
	Handed   int64              `bun:"handed"`
	EndedAt  int64              `bun:"ended_at"`
	Outcome  string             `bun:"outcome"`
	Version  int64              `bun:"version"`
}

func (r numberRow) text() string { return r.Letter + strconv.FormatInt(r.Number, 10) }

// Drawn is a number as its holder gets it.
type Drawn struct {
	ID    interview.NumberID `json:"id"`
	Text  string             `json:"text"`  // the letter of its queue and a number
	Label string             `json:"label"` // of the queue
	Ahead int64              `json:"ahead"` // persons
	Wait  int64              `json:"wait"`  // seconds, as far as they were measured; -1: nobody knows yet
}

// Waiter is a number as officers see it.
type Waiter struct {
	ID       interview.NumberID `json:"id"`
	Text     string             `json:"text"`
	Matter   Matter             `json:"matter"`
	Language string             `json:"language"`
	Drawn    time.Time          `json:"drawn"`
	ForDesk  string             `json:"for_desk,omitempty"`
	Desk     string             `json:"desk,omitempty"` // that called it
	Calls    int64              `json:"calls"`
}

func (r numberRow) waiter() Waiter {
	return Waiter{
		ID: r.ID, Text: r.text(), Matter: r.Matter, Language: r.Language, Drawn: time.UnixMilli(r.DrawnAt).UTC(),
		ForDesk: r.ForDesk, Desk: r.Desk, Calls: r.Calls,
	}
}

// Line is a queue as officers see it.
type Line struct {
	Name    string       `json:"name"`
	Label   string       `json:"label"`
	Desks   []string     `json:"desks"`
	Waiting []Waiter     `json:"waiting"` // in the order in which they are called
	Called  []Waiter     `json:"called"`  // at a desk, or on the way there
	Figures QueueFigures `json:"figures"`
}

// QueueFigures sum up the last day (row M6). Times are seconds.
type QueueFigures struct {
	Drawn   int64 `json:"drawn"`
	Done    int64 `json:"done"`
	Absent  int64 `json:"absent"`
	Handed  int64 `json:"handed"`
	WaitP50 int64 `json:"wait_p50"` // until the first call
	WaitP95 int64 `json:"wait_p95"`
	TookP50 int64 `json:"took_p50"` // from the last call to the end
}

// Screen is what a waiting room sees: numbers and places, nothing of anybody.
type Screen struct {
	Languages []string `json:"languages"`
	Called    []Shown  `json:"called"` // newest first
	Waiting   int64    `json:"waiting"`
}

// Shown is one call on the screen.
type Shown struct {
	ID    interview.NumberID `json:"id"`
	Text  string             `json:"text"`
	Desk  string             `json:"desk"`
	Calls int64              `json:"calls"` // each one chimes
	At    time.Time          `json:"at"`
}

func (q *Queues) today() string { return q.now().Local().Format(time.DateOnly) }

func named(set []Queue, name string) (Queue, error) {
	i := slices.IndexFunc(set, func(s Queue) bool { return s.Name == name })
	if i < 0 {
		return Queue{}, problem.New(problem.CodeNotFound, "there is no queue %q here", name)
	}
	return set[i], nil
}

var drawName = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)

// Draw gives a number for a matter, or none where no queue takes it. The same
// draw of the same kiosk is the same number, so that a lost answer costs nobody
// a place.
func (q *Queues) Draw(ctx context.Context, kiosk interview.DeviceID, draw string, matter Matter, language string) (Drawn, bool, error) {
	if !drawName.MatchString(draw) || !matter.Valid() || !callWord.MatchString(language) {
		return Drawn{}, false, problem.New(problem.CodeMalformed, "draw, matter and language are all needed")
	}
	here, err := q.at(ctx, kiosk)
	if err != nil {
		return Drawn{}, false, err
	}
	slices.SortStableFunc(here, func(a, b Queue) int { return min(len(b.Sites), 1) - min(len(a.Sites), 1) }) // the premises' own first
	i := slices.IndexFunc(here, func(s Queue) bool { return slices.Contains(s.Matters, matter) })
	if i < 0 {
		return Drawn{}, false, nil
	}
	queue := here[i]
	row := numberRow{
		ID: interview.NewNumberID(), Day: q.today(), Letter: queue.Letter, Queue: queue.Name, Matter: matter, Language: language,
		Kiosk: kiosk, Draw: draw, DrawnAt: q.now().UnixMilli(), Version: 1,
	}
	if err := q.insert(ctx, &row); err != nil {
		return Drawn{}, false, err
	}
	ahead, err := q.db.NewSelect().Model((*numberRow)(nil)).Where("q.day = ?", row.Day).Where("q.queue = ?", row.Queue).Where("q.ended_at = 0").
		Where("q.called_at = 0").Where("q.drawn_at < ? OR q.drawn_at = ? AND q.number < ?", row.DrawnAt, row.DrawnAt, row.Number).Count(ctx)
	if err != nil {
		return Drawn{}, false, fmt.Errorf("count who waits: %w", err)
	}
	wait, err := q.estimate(ctx, queue, ahead)
	return Drawn{ID: row.ID, Text: row.text(), Label: queue.Label, Ahead: ahead, Wait: wait}, true, err
}

// insert gives the row the day's next number, or makes it the one that was drawn
// before. Two kiosks at the same moment may take the same: one tries again.
func (q *Queues) insert(ctx context.Context, row *numberRow) error {
	for range 10 {
		var before numberRow
		err := q.db.NewSelect().Model(&before).Where("q.kiosk_id = ?", row.Kiosk).Where("q.draw = ?", row.Draw).Scan(ctx)
		if err == nil {
			*row = before
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read a number: %w", err)
		}
		waiting, err := q.open(row.Queue).Where("q.called_at = 0").Count(ctx)
		if err != nil {
			return fmt.Errorf("count who waits: %w", err)
		}
		if waiting >= maxWaiting {
			return problem.New(problem.CodeTooFast, "%d numbers wait in queue %s already", waiting, row.Queue)
		}
		var last int64
		if err := q.db.NewSelect().Model((*numberRow)(nil)).ColumnExpr("COALESCE(MAX(q.number), 0)").
			Where("q.day = ?", row.Day).Where("q.letter = ?", row.Letter).Scan(ctx, &last); err != nil {
			return fmt.Errorf("read the last number: %w", err)
		}
		row.Number = last + 1
		_, err = q.db.NewInsert().Model(row).Exec(ctx)
		if err == nil || !store.IsDuplicate(err) {
			return err
		}
	}
	return problem.New(problem.CodeConflict, "no number could be drawn: too many at once")
}

// open selects the numbers of today that have not ended, in some queues.
func (q *Queues) open(queues ...string) *bun.SelectQuery {
	return q.db.NewSelect().Model((*numberRow)(nil)).Where("q.day = ?", q.today()).Where("q.ended_at = 0").Where("q.queue IN (?)", bun.List(queues))
}

// estimate says how long somebody with so many persons ahead waits: by how long
// the last persons took, at as many desks as call now.
func (q *Queues) estimate(ctx context.Context, queue Queue, ahead int64) (int64, error) {
	rows, err := q.measured(ctx, queue.Name)
	if err != nil {
		return -1, err
	}
	took, desks := []int64{}, map[string]bool{}
	for _, r := range rows {
		if r.Outcome == numberDone {
			took = append(took, r.EndedAt-r.CalledAt)
		}
	}
	var calling []numberRow
	err = q.db.NewSelect().Model(&calling).Column("desk").Where("q.queue = ?", queue.Name).
		Where("q.called_at > ?", q.now().Add(-staffedFor).UnixMilli()).Limit(measuredMost).Scan(ctx)
	if err != nil {
		return -1, fmt.Errorf("read who calls: %w", err)
	}
	for _, r := range calling {
		desks[r.Desk] = true
	}
	if len(took) < measuredFrom || len(desks) == 0 {
		return -1, nil
	}
	half, _, _ := percentiles(took)
	return (ahead + 1) * half / int64(len(desks)) / 1000, nil
}

func (q *Queues) measured(ctx context.Context, queue string) ([]numberRow, error) {
	var rows []numberRow
	err := q.db.NewSelect().Model(&rows).Where("q.queue = ?", queue).Where("q.ended_at > ?", q.now().Add(-callsKept).UnixMilli()).
		Order("q.ended_at DESC").Limit(measuredMost).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the last day's numbers: %w", err)
	}
	return rows, nil
}

// firstCome is in which numbers are called: by when they were drawn, wherever
// they have been handed since.
const firstCome = "q.drawn_at, q.number"

// Lines lists the queues as officers see them.
func (q *Queues) Lines(ctx context.Context, by Officer) ([]Line, error) {
	here, err := q.at(ctx, by.Device)
	if err != nil {
		return nil, err
	}
	return q.lines(ctx, here)
}

// All are the queues of all premises, for who watches the numbers.
func (q *Queues) All(ctx context.Context) ([]Line, error) { return q.lines(ctx, q.set) }

func (q *Queues) lines(ctx context.Context, set []Queue) ([]Line, error) {
	out := []Line{}
	for _, s := range set {
		line := Line{Name: s.Name, Label: s.Label, Desks: s.Desks, Waiting: []Waiter{}, Called: []Waiter{}}
		var rows []numberRow
		if err := q.open(s.Name).OrderExpr(firstCome).Limit(2*maxWaiting).Scan(ctx, &rows); err != nil {
			return nil, fmt.Errorf("read queue %s: %w", s.Name, err)
		}
		for _, r := range rows {
			if r.CalledAt == 0 {
				line.Waiting = append(line.Waiting, r.waiter())
			} else {
				line.Called = append(line.Called, r.waiter())
			}
		}
		var err error
		if line.Figures, err = q.figures(ctx, s.Name); err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, nil
}

func (q *Queues) figures(ctx context.Context, queue string) (QueueFigures, error) {
	var f QueueFigures
	var err error
	since := q.now().Add(-callsKept).UnixMilli()
	if f.Drawn, err = q.db.NewSelect().Model((*numberRow)(nil)).Where("q.queue = ?", queue).Where("q.drawn_at > ?", since).Count(ctx); err != nil {
		return f, fmt.Errorf("count the last day's numbers: %w", err)
	}
	rows, err := q.measured(ctx, queue)
	if err != nil {
		return f, err
	}
	var waits, took []int64
	for _, r := range rows {
		f.Handed += r.Handed
		waits = append(waits, (r.FirstAt-r.DrawnAt)/1000)
		if r.Outcome == numberDone {
			f.Done++
			took = append(took, (r.EndedAt-r.CalledAt)/1000)
		} else {
			f.Absent++
		}
	}
	f.WaitP50, f.WaitP95, _ = percentiles(waits)
	f.TookP50, _, _ = percentiles(took)
	return f, nil
}

// Next ends what the desk has open and calls the next number to it: false where
// nobody waits.
func (q *Queues) Next(ctx context.Context, by Officer, queue, desk string) (Waiter, bool, error) {
	here, err := q.at(ctx, by.Device)
	if err != nil {
		return Waiter{}, false, err
	}
	s, err := named(here, queue)
	if err != nil {
		return Waiter{}, false, err
	}
	if !slices.Contains(s.Desks, desk) {
		return Waiter{}, false, problem.New(problem.CodeMalformed, "queue %s has no desk %q", queue, desk)
	}
	var current []numberRow
	if err := q.open(names(here)...).Where("q.desk = ?", desk).Where("q.called_at > 0").Scan(ctx, &current); err != nil {
		return Waiter{}, false, fmt.Errorf("read what desk %s has open: %w", desk, err)
	}
	for _, r := range current {
		if err := q.end(ctx, r, numberDone); err != nil && !errors.Is(err, store.ErrConflict) {
			return Waiter{}, false, err
		}
	}
	for range 10 {
		var row numberRow
		err := q.open(queue).Where("q.called_at = 0").Where("q.for_desk IN ('', ?)", desk).OrderExpr(firstCome).Limit(1).Scan(ctx, &row)
		if errors.Is(err, sql.ErrNoRows) {
			return Waiter{}, false, nil
		}
		if err != nil {
			return Waiter{}, false, fmt.Errorf("read queue %s: %w", queue, err)
		}
		now := q.now().UnixMilli()
		first := row.FirstAt
		if first == 0 {
			first = now
		}
		update := q.row(row.ID).Set("first_at = ?", first).Set("called_at = ?", now).Set("calls = 1").Set("desk = ?", desk).Set("officer = ?", by.Person)
		err = store.CompareAndSet(ctx, update, row.Version)
		if errors.Is(err, store.ErrConflict) {
			continue // another desk called it at the same moment
		}
		if err != nil {
			return Waiter{}, false, fmt.Errorf("call number %s: %w", row.ID, err)
		}
		row.Desk, row.Calls = desk, 1
		return row.waiter(), true, nil
	}
	return Waiter{}, false, problem.New(problem.CodeConflict, "queue %s: others called at the same moment, call again", queue)
}

func (q *Queues) row(id interview.NumberID) *bun.UpdateQuery {
	return q.db.NewUpdate().Model((*numberRow)(nil)).Where("id = ?", id)
}

func (q *Queues) end(ctx context.Context, r numberRow, outcome string) error {
	return store.CompareAndSet(ctx, q.row(r.ID).Set("ended_at = ?", q.now().UnixMilli()).Set("outcome = ?", outcome), r.Version)
}

// NumberAct is what an officer does with a number that was called.
type NumberAct string

// Acts.
const (
	ActAgain  NumberAct = "again"  // call once more
	ActAbsent NumberAct = "absent" // nobody came
	ActDone   NumberAct = "done"
	ActHand   NumberAct = "hand" // to another queue, or to one desk of it
)

// Act does it. The number keeps its place in the order where it is handed on.
func (q *Queues) Act(ctx context.Context, by Officer, id interview.NumberID, act NumberAct, queue, desk string) error {
	here, err := q.at(ctx, by.Device)
	if err != nil {
		return err
	}
	var row numberRow
	err = q.open(names(here)...).Where("q.id = ?", id).Scan(ctx, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return problem.New(problem.CodeNotFound, "number %s is not open", id)
	}
	if err != nil {
		return fmt.Errorf("read number %s: %w", id, err)
	}
	if row.CalledAt == 0 {
		return problem.New(problem.CodeConflict, "number %s was not called yet", id)
	}
	switch act {
	case ActAgain:
		err = store.CompareAndSet(ctx, q.row(id).Set("calls = calls + 1").Set("called_at = ?", q.now().UnixMilli()).Set("officer = ?", by.Person), row.Version)
	case ActAbsent:
		err = q.end(ctx, row, numberAbsent)
	case ActDone:
		err = q.end(ctx, row, numberDone)
	case ActHand:
		to, refused := named(here, queue)
		if refused != nil {
			return refused
		}
		if desk != "" && !slices.Contains(to.Desks, desk) {
			return problem.New(problem.CodeMalformed, "queue %s has no desk %q", queue, desk)
		}
		err = store.CompareAndSet(ctx, q.row(id).Set("queue = ?", queue).Set("for_desk = ?", desk).Set("called_at = 0").Set("calls = 0").Set("desk = ''").
			Set("handed = handed + 1"), row.Version)
	default:
		return problem.New(problem.CodeMalformed, "there is no act %q", act)
	}
	if errors.Is(err, store.ErrConflict) {
		return problem.New(problem.CodeConflict, "number %s was changed meanwhile", id)
	}
	return err
}

// Shows is what a waiting room's screen shows now: of the premises where it stands.
func (q *Queues) Shows(ctx context.Context, screen interview.DeviceID) (Screen, error) {
	if len(q.languages) == 0 {
		return Screen{}, problem.New(problem.CodeNotReady, "no screen is set up for waiting numbers: 'reception' of the configuration")
	}
	here, err := q.at(ctx, screen)
	if err != nil {
		return Screen{}, err
	}
	out := Screen{Languages: q.languages, Called: []Shown{}}
	var rows []numberRow
	err = q.open(names(here)...).Where("q.called_at > ?", q.now().Add(-shownFor).UnixMilli()).Order("q.called_at DESC").Limit(maxShown).Scan(ctx, &rows)
	if err != nil {
		return Screen{}, fmt.Errorf("read what was called: %w", err)
	}
	for _, r := range rows {
		out.Called = append(out.Called, Shown{ID: r.ID, Text: r.text(), Desk: r.Desk, Calls: r.Calls, At: time.UnixMilli(r.CalledAt).UTC()})
	}
	if out.Waiting, err = q.open(names(here)...).Where("q.called_at = 0").Count(ctx); err != nil {
		return Screen{}, fmt.Errorf("count who waits: %w", err)
	}
	return out, nil
}
