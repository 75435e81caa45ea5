package bandwidth

import "encoding/binary"

// Bounds of a Recorder.
const (
	recordSize  = 2048 // packets remembered, a power of two
	maxReported = 512  // packets in one feedback packet
	lateWindow  = 256  // packets that may still be reported after later ones were
	// FeedbackEvery is the time between two feedback packets in nanoseconds.
	FeedbackEvery = int64(100_000_000)
	// MaxFeedback is the most bytes that one feedback packet has.
	MaxFeedback = fixedBytes + 2*((maxReported+6)/7) + 2*maxReported + 3
)

// Recorder remembers when a publisher's packets came and tells the publisher,
// whose browser estimates its own way up from that. The zero value is ready.
type Recorder struct {
	arrivals [recordSize]int64 // by sequence number; 0: has not come
	started  bool
	base     int64 // the next to be reported, unwrapped
	end      int64 // one after the highest that came, unwrapped
	last     int64 // when feedback was last made
	count    uint8 // feedback packets made
	deltas   [maxReported]delta
}

// delta is one packet's status and arrival after the one before it.
type delta struct {
	status uint8
	units  int16
}

// Arrived notes a packet. A second copy of one that came before changes nothing.
func (r *Recorder) Arrived(sequence uint16, at int64) {
	at = max(at, 1)
	if !r.started {
		r.started, r.base, r.end, r.last = true, int64(sequence), int64(sequence)+1, at
		r.arrivals[sequence%recordSize] = at
		return
	}
	n := r.end - 1 + int64(int16(sequence-uint16(r.end-1)))
	switch {
	case n >= r.end:
		if n-r.end >= recordSize { // a new life of the sender's numbers
			r.arrivals = [recordSize]int64{}
			r.base = n
		}
		for i := max(r.end, n-recordSize+1); i < n; i++ {
			r.arrivals[i&(recordSize-1)] = 0
		}
		r.end = n + 1
		r.base = max(r.base, r.end-recordSize)
	case n < r.end-lateWindow || r.arrivals[n&(recordSize-1)] != 0:
		return
	default:
		r.base = min(r.base, n)
	}
	r.arrivals[n&(recordSize-1)] = at
}

// Feedback appends one RTCP packet to b if one is due, about every
// FeedbackEvery, and is to be called again until it appends nothing. The SSRCs
// are the node's own and that of any stream of the publisher's.
func (r *Recorder) Feedback(b []byte, ssrc, media uint32, at int64) []byte {
	if !r.started || r.base >= r.end || at-r.last < FeedbackEvery && r.end-r.base < maxReported {
		return b
	}
	// The packet begins with one that came: before it nothing is known.
	for r.base < r.end && r.arrivals[r.base&(recordSize-1)] == 0 {
		r.base++
	}
	if r.base >= r.end {
		return b
	}
	start := len(b)
	first := r.arrivals[r.base&(recordSize-1)]
	reference := first / referenceUnit
	n := r.fit(reference * referenceUnit)
	b = append(b, 0x80|formatFeedback, rtcpTransport, 0, 0)
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = binary.BigEndian.AppendUint32(b, media)
	b = binary.BigEndian.AppendUint16(b, uint16(r.base))
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, byte(reference>>16), byte(reference>>8), byte(reference), r.count)
	b = appendChunks(b, r.deltas[:n])
	for _, d := range r.deltas[:n] {
		switch d.status {
		case statusSmall:
			b = append(b, byte(d.units))
		case statusLarge:
			b = binary.BigEndian.AppendUint16(b, uint16(d.units))
		}
	}
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16((len(b)-start)/4-1))
	r.base += int64(n)
	r.count++
	if r.base >= r.end {
		r.last = at
	}
	return b
}

// fit says how many packets go into one feedback packet, and notes their deltas:
// all that is to be told, but no delta that cannot be written and no more than
// maxReported.
func (r *Recorder) fit(previous int64) int {
	n := 0
	for n < maxReported && r.base+int64(n) < r.end {
		at := r.arrivals[(r.base+int64(n))&(recordSize-1)]
		if at == 0 {
			r.deltas[n] = delta{}
			n++
			continue
		}
		units := (at - previous) / deltaUnit
		if units > 32767 || units < -32768 {
			break
		}
		// The rest that the unit cannot say is carried on, or it would add up.
		previous += units * deltaUnit
		r.deltas[n] = delta{status: statusSmall, units: int16(units)}
		if units < 0 || units > 255 {
			r.deltas[n].status = statusLarge
		}
		n++
	}
	return n
}

// appendChunks writes the status of each packet, as runs where they are long.
func appendChunks(b []byte, deltas []delta) []byte {
	for i := 0; i < len(deltas); {
		run := 1
		for i+run < len(deltas) && deltas[i+run].status == deltas[i].status {
			run++
		}
		if run >= 7 || i+run == len(deltas) {
			b = binary.BigEndian.AppendUint16(b, uint16(deltas[i].status)<<13|uint16(run))
			i += run
			continue
		}
		c := uint16(0xc000)
		for j := range min(7, len(deltas)-i) {
			c |= uint16(deltas[i+j].status) << (12 - 2*j)
		}
		b = binary.BigEndian.AppendUint16(b, c)
		i += 7
	}
	return b
}
