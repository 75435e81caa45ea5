package playback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

// Bounds of a session.
const (
	MaxSegment  = interview.Micros(60_000_000) // of hearing time in one segment
	Tick        = interview.Micros(100_000)    // of the loudness that is kept of a lane
	maxLanes    = 64
	maxTicks    = 24 * 3600 * 10
	cacheBytes  = 64 << 20 // of opened blocks
	readAtOnce  = 4 << 20
	lateFrames  = interview.Micros(5_000_000) // after its capture a frame may come this much later
	maxAhead    = interview.Micros(5_000_000) // by which a sender's clock may go before the recorder's
	firstMoment = interview.Micros(500_000)   // what was captured so long before a journal began is still in it
)

var (
	// ErrNoLane says that a session has no such lane.
	ErrNoLane = errors.New("no such lane")
	// ErrRange says that a span of time is empty, too long or not in the recording.
	ErrRange = errors.New("span of time is not within the recording")
)

// File is one file of a journal that is read at any place.
type File struct {
	Name string
	Size int64
	io.ReaderAt
}

// Recording is one journal of a hearing with the key that opens it.
type Recording struct {
	Key   journal.DataKey
	Files []File // in order
}

// Session reads a hearing's recordings at any moment. It goes through them
// once (Survey), which proves the chains and finds keys, lanes and loudness;
// meanwhile what was surveyed already can be asked for. Its memory is bounded
// by a few megabytes an hour and a cache of opened blocks; what is decrypted is
// nowhere else. It is safe for concurrent use.
type Session struct {
	recordings []Recording

	mu       sync.Mutex
	grown    chan struct{} // closed and made anew whenever more is surveyed
	scan     *scan
	raw      map[string]senderKey
	waiting  map[string][]int // blocks with frames whose key was not met yet, by key
	blocks   []placed
	lanes    []*laneState
	byKey    map[string]*laneState
	base     interview.Micros
	surveyed interview.Micros
	faults   []error
	err      error
	done     bool
	covers   map[int]cover // what each recording has, by its number

	cache cache
}

// cover is the time that a recording tiles.
type cover struct {
	Span
	backup bool // taken in from a room terminal's back-up
}

// Span is a stretch of the hearing: From is in it, To is not.
type Span struct{ From, To interview.Micros }

type senderKey struct {
	wrap sealing.Wrap
	key  []byte
}

type placed struct {
	journal.Place
	recording int
	first     interview.Micros // captures of the frames in it
	last      interview.Micros
}

type laneState struct {
	lane Lane
	tick []byte // loudness in −dBov plus one at most 255, by Tick; 0: nothing
	keys []keyFrame
}

type keyFrame struct {
	at            interview.Micros
	width, height int
}

// NewSession makes a session of a hearing's recordings.
func NewSession(recordings ...Recording) *Session {
	return &Session{
		recordings: recordings, grown: make(chan struct{}), scan: newScan(), raw: map[string]senderKey{},
		waiting: map[string][]int{}, byKey: map[string]*laneState{}, covers: map[int]cover{}, cache: cache{most: cacheBytes},
	}
}

// Survey reads the recordings through. A journal in which something is wrong
// is read up to there; the fault is in the Outline. It returns an error where
// nothing can be read at all, or ctx ended.
func (s *Session) Survey(ctx context.Context) error {
	err := s.survey(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && len(s.blocks) == 0 {
		err = errors.Join(append([]error{ErrNothing}, s.faults...)...)
	}
	s.done, s.err = true, err
	s.tell()
	return err
}

func (s *Session) tell() {
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *Session) survey(ctx context.Context) error {
	var parts []journal.Part
	for _, r := range s.recordings {
		var sources []journal.Source
		for _, f := range r.Files {
			sources = append(sources, journal.Source{Name: f.Name, Reader: &ahead{from: io.NewSectionReader(f, 0, f.Size)}})
		}
		parts = append(parts, journal.Part{Reader: journal.NewReader(sources...), Key: r.Key})
	}
	merge := journal.NewMerge(parts...)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := merge.Next()
		switch {
		case errors.Is(err, io.EOF):
			return s.again(ctx)
		case err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.mu.Lock()
			s.faults = append(s.faults, err)
			s.mu.Unlock()
			continue
		}
		if err := s.take(x); err != nil {
			return fmt.Errorf("read recording: %s: block %d: %w", x.File, x.Head.Seq, err)
		}
	}
}

// take adds one block to what is known.
func (s *Session) take(x *journal.Moment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.blocks) == 0 {
		from := max(x.Head.From-firstMoment, 0)
		s.base = from - from%1_000_000
		s.scan.overview.From = s.base
	}
	s.scan.part = x.Part
	for _, e := range append(x.Entries, x.Sealed...) {
		if err := s.entry(e); err != nil {
			return err
		}
	}
	s.cover(x)
	n := len(s.blocks)
	p := placed{Place: x.Place(), recording: x.Part, first: x.Head.To, last: x.Head.From}
	s.blocks = append(s.blocks, p)
	s.scan.twice(x)
	for _, f := range x.Frames {
		s.frame(n, f)
	}
	s.surveyed = max(s.surveyed, x.Head.From)
	s.scan.overview.To = max(s.scan.overview.To, x.Head.To)
	s.tell()
	return nil
}

// cover notes what a recording has, and whether a recorder's it is: one that was
// taken in from a back-up brings the admission that says so.
func (s *Session) cover(x *journal.Moment) {
	c, known := s.covers[x.Part]
	if !known {
		c.From = x.Head.From
	}
	c.To = x.Head.To
	for _, e := range x.Entries {
		var a sealing.Admission
		if e.Type == journal.EntryAdmission && jws.Peek(string(e.Body), sealing.TypeAdmission, &a) == nil {
			_, in := backup.TakesIn(a.Rule)
			c.backup = c.backup || in
		}
	}
	s.covers[x.Part] = c
}

// backups are the stretches that come from a back-up alone.
func (s *Session) backups() []Span {
	var out []Span
	for _, c := range s.covers {
		if !c.backup {
			continue
		}
		left := []Span{c.Span}
		for _, r := range s.covers {
			if r.backup {
				continue
			}
			var rest []Span
			for _, x := range left {
				if r.From > x.From {
					rest = append(rest, Span{x.From, min(x.To, r.From)})
				}
				if r.To < x.To {
					rest = append(rest, Span{max(x.From, r.To), x.To})
				}
			}
			left = slices.DeleteFunc(rest, func(x Span) bool { return x.From >= x.To })
		}
		out = append(out, left...)
	}
	slices.SortFunc(out, func(a, b Span) int { return compare(a.From, b.From) })
	var joined []Span // several people's back-ups of the same seconds
	for _, x := range out {
		if n := len(joined); n > 0 && x.From <= joined[n-1].To {
			joined[n-1].To = max(joined[n-1].To, x.To)
			continue
		}
		joined = append(joined, x)
	}
	return joined
}

func (s *Session) entry(e journal.Entry) error {
	if e.Type == journal.EntrySenderKey {
		k, err := e.SenderKey()
		if err != nil {
			return err
		}
		s.raw[keyName(k.Member, k.Track, k.KID)] = senderKey{sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, k.Key}
	}
	return s.scan.entry(e)
}

func (s *Session) frame(block int, f journal.Frame) {
	name := keyName(f.Member, f.Track, int64(f.KID))
	k := s.scan.keys[name]
	if k == nil {
		if at := s.waiting[name]; len(at) == 0 || at[len(at)-1] != block {
			s.waiting[name] = append(at, block)
		}
		s.scan.overview.Keyless++
		return
	}
	head, codec, ok := s.scan.open(s.scan.laneOf(f), k, f)
	if !ok {
		return
	}
	s.scan.overview.To = max(s.scan.overview.To, f.Arrival)
	b := &s.blocks[block]
	b.first, b.last = min(b.first, head.Capture), max(b.last, head.Capture)
	s.note(f, head, codec)
}

// note adds a frame to its lane.
func (s *Session) note(f journal.Frame, head sealing.FrameHeader, codec []byte) {
	seat := s.scan.seats[f.Member]
	name := s.scan.laneOf(f)
	l := s.byKey[name]
	if l == nil {
		if len(s.lanes) >= maxLanes {
			return
		}
		l = &laneState{lane: Lane{key: name, Source: head.Source, First: head.Capture, Roles: seat.roles, Seats: seat.seats}}
		l.lane.Name = laneName(l.lane)
		s.lanes, s.byKey[name] = append(s.lanes, l), l
	}
	l.lane.Frames++
	l.lane.First, l.lane.Last = min(l.lane.First, head.Capture), max(l.lane.Last, head.Capture)
	if at := (head.Capture - s.base) / Tick; head.Capture >= s.base && at < maxTicks {
		for int(at) >= len(l.tick) {
			l.tick = append(l.tick, 0)
		}
		level := byte(255)
		if head.Source == interview.SourceAudio && head.Level < 254 {
			level = head.Level + 1
		}
		if l.tick[at] == 0 || level < l.tick[at] {
			l.tick[at] = level
		}
	}
	if w, h := dimensions(codec); head.Source != interview.SourceAudio && w > 0 {
		if l.lane.Width == 0 {
			l.lane.Width, l.lane.Height = w, h
		}
		at, _ := slices.BinarySearchFunc(l.keys, head.Capture, func(k keyFrame, t interview.Micros) int { return compare(k.at, t) })
		l.keys = slices.Insert(l.keys, at, keyFrame{head.Capture, w, h})
	}
}

func laneName(l Lane) string {
	roles := make([]string, len(l.Roles))
	for i, r := range l.Roles {
		roles[i] = string(r)
	}
	return strings.TrimSpace(strings.Join(roles, ", ") + " " + string(l.Source))
}

func compare(a, b interview.Micros) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// again opens frames whose sender key stood in a later block than they.
func (s *Session) again(ctx context.Context) error {
	s.mu.Lock()
	waiting := map[int]bool{}
	for name, blocks := range s.waiting {
		if s.scan.keys[name] == nil {
			continue
		}
		for _, b := range blocks {
			waiting[b] = true
		}
	}
	known := map[string]bool{}
	for name := range s.waiting {
		known[name] = s.scan.keys[name] != nil
	}
	s.mu.Unlock()
	for b := range waiting {
		opened, err := s.opened(ctx, b, b+1)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.scan.part = s.blocks[b].recording
		for _, f := range opened[0] {
			if name := keyName(f.Member, f.Track, int64(f.KID)); known[name] {
				s.scan.overview.Keyless--
				s.frame(b, f)
			}
		}
		s.mu.Unlock()
	}
	return nil
}

// Outline is what a session knows of its hearing so far.
type Outline struct {
	Lanes    []LaneOutline
	Phases   []journal.Phase
	Gaps     []journal.Gap
	From     interview.Micros // zero of the segments' times
	To       interview.Micros
	Surveyed interview.Micros // until when everything is known
	Done     bool
	Keyless  int64
	Failed   int64
	Faults   []string // where a journal is wrong; what follows there is missing
	// Backups are stretches that no recorder has: what is heard there was taken in
	// from the back-up of a room terminal, its own sound and picture alone.
	Backups []Span
}

// Overview waits until all is surveyed and tells what an export needs, so that
// it has not to read the recordings through for it (Options.Known).
func (s *Session) Overview(ctx context.Context) (Overview, error) {
	if err := s.until(ctx, math.MaxInt64); err != nil {
		return Overview{}, err
	}
	o, err := s.Outline()
	if err != nil {
		return Overview{}, err
	}
	out := Overview{Gaps: o.Gaps, Phases: o.Phases, From: o.From, To: o.To, Keyless: o.Keyless, Failed: o.Failed}
	for _, l := range o.Lanes {
		out.Lanes = append(out.Lanes, l.Lane)
	}
	byName(out.Lanes)
	return out, nil
}

// LaneOutline is one lane, its holes and its loudness. Present and missing
// spans tile the time from From to To exactly (H4).
type LaneOutline struct {
	Lane
	Holes []Hole
	Level []byte // a byte a Tick from Outline.From: loudness in −dBov plus one, 255 for none, 0 where nothing is
}

// Hole is a span in which a lane has nothing.
type Hole struct {
	From  interview.Micros
	To    interview.Micros
	Cause journal.Cause // of the journal or phase; Absent where nobody sent
}

// Absent is the cause of a hole that no journal speaks of: nobody sent.
const Absent journal.Cause = "absent"

// Outline tells what is known now. An error is what ended the survey.
func (s *Session) Outline() (Outline, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return Outline{}, s.err
	}
	v := s.scan.overview
	o := Outline{Phases: slices.Clone(v.Phases), Gaps: slices.Clone(v.Gaps), From: v.From, To: v.To, Surveyed: s.surveyed, Done: s.done, Keyless: v.Keyless, Failed: v.Failed, Backups: s.backups()}
	for _, err := range s.faults {
		o.Faults = append(o.Faults, err.Error())
	}
	slices.SortFunc(o.Phases, func(a, b journal.Phase) int { return compare(a.Since, b.Since) })
	for _, l := range s.lanes {
		lane := l.lane
		lane.broken = s.scan.seams.broken(lane.key)
		o.Lanes = append(o.Lanes, LaneOutline{Lane: lane, Level: slices.Clone(l.tick), Holes: unshown(holes(l, o), lane.broken)})
	}
	return o, nil
}

// holes finds where a lane has nothing, with the cause that the journal gives
// most of it: its own gap, else the phase, else nobody sent.
func holes(l *laneState, o Outline) []Hole {
	bridge := 1 // ticks without a frame that are no hole
	if l.lane.Source != interview.SourceAudio {
		bridge = 20 // a still picture may send a frame in two seconds
	}
	end := int((o.To - o.From + Tick - 1) / Tick)
	var out []Hole
	for i := 0; i < end; {
		if i < len(l.tick) && l.tick[i] != 0 {
			i++
			continue
		}
		j := i
		for j < end && (j >= len(l.tick) || l.tick[j] == 0) {
			j++
		}
		if j-i > bridge || i == 0 || j == end && j-i > 0 {
			h := Hole{From: o.From + interview.Micros(i)*Tick, To: min(o.To, o.From+interview.Micros(j)*Tick)}
			h.Cause = causeOf(h, o)
			out = append(out, h)
		}
		i = j
	}
	return out
}

// unshown adds to a lane's holes where it has frames and no picture: what they build
// on was not received.
func unshown(out []Hole, broken []Span) []Hole {
	for _, b := range broken {
		left := []backup.Span{{From: b.From, To: b.To}}
		for _, h := range out {
			left = backup.Without(left, []backup.Span{{From: h.From, To: h.To}})
		}
		for _, x := range left {
			out = append(out, Hole{x.From, x.To, journal.CauseNotReceived})
		}
	}
	slices.SortFunc(out, func(a, b Hole) int { return compare(a.From, b.From) })
	return out
}

func causeOf(h Hole, o Outline) journal.Cause {
	cause, most := Absent, interview.Micros(0)
	for i, p := range o.Phases {
		end := o.To
		if i+1 < len(o.Phases) {
			end = o.Phases[i+1].Since
		}
		if p.Phase != interview.PhasePaused && p.Phase != interview.PhaseConsultation {
			continue
		}
		if n := min(end, h.To) - max(p.Since, h.From); n > most {
			cause, most = journal.Cause(p.Phase), n
		}
	}
	if most*2 > h.To-h.From {
		return cause
	}
	for _, g := range o.Gaps {
		if n := min(g.To, h.To) - max(g.From, h.From); n > most {
			cause, most = g.Cause, n
		}
	}
	return cause
}

// until waits until everything to that moment is surveyed.
func (s *Session) until(ctx context.Context, t interview.Micros) error {
	for {
		s.mu.Lock()
		done, err, now, grown := s.done, s.err, s.surveyed, s.grown
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if done || now >= t {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// opened gives the frames of the blocks from…to, reading what is not cached in
// as few pieces as can be.
func (s *Session) opened(ctx context.Context, from, to int) ([][]journal.Frame, error) {
	out := make([][]journal.Frame, to-from)
	for i := from; i < to; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if frames, ok := s.cache.get(i); ok {
			out[i-from] = frames
			i++
			continue
		}
		s.mu.Lock()
		first := s.blocks[i]
		run := []placed{first}
		for n := first.Size; i+len(run) < to; {
			next := s.blocks[i+len(run)]
			n += next.Size
			if next.recording != first.recording || next.File != first.File || next.Offset != run[len(run)-1].Offset+run[len(run)-1].Size || n > readAtOnce {
				break
			}
			run = append(run, next)
		}
		s.mu.Unlock()
		if err := s.read(i, run, out[i-from:]); err != nil {
			return nil, err
		}
		i += len(run)
	}
	return out, nil
}

func (s *Session) read(at int, run []placed, out [][]journal.Frame) error {
	r := s.recordings[run[0].recording]
	n := slices.IndexFunc(r.Files, func(f File) bool { return f.Name == run[0].File })
	if n < 0 {
		return fmt.Errorf("%s: %w", run[0].File, ErrNothing)
	}
	last := run[len(run)-1]
	b := make([]byte, last.Offset+last.Size-run[0].Offset)
	if got, err := r.Files[n].ReadAt(b, run[0].Offset); got < len(b) {
		return fmt.Errorf("read recording: %s at byte %d: %w", run[0].File, run[0].Offset, errors.Join(err, journal.ErrTruncated))
	}
	for i, p := range run {
		off := p.Offset - run[0].Offset
		frames, _, err := p.Open(b[off:off+p.Size], r.Key)
		if err != nil {
			return fmt.Errorf("read recording: %w", err)
		}
		out[i] = frames
		s.cache.put(at+i, frames, int(p.Size))
	}
	return nil
}

// cache keeps the blocks that were opened last.
type cache struct {
	most int

	mu    sync.Mutex
	held  map[int]cached
	order []int
	bytes int
}

type cached struct {
	frames []journal.Frame
	bytes  int
}

func (c *cache) get(block int) ([]journal.Frame, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.held[block]
	return x.frames, ok
}

func (c *cache) put(block int, frames []journal.Frame, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[int]cached{}
	}
	if _, ok := c.held[block]; ok {
		return
	}
	c.held[block] = cached{frames, bytes}
	c.order = append(c.order, block)
	c.bytes += bytes
	for c.bytes > c.most && len(c.order) > 1 {
		old := c.order[0]
		c.order = c.order[1:]
		c.bytes -= c.held[old].bytes
		delete(c.held, old)
	}
}

// ahead reads a file in large pieces, since each may travel over the bus.
type ahead struct {
	from io.Reader
	buf  []byte
	have []byte
}

func (a *ahead) Read(b []byte) (int, error) {
	if len(a.have) == 0 {
		if a.buf == nil {
			a.buf = make([]byte, readAtOnce)
		}
		n, err := a.from.Read(a.buf)
		if n == 0 {
			return 0, err
		}
		a.have = a.buf[:n]
	}
	n := copy(b, a.have)
	a.have = a.have[n:]
	return n, nil
}
