package sfu_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
	"kuule/interview/opusred"
	"kuule/sfu"
	"kuule/sfu/sfutest"
)

// lossy are two members, each behind a link that loses packets in both
// directions, one of whom sends sound and pictures to the other.
type lossy struct {
	t      *testing.T
	from   *person
	to     *person
	sound  interview.TrackID
	screen interview.TrackID
}

// badLink is what the issue of repair is measured on.
var badLink = sfutest.Shape{Loss: 0.05, Delay: 20 * time.Millisecond}

func newLossy(t *testing.T, n *sfu.Node, offer func(sdp string) string) *lossy {
	t.Helper()
	room := interview.NewGroupID()
	l := &lossy{t: t, sound: interview.NewTrackID(), screen: interview.NewTrackID()}
	target, err := netip.ParseAddrPort(n.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	enter := func(publish []member.Publish) *person {
		f, err := sfutest.NewForwarder(target, sfutest.Shape{}, sfutest.Shape{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Close)
		p := enterOver(t, n, room, offer, f.Rewrite, publish)
		f.Up.Set(badLink)
		f.Down.Set(badLink)
		return p
	}
	l.from = enter([]member.Publish{{Track: l.sound, Source: interview.SourceAudio}, {Track: l.screen, Source: interview.SourceVideo, Number: 1}})
	l.to = enter(nil)
	table := media.Table{Room: room, Generation: 1, Routes: []media.Route{
		{From: l.from.leg, Track: l.sound, To: l.to.leg, Mid: l.to.mid("audio", 0)},
		{From: l.from.leg, Track: l.screen, To: l.to.leg, Mid: l.to.mid("video", 0)},
	}}
	if err := n.Forward(table); err != nil {
		t.Fatal(err)
	}
	return l
}

const packetTime = 20 * time.Millisecond

// speak sends sounds that tell their number, each with the one before it if
// redundant.
func (l *lossy) speak(count int, redundant bool) {
	tick := time.NewTicker(packetTime)
	defer tick.Stop()
	var before []byte
	for n := range uint32(count) {
		<-tick.C
		own := binary.BigEndian.AppendUint32(nil, n)
		own = append(own, make([]byte, 76)...)
		f := member.Outgoing{Sealed: own, RTPTime: n * 960, Redundant: redundant}
		if redundant {
			blocks := []opusred.Block{{Opus: own}}
			if before != nil {
				blocks = []opusred.Block{{Ago: 960, Opus: before}, {Opus: own}}
			}
			f.Sealed = opusred.Append(nil, blocks...)
		}
		before = own
		if err := l.from.peer.SendFrame(l.sound, f); err != nil {
			l.t.Error(err)
			return
		}
	}
}

// draw sends pictures of three packets, a key frame where one is asked for.
func (l *lossy) draw(count int) {
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	key := true
	for n := range uint32(count) {
		<-tick.C
		select {
		case <-l.from.keys:
			key = true
		default:
		}
		if err := l.from.peer.Send(l.screen, make([]byte, 3000), n*3000, key); err != nil {
			l.t.Error(err)
			return
		}
		key = false
	}
}

// outcome is what came.
type outcome struct {
	missing float64       // share of sounds that did not come
	freeze  time.Duration // longest time between two pictures, by when they were taken
	frames  int
}

// listen takes what comes until the time is over.
func (l *lossy) listen(count int, redundant bool, until <-chan struct{}) outcome {
	heard := map[uint32]bool{}
	o := outcome{}
	var last uint32
	var blocks []opusred.Block
	for {
		var f member.Frame
		select {
		case f = <-l.to.frames:
		case <-until:
			// The first and last second are of joining and leaving.
			lost, of := 0, 0
			for n := uint32(50); n < uint32(count-50); n++ {
				of++
				if !heard[n] {
					lost++
				}
			}
			o.missing = float64(lost) / float64(of)
			return o
		}
		if f.Slot.Mid == l.to.mid("video", 0) {
			if o.frames > 0 {
				o.freeze = max(o.freeze, time.Duration(f.RTPTime-last)*time.Second/90_000)
			}
			last = f.RTPTime
			o.frames++
			continue
		}
		blocks = append(blocks[:0], opusred.Block{Opus: f.Sealed})
		if redundant {
			var err error
			if blocks, err = opusred.Split(blocks[:0], f.Sealed); err != nil {
				l.t.Error(err)
			}
		}
		for _, b := range blocks {
			heard[binary.BigEndian.Uint32(b.Opus)] = true
		}
	}
}

// run holds a conversation of so many sounds.
func (l *lossy) run(count int, redundant bool) outcome {
	until, spoken := make(chan struct{}), make(chan struct{}, 2)
	length := time.Duration(count) * packetTime
	go func() { l.speak(count, redundant); spoken <- struct{}{} }()
	go func() { l.draw(int(length * 30 / time.Second)); spoken <- struct{}{} }()
	go func() {
		<-spoken
		<-spoken
		time.AfterFunc(time.Second, func() { close(until) })
	}()
	return l.listen(count, redundant, until)
}

// withoutLines takes the lines out of an offer that hold a text.
func withoutLines(sdp, text string) string {
	var kept []string
	for _, line := range strings.SplitAfter(sdp, "\n") {
		if !strings.Contains(line, text) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// unmeasured takes the feedback on arrivals out of an offer: what a link carries
// is another question than what is repaired on it, and a busy machine is no link.
func unmeasured(sdp string) string {
	return withoutLines(withoutLines(sdp, "transport-cc"), "transport-wide-cc")
}

// withoutAsking takes the questions for lost packets out of an offer.
func withoutAsking(sdp string) string {
	var kept []string
	for _, line := range strings.SplitAfter(sdp, "\n") {
		if !strings.HasPrefix(line, "a=rtcp-fb:") || !strings.Contains(line, " nack") || strings.Contains(line, "pli") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// At 5 % random loss in both directions of both members, with 80 ms round trip
// between them, at most 1 % of sounds are missing and no picture stands still for
// more than half a second. Without repair a tenth is lost.
func TestWhatIsLostIsRepaired(t *testing.T) {
	t.Parallel()
	const count = 350
	got := newLossy(t, newNode(t), unmeasured).run(count, true)
	t.Logf("with every means: %.2f %% of sounds missing, longest freeze %v, %d pictures", 100*got.missing, got.freeze.Round(time.Millisecond), got.frames)
	if got.missing > 0.01 || got.freeze > 500*time.Millisecond || got.frames < count/4 {
		t.Errorf("%.2f %% of sounds missing, longest freeze %v, %d pictures", 100*got.missing, got.freeze, got.frames)
	}
}

// Where sounds are lost, their senders are told to send them twice.
func TestLossAsksForRedundancy(t *testing.T) {
	t.Parallel()
	hints := make(chan media.Hint, 100)
	n, err := sfu.New(sfu.Config{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, OnHint: func(h media.Hint) { hints <- h }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	l := newLossy(t, n, as)
	spoken := make(chan struct{})
	go func() { l.speak(250, false); close(spoken) }()
	defer func() { <-spoken }()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case h := <-hints:
			if h.Track == l.sound && h.Red {
				return
			}
		case <-deadline:
			t.Fatal("nobody asked for redundancy")
		}
	}
}

// TestSoakOfRepair gives the table of docs/media.md: each means alone.
func TestSoakOfRepair(t *testing.T) {
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("set KUULE_SOAK=1: this holds conversations of two minutes")
	}
	for _, tc := range []struct {
		name      string
		asking    bool
		redundant bool
	}{{"none", false, false}, {"asking", true, false}, {"redundancy", false, true}, {"both", true, true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			offer := unmeasured
			if !tc.asking {
				offer = func(sdp string) string { return withoutAsking(unmeasured(sdp)) }
			}
			got := newLossy(t, newNode(t), offer).run(int(soakLength(t, 2*time.Minute)/packetTime), tc.redundant)
			t.Logf("%s: %.2f %% of sounds missing, longest freeze %v, %d pictures", tc.name, 100*got.missing, got.freeze.Round(time.Millisecond), got.frames)
		})
	}
}
