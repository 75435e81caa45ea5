package sfu_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
	"kuule/sfu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNode(t *testing.T) *sfu.Node {
	t.Helper()
	return newNodeWith(t, nil)
}

func newNodeWith(t *testing.T, onEvent func(media.Event)) *sfu.Node {
	t.Helper()
	n, err := sfu.New(sfu.Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, OnEvent: onEvent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// person is a member with a media connection and nothing around it.
type person struct {
	t       *testing.T
	node    *sfu.Node
	room    interview.GroupID
	leg     interview.LegID
	peer    *member.Peer
	publish []member.Publish
	slots   []media.Slot
	frames  chan member.Frame
	keys    chan interview.TrackID
}

func enter(t *testing.T, n *sfu.Node, room interview.GroupID, sources ...interview.Source) *person {
	t.Helper()
	return enterBy(t, n, room, as, sources...)
}

// enterBy lets somebody change the answer on its way.
func enterBy(t *testing.T, n *sfu.Node, room interview.GroupID, way func(string) string, sources ...interview.Source) *person {
	t.Helper()
	var publish []member.Publish
	for i, s := range sources {
		publish = append(publish, member.Publish{Track: interview.NewTrackID(), Source: s, Number: i})
	}
	return enterOver(t, n, room, as, way, publish)
}

// as leaves a description as it is.
func as(sdp string) string { return sdp }

// enterOver enters with an offer and an answer that were changed on their way.
func enterOver(t *testing.T, n *sfu.Node, room interview.GroupID, offer, answer func(sdp string) string, publish []member.Publish) *person {
	t.Helper()
	p := &person{t: t, node: n, room: room, leg: interview.NewLegID(), publish: publish, frames: make(chan member.Frame, 10_000), keys: make(chan interview.TrackID, 100)}
	peer, err := member.NewPeer(p.publish, func(f member.Frame) { p.frames <- f }, func(id interview.TrackID) {
		select {
		case p.keys <- id:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p.peer = peer
	t.Cleanup(peer.Close)
	connected := make(chan struct{}, 1)
	peer.OnState(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			connected <- struct{}{}
		}
	})
	req := p.openLeg()
	req.Offer = offer(req.Offer)
	opened, err := n.OpenLeg(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	p.slots = opened.Slots
	if err := peer.Answer(answer(opened.Answer)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-connected:
	case <-time.After(60 * time.Second):
		t.Fatal("the leg did not connect")
	}
	return p
}

func (p *person) openLeg() media.OpenLeg {
	offer, err := p.peer.Offer()
	if err != nil {
		p.t.Fatal(err)
	}
	req := media.OpenLeg{Room: p.room, Leg: p.leg, Offer: offer.SDP, Fingerprint: p.peer.Fingerprint()}
	for _, o := range offer.Tracks {
		req.Tracks = append(req.Tracks, media.Publish{Mid: o.Mid, Track: o.Track, Source: o.Source})
	}
	return req
}

// mid gives the i-th slot of a kind.
func (p *person) mid(kind string, i int) string {
	for _, s := range p.slots {
		if s.Kind == kind {
			if i == 0 {
				return s.Mid
			}
			i--
		}
	}
	p.t.Fatalf("no such slot: %s", kind)
	return ""
}

// say sends frames of a track until stop is closed; the text tells who speaks.
func (p *person) say(i int, text string, stop <-chan struct{}) {
	for n := uint32(0); ; n++ {
		key := false
		select {
		case <-stop:
			return
		case <-p.keys:
			key = true
		case <-time.After(10 * time.Millisecond):
		}
		if err := p.peer.Send(p.publish[i].Track, fmt.Appendf(nil, "%s %06d %s", text, n, bytes.Repeat([]byte{0xAA}, 1500*i)), n*960, key || n == 0); err != nil {
			return
		}
	}
}

// hears waits for a frame that begins with text on the mid.
func (p *person) hears(mid, text string) {
	p.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case f := <-p.frames:
			if f.Slot.Mid == mid && bytes.HasPrefix(f.Sealed, []byte(text)) {
				return
			}
		case <-deadline:
			p.t.Fatalf("nothing of %q came on %s", text, mid)
		}
	}
}

// G2, promise 1: whole frames arrive as they were sealed, only where the table says.
func TestFramesGoOnlyWhereTheTableSends(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	room := interview.NewGroupID()
	a := enter(t, n, room, interview.SourceAudio, interview.SourceVideo)
	b := enter(t, n, room)
	c := enter(t, n, room)
	outside := enter(t, n, interview.NewGroupID())
	stop := make(chan struct{})
	defer close(stop)
	go a.say(0, "sound", stop)
	go a.say(1, "picture", stop)
	route := func(i int, to *person, mid string) media.Route {
		return media.Route{From: a.leg, Track: a.publish[i].Track, To: to.leg, Mid: mid}
	}
	table := media.Table{Room: room, Generation: 1, Routes: []media.Route{
		route(0, b, b.mid("audio", 0)), route(1, b, b.mid("video", 0)), route(0, c, c.mid("audio", 3)),
		route(0, outside, outside.mid("audio", 0)), // E12: another room's leg is no target
	}}
	if err := n.Forward(table); err != nil {
		t.Fatal(err)
	}
	b.hears(b.mid("audio", 0), "sound")
	b.hears(b.mid("video", 0), "picture")
	c.hears(c.mid("audio", 3), "sound")

	// Promise 4: who is taken out of the table gets nothing more.
	table.Generation, table.Routes = 2, table.Routes[:2]
	if err := n.Forward(table); err != nil {
		t.Fatal(err)
	}
	drain(c.frames)
	for range 50 {
		b.hears(b.mid("audio", 0), "sound")
	}
	if len(c.frames) > 0 {
		t.Error("a leg outside the table was sent to")
	}
	if len(outside.frames) > 0 {
		t.Error("a leg of another room was sent to")
	}
}

func drain(ch chan member.Frame) {
	for quiet := false; !quiet; {
		select {
		case <-ch:
		case <-time.After(200 * time.Millisecond):
			quiet = true
		}
	}
}

// A slot changes its source only on a key frame, and the stream stays one.
func TestASlotChangesSourceOnAKeyFrame(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	room := interview.NewGroupID()
	a := enter(t, n, room, interview.SourceAudio, interview.SourceVideo)
	b := enter(t, n, room, interview.SourceAudio, interview.SourceVideo)
	c := enter(t, n, room)
	stop := make(chan struct{})
	defer close(stop)
	go a.say(1, "first", stop)
	go b.say(1, "second", stop)
	mid := c.mid("video", 0)
	for i, from := range []*person{a, b, a} {
		if err := n.Forward(media.Table{Room: room, Generation: int64(i + 1), Routes: []media.Route{{From: from.leg, Track: from.publish[1].Track, To: c.leg, Mid: mid}}}); err != nil {
			t.Fatal(err)
		}
		c.hears(mid, []string{"first", "second", "first"}[i])
	}
}

// An old command opens nothing again.
func TestATableMustBeNewer(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	room := interview.NewGroupID()
	a := enter(t, n, room, interview.SourceAudio)
	_ = a
	if err := n.Forward(media.Table{Room: room, Generation: 5}); err != nil {
		t.Fatal(err)
	}
	for _, g := range []int64{4, 5} {
		if err := n.Forward(media.Table{Room: room, Generation: g}); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
			t.Errorf("generation %d: %v", g, err)
		}
	}
}

func TestOffersThatAreRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	good := func() media.OpenLeg {
		p := &person{t: t, node: n, room: interview.NewGroupID(), leg: interview.NewLegID()}
		p.publish = []member.Publish{{Track: interview.NewTrackID(), Source: interview.SourceAudio}}
		peer, err := member.NewPeer(p.publish, func(member.Frame) {}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(peer.Close)
		p.peer = peer
		return p.openLeg()
	}()
	for name, tc := range map[string]struct {
		spoil func(*media.OpenLeg)
		says  string // why
	}{
		"another fingerprint": {func(r *media.OpenLeg) { r.Fingerprint = "00" + r.Fingerprint[2:] }, "its fingerprint is not the statement's"},
		"no room":             {func(r *media.OpenLeg) { r.Room = interview.GroupID{} }, "without room"},
		"track without mid":   {func(r *media.OpenLeg) { r.Tracks[0].Mid = "nowhere" }, "must be sendonly with a track"},
		"undeclared track":    {func(r *media.OpenLeg) { r.Tracks = nil }, "must be sendonly with a track"},
		"sound as picture":    {func(r *media.OpenLeg) { r.Tracks[0].Source = interview.SourceVideo }, "carries audio, not video"},
		"not SDP":             {func(r *media.OpenLeg) { r.Offer = "hello" }, "offer: "},
		"too long":            {func(r *media.OpenLeg) { r.Offer = string(make([]byte, sfu.MaxOfferBytes+1)) }, "at most"},
	} {
		req := good
		req.Tracks = append([]media.Publish(nil), good.Tracks...)
		tc.spoil(&req)
		var p *problem.Error
		if _, err := n.OpenLeg(t.Context(), req); !errors.As(err, &p) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want a coded refusal that says %q", name, err, tc.says)
		}
	}
}
