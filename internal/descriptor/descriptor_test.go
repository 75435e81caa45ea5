package descriptor

import (
	"errors"
	"slices"
	"testing"
)

// oneLayer is a key frame of a stream of one layer, by hand from the
// specification's syntax: two templates, one decode target, one chain.
var oneLayer = []byte{0xC0, 0x12, 0x34, 0x80, 0x00, 0x3A, 0x41, 0x01, 0x00}

func TestADescriptorByHand(t *testing.T) {
	t.Parallel()
	var r Reader
	var d Descriptor
	if err := r.Read(oneLayer, &d); err != nil {
		t.Fatal(err)
	}
	if !d.Key() || !d.First || !d.Last || d.Frame != 0x1234 || d.Targets != 1 || d.Chains != 1 || d.Active != 1 || d.Indication(0) != Switch || d.DiffCount != 0 {
		t.Errorf("key frame: %+v", d)
	}
	if err := r.Read([]byte{0xC1, 0x12, 0x35}, &d); err != nil {
		t.Fatal(err)
	}
	if d.Key() || !d.Known || d.DiffCount != 1 || d.Diffs[0] != 1 || d.ChainDiff[0] != 1 || d.Indication(0) != Switch || d.Indication(1) != NotPresent {
		t.Errorf("the frame after it: %+v", d)
	}
}

// whole is a descriptor that uses every part of the syntax: two spatial and two
// temporal layers, a mask, custom indications, differences and chains, sizes.
func whole() []byte {
	w := writer{b: []byte{0x80 | 5 + 2, 0, 9}}
	w.put(0b11111, 5)
	w.put(5, 6) // template ids begin with 5
	w.put(3, 5) // four decode targets
	w.put(1, 2) // S0T0, S0T1
	w.put(2, 2) // S1T0
	w.put(1, 2) // S1T1
	w.put(3, 2)
	for range 16 {
		w.put(uint64(Required), 2)
	}
	for i := range 4 {
		for range i {
			w.put(1, 1)
			w.put(uint64(i), 4)
		}
		w.put(0, 1)
	}
	w.nonSymmetric(2, 5) // two chains
	for i := range 4 {
		w.nonSymmetric(uint64(i/2), 2)
	}
	for i := range 8 {
		w.put(uint64(i), 4)
	}
	w.put(1, 1)
	for _, n := range []uint64{320, 180, 640, 360} {
		w.put(n-1, 16)
	}
	w.put(0b0101, 4) // active: targets 0 and 2
	for _, i := range []Indication{NotPresent, Discardable, Switch, Required} {
		w.put(uint64(i), 2)
	}
	for _, n := range []uint64{1, 20, 4096} {
		switch {
		case n <= 16:
			w.put(1, 2)
			w.put(n-1, 4)
		case n <= 256:
			w.put(2, 2)
			w.put(n-1, 8)
		default:
			w.put(3, 2)
			w.put(n-1, 12)
		}
	}
	w.put(0, 2)
	w.put(200, 8)
	w.put(0, 8)
	return w.b
}

func TestEveryPartOfTheSyntax(t *testing.T) {
	t.Parallel()
	var r Reader
	var d Descriptor
	if err := r.Read(whole(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Spatial != 1 || d.Temporal != 0 || d.Targets != 4 || d.Active != 0b0101 || d.Width != 640 || d.Height != 360 {
		t.Errorf("layer: %+v", d)
	}
	for i, want := range []Indication{NotPresent, Discardable, Switch, Required} {
		if d.Indication(i) != want {
			t.Errorf("target %d is %d", i, d.Indication(i))
		}
	}
	if !slices.Equal(d.Diffs[:d.DiffCount], []uint16{1, 20, 4096}) || d.Chains != 2 || d.ChainDiff[0] != 200 || d.ChainDiff[1] != 0 {
		t.Errorf("dependencies: %+v", d)
	}
	if d.Key() {
		t.Error("a frame that needs others is taken for a key frame")
	}
	// The next frame of template S1T1 says nothing of its own.
	if err := r.Read([]byte{0xC0 | 5 + 3, 0, 10}, &d); err != nil {
		t.Fatal(err)
	}
	if d.Spatial != 1 || d.Temporal != 1 || d.DiffCount != 3 || d.Active != 0b0101 || d.ChainDiff[1] != 7 {
		t.Errorf("by template: %+v", d)
	}
}

// What is cut anywhere is refused, and what is refused changes nothing.
func TestACutDescriptorIsRefused(t *testing.T) {
	t.Parallel()
	full := whole()
	for n := range len(full) - 1 {
		var r Reader
		var d Descriptor
		if err := r.Read(oneLayer, &d); err != nil {
			t.Fatal(err)
		}
		if err := r.Read(full[:n], &d); n != 3 && err == nil {
			t.Errorf("cut to %d bytes: %+v", n, d)
		}
		if err := r.Read([]byte{0xC1, 0x12, 0x35}, &d); err != nil || d.Targets != 1 {
			t.Errorf("after one cut to %d bytes: %v, %+v", n, err, d)
		}
	}
}

func TestAStructureThatComesLateIsNotTheNewest(t *testing.T) {
	t.Parallel()
	var r Reader
	var d Descriptor
	newer := Append(nil, Frame{First: true, Key: true, Number: 100, Layers: 3})
	older := Append(nil, Frame{First: true, Key: true, Number: 90, Layers: 1})
	for _, b := range [][]byte{newer, older} {
		if err := r.Read(b, &d); err != nil || !d.Key() {
			t.Fatal(err, d)
		}
	}
	if err := r.Read(Append(nil, Frame{First: true, Number: 101, Temporal: 2, Layers: 3, Diffs: []uint16{1}}), &d); err != nil || d.Temporal != 2 {
		t.Error(err, d)
	}
}

func TestATemplateThatIsNotThere(t *testing.T) {
	t.Parallel()
	var r Reader
	var d Descriptor
	if err := r.Read([]byte{0x81, 0, 7}, &d); !errors.Is(err, ErrTemplate) || !d.First || d.Frame != 7 || d.Known {
		t.Errorf("before a structure: %v %+v", err, d)
	}
	if err := r.Read(oneLayer, &d); err != nil {
		t.Fatal(err)
	}
	if err := r.Read([]byte{0x8F, 0, 8}, &d); !errors.Is(err, ErrTemplate) {
		t.Errorf("template 15 of 2: %v", err)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	for layers := 1; layers <= 3; layers++ {
		var r Reader
		for n := range uint16(200) {
			f := Frame{First: n%3 != 1, Last: n%2 == 0, Key: n == 0, Number: 65500 + n, Layers: layers}
			if !f.Key {
				f.Temporal = int(n) % layers
				f.Diffs = []uint16{1 + n%5, 17, 300}
			}
			var d Descriptor
			if err := r.Read(Append(nil, f), &d); err != nil {
				t.Fatal(layers, n, err)
			}
			if d.First != f.First || d.Last != f.Last || d.Frame != f.Number || int(d.Temporal) != f.Temporal || !slices.Equal(d.Diffs[:d.DiffCount], f.Diffs) || d.Key() != (f.Key && f.First) {
				t.Fatalf("%+v was read as %+v", f, d)
			}
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	var r Reader
	var d Descriptor
	full := whole()
	_ = r.Read(full, &d)
	_ = r.Read(full, &d) // the second structure is kept too
	if n := testing.AllocsPerRun(100, func() {
		if r.Read(full, &d) != nil || r.Read([]byte{0xC5, 0, 10}, &d) != nil {
			t.Error("not read")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(oneLayer, []byte{0xC1, 0x12, 0x35})
	f.Add(whole(), []byte{0x87, 0, 10, 0x38, 0xFF})
	f.Add([]byte{}, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var r Reader
		for _, in := range [][]byte{a, b, a} {
			var d Descriptor
			if err := r.Read(in, &d); err == nil && (d.DiffCount > MaxDiffs || d.Targets > MaxTargets || d.Chains > MaxTargets || d.Spatial > 3) {
				t.Errorf("past its bounds: %+v", d)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	var r Reader
	var d Descriptor
	_ = r.Read(oneLayer, &d)
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Read([]byte{0xC1, 0x12, 0x35}, &d)
	}
}
