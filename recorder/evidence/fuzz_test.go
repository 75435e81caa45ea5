package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/evidence"
)

// FuzzLists puts whatever comes into the lists of a bundle that authority then seals,
// as it is and signed by who would sign it, so that what is tried is what the lists
// say and not the manifest's hashes: the bundle verifies, or the wrong place is named.
func FuzzLists(f *testing.F) {
	h := hold(f)
	file := h.Trust()
	name := jws.Hash("x")
	seed := func(list byte, v any) {
		text, err := canon.Marshal(v)
		must(f, err)
		f.Add(list, string(text))
	}
	var statement sealing.Statement
	must(f, jws.Peek(h.other.Statement, sealing.TypeStatement, &statement))
	seed(0, statement)
	seed(1, sealing.Admission{V: 1, Hearing: h.Hearing, Member: h.other.Member()})
	seed(2, sealing.Roster{V: 1, Hearing: h.Hearing, Group: h.Group, Epoch: 2, Chair: h.chair.Member()})
	seed(3, backup.Grant{V: 1, Case: h.Case, Hearing: h.Hearing, Bundle: name, Spans: []backup.Span{{From: 1, To: 2}}, Rosters: []string{}, Statements: []string{}})
	seed(4, backup.Taken{V: 1, Hearing: h.Hearing, Grant: name, Member: h.World.Recorder.Member(), Recordings: []interview.RecordingID{h.Recording}})
	for list := range byte(6) {
		f.Add(list, "{}")
		f.Add(list, "e30.e30.AA\n\n")
	}
	f.Fuzz(func(t *testing.T, list byte, text string) {
		if strings.ContainsAny(text, "\n") && json.Valid([]byte(text)) {
			return
		}
		for _, signed := range []bool{false, true} {
			c, line := h.content, text
			if signed {
				var err error
				switch list % 6 {
				case 1:
					line, err = jws.Sign(json.RawMessage(text), sealing.TypeAdmission, h.StatementKey)
				case 2:
					line, err = jws.Sign(json.RawMessage(text), sealing.TypeRoster, h.chair.Signer())
				case 3:
					line, err = jws.Sign(json.RawMessage(text), backup.TypeGrant, h.Sealing)
				case 4:
					line, err = jws.Sign(json.RawMessage(text), backup.TypeTaken, h.World.Recorder.Signer())
				default:
					continue
				}
				if err != nil {
					continue
				}
			}
			more := func(to []string) []string { return append(append([]string{}, to...), line) }
			switch list % 6 {
			case 0:
				c.Statements = more(c.Statements)
			case 1:
				c.Admissions = more(c.Admissions)
			case 2:
				c.Rosters = more(c.Rosters)
			case 3:
				c.Grants = more(c.Grants)
			case 4:
				c.Taken = more(c.Taken)
			case 5:
				c.Records = more(c.Records)
			}
			var b bytes.Buffer
			if evidence.Build(t.Context(), &b, c, sealer{h.Sealing}) != nil {
				continue
			}
			_, err := verify(b.Bytes(), file, h.options())
			if place := new(evidence.PlaceError); err != nil && !errors.As(err, &place) {
				t.Errorf("wrong, and no place is named: %v", err)
			}
		}
	})
}
