package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kuule/interview"
)

// TypeEvidence is the JWS "typ" of a manifest.
const TypeEvidence = "kuule-evidence+jws"

const manifestName = "manifest.jws"

// ErrManifest says that a manifest does not read or does not say what a bundle needs.
var ErrManifest = errors.New("manifest does not hold")

// Manifest says what is in a bundle. It is signed by authority's sealing key.
type Manifest struct {
	V          int                 `json:"v"` // 2
	Case       interview.CaseID    `json:"case"`
	Hearing    interview.HearingID `json:"hearing"`
	MadeAt     int64               `json:"made_at"` // Unix seconds
	Recordings []Recording         `json:"recordings"`
	Checkpoint string              `json:"checkpoint"` // of the audit log, as the bundle's maker saw it; may be ""
	Files      []FileEntry         `json:"files"`      // all but the manifest, in the order of their names
}

// Recording is one journal of the bundle.
type Recording struct {
	Recording interview.RecordingID `json:"recording"`
	Member    interview.MemberID    `json:"member"`
	Files     int64                 `json:"files"`
	Blocks    int64                 `json:"blocks"`
	Head      string                `json:"head"` // hash of the last block
	From      interview.Micros      `json:"from"`
	To        interview.Micros      `json:"to"`
	Closed    bool                  `json:"closed"`
}

// FileEntry is one file of the bundle.
type FileEntry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // base64url; "" of a journal's files, whose last head is named
}

// Sealer has authority sign a manifest as a compact JWS of TypeEvidence.
type Sealer interface {
	SealEvidence(ctx context.Context, m Manifest) (string, error)
}

func (m *Manifest) check() error {
	switch {
	case m.V != 2:
		return fmt.Errorf("%w: version %d is not known", ErrManifest, m.V)
	case m.Case.IsZero() || m.Hearing.IsZero():
		return fmt.Errorf("%w: case or hearing is missing", ErrManifest)
	case len(m.Files) > MaxFiles:
		return fmt.Errorf("%w: too many files", ErrManifest)
	}
	for i, f := range m.Files {
		if err := checkName(f.Name); err != nil {
			return fmt.Errorf("%w: %w", ErrManifest, err)
		}
		if f.Name == manifestName || i > 0 && strings.Compare(m.Files[i-1].Name, f.Name) >= 0 {
			return fmt.Errorf("%w: %s is out of order", ErrManifest, f.Name)
		}
		if f.Size < 0 || f.Size > MaxFileSize {
			return fmt.Errorf("%w: size of %s", ErrManifest, f.Name)
		}
		if inJournal(f.Name) != (f.SHA256 == "") {
			return fmt.Errorf("%w: hash of %s", ErrManifest, f.Name)
		}
	}
	return nil
}

// inJournal tells the files that a journal's own chain proves.
func inJournal(name string) bool { return strings.HasPrefix(name, journalFolder) }
