package interview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
)

// DeviceRegister answers whether an agreement in force names a device, and whether
// it may be used at the premises at a time (C3, C4, C11). Refusals are
// problems (CodeDeviceNotNamed, CodeDeviceRevoked, CodePremises, CodeNoAgreement).
type DeviceRegister interface {
	Covers(ctx context.Context, device DeviceID, premises PremisesID, at time.Time) (Covered, error)
	// Places lists where somebody can be seated at a time, in one order.
	Places(ctx context.Context, at time.Time) ([]Place, error)
}

// Place is a device at premises where an agreement in force lets it be used.
type Place struct {
	Device   DeviceID   `json:"device"`
	Label    string     `json:"label"` // of the device
	Premises PremisesID `json:"premises"`
	Place    string     `json:"place"` // the premises' label
	Own      bool       `json:"own"`   // the caller's own device
}

// Covered is what a register says of a device at its premises.
type Covered struct {
	Agreement AgreementID
	Place     string    // the premises' label, for people
	Until     time.Time // end of the agreement
}

// Outbox takes audit events inside the transaction that they belong to: both
// are kept or neither. Fields hold ids and codes, never personal content.
type Outbox interface {
	Append(ctx context.Context, tx bun.IDB, event Event) error
}

// Event is something that happened, for the audit log.
type Event struct {
	Hearing HearingID // zero where it belongs to no hearing
	Type    string    // one of the types in interview/ledger
	Fields  map[string]any
}

// Types of the events of this package. interview/ledger knows their fields.
const (
	EventCaseCreated   = "case.created"
	EventHearingBooked = "hearing.booked"
	EventHearingAnchor = "hearing.anchor"
	EventPhaseChanged  = "phase.changed"
)

// Config is what a Store needs. Clock is System where it is nil.
type Config struct {
	Sealer   Sealer
	Register DeviceRegister
	Outbox   Outbox
	Clock    ClockSource
}

// Store keeps cases and hearings. It is safe for concurrent use; every change
// and its audit event are one transaction.
type Store struct {
	db  *bun.DB
	cfg Config

	mu     sync.Mutex
	clocks map[HearingID]*Clock // of hearings that this process keeps or has read
}

// NewStore makes a store on a database that internal/store opened.
func NewStore(db *bun.DB, cfg Config) *Store {
	if cfg.Clock == nil {
		cfg.Clock = System
	}
	return &Store{db: db, cfg: cfg, clocks: map[HearingID]*Clock{}}
}

type caseRow struct {
	bun.BaseModel `bun:"table:interview_case"`
	ID            CaseID `bun:"id,pk"`
	Lodged        string `bun:"lodged"`
	Language      string `bun:"language"`
	Sealed        []byte `bun:"sealed"`
	CreatedBy     string `bun:"created_by"`
	CreatedAt     int64  `bun:"created_at"`
}

type caseSecret struct {
	Diary string `json:"diary"`
}

type hearingRow struct {
	bun.BaseModel `bun:"table:hearing"`
	ID            HearingID `bun:"id,pk"`
	Case          CaseID    `bun:"case_id"`
	Language      string    `bun:"language"`
	Mode          Mode      `bun:"mode"`
	Opens         int64     `bun:"opens_at"`
	Closes        int64     `bun:"closes_at"`
	Sealed        []byte    `bun:"sealed"`
	CreatedAt     int64     `bun:"created_at"`
	OpenedAt      int64     `bun:"opened_at"`
	Phase         Phase     `bun:"phase"`
	Cause         Cause     `bun:"cause"`
	Since         Micros    `bun:"since_us"`
	PhaseSeq      int64     `bun:"phase_seq"`
	PhaseBy       string    `bun:"phase_by"`
	Version       int64     `bun:"version"`
}

type hearingSecret struct {
	Justification   string            `json:"justification"`
	Vulnerabilities []Vulnerability   `json:"vulnerabilities"`
	Names           map[string]string `json:"names"` // by participant
	Born            map[string]string `json:"born,omitempty"`
	Cards           map[string]string `json:"cards,omitempty"`
}

type participantRow struct {
	bun.BaseModel `bun:"table:participant"`
	ID            ParticipantID `bun:"id,pk"`
	Hearing       HearingID     `bun:"hearing_id"`
	Place         int64         `bun:"place"`
	Role          Role          `bun:"role"`
	Subject       string        `bun:"subject"`
}

type seatRow struct {
	bun.BaseModel `bun:"table:seat"`
	ID            SeatID        `bun:"id,pk"`
	Hearing       HearingID     `bun:"hearing_id"`
	Participant   ParticipantID `bun:"participant_id"`
	Device        DeviceID      `bun:"device_id"`
	Premises      PremisesID    `bun:"premises_id"`
	Agreement     AgreementID   `bun:"agreement_id"`
	Place         string        `bun:"place"`
}

type phaseRow struct {
	bun.BaseModel `bun:"table:hearing_phase"`
	Hearing       HearingID `bun:"hearing_id"`
	Seq           int64     `bun:"seq"`
	Phase         Phase     `bun:"phase"`
	Cause         Cause     `bun:"cause"`
	Since         Micros    `bun:"since_us"`
	By            string    `bun:"by_id"`
	Sealed        []byte    `bun:"sealed"`
}

type phaseSecret struct {
	Reason string `json:"reason"`
}

type anchorRow struct {
	bun.BaseModel `bun:"table:hearing_anchor"`
	Hearing       HearingID  `bun:"hearing_id"`
	Seq           int64      `bun:"seq"`
	Kind          AnchorKind `bun:"kind"`
	At            Micros     `bun:"at_us"`
	Wall          int64      `bun:"wall_us"`
	Mono          int64      `bun:"mono_us"`
	Epoch         int64      `bun:"epoch"`
}

func caseAAD(id CaseID) string              { return "interview_case|" + id.String() }
func hearingAAD(id HearingID) string        { return "hearing|" + id.String() }
func phaseAAD(id HearingID, n int64) string { return fmt.Sprintf("hearing_phase|%s|%d", id, n) }

// CreateCase keeps a new case. The caller's subject is noted as its maker.
func (s *Store) CreateCase(ctx context.Context, c Case, by string) (Case, error) {
	c.ID = NewCaseID()
	if err := c.check(); err != nil {
		return Case{}, err
	}
	sealed, err := SealJSON(ctx, s.cfg.Sealer, c.ID, caseAAD(c.ID), caseSecret{c.Diary})
	if err != nil {
		return Case{}, err
	}
	wall, _ := s.cfg.Clock()
	row := caseRow{ID: c.ID, Lodged: c.Lodged, Language: c.Language, Sealed: sealed, CreatedBy: by, CreatedAt: wall.UnixMilli()}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, Event{Type: EventCaseCreated, Fields: map[string]any{"case": c.ID}})
	})
	if err != nil {
		return Case{}, fmt.Errorf("create case: %w", err)
	}
	return c, nil
}

// Case returns a case, or CodeNotFound.
func (s *Store) Case(ctx context.Context, id CaseID) (Case, error) {
	row := caseRow{ID: id}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Case{}, problem.New(problem.CodeNotFound, "case %s", id)
	}
	if err != nil {
		return Case{}, fmt.Errorf("read case %s: %w", id, err)
	}
	var secret caseSecret
	if err := OpenJSON(ctx, s.cfg.Sealer, id, caseAAD(id), row.Sealed, &secret); err != nil {
		return Case{}, err
	}
	return Case{ID: id, Diary: secret.Diary, Lodged: row.Lodged, Language: row.Language}, nil
}

// Book keeps a hearing with its participants and seats, in one transaction.
// Every seat's device must be named, at its premises, by an agreement in force
// from the door's opening to its closing (C3, C4, C11).
func (s *Store) Book(ctx context.Context, b Booking) (*Hearing, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	c, err := s.Case(ctx, b.Case)
	if err != nil {
		return nil, err
	}
	h := &Hearing{
		ID: NewHearingID(), Case: c.ID, Diary: c.Diary, Language: b.Language, Mode: b.Mode,
		Justification: b.Justification, Vulnerabilities: b.Vulnerabilities,
		Opens: b.Opens.UTC().Truncate(time.Millisecond), Closes: b.Closes.UTC().Truncate(time.Millisecond), State: Opened(),
	}
	names, born, cards := map[string]string{}, map[string]string{}, map[string]string{}
	if h.Vulnerabilities == nil {
		h.Vulnerabilities = []Vulnerability{}
	}
	for _, p := range b.Participants {
		covered, err := s.covers(ctx, p, h.Opens, h.Closes)
		if err != nil {
			return nil, err
		}
		who := invited(Participant{ID: NewParticipantID(), Role: p.Role, Name: p.Name, Subject: p.Subject, Born: p.Born, Card: p.Card})
		names[who.ID.String()] = p.Name
		if p.Born != "" {
			born[who.ID.String()] = p.Born
		}
		if p.Card != "" {
			cards[who.ID.String()] = p.Card
		}
		h.Participants = append(h.Participants, who)
		h.Seats = append(h.Seats, Seat{ID: NewSeatID(), Participant: who.ID, Device: p.Device, Premises: p.Premises, Agreement: covered.Agreement, Place: covered.Place})
	}
	sealed, err := SealJSON(ctx, s.cfg.Sealer, c.ID, hearingAAD(h.ID), hearingSecret{h.Justification, h.Vulnerabilities, names, born, cards})
	if err != nil {
		return nil, err
	}
	if err := s.insert(ctx, h, sealed); err != nil {
		return nil, fmt.Errorf("book hearing: %w", err)
	}
	return h, nil
}

func (s *Store) covers(ctx context.Context, p BookingParticipant, from, to time.Time) (Covered, error) {
	covered, err := s.cfg.Register.Covers(ctx, p.Device, p.Premises, from)
	if err != nil {
		return Covered{}, err
	}
	if covered.Until.Before(to) {
		return Covered{}, problem.Refused(problem.CodeNoAgreement, "booking-agreement-lasts", "agreement %s ends before the hearing's door closes", covered.Agreement)
	}
	return covered, nil
}

func (s *Store) insert(ctx context.Context, h *Hearing, sealed []byte) error {
	wall, _ := s.cfg.Clock()
	row := hearingRow{
		ID: h.ID, Case: h.Case, Language: h.Language, Mode: h.Mode, Opens: h.Opens.UnixMilli(), Closes: h.Closes.UnixMilli(),
		Sealed: sealed, CreatedAt: wall.UnixMilli(), Phase: h.State.Phase, Cause: h.State.Cause, Version: 1,
	}
	var participants []participantRow
	var seats []seatRow
	seated := []map[string]any{}
	for i, p := range h.Participants {
		participants = append(participants, participantRow{ID: p.ID, Hearing: h.ID, Place: int64(i), Role: p.Role, Subject: p.Subject})
		t := h.Seats[i]
		seats = append(seats, seatRow{ID: t.ID, Hearing: h.ID, Participant: p.ID, Device: t.Device, Premises: t.Premises, Agreement: t.Agreement, Place: t.Place})
		seated = append(seated, map[string]any{"seat": t.ID, "participant": p.ID, "role": p.Role, "device": t.Device, "agreement": t.Agreement})
	}
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&participants).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&seats).Exec(ctx); err != nil {
			return err
		}
		return s.cfg.Outbox.Append(ctx, tx, Event{Hearing: h.ID, Type: EventHearingBooked, Fields: map[string]any{
			"case": h.Case, "mode": h.Mode, "opens": row.Opens, "closes": row.Closes, "seats": seated,
		}})
	})
}

// Hearing returns a hearing with all that belongs to it, or CodeNotFound.
func (s *Store) Hearing(ctx context.Context, id HearingID) (*Hearing, error) {
	list, err := s.load(ctx, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("id = ?", id) })
	if err != nil {
		return nil, fmt.Errorf("read hearing %s: %w", id, err)
	}
	if len(list) == 0 {
		return nil, problem.New(problem.CodeNotFound, "hearing %s", id)
	}
	return list[0], nil
}

// HearingOf returns the hearing that a participant belongs to, or CodeNotFound.
func (s *Store) HearingOf(ctx context.Context, id ParticipantID) (*Hearing, error) {
	row := participantRow{ID: id}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, problem.New(problem.CodeNotFound, "participant %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read participant %s: %w", id, err)
	}
	return s.Hearing(ctx, row.Hearing)
}

// MaxListed bounds a list of hearings.
const MaxListed = 200

// HearingsOf lists the hearings whose door opens between from and to and where
// the person has a part in the role, at most MaxListed of them.
func (s *Store) HearingsOf(ctx context.Context, subject string, role Role, from, to time.Time) ([]*Hearing, error) {
	part := s.db.NewSelect().Model((*participantRow)(nil)).Column("hearing_id").Where("subject = ?", subject).Where("role = ?", role)
	return s.load(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("opens_at >= ?", from.UnixMilli()).Where("opens_at < ?", to.UnixMilli()).Where("id IN (?)", part)
	})
}

// HearingsAt lists the hearings that have a seat on the device and whose door's
// window touches the time between from and to, at most MaxListed of them.
func (s *Store) HearingsAt(ctx context.Context, device DeviceID, from, to time.Time) ([]*Hearing, error) {
	at := s.db.NewSelect().Model((*seatRow)(nil)).Column("hearing_id").Where("device_id = ?", device)
	return s.load(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("opens_at < ?", to.UnixMilli()).Where("closes_at >= ?", from.UnixMilli()).Where("id IN (?)", at)
	})
}

func (s *Store) load(ctx context.Context, which func(*bun.SelectQuery) *bun.SelectQuery) ([]*Hearing, error) {
	var rows []hearingRow
	if err := which(s.db.NewSelect().Model(&rows)).Order("opens_at", "id").Limit(MaxListed).Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]*Hearing, len(rows))
	for i, row := range rows {
		h, err := s.assemble(ctx, row)
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}

func (s *Store) assemble(ctx context.Context, row hearingRow) (*Hearing, error) {
	c, err := s.Case(ctx, row.Case)
	var secret hearingSecret
	if err == nil {
		err = OpenJSON(ctx, s.cfg.Sealer, row.Case, hearingAAD(row.ID), row.Sealed, &secret)
	}
	var state State
	if err == nil {
		state, err = s.state(ctx, s.db, row)
	}
	erased := errors.Is(err, problem.New(problem.CodeErased, ""))
	if erased { // what stands in clear remains: that there was a hearing, and when
		state = State{Phase: row.Phase, Cause: row.Cause, Since: row.Since, Seq: row.PhaseSeq}
	} else if err != nil {
		return nil, err
	}
	h := &Hearing{
		ID: row.ID, Case: row.Case, Diary: c.Diary, Language: row.Language, Mode: row.Mode,
		Justification: secret.Justification, Vulnerabilities: secret.Vulnerabilities,
		Opens: time.UnixMilli(row.Opens).UTC(), Closes: time.UnixMilli(row.Closes).UTC(), State: state, Erased: erased,
	}
	if row.OpenedAt != 0 {
		h.OpenedAt = time.UnixMicro(row.OpenedAt).UTC()
	}
	var participants []participantRow
	if err := s.db.NewSelect().Model(&participants).Where("hearing_id = ?", row.ID).Order("place").Scan(ctx); err != nil {
		return nil, err
	}
	var seats []seatRow
	if err := s.db.NewSelect().Model(&seats).Where("hearing_id = ?", row.ID).Order("id").Scan(ctx); err != nil {
		return nil, err
	}
	for _, p := range participants {
		h.Participants = append(h.Participants, invited(Participant{ID: p.ID, Role: p.Role, Name: secret.Names[p.ID.String()], Subject: p.Subject, Born: secret.Born[p.ID.String()], Card: secret.Cards[p.ID.String()]}))
	}
	for _, t := range seats {
		h.Seats = append(h.Seats, Seat{ID: t.ID, Participant: t.Participant, Device: t.Device, Premises: t.Premises, Agreement: t.Agreement, Place: t.Place})
	}
	return h, nil
}

// state reads the phase that a hearing is in, with its words.
func (s *Store) state(ctx context.Context, db bun.IDB, row hearingRow) (State, error) {
	state := State{Phase: row.Phase, Cause: row.Cause, Since: row.Since, Seq: row.PhaseSeq}
	if row.PhaseSeq == 0 {
		return state, nil // booked, not opened
	}
	if err := state.By.UnmarshalText([]byte(row.PhaseBy)); err != nil {
		return State{}, err
	}
	var kept phaseRow
	if err := db.NewSelect().Model(&kept).Where("hearing_id = ?", row.ID).Where("seq = ?", row.PhaseSeq).Scan(ctx); err != nil {
		return State{}, err
	}
	var secret phaseSecret
	if err := OpenJSON(ctx, s.cfg.Sealer, row.Case, phaseAAD(row.ID, row.PhaseSeq), kept.Sealed, &secret); err != nil {
		return State{}, err
	}
	state.Reason = secret.Reason
	return state, nil
}

func (s *Store) row(ctx context.Context, db bun.IDB, id HearingID) (hearingRow, error) {
	row := hearingRow{ID: id}
	err := db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, problem.New(problem.CodeNotFound, "hearing %s", id)
	}
	return row, err
}

// Phases returns every phase that a hearing went through.
func (s *Store) Phases(ctx context.Context, id HearingID) ([]State, error) {
	row, err := s.row(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	var rows []phaseRow
	if err := s.db.NewSelect().Model(&rows).Where("hearing_id = ?", id).Order("seq").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]State, len(rows))
	for i, r := range rows {
		var secret phaseSecret
		if err := OpenJSON(ctx, s.cfg.Sealer, row.Case, phaseAAD(id, r.Seq), r.Sealed, &secret); err != nil {
			return nil, err
		}
		out[i] = State{Phase: r.Phase, Cause: r.Cause, Since: r.Since, Reason: secret.Reason, Seq: r.Seq}
		if err := out[i].By.UnmarshalText([]byte(r.By)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Anchors returns every anchor of a hearing's clock.
func (s *Store) Anchors(ctx context.Context, id HearingID) ([]Anchor, error) {
	return anchors(ctx, s.db, id)
}

func anchors(ctx context.Context, db bun.IDB, id HearingID) ([]Anchor, error) {
	var rows []anchorRow
	if err := db.NewSelect().Model(&rows).Where("hearing_id = ?", id).Order("seq").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]Anchor, len(rows))
	for i, r := range rows {
		out[i] = Anchor{Kind: r.Kind, At: r.At, Wall: r.Wall, Mono: r.Mono, Epoch: r.Epoch}
	}
	return out, nil
}

// OpenRoom gives the hearing clock to whoever keeps the room under a lease
// epoch. The first time it opens the hearing: its clock starts at zero and its
// first phase is waiting. Later, a keeper with the same or a higher epoch takes
// the clock over; a lower epoch is refused with CodeConflict.
func (s *Store) OpenRoom(ctx context.Context, id HearingID, epoch int64) (*Clock, error) {
	reason, err := s.reasonFor(ctx, id, 1, "")
	if err != nil {
		return nil, err
	}
	var clock *Clock
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.row(ctx, tx, id)
		if err != nil {
			return err
		}
		if row.Phase == PhaseEnded {
			return problem.New(problem.CodeTooLate, "hearing %s has ended", id)
		}
		kept, err := anchors(ctx, tx, id)
		if err != nil {
			return err
		}
		var anchor Anchor
		if len(kept) == 0 {
			clock, anchor = start(s.cfg.Clock, AnchorOpening, 0, epoch)
			err = s.open(ctx, tx, row, anchor, reason)
		} else {
			last := kept[len(kept)-1]
			if epoch < last.Epoch {
				return problem.New(problem.CodeConflict, "hearing %s is kept under lease epoch %d: epoch %d is over", id, last.Epoch, epoch)
			}
			clock, anchor = takeover(s.cfg.Clock, kept[0], max(last.At, row.Since), epoch)
		}
		if err != nil {
			return err
		}
		return s.keepAnchor(ctx, tx, id, int64(len(kept))+1, anchor)
	})
	if err != nil {
		return nil, fmt.Errorf("open room of %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clocks[id] = clock
	return clock, nil
}

func (s *Store) open(ctx context.Context, tx bun.Tx, row hearingRow, anchor Anchor, reason []byte) error {
	row.OpenedAt = anchor.Wall
	return s.keepState(ctx, tx, row, Opened(), reason)
}

// keepState moves a hearing's row on and adds the phase and its event.
func (s *Store) keepState(ctx context.Context, tx bun.Tx, row hearingRow, to State, reason []byte) error {
	version := row.Version
	row.Phase, row.Cause, row.Since, row.PhaseSeq, row.PhaseBy = to.Phase, to.Cause, to.Since, to.Seq, to.By.String()
	err := store.CompareAndSet(ctx, tx.NewUpdate().Model(&row).
		Column("opened_at", "phase", "cause", "since_us", "phase_seq", "phase_by").WherePK(), version)
	if err != nil {
		return err
	}
	kept := phaseRow{Hearing: row.ID, Seq: to.Seq, Phase: to.Phase, Cause: to.Cause, Since: to.Since, By: to.By.String(), Sealed: reason}
	if _, err := tx.NewInsert().Model(&kept).Exec(ctx); err != nil {
		return err
	}
	return s.cfg.Outbox.Append(ctx, tx, Event{Hearing: row.ID, Type: EventPhaseChanged, Fields: map[string]any{
		"seq": to.Seq, "phase": to.Phase, "cause": to.Cause, "at": to.Since, "by": to.By,
	}})
}

func (s *Store) keepAnchor(ctx context.Context, tx bun.Tx, id HearingID, seq int64, a Anchor) error {
	row := anchorRow{Hearing: id, Seq: seq, Kind: a.Kind, At: a.At, Wall: a.Wall, Mono: a.Mono, Epoch: a.Epoch}
	if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
		return err
	}
	return s.cfg.Outbox.Append(ctx, tx, Event{Hearing: id, Type: EventHearingAnchor, Fields: map[string]any{
		"kind": a.Kind, "at": a.At, "wall": a.Wall, "mono": a.Mono, "epoch": a.Epoch,
	}})
}

// reasonFor seals a phase's words before a transaction begins.
func (s *Store) reasonFor(ctx context.Context, id HearingID, seq int64, reason string) ([]byte, error) {
	row, err := s.row(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	return SealJSON(ctx, s.cfg.Sealer, row.Case, phaseAAD(id, seq), phaseSecret{reason})
}

// LogAnchor logs the clock of a hearing at an occasion (a recorder's start).
// The keeper must still hold the newest epoch.
func (s *Store) LogAnchor(ctx context.Context, id HearingID, clock *Clock, kind AnchorKind) (Anchor, error) {
	anchor := clock.anchor(kind)
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		return s.addAnchor(ctx, tx, id, anchor)
	})
	return anchor, err
}

func (s *Store) addAnchor(ctx context.Context, tx bun.Tx, id HearingID, anchor Anchor) error {
	count, err := fence(ctx, tx, id, anchor.Epoch)
	if err != nil {
		return err
	}
	return s.keepAnchor(ctx, tx, id, count+1, anchor)
}

// fence refuses whoever keeps a clock under an epoch that is over. It returns
// how many anchors there are.
func fence(ctx context.Context, tx bun.Tx, id HearingID, epoch int64) (int64, error) {
	kept, err := anchors(ctx, tx, id)
	if err != nil {
		return 0, err
	}
	if len(kept) == 0 || kept[len(kept)-1].Epoch != epoch {
		return 0, problem.New(problem.CodeConflict, "the clock of hearing %s is not kept under lease epoch %d", id, epoch)
	}
	return int64(len(kept)), nil
}

// Clock returns the hearing clock as this process keeps it or can read it, or
// CodeNotReady while the hearing has not been opened.
func (s *Store) Clock(ctx context.Context, id HearingID) (*Clock, error) {
	s.mu.Lock()
	clock := s.clocks[id]
	s.mu.Unlock()
	if clock != nil {
		return clock, nil
	}
	kept, err := s.Anchors(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read clock of %s: %w", id, err)
	}
	if len(kept) == 0 {
		return nil, problem.New(problem.CodeNotReady, "hearing %s has not been opened", id)
	}
	last := kept[len(kept)-1]
	clock, _ = takeover(s.cfg.Clock, kept[0], last.At, last.Epoch)
	return clock, nil
}

// Span is how far a hearing's clock goes: to now, or to its end.
func (s *Store) Span(ctx context.Context, id HearingID) (Micros, error) {
	row, err := s.row(ctx, s.db, id)
	if err != nil {
		return 0, err
	}
	if row.Phase == PhaseEnded {
		return row.Since, nil
	}
	clock, err := s.Clock(ctx, id)
	if err != nil {
		return 0, err
	}
	return clock.Now(), nil
}

// Transition asks for another phase. The time is the hearing clock's now,
// whatever ask says; the change, its words and its audit event are one
// transaction, and going on record logs an anchor in it. Problems are those of
// State.Next, and CodeConflict where somebody else changed the phase first.
func (s *Store) Transition(ctx context.Context, id HearingID, ask Ask, c Conditions) (State, error) {
	if len(ask.Reason) > MaxTextBytes {
		return State{}, problem.New(problem.CodeTooLarge, "reason of %d bytes, at most %d", len(ask.Reason), MaxTextBytes)
	}
	clock, err := s.Clock(ctx, id)
	if err != nil {
		return State{}, err
	}
	before, err := s.row(ctx, s.db, id)
	if err != nil {
		return State{}, err
	}
	state, err := s.state(ctx, s.db, before)
	if err != nil {
		return State{}, err
	}
	ask.At = clock.Now()
	next, err := state.Next(ask, c)
	if err != nil {
		return State{}, err
	}
	reason, err := s.reasonFor(ctx, id, next.Seq, next.Reason)
	if err != nil {
		return State{}, err
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := fence(ctx, tx, id, clock.epoch); err != nil {
			return err
		}
		if err := s.keepState(ctx, tx, before, next, reason); err != nil {
			return err
		}
		if next.Phase == PhaseOnRecord {
			return s.addAnchor(ctx, tx, id, clock.anchor(AnchorResume))
		}
		return nil
	})
	if errors.Is(err, store.ErrConflict) {
		return State{}, problem.New(problem.CodeConflict, "phase of %s: %w", id, err)
	}
	if err != nil {
		return State{}, fmt.Errorf("phase of %s: %w", id, err)
	}
	if next.Phase == PhaseEnded {
		s.mu.Lock()
		delete(s.clocks, id)
		s.mu.Unlock()
	}
	return next, nil
}

// CaseOf returns the case that a hearing belongs to.
func (s *Store) CaseOf(ctx context.Context, id HearingID) (CaseID, error) {
	row, err := s.row(ctx, s.db, id)
	return row.Case, err
}
