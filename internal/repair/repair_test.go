package repair

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pion/rtcp"
)

const ms = int64(1e6)

func losses() *Losses { return &Losses{Deadline: 1000 * ms} }

// What comes twice is new once, in every order and over the numbers' end.
func TestAPacketIsNewOnce(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	l := losses()
	come := map[int]int{}
	base := 65536 - 500
	for i := range 3000 {
		n := base + max(0, i-r.IntN(200))
		if l.Arrive(uint16(n), int64(i)*ms) != Duplicate {
			come[n]++
		}
	}
	for n, times := range come {
		if times != 1 {
			t.Errorf("packet %d was new %d times", n, times)
		}
	}
	if len(come) < 1500 || l.Packets != uint64(len(come)) {
		t.Errorf("%d packets were new, %d counted", len(come), l.Packets)
	}
	if l.Arrive(uint16(base), 0) != Duplicate {
		t.Error("a packet from long ago is new")
	}
}

// A missing packet is asked for at once, then after each round trip, and given
// up in the end.
func TestAMissingPacketIsAskedForAndGivenUp(t *testing.T) {
	t.Parallel()
	l := losses()
	l.Arrive(10, 0)
	l.Arrive(12, 5*ms)
	var asked []int64
	for at := 5 * ms; at < 3000*ms; at += ms {
		if due := l.Due(at, 40*ms, make([]uint16, 0, 8)); len(due) > 0 {
			if !slices.Equal(due, []uint16{11}) {
				t.Fatalf("asked for %v", due)
			}
			asked = append(asked, at)
		}
	}
	if len(asked) < 5 || len(asked) > MaxAsks || asked[0] != 5*ms {
		t.Errorf("asked at %v", asked)
	}
	for i := 1; i < len(asked); i++ {
		if asked[i]-asked[i-1] < 40*ms {
			t.Errorf("asked again after %d ms, before an answer could come", (asked[i]-asked[i-1])/ms)
		}
	}
	if !l.GaveUp() || l.GaveUp() || l.Lost != 1 || l.Missing() != 0 {
		t.Errorf("lost %d, missing %d", l.Lost, l.Missing())
	}
}

func TestARepairIsCounted(t *testing.T) {
	t.Parallel()
	l := losses()
	l.Arrive(10, 0)
	l.Arrive(13, 0)
	if due := l.Due(0, ms, make([]uint16, 0, 8)); !slices.Equal(due, []uint16{11, 12}) {
		t.Fatalf("asked for %v", due)
	}
	if l.Arrive(12, ms) != Recovered || l.Arrive(12, ms) != Duplicate || l.Repaired != 1 || l.Missing() != 1 {
		t.Errorf("%+v", l.Repaired)
	}
}

// N5: sound is asked for only where the answer can come while it is of use.
func TestSoundIsAskedForOnlyInTime(t *testing.T) {
	t.Parallel()
	for rtt, want := range map[int64]int{10 * ms: 1, 79 * ms: 1, 81 * ms: 0, 300 * ms: 0} {
		l := &Losses{Deadline: 80 * ms}
		l.Arrive(1, 0)
		l.Arrive(3, 0)
		if got := len(l.Due(0, rtt, make([]uint16, 0, 8))); got != want {
			t.Errorf("round trip %d ms: asked %d times", rtt/ms, got)
		}
	}
}

// N5: there is time for few round trips, so sound is asked for again before an
// answer can have come.
func TestSoundIsAskedForEagerly(t *testing.T) {
	t.Parallel()
	l := &Losses{Deadline: 120 * ms, Eager: true}
	l.Arrive(1, 0)
	l.Arrive(3, 0)
	asked := 0
	for at := int64(0); at < 200*ms; at += ms {
		asked += len(l.Due(at, 40*ms, make([]uint16, 0, 8)))
	}
	if asked != 5 { // at 0, 20, 40, 60 and 80 ms: later no answer comes in time
		t.Errorf("asked %d times", asked)
	}
}

// What can be missed is bounded: after an outage nothing is asked for.
func TestAnOutageIsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	l := losses()
	l.Arrive(0, 0)
	l.Arrive(MaxMissing+2, 0)
	if len(l.Due(0, 0, make([]uint16, 0, 1000))) != 0 || !l.GaveUp() {
		t.Error("an outage is asked for packet by packet")
	}
	for i := range uint16(10000) {
		l.Arrive(500+3*i, int64(i)*ms)
		if l.Missing() > MaxMissing {
			t.Fatal("more are missing than there is room")
		}
	}
}

func TestQuestionsAreCutToTheirRoom(t *testing.T) {
	t.Parallel()
	l := losses()
	l.Arrive(0, 0)
	l.Arrive(50, 0)
	var all []uint16
	for at := int64(0); len(all) < 49 && at < 100*ms; at += ms {
		all = append(all, l.Due(at, 500*ms, make([]uint16, 0, 10))...)
	}
	if len(all) != 49 || all[0] != 1 || all[48] != 49 {
		t.Errorf("asked for %v", all)
	}
}

func TestManyWishesMakeOneRequest(t *testing.T) {
	t.Parallel()
	var k Keys
	asked := 0
	for at := int64(0); at < 250*ms; at += ms { // seven receivers that ask all the time
		for range 7 {
			if k.Want(at, 20*ms) {
				asked++
			}
		}
	}
	if asked != 1 {
		t.Errorf("%d requests", asked)
	}
	k.Came()
	if k.Due(1000*ms, 0) {
		t.Error("asked for nobody")
	}
	if !k.Want(1000*ms, 0) || k.Want(1100*ms, 0) {
		t.Error("the next wish is not one request")
	}
	// The request, or the frame, was lost: it is asked again without a new wish.
	if k.Due(1200*ms, 20*ms) || !k.Due(1301*ms, 20*ms) {
		t.Error("an unanswered request is not repeated after its interval")
	}
}

func TestTheRequestsAreWellFormed(t *testing.T) {
	t.Parallel()
	numbers := []uint16{65530, 65535, 3, 40, 41, 57, 58}
	b := AppendPLI(AppendNACK([]byte{}, 7, 9, numbers), 7, 9)
	packets, err := rtcp.Unmarshal(b)
	if err != nil || len(packets) != 2 {
		t.Fatal(err, packets)
	}
	nack, ok := packets[0].(*rtcp.TransportLayerNack)
	if !ok || nack.SenderSSRC != 7 || nack.MediaSSRC != 9 {
		t.Fatalf("%+v", packets[0])
	}
	var got []uint16
	for _, p := range nack.Nacks {
		got = append(got, p.PacketList()...)
	}
	if !slices.Equal(got, numbers) {
		t.Errorf("asked for %v", got)
	}
	if pli, ok := packets[1].(*rtcp.PictureLossIndication); !ok || pli.MediaSSRC != 9 {
		t.Errorf("%+v", packets[1])
	}
}

func TestARetransmissionIsTakenApart(t *testing.T) {
	t.Parallel()
	if n, rest, ok := Original([]byte{1, 2, 3}); !ok || n != 0x102 || !bytes.Equal(rest, []byte{3}) {
		t.Error(n, rest, ok)
	}
	for _, probe := range [][]byte{nil, {1}, {1, 2}} {
		if _, _, ok := Original(probe); ok {
			t.Errorf("%v repeats a packet", probe)
		}
	}
}

// One bad report turns redundancy on; it stays while losses do and half a minute
// longer.
func TestRedundancyComesAndGoes(t *testing.T) {
	t.Parallel()
	var r Redundancy
	const s = int64(1e9)
	for _, step := range []struct {
		at   int64
		ppm  int
		want bool
	}{{0, 0, false}, {1, 9_999, false}, {2, 10_000, true}, {20, 5_000, true}, {45, 0, true}, {51, 0, false}, {52, 5_000, false}, {53, 50_000, true}} {
		if got := r.Report(step.ppm, step.at*s); got != step.want {
			t.Errorf("at %d s with %d ppm: %v", step.at, step.ppm, got)
		}
	}
}

func TestThePacketsWayAllocatesNothing(t *testing.T) {
	l := losses()
	due := make([]uint16, 0, 32)
	out := make([]byte, 0, 256)
	n := uint16(0)
	step := func() {
		n++
		at := int64(n) * 10 * ms
		if n%10 != 0 {
			l.Arrive(n, at)
		}
		out = AppendNACK(out[:0], 1, 2, l.Due(at, 20*ms, due[:0]))
	}
	if a := testing.AllocsPerRun(1000, step); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func FuzzLosses(f *testing.F) {
	f.Add([]byte{0, 1, 0, 3, 255, 255, 0, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		l := losses()
		at := int64(0)
		for ; len(in) >= 2; in = in[2:] {
			at += int64(in[0]) * ms
			l.Arrive(uint16(in[0])<<8|uint16(in[1]), at)
			l.Due(at, int64(in[1])*ms, make([]uint16, 0, 16))
			if l.Missing() > MaxMissing {
				t.Fatal("past its bounds")
			}
		}
	})
}

func BenchmarkArrive(b *testing.B) {
	l := losses()
	n := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		l.Arrive(n, int64(n))
	}
}

// Who has just come is not kept waiting because somebody else asked a moment
// before, nor may many that come ask without end.
func TestNewcomersAskSooner(t *testing.T) {
	t.Parallel()
	var k Keys
	if !k.Want(1e9, 0) {
		t.Fatal("the first wish was not asked for")
	}
	if k.Newcomer(1e9+50e6, 0) {
		t.Error("a newcomer asked 50 ms after a request")
	}
	if k.Want(1e9+120e6, 0) != true {
		t.Error("the newcomer's wish was not asked for after 120 ms")
	}
	if k.Want(1e9+250e6, 0) {
		t.Error("a wish of those who are here was asked for 130 ms after a request")
	}
	k.Came()
	if !k.Newcomer(1e9+250e6, 0) {
		t.Error("a newcomer was not asked for 130 ms after a request")
	}
}
