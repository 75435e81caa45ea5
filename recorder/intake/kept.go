package intake

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"

	"kuule/interview"
)

// Kept is what counts of the back-ups of one taking in. The frames lie in a file of
// the spool as their senders sealed them; memory has where, forty bytes for each.
type Kept struct {
	spool  *Spool
	file   *os.File
	out    *bufio.Writer
	size   int64
	places []place
}

// place is where a frame lies, and what is known of it.
type place struct {
	key     *heldKey // says whose it is, and what
	counter uint64
	capture interview.Micros
	offset  int64
	size    int32
	first   bool // a picture that begins anew
}

// Keep begins what counts.
func (s *Spool) Keep() (*Kept, error) {
	f, err := os.CreateTemp(s.folder, keptPattern)
	if err != nil {
		return nil, err
	}
	k := &Kept{spool: s, file: f, out: bufio.NewWriterSize(f, 1<<20)}
	s.kept = append(s.kept, k)
	return k, nil
}

// Len is how many frames count.
func (k *Kept) Len() int { return len(k.places) }

// spareEvery is after how many bytes the disk is asked what it has left.
const spareEvery = 16 << 20

// Take is a take for Read.
func (k *Kept) Take(f Frame) error {
	l, more := &k.spool.limits, int64(len(f.Sealed))
	switch {
	case len(k.places) >= l.Frames:
		return fmt.Errorf("%w: more than %d frames count", ErrLong, l.Frames)
	case k.size+more > l.Kept:
		return fmt.Errorf("%w: the frames that count are longer than %d bytes", ErrLong, l.Kept)
	}
	// What is kept is written once more, into journals, while it is still here.
	if len(k.places) == 0 || k.size/spareEvery != (k.size+more)/spareEvery {
		if err := k.spool.spare(spareEvery + k.size); err != nil {
			return err
		}
	}
	k.places = append(k.places, place{
		key: f.key, counter: f.Counter, capture: f.Capture, offset: k.size, size: int32(len(f.Sealed)),
		first: f.Source != interview.SourceAudio && len(f.Codec) > 0 && f.Codec[0]&1 == 0, // RFC 6386 section 9.1
	})
	k.size += more
	_, err := k.out.Write(f.Sealed)
	return err
}

// order puts them in the order of their capture, and what was written into reach.
func (k *Kept) order() error {
	slices.SortStableFunc(k.places, func(a, b place) int { return cmp.Compare(a.capture, b.capture) })
	return k.out.Flush()
}

// between gives the places of a stretch, once they are in order.
func (k *Kept) between(from, to interview.Micros) (first, last int) {
	at := func(t interview.Micros) int {
		n, _ := slices.BinarySearchFunc(k.places, t, func(p place, t interview.Micros) int { return cmp.Compare(p.capture, t) })
		return n
	}
	return at(from), at(to)
}

// sealed reads a frame.
func (k *Kept) sealed(p *place) ([]byte, error) {
	b := make([]byte, p.size)
	if _, err := k.file.ReadAt(b, p.offset); err != nil {
		return nil, fmt.Errorf("a frame that was kept: %w", err)
	}
	return b, nil
}
