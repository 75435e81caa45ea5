package evidence

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kuule/internal/audit"
	"kuule/internal/audit/stamp"
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
	stampsName    = "stamps"    // one LogStamp a line, canonical JSON; there only where one covers an entry
)

// maxStamps bounds the time stamps of a bundle.
const maxStamps = 1024

// LogEntry is one audit event of a hearing with its proof. Bodies hold ids,
// codes, hashes and numbers, never personal content.
type LogEntry struct {
	Proof audit.Proof `json:"proof"`
	Body  string      `json:"body"` // canonical JSON
	Salt  string      `json:"salt"` // base64url
}

// LogStamp is a checkpoint that a time-stamping authority (RFC 3161) stamped, with
// what shows that its log and those of the proofs' checkpoints continue each other.
type LogStamp struct {
	Checkpoint string      `json:"checkpoint"` // signed note
	Answer     string      `json:"answer"`     // base64url: the authority's TimeStampResp
	Beside     []LogBeside `json:"beside"`
}

// LogBeside is the proof of consistency of a stamp's log and another.
type LogBeside struct {
	Entries int64    `json:"entries"` // of the other
	Hashes  [][]byte `json:"hashes"`  // from the smaller of the two to the larger
}

// StampReport is one time stamp of a bundle.
type StampReport struct {
	Entries   int64      `json:"entries"`             // of the hearing that it covers
	Checked   bool       `json:"checked"`             // the authority's roots were given
	At        *time.Time `json:"at,omitempty"`        // they were there at the latest; where it was checked
	Authority string     `json:"authority,omitempty"` // the certificate's subject
}

// LogFiles makes the files of audit/ for Content.
func LogFiles(entries []LogEntry, cosigners []string, stamps ...LogStamp) ([]Blob, error) {
	texts := make([]string, len(entries))
	for i, e := range entries {
		b, err := canon.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("log entry %d: %w", i+1, err)
		}
		texts[i] = string(b)
	}
	out := []Blob{Bytes(cosignersName, lines(cosigners)), Bytes(proofsName, lines(texts))}
	if len(stamps) == 0 {
		return out, nil
	}
	texts = make([]string, len(stamps))
	for i, s := range stamps {
		b, err := canon.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("time stamp %d: %w", i+1, err)
		}
		texts[i] = string(b)
	}
	return append(out, Bytes(stampsName, lines(texts))), nil
}

// AuditLog verifies the log of internal/audit under the trust file's log key.
// cosigner checks one line of cosigners and gives the verifier key that it
// shows to be an outsider's, or "" for one that does not count as outside; a
// line that does not hold is an error.
func AuditLog(cosigner func(t *trust.File, message string) (key string, err error)) LogVerifier {
	return StampedLog(cosigner, nil)
}

// StampedLog is AuditLog that checks time stamps too, under the roots of their
// authority. Without roots only that they are of this log is checked.
func StampedLog(cosigner func(t *trust.File, message string) (key string, err error), roots *x509.CertPool) LogVerifier {
	return func(t *trust.File, m Manifest, files map[string][]byte) (LogReport, error) {
		r := LogReport{Cosigned: []string{}}
		for name := range files {
			if name != proofsName && name != cosignersName && name != stampsName {
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
		logs := provedLogs{}
		for i, text := range split(files[proofsName]) {
			if err := r.entry(text, m.Hearing, t.LogKey, keys, logs); err != nil {
				return r, fmt.Errorf("%s: %s: %w", proofsName, line(i), err)
			}
		}
		stamps := split(files[stampsName])
		if len(stamps) > maxStamps {
			return r, fmt.Errorf("%s: more than %d", stampsName, maxStamps)
		}
		for i, text := range stamps {
			s, err := stampOf(text, t.LogKey, logs, roots)
			if err != nil {
				return r, fmt.Errorf("%s: %s: %w", stampsName, line(i), err)
			}
			r.Stamps = append(r.Stamps, s)
		}
		return r, nil
	}
}

// provedLogs are the checkpoints under which entries were proved, and those entries.
type provedLogs map[string]*provedLog

type provedLog struct {
	audit.Checkpoint
	entries []uint64
}

// stampOf checks one time stamp: that its checkpoint is the log's, and which entries
// of the hearing are in it; under roots also that an authority stamped it.
func stampOf(text, logKey string, logs provedLogs, roots *x509.CertPool) (StampReport, error) {
	var s LogStamp
	if err := canon.Unmarshal([]byte(text), &s); err != nil {
		return StampReport{}, err
	}
	stamped, err := audit.VerifyCheckpoint(s.Checkpoint, logKey, nil)
	if err != nil {
		return StampReport{}, err
	}
	var r StampReport
	for _, x := range logs {
		i := slices.IndexFunc(s.Beside, func(b LogBeside) bool { return b.Entries == int64(x.Size) })
		if i < 0 {
			continue
		}
		older, newer := stamped, x.Checkpoint
		if older.Size > newer.Size {
			older, newer = newer, older
		}
		if err := audit.VerifyConsistency(older, newer, s.Beside[i].Hashes); err != nil {
			return StampReport{}, err
		}
		for _, index := range x.entries {
			if index < stamped.Size {
				r.Entries++
			}
		}
	}
	if r.Entries == 0 {
		return StampReport{}, errors.New("it covers no entry")
	}
	if roots == nil {
		return r, nil
	}
	answer, err := base64.RawURLEncoding.DecodeString(s.Answer)
	if err != nil {
		return StampReport{}, errors.New("answer is not base64url")
	}
	said, err := stamp.Verify(answer, []byte(s.Checkpoint), roots)
	if err != nil {
		return StampReport{}, err
	}
	r.Checked, r.At, r.Authority = true, &said.At, said.Authority
	return r, nil
}

func split(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func (r *LogReport) entry(text string, hearing interview.HearingID, logKey string, cosigners []string, logs provedLogs) error {
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
	if logs[e.Proof.Checkpoint] == nil {
		logs[e.Proof.Checkpoint] = &provedLog{Checkpoint: checkpoint}
	}
	proved := logs[e.Proof.Checkpoint]
	proved.entries = append(proved.entries, e.Proof.Index)
	for _, c := range checkpoint.Cosigned {
		if !slices.Contains(r.Cosigned, c.Name) {
			r.Cosigned = append(r.Cosigned, c.Name)
		}
	}
	return nil
}
