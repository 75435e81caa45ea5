package sfu_test

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/sfu"
)

// routed makes two people of one room of whom the second hears the first.
func routed(t *testing.T, n *sfu.Node) (a, b *person, mid string) {
	t.Helper()
	room := interview.NewGroupID()
	a, b = enter(t, n, room, interview.SourceAudio), enter(t, n, room)
	mid = b.mid("audio", 0)
	if err := n.Forward(media.Table{Room: room, Generation: 1, Routes: []media.Route{{From: a.leg, Track: a.publish[0].Track, To: b.leg, Mid: mid}}}); err != nil {
		t.Fatal(err)
	}
	return a, b, mid
}

// D6: another path is an ICE restart, which keeps the leg, its keys and its
// numbers: what is being said is not even interrupted.
func TestAnotherPathKeepsTheConnection(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	a, b, mid := routed(t, n)
	stop := make(chan struct{})
	defer close(stop)
	go a.say(0, "sound", stop)
	b.hears(mid, "sound")
	for _, p := range []*person{a, b} {
		req := p.openLeg()
		req.Before, req.Leg = p.leg, interview.NewLegID()
		opened, err := n.OpenLeg(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if opened.Leg != p.leg {
			t.Fatalf("leg %s was opened for a restart of %s", opened.Leg, p.leg)
		}
		if err := p.peer.Answer(opened.Answer); err != nil {
			t.Fatal(err)
		}
		for range 100 { // a second of it
			b.hears(mid, "sound")
		}
	}
}

// A fresh connection of the same member, with the same certificate and tracks,
// takes the place of the leg before.
func TestAFreshConnectionIsAnotherLeg(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	a, b, mid := routed(t, n)
	again, err := a.peer.Anew()
	if err != nil {
		t.Fatal(err)
	}
	a.peer.Close()
	a.peer = again
	t.Cleanup(again.Close)
	req := a.openLeg()
	req.Before, req.Leg = a.leg, interview.NewLegID()
	opened, err := n.OpenLeg(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if opened.Leg != req.Leg {
		t.Fatalf("a fresh connection was taken for leg %s", opened.Leg)
	}
	if err := again.Answer(opened.Answer); err != nil {
		t.Fatal(err)
	}
	if err := n.Forward(media.Table{Room: a.room, Generation: 2, Routes: []media.Route{{From: req.Leg, Track: a.publish[0].Track, To: b.leg, Mid: mid}}}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go a.say(0, "sound", stop)
	b.hears(mid, "sound")
}

// D6: silence of a path is noticed, and so is its return.
func TestALostPathIsNoticed(t *testing.T) {
	t.Parallel()
	events := make(chan media.Event, 100)
	n := newNodeWith(t, func(ev media.Event) { events <- ev })
	link := newLink(t, n.Addresses()[0].String())
	room := interview.NewGroupID()
	p := enterBy(t, n, room, func(sdp string) string { return link.reroute(sdp) })
	expect := func(want media.LegState) {
		t.Helper()
		for deadline := time.After(60 * time.Second); ; {
			select {
			case ev := <-events:
				if ev.Leg == p.leg && ev.State == want {
					return
				}
			case <-deadline:
				t.Fatalf("the leg was never %s", want)
			}
		}
	}
	expect(media.LegConnected)
	link.cut(true)
	expect(media.LegDisconnected)
	link.cut(false)
	expect(media.LegConnected)
}

// Media goes over IPv6, and over TCP where UDP is cut.
func TestEveryFamilyAndProtocol(t *testing.T) {
	t.Parallel()
	for name, only := range map[string]func(line string) bool{
		"udp6": func(l string) bool { return strings.Contains(l, " udp ") && strings.Contains(l, " ::1 ") },
		"tcp4": func(l string) bool { return strings.Contains(l, " tcp ") && strings.Contains(l, " 127.0.0.1 ") },
		"tcp6": func(l string) bool { return strings.Contains(l, " tcp ") && strings.Contains(l, " ::1 ") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := sfu.New(sfu.Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:0")}})
			if err != nil {
				t.Skipf("this machine has no IPv6: %v", err)
			}
			t.Cleanup(n.Close)
			filter := func(sdp string) string {
				var out []string
				for _, l := range strings.SplitAfter(sdp, "\n") {
					if !strings.HasPrefix(l, "a=candidate:") || only(l) {
						out = append(out, l)
					}
				}
				return strings.Join(out, "")
			}
			room := interview.NewGroupID()
			a := enterBy(t, n, room, filter, interview.SourceAudio, interview.SourceVideo)
			b := enterBy(t, n, room, filter)
			if err := n.Forward(media.Table{Room: room, Generation: 1, Routes: []media.Route{
				{From: a.leg, Track: a.publish[0].Track, To: b.leg, Mid: b.mid("audio", 0)},
				{From: a.leg, Track: a.publish[1].Track, To: b.leg, Mid: b.mid("video", 0)},
			}}); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			defer close(stop)
			go a.say(0, "sound", stop)
			go a.say(1, "picture", stop)
			b.hears(b.mid("audio", 0), "sound")
			b.hears(b.mid("video", 0), "picture")
		})
	}
}

// link is a network between one peer and a node that can be cut.
type link struct {
	t    *testing.T
	near *net.UDPConn
	far  *net.UDPConn
	off  chan bool
	peer chan netip.AddrPort
}

func newLink(t *testing.T, node string) *link {
	t.Helper()
	near, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", node)
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{t: t, near: near, far: far, off: make(chan bool, 1), peer: make(chan netip.AddrPort, 1)}
	l.off <- false
	done := make(chan struct{}, 2)
	go func() { defer func() { done <- struct{}{} }(); l.carryOut() }()
	go func() { defer func() { done <- struct{}{} }(); l.carryIn() }()
	t.Cleanup(func() {
		_, _ = near.Close(), far.Close()
		<-done
		<-done
	})
	return l
}

// cut takes the network away, or gives it back.
func (l *link) cut(off bool) {
	<-l.off
	l.off <- off
}

func (l *link) isCut() bool {
	off := <-l.off
	l.off <- off
	return off
}

func (l *link) carryOut() {
	b := make([]byte, 2000)
	for {
		n, from, err := l.near.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		select {
		case <-l.peer:
		default:
		}
		l.peer <- from
		if !l.isCut() {
			_, _ = l.far.Write(b[:n])
		}
	}
}

func (l *link) carryIn() {
	b := make([]byte, 2000)
	for {
		n, err := l.far.Read(b)
		if err != nil {
			return
		}
		select {
		case to := <-l.peer:
			l.peer <- to
			if !l.isCut() {
				_, _ = l.near.WriteToUDPAddrPort(b[:n], to)
			}
		default:
		}
	}
}

// reroute makes an answer name this network instead of the node.
func (l *link) reroute(sdp string) string {
	var out []string
	port := l.near.LocalAddr().(*net.UDPAddr).Port
	for _, line := range strings.SplitAfter(sdp, "\n") {
		switch {
		case !strings.HasPrefix(line, "a=candidate:"):
			out = append(out, line)
		case strings.Contains(line, " udp "):
			fields := strings.Fields(line)
			fields[5] = strconv.Itoa(port)
			out = append(out, strings.Join(fields, " ")+"\r\n")
		}
	}
	return strings.Join(out, "")
}
