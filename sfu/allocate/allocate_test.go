package allocate_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"kuule/sfu/allocate"
)

// frugalVoice is what a voice costs on the wire in packets of 60 ms at 16 kbit/s.
const frugalVoice = 28_500

func voice(rank, rate int) allocate.Stream {
	return allocate.Stream{Voice: true, Rank: rank, Layers: []allocate.Layer{{Bitrate: rate}}, Now: 0}
}

func picture(rank, now int) allocate.Stream {
	return allocate.Stream{Rank: rank, Now: now, Layers: []allocate.Layer{{Bitrate: 150_000, Height: 180}, {Bitrate: 500_000, Height: 360}, {Bitrate: 1_500_000, Height: 720}}}
}

// room is what an interviewer is sent in a room of four: three voices, of which
// the second matters most, and three pictures, of which the last does.
func room(rate, now int) []allocate.Stream {
	return []allocate.Stream{
		voice(1, rate), picture(2, now),
		voice(0, rate), picture(3, now),
		voice(2, rate), picture(0, now),
	}
}

func assign(budget int, streams []allocate.Stream, frugal bool) ([]int, allocate.Outcome) {
	targets := make([]int, len(streams))
	return targets, allocate.Assign(allocate.Link{Budget: budget, Crowded: true}, streams, frugal, targets)
}

// N5: what is kept as the link narrows.
func TestWhatANarrowLinkKeeps(t *testing.T) {
	t.Parallel()
	const off = allocate.Off
	for _, tc := range []struct {
		name    string
		link    int // bit/s; 95 of 100 are given out
		streams []allocate.Stream
		targets []int
		frugal  bool
	}{
		{"everything", 6_000_000, room(allocate.Plain, off), []int{0, 2, 0, 2, 0, 2}, false},
		{"unknown link", 0, room(allocate.Plain, off), []int{0, 2, 0, 2, 0, 2}, false},
		{"3 Mbit/s: the face that matters grows first", 3_000_000, room(allocate.Plain, off), []int{0, 1, 0, 1, 0, 2}, false},
		{"2 Mbit/s: all of middling size", 2_000_000, room(allocate.Plain, off), []int{0, 1, 0, 1, 0, 1}, false},
		{"1 Mbit/s: it is usable before the others come", 1_000_000, room(allocate.Plain, off), []int{0, 0, 0, off, 0, 1}, false},
		{"500 kbit/s: every voice and a usable face", 500_000, room(allocate.Plain, off), []int{0, off, 0, off, 0, 0}, false},
		{"500 kbit/s, from above", 500_000, room(allocate.Plain, 2), []int{0, off, 0, off, 0, 0}, false},
		{"150 kbit/s: senders are asked to be frugal", 150_000, room(allocate.Plain, 0), []int{0, off, 0, off, off, off}, true},
		{"150 kbit/s, asked: every voice", 150_000, room(frugalVoice, off), []int{0, off, 0, off, 0, off}, false},
		{"60 kbit/s: the one voice that matters", 60_000, room(allocate.Plain, off), []int{off, off, 0, off, off, off}, true},
		{"60 kbit/s, asked: still that one", 60_000, []allocate.Stream{
			{Voice: true, Rank: 1, Layers: []allocate.Layer{{Bitrate: frugalVoice}}, Now: off}, voice(0, frugalVoice),
			{Voice: true, Rank: 2, Layers: []allocate.Layer{{Bitrate: frugalVoice}}, Now: off}, picture(0, off),
		}, []int{off, 0, off, off}, true},
		{"hardly anything: that one all the same", 20_000, room(frugalVoice, off), []int{off, off, 0, off, off, off}, true},
	} {
		got, o := assign(tc.link*95/100, tc.streams, false)
		if !slices.Equal(got, tc.targets) || o.Frugal != tc.frugal {
			t.Errorf("%s: %v, frugal %v; want %v, %v", tc.name, got, o.Frugal, tc.targets, tc.frugal)
		}
	}
}

// N5: who was asked for long packets is asked until short ones fit with ease.
func TestFrugalEndsWithEase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		budget   int
		was, now bool
	}{
		{142_000, false, false}, {142_000, true, true}, {330_000, true, true}, {400_000, true, false}, {100_000, false, true},
	} {
		if _, o := assign(tc.budget, room(frugalVoice, allocate.Off), tc.was); o.Frugal != tc.now {
			t.Errorf("%d bit/s, frugal %v: then %v", tc.budget, tc.was, o.Frugal)
		}
	}
}

// No layer is sent that the tile does not show, however much fits.
func TestTheTileBoundsTheLayer(t *testing.T) {
	t.Parallel()
	for height, want := range map[int]int{0: 2, 90: 0, 180: 0, 200: 0, 240: 1, 360: 1, 400: 1, 500: 2, 2160: 2} {
		s := picture(0, allocate.Off)
		s.Height = height
		if got, _ := assign(100_000_000, []allocate.Stream{s}, false); got[0] != want {
			t.Errorf("a tile of %d pixels got layer %d", height, got[0])
		}
	}
	// Fewer frames of the right size are not enough where all of them fit.
	s := allocate.Stream{Height: 180, Now: allocate.Off, Layers: []allocate.Layer{{Bitrate: 60_000, Height: 180}, {Bitrate: 90_000, Height: 180}, {Bitrate: 150_000, Height: 180}, {Bitrate: 500_000, Height: 360}}}
	if got, _ := assign(1_000_000, []allocate.Stream{s}, false); got[0] != 2 {
		t.Errorf("layer %d", got[0])
	}
	if got, o := assign(100_000, []allocate.Stream{s}, false); got[0] != 1 || o.Shed != 1 || o.Wanted != 150_000 {
		t.Errorf("layer %d, %+v", got[0], o)
	}
}

// For a budget that is a little too small for a moment nobody is silenced; but
// nobody is let in by it either.
func TestVoicesAreNotCutForAMoment(t *testing.T) {
	t.Parallel()
	for now, want := range map[int]int{0: 0, allocate.Off: allocate.Off} {
		last := voice(2, frugalVoice)
		last.Now = now
		got, _ := assign(3*frugalVoice*90/100, []allocate.Stream{voice(0, frugalVoice), voice(1, frugalVoice), last, picture(0, 0)}, true)
		if !slices.Equal(got, []int{0, 0, want, allocate.Off}) {
			t.Errorf("sent before: %v; now %v", now == 0, got)
		}
	}
}

// N5: a voice that is sent goes only when the link is crowded, however small the
// budget is. Pictures keep to the budget, and so does a voice that is to come.
func TestVoicesGoByWhatTheLinkShows(t *testing.T) {
	t.Parallel()
	const off = allocate.Off
	long := func(rank, now int) allocate.Stream {
		s := voice(rank, frugalVoice)
		s.Now = now
		return s
	}
	for name, tc := range map[string]struct {
		link    allocate.Link
		streams []allocate.Stream
		want    []int
	}{
		"the budget fell, the link is not crowded": {allocate.Link{Budget: 40_000}, []allocate.Stream{long(0, 0), long(1, 0), long(2, 0), picture(0, 0)}, []int{0, 0, 0, off}},
		"the link is crowded":                      {allocate.Link{Budget: 40_000, Crowded: true}, []allocate.Stream{long(0, 0), long(1, 0), long(2, 0), picture(0, 0)}, []int{0, off, off, off}},
		"one more does not fit":                    {allocate.Link{Budget: 60_000}, []allocate.Stream{long(0, 0), long(1, 0), long(2, off)}, []int{0, 0, off}},
		"and one more does":                        {allocate.Link{Budget: 120_000}, []allocate.Stream{long(0, 0), long(1, 0), long(2, off)}, []int{0, 0, 0}},
	} {
		got := make([]int, len(tc.streams))
		if allocate.Assign(tc.link, tc.streams, true, got); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// A budget that trembles changes nothing.
func TestHysteresis(t *testing.T) {
	t.Parallel()
	now := allocate.Off
	changes := 0
	for i := range 100 {
		budget := 500_000 + 30_000*(i%2)
		got, _ := assign(budget, []allocate.Stream{picture(0, now)}, false)
		if got[0] != now {
			changes++
		}
		now = got[0]
	}
	if changes != 1 {
		t.Errorf("%d changes", changes)
	}
}

// Whatever comes in: within the budget but for the one voice, in order, never a
// layer that is not there.
func TestAssignHoldsItsPromises(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		streams := make([]allocate.Stream, chance.IntN(12))
		for i := range streams {
			s := allocate.Stream{Voice: chance.IntN(2) == 0, Rank: chance.IntN(4), Height: chance.IntN(800)}
			for range chance.IntN(4) {
				s.Layers = append(s.Layers, allocate.Layer{Bitrate: 10_000 + chance.IntN(400_000), Height: chance.IntN(3) * 200})
			}
			slices.SortFunc(s.Layers, func(a, b allocate.Layer) int { return a.Bitrate - b.Bitrate })
			s.Now = chance.IntN(len(s.Layers)+1) - 1
			streams[i] = s
		}
		budget := 1 + chance.IntN(1_500_000)
		targets, o := assign(budget, streams, chance.IntN(2) == 0)
		spent, voices, firstVoice, anyPicture, voiceShed := 0, 0, 0, false, false
		for i, target := range targets {
			s := streams[i]
			if target < allocate.Off || target >= len(s.Layers) {
				t.Fatalf("layer %d of %d", target, len(s.Layers))
			}
			if target >= 0 {
				spent += s.Layers[target].Bitrate
			}
			switch {
			case s.Voice && target >= 0:
				voices++
				firstVoice = s.Layers[target].Bitrate
			case s.Voice && len(s.Layers) > 0:
				voiceShed = true
			case target >= 0:
				anyPicture = true
			}
		}
		if spent != o.Spent || spent > budget*115/100 && !(voices == 1 && spent == firstVoice) {
			t.Fatalf("spent %d (%d said) of %d with %d voices", spent, o.Spent, budget, voices)
		}
		if anyPicture && spent > budget {
			t.Fatal("a picture is sent over the budget")
		}
		if voices == 0 && voiceShed {
			t.Fatal("no voice is sent at all")
		}
	}
}

func TestAssignAllocatesNothing(t *testing.T) {
	streams, targets := room(allocate.Plain, 0), make([]int, 6)
	if n := testing.AllocsPerRun(100, func() { allocate.Assign(allocate.Link{Budget: 475_000}, streams, false, targets) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAssign(b *testing.B) {
	streams, targets := room(allocate.Plain, 0), make([]int, 6)
	for b.Loop() {
		allocate.Assign(allocate.Link{Budget: 475_000}, streams, false, targets)
	}
}

// N5: one narrow link changes as few voices as will do, and those that matter
// least to its listener before the one that everybody follows.
func TestANarrowLinkAsksForAsLittleAsWillDo(t *testing.T) {
	t.Parallel()
	streams := room(allocate.Plain, 0) // voices of rank 0, 1 and 2 among pictures
	for i := range streams {
		if streams[i].Rank > 0 { // what is sent where there is no room is asked too
			streams[i].Now = allocate.Off
		}
	}
	for budget, want := range map[int][]int{
		225_000: nil,
		200_000: {2},
		142_000: {1, 2},
		100_000: {0, 1, 2},
		57_000:  {0},
		10_000:  {0},
	} {
		asked := make([]bool, len(streams))
		allocate.Thrift(budget, streams, asked)
		var got []int
		for i, is := range asked {
			if is && !streams[i].Voice {
				t.Fatalf("%d bit/s: a picture is asked for long packets", budget)
			}
			if is {
				got = append(got, streams[i].Rank)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d bit/s: voices of rank %v are asked, want %v", budget, got, want)
		}
	}
	asked := make([]bool, len(streams))
	streams[0].Now = 0
	if allocate.Thrift(57_000, streams, asked); !asked[0] || !asked[2] || asked[4] {
		t.Errorf("who is sent all the same is to come in long packets too: %v", asked)
	}
	clear(asked)
	for _, x := range []struct{ budget, want int }{{150_000, 2}, {200_000, 2}, {280_000, 1}, {400_000, 0}} {
		allocate.Thrift(x.budget, streams, asked)
		n := 0
		for _, is := range asked {
			if is {
				n++
			}
		}
		if n != x.want {
			t.Errorf("then %d bit/s: %d voices are asked, want %d", x.budget, n, x.want)
		}
	}
}
