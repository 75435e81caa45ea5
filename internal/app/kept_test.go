package app_test

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// readJournals opens the journals of a hearing one after the other: block is given
// what each block has in clear and under its seal, and ended, where it is set, each journal once it is read
// through. It returns how many there are.
func readJournals(t *testing.T, folder string, keys *journaltest.Wrapper, h interview.HearingID, block func(clear []journal.Entry, frames []journal.Frame, sealed []journal.Entry), ended func(*journal.Folder)) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, h.String(), "rec_*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := journal.OpenFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, err := f.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			key, err := journal.ParseDataKey(keys.Keys[journal.WrapContext(h, f.Opened().Recording)])
			if err != nil {
				t.Fatal(err)
			}
			frames, sealed, err := b.Open(key)
			if err != nil {
				t.Fatal(err)
			}
			block(b.Entries, frames, sealed)
		}
		if ended != nil {
			ended(f)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return len(paths)
}

// gapsOf are the gaps that a block tells of, in clear.
func gapsOf(t *testing.T, entries []journal.Entry) (out []journal.Gap) {
	t.Helper()
	for _, e := range entries {
		if e.Type != journal.EntryGap {
			continue
		}
		var g journal.Gap
		if err := e.Read(&g); err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}
