package bandwidth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/gcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"kuule/sfu/bandwidth"
)

// other is the estimator of pion/interceptor in the place of a Sender. It keeps
// to the machine's clock, so it has to live in a bubble of testing/synctest.
type other struct {
	bwe    *gcc.SendSideBWE
	writer interceptor.RTPWriter
	next   uint16
	sleep  bool
}

func newOther(tb testing.TB, sleep bool) *other {
	bwe, err := gcc.NewSendSideBWE(gcc.SendSideBWEInitialBitrate(bandwidth.Start), gcc.SendSideBWEMinBitrate(bandwidth.Least), gcc.SendSideBWEPacer(gcc.NewNoOpPacer()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = bwe.Close() })
	o := &other{bwe: bwe, sleep: sleep}
	info := &interceptor.StreamInfo{SSRC: 1, RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01", ID: 1}}}
	o.writer = bwe.AddStream(info, interceptor.RTPWriterFunc(func(_ *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) { return len(payload), nil }))
	return o
}

var nothing [1500]byte

func (o *other) Sent(size int, _ int64) uint16 {
	sequence := o.next
	o.next++
	h := rtp.Header{Version: 2, SSRC: 1}
	if err := h.SetExtension(1, []byte{byte(sequence >> 8), byte(sequence)}); err != nil {
		panic(err)
	}
	if _, err := o.writer.Write(&h, nothing[:max(size-20, 0)], nil); err != nil {
		panic(err)
	}
	return sequence
}

func (o *other) Feedback(b []byte, _ int64) error {
	var f rtcp.TransportLayerCC
	if err := f.Unmarshal(b); err != nil {
		return err
	}
	return o.bwe.WriteRTCP([]rtcp.Packet{&f}, nil)
}

func (o *other) Tick(int64) {
	if o.sleep {
		time.Sleep(tick)
		synctest.Wait()
	}
}
func (o *other) Padding(int, int64) int { return 0 }
func (o *other) Known() bool            { return true }
func (o *other) Estimate() int          { return o.bwe.GetTargetBitrate() }

// The figures of docs/decisions about the estimator: the same squeezes in the
// same world. go test ./sfu/bandwidth -run Compare -v
func TestCompareWithAnother(t *testing.T) {
	if testing.Short() || !testing.Verbose() {
		t.Skip("figures for reading: run with -v")
	}
	measure := func(t *testing.T, name string, make func(t *testing.T) estimator) {
		for _, tc := range squeezes {
			w := newWorld(wide)
			w.sender = make(t)
			w.run(30 * time.Second)
			start := w.layer
			narrow := wide
			narrow.Rate = tc.rate
			w.down.Set(narrow)
			w.voices, w.voiceSize, w.voiceEvery = tc.voices, tc.size, tc.every
			at := w.now
			for w.sender.Estimate() > tc.rate*12/10 && w.now < at+10*time.Second {
				w.run(tick)
			}
			seen := w.now - at
			w.run(2 * time.Second)
			w.forget()
			w.run(30 * time.Second)
			w.drain()
			settled, came, worst := w.sender.Estimate(), 100*float64(w.voiceCame)/float64(w.voiceSent), w.worst()
			w.down.Set(wide)
			w.voices, w.voiceSize, w.voiceEvery = 3, 150, 20*time.Millisecond
			back := w.now
			for w.layer < 2 && w.now < back+120*time.Second {
				w.run(100 * time.Millisecond)
			}
			t.Logf("%-6s %-42s layer %d after 30 s; squeeze seen after %5d ms; then estimate %6d, voices %5.1f %%, waiting at most %4d ms; all back after %5.1f s",
				name, tc.name, start, seen.Milliseconds(), settled, came, worst.Milliseconds(), (w.now - back).Seconds())
		}
	}
	measure(t, "own", func(*testing.T) estimator { return bandwidth.NewSender() })
	synctest.Test(t, func(t *testing.T) { measure(t, "pion", func(t *testing.T) estimator { return newOther(t, true) }) })
}

// BenchmarkCompare is the cost of 20 packets sent and one feedback packet read.
func BenchmarkCompare(b *testing.B) {
	for name, e := range map[string]func() estimator{"own": func() estimator { return bandwidth.NewSender() }, "pion": func() estimator { return newOther(b, false) }} {
		b.Run(name, func(b *testing.B) {
			s := e()
			var r bandwidth.Recorder
			at := int64(0)
			buffer := make([]byte, 0, bandwidth.MaxFeedback)
			b.ReportAllocs()
			for b.Loop() {
				for range 20 {
					at += 6e6
					r.Arrived(s.Sent(1000, at), at+30e6)
				}
				if err := s.Feedback(r.Feedback(buffer[:0], 1, 2, at+30e6), at+60e6); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
