package sfu

// bucket is what a sender may send: packets and bytes each second, and for a
// while more than that. It is not safe for concurrent use.
type bucket struct {
	packets, bytes float64 // a second
	havePackets    float64
	haveBytes      float64
	last           int64
}

// allowing makes a full bucket that holds one second's worth.
func allowing(packets, bytes float64) bucket {
	return bucket{packets: packets, bytes: bytes, havePackets: packets, haveBytes: bytes}
}

// Allowances. Sound at its smallest packets and with redundancy is far below;
// three layers of a picture, or a shared screen, with repairs, too.
var (
	soundAllowance   = allowing(250, 64<<10)
	pictureAllowance = allowing(1500, 1<<20)
	legAllowance     = allowing(4000, 3<<20)
	// Reports cost more than their bytes: one may ask for hundreds of packets, or
	// tell of thousands. A browser that misses packets on all its slots sends a few
	// hundred a second.
	reportAllowance = allowing(1000, 128<<10)
	// A receiver may say that it missed everything, again and again.
	repairAllowance = allowing(2000, 2<<20)
)

// allow takes one packet out of the bucket, if it is in it.
func (b *bucket) allow(at int64, size int) bool {
	if gone := float64(at-b.last) / 1e9; gone > 0 {
		b.havePackets = min(b.packets, b.havePackets+gone*b.packets)
		b.haveBytes = min(b.bytes, b.haveBytes+gone*b.bytes)
		b.last = at
	}
	if b.havePackets < 1 || b.haveBytes < float64(size) {
		return false
	}
	b.havePackets--
	b.haveBytes -= float64(size)
	return true
}
