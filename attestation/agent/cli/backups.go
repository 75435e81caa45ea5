package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"kuule/attestation/agent/backup"
	"kuule/attestation/wire"
	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	// reportEvery is how often a terminal that holds a back-up says so and asks
	// whether it is released.
	reportEvery   = 10 * time.Second
	reportTimeout = 20 * time.Second
	pruneEvery    = time.Hour
)

// reporter tells the server what back-ups lie here and deletes what authority
// releases: nobody has to carry anything. The server's word alone deletes nothing.
type reporter struct {
	device interview.DeviceID
	server string
	http   *http.Client
	store  *backup.Store
	log    *slog.Logger
}

func (r reporter) run(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var pruned time.Time
	told := true // an empty report once, so that the server forgets what went
	for {
		if time.Since(pruned) > pruneEvery {
			pruned = time.Now()
			if err := r.store.Prune(pruned); err != nil {
				r.log.Warn("old back-ups were not removed", "err", err)
			}
		}
		more, err := r.report(ctx, told)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("the server was not told of back-ups", "err", err)
		}
		told = more || err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// report says once what is here. more: there is something to say next time too.
func (r reporter) report(ctx context.Context, even bool) (more bool, err error) {
	err = r.store.Gone(func(gone []backup.Gone) error {
		held, err := r.store.Held()
		if err != nil {
			return err
		}
		more = len(held) > 0
		if !more && len(gone) == 0 && !even {
			return nil
		}
		in := wire.BackupReport{Held: []wire.BackupHeld{}, Gone: []wire.BackupGone{}}
		for _, h := range held[:min(len(held), wire.MaxBackups)] {
			in.Held = append(in.Held, wire.BackupHeld{Hearing: h.Hearing, Files: int64(h.Files), Bytes: h.Bytes, Since: h.Since.Unix(), Goes: h.Goes().Unix()})
		}
		for _, g := range gone[:min(len(gone), wire.MaxBackups)] {
			in.Gone = append(in.Gone, wire.BackupGone{Hearing: g.Hearing, At: g.At.Unix(), Why: g.Why})
			r.log.Warn("a back-up went without a release", "hearing", g.Hearing, "why", g.Why)
		}
		out, err := r.ask(ctx, in)
		if err != nil {
			return err
		}
		for _, message := range out.Releases {
			if err := r.store.Release(message, r.device); err != nil {
				r.log.Warn("a release of a back-up was refused", "err", err)
				continue
			}
			r.log.Info("a back-up was released and is deleted")
		}
		return nil
	})
	return more, err
}

func (r reporter) ask(ctx context.Context, in wire.BackupReport) (out wire.BackupAnswer, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.server+wire.BackupsPath, bytes.NewReader(text))
	if err != nil {
		return out, err
	}
	resp, err := r.http.Do(q)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxRequest*4))
	if err != nil {
		return out, err
	}
	if resp.StatusCode != http.StatusOK {
		var d problem.Document
		if json.Unmarshal(body, &d) == nil && d.Code != "" {
			return out, d.Err()
		}
		return out, fmt.Errorf("%s: %s", wire.BackupsPath, resp.Status)
	}
	return out, canon.Strict(body, &out)
}
