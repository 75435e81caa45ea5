package stamp_test

import (
	"os"
	"path/filepath"
	"testing"

	"kuule/internal/audit/stamp"
)

// The first stamp that covers an entry is given: it says the earliest time. What is
// half written, or named otherwise, is none.
func TestTheFirstStampThatCoversAnEntry(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, n := range []uint64{100, 9, 20} {
		if err := stamp.Keep(folder, n, []byte{byte(n)}, []byte{byte(n), 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"checkpoint-5.txt", "checkpoint-x.tsr", "other-7.tsr"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for entry, want := range map[uint64]byte{0: 9, 8: 9, 9: 20, 19: 20, 20: 100, 99: 100, 100: 0} {
		text, answer, err := stamp.Covering(folder, entry)
		if err != nil {
			t.Fatal(err)
		}
		if want == 0 && (text != "" || answer != nil) || want != 0 && (text != string([]byte{want}) || len(answer) != 2 || answer[0] != want) {
			t.Errorf("entry %d: %q %v, want %d", entry, text, answer, want)
		}
	}
	if text, _, err := stamp.Covering(filepath.Join(folder, "none"), 0); err != nil || text != "" {
		t.Errorf("no folder: %q, %v", text, err)
	}
}
