package playback

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/at-wat/ebml-go/mkvcore"
	"github.com/at-wat/ebml-go/webm"

	"kuule/interview"
)

// ErrNothing says that no frame was found to export.
var ErrNothing = errors.New("nothing to export")

// Reorder is how far apart in a journal frames of the same moment may stand:
// what is later than this after frames that came before it is dropped.
const Reorder = 5 * time.Second

const (
	maxWaiting = 64 << 20                      // bytes that wait for their order
	gapAfter   = 40_000                        // microseconds between audio packets that are a gap: so far may sound be off its moment
	cuesSize   = 256 << 10                     // reserved where the file can be written at; thinned where it is too small
	opusDelay  = 6_500_000                     // nanoseconds of pre-skip, 312 samples at 48 kHz
	opusRoll   = uint64(80 * time.Millisecond) // RFC 7845 section 4.6
)

// silence is 20 ms of Opus silence (CELT, full band, mono).
var silence = []byte{0xf8, 0xff, 0xfe}

// Options choose what is exported.
type Options struct {
	Only  func(Lane) bool // nil: every lane
	Known *Overview       // of the same journals; nil: they are read through for it first
}

func (o Options) survey(ctx context.Context, journals []Journal) (Overview, error) {
	if o.Known != nil {
		return *o.Known, nil
	}
	return Survey(ctx, journals...)
}

// chosen are the lanes that can be written, by their place in the overview.
func (o Options) chosen(v Overview) map[int]Lane {
	out := map[int]Lane{}
	for i, l := range v.Lanes {
		if (o.Only == nil || o.Only(l)) && (l.Source == interview.SourceAudio || l.Width > 0) {
			out[i] = l
		}
	}
	return out
}

// lanes are the chosen lanes in order.
func (o Options) lanes(v Overview) []Lane {
	chosen := o.chosen(v)
	var out []Lane
	for i := range v.Lanes {
		if l, ok := chosen[i]; ok {
			out = append(out, l)
		}
	}
	return out
}

// Report is what was exported.
type Report struct {
	Overview Overview
	Lanes    []Lane           // exported, as tracks 1, 2 …
	Base     interview.Micros // hearing clock at the file's zero
	Written  int64            // frames
	Silent   int64            // packets of silence that fill gaps
	Dropped  int64            // frames before a first key frame, that build on none, or out of order
	Mixed    Cost             // of the program that mixed them, if one did
}

// Export writes the chosen lanes as one WebM file (VP8 and Opus). A file that
// can be written at (io.WriterAt) gets cues and duration too; Stream gives them
// to one that cannot. Out is not closed.
func Export(ctx context.Context, out io.Writer, o Options, journals ...Journal) (Report, error) {
	overview, err := o.survey(ctx, journals)
	if err != nil {
		return Report{Overview: overview}, err
	}
	lanes := o.lanes(overview)
	if len(lanes) == 0 {
		return Report{Overview: overview}, ErrNothing
	}
	reports, err := write(ctx, overview, []file{{out, lanes}}, journals)
	return reports[0], err
}

// file is one WebM file that is being written.
type file struct {
	out   io.Writer
	lanes []Lane
}

// write goes through the journals once and writes all files. There is a report
// for each, whatever the error.
func write(ctx context.Context, overview Overview, files []file, journals []Journal) ([]Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reports := make([]Report, len(files))
	of := map[string]*exporter{}
	var all []*exporter
	var err error
	for i, f := range files {
		e := &exporter{ctx: ctx, tracks: map[string]*track{}, report: &reports[i], sink: &sink{out: f.out, failed: cancel}}
		reports[i].Overview, reports[i].Lanes = overview, f.lanes
		if err = e.open(); err != nil {
			break
		}
		all = append(all, e)
		for _, l := range f.lanes {
			of[l.key] = e
		}
	}
	if err == nil {
		s := newScan()
		s.want = func(lane string) bool { return of[lane] != nil }
		err = s.run(ctx, journals, func(h heard) error { return of[h.lane].add(h) })
	}
	for _, e := range all {
		if err == nil {
			e.drain(math.MaxInt64)
		}
		for _, t := range e.order {
			t.w.Close()
		}
		if e.sink.err != nil { // what ended the rest
			return reports, e.sink.err
		}
	}
	return reports, err
}

type exporter struct {
	ctx     context.Context
	report  *Report
	sink    *sink
	tracks  map[string]*track
	order   []*track
	queue   queue
	waiting int
	added   int64
	newest  interview.Micros
}

type track struct {
	lane    *Lane
	source  interview.Source
	w       webm.BlockWriteCloser
	begun   bool
	copies  copies
	capture interview.Micros
	of      sealedAs // of the newest audio packet
	length  int64    // of it, in microseconds
	next    int64    // microseconds: where the next audio packet belongs
	last    int64    // milliseconds written
}

func (e *exporter) open() error {
	s := e.sink
	entries := make([]webm.TrackEntry, len(e.report.Lanes))
	for i, l := range e.report.Lanes {
		if i == 0 || l.First < e.report.Base {
			e.report.Base = l.First
		}
		t := webm.TrackEntry{Name: l.Name, TrackNumber: uint64(i + 1), TrackUID: uint64(i + 1)}
		if l.Source == interview.SourceAudio {
			t.CodecID, t.TrackType, t.CodecPrivate = "A_OPUS", 2, opusHead()
			t.CodecDelay, t.SeekPreRoll = opusDelay, opusRoll
			t.Audio = &webm.Audio{SamplingFrequency: 48000, Channels: 1}
		} else {
			t.CodecID, t.TrackType = "V_VP8", 1
			t.Video = &webm.Video{PixelWidth: uint64(l.Width), PixelHeight: uint64(l.Height)}
		}
		entries[i] = t
	}
	var w io.WriteCloser = s
	options := []mkvcore.BlockWriterOption{
		mkvcore.WithSegmentInfo(&webm.Info{TimecodeScale: 1_000_000, MuxingApp: "kuule", WritingApp: "kuule"}),
		mkvcore.WithBlockInterceptor(nil), // frames are in order already
		mkvcore.WithSeekHead(true),
		mkvcore.WithMaxKeyframeInterval(1, 10_000),
		mkvcore.WithOnErrorHandler(s.fail),
		mkvcore.WithOnFatalHandler(s.fail),
	}
	if at, ok := s.out.(io.WriterAt); ok {
		w = sinkAt{s, at}
		options = append(options, mkvcore.WithCues(cuesSize))
	}
	writers, err := webm.NewSimpleBlockWriter(w, entries, options...)
	if err != nil {
		return fmt.Errorf("begin WebM: %w", err)
	}
	for i, l := range e.report.Lanes {
		t := &track{lane: &e.report.Lanes[i], source: l.Source, w: writers[i], last: -1}
		e.order = append(e.order, t)
		e.tracks[l.key] = t
	}
	return nil
}

// add puts a frame in its order by capture time.
func (e *exporter) add(h heard) error {
	e.added++
	h.number = e.added
	heap.Push(&e.queue, h)
	e.waiting += len(h.codec)
	e.newest = max(e.newest, h.at)
	e.drain(e.newest - interview.Micros(Reorder.Microseconds()))
	return e.ctx.Err()
}

// drain writes what was captured until then.
func (e *exporter) drain(until interview.Micros) {
	for len(e.queue) > 0 && (e.queue[0].order() <= until || e.waiting > maxWaiting) {
		h := heap.Pop(&e.queue).(heard)
		e.waiting -= len(h.codec)
		e.write(e.tracks[h.lane], h)
	}
}

func (e *exporter) write(t *track, h heard) {
	at := int64(h.at - e.report.Base)
	if t.source == interview.SourceAudio && !t.copies.first(h.taken) {
		return
	}
	if t.begun && h.at < t.capture {
		e.report.Dropped++
		return
	}
	if !t.lane.shows(h.at) {
		e.report.Dropped++
		return
	}
	t.capture = h.at
	if !t.begun {
		if !h.key {
			e.report.Dropped++
			return
		}
		t.begun, t.next = true, at
	}
	if t.source == interview.SourceAudio {
		e.audio(t, at, h.taken)
		return
	}
	e.put(t, h.key, at/1000, h.codec)
}

// audio lays packets end to end and follows the capture times slowly, so that
// their jitter is not heard; a real gap is filled with silence.
func (e *exporter) audio(t *track, at int64, p taken) {
	if t.last >= 0 {
		missing, _ := p.of.missing(t.of, t.length, at-t.next)
		for ; missing > gapAfter; missing -= opusDuration(silence) {
			e.put(t, true, t.next/1000, silence)
			e.report.Silent++
			t.next += opusDuration(silence)
		}
		at = t.next + (at-t.next)/32
	}
	e.put(t, true, at/1000, p.codec)
	t.of, t.length = p.of, opusDuration(p.codec)
	t.next = at + t.length
}

func (e *exporter) put(t *track, key bool, ms int64, b []byte) {
	// Two frames of a track never share a millisecond.
	ms = max(ms, t.last+1)
	t.last = ms
	_, _ = t.w.Write(key, ms, b) // what fails is in the sink
	e.report.Written++
}

// opusHead is the identification header (RFC 7845 section 5.1): one channel,
// 312 samples of pre-skip, 48 kHz.
func opusHead() []byte {
	return append([]byte("OpusHead"), 1, 1, 0x38, 0x01, 0x80, 0xbb, 0, 0, 0, 0, 0)
}

// longestOpus is the most that one packet may hold (RFC 6716 section 3.2.5). One
// that says more plays nowhere for longer.
const longestOpus = 120_000

// opusDuration is a packet's length in microseconds (RFC 6716 section 3.1).
func opusDuration(p []byte) int64 {
	if len(p) == 0 {
		return 20_000
	}
	config := p[0] >> 3
	var frame int64
	switch {
	case config < 12:
		frame = []int64{10_000, 20_000, 40_000, 60_000}[config&3]
	case config < 16:
		frame = []int64{10_000, 20_000}[config&1]
	default:
		frame = []int64{2_500, 5_000, 10_000, 20_000}[config&3]
	}
	switch p[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	default:
		if len(p) < 2 {
			return frame
		}
		return min(max(1, int64(p[1]&0x3f))*frame, longestOpus)
	}
}

// queue is a heap of frames by capture time.
type queue []heard

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	a, b := q[i].order(), q[j].order()
	return a < b || a == b && q[i].number < q[j].number
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(heard)) }
func (q *queue) Pop() any {
	old := *q
	h := old[len(old)-1]
	*q = old[:len(old)-1]
	return h
}

// sink remembers the first error instead of giving it to the WebM writer,
// which would stop taking frames and leave its callers waiting for ever.
type sink struct {
	out    io.Writer
	failed context.CancelCauseFunc
	err    error // read once the writers are closed
}

func (s *sink) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("write WebM: %w", err)
		s.failed(s.err)
	}
}

func (s *sink) Write(b []byte) (int, error) {
	if s.err == nil {
		if _, err := s.out.Write(b); err != nil {
			s.fail(err)
		}
	}
	return len(b), nil
}

func (s *sink) Close() error { return nil }

type sinkAt struct {
	*sink
	at io.WriterAt
}

func (s sinkAt) WriteAt(b []byte, off int64) (int, error) {
	if s.err == nil {
		if _, err := s.at.WriteAt(b, off); err != nil {
			s.fail(err)
		}
	}
	return len(b), nil
}
