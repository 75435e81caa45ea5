package sfu_test

import (
	"bytes"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
)

// H6: one who wants a key frame now and then has the sender asked through the
// node, again and again, though nothing is lost.
func TestKeyFramesAreAskedForNowAndThen(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	room := interview.NewGroupID()
	a, b := enter(t, n, room, interview.SourceVideo), enter(t, n, room)
	b.peer.KeyEvery(400 * time.Millisecond)
	route := media.Route{From: a.leg, Track: a.publish[0].Track, To: b.leg, Mid: b.mid("video", 0)}
	if err := n.Forward(media.Table{Room: room, Generation: 1, Routes: []media.Route{route}}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	key, asked := true, 0
	for i := uint32(0); asked < 5; i++ {
		if err := a.peer.Send(a.publish[0].Track, bytes.Repeat([]byte{0xAA}, 500), i*1800, key); err != nil {
			t.Fatal(err)
		}
		key = false
		select {
		case <-a.keys:
			key = true
			asked++
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the sender was asked %d times in a minute, want one in every 0.4 s", asked)
		}
	}
}
