package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu/offer"
)

// relay is the yardstick: one PeerConnection for each member, no interceptors,
// and packets handed from one to the other as they are. It repairs nothing,
// reports nothing and knows no layers.
type relay struct {
	api  *webrtc.API
	mux  ice.UDPMux
	conn net.PacketConn

	mu    sync.Mutex
	legs  map[interview.LegID]*relayLeg
	tasks sync.WaitGroup
}

type relayLeg struct {
	pc     *webrtc.PeerConnection
	tracks map[interview.TrackID]*relayTrack
	slots  map[string]*webrtc.TrackLocalStaticRTP
}

type relayTrack struct {
	mid string
	to  atomic.Pointer[[]*webrtc.TrackLocalStaticRTP]
}

func newRelay(at netip.AddrPort) (*relay, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	m := &webrtc.MediaEngine{}
	err = errors.Join(
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111}, webrtc.RTPCodecTypeAudio),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, PayloadType: 96}, webrtc.RTPCodecTypeVideo),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: offer.MidURI}, webrtc.RTPCodecTypeAudio),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: offer.MidURI}, webrtc.RTPCodecTypeVideo),
		m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: media.DependencyDescriptorURI}, webrtc.RTPCodecTypeVideo),
	)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &relay{mux: ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn}), conn: conn, legs: map[interview.LegID]*relayLeg{}}
	s := webrtc.SettingEngine{}
	s.SetLite(true)
	s.SetICEUDPMux(r.mux)
	s.SetIncludeLoopbackCandidate(true)
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM)
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	r.api = webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{}), webrtc.WithSettingEngine(s))
	return r, nil
}

// OpenLeg implements forwarder.
func (r *relay) OpenLeg(_ context.Context, req media.OpenLeg) (media.LegOpened, error) {
	var none media.LegOpened
	pc, err := r.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return none, err
	}
	l := &relayLeg{pc: pc, tracks: map[interview.TrackID]*relayTrack{}, slots: map[string]*webrtc.TrackLocalStaticRTP{}}
	for _, t := range req.Tracks {
		l.tracks[t.Track] = &relayTrack{mid: t.Mid}
	}
	opened := media.LegOpened{Leg: req.Leg}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(req.Offer); err != nil {
		return none, err
	}
	for _, m := range d.MediaDescriptions {
		if _, receives := m.Attribute("recvonly"); !receives {
			continue
		}
		mid, _ := m.Attribute("mid")
		codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
		if m.MediaName.Media == "audio" {
			codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
		}
		local, err := webrtc.NewTrackLocalStaticRTP(codec, "slot-"+mid, "relay")
		if err != nil {
			return none, err
		}
		tr, err := pc.AddTransceiverFromTrack(local, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return none, err
		}
		r.tasks.Go(func() { drain(tr.Sender().Read) })
		l.slots[mid] = local
		opened.Slots = append(opened.Slots, media.Slot{Mid: mid, Kind: m.MediaName.Media})
	}
	pc.OnTrack(func(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) { r.onTrack(l, remote, receiver) })
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: req.Offer}); err != nil {
		return none, err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return none, err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return none, err
	}
	<-gathered
	opened.Answer = pc.LocalDescription().SDP
	r.mu.Lock()
	r.legs[req.Leg] = l
	r.mu.Unlock()
	return opened, nil
}

// drain reads reports that nobody wants.
func drain(read func([]byte) (int, interceptor.Attributes, error)) {
	b := make([]byte, 1500)
	for {
		if _, _, err := read(b); err != nil {
			return
		}
	}
}

func (r *relay) onTrack(l *relayLeg, remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	for _, tr := range l.pc.GetTransceivers() {
		if tr.Receiver() != receiver {
			continue
		}
		for _, t := range l.tracks {
			if t.mid == tr.Mid() {
				r.tasks.Go(func() { drain(receiver.Read) })
				r.tasks.Go(func() { t.run(remote) })
			}
		}
	}
}

func (t *relayTrack) run(remote *webrtc.TrackRemote) {
	b := make([]byte, 1500)
	var p rtp.Packet
	for {
		n, _, err := remote.Read(b)
		if err != nil {
			return
		}
		if p.Unmarshal(b[:n]) != nil {
			continue
		}
		if to := t.to.Load(); to != nil {
			for _, local := range *to {
				_ = local.WriteRTP(&p)
			}
		}
	}
}

// Forward implements forwarder.
func (r *relay) Forward(t media.Table) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fanout := map[*relayTrack][]*webrtc.TrackLocalStaticRTP{}
	for _, route := range t.Routes {
		from, to := r.legs[route.From], r.legs[route.To]
		if from == nil || to == nil || from.tracks[route.Track] == nil || to.slots[route.Mid] == nil {
			return fmt.Errorf("route %v cannot be served", route)
		}
		track := from.tracks[route.Track]
		fanout[track] = append(fanout[track], to.slots[route.Mid])
	}
	for track, slots := range fanout {
		track.to.Store(&slots)
	}
	return nil
}

// Close implements forwarder.
func (r *relay) Close() {
	for _, l := range r.legs {
		_ = l.pc.Close()
	}
	r.tasks.Wait()
	_ = r.mux.Close()
	_ = r.conn.Close()
}
