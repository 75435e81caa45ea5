package bandwidth

// Bounds of a Sender. Rates are bit/s on the wire, with IP and UDP headers.
const (
	historySize = 2048 // packets on their way, a power of two
	Start       = 600_000
	Least       = 20_000
	Most        = 20_000_000
	// Overhead is what IP and UDP add to a packet (IPv4).
	Overhead = 28

	silentAfter  = 1000 * million // without feedback the link is held to be worse
	lossPackets  = 20             // at least, before losses count
	queueSome    = 120.0          // ms over the smallest round trip of late: delay that jitter does not make
	queueHigh    = 200.0          // ms over the smallest round trip of late
	queueTimes   = 2              // in a row: one alone may be a receiver that was busy
	crowdPackets = 10             // lost at least, and more than came: the link is far too narrow
	million      = 1_000_000      // nanoseconds of a millisecond
)

// Sender numbers the packets that a leg is sent and estimates, from what the
// receiver says of them, how much its link carries. Make one with NewSender.
type Sender struct {
	next    uint16
	history [historySize]sent
	trend   trend
	control control
	acked   meter
	probe   probe

	reference int64 // unwrapped, of the newest feedback
	referred  bool
	rtt       float64 // ms, smoothed
	least     float64 // ms, the smallest of late
	packet    float64 // bytes, smoothed
	heard     int64   // when the last feedback came
	pending   int     // packets sent since
	backedOff int64

	received, lost int // since losses were last counted
	came, missing  int64
	queued         int // feedback packets in a row that show a long queue
	crowded        int // lost in the newest feedback, if it was most of it
}

// sent is a packet on its way.
type sent struct {
	at       int64
	sequence uint16
	size     uint16
	probe    uint8 // number of the probe that it belongs to; 0: none
	state    state
}

type state uint8

const (
	stateFree state = iota
	stateSent
	stateLost
	stateReceived
)

// NewSender makes a Sender of a link that has not shown a limit.
func NewSender() *Sender {
	return &Sender{trend: newTrend(), control: control{rate: Start}, packet: 1000}
}

// Restart forgets what was learned of the link: packets take another one now, or
// the same after it was gone. Numbers go on, and what was sent before is not held
// to be lost.
func (s *Sender) Restart() {
	next := s.next
	*s = *NewSender()
	s.next = next
}

// Sent gives the next transport-wide sequence number to a packet of size bytes
// on the wire, which is being sent.
func (s *Sender) Sent(size int, at int64) uint16 {
	sequence := s.next
	s.next++
	s.pending++
	s.history[sequence%historySize] = sent{at: at, sequence: sequence, size: uint16(min(size, 65535)), probe: s.probe.mark(size, at), state: stateSent}
	return sequence
}

// Known reports whether the link has shown a limit. Until it does there is no
// estimate to keep to: what is sent is the best probe, and nothing is held back.
func (s *Sender) Known() bool { return s.control.limited }

// Estimate is the bit rate that the link is held to carry.
func (s *Sender) Estimate() int {
	return int(min(max(s.control.bound(), Least), Most))
}

// Counted tells how many packets came and how many did not, before any repair.
func (s *Sender) Counted() (came, lost int64) { return s.came, s.missing }

// RTT is the round-trip time in nanoseconds, with the receiver's patience; 0
// while not known.
func (s *Sender) RTT() int64 { return int64(s.rtt * million) }

// Feedback takes one RTCP packet of the receiver's. What is malformed, or about
// packets that were never sent, changes nothing.
func (s *Sender) Feedback(rtcp []byte, at int64) error {
	f, err := parse(rtcp)
	if err != nil {
		return err
	}
	base := s.unwrap(f.reference) * referenceUnit
	newest, lost, came := int64(-1), 0, 0
	if err := f.walk(func(sequence uint16, received bool, after int64) {
		p := &s.history[sequence%historySize]
		if p.sequence != sequence || p.state == stateFree || p.state == stateReceived {
			return
		}
		if !received {
			if p.state == stateSent {
				p.state = stateLost
				s.lost++
				s.missing++
				lost++
			}
			return
		}
		if p.state == stateLost {
			s.lost = max(s.lost-1, 0)
			s.missing--
		}
		p.state = stateReceived
		newest = max(newest, p.at)
		s.received++
		s.came++
		came++
		arrived := base + after
		s.acked.add(int(p.size), arrived)
		s.packet += 0.02 * (float64(p.size) - s.packet)
		if p.probe != 0 {
			s.probe.arrived(p, arrived)
		}
		s.trend.add(float64(p.at)/million, float64(arrived)/million)
	}); err != nil {
		return err
	}
	if came == 0 {
		return nil
	}
	s.reference, s.referred = base/referenceUnit, true
	s.heard, s.pending, s.backedOff = at, 0, 0
	if s.crowded = 0; lost > came {
		s.crowded = lost
	}
	s.learn(newest, at)
	return nil
}

// learn moves the estimate after feedback that told something.
func (s *Sender) learn(newest, at int64) {
	now := float64(at) / million
	sample := float64(at-newest) / million
	if s.rtt == 0 {
		s.rtt, s.least = sample, sample
	}
	s.rtt += 0.1 * (sample - s.rtt)
	if s.queued++; sample <= s.least+queueHigh {
		s.queued = 0
	}
	s.least = min(s.least+0.005*(sample-s.least), sample)
	switch u := s.trend.usage; {
	case s.crowded >= crowdPackets || s.queued >= queueTimes:
		// Most of all is lost, or stands in a long queue: nobody has to wait for
		// what the trend says.
		s.control.cut(s.acked.rate(cutBins), s.rtt, now)
	case u == usageOver && s.probe.echoes(at):
		s.control.update(usageUnder, 0, s.packet, s.rtt, now)
	case u == usageOver && sample < s.least+queueSome:
		// No queue stands behind it yet. A leg that is sent little must not be held
		// to carry no more than that for a moment of jitter.
		s.control.ease(s.rtt, now)
	case u == usageOver:
		s.control.update(u, s.acked.rate(cutBins), s.packet, s.rtt, now)
	default:
		s.control.update(u, s.acked.rate(meterBins-1), s.packet, s.rtt, now)
	}
	if n := s.received + s.lost; n >= lossPackets {
		s.control.lost(float64(s.lost)/float64(n), s.rtt, now)
		s.received, s.lost = 0, 0
	}
	if rate := s.probe.result(at); rate > 0 && s.trend.usage != usageOver {
		s.control.proved(rate)
	}
	s.control.rate = min(max(s.control.rate, Least), Most)
}

// unwrap continues the reference time, of which 24 bits travel.
func (s *Sender) unwrap(reference int64) int64 {
	if !s.referred {
		return reference + referenceWrap // never negative, whatever comes later
	}
	diff := (reference - s.reference) & (referenceWrap - 1)
	if diff >= referenceWrap/2 {
		diff -= referenceWrap
	}
	return s.reference + diff
}

// Tick is to be called about every 20 ms. Packets of which nothing is heard for
// a second halve the estimate each second: either way is broken then, and the
// way back in is found by probing.
func (s *Sender) Tick(at int64) {
	if !s.referred || s.pending < 3 || at-s.heard < silentAfter || at-s.backedOff < silentAfter {
		return
	}
	s.backedOff = at
	s.control.rate = max(s.control.bound()/2, Least)
	s.control.loss, s.control.limited = 0, true
}

// meter counts what arrived during the last half second, in bins.
type meter struct {
	bins  [meterBins]int // bytes
	first int64          // when counting began
	last  int64          // number of the newest bin
	began bool
}

const (
	meterBins = 10
	meterBin  = 50 * million // ns
	cutBins   = 4            // when less has to be sent, only the latest counts
)

func (m *meter) add(size int, at int64) {
	bin := at / meterBin
	switch {
	case !m.began, bin > m.last+4*meterBins, bin < m.last-meterBins:
		*m = meter{first: bin, last: bin, began: true}
	case bin <= m.last-meterBins:
		return
	}
	for m.last < bin {
		m.last++
		m.bins[m.last%meterBins] = 0
	}
	m.bins[bin%meterBins] += size
}

// rate is in bit/s over so many bins; 0 while there is too little to tell. The
// newest bin is still being filled and does not count.
func (m *meter) rate(most int64) float64 {
	bins := min(m.last-m.first, most)
	if !m.began || bins < 3 {
		return 0
	}
	sum := 0
	for i := m.last - bins; i < m.last; i++ {
		sum += m.bins[i%meterBins]
	}
	return float64(sum) * 8 * 1e9 / (float64(bins) * meterBin)
}
