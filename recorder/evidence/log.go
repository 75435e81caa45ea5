package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kuule/internal/audit"
	"kuule/internal/canon"
	"kuule/internal/trust"
	"kuule/interview"
)

// EventHead is the audit event that puts a journal's chain into the log, with
// the fields recording, seq and head.
const EventHead = "recording.head"

// Files of audit/ as AuditLog reads them.
const (
	proofsName    = "proofs"    // one LogEntry a line, canonical JSON
	cosignersName = "cosigners" // one a line: what shows whose a cosigning key is
)

// LogEntry is one audit event of a hearing with its proof. Bodies hold ids,
// codes, hashes and numbers, never personal content.
type LogEntry struct {
	Proof audit.Proof `json:"proof"`
	Body  string      `json:"body"` // canonical JSON
	Salt  string      `json:"salt"` // base64url
}

// LogFiles makes the files of audit/ for Content.
func LogFiles(entries []LogEntry, cosigners []string) ([]Blob, error) {
	texts := make([]string, len(entries))
	for i, e := range entries {
		b, err := canon.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("log entry %d: %w", i+1, err)
		}
		texts[i] = string(b)
	}
	return []Blob{Bytes(cosignersName, lines(cosigners)), Bytes(proofsName, lines(texts))}, nil
}

// AuditLog verifies the log of internal/audit under the trust file's log key.
// cosigner checks one line of cosigners and gives the verifier key that it
// shows to be an outsider's, or "" for one that does not count as outside; a
// line that does not hold is an error.
func AuditLog(cosigner func(t *trust.File, message string) (key string, err error)) LogVerifier {
	return func(t *trust.File, m Manifest, files map[string][]byte) (LogReport, error) {
		r := LogReport{Cosigned: []string{}}
		for name := range files {
			if name != proofsName && name != cosignersName {
				return r, fmt.Errorf("%s belongs to no log", name)
			}
		}
		var keys []string
		for i, text := range split(files[cosignersName]) {
			k, err := cosigner(t, text)
			if err != nil {
				return r, fmt.Errorf("%s: %s: %w", cosignersName, line(i), err)
			}
			if k != "" {
				keys = append(keys, k)
			}
		}
		for i, text := range split(files[proofsName]) {
			if err := r.entry(text, m.Hearing, t.LogKey, keys); err != nil {
				return r, fmt.Errorf("%s: %s: %w", proofsName, line(i), err)
			}
		}
		return r, nil
	}
}

func split(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func (r *LogReport) entry(text string, hearing interview.HearingID, logKey string, cosigners []string) error {
	var e LogEntry
	if err := canon.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	salt, err := base64.RawURLEncoding.DecodeString(e.Salt)
	if err != nil {
		return errors.New("salt is not base64url")
	}
	leaf, checkpoint, err := audit.VerifyInclusion(e.Proof, logKey, cosigners)
	if err != nil {
		return err
	}
	if err := leaf.CheckBody([]byte(e.Body), salt); err != nil {
		return err
	}
	var body struct {
		ID      string         `json:"id"`
		Type    string         `json:"type"`
		V       int            `json:"v"`
		Hearing string         `json:"hearing"`
		Fields  map[string]any `json:"fields"`
	}
	if err := canon.Unmarshal([]byte(e.Body), &body); err != nil {
		return err
	}
	if body.Hearing != hearing.String() {
		return errors.New("the event is of another hearing")
	}
	if body.Type == EventHead {
		recording, _ := body.Fields["recording"].(string)
		seq, _ := body.Fields["seq"].(float64) // canon: an exact integer
		head, _ := body.Fields["head"].(string)
		id, err := interview.ParseRecordingID(recording)
		if err != nil || head == "" {
			return errors.New("the event names no block of a recording")
		}
		r.Heads = append(r.Heads, LoggedHead{id, int64(seq), head})
	}
	r.Entries++
	for _, c := range checkpoint.Cosigned {
		if !slices.Contains(r.Cosigned, c.Name) {
			r.Cosigned = append(r.Cosigned, c.Name)
		}
	}
	return nil
}
