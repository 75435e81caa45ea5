package sfu

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"kuule/internal/descriptor"
	"kuule/internal/repair"
	"kuule/sfu/bandwidth"
	"kuule/sfu/layer"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// How long, in nanoseconds, a missing packet is of use: pictures freeze for a
// person from about half a second, and sound is needed as long as receivers hold
// it back when packets are lost. Where the way to the sender is longer than
// soundTrip, answers would come too late to be worth their room.
const (
	pictureDeadline = 400e6
	soundDeadline   = 160e6
	soundTrip       = 80e6
	// reordered packets come by themselves
	picturePatience = 10e6
	soundPatience   = 5e6
	maxAsked        = 64 // packets in one question

	assumedTrip = 50e6 // the round trip while none was measured
)

// stream is one incoming source of a track: a layer, or what repairs one.
// Everything but the key requests is guarded by its leg's receiving.
type stream struct {
	leg   *leg
	track *track
	ssrc  uint32
	rid   string
	layer int     // place among the track's layers, smallest first
	of    *stream // what this one repairs; nil: it is media itself

	losses repair.Losses
	reader descriptor.Reader
	counts reception
	sound  soundLoss
	flow   flow
	size   atomic.Uint32 // of the picture: width and height in 16 bits each; 0: not known

	asks    int64        // packets asked for
	keyAsks atomic.Int64 // key frames asked for

	asking sync.Mutex
	keys   repair.Keys
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
		s.losses.Deadline, s.losses.Patience, s.losses.Eager = soundDeadline, soundPatience, true
		if s.track.kind == offer.Video {
			s.losses.Deadline, s.losses.Patience, s.losses.Eager = pictureDeadline, picturePatience, false
		}
		s.track.layers[s.layer].Store(s)
		s.track.wanted.Store(true)
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
		} else if t.stream(0) != nil {
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
	if t.types.Codec(p.Header.PayloadType) == offer.None {
		return nil
	}
	s := &stream{leg: l, track: t, ssrc: p.Header.SSRC}
	repair := t.types[offer.RTX] != 0 && p.Header.PayloadType == t.types[offer.RTX]
	name := extension(p, uses.Rid)
	if repair && len(name) == 0 {
		name = extension(p, uses.RepairedRid)
	}
	if len(t.rids) > 0 {
		at := slices.Index(t.rids, string(name))
		if at < 0 {
			return nil
		}
		s.layer, s.rid = len(t.rids)-1-at, t.rids[at]
	}
	switch media := t.stream(s.layer); {
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

// arrive notes a packet and reports whether it is a new one: repairs are
// unwrapped (RFC 4588); padding probes and what came before are not.
func (s *stream) arrive(p *incoming) bool {
	if s.of != nil {
		sequence, original, ok := repair.Original(p.payload)
		if p.codec != offer.RTX || !ok {
			return false
		}
		s.counts.packet(p.At, p.sequence, p.Header.Timestamp, s.clock())
		s.counts.bytes += int64(p.Size) + bandwidth.Overhead
		p.sequence, p.payload = sequence, original
		p.stream, p.codec = s.of, offer.VP8
		return s.of.fresh(p)
	}
	if p.codec == offer.None || p.codec == offer.RTX {
		return false
	}
	s.counts.packet(p.At, p.sequence, p.Header.Timestamp, s.clock())
	s.counts.bytes += int64(p.Size) + bandwidth.Overhead
	return s.fresh(p)
}

// fresh reports whether a packet of the media stream is a new one, and reads
// what it says of its frame.
func (s *stream) fresh(p *incoming) bool {
	if s.losses.Arrive(p.sequence, p.At) == repair.Duplicate {
		return false
	}
	p.frame = nil
	d := &s.leg.frame
	if s.track.kind == offer.Video && s.track.uses.Descriptor == 0 {
		return s.undescribed(p, d)
	}
	if len(p.descriptor) == 0 {
		return true
	}
	if err := s.reader.Read(p.descriptor, d); err != nil && !errors.Is(err, descriptor.ErrTemplate) {
		p.descriptor = nil // nobody could read it
		return true
	}
	p.frame = d
	if d.Key() {
		s.keyCame()
		if d.Width > 0 {
			s.size.Store(uint32(d.Width)<<16 | uint32(d.Height))
		}
	}
	return true
}

// undescribed reads where a frame begins, and whether it is a key frame, from the
// byte that a sender without descriptors leaves in clear. Where descriptors were
// agreed no payload is ever looked at.
func (s *stream) undescribed(p *incoming, d *descriptor.Descriptor) bool {
	var ok bool
	if *d, ok = layer.Undescribed(p.payload); ok {
		p.frame = d
		if d.Key() {
			s.keyCame()
		}
	}
	return true
}

func (s *stream) clock() uint32 {
	if s.track.kind == offer.Video {
		return pictureClock
	}
	return soundClock
}

// ask asks for what is missing, as far as it is due.
func (s *stream) ask(at int64, out *port.Batch) {
	if s.of != nil || !s.track.repairs || s.losses.Missing() == 0 || s.track.kind == offer.Audio && s.leg.trip() > soundTrip {
		return
	}
	if list := s.losses.Due(at, s.leg.trip(), s.leg.missing[:0]); len(list) > 0 {
		s.asks += int64(len(list))
		s.leg.conn.SendControl(out, repair.AppendNACK(s.leg.report.b[:0], s.leg.local, s.ssrc, list))
	}
}

// tick asks again for what did not come: packets, and key frames that are waited
// for, or that nothing else mends any more.
func (s *stream) tick(at int64, out *port.Batch) {
	s.ask(at, out)
	s.flow.measure(s.track.kind == offer.Video, at)
	if s.of != nil || s.track.kind != offer.Video {
		return
	}
	if s.losses.GaveUp() && s.track.isWatched() {
		s.requestKey(at, out, (*repair.Keys).Want)
	}
	s.asking.Lock()
	due := s.keys.Due(at, s.leg.trip())
	s.asking.Unlock()
	if due {
		s.sendKeyRequest(out)
	}
}

// requestKey asks the sender for a key frame: many wishes are one request.
func (s *stream) requestKey(at int64, out *port.Batch, want func(k *repair.Keys, at, rtt int64) bool) {
	s.asking.Lock()
	due := want(&s.keys, at, s.leg.trip())
	s.asking.Unlock()
	if due {
		s.sendKeyRequest(out)
	}
}

func (s *stream) sendKeyRequest(out *port.Batch) {
	var b [12]byte
	s.keyAsks.Add(1)
	s.leg.conn.SendControl(out, repair.AppendPLI(b[:0], s.leg.local, s.ssrc))
}

// keyCame notes that a key frame has begun. What is missing before it is asked
// for all the same: a recorder keeps every frame.
func (s *stream) keyCame() {
	s.asking.Lock()
	s.keys.Came()
	s.asking.Unlock()
}
