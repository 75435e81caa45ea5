package sfu_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
)

var rids = []string{"f", "h", "q"}

// weight is how large a layer's frames are.
var weight = map[string]int{"f": 4000, "h": 1500, "q": 500}

// show sends a picture in layers until stop is closed; each frame tells its layer.
func (p *person) show(track interview.TrackID, layers func() []string, stop <-chan struct{}) {
	key := true
	for n := uint32(1); ; n++ {
		select {
		case <-stop:
			return
		case <-p.keys:
			key = true
		case <-time.After(10 * time.Millisecond):
		}
		for _, rid := range layers() {
			f := member.Outgoing{Rid: rid, Sealed: fmt.Appendf(nil, "layer %s %06d %s", rid, n, bytes.Repeat([]byte{0xAA}, weight[rid])), RTPTime: n * 900, Key: key}
			if p.peer.SendFrame(track, f) != nil {
				return
			}
		}
		key = false
	}
}

func all() []string { return rids }

// A publisher's layers come as one stream each; a receiver is sent the one that
// its tile needs, and the change between them loses no frame.
func TestALayerIsChosenByTheTile(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	room := interview.NewGroupID()
	track := interview.NewTrackID()
	a := enterOver(t, n, room, as, as, []member.Publish{{Track: track, Source: interview.SourceVideo, Rids: rids}})
	b := enterOver(t, n, room, as, as, nil)
	recorder := enterOver(t, n, room, as, as, nil)
	stop := make(chan struct{})
	defer close(stop)
	go a.show(track, all, stop)
	route := func(to *person, height int) media.Route {
		return media.Route{From: a.leg, Track: track, To: to.leg, Mid: to.mid("video", 0), Height: height}
	}
	for i, step := range []struct {
		height int
		want   string
	}{{0, "layer f"}, {120, "layer q"}, {0, "layer f"}} {
		table := media.Table{Room: room, Generation: int64(i + 1), Routes: []media.Route{route(b, step.height), route(recorder, 0)}}
		if err := n.Forward(table); err != nil {
			t.Fatal(err)
		}
		b.hears(b.mid("video", 0), step.want)
		recorder.hears(recorder.mid("video", 0), "layer f") // every publisher's highest layer
	}
	for len(b.frames) > 0 {
		if f := <-b.frames; f.Lost > 0 {
			t.Errorf("%d packets are missing before %.12q", f.Lost, f.Sealed)
		}
	}
}

// A layer that its sender stops, as browsers do for want of bandwidth, is
// followed by the one below.
func TestALayerThatStopsIsFollowedByTheOneBelow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	room := interview.NewGroupID()
	track := interview.NewTrackID()
	a := enterOver(t, n, room, as, as, []member.Publish{{Track: track, Source: interview.SourceVideo, Rids: rids}})
	b := enterOver(t, n, room, as, as, nil)
	mid := b.mid("video", 0)
	if err := n.Forward(media.Table{Room: room, Generation: 1, Routes: []media.Route{{From: a.leg, Track: track, To: b.leg, Mid: mid}}}); err != nil {
		t.Fatal(err)
	}
	send := func(layers []string) (end func()) {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			a.show(track, func() []string { return layers }, stop)
		}()
		return func() { close(stop); <-done }
	}
	end := send(rids)
	b.hears(mid, "layer f")
	end()
	end = send(rids[1:])
	b.hears(mid, "layer h")
	end()
	end = send(rids)
	b.hears(mid, "layer f")
	end()
}
