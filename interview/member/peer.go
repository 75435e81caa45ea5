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
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/opusred"
	"kuule/interview/wire"
)

// Slots that a member offers to receive on.
const (
	AudioSlots = 8
	VideoSlots = 8
)

const (
	mtu          = 1150
	audioClock   = 48000
	videoClock   = 90000
	gatherWithin = 5 * time.Second
	lostAfter    = 1500 * time.Millisecond

	mimeRED        = "audio/red"
	midURI         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	ridURI         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	repairedRidURI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
)

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

	keyEvery        atomic.Int64  // nanoseconds; 0: as the senders like
	trip            atomic.Int64  // nanoseconds; 0: not measured yet
	sentLoss        atomic.Uint32 // in 1/256
	sound, pictures received
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
	n.keyEvery.Store(p.keyEvery.Load())
	if p.onState != nil {
		n.OnState(p.onState)
	}
	return n, nil
}

// KeyEvery has a key frame asked for of every picture that brought none for so
// long, at most once in that time; 0, as at first, leaves it to the senders. One
// who records wants to begin anywhere.
func (p *Peer) KeyEvery(d time.Duration) { p.keyEvery.Store(int64(d)) }

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
	sound, picture := []webrtc.RTCPFeedback{{Type: "nack"}}, []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for _, c := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: audioClock, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1;cbr=1", RTCPFeedback: sound}, PayloadType: opusred.PayloadType},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mimeRED, ClockRate: audioClock, Channels: 2, SDPFmtpLine: "111/111"}, PayloadType: 63},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock, RTCPFeedback: picture}, PayloadType: 96},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: videoClock, SDPFmtpLine: "apt=96"}, PayloadType: 97},
	} {
		kind := webrtc.RTPCodecTypeVideo
		if c.ClockRate == audioClock {
			kind = webrtc.RTPCodecTypeAudio
		}
		if err := m.RegisterCodec(c, kind); err != nil {
			return nil, fmt.Errorf("media connection: %s: %w", c.MimeType, err)
		}
	}
	for uri, kinds := range map[string][]webrtc.RTPCodecType{
		midURI:                        {webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo},
		ridURI:                        {webrtc.RTPCodecTypeVideo},
		repairedRidURI:                {webrtc.RTPCodecTypeVideo},
		media.DependencyDescriptorURI: {webrtc.RTPCodecTypeVideo},
	} {
		for _, kind := range kinds {
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, fmt.Errorf("media connection: %s: %w", uri, err)
			}
		}
	}
	// Loss is noticed and asked for by the peer itself; of the library's parts only
	// those that answer questions and write reports are needed.
	registry := &interceptor.Registry{}
	responder, err := nack.NewResponderInterceptor(nack.ResponderSize(512))
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	sender, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	receiver, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	// The node learns from it what this peer's link carries.
	if err := webrtc.ConfigureTWCCSender(m, registry); err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	registry.Add(responder)
	registry.Add(sender)
	registry.Add(receiver)
	machine, err := newNetwork()
	if err != nil {
		return nil, fmt.Errorf("media connection: %w", err)
	}
	s := webrtc.SettingEngine{}
	s.SetNet(machine)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM)
	s.SetICETimeouts(lostAfter, 15*time.Second, 500*time.Millisecond)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s)), nil
}

func (p *Peer) addMedia(publish []Publish) error {
	for _, t := range publish {
		o := newOutgoing(t)
		if err := o.attach(p.pc); err != nil {
			return err
		}
		p.tracks = append(p.tracks, o)
		for _, e := range o.encodings {
			p.readers.Go(func() { p.readFeedback(o, e) })
		}
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
	for _, t := range p.tracks {
		t.named()
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	p.mu.Lock()
	p.answered = true
	p.mu.Unlock()
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
