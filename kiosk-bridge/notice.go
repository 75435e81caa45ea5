package kioskbridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/tunnel"
)

// Part is a part of a kiosk of which staff can be told.
type Part string

// Parts.
const (
	PartCamera         Part = "camera"
	PartPrinter        Part = "printer"
	PartChipReader     Part = "chip-reader"
	PartDocumentReader Part = "document-reader"
	PartFingerReader   Part = "finger-reader"
	PartScanner        Part = "scanner"
	PartSignaturePad   Part = "signature-pad"
	PartSound          Part = "sound"
	PartClock          Part = "clock"
	PartNetwork        Part = "network"
	PartDocument       Part = "document" // what lay there, not what read it
	PartEngine         Part = "engine"   // what compares, behind the bridge
	PartCaseSystem     Part = "case-system"
)

var parts = []Part{
	PartCamera, PartPrinter, PartChipReader, PartDocumentReader, PartFingerReader, PartScanner, PartSignaturePad, PartSound, PartClock, PartNetwork, PartDocument, PartEngine, PartCaseSystem,
}

// Codes of notices beside the reasons of steps and checks.
const (
	CodeClockWrong  = "clock-wrong"
	CodeKioskGone   = "kiosk-gone" // in the middle of a visit
	CodeStrange     = "strange"    // said what no kiosk says
	CodeOther       = "other"
	CodeNotHandedIn = "search-not-handed-in"

	CodeStageRefused = "stage-refused" // by the case system
	CodeStageWaits   = "stage-waits"   // for it, an hour and more
)

var noticeCodes = []string{
	tunnel.ReasonPartAbsent, tunnel.ReasonPartBroken, tunnel.ReasonCameraGone, tunnel.ReasonTwoPersons, tunnel.ReasonNoPerson, tunnel.ReasonLowQuality,
	tunnel.ReasonTimedOut, tunnel.ReasonNoPaper, CodeClockWrong, CodeKioskGone, CodeStrange, CodeOther, CodeNotHandedIn, CodeStageRefused, CodeStageWaits, reasonEngineAbsent, ReasonSpecimen, "too-large", emrtd.ReasonChipSilent, emrtd.ReasonUnreadable,
}

// noticeCode is what staff are told of a kiosk's reason: one of the known words.
func noticeCode(reason string) string {
	if slices.Contains(noticeCodes, reason) {
		return reason
	}
	return CodeOther
}

// partOf is the part that each step uses.
var partOf = map[ticket.StepName]Part{
	ticket.StepDocument: PartDocumentReader, ticket.StepChip: PartChipReader, ticket.StepFace: PartCamera, ticket.StepPhoto: PartCamera,
	ticket.StepFingers: PartFingerReader, ticket.StepSignature: PartSignaturePad, ticket.StepScan: PartScanner,
}

// Notice is something about a kiosk that staff should see to. It says nothing of
// the person who was there.
type Notice struct {
	ID     interview.CallID `json:"notice"`
	Place  string           `json:"place"`
	Part   Part             `json:"part"`
	Code   string           `json:"code"`
	Raised time.Time        `json:"raised"`
	Times  int64            `json:"times"` // since it was raised
}

// EventKioskNotice is the audit event of a notice.
const EventKioskNotice = "kiosk.notice"

type noticeRow struct {
	bun.BaseModel `bun:"table:kiosk_notice,alias:n"`

	ID       interview.CallID   `bun:"id,pk"`
	Kiosk    interview.DeviceID `bun:"kiosk_id"`
	Place    string             `bun:"place"`
	Part     Part               `bun:"part"`
	Code     string             `bun:"code"`
	RaisedAt int64              `bun:"raised_at"`
	Times    int64              `bun:"times"`
	SeenAt   int64              `bun:"seen_at"` // 0: not yet
	SeenBy   string             `bun:"seen_by"`
}

// Notice tells staff of a kiosk's part. While the same was not seen to, it counts
// up, so that a broken part does not fill the desk.
func (s *SQL) Notice(ctx context.Context, kiosk Kiosk, part Part, code string, at time.Time) error {
	if !slices.Contains(parts, part) || !slices.Contains(noticeCodes, code) {
		return problem.New(problem.CodeMalformed, "a notice names a part and a code that are known")
	}
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewUpdate().Model((*noticeRow)(nil)).Set("times = times + 1").
			Where("kiosk_id = ?", kiosk.Device).Where("part = ?", part).Where("code = ?", code).Where("seen_at = 0").Exec(ctx)
		if err != nil {
			return fmt.Errorf("count a notice of kiosk %s: %w", kiosk.Device, err)
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		row := noticeRow{ID: interview.NewCallID(), Kiosk: kiosk.Device, Place: kiosk.Place, Part: part, Code: code, RaisedAt: at.UnixMilli(), Times: 1}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return fmt.Errorf("save a notice of kiosk %s: %w", kiosk.Device, err)
		}
		return s.outbox.Append(ctx, tx, interview.Event{Type: EventKioskNotice, Fields: map[string]any{"kiosk": kiosk.Device, "part": part, "code": code}})
	})
}

// notice tells staff, and goes on whether or not they could be told.
func (v *visit) notice(ctx context.Context, part Part, code string) {
	if err := v.bridge.Store.Notice(context.WithoutCancel(ctx), v.kiosk, part, code, v.bridge.Now()); err != nil {
		v.bridge.Log.Warn("staff were not told of a kiosk's part", "kiosk", v.kiosk.Device, "part", part, "code", code)
	}
}

// Tell takes a notice that a kiosk's program raises itself, of a part that no
// visit's step uses: a printer without paper.
func (d *Desk) Tell(ctx context.Context, kiosk interview.DeviceID, part Part, code string) error {
	place, err := d.places.PlaceOf(ctx, kiosk)
	if err != nil {
		return err
	}
	return d.bridge.Store.Notice(ctx, Kiosk{Device: kiosk, Place: place}, part, code, d.bridge.Now())
}

// Notices lists what staff should see to, oldest first.
func (d *Desk) Notices(ctx context.Context) ([]Notice, error) {
	var rows []noticeRow
	if err := d.db.NewSelect().Model(&rows).Where("n.seen_at = 0").Order("n.raised_at").Limit(maxDesk).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the notices: %w", err)
	}
	out := make([]Notice, len(rows))
	for i, r := range rows {
		out[i] = Notice{ID: r.ID, Place: r.Place, Part: r.Part, Code: r.Code, Raised: time.UnixMilli(r.RaisedAt).UTC(), Times: r.Times}
	}
	return out, nil
}

// See notes that an officer sees to it. Seen twice is seen.
func (d *Desk) See(ctx context.Context, by Officer, id interview.CallID) error {
	res, err := d.db.NewUpdate().Model((*noticeRow)(nil)).Set("seen_at = ?", d.bridge.Now().UnixMilli()).Set("seen_by = ?", by.Person).
		Where("id = ?", id).Where("seen_at = 0").Exec(ctx)
	if err != nil {
		return fmt.Errorf("see to notice %s: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	if known, err := d.db.NewSelect().Model((*noticeRow)(nil)).Where("n.id = ?", id).Exists(ctx); err != nil || known {
		return err
	}
	return problem.New(problem.CodeNotFound, "notice %s", id)
}
