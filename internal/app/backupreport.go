package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
)

// backupRow is one back-up at one room terminal.
type backupRow struct {
	bun.BaseModel `bun:"table:terminal_backup"`
	Device        interview.DeviceID  `bun:"device_id,pk"`
	Hearing       interview.HearingID `bun:"hearing_id,pk"`
	Files         int64               `bun:"files"`
	Bytes         int64               `bun:"bytes"`
	Since         int64               `bun:"since"`
	Goes          int64               `bun:"goes"`
	Seen          int64               `bun:"seen_at"`
	Ended         string              `bun:"ended"`
}

// What became of a back-up, beside the reasons that an agent gives.
const (
	backupReleased = "released"
	backupUnknown  = "unknown" // it is there no more and nobody said why
)

// eventBackupGone is the audit event of a back-up that went without a release.
const eventBackupGone = "backup.gone"

// serveBackupReports answers agents: what lies there is written down, and what is
// released is told.
func (d *door) serveBackupReports(w http.ResponseWriter, r *http.Request) {
	within(w, answerTimeout)
	if r.Method != http.MethodPost {
		noRoute(w, r)
		return
	}
	device, err := d.device(r.Context(), r.TLS.PeerCertificates[0])
	if err != nil {
		problem.Write(w, err)
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4*wire.MaxRequest))
	if err != nil {
		problem.Write(w, problem.New(problem.CodeTooLarge, "%w", err))
		return
	}
	in, err := wire.ReadBackupReport(text)
	if err != nil {
		problem.Write(w, problem.New(problem.CodeMalformed, "%w", err))
		return
	}
	out, err := d.takeReport(r.Context(), device.DeviceID, in, time.Now())
	if err != nil {
		problem.Write(w, err)
		return
	}
	_ = writeJSON(w, out)
}

// takeReport keeps what a device says, and gives the releases of what it holds.
func (d *door) takeReport(ctx context.Context, device interview.DeviceID, in wire.BackupReport, now time.Time) (wire.BackupAnswer, error) {
	out := wire.BackupAnswer{Releases: []string{}}
	here := map[interview.HearingID]bool{}
	var held []wire.BackupHeld
	for _, h := range in.Held {
		if !d.sits(ctx, h.Hearing, device) {
			continue // it is no device of that hearing: nobody keeps what it says
		}
		held = append(held, h)
		release, err := d.releaseFor(ctx, h.Hearing, device)
		if err != nil {
			return out, err
		}
		if release != "" {
			out.Releases = append(out.Releases, release)
		}
	}
	return out, d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var rows []*backupRow
		if err := tx.NewSelect().Model(&rows).Where("device_id = ?", device).Scan(ctx); err != nil {
			return err
		}
		for _, h := range held {
			i := slices.IndexFunc(rows, func(b *backupRow) bool { return b.Hearing == h.Hearing })
			row := &backupRow{Device: device, Hearing: h.Hearing, Files: h.Files, Bytes: h.Bytes, Since: h.Since, Goes: h.Goes, Seen: now.Unix()}
			here[h.Hearing] = true
			if err := put(ctx, tx, row, i < 0); err != nil {
				return err
			}
		}
		for _, row := range rows {
			if here[row.Hearing] || row.Ended != "" {
				continue
			}
			row.Seen, row.Ended = now.Unix(), backupUnknown
			if release, err := d.releaseFor(ctx, row.Hearing, device); err == nil && release != "" {
				row.Ended = backupReleased
			}
			if i := slices.IndexFunc(in.Gone, func(g wire.BackupGone) bool { return g.Hearing == row.Hearing }); i >= 0 {
				row.Ended = string(in.Gone[i].Why)
			}
			if err := put(ctx, tx, row, false); err != nil {
				return err
			}
			if row.Ended == backupReleased {
				continue
			}
			slog.Warn("a back-up went without a release", "device", device, "hearing", row.Hearing, "why", row.Ended)
			if err := (ledger.Outbox{}).Append(ctx, tx, interview.Event{Hearing: row.Hearing, Type: eventBackupGone, Fields: map[string]any{"device": device, "why": row.Ended}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// sits reports whether somebody's seat in a hearing is at a device.
func (d *door) sits(ctx context.Context, id interview.HearingID, device interview.DeviceID) bool {
	h, err := d.hearings.Hearing(ctx, id)
	return err == nil && slices.ContainsFunc(h.Seats, func(s interview.Seat) bool { return s.Device == device })
}

func put(ctx context.Context, tx bun.Tx, row *backupRow, fresh bool) error {
	var err error
	if fresh {
		_, err = tx.NewInsert().Model(row).Exec(ctx)
	} else {
		_, err = tx.NewUpdate().Model(row).WherePK().Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("keep what %s said of back-ups: %w", row.Device, err)
	}
	return nil
}

// TerminalBackup is one back-up at a room terminal, as the console lists it.
// Times are Unix seconds.
type TerminalBackup struct {
	Device  interview.DeviceID  `json:"device"`
	Label   string              `json:"label"`
	Hearing interview.HearingID `json:"hearing"`
	Diary   string              `json:"diary"`
	Files   int64               `json:"files"`
	Bytes   int64               `json:"bytes"`
	Since   int64               `json:"since"`
	Goes    int64               `json:"goes"` // by age
	Seen    int64               `json:"seen"`
	Ended   string              `json:"ended"` // "": it is there; released, age, room, unknown
}

// ListBackups asks for the back-ups that lie at terminals; All: those too that went.
type ListBackups struct {
	All bool `json:"all"`
}

// TerminalBackups is what lies where.
type TerminalBackups struct {
	Backups []TerminalBackup `json:"backups"`
}

func (d *door) listBackups(ctx context.Context, q ListBackups) (TerminalBackups, error) {
	var rows []backupRow
	find := d.db.NewSelect().Model(&rows).Order("since").Limit(maxListed)
	if !q.All {
		find = find.Where("ended = ''")
	}
	if err := find.Scan(ctx); err != nil {
		return TerminalBackups{}, err
	}
	out := TerminalBackups{Backups: []TerminalBackup{}}
	for _, r := range rows {
		b := TerminalBackup{Device: r.Device, Hearing: r.Hearing, Files: r.Files, Bytes: r.Bytes, Since: r.Since, Goes: r.Goes, Seen: r.Seen, Ended: r.Ended}
		if named, err := d.register.Device(ctx, r.Device); err == nil {
			b.Label = named.Label
		}
		if h, err := d.hearings.Hearing(ctx, r.Hearing); err == nil {
			b.Diary = h.Diary
		}
		out.Backups = append(out.Backups, b)
	}
	return out, nil
}

// Backups lists the back-ups that lie at terminals.
func (c Console) Backups(ctx context.Context, all bool) ([]TerminalBackup, error) {
	var out TerminalBackups
	err := c.post(ctx, "/backups/list", ListBackups{All: all}, &out)
	return out.Backups, err
}
