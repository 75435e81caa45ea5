package journal_test

import (
	"strings"
	"testing"

	"kuule/internal/jws"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// H5: a reader made from the document tells a journal that was taken in from one of a
// recorder: statement and admission say so together, or it is wrong.
func TestAnotherReaderTellsWhatWasTakenIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		connected bool
		rule      string // of its own admission; "": it holds none
		holds     bool
	}{
		"a recorder of a room":                      {true, "recorder", true},
		"a recorder that holds no admission":        {true, "", true},
		"taken in under a grant":                    {false, "backup-grant.x", true},
		"taken in, and nothing says so":             {false, "", false},
		"taken in, as by a recorder of a room":      {false, "recorder", false},
		"a grant, and its recorder was in the room": {true, "backup-grant.x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := journaltest.New(t)
			by := w.Recorder
			if !c.connected {
				by = w.Taker()
			}
			path, disk := folder(t)
			cfg := w.Config(disk)
			cfg.Signer, cfg.Opened.Member, cfg.Opened.Statement = by.Signer(), by.Member(), by.Statement
			j, err := journal.Create(cfg)
			must(t, err)
			if c.rule != "" {
				var a sealing.Admission
				must(t, jws.Peek(by.Admission, sealing.TypeAdmission, &a))
				a.Rule = c.rule
				text, err := jws.Sign(a, sealing.TypeAdmission, w.StatementKey)
				must(t, err)
				e, err := journal.NewSigned(journal.EntryAdmission, 1, text)
				must(t, err)
				must(t, j.AddEntry(e))
			}
			must(t, j.Close("ended"))
			line := otherReader(t, nil, path)[0]
			if c.holds == strings.Contains(line, `{"wrong":`) {
				t.Fatal(line)
			}
			if !c.holds && !strings.Contains(refusal(t, line).Reason, "back-up") {
				t.Error(line)
			}
		})
	}
}
