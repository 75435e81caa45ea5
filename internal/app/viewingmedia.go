package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
)

// maxReceiver bounds the name of who receives a medium, in bytes.
const maxReceiver = 200

// Audit events of sealed media (H7).
const (
	eventMedium = "recording.medium"
	eventHanded = "recording.handed"
)

var mediumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// mediumRow is a sealed medium and its receipt.
type mediumRow struct {
	bun.BaseModel `bun:"table:medium"`
	ID            string              `bun:"id,pk"`
	Case          interview.CaseID    `bun:"case_id"`
	Hearing       interview.HearingID `bun:"hearing_id"`
	Viewing       string              `bun:"viewing_id"`
	Form          string              `bun:"form"`
	Made          int64               `bun:"made_at"`
	Handed        string              `bun:"handed_on"`
	Sealed        []byte              `bun:"sealed"`
	Version       int64               `bun:"version"`

	words mediumWords `bun:"-"`
}

// mediumWords is what a medium's row says of people.
type mediumWords struct {
	Intended string `json:"intended"` // whom it was made for
	Receiver string `json:"receiver"` // who took it
}

func (s viewingStore) sealMedium(ctx context.Context, m *mediumRow) error {
	var err error
	m.Sealed, err = interview.SealJSON(ctx, s.sealer, m.Case, "medium|"+m.ID, m.words)
	return err
}

// addMedium keeps that a medium was made, and logs it.
func (s viewingStore) addMedium(ctx context.Context, m *mediumRow) error {
	if err := s.sealMedium(ctx, m); err != nil {
		return err
	}
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(m).Exec(ctx); err != nil {
			return fmt.Errorf("keep medium of %s: %w", m.Viewing, err)
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Hearing: m.Hearing, Type: eventMedium, Fields: map[string]any{
			"viewing": m.Viewing, "medium": m.ID, "form": m.Form, "intended_hash": jws.Hash(m.words.Intended),
		}})
	})
}

// media gives the media of a viewing with their words, oldest first.
func (s viewingStore) media(ctx context.Context, viewing string) ([]*mediumRow, error) {
	var rows []*mediumRow
	if err := s.db.NewSelect().Model(&rows).Where("viewing_id = ?", viewing).Order("made_at", "id").Limit(maxListed).Scan(ctx); err != nil {
		return nil, fmt.Errorf("media of %s: %w", viewing, err)
	}
	for _, m := range rows {
		// Of an erased case it stays that there was a medium, without words.
		if err := s.openMedium(ctx, m); err != nil && !errors.Is(err, problem.New(problem.CodeErased, "")) {
			return nil, err
		}
	}
	return rows, nil
}

func (s viewingStore) openMedium(ctx context.Context, m *mediumRow) error {
	return interview.OpenJSON(ctx, s.sealer, m.Case, "medium|"+m.ID, m.Sealed, &m.words)
}

// handMedium keeps who received a medium and when, once, and logs it.
func (s viewingStore) handMedium(ctx context.Context, hearing interview.HearingID, viewing, id, receiver, on string) (*mediumRow, error) {
	m := &mediumRow{ID: id}
	err := s.db.NewSelect().Model(m).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (m.Hearing != hearing || viewing != "" && m.Viewing != viewing) {
		return nil, problem.New(problem.CodeNotFound, "no medium of %s has the SHA-256 %s", hearing, id)
	}
	if err != nil {
		return nil, err
	}
	if err := s.openMedium(ctx, m); err != nil {
		return nil, err
	}
	m.words.Receiver, m.Handed = receiver, on
	if err := s.sealMedium(ctx, m); err != nil {
		return nil, err
	}
	before := m.Version
	m.Version++
	return m, s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		r, err := tx.NewUpdate().Model(m).Column("sealed", "handed_on", "version").WherePK().Where("version = ?", before).Where("handed_on = ''").Exec(ctx)
		if err != nil {
			return fmt.Errorf("receipt of medium %s: %w", id, err)
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			return problem.New(problem.CodeConflict, "medium %s was handed over before", id)
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Hearing: m.Hearing, Type: eventHanded, Fields: map[string]any{
			"viewing": m.Viewing, "medium": m.ID, "receiver_hash": jws.Hash(receiver), "on": on,
		}})
	})
}

// Handover is the receipt of a medium, as the console gives it.
type Handover struct {
	Hearing  interview.HearingID `json:"hearing"`
	Medium   string              `json:"medium"` // SHA-256 of the sealed file, in hex
	Receiver string              `json:"receiver"`
	On       string              `json:"on"` // YYYY-MM-DD
}

// Handed is what is kept of it.
type Handed struct {
	Viewing string `json:"viewing"`
	On      string `json:"on"`
}

// handed keeps the receipt of a medium of the caller's viewing, or of one of
// the caller's own hearing.
func (d *viewingDesk) handed(w http.ResponseWriter, r *http.Request, c interview.Caller) error {
	var in struct {
		Medium   string `json:"medium"`
		Receiver string `json:"receiver"`
		On       string `json:"on"`
	}
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	v, err := d.found(r)
	if err != nil {
		return err
	}
	if v.Asker != d.person(c.Subject) {
		if _, err := d.hearings.Own(r.Context(), c, v.Hearing); err != nil {
			return problem.New(problem.CodeNotFound, "viewing %s", v.ID)
		}
	}
	out, err := d.receipt(r.Context(), v.ID, Handover{Hearing: v.Hearing, Medium: in.Medium, Receiver: in.Receiver, On: in.On})
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}

func (d *viewingDesk) consoleHanded(ctx context.Context, in Handover) (Handed, error) {
	return d.receipt(ctx, "", in)
}

// receipt checks and keeps a receipt; viewing "": a medium of any of the hearing's.
func (d *viewingDesk) receipt(ctx context.Context, viewing string, in Handover) (Handed, error) {
	in.Receiver = strings.TrimSpace(in.Receiver)
	day, err := time.Parse(time.DateOnly, in.On)
	switch {
	case !mediumPattern.MatchString(in.Medium):
		return Handed{}, problem.New(problem.CodeMalformed, "a medium is named by the SHA-256 of its file, in hex")
	case in.Receiver == "" || len(in.Receiver) > maxReceiver:
		return Handed{}, problem.New(problem.CodeMalformed, "name who received it, in at most %d bytes", maxReceiver)
	case err != nil || day.After(time.Now().Add(24*time.Hour)):
		return Handed{}, problem.New(problem.CodeMalformed, "the day has the form YYYY-MM-DD and is not to come")
	}
	m, err := d.store.handMedium(ctx, in.Hearing, viewing, in.Medium, in.Receiver, in.On)
	if err != nil {
		return Handed{}, err
	}
	return Handed{m.Viewing, m.Handed}, nil
}

// exportRow is a copy that left a viewing.
type exportRow struct {
	bun.BaseModel `bun:"table:viewing_export"`
	ID            string              `bun:"id,pk"`
	Viewing       string              `bun:"viewing_id"`
	Hearing       interview.HearingID `bun:"hearing_id"`
	Form          string              `bun:"form"`
	Lane          int64               `bun:"lane"`
	Place         string              `bun:"place"`
	Sealed        bool                `bun:"sealed"`
	Begun         int64               `bun:"begun_at"`
	Ended         int64               `bun:"ended_at"`
	Bytes         int64               `bun:"bytes"`
	SHA256        string              `bun:"sha256"` // hex, once it was given out whole
}

// addExport keeps that a copy begins to leave, and logs it.
func (s viewingStore) addExport(ctx context.Context, v *viewingRow, opening string, e *exportRow) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(e).Exec(ctx); err != nil {
			return fmt.Errorf("keep export of %s: %w", v.ID, err)
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Hearing: v.Hearing, Type: eventExported, Fields: map[string]any{
			"viewing": v.ID, "by": v.Asker, "opening": opening, "form": e.Form, "place": e.Place,
		}})
	})
}

// endExport keeps how it ended.
func (s viewingStore) endExport(ctx context.Context, e *exportRow) error {
	_, err := s.db.NewUpdate().Model(e).Column("ended_at", "bytes", "sha256").WherePK().Exec(ctx)
	return err
}

func (s viewingStore) exports(ctx context.Context, viewing string) (rows []exportRow, err error) {
	err = s.db.NewSelect().Model(&rows).Where("viewing_id = ?", viewing).Order("begun_at", "id").Limit(maxListed).Scan(ctx)
	return rows, err
}

// viewedExport is one of them as the hearing's own interviewer sees it.
type viewedExport struct {
	Form   string `json:"form"`
	Place  string `json:"place"`
	Sealed bool   `json:"sealed"`
	Begun  int64  `json:"begun"`
	Ended  int64  `json:"ended"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // "": not all of it was given out
}

// viewedMedium is a medium as the hearing's own interviewer sees it.
type viewedMedium struct {
	Medium   string `json:"medium"`
	Form     string `json:"form"`
	Made     int64  `json:"made"`
	Intended string `json:"intended"`
	Receiver string `json:"receiver"`
	Handed   string `json:"handed"` // day, or ""
}

// administer puts exports and receipts on the administrator's socket.
func (d *viewingDesk) administer(mux *http.ServeMux) {
	mux.HandleFunc("GET /recording/{viewing}", d.consoleReleased)
	mux.HandleFunc("POST /recording/{viewing}/export", d.consoleExport)
	mux.HandleFunc("POST /media/handed", answer(d.consoleHanded))
}
