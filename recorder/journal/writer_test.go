package journal_test

import (
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

type content struct {
	opened  journal.Opened
	closed  *journal.Closed
	blocks  []journal.Head
	frames  []journal.Frame
	entries []journal.Entry // clear
	sealed  []journal.Entry
	head    string
}

func read(t *testing.T, path string, key journal.DataKey) content {
	t.Helper()
	f, err := journal.OpenFolder(path)
	must(t, err)
	defer f.Close()
	var c content
	for {
		b, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		frames, sealed, err := b.Open(key)
		must(t, err)
		c.blocks = append(c.blocks, b.Head)
		c.frames = append(c.frames, frames...)
		c.entries = append(c.entries, b.Entries...)
		c.sealed = append(c.sealed, sealed...)
		c.head = b.Hash
	}
	c.opened, c.closed = f.Opened(), f.Closed()
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited too long until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func folder(t *testing.T) (string, journal.Disk) {
	t.Helper()
	path := t.TempDir() + "/rec"
	d, err := journal.Directory(path)
	must(t, err)
	return path, d
}

func TestKeepsFramesAsTheirSenderSealedThemAndEntriesBesideThem(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, disk := folder(t)
	cfg := w.Config(disk)
	cfg.Interval = 10 * time.Millisecond
	j, err := journal.Create(cfg)
	must(t, err)

	chair, applicant := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant)
	roster := w.Roster(chair, w.Clock(), chair, applicant, w.Recorder)
	sender := w.Sender(applicant, 1, 1, 0, interview.SourceAudio)
	entry := func(e journal.Entry, err error) {
		t.Helper()
		must(t, err)
		must(t, j.AddEntry(e))
	}
	entry(journal.NewSigned(journal.EntryRoster, w.Clock(), roster))
	entry(journal.NewSenderKeyEntry(w.Clock(), sender.SenderKey()))
	entry(journal.NewEntry(journal.EntryPhase, w.Clock(), journal.Phase{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 3}))
	var sent []journal.Frame
	for i := range 50 {
		f := sender.Seal(interview.Micros(i)*20_000, i == 0, []byte{0xfc, byte(i)})
		f.Lost = uint32(i % 3)
		sent = append(sent, f)
		must(t, j.Append(f))
	}
	entry(journal.NewSigned(journal.EntryOrigin, w.Clock(), sender.Origin()))
	must(t, j.Close("ended"))
	if err := j.Append(sent[0]); !errors.Is(err, journal.ErrStopped) {
		t.Fatalf("append after the end: %v", err)
	}

	c := read(t, path, w.Key)
	if len(c.frames) != len(sent) {
		t.Fatalf("%d frames, want %d", len(c.frames), len(sent))
	}
	for i, f := range c.frames {
		want := sent[i]
		want.Capture = 0 // stays inside the seal
		if string(f.Sealed) != string(want.Sealed) {
			t.Fatalf("frame %d is not as it was sealed", i)
		}
		f.Sealed, want.Sealed = nil, nil
		if f.Member != want.Member || f.Track != want.Track || f.KID != want.KID || f.Counter != want.Counter ||
			f.RTPTime != want.RTPTime || f.Arrival != want.Arrival || f.Key != want.Key || f.Lost != want.Lost || f.Source != want.Source {
			t.Fatalf("frame %d: %+v, want %+v", i, f, want)
		}
	}
	if k, err := c.sealed[0].SenderKey(); err != nil || string(k.Key) != string(sender.Key) || k.KID != sender.KID {
		t.Fatalf("sender key: %v %v", k, err)
	}
	if string(c.entries[1].Body) != roster || c.closed == nil || c.closed.Frames != 50 || c.closed.Reason != "ended" {
		t.Fatalf("entries %v, closed %+v", c.entries, c.closed)
	}
	p := j.Durable()
	if p.State != interview.RecorderStopped || p.Frames != 50 || p.Head != c.head || p.Tracks[0].Durable != 49*20_000 {
		t.Fatalf("progress %+v", p)
	}
	for i, h := range c.blocks[1:] {
		if h.From != c.blocks[i].To { // H4: the timeline has no hole
			t.Fatalf("block %d begins at %d, the one before ends at %d", h.Seq, h.From, c.blocks[i].To)
		}
	}
}

func TestFilesRotateAndTheChainGoesOn(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, disk := folder(t)
	var mu sync.Mutex
	var rotated []string
	cfg := w.Config(disk)
	cfg.Interval, cfg.RotateAt = time.Millisecond, 8<<10
	cfg.OnRotated = func(n string) { mu.Lock(); rotated = append(rotated, n); mu.Unlock() }
	j, err := journal.Create(cfg)
	must(t, err)
	m, track := interview.NewMemberID(), interview.NewTrackID()
	n := uint64(0)
	until(t, "three files are full", func() bool {
		must(t, j.Append(w.Numbered(m, track, n)))
		n++
		mu.Lock()
		defer mu.Unlock()
		return len(rotated) == 3
	})
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	if uint64(len(c.frames)) != n || c.blocks[len(c.blocks)-1].File < 4 {
		t.Fatalf("%d frames of %d, last file %d", len(c.frames), n, c.blocks[len(c.blocks)-1].File)
	}
}

func TestFullQueueIsSaidAndBecomesAGap(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, under := folder(t)
	disk := &journaltest.Disk{Under: under}
	cfg := w.Config(disk)
	cfg.Interval, cfg.Pending = 5*time.Millisecond, 64<<10
	j, err := journal.Create(cfg)
	must(t, err)
	resume := disk.Stall()
	defer resume()
	m, track := interview.NewMemberID(), interview.NewTrackID()
	kept, dropped := 0, 0
	for n := range uint64(2000) {
		begin := time.Now()
		switch err := j.Append(w.Numbered(m, track, n)); {
		case err == nil:
			kept++
		case errors.Is(err, journal.ErrFull):
			dropped++
		default:
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Fatalf("a stalled disk held the caller for %v", took)
		}
	}
	if dropped == 0 {
		t.Fatal("nothing was dropped: the queue has no bound")
	}
	if p := j.Durable(); p.State != interview.RecorderBehind || p.Dropped != int64(dropped) {
		t.Fatalf("progress %+v", p)
	}
	resume()
	until(t, "it has caught up", func() bool {
		return j.Durable().State == interview.RecorderRecording && j.Durable().Frames == int64(kept)
	})
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	var lost int64
	for _, e := range c.entries {
		if e.Type == journal.EntryGap {
			var g journal.Gap
			must(t, e.Read(&g))
			if g.Cause != journal.CauseQueueFull || g.Track != track || g.Member != m {
				t.Fatalf("gap %+v", g)
			}
			lost += g.Frames
		}
	}
	if lost != int64(dropped) || len(c.frames) != kept {
		t.Fatalf("gaps say %d, dropped %d; %d frames, kept %d", lost, dropped, len(c.frames), kept)
	}
}

func TestStalledDiskRaisesTheAlarmAndIsSaidToBeBehind(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	_, under := folder(t)
	disk := &journaltest.Disk{Under: under}
	alarm := make(chan journal.Progress, 4)
	cfg := w.Config(disk)
	cfg.Interval = 10 * time.Millisecond
	cfg.OnAlarm = func(p journal.Progress) { alarm <- p }
	j, err := journal.Create(cfg)
	must(t, err)
	resume := disk.Stall()
	begin := time.Now()
	select {
	case p := <-alarm:
		if took := time.Since(begin); took < time.Second || took > 5*time.Second {
			t.Errorf("alarm after %v", took)
		}
		if p.Now-p.Durable < interview.Micros(journal.AlarmAfter.Microseconds())/2 {
			t.Errorf("alarm says %+v", p)
		}
	case <-time.After(10 * time.Second):
		t.Error("no alarm")
	}
	until(t, "it says behind", func() bool { return j.Durable().State == interview.RecorderBehind })
	resume()
	until(t, "it has caught up", func() bool { return j.Durable().State == interview.RecorderRecording })
	must(t, j.Close("ended"))
}

func TestFailingDiskEndsTheJournalForGood(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, fault := range map[string]func(*journaltest.Disk){
		"write": func(d *journaltest.Disk) { d.FailWrites(broken) },
		"sync":  func(d *journaltest.Disk) { d.FailSyncs(broken) },
		"short": func(d *journaltest.Disk) { d.ShortWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := journaltest.New(t)
			path, under := folder(t)
			disk := &journaltest.Disk{Under: under}
			cfg := w.Config(disk)
			cfg.Interval = 5 * time.Millisecond
			var mu sync.Mutex
			var last journal.Progress
			cfg.OnDurable = func(p journal.Progress) { mu.Lock(); last = p; mu.Unlock() }
			j, err := journal.Create(cfg)
			must(t, err)
			fault(disk)
			until(t, "it fails", func() bool { return j.Durable().State == interview.RecorderFailed })
			if err := j.Append(w.Numbered(interview.NewMemberID(), interview.NewTrackID(), 1)); !errors.Is(err, journal.ErrStopped) {
				t.Fatalf("append after failure: %v", err)
			}
			if err := j.Close("ended"); err == nil {
				t.Fatal("close says all is well")
			}
			mu.Lock()
			if last.State != interview.RecorderFailed || last.Err == nil {
				t.Fatalf("last progress %+v", last)
			}
			mu.Unlock()
			// What was durable before is still whole.
			if _, err := journal.Recover(path); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestJournalIsNeverBegunOverAnother(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	_, disk := folder(t)
	j, err := journal.Create(w.Config(disk))
	must(t, err)
	must(t, j.Close("ended"))
	if _, err := journal.Create(w.Config(disk)); err == nil {
		t.Fatal("a second journal was begun in the same place")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	s := journal.SenderKey{KID: 7, Key: w.Raw}
	for _, text := range []string{w.Key.String(), w.Key.GoString(), w.Key.LogValue().String(), s.String(), s.GoString(), s.LogValue().String()} {
		if !contains(text, "redacted") || contains(text, string(w.Raw)) {
			t.Fatalf("printed %q", text)
		}
	}
	if _, err := w.Key.MarshalJSON(); err == nil {
		t.Fatal("a data key was encoded")
	}
	if _, err := s.MarshalJSON(); err == nil {
		t.Fatal("a sender key was encoded")
	}
}

func TestHeadsAreSignedForTheirTypeAlone(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path, disk := folder(t)
	j, err := journal.Create(w.Config(disk))
	must(t, err)
	must(t, j.Close("ended"))
	c := read(t, path, w.Key)
	if c.opened.Recording != w.Recording || jws.Hash(c.opened.Statement) != jws.Hash(w.Recorder.Statement) {
		t.Fatalf("opened %+v", c.opened)
	}
}
