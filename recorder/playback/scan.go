package playback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

// Journal is one recording with its data key. It is read more than once.
type Journal struct {
	Key journal.DataKey
	// Open gives the journal's files in order; close is called after reading.
	Open func() (files []journal.Source, close func() error, err error)
}

// Folder is the journal in a directory.
func Folder(path string, key journal.DataKey) Journal {
	return Journal{Key: key, Open: func() ([]journal.Source, func() error, error) {
		f, err := journal.OpenFolder(path)
		if err != nil {
			return nil, nil, err
		}
		return f.Sources(), f.Close, nil
	}}
}

// Lane is what one seat (or the seats at one device) sent of one source over
// the whole hearing, over reloads of its page.
type Lane struct {
	Name   string // role and source, for people
	Roles  []interview.Role
	Seats  []interview.SeatID
	Source interview.Source
	Frames int64
	First  interview.Micros // capture time of the first frame
	Last   interview.Micros
	Width  int // of the first key frame; 0 for audio
	Height int

	key    string
	broken []Span // has frames, and no picture: what they build on came to nobody
}

// Is reports whether both are the same lane of a hearing, wherever each stands
// in its list: a session lists lanes as they come, an overview by their names.
func (l Lane) Is(other Lane) bool { return l.key == other.key }

// Overview is what a hearing's journals hold.
type Overview struct {
	Lanes   []Lane
	Gaps    []journal.Gap
	Phases  []journal.Phase
	From    interview.Micros // what the journals cover
	To      interview.Micros
	Keyless int64 // frames whose sender key is not in the journal
	Failed  int64 // frames that did not open
}

// heard is one opened frame on the timeline.
type heard struct {
	taken
	lane   string
	member interview.MemberID
	source interview.Source
	key    bool
	number int64 // of its arrival in the exporter
}

// scan reads journals through, one block in memory at a time.
type scan struct {
	keys     map[string]*sealing.FrameKey // by member, track and key id
	seats    map[interview.MemberID]seating
	overview Overview
	seen     map[string]bool        // phases and gaps of dual recorders, once
	want     func(lane string) bool // nil: every lane; what is not wanted stays sealed
	seams    *seams
	part     int // the journal that is being read
}

type seating struct {
	key   string
	roles []interview.Role
	seats []interview.SeatID
}

func newScan() *scan {
	return &scan{keys: map[string]*sealing.FrameKey{}, seats: map[interview.MemberID]seating{}, seen: map[string]bool{}, seams: newSeams()}
}

// run reads the journals of a hearing side by side: what one recorder missed
// comes from another.
func (s *scan) run(ctx context.Context, journals []Journal, each func(heard) error) (err error) {
	var parts []journal.Part
	for _, j := range journals {
		files, closing, err := j.Open()
		if err != nil {
			return fmt.Errorf("open recording: %w", err)
		}
		defer func() { err = errors.Join(err, closing()) }()
		parts = append(parts, journal.Part{Reader: journal.NewReader(files...), Key: j.Key})
	}
	merge := journal.NewMerge(parts...)
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := merge.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read recording: %w", err)
		}
		if first || x.Head.From < s.overview.From {
			s.overview.From = x.Head.From
		}
		s.overview.To = max(s.overview.To, x.Head.To)
		s.part = x.Part
		for _, e := range append(x.Entries, x.Sealed...) {
			if err := s.entry(e); err != nil {
				return fmt.Errorf("read recording: %s: block %d: %w", x.File, x.Head.Seq, err)
			}
		}
		s.twice(x)
		for _, f := range x.Frames {
			if err := s.frame(f, each); err != nil {
				return err
			}
		}
	}
}

func (s *scan) once(e journal.Entry) bool {
	k := string(e.Type) + string(e.Body)
	if s.seen[k] {
		return false
	}
	s.seen[k] = true
	return true
}

func (s *scan) entry(e journal.Entry) error {
	switch e.Type {
	case journal.EntrySenderKey:
		k, err := e.SenderKey()
		if err != nil {
			return err
		}
		name := keyName(k.Member, k.Track, k.KID)
		if s.keys[name] != nil {
			return nil
		}
		s.keys[name], err = sealing.NewFrameKey(sealing.Wrap{KID: k.KID, Track: k.Track, Source: k.Source}, k.Key)
		return err
	case journal.EntryAdmission:
		// Names lanes and nothing more: who was admitted is for evidence to verify.
		var a sealing.Admission
		if err := jws.Peek(string(e.Body), sealing.TypeAdmission, &a); err != nil {
			return err
		}
		if _, in := backup.TakesIn(a.Rule); in {
			s.seams.backups[s.part] = true
		}
		x := seating{}
		for _, seat := range a.Seats {
			x.seats, x.roles = append(x.seats, seat.Seat), append(x.roles, seat.Role)
			x.key += seat.Seat.String() + " "
		}
		if x.key != "" {
			s.seats[a.Member] = x
		}
	case journal.EntryGap:
		var g journal.Gap
		if err := e.Read(&g); err != nil {
			return err
		}
		if s.once(e) {
			s.overview.Gaps = append(s.overview.Gaps, g)
		}
	case journal.EntryPhase:
		var p journal.Phase
		if err := e.Read(&p); err != nil {
			return err
		}
		if s.once(e) {
			s.overview.Phases = append(s.overview.Phases, p)
		}
	}
	return nil
}

func keyName(m interview.MemberID, t interview.TrackID, kid int64) string {
	return fmt.Sprint(m, t, kid)
}

// laneKey tells the lanes of one page apart: a device may have a microphone for
// each seat, and the track number in a key id stays over reloads.
func laneKey(seats string, f journal.Frame) string {
	return fmt.Sprintf("%s/%s/%d", seats, f.Source, f.KID&0xf)
}

// twice notes what another journal gave before.
func (s *scan) twice(x *journal.Moment) {
	if len(s.seams.backups) == 0 {
		return
	}
	for _, f := range x.Twice {
		if f.Source != interview.SourceAudio {
			s.seams.again(x.Part, s.laneOf(f), f)
		}
	}
}

// laneOf is the lane of a frame, as far as its sender's seat is known.
func (s *scan) laneOf(f journal.Frame) string {
	lane := s.seats[f.Member].key
	if lane == "" {
		lane = f.Member.String()
	}
	return laneKey(lane, f)
}

func (s *scan) frame(f journal.Frame, each func(heard) error) error {
	k := s.keys[keyName(f.Member, f.Track, int64(f.KID))]
	if k == nil {
		s.overview.Keyless++
		return nil
	}
	lane := s.laneOf(f)
	if s.want != nil && !s.want(lane) {
		return nil
	}
	head, codec, ok := s.open(lane, k, f)
	if !ok {
		return nil
	}
	for _, t := range unpack(f, head, codec) {
		if err := each(heard{
			taken: t, lane: lane, member: f.Member, source: head.Source,
			key: head.Source == interview.SourceAudio || codec[0]&1 == 0, // RFC 6386 section 9.1
		}); err != nil {
			return err
		}
	}
	return nil
}

// open opens a frame and counts it where it does not open, or where its sender's
// clock is no one's: a view that believed it would be filled with silence for
// years. A second recorder's copy of a frame is passed over.
func (s *scan) open(lane string, k *sealing.FrameKey, f journal.Frame) (sealing.FrameHeader, []byte, bool) {
	head, codec, err := k.Open(nil, f.Sealed)
	off := head.Capture - f.Arrival
	if err == nil && len(codec) > 0 && off <= maxAhead && off >= -lateFrames {
		if f.Source != interview.SourceAudio {
			s.seams.once(s.part, lane, f, head.Capture, codec[0]&1 == 0) // RFC 6386 section 9.1
		}
		return head, codec, true
	}
	if !errors.Is(err, sealing.ErrReplay) {
		s.overview.Failed++
	}
	return head, nil, false
}

// Survey reads journals through and tells what they hold. Journals are given
// in the order of their beginning.
func Survey(ctx context.Context, journals ...Journal) (Overview, error) {
	s := newScan()
	lanes := map[string]*Lane{}
	err := s.run(ctx, journals, func(h heard) error {
		l := lanes[h.lane]
		if l == nil {
			l = &Lane{key: h.lane, Source: h.source, First: h.at}
			lanes[h.lane] = l
		}
		if x, ok := s.seats[h.member]; ok {
			l.Roles, l.Seats = x.roles, x.seats
		}
		if h.spare {
			return nil
		}
		l.Frames++
		l.First, l.Last = min(l.First, h.at), max(l.Last, h.at)
		if l.Width == 0 && h.source != interview.SourceAudio {
			l.Width, l.Height = dimensions(h.codec)
		}
		return nil
	})
	if err != nil {
		return Overview{}, err
	}
	o := s.overview
	for _, l := range lanes {
		l.Name, l.broken = laneName(*l), s.seams.broken(l.key)
		o.Lanes = append(o.Lanes, *l)
	}
	byName(o.Lanes)
	return o, nil
}

func byName(lanes []Lane) {
	slices.SortFunc(lanes, func(a, b Lane) int { return strings.Compare(a.Name+a.key, b.Name+b.key) })
}

// dimensions reads a VP8 key frame's size (RFC 6386 section 9.1), or gives 0.
func dimensions(b []byte) (width, height int) {
	if len(b) < 10 || b[0]&1 != 0 || b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
		return 0, 0
	}
	return int(b[6]) | int(b[7]&0x3f)<<8, int(b[8]) | int(b[9]&0x3f)<<8
}
