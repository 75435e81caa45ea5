package duplicate

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
)

// Picture is one picture that a visit took. It never prints itself.
type Picture struct {
	Kind, Format string
	Bytes        []byte
}

func (Picture) String() string       { return "redacted picture" }
func (Picture) GoString() string     { return "redacted picture" }
func (Picture) LogValue() slog.Value { return slog.StringValue("redacted") }

// Submission is the search that one visit asks for. The visit is its key.
type Submission struct {
	Visit       interview.VisitID
	Case        interview.CaseID
	Participant interview.ParticipantID
	Pictures    []Picture
}

// Config is what a service needs.
type Config struct {
	DB       *bun.DB
	Outbox   interview.Outbox
	Sealer   interview.Sealer
	Searcher Searcher
	Key      crypto.PublicKey // of the register, which signs results
	// Describe makes probes of pictures. None and no error: nothing on them can
	// be searched for.
	Describe func(ctx context.Context, pictures []Picture) ([]Probe, error)

	// Diary finds a case's number, by which officers know it; nil: nobody does.
	Diary func(ctx context.Context, c interview.CaseID) (string, error)

	Log      *slog.Logger     // nil: slog.Default
	Now      func() time.Time // nil: time.Now
	Every    time.Duration    // between looks at searches that run; 0: 2 s
	Patience time.Duration    // for a register that does not answer; 0: 24 hours
}

// Service carries searches from visits to officers. Its methods are safe for
// concurrent use.
type Service struct {
	Config
	queue chan Submission
	mine  sync.Map // visits whose pictures this process holds
}

// Waiting submissions hold pictures in memory: more than this are not taken.
const maxQueue = 32

// States of a search.
const (
	stateWaiting = "waiting"
	stateRunning = "running"
	stateClear   = "clear"
	stateHits    = "hits"
	stateLost    = "lost"
)

// Reasons why a search was lost. An officer then searches by hand.
const (
	LostQueue    = "too-many-waiting"
	LostFace     = "nothing-to-search-for"
	LostEngine   = "engine-absent"
	LostRestart  = "interrupted"
	LostRegister = "register-absent"
	LostResult   = "result-does-not-count"

	lostErased = "erased" // no task: the case's keys were destroyed meanwhile
)

// Types of the audit events of this package. The first is written alike whether
// something was found or not.
const (
	EventSearched = "kiosk.duplicate"
	EventSettled  = "desk.duplicate"
)

type row struct {
	bun.BaseModel `bun:"table:kiosk_duplicate,alias:d"`

	Visit       interview.VisitID       `bun:"visit_id,pk"`
	Case        interview.CaseID        `bun:"case_id"`
	Participant interview.ParticipantID `bun:"participant_id"`
	SubmittedAt int64                   `bun:"submitted_at"`
	Probes      string                  `bun:"probes"`
	State       string                  `bun:"state"`
	Reason      string                  `bun:"reason"`
	EndedAt     int64                   `bun:"ended_at"`
	Sealed      []byte                  `bun:"sealed"`
	Settlement  string                  `bun:"settlement"`
	SettledBy   string                  `bun:"settled_by"`
	SettledAt   int64                   `bun:"settled_at"`
	Version     int64                   `bun:"version"`
}

// kept is what speaks of people.
type kept struct {
	Result string `json:"result"` // as the register signed it
	Note   string `json:"note"`   // an officer's
}

func aad(id interview.VisitID) string { return "kiosk_duplicate.sealed:" + id.String() }

// New makes a service. [Service.Run] does its work.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Outbox == nil || c.Sealer == nil || c.Searcher == nil || c.Key == nil || c.Describe == nil {
		return nil, errors.New("search for duplicates: database, outbox, sealer, searcher, the register's key and a way to describe pictures are all needed")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Every == 0 {
		c.Every = 2 * time.Second
	}
	if c.Patience == 0 {
		c.Patience = 24 * time.Hour
	}
	return &Service{Config: c, queue: make(chan Submission, maxQueue)}, nil
}

// Submit hands a search in and returns at once. A visit's second submission is
// the first. The caller learns nothing of what is found, not even later.
func (s *Service) Submit(ctx context.Context, in Submission) error {
	_, held := s.mine.LoadOrStore(in.Visit, true)
	if held {
		return nil
	}
	r := row{Visit: in.Visit, Case: in.Case, Participant: in.Participant, SubmittedAt: s.Now().UnixMilli(), State: stateWaiting, Version: 1}
	_, err := s.DB.NewInsert().Model(&r).Exec(ctx)
	if err != nil {
		s.mine.Delete(in.Visit)
	}
	if store.IsDuplicate(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save search %s: %w", in.Visit, err)
	}
	// The caller's pictures end with its call; these end with the search.
	own := in
	own.Pictures = make([]Picture, len(in.Pictures))
	for i, p := range in.Pictures {
		own.Pictures[i] = Picture{Kind: p.Kind, Format: p.Format, Bytes: append([]byte{}, p.Bytes...)}
	}
	select {
	case s.queue <- own:
		return nil
	default:
		forget(own.Pictures)
		s.mine.Delete(in.Visit)
		return s.end(ctx, r, stateLost, LostQueue, "")
	}
}

func forget(pictures []Picture) {
	for _, p := range pictures {
		clear(p.Bytes)
	}
}

// Run works until ctx ends: it describes what was handed in, asks the register
// and writes down what it answers. Searches that a restart interrupted are asked
// for again by their key, and lost where the register does not know it. The
// keyring or the database may come back later than this process, so that what
// cannot be written down now is tried again.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	ended := false // what another process left waiting
	for {
		if !ended {
			err := s.interrupted(ctx)
			if ended = err == nil; !ended && ctx.Err() == nil {
				s.Log.Error("interrupted searches for duplicates could not be ended", "err", err)
			}
		}
		var err error
		select {
		case in := <-s.queue:
			err = s.begin(ctx, in)
			forget(in.Pictures)
			s.mine.Delete(in.Visit)
		case <-tick.C:
			err = s.look(ctx)
		case <-ctx.Done():
			return nil
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error("a search for duplicates could not be written down", "err", err)
		}
	}
}

// interrupted ends what waited when another process ended: its pictures are gone.
func (s *Service) interrupted(ctx context.Context) error {
	rows, err := s.rows(ctx, "d.state = ?", stateWaiting)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		if _, held := s.mine.Load(r.Visit); held {
			continue
		}
		errs = append(errs, s.end(ctx, r, stateLost, LostRestart, ""))
	}
	return errors.Join(errs...)
}

func (s *Service) rows(ctx context.Context, where string, args ...any) ([]row, error) {
	var rows []row
	if err := s.DB.NewSelect().Model(&rows).Where(where, args...).Order("d.submitted_at").Limit(500).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read searches: %w", err)
	}
	return rows, nil
}

func (s *Service) begin(ctx context.Context, in Submission) error {
	rows, err := s.rows(ctx, "d.visit_id = ? AND d.state = 'waiting'", in.Visit)
	if err != nil || len(rows) == 0 {
		return err
	}
	r := rows[0]
	probes, err := s.Describe(ctx, in.Pictures)
	if ctx.Err() != nil {
		return nil // the next start ends it
	}
	defer func() {
		for _, p := range probes {
			clear(p.Data)
		}
	}()
	switch {
	case err != nil:
		s.Log.Warn("a face could not be described for a search", "visit", in.Visit, "err", err)
		return s.end(ctx, r, stateLost, LostEngine, "")
	case len(probes) == 0:
		return s.end(ctx, r, stateLost, LostFace, "")
	}
	standing, err := s.hand(ctx, in.Visit.String(), probes)
	if err != nil {
		s.Log.Warn("the register does not take a search", "visit", in.Visit, "err", err)
		return s.end(ctx, r, stateLost, LostRegister, "")
	}
	r.Probes, r.State = Sum(probes), stateRunning
	update := s.DB.NewUpdate().Model(&r).Column("probes", "state").WherePK()
	if err := store.CompareAndSet(ctx, update, r.Version); err != nil {
		return fmt.Errorf("save search %s: %w", r.Visit, err)
	}
	r.Version++
	return s.answered(ctx, r, standing)
}

// hand tries a few times, while the probes are there.
func (s *Service) hand(ctx context.Context, key string, probes []Probe) (Standing, error) {
	for n := 0; ; n++ {
		standing, err := s.Searcher.Search(ctx, key, probes)
		if err == nil || n == 4 || errors.Is(err, ErrConflict) || errors.Is(err, ErrResult) {
			return standing, err
		}
		select {
		case <-time.After(s.Every):
		case <-ctx.Done():
			return Standing{}, ctx.Err()
		}
	}
}

// look asks how running searches stand.
func (s *Service) look(ctx context.Context) error {
	rows, err := s.rows(ctx, "d.state = ?", stateRunning)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		standing, err := s.Searcher.Standing(ctx, r.Visit.String())
		switch {
		case errors.Is(err, ErrUnknown):
			errs = append(errs, s.end(ctx, r, stateLost, LostRestart, ""))
		case err != nil && s.Now().Sub(time.UnixMilli(r.SubmittedAt)) > s.Patience:
			errs = append(errs, s.end(ctx, r, stateLost, LostRegister, ""))
		case err == nil:
			errs = append(errs, s.answered(ctx, r, standing))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) answered(ctx context.Context, r row, standing Standing) error {
	if !standing.Done {
		return nil
	}
	result, err := ReadResult(standing.Result, s.Key, r.Visit.String(), r.Probes)
	if err != nil {
		s.Log.Error("a register's result does not count", "visit", r.Visit, "err", err)
		return s.end(ctx, r, stateLost, LostResult, "")
	}
	if len(result.Candidates) == 0 {
		return s.end(ctx, r, stateClear, "", standing.Result)
	}
	return s.end(ctx, r, stateHits, "", standing.Result)
}

func erased(err error) bool { return errors.Is(err, problem.New(problem.CodeErased, "")) }

func (s *Service) end(ctx context.Context, r row, state, reason, result string) error {
	// Sealed also where nothing was found: a row's size tells nothing of it.
	sealed, err := interview.SealJSON(ctx, s.Sealer, r.Case, aad(r.Visit), kept{Result: result})
	if erased(err) { // nothing of it may be kept, and nobody has to look
		sealed, state, reason = nil, stateLost, lostErased
	} else if err != nil {
		return fmt.Errorf("search %s: %w", r.Visit, err)
	}
	r.State, r.Reason, r.EndedAt, r.Sealed = state, reason, s.Now().UnixMilli(), sealed
	return s.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		update := tx.NewUpdate().Model(&r).Column("state", "reason", "ended_at", "sealed").WherePK()
		if err := store.CompareAndSet(ctx, update, r.Version); err != nil {
			return fmt.Errorf("end search %s: %w", r.Visit, err)
		}
		return s.Outbox.Append(ctx, tx, interview.Event{Type: EventSearched, Fields: map[string]any{"visit": r.Visit, "participant": r.Participant}})
	})
}
