package recorder_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuule/interview"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/coverage"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// soak reports whether the long forms run, and says so where they do not.
func soak(t *testing.T) bool {
	if os.Getenv("KUULE_SOAK") != "" {
		return true
	}
	t.Log("short form; KUULE_SOAK=1 runs the long one")
	return false
}

// feed gives the recorder of a child process a frame every 20 ms and tells each
// one's number before it is given, until the process is killed.
func feed(w *journaltest.World, j *rooms) {
	for j.last() == nil {
		time.Sleep(time.Millisecond)
	}
	r := j.last()
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	if err := r.on.Keep(s.SenderKey()); err != nil {
		os.Exit(5)
	}
	r.give(&testing.T{}, s)
	r.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	for {
		f := s.Seal(w.Clock(), false, make([]byte, 60))
		fmt.Println(f.Counter)
		r.on.Frame(recorder.Frame{Member: f.Member, Track: f.Track, Source: f.Source, Arrival: time.Now(), Sealed: f.Sealed})
		time.Sleep(20 * time.Millisecond)
	}
}

// child is a recorder's process that is fed and killed.
type child struct {
	cmd   *exec.Cmd
	given atomic.Int64 // frames
	done  chan struct{}
}

func record(t *testing.T, w *journaltest.World, folder string, began time.Time) *child {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := &child{cmd: exec.Command(self), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), "KUULE_RECORDER_FOLDER="+folder, "KUULE_RECORDER_HEARING="+w.Hearing.String(), "KUULE_RECORDER_CASE="+w.Case.String(),
		"KUULE_RECORDER_FEED=1", "KUULE_RECORDER_BEGAN="+strconv.FormatInt(began.UnixNano(), 10))
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	must(t, c.cmd.Start())
	go func() {
		defer close(c.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.given.Add(1)
		}
	}()
	return c
}

// kill ends it as a power cut would and gives how many frames it had been given.
func (c *child) kill(t *testing.T) int64 {
	t.Helper()
	must(t, c.cmd.Process.Kill())
	<-c.done
	_ = c.cmd.Wait()
	return c.given.Load()
}

// lifeOf is what a journal holds, read with nothing but what is on disk.
type lifeOf struct {
	coverage.Life
	frames int64
	opened journal.Opened
	closed bool
}

func livesIn(t *testing.T, folder string, hearing interview.HearingID) []lifeOf {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, hearing.String(), "rec_*"))
	must(t, err)
	var out []lifeOf
	for _, path := range paths {
		if _, err := journal.Recover(path); errors.Is(err, os.ErrNotExist) {
			continue
		} else {
			must(t, err)
		}
		f, err := journal.OpenFolder(path)
		must(t, err)
		var l lifeOf
		for {
			b, err := f.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			l.frames += b.Head.Frames
			for _, e := range b.Entries {
				if e.Type == journal.EntryGap {
					var g journal.Gap
					must(t, e.Read(&g))
					l.Gaps = append(l.Gaps, g)
				}
			}
		}
		l.opened, l.closed, l.Recording = f.Opened(), f.Closed() != nil, f.Opened().Recording
		l.From, l.To = f.Covers()
		must(t, f.Close())
		out = append(out, l)
	}
	return out
}

// killOver kills a recorder again and again at random moments and holds promise
// 10 and H4: at most one second is lost by each crash, it is marked with its
// cause, and the time line adds up. No more are killed once length has passed.
func killOver(t *testing.T, kills int, length time.Duration) {
	w := journaltest.New(t)
	folder, began := t.TempDir(), time.Now()
	var given, worst int64
	lost := int64(0)
	for n := range kills {
		if time.Since(began) > length {
			kills = n
			break
		}
		c := record(t, w, folder, began)
		// A second is the least in which a life may lose a second.
		time.Sleep(time.Duration(200+rand.IntN(1500)) * time.Millisecond)
		n := c.kill(t)
		before := int64(0)
		lives := livesIn(t, folder, w.Hearing)
		for _, l := range lives {
			before += l.frames
		}
		gone := given + n - before - lost
		worst, lost, given = max(worst, gone), lost+gone, given+n
		if gone > 50 {
			t.Fatalf("%d frames of 20 ms were lost by one crash", gone)
		}
	}
	lives := livesIn(t, folder, w.Hearing)
	var all []coverage.Life
	marked := 0
	for _, l := range lives {
		all = append(all, l.Life)
		for _, g := range l.Gaps {
			if g.Cause == journal.CauseRestarted {
				marked++
			}
		}
	}
	if marked != len(lives)-1 || len(lives) < 2 {
		t.Fatalf("%d lives, %d gaps marked", len(lives), marked)
	}
	r := coverage.Of(nil, all)
	if r.Recorded+r.Missing+r.OffRecord != r.To-r.From {
		t.Fatalf("the time line does not add up: %+v", r)
	}
	for _, s := range r.Spans {
		if s.State == coverage.Missing && s.Cause != journal.CauseRestarted {
			t.Fatalf("a gap without its cause: %+v", s)
		}
	}
	t.Logf("%d kills, %d lives, %d frames given, %d lost, at most %d ms by one crash", kills, len(lives), given, lost, worst*20)
}

// Promise 10, H4
func TestKilledAtRandomMomentsLosesAtMostASecond(t *testing.T) {
	t.Parallel()
	killOver(t, 10, time.Hour)
}

// Promise 10, H4
func TestSoakKilledAHundredTimes(t *testing.T) {
	if !soak(t) {
		t.Skip("KUULE_SOAK=1 runs it")
	}
	killOver(t, 100, soakLength(t, time.Hour))
}

// H5: of two recorders each is killed over and over, never both within the time
// that one needs to come back: together they miss nothing.
func TestOneOfTwoRecordersIsEnough(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	began := time.Now()
	folders := []string{t.TempDir(), t.TempDir()}
	running := []*child{record(t, w, folders[0], began), record(t, w, folders[1], began)}
	durable := func(folder string) bool {
		names, _ := filepath.Glob(filepath.Join(folder, "*", "*", "000001.kj"))
		for _, n := range names {
			if st, err := os.Stat(n); err == nil && time.Since(st.ModTime()) < time.Second && st.Size() > 12_000 {
				return true
			}
		}
		return false
	}
	rounds := 6
	for i := range rounds {
		other := running[(i+1)%2]
		until(t, "the other has written for a while", func() bool { return other.given.Load() > 60 && durable(folders[(i+1)%2]) })
		running[i%2].kill(t)
		running[i%2] = record(t, w, folders[i%2], began)
	}
	until(t, "both are back", func() bool { return running[0].given.Load() > 60 && running[1].given.Load() > 60 })
	for _, c := range running {
		c.kill(t)
	}
	var all []coverage.Life
	var ends []interview.Micros
	for _, folder := range folders {
		var end interview.Micros
		for _, l := range livesIn(t, folder, w.Hearing) {
			all = append(all, l.Life)
			end = max(end, l.To)
		}
		ends = append(ends, end)
	}
	r := coverage.Of(nil, all)
	if r.Missing != 0 || r.Recorded != r.To-r.From || len(all) < rounds {
		t.Fatalf("%d lives: %+v", len(all), r)
	}
	t.Logf("%d lives of two recorders, %d kills, %d ms, nothing missing (ends %v)", len(all), rounds+2, (r.To-r.From)/1000, ends)
}

// Disk full, on a real small file system: the recorder says failed, its heartbeat
// shows it, nothing half written counts, and it goes on once there is room. H4
func TestDiskFull(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("a small file system needs root: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(folder, unix.MNT_DETACH)) })
	must(t, os.WriteFile(filepath.Join(folder, "filler"), make([]byte, 200<<10), 0o600))
	w := journaltest.New(t)
	r, j, _, _ := open(t, w, func(c *recorder.Config) { c.Folder = folder })
	first := j.last()
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceVideo)
	first.give(t, s)
	given := int64(0)
	until(t, "it says failed", func() bool {
		first.send(s.Seal(w.Clock(), true, make([]byte, 400)))
		given++
		b, _ := first.beat()
		return b.State == interview.RecorderFailed
	})
	must(t, os.Remove(filepath.Join(folder, "filler")))
	until(t, "the next life records", func() bool {
		b, _ := j.last().beat()
		return j.last() != first && b.State == interview.RecorderRecording
	})
	must(t, r.End(context.Background(), w.Hearing))
	lives := livesIn(t, folder, w.Hearing)
	last := lives[len(lives)-1]
	if len(lives) < 2 || lives[0].frames == 0 || lives[0].frames >= given || len(last.Gaps) == 0 || last.Gaps[0].Cause != journal.CauseDiskFailed || !last.closed {
		t.Fatalf("%d lives, %d frames in the first, %d in the last, of %d; gaps %+v", len(lives), lives[0].frames, last.frames, given, last.Gaps)
	}
	report := coverage.Of(nil, []coverage.Life{lives[0].Life, last.Life})
	if report.Recorded+report.Missing != report.To-report.From || report.Missing == 0 {
		t.Fatalf("coverage %+v", report)
	}
	t.Logf("%d frames given, %d kept before the disk was full; %d ms missing until there was room", given, lives[0].frames, report.Missing/1000)
}

// H1, H4: a disk that stalls is said to be behind within seconds, and once it
// goes on nothing is lost. (A seam stands for the disk: its fsync does not return.)
func TestStalledDiskLosesNothing(t *testing.T) {
	t.Parallel()
	stallFor := 2500 * time.Millisecond
	if os.Getenv("KUULE_SOAK") != "" {
		stallFor = 10 * time.Second
	}
	w := journaltest.New(t)
	var disk *journaltest.Disk
	r, j, _, folder := open(t, w, func(c *recorder.Config) {
		c.Disk = func(path string) (journal.Disk, error) {
			d, err := journal.Directory(path)
			disk = &journaltest.Disk{Under: d}
			return disk, err
		}
	})
	room := j.last()
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	room.give(t, s)
	resume := disk.Stall()
	begun := time.Now()
	given := int64(0)
	behind := false
	for time.Since(begun) < stallFor || !behind {
		room.send(s.Seal(w.Clock(), false, make([]byte, 80)))
		given++
		b, _ := room.beat()
		behind = behind || b.State == interview.RecorderBehind
		if time.Since(begun) > 20*time.Second {
			t.Fatal("it never said that it is behind")
		}
		time.Sleep(5 * time.Millisecond)
	}
	resume()
	must(t, r.End(context.Background(), w.Hearing))
	lives := livesIn(t, folder, w.Hearing)
	if len(lives) != 1 || lives[0].frames != given || len(lives[0].Gaps) != 0 {
		t.Fatalf("%d frames given; %+v", given, lives)
	}
}

// H8: the wall clock steps by an hour and back. The hearing clock does not care;
// both are kept, and the step is shown.
func TestWallClockStepIsKeptAndShown(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	var offset atomic.Int64
	r, j, _, folder := open(t, w, func(c *recorder.Config) {
		c.Wall = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	})
	room := j.last()
	beats := func() int { _, n := room.beat(); return n }
	offset.Store(int64(time.Hour))
	n := beats()
	until(t, "the step was seen", func() bool { return beats() > n+1 })
	offset.Store(0)
	n = beats()
	until(t, "the step back was seen", func() bool { return beats() > n+1 })
	must(t, r.End(context.Background(), w.Hearing))
	paths, err := filepath.Glob(filepath.Join(folder, w.Hearing.String(), "rec_*"))
	must(t, err)
	f, err := journal.OpenFolder(paths[0])
	must(t, err)
	defer f.Close()
	var anchors []journal.Anchor
	for {
		b, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		for _, e := range b.Entries {
			if e.Type == journal.EntryAnchor {
				var a journal.Anchor
				must(t, e.Read(&a))
				anchors = append(anchors, a)
			}
		}
	}
	c := coverage.ClockOf(append([]journal.Anchor{f.Opened().Anchor}, anchors...))
	from, to := f.Covers()
	switch {
	case len(anchors) != 2 || anchors[0].Reason != "stepped" || anchors[1].Reason != "stepped":
		t.Fatalf("anchors %+v", anchors)
	case !c.Flagged || max(c.Largest, -c.Largest) < 3_599_000_000 || max(c.Drift, -c.Drift) > 1_000_000:
		t.Fatalf("clock %+v", c)
	case to-from > 60_000_000 || to < from:
		t.Fatalf("the hearing clock took %d µs", to-from)
	}
}

// A publisher that sends rubbish, or frames under a wrong key, costs nobody else
// a frame; what did not open is counted and marked. H4
func TestRubbishAndWrongKeysCostNobodyElse(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	r, j, _, folder := open(t, w)
	room := j.last()
	good := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	bad := w.Sender(w.Member(interview.RoleCounsel), 1, 2, 0, interview.SourceAudio)
	room.give(t, good)
	room.give(t, bad)
	wrong := w.Sender(bad.Member, 1, 2, 0, interview.SourceAudio) // the same key id, another key
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	var senders sync.WaitGroup
	senders.Go(func() {
		for i := range 300 {
			room.send(good.Seal(interview.Micros(i), false, []byte("said")))
		}
	})
	senders.Go(func() {
		for i := range 300 {
			f := bad.Seal(interview.Micros(i), false, []byte("x"))
			switch i % 3 {
			case 0:
				f.Sealed = []byte(strings.Repeat("rubbish", i))
			case 1:
				f.Sealed[len(f.Sealed)-1] ^= 1
			case 2:
				f = wrong.Seal(interview.Micros(i), false, []byte("x"))
				f.Track = bad.Track
			}
			room.send(f)
		}
	})
	senders.Wait()
	must(t, r.End(context.Background(), w.Hearing))
	lives := livesIn(t, folder, w.Hearing)
	marked := int64(0)
	for _, g := range lives[0].Gaps {
		if g.Track != bad.Track || g.Cause != journal.CauseUnauthentic {
			t.Fatalf("gap %+v", g)
		}
		marked += g.Frames
	}
	if lives[0].frames != 300 || marked != 300 {
		t.Fatalf("%d good frames kept, %d bad ones marked", lives[0].frames, marked)
	}
}

// H4, N5: where five per cent never come, exactly what is missing is counted,
// and each loss lies between the frames around it.
func TestLostFramesAreCountedExactly(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	r, j, _, folder := open(t, w)
	room := j.last()
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	room.give(t, s)
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	random := rand.New(rand.NewPCG(5, 5))
	lost, late := int64(0), []journal.Frame{}
	for i := range 2000 {
		f := s.Seal(interview.Micros(i), false, []byte("said"))
		last := i == 0 || i == 1999
		switch n := random.IntN(100); {
		case !last && n < 5:
			lost++
		case !last && n < 8:
			late = append(late, f) // repaired: it comes after the next
		default:
			room.send(f)
			for _, f := range late {
				room.send(f)
			}
			late = nil
		}
	}
	must(t, r.End(context.Background(), w.Hearing))
	lives := livesIn(t, folder, w.Hearing)
	marked := int64(0)
	for _, g := range lives[0].Gaps {
		if g.Cause != journal.CauseNotReceived || g.From > g.To {
			t.Fatalf("gap %+v", g)
		}
		marked += g.Frames
	}
	if lives[0].frames != 2000-lost || marked != lost {
		t.Fatalf("%d lost, %d marked, %d kept", lost, marked, lives[0].frames)
	}
}
