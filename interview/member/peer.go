package member

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/samplebuilder"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/wire"
)

// Slots that a member offers to receive on.
const (
	AudioSlots = 8
	VideoSlots = 8
)

const (
	mtu           = 1150
	reorderWindow = 128 // packets that a frame waits for a missing one
	audioClock    = 48000
	videoClock    = 90000
	gatherWithin  = 5 * time.Second
	lostAfter     = 1500 * time.Millisecond
)

// Publish names a track that a peer sends.
type Publish struct {
	Track  interview.TrackID
	Source interview.Source
	Number int
}

// Frame is one whole frame as its sender sealed it.
type Frame struct {
	Slot    wire.Slot // who the door says it is from; the key says whether that is so
	Sealed  []byte
	RTPTime uint32
	Arrival time.Time
	Lost    int // packets missing on this slot since the frame before
}

// Peer is one member's media connection.
type Peer struct {
	pc          *webrtc.PeerConnection
	certificate webrtc.Certificate
	fingerprint string
	publish     []Publish
	onFrame     func(Frame)
	onKey       func(interview.TrackID)
	tracks      []*outgoing
	readers     sync.WaitGroup

	mu       sync.Mutex
	slots    map[string]wire.Slot
	onState  func(webrtc.PeerConnectionState)
	answered bool
	leg      interview.LegID // as the door calls it; zero before the first answer
}

type outgoing struct {
	Publish
	local       *webrtc.TrackLocalStaticRTP
	transceiver *webrtc.RTPTransceiver

	mu       sync.Mutex
	sequence uint16
	frame    uint16
	ddID     uint8
	vp8      codecs.VP8Payloader
}

// NewPeer prepares a connection that sends the given tracks. onFrame is called
// from one goroutine per slot; onKey, which may be nil, when a receiver needs a
// key frame of a track.
func NewPeer(publish []Publish, onFrame func(Frame), onKey func(interview.TrackID)) (*Peer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	return newPeer(*cert, publish, onFrame, onKey)
}

// Anew prepares another connection of the same member: the same certificate,
// tracks and slots, for when the media node does not know this one any more.
func (p *Peer) Anew() (*Peer, error) {
	n, err := newPeer(p.certificate, p.publish, p.onFrame, p.onKey)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n.slots = p.slots
	if p.onState != nil {
		n.OnState(p.onState)
	}
	return n, nil
}

func newPeer(cert webrtc.Certificate, publish []Publish, onFrame func(Frame), onKey func(interview.TrackID)) (*Peer, error) {
	prints, err := cert.GetFingerprints()
	if err != nil || len(prints) == 0 {
		return nil, fmt.Errorf("media connection: fingerprint: %w", err)
	}
	api, err := clientAPI()
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{cert}})
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	p := &Peer{
		pc: pc, certificate: cert, fingerprint: strings.ToUpper(prints[0].Value), publish: publish,
		onFrame: onFrame, onKey: onKey, slots: map[string]wire.Slot{},
	}
	if err := p.addMedia(publish); err != nil {
		_ = pc.Close()
		return nil, err
	}
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { p.readers.Go(func() { p.receive(t, r) }) })
	return p, nil
}

func clientAPI() (*webrtc.API, error) {
	m := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	err := errors.Join(
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1;cbr=1"}, PayloadType: 111}, webrtc.RTPCodecTypeAudio),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock, RTCPFeedback: feedback}, PayloadType: 96}, webrtc.RTPCodecTypeVideo),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: videoClock, SDPFmtpLine: "apt=96"}, PayloadType: 97}, webrtc.RTPCodecTypeVideo),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: "urn:ietf:params:rtp-hdrext:sdes:mid"}, webrtc.RTPCodecTypeAudio),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: "urn:ietf:params:rtp-hdrext:sdes:mid"}, webrtc.RTPCodecTypeVideo),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: media.DependencyDescriptorURI}, webrtc.RTPCodecTypeVideo),
	)
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	registry := &interceptor.Registry{}
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(512))
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	generator, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	sender, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	registry.Add(responder)
	registry.Add(generator)
	registry.Add(sender)
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM)
	s.SetICETimeouts(lostAfter, 15*time.Second, 500*time.Millisecond)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s)), nil
}

func (p *Peer) addMedia(publish []Publish) error {
	for _, t := range publish {
		codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock}
		if t.Source == interview.SourceAudio {
			codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: 2}
		}
		local, err := webrtc.NewTrackLocalStaticRTP(codec, string(t.Source), "kuule")
		if err != nil {
			return fmt.Errorf("track %s: %w", t.Track, err)
		}
		tr, err := p.pc.AddTransceiverFromTrack(local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return fmt.Errorf("track %s: %w", t.Track, err)
		}
		o := &outgoing{Publish: t, local: local, transceiver: tr, vp8: codecs.VP8Payloader{EnablePictureID: true}}
		p.tracks = append(p.tracks, o)
		p.readers.Go(func() { p.readFeedback(o) })
	}
	for _, kind := range slices.Concat(slices.Repeat([]webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}, AudioSlots), slices.Repeat([]webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}, VideoSlots)) {
		if _, err := p.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return fmt.Errorf("slot: %w", err)
		}
	}
	return nil
}

// Fingerprint is the SHA-256 fingerprint of the connection's certificate, for
// the statement.
func (p *Peer) Fingerprint() string { return p.fingerprint }

// Offer gives what the door wants to hear. Once answered, it is the offer of the
// same connection on another path (an ICE restart).
func (p *Peer) Offer() (wire.Offer, error) {
	p.mu.Lock()
	again := p.answered
	p.mu.Unlock()
	offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: again})
	if err != nil {
		return wire.Offer{}, fmt.Errorf("offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return wire.Offer{}, fmt.Errorf("offer: %w", err)
	}
	select {
	case <-gathered:
	case <-time.After(gatherWithin):
		return wire.Offer{}, errors.New("offer: no candidates were gathered in time")
	}
	out := wire.Offer{SDP: p.pc.LocalDescription().SDP}
	for _, t := range p.tracks {
		out.Tracks = append(out.Tracks, wire.OfferTrack{Track: t.Track, Source: t.Source, Number: t.Number, Mid: t.transceiver.Mid()})
	}
	return out, nil
}

// Answer takes the media node's answer.
func (p *Peer) Answer(sdp string) error {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	p.mu.Lock()
	p.answered = true
	p.mu.Unlock()
	for _, t := range p.tracks {
		for _, e := range t.transceiver.Sender().GetParameters().HeaderExtensions {
			if e.URI == media.DependencyDescriptorURI {
				t.ddID = uint8(e.ID)
			}
		}
	}
	return nil
}

// OnState reports changes of the connection.
func (p *Peer) OnState(f func(webrtc.PeerConnectionState)) {
	p.mu.Lock()
	p.onState = f
	p.mu.Unlock()
	p.pc.OnConnectionStateChange(f)
}

// SetSlots takes the door's word on whose track comes on which mid.
func (p *Peer) SetSlots(slots []wire.Slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots = map[string]wire.Slot{}
	for _, s := range slots {
		p.slots[s.Mid] = s
	}
}

// Close ends the connection and waits for its readers.
func (p *Peer) Close() {
	_ = p.pc.Close()
	p.readers.Wait()
}

// ErrNoTrack says that a peer was asked to send on a track it does not have.
var ErrNoTrack = errors.New("no such track")

// Send sends one whole sealed frame. key marks a video key frame.
func (p *Peer) Send(track interview.TrackID, sealed []byte, rtpTime uint32, key bool) error {
	for _, t := range p.tracks {
		if t.Track == track {
			return t.send(sealed, rtpTime, key)
		}
	}
	return fmt.Errorf("%w: %s", ErrNoTrack, track)
}

func (t *outgoing) send(sealed []byte, rtpTime uint32, key bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	payloads := [][]byte{sealed}
	if t.Source != interview.SourceAudio {
		payloads = t.vp8.Payload(mtu, sealed)
		t.frame++
	}
	for i, payload := range payloads {
		t.sequence++
		p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: t.sequence, Timestamp: rtpTime, Marker: i == len(payloads)-1}, Payload: payload}
		if t.Source != interview.SourceAudio && t.ddID != 0 {
			if err := p.SetExtension(t.ddID, dependencyDescriptor(t.frame, i == 0, i == len(payloads)-1, key)); err != nil {
				return fmt.Errorf("send on %s: %w", t.Track, err)
			}
		}
		if err := t.local.WriteRTP(p); err != nil {
			return fmt.Errorf("send on %s: %w", t.Track, err)
		}
	}
	return nil
}

// dependencyDescriptor encodes a one-layer stream (L1T1) with two templates,
// key and delta (AV1 RTP specification, appendix A.8).
func dependencyDescriptor(frame uint16, first, last, key bool) []byte {
	b := []byte{0x01, byte(frame >> 8), byte(frame)} // template 1: delta, depends on the frame before
	if key {
		b[0] = 0x00
	}
	if first {
		b[0] |= 0x80
	}
	if last {
		b[0] |= 0x40
	}
	if key && first {
		// structure present; offset 0; one decode target; layers {same, end};
		// dtis {switch, switch}; fdiffs {}, {1}; one chain, diffs 0 and 1
		b = append(b, 0x80, 0x00, 0x3A, 0x41, 0x01, 0x00)
	}
	return b
}

func (p *Peer) readFeedback(t *outgoing) {
	for {
		packets, _, err := t.transceiver.Sender().ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				if p.onKey != nil {
					p.onKey(t.Track)
				}
			}
		}
	}
}

// receive puts packets together to frames.
func (p *Peer) receive(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	p.readers.Go(func() {
		for {
			if _, _, err := receiver.ReadRTCP(); err != nil {
				return
			}
		}
	})
	mid := ""
	for _, t := range p.pc.GetTransceivers() {
		if t.Receiver() == receiver {
			mid = t.Mid()
		}
	}
	deliver := func(sealed []byte, rtpTime uint32, lost int) {
		p.mu.Lock()
		slot := p.slots[mid]
		p.mu.Unlock()
		slot.Mid = mid
		p.onFrame(Frame{Slot: slot, Sealed: sealed, RTPTime: rtpTime, Arrival: time.Now(), Lost: lost})
	}
	if remote.Kind() == webrtc.RTPCodecTypeAudio {
		var last uint16
		started := false
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			if len(packet.Payload) == 0 || started && int16(packet.SequenceNumber-last) <= 0 {
				continue
			}
			lost := 0
			if started {
				lost = int(packet.SequenceNumber-last) - 1
			}
			started, last = true, packet.SequenceNumber
			deliver(slices.Clone(packet.Payload), packet.Timestamp, lost)
		}
	}
	builder := samplebuilder.New(reorderWindow, &codecs.VP8Packet{}, videoClock)
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		if len(packet.Payload) == 0 {
			continue
		}
		builder.Push(packet)
		for s := builder.Pop(); s != nil; s = builder.Pop() {
			deliver(s.Data, s.PacketTimestamp, int(s.PrevDroppedPackets))
		}
	}
}
