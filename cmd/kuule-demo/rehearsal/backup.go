package rehearsal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kuule/cmd/kuule-demo/people"
	"kuule/cmd/kuule-demo/stage"
	"kuule/interview"
)

// backups is what becomes of the terminal's back-up: judged, taken in where both
// recorders failed, and released.
func (r *rehearsal) backups() []step {
	return []step{
		{name: "back-ups judged", do: r.settle},
		{name: "back-up taken in", do: r.takeIn},
		{name: "the bundle says from where", do: r.verifyTaken},
		{name: "back-up released and deleted", do: r.release},
	}
}

// dyingWords has the applicant speak while no recorder lives: only the terminal's
// own back-up can have it.
func (r *rehearsal) dyingWords(ctx context.Context) (said <-chan error) {
	done := make(chan error, 1)
	go func() {
		_, err := r.terminal.Say(ctx, r.media.Clips[applicantClip])
		done <- err
	}()
	return done
}

// applicantClip is a sentence of the applicant of some seconds.
const applicantClip = 5

// lostWords notes what was said between the kill and the pause. What is listened to
// later leaves out 200 ms at both ends, which here would be all of it: the sentence
// began before, and nothing is heard after.
func (r *rehearsal) lostWords(from, to interview.Micros) {
	from, to = from-180_000, to+150_000
	r.spans = append(r.spans, said{r.media.Clips[applicantClip], "terminal", people.Span{From: from, To: to}, true})
}

// takeIn hands the terminal's files to the server, as the holder of the back-up key
// does.
func (r *rehearsal) takeIn(ctx context.Context) (string, error) {
	if r.missing == 0 {
		return "nothing is missing: nothing to take in", nil
	}
	files, err := r.stage.Device(stage.DeviceApplicant).Backups(r.hearing.ID)
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("the terminal has %d back-ups: %w", len(files), orAccepted(err))
	}
	args := append([]string{"recording", "intake", "--key", filepath.Join(r.stage.Data(), "authority", "backup.key"), "--data", r.stage.Data()}, files...)
	said, err := r.tool(ctx, args...)
	first, _, _ := strings.Cut(said, "\n")
	return first, err
}

// verifyTaken wants the new bundle to hold, and to say which seconds come from the
// back-up and what is still missing.
func (r *rehearsal) verifyTaken(ctx context.Context) (string, error) {
	if r.missing == 0 {
		return "nothing was taken in", nil
	}
	if err := os.Remove(r.out("evidence.zip")); err != nil {
		return "", err
	}
	if _, err := r.writeEvidence(ctx); err != nil {
		return "", err
	}
	report, err := r.report(ctx)
	if err != nil {
		return "", err
	}
	whole, err := os.ReadFile(r.out("evidence.zip"))
	if err != nil {
		return "", err
	}
	for _, event := range []string{"backup.granted", "backup.taken"} {
		if !bytes.Contains(whole, []byte(event)) {
			return "", fmt.Errorf("the bundle's log has no %s", event)
		}
	}
	c := report.Coverage
	before := r.missing
	r.missing, r.taken = c.Missing, c.Backup
	switch {
	case len(report.Disputed) > 0:
		return "", fmt.Errorf("phases are disputed: %s", strings.Join(report.Disputed, "; "))
	case len(report.Taken) != 1 || c.Backup == 0 || c.Backup+c.Missing != before:
		return "", fmt.Errorf("%d ms were missing; now %d come from a back-up and %d are missing", before/1000, c.Backup/1000, c.Missing/1000)
	case c.Recorded+c.OffRecord+c.Backup+c.Missing != c.To-c.From:
		return "", errors.New("the time line does not add up")
	}
	for _, rec := range report.Recordings {
		if b := rec.Backup; b != nil && strings.Contains(fmt.Sprint(b.Roles), string(interview.RoleApplicant)) {
			return fmt.Sprintf("of %d ms without a recorder %d are the applicant's own sound from the back-up, named as such; %d are missing", before/1000, c.Backup/1000, c.Missing/1000), nil
		}
	}
	return "", errors.New("no recording says that it comes from the applicant's terminal")
}

// markedBackups wants the player's time line to mark exactly what was taken in.
func (r *rehearsal) markedBackups() (string, error) {
	var marked interview.Micros
	for _, s := range r.watched.outline.Backups {
		marked += s.To - s.From
	}
	if marked < r.taken {
		return "", fmt.Errorf("%d ms come from a back-up, and the time line marks %d", r.taken/1000, marked/1000)
	}
	if marked == 0 {
		return "", nil
	}
	return fmt.Sprintf(", %d ms of them marked as from the back-up", marked/1000), nil
}

// release has authority judge once more, and the terminal delete.
func (r *rehearsal) release(ctx context.Context) (string, error) {
	if r.missing > 0 {
		return fmt.Sprintf("%d ms are missing still: the back-up stays until it goes by age", r.missing/1000), nil
	}
	release := r.out("backup.release")
	if err := os.Remove(release); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if _, err := r.tool(ctx, "recording", "settle", r.hearing.ID.String(), "--out", release, "--data", r.stage.Data()); err != nil {
		return "", err
	}
	began := time.Now()
	for {
		files, err := r.stage.Device(stage.DeviceApplicant).Backups(r.hearing.ID)
		if err != nil {
			return "", err
		}
		if len(files) == 0 {
			return fmt.Sprintf("released by authority; the terminal asked and deleted it after %d ms, nobody carried anything", time.Since(began).Milliseconds()), nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return "", fmt.Errorf("%d back-ups lie at the terminal: %w", len(files), ctx.Err())
		}
	}
}
