package app

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/uptrace/bun"

	"kuule/internal/blob"
	"kuule/internal/keyring"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/ledger"
	"kuule/interview/retention"
	"kuule/recorder"
)

type (
	keepQuestion struct {
		Case  interview.CaseID `json:"case"`
		Until int64            `json:"until"` // Unix seconds
		Held  bool             `json:"held"`
	}
	erasedQuestion struct {
		Proof string `json:"proof"` // kuule-erasure+jws
	}
)

func (in *installation) sealingKey() (crypto.PublicKey, error) { return in.trust.Sealing() }

// lockedArchive locks each file as it is put, where the storage is write-once:
// until the first day on which any rule could let it go.
type lockedArchive struct{ blob.Store }

// Put implements recorder.Archive.
func (a lockedArchive) Put(ctx context.Context, name string, content io.Reader) error {
	if !a.WriteOnce() {
		return a.Store.Put(ctx, name, content)
	}
	return a.PutRetained(ctx, name, content, firstLock(time.Now()))
}

// firstLock is the end of the period that would begin now, on the first of its
// month: so that a lock moves once a month while a matter is open.
func firstLock(now time.Time) time.Time {
	least := retention.Current().Least(now)
	return least.AddDate(0, 0, 1-least.Day())
}

// eraseFiles removes the files of a case whose recording key was destroyed.
// That it was is authority's signed word, not the door's; which hearings are
// the case's, the recorder knows from when it recorded them.
func eraseFiles(ctx context.Context, rec *recorder.Recorder, key crypto.PublicKey, q erasedQuestion) (recorder.Remains, error) {
	t, err := retention.VerifyTombstone(q.Proof, key)
	if err != nil {
		return recorder.Remains{}, problem.Refused(problem.CodeForbidden, "erasure-proof", "%w", err)
	}
	c, err := interview.ParseCaseID(t.Subject)
	if err != nil || !covers(t, []keyring.Kind{keyring.Recording}) {
		return recorder.Remains{}, problem.Refused(problem.CodeForbidden, "erasure-proof", "the proof is of %s, whose recording key it does not name", t.Subject)
	}
	return rec.EraseCase(ctx, c)
}

// eventFiles is the audit event of files that went after their keys.
const eventFiles = "erasure.files"

// fileRow is what remains of an erased case's files at one recorder.
type fileRow struct {
	bun.BaseModel `bun:"table:erased_file"`
	Case          string `bun:"case_id,pk"`
	Recorder      string `bun:"recorder,pk"`
	Deleted       int64  `bun:"deleted"` // so far
	Left          int64  `bun:"left_behind"`
	Until         int64  `bun:"until"` // Unix seconds; 0: none is left
	At            int64  `bun:"at"`
}

// clearFiles has every recorder remove what is left of cases whose recording
// key was destroyed. Each look asks again: a back-up of a recorder's disk brings
// nothing back, and what was locked goes when its time comes.
func (d *keepingDesk) clearFiles(ctx context.Context, out *ErasureReport) error {
	proofs, err := d.store.Tombstones(ctx)
	if err != nil {
		return err
	}
	for _, message := range proofs {
		t, err := retention.VerifyTombstone(message, d.sealing)
		if err != nil {
			return err
		}
		if !covers(t, []keyring.Kind{keyring.Recording}) {
			continue
		}
		for _, name := range d.in.recorderNames() {
			var left recorder.Remains
			if err := d.conn.Call(ctx, name, "recorder.erase", erasedQuestion{message}, &left); err != nil {
				out.Failed = append(out.Failed, fmt.Sprintf("files of %s at %s: %s", t.Subject, name, err))
				continue
			}
			if err := d.keepRemains(ctx, t.Subject, name.String(), left); err != nil {
				return err
			}
			out.Files += left.Deleted
		}
	}
	return nil
}

// keepRemains keeps, dated, what went and what is left, and logs it where it changed.
func (d *keepingDesk) keepRemains(ctx context.Context, subject, name string, left recorder.Remains) error {
	return d.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var rows []fileRow
		if err := tx.NewSelect().Model(&rows).Where("case_id = ?", subject).Where("recorder = ?", name).Scan(ctx); err != nil {
			return err
		}
		row := fileRow{Case: subject, Recorder: name}
		if len(rows) > 0 {
			row = rows[0]
		}
		if left.Deleted == 0 && row.Left == int64(left.Left) {
			return nil
		}
		row.Deleted, row.Left, row.Until, row.At = row.Deleted+int64(left.Deleted), int64(left.Left), 0, time.Now().Unix()
		if !left.Until.IsZero() {
			row.Until = left.Until.Unix()
		}
		if _, err := tx.NewInsert().Model(&row).On("CONFLICT (case_id, recorder) DO UPDATE").Set("deleted = EXCLUDED.deleted").Set("left_behind = EXCLUDED.left_behind").Set("until = EXCLUDED.until").Set("at = EXCLUDED.at").Exec(ctx); err != nil {
			return err
		}
		return ledger.Outbox{}.Append(ctx, tx, interview.Event{Type: eventFiles, Fields: map[string]any{
			"subject": subject, "recorder": name, "deleted": left.Deleted, "left": left.Left, "until": row.Until, "at": row.At,
		}})
	})
}

// FilesLeft is what remains of an erased case's files, as its page shows it.
type FilesLeft struct {
	Deleted int64 `json:"deleted"`
	Left    int64 `json:"left"`
	Until   int64 `json:"until"` // Unix seconds; 0: none is left
	At      int64 `json:"at"`
}

func (d *keepingDesk) filesLeft(ctx context.Context, c interview.CaseID) (out FilesLeft, err error) {
	var rows []fileRow
	if err := d.db.NewSelect().Model(&rows).Where("case_id = ?", c.String()).Scan(ctx); err != nil {
		return FilesLeft{}, err
	}
	for _, r := range rows {
		out.Deleted, out.Left, out.Until, out.At = out.Deleted+r.Deleted, out.Left+r.Left, max(out.Until, r.Until), max(out.At, r.At)
	}
	return out, nil
}

// lockFiles moves the locks of a case's archived files with its clock (L5),
// where the storage is write-once.
func (d *keepingDesk) lockFiles(ctx context.Context, c interview.CaseID, f retention.Facts, out *ErasureReport) {
	if d.in.Blobs.Backend != "s3" {
		return
	}
	q := keepQuestion{Case: c, Until: d.fileLock(f, time.Now()).Unix(), Held: f.Holds > 0}
	for _, name := range d.in.recorderNames() {
		if err := d.conn.Call(ctx, name, "recorder.keep", q, nil); err != nil {
			out.Failed = append(out.Failed, fmt.Sprintf("locks of %s at %s: %s", c, name, err))
			slog.Warn("locks of files were not extended", "case", c, "recorder", name, "err", err)
		}
	}
}

// fileLock is until when a case's files are locked: its period where one runs,
// and while a matter is open at least what would begin now.
func (d *keepingDesk) fileLock(f retention.Facts, now time.Time) time.Time {
	k := d.store.Rules().Keep(retention.ClassRecording, f, now)
	if !k.Until.IsZero() {
		return k.Until
	}
	if lock := firstLock(now); f.Extended.Before(lock) {
		return lock
	}
	return f.Extended
}
