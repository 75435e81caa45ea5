package journal

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/sealing"
)

// Times and bounds of a writer, where Config does not say otherwise.
const (
	DefaultInterval = 500 * time.Millisecond
	DefaultRotateAt = 64 << 20
	DefaultPending  = 24 << 20                // bytes that may wait for the disk; also the most
	AlarmAfter      = 1500 * time.Millisecond // without durable progress
	BehindAfter     = 2 * time.Second         // durable data older than this
	FailedAfter     = 30 * time.Second        // the disk is taken for lost
	CloseWait       = 10 * time.Second        // Close waits no longer for the disk
)

var (
	// ErrStopped says that the journal is closed or has failed and takes nothing more.
	ErrStopped = errors.New("the journal takes nothing more")
	// ErrFull says that what waits for the disk has reached its bound, in bytes or
	// in tracks. A frame is dropped and becomes a marked gap; an entry has to be
	// given again.
	ErrFull = errors.New("too much waits for the disk")
	// ErrStalled says that the disk took nothing for FailedAfter.
	ErrStalled = errors.New("the disk has stalled")
)

// Config is what a writer needs.
type Config struct {
	Disk   Disk
	Opened Opened        // whose journal; Wrapped is the data key, wrapped
	Key    DataKey       // seals the frames
	Signer crypto.Signer // the key of Opened.Statement's sign_key
	// Clock tells the hearing clock. It is called from several goroutines.
	Clock func() interview.Micros

	Interval time.Duration // between blocks; 0: DefaultInterval
	RotateAt int64         // bytes of a file; 0: DefaultRotateAt
	Pending  int           // bytes that may wait for the disk; 0 or more than it: DefaultPending

	// OnDurable, if set, is called after each block that is on disk, from the
	// writer's goroutine: it must not block. A last call follows a failure.
	OnDurable func(Progress)
	// OnAlarm, if set, is called once each time that nothing became durable
	// for AlarmAfter, and once more where the disk is then taken for lost, from
	// the watching goroutine.
	OnAlarm func(Progress)
	// OnRotated, if set, is called with the name of each file that is complete.
	OnRotated func(name string)
}

// Progress is what is durable now: the content of a heartbeat.
type Progress struct {
	State   interview.RecorderState
	Durable interview.Micros // everything that arrived up to here is on disk
	Now     interview.Micros
	Tracks  []sealing.TrackDurable // per track, the newest capture time on disk
	Seq     int64                  // of the last durable block, -1: none
	Head    string                 // hash of that block
	Frames  int64                  // frames on disk
	Dropped int64                  // frames that were given and dropped
	Err     error                  // why it failed
}

// Writer writes one journal. Its methods are safe for concurrent use, and none
// but Create and Close waits for the disk.
type Writer struct {
	cfg  Config
	kick chan struct{}
	stop chan string
	done chan struct{} // the writing goroutine has ended
	end  chan struct{} // ends the watching goroutine
	over sync.WaitGroup

	mu       sync.Mutex
	frames   []Frame
	entries  []Entry
	pending  int               // bytes that wait or are being written
	clearing int               // bytes of entries that wait
	waiting  map[slot]struct{} // tracks of the frames that wait
	dropped  map[slot]*drop
	lost     int64
	state    interview.RecorderState // recording, failed or stopped; behind is computed
	err      error
	closing  bool
	durable  interview.Micros
	moved    time.Time // when something last became durable
	alarmed  bool
	tracks   map[interview.TrackID]interview.Micros
	seq      int64
	head     string
	counted  int64
	stopOnce sync.Once

	// Of the writing goroutine alone.
	file    File
	fileNo  int64
	size    int64
	next    int64
	prev    string
	from    interview.Micros
	written int64
	sealed  []byte
	clear   []byte
	out     []byte
	slots   map[slot]placed
	places  []Position // of the blocks of this file
	spare   []Frame    // emptied, for the next block but one
}

// drop counts what a full queue cost one track.
type drop struct {
	from, to interview.Micros
	frames   int64
}

// Create begins a journal: when it returns, the first block (Opened) is
// durable. The disk must hold no journal yet.
func Create(cfg Config) (*Writer, error) {
	if cfg.Disk == nil || cfg.Signer == nil || cfg.Clock == nil || cfg.Key.IsZero() {
		return nil, errors.New("journal: disk, signer, clock and data key are all needed")
	}
	o := cfg.Opened
	if o.V != 1 || o.Case.IsZero() || o.Hearing.IsZero() || o.Recording.IsZero() || o.Member.IsZero() || o.Group.IsZero() || o.Statement == "" || o.Wrapped == "" {
		return nil, errors.New("journal: case, hearing, group, member, recording, statement and wrapped key are all needed")
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.RotateAt <= 0 {
		cfg.RotateAt = DefaultRotateAt
	}
	if cfg.Pending <= 0 || cfg.Pending > DefaultPending {
		cfg.Pending = DefaultPending
	}
	opened, err := NewEntry(EntryOpened, o.Anchor.Hearing, o)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	w := &Writer{
		cfg: cfg, kick: make(chan struct{}, 1), stop: make(chan string, 1), done: make(chan struct{}), end: make(chan struct{}),
		waiting: map[slot]struct{}{}, dropped: map[slot]*drop{}, tracks: map[interview.TrackID]interview.Micros{},
		state: interview.RecorderRecording, seq: -1, from: o.Anchor.Hearing, durable: o.Anchor.Hearing, moved: time.Now(),
		entries: []Entry{opened}, slots: map[slot]placed{},
	}
	if o.After != nil {
		gap, err := NewEntry(EntryGap, o.Anchor.Hearing, Gap{Cause: o.After.Cause, From: o.After.To, To: max(o.After.To, o.Anchor.Hearing)})
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		w.entries = append(w.entries, gap)
	}
	if err := w.block(w.take(nil)); err != nil {
		if w.file != nil {
			w.file.Close()
		}
		return nil, fmt.Errorf("journal: first block: %w", err)
	}
	w.over.Add(2)
	go w.run()
	go w.watch()
	return w, nil
}

// Append takes a frame; it never waits. The frame's bytes belong to the writer
// from now on. It fails with ErrFull where the frame was dropped and with
// ErrStopped after the end.
func (w *Writer) Append(f Frame) error {
	if len(f.Sealed) == 0 || len(f.Sealed) > MaxFrame || len(f.Rid) > 255 || f.Member.IsZero() || f.Track.IsZero() {
		return fmt.Errorf("frame of %d bytes for track %s cannot be kept", len(f.Sealed), f.Track)
	}
	if !known(f.Source) {
		return fmt.Errorf("frame for track %s cannot be kept: source %q is not known", f.Track, f.Source)
	}
	if h, err := sframe.ParseHeader(f.Sealed); err != nil || h.KID != f.KID || h.Counter != f.Counter {
		return fmt.Errorf("frame for track %s cannot be kept: %w", f.Track, errFrameHeader)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || w.state != interview.RecorderRecording {
		return ErrStopped
	}
	if w.pending+len(f.Sealed) > w.cfg.Pending || !w.room(f) {
		w.drop(f)
		return ErrFull
	}
	w.frames = append(w.frames, f)
	w.pending += len(f.Sealed) + frameOverhead
	if w.pending > w.cfg.Pending/8 {
		w.wake()
	}
	return nil
}

// What a frame and an entry cost in memory beside their bytes, about.
const (
	frameOverhead = 192
	entryOverhead = 64
)

// room reports whether the next block may speak of a frame's track: a reader takes
// MaxTracks of them and no more.
func (w *Writer) room(f Frame) bool {
	s := slot{f.Member, f.Track, f.Source, f.Rid}
	if _, ok := w.waiting[s]; ok {
		return true
	}
	if len(w.waiting) >= MaxTracks {
		return false
	}
	w.waiting[s] = struct{}{}
	return true
}

func (w *Writer) drop(f Frame) {
	s := slot{f.Member, f.Track, f.Source, f.Rid}
	d := w.dropped[s]
	if d == nil {
		if len(w.dropped) >= MaxTracks {
			s, d = slot{}, w.dropped[slot{}]
		}
		if d == nil {
			d = &drop{from: f.Arrival}
			w.dropped[s] = d
		}
	}
	d.to = max(d.to, f.Arrival)
	d.frames++
	w.lost++
}

// AddEntry takes an entry; it never waits. Types opened and closed are the
// writer's own. An entry that a reader would refuse, as a gap that ends before it
// begins, is refused here: it would spoil the whole block.
func (w *Writer) AddEntry(e Entry) error {
	if _, ok := sections[e.Type]; !ok || e.Type == EntryOpened || e.Type == EntryClosed || len(e.Body) == 0 || len(e.Body) > MaxEntry {
		return fmt.Errorf("entry %q of %d bytes cannot be kept", e.Type, len(e.Body))
	}
	if e.Type == EntryOrigin {
		packed, err := packOrigin(e.Body, &w.cfg.Opened)
		if err != nil {
			return fmt.Errorf("entry %q cannot be kept: %w", e.Type, err)
		}
		e.Body = packed
	} else if err := e.check(); err != nil {
		return fmt.Errorf("entry cannot be kept: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || w.state != interview.RecorderRecording {
		return ErrStopped
	}
	// Entries may not fill a block's clear section; a page cannot make that many
	// within the rates of the door.
	if w.pending+len(e.Body) > w.cfg.Pending || w.clearing+len(e.Body)+entryOverhead > MaxClear/2 {
		return ErrFull
	}
	w.entries = append(w.entries, e)
	w.pending += len(e.Body) + entryOverhead
	w.clearing += len(e.Body) + entryOverhead
	return nil
}

func (w *Writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Flush asks for a block now instead of at the next interval; it does not wait.
func (w *Writer) Flush() { w.wake() }

// Durable tells what is on disk now and how the writer does.
func (w *Writer) Durable() Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.progress()
}

func (w *Writer) progress() Progress {
	p := Progress{
		State: w.state, Durable: w.durable, Now: max(w.cfg.Clock(), w.durable), Seq: w.seq, Head: w.head,
		Frames: w.counted, Dropped: w.lost, Err: w.err, Tracks: make([]sealing.TrackDurable, 0, len(w.tracks)),
	}
	if p.State == interview.RecorderRecording && (time.Since(w.moved) > BehindAfter || len(w.dropped) > 0) {
		p.State = interview.RecorderBehind
	}
	for t, at := range w.tracks {
		p.Tracks = append(p.Tracks, sealing.TrackDurable{Track: t, Durable: at})
	}
	slices.SortFunc(p.Tracks, func(a, b sealing.TrackDurable) int { return strings.Compare(a.Track.String(), b.Track.String()) })
	return p
}

// Close writes what waits and a closing entry, and returns when it is durable
// or the journal has failed. Where the disk does not return, Close gives up
// after CloseWait. It is safe to call again.
func (w *Writer) Close(reason string) error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.stopOnce.Do(func() { w.stop <- reason })
	timeout := time.NewTimer(CloseWait)
	defer timeout.Stop()
	select {
	case <-w.done:
		w.over.Wait()
	case <-timeout.C:
		w.fail(ErrStalled)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) run() {
	defer w.over.Done()
	defer close(w.end)
	defer close(w.done)
	defer func() { w.file.Close() }()
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for {
		var reason *string
		select {
		case <-tick.C:
		case <-w.kick:
		case r := <-w.stop:
			reason = &r
		}
		if err := w.block(w.take(reason)); err != nil {
			w.fail(err)
			w.report()
			return
		}
		if reason != nil {
			w.mu.Lock()
			if w.state == interview.RecorderRecording {
				w.state = interview.RecorderStopped
			}
			w.mu.Unlock()
			w.writeIndex()
		}
		w.report()
		if reason != nil || w.failed() {
			return
		}
	}
}

func (w *Writer) report() {
	if w.cfg.OnDurable != nil {
		w.cfg.OnDurable(w.Durable())
	}
}

func (w *Writer) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state == interview.RecorderFailed
}

// fail ends the journal for good: after a failed fsync nobody knows what the
// disk holds, so the way on is a new recording.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state == interview.RecorderRecording {
		w.state, w.err = interview.RecorderFailed, err
		w.frames, w.entries, w.pending = nil, nil, 0
		clear(w.waiting)
	}
}

// watch raises the alarm while the writing goroutine may be stuck in the disk.
func (w *Writer) watch() {
	defer w.over.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-w.end:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		idle := time.Since(w.moved)
		alarm := idle > AlarmAfter && !w.alarmed && w.state == interview.RecorderRecording
		w.alarmed = w.alarmed || alarm
		p := w.progress()
		w.mu.Unlock()
		if alarm && w.cfg.OnAlarm != nil {
			w.cfg.OnAlarm(p)
		}
		if idle > FailedAfter && p.State == interview.RecorderBehind {
			w.fail(ErrStalled)
			if w.cfg.OnAlarm != nil {
				w.cfg.OnAlarm(w.Durable())
			}
		}
	}
}

// batch is what one block will hold.
type batch struct {
	frames  []Frame
	entries []Entry
	to      interview.Micros
	bytes   int
}

// take empties what waits. Whatever arrives later belongs to the next block.
func (w *Writer) take(closing *string) batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := batch{frames: w.frames, entries: w.entries, bytes: w.pending, to: max(w.cfg.Clock(), w.from)}
	w.frames, w.entries, w.clearing, w.spare = w.spare, nil, 0, nil
	for s, d := range w.dropped {
		if e, err := NewEntry(EntryGap, b.to, Gap{Cause: CauseQueueFull, From: d.from, To: d.to, Member: s.member, Track: s.track, Frames: d.frames}); err == nil {
			b.entries = append(b.entries, e)
		}
	}
	clear(w.dropped)
	clear(w.waiting)
	if closing != nil {
		if e, err := NewEntry(EntryClosed, b.to, Closed{Reason: *closing, Frames: w.written + int64(len(b.frames))}); err == nil {
			b.entries = append(b.entries, e)
		}
	}
	return b
}

// block writes one block: seal, sign, one append, one fsync.
func (w *Writer) block(b batch) error {
	w.sealed, w.clear = append(w.sealed[:0], make([]byte, nonceSize)...), w.clear[:0]
	for _, e := range b.entries {
		switch {
		case e.Type == EntryOrigin:
			w.clear = appendOrigin(w.clear, e.At, e.Body)
		case sections[e.Type].sealed:
			w.sealed = appendEntry(w.sealed, e)
		default:
			w.clear = appendEntry(w.clear, e)
		}
	}
	w.sealed = slices.Grow(appendFrames(w.sealed, w.from, b.frames, w.slots), tagSize)
	o := &w.cfg.Opened
	sealed, err := w.cfg.Key.seal(w.sealed, o.Recording, w.next)
	if err != nil {
		return err
	}
	if w.file == nil {
		w.fileNo = 1
	} else if w.size+int64(len(w.clear)+len(sealed)) > w.cfg.RotateAt {
		if err := w.file.Close(); err != nil {
			return fmt.Errorf("close %s: %w", FileName(w.fileNo), err)
		}
		w.writeIndex()
		if w.cfg.OnRotated != nil {
			w.cfg.OnRotated(FileName(w.fileNo))
		}
		w.file = nil
		w.fileNo++
	}
	head, err := jws.Sign(Head{
		V: version, Hearing: o.Hearing, Recording: o.Recording, Seq: w.next, File: w.fileNo, Prev: w.prev,
		From: w.from, To: b.to, Frames: int64(len(b.frames)), Clear: hash(w.clear), Sealed: hash(sealed),
	}, TypeJournal, w.cfg.Signer)
	if err != nil {
		return err
	}
	out := w.out[:0]
	if w.file == nil {
		out = append(out, fileMagic...)
	}
	magic := len(out)
	if out, err = assemble(out, head, w.clear, sealed); err != nil {
		return err
	}
	if err := w.append(out); err != nil {
		return err
	}
	w.places = append(w.places, Position{Offset: w.size - int64(len(out)-magic), Size: int64(len(out) - magic), Seq: w.next, From: w.from, To: b.to})
	w.settle(b, hash([]byte(head)))
	w.recycle(b, sealed, out)
	return nil
}

// writeIndex lays the index of a complete file beside it. One that cannot be
// written is made by who needs it.
func (w *Writer) writeIndex() {
	f, err := w.cfg.Disk.Create(IndexName(w.fileNo))
	if err == nil {
		if _, err = f.Write(appendIndex(nil, w.places)); err == nil {
			err = f.Sync()
		}
		_ = errors.Join(err, f.Close())
	}
	w.places = w.places[:0]
}

// keepBuffer is the most that a buffer keeps from block to block: what a stall
// made grow is given back.
const keepBuffer = 4 << 20

// recycle keeps what the next block can be built in.
func (w *Writer) recycle(b batch, sealed, out []byte) {
	keep := func(x []byte) []byte {
		if cap(x) > keepBuffer {
			return nil
		}
		return x[:0]
	}
	w.sealed, w.clear, w.out = keep(sealed), keep(w.clear), keep(out)
	if cap(b.frames) > 16<<10 {
		return
	}
	clear(b.frames) // the frames' own bytes are let go
	w.mu.Lock()
	w.spare = b.frames[:0]
	w.mu.Unlock()
}

// append is the one place that touches the disk.
func (w *Writer) append(out []byte) error {
	name := FileName(w.fileNo)
	if w.file == nil {
		if w.fileNo > MaxFiles {
			return fmt.Errorf("the journal has reached %d files", MaxFiles)
		}
		f, err := w.cfg.Disk.Create(name)
		if err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
		w.file, w.size = f, 0
	}
	n, err := w.file.Write(out)
	if err != nil {
		return fmt.Errorf("append to %s: %w", name, err)
	}
	if n != len(out) {
		return fmt.Errorf("append to %s: %d of %d bytes taken", name, n, len(out))
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	w.size += int64(len(out))
	return nil
}

// settle takes note that a block is durable.
func (w *Writer) settle(b batch, head string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq, w.head, w.durable, w.moved, w.alarmed = w.next, head, b.to, time.Now(), false
	w.counted += int64(len(b.frames))
	w.pending = max(0, w.pending-b.bytes)
	for i := range b.frames {
		f := &b.frames[i]
		w.tracks[f.Track] = max(w.tracks[f.Track], f.Capture)
	}
	w.next++
	w.prev, w.from, w.written = head, b.to, w.counted
}

// EncodeWrapped is the text form of a wrapped data key.
func EncodeWrapped(wrapped []byte) string { return base64.RawURLEncoding.EncodeToString(wrapped) }

// DecodeWrapped gives the wrapped data key.
func (o Opened) DecodeWrapped() ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(o.Wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: the wrapped data key is not base64url", ErrMalformed)
	}
	return b, nil
}
