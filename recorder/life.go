package recorder

import (
	"errors"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/recorder/journal"
)

// Bounds of what waits: entries until the journal is open, and frames until
// their sender's key has come.
const (
	maxEarly = 4096
	maxHeld  = 1024
	heldFor  = 2 * time.Second
)

// life is one membership of a recorder with its journal. What the room tells
// before the journal is open waits in it.
type life struct {
	session   *session
	recording interview.RecordingID
	room      Room
	journal   *journal.Writer
	beats     int64 // of the goroutine that beats

	mu     sync.Mutex
	open   bool
	early  []journal.Entry
	held   []Frame
	phase  wire.PhaseNow
	shown  map[string]bool // statements and admissions written
	tracks map[trackOf]*counter
	gaps   map[gapOf]*journal.Gap
	pinned time.Time // when the chain was last told
	turned bool      // the phase changed since
	// anchored is the newest anchor.
	anchored journal.Anchor
}

type trackOf struct {
	track interview.TrackID
	rid   string
}

// counter is the newest counter seen of a track under its newest key, and when
// it arrived.
type counter struct {
	kid, last uint64
	at        interview.Micros
}

type gapOf struct {
	track interview.TrackID
	cause journal.Cause
}

func newLife(s *session) *life {
	return &life{
		session: s, recording: interview.NewRecordingID(), shown: map[string]bool{},
		tracks: map[trackOf]*counter{}, gaps: map[gapOf]*journal.Gap{},
	}
}

func (l *life) events() Events {
	return Events{Frame: l.frame, Keep: l.keep, Wrap: l.retry, Members: l.members, Roster: l.roster, Origin: l.origin, Phase: l.tellPhase}
}

// ready takes what came early into the open journal.
func (l *life) ready(room Room, j *journal.Writer) {
	l.mu.Lock()
	l.room, l.journal, l.open = room, j, true
	early := l.early
	l.early = nil
	for _, e := range early {
		if err := j.AddEntry(e); err != nil {
			l.session.log.Error("an entry was not kept", "type", e.Type, "err", err)
		}
	}
	l.mu.Unlock()
}

var errEarly = errors.New("too many entries before the journal is open")

func (l *life) add(e journal.Entry, err error) error {
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addLocked(e)
}

func (l *life) addLocked(e journal.Entry) error {
	if l.open {
		return l.journal.AddEntry(e)
	}
	if len(l.early) >= maxEarly {
		return errEarly
	}
	l.early = append(l.early, e)
	return nil
}

// note adds an entry whose loss cannot be undone, only said.
func (l *life) note(e journal.Entry, err error) {
	if err := l.add(e, err); err != nil && !errors.Is(err, journal.ErrStopped) {
		l.session.log.Error("an entry was not kept", "type", e.Type, "err", err)
	}
}

// now is the hearing clock, or 0 before the room is known: an entry's time is
// when it was taken in.
func (l *life) now() interview.Micros {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		return 0
	}
	return l.room.Now()
}

func (l *life) keep(k journal.SenderKey) error {
	return l.add(journal.NewSenderKeyEntry(l.now(), k))
}

func (l *life) members(all []wire.MemberView) {
	at := l.now()
	for _, m := range all {
		l.once(journal.EntryStatement, at, m.Statement)
		l.once(journal.EntryAdmission, at, m.Admission)
	}
}

func (l *life) once(t journal.EntryType, at interview.Micros, text string) {
	h := jws.Hash(text)
	l.mu.Lock()
	known := l.shown[h]
	l.shown[h] = true
	l.mu.Unlock()
	if !known {
		l.note(journal.NewSigned(t, at, text))
	}
}

func (l *life) roster(text string) { l.note(journal.NewSigned(journal.EntryRoster, l.now(), text)) }

func (l *life) origin(lists []string) {
	l.mu.Lock()
	room := l.room
	l.mu.Unlock()
	if room == nil {
		return // nothing was recorded yet that a list could speak of
	}
	for _, text := range lists {
		if err := room.AcceptOrigin(text); err != nil {
			l.session.log.Warn("an origin list does not hold", "err", err)
			continue
		}
		l.note(journal.NewSigned(journal.EntryOrigin, l.now(), text))
	}
}

func (l *life) tellPhase(p wire.PhaseNow) {
	at := l.now()
	l.mu.Lock()
	l.phase, l.turned = p, true
	l.mu.Unlock()
	l.note(journal.NewEntry(journal.EntryPhase, at, journal.Phase{Phase: p.Phase, Cause: p.Cause, Since: p.Since, By: p.By}))
	if p.Phase == interview.PhaseOnRecord && at > 0 {
		l.anchor(l.session.r.anchor(at, "resumed"))
	}
}

// frame opens a frame, to know that it can be opened, and keeps it as it came.
func (l *life) frame(f Frame) {
	l.mu.Lock()
	room := l.room
	if room == nil {
		l.hold(f)
	}
	l.mu.Unlock()
	if room != nil {
		l.take(room, f, true)
	}
}

// hold keeps a frame whose key may still come. l.mu is held.
func (l *life) hold(f Frame) {
	if len(l.held) >= maxHeld {
		l.held = l.held[1:]
	}
	l.held = append(l.held, f)
}

// retry gives held frames another chance.
func (l *life) retry() {
	l.mu.Lock()
	room := l.room
	var held []Frame
	if room != nil {
		held, l.held = l.held, nil
	}
	l.mu.Unlock()
	for _, f := range held {
		l.take(room, f, time.Since(f.Arrival) < heldFor)
	}
}

func (l *life) take(room Room, f Frame, again bool) {
	arrival := max(0, room.Now()-interview.Micros(time.Since(f.Arrival).Microseconds()))
	buffer := opened.Get().(*[]byte)
	defer opened.Put(buffer)
	head, codec, err := room.Open((*buffer)[:0], f)
	if n := len(codec) + sealing.FrameHeaderBytes; n > cap(*buffer) {
		*buffer = make([]byte, 0, 2*n) // what was opened went elsewhere; the next one fits
	}
	if errors.Is(err, sealing.ErrNoKey) {
		// Outside the key group, as in every pause, there is no key and nothing
		// is kept; otherwise the wrap is on its way.
		switch {
		case again:
			l.mu.Lock()
			l.hold(f)
			l.mu.Unlock()
		case l.onRecord():
			l.missing(f, journal.CauseNoKey, arrival, arrival, 1)
		}
		return
	}
	if err != nil {
		l.missing(f, journal.CauseUnauthentic, arrival, arrival, 1)
		return
	}
	h, err := sframe.ParseHeader(f.Sealed)
	if err != nil {
		return
	}
	l.mu.Lock()
	private := l.phase.Phase == interview.PhaseConsultation && head.Capture >= l.phase.Since
	l.mu.Unlock()
	if private {
		return // its keys are not here; whatever this is, it is not for the record
	}
	lost, since := l.count(f, h, arrival)
	if lost > 0 {
		l.missing(f, journal.CauseNotReceived, since, arrival, int64(lost))
	}
	// What the disk cannot take, the journal counts and marks itself.
	_ = l.journal.Append(journal.Frame{
		Member: f.Member, Track: f.Track, Source: f.Source, Rid: f.Rid, KID: h.KID, Counter: h.Counter, RTPTime: f.RTPTime,
		Arrival: arrival, Capture: head.Capture, Key: f.Source != interview.SourceAudio && len(codec) > 0 && codec[0]&1 == 0, // RFC 6386 section 9.1
		Lost: lost, Sealed: f.Sealed,
	})
}

// opened holds what frames are opened into: nothing of it is kept, and it is
// many bytes a second for every track.
var opened = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// onRecord reports whether every frame is meant to be kept.
func (l *life) onRecord() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase.Phase == interview.PhaseOnRecord
}

// count tells how many counters of the track were skipped before this frame,
// and when the last one before them arrived: what was lost lies between.
func (l *life) count(f Frame, h sframe.Header, arrival interview.Micros) (lost uint32, since interview.Micros) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := trackOf{f.Track, f.Rid}
	c := l.tracks[of]
	switch {
	case c == nil:
		if len(l.tracks) < journal.MaxTracks {
			l.tracks[of] = &counter{h.KID, h.Counter, arrival}
		}
		return 0, arrival // joined in the middle
	case h.KID == c.kid && h.Counter <= c.last:
		l.late(f)
		return 0, arrival
	}
	skipped := h.Counter // a new key begins at 0
	if h.KID == c.kid {
		skipped = h.Counter - c.last - 1
	}
	if f.Source != interview.SourceAudio {
		// The layers of a picture count together and one of them comes here: what
		// the numbers leave out are the others. A frame whose packets were missed,
		// or that needs one, is lost.
		skipped = uint64(min(max(f.Lost, 0), 1))
	}
	since = c.at
	*c = counter{h.KID, h.Counter, max(c.at, arrival)}
	return uint32(min(skipped, 1<<31)), since
}

// late takes back a loss that is not written yet: the frame came after all. A
// loss that is written stays; the frame stands in the journal beside it. l.mu is
// held.
func (l *life) late(f Frame) {
	of := gapOf{f.Track, journal.CauseNotReceived}
	if g := l.gaps[of]; g != nil {
		if g.Frames--; g.Frames <= 0 {
			delete(l.gaps, of)
		}
	}
}

func (l *life) missing(f Frame, cause journal.Cause, from, to interview.Micros, frames int64) {
	if from > to {
		// A frame that waited for its key counts after one that came later: what was
		// lost lies between the two all the same.
		from, to = to, from
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := gapOf{f.Track, cause}
	g := l.gaps[of]
	if g == nil {
		if len(l.gaps) >= 2*journal.MaxTracks {
			return
		}
		g = &journal.Gap{Cause: cause, From: from, Member: f.Member, Track: f.Track}
		l.gaps[of] = g
	}
	g.From, g.To = min(g.From, from), max(g.To, to)
	g.Frames += frames
}

// flush writes the gaps that were counted and looks at frames that wait.
func (l *life) flush() {
	l.retry()
	at := l.now()
	l.mu.Lock()
	gaps := l.gaps
	l.gaps = map[gapOf]*journal.Gap{}
	l.mu.Unlock()
	for _, g := range gaps {
		l.note(journal.NewEntry(journal.EntryGap, at, *g))
	}
}
