package bandwidth

// Constants of the Pacer.
const (
	pacerFactor = 1.5            // times the estimate: what waits must not wait for ever
	pacerBurst  = 40 * million   // ns of the rate that may go at once
	pacerLeast  = 3000           // bytes that may go at once, however slow the link
	pacerDebt   = 2 * pacerBurst // ns: voices may not put pictures off for longer
)

// Pacer says whether a packet may leave now, so that a key frame does not fill
// the queue of a narrow link in front of the voices. The zero value lets
// everything go, at no cost.
type Pacer struct {
	rate   float64 // bytes per ns; 0: no limit
	tokens float64
	most   float64
	at     int64
}

// Limit paces to an estimate in bit/s; 0 lets everything go again.
func (p *Pacer) Limit(estimate int, at int64) {
	if estimate <= 0 {
		*p = Pacer{}
		return
	}
	p.refill(at)
	fresh := p.rate == 0
	p.rate = pacerFactor * float64(estimate) / 8e9
	p.most = max(p.rate*pacerBurst, pacerLeast)
	if fresh {
		p.tokens, p.at = p.most, at
	}
}

// Limited reports whether there is a limit: only then packets can have to wait.
func (p *Pacer) Limited() bool { return p.rate > 0 }

// Take reports whether a packet of size bytes may leave now, and counts it.
func (p *Pacer) Take(size int, at int64) bool {
	if p.rate == 0 {
		return true
	}
	p.refill(at)
	if p.tokens <= 0 {
		return false
	}
	p.tokens -= float64(size)
	return true
}

// Spend counts a packet that leaves whatever the limit is: a voice.
func (p *Pacer) Spend(size int, at int64) {
	if p.rate == 0 {
		return
	}
	p.refill(at)
	p.tokens = max(p.tokens-float64(size), -p.rate*pacerDebt)
}

func (p *Pacer) refill(at int64) {
	if at > p.at {
		p.tokens = min(p.tokens+float64(at-p.at)*p.rate, p.most)
		p.at = at
	}
}
