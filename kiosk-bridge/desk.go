package kioskbridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// CheckOfficers is the name of the check that officers identified the person;
// its reason is the method. It is asserted: people said so.
const CheckOfficers = "officers"

const (
	maxNote   = 1000           // of what an officer writes, in bytes
	minNote   = 10             // where nothing but the officers' word stands
	wordsWait = time.Hour      // for the second officer
	callsKept = 24 * time.Hour // that the figures look back on
	maxDesk   = 100            // of each list, and of a person's visits that led to the desk
	saltBytes = 16             // before the checks' hash
	nonceSize = 32             // of evidence
	sealedTo  = "desk_identification.sealed:"
)

// Desk is where people go on whom no kiosk can identify (rows B12, B14, B15):
// officers answer kiosks' calls, and identify by name and method, so that a
// machine's no ends no one's way. Its methods are safe for concurrent use.
type Desk struct {
	bridge *Bridge
	db     *bun.DB
	outbox interview.Outbox
	places Places

	help []HelpQueue
	site func(context.Context, interview.DeviceID) (string, error)

	duplicates func(ctx context.Context, since time.Time) (DuplicateFigures, error)
}

// Places tells where a device stands, for people.
type Places interface {
	PlaceOf(ctx context.Context, device interview.DeviceID) (string, error)
}

// NewDesk makes the desk of a bridge.
func NewDesk(b *Bridge, db *bun.DB, outbox interview.Outbox, places Places) *Desk {
	return &Desk{bridge: b, db: db, outbox: outbox, places: places}
}

// Types of the desk's audit events.
const (
	EventDeskWord = "desk.word"
	EventDeskCall = "desk.call"
)

// Officer is who acts at a desk: the hash that names the person, and the device.
type Officer struct {
	Person string
	Device interview.DeviceID
}

type identificationRow struct {
	bun.BaseModel `bun:"table:desk_identification,alias:i"`

	Visit       interview.VisitID       `bun:"visit_id,pk"`
	Case        interview.CaseID        `bun:"case_id"`
	Hearing     interview.HearingID     `bun:"hearing_id"`
	Participant interview.ParticipantID `bun:"participant_id"`
	Method      ticket.Method           `bun:"method"`
	Evidence    string                  `bun:"evidence"`
	Checks      string                  `bun:"checks"`
	Sealed      []byte                  `bun:"sealed"`
	BegunAt     int64                   `bun:"begun_at"`
	Needed      int                     `bun:"needed"`
	EndedAt     int64                   `bun:"ended_at"`
	Version     int64                   `bun:"version"`
	From        string                  `bun:"from_visit"` // the kiosk's visit that it goes on from; '' none
}

// sealedIdentification is what speaks of the person.
type sealedIdentification struct {
	Reference string `json:"reference"`
	Name      string `json:"name"`
	Note      string `json:"note"`
}

type wordRow struct {
	bun.BaseModel `bun:"table:desk_word,alias:w"`

	Visit   interview.VisitID  `bun:"visit_id,pk"`
	Officer string             `bun:"officer,pk"`
	Device  interview.DeviceID `bun:"device"`
	Signed  string             `bun:"signed"`
	At      int64              `bun:"at"`
}

// Identification is one person's, as officers see it.
type Identification struct {
	Visit    interview.VisitID `json:"visit"`
	Name     string            `json:"name"`
	Method   ticket.Method     `json:"method"`
	Note     string            `json:"note"`
	Begun    time.Time         `json:"begun"`
	Needed   int               `json:"needed"`   // officers in all
	Words    int               `json:"words"`    // of different officers so far
	Mine     bool              `json:"mine"`     // the caller's is among them
	Evidence string            `json:"evidence"` // what each officer's device signs

	From interview.VisitID `json:"from,omitzero"` // the kiosk's visit that it goes on from
}

// Begin begins the identification of the person whose invitation carries the
// reference. It decides nothing yet: officers' words do.
func (d *Desk) Begin(ctx context.Context, by Officer, reference string, method ticket.Method, note string) (Identification, error) {
	return d.begin(ctx, by, reference, method, note, nil)
}

func (d *Desk) begin(ctx context.Context, by Officer, reference string, method ticket.Method, note string, from *Record) (Identification, error) {
	note = strings.TrimSpace(note)
	switch {
	case method.Officers() == 0:
		return Identification{}, problem.New(problem.CodeMalformed, "method %q is not known", method)
	case len(note) > maxNote || !utf8.ValidString(note):
		return Identification{}, problem.New(problem.CodeTooLarge, "note of %d bytes, at most %d", len(note), maxNote)
	case len(note) < minNote:
		return Identification{}, problem.New(problem.CodeJustificationNeeded, "write what was looked at, or why nothing could be")
	}
	booking, err := d.bridge.Bookings.Booking(ctx, reference)
	if err != nil {
		return Identification{}, err
	}
	now := d.bridge.Now()
	if err := booking.open(now); err != nil {
		return Identification{}, err
	}
	row := identificationRow{
		Visit: interview.NewVisitID(), Case: booking.Case, Hearing: booking.Hearing, Participant: booking.Participant,
		Method: method, BegunAt: now.UnixMilli(), Needed: method.Officers(), Version: 1,
	}
	if from != nil {
		if from.Participant != booking.Participant || from.Hearing != booking.Hearing {
			return Identification{}, problem.New(problem.CodeConflict, "the booking was changed since visit %s", from.ID)
		}
		row.From = from.ID.String()
	}
	failed, err := d.biometricsFailed(ctx, booking, now)
	if err != nil {
		return Identification{}, err
	}
	if failed {
		row.Needed = max(row.Needed, officersAfterBiometrics)
	}
	if err := row.state(by.Device, now, from); err != nil {
		return Identification{}, err
	}
	kept := sealedIdentification{Reference: reference, Name: booking.Name, Note: note}
	if row.Sealed, err = interview.SealJSON(ctx, d.bridge.Sealer, row.Case, sealedTo+row.Visit.String(), kept); err != nil {
		return Identification{}, fmt.Errorf("identification %s: %w", row.Visit, err)
	}
	if _, err := d.db.NewInsert().Model(&row).Exec(ctx); err != nil {
		return Identification{}, fmt.Errorf("save identification %s: %w", row.Visit, err)
	}
	return row.view(kept, nil, by), nil
}

// officersAfterBiometrics stand for a person whose biometrics failed at a kiosk.
const officersAfterBiometrics = 2

// biometricsFailed says whether a biometric sent the person to the desk in any
// visit for this purpose that a ticket could still rest on, or failed in one that
// was broken off. A later visit that ended otherwise takes nothing back. Whose visits are more than are read here
// counts as if one had failed.
func (d *Desk) biometricsFailed(ctx context.Context, b Booking, now time.Time) (bool, error) {
	var visits []Record
	err := d.db.NewSelect().Model(&visits).Column("id", "route", "checks").Where("v.participant_id = ?", b.Participant).Where("v.purpose = ?", b.Purpose).
		Where("v.result = ?", tunnel.ResultDesk).Where("v.ended_at > ?", now.Add(-ticket.MaxVisitAge).UnixMilli()).Limit(maxDesk).Scan(ctx)
	if err != nil {
		return false, fmt.Errorf("read the visits of participant %s: %w", b.Participant, err)
	}
	for _, v := range visits {
		checks, err := v.Verdicts()
		if err != nil {
			return false, err
		}
		if biometricsFailed(v.Route, checks) {
			return true, nil
		}
	}
	if len(visits) == maxDesk {
		return true, nil
	}
	left, err := d.db.NewSelect().Model((*brokenOff)(nil)).Where("k.participant_id = ?", b.Participant).Where("k.purpose = ?", b.Purpose).
		Where("k.at > ?", now.Add(-ticket.MaxVisitAge).UnixMilli()).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("read the visits that participant %s broke off: %w", b.Participant, err)
	}
	return left, nil
}

// state makes checks and evidence, which officers then stand for as they are. What
// a kiosk found out before stays beside the officers' word, and is named by the
// hash of its evidence.
func (r *identificationRow) state(device interview.DeviceID, now time.Time, from *Record) error {
	stated := ticket.Checks{Checks: []interview.Check{{Name: CheckOfficers, Verdict: interview.Asserted, Reason: string(r.Method)}}}
	var before *ticket.Before
	if from != nil {
		verdicts, err := from.Verdicts()
		if err != nil {
			return err
		}
		stated.Checks = append(stated.Checks, verdicts...)
		before = &ticket.Before{Visit: from.ID, EvidenceSHA256: ticket.Hash([]byte(from.Evidence)), Ended: from.EndedAt / 1000}
	}
	random := make([]byte, saltBytes+nonceSize)
	if _, err := rand.Read(random); err != nil {
		return fmt.Errorf("make a salt and a nonce: %w", err)
	}
	stated.Salt = base64.RawURLEncoding.EncodeToString(random[:saltBytes])
	checks, err := canon.Marshal(stated)
	if err != nil {
		return err
	}
	evidence, err := canon.Marshal(ticket.Evidence{
		V: 1, Visit: r.Visit, Nonce: base64.RawURLEncoding.EncodeToString(random[saltBytes:]), Kiosk: device, Hearing: r.Hearing,
		Participant: r.Participant, ChecksSHA256: ticket.Hash(checks), Assurance: ticket.AssuranceLow,
		Started: now.Unix(), Ended: now.Unix(), Method: r.Method, Route: ticket.RouteOfficers, Before: before, Officers: more(r.Needed, r.Method),
	})
	if err != nil {
		return err
	}
	r.Checks, r.Evidence = string(checks), string(evidence)
	return nil
}

// more is how many officers are needed where that is more than the method asks
// for; 0: it is not.
func more(needed int, m ticket.Method) int {
	if needed > m.Officers() {
		return needed
	}
	return 0
}

func (r identificationRow) view(kept sealedIdentification, words []wordRow, by Officer) Identification {
	out := Identification{
		Visit: r.Visit, Name: kept.Name, Method: r.Method, Note: kept.Note, Begun: time.UnixMilli(r.BegunAt).UTC(),
		Needed: r.Needed, Words: len(words), Evidence: r.Evidence,
	}
	if id, err := interview.ParseVisitID(r.From); err == nil {
		out.From = id
	}
	for _, w := range words {
		out.Mine = out.Mine || w.Officer == by.Person
	}
	return out
}

// Evidence gives the text that officers stand for.
func (d *Desk) Evidence(ctx context.Context, visit interview.VisitID) (string, error) {
	row, err := d.waiting(ctx, d.db, visit)
	return row.Evidence, err
}

func (d *Desk) waiting(ctx context.Context, db bun.IDB, visit interview.VisitID) (identificationRow, error) {
	rows, err := d.rows(ctx, db, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("i.visit_id = ?", visit) })
	if err != nil {
		return identificationRow{}, err
	}
	if len(rows) != 1 {
		return identificationRow{}, problem.New(problem.CodeNotFound, "no identification %s waits", visit)
	}
	return rows[0], nil
}

// rows are identifications that wait for an officer.
func (d *Desk) rows(ctx context.Context, db bun.IDB, which func(*bun.SelectQuery) *bun.SelectQuery) ([]identificationRow, error) {
	var rows []identificationRow
	since := d.bridge.Now().Add(-wordsWait).UnixMilli()
	q := db.NewSelect().Model(&rows).Where("i.ended_at = 0").Where("i.begun_at > ?", since).Order("i.begun_at").Limit(maxDesk)
	if err := which(q).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read identifications: %w", err)
	}
	return rows, nil
}

// Word adds one officer's word, which authority has verified before. With the
// last one that the method needs, the ticket is written: it waits at the room
// terminal like any other, with a low assurance and the method.
func (d *Desk) Word(ctx context.Context, by Officer, visit interview.VisitID, signed string) (tunnel.Outcome, error) {
	row, err := d.waiting(ctx, d.db, visit)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	var kept sealedIdentification
	if err := interview.OpenJSON(ctx, d.bridge.Sealer, row.Case, sealedTo+visit.String(), row.Sealed, &kept); err != nil {
		return tunnel.Outcome{}, fmt.Errorf("identification %s: %w", visit, err)
	}
	// The booking may have changed since: the ticket is for what is booked now.
	booking, err := d.bridge.Bookings.Booking(ctx, kept.Reference)
	if err != nil {
		return tunnel.Outcome{}, err
	}
	if booking.Participant != row.Participant || booking.Hearing != row.Hearing {
		return tunnel.Outcome{}, problem.New(problem.CodeConflict, "the booking was changed since identification %s began", visit)
	}
	if err := booking.open(d.bridge.Now()); err != nil {
		return tunnel.Outcome{}, err
	}
	// The visit keeps what was looked at, sealed as every visit's.
	sealed, err := interview.SealJSON(ctx, d.bridge.Sealer, row.Case, sealedUnder(visit), keptNote{kept.Note})
	if err != nil {
		return tunnel.Outcome{}, fmt.Errorf("identification %s: %w", visit, err)
	}
	var made *TicketRecord
	err = d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if row, err = d.waiting(ctx, tx, visit); err != nil {
			return err
		}
		row.Sealed = sealed
		made, err = d.addWord(ctx, tx, row, booking, by, signed)
		return err
	})
	if err != nil {
		return tunnel.Outcome{}, err
	}
	if made == nil {
		return tunnel.Outcome{Result: tunnel.ResultDesk, Way: problem.WayAskStaff}, nil
	}
	return tunnel.Outcome{
		Result: tunnel.ResultJoin, Way: problem.WayInterviewer,
		Ticket: made.ID, Hearing: made.Hearing, Terminal: made.Device, Place: booking.Place, Expires: made.Expires,
	}, nil
}

// keptNote is what is kept of a visit at a desk.
type keptNote struct {
	Note string `json:"note"`
}

func (d *Desk) addWord(ctx context.Context, tx bun.Tx, row identificationRow, booking Booking, by Officer, signed string) (*TicketRecord, error) {
	var words []wordRow
	if err := tx.NewSelect().Model(&words).Where("w.visit_id = ?", row.Visit).Order("w.at").Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the officers of %s: %w", row.Visit, err)
	}
	for _, w := range words {
		if w.Officer == by.Person {
			return nil, problem.New(problem.CodeConflict, "this officer stands for identification %s already: another one is needed", row.Visit)
		}
	}
	now := d.bridge.Now()
	word := wordRow{Visit: row.Visit, Officer: by.Person, Device: by.Device, Signed: signed, At: now.UnixMilli()}
	if _, err := tx.NewInsert().Model(&word).Exec(ctx); err != nil {
		return nil, fmt.Errorf("save an officer's word on %s: %w", row.Visit, err)
	}
	err := d.outbox.Append(ctx, tx, interview.Event{Hearing: row.Hearing, Type: EventDeskWord, Fields: map[string]any{
		"visit": row.Visit, "method": row.Method, "officer": by.Person, "device": by.Device, "signed": ticket.Hash([]byte(signed)),
	}})
	if err != nil {
		return nil, err
	}
	if words = append(words, word); len(words) < row.Needed {
		return nil, row.mark(ctx, tx, 0)
	}
	return d.end(ctx, tx, row, booking, words, now)
}

// end closes the identification and writes visit and ticket.
func (d *Desk) end(ctx context.Context, tx bun.Tx, row identificationRow, booking Booking, words []wordRow, now time.Time) (*TicketRecord, error) {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.Signed
	}
	var evidence ticket.Evidence
	if err := canon.Unmarshal([]byte(row.Evidence), &evidence); err != nil {
		return nil, fmt.Errorf("evidence of %s: %w", row.Visit, err)
	}
	record := Record{
		ID: row.Visit, Case: row.Case, Hearing: row.Hearing, Participant: row.Participant, Role: booking.Role, Purpose: booking.Purpose, Kiosk: evidence.Kiosk, Route: ticket.RouteOfficers,
		Result: tunnel.ResultJoin, Assurance: evidence.Assurance, StartedAt: row.BegunAt, EndedAt: now.UnixMilli(),
		Evidence: row.Evidence, Vouched: strings.Join(texts, "\n"), Checks: row.Checks, Sealed: row.Sealed,
	}
	made, err := d.bridge.ticketFor(record, booking)
	if err != nil {
		return nil, err
	}
	kept := Kept{Ticket: made}
	if d.bridge.Stages {
		kept.Stages = record.stages(nil)
	}
	if err := saveVisit(ctx, tx, d.outbox, record, kept); err != nil {
		return nil, err
	}
	if err := row.mark(ctx, tx, now.UnixMilli()); err != nil {
		return nil, err
	}
	return made, nil
}

// mark notes that a word was added, and whether it was the last. Of two officers
// at the same moment, neither of whom sees the other's word, one has to say it
// again: else both would wait for the other for ever.
func (r identificationRow) mark(ctx context.Context, tx bun.Tx, ended int64) error {
	update := tx.NewUpdate().Model((*identificationRow)(nil)).Set("ended_at = ?", ended).Where("visit_id = ?", r.Visit)
	err := store.CompareAndSet(ctx, update, r.Version)
	if errors.Is(err, store.ErrConflict) {
		return problem.New(problem.CodeConflict, "another officer spoke for identification %s at this moment", r.Visit)
	}
	if err != nil {
		return fmt.Errorf("mark identification %s: %w", r.Visit, err)
	}
	return nil
}

// Identifications lists what waits for an officer, oldest first.
func (d *Desk) Identifications(ctx context.Context, by Officer) ([]Identification, error) {
	rows, err := d.rows(ctx, d.db, func(q *bun.SelectQuery) *bun.SelectQuery { return q })
	if err != nil {
		return nil, err
	}
	out := []Identification{}
	if len(rows) == 0 {
		return out, nil
	}
	visits := make([]interview.VisitID, len(rows))
	for i, r := range rows {
		visits[i] = r.Visit
	}
	var said []wordRow
	if err := d.db.NewSelect().Model(&said).Where("w.visit_id IN ?", bun.Tuple(visits)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the officers' words: %w", err)
	}
	words := map[interview.VisitID][]wordRow{}
	for _, w := range said {
		words[w.Visit] = append(words[w.Visit], w)
	}
	for _, r := range rows {
		var kept sealedIdentification
		err := interview.OpenJSON(ctx, d.bridge.Sealer, r.Case, sealedTo+r.Visit.String(), r.Sealed, &kept)
		if errors.Is(err, problem.New(problem.CodeErased, "")) {
			continue // nobody is identified for a case that was erased, and the others wait on
		}
		if err != nil {
			return nil, fmt.Errorf("identification %s: %w", r.Visit, err)
		}
		out = append(out, r.view(kept, words[r.Visit], by))
	}
	return out, nil
}
