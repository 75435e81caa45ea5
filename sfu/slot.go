package sfu

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"kuule/internal/descriptor"
	"kuule/interview/media"
	"kuule/sfu/layer"
	"kuule/sfu/offer"
	"kuule/sfu/port"
)

// Clocks of what is forwarded, in ticks a second.
const (
	soundClock   = 48000
	pictureClock = 90000
)

// slot is one place on which a leg is sent to. Its RTP stream is one to the
// receiver, whatever sources follow each other on it.
type slot struct {
	mid     string
	kind    offer.Kind
	types   offer.Types
	uses    offer.Extensions
	leg     *leg
	ssrc    uint32
	repairs uint32 // source of what is sent again; 0: sent again as it was, or not at all
	clock   uint32

	mu        sync.Mutex
	source    *track // what the table says
	route     media.Route
	shed      bool // smaller than it is to be, for want of room on the way
	selector  *layer.Selector
	arriving  layer.Packet
	timestamp uint32 // of the newest packet
	repair    uint16
	packets   uint32
	bytes     uint32
	asked     uint32 // packets that the receiver missed and asked for
	sound     soundLoss
	lost      atomic.Int64 // of a sound: share lost on the way to the receiver, in parts per million
	kept      []kept
	header    [maxHeader]byte
	original  [2]byte

	reportNTP   uint32 // of the newest sender report
	reportAt    int64
	resent      uint32 // packets, and bytes of payload
	resentBytes uint32
	keyAsks     uint32 // key frames that the receiver asked for
	leftAt      int64  // when the newest packet left; 0: nothing is to come
	narrowSince int64  // the link is too narrow for this voice as it comes; 0: it is not. Belongs to the node's tick
	freezes     int64
	frozen      int64         // ns
	cumulative  atomic.Int32  // packets lost at the receiver
	jitter      atomic.Uint32 // at the receiver, in ticks
	loss        atomic.Uint32 // share lost at the receiver, in 1/256
	roundTrip   atomic.Int64  // nanoseconds
}

// rewritten is what the receiver sees of a packet: its numbers are the slot's.
type rewritten struct {
	sequence   uint16
	timestamp  uint32
	frame      uint16 // of the descriptor
	payload    uint8  // type
	marker     bool
	transport  uint16
	descriptor []byte // as the sender wrote it
}

// kept is a packet that may be asked for again.
type kept struct {
	rewritten
	bytes    []byte
	buffer   *port.Buffer
	resentAt int64
	times    uint8
}

// How much is kept, and how often one packet is sent again.
const (
	keptPictures = 128
	keptSounds   = 32
	resendAfter  = 15e6
	resendTimes  = 8
)

func newSlot(l *leg, line *offer.Line) *slot {
	s := &slot{mid: line.Mid, kind: line.Kind, types: line.Types, uses: line.Uses, leg: l, clock: soundClock}
	s.ssrc = l.unused()
	s.selector = layer.NewAudio(soundWindow)
	if s.kind == offer.Video {
		s.clock = pictureClock
		s.selector = layer.NewVideo(pictureWindow)
	}
	if line.Nack && s.types[offer.RTX] != 0 {
		for s.repairs = l.unused(); s.repairs == s.ssrc; {
			s.repairs = l.unused()
		}
	}
	switch {
	case !line.Nack:
	case s.kind == offer.Video:
		s.kept = make([]kept, keptPictures)
	default:
		s.kept = make([]kept, keptSounds)
	}
	return s
}

// How many packets back a late one still finds its number.
const (
	pictureWindow = 256
	soundWindow   = 64
	// smallTile is the height in pixels of a tile for which the smallest layer
	// does while nothing is known of the link.
	smallTile = 240
)

// assign makes t the slot's source, nil leaves the slot silent; it reports
// whether that is new.
func (s *slot) assign(t *track, route media.Route) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.source != t
	if changed || route.Off {
		s.leftAt = 0
	}
	s.source, s.route = t, route
	if changed {
		s.selector.Replace()
		s.forget() // nothing of another source is sent again, nor while there is none
	}
	switch {
	case t == nil:
	case route.Off:
		s.selector.Aim(layer.Target{Layer: layer.Off})
	case !changed: // the next allocation heeds the rest
	case s.leg.way.narrow() && s.kind == offer.Video, route.Height > 0 && route.Height <= smallTile:
		s.selector.Aim(layer.Target{Layer: 0, Temporal: layer.AllTemporal})
	default:
		s.selector.Aim(layer.Target{Layer: layer.Top, Temporal: layer.AllTemporal})
	}
	return changed
}

// aim sets which of the source's layers is to be sent, and whether that is less
// than was wanted.
func (s *slot) aim(t layer.Target, shed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shed = shed
	if t.Layer < 0 {
		s.leftAt = 0
	}
	if s.selector.Target() != t {
		s.selector.Aim(t)
	}
}

// write sends one packet of its source on, if it is to be sent.
func (s *slot) write(out *port.Batch, p *incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != p.stream.track {
		return
	}
	w, action := s.choose(out, p)
	if action == layer.Drop {
		return
	}
	if action == layer.Fill {
		s.number(&w, 0, p.At)
		s.emit(out, &w, nil)
		return
	}
	s.leave(out, &w, p)
}

// choose decides whether a packet is sent and renumbers it, so that the receiver
// sees one stream.
func (s *slot) choose(out *port.Batch, p *incoming) (rewritten, layer.Action) {
	payload := s.types[p.codec]
	if payload == 0 {
		return rewritten{}, layer.Drop
	}
	s.arriving = layer.Packet{
		Layer: p.stream.layer, Sequence: p.sequence, Timestamp: p.Header.Timestamp, At: p.At,
		Descriptor: p.frame, Empty: len(p.payload) == 0,
	}
	var place layer.Rewritten
	action := s.selector.Take(&s.arriving, &place)
	if want, yes := s.selector.Wants(); yes {
		p.stream.track.requestKey(want, p.At, out)
	}
	w := rewritten{sequence: place.Sequence, timestamp: place.Timestamp, frame: place.Frame, payload: payload}
	if action == layer.Send {
		w.marker = p.Header.Marker
		if s.uses.Descriptor != 0 {
			w.descriptor = p.descriptor
		}
	}
	return w, action
}

// keep holds a packet for those who miss it.
func (s *slot) keep(w *rewritten, p *incoming) {
	if len(s.kept) == 0 {
		return
	}
	k := &s.kept[int(w.sequence)%len(s.kept)]
	if k.buffer != nil {
		k.buffer.Release()
	}
	p.Buffer.Retain()
	*k = kept{rewritten: *w, bytes: p.payload, buffer: p.Buffer}
}

// forget gives up what is kept; the lock is held.
func (s *slot) forget() {
	for i := range s.kept {
		if b := s.kept[i].buffer; b != nil {
			b.Release()
		}
		s.kept[i] = kept{}
	}
}

// emit sends one packet. Everything that leaves a slot leaves here or as a repair.
func (s *slot) emit(out *port.Batch, w *rewritten, payload []byte) {
	s.packets++
	s.timestamp = w.timestamp
	s.bytes += uint32(len(payload))
	s.leg.conn.Send(out, s.headerOf(w, s.ssrc, w.sequence, w.payload), nil, payload)
}

// resend answers a receiver that misses a packet: as a repair stream where there
// is one (RFC 4588), else as the very same packet. A number that was sealed with
// one header is never sealed with another.
func (s *slot) resend(sequence uint16, at int64, out *port.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return
	}
	k := &s.kept[int(sequence)%len(s.kept)]
	if k.buffer == nil || k.sequence != sequence || k.times >= resendTimes || s.selector.Target().Layer < 0 {
		return // what is not sent any more needs no repair
	}
	// What was lost for want of room would come again and again, in front of the
	// voices: on a link that is known to be narrow pictures have to share it, and a
	// repair that is still on its way is not sent once more.
	narrow := s.leg.way.narrow()
	after := int64(resendAfter)
	if narrow {
		after = max(after, s.leg.trip())
	}
	if k.times > 0 && at-k.resentAt < after || s.repairs != 0 && !s.leg.way.affords(onWire(&k.rewritten, len(k.bytes)), at) {
		return
	}
	copies := 1
	switch {
	case k.times == 0:
		s.asked++
	case !narrow:
		copies = 2 // a picture stands still by now: another round costs more than a packet
	}
	k.times++
	k.resentAt = at
	for range copies {
		s.repeat(k, at, out)
	}
}

// repeat sends a kept packet once more, if the leg's allowance lasts; the lock and
// the leg's receiving are held.
func (s *slot) repeat(k *kept, at int64, out *port.Batch) {
	if !s.leg.repairs.allow(at, len(k.bytes)) {
		return
	}
	s.resent++
	s.resentBytes += uint32(len(k.bytes))
	if s.repairs == 0 {
		s.leg.conn.Send(out, s.headerOf(&k.rewritten, s.ssrc, k.sequence, k.payload), nil, k.bytes)
		return
	}
	w := k.rewritten
	s.number(&w, len(k.bytes), at)
	s.repair++
	binary.BigEndian.PutUint16(s.original[:], k.sequence)
	s.leg.conn.Send(out, s.headerOf(&w, s.repairs, s.repair, s.types[offer.RTX]), s.original[:], k.bytes)
}

// maxHeader is the largest header that is written: a descriptor of any length
// and the transport-wide number.
const maxHeader = 12 + 4 + 2 + 255 + 2 + 2 + 3

// headerOf writes the header of a packet; the lock is held. Of the sender's
// header nothing goes through but what is rewritten here.
func (s *slot) headerOf(w *rewritten, ssrc uint32, sequence uint16, payload uint8) []byte {
	h := s.header[:12]
	h[0], h[1] = 2<<6, payload
	if w.marker {
		h[1] |= 0x80
	}
	binary.BigEndian.PutUint16(h[2:], sequence)
	binary.BigEndian.PutUint32(h[4:], w.timestamp)
	binary.BigEndian.PutUint32(h[8:], ssrc)
	long := len(w.descriptor) > 16 || s.uses.Descriptor > 14 || s.uses.Transport > 14
	described := len(w.descriptor) >= 3 && len(w.descriptor) <= 255 && (!long || s.uses.Mixed)
	if !described && s.uses.Transport == 0 {
		return h
	}
	if long = long && s.uses.Mixed; long { // RFC 8285, sections 4.2 and 4.3
		h = append(h, 0x10, 0, 0, 0)
	} else {
		h = append(h, 0xBE, 0xDE, 0, 0)
	}
	h[0] |= 0x10
	if described {
		h = element(h, long, s.uses.Descriptor, len(w.descriptor))
		at := len(h)
		h = append(h, w.descriptor...)
		descriptor.SetFrame(h[at:], w.frame)
	}
	if s.uses.Transport != 0 {
		h = element(h, long, s.uses.Transport, 2)
		h = binary.BigEndian.AppendUint16(h, w.transport)
	}
	for len(h)%4 != 0 {
		h = append(h, 0)
	}
	binary.BigEndian.PutUint16(h[14:], uint16(len(h)/4-4))
	return h
}

// element begins a header extension element of the given length.
func element(h []byte, long bool, id uint8, length int) []byte {
	if long {
		return append(h, id, byte(length))
	}
	return append(h, id<<4|byte(length-1))
}

// writeReport sends the source's sender report on, in the slot's own terms, so
// that the receiver can line up sound and picture.
func (s *slot) writeReport(from *stream, ntp uint64, timestamp uint32, at int64, out *port.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != from.track {
		return
	}
	s.selector.Report(from.layer, ntp, timestamp)
	timestamp, sent := s.selector.Timestamp(from.layer, timestamp)
	if !sent {
		return
	}
	s.reportNTP, s.reportAt = uint32(ntp>>16), at
	s.leg.conn.SendControl(out, senderReport(s.header[:0], s.ssrc, ntp, timestamp, s.packets, s.bytes))
}

// takeReport notes how the receiver fares.
func (s *slot) takeReport(b block, at int64) {
	s.loss.Store(uint32(b.lost))
	s.cumulative.Store(b.total)
	s.jitter.Store(b.jitter)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.lastReport != 0 && b.lastReport == s.reportNTP {
		if trip := at - s.reportAt - int64(b.delay)*1e9/65536; trip >= 0 {
			s.roundTrip.Store(trip)
			s.leg.roundTrip.Store(trip)
		}
	}
}

// requestKey asks the slot's source for a key frame of what the slot is sent.
func (s *slot) requestKey(at int64, out *port.Batch) {
	s.mu.Lock()
	t, which := s.source, s.selector.Current()
	s.keyAsks++
	if want, yes := s.selector.Wants(); yes {
		which = want
	}
	s.mu.Unlock()
	if t != nil {
		t.requestKey(which, at, out)
	}
}

// wantKey has the source asked for a key frame at the next tick.
func (s *slot) wantKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != nil {
		s.source.wanted.Store(true)
	}
}

// drop gives up what is kept.
func (s *slot) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
}
