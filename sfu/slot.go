package sfu

import (
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"kuule/interview/media"
)

// slot is one place on which a leg is sent to. Its RTP stream is one to the
// receiver, whatever sources follow each other on it.
type slot struct {
	mid         string
	kind        webrtc.RTPCodecType
	clock       uint32
	transceiver *webrtc.RTPTransceiver
	local       *webrtc.TrackLocalStaticRTP
	pc          *webrtc.PeerConnection

	mu       sync.Mutex
	source   *track // what the table says
	current  *track // what is being sent: differs until the key frame has come
	seqOff   uint16
	tsOff    uint32
	fnOff    uint16
	lastSeq  uint16
	lastTS   uint32
	lastFN   uint16
	lastSent time.Time
	ddID     uint8
	out      rtp.Packet // reused: who sends it on copies what has to be kept
	dd       [256]byte  // its descriptor
}

func newSlot(pc *webrtc.PeerConnection, mid string, kind webrtc.RTPCodecType) (*slot, error) {
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	if kind == webrtc.RTPCodecTypeVideo {
		codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	}
	local, err := webrtc.NewTrackLocalStaticRTP(codec, "slot-"+mid, "kuule")
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", mid, err)
	}
	tr, err := pc.AddTransceiverFromTrack(local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", mid, err)
	}
	return &slot{mid: mid, kind: kind, clock: codec.ClockRate, transceiver: tr, local: local, pc: pc}, nil
}

// assign makes t the slot's source, nil leaves the slot silent; it reports
// whether that is new.
func (s *slot) assign(t *track) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.source != t
	s.source = t
	if t == nil {
		s.current = nil
	}
	return changed
}

// write sends one packet of t, renumbered so that the receiver sees one stream.
func (s *slot) write(t *track, in *rtp.Packet, dd []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != t {
		return
	}
	d, described := parseDescriptor(dd)
	if s.current != t {
		if s.kind == webrtc.RTPCodecTypeVideo && !(described && d.key && d.firstInFrame) {
			t.requestKey()
			return
		}
		s.switchTo(t, in, d)
	}
	s.out.Header = rtp.Header{
		Version: 2, Marker: in.Marker,
		SequenceNumber: in.SequenceNumber + s.seqOff,
		Timestamp:      in.Timestamp + s.tsOff,
		Extensions:     s.out.Extensions[:0],
	}
	s.out.Payload = in.Payload
	if described && s.ddID != 0 {
		copied := append(s.dd[:0], dd...)
		setFrameNumber(copied, d.frameNumber+s.fnOff)
		if err := s.out.SetExtension(s.ddID, copied); err != nil {
			return
		}
	}
	if int16(s.out.SequenceNumber-s.lastSeq) > 0 || s.lastSent.IsZero() {
		s.lastSeq, s.lastTS, s.lastFN = s.out.SequenceNumber, s.out.Timestamp, d.frameNumber+s.fnOff
	}
	s.lastSent = time.Now()
	_ = s.local.WriteRTP(&s.out) // a receiver that is gone is noticed by its connection
}

// switchTo continues the slot's numbering with a new source.
func (s *slot) switchTo(t *track, in *rtp.Packet, d descriptor) {
	if s.lastSent.IsZero() {
		for _, e := range s.transceiver.Sender().GetParameters().HeaderExtensions {
			if e.URI == media.DependencyDescriptorURI {
				s.ddID = uint8(e.ID)
			}
		}
	} else {
		ticks := max(uint32(time.Since(s.lastSent).Seconds()*float64(s.clock)), 1)
		s.seqOff = s.lastSeq + 1 - in.SequenceNumber
		s.tsOff = s.lastTS + ticks - in.Timestamp
		s.fnOff = s.lastFN + 1 - d.frameNumber
	}
	s.current = t
}

// writeReport sends the source's sender report on, in the slot's own terms, so
// that the receiver can line up sound and picture.
func (s *slot) writeReport(t *track, sr *rtcp.SenderReport) {
	s.mu.Lock()
	if s.current != t {
		s.mu.Unlock()
		return
	}
	out := rtcp.SenderReport{NTPTime: sr.NTPTime, RTPTime: sr.RTPTime + s.tsOff, PacketCount: sr.PacketCount, OctetCount: sr.OctetCount}
	s.mu.Unlock()
	encodings := s.transceiver.Sender().GetParameters().Encodings
	if len(encodings) == 0 {
		return
	}
	out.SSRC = uint32(encodings[0].SSRC)
	sendRTCP(s.pc, &out)
}

// requestKey asks the slot's source for a key frame.
func (s *slot) requestKey() {
	s.mu.Lock()
	t := s.source
	s.mu.Unlock()
	if t != nil && t.kind == webrtc.RTPCodecTypeVideo {
		t.requestKey()
	}
}

// readFeedback turns the receiver's wish for a key frame into one to the source.
func (s *slot) readFeedback() {
	for {
		packets, _, err := s.transceiver.Sender().ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				s.requestKey()
			}
		}
	}
}
