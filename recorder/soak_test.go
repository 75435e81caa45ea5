package recorder_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/wire"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// soakLength is how long a soak runs: KUULE_SOAK_LENGTH (as 90m) or what it has
// by itself.
func soakLength(t *testing.T, own time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("KUULE_SOAK_LENGTH")
	if text == "" {
		return own
	}
	d, err := time.ParseDuration(text)
	must(t, err)
	return d
}

// speaking sends a frame every 20 ms to whatever room there is, until stop, and
// tells how many it gave. A room that is new gets the sender's key first.
func speaking(t *testing.T, w *journaltest.World, j *rooms, stop <-chan struct{}) (*journaltest.Sender, *atomic.Int64, <-chan struct{}) {
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	var given atomic.Int64
	done := make(chan struct{})
	first := j.last()
	first.give(t, s)
	first.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		in := first
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if now := j.last(); now != in {
				in = now
				in.give(t, s)
				in.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
			}
			in.send(s.Seal(w.Clock(), false, make([]byte, 80)))
			if given.Add(1)%50 == 0 {
				in.on.Origin([]string{s.Origin()}) // as a page does: else they pile up here
			}
		}
	}()
	return s, &given, done
}

// keyringAway takes the keyring away from a recorder that records. What runs
// goes on without it and loses nothing; a life that would begin meanwhile waits
// in the room, says so, and begins at once when it is back.
func keyringAway(t *testing.T, away time.Duration) {
	w := journaltest.New(t)
	r, j, keys, folder := open(t, w)
	stop := make(chan struct{})
	_, given, done := speaking(t, w, j, stop)
	until(t, "some of it is durable", func() bool { b, _ := j.last().beat(); return len(b.Tracks) == 1 })
	keys.Fail(errors.New("keyring away"))
	time.Sleep(away)
	if st := r.Status(); len(st) != 1 || st[0].State != interview.RecorderRecording || st[0].Lives != 1 {
		t.Fatalf("without its keyring it is %+v", st)
	}
	before := given.Load()
	first := j.last()
	first.Close() // and now the room is lost too
	until(t, "it is in the room again and says that it is starting", func() bool {
		b, n := j.last().beat()
		return j.last() != first && n > 1 && b.State == interview.RecorderStarting
	})
	keys.Fail(nil)
	until(t, "it records", func() bool { b, _ := j.last().beat(); return b.State == interview.RecorderRecording })
	until(t, "it has frames again", func() bool { b, _ := j.last().beat(); return len(b.Tracks) == 1 })
	close(stop)
	<-done
	must(t, r.End(context.Background(), w.Hearing))
	lives := livesIn(t, folder, w.Hearing)
	if len(lives) != 2 || lives[0].frames < before-1 || lives[0].frames > before+50 {
		t.Fatalf("%d lives; %d frames were given until the room was lost, %d are kept", len(lives), before, lives[0].frames)
	}
	report := coverage.Of(nil, []coverage.Life{lives[0].Life, lives[1].Life})
	if report.Recorded+report.Missing != report.To-report.From {
		t.Fatalf("the time line does not add up: %+v", report)
	}
	for _, s := range report.Spans {
		if s.State == coverage.Missing && s.Cause != journal.CauseDisconnected {
			t.Fatalf("a gap without its cause: %+v", s)
		}
	}
	t.Logf("away for %v: %d frames given before the room was lost, %d kept; %d ms missing until keyring and room were both back", away, before, lives[0].frames, report.Missing/1000)
}

// H1, H4
func TestKeyringAwayWhileRecording(t *testing.T) {
	t.Parallel()
	keyringAway(t, 2*time.Second)
}

// H1, H4
func TestSoakKeyringAwayForAMinute(t *testing.T) {
	if !soak(t) {
		t.Skip("KUULE_SOAK=1 runs it")
	}
	keyringAway(t, soakLength(t, time.Minute))
}

// H1, H4: one recorder, one hearing, hours: not one frame is lost, memory does not
// grow, the time line has no hole.
func TestSoakRecordsForHours(t *testing.T) {
	if !soak(t) {
		t.Skip("KUULE_SOAK=1 runs it, for four hours or KUULE_SOAK_LENGTH")
	}
	w := journaltest.New(t)
	r, j, _, folder := open(t, w)
	stop := make(chan struct{})
	_, given, done := speaking(t, w, j, stop)
	length := soakLength(t, 4*time.Hour)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	time.Sleep(length / 10)
	early := heap()
	time.Sleep(length - length/10)
	late := heap()
	close(stop)
	<-done
	must(t, r.End(context.Background(), w.Hearing))
	lives := livesIn(t, folder, w.Hearing)
	if len(lives) != 1 || lives[0].frames != given.Load() || len(lives[0].Gaps) != 0 {
		t.Fatalf("%d frames given; %d lives: %+v", given.Load(), len(lives), lives)
	}
	if late > early+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", early, late)
	}
	t.Logf("%v: %d frames given and kept, none lost; heap %d kB early, %d kB late", length, given.Load(), early>>10, late>>10)
}
