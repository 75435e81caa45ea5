package member

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"kuule/internal/descriptor"
	"kuule/internal/repair"
	"kuule/interview/media"
	"kuule/interview/wire"
)

// How long, in nanoseconds, what is missing is waited for. Nobody here listens
// live, and a recording is better late than with a hole: longer than a page waits.
const (
	soundDeadline   = 200e6
	pictureDeadline = 800e6
	patience        = 5e6
	assumedTrip     = 50e6
	measureEvery    = 1e9
	askEvery        = 20 * time.Millisecond
	heldPackets     = 1024    // power of two
	maxFrame        = 1 << 20 // bytes, as much as a journal takes
)

// Frame is one whole frame as its sender sealed it. Frames of a slot come in
// their order, and of pictures only those whose references came before.
type Frame struct {
	Slot    wire.Slot // who the door says it is from; the key says whether that is so
	Sealed  []byte
	RTPTime uint32
	Arrival time.Time
	Lost    int // packets missing on this slot since the frame before
}

// Stats is how a peer's connection fares. Lost packets are those that no repair
// brought.
type Stats struct {
	RTT      time.Duration // 0: not measured yet
	Sound    Reception
	Pictures Reception
	SentLoss float64 // share of sound packets sent that the media node missed, at the last report
}

// Reception counts packets over all slots of a kind.
type Reception struct{ Packets, Lost, Repaired uint64 }

// received is a Reception that grows.
type received struct{ packets, lost, repaired atomic.Uint64 }

func (r *received) now() Reception {
	return Reception{r.packets.Load(), r.lost.Load(), r.repaired.Load()}
}

// Stats tells how the connection fares.
func (p *Peer) Stats() Stats {
	return Stats{
		RTT: time.Duration(p.trip.Load()), Sound: p.sound.now(), Pictures: p.pictures.now(),
		SentLoss: float64(p.sentLoss.Load()) / 256,
	}
}

// incoming is one stream that is received. It belongs to one goroutine.
type incoming struct {
	peer       *Peer
	mid        string
	ssrc       uint32
	picture    bool
	describeID uint8
	count      *received
	told       Reception

	losses   repair.Losses
	started  bool
	next     uint16 // to be released
	highest  uint16
	held     [heldPackets]*rtp.Packet
	lost     int
	measured int64

	reader  descriptor.Reader
	keys    repair.Keys
	keyAt   int64    // when a key frame came, or was asked for because none had
	parts   [][]byte // of the frame that is being put together
	size    int      // of it in bytes
	inFrame bool
	frame   descriptor.Descriptor // of it
	known   [256]numbered         // frames that were delivered
}

type numbered struct {
	number    uint16
	delivered bool
}

// receive puts packets together to frames, in order, until the stream ends.
func (p *Peer) receive(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	p.readers.Go(func() {
		for {
			if _, _, err := receiver.ReadRTCP(); err != nil {
				return
			}
		}
	})
	in := &incoming{peer: p, ssrc: uint32(remote.SSRC()), count: &p.sound}
	in.losses.Deadline, in.losses.Patience, in.losses.Eager = soundDeadline, patience, true
	if remote.Kind() == webrtc.RTPCodecTypeVideo {
		in.picture, in.count = true, &p.pictures
		in.losses.Deadline, in.losses.Eager = pictureDeadline, false
	}
	for _, t := range p.pc.GetTransceivers() {
		if t.Receiver() == receiver {
			in.mid = t.Mid()
		}
	}
	for _, x := range receiver.GetParameters().HeaderExtensions {
		if x.URI == media.DependencyDescriptorURI {
			in.describeID = uint8(x.ID)
		}
	}
	for {
		var until time.Time
		if in.losses.Missing() > 0 {
			until = time.Now().Add(askEvery)
		}
		_ = remote.SetReadDeadline(until) // an old stream's deadline is nobody's loss
		packet, _, err := remote.ReadRTP()
		at := int64(time.Since(start))
		var timeout net.Error
		switch {
		case err == nil:
			in.take(packet, at)
		case errors.As(err, &timeout) && timeout.Timeout():
		default:
			return
		}
		in.ask(at)
		in.release(at)
		if in.stale(at) {
			in.askKey(at)
		}
		in.tell()
	}
}

// take holds a packet until it is its turn.
func (in *incoming) take(p *rtp.Packet, at int64) {
	n := p.SequenceNumber
	if in.losses.Arrive(n, at) == repair.Duplicate {
		return
	}
	switch {
	case !in.started:
		in.started, in.next, in.highest = true, n, n
	case int16(n-in.next) < 0:
		return // given up
	case n-in.next >= heldPackets:
		in.lost += int(n - in.next)
		in.next, in.inFrame = n, false
		clear(in.held[:])
	}
	if int16(n-in.highest) > 0 {
		in.highest = n
	}
	in.held[n%heldPackets] = p
}

// ask asks for what is missing.
func (in *incoming) ask(at int64) {
	if in.losses.Missing() == 0 {
		return
	}
	if at-in.measured > measureEvery {
		in.measured = at
		in.peer.measure()
	}
	var list [32]uint16
	due := in.losses.Due(at, in.trip(), list[:0])
	if len(due) == 0 {
		return
	}
	_ = in.peer.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: in.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(due)}})
}

func (in *incoming) trip() int64 {
	if t := in.peer.trip.Load(); t > 0 {
		return t
	}
	return assumedTrip
}

// measure reads the round trip from the connection.
func (p *Peer) measure() {
	if pair, ok := p.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats(); ok && pair.CurrentRoundTripTime > 0 {
		p.trip.Store(int64(pair.CurrentRoundTripTime * 1e9))
	}
}

// release hands on what it is the turn of: packets in order, and past what is
// not waited for any more.
func (in *incoming) release(at int64) {
	for in.started && int16(in.highest-in.next) >= 0 {
		p := in.held[in.next%heldPackets]
		if p == nil {
			if in.losses.Awaited(in.next) {
				return
			}
			in.lost++
			in.next++
			in.inFrame = false
			continue
		}
		in.held[in.next%heldPackets] = nil
		in.next++
		switch {
		case len(p.Payload) == 0:
		case in.picture:
			in.put(p, at)
		default:
			in.deliver(slices.Clone(p.Payload), p.Timestamp)
		}
	}
}

// put adds a packet to the frame it is part of.
func (in *incoming) put(p *rtp.Packet, at int64) {
	var vp8 codecs.VP8Packet
	body, err := vp8.Unmarshal(p.Payload)
	if err != nil {
		in.inFrame = false
		return
	}
	first, last := vp8.S == 1 && vp8.PID == 0, p.Marker
	var d descriptor.Descriptor
	described := false
	if b := p.GetExtension(in.describeID); in.describeID != 0 && b != nil {
		err := in.reader.Read(b, &d)
		if described = err == nil || errors.Is(err, descriptor.ErrTemplate); described {
			first, last = d.First, d.Last
		}
	}
	if first {
		in.inFrame, in.parts, in.size, in.frame = true, in.parts[:0], 0, d
	}
	if in.size += len(body); in.size > maxFrame { // one without an end would fill the memory
		in.inFrame, in.parts = false, nil
	}
	if !in.inFrame {
		in.lost++
		return
	}
	in.parts = append(in.parts, body)
	if !last {
		return
	}
	in.inFrame = false
	if described && !in.whole(at) {
		in.lost += len(in.parts)
		return
	}
	in.deliver(slices.Concat(in.parts...), p.Timestamp)
}

// whole reports whether everything that the frame needs was delivered. If not, a
// decoder would make a damaged picture of it: a key frame is asked for.
func (in *incoming) whole(at int64) bool {
	d := &in.frame
	if d.Key() {
		in.keys.Came()
		in.keyAt = at
		clear(in.known[:])
	} else {
		for _, diff := range d.Diffs[:d.DiffCount] {
			n := in.known[(d.Frame-diff)%256]
			if n.number != d.Frame-diff || !n.delivered {
				d.Known = false
			}
		}
		if !d.Known {
			in.askKey(at)
			return false
		}
	}
	in.known[d.Frame%256] = numbered{d.Frame, true}
	return true
}

// stale reports, once in the time that the peer's owner set, that no key frame
// of a picture came for as long.
func (in *incoming) stale(at int64) bool {
	every := in.peer.keyEvery.Load()
	if every == 0 || !in.picture || !in.started {
		return false
	}
	if in.keyAt == 0 { // joined just now: the media node asks for the first
		in.keyAt = at
	}
	if at-in.keyAt < every {
		return false
	}
	in.keyAt = at
	return true
}

func (in *incoming) askKey(at int64) {
	if in.keys.Want(at, in.trip()) {
		_ = in.peer.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: in.ssrc}})
	}
}

func (in *incoming) deliver(sealed []byte, rtpTime uint32) {
	p := in.peer
	p.mu.Lock()
	slot := p.slots[in.mid]
	p.mu.Unlock()
	slot.Mid = in.mid
	p.onFrame(Frame{Slot: slot, Sealed: sealed, RTPTime: rtpTime, Arrival: time.Now(), Lost: in.lost})
	in.lost = 0
}

// tell adds to the peer's counts.
func (in *incoming) tell() {
	now := Reception{in.losses.Packets, in.losses.Lost, in.losses.Repaired}
	in.count.packets.Add(now.Packets - in.told.Packets)
	in.count.lost.Add(now.Lost - in.told.Lost)
	in.count.repaired.Add(now.Repaired - in.told.Repaired)
	in.told = now
}
