package recorder_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv("KUULE_RECORDER_FOLDER"); folder != "" {
		recordUntilKilled(folder)
		return
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// rooms is a Joiner whose room is in the test's hands.
type rooms struct {
	w     *journaltest.World
	mu    sync.Mutex
	all   []*room
	fails error
}

func (j *rooms) Join(_ context.Context, _ recorder.Hearing, on recorder.Events) (recorder.Room, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fails != nil {
		return nil, j.fails
	}
	r := &room{w: j.w, me: j.w.Member(""), on: on, keys: map[interview.TrackID]*sealing.FrameKey{}, done: make(chan struct{})}
	j.all = append(j.all, r)
	return r, nil
}

func (j *rooms) last() *room {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.all) == 0 {
		return nil
	}
	return j.all[len(j.all)-1]
}

func (j *rooms) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all)
}

type room struct {
	w    *journaltest.World
	me   *journaltest.Member
	on   recorder.Events
	once sync.Once
	done chan struct{}

	mu    sync.Mutex
	keys  map[interview.TrackID]*sealing.FrameKey
	beats []sealing.Heartbeat
}

func (r *room) Member() interview.MemberID { return r.me.Member() }
func (r *room) Group() interview.GroupID   { return r.w.Group }
func (r *room) Statement() string          { return r.me.Statement }
func (r *room) Signer() crypto.Signer      { return r.me.Signer() }
func (r *room) Now() interview.Micros      { return r.w.Clock() }
func (r *room) Done() <-chan struct{}      { return r.done }
func (r *room) Close()                     { r.once.Do(func() { close(r.done) }) }
func (r *room) AcceptOrigin(list string) error {
	if list == "" {
		return errors.New("no list")
	}
	return nil
}

func (r *room) Open(dst []byte, f recorder.Frame) (sealing.FrameHeader, []byte, error) {
	r.mu.Lock()
	k := r.keys[f.Track]
	r.mu.Unlock()
	if k == nil {
		return sealing.FrameHeader{}, nil, sealing.ErrNoKey
	}
	return k.Open(dst, f.Sealed)
}

func (r *room) Heartbeat(h sealing.Heartbeat) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beats = append(r.beats, h)
	return nil
}

func (r *room) beat() (sealing.Heartbeat, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.beats) == 0 {
		return sealing.Heartbeat{}, 0
	}
	return r.beats[len(r.beats)-1], len(r.beats)
}

// give hands over a sender's key, as a wrap would.
func (r *room) give(t testing.TB, s *journaltest.Sender) {
	t.Helper()
	must(t, r.on.Keep(s.SenderKey()))
	k, err := sealing.NewFrameKey(sealing.Wrap{KID: s.KID, Track: s.Track, Source: s.Source}, s.Key)
	must(t, err)
	r.mu.Lock()
	r.keys[s.Track] = k
	r.mu.Unlock()
	r.on.Wrap()
}

func (r *room) send(f journal.Frame) {
	r.on.Frame(recorder.Frame{Member: f.Member, Track: f.Track, Source: f.Source, RTPTime: f.RTPTime, Arrival: time.Now(), Sealed: f.Sealed})
}

type kept struct {
	opened  journal.Opened
	frames  []journal.Frame
	entries []journal.Entry
	gaps    []journal.Gap
	closed  *journal.Closed
	head    string
}

// read opens all journals of a hearing, in the order of their beginning.
func read(t testing.TB, r *recorder.Recorder, h interview.HearingID, folder string, keys *journaltest.Wrapper) []kept {
	t.Helper()
	files, err := r.Files(h)
	must(t, err)
	var ids []interview.RecordingID
	for _, f := range files {
		if len(ids) == 0 || ids[len(ids)-1] != f.Recording {
			ids = append(ids, f.Recording)
		}
	}
	var out []kept
	for _, rec := range ids {
		key, err := journal.ParseDataKey(keys.Keys[journal.WrapContext(h, rec)])
		must(t, err)
		j, err := journal.OpenFolder(filepath.Join(folder, h.String(), rec.String()))
		must(t, err)
		var k kept
		for {
			b, err := j.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			frames, entries, err := b.Open(key)
			must(t, err)
			k.frames = append(k.frames, frames...)
			k.entries = append(append(k.entries, b.Entries...), entries...)
			for _, e := range b.Entries {
				if e.Type == journal.EntryGap {
					var g journal.Gap
					must(t, e.Read(&g))
					k.gaps = append(k.gaps, g)
				}
			}
		}
		k.opened, k.closed = j.Opened(), j.Closed()
		k.head, _ = j.Head()
		must(t, j.Close())
		out = append(out, k)
	}
	return out
}

func open(t testing.TB, w *journaltest.World, change ...func(*recorder.Config)) (*recorder.Recorder, *rooms, *journaltest.Wrapper, string) {
	t.Helper()
	j, keys := &rooms{w: w}, &journaltest.Wrapper{}
	cfg := recorder.Config{Folder: t.TempDir(), Joiner: j, Keys: keys, Retry: time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	r, err := recorder.New(cfg)
	must(t, err)
	t.Cleanup(r.Close)
	must(t, r.Open(recorder.Hearing{Case: w.Case, Hearing: w.Hearing}))
	must(t, r.Open(recorder.Hearing{Case: w.Case, Hearing: w.Hearing})) // again changes nothing
	until(t, "it is in the room and says so", func() bool {
		l := j.last()
		if l == nil {
			return false
		}
		b, _ := l.beat()
		return b.State == interview.RecorderRecording
	})
	return r, j, keys, cfg.Folder
}

func TestOnlyWhatOpensIsKeptAndSaidToBeDurable(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	r, j, keys, folder := open(t, w)
	room := j.last()
	speaker := w.Member(interview.RoleApplicant)
	audio, video := w.Sender(speaker, 1, 1, 0, interview.SourceAudio), w.Sender(speaker, 1, 1, 1, interview.SourceVideo)
	room.on.Members([]wire.MemberView{{Statement: speaker.Statement, Admission: speaker.Admission}, {Statement: speaker.Statement, Admission: speaker.Admission}})
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1, Reason: "asked by the interviewer by name"})

	room.send(audio.Seal(1000, false, []byte{1})) // before its key: held until the wrap comes
	room.give(t, audio)
	room.give(t, video)
	_ = audio.Seal(2000, false, []byte{2}) // lost on the way
	room.send(audio.Seal(3000, false, []byte{3}))
	bad := audio.Seal(4000, false, []byte{4})
	bad.Sealed[len(bad.Sealed)-1] ^= 1
	room.send(bad)
	room.send(video.Seal(5000, true, []byte{0x10, 0}))
	room.send(video.Seal(6000, false, []byte{0x11, 0}))
	room.on.Origin([]string{audio.Origin(), ""})
	until(t, "the heartbeat shows both tracks durable", func() bool {
		b, _ := room.beat()
		return len(b.Tracks) == 2 && b.Durable > 6000 && b.State == interview.RecorderRecording && b.Head != ""
	})
	if _, err := r.Files(w.Hearing); !errors.Is(err, recorder.ErrStillRecording) {
		t.Fatalf("files while it records: %v", err)
	}
	must(t, r.End(context.Background(), w.Hearing))
	if b, _ := room.beat(); b.State != interview.RecorderStopped {
		t.Fatalf("last heartbeat %+v", b)
	}

	lives := read(t, r, w.Hearing, folder, keys)
	k := lives[0]
	if len(lives) != 1 || len(k.frames) != 4 || k.closed == nil || k.closed.Reason != "ended" {
		t.Fatalf("%d lives, %d frames, closed %+v", len(lives), len(k.frames), k.closed)
	}
	if k.frames[1].Lost != 1 || !k.frames[2].Key || k.frames[3].Key {
		t.Fatalf("frames %+v", k.frames)
	}
	found := map[journal.Cause]int64{}
	for _, g := range k.gaps {
		found[g.Cause] += g.Frames
	}
	if found[journal.CauseNotReceived] != 1 || found[journal.CauseUnauthentic] != 1 {
		t.Fatalf("gaps %+v", k.gaps)
	}
	types := map[journal.EntryType]int{}
	for _, e := range k.entries {
		types[e.Type]++
		if e.Type == journal.EntryPhase && string(e.Body) != `{"by":"","cause":"interviewer","phase":"on-record","since":1}` {
			t.Fatalf("phase %s", e.Body)
		}
	}
	if types[journal.EntryStatement] != 1 || types[journal.EntryAdmission] != 1 || types[journal.EntrySenderKey] != 2 || types[journal.EntryOrigin] != 1 {
		t.Fatalf("entries %v", types)
	}
}

// G: a consultation is private; whatever reaches the recorder then is not kept.
func TestNothingOfAConsultationIsKept(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	r, j, keys, folder := open(t, w)
	room := j.last()
	s := w.Sender(w.Member(interview.RoleCounsel), 1, 1, 0, interview.SourceAudio)
	room.give(t, s)
	room.on.Phase(wire.PhaseNow{Phase: interview.PhaseConsultation, Since: 5000})
	room.send(s.Seal(4000, false, []byte{1})) // spoken before, come late
	room.send(s.Seal(6000, false, []byte{2}))
	other := w.Sender(w.Member(interview.RoleApplicant), 2, 1, 0, interview.SourceAudio)
	room.send(other.Seal(7000, false, []byte{3})) // keys that the recorder does not have
	must(t, r.End(context.Background(), w.Hearing))
	if k := read(t, r, w.Hearing, folder, keys); len(k[0].frames) != 1 || len(k[0].gaps) != 0 {
		t.Fatalf("%d frames, gaps %+v", len(k[0].frames), k[0].gaps)
	}
}

func TestLostRoomIsJoinedAgainAsANewMemberAndTheGapIsMarked(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	var mu sync.Mutex
	pins := map[interview.RecordingID][]recorder.Checkpoint{}
	r, j, keys, folder := open(t, w, func(c *recorder.Config) {
		c.Checkpoint = func(p recorder.Checkpoint) {
			mu.Lock()
			defer mu.Unlock()
			pins[p.Recording] = append(pins[p.Recording], p)
		}
	})
	first := j.last()
	begin := time.Now()
	first.Close()
	until(t, "it is in the room again", func() bool {
		l := j.last()
		_, n := l.beat()
		return l != first && n > 0
	})
	if took := time.Since(begin); took > 2*time.Second {
		t.Fatalf("it took %v", took)
	}
	must(t, r.End(context.Background(), w.Hearing))
	k := read(t, r, w.Hearing, folder, keys)
	if len(k) != 2 || k[0].opened.Member == k[1].opened.Member || k[0].opened.Recording == k[1].opened.Recording {
		t.Fatalf("%d lives", len(k))
	}
	if a := k[1].opened.After; a == nil || a.Recording != k[0].opened.Recording || a.Cause != journal.CauseDisconnected || len(k[1].gaps) != 1 || k[1].gaps[0].From != a.To {
		t.Fatalf("after %+v, gaps %+v", k[1].opened.After, k[1].gaps)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, x := range k {
		p := pins[x.opened.Recording]
		if len(p) < 1 || p[len(p)-1].Head != x.head || p[len(p)-1].Hearing != w.Hearing {
			t.Fatalf("the chain of %s was told as %+v, it ends with %s", x.opened.Recording, p, x.head)
		}
	}
	if string(keys.Keys[journal.WrapContext(w.Hearing, k[0].opened.Recording)]) == string(keys.Keys[journal.WrapContext(w.Hearing, k[1].opened.Recording)]) {
		t.Fatal("two lives share a data key")
	}
}

func TestFailedDiskIsSaidAndTheNextLifeGoesOn(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	var mu sync.Mutex
	var disks []*journaltest.Disk
	_, j, _, _ := open(t, w, func(c *recorder.Config) {
		c.Disk = func(path string) (journal.Disk, error) {
			d, err := journal.Directory(path)
			mu.Lock()
			defer mu.Unlock()
			disks = append(disks, &journaltest.Disk{Under: d})
			return disks[len(disks)-1], err
		}
	})
	first := j.last()
	mu.Lock()
	disks[0].FailSyncs(errors.New("no space"))
	mu.Unlock()
	until(t, "it says failed", func() bool { b, _ := first.beat(); return b.State == interview.RecorderFailed })
	until(t, "the next life records", func() bool {
		b, _ := j.last().beat()
		return j.last() != first && b.State == interview.RecorderRecording
	})
}

// H1: while the keyring is away a recorder is in the room and says that it is
// starting; nothing is on disk, so nothing can be on record. Once it is back the
// same member records.
func TestKeyringAwayIsStartingUntilItIsBack(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	j, keys := &rooms{w: w}, &journaltest.Wrapper{}
	keys.Fail(errors.New("keyring away"))
	folder := t.TempDir()
	r, err := recorder.New(recorder.Config{Folder: folder, Joiner: j, Keys: keys, Retry: time.Millisecond})
	must(t, err)
	defer r.Close()
	must(t, r.Open(recorder.Hearing{Case: w.Case, Hearing: w.Hearing}))
	until(t, "it says twice that it is starting", func() bool {
		if j.last() == nil {
			return false
		}
		b, n := j.last().beat()
		return n > 1 && b.State == interview.RecorderStarting && !b.Recording.IsZero()
	})
	if n, _ := filepath.Glob(folder + "/*/*/*.kj"); len(n) != 0 {
		t.Fatalf("journals %v", n)
	}
	keys.Fail(nil)
	until(t, "it records", func() bool { b, _ := j.last().beat(); return b.State == interview.RecorderRecording })
	if j.count() != 1 {
		t.Fatalf("%d members for one recording", j.count())
	}
}

func TestPathTricksOpenNothing(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	r, _, _, _ := open(t, w)
	for _, name := range []string{"../state.json", "state.json", "", "/etc/passwd", "000001.kj/../../state.json"} {
		if _, err := r.ReadFile(w.Hearing, interview.NewRecordingID(), name, 0, make([]byte, 10)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%q: %v", name, err)
		}
	}
}

// recordUntilKilled is the process that is killed: it opens one hearing.
func recordUntilKilled(folder string) {
	w := journaltest.New(&testing.T{})
	h, err := interview.ParseHearingID(os.Getenv("KUULE_RECORDER_HEARING"))
	c, err2 := interview.ParseCaseID(os.Getenv("KUULE_RECORDER_CASE"))
	if err != nil || err2 != nil {
		os.Exit(2)
	}
	w.Hearing, w.Case = h, c
	if began, err := strconv.ParseInt(os.Getenv("KUULE_RECORDER_BEGAN"), 10, 64); err == nil {
		w.Began(time.Unix(0, began))
	}
	j := &rooms{w: w}
	r, err := recorder.New(recorder.Config{Folder: folder, Joiner: j, Keys: &journaltest.Wrapper{}})
	if err != nil {
		os.Exit(3)
	}
	if err := r.Open(recorder.Hearing{Case: c, Hearing: h}); err != nil {
		os.Exit(4)
	}
	if os.Getenv("KUULE_RECORDER_FEED") == "" {
		select {}
	}
	feed(w, j)
}

// Promise 10: after SIGKILL the recorder comes back by itself and marks the gap.
func TestKilledProcessFindsItsOpenHearings(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	folder := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "KUULE_RECORDER_FOLDER="+folder, "KUULE_RECORDER_HEARING="+w.Hearing.String(), "KUULE_RECORDER_CASE="+w.Case.String())
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	until(t, "it has written some blocks", func() bool {
		n, _ := filepath.Glob(folder + "/*/*/000001.kj")
		if len(n) == 0 {
			return false
		}
		st, err := os.Stat(n[0])
		return err == nil && st.Size() > 6000
	})
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()

	j, keys := &rooms{w: w}, &journaltest.Wrapper{}
	r, err := recorder.New(recorder.Config{Folder: folder, Joiner: j, Keys: keys})
	must(t, err)
	defer r.Close()
	begin := time.Now()
	until(t, "it is in the room again without being told", func() bool {
		l := j.last()
		if l == nil {
			return false
		}
		_, n := l.beat()
		return n > 0
	})
	if took := time.Since(begin); took > 2*time.Second {
		t.Fatalf("it took %v", took)
	}
	must(t, r.End(context.Background(), w.Hearing))
	files, err := r.Files(w.Hearing)
	must(t, err)
	last := files[len(files)-1].Recording
	f, err := journal.OpenFolder(filepath.Join(folder, w.Hearing.String(), last.String()))
	must(t, err)
	defer f.Close()
	_, err = f.Next()
	must(t, err)
	if a := f.Opened().After; a == nil || a.Recording != files[0].Recording || a.Cause != journal.CauseRestarted || a.Seq < 1 {
		t.Fatalf("after %+v", a)
	}
	// An ended hearing stays ended.
	r.Close()
	again, err := recorder.New(recorder.Config{Folder: folder, Joiner: j, Keys: keys})
	must(t, err)
	defer again.Close()
	if s := again.Status(); len(s) != 0 {
		t.Fatalf("open after its end: %+v", s)
	}
}
