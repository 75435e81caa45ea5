package quality

import (
	"math"
	"time"
)

// Values of the E-model (ITU-T G.107, 06/2015, https://www.itu.int/rec/T-REC-G.107).
const (
	// bestRating is R with every parameter at its default and no packet network
	// (G.107, section 7.7 and table 2).
	bestRating = 93.2

	// opusImpairment (Ie) and opusRobustness (Bpl, random loss) are of Opus at a
	// constant 11 kbit/s on the narrowband scale: M. Alahmadi, P. Počta, H. Melvin,
	// "An Adaptive Bitrate Switching Algorithm for Speech Applications in Context of
	// WebRTC", ACM TOMM 17(4), 2021. A hearing's
	// Opus has more bits than that, so the estimate errs to the worse.
	opusImpairment = 2.03
	opusRobustness = 15.95
)

// What is between mouth and network, and network and ear, where nothing is
// measured: one packet of 20 ms, Opus' look-ahead of 6.5 ms (RFC 6716, section
// 2.1.7) and 20 ms of sound card at either end.
const fixedDelay = 20*time.Millisecond + 6500*time.Microsecond + 2*20*time.Millisecond

// Audio is what decides how speech arrives over one way.
type Audio struct {
	Delay  time.Duration // one way through the network
	Jitter time.Duration // RFC 3550
	Loss   float64       // share of packets that no repair brought, 0 to 1
}

// Rating is the E-model's transmission rating factor R of speech that takes
// this way, from 0 to 93.2.
func (a Audio) Rating() float64 {
	return min(bestRating, max(0, bestRating-a.delayImpairment()-a.lossImpairment()))
}

// MOS is the estimated mean opinion score, 1 to 4.4.
func (a Audio) MOS() float64 { return mos(a.Rating()) }

// delayImpairment is Idd (G.107, equations 7-27 and 7-28); echo is taken to be
// cancelled. The receiver's buffer holds about twice the jitter.
func (a Audio) delayImpairment() float64 {
	ms := float64(fixedDelay+max(0, a.Delay)+2*max(0, a.Jitter)) / float64(time.Millisecond)
	if ms <= 100 {
		return 0
	}
	x := math.Log2(ms / 100)
	return 25 * (math.Pow(1+math.Pow(x, 6), 1.0/6) - 3*math.Pow(1+math.Pow(x/3, 6), 1.0/6) + 2)
}

// lossImpairment is Ie-eff (G.107, equation 7-29) with losses independent of
// each other.
func (a Audio) lossImpairment() float64 {
	percent := 100 * min(1, max(0, a.Loss))
	return opusImpairment + (95-opusImpairment)*percent/(percent+opusRobustness)
}

// mos is G.107, annex B. Below R = 6.5 its curve dips under 1, which no score is.
func mos(r float64) float64 {
	switch {
	case r <= 6.5:
		return 1
	case r >= 100:
		return 4.5
	default:
		return 1 + 0.035*r + r*(r-60)*(100-r)*7e-6
	}
}

// Bounds of R (G.107, annex B, table B.1): below poorRating many users are
// dissatisfied, below lostRating the connection is not recommended at all.
const (
	poorRating = 70
	lostRating = 50
)
