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
	queueSome    = 50.0           // ms that even the quickest packet stood in a queue: more is sent than the link carries
	queueHigh    = 100.0          // ms of that: and it has to end
	crowdPackets = 10             // lost at least, and more than came: the link is far too narrow
	million      = 1_000_000      // nanoseconds of a millisecond

	// Trouble is a queue that stands, or many losses. Jitter of a busy machine is
	// none: it delays some packets and never all of them.
	troubleGap   = 300 * million // without trouble, and what comes then is another time
	crowdedAfter = 500 * million // of trouble
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
	late      least   // how long the quickest packet of late was on its way, by two clocks
	base      least   // the same over a long time: what the way takes without a queue
	packet    float64 // bytes, smoothed
	heard     int64   // when the last feedback came
	pending   int     // packets sent since
	backedOff int64

	received, lost int // since losses were last counted
	came, missing  int64
	crowded        int // lost in the newest feedback, if it was most of it
	lossy          bool

	trouble, troubled int64 // when the newest began, and when it was last seen; 0: never
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
	return &Sender{trend: newTrend(), control: control{rate: Start}, packet: 1000, late: least{spell: lateSpell}, base: least{spell: baseSpell}}
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
		s.late.add(arrived-p.at, arrived)
		s.base.add(arrived-p.at, arrived)
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
		s.rtt = sample
	}
	s.rtt += 0.1 * (sample - s.rtt)
	queue := float64(s.late.value()-s.base.value()) / million
	switch u := s.trend.usage; {
	case s.crowded >= crowdPackets || queue > queueHigh:
		// Most of all is lost, or stands in a long queue: nobody has to wait for
		// what the trend says.
		s.control.cut(s.acked.rate(cutBins), s.rtt, now)
	case u == usageOver && s.probe.echoes(at):
		s.control.update(usageUnder, 0, s.packet, s.rtt, now)
	case u == usageOver && queue < queueSome:
		// No queue stands behind it: jitter, of the way or of who was busy at one of
		// its ends. What has just arrived in time is carried.
		s.control.ease(s.acked.rate(meterBins-1), s.rtt, now)
	case u == usageOver:
		s.control.update(u, s.acked.rate(cutBins), s.packet, s.rtt, now)
	default:
		s.control.update(u, s.acked.rate(meterBins-1), s.packet, s.rtt, now)
	}
	if n := s.received + s.lost; n >= lossPackets {
		share := float64(s.lost) / float64(n)
		s.control.lost(share, s.rtt, now)
		s.received, s.lost, s.lossy = 0, 0, share > lossHigh
	}
	if s.lossy || s.crowded >= crowdPackets || queue > queueSome {
		s.suffer(at)
	}
	if rate := s.probe.result(at); rate > 0 && s.trend.usage != usageOver {
		s.control.proved(rate)
	}
	s.control.rate = min(max(s.control.rate, Least), Most)
}

// suffer notes trouble.
func (s *Sender) suffer(at int64) {
	if s.troubled == 0 || at-s.troubled > troubleGap {
		s.trouble = at
	}
	s.troubled = at
}

// Crowded reports whether more is sent than the link carries, and has been for
// half a second: a queue stands, packets are lost, or nothing is heard at all. An
// estimate alone does not say so.
func (s *Sender) Crowded(at int64) bool {
	return s.silent(at) || s.troubled != 0 && at-s.troubled < troubleGap && s.troubled-s.trouble >= crowdedAfter
}

func (s *Sender) silent(at int64) bool { return s.pending >= 3 && at-s.heard >= silentAfter }

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
	if !s.referred || !s.silent(at) || at-s.backedOff < silentAfter {
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

// least is the smallest value of between one and two spells.
type least struct {
	spell       int64
	began       int64
	now, before int64
	known       bool
}

// Spells. A packet that met no queue comes in each, or there is one.
const (
	lateSpell = 200 * million
	baseSpell = 10_000 * million
)

func (l *least) add(v, at int64) {
	switch {
	case !l.known || at-l.began > 2*l.spell:
		l.known, l.began, l.now, l.before = true, at, v, v
	case at-l.began > l.spell:
		l.began, l.now, l.before = at, v, l.now
	default:
		l.now = min(l.now, v)
	}
}

func (l *least) value() int64 { return min(l.now, l.before) }
