package transcript

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/text/language"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/record"
)

// Bounds of a transcript.
const (
	MaxText       = 16 << 10  // bytes of one line, amendment or reason
	MaxTranscript = 512 << 10 // bytes of all current lines
	MaxUtterances = 5000
	MaxAmendments = 500
)

// Types of the events of this room. interview/ledger knows their fields.
const (
	EventSealed    = "transcript.sealed"
	EventDelivered = "transcript.delivered"
	EventReceived  = "transcript.received"
	EventAmended   = "transcript.amended"
	EventAnswered  = "transcript.answered"
	EventOutcome   = "transcript.outcome"
)

// Hearings is what this room asks about a hearing; *interview.Store answers.
type Hearings interface {
	Hearing(ctx context.Context, id interview.HearingID) (*interview.Hearing, error)
	Own(ctx context.Context, c interview.Caller, id interview.HearingID) (*interview.Hearing, error)
	Span(ctx context.Context, id interview.HearingID) (interview.Micros, error)
}

// Authority seals a record with the installation's sealing key and returns the
// compact kuule-record+jws.
type Authority interface {
	SealRecord(ctx context.Context, r record.Record) (signed string, err error)
}

// Config is what a Store needs.
type Config struct {
	Hearings   Hearings
	Sealer     interview.Sealer
	Authority  Authority
	SealingKey crypto.PublicKey // what Authority signs with, as pinned
	Outbox     interview.Outbox
	Rules      []Rule           // nil: DefaultRules
	Now        func() time.Time // nil: time.Now
}

// Store keeps transcripts. It is safe for concurrent use.
type Store struct {
	db  *bun.DB
	cfg Config
}

// NewStore makes a store on a database that internal/store opened.
func NewStore(db *bun.DB, cfg Config) *Store {
	if cfg.Rules == nil {
		cfg.Rules = DefaultRules
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{db: db, cfg: cfg}
}

type transcriptRow struct {
	bun.BaseModel `bun:"table:transcript"`
	Hearing       interview.HearingID `bun:"hearing_id,pk"`
	State         string              `bun:"state"`
	Bytes         int64               `bun:"bytes"`
	Edits         int64               `bun:"edits"`
}

const (
	stateDraft  = "draft"
	stateSealed = "sealed"
)

type utteranceRow struct {
	bun.BaseModel `bun:"table:utterance"`
	ID            interview.UtteranceID `bun:"id,pk"`
	Version       int64                 `bun:"version,pk"`
	Hearing       interview.HearingID   `bun:"hearing_id"`
	Bytes         int64                 `bun:"bytes"`
	Sealed        []byte                `bun:"sealed"`
}

func utteranceAAD(id interview.UtteranceID, version int64) string {
	return fmt.Sprintf("utterance|%s|%d", id, version)
}

// Put keeps a wording of a line. u.Version is the version that the writer saw
// (0 for a new line); the answer carries the new one. Put again with the same
// content after a lost answer changes nothing and answers the same. An empty
// text strikes the line. Problems: CodeClock (outside the hearing's time),
// CodeSealed, CodeConflict (somebody else wrote), CodeTooLarge.
func (s *Store) Put(ctx context.Context, h *interview.Hearing, u record.Utterance) (record.Utterance, error) {
	if err := s.check(ctx, h, u); err != nil {
		return record.Utterance{}, err
	}
	seen := u.Version
	u.Version = seen + 1
	sealed, err := interview.SealJSON(ctx, s.cfg.Sealer, h.Case, utteranceAAD(u.ID, u.Version), u)
	if err != nil {
		return record.Utterance{}, err
	}
	row := utteranceRow{ID: u.ID, Version: u.Version, Hearing: h.ID, Bytes: int64(len(u.Text)), Sealed: sealed}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lockDraft(ctx, tx, h.ID); err != nil {
			return err
		}
		return s.insert(ctx, tx, row, seen)
	})
	if errors.Is(err, store.ErrConflict) {
		return s.repeated(ctx, h, u)
	}
	if err != nil {
		return record.Utterance{}, fmt.Errorf("put %s: %w", u.ID, err)
	}
	return u, nil
}

func (s *Store) check(ctx context.Context, h *interview.Hearing, u record.Utterance) error {
	if u.ID.IsZero() || u.Version < 0 || !u.Kind.Valid() {
		return problem.New(problem.CodeMalformed, "line needs an id, a version and a known kind")
	}
	if err := checkText(u.Text, u.Language); err != nil {
		return err
	}
	if _, ok := h.Participant(u.Speaker); !ok {
		return problem.New(problem.CodeMalformed, "speaker %s has no part in hearing %s", u.Speaker, h.ID)
	}
	if !u.Renders.IsZero() && u.Kind != record.Rendering {
		return problem.New(problem.CodeMalformed, "only a rendering renders another line")
	}
	span, err := s.cfg.Hearings.Span(ctx, h.ID)
	if err != nil {
		return err
	}
	if u.At < 0 || u.At > span {
		return problem.Refused(problem.CodeClock, "transcript-within-hearing", "%d µs is outside the hearing, which goes to %d µs", u.At, span)
	}
	return nil
}

func checkText(text, tag string) error {
	if len(text) > MaxText {
		return problem.New(problem.CodeTooLarge, "text of %d bytes, at most %d", len(text), MaxText)
	}
	if strings.ToValidUTF8(text, "") != text || strings.ContainsRune(text, 0) {
		return problem.New(problem.CodeMalformed, "text is not UTF-8")
	}
	if _, err := language.Parse(tag); err != nil || len(tag) > 35 {
		return problem.New(problem.CodeMalformed, "language is not a BCP 47 tag")
	}
	return nil
}

// lockDraft gives this transaction its place in the order of changes, and
// refuses where version 1 is sealed.
func (s *Store) lockDraft(ctx context.Context, tx bun.Tx, id interview.HearingID) error {
	fresh := transcriptRow{Hearing: id, State: stateDraft}
	if _, err := tx.NewInsert().Model(&fresh).On("CONFLICT (hearing_id) DO NOTHING").Exec(ctx); err != nil {
		return err
	}
	return lock(ctx, tx, id, stateDraft, problem.Refused(problem.CodeSealed, "transcript-sealed-stays", "the transcript of %s is sealed", id))
}

func lock(ctx context.Context, tx bun.Tx, id interview.HearingID, state string, otherwise error) error {
	result, err := tx.NewUpdate().Model(&transcriptRow{Hearing: id}).Set("edits = edits + 1").WherePK().Where("state = ?", state).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, otherwise)
	}
	return nil
}

// insert adds a version of a line if it follows the one that is there.
func (s *Store) insert(ctx context.Context, tx bun.Tx, row utteranceRow, seen int64) error {
	last := utteranceRow{Hearing: row.Hearing}
	err := tx.NewSelect().Model(&last).Column("hearing_id", "version", "bytes").Where("id = ?", row.ID).Order("version DESC").Limit(1).Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if last.Hearing != row.Hearing {
		return problem.New(problem.CodeNotFound, "line %s in hearing %s", row.ID, row.Hearing)
	}
	if last.Version != seen {
		return store.ErrConflict
	}
	if seen == 0 {
		count, err := tx.NewSelect().Model((*utteranceRow)(nil)).Where("hearing_id = ?", row.Hearing).Where("version = 1").Count(ctx)
		if err != nil {
			return err
		}
		if count >= MaxUtterances {
			return problem.New(problem.CodeTooLarge, "a transcript has at most %d lines", MaxUtterances)
		}
	}
	result, err := tx.NewUpdate().Model(&transcriptRow{Hearing: row.Hearing}).Set("bytes = bytes + ?", row.Bytes-last.Bytes).
		WherePK().Where("bytes + ? <= ?", row.Bytes-last.Bytes, MaxTranscript).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, problem.New(problem.CodeTooLarge, "a transcript has at most %d bytes", MaxTranscript))
	}
	_, err = tx.NewInsert().Model(&row).Exec(ctx)
	if store.IsDuplicate(err) {
		return store.ErrConflict
	}
	return err
}

// repeated answers a write that lost: the same content again is what the writer
// wanted, anything else is a conflict.
func (s *Store) repeated(ctx context.Context, h *interview.Hearing, u record.Utterance) (record.Utterance, error) {
	lines, err := s.lines(ctx, h, &u.ID)
	if err != nil {
		return record.Utterance{}, err
	}
	if len(lines) == 1 && lines[0] == u {
		return u, nil
	}
	return record.Utterance{}, problem.New(problem.CodeConflict, "line %s: %w", u.ID, store.ErrConflict)
}

// Lines returns the current wording of every line, in the order of the hearing
// clock. Struck lines have no text.
func (s *Store) Lines(ctx context.Context, h *interview.Hearing) ([]record.Utterance, error) {
	return s.lines(ctx, h, nil)
}

func (s *Store) lines(ctx context.Context, h *interview.Hearing, only *interview.UtteranceID) ([]record.Utterance, error) {
	var rows []utteranceRow
	newest := s.db.NewSelect().TableExpr("utterance AS n").ColumnExpr("max(n.version)").Where("n.id = utterance_row.id")
	q := s.db.NewSelect().Model(&rows).Where("utterance_row.hearing_id = ?", h.ID).Where("utterance_row.version = (?)", newest)
	if only != nil {
		q = q.Where("utterance_row.id = ?", *only)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("read lines of %s: %w", h.ID, err)
	}
	out := make([]record.Utterance, len(rows))
	for i, row := range rows {
		if err := interview.OpenJSON(ctx, s.cfg.Sealer, h.Case, utteranceAAD(row.ID, row.Version), row.Sealed, &out[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b record.Utterance) int {
		if a.At != b.At {
			return int(min(max(a.At-b.At, -1), 1))
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return out, nil
}
