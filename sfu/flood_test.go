package sfu_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
)

// E12: a publisher that floods is cut to its allowance, and another room does not
// notice.
func TestOthersDoNotNoticeAFlood(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	pair := func() (from, to *person) {
		room := interview.NewGroupID()
		from, to = enter(t, n, room, interview.SourceAudio), enter(t, n, room)
		if err := n.Forward(media.Table{Room: room, Generation: 1, Routes: []media.Route{{From: from.leg, Track: from.publish[0].Track, To: to.leg, Mid: to.mid("audio", 0)}}}); err != nil {
			t.Fatal(err)
		}
		return from, to
	}
	count := func(p *person, done <-chan struct{}, seen map[string]bool) {
		for {
			select {
			case f := <-p.frames:
				if bytes.HasPrefix(f.Sealed, []byte("end")) {
					return
				}
				seen[string(bytes.TrimRight(f.Sealed, " "))] = true
			case <-done:
				return
			}
		}
	}
	flooder, flooded := pair()
	quiet, listener := pair()
	const (
		ticks    = 150 // of 10 ms
		flooding = 50  // frames in each: 5,000 a second
		allowed  = 250 // a second, and a second's worth at once
	)
	done, counted, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	noise, speech := map[string]bool{}, map[string]bool{}
	go func() { count(flooded, done, noise); close(counted) }()
	go func() { count(listener, nil, speech); close(ended) }()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	sent := 0
	for i := range ticks {
		<-tick.C
		for range flooding {
			sent++
			if err := flooder.peer.Send(flooder.publish[0].Track, fmt.Appendf(nil, "noise %06d", sent), uint32(sent)*960, false); err != nil {
				t.Fatal(err)
			}
		}
		if err := quiet.peer.Send(quiet.publish[0].Track, fmt.Appendf(nil, "speech %06d", i), uint32(i)*480, false); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(began).Seconds() + 1
	deadline := time.After(60 * time.Second)
	for over := false; !over; {
		_ = quiet.peer.Send(quiet.publish[0].Track, []byte("end"), ticks*480, false)
		select {
		case <-ended:
			over = true
		case <-tick.C:
		case <-deadline:
			t.Fatal("the other room did not hear the end")
		}
	}
	close(done)
	<-counted
	if most := int(allowed * (took + 1)); len(noise) > most {
		t.Errorf("%d frames of a flood of %d came through, at most %d are allowed", len(noise), sent, most)
	}
	if len(speech) < ticks*9/10 {
		t.Errorf("the other room heard %d of %d", len(speech), ticks)
	}
}
