package opusred

import (
	"bytes"
	"testing"
)

func TestWhatIsPackedIsSplit(t *testing.T) {
	t.Parallel()
	in := []Block{{Ago: 1920, Opus: []byte("two before")}, {Ago: 960, Opus: []byte("one before")}, {Opus: []byte("own")}}
	for n := 1; n <= len(in); n++ {
		blocks := in[len(in)-n:]
		out, err := Split(nil, Append(nil, blocks...))
		if err != nil || len(out) != n {
			t.Fatal(err, out)
		}
		if own := Own(Append(nil, blocks...)); string(own) != "own" {
			t.Errorf("of %d blocks the own is %q", n, own)
		}
		for i := range out {
			if out[i].Ago != blocks[i].Ago || !bytes.Equal(out[i].Opus, blocks[i].Opus) {
				t.Errorf("block %d of %d: %+v", i, n, out[i])
			}
		}
	}
}

// A payload as a browser makes it, by hand from RFC 2198: one block of 20 ms
// before with three bytes, and the own with two.
func TestAPayloadByHand(t *testing.T) {
	t.Parallel()
	out, err := Split(nil, []byte{0xEF, 0x0F, 0x00, 0x03, 0x6F, 1, 2, 3, 4, 5})
	if err != nil || len(out) != 2 || out[0].Ago != 960 || !bytes.Equal(out[0].Opus, []byte{1, 2, 3}) || !bytes.Equal(out[1].Opus, []byte{4, 5}) {
		t.Error(out, err)
	}
}

func TestWhatIsMalformedIsRefused(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"empty":               {},
		"another codec":       {0x60, 1, 2},
		"no own header":       {0xEF, 0x0F, 0x00, 0x03},
		"header cut":          {0xEF, 0x0F},
		"block past its end":  {0xEF, 0x0F, 0x00, 0x09, 0x6F, 1, 2, 3},
		"headers without end": bytes.Repeat([]byte{0xEF, 0, 0, 0}, 100),
	} {
		if out, err := Split(nil, b); err == nil {
			t.Errorf("%s: %v", name, out)
		}
		if own := Own(b); own != nil {
			t.Errorf("%s: %q", name, own)
		}
	}
}

func TestABlockThatDoesNotFitIsLeftOut(t *testing.T) {
	t.Parallel()
	out, err := Split(nil, Append(nil, Block{Ago: 1 << 14, Opus: []byte("too old")}, Block{Ago: 960, Opus: make([]byte, 1024)}, Block{Opus: []byte("own")}))
	if err != nil || len(out) != 1 || string(out[0].Opus) != "own" {
		t.Error(out, err)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{0xEF, 0x0F, 0x00, 0x03, 0x6F, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Split(nil, b)
		if err != nil {
			return
		}
		n := 0
		for _, x := range out {
			n += len(x.Opus)
		}
		if n > len(b) || len(out) > MaxBlocks+1 {
			t.Errorf("%d bytes in %d blocks out of %d", n, len(out), len(b))
		}
	})
}
