package sfu

import (
	"encoding/binary"

	"kuule/sfu/port"
)

// RTCP packet types and feedback formats (RFC 3550, RFC 4585, RFC 5104).
const (
	typeSenderReport   = 200
	typeReceiverReport = 201
	typeTransport      = 205
	typePayload        = 206

	formatNack      = 1  // of typeTransport
	formatArrivals  = 15 // draft-holmer-rmcat-transport-wide-cc-extensions-01
	formatPLI       = 1  // of typePayload
	formatFIR       = 4
	blockBytes      = 24
	maxBlocks       = 31
	reportEvery     = 1e9
	reportPause     = 200e6 // between two sender reports of one source: each goes to all who receive it
	maxNacked       = 256   // packets that one feedback packet may ask for
	controlVersion  = 2 << 6
	reportBytes     = 28
	feedbackMinimum = 12
)

// block is one report block.
type block struct {
	source     uint32
	lost       uint8 // share, in 1/256
	total      int32 // lost packets
	jitter     uint32
	lastReport uint32
	delay      uint32 // in 1/65536 s
}

// Control implements port.Handler. What is malformed ends the walk; what is of no
// use to a node is passed over.
func (l *leg) Control(out *port.Batch, at int64, compound []byte) {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	if !l.reports.allow(at, len(compound)) {
		return
	}
	for len(compound) >= 4 {
		size := (int(binary.BigEndian.Uint16(compound[2:])) + 1) * 4
		if compound[0]>>6 != 2 || size > len(compound) {
			return
		}
		l.control(out, at, compound[:size])
		compound = compound[size:]
	}
}

func (l *leg) control(out *port.Batch, at int64, b []byte) {
	format := int(b[0] & 0x1f)
	switch {
	case b[1] == typeSenderReport && len(b) >= reportBytes:
		l.takeSenderReport(out, at, b)
		l.takeBlocks(at, format, b[reportBytes:])
	case b[1] == typeReceiverReport && len(b) >= 8:
		l.takeBlocks(at, format, b[8:])
	case len(b) < feedbackMinimum:
	case b[1] == typeTransport && format == formatNack:
		l.takeNack(out, at, b)
	case b[1] == typeTransport && format == formatArrivals:
		l.takeFeedback(at, b)
	case b[1] == typePayload && format == formatPLI:
		l.takeKeyRequest(out, at, binary.BigEndian.Uint32(b[8:]))
	case b[1] == typePayload && format == formatFIR:
		for rest := b[12:]; len(rest) >= 8; rest = rest[8:] {
			l.takeKeyRequest(out, at, binary.BigEndian.Uint32(rest))
		}
	}
}

// takeSenderReport hands a sender's clock on to those who receive the stream.
func (l *leg) takeSenderReport(out *port.Batch, at int64, b []byte) {
	s := l.streams[binary.BigEndian.Uint32(b[4:])]
	if s == nil || s.of != nil || s.counts.reportAt != 0 && at-s.counts.reportAt < reportPause {
		return
	}
	ntp, timestamp := binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])
	s.counts.reportNTP, s.counts.reportAt = uint32(ntp>>16), at
	if subscribers := s.track.subscribers.Load(); subscribers != nil {
		for _, to := range *subscribers {
			to.writeReport(s, ntp, timestamp, at, out)
		}
	}
}

func (l *leg) takeBlocks(at int64, n int, b []byte) {
	for ; n > 0 && len(b) >= blockBytes; n, b = n-1, b[blockBytes:] {
		r := block{source: binary.BigEndian.Uint32(b), lost: b[4], total: int32(binary.BigEndian.Uint32(b[4:])<<8) >> 8, jitter: binary.BigEndian.Uint32(b[12:]), lastReport: binary.BigEndian.Uint32(b[16:]), delay: binary.BigEndian.Uint32(b[20:])}
		if s := l.slotOf(r.source); s != nil && s.ssrc == r.source {
			s.takeReport(r, at)
		}
	}
}

func (l *leg) takeNack(out *port.Batch, at int64, b []byte) {
	s := l.slotOf(binary.BigEndian.Uint32(b[8:]))
	if s == nil {
		return
	}
	left := maxNacked
	for rest := b[12:]; len(rest) >= 4; rest = rest[4:] {
		first, more := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
		for i := uint16(0); i <= 16; i++ {
			if i > 0 && more&(1<<(i-1)) == 0 {
				continue
			}
			if left--; left < 0 {
				return
			}
			s.resend(first+i, at, out)
		}
	}
}

// takeFeedback takes the receiver's word on when packets came.
func (l *leg) takeFeedback(at int64, b []byte) { l.way.feedback(b, at) }

func (l *leg) takeKeyRequest(out *port.Batch, at int64, source uint32) {
	if s := l.slotOf(source); s != nil {
		s.requestKey(at, out)
	}
}

// reception counts what came of one source, as receiver reports tell it
// (RFC 3550, section 6.4.1 and appendix A.3).
type reception struct {
	started      bool
	first        uint32
	highest      uint32 // with its cycles
	received     uint32
	bytes        int64 // with headers of IP and UDP
	expectedThen uint32
	receivedThen uint32
	transit      uint32
	jitter       uint32 // times 16
	reportNTP    uint32
	reportAt     int64
}

func (r *reception) packet(at int64, sequence uint16, timestamp, clock uint32) {
	transit := uint32(at/1000*int64(clock)/1e6) - timestamp
	r.received++
	if !r.started {
		r.started, r.first, r.highest, r.transit = true, uint32(sequence), uint32(sequence), transit
		return
	}
	if ahead := int16(sequence - uint16(r.highest)); ahead > 0 {
		r.highest += uint32(ahead)
	}
	d := int32(transit - r.transit)
	r.transit = transit
	r.jitter += uint32(max(d, -d)) - (r.jitter+8)>>4
}

// append writes a report block and begins the next interval. least is the share
// of packets, in parts per million, that is lost on the whole way to a listener.
func (r *reception) append(b []byte, source uint32, at, least int64) []byte {
	expected := r.highest - r.first + 1
	lost := min(max(int64(expected)-int64(r.received), 0), 0x7fffff)
	interval, came := expected-r.expectedThen, r.received-r.receivedThen
	r.expectedThen, r.receivedThen = expected, r.received
	share := uint32(0)
	if interval > 0 && interval > came {
		share = (interval - came) * 256 / interval
	}
	share = max(share, uint32(least*256/1e6))
	delay := uint32(0)
	if r.reportNTP != 0 {
		delay = uint32((at - r.reportAt) / 1000 * 65536 / 1e6)
	}
	b = binary.BigEndian.AppendUint32(b, source)
	b = binary.BigEndian.AppendUint32(b, min(share, 255)<<24|uint32(lost))
	b = binary.BigEndian.AppendUint32(b, r.highest)
	b = binary.BigEndian.AppendUint32(b, r.jitter>>4)
	b = binary.BigEndian.AppendUint32(b, r.reportNTP)
	return binary.BigEndian.AppendUint32(b, delay)
}

// report is where a leg's reports are written.
type report struct{ b [1200]byte }

// sendReports tells the sender how its streams come; the leg's receiving is held.
func (l *leg) sendReports(at int64, out *port.Batch) {
	b := control(l.report.b[:0], 0, typeReceiverReport, l.local)
	n := 0
	for _, s := range l.order {
		if s.counts.started && n < maxBlocks {
			b = s.counts.append(b, s.ssrc, at, s.lossToListeners())
			n++
		}
	}
	if n > 0 {
		l.conn.SendControl(out, finish(b, n))
	}
}

func senderReport(b []byte, source uint32, ntp uint64, timestamp, packets, bytes uint32) []byte {
	b = control(b, 0, typeSenderReport, source)
	b = binary.BigEndian.AppendUint64(b, ntp)
	b = binary.BigEndian.AppendUint32(b, timestamp)
	b = binary.BigEndian.AppendUint32(b, packets)
	return finish(binary.BigEndian.AppendUint32(b, bytes), 0)
}

// control begins an RTCP packet, finish writes its length and count or format.
func control(b []byte, count, kind byte, source uint32) []byte {
	b = append(b, controlVersion|count, kind, 0, 0)
	return binary.BigEndian.AppendUint32(b, source)
}

func finish(b []byte, count int) []byte {
	b[0] = controlVersion | byte(count)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}
