package journal_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// dual writes two recordings of the same frames; each keeps what keep says.
func dual(t *testing.T, keep func(recorder, n int) bool) (paths [2]string, keys [2]journal.DataKey, sent int) {
	t.Helper()
	w := journaltest.New(t)
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	frames := make([]journal.Frame, 200)
	for i := range frames {
		frames[i] = s.Seal(interview.Micros(i)*20_000, true, []byte{0xf8, byte(i)})
	}
	for r := range paths {
		w.Recording = interview.NewRecordingID()
		paths[r] = t.TempDir() + "/rec"
		disk, err := journal.Directory(paths[r])
		must(t, err)
		cfg := w.Config(disk)
		cfg.Interval = 5_000_000 // 5 ms: many blocks
		j, err := journal.Create(cfg)
		must(t, err)
		e, err := journal.NewSenderKeyEntry(1, s.SenderKey())
		must(t, err)
		must(t, j.AddEntry(e))
		for i, f := range frames {
			if keep(r, i) {
				must(t, j.Append(f))
			}
		}
		must(t, j.Close("ended"))
		keys[r] = w.Key
	}
	return paths, keys, len(frames)
}

func merged(t *testing.T, paths [2]string, keys [2]journal.DataKey) (given []uint64, again int, faults []error) {
	t.Helper()
	var parts []journal.Part
	for i, p := range paths {
		f, err := journal.OpenFolder(p)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		parts = append(parts, journal.Part{Reader: journal.NewReader(f.Sources()...), Key: keys[i]})
	}
	m := journal.NewMerge(parts...)
	for {
		x, err := m.Next()
		if errors.Is(err, io.EOF) {
			return given, again, faults
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		again += len(x.Twice)
		for _, f := range x.Frames {
			given = append(given, f.Counter)
		}
	}
}

func whole(t *testing.T, given []uint64, want int) {
	t.Helper()
	seen := map[uint64]int{}
	for _, c := range given {
		seen[c]++
	}
	for c := range uint64(want) {
		if seen[c] != 1 {
			t.Fatalf("frame %d was given %d times", c, seen[c])
		}
	}
	if len(given) != want {
		t.Fatalf("%d frames were given, %d were sent", len(given), want)
	}
}

// H5: two recorders, each with its own losses, make one whole recording.
func TestWhatOneRecorderMissedComesFromTheOther(t *testing.T) {
	t.Parallel()
	paths, keys, sent := dual(t, func(r, n int) bool {
		if r == 0 {
			return n%10 != 3 && n < 120 // losses, and it dies
		}
		return n%10 != 7 || n >= 120 // loses other frames
	})
	given, again, faults := merged(t, paths, keys)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	whole(t, given, sent)
	if again == 0 {
		t.Fatal("nothing was in both")
	}
}

func TestADamagedJournalEndsAloneAndSaysWhere(t *testing.T) {
	t.Parallel()
	paths, keys, sent := dual(t, func(int, int) bool { return true })
	file := filepath.Join(paths[0], journal.FileName(1))
	b, err := os.ReadFile(file)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(file, b, 0o600))
	given, _, faults := merged(t, paths, keys)
	var place *journal.PlaceError
	if len(faults) != 1 || !errors.As(faults[0], &place) {
		t.Fatalf("faults: %v", faults)
	}
	whole(t, given, sent)
}

func TestTheWrongKeyOpensNothingOfAMerge(t *testing.T) {
	t.Parallel()
	paths, keys, sent := dual(t, func(int, int) bool { return true })
	other, err := journal.NewDataKey()
	must(t, err)
	keys[1] = other
	given, _, faults := merged(t, paths, keys)
	if len(faults) != 1 || !errors.Is(faults[0], journal.ErrDataKey) {
		t.Fatalf("faults: %v", faults)
	}
	whole(t, given, sent)
	m := journal.NewMerge(journal.Part{Reader: journal.NewReader(journal.Source{Name: "x", Reader: bytes.NewReader(nil)}), Key: other})
	if _, err := m.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("an empty journal gave %v", err)
	}
}

func TestOnceKnowsEveryFrameInAnyOrder(t *testing.T) {
	t.Parallel()
	var o journal.Once
	m, track := interview.NewMemberID(), interview.NewTrackID()
	for _, step := range []uint64{0, 1, 5, 3, 4, 2, 9, 8, 100, 7, 6} {
		f := journal.Frame{Member: m, Track: track, KID: 7, Counter: step}
		if !o.First(f) || o.First(f) {
			t.Fatalf("counter %d", step)
		}
	}
	if !o.First(journal.Frame{Member: m, Track: track, KID: 8, Counter: 3}) || !o.First(journal.Frame{Member: m, Track: interview.NewTrackID(), KID: 7, Counter: 3}) {
		t.Fatal("another key or track is another frame")
	}
}
