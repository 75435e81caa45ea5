package kioskbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
)

// PieceName names a piece that was given at a kiosk: a photograph, a signature
// with its text, a page.
type PieceName struct {
	Case    interview.CaseID
	Hearing interview.HearingID
	Visit   interview.VisitID
	N       int64
}

// PieceSealer seals pieces under the case's records key, in such a way that who
// sealed them opens none without authority's leave. Safe for concurrent use.
type PieceSealer interface {
	SealPiece(ctx context.Context, name PieceName, plain []byte) (wrapped string, sealed []byte, err error)
	// OpenPiece opens one that a reader was approved for.
	OpenPiece(ctx context.Context, name PieceName, wrapped string, sealed []byte) ([]byte, error)
}

// KindSignedText is the piece that holds what a signature was drawn under, as it
// was shown.
const KindSignedText = "signed-text"

// Given is what somebody gave in one visit, by its outside: kinds and hashes.
type Given struct {
	Visit   interview.VisitID   `json:"visit"`
	Hearing interview.HearingID `json:"hearing"`
	Diary   string              `json:"diary"`
	Place   string              `json:"place"`
	Ended   time.Time           `json:"ended"`
	Pieces  []GivenPiece        `json:"pieces"`
	Read    int64               `json:"read"` // times that it was read back
}

// GivenPiece is the outside of one piece.
type GivenPiece struct {
	N      int64           `json:"n"`
	Step   ticket.StepName `json:"step"`
	Kind   string          `json:"kind"`
	SHA256 string          `json:"sha256"` // of the bytes, as the kiosk vouched for them
}

// ReadBack is a piece that was opened for a reader. It never prints itself.
type ReadBack struct {
	GivenPiece

	Format string `json:"format"`
	Bytes  []byte `json:"bytes"`           // base64
	Grade  *Grade `json:"grade,omitempty"` // of a photograph, as it was when it was taken
}

func (ReadBack) String() string   { return "redacted piece" }
func (ReadBack) GoString() string { return "redacted piece" }

// Reader is who reads back.
type Reader struct {
	Person string // hash of issuer and subject
	Device interview.DeviceID
}

// EventPieceRead is the audit event of a reading. It is on record before anything
// is opened.
const EventPieceRead = "kiosk.read"

const maxGiven = 100

// Given lists the newest visits in which something was given, of one hearing or
// (zero) of all. Cases that were erased have none.
func (d *Desk) Given(ctx context.Context, hearing interview.HearingID, diary func(context.Context, interview.CaseID) (string, error)) ([]Given, error) {
	var visits []Record
	q := d.db.NewSelect().Model(&visits).Column("id", "case_id", "hearing_id", "kiosk_id", "ended_at").
		Where("EXISTS (SELECT 1 FROM kiosk_piece p WHERE p.visit_id = v.id)").Order("v.ended_at DESC").Limit(maxGiven)
	if !hearing.IsZero() {
		q = q.Where("v.hearing_id = ?", hearing)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("read what was given at kiosks: %w", err)
	}
	out := []Given{}
	for _, v := range visits {
		g := Given{Visit: v.ID, Hearing: v.Hearing, Ended: time.UnixMilli(v.EndedAt).UTC(), Pieces: []GivenPiece{}}
		var err error
		if g.Diary, err = diary(ctx, v.Case); errors.Is(err, problem.New(problem.CodeErased, "")) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("visit %s: %w", v.ID, err)
		}
		// A kiosk that no agreement names any more has no place.
		g.Place, _ = d.places.PlaceOf(ctx, v.Kiosk)
		rows, err := d.pieces(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		for _, p := range rows {
			g.Pieces = append(g.Pieces, p.outside())
		}
		read, err := d.db.NewSelect().Model((*readingRow)(nil)).Where("r.visit_id = ?", v.ID).Count(ctx)
		if err != nil {
			return nil, fmt.Errorf("count the readings of visit %s: %w", v.ID, err)
		}
		g.Read = read
		out = append(out, g)
	}
	return out, nil
}

func (p PieceRecord) outside() GivenPiece {
	return GivenPiece{N: p.N, Step: p.Step, Kind: p.Kind, SHA256: p.SHA256}
}

func (d *Desk) pieces(ctx context.Context, visit interview.VisitID) ([]PieceRecord, error) {
	var rows []PieceRecord
	if err := d.db.NewSelect().Model(&rows).Where("p.visit_id = ?", visit).Order("p.n").Scan(ctx); err != nil {
		return nil, fmt.Errorf("read what was given in visit %s: %w", visit, err)
	}
	return rows, nil
}

type readingRow struct {
	bun.BaseModel `bun:"table:kiosk_reading,alias:r"`

	ID     interview.EventID  `bun:"id,pk"`
	Visit  interview.VisitID  `bun:"visit_id"`
	Reader string             `bun:"reader"`
	Device interview.DeviceID `bun:"device"`
	At     int64              `bun:"at"`
	Pieces int64              `bun:"pieces"`
	Sealed []byte             `bun:"sealed"`
}

type keptPurpose struct {
	Purpose string `json:"purpose"`
}

// CheckPurpose refuses a purpose that says nothing.
func CheckPurpose(purpose string) error {
	switch n := len(strings.TrimSpace(purpose)); {
	case n < minNote:
		return problem.New(problem.CodePurposeNeeded, "write for what purpose it is read")
	case n > maxNote || !utf8.ValidString(purpose):
		return problem.New(problem.CodeTooLarge, "purpose of %d bytes, at most %d", n, maxNote)
	}
	return nil
}

// ReadBack opens what was given in a visit, for a written purpose: approve has
// authority prove the reader, for the pieces that are named to it; then the
// reading is put on record; then each piece is opened and held against the hash
// that the kiosk vouched for.
func (d *Desk) ReadBack(ctx context.Context, by Reader, visit interview.VisitID, purpose string, approve func(context.Context, []PieceName) error) ([]ReadBack, error) {
	if err := CheckPurpose(purpose); err != nil {
		return nil, err
	}
	v, err := d.bridge.Store.Visit(ctx, visit)
	if err != nil {
		return nil, err
	}
	rows, err := d.pieces(ctx, visit)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, problem.New(problem.CodeNotFound, "nothing was given in visit %s", visit)
	}
	names := make([]PieceName, len(rows))
	for i, p := range rows {
		names[i] = PieceName{Case: v.Case, Hearing: v.Hearing, Visit: v.ID, N: p.N}
	}
	if err := approve(ctx, names); err != nil {
		return nil, err
	}
	if err := d.noteReading(ctx, by, v, purpose, len(rows)); err != nil {
		return nil, err
	}
	out := make([]ReadBack, len(rows))
	for i, p := range rows {
		if out[i], err = d.bridge.openPiece(ctx, names[i], p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *Desk) noteReading(ctx context.Context, by Reader, v Record, purpose string, pieces int) error {
	row := readingRow{ID: interview.NewEventID(), Visit: v.ID, Reader: by.Person, Device: by.Device, At: d.bridge.Now().UnixMilli(), Pieces: int64(pieces)}
	var err error
	if row.Sealed, err = interview.SealJSON(ctx, d.bridge.Sealer, v.Case, "kiosk_reading.sealed:"+row.ID.String(), keptPurpose{purpose}); err != nil {
		return fmt.Errorf("note the reading of visit %s: %w", v.ID, err)
	}
	return d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return fmt.Errorf("note the reading of visit %s: %w", v.ID, err)
		}
		return d.outbox.Append(ctx, tx, interview.Event{Hearing: v.Hearing, Type: EventPieceRead, Fields: map[string]any{
			"visit": v.ID, "pieces": pieces, "by": by.Person, "purpose_hash": ticket.Hash([]byte(purpose)),
		}})
	})
}

func (b *Bridge) openPiece(ctx context.Context, name PieceName, p PieceRecord) (ReadBack, error) {
	plain, err := b.pieceSealer().OpenPiece(ctx, name, p.Wrapped, p.Sealed)
	if err != nil {
		return ReadBack{}, fmt.Errorf("piece %d of visit %s: %w", p.N, p.Visit, err)
	}
	var kept keptPiece
	if err := json.Unmarshal(plain, &kept); err != nil {
		return ReadBack{}, fmt.Errorf("piece %d of visit %s: %w", p.N, p.Visit, err)
	}
	if kept.Kind != p.Kind || ticket.Hash(kept.Bytes) != p.SHA256 {
		return ReadBack{}, fmt.Errorf("piece %d of visit %s is not what the kiosk vouched for: it was changed", p.N, p.Visit)
	}
	return ReadBack{GivenPiece: p.outside(), Format: kept.Format, Bytes: kept.Bytes, Grade: kept.Grade}, nil
}

// sealPieces seals what a visit's service is about.
func (v *visit) sealPieces(ctx context.Context) ([]PieceRecord, error) {
	out := make([]PieceRecord, 0, len(v.kept))
	for i, p := range v.kept {
		row := PieceRecord{Visit: v.id, N: int64(i + 1), Case: v.booking.Case, Step: p.step, Kind: p.Kind, SHA256: ticket.Hash(p.Bytes)}
		plain, err := json.Marshal(p)
		if err == nil {
			name := PieceName{Case: row.Case, Hearing: v.booking.Hearing, Visit: v.id, N: row.N}
			row.Wrapped, row.Sealed, err = v.bridge.pieceSealer().SealPiece(ctx, name, plain)
			clear(plain)
		}
		if err != nil {
			return nil, fmt.Errorf("visit %s: %w", v.id, err)
		}
		out = append(out, row)
	}
	return slices.Clip(out), nil
}

// pieceSealer is the installation's, or the case's own sealer alone.
func (b *Bridge) pieceSealer() PieceSealer {
	if b.Pieces != nil {
		return b.Pieces
	}
	return caseAlone{b.Sealer}
}

// caseAlone seals pieces as everything else of a case, for a bridge that has no
// authority beside it.
type caseAlone struct{ interview.Sealer }

func (p PieceName) aad() string { return fmt.Sprintf("kiosk_piece.sealed:%s|%d", p.Visit, p.N) }

// SealPiece implements [PieceSealer].
func (c caseAlone) SealPiece(ctx context.Context, name PieceName, plain []byte) (string, []byte, error) {
	sealed, err := c.Seal(ctx, name.Case, name.aad(), plain)
	return "", sealed, err
}

// OpenPiece implements [PieceSealer].
func (c caseAlone) OpenPiece(ctx context.Context, name PieceName, _ string, sealed []byte) ([]byte, error) {
	return c.Open(ctx, name.Case, name.aad(), sealed)
}
