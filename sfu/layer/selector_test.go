package layer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kuule/internal/descriptor"
)

// sender is a browser that sends three layers: one numbering of frames over all,
// a sequence and a clock of its own for each, key frames when asked.
type sender struct {
	random   *rand.Rand
	frame    uint16
	layers   [MaxLayers]sending
	instants int
}

type sending struct {
	on       bool
	key      bool // asked for
	since    int  // frames since the key frame
	sequence uint16
	clock    uint32 // at instant 0
	last     [3]uint16
	reader   descriptor.Reader
}

// sentPacket is a packet under way.
type sentPacket struct {
	Packet
	first, last bool
	frameID     int // unique over the whole test
	needs       []int
	key         bool
	raw         []byte
}

func newSender(r *rand.Rand) *sender {
	s := &sender{random: r, frame: uint16(r.Uint32())}
	for i := range s.layers {
		s.layers[i] = sending{on: true, key: true, sequence: uint16(r.Uint32()), clock: r.Uint32()}
	}
	return s
}

const framePeriod = 33e6

// instant captures one picture: the largest layer is packed first, as browsers do.
func (s *sender) instant(ids map[uint16]int) []sentPacket {
	s.instants++
	var out []sentPacket
	for i := range s.layers {
		l := &s.layers[i]
		if !l.on {
			continue
		}
		s.frame++
		f := descriptor.Frame{Number: s.frame, Layers: 3, Key: l.key}
		if l.key {
			l.key, l.since = false, 0
		} else {
			l.since++
			f.Temporal = []int{0, 2, 1, 2}[l.since%4]
		}
		var needs []int
		if !f.Key {
			on := l.last[0] // each needs the newest below it, or of the same layer
			if f.Temporal > 0 {
				for _, t := range l.last[1 : f.Temporal+1] {
					if t != 0 && int16(t-on) > 0 {
						on = t
					}
				}
			}
			f.Diffs = []uint16{s.frame - on}
			needs = []int{ids[on]}
		}
		if f.Key {
			l.last = [3]uint16{}
		}
		l.last[f.Temporal] = s.frame
		id := len(ids) + 1
		ids[s.frame] = id
		n := 1 + s.random.IntN(3)
		for k := range n {
			f.First, f.Last = k == 0, k == n-1
			l.sequence++
			p := sentPacket{Packet: Packet{Layer: i, Sequence: l.sequence, Timestamp: l.clock + uint32(s.instants)*2970}, first: f.First, last: f.Last, frameID: id, needs: needs, key: f.Key}
			p.raw = descriptor.Append(nil, f)
			out = append(out, p)
		}
	}
	return out
}

// emitted is a packet of the subscriber's stream.
type emitted struct {
	Rewritten
	from sentPacket
	fill bool
}

// Whatever is lost, late, switched off or asked for: what a subscriber gets is
// one stream that can be decoded.
func TestWhatIsSentCanBeDecoded(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 7))
			selector := NewVideo(256)
			out, arrived, missed := drive(r, selector)
			if len(out) < 100 && seed%4 != 0 {
				t.Fatalf("only %d packets were sent", len(out))
			}
			checkStream(t, out, arrived, missed)
		})
	}
}

// drive sends some hundred pictures through a bad network and a Selector whose
// aim changes.
func drive(r *rand.Rand, selector *Selector) (out []emitted, arrived map[int]int, missed int) {
	src := newSender(r)
	ids := map[uint16]int{} // no wrap within a test: fewer frames than numbers
	arrived = map[int]int{}
	type flying struct {
		at int64
		p  sentPacket
	}
	var sky []flying
	loss, late := r.Float64()*0.1, r.Float64()*0.1
	reports := r.IntN(2) == 0
	for i := range 400 {
		now := int64(i) * framePeriod
		switch r.IntN(25) {
		case 0:
			selector.Aim(Target{r.IntN(MaxLayers), r.IntN(3)})
		case 1:
			selector.Aim(Target{r.IntN(MaxLayers), AllTemporal})
		case 2:
			l := &src.layers[r.IntN(MaxLayers)]
			l.on, l.key = !l.on, true
		case 3:
			if r.IntN(4) == 0 {
				selector.Aim(Target{Off, 0})
			}
		case 4:
			if r.IntN(4) == 0 { // another publisher
				selector.Replace()
				next := newSender(r)
				next.instants, next.frame = src.instants, uint16(len(ids))+src.frame
				src, sky = next, nil
			}
		}
		if want, yes := selector.Wants(); yes && r.IntN(3) > 0 {
			src.layers[want].key = true
		}
		for k, p := range src.instant(ids) {
			at := now + int64(k)*1e5
			switch x := r.Float64(); {
			case x < loss:
				missed++
				continue
			case x < loss+late:
				at += int64(r.IntN(300)) * 1e6
			}
			sky = append(sky, flying{at, p})
		}
		slices.SortStableFunc(sky, func(a, b flying) int { return int(a.at - b.at) })
		for len(sky) > 0 && sky[0].at < now+framePeriod {
			p := sky[0].p
			p.At = sky[0].at
			sky = sky[1:]
			l := &src.layers[p.Layer]
			var d descriptor.Descriptor
			_ = l.reader.Read(p.raw, &d)
			p.Descriptor = &d
			if reports && r.IntN(30) == 0 {
				selector.Report(p.Layer, uint64(src.instants)<<32*33/1000, l.clock+uint32(src.instants)*2970)
			}
			var w Rewritten
			action := selector.Take(&p.Packet, &w)
			if arrived[p.frameID] == 0 {
				arrived[p.frameID] = len(arrived) + 1
			}
			if action != Drop {
				out = append(out, emitted{w, p, action == Fill})
			}
		}
	}
	return out, arrived, missed + len(sky)
}

func checkStream(t *testing.T, out []emitted, arrived map[int]int, missed int) {
	t.Helper()
	// Unwrapped by the order of sending: numbers move by less than half a turn.
	byNumber := map[int]emitted{}
	number, base := 0, uint16(0)
	var order []int
	for i, e := range out {
		if i == 0 {
			base = e.Sequence
		}
		n := number + int(int16(e.Sequence-base))
		if e.Sequence != base {
			number, base = n, e.Sequence
		}
		if was, twice := byNumber[n]; twice {
			t.Fatalf("number %d was given twice: %+v and %+v", e.Sequence, was.from.Packet, e.from.Packet)
		}
		byNumber[n] = e
		order = append(order, n)
		if e.Switched && !(e.from.key && e.from.first) {
			t.Fatalf("a layer begins with what begins no key frame: %+v", e.from.Packet)
		}
	}
	slices.Sort(order)
	holes := order[len(order)-1] - order[0] + 1 - len(order)
	if holes > missed+missed/2+20 {
		t.Errorf("%d holes, %d packets lost", holes, missed)
	}
	var before emitted
	frames := map[int]bool{}
	for i, n := range order {
		e := byNumber[n]
		if e.fill {
			continue
		}
		frames[e.from.frameID] = true
		if i > 0 && before.from.raw != nil {
			if int32(e.Timestamp-before.Timestamp) < 0 || e.Switched && e.Timestamp == before.Timestamp {
				t.Fatalf("time goes back from %d to %d (switched %v)", before.Timestamp, e.Timestamp, e.Switched)
			}
			if int16(e.Frame-before.Frame) < 0 || (e.Frame == before.Frame) != (e.from.frameID == before.from.frameID) {
				t.Fatalf("frame number goes from %d to %d (frames %d, %d, switched %v)", before.Frame, e.Frame, before.from.frameID, e.from.frameID, e.Switched)
			}
		}
		before = e
	}
	for _, e := range out {
		for _, id := range e.from.needs {
			if come := arrived[id]; !e.fill && come != 0 && come < arrived[e.from.frameID] && !frames[id] {
				t.Fatalf("frame %d is sent without frame %d, which had come", e.from.frameID, id)
			}
		}
	}
}

// still makes a Selector that is being sent layer 0 and has just been asked for
// layer 2.
type still struct {
	*Selector
	sequence [MaxLayers]uint16
	frame    uint16
	at       int64
	out      Rewritten
}

func (s *still) take(layer int, key bool, temporal int) Action {
	s.sequence[layer]++
	s.frame++
	s.at += 11e6
	d := &descriptor.Descriptor{First: true, Last: true, Structure: key, Known: true, Frame: s.frame, Temporal: uint8(temporal)}
	return s.Take(&Packet{Layer: layer, Sequence: s.sequence[layer], Timestamp: uint32(s.at / 1e6 * 90), At: s.at, Descriptor: d}, &s.out)
}

// The old layer is sent until the key frame of the new one has come.
func TestTheOldLayerIsSentUntilTheNewOnesKeyFrame(t *testing.T) {
	t.Parallel()
	s := &still{Selector: NewVideo(64)}
	s.Aim(Target{0, AllTemporal})
	if s.take(0, true, 0) != Send || !s.out.Switched {
		t.Fatal("it does not begin")
	}
	s.Aim(Target{2, AllTemporal})
	for range 50 {
		if s.take(2, false, 0) != Drop || s.take(0, false, 0) != Send {
			t.Fatal("the old layer stopped too soon")
		}
		if want, yes := s.Wants(); !yes || want != 2 {
			t.Fatal("nobody asks for the key frame")
		}
	}
	last := s.out
	if s.take(2, true, 0) != Send || !s.out.Switched || s.out.Sequence != last.Sequence+1 || s.out.Frame != last.Frame+1 {
		t.Errorf("after %+v came %+v", last, s.out)
	}
	if s.take(0, false, 0) != Drop {
		t.Error("the old layer is still sent")
	}
	if _, yes := s.Wants(); yes {
		t.Error("a key frame is wanted for nothing")
	}
}

// A layer that its sender switches off, for seconds or for good, is followed by
// the next one below, and returned to when it comes back.
func TestALayerThatStops(t *testing.T) {
	t.Parallel()
	s := &still{Selector: NewVideo(64)}
	for l := range MaxLayers {
		s.take(l, true, 0)
	}
	s.take(2, true, 0)
	if s.Current() != 2 {
		t.Fatalf("layer %d is sent", s.Current())
	}
	for range 1000 { // more than ten seconds without layer 2
		if want, yes := s.Wants(); yes && want != 1 {
			t.Fatalf("layer %d is asked for", want)
		}
		_, asked := s.Wants()
		s.take(1, asked, 0)
	}
	if s.Current() != 1 {
		t.Fatalf("layer %d is sent", s.Current())
	}
	s.take(2, false, 0)
	if want, yes := s.Wants(); !yes || want != 2 {
		t.Error("the layer that came back is not asked for")
	}
	if s.take(1, false, 0) != Send {
		t.Error("the layer below stopped before the key frame")
	}
	if s.take(2, true, 0) != Send {
		t.Error("the layer that came back is not sent")
	}
}

// A layer above what was aimed at is sent only where nothing else has come for a
// second: it costs what nobody meant to spend.
func TestALayerAboveTheAimIsTheLastResort(t *testing.T) {
	t.Parallel()
	s := &still{Selector: NewVideo(64)}
	s.Aim(Target{0, AllTemporal})
	begun := s.at
	for s.take(2, true, 0) == Drop {
		if s.at-begun > 2e9 {
			t.Fatal("it is never sent")
		}
	}
	if s.at-begun < above {
		t.Errorf("it is sent after %d ms", (s.at-begun)/1e6)
	}
	if s.take(0, true, 0) != Send || s.Current() != 0 {
		t.Error("what was aimed at does not take its place")
	}
}

// Leaving temporal layers out makes no hole in the numbers.
func TestTemporalLayersAreLeftOutWithoutAHole(t *testing.T) {
	t.Parallel()
	s := &still{Selector: NewVideo(64)}
	s.Aim(Target{0, 0})
	s.take(0, true, 0)
	for range 20 {
		last := s.out.Sequence
		for _, temporal := range []int{2, 1, 2} {
			if s.take(0, false, temporal) != Drop {
				t.Fatal("a frame above the limit is sent")
			}
		}
		if s.take(0, false, 0) != Send || s.out.Sequence != last+1 {
			t.Fatalf("from %d to %d", last, s.out.Sequence)
		}
	}
}

// A frame that needs one that was left out is left out too, even below the limit.
func TestAFrameWhoseReferenceWasLeftOut(t *testing.T) {
	t.Parallel()
	s := NewVideo(64)
	s.Aim(Target{0, 0})
	var out Rewritten
	take := func(number uint16, key bool, temporal uint8, diffs ...uint16) Action {
		d := &descriptor.Descriptor{First: true, Structure: key, Known: true, Frame: number, Temporal: temporal, DiffCount: len(diffs)}
		copy(d.Diffs[:], diffs)
		return s.Take(&Packet{Sequence: number, Descriptor: d}, &out)
	}
	take(1, true, 0)
	take(2, false, 1, 1)
	s.Aim(Target{0, 2})
	if take(3, false, 2, 1) != Drop {
		t.Error("a frame is sent without its reference")
	}
	if take(4, false, 0, 3) != Send || take(5, false, 2, 1) != Send {
		t.Error("a frame whose references were sent is left out")
	}
}

// A packet that was missing when its number was given, and is to be left out
// when it comes, is replaced by an empty one: a receiver would ask for it for ever.
func TestALateFrameToBeLeftOutIsFilled(t *testing.T) {
	t.Parallel()
	s := &still{Selector: NewVideo(64)}
	s.Aim(Target{0, 0})
	s.take(0, true, 0)
	first := s.out.Sequence
	s.sequence[0]++ // the first packet of a frame is missing
	if s.take(0, false, 2) != Drop {
		t.Fatal("a frame above the limit is sent")
	}
	s.sequence[0] -= 2
	s.frame--
	if s.take(0, false, 2) != Fill || s.out.Sequence != first+1 {
		t.Errorf("the hole stays: %+v", s.out)
	}
}

// A key frame whose first packet comes after its others cannot be begun with:
// they were passed over.
func TestAKeyFrameThatComesTooLateBeginsNothing(t *testing.T) {
	t.Parallel()
	s := &still{Selector: NewVideo(64)}
	s.sequence[0] = 10
	s.take(0, false, 0)
	s.sequence[0] = 8
	if s.take(0, true, 0) != Drop {
		t.Error("it began")
	}
	if _, yes := s.Wants(); !yes {
		t.Error("nobody asks for another")
	}
}

func TestNothingIsSentOfASourceThatWasReplacedOrSwitchedOff(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*Selector){
		"replaced":     (*Selector).Replace,
		"switched off": func(s *Selector) { s.Aim(Target{Off, 0}) },
	} {
		s := &still{Selector: NewVideo(64)}
		s.take(0, true, 0)
		stop(s.Selector)
		if s.take(0, false, 0) != Drop {
			t.Errorf("%s: it is still sent", name)
		}
		s.Aim(Target{0, 0})
		last := s.out.Sequence
		if s.take(0, false, 0) != Drop || s.take(0, true, 0) != Send || s.out.Sequence != last+1 {
			t.Errorf("%s: it does not go on with a key frame", name)
		}
	}
}

// With sender reports of both layers the time of capture is kept at a switch;
// the clocks of layers begin anywhere.
func TestASwitchKeepsTheTimeOfCapture(t *testing.T) {
	t.Parallel()
	s := NewVideo(64)
	s.Aim(Target{0, AllTemporal})
	var out Rewritten
	key := func(frame uint16) *descriptor.Descriptor {
		return &descriptor.Descriptor{First: true, Structure: true, Frame: frame}
	}
	s.Take(&Packet{Layer: 0, Sequence: 1, Timestamp: 1000, At: 1e9, Descriptor: key(1)}, &out)
	s.Report(0, 100<<32, 1000)
	s.Report(1, 101<<32, 5_000_000)
	s.Aim(Target{1, AllTemporal})
	// Captured half a second after layer 1's report, 1.5 s after layer 0's; it
	// arrives late, which must not matter.
	s.Take(&Packet{Layer: 1, Sequence: 9, Timestamp: 5_045_000, At: 9e9, Descriptor: key(2)}, &out)
	if want := uint32(1000 + 135_000); out.Timestamp != want {
		t.Errorf("timestamp %d, want %d", out.Timestamp, want)
	}
	if got, yes := s.Timestamp(1, 5_045_000); !yes || got != out.Timestamp {
		t.Error("a sender report would say another time")
	}
}

// Sound changes its source at once and has no layers.
func TestSoundChangesItsSourceAtOnce(t *testing.T) {
	t.Parallel()
	s := NewAudio(64)
	var out Rewritten
	s.Take(&Packet{Sequence: 60000, Timestamp: 960, At: 1e9}, &out)
	s.Take(&Packet{Sequence: 60001, Timestamp: 1920, At: 1.02e9}, &out)
	s.Replace()
	if s.Take(&Packet{Sequence: 5, Timestamp: 77, At: 1.04e9}, &out) != Send || out.Sequence != 60002 || out.Timestamp != 2880 {
		t.Errorf("%+v", out)
	}
}

// A packet without a payload makes no hole, in time or late.
func TestAnEmptyPacketMakesNoHole(t *testing.T) {
	t.Parallel()
	s := NewAudio(64)
	var out Rewritten
	take := func(n uint16, empty bool) Action { return s.Take(&Packet{Sequence: n, Empty: empty}, &out) }
	if take(1, true) != Drop || take(2, false) != Send || take(3, true) != Drop || take(4, false) != Send || out.Sequence != 3 {
		t.Errorf("%+v", out)
	}
	if take(6, false) != Send || take(5, true) != Fill || out.Sequence != 4 {
		t.Errorf("%+v", out)
	}
}

func TestTakingAllocatesNothing(t *testing.T) {
	s := &still{Selector: NewVideo(256)}
	s.take(0, true, 0)
	d := &descriptor.Descriptor{Known: true}
	p := &Packet{Descriptor: d, Sequence: 100}
	if n := testing.AllocsPerRun(1000, func() {
		p.Sequence++
		d.Frame++
		d.Structure, d.First = p.Sequence%50 == 0, true
		p.Layer = int(p.Sequence/100) % MaxLayers
		s.Take(p, &s.out)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTake: no order of packets makes it give a number twice in a row or panic.
func FuzzTake(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Fuzz(func(t *testing.T, in []byte) {
		s := NewVideo(16)
		given := map[uint16]bool{}
		var out Rewritten
		for len(in) >= 6 && len(given) < 1000 {
			d := &descriptor.Descriptor{First: in[0]&1 != 0, Structure: in[0]&2 != 0, Known: in[0]&4 != 0, Frame: uint16(in[1]), Temporal: in[2] & 3, DiffCount: 1}
			d.Diffs[0] = uint16(in[2] >> 2)
			switch in[0] >> 4 {
			case 14:
				s.Replace()
			case 15:
				s.Aim(Target{int(in[3])%4 - 1, int(in[4])})
			}
			if s.Take(&Packet{Layer: int(in[3]) % 4, Sequence: uint16(in[4])<<3 | uint16(in[5]&7), At: int64(in[5]) * 1e7, Descriptor: d}, &out) != Drop {
				if given[out.Sequence] {
					t.Fatalf("number %d was given twice", out.Sequence)
				}
				given[out.Sequence] = true
			}
			in = in[6:]
		}
	})
}

func BenchmarkTake(b *testing.B) {
	s := &still{Selector: NewVideo(256)}
	s.take(0, true, 0)
	d := &descriptor.Descriptor{Known: true, First: true}
	p := &Packet{Descriptor: d, Sequence: s.sequence[0]}
	b.ReportAllocs()
	for b.Loop() {
		p.Sequence++
		d.Frame++
		s.Take(p, &s.out)
	}
}
