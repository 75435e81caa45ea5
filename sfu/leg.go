package sfu

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
)

// leg is one member's media connection: the tracks it sends and the slots on
// which it can be sent to.
type leg struct {
	room   interview.GroupID
	id     interview.LegID
	pc     *webrtc.PeerConnection
	tracks []*track
	slots  []*slot

	connected atomic.Bool
	patience  *time.Timer // until it has to be connected

	mu     sync.Mutex
	closed bool
	done   sync.WaitGroup // of readers, which start until closed
}

// read starts a reader unless the leg is closed.
func (l *leg) read(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.done.Go(f)
	}
}

// newLeg answers the offer. The offerer's recvonly media lines become slots, in
// their order, so that nothing is renegotiated when people come and go.
func (n *Node) newLeg(ctx context.Context, req media.OpenLeg) (*leg, media.LegOpened, error) {
	lines, err := readOffer(req)
	if err != nil {
		return nil, media.LegOpened{}, err
	}
	pc, err := n.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, media.LegOpened{}, fmt.Errorf("leg %s: %w", req.Leg, err)
	}
	l := &leg{room: req.Room, id: req.Leg, pc: pc}
	fail := func(err error) (*leg, media.LegOpened, error) {
		_ = pc.Close()
		return nil, media.LegOpened{}, problem.New(problem.CodeMediaRefused, "leg %s: %w", req.Leg, err)
	}
	for _, line := range lines {
		if line.sends {
			continue
		}
		s, err := newSlot(pc, line.mid, line.kind)
		if err != nil {
			return fail(err)
		}
		l.slots = append(l.slots, s)
	}
	for _, p := range req.Tracks {
		kind := webrtc.RTPCodecTypeVideo
		if p.Source == interview.SourceAudio {
			kind = webrtc.RTPCodecTypeAudio
		}
		l.tracks = append(l.tracks, &track{id: p.Track, mid: p.Mid, kind: kind, pc: pc})
	}
	pc.OnTrack(func(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) { l.onTrack(pc, remote, receiver) })
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		ev := media.Event{Room: l.room, Leg: l.id}
		switch state {
		case webrtc.PeerConnectionStateConnected:
			ev.State = media.LegConnected
			l.connected.Store(true)
			for _, s := range l.slots {
				s.requestKey()
			}
		case webrtc.PeerConnectionStateDisconnected:
			ev.State = media.LegDisconnected
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			ev.State = media.LegClosed
			l.connected.Store(false)
			n.leave(l)
		default:
			return
		}
		n.onEvent(ev)
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: req.Offer}); err != nil {
		return fail(err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return fail(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return fail(err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return fail(ctx.Err())
	}
	opened := media.LegOpened{Answer: pc.LocalDescription().SDP}
	for _, s := range l.slots {
		if s.transceiver.Mid() != s.mid {
			return fail(fmt.Errorf("slot %s was answered as %q", s.mid, s.transceiver.Mid()))
		}
		l.read(s.readFeedback)
		opened.Slots = append(opened.Slots, media.Slot{Mid: s.mid, Kind: s.kind.String()})
	}
	return l, opened, nil
}

// offerLine is what the node takes from one media line of an offer.
type offerLine struct {
	mid   string
	kind  webrtc.RTPCodecType
	sends bool
}

// readOffer checks an offer's bounds, its fingerprint and its media lines.
func readOffer(req media.OpenLeg) ([]offerLine, error) {
	refuse := func(format string, args ...any) ([]offerLine, error) {
		return nil, problem.New(problem.CodeMediaRefused, "offer: "+format, args...)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(req.Offer); err != nil {
		return refuse("%w", err)
	}
	if len(d.MediaDescriptions) > MaxSlots+MaxTracks {
		return refuse("%d media lines", len(d.MediaDescriptions))
	}
	wanted := map[string]media.Publish{}
	for _, t := range req.Tracks {
		if _, twice := wanted[t.Mid]; twice || t.Mid == "" || t.Track.IsZero() {
			return refuse("track %s has no mid of its own", t.Track)
		}
		wanted[t.Mid] = t
	}
	session, _ := d.Attribute("fingerprint")
	var lines []offerLine
	slots := 0
	seen := map[string]bool{}
	for _, m := range d.MediaDescriptions {
		mid, _ := m.Attribute("mid")
		if mid == "" || seen[mid] {
			return refuse("media line without a mid of its own")
		}
		seen[mid] = true
		print, ok := m.Attribute("fingerprint")
		if !ok {
			print = session
		}
		if !strings.EqualFold(print, "sha-256 "+req.Fingerprint) {
			return refuse("fingerprint of mid %s is not the statement's", mid)
		}
		line := offerLine{mid: mid, kind: webrtc.NewRTPCodecType(m.MediaName.Media)}
		if line.kind == 0 {
			return refuse("media %q", m.MediaName.Media)
		}
		_, line.sends = m.Attribute("sendonly")
		_, receives := m.Attribute("recvonly")
		p, published := wanted[mid]
		switch {
		case line.sends && !published, line.sends == receives, receives && published:
			return refuse("mid %s must be sendonly with a track or recvonly without", mid)
		case line.sends && (p.Source == interview.SourceAudio) != (line.kind == webrtc.RTPCodecTypeAudio):
			return refuse("mid %s carries %s, not %s", mid, line.kind, p.Source)
		case receives:
			slots++
		}
		delete(wanted, mid)
		lines = append(lines, line)
	}
	if len(wanted) > 0 || slots > MaxSlots {
		return refuse("%d tracks have no media line, %d slots", len(wanted), slots)
	}
	return lines, nil
}

func (l *leg) track(id interview.TrackID) *track {
	for _, t := range l.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (l *leg) slot(mid string) *slot {
	for _, s := range l.slots {
		if s.mid == mid {
			return s
		}
	}
	return nil
}

func (l *leg) onTrack(pc *webrtc.PeerConnection, remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	mid := ""
	for _, t := range pc.GetTransceivers() {
		if t.Receiver() == receiver {
			mid = t.Mid()
		}
	}
	for _, t := range l.tracks {
		if t.mid == mid && t.kind == remote.Kind() {
			l.read(func() { t.readFeedback(receiver) })
			l.read(func() { t.run(remote, receiver) })
			return
		}
	}
}

// close ends the connection and waits for the leg's readers.
func (l *leg) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if l.patience != nil {
		l.patience.Stop()
	}
	for _, t := range l.tracks {
		t.setSubscribers(nil)
	}
	for _, s := range l.slots {
		s.assign(nil)
	}
	_ = l.pc.Close()
	l.done.Wait()
}

// sendRTCP writes feedback; a closed connection is no error of the sender's.
func sendRTCP(pc *webrtc.PeerConnection, p rtcp.Packet) { _ = pc.WriteRTCP([]rtcp.Packet{p}) }
