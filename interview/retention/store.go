package retention

import (
	"context"
	"crypto"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/id"
	"kuule/internal/keyring"
	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
)

// Types of the events of this package. interview/ledger knows their fields.
const (
	EventMoved    = "retention.moved"
	EventHold     = "retention.hold"
	EventExtended = "retention.extended"
	EventMarked   = "retention.marked"
	EventNote     = "retention.note"
	EventOrdered  = "erasure.ordered"
	EventDone     = "erasure.done"
)

// Bounds of what a case can have.
const (
	maxRows   = 500
	maxNote   = 8 << 10 // bytes of a note's words
	maxMatter = 64
	maxList   = 1000 // cases in one look
)

// Grounds on which a hold is laid.
var Grounds = []string{"appeal", "subsequent-application", "complaint", "crime-report", "archive-transfer"}

// Store keeps what moves the clocks of cases. It decides nothing: Keep does. It
// is safe for concurrent use; every change and its audit event are one
// transaction.
type Store struct {
	db     *bun.DB
	rules  Rules
	sealer interview.Sealer
	ring   keyring.Keyring // keys of notes
	outbox interview.Outbox
	key    crypto.PublicKey // seals tombstones
	now    func() time.Time
}

// NewStore makes a store. key is authority's sealing key's public half.
func NewStore(db *bun.DB, rules Rules, sealer interview.Sealer, ring keyring.Keyring, outbox interview.Outbox, key crypto.PublicKey, now func() time.Time) *Store {
	return &Store{db: db, rules: rules, sealer: sealer, ring: ring, outbox: outbox, key: key, now: now}
}

// Rules are those that the store decides by.
func (s *Store) Rules() Rules { return s.rules }

type (
	rowKind struct{}
	rowID   = id.ID[rowKind]

	eventRow struct {
		bun.BaseModel `bun:"table:retention_event"`
		ID            rowID            `bun:"id,pk"`
		Case          interview.CaseID `bun:"case_id"`
		Kind          EventKind        `bun:"kind"`
		Matter        string           `bun:"matter"`
		On            string           `bun:"on_date"`
		By            string           `bun:"by_id"`
		CreatedAt     int64            `bun:"created_at"`
	}
	markRow struct {
		bun.BaseModel `bun:"table:secrecy_mark"`
		ID            rowID               `bun:"id,pk"`
		Hearing       interview.HearingID `bun:"hearing_id"`
		Mark          string              `bun:"mark"`
		By            string              `bun:"by_id"`
		CreatedAt     int64               `bun:"created_at"`
	}
	tombstoneRow struct {
		bun.BaseModel `bun:"table:tombstone"`
		Subject       string       `bun:"subject,pk"`
		Kind          keyring.Kind `bun:"kind,pk"`
		Message       string       `bun:"message"`
		ErasedAt      int64        `bun:"erased_at"`
	}
)

func (rowKind) Prefix() string { return "ret" }

// Hold is a legal hold on a case (L2).
type Hold struct {
	bun.BaseModel `bun:"table:retention_hold"`
	ID            string           `bun:"id,pk" json:"hold"`
	Case          interview.CaseID `bun:"case_id" json:"case"`
	Ground        string           `bun:"ground" json:"ground"`
	PlacedBy      string           `bun:"placed_by" json:"placed_by"`
	PlacedAt      int64            `bun:"placed_at" json:"placed_at"` // milliseconds
	LiftedBy      string           `bun:"lifted_by" json:"lifted_by,omitempty"`
	LiftedAt      int64            `bun:"lifted_at" json:"lifted_at,omitempty"`
	Version       int64            `bun:"version" json:"version"`
}

// Extension is a longer period of a case (L5).
type Extension struct {
	bun.BaseModel `bun:"table:retention_extension"`
	ID            string           `bun:"id,pk" json:"extension"`
	Case          interview.CaseID `bun:"case_id" json:"case"`
	Until         string           `bun:"until_date" json:"until"` // YYYY-MM-DD
	AskedBy       string           `bun:"asked_by" json:"asked_by"`
	AskedAt       int64            `bun:"asked_at" json:"asked_at"`
	ApprovedBy    string           `bun:"approved_by" json:"approved_by,omitempty"`
	ApprovedAt    int64            `bun:"approved_at" json:"approved_at,omitempty"`
	Version       int64            `bun:"version" json:"version"`
}

// Ordered is an order of erasure that waits.
type Ordered struct {
	bun.BaseModel `bun:"table:erasure_order"`
	ID            string              `bun:"id,pk" json:"erasure"`
	Case          interview.CaseID    `bun:"case_id" json:"case"`
	Hearing       interview.HearingID `bun:"hearing_id" json:"hearing"`
	Message       string              `bun:"message" json:"-"`
	Sealed        []byte              `bun:"sealed" json:"-"`
	AskedBy       string              `bun:"asked_by" json:"asked_by"`
	AskedAt       int64               `bun:"asked_at" json:"asked_at"`
	Expires       int64               `bun:"expires" json:"expires"` // Unix seconds
	Purpose       string              `bun:"-" json:"purpose"`
}

// Note is something said about a person that may have to go alone (L3).
type Note struct {
	bun.BaseModel `bun:"table:retention_note"`
	ID            interview.NoteID    `bun:"id,pk" json:"note"`
	Case          interview.CaseID    `bun:"case_id" json:"case"`
	Hearing       interview.HearingID `bun:"hearing_id" json:"hearing"`
	Class         Class               `bun:"class" json:"class"`
	Sealed        string              `bun:"sealed" json:"-"`
	By            string              `bun:"by_id" json:"by"`
	NotedOn       string              `bun:"noted_on" json:"noted_on"`
	Needless      string              `bun:"needless" json:"needless,omitempty"`
	Version       int64               `bun:"version" json:"version"`
	Words         NoteWords           `bun:"-" json:"words,omitzero"`
	Keeping       Keeping             `bun:"-" json:"keeping"`
}

// NoteWords is what a note says. An observation names its source and how far
// that can be relied on (615/2020 7 §).
type NoteWords struct {
	Text        string `json:"text"`
	Source      string `json:"source,omitempty"`
	Reliability string `json:"reliability,omitempty"`
}

// told is the hearing under which the log tells of a note. An observation grounds
// no decision: that there is one stands in the log under its own id alone, so
// that it is in no bundle of the hearing and keeps no case longer (row K10).
func (n Note) told() interview.HearingID {
	if n.Class == ClassObservation {
		return interview.HearingID{}
	}
	return n.Hearing
}

func (s *Store) insert(ctx context.Context, row any, event interview.Event) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return s.outbox.Append(ctx, tx, event)
	})
}

func (s *Store) update(ctx context.Context, query func(bun.Tx) *bun.UpdateQuery, version int64, event interview.Event) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := store.CompareAndSet(ctx, query(tx), version); err != nil {
			return err
		}
		return s.outbox.Append(ctx, tx, event)
	})
}

// Move enters something that moves a case's clocks (L1).
func (s *Store) Move(ctx context.Context, h *interview.Hearing, kind EventKind, matter, on, by string) error {
	if !slices.Contains([]EventKind{EventMatterOpened, EventMatterClosed, EventResidenceEnded, EventEntry}, kind) {
		return problem.New(problem.CodeMalformed, "event %q is not known", kind)
	}
	at, err := time.Parse(time.DateOnly, on)
	if err != nil || len(matter) > maxMatter {
		return problem.New(problem.CodeMalformed, "give the day as YYYY-MM-DD, and a matter of at most %d bytes", maxMatter)
	}
	if at.After(s.now()) {
		return problem.New(problem.CodeMalformed, "what has not happened moves no clock")
	}
	// Beyond the bound an event would not be read, and the newest would not count.
	if n, err := s.db.NewSelect().Model((*eventRow)(nil)).Where("case_id = ?", h.Case).Count(ctx); err != nil {
		return err
	} else if n >= maxRows {
		return problem.New(problem.CodeTooLarge, "a case has at most %d such events", maxRows)
	}
	row := eventRow{ID: id.New[rowKind](), Case: h.Case, Kind: kind, Matter: matter, On: on, By: by, CreatedAt: s.now().UnixMilli()}
	return s.insert(ctx, &row, interview.Event{Hearing: h.ID, Type: EventMoved, Fields: map[string]any{"case": h.Case, "kind": kind, "on": on, "by": by}})
}

// Place lays a hold on a case. inForce runs before it is written: authority
// knows first.
func (s *Store) Place(ctx context.Context, h *interview.Hearing, ground, by string, inForce func(Hold) error) (Hold, error) {
	if !slices.Contains(Grounds, ground) {
		return Hold{}, problem.New(problem.CodeMalformed, "a hold's ground is one of %s", strings.Join(Grounds, ", "))
	}
	row := Hold{ID: id.New[rowKind]().String(), Case: h.Case, Ground: ground, PlacedBy: by, PlacedAt: s.now().UnixMilli(), Version: 1}
	if err := inForce(row); err != nil {
		return Hold{}, err
	}
	return row, s.insert(ctx, &row, interview.Event{Hearing: h.ID, Type: EventHold, Fields: map[string]any{"case": h.Case, "hold": row.ID, "ground": ground, "by": by, "on": true}})
}

// HoldOf gives a hold, or CodeNotFound.
func (s *Store) HoldOf(ctx context.Context, hold string) (Hold, error) {
	var row Hold
	err := s.db.NewSelect().Model(&row).Where("id = ?", hold).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Hold{}, problem.New(problem.CodeNotFound, "hold %s", hold)
	}
	return row, err
}

// Lift ends a hold: not by whoever laid it (four eyes).
func (s *Store) Lift(ctx context.Context, hold Hold, by string) error {
	switch {
	case hold.LiftedAt != 0:
		return problem.New(problem.CodeConflict, "hold %s was lifted before", hold.ID)
	case hold.PlacedBy == by:
		return problem.Refused(problem.CodeForbidden, "retention-second-person", "a hold is lifted by another person than laid it")
	}
	version := hold.Version
	hold.LiftedBy, hold.LiftedAt = by, s.now().UnixMilli()
	return s.update(ctx, func(tx bun.Tx) *bun.UpdateQuery {
		return tx.NewUpdate().Model(&hold).Column("lifted_by", "lifted_at").WherePK()
	}, version, interview.Event{Type: EventHold, Fields: map[string]any{"case": hold.Case, "hold": hold.ID, "ground": hold.Ground, "by": by, "on": false}})
}

// Extend asks for a longer period; it counts once another person approves.
func (s *Store) Extend(ctx context.Context, h *interview.Hearing, until, by string) (Extension, error) {
	at, err := time.Parse(time.DateOnly, until)
	if err != nil || !at.After(s.now()) {
		return Extension{}, problem.New(problem.CodeMalformed, "give a day to come as YYYY-MM-DD")
	}
	f, err := s.Facts(ctx, h.Case)
	if err != nil {
		return Extension{}, err
	}
	if at.Before(f.Extended) {
		return Extension{}, problem.Refused(problem.CodeKept, "retention-extended", "a period is extended, never shortened: it runs to %s", f.Extended.Format(time.DateOnly))
	}
	row := Extension{ID: id.New[rowKind]().String(), Case: h.Case, Until: until, AskedBy: by, AskedAt: s.now().UnixMilli(), Version: 1}
	return row, s.insert(ctx, &row, interview.Event{Hearing: h.ID, Type: EventExtended, Fields: map[string]any{"case": h.Case, "extension": row.ID, "until": until, "by": by, "approved": false}})
}

// ExtensionOf gives an extension, or CodeNotFound.
func (s *Store) ExtensionOf(ctx context.Context, extension string) (Extension, error) {
	var row Extension
	err := s.db.NewSelect().Model(&row).Where("id = ?", extension).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Extension{}, problem.New(problem.CodeNotFound, "extension %s", extension)
	}
	return row, err
}

// Approve puts an extension into force. inForce runs before it is written.
func (s *Store) Approve(ctx context.Context, e Extension, by string, inForce func(time.Time) error) error {
	switch {
	case e.ApprovedAt != 0:
		return problem.New(problem.CodeConflict, "extension %s was approved before", e.ID)
	case e.AskedBy == by:
		return problem.Refused(problem.CodeForbidden, "retention-second-person", "nobody approves the own request")
	}
	until, err := time.Parse(time.DateOnly, e.Until)
	if err != nil {
		return err
	}
	if err := inForce(until); err != nil {
		return err
	}
	version := e.Version
	e.ApprovedBy, e.ApprovedAt = by, s.now().UnixMilli()
	return s.update(ctx, func(tx bun.Tx) *bun.UpdateQuery {
		return tx.NewUpdate().Model(&e).Column("approved_by", "approved_at").WherePK()
	}, version, interview.Event{Type: EventExtended, Fields: map[string]any{"case": e.Case, "extension": e.ID, "until": e.Until, "by": by, "approved": true}})
}

// Mark marks a hearing's records (L6).
func (s *Store) Mark(ctx context.Context, h *interview.Hearing, m Mark, by string) error {
	if err := m.Check(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	row := markRow{ID: id.New[rowKind](), Hearing: h.ID, Mark: string(text), By: by, CreatedAt: s.now().UnixMilli()}
	return s.insert(ctx, &row, interview.Event{Hearing: h.ID, Type: EventMarked, Fields: map[string]any{"grounds": m.Grounds, "class": m.Class, "by": by}})
}

// MarkOf gives a hearing's mark: the ordinary one until somebody sets another.
func (s *Store) MarkOf(ctx context.Context, h interview.HearingID) (Mark, error) {
	var row markRow
	err := s.db.NewSelect().Model(&row).Where("hearing_id = ?", h).Order("created_at DESC", "id DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Ordinary(), nil
	}
	var m Mark
	if err == nil {
		err = json.Unmarshal([]byte(row.Mark), &m)
	}
	return m, err
}

// noteContext binds a note's words to their place.
const noteContext = "note"

// Note keeps a note, sealed under a key of its own.
func (s *Store) Note(ctx context.Context, h *interview.Hearing, class Class, words NoteWords, by string) (Note, error) {
	switch {
	case class != ClassSpecial && class != ClassObservation:
		return Note{}, problem.New(problem.CodeMalformed, "a note is %s or %s", ClassSpecial, ClassObservation)
	case strings.TrimSpace(words.Text) == "" || len(words.Text)+len(words.Source)+len(words.Reliability) > maxNote:
		return Note{}, problem.New(problem.CodeMalformed, "a note needs words, at most %d bytes", maxNote)
	case class == ClassObservation && (strings.TrimSpace(words.Source) == "" || strings.TrimSpace(words.Reliability) == ""):
		return Note{}, problem.Refused(problem.CodeMalformed, "observation-source", "an observation needs its source and how far it can be relied on (615/2020 7 §)")
	}
	n := Note{ID: interview.NewNoteID(), Case: h.Case, Hearing: h.ID, Class: class, By: by, NotedOn: s.now().UTC().Format(time.DateOnly), Version: 1, Words: words}
	text, err := json.Marshal(words)
	if err != nil {
		return Note{}, err
	}
	key := keyring.Key{Case: n.ID.String(), Kind: keyring.Special}
	if err := s.ring.Create(ctx, key); err != nil {
		return Note{}, err
	}
	if n.Sealed, err = s.ring.Wrap(ctx, key, noteContext, text); err != nil {
		return Note{}, err
	}
	n.Keeping = s.keepNote(n, nil, false)
	return n, s.insert(ctx, &n, interview.Event{Hearing: n.told(), Type: EventNote, Fields: map[string]any{"note": n.ID, "class": class, "by": by, "needless": false}})
}

// keepNote decides how a note is kept; ended says that its case was erased.
func (s *Store) keepNote(n Note, erased map[keyring.Kind]time.Time, ended bool) Keeping {
	f := Facts{Erased: erased}
	for kind, on := range map[EventKind]string{EventNoted: n.NotedOn, EventNeedless: n.Needless} {
		if at, err := time.Parse(time.DateOnly, on); err == nil {
			f.Events = append(f.Events, Event{Kind: kind, On: at})
		}
	}
	k := s.rules.Keep(n.Class, f, s.now())
	if (n.Needless != "" || ended) && k.State != StateErased { // whatever its class: nobody needs it
		k.State = StateDue
	}
	return k
}

// Notes lists the notes of a hearing; those that were erased have no words.
func (s *Store) Notes(ctx context.Context, h interview.HearingID) ([]Note, error) {
	var rows []Note
	if err := s.db.NewSelect().Model(&rows).Where("hearing_id = ?", h).Order("id").Limit(maxRows).Scan(ctx); err != nil {
		return nil, err
	}
	for i := range rows {
		erased, err := s.erased(ctx, rows[i].ID.String())
		if err != nil {
			return nil, err
		}
		ended, err := s.ended(ctx, rows[i].Case)
		if err != nil {
			return nil, err
		}
		rows[i].Keeping = s.keepNote(rows[i], erased, ended)
		if len(erased) > 0 {
			continue
		}
		secret, err := s.ring.Unwrap(ctx, keyring.Key{Case: rows[i].ID.String(), Kind: keyring.Special}, noteContext, rows[i].Sealed)
		if errors.Is(err, keyring.ErrDestroyed) {
			rows[i].Keeping.State = StateErased
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(secret.Bytes(), &rows[i].Words); err != nil {
			return nil, fmt.Errorf("note %s cannot be read: %w", rows[i].ID, err)
		}
	}
	return rows, nil
}

// NoteOf gives a note without its words, or CodeNotFound.
func (s *Store) NoteOf(ctx context.Context, note interview.NoteID) (Note, error) {
	n := Note{ID: note}
	err := s.db.NewSelect().Model(&n).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Note{}, problem.New(problem.CodeNotFound, "note %s", note)
	}
	return n, err
}

// Needless says that nobody needs a note any more: it is erased at once (L3).
func (s *Store) Needless(ctx context.Context, n Note, by string) error {
	if n.Needless != "" {
		return nil
	}
	version := n.Version
	n.Needless = s.now().UTC().Format(time.DateOnly)
	return s.update(ctx, func(tx bun.Tx) *bun.UpdateQuery {
		return tx.NewUpdate().Model(&n).Column("needless").WherePK()
	}, version, interview.Event{Hearing: n.told(), Type: EventNote, Fields: map[string]any{"note": n.ID, "class": n.Class, "by": by, "needless": true}})
}

// NotesDue lists notes whose time has come and whose key still stands: among
// them all of a case that was erased, since none outlives its case.
func (s *Store) NotesDue(ctx context.Context) (out []Note, err error) {
	gone := s.db.NewSelect().Model((*tombstoneRow)(nil)).Column("subject")
	cases := s.db.NewSelect().Model((*tombstoneRow)(nil)).Column("subject").Where("kind = ?", keyring.Records)
	latest := s.now().UTC().Format(time.DateOnly)
	var rows []Note
	err = s.db.NewSelect().Model(&rows).Where("id NOT IN (?)", gone).Where("needless != '' OR class = ? OR case_id IN (?)", ClassObservation, cases).Where("noted_on <= ?", latest).Order("id").Limit(maxList).Scan(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range rows {
		ended, err := s.ended(ctx, n.Case)
		if err != nil {
			return nil, err
		}
		if n.Keeping = s.keepNote(n, nil, ended); n.Keeping.State == StateDue {
			out = append(out, n)
		}
	}
	return out, nil
}

// erased lists the keys of a case or note that were destroyed.
func (s *Store) erased(ctx context.Context, subject string) (map[keyring.Kind]time.Time, error) {
	var rows []tombstoneRow
	if err := s.db.NewSelect().Model(&rows).Where("subject = ?", subject).Scan(ctx); err != nil {
		return nil, err
	}
	out := map[keyring.Kind]time.Time{}
	for _, r := range rows {
		out[r.Kind] = time.Unix(r.ErasedAt, 0).UTC()
	}
	return out, nil
}

// ended reports whether a case's records were erased.
func (s *Store) ended(ctx context.Context, c interview.CaseID) (bool, error) {
	erased, err := s.erased(ctx, c.String())
	_, gone := erased[keyring.Records]
	return gone, err
}

// viewingEvents enter nothing into a case: looking at it keeps it no longer.
var viewingEvents = []string{"recording.viewed", "recording.span", "recording.exported", "recording.released", "recording.medium", "recording.handed", "backup.granted", "backup.released", "backup.gone", "viewing.asked", "viewing.decided", EventMoved, EventHold, EventExtended, EventOrdered, EventDone, "erasure.files", EventMarked}

// Facts gathers what is known of a case.
func (s *Store) Facts(ctx context.Context, c interview.CaseID) (Facts, error) {
	f := Facts{}
	var err error
	if f.Erased, err = s.erased(ctx, c.String()); err != nil {
		return Facts{}, err
	}
	var rows []eventRow
	if err := s.db.NewSelect().Model(&rows).Where("case_id = ?", c).Order("on_date", "id").Limit(maxRows).Scan(ctx); err != nil {
		return Facts{}, err
	}
	for _, r := range rows {
		at, err := time.Parse(time.DateOnly, r.On)
		if err != nil {
			return Facts{}, fmt.Errorf("retention event %s has no day: %w", r.ID, err)
		}
		f.Events = append(f.Events, Event{Kind: r.Kind, Matter: r.Matter, On: at})
	}
	var last sql.NullInt64
	err = s.db.NewSelect().Table("audit_outbox").ColumnExpr("max(created_at)").
		Where("hearing_id IN (SELECT id FROM hearing WHERE case_id = ?)", c).Where("type NOT IN (?)", bun.List(viewingEvents)).Scan(ctx, &last)
	if err != nil {
		return Facts{}, err
	}
	if last.Valid {
		f.Events = append(f.Events, Event{Kind: EventEntry, On: time.UnixMilli(last.Int64).UTC()})
	}
	if f.Holds, err = s.db.NewSelect().Model((*Hold)(nil)).Where("case_id = ?", c).Where("lifted_at = 0").Count(ctx); err != nil {
		return Facts{}, err
	}
	var extensions []Extension
	if err := s.db.NewSelect().Model(&extensions).Where("case_id = ?", c).Where("approved_at != 0").Limit(maxRows).Scan(ctx); err != nil {
		return Facts{}, err
	}
	for _, e := range extensions {
		if at, err := time.Parse(time.DateOnly, e.Until); err == nil {
			f.Extended = later(f.Extended, at)
		}
	}
	return f, nil
}

// View is how a case is kept, as its interviewer sees it.
type View struct {
	Case       interview.CaseID `json:"case"`
	Classes    []Keeping        `json:"classes"`
	Holds      []Hold           `json:"holds"`
	Extensions []Extension      `json:"extensions"`
	Mark       Mark             `json:"mark"`
	Marked     string           `json:"marked"` // as it stands on documents
	Tombstones []string         `json:"tombstones"`
	Notes      NotesKept        `json:"notes"`
}

// NotesKept counts the notes of a hearing that are kept.
type NotesKept struct {
	Special     int       `json:"special"`
	Observation int       `json:"observation"`
	Until       time.Time `json:"until,omitzero"` // when the last observation ends
}

// View gathers how a hearing's case is kept.
func (s *Store) View(ctx context.Context, c interview.CaseID, h interview.HearingID) (View, error) {
	f, err := s.Facts(ctx, c)
	if err != nil {
		return View{}, err
	}
	out := View{Case: c, Classes: []Keeping{}, Holds: []Hold{}, Extensions: []Extension{}, Tombstones: []string{}}
	for _, rule := range s.rules.Classes {
		if rule.Key != keyring.Special {
			out.Classes = append(out.Classes, s.rules.Keep(rule.Class, f, s.now()))
		}
	}
	if err := s.db.NewSelect().Model(&out.Holds).Where("case_id = ?", c).Order("placed_at").Limit(maxRows).Scan(ctx); err != nil {
		return View{}, err
	}
	if err := s.db.NewSelect().Model(&out.Extensions).Where("case_id = ?", c).Order("asked_at").Limit(maxRows).Scan(ctx); err != nil {
		return View{}, err
	}
	if out.Mark, err = s.MarkOf(ctx, h); err != nil {
		return View{}, err
	}
	out.Marked = out.Mark.String()
	if out.Notes, err = s.notesKept(ctx, h); err != nil {
		return View{}, err
	}
	var stones []tombstoneRow
	if err := s.db.NewSelect().Model(&stones).Where("subject = ?", c.String()).Order("kind").Scan(ctx); err != nil {
		return View{}, err
	}
	for _, t := range stones {
		if !slices.Contains(out.Tombstones, t.Message) {
			out.Tombstones = append(out.Tombstones, t.Message)
		}
	}
	return out, nil
}

// notesKept counts notes without opening any.
func (s *Store) notesKept(ctx context.Context, h interview.HearingID) (out NotesKept, err error) {
	gone := s.db.NewSelect().Model((*tombstoneRow)(nil)).Column("subject")
	var rows []Note
	if err := s.db.NewSelect().Model(&rows).Where("hearing_id = ?", h).Where("id NOT IN (?)", gone).Order("id").Limit(maxRows).Scan(ctx); err != nil {
		return NotesKept{}, err
	}
	for _, n := range rows {
		if n.Class == ClassSpecial {
			out.Special++
			continue
		}
		out.Observation++
		out.Until = later(out.Until, s.keepNote(n, nil, false).Until)
	}
	return out, nil
}

// DueCase is a case with keys whose time has come.
type DueCase struct {
	Case  interview.CaseID `json:"case"`
	Kinds []keyring.Kind   `json:"kinds"`
	Until time.Time        `json:"until"` // of its recordings
}

// EachCase calls fn with every case, its facts and what of it is due.
func (s *Store) EachCase(ctx context.Context, fn func(interview.CaseID, Facts, DueCase) error) error {
	after := ""
	for {
		var ids []string
		err := s.db.NewSelect().Table("interview_case").Column("id").Where("id > ?", after).Order("id").Limit(maxList).Scan(ctx, &ids)
		if err != nil {
			return err
		}
		for _, text := range ids {
			after = text
			c, err := interview.ParseCaseID(text)
			if err != nil {
				return fmt.Errorf("case %q: %w", text, err)
			}
			f, err := s.Facts(ctx, c)
			if err != nil {
				return err
			}
			due := DueCase{Case: c, Kinds: s.rules.Due(f, s.now()), Until: s.rules.Keep(ClassRecording, f, s.now()).Until}
			if err := fn(c, f, due); err != nil {
				return err
			}
		}
		if len(ids) < maxList {
			return nil
		}
	}
}

// Order keeps an order that authority signed.
func (s *Store) Order(ctx context.Context, h *interview.Hearing, erasure, message, purpose, by string) (Ordered, error) {
	o, err := VerifyOrder(message, s.key, s.now())
	if err != nil {
		return Ordered{}, err
	}
	sealed, err := interview.SealJSON(ctx, s.sealer, h.Case, "erasure_order|"+erasure, purpose)
	if err != nil {
		return Ordered{}, err
	}
	row := Ordered{ID: erasure, Case: h.Case, Hearing: h.ID, Message: message, Sealed: sealed, AskedBy: by, AskedAt: s.now().UnixMilli(), Expires: o.Expires, Purpose: purpose}
	err = s.insert(ctx, &row, interview.Event{Hearing: h.ID, Type: EventOrdered, Fields: map[string]any{"case": h.Case, "erasure": erasure, "by": by, "purpose_hash": o.Purpose}})
	if store.IsDuplicate(err) {
		return Ordered{}, problem.New(problem.CodeConflict, "order %s was given before", erasure)
	}
	return row, err
}

// Orders lists the orders that wait for a second person.
func (s *Store) Orders(ctx context.Context) ([]Ordered, error) {
	gone := s.db.NewSelect().Model((*tombstoneRow)(nil)).Column("subject")
	rows := []Ordered{}
	err := s.db.NewSelect().Model(&rows).Where("expires > ?", s.now().Unix()).Where("case_id NOT IN (?)", gone).Order("asked_at").Limit(maxRows).Scan(ctx)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if err := s.purpose(ctx, &rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// OrderOf gives an order, or CodeNotFound.
func (s *Store) OrderOf(ctx context.Context, erasure string) (Ordered, error) {
	var row Ordered
	err := s.db.NewSelect().Model(&row).Where("id = ?", erasure).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Ordered{}, problem.New(problem.CodeNotFound, "order %s", erasure)
	}
	if err == nil {
		err = s.purpose(ctx, &row)
	}
	return row, err
}

func (s *Store) purpose(ctx context.Context, o *Ordered) error {
	return interview.OpenJSON(ctx, s.sealer, o.Case, "erasure_order|"+o.ID, o.Sealed, &o.Purpose)
}

// Bury keeps a tombstone with its audit event. One that is kept already changes
// nothing; it reports whether it was new.
func (s *Store) Bury(ctx context.Context, message string) (fresh bool, err error) {
	t, err := VerifyTombstone(message, s.key)
	if err != nil {
		return false, err
	}
	err = s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		kinds := []string{}
		for _, k := range t.Keys {
			row := tombstoneRow{Subject: t.Subject, Kind: k.Kind, Message: message, ErasedAt: k.At}
			result, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				continue
			}
			kinds = append(kinds, string(k.Kind))
		}
		if fresh = len(kinds) > 0; !fresh {
			return nil
		}
		return s.outbox.Append(ctx, tx, interview.Event{Type: EventDone, Fields: map[string]any{
			"subject": t.Subject, "kinds": kinds, "rule": t.Rule, "rules": t.Rules, "at": t.At, "proof": message,
		}})
	})
	return fresh, err
}

// Tombstones lists all proofs that are kept here.
func (s *Store) Tombstones(ctx context.Context) ([]string, error) {
	out := []string{}
	err := s.db.NewSelect().Model((*tombstoneRow)(nil)).Distinct().Column("message").Scan(ctx, &out)
	return out, err
}
