package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kuule/interview"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
)

// lostByCrash is what a crash may cost a track (promise 10).
const lostByCrash interview.Micros = 1_000_000

// crash is what happens when the whole server dies while a hearing is on record.
func (r *rehearsal) crash() []step {
	return []step{
		{name: "server killed and started again", do: r.killServer, long: 2 * time.Minute},
		{name: "a second was lost at most", do: r.afterCrash, long: 3 * time.Minute},
		{name: "closed, since nobody came back", do: r.closeAfterCrash},
		{name: "evidence bundle written", do: r.writeEvidence},
		{name: "the bundle names what was lost", do: r.verifyCrash},
		{name: "back-ups judged", do: r.settle},
		{name: "back-up taken in", do: r.takeIn},
		{name: "the bundle says from where", do: r.verifyTaken},
		{name: "back-up released and deleted", do: r.release},
	}
}

// closeAfterCrash has an open hearing refused evidence, and closed at the console.
func (r *rehearsal) closeAfterCrash(ctx context.Context) (string, error) {
	if _, err := r.writeEvidence(ctx); err == nil || !strings.Contains(err.Error(), "kuule hearing close") {
		return "", fmt.Errorf("evidence of an open hearing: %w", orAccepted(err))
	}
	if err := os.Remove(r.out("evidence.zip")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	said, err := r.tool(ctx, "hearing", "close", r.hearing.ID.String(), "--reason", "palvelin kaatui, kukaan ei palannut", "--data", r.stage.Data())
	first, _, _ := strings.Cut(said, "\n")
	return "refused while it was open; " + first, err
}

// verifyCrash wants the bundle to hold and to name the crash.
func (r *rehearsal) verifyCrash(ctx context.Context) (string, error) {
	report, err := r.report(ctx)
	if err != nil {
		return "", err
	}
	c := report.Coverage
	if len(report.Disputed) > 0 || c.Missing == 0 || c.Recorded+c.OffRecord+c.Missing != c.To-c.From {
		return "", fmt.Errorf("%d recorded, %d off the record, %d missing of %d; disputed: %v", c.Recorded, c.OffRecord, c.Missing, c.To-c.From, report.Disputed)
	}
	r.missing = c.Missing
	return fmt.Sprintf("%d recordings; %d ms on record are missing", len(report.Recordings), c.Missing/1000), nil
}

func (r *rehearsal) killServer(ctx context.Context) (string, error) {
	if err := r.speak(ctx, 3, true); err != nil {
		return "", err
	}
	// Everybody sends all the time: what follows the last block is lost.
	r.crashed = r.interviewer.Now()
	killed, err := r.stage.KillServer()
	if err != nil {
		return "", err
	}
	began := time.Now()
	if err := r.stage.ServeAgain(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("SIGKILL of all %d processes of the server; it answers again after %d ms", killed, time.Since(began).Milliseconds()), nil
}

// afterCrash waits until both recorders are back, by themselves, and judges what
// their journals say in clear. Nobody is in the room any more to end the hearing,
// so there is no evidence of it to seal yet.
func (r *rehearsal) afterCrash(ctx context.Context) (string, error) {
	for {
		lives, err := r.lives()
		if err != nil {
			return "", err
		}
		after := 0
		for _, l := range lives {
			if l.From > r.crashed {
				after++
			}
		}
		if after >= 2 {
			return r.judge(lives)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%d of 2 recorders came back: %w", after, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lives reads every journal of the hearing as far as it is written now.
func (r *rehearsal) lives() ([]coverage.Life, error) {
	paths, err := filepath.Glob(filepath.Join(r.stage.Data(), "recorder", "*", r.hearing.ID.String(), "rec_*"))
	if err != nil {
		return nil, err
	}
	var out []coverage.Life
	for _, path := range paths {
		l, err := lifeOf(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, journal.ErrTruncated) && l.Recording.IsZero() {
			continue // it begins right now
		}
		if err != nil && !errors.Is(err, journal.ErrTruncated) {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func lifeOf(path string) (l coverage.Life, err error) {
	f, err := journal.OpenFolder(path)
	if err != nil {
		return l, err
	}
	defer f.Close()
	for {
		b, err := f.Next()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		l.Recording = b.Head.Recording
		l.From, l.To = f.Covers()
		for _, e := range b.Entries {
			var g journal.Gap
			if e.Type != journal.EntryGap {
				continue
			}
			if err := e.Read(&g); err != nil {
				return l, err
			}
			l.Gaps = append(l.Gaps, g)
		}
	}
}

func (r *rehearsal) judge(lives []coverage.Life) (string, error) {
	last := map[interview.Micros]bool{} // when journals of before the crash end
	before := 0
	var worst interview.Micros
	for _, l := range lives {
		if l.From > r.crashed {
			continue
		}
		before++
		last[l.To] = true
		worst = max(worst, r.crashed-l.To)
	}
	if before != 2 || worst > lostByCrash {
		return "", fmt.Errorf("of %d recordings one lost its last %d ms", before, worst/1000)
	}
	c := coverage.Of(nil, lives)
	if c.Recorded+c.OffRecord+c.Missing != c.To-c.From || c.Missing == 0 {
		return "", fmt.Errorf("the time line does not add up: %d recorded, %d missing of %d µs", c.Recorded, c.Missing, c.To-c.From)
	}
	for _, s := range c.Spans {
		if s.State == coverage.Missing && s.Cause != journal.CauseRestarted {
			return "", fmt.Errorf("%d ms are missing because of %s", (s.To-s.From)/1000, s.Cause)
		}
	}
	for _, l := range lives {
		marked := slices.ContainsFunc(l.Gaps, func(g journal.Gap) bool {
			return g.Cause == journal.CauseRestarted && last[g.From] && g.To == l.From
		})
		if l.From > r.crashed && !marked {
			return "", fmt.Errorf("recording %s does not mark the crash", l.Recording)
		}
	}
	return fmt.Sprintf("each recorder lost its last %d ms at most, came back by itself and marked the gap; %d ms of %d are missing, the rest adds up", worst/1000, c.Missing/1000, (c.To-c.From)/1000), nil
}
