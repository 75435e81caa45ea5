package bandwidth_test

import (
	"testing"
	"time"

	"kuule/sfu/bandwidth"
	"kuule/sfu/sfutest"
)

var wide = sfutest.Shape{Rate: 3_000_000, Delay: 25 * time.Millisecond}

// squeeze is what a link becomes, and what voices the node then sends over it.
var squeezes = []struct {
	name       string
	rate       int
	voices     int
	size       int
	every      time.Duration
	worst      time.Duration // that a voice packet may wait once all has settled
	leastShare float64       // of the link that the estimate has to find
}{
	{"500 kbit/s: three voices", 500_000, 3, 150, 20 * time.Millisecond, 80 * time.Millisecond, 0.7},
	{"150 kbit/s: three voices in long packets", 150_000, 3, 214, 60 * time.Millisecond, 120 * time.Millisecond, 0.6},
	{"60 kbit/s: one voice in long packets", 60_000, 1, 214, 60 * time.Millisecond, 160 * time.Millisecond, 0.6},
}

// N5: on a link that narrows the picture makes room for the voices, and comes
// back within five seconds of the link's return.
func TestVoicesAreKeptOnANarrowLink(t *testing.T) {
	t.Parallel()
	for _, tc := range squeezes {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(wide)
			w.run(10 * time.Second)
			if w.layer != 2 {
				t.Fatalf("the wide link carries layer %d only, estimate %d", w.layer, w.sender.Estimate())
			}
			narrow := wide
			narrow.Rate = tc.rate
			w.down.Set(narrow)
			w.voices, w.voiceSize, w.voiceEvery = tc.voices, tc.size, tc.every
			w.run(2 * time.Second) // the queue that was filled before anybody could know drains
			w.forget()
			w.run(30 * time.Second)
			w.drain()
			if w.voiceSent < 400 || w.voiceCame*1000 < w.voiceSent*999 {
				t.Errorf("%d of %d voice packets came", w.voiceCame, w.voiceSent)
			}
			if worst := w.worst(); worst > tc.worst {
				t.Errorf("a voice packet waited %v", worst)
			}
			if e := w.sender.Estimate(); float64(e) < tc.leastShare*float64(tc.rate) || float64(e) > 1.2*float64(tc.rate) {
				t.Errorf("estimate %d of a link of %d", e, tc.rate)
			}
			w.down.Set(wide)
			w.voices, w.voiceSize, w.voiceEvery = 3, 150, 20*time.Millisecond
			w.forget()
			back := w.now
			for w.layer < 2 && w.now < back+20*time.Second {
				w.run(100 * time.Millisecond)
			}
			t.Logf("everything is back %v after the link, estimate %d", w.now-back, w.sender.Estimate())
			if w.now-back > 5*time.Second {
				t.Errorf("everything is back only after %v", w.now-back)
			}
			w.run(5 * time.Second)
			w.drain()
			if w.voiceCame*1000 < w.voiceSent*995 || w.layer != 2 {
				t.Errorf("%d of %d voice packets came on the way back, layer %d", w.voiceCame, w.voiceSent, w.layer)
			}
		})
	}
}

// How quickly a squeeze is seen: until then packets are lost in the link's queue.
func TestASqueezeIsSeenSoon(t *testing.T) {
	t.Parallel()
	for _, tc := range squeezes {
		w := newWorld(wide)
		w.run(10 * time.Second)
		narrow := wide
		narrow.Rate = tc.rate
		w.down.Set(narrow)
		at := w.now
		for w.sender.Estimate() > tc.rate*12/10 && w.now < at+10*time.Second {
			w.run(tick)
		}
		t.Logf("%s: seen after %v", tc.name, w.now-at)
		if w.now-at > time.Second {
			t.Errorf("%s: seen after %v", tc.name, w.now-at)
		}
	}
}

// N5: packets that come late and in bursts are no reason to hold a link for less
// than has just come over it, nor for crowded.
func TestJitterTakesNothingOfWhatCame(t *testing.T) {
	t.Parallel()
	for _, jitter := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond} {
		w := newWorld(wide)
		w.run(10 * time.Second)
		narrow := wide
		narrow.Rate = 150_000
		w.down.Set(narrow)
		w.voiceSize, w.voiceEvery = 214, 60*time.Millisecond // 86 kbit/s
		w.layers, w.layer = []int{10_000_000}, -1            // never fits
		w.run(5 * time.Second)
		narrow.Jitter = jitter
		w.down.Set(narrow)
		s := w.sender.(*bandwidth.Sender)
		least, crowded := bandwidth.Most, 0
		for range 600 {
			w.run(100 * time.Millisecond)
			least = min(least, s.Estimate())
			if s.Crowded(int64(w.now)) {
				crowded++
			}
		}
		t.Logf("jitter of %v: the smallest estimate is %d", jitter, least)
		if least < w.voiceRate()*85/100 || crowded > 0 {
			t.Errorf("jitter of %v: an estimate of %d for a link over which %d come, crowded %d times of 600", jitter, least, w.voiceRate(), crowded)
		}
	}
}

// Crowded is what a link shows, not what is thought of it.
func TestALinkShowsThatItIsCrowded(t *testing.T) {
	t.Parallel()
	narrow := wide
	narrow.Rate = 150_000
	w := newWorld(narrow)
	w.layers = []int{10_000_000} // never fits
	s := w.sender.(*bandwidth.Sender)
	until := func(what string, most time.Duration) {
		t.Helper()
		for from := w.now; !s.Crowded(int64(w.now)); {
			if w.run(tick); w.now > from+most {
				t.Fatalf("%s: not within %v", what, most)
			}
		}
	}
	for range 4 {
		w.voiceSize, w.voiceEvery = 214, 60*time.Millisecond // 86 kbit/s
		w.run(2 * time.Second)                               // the queue goes
		for range 50 {
			if w.run(100 * time.Millisecond); s.Crowded(int64(w.now)) {
				t.Fatal("a link that carries everything")
			}
		}
		w.voiceSize, w.voiceEvery = 170, 20*time.Millisecond // 204 kbit/s
		until("more than it carries", 3*time.Second)
	}
	cut := narrow
	cut.Cut = true
	w.down.Set(cut)
	w.run(2 * time.Second)
	until("nothing is heard at all", time.Second)
}

// What is not congestion takes nothing away.
func TestWhatIsNotCongestion(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]sfutest.Shape{
		"5 % random loss":        {Rate: 5_000_000, Delay: 25 * time.Millisecond, Loss: 0.05},
		"jitter of 20 ms":        {Rate: 5_000_000, Delay: 25 * time.Millisecond, Jitter: 20 * time.Millisecond},
		"300 ms of round trip":   {Rate: 5_000_000, Delay: 150 * time.Millisecond},
		"loss and jitter":        {Rate: 5_000_000, Delay: 25 * time.Millisecond, Loss: 0.05, Jitter: 15 * time.Millisecond},
		"a link without a limit": {Delay: time.Millisecond},
	} {
		w := newWorld(shape)
		w.run(10 * time.Second)
		top := 0
		for range 300 {
			w.run(100 * time.Millisecond)
			if w.layer == 2 {
				top++
			}
		}
		t.Logf("%s: the largest layer %d of 300 times, estimate %d", name, top, w.sender.Estimate())
		if top < 285 {
			t.Errorf("%s: the largest layer was sent %d of 300 times only, estimate %d", name, top, w.sender.Estimate())
		}
	}
}

// A way that is broken altogether is not flooded, and found again.
func TestABrokenWay(t *testing.T) {
	t.Parallel()
	w := newWorld(wide)
	w.run(10 * time.Second)
	cut := wide
	cut.Cut = true
	w.down.Set(cut)
	w.run(8 * time.Second)
	if e := w.sender.Estimate(); e > 100_000 {
		t.Errorf("estimate %d over a way that carries nothing", e)
	}
	w.down.Set(wide)
	back := w.now
	for w.layer < 2 && w.now < back+20*time.Second {
		w.run(100 * time.Millisecond)
	}
	t.Logf("everything is back after %v", w.now-back)
	if w.now-back > 5*time.Second {
		t.Errorf("everything is back only after %v", w.now-back)
	}
}

// Feedback that gets lost on its way is no loss of packets.
func TestLostFeedback(t *testing.T) {
	t.Parallel()
	w := newWorld(wide)
	w.up.Set(sfutest.Shape{Delay: wide.Delay, Loss: 0.3})
	w.run(20 * time.Second)
	if w.layer != 2 {
		t.Errorf("layer %d, estimate %d", w.layer, w.sender.Estimate())
	}
}

// A receiver that sends no feedback is sent everything, and no padding.
func TestWithoutFeedbackThereIsNoEstimate(t *testing.T) {
	t.Parallel()
	s := bandwidth.NewSender()
	for at := int64(0); at < 10e9; at += 20e6 {
		s.Sent(1000, at)
		s.Tick(at)
		if s.Known() || s.Padding(10_000_000, at) > 0 || s.Estimate() != bandwidth.Start {
			t.Fatalf("known %v, estimate %d", s.Known(), s.Estimate())
		}
	}
}

// Feedback about packets that were never sent, or twice about one, changes nothing.
func TestFeedbackOfALiar(t *testing.T) {
	t.Parallel()
	var liar bandwidth.Recorder
	s := bandwidth.NewSender()
	for i := range uint16(100) {
		liar.Arrived(i, int64(i)*1e6)
	}
	b := liar.Feedback(nil, 1, 2, 1e9)
	if err := s.Feedback(b, 1e9); err != nil || s.RTT() != 0 {
		t.Errorf("feedback about nothing that was sent: %v, round trip %d", err, s.RTT())
	}
	w := newWorld(wide)
	w.run(5 * time.Second)
	before := w.sender.Estimate()
	for range 1000 {
		_ = w.sender.Feedback(b, int64(w.now))
	}
	if e := w.sender.Estimate(); e != before {
		t.Errorf("estimate %d, then %d", before, e)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	s, now := bandwidth.NewSender(), int64(0)
	var r bandwidth.Recorder
	var p bandwidth.Pacer
	p.Limit(500_000, 0)
	buffer := make([]byte, 0, bandwidth.MaxFeedback)
	if n := testing.AllocsPerRun(500, func() {
		for range 10 {
			now += 5e6
			p.Take(1000, now)
			p.Spend(200, now)
			r.Arrived(s.Sent(1000, now), now+30e6)
			s.Padding(3_000_000, now)
			s.Tick(now)
		}
		if b := r.Feedback(buffer[:0], 1, 2, now+60e6); len(b) > 0 {
			if err := s.Feedback(b, now+90e6); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if s.RTT() == 0 {
		t.Error("nothing was measured")
	}
}

func BenchmarkSent(b *testing.B) {
	s := bandwidth.NewSender()
	at := int64(0)
	for b.Loop() {
		at += 1e6
		s.Sent(1000, at)
	}
}

// BenchmarkFeedback is one feedback packet about 20 packets, made and read.
func BenchmarkFeedback(b *testing.B) {
	s := bandwidth.NewSender()
	var r bandwidth.Recorder
	at := int64(0)
	buffer := make([]byte, 0, bandwidth.MaxFeedback)
	for b.Loop() {
		for range 20 {
			at += 6e6
			r.Arrived(s.Sent(1000, at), at+30e6)
		}
		if err := s.Feedback(r.Feedback(buffer[:0], 1, 2, at+30e6), at+60e6); err != nil {
			b.Fatal(err)
		}
	}
}
