package bandwidth_test

import (
	"testing"

	"kuule/sfu/bandwidth"
)

func TestPacerWithoutALimit(t *testing.T) {
	t.Parallel()
	var p bandwidth.Pacer
	for range 10_000 {
		if !p.Take(1500, 0) {
			t.Fatal("held back without a limit")
		}
	}
	p.Limit(100_000, 0)
	p.Limit(0, 0)
	if p.Limited() || !p.Take(1_000_000, 0) || !p.Take(1500, 0) {
		t.Error("held back after the limit was lifted")
	}
}

// A burst leaves at one and a half times the estimate, and a voice never waits:
// it only makes pictures wait, and not for long.
func TestPacerSpreadsABurst(t *testing.T) {
	t.Parallel()
	const estimate = 400_000
	for name, voices := range map[string]int{"pictures alone": 0, "beside voices": 100_000} {
		var p bandwidth.Pacer
		p.Limit(estimate, 0)
		sent, at := 0, int64(0)
		for ; at < 2e9; at += 5e6 {
			if voices > 0 && at%20e6 == 0 {
				p.Spend(voices/50/8, at)
			}
			for p.Take(1000, at) {
				sent += 1000
			}
		}
		rate := sent * 8 / 2
		want := estimate*3/2 - voices
		if rate < want*9/10 || rate > want*11/10+3000*8 {
			t.Errorf("%s: %d bit/s, want about %d", name, rate, want)
		}
	}
	var p bandwidth.Pacer
	p.Limit(estimate, 0)
	p.Spend(1_000_000, 0)
	if !p.Take(1000, 100e6) {
		t.Error("voices put pictures off for more than a tenth of a second")
	}
}
