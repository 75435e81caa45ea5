package sfu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// stalls are moments in which somebody does not get the processor, as on a
// machine that has much else to do. The zero value has none.
type stalls struct {
	every, longest time.Duration // on average, and at most
	chance         *rand.Rand
	begin, end     time.Duration
}

func standing(every, longest time.Duration, seed uint64) stalls {
	return stalls{every: every, longest: longest, chance: rand.New(rand.NewPCG(seed, 5))}
}

// at reports whether one is under way; time only goes on.
func (s *stalls) at(now time.Duration) bool {
	if s.every == 0 {
		return false
	}
	for now >= s.end {
		s.begin = max(s.end, now-paceEvery) + time.Duration(s.chance.ExpFloat64()*float64(s.every))
		s.end = s.begin + time.Duration(s.chance.Int64N(int64(s.longest)))
	}
	return now >= s.begin
}

// N5: a node and a listener that do not always get the processor see packets and
// feedback late and in bursts. That is no reason to let a voice go that the link
// carries, nor to be slow in having it back.
func TestABusyMachineSilencesNobody(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		rate   int
		voices [3]bool
	}{
		{"500 kbit/s", 500_000, [3]bool{true, true, true}},
		{"150 kbit/s", 150_000, [3]bool{true, true, true}},
		{"60 kbit/s", 60_000, [3]bool{false, true, false}},
	} {
		for _, busy := range []struct {
			name           string
			every, longest time.Duration
			least          float64 // of a voice, in percent
			back           time.Duration
		}{
			{"now and then", 300 * time.Millisecond, 60 * time.Millisecond, 99, 5 * time.Second},
			{"a third of the time", 150 * time.Millisecond, 120 * time.Millisecond, 96, 8 * time.Second},
		} {
			for seed := range uint64(4) {
				t.Run(fmt.Sprintf("%s, %s, seed %d", tc.name, busy.name, seed), func(t *testing.T) {
					t.Parallel()
					s := newStage(t, wideLink, 0)
					s.stands.node, s.stands.hearer = standing(busy.every, busy.longest, 2*seed), standing(busy.every, busy.longest, 2*seed+1)
					s.run(10 * time.Second)
					narrow := wideLink
					narrow.Rate = tc.rate
					s.down.Set(narrow)
					s.run(5 * time.Second)
					s.forget()
					s.run(60 * time.Second)
					for i, p := range s.people {
						voice, _ := s.of(i)
						share := 100 * float64(voice.packets) / float64(p.sent)
						t.Logf("%.1f %% of the voice of publisher %d came", share, i)
						if tc.voices[i] && share < busy.least {
							t.Errorf("only %.1f %% of the voice of publisher %d came", share, i)
						}
					}
					s.down.Set(wideLink)
					back := s.now
					for s.now < back+20*time.Second && !s.top() {
						s.run(20 * time.Millisecond)
					}
					t.Logf("everything is back after %v", s.now-back)
					if s.now-back > busy.back {
						t.Errorf("everything is back only after %v", s.now-back)
					}
				})
			}
		}
	}
}
