package sfu

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// minKeyInterval is the shortest time between two requests for a key frame to
// one source: more would cost the sender's bandwidth and bring nothing sooner.
const minKeyInterval = 300e6

// stream is one incoming source of a track: a layer, or what repairs one.
// Everything but the key requests is guarded by its leg's receiving.
type stream struct {
	leg   *leg
	track *track
	ssrc  uint32
	rid   string
	layer int     // place among the track's rids, best first
	of    *stream // what this one repairs; nil: it is media itself

	lastKeyAsk atomic.Int64

	seen    window
	missing missing
	counts  reception
}

// streamOf finds the stream that a packet belongs to. A source that is not known
// yet must say by its mid, or have said in the offer, whose it is.
func (l *leg) streamOf(p *port.Packet) *stream {
	if s := l.streams[p.Header.SSRC]; s != nil {
		return s
	}
	if len(l.streams) >= 2*offer.MaxRids*MaxTracks {
		return nil
	}
	s := l.announcedStream(p)
	if s == nil {
		s = l.namedStream(p)
	}
	if s == nil {
		return nil
	}
	l.streams[s.ssrc] = s
	l.order = append(l.order, s)
	if s.of == nil {
		s.track.layers[s.layer] = s
		if s.track.main.CompareAndSwap(nil, s) {
			s.track.wanted.Store(true)
		}
	}
	return s
}

// announcedStream makes the stream of a source that the offer named.
func (l *leg) announcedStream(p *port.Packet) *stream {
	for _, t := range l.tracks {
		a, is := t.announced[p.Header.SSRC]
		if !is {
			continue
		}
		s := &stream{leg: l, track: t, ssrc: p.Header.SSRC}
		if a.repairs != 0 {
			if s.of = l.streams[a.repairs]; s.of == nil {
				return nil // a probe before anything that it could repair
			}
		} else if t.layers[0] != nil {
			return nil // a second stream that claims to be this track
		}
		return s
	}
	return nil
}

// namedStream makes the stream of a source that names itself by mid and rid.
func (l *leg) namedStream(p *port.Packet) *stream {
	uses := &l.uses
	mid := extension(p, uses.Mid)
	at := slices.IndexFunc(l.tracks, func(t *track) bool { return t.mid == string(mid) })
	if len(mid) == 0 || at < 0 {
		return nil
	}
	t := l.tracks[at]
	s := &stream{leg: l, track: t, ssrc: p.Header.SSRC}
	repair := t.types[offer.RTX] != 0 && p.Header.PayloadType == t.types[offer.RTX]
	name := extension(p, uses.Rid)
	if repair && len(name) == 0 {
		name = extension(p, uses.RepairedRid)
	}
	if len(t.rids) > 0 {
		if s.layer = slices.Index(t.rids, string(name)); s.layer < 0 {
			return nil
		}
		s.rid = t.rids[s.layer]
	}
	switch media := t.layers[s.layer]; {
	case repair && media == nil:
		return nil
	case repair:
		s.of = media
	case media != nil:
		return nil
	}
	return s
}

func extension(p *port.Packet, id uint8) []byte {
	if id == 0 {
		return nil
	}
	return p.Header.GetExtension(id)
}

// arrive notes a packet and reports whether it is to be forwarded: repairs are
// unwrapped (RFC 4588); what is empty (padding probes) or came before is not.
func (s *stream) arrive(p *incoming) bool {
	if s.of != nil {
		if p.codec != offer.RTX || len(p.payload) <= 2 {
			return false
		}
		s.counts.packet(p.At, p.sequence, p.Header.Timestamp, s.clock())
		p.sequence, p.payload = binary.BigEndian.Uint16(p.payload), p.payload[2:]
		p.stream, p.codec = s.of, offer.VP8
		return s.of.fresh(p)
	}
	if p.codec == offer.None || p.codec == offer.RTX {
		return false
	}
	s.counts.packet(p.At, p.sequence, p.Header.Timestamp, s.clock())
	return s.fresh(p)
}

// fresh reports whether a packet of the media stream is a new one.
func (s *stream) fresh(p *incoming) bool {
	started, highest := s.seen.started, s.seen.highest
	if !s.seen.first(p.sequence) {
		return false
	}
	if started && s.track.repairs {
		s.missing.came(p.At, highest, p.sequence)
	}
	return len(p.payload) > 0
}

func (s *stream) clock() uint32 {
	if s.track.kind == offer.Video {
		return pictureClock
	}
	return soundClock
}

// tick asks for what is missing.
func (s *stream) tick(at int64, out *port.Batch) {
	if s.of != nil || !s.track.repairs {
		return
	}
	if list := s.missing.due(at); len(list) > 0 {
		s.leg.conn.SendControl(out, s.leg.report.nack(s.leg.local, s.ssrc, list))
	}
}

// requestKey asks the sender for a key frame, at most once an interval.
func (s *stream) requestKey(at int64, out *port.Batch) {
	last := s.lastKeyAsk.Load()
	if last != 0 && at-last < minKeyInterval || !s.lastKeyAsk.CompareAndSwap(last, at) {
		return
	}
	var b [12]byte
	s.leg.conn.SendControl(out, pli(b[:0], s.leg.local, s.ssrc))
}

// window remembers the last 1024 sequence numbers, to tell what comes twice.
type window struct {
	started bool
	highest uint16
	bits    [16]uint64
}

// first reports whether seq was not seen before. What is older than the window
// counts as seen: it is too late to be of use.
func (w *window) first(seq uint16) bool {
	if !w.started {
		w.started, w.highest = true, seq
		w.set(seq)
		return true
	}
	switch ahead := int16(seq - w.highest); {
	case ahead > 0:
		for i := uint16(1); i <= uint16(min(ahead, 1024)); i++ {
			w.clear(seq - uint16(ahead) + i)
		}
		w.highest = seq
	case ahead <= -1024:
		return false
	case w.bits[seq%1024/64]&(1<<(seq%64)) != 0:
		return false
	}
	w.set(seq)
	return true
}

func (w *window) set(seq uint16)   { w.bits[seq%1024/64] |= 1 << (seq % 64) }
func (w *window) clear(seq uint16) { w.bits[seq%1024/64] &^= 1 << (seq % 64) }

// How a missing packet is asked for.
const (
	maxMissing = 128
	askAfter   = 10e6 // reordered packets come by themselves
	askAgain   = 60e6
	askTimes   = 8
)

// gap is one missing packet.
type gap struct {
	sequence uint16
	asked    uint8
	next     int64
}

// missing are the packets that a stream lacks and still asks for.
type missing struct {
	gaps []gap
	list []uint16
}

// came notes a packet that came after highest had: what is between is missing,
// and a late one is missing no more.
func (m *missing) came(at int64, highest, sequence uint16) {
	ahead := int16(sequence - highest)
	if ahead <= 0 {
		m.gaps = slices.DeleteFunc(m.gaps, func(g gap) bool { return g.sequence == sequence })
		return
	}
	if ahead > maxMissing { // the stream began anew
		m.gaps = m.gaps[:0]
		return
	}
	for n := highest + 1; n != sequence; n++ {
		if len(m.gaps) >= maxMissing {
			m.gaps = slices.Delete(m.gaps, 0, 1)
		}
		m.gaps = append(m.gaps, gap{sequence: n, next: at + askAfter})
	}
}

// due gives the numbers to ask for now; what was asked for in vain is given up.
func (m *missing) due(at int64) []uint16 {
	if len(m.gaps) == 0 {
		return nil
	}
	m.list = m.list[:0]
	for i := range m.gaps {
		if g := &m.gaps[i]; at >= g.next {
			g.asked++
			g.next = at + askAgain
			m.list = append(m.list, g.sequence)
		}
	}
	m.gaps = slices.DeleteFunc(m.gaps, func(g gap) bool { return g.asked >= askTimes })
	return m.list
}
