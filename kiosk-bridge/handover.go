package kioskbridge

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
)

// HandoverRecord is a visit on its way to the desk.
type HandoverRecord struct {
	bun.BaseModel `bun:"table:kiosk_handover,alias:h"`

	CodeHash  string            `bun:"code_hash,pk"`
	Visit     interview.VisitID `bun:"visit_id"`
	ExpiresAt int64             `bun:"expires_at"`
	UsedAt    int64             `bun:"used_at"`
	UsedBy    string            `bun:"used_by"`
	Version   int64             `bun:"version"`
}

// handoverAlphabet is Crockford's, without letters that look like digits.
var handoverAlphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

const handoverSymbols = 12 // sixty random bits, for minutes, to officers alone

// handover makes the code that takes a visit to the desk (row B15).
func (b *Bridge) handover(r Record) (*HandoverRecord, string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, "", fmt.Errorf("make a code: %w", err)
	}
	code := handoverAlphabet.EncodeToString(random[:])[:handoverSymbols]
	row := &HandoverRecord{
		CodeHash: handoverHash(code), Visit: r.ID, ExpiresAt: b.Now().Add(time.Duration(b.Policy.Handover) * time.Second).UnixMilli(), Version: 1,
	}
	return row, code[:4] + "-" + code[4:8] + "-" + code[8:], nil
}

func handoverHash(code string) string { return ticket.Hash([]byte("kuule-handover|" + code)) }

// parseHandover reads a code as people type it and scanners give it.
func parseHandover(text string) (string, error) {
	if len(text) <= 64 {
		code := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(strings.TrimSpace(text)))
		if _, err := handoverAlphabet.DecodeString(code + "0"); err == nil && len(code) == handoverSymbols {
			return code, nil
		}
	}
	return "", problem.New(problem.CodeMalformed, "this is no code of a kiosk's screen: twelve letters or digits")
}

// takeHandover uses a code up, in the transaction of what stands on it.
func takeHandover(ctx context.Context, tx bun.Tx, code, officer string, now time.Time) (interview.VisitID, error) {
	var h HandoverRecord
	err := tx.NewSelect().Model(&h).Where("h.code_hash = ?", handoverHash(code)).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return interview.VisitID{}, problem.New(problem.CodeNotFound, "no visit is handed over under this code")
	case err != nil:
		return interview.VisitID{}, fmt.Errorf("read a handed over visit: %w", err)
	case h.UsedAt != 0:
		return interview.VisitID{}, problem.New(problem.CodeTicketUsed, "visit %s was taken over already", h.Visit)
	case h.ExpiresAt <= now.UnixMilli():
		return interview.VisitID{}, problem.New(problem.CodeTicketStale, "the code of visit %s has run out", h.Visit)
	}
	update := tx.NewUpdate().Model((*HandoverRecord)(nil)).Set("used_at = ?", now.UnixMilli()).Set("used_by = ?", officer).
		Where("code_hash = ?", h.CodeHash).Where("used_at = 0")
	if err := store.CompareAndSet(ctx, update, h.Version); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return interview.VisitID{}, problem.New(problem.CodeTicketUsed, "visit %s was taken over meanwhile", h.Visit)
		}
		return interview.VisitID{}, fmt.Errorf("take over visit %s: %w", h.Visit, err)
	}
	return h.Visit, nil
}

// HandedOver is what a kiosk found out of a person who now stands at the desk.
type HandedOver struct {
	Visit     interview.VisitID `json:"visit"`
	Name      string            `json:"name"`  // as booked
	Place     string            `json:"place"` // where the kiosk stands
	Route     ticket.Route      `json:"route"`
	Ended     time.Time         `json:"ended"`
	Checks    []interview.Check `json:"checks"`
	Steps     []ticket.Step     `json:"steps"`
	Surname   string            `json:"surname,omitempty"` // of the document's zone, where one was read
	Given     string            `json:"given,omitempty"`
	Number    string            `json:"number,omitempty"`
	Birth     string            `json:"birth,omitempty"` // YYMMDD
	Reference string            `json:"reference"`
}

// TakeOver uses a code up and shows the officer what the kiosk has done, so that
// nothing of it has to be done again (row B15). For the next hour this officer
// can identify the person from there; see [Desk.GoOn].
func (d *Desk) TakeOver(ctx context.Context, by Officer, text string) (HandedOver, error) {
	code, err := parseHandover(text)
	if err != nil {
		return HandedOver{}, err
	}
	var id interview.VisitID
	err = d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if id, err = takeHandover(ctx, tx, code, by.Person, d.bridge.Now()); err != nil {
			return err
		}
		return d.outbox.Append(ctx, tx, interview.Event{Type: EventDeskHandover, Fields: map[string]any{"visit": id, "officer": by.Person}})
	})
	if err != nil {
		return HandedOver{}, err
	}
	r, kept, err := d.kept(ctx, id)
	if err != nil {
		return HandedOver{}, err
	}
	booking, err := d.bridge.Bookings.Booking(ctx, kept.Reference)
	if err != nil {
		return HandedOver{}, err
	}
	if booking.Participant != r.Participant {
		return HandedOver{}, problem.New(problem.CodeConflict, "the booking was changed since visit %s", id)
	}
	out := HandedOver{Visit: id, Name: booking.Name, Route: r.Route, Ended: time.UnixMilli(r.EndedAt).UTC(), Reference: kept.Reference}
	if out.Place, err = d.places.PlaceOf(ctx, r.Kiosk); err != nil {
		return HandedOver{}, err
	}
	if out.Checks, err = r.Verdicts(); err != nil {
		return HandedOver{}, err
	}
	account, err := r.Account()
	if err != nil {
		return HandedOver{}, err
	}
	out.Steps = account.Steps
	if zone, err := emrtd.ParseMRZ(strings.Join(kept.Zone, "")); err == nil {
		out.Surname, out.Given, out.Number, out.Birth = zone.Surname, zone.GivenNames, zone.DocumentNumber, zone.DateOfBirth
	}
	return out, nil
}

// EventDeskHandover is the audit event of a visit that an officer took over.
const EventDeskHandover = "desk.handover"

func (d *Desk) kept(ctx context.Context, id interview.VisitID) (Record, keptZone, error) {
	var kept keptZone
	r, err := d.bridge.Store.Visit(ctx, id)
	if err == nil {
		err = interview.OpenJSON(ctx, d.bridge.Sealer, r.Case, sealedUnder(id), r.Sealed, &kept)
	}
	if err != nil {
		return Record{}, kept, fmt.Errorf("visit %s: %w", id, err)
	}
	return r, kept, nil
}

// GoOn begins an identification from a visit that this officer took over.
func (d *Desk) GoOn(ctx context.Context, by Officer, visit interview.VisitID, method ticket.Method, note string) (Identification, error) {
	var h HandoverRecord
	err := d.db.NewSelect().Model(&h).Where("h.visit_id = ?", visit).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && (h.UsedAt == 0 || h.UsedBy != by.Person):
		return Identification{}, problem.New(problem.CodeNotFound, "no visit %s was taken over by this officer", visit)
	case err != nil:
		return Identification{}, fmt.Errorf("read a handed over visit: %w", err)
	case d.bridge.Now().Sub(time.UnixMilli(h.UsedAt)) > wordsWait:
		return Identification{}, problem.New(problem.CodeTicketStale, "visit %s was taken over more than %s ago", visit, wordsWait)
	}
	r, kept, err := d.kept(ctx, visit)
	if err != nil {
		return Identification{}, err
	}
	return d.begin(ctx, by, kept.Reference, method, note, &r)
}
