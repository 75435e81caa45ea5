package kioskbridge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// Store keeps visits and tickets. Implementations are safe for concurrent use.
type Store interface {
	// Save writes a visit and what it led to, together.
	Save(ctx context.Context, v Record, kept Kept) error
	// Identity finds the last visit, not before since, that found out by a document
	// who the booking's person is. None, where a visit led to this seat already.
	Identity(ctx context.Context, b Booking, since time.Time) (Record, bool, error)
	// Again counts the visits for the booking, not before since, after which the
	// person was asked to try once more.
	Again(ctx context.Context, b Booking, since time.Time) (int, error)
	// BreakOff keeps that a biometric had failed in a visit that has no record.
	BreakOff(ctx context.Context, v interview.VisitID, b Booking, at time.Time) error
	// Notice tells staff of a kiosk's part.
	Notice(ctx context.Context, kiosk Kiosk, part Part, code string, at time.Time) error
	// Visit reads one visit; a problem (CodeNotFound) when there is none.
	Visit(ctx context.Context, id interview.VisitID) (Record, error)
	// Redeem uses a ticket up, if it is the last of its person. Each condition that is missing is a problem of
	// its own: CodeTicketInvalid, -Device, -Hearing, -Stale, -Used.
	Redeem(ctx context.Context, id interview.TicketID, by Redemption) (interview.Ticket, error)
	// Waiting lists the tickets that the device could redeem now or later today.
	Waiting(ctx context.Context, device interview.DeviceID) ([]interview.Ticket, error)
	// Held lists the tickets that the device has redeemed and that still keep a
	// seat; Expires is then the end of the hold.
	Held(ctx context.Context, device interview.DeviceID) ([]interview.Ticket, error)
	// Proof gives a redeemed ticket's texts for authority, and the verdicts for
	// the interviewer. Only the device that redeemed it has it.
	Proof(ctx context.Context, id interview.TicketID, device interview.DeviceID) (ticket.Proof, []interview.Check, error)
}

// Redemption is who redeems a ticket for what.
type Redemption struct {
	Device  interview.DeviceID // whose certificate was verified on this connection
	Hearing interview.HearingID
	Purpose interview.Purpose
}

// Record is a visit as it is kept.
type Record struct {
	bun.BaseModel `bun:"table:kiosk_visit,alias:v"`

	ID          interview.VisitID       `bun:"id,pk"`
	Case        interview.CaseID        `bun:"case_id"`
	Hearing     interview.HearingID     `bun:"hearing_id"`
	Participant interview.ParticipantID `bun:"participant_id"`
	Role        interview.Role          `bun:"role"`
	Purpose     interview.Purpose       `bun:"purpose"`
	Kiosk       interview.DeviceID      `bun:"kiosk_id"`
	Site        string                  `bun:"site"` // where the kiosk stands: an id of premises
	Route       ticket.Route            `bun:"route"`
	Policy      string                  `bun:"policy"`
	Result      tunnel.Result           `bun:"result"`
	Assurance   ticket.Assurance        `bun:"assurance"`
	StartedAt   int64                   `bun:"started_at"` // milliseconds
	EndedAt     int64                   `bun:"ended_at"`
	Evidence    string                  `bun:"evidence"`
	Vouched     string                  `bun:"vouched"`
	Checks      string                  `bun:"checks"`
	Journal     string                  `bun:"journal"` // the kiosk's
	Steps       string                  `bun:"steps"`   // the bridge's
	Sealed      []byte                  `bun:"sealed"`
}

// brokenOff is a visit without a record, in which a biometric had failed.
type brokenOff struct {
	bun.BaseModel `bun:"table:kiosk_broken_off,alias:k"`

	Visit       interview.VisitID       `bun:"visit_id,pk"`
	Participant interview.ParticipantID `bun:"participant_id"`
	Purpose     interview.Purpose       `bun:"purpose"`
	At          int64                   `bun:"at"` // milliseconds
}

// Kept is what a visit led to, beside itself. Each may be missing.
type Kept struct {
	Ticket   *TicketRecord
	Handover *HandoverRecord
	Pieces   []PieceRecord
	Stages   []Stage // that the case system is told of
}

// PieceRecord is a capture that a service is about, sealed.
type PieceRecord struct {
	bun.BaseModel `bun:"table:kiosk_piece,alias:p"`

	Visit  interview.VisitID `bun:"visit_id,pk"`
	N      int64             `bun:"n,pk"`
	Case   interview.CaseID  `bun:"case_id"`
	Step   ticket.StepName   `bun:"step"`
	Kind   string            `bun:"kind"`
	SHA256 string            `bun:"sha256"`
	Sealed []byte            `bun:"sealed"`

	Wrapped string `bun:"wrapped"` // the piece's data key
}

// Account reads the bridge's account of a visit.
func (r Record) Account() (ticket.Steps, error) {
	var s ticket.Steps
	if err := canon.Unmarshal([]byte(r.Steps), &s); err != nil {
		return ticket.Steps{}, fmt.Errorf("steps of visit %s: %w", r.ID, err)
	}
	return s, nil
}

// Verdicts reads the checks of a visit.
func (r Record) Verdicts() ([]interview.Check, error) {
	var c ticket.Checks
	if err := canon.Unmarshal([]byte(r.Checks), &c); err != nil {
		return nil, fmt.Errorf("checks of visit %s: %w", r.ID, err)
	}
	return c.Checks, nil
}

// TicketRecord is a ticket as it is kept. Times are seconds since 1970.
type TicketRecord struct {
	bun.BaseModel `bun:"table:kiosk_ticket,alias:t"`

	ID          interview.TicketID      `bun:"id,pk"`
	Visit       interview.VisitID       `bun:"visit_id"`
	Hearing     interview.HearingID     `bun:"hearing_id"`
	Participant interview.ParticipantID `bun:"participant_id"`
	Seat        interview.SeatID        `bun:"seat_id"`
	Role        interview.Role          `bun:"role"`
	Purpose     interview.Purpose       `bun:"purpose"`
	Device      interview.DeviceID      `bun:"device_id"`
	NotBefore   int64                   `bun:"not_before"`
	Expires     int64                   `bun:"expires"`
	Until       int64                   `bun:"until"`
	Signed      string                  `bun:"signed"`
	RedeemedAt  int64                   `bun:"redeemed_at"`
	Version     int64                   `bun:"version"`
}

func (t TicketRecord) ticket(expires int64) interview.Ticket {
	return interview.Ticket{
		ID: t.ID, Hearing: t.Hearing, Participant: t.Participant, Seat: t.Seat, Role: t.Role,
		Purpose: t.Purpose, Expires: time.Unix(expires, 0).UTC(),
	}
}

// Types of the audit events of this room. interview/ledger knows their fields.
const (
	EventVisitEnded     = "kiosk.visit"
	EventTicketRedeemed = "kiosk.redeemed"
)

// SQL keeps visits and tickets in the installation's database.
type SQL struct {
	db     *bun.DB
	outbox interview.Outbox
}

// NewSQL uses a migrated database. Each visit and redemption is told to the
// outbox in its own transaction.
func NewSQL(db *bun.DB, outbox interview.Outbox) *SQL { return &SQL{db, outbox} }

var _ Store = (*SQL)(nil)

// Save implements [Store].
func (s *SQL) Save(ctx context.Context, v Record, kept Kept) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return saveVisit(ctx, tx, s.outbox, v, kept) })
}

func saveVisit(ctx context.Context, tx bun.Tx, outbox interview.Outbox, v Record, kept Kept) error {
	if _, err := tx.NewInsert().Model(&v).Exec(ctx); err != nil {
		return fmt.Errorf("save visit %s: %w", v.ID, err)
	}
	made := ""
	if t := kept.Ticket; t != nil {
		if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
			return fmt.Errorf("save the ticket of visit %s: %w", v.ID, err)
		}
		made = t.ID.String()
	}
	if kept.Handover != nil {
		if _, err := tx.NewInsert().Model(kept.Handover).Exec(ctx); err != nil {
			return fmt.Errorf("save the hand-over of visit %s: %w", v.ID, err)
		}
	}
	if len(kept.Pieces) > 0 {
		if _, err := tx.NewInsert().Model(&kept.Pieces).Exec(ctx); err != nil {
			return fmt.Errorf("save what was captured in visit %s: %w", v.ID, err)
		}
	}
	if err := saveStages(ctx, tx, v, kept.Stages, v.EndedAt); err != nil {
		return err
	}
	err := outbox.Append(ctx, tx, interview.Event{Hearing: v.Hearing, Type: EventVisitEnded, Fields: map[string]any{
		"visit": v.ID, "participant": v.Participant, "kiosk": v.Kiosk, "site": v.Site, "route": v.Route, "result": v.Result, "assurance": v.Assurance,
		"evidence": ticket.Hash([]byte(v.Evidence)), "policy": v.Policy, "ticket": made,
	}})
	if err != nil {
		return fmt.Errorf("save visit %s: %w", v.ID, err)
	}
	return nil
}

// Identity implements [Store].
func (s *SQL) Identity(ctx context.Context, b Booking, since time.Time) (Record, bool, error) {
	var r Record
	err := s.db.NewSelect().Model(&r).Where("v.case_id = ?", b.Case).Where("v.role = ?", b.Role).Where("v.ended_at >= ?", since.UnixMilli()).
		Where("NOT EXISTS (SELECT 1 FROM kiosk_visit o WHERE o.participant_id = ? AND o.purpose = ? AND o.result = ?)", b.Participant, b.Purpose, tunnel.ResultJoin).
		Where("v.route = ?", ticket.RouteDocument).Where("v.result IN (?, ?)", tunnel.ResultJoin, tunnel.ResultDone).
		Order("v.ended_at DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("find an earlier identity of case %s: %w", b.Case, err)
	}
	return r, true, nil
}

// BreakOff implements Store.
func (s *SQL) BreakOff(ctx context.Context, v interview.VisitID, b Booking, at time.Time) error {
	row := brokenOff{Visit: v, Participant: b.Participant, Purpose: b.Purpose, At: at.UnixMilli()}
	if _, err := s.db.NewInsert().Model(&row).Exec(ctx); err != nil {
		return fmt.Errorf("keep that visit %s was broken off: %w", v, err)
	}
	return nil
}

// Again implements [Store].
func (s *SQL) Again(ctx context.Context, b Booking, since time.Time) (int, error) {
	n, err := s.db.NewSelect().Model((*Record)(nil)).Where("v.participant_id = ?", b.Participant).Where("v.purpose = ?", b.Purpose).
		Where("v.result = ?", tunnel.ResultAgain).Where("v.ended_at >= ?", since.UnixMilli()).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count the tries of a person at hearing %s: %w", b.Hearing, err)
	}
	return int(n), nil
}

// Visit implements [Store].
func (s *SQL) Visit(ctx context.Context, id interview.VisitID) (Record, error) {
	var r Record
	err := s.db.NewSelect().Model(&r).Where("v.id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, problem.New(problem.CodeNotFound, "visit %s", id)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read visit %s: %w", id, err)
	}
	return r, nil
}

// Redeem implements [Store]. Time is the database's.
func (s *SQL) Redeem(ctx context.Context, id interview.TicketID, by Redemption) (interview.Ticket, error) {
	var out interview.Ticket
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		t, err := load(ctx, tx, id)
		if err != nil {
			return err
		}
		now, err := store.Now(ctx, tx)
		if err != nil {
			return err
		}
		claims := ticket.Claims{
			ID: t.ID, Hearing: t.Hearing, Purpose: t.Purpose, Participant: t.Participant, Device: t.Device,
			NotBefore: t.NotBefore, Expires: t.Expires, Until: t.Until,
		}
		// Who may not have it learns nothing of its state.
		err = ticket.Matches(claims, ticket.Expected{Hearing: by.Hearing, Purpose: by.Purpose, Participant: t.Participant, Device: by.Device, Now: now})
		if t.RedeemedAt != 0 && (err == nil || problem.Of(err).Code == problem.CodeTicketStale) {
			err = problem.New(problem.CodeTicketUsed, "ticket %s was redeemed at %s", id, time.Unix(t.RedeemedAt, 0).UTC().Format(time.RFC3339))
		}
		if err == nil {
			err = newest(ctx, tx, t)
		}
		if err != nil {
			return err
		}
		update := tx.NewUpdate().Model(&t).Set("redeemed_at = ?", now.Unix()).Where("id = ?", id).Where("redeemed_at = 0")
		if err := store.CompareAndSet(ctx, update, t.Version); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return problem.New(problem.CodeTicketUsed, "ticket %s was redeemed meanwhile: %w", id, err)
			}
			return fmt.Errorf("redeem ticket %s: %w", id, err)
		}
		out = t.ticket(t.Until)
		return s.outbox.Append(ctx, tx, interview.Event{Hearing: t.Hearing, Type: EventTicketRedeemed, Fields: map[string]any{
			"ticket": t.ID, "participant": t.Participant, "device": t.Device, "purpose": t.Purpose,
		}})
	})
	return out, err
}

// newer finds tickets that took another's place: of one person's tickets for one
// purpose only the last counts, so that a forgotten one opens nothing.
const newer = "EXISTS (SELECT 1 FROM kiosk_ticket n WHERE n.participant_id = t.participant_id AND n.hearing_id = t.hearing_id AND n.purpose = t.purpose AND n.id > t.id)"

// newest refuses a ticket in whose place a newer one is.
func newest(ctx context.Context, db bun.IDB, t TicketRecord) error {
	replaced, err := db.NewSelect().Model((*TicketRecord)(nil)).Where("t.id = ?", t.ID).Where(newer).Exists(ctx)
	if err != nil {
		return fmt.Errorf("read the tickets after %s: %w", t.ID, err)
	}
	if replaced {
		return problem.New(problem.CodeTicketStale, "ticket %s was replaced by a newer one of the same person", t.ID)
	}
	return nil
}

func load(ctx context.Context, db bun.IDB, id interview.TicketID) (TicketRecord, error) {
	var t TicketRecord
	err := db.NewSelect().Model(&t).Where("t.id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return t, problem.New(problem.CodeTicketInvalid, "there is no ticket %s", id)
	}
	if err != nil {
		return t, fmt.Errorf("read ticket %s: %w", id, err)
	}
	return t, nil
}

// Waiting implements [Store].
func (s *SQL) Waiting(ctx context.Context, device interview.DeviceID) ([]interview.Ticket, error) {
	return s.list(ctx, device, "t.redeemed_at = 0 AND t.expires > ? AND NOT "+newer, func(t TicketRecord) int64 { return t.Expires })
}

// Held implements [Store].
func (s *SQL) Held(ctx context.Context, device interview.DeviceID) ([]interview.Ticket, error) {
	return s.list(ctx, device, "t.redeemed_at <> 0 AND t.until > ?", func(t TicketRecord) int64 { return t.Until })
}

func (s *SQL) list(ctx context.Context, device interview.DeviceID, condition string, expires func(TicketRecord) int64) ([]interview.Ticket, error) {
	now, err := store.Now(ctx, s.db)
	if err != nil {
		return nil, err
	}
	var rows []TicketRecord
	err = s.db.NewSelect().Model(&rows).Where("t.device_id = ?", device).Where(condition, now.Unix()).Order("t.id").Limit(100).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tickets of device %s: %w", device, err)
	}
	out := make([]interview.Ticket, len(rows))
	for i, t := range rows {
		out[i] = t.ticket(expires(t))
	}
	return out, nil
}

// Proof implements [Store].
func (s *SQL) Proof(ctx context.Context, id interview.TicketID, device interview.DeviceID) (ticket.Proof, []interview.Check, error) {
	t, err := load(ctx, s.db, id)
	if err != nil {
		return ticket.Proof{}, nil, err
	}
	if t.Device != device {
		return ticket.Proof{}, nil, problem.New(problem.CodeTicketDevice, "ticket %s names device %s, not %s", id, t.Device, device)
	}
	if t.RedeemedAt == 0 {
		return ticket.Proof{}, nil, problem.New(problem.CodeTicketInvalid, "ticket %s was not redeemed yet", id)
	}
	v, err := s.Visit(ctx, t.Visit)
	if err != nil {
		return ticket.Proof{}, nil, err
	}
	checks, err := v.Verdicts()
	return ticket.Proof{Ticket: t.Signed, Visit: v.Vouched, Evidence: v.Evidence}, checks, err
}
