package intake

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrOrder says that a piece of a back-up is not the next one.
var ErrOrder = errors.New("pieces of a back-up come one after the other")

// Spool keeps on disk what was brought for one taking in, and what counts of it:
// back-ups sealed to the keys of that taking, frames as their senders sealed them.
// Nothing of it is there when Close has returned, and nothing beyond its bounds
// before. It must not be used by two goroutines at once.
type Spool struct {
	folder string
	limits Limits
	files  []spooled
	bytes  int64
	kept   []*Kept
}

type spooled struct {
	f    *os.File
	size int64
}

const (
	spoolPattern = "taking-in-*.kb"
	keptPattern  = "taking-in-*.frames"
)

// NewSpool begins one in a folder that exists.
func NewSpool(folder string, l Limits) *Spool { return &Spool{folder: folder, limits: l} }

// Sweep removes what a process that was killed left in a folder: nobody has its
// keys.
func Sweep(folder string) error {
	var all error
	for _, pattern := range []string{spoolPattern, keptPattern} {
		left, err := filepath.Glob(filepath.Join(folder, pattern))
		all = errors.Join(all, err)
		for _, name := range left {
			all = errors.Join(all, os.Remove(name))
		}
	}
	return all
}

// Files is how many back-ups were begun.
func (s *Spool) Files() int { return len(s.files) }

// Put keeps a piece of the n-th back-up, from 0. Pieces come in order, and a file
// begins when all before it have: ErrOrder. ErrLong where a bound is reached; what
// was kept before stays.
func (s *Spool) Put(n int, offset int64, data []byte) error {
	if n == len(s.files) && offset == 0 {
		if n >= s.limits.Files {
			return fmt.Errorf("%w: %d back-ups at once, at most %d", ErrLong, n+1, s.limits.Files)
		}
		f, err := os.CreateTemp(s.folder, spoolPattern)
		if err != nil {
			return err
		}
		s.files = append(s.files, spooled{f: f})
	}
	if n < 0 || n >= len(s.files) || s.files[n].size != offset {
		return ErrOrder
	}
	x, more := &s.files[n], int64(len(data))
	switch {
	case x.size+more > s.limits.File:
		return fmt.Errorf("%w: back-up %d is longer than %d bytes", ErrLong, n, s.limits.File)
	case s.bytes+more > s.limits.Bytes:
		return fmt.Errorf("%w: the back-ups are longer than %d bytes together", ErrLong, s.limits.Bytes)
	}
	if err := s.spare(more); err != nil {
		return err
	}
	written, err := x.f.Write(data)
	x.size, s.bytes = x.size+int64(written), s.bytes+int64(written)
	return err
}

// spare refuses what would leave too little of the disk to recordings.
func (s *Spool) spare(more int64) error {
	left, err := s.limits.Free(s.folder)
	if err != nil {
		return fmt.Errorf("back-ups to take in: %w", err)
	}
	if left-more < s.limits.LeastFree {
		return fmt.Errorf("%w: the disk would have less than %d bytes left for recordings", ErrLong, s.limits.LeastFree)
	}
	return nil
}

// Open reads the n-th back-up from its beginning. One at a time can be open.
func (s *Spool) Open(n int) (io.ReadCloser, error) {
	if n < 0 || n >= len(s.files) {
		return nil, ErrOrder
	}
	return io.NopCloser(bufio.NewReaderSize(io.NewSectionReader(s.files[n].f, 0, s.files[n].size), 1<<20)), nil
}

// Close removes everything.
func (s *Spool) Close() error {
	var err error
	remove := func(f *os.File) {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	for _, x := range s.files {
		remove(x.f)
	}
	for _, k := range s.kept {
		remove(k.file)
	}
	s.files, s.kept, s.bytes = nil, nil, 0
	return err
}
