package bandwidth_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtcp"

	"kuule/sfu/bandwidth"
)

// What a Recorder writes is read by another implementation as what it was told:
// which packets came, and when, to a quarter of a millisecond.
func TestFeedbackIsReadByOthers(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(5, 6))
	for round := range 200 {
		var r bandwidth.Recorder
		first := uint16(chance.IntN(65536))
		came := map[uint16]int64{}
		at := int64(1e9) + chance.Int64N(1e12)
		loss := chance.IntN(60)
		for i := range uint16(100 + chance.IntN(600)) {
			at += chance.Int64N(20e6)
			if chance.IntN(200) == 0 {
				at += 3e9 // a pause
			}
			if chance.IntN(100) < loss && i > 0 {
				continue
			}
			arrived := at
			if chance.IntN(20) == 0 {
				arrived -= min(chance.Int64N(10e6), at-1) // out of order
			}
			r.Arrived(first+i, arrived)
			r.Arrived(first+i, arrived+50e6) // again: the first counts
			came[first+i] = arrived
		}
		told := map[uint16]bool{}
		count := -1
		for {
			b := r.Feedback(nil, 7, 8, at+1e9)
			if len(b) == 0 {
				break
			}
			if len(b) > bandwidth.MaxFeedback {
				t.Fatalf("%d bytes", len(b))
			}
			var f rtcp.TransportLayerCC
			if err := f.Unmarshal(b); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if f.SenderSSRC != 7 || f.MediaSSRC != 8 || int(f.FbPktCount) != (count+1)%256 {
				t.Fatalf("%+v", f)
			}
			count = int(f.FbPktCount)
			sequence, deltas, seen := f.BaseSequenceNumber, f.RecvDeltas, 0
			clock := int64(f.ReferenceTime) * 64e6
			status := func(symbol uint16) {
				if seen++; seen > int(f.PacketStatusCount) {
					return
				}
				if arrived, is := came[sequence]; is != (symbol != 0) {
					t.Fatalf("round %d: packet %d came: %v, told: %v", round, sequence, is, symbol)
				} else if is {
					clock += deltas[0].Delta * 1000
					deltas = deltas[1:]
					if d := arrived%(64e6*(1<<24)) - clock; d <= -250_000 || d >= 250_000 {
						t.Fatalf("round %d: packet %d came at %d and was told %d off", round, sequence, arrived, d)
					}
					told[sequence] = true
				}
				sequence++
			}
			for _, c := range f.PacketChunks {
				switch c := c.(type) {
				case *rtcp.RunLengthChunk:
					for range c.RunLength {
						status(c.PacketStatusSymbol)
					}
				case *rtcp.StatusVectorChunk:
					for _, symbol := range c.SymbolList {
						status(symbol)
					}
				}
			}
		}
		if len(told) != len(came) {
			t.Fatalf("round %d: told of %d packets, %d came", round, len(told), len(came))
		}
	}
}

// Feedback of another implementation is read: runs, one-bit and two-bit vectors.
func TestFeedbackOfOthersIsRead(t *testing.T) {
	t.Parallel()
	s := bandwidth.NewSender()
	for i := range int64(30) {
		s.Sent(1000, 1e9+i*10e6)
	}
	f := rtcp.TransportLayerCC{
		SenderSSRC: 1, MediaSSRC: 2, BaseSequenceNumber: 0, PacketStatusCount: 30, ReferenceTime: 16,
		PacketChunks: []rtcp.PacketStatusChunk{
			&rtcp.StatusVectorChunk{SymbolSize: rtcp.TypeTCCSymbolSizeOneBit, SymbolList: []uint16{1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
			&rtcp.StatusVectorChunk{SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, SymbolList: []uint16{1, 2, 1, 1, 1, 1, 1}},
			&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 9},
		},
	}
	for i := range 29 {
		d := &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedSmallDelta, Delta: 10_000}
		if i == 14 {
			d = &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedLargeDelta, Delta: -5_000}
		}
		f.RecvDeltas = append(f.RecvDeltas, d)
	}
	f.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: f.Len()/4 - 1}
	b, err := f.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Feedback(b, 1.4e9); err != nil {
		t.Fatal(err)
	}
	if rtt := s.RTT(); rtt != 110e6 {
		t.Errorf("round trip of %d ns", rtt)
	}
}

func TestMalformedFeedback(t *testing.T) {
	t.Parallel()
	good := []byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0}
	s := bandwidth.NewSender()
	s.Sent(100, 64e6)
	if err := s.Feedback(good, 70e6); err != nil || s.RTT() == 0 {
		t.Fatalf("the good one: %v, round trip %d", err, s.RTT())
	}
	change := func(i int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[i] = v
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":                  nil,
		"another format":           change(0, 0x81),
		"another version":          change(0, 0x4f),
		"another type":             change(1, 206),
		"longer than it is":        change(3, 6),
		"shorter than its header":  change(3, 3),
		"about no packet":          change(15, 0),
		"about too many":           change(14, 0xff),
		"chunk about nothing":      {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0},
		"status without a meaning": change(20, 0x60),
		"chunks end early":         change(15, 200),
		"deltas end early":         {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 1, 0, 0x20, 9, 4, 0},
		"cut":                      good[:21],
	} {
		if err := s.Feedback(b, 80e6); !errors.Is(err, bandwidth.ErrFeedback) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0})
	var r bandwidth.Recorder
	for i := range uint16(300) {
		if i%7 != 3 {
			r.Arrived(i, int64(i)*9e6+1)
		}
	}
	f.Add(r.Feedback(nil, 1, 2, 1e10))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := bandwidth.NewSender()
		for i := range int64(600) {
			s.Sent(500, i*5e6)
		}
		for i := range int64(3) {
			_ = s.Feedback(b, 3e9+i*1e8)
			s.Tick(3e9 + i*1e8)
			s.Padding(5_000_000, 3e9+i*1e8)
			if e := s.Estimate(); e < bandwidth.Least || e > bandwidth.Most {
				t.Fatalf("estimate %d", e)
			}
		}
	})
}

// FuzzRecorder writes only what is well formed, whatever comes in whatever order.
func FuzzRecorder(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 2, 1, 0, 9, 40, 0, 3, 1, 255, 255, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r bandwidth.Recorder
		at := int64(0)
		for ; len(b) >= 3; b = b[3:] {
			at += int64(b[2]) * int64(b[2]) * 1e6
			r.Arrived(uint16(b[0])<<8|uint16(b[1]), at)
			for range 5000 {
				p := r.Feedback(nil, 1, 2, at)
				if len(p) == 0 {
					break
				}
				var got rtcp.TransportLayerCC
				if err := got.Unmarshal(p); err != nil {
					t.Fatal(err)
				}
				if err := bandwidth.NewSender().Feedback(p, at); err != nil {
					t.Fatal(err)
				}
			}
			if p := r.Feedback(nil, 1, 2, at); len(p) > 0 {
				t.Fatal("feedback without an end")
			}
		}
	})
}
