package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu"
)

func TestTrialsMeasure(t *testing.T) {
	j := &joinCommand{Trials: 2}
	r, err := j.measure(t.Context())
	if err != nil || r.Trials != 2 || r.Media.P50 <= 0 || r.Join.P50 <= 0 {
		t.Errorf("joins: %+v: %v", r, err)
	}
	for _, how := range []string{"restart", "roam", "same"} {
		c := &reconnectCommand{Trials: 1, Rooms: 1, How: how}
		r, err := c.measure(t.Context())
		if err != nil || r.Trials != 1 || r.Failed != 0 || r.Media.P50 <= 0 {
			t.Errorf("%s: %+v: %v", how, r, err)
		}
	}
}

// Who has two paths loses nothing by the change from one to the other.
func TestTwoPathsLoseNothing(t *testing.T) {
	c := &reconnectCommand{Trials: 2, Rooms: 1, How: "both"}
	r, err := c.measure(t.Context())
	if err != nil || r.Trials != 2 || r.Failed != 0 || r.Change == nil {
		t.Fatalf("%+v: %v", r, err)
	}
	for name, d := range map[string]direction{"from it": r.Change.FromMover, "to it": r.Change.ToMover} {
		if d.Lost != 0 || d.Of < 100 || d.Worst <= 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// A client of another code base needs no more than an offer and its answer.
func TestAnOpenNodeTakesOffers(t *testing.T) {
	n := &openNode{rooms: map[interview.GroupID][]*openMember{}}
	node, err := sfu.New(sfu.Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, OnEvent: n.event})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	n.node = node
	server := httptest.NewServer(n.handler())
	t.Cleanup(server.Close)
	var counting atomic.Bool
	counting.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	enter := func() (*client, string) {
		c := newClient(interview.NewGroupID(), &counting)
		t.Cleanup(c.close)
		req, err := c.offer(1)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.Post(server.URL+"/rooms/any%20name/legs", "application/sdp", strings.NewReader(req.Offer))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		answer, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s %v", r.Status, answer, err)
		}
		at, err := c.answered(string(answer), []media.Slot{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.connect(ctx, at); err != nil {
			t.Fatal(err)
		}
		return c, r.Header.Get("Location")
	}
	speaker, leg := enter()
	listener, _ := enter()
	came := listener.nextMedia()
	for heard := false; !heard; {
		speaker.send(0, 1, soundBytes, 960, false)
		select {
		case <-came:
			heard = true
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("nothing was heard")
		}
	}
	del, err := http.NewRequestWithContext(ctx, http.MethodDelete, server.URL+leg, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(del)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.StatusCode != http.StatusNoContent || len(n.rooms) != 1 {
		t.Errorf("%s, %d rooms", r.Status, len(n.rooms))
	}
}
