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
