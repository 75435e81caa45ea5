package wire

import (
	"errors"
	"fmt"

	"kuule/internal/canon"
	"kuule/interview"
)

// BackupsPath is where a room terminal's agent says what back-ups lie there, and
// is told which of them are released.
const BackupsPath = "/agent/backups"

// MaxBackups bounds what one report names.
const MaxBackups = 256

// BackupReport is what lies at a device now, and what went without a release since
// it was last asked. Times are Unix seconds.
type BackupReport struct {
	Held []BackupHeld `json:"held"`
	Gone []BackupGone `json:"gone"`
}

// BackupHeld is the back-up of one hearing.
type BackupHeld struct {
	Hearing interview.HearingID `json:"hearing"`
	Files   int64               `json:"files"`
	Bytes   int64               `json:"bytes"`
	Since   int64               `json:"since"`
	Goes    int64               `json:"goes"` // by age
}

// BackupGone is one that the device removed by itself.
type BackupGone struct {
	Hearing interview.HearingID `json:"hearing"`
	At      int64               `json:"at"`
	Why     BackupCause         `json:"why"`
}

// BackupAnswer holds the releases (kuule-backup-release+jws) of what is held.
type BackupAnswer struct {
	Releases []string `json:"releases"`
}

// BackupCause is why a device removed a back-up by itself. The device chooses among
// these and no others: what it says goes into a list that people read, and into the
// audit log.
type BackupCause string

// Causes of a back-up that went without a release.
const (
	BackupAge  BackupCause = "age"  // it was old
	BackupRoom BackupCause = "room" // a newer one needed its place
)

// Known reports whether it is one of them.
func (c BackupCause) Known() bool { return c == BackupAge || c == BackupRoom }

// ErrBackupReport says that a report of back-ups is not one.
var ErrBackupReport = errors.New("malformed report of back-ups")

// ReadBackupReport reads a device's report, strictly: a cause that is not known, or a
// number that nothing has, makes it no report.
func ReadBackupReport(text []byte) (BackupReport, error) {
	var r BackupReport
	if err := canon.Strict(text, &r); err != nil {
		return BackupReport{}, fmt.Errorf("%w: %w", ErrBackupReport, err)
	}
	if len(r.Held) > MaxBackups || len(r.Gone) > MaxBackups {
		return BackupReport{}, fmt.Errorf("%w: it names more than %d", ErrBackupReport, MaxBackups)
	}
	for _, h := range r.Held {
		if h.Hearing.IsZero() || h.Files < 1 || h.Bytes < 0 || h.Since < 0 || h.Goes < 0 {
			return BackupReport{}, fmt.Errorf("%w: a back-up of no hearing, no file or no time", ErrBackupReport)
		}
	}
	for _, g := range r.Gone {
		if g.Hearing.IsZero() || g.At < 0 || !g.Why.Known() {
			return BackupReport{}, fmt.Errorf("%w: one that went, of no hearing, at no time or for the cause %q", ErrBackupReport, g.Why)
		}
	}
	return r, nil
}
