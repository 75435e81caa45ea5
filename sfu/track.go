package sfu

import (
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/media"
)

// minKeyInterval is the shortest time between two requests for a key frame to
// one source: more would cost the sender's bandwidth and bring nothing sooner.
const minKeyInterval = 300 * time.Millisecond

// track is one published track.
type track struct {
	id   interview.TrackID
	mid  string
	kind webrtc.RTPCodecType
	pc   *webrtc.PeerConnection

	subscribers atomic.Pointer[[]*slot] // replaced whole, so that packets take no lock
	ssrc        atomic.Uint32
	lastKeyAsk  atomic.Int64 // Unix nanoseconds
	running     atomic.Bool
}

func (t *track) setSubscribers(slots []*slot) {
	fresh := false
	for _, s := range slots {
		fresh = s.assign(t) || fresh
	}
	t.subscribers.Store(&slots)
	if fresh && t.kind == webrtc.RTPCodecTypeVideo {
		t.requestKey()
	}
}

// requestKey asks the sender for a key frame, at most once an interval.
func (t *track) requestKey() {
	ssrc := t.ssrc.Load()
	if ssrc == 0 {
		return // asked again when the first packet comes
	}
	now := time.Now().UnixNano()
	last := t.lastKeyAsk.Load()
	if now-last < int64(minKeyInterval) || !t.lastKeyAsk.CompareAndSwap(last, now) {
		return
	}
	sendRTCP(t.pc, &rtcp.PictureLossIndication{MediaSSRC: ssrc})
}

// maxPacket is the largest packet that is read: more does not fit a path's MTU.
const maxPacket = 1500

// run forwards packets until the track ends. A second stream that claims to be
// this track is not forwarded.
func (t *track) run(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	if !t.running.CompareAndSwap(false, true) {
		return
	}
	defer t.running.Store(false)
	var ddID uint8
	for _, e := range receiver.GetParameters().HeaderExtensions {
		if e.URI == media.DependencyDescriptorURI {
			ddID = uint8(e.ID)
		}
	}
	t.ssrc.Store(uint32(remote.SSRC()))
	if t.kind == webrtc.RTPCodecTypeVideo {
		t.requestKey()
	}
	var seen window
	var p rtp.Packet
	buf := make([]byte, maxPacket)
	for {
		n, _, err := remote.Read(buf)
		if err != nil {
			return
		}
		t.take(&p, buf[:n], ddID, &seen)
	}
}

// take reads one packet into p, whose parts are used again for the next one,
// and forwards it.
func (t *track) take(p *rtp.Packet, b []byte, ddID uint8, seen *window) {
	// Retransmissions and padding probes arrive as packets too: what is empty
	// or was here before is not forwarded.
	if err := p.Unmarshal(b); err != nil || len(p.Payload) == 0 || !seen.first(p.SequenceNumber) {
		return
	}
	var dd []byte
	if ddID != 0 {
		dd = p.GetExtension(ddID)
	}
	t.forward(p, dd)
}

func (t *track) forward(p *rtp.Packet, dd []byte) {
	subscribers := t.subscribers.Load()
	if subscribers == nil {
		return
	}
	for _, s := range *subscribers {
		s.write(t, p, dd)
	}
}

// readFeedback hands the sender's reports on to those who receive the track.
func (t *track) readFeedback(receiver *webrtc.RTPReceiver) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			sr, ok := p.(*rtcp.SenderReport)
			if !ok || sr.SSRC != t.ssrc.Load() {
				continue
			}
			if subscribers := t.subscribers.Load(); subscribers != nil {
				for _, s := range *subscribers {
					s.writeReport(t, sr)
				}
			}
		}
	}
}

// window remembers the last 1024 sequence numbers, to tell what comes twice.
// It belongs to the one goroutine that reads the track.
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
