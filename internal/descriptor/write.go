package descriptor

import "encoding/binary"

// Frame tells Append what to write. It writes streams of one spatial layer with
// one to three temporal ones, as simulcast has them in each of its layers.
type Frame struct {
	First, Last bool
	Key         bool
	Number      uint16
	Temporal    int
	Layers      int      // temporal layers of the stream, 1 to 3
	Diffs       []uint16 // distances to the frames that this one needs, each at most 4096
}

// Append appends the descriptor of one packet. A key frame's first packet
// carries the structure: one template for each temporal layer, and a decode
// target each.
func Append(dst []byte, f Frame) []byte {
	start := len(dst)
	b := byte(f.Temporal)
	if f.First {
		b |= 0x80
	}
	if f.Last {
		b |= 0x40
	}
	dst = append(dst, b, 0, 0)
	binary.BigEndian.PutUint16(dst[start+1:], f.Number)
	out := writer{b: dst}
	attach := f.Key && f.First
	out.put(flag(attach), 1)
	out.put(0b001<<1, 4) // no mask, no custom indications, custom differences, no custom chains
	if attach {
		out.put(0, 6) // offset
		out.put(uint64(f.Layers-1), 5)
		for range f.Layers - 1 {
			out.put(1, 2) // the next temporal layer
		}
		out.put(3, 2)
		for i := range f.Layers {
			for target := range f.Layers {
				if target < i {
					out.put(uint64(NotPresent), 2)
				} else {
					out.put(uint64(Switch), 2)
				}
			}
		}
		for range f.Layers {
			out.put(0, 1) // each frame says its own differences
		}
		out.nonSymmetric(0, uint64(f.Layers+1)) // no chains
		out.put(0, 1)                           // no resolutions
	}
	for _, d := range f.Diffs {
		v := uint64(d - 1)
		switch {
		case v < 1<<4:
			out.put(1, 2)
			out.put(v, 4)
		case v < 1<<8:
			out.put(2, 2)
			out.put(v, 8)
		default:
			out.put(3, 2)
			out.put(v, 12)
		}
	}
	out.put(0, 2)
	return out.b
}

func flag(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// writer appends bits, first the highest.
type writer struct {
	b    []byte
	free int // bits of the last byte
}

func (w *writer) put(v uint64, n int) {
	for n > 0 {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		k := min(w.free, n)
		w.b[len(w.b)-1] |= byte(v>>(n-k)&(1<<k-1)) << (w.free - k)
		w.free -= k
		n -= k
	}
}

func (w *writer) nonSymmetric(v, n uint64) {
	bits := 0
	for x := n; x != 0; x >>= 1 {
		bits++
	}
	m := uint64(1)<<bits - n
	if v < m {
		w.put(v, bits-1)
		return
	}
	w.put((v+m)>>1, bits-1)
	w.put((v+m)&1, 1)
}
