package sfu_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
	"kuule/sfu"
)

// SRTP is AEAD_AES_256_GCM, or there is no connection. A
// client that offers only less does not connect; the same one with it does.
func TestOnlyOneCipher(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, tc := range []struct {
		profile  dtls.SRTPProtectionProfile
		connects bool
	}{
		{dtls.SRTP_AES128_CM_HMAC_SHA1_80, false},
		{dtls.SRTP_AEAD_AES_128_GCM, false},
		{dtls.SRTP_AEAD_AES_256_GCM, true},
	} {
		patience := 5 * time.Second
		if tc.connects {
			patience = time.Minute
		}
		if got := connects(t, n, tc.profile, patience); got != tc.connects {
			t.Errorf("profile %v: connected is %v", tc.profile, got)
		}
	}
}

func connects(t *testing.T, n *sfu.Node, profile dtls.SRTPProtectionProfile, patience time.Duration) bool {
	t.Helper()
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	s.SetSRTPProtectionProfiles(profile)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool, 10)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			ended <- true
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			ended <- false
		}
	})
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	prints, err := pc.GetConfiguration().Certificates[0].GetFingerprints()
	if err != nil {
		t.Fatal(err)
	}
	req := media.OpenLeg{Room: interview.NewGroupID(), Leg: interview.NewLegID(), Offer: pc.LocalDescription().SDP, Fingerprint: prints[0].Value}
	opened, err := n.OpenLeg(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: opened.Answer}); err != nil {
		t.Fatal(err)
	}
	select {
	case up := <-ended:
		return up
	case <-time.After(patience):
		return false
	}
}

// A flood of offers takes the places there are, each bounded, and gives them
// all back.
func TestAFloodOfLegsIsBounded(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	peer, err := member.NewPeer(nil, func(member.Frame) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(peer.Close)
	p := &person{t: t, node: n, room: interview.NewGroupID(), peer: peer}
	req := p.openLeg()
	var mu sync.Mutex
	var opened []interview.LegID
	var refused int
	var all sync.WaitGroup
	for range sfu.MaxRoomLegs + 20 {
		all.Go(func() {
			r := req
			r.Leg = interview.NewLegID()
			_, err := n.OpenLeg(t.Context(), r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				opened = append(opened, r.Leg)
			case errors.Is(err, problem.New(problem.CodeUnavailable, "")):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(opened) != sfu.MaxRoomLegs || refused != 20 {
		t.Errorf("%d legs were opened, %d refused", len(opened), refused)
	}
	for _, l := range opened {
		n.CloseLeg(media.CloseLeg{Room: req.Room, Leg: l})
	}
	req.Leg = interview.NewLegID()
	if _, err := n.OpenLeg(t.Context(), req); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

// A leg whose peer is gone is given up by the node itself: the door may have
// restarted and not know of it.
func TestALegWhosePeerLeftIsAbandoned(t *testing.T) {
	t.Parallel()
	closed := make(chan media.Event, 100)
	n := newNodeWith(t, func(ev media.Event) {
		if ev.State == media.LegClosed {
			closed <- ev
		}
	})
	p := enter(t, n, interview.NewGroupID(), interview.SourceAudio)
	p.peer.Close() // says goodbye by DTLS
	select {
	case ev := <-closed:
		if ev.Leg != p.leg {
			t.Errorf("closed %s", ev.Leg)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the leg stays for ever")
	}
}
