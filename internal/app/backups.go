package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	agentbackup "kuule/attestation/agent/backup"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
)

// SettleBackups asks whether room terminals may delete their back-ups of a
// hearing that has ended.
type SettleBackups struct {
	Hearing interview.HearingID `json:"hearing"`
}

// SettledBackups is the release, or why there is none: then the back-ups are
// wanted.
type SettledBackups struct {
	Release string               `json:"release"` // JWS, "" where back-ups are wanted
	Missing []coverage.Span      `json:"missing"` // that no recorder has
	Silent  []interview.MemberID `json:"silent"`  // recorders of which nothing is here
}

// settled judges verified evidence: back-ups may go where recorders have all
// that was on record, and nothing of any recorder is absent.
func settled(r evidence.Report) SettledBackups {
	out := SettledBackups{Missing: []coverage.Span{}, Silent: append([]interview.MemberID{}, r.Silent...)}
	for _, s := range r.Coverage.Spans {
		if s.State == coverage.Missing {
			out.Missing = append(out.Missing, s)
		}
	}
	return out
}

// wanted reports whether something can only come from a back-up.
func (s SettledBackups) wanted() bool { return len(s.Missing)+len(s.Silent) > 0 }

// settleBackups makes the hearing's evidence once more and verifies it as anybody
// would, from the trust file alone. Only where that shows no gap has it authority
// sign the release.
func (d *door) settleBackups(ctx context.Context, q SettleBackups) (SettledBackups, error) {
	now, err := (hearings{d}).Phase(ctx, q.Hearing)
	if err != nil {
		return SettledBackups{}, err
	}
	if now.Phase != interview.PhaseEnded {
		return SettledBackups{}, problem.New(problem.CodeRecordingState, "hearing %s has not ended", q.Hearing)
	}
	f, err := os.CreateTemp(d.in.path("."), "settle-*.zip")
	if err != nil {
		return SettledBackups{}, err
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
	if err := d.buildEvidence(ctx, q.Hearing, f); err != nil {
		return SettledBackups{}, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return SettledBackups{}, err
	}
	r, err := evidence.Verify(f, size, d.in.trust, evidence.Options{Log: VerifyLog})
	if err != nil {
		return SettledBackups{}, fmt.Errorf("back-ups of %s stay: its evidence does not verify: %w", q.Hearing, err)
	}
	out := settled(r)
	if out.wanted() {
		return out, nil
	}
	out.Release, err = busSeal{d.conn}.seal(ctx, agentbackup.ReleaseType, agentbackup.Release{V: 1, Hearing: q.Hearing, At: time.Now().Unix()})
	return out, err
}

// SettleBackups asks a running installation about back-ups.
func (c Console) SettleBackups(ctx context.Context, id interview.HearingID) (out SettledBackups, err error) {
	err = c.post(ctx, "/backups", SettleBackups{id}, &out)
	return out, err
}
