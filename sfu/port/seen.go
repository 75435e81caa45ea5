package port

import (
	"hash/maphash"
	"time"
)

// A generation's memory of checks: at one check a second 2 % of a peer's own are
// taken for repeated after four hours, which costs one answer of a new path.
const (
	seenBits  = 1 << 17
	seenMarks = 4 // of one check
)

var seenSeed = maphash.MakeSeed()

// seen remembers the checks of one generation by their transactions, which are
// never used twice (RFC 8489, section 5), so that one that somebody captured and
// sends again counts no second time. It has a fixed size and forgets nothing
// while the generation lives: what it has not seen it may take for seen, never the
// other way (B. Bloom, Space/time trade-offs in hash coding with allowable errors,
// https://doi.org/10.1145/362686.362692). It is not safe for concurrent use.
type seen struct{ bits *[seenBits / 64]uint64 }

func (s *seen) each(id []byte, f func(word *uint64, bit uint64)) {
	h := maphash.Bytes(seenSeed, id)
	step := h>>32 | 1
	for range seenMarks {
		at := h % seenBits
		f(&s.bits[at/64], 1<<(at%64))
		h += step
	}
}

// has reports whether a transaction was seen.
func (s *seen) has(id []byte) bool {
	all := s.bits != nil
	if all {
		s.each(id, func(word *uint64, bit uint64) { all = all && *word&bit != 0 })
	}
	return all
}

// add remembers a transaction and reports whether it was seen before.
func (s *seen) add(id []byte) bool {
	if s.bits == nil {
		s.bits = new([seenBits / 64]uint64)
	}
	all := true
	s.each(id, func(word *uint64, bit uint64) {
		all = all && *word&bit != 0
		*word |= bit
	})
	return all
}

// quota is what is left of so many a second.
type quota struct {
	since int64
	taken int
}

func (q *quota) take(at int64, most int) bool {
	if at-q.since >= int64(time.Second) {
		q.since, q.taken = at, 0
	}
	q.taken++
	return q.taken <= most
}
