package sfu

import (
	"encoding/binary"
	"testing"

	"kuule/internal/repair"
	"kuule/sfu/offer"
)

// E12: each sender report goes to everybody who receives the stream, so a flood of
// them, many in one datagram, would be paid by others.
func TestAFloodOfSenderReportsIsNotPassedOn(t *testing.T) {
	t.Parallel()
	from, _, sinks := wired(offer.Video, 2)
	from.Packet(nil, arriving(t, testSource, testPayload, 1, keyDescriptor, []byte("x")))
	for _, s := range sinks {
		s.keep = true
	}
	const second, perDatagram = int64(1e9), 40
	sent := 0
	for i := range int64(100) { // within one second
		var compound []byte
		for n := range uint64(perDatagram) {
			compound = append(compound, senderReport(nil, testSource, uint64(i)<<32|n, 3000, 1, 1)...)
			sent++
		}
		from.Control(nil, second+i*second/100, compound)
	}
	for i, s := range sinks {
		if got, most := len(s.reports), int(second/reportPause)+1; got == 0 || got > most {
			t.Errorf("receiver %d was sent %d reports of %d, at most %d", i, got, sent, most)
		}
	}
}

// A receiver that asks without end is heard as often as its allowance lasts, and
// its own sound and picture go on.
func TestAFloodOfQuestionsIsCutToItsAllowance(t *testing.T) {
	t.Parallel()
	from, slots, sinks := wired(offer.Video, 1)
	from.Packet(nil, arriving(t, testSource, testPayload, 1, keyDescriptor, []byte("x")))
	l := slots[0].leg
	before := l.allowance
	l.reports = reportAllowance
	asked := slots[0].keyAsks
	const flood = 20_000
	for i := range int64(flood) { // within one second
		l.Control(nil, 1e9+i*50_000, repair.AppendPLI(nil, 1, slots[0].ssrc))
	}
	if got, most := int(slots[0].keyAsks-asked), int(2*reportAllowance.packets)+1; got > most || got < most/4 {
		t.Errorf("%d of %d questions were heard, the allowance is %d", got, flood, most)
	}
	// Large ones end it by their bytes.
	l.reports = reportAllowance
	long := append(repair.AppendPLI(nil, 1, slots[0].ssrc), make([]byte, 1400)...)
	binary.BigEndian.PutUint16(long[2:], 2) // what follows is no report
	asked = slots[0].keyAsks
	for i := range int64(1000) {
		l.Control(nil, 3e9+i*1e6, long)
	}
	if got, most := int(slots[0].keyAsks-asked), int(2*reportAllowance.bytes)/len(long)+1; got > most || got == 0 {
		t.Errorf("%d questions of %d bytes were heard, at most %d", got, len(long), most)
	}
	if l.allowance != before || sinks[0].packets == 0 {
		t.Error("questions were paid by the allowance of sound and picture")
	}
}
