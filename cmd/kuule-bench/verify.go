package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"time"

	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/record"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

type verifyCommand struct {
	Hours   float64 `default:"4" help:"Length of the synthetic recording: one person's sound and picture at 500 kbit/s."`
	Folder  string  `help:"Folder for it, removed afterwards; by default a temporary one." type:"path"`
	Profile string  `help:"Write a processor profile of the sealed verification to this file." type:"path"`
	JSON    bool    `help:"Print one JSON object instead of lines."`
}

// Help says what is measured.
func (verifyCommand) Help() string {
	return `Verifies an evidence bundle on one processor (GOMAXPROCS 1): sealed, as anybody
can, and open, with the data key, where every frame is opened and held against
its sender's list. The yardstick is measured beside it in the same process: one
AES-256-GCM and one SHA-256 pass, of 16 KB at a time, as openssl speed does.`
}

// Validate implements kong's check.
func (c *verifyCommand) Validate() error { return hoursWithin(c.Hours) }

func hoursWithin(h float64) error {
	if h < 0.01 || h > 24 {
		return fmt.Errorf("--hours must be 0.01 to 24, not %g", h)
	}
	return nil
}

type verifyResult struct {
	Hours      float64 `json:"hours"`
	Bytes      int64   `json:"bytes"`
	Blocks     int64   `json:"blocks"`
	Frames     int64   `json:"frames"`
	Sealed     float64 `json:"sealed_mb_per_s"`
	Open       float64 `json:"open_mb_per_s"`
	Wall       float64 `json:"sealed_wall_mb_per_s"` // by the clock, on all processors
	AES        float64 `json:"aes_256_gcm_mb_per_s"`
	SHA        float64 `json:"sha256_mb_per_s"`
	Allowed    float64 `json:"allowed_mb_per_s"` // one pass of each
	SealedPart float64 `json:"sealed_of_allowed"`
	OpenPart   float64 `json:"open_of_allowed"`
	Memory     float64 `json:"heap_mb"` // that verifying reached beyond what was there
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
}

// long is a synthetic recording.
type long struct {
	world   *journaltest.World
	content evidence.Content
	path    string
	to      interview.Micros
	video   *journaltest.Sender
	audio   *journaltest.Sender
}

// unsynced is a disk for making recordings that nobody needs after a crash.
type unsynced struct{ journal.Disk }

func (d unsynced) Create(name string) (journal.File, error) {
	f, err := d.Disk.Create(name)
	return unsyncedFile{f}, err
}

type unsyncedFile struct{ journal.File }

func (unsyncedFile) Sync() error { return nil }

// askedPictures lie between two key frames where a recorder has to ask for them
// (every 10 s): a seek goes no farther back.
const askedPictures = 250

// recordLong writes one person's sound and picture of that many hours.
func recordLong(ctx context.Context, folder string, hours float64) (*long, error) {
	w := journaltest.New(maker{})
	chair, speaker := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant)
	l := &long{world: w, path: filepath.Join(folder, "rec")}
	l.audio, l.video = w.Sender(speaker, 1, 1, 0, interview.SourceAudio), w.Sender(speaker, 1, 1, 1, interview.SourceVideo)
	disk, err := journal.Directory(l.path)
	if err != nil {
		return nil, err
	}
	var now interview.Micros
	cfg := w.Config(unsynced{disk})
	cfg.Interval, cfg.Clock = 1000*time.Hour, func() interview.Micros { return now }
	j, err := journal.Create(cfg)
	if err != nil {
		return nil, err
	}
	roster := w.Roster(chair, 1, chair, speaker, w.Recorder)
	keep := func(e journal.Entry, err error) error { return errors.Join(err, j.AddEntry(e)) }
	err = errors.Join(
		keep(journal.NewSigned(journal.EntryStatement, 1, speaker.Statement)), keep(journal.NewSigned(journal.EntryAdmission, 1, speaker.Admission)),
		keep(journal.NewSigned(journal.EntryRoster, 1, roster)), keep(journal.NewSenderKeyEntry(1, l.audio.SenderKey())), keep(journal.NewSenderKeyEntry(1, l.video.SenderKey())))
	if err != nil {
		return nil, err
	}
	noise := make([]byte, 2*keyPicture)
	for i := range noise {
		noise[i] = byte(i * 7 / 3)
	}
	blocks := int64(hours * 7200)
	n := 0
	for b := range blocks {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, j.Close("test"))
		}
		for range 25 { // half a second
			at := interview.Micros(n) * 20_000
			frames := []journal.Frame{l.audio.Seal(at, false, noise[:frameOfSound-30])}
			if n%2 == 0 {
				size, kind := frameOfPicture*9/10, byte(1)
				if n/2%askedPictures == 0 {
					size, kind = keyPicture, 0
				}
				frames = append(frames, l.video.Seal(at, kind == 0, append([]byte{kind}, noise[n%size:n%size+size]...)))
			}
			for _, f := range frames {
				f.Arrival = at
				if err := j.Append(f); err != nil {
					return nil, err
				}
			}
			n++
		}
		if b%2 == 1 {
			err = errors.Join(keep(journal.NewSigned(journal.EntryOrigin, now, l.audio.Origin())), keep(journal.NewSigned(journal.EntryOrigin, now, l.video.Origin())))
			if err != nil {
				return nil, err
			}
		}
		now = interview.Micros(n) * 20_000
		j.Flush()
		for p := j.Durable(); p.Seq <= b; p = j.Durable() {
			if p.Err != nil {
				return nil, p.Err
			}
			runtime.Gosched()
		}
	}
	l.to = now
	if err := j.Close("ended"); err != nil {
		return nil, err
	}
	l.content = evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now,
		Statements: []string{chair.Statement, speaker.Statement, w.Recorder.Statement},
		Admissions: []string{chair.Admission, speaker.Admission, w.Recorder.Admission},
		Rosters:    []string{roster},
		Phases:     []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}},
	}
	r, err := jws.Sign(record.Record{V: 1, ID: interview.NewRecordID(), Hearing: w.Hearing, Case: w.Case, Version: 1, Content: "x", Rule: "2", SealedAt: 1}, record.Type, w.Sealing)
	l.content.Records = []string{r}
	return l, err
}

// bundle writes the evidence of the recording to a file.
func (l *long) bundle(ctx context.Context, path string) (*os.File, int64, error) {
	names, err := filepath.Glob(filepath.Join(l.path, "*.kj"))
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(names)
	var files []evidence.Blob
	for _, n := range names {
		files = append(files, evidence.Blob{Name: filepath.Base(n), Open: func() (io.ReadCloser, error) { return os.Open(n) }})
	}
	l.content.Journals = [][]evidence.Blob{files}
	f, err := os.Create(path)
	if err != nil {
		return nil, 0, err
	}
	err = evidence.Build(ctx, f, l.content, manifestSealer{l.world})
	st, err2 := f.Stat()
	if err = errors.Join(err, err2); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

type manifestSealer struct{ w *journaltest.World }

func (s manifestSealer) SealEvidence(_ context.Context, m evidence.Manifest) (string, error) {
	return jws.Sign(m, evidence.TypeEvidence, s.w.Sealing)
}

// Run measures once.
func (c *verifyCommand) Run(ctx context.Context) error {
	folder, err := os.MkdirTemp(c.Folder, "kuule-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	l, err := recordLong(ctx, folder, c.Hours)
	if err != nil {
		return err
	}
	f, size, err := l.bundle(ctx, filepath.Join(folder, "evidence.zip"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.RemoveAll(l.path); err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := verifyResult{Hours: c.Hours, Bytes: size, LoadBefore: load()}
	r.AES, r.SHA = yardsticks()
	r.Allowed = 1 / (1/r.AES + 1/r.SHA)
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	top := watchHeap()
	verify := func(o evidence.Options) (evidence.Report, float64, error) {
		cpu := processorTime()
		report, err := evidence.Verify(f, size, l.world.Trust(), o)
		return report, float64(size) / 1e6 / (processorTime() - cpu), err
	}
	if c.Profile != "" {
		p, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := pprof.StartCPUProfile(p); err != nil {
			return err
		}
	}
	report, rate, err := verify(evidence.Options{Log: noLog})
	if c.Profile != "" {
		pprof.StopCPUProfile()
	}
	if err != nil {
		return err
	}
	r.Sealed = rate
	r.Blocks, r.Frames = report.Recordings[0].Recording.Blocks, report.Recordings[0].Frames
	r.Memory = math.Max(0, float64(top())-float64(before.HeapInuse)) / 1e6
	if _, r.Open, err = verify(evidence.Options{Log: noLog, Keys: map[interview.RecordingID]journal.DataKey{l.world.Recording: l.world.Key}}); err != nil {
		return err
	}
	runtime.GOMAXPROCS(runtime.NumCPU())
	begun := time.Now()
	if _, _, err = verify(evidence.Options{Log: noLog}); err != nil {
		return err
	}
	r.Wall = float64(size) / 1e6 / time.Since(begun).Seconds()
	r.SealedPart, r.OpenPart, r.LoadAfter = r.Sealed/r.Allowed, r.Open/r.Allowed, load()
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	_, err = fmt.Printf(`recording %.2f h, %.0f MB, %d blocks, %d frames
sealed    %.0f MB/s of processor time: %.0f%% of what one pass of each allows
open      %.0f MB/s: %.0f%%
clock     %.0f MB/s sealed, on all processors
yardstick AES-256-GCM %.0f MB/s, SHA-256 %.0f MB/s, together %.0f MB/s
memory    %.1f MB of heap
load      %.2f before, %.2f after
`, r.Hours, float64(r.Bytes)/1e6, r.Blocks, r.Frames, r.Sealed, 100*r.SealedPart, r.Open, 100*r.OpenPart, r.Wall, r.AES, r.SHA, r.Allowed, r.Memory, r.LoadBefore, r.LoadAfter)
	return err
}

func noLog(*trust.File, evidence.Manifest, map[string][]byte) (evidence.LogReport, error) {
	return evidence.LogReport{}, nil
}

// yardsticks measures AES-256-GCM and SHA-256 in MB/s of processor time, 16 KB
// at a time.
func yardsticks() (gcm, sha float64) {
	b := make([]byte, 16<<10)
	block, _ := aes.NewCipher(make([]byte, 32))
	aead, _ := cipher.NewGCM(block)
	nonce := make([]byte, 12)
	sealed := aead.Seal(nil, nonce, b, nil)
	out := make([]byte, 0, len(b))
	rate := func(once func()) float64 {
		const rounds = 40_000
		cpu := processorTime()
		for range rounds {
			once()
		}
		return rounds * float64(len(b)) / 1e6 / (processorTime() - cpu)
	}
	gcm = rate(func() { _, _ = aead.Open(out, nonce, sealed, nil) })
	sha = rate(func() { sha256.Sum256(b) })
	return gcm, sha
}

// watchHeap looks at the heap until it is asked for the most that it saw.
func watchHeap() func() uint64 {
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var top uint64
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				most <- top
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapInuse)
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-most
	}
}
