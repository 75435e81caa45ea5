package bandwidth

// Constants of probing. A probe is a few packets of padding beside what is sent
// anyway, at a rate above the estimate: what arrives of it, and how fast, tells
// at once what growing slowly would find out in a minute.
const (
	probeStep     = 2.5            // times the estimate
	probeAim      = 1.3            // times what is wanted: up to there it is worth to know
	probeEcho     = 300 * million  // ns after a probe, during which the delay that is seen is its own
	probePackets  = 5              // at least
	probeTime     = 20 * million   // ns, at least
	probeQueue    = 0.15           // s of the estimate: no probe may fill the queue with more
	probeSoon     = 40 * million   // ns after a probe that went well
	probeAgain    = 250 * million  // ns after one that said nothing
	probeQuick    = 1.4            // arriving faster than it was sent by this: somebody held it back, and it says nothing
	probeLater    = 700 * million  // ns after one that showed a limit, growing
	probeLatest   = 1000 * million // to this
	probePatience = 1000 * million // for the feedback on it
	probeArrived  = 0.8            // of its bytes have to arrive
	probeFull     = 0.9            // arriving slower than this share of the sending rate: the link is full
	probeKeeps    = 0.95           // of what a full link showed
	probeWorth    = 0.7            // of the aim reached: try the next at once
	maxPadding    = 255            // bytes that one packet can be padded by (RFC 3550)
)

// probe is the one probe that is under way, and when the next may be.
type probe struct {
	number  uint8
	target  float64 // bit/s
	began   int64
	bytes   int // that it is to send
	sentAll bool
	ended   int64
	sure    bool  // one went well since the last that did not
	wait    int64 // before the next
	next    int64

	count                     int // packets sent
	sentBytes, cameBytes      int
	came                      int
	firstSent, lastSent       int64
	firstCame, lastCame       int64
	sizeLastSent, sizeFirstIn int
	running                   bool
}

// Padding says how many bytes of padding are to be sent now, at most 255 of them
// in one packet, to probe for wanted bit/s; 0 for none. It is to be called every
// few milliseconds while Probing, else about every 20.
func (s *Sender) Padding(wanted int, at int64) int {
	p := &s.probe
	if !s.control.limited {
		return 0
	}
	if !p.running {
		if at < p.next || probeAim*float64(wanted) <= s.control.bound() || s.pending > 0 && at-s.heard > silentAfter/2 {
			return 0
		}
		p.begin(min(probeStep*s.control.bound(), 1.2*probeAim*float64(wanted)), s.control.bound(), at)
	}
	if p.sentAll {
		if at-p.ended > probePatience {
			p.fail(at)
		}
		return 0
	}
	if p.enough(at) {
		p.sentAll, p.ended = true, at
		return 0
	}
	due := int(p.target*float64(at-p.began+5*million)/8e9) - p.sentBytes
	return min(max(due, 0), p.bytes)
}

// Probing reports whether a probe is being sent: it wants to be asked for its
// padding every 5 ms.
func (s *Sender) Probing() bool { return s.probe.running && !s.probe.sentAll }

func (p *probe) begin(target, estimate float64, at int64) {
	number := p.number + 1
	if number == 0 {
		number = 1
	}
	*p = probe{number: number, target: target, began: at, wait: p.wait, sure: p.sure, running: true}
	p.bytes = int(min(target*probeTime/8e9, estimate*probeQueue/8)) + 1
}

// echoes reports whether the delay that feedback shows may be the probe's own
// doing.
func (p *probe) echoes(at int64) bool {
	return p.number != 0 && (p.running && !p.sentAll || at-p.ended < probeEcho)
}

// enough reports whether what was sent can be measured.
func (p *probe) enough(at int64) bool {
	return p.count >= probePackets && p.sentBytes >= p.bytes || at-p.began > 5*probeTime
}

// mark notes a packet that leaves while the probe is being sent.
func (p *probe) mark(size int, at int64) uint8 {
	if !p.running || p.sentAll {
		return 0
	}
	if p.count == 0 {
		p.firstSent = at
	}
	p.count++
	p.sentBytes += size
	p.lastSent, p.sizeLastSent = at, size
	return p.number
}

// arrived notes a packet of the probe that came.
func (p *probe) arrived(s *sent, at int64) {
	if !p.running || s.probe != p.number {
		return
	}
	if p.came == 0 || at < p.firstCame {
		p.firstCame, p.sizeFirstIn = at, int(s.size)
	}
	p.lastCame = max(p.lastCame, at)
	p.came++
	p.cameBytes += int(s.size)
}

// result gives the rate that the probe proved, once, when enough of it came; 0
// before that and when it proved nothing.
func (p *probe) result(at int64) float64 {
	if !p.running || !p.sentAll || float64(p.cameBytes) < probeArrived*float64(p.sentBytes) || p.came < probePackets-1 {
		return 0
	}
	sending, coming := float64(p.lastSent-p.firstSent), float64(p.lastCame-p.firstCame)
	if sending <= 0 || coming <= 0 || sending > 1e9 || coming > 1e9 {
		p.again(at)
		return 0
	}
	sent := float64(p.sentBytes-p.sizeLastSent) * 8e9 / sending
	came := float64(p.cameBytes-p.sizeFirstIn) * 8e9 / coming
	switch rate := min(sent, came); {
	case came > probeQuick*sent:
		p.again(at)
		return 0
	case came < probeFull*sent: // the link is full
		p.fail(at)
		return probeKeeps * came
	case rate < probeWorth*p.target: // not sent as fast as it was to be
		p.again(at)
		return rate
	default:
		p.wait = 0
		p.end(at, probeSoon)
		if !p.sure {
			p.sure = true // a burst that somebody held back may look like this, once
			return 0
		}
		return rate
	}
}

// again ends a probe that said nothing.
func (p *probe) again(at int64) {
	p.sure = false
	p.end(at, probeAgain)
}

// fail ends a probe after which the next one waits longer.
func (p *probe) fail(at int64) {
	p.wait, p.sure = min(max(2*p.wait, probeLater), probeLatest), false
	p.end(at, p.wait)
}

func (p *probe) end(at, wait int64) { p.running, p.next = false, at+wait }
