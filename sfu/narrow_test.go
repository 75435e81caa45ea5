package sfu_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/member"
	"kuule/sfu"
	"kuule/sfu/sfutest"
)

// talkers are three members who publish a voice and a picture of three layers,
// heed the node's advice, and are all sent to one more who sits behind a link.
type talkers struct {
	t      *testing.T
	node   *sfu.Node
	link   *sfutest.Forwarder
	room   interview.GroupID
	people []*person

	mu     sync.Mutex
	advice map[interview.TrackID]media.Advice
	told   map[interview.LegID]media.Quality
	sent   [3]int // voice packets; each carries its number
	stalls *stalls
}

// shots gives the n-th picture of a layer, and whether it needs no other. A film
// that cannot make a key frame when one is wanted has one every second.
type shots func(rid string, n int, wanted bool) (frame []byte, key bool)

// blank pictures have the size of real ones: 150, 500 and 1500 kbit/s.
func blank(rid string, n int, wanted bool) ([]byte, bool) {
	size := map[string]int{"q": 150_000, "h": 500_000, "f": 1_500_000}[rid] / 8 / 30
	if n == 0 || wanted {
		return make([]byte, 4*size), true
	}
	return make([]byte, size), false
}

func newTalkers(t *testing.T, film shots) *talkers {
	t.Helper()
	s := &talkers{t: t, room: interview.NewGroupID(), advice: map[interview.TrackID]media.Advice{}, told: map[interview.LegID]media.Quality{}}
	n, err := sfu.New(sfu.Config{
		Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		OnHint: func(h media.Hint) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.advice[h.Track] = h.Advice
		},
		OnQuality: func(q media.Quality) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told[q.Leg] = q
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	s.node, s.stalls = n, watchStalls(t)
	target, err := netip.ParseAddrPort(n.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	if s.link, err = sfutest.NewForwarder(target, sfutest.Shape{Delay: 25 * time.Millisecond}, wide); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.link.Close)
	stop := make(chan struct{})
	var talking sync.WaitGroup
	for i := range 3 {
		p := enterOver(t, n, s.room, plain, plain, []member.Publish{
			{Track: interview.NewTrackID(), Source: interview.SourceAudio},
			{Track: interview.NewTrackID(), Source: interview.SourceVideo, Number: 1, Rids: []string{"f", "h", "q"}},
		})
		s.people = append(s.people, p)
		talking.Go(func() { s.talk(i, stop) })
		talking.Go(func() { s.film(p, film, stop) })
	}
	t.Cleanup(func() { close(stop); talking.Wait() })
	return s
}

func plain(sdp string) string { return sdp }

var wide = sfutest.Shape{Rate: 10_000_000, Delay: 25 * time.Millisecond}

// opus is a packet of silence that is as large as one of speech: frames of 20 ms
// in constant bit rate, with padding (RFC 6716, section 3.2.5), the end of which
// is a number that no decoder looks at.
func opus(frames, size, number int) []byte {
	b := make([]byte, size)
	b[0], b[1], b[2] = 0xFB, 0x40|byte(frames), byte(size-3-2*frames)
	for i := range frames {
		b[3+2*i], b[4+2*i] = 0xFF, 0xFE
	}
	binary.BigEndian.PutUint32(b[size-4:], uint32(number))
	return b
}

func (s *talkers) talk(i int, stop <-chan struct{}) {
	track := s.people[i].publish[0].Track
	timestamp := uint32(0)
	for next := time.Now(); ; {
		s.mu.Lock()
		frugal := s.advice[track].PacketMS == 60
		s.sent[i]++
		number := s.sent[i]
		s.mu.Unlock()
		frames, size := 1, 90
		if frugal {
			frames, size = 3, 150
		}
		if s.people[i].peer.Send(track, opus(frames, size, number), timestamp, false) != nil {
			return
		}
		timestamp += uint32(frames) * 960
		next = next.Add(time.Duration(frames) * 20 * time.Millisecond)
		select {
		case <-stop:
			return
		case <-time.After(time.Until(next)):
		}
	}
}

func (s *talkers) film(p *person, film shots, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	started := map[string]bool{}
	wanted := true
	for n := 0; ; n++ {
		s.mu.Lock()
		unneeded := s.advice[p.publish[1].Track].Unneeded
		s.mu.Unlock()
		for _, rid := range []string{"q", "h", "f"} {
			off := false
			for _, u := range unneeded {
				off = off || u == rid
			}
			frame, key := film(rid, n, wanted || !started[rid])
			started[rid] = !off && (started[rid] || key)
			if !started[rid] {
				continue
			}
			if p.peer.SendFrame(p.publish[1].Track, member.Outgoing{Rid: rid, Sealed: frame, RTPTime: uint32(n * 3000), Key: key}) != nil {
				return
			}
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		wanted = false
		for more := true; more; {
			select {
			case <-p.keys:
				wanted = true
			default:
				more = false
			}
		}
	}
}

// routes sends everything to a leg; the second talker matters most.
func (s *talkers) routes(leg interview.LegID, slots []media.Slot) {
	s.t.Helper()
	table := media.Table{Room: s.room, Generation: time.Now().UnixMicro()}
	free := map[string][]string{}
	for _, slot := range slots {
		free[slot.Kind] = append(free[slot.Kind], slot.Mid)
	}
	for i, p := range s.people {
		for j, kind := range []string{"audio", "video"} {
			table.Routes = append(table.Routes, media.Route{From: p.leg, Track: p.publish[j].Track, To: leg, Mid: free[kind][i], Rank: []int{1, 0, 2}[i]})
		}
	}
	if err := s.node.Forward(table); err != nil {
		s.t.Fatal(err)
	}
}

// narrowLinks are what the link becomes, and what of the voices has to come then.
var narrowLinks = []struct {
	name   string
	rate   int
	voices [3]bool
}{{"500 kbit/s", 500_000, [3]bool{true, true, true}}, {"150 kbit/s", 150_000, [3]bool{true, true, true}}, {"60 kbit/s", 60_000, [3]bool{false, true, false}}}

// settle is how long a narrowed link may take until only what matters is counted.
const settle = 5 * time.Second

// underway is how long the last packet that is counted may be on its way: the
// queue of the link, and what a member waits for those before it.
const underway = 1500 * time.Millisecond

// tooBusy is for how long this process may stand still: less than the queue of
// the link holds, since afterwards all that was to be sent meanwhile comes at once.
const tooBusy = 120 * time.Millisecond

// reception counts voice packets of each talker.
type reception struct {
	begin func()                       // from now on
	came  func(from, to [3]int) [3]int // of those with numbers above from, up to to
}

// squeeze narrows the link, counts for a while, gives the link back, and waits
// until all is whole again.
func (s *talkers) squeeze(rate int, leg interview.LegID, heard reception, whole func() bool) (shares [3]float64, back time.Duration) {
	s.t.Helper()
	s.stalls.take()
	narrow := wide
	narrow.Rate = rate
	s.link.Down.Set(narrow)
	time.Sleep(settle)
	said := func() [3]int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sent
	}
	heard.begin()
	from := said()
	before := s.link.Down.Count()
	time.Sleep(soakLength(s.t, 20*time.Second))
	to := said()
	stall := s.stalls.take()
	time.Sleep(underway)
	for i, n := range heard.came(from, to) {
		shares[i] = float64(n) / float64(to[i]-from[i])
	}
	s.t.Logf("voices %.1f, %.1f, %.1f %%; longest stall of this process %v; the link dropped %d packets", 100*shares[0], 100*shares[1], 100*shares[2], stall.Round(time.Millisecond), s.link.Down.Count().Dropped-before.Dropped)
	if stall > tooBusy {
		s.t.Skipf("this process, in which senders and link live, stood still for %v: the machine was too busy to say anything of the node", stall)
	}
	s.mu.Lock()
	s.t.Logf("as the node told: %+v", s.told[leg])
	s.mu.Unlock()
	s.link.Down.Set(wide)
	began := time.Now()
	for time.Since(began) < 20*time.Second && !whole() {
		time.Sleep(20 * time.Millisecond)
	}
	return shares, time.Since(began)
}

// TestSoakOfNarrowLinksOverSockets is TestANarrowLinkKeepsWhatMatters with real
// sockets, SRTP and members. Its figures are in docs/performance.md.
func TestSoakOfNarrowLinksOverSockets(t *testing.T) {
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("set KUULE_SOAK=1: this holds a conversation of two minutes")
	}
	for _, tc := range narrowLinks {
		t.Run(tc.name, func(t *testing.T) {
			s := newTalkers(t, blank)
			to := enterOver(t, s.node, s.room, plain, s.link.Rewrite, nil)
			s.routes(to.leg, to.slots)
			heard := newListener(to)
			t.Cleanup(func() { to.peer.Close(); close(to.frames) })
			time.Sleep(5 * time.Second)
			shares, back := s.squeeze(tc.rate, to.leg, reception{func() {}, heard.came}, heard.whole)
			t.Logf("every picture is back after %v", back.Round(10*time.Millisecond))
			for i, share := range shares {
				if tc.voices[i] && share < 0.99 {
					t.Errorf("%.1f %% of the voice of talker %d came", 100*share, i)
				}
			}
			if back > 5*time.Second {
				t.Errorf("everything is back after %v", back)
			}
		})
	}
}

// listener is who sits behind the link.
type listener struct {
	mu     sync.Mutex
	voices [3]map[int]bool // numbers that came
	large  [3]time.Time    // when a picture of the largest layer came
}

func newListener(p *person) *listener {
	l := &listener{}
	for i := range l.voices {
		l.voices[i] = map[int]bool{}
	}
	go func() {
		for f := range p.frames {
			l.take(p, f)
		}
	}()
	return l
}

func (l *listener) take(p *person, f member.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range 3 {
		switch {
		case f.Slot.Mid == p.mid("audio", i):
			l.voices[i][int(binary.BigEndian.Uint32(f.Sealed[len(f.Sealed)-4:]))] = true
		case f.Slot.Mid == p.mid("video", i) && len(f.Sealed) > 6000:
			l.large[i] = time.Now()
		}
	}
}

func (l *listener) came(from, to [3]int) (out [3]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, numbers := range l.voices {
		for n := from[i] + 1; n <= to[i]; n++ {
			if numbers[n] {
				out[i]++
			}
		}
	}
	return out
}

func (l *listener) whole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.large {
		if time.Since(at) > 300*time.Millisecond {
			return false
		}
	}
	return true
}
