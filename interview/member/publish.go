package member

import (
	"errors"
	"fmt"
	"sync"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"kuule/internal/descriptor"
	"kuule/interview"
	"kuule/interview/media"
)

// Publish names a track that a peer sends.
type Publish struct {
	Track  interview.TrackID
	Source interview.Source
	Number int
	// Rids are the layers of a picture in simulcast, best first. Without, the
	// track is one stream.
	Rids []string
}

// Outgoing is one whole sealed frame to be sent.
type Outgoing struct {
	Rid       string // of the layer; empty where the track has none
	Sealed    []byte
	RTPTime   uint32
	Key       bool // a picture that needs no other
	Redundant bool // sound whose sealed frame is a payload of package opusred
}

// ErrNoTrack says that a peer was asked to send on a track it does not have.
var ErrNoTrack = errors.New("no such track")

// Send sends one whole sealed frame of a track of one stream. key marks a video
// key frame.
func (p *Peer) Send(track interview.TrackID, sealed []byte, rtpTime uint32, key bool) error {
	return p.SendFrame(track, Outgoing{Sealed: sealed, RTPTime: rtpTime, Key: key})
}

// SendFrame sends one frame of a track.
func (p *Peer) SendFrame(track interview.TrackID, f Outgoing) error {
	for _, t := range p.tracks {
		if t.Track != track {
			continue
		}
		for _, e := range t.encodings {
			if e.rid == f.Rid {
				return t.send(e, f)
			}
		}
	}
	return fmt.Errorf("%w: %s %s", ErrNoTrack, track, f.Rid)
}

// outgoing is a track that is sent.
type outgoing struct {
	Publish
	transceiver *webrtc.RTPTransceiver
	encodings   []*encoding // one for each rid, or one

	mu    sync.Mutex
	frame uint16 // one numbering over all layers, as browsers have it
}

// encoding is one stream of a track. It is a webrtc.TrackLocal that chooses the
// payload type of each packet itself.
type encoding struct {
	source interview.Source
	rid    string

	mu         sync.Mutex
	out        webrtc.TrackLocalWriter // nil: not bound
	ssrc       uint32
	plain      uint8 // payload types
	redundant  uint8 // 0: not negotiated
	mid        string
	midID      uint8
	ridID      uint8
	describeID uint8

	sequence uint16
	last     uint16 // frame
	vp8      codecs.VP8Payloader
}

func newOutgoing(p Publish) *outgoing {
	o := &outgoing{Publish: p}
	rids := p.Rids
	if len(rids) == 0 {
		rids = []string{""}
	}
	for _, rid := range rids {
		o.encodings = append(o.encodings, &encoding{source: p.Source, rid: rid, vp8: codecs.VP8Payloader{EnablePictureID: true}})
	}
	return o
}

// attach adds the track to a connection.
func (t *outgoing) attach(pc *webrtc.PeerConnection) error {
	tr, err := pc.AddTransceiverFromTrack(t.encodings[0], webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return fmt.Errorf("track %s: %w", t.Track, err)
	}
	for _, e := range t.encodings[1:] {
		if err := tr.Sender().AddEncoding(e); err != nil {
			return fmt.Errorf("track %s: layer %s: %w", t.Track, e.rid, err)
		}
	}
	t.transceiver = tr
	return nil
}

// named gives the streams the mid that their packets carry.
func (t *outgoing) named() {
	for _, e := range t.encodings {
		e.mu.Lock()
		e.mid = t.transceiver.Mid()
		e.mu.Unlock()
	}
}

// send sends a frame as one layer.
func (t *outgoing) send(e *encoding, f Outgoing) error {
	t.mu.Lock()
	t.frame++
	number := t.frame
	t.mu.Unlock()
	if err := e.send(number, f); err != nil {
		return fmt.Errorf("send on %s: %w", t.Track, err)
	}
	return nil
}

func (e *encoding) send(number uint16, f Outgoing) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out == nil {
		return nil // not connected yet: a frame is sent now or never
	}
	payloads, payload := [][]byte{f.Sealed}, e.plain
	if e.source != interview.SourceAudio {
		payloads = e.vp8.Payload(mtu, f.Sealed)
	} else if f.Redundant {
		if payload = e.redundant; payload == 0 {
			return errors.New("the media node takes no redundant sound")
		}
	}
	for i, body := range payloads {
		e.sequence++
		h := rtp.Header{Version: 2, PayloadType: payload, SSRC: e.ssrc, SequenceNumber: e.sequence, Timestamp: f.RTPTime, Marker: i == len(payloads)-1}
		if err := e.extend(&h, number, f.Key, i == 0); err != nil {
			return err
		}
		if _, err := e.out.WriteRTP(&h, body); err != nil {
			return err
		}
	}
	e.last = number
	return nil
}

// extend says in the header whose packet this is, and what its frame needs.
func (e *encoding) extend(h *rtp.Header, number uint16, key, first bool) error {
	if e.rid != "" && e.midID != 0 && e.ridID != 0 {
		if err := errors.Join(h.SetExtension(e.midID, []byte(e.mid)), h.SetExtension(e.ridID, []byte(e.rid))); err != nil {
			return err
		}
	}
	if e.source == interview.SourceAudio || e.describeID == 0 {
		return nil
	}
	d := descriptor.Frame{First: first, Last: h.Marker, Key: key, Number: number, Layers: 1}
	if !key {
		d.Diffs = []uint16{number - e.last}
	}
	return h.SetExtension(e.describeID, descriptor.Append(nil, d))
}

// Bind implements webrtc.TrackLocal.
func (e *encoding) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	want := webrtc.MimeTypeVP8
	if e.source == interview.SourceAudio {
		want = webrtc.MimeTypeOpus
	}
	var chosen webrtc.RTPCodecParameters
	for _, codec := range c.CodecParameters() {
		switch codec.MimeType {
		case want:
			chosen = codec
		case mimeRED:
			e.redundant = uint8(codec.PayloadType)
		}
	}
	if chosen.MimeType == "" {
		return chosen, webrtc.ErrUnsupportedCodec
	}
	e.plain, e.ssrc, e.out = uint8(chosen.PayloadType), uint32(c.SSRC()), c.WriteStream()
	for _, x := range c.HeaderExtensions() {
		switch x.URI {
		case media.DependencyDescriptorURI:
			e.describeID = uint8(x.ID)
		case midURI:
			e.midID = uint8(x.ID)
		case ridURI:
			e.ridID = uint8(x.ID)
		}
	}
	return chosen, nil
}

// synchronization is the stream's RTP source.
func (e *encoding) synchronization() uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ssrc
}

// Unbind implements webrtc.TrackLocal.
func (e *encoding) Unbind(webrtc.TrackLocalContext) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (e *encoding) ID() string { return string(e.source) }

// RID implements webrtc.TrackLocal.
func (e *encoding) RID() string { return e.rid }

// StreamID implements webrtc.TrackLocal.
func (e *encoding) StreamID() string { return "kuule" }

// Kind implements webrtc.TrackLocal.
func (e *encoding) Kind() webrtc.RTPCodecType {
	if e.source == interview.SourceAudio {
		return webrtc.RTPCodecTypeAudio
	}
	return webrtc.RTPCodecTypeVideo
}

// readFeedback takes what comes back on one stream of a track.
func (p *Peer) readFeedback(t *outgoing, e *encoding) {
	for {
		var packets []rtcp.Packet
		var err error
		if e.rid == "" {
			packets, _, err = t.transceiver.Sender().ReadRTCP()
		} else {
			packets, _, err = t.transceiver.Sender().ReadSimulcastRTCP(e.rid)
		}
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch r := packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				if p.onKey != nil {
					p.onKey(t.Track)
				}
			case *rtcp.ReceiverReport:
				for _, b := range r.Reports {
					if t.Source == interview.SourceAudio && b.SSRC == e.synchronization() {
						p.sentLoss.Store(uint32(b.FractionLost))
					}
				}
			}
		}
	}
}
