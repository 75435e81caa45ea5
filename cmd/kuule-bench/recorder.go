package main

import (
	"context"
	"crypto"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

type recorderCommand struct {
	Rooms   int    `default:"10" help:"Rooms recorded at the same time, 1 to 200."`
	Members int    `default:"4" help:"Members of each room, 1 to 8. Each sends sound (50 frames a second of 80 bytes) and picture (25 a second, 500 kbit/s, a key frame every 4 s)."`
	Seconds int    `default:"15" help:"How long to measure, 2 to 600."`
	Folder  string `help:"Folder for the journals, removed afterwards; by default a temporary one." type:"path"`
	Profile string `help:"Write a processor profile of the measured time to this file." type:"path"`
	JSON    bool   `help:"Print one JSON object instead of lines."`
}

// Help says what is inside the measured path.
func (recorderCommand) Help() string {
	return `Sealed frames are made before measuring, once, and given to the recorder of
every room at their times, as package interview/member gives them. Measured is
everything from there on: opening each frame to authenticate it (AES-GCM and
replay window), counting losses, verifying each sender's origin list (ES256,
one a second and track), sealing and signing blocks, write and fsync of a real
file, and signing heartbeats. Not in it: network, SRTP, putting packets together,
the bus. The generator's timers run in the same process and are counted too.`
}

// Validate implements kong's check.
func (c *recorderCommand) Validate() error {
	switch {
	case c.Rooms < 1 || c.Rooms > 200:
		return fmt.Errorf("--rooms must be 1 to 200, not %d", c.Rooms)
	case c.Members < 1 || c.Members > 8:
		return fmt.Errorf("--members must be 1 to 8, not %d", c.Members)
	case c.Seconds < 2 || c.Seconds > 600:
		return fmt.Errorf("--seconds must be 2 to 600, not %d", c.Seconds)
	}
	return nil
}

// recorderResult is what a run cost.
type recorderResult struct {
	Rooms      int     `json:"rooms"`
	Tracks     int     `json:"tracks"`
	Seconds    float64 `json:"seconds"`
	Frames     int64   `json:"frames"`
	Lost       int64   `json:"lost"`        // given and not in the journals
	CPU        float64 `json:"cpu_seconds"` // user and system
	CPUPerRoom float64 `json:"cpu_percent_of_a_core_per_room"`
	CPUPerHour float64 `json:"cpu_seconds_per_track_hour"`
	Memory     float64 `json:"memory_kb_per_track"` // resident, beyond the empty process with its frames
	Written    int64   `json:"written_bytes"`
	Media      int64   `json:"media_bytes"`    // sealed frames
	Origins    int64   `json:"origin_bytes"`   // senders' lists as they were signed
	Lists      int64   `json:"origin_lists"`   // in the journals
	Overhead   float64 `json:"write_overhead"` // of written over media
	Durable    struct {
		P50 float64 `json:"p50_ms"`
		P99 float64 `json:"p99_ms"`
		Max float64 `json:"max_ms"`
	} `json:"arrival_to_durable"`
	Allocated  float64 `json:"allocated_bytes_per_frame"`
	Late       float64 `json:"generator_late_ms"` // the most that a frame was given after its time
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
	Processors int     `json:"processors"`
}

// Run measures once.
func (c *recorderCommand) Run(ctx context.Context) error {
	folder, err := os.MkdirTemp(c.Folder, "kuule-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	r, err := c.measure(ctx, folder)
	if err != nil {
		return err
	}
	return c.write(os.Stdout, r)
}

func (c *recorderCommand) write(w io.Writer, r recorderResult) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, `rooms %d, tracks %d, %.1f s
frames    %d given, %d lost
cpu       %.2f%% of a core for a room; %.2f s for an hour of one track
memory    %.0f kB for a track; %.0f bytes allocated for a frame
written   %.2f MB of %.2f MB media: %.2f%% over it; origin lists are %.2f%% as they are signed
durable   %.0f / %.0f / %.0f ms after arrival (p50 / p99 / most)
load      %.2f before, %.2f after, %d processors; the generator was at most %.0f ms late
`, r.Rooms, r.Tracks, r.Seconds, r.Frames, r.Lost, r.CPUPerRoom, r.CPUPerHour, r.Memory, r.Allocated,
		float64(r.Written)/1e6, float64(r.Media)/1e6, 100*r.Overhead, 100*float64(r.Origins)/float64(max(1, r.Media)),
		r.Durable.P50, r.Durable.P99, r.Durable.Max, r.LoadBefore, r.LoadAfter, r.Processors, r.Late)
	return err
}

// made is what the members of a room send, made once for all rooms.
type made struct {
	members []wire.MemberView
	senders []*journaltest.Sender
	moments [][]recorder.Frame // by 20 ms
	lists   [][]signed         // origin lists by second
	bytes   int64
	names   int64
}

// signed is an origin list, and whose key signed it.
type signed struct {
	text string
	by   crypto.Signer
}

const (
	frameOfSound   = 80
	frameOfPicture = 500_000 / 8 / 25
	keyPicture     = 5 * frameOfPicture
	keyPictures    = 100 // pictures
)

// maker has the test world fail by panic: there is no test here.
type maker struct{ testing.TB }

func (maker) Helper()           {}
func (maker) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// sealed makes what is sent in that many seconds.
func sealed(members, seconds int) *made {
	w := journaltest.New(maker{})
	out := &made{moments: make([][]recorder.Frame, seconds*50), lists: make([][]signed, seconds)}
	noise := make([]byte, 4*keyPicture)
	for i := 0; i < len(noise); i += 8 {
		binary.LittleEndian.PutUint64(noise[i:], rand.Uint64()) //nolint:gosec // noise for a measurement
	}
	for place := range members {
		role := interview.RoleApplicant
		if place == 0 {
			role = interview.RoleInterviewer
		}
		m := w.Member(role)
		out.members = append(out.members, wire.MemberView{Member: m.Member(), Kind: sealing.KindPage, Statement: m.Statement, Admission: m.Admission})
		audio, video := w.Sender(m, 1, place, 0, interview.SourceAudio), w.Sender(m, 1, place, 1, interview.SourceVideo)
		out.senders = append(out.senders, audio, video)
		for n := range seconds * 50 {
			at := interview.Micros(n) * 20_000
			out.add(n, audio.Seal(at, false, noise[:frameOfSound-30]))
			if (n+place)%2 == 0 {
				size, key := frameOfPicture*9/10, byte(1) // with the key frame's share the rate is 500 kbit/s
				if (n/2+25*place)%keyPictures == 0 {
					size, key = keyPicture, 0
				}
				from := rand.IntN(len(noise) - size) //nolint:gosec // noise for a measurement
				out.add(n, video.Seal(at, key == 0, append([]byte{key}, noise[from:from+size]...)))
			}
			if n%50 == 49 {
				for _, s := range []*journaltest.Sender{audio, video} {
					list := s.Origin()
					out.lists[n/50] = append(out.lists[n/50], signed{list, m.Signer()})
					out.names += int64(len(list))
				}
			}
		}
	}
	return out
}

// of has the lists signed again for a room of its own: a list names the hearing
// that it is of.
func (m *made) of(w *journaltest.World) ([][]string, map[string]crypto.PublicKey, error) {
	lists, signers := make([][]string, len(m.lists)), map[string]crypto.PublicKey{}
	last := map[interview.TrackID]string{}
	for n, all := range m.lists {
		for _, l := range all {
			var o sealing.Origin
			if err := jws.Peek(l.text, sealing.TypeOrigin, &o); err != nil {
				return nil, nil, err
			}
			o.Hearing, o.Group, o.Prev = w.Hearing, w.Group, last[o.Track]
			text, err := jws.Sign(o, sealing.TypeOrigin, l.by)
			if err != nil {
				return nil, nil, err
			}
			last[o.Track] = jws.Hash(text)
			lists[n], signers[text] = append(lists[n], text), l.by.Public()
		}
	}
	return lists, signers, nil
}

func (m *made) add(n int, f journal.Frame) {
	m.moments[n] = append(m.moments[n], recorder.Frame{Member: f.Member, Track: f.Track, Source: f.Source, RTPTime: f.RTPTime, Sealed: f.Sealed})
	m.bytes += int64(len(f.Sealed))
}

// benchRoom is a room without network: it opens and verifies as a member does.
type benchRoom struct {
	w     *journaltest.World
	made  *made
	lists [][]string // by second
	keys  map[interview.TrackID]*sealing.FrameKey
	by    map[string]crypto.PublicKey // who signed a list
	on    recorder.Events
	done  chan struct{}
	once  sync.Once
	ready chan struct{}
	began sync.Once

	mu    sync.Mutex
	given []time.Time // frames that are not durable yet, in the order of their arrival
	waits []time.Duration
}

func (r *benchRoom) Member() interview.MemberID { return r.w.Recorder.Member() }
func (r *benchRoom) Group() interview.GroupID   { return r.w.Group }
func (r *benchRoom) Statement() string          { return r.w.Recorder.Statement }
func (r *benchRoom) Signer() crypto.Signer      { return r.w.Recorder.Signer() }
func (r *benchRoom) Now() interview.Micros      { return r.w.Clock() }
func (r *benchRoom) Done() <-chan struct{}      { return r.done }
func (r *benchRoom) Close()                     { r.once.Do(func() { close(r.done) }) }

func (r *benchRoom) Open(dst []byte, f recorder.Frame) (sealing.FrameHeader, []byte, error) {
	k := r.keys[f.Track]
	if k == nil {
		return sealing.FrameHeader{}, nil, sealing.ErrNoKey
	}
	return k.Open(dst, f.Sealed)
}

func (r *benchRoom) AcceptOrigin(list string) error {
	var o sealing.Origin
	return jws.Verify(list, sealing.TypeOrigin, r.by[list], &o)
}

func (r *benchRoom) Heartbeat(h sealing.Heartbeat) error {
	h.Hearing, h.Group = r.w.Hearing, r.w.Group
	_, err := r.w.Recorder.SignHeartbeat(h)
	if h.State == interview.RecorderRecording {
		r.began.Do(func() { close(r.ready) })
	}
	return err
}

type benchRooms map[interview.HearingID]*benchRoom

func (j benchRooms) any() *benchRoom {
	for _, r := range j {
		return r
	}
	return nil
}

// Join implements recorder.Joiner.
func (j benchRooms) Join(_ context.Context, h recorder.Hearing, on recorder.Events) (recorder.Room, error) {
	r := j[h.Hearing]
	r.on = on
	for _, s := range r.made.senders {
		if err := on.Keep(s.SenderKey()); err != nil {
			return nil, err
		}
	}
	on.Members(r.made.members)
	on.Phase(wire.PhaseNow{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 1})
	return r, nil
}

// watched is a disk that tells its room which frames became durable.
type watched struct {
	journal.Disk
	room *benchRoom
}

func (d watched) Create(name string) (journal.File, error) {
	f, err := d.Disk.Create(name)
	return &watchedFile{File: f, room: d.room}, err
}

type watchedFile struct {
	journal.File
	room   *benchRoom
	frames int64
}

// Write reads from the block's head how many frames it holds.
func (f *watchedFile) Write(b []byte) (int, error) {
	block := b
	if len(block) > 8 && string(block[:4]) != "KJB1" {
		block = block[8:]
	}
	var h journal.Head
	if err := jws.Peek(string(block[16:16+binary.BigEndian.Uint32(block[4:])]), journal.TypeJournal, &h); err != nil {
		return 0, err
	}
	f.frames = h.Frames
	return f.File.Write(b)
}

func (f *watchedFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	now := time.Now()
	f.room.mu.Lock()
	defer f.room.mu.Unlock()
	for _, at := range f.room.given[:f.frames] {
		f.room.waits = append(f.room.waits, now.Sub(at))
	}
	f.room.given = f.room.given[f.frames:]
	return nil
}

// measure fills the rooms and records them.
func (c *recorderCommand) measure(ctx context.Context, folder string) (out recorderResult, err error) {
	all := sealed(c.Members, c.Seconds)
	rooms := benchRooms{}
	for range c.Rooms {
		w := journaltest.New(maker{})
		r := &benchRoom{w: w, made: all, keys: map[interview.TrackID]*sealing.FrameKey{}, done: make(chan struct{}), ready: make(chan struct{})}
		if r.lists, r.by, err = all.of(w); err != nil {
			return out, err
		}
		for _, s := range all.senders {
			if r.keys[s.Track], err = sealing.NewFrameKey(sealing.Wrap{KID: s.KID, Track: s.Track, Source: s.Source}, s.Key); err != nil {
				return out, err
			}
		}
		rooms[w.Hearing] = r
	}
	runtime.GC()
	empty := resident()
	rec, err := recorder.New(recorder.Config{
		Folder: folder, Joiner: rooms, Keys: &journaltest.Wrapper{},
		Disk: func(path string) (journal.Disk, error) {
			h, err := interview.ParseHearingID(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return nil, err
			}
			d, err := journal.Directory(path)
			return watched{d, rooms[h]}, err
		},
	})
	if err != nil {
		return out, err
	}
	defer rec.Close()
	for h, r := range rooms {
		if err := rec.Open(recorder.Hearing{Case: r.w.Case, Hearing: h}); err != nil {
			return out, err
		}
	}
	for _, r := range rooms {
		select {
		case <-r.ready:
		case <-time.After(30 * time.Second):
			return out, errors.New("a recorder did not begin within 30 s")
		}
	}
	out = recorderResult{Rooms: c.Rooms, Tracks: c.Rooms * c.Members * 2, LoadBefore: load(), Processors: runtime.GOMAXPROCS(0)}
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return out, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return out, err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := processorTime(), time.Now()
	late := c.play(ctx, rooms)
	out.CPU, out.Seconds = processorTime()-cpu, time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	out.Memory = max(0, resident()-empty) / 1024 / float64(out.Tracks)
	if c.Profile != "" {
		pprof.StopCPUProfile()
	}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	for h := range rooms {
		if err := rec.End(ctx, h); err != nil {
			return out, err
		}
	}
	out.Late = float64(late.Microseconds()) / 1000
	out.Media, out.Origins = all.bytes*int64(c.Rooms), all.names*int64(c.Rooms)
	out.Frames = 0
	for _, m := range all.moments {
		out.Frames += int64(len(m) * c.Rooms)
	}
	out.Allocated = float64(after.TotalAlloc-before.TotalAlloc) / float64(out.Frames)
	out.LoadAfter = load()
	return out, out.count(rooms, folder)
}

// count reads what is on disk and derives the rest.
func (out *recorderResult) count(rooms benchRooms, folder string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil {
		return err
	}
	var kept int64
	for _, path := range paths {
		if st, err := os.Stat(path); err != nil || !st.IsDir() {
			continue
		}
		f, err := journal.OpenFolder(path)
		if err != nil {
			return err
		}
		for {
			b, err := f.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return errors.Join(err, f.Close())
			}
			kept += b.Head.Frames
			out.Written += b.Size
			for _, e := range b.Entries {
				if _, ok := e.List(); ok {
					out.Lists++
				}
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	out.Lost = out.Frames - kept
	if want := int64(out.Tracks * len(rooms.any().lists)); out.Lists != want {
		return fmt.Errorf("%d origin lists were kept of %d", out.Lists, want)
	}
	out.Overhead = float64(out.Written-out.Media) / float64(out.Media)
	out.CPUPerRoom = 100 * out.CPU / out.Seconds / float64(out.Rooms)
	out.CPUPerHour = out.CPU / out.Seconds / float64(out.Tracks) * 3600
	var waits []time.Duration
	for _, r := range rooms {
		waits = append(waits, r.waits...)
	}
	out.Durable.P50, out.Durable.P99, out.Durable.Max = ranksOf(waits)
	return nil
}

// play gives every room its frames at their times and tells the latest.
func (c *recorderCommand) play(ctx context.Context, rooms benchRooms) time.Duration {
	var late atomic.Int64
	var wait sync.WaitGroup
	n := 0
	for _, r := range rooms {
		offset := time.Duration(n) * 20 * time.Millisecond / time.Duration(len(rooms))
		n++
		wait.Go(func() {
			start := time.Now().Add(offset)
			for i, frames := range r.made.moments {
				due := start.Add(time.Duration(i) * 20 * time.Millisecond)
				if d := time.Until(due); d > 0 {
					time.Sleep(d)
				}
				if ctx.Err() != nil {
					return
				}
				now := time.Now()
				if l := now.Sub(due).Nanoseconds(); l > late.Load() {
					late.Store(l)
				}
				r.mu.Lock()
				for range frames {
					r.given = append(r.given, now)
				}
				r.mu.Unlock()
				for _, f := range frames {
					f.Arrival = now
					r.on.Frame(f)
				}
				if i%50 == 49 {
					r.on.Origin(r.lists[i/50])
				}
			}
		})
	}
	wait.Wait()
	return time.Duration(late.Load())
}

// ranksOf gives p50, p99 and the most, in milliseconds.
func ranksOf(d []time.Duration) (p50, p99, most float64) {
	if len(d) == 0 {
		return 0, 0, 0
	}
	slices.Sort(d)
	at := func(q float64) float64 { return float64(d[int(q*float64(len(d)-1))].Microseconds()) / 1000 }
	return at(0.5), at(0.99), at(1)
}

func processorTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// resident is the memory of this process in bytes.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize())
}
