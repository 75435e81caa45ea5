package main

import (
	"encoding/binary"
	"time"
)

// gotSource is one stream that a client receives.
type gotSource struct {
	ssrc    uint32
	started bool
	first   uint32
	highest uint32 // with cycles
	count   uint32
	seen    [128]uint64 // of the last 8192 counted numbers of its sender
	gaps    []askedFor
	picture bool
	ntp     uint32
	ntpAt   int64
}

type askedFor struct {
	sequence uint16
	asked    int
	at       int64
}

// reports is where RTCP is written.
type reports struct{ b [1400]byte }

// takePacket checks one packet by its content and counts it.
func (c *client) takePacket(b []byte) {
	if c.in == nil {
		return
	}
	clear, err := c.in.DecryptRTP(b, b, &c.got)
	if err != nil {
		return
	}
	at := int64(time.Since(start))
	if id := c.got.GetExtension(idTransport); len(id) == 2 {
		c.arrivals.Arrived(binary.BigEndian.Uint16(id), at)
	}
	from := 12
	if c.got.Extension {
		from += 4 + 4*int(binary.BigEndian.Uint16(clear[14:]))
	}
	to := len(clear)
	if c.got.Padding {
		to -= int(clear[to-1])
	}
	if from >= to {
		c.control(at)
		return
	}
	body := clear[from:to]
	if c.got.PayloadType == 97 { // a repair: what it repairs is inside
		if len(body) <= 2+stampBytes {
			return
		}
		c.fill(binary.BigEndian.Uint16(body))
		body = body[2:]
	} else {
		c.sequenced(at)
	}
	c.judge(at, body)
	if f := c.onMedia.Load(); f != nil {
		(*f)()
	}
	c.control(at)
}

// judge holds a payload against its stamp.
func (c *client) judge(at int64, body []byte) {
	if len(body) < stampBytes || sumOf(body) != binary.BigEndian.Uint32(body[stampSum:]) {
		c.counts.spoiled++
		return
	}
	if body[stampCounted] == 0 {
		return
	}
	s := c.source(binary.BigEndian.Uint32(body[stampSender:])) // by its sender: a slot may change its own
	n := binary.BigEndian.Uint32(body[stampNumber:])
	bit := uint64(1) << (n % 64)
	word := &s.seen[n/64%uint32(len(s.seen))]
	if n%64 == 0 {
		s.seen[(n/64+uint32(len(s.seen)/2))%uint32(len(s.seen))] = 0 // made ready for later
	}
	if *word&bit != 0 {
		c.counts.again++
		return
	}
	*word |= bit
	if c.watched != nil {
		c.watched.came(at, s.ssrc, n)
	}
	c.counts.packets++
	took := time.Duration(at) - time.Duration(binary.BigEndian.Uint64(body))
	c.counts.latency = append(c.counts.latency, took)
	if c.stamps {
		c.counts.delivered = append(c.counts.delivered, max(0, took-c.waited))
	}
}

func (c *client) source(ssrc uint32) *gotSource {
	s := c.sources[ssrc]
	if s == nil {
		s = &gotSource{ssrc: ssrc}
		c.sources[ssrc] = s
	}
	return s
}

// sequenced notes a packet's number and what is missing before it.
func (c *client) sequenced(at int64) {
	s := c.source(c.got.SSRC)
	seq := c.got.SequenceNumber
	s.count++
	if !s.started {
		s.started, s.first, s.highest, s.picture = true, uint32(seq), uint32(seq), c.got.PayloadType == 96
		c.list = append(c.list, s)
		return
	}
	ahead := int16(seq - uint16(s.highest))
	if ahead <= 0 {
		c.fill(seq)
		return
	}
	for n := uint16(s.highest) + 1; n != seq && ahead < 100 && len(s.gaps) < 100; n++ {
		s.gaps = append(s.gaps, askedFor{sequence: n, at: at})
	}
	s.highest += uint32(ahead)
}

// fill notes that a missing packet came.
func (c *client) fill(sequence uint16) {
	for _, s := range c.list {
		for i := range s.gaps {
			if s.gaps[i].sequence == sequence {
				s.gaps = append(s.gaps[:i], s.gaps[i+1:]...)
				return
			}
		}
	}
}

// Times of a client's reports.
const (
	askEvery    = int64(50 * time.Millisecond)
	reportEvery = int64(time.Second)
	localSource = 1
)

// control sends the reports that are due: feedback on arrivals, what is missing,
// and once a second how each stream comes.
func (c *client) control(at int64) {
	if b := c.arrivals.Feedback(c.report.b[:0], localSource, localSource, at); len(b) > 0 {
		c.sendControl(b)
	}
	for _, s := range c.list {
		for i := 0; i < len(s.gaps); i++ {
			g := &s.gaps[i]
			if at-g.at < askEvery {
				continue
			}
			g.at, g.asked = at, g.asked+1
			if g.asked > 8 {
				s.gaps = append(s.gaps[:i], s.gaps[i+1:]...)
				i--
				continue
			}
			b := rtcpHeader(c.report.b[:0], 1, 205, localSource)
			b = binary.BigEndian.AppendUint32(b, s.ssrc)
			b = binary.BigEndian.AppendUint16(b, g.sequence)
			c.sendControl(rtcpFinish(binary.BigEndian.AppendUint16(b, 0)))
		}
	}
	if at-c.reported < reportEvery {
		return
	}
	c.reported = at
	b := rtcpHeader(c.report.b[:0], byte(min(len(c.list), 31)), 201, localSource)
	for _, s := range c.list[:min(len(c.list), 31)] {
		b = binary.BigEndian.AppendUint32(b, s.ssrc)
		lost := max(int64(s.highest-s.first+1)-int64(s.count), 0)
		b = binary.BigEndian.AppendUint32(b, uint32(lost)&0xffffff)
		b = binary.BigEndian.AppendUint32(b, s.highest)
		b = binary.BigEndian.AppendUint32(b, 0)
		b = binary.BigEndian.AppendUint32(b, s.ntp)
		delay := uint32(0)
		if s.ntp != 0 {
			delay = uint32((at - s.ntpAt) / 1000 * 65536 / 1e6)
		}
		b = binary.BigEndian.AppendUint32(b, delay)
	}
	c.sendControl(rtcpFinish(b))
	c.sendReports()
}

// sendReports sends the sender reports of the own streams.
func (c *client) sendReports() {
	c.sending.Lock()
	defer c.sending.Unlock()
	for i := range c.streams {
		s := &c.streams[i]
		if s.packets == 0 || c.out == nil {
			continue
		}
		b := rtcpHeader(nil, 0, 200, s.ssrc)
		b = binary.BigEndian.AppendUint64(b, uint64(s.sentAt)<<2)
		b = binary.BigEndian.AppendUint32(b, s.timestamp)
		b = binary.BigEndian.AppendUint32(b, s.packets)
		b = rtcpFinish(binary.BigEndian.AppendUint32(b, s.octets))
		if out, err := c.out.EncryptRTCP(nil, b, nil); err == nil {
			c.write(out)
		}
	}
}

func (c *client) sendControl(b []byte) {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.out == nil {
		return
	}
	if out, err := c.out.EncryptRTCP(nil, b, nil); err == nil {
		c.write(out)
	}
}

// takeControl hears what the node asks for; the client's lock is held.
func (c *client) takeControl(b []byte) {
	if c.in == nil {
		return
	}
	clear, err := c.in.DecryptRTCP(b, b, nil)
	if err != nil {
		return
	}
	at := int64(time.Since(start))
	for len(clear) >= 8 {
		size := 4 * (int(binary.BigEndian.Uint16(clear[2:])) + 1)
		if size > len(clear) {
			return
		}
		p := clear[:size]
		clear = clear[size:]
		format := p[0] & 0x1f
		switch {
		case p[1] == 200 && size >= 28:
			s := c.source(binary.BigEndian.Uint32(p[4:]))
			s.ntp, s.ntpAt = binary.BigEndian.Uint32(p[10:]), at
		case p[1] == 206 && format == 1 && size >= 12:
			c.wantKey.Store(true)
		case p[1] == 205 && format == 1 && size >= 16:
			c.asked(binary.BigEndian.Uint32(p[8:]), p[12:])
		}
	}
}

func (c *client) asked(source uint32, list []byte) {
	for i := range c.streams {
		if c.streams[i].ssrc != source {
			continue
		}
		for ; len(list) >= 4; list = list[4:] {
			first, more := binary.BigEndian.Uint16(list), binary.BigEndian.Uint16(list[2:])
			c.resend(i, first)
			for k := range uint16(16) {
				if more&(1<<k) != 0 {
					c.resend(i, first+k+1)
				}
			}
		}
	}
}

func rtcpHeader(b []byte, count, kind byte, source uint32) []byte {
	b = append(b, 0x80|count, kind, 0, 0)
	return binary.BigEndian.AppendUint32(b, source)
}

func rtcpFinish(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}
