package repair

// Bounds of Losses.
const (
	window     = 1024 // numbers of which it is known whether they came
	MaxMissing = 128  // more at once is no loss to be repaired
	MaxAsks    = 10   // for one packet

	shortestWait = 20e6 // nanoseconds between two questions for one packet
)

// Arrival says what a packet is to its stream.
type Arrival uint8

// Arrivals.
const (
	Fresh     Arrival = iota // newer than all before
	Recovered                // missing until now
	Duplicate                // here before, or too old to tell: not to be forwarded
)

// Losses knows which packets of one incoming stream are missing. It must not be
// used by two goroutines at once.
type Losses struct {
	// Deadline is how long, in nanoseconds, a missing packet is of use: a second
	// for a picture, what the receivers' jitter buffers hold for sound.
	Deadline int64
	// Patience is how long, in nanoseconds, a missing packet may yet come by itself
	// before it is asked for.
	Patience int64
	// Eager asks again without waiting for an answer, which is cheaper than a lost
	// sound and dearer than a late picture.
	Eager bool

	started bool
	highest uint16
	came    [window / 64]uint64

	missing [MaxMissing]missing
	count   int
	next    int64 // when the first of them is due
	gaveUp  bool

	Packets, Lost, Repaired uint64 // fresh and recovered; given up; recovered after a question
	Gaps                    uint64 // packets that others overtook, whatever became of them
}

type missing struct {
	sequence uint16
	asks     uint8
	since    int64
	next     int64
}

// Arrive takes a packet's number. It is called before anything else is done with
// the packet: only what is Fresh or Recovered goes on.
func (l *Losses) Arrive(sequence uint16, at int64) Arrival {
	if !l.started {
		l.started, l.highest = true, sequence
		l.set(sequence)
		l.Packets++
		return Fresh
	}
	ahead := int16(sequence - l.highest)
	switch {
	case ahead > 0:
		l.skip(int(ahead)-1, at)
		for i := range min(int(ahead), window) {
			l.clear(sequence - uint16(i))
		}
		l.highest = sequence
		l.set(sequence)
		l.Packets++
		return Fresh
	case ahead <= -window || l.has(sequence):
		return Duplicate
	}
	l.set(sequence)
	l.Packets++
	l.remove(sequence)
	return Recovered
}

// skip notes n missing packets after the highest.
func (l *Losses) skip(n int, at int64) {
	if n == 0 {
		return
	}
	l.Gaps += uint64(n)
	if l.count+n > MaxMissing { // an outage: a key frame mends more than questions
		l.Lost += uint64(l.count + n)
		l.count, l.gaveUp = 0, true
		return
	}
	next := at + l.Patience
	if l.count == 0 || next < l.next {
		l.next = next
	}
	for i := range n {
		l.missing[l.count] = missing{sequence: l.highest + 1 + uint16(i), since: at, next: next}
		l.count++
	}
}

func (l *Losses) remove(sequence uint16) {
	for i := range l.count {
		if l.missing[i].sequence != sequence {
			continue
		}
		if l.missing[i].asks > 0 {
			l.Repaired++
		}
		copy(l.missing[i:], l.missing[i+1:l.count])
		l.count--
		return
	}
}

// Due appends the numbers to ask for now, at most as many as dst has room for.
// What an answer can no longer bring in time is given up. rtt is the round trip
// to the sender in nanoseconds.
func (l *Losses) Due(at, rtt int64, dst []uint16) []uint16 {
	if l.count == 0 || at < l.next {
		return dst
	}
	kept := 0
	l.next = at + int64(1)<<40
	for i := range l.count {
		m := l.missing[i]
		due := at >= m.next
		if due && (m.asks >= MaxAsks || at+rtt > m.since+l.Deadline) {
			l.Lost++
			l.gaveUp = true
			continue
		}
		if due && len(dst) < cap(dst) {
			dst = append(dst, m.sequence)
			m.asks++
			// A question or its answer may be lost too; each further one waits longer.
			m.next = at + max(rtt+rtt/4, shortestWait)*int64(1+m.asks/4)
			if l.Eager {
				m.next = at + shortestWait
			}
		}
		l.next = min(l.next, m.next)
		l.missing[kept] = m
		kept++
	}
	l.count = kept
	return dst
}

// GaveUp reports, once, that packets were lost for good: a picture needs a key
// frame now.
func (l *Losses) GaveUp() bool {
	was := l.gaveUp
	l.gaveUp = false
	return was
}

// Awaited says that a packet is missing and may still come.
func (l *Losses) Awaited(sequence uint16) bool {
	for i := range l.count {
		if l.missing[i].sequence == sequence {
			return true
		}
	}
	return false
}

// Missing is how many packets are being waited for.
func (l *Losses) Missing() int { return l.count }

func (l *Losses) has(n uint16) bool { return l.came[n%window/64]&(1<<(n%64)) != 0 }
func (l *Losses) set(n uint16)      { l.came[n%window/64] |= 1 << (n % 64) }
func (l *Losses) clear(n uint16)    { l.came[n%window/64] &^= 1 << (n % 64) }
