package journal

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"kuule/internal/jws"
	"kuule/interview"
)

// Position is where a block stands.
type Position struct {
	File   int // index into the files that were given
	Offset int64
	Size   int64
	Seq    int64
	From   interview.Micros
	To     interview.Micros
}

// Index finds blocks by time. It can be made from the journal itself by reading
// the heads alone, so that losing one loses nothing; and each block that it
// gives out is verified by itself, so that a wrong one misleads nobody.
type Index struct {
	files  []io.ReaderAt
	blocks []Position

	mu    sync.Mutex
	first *Block // once it was verified: what follows is checked with its key
}

// NewIndex skims the files of a journal, given in order. Heads are not
// verified here: Reader does that, and Block checks what it gives out.
func NewIndex(files ...io.ReaderAt) (*Index, error) {
	x := &Index{files: files}
	for i, f := range files {
		if err := x.skim(i, f); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// skim reads the heads of one file.
func (x *Index) skim(i int, f io.ReaderAt) error {
	off := int64(len(fileMagic))
	for {
		prefix := make([]byte, prefixSize)
		n, err := f.ReadAt(prefix, off)
		if n == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if n < prefixSize {
			return &PlaceError{FileName(int64(i) + 1), off, int64(len(x.blocks)), ErrTruncated}
		}
		p, err := skim(f, off, prefix)
		if err == nil && p.Seq != int64(len(x.blocks)) {
			err = ErrChain
		}
		if err != nil {
			return &PlaceError{FileName(int64(i) + 1), off, int64(len(x.blocks)), err}
		}
		p.File = i
		x.blocks = append(x.blocks, p)
		off += p.Size
	}
}

func skim(f io.ReaderAt, off int64, prefix []byte) (Position, error) {
	l, err := parsePrefix(prefix)
	if err != nil {
		return Position{}, err
	}
	message := make([]byte, l.head)
	if _, err := f.ReadAt(message, off+prefixSize); err != nil {
		return Position{}, truncated(err)
	}
	var h Head
	if err := jws.Peek(string(message), TypeJournal, &h); err != nil {
		return Position{}, err
	}
	return Position{Offset: off, Size: l.total(), Seq: h.Seq, From: h.From, To: h.To}, nil
}

// Len is the number of blocks.
func (x *Index) Len() int { return len(x.blocks) }

// Position gives a block's place.
func (x *Index) Position(seq int64) (Position, bool) {
	if seq < 0 || seq >= int64(len(x.blocks)) {
		return Position{}, false
	}
	return x.blocks[seq], true
}

// Find returns the number of the block that holds what arrived at t: the first
// that ends at or after it, or the last.
func (x *Index) Find(t interview.Micros) int64 {
	n := sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i].To >= t })
	return int64(min(n, len(x.blocks)-1))
}

// Block reads one block by its number, verified under the key that the first
// block names, apart from its place in the chain.
func (x *Index) Block(seq int64) (*Block, error) {
	p, ok := x.Position(seq)
	if !ok {
		return nil, fmt.Errorf("block %d: %w", seq, io.EOF)
	}
	r := NewReader()
	if seq > 0 {
		first, err := x.opening()
		if err != nil {
			return nil, err
		}
		if err := r.begin(first.Entries); err != nil {
			return nil, err
		}
	}
	r.at, r.offset, r.next = p.File, p.Offset, seq
	src := Source{Name: FileName(int64(p.File) + 1), Reader: io.NewSectionReader(x.files[p.File], p.Offset, p.Size)}
	prefix := make([]byte, prefixSize)
	if _, err := io.ReadFull(src.Reader, prefix); err != nil {
		return nil, r.place(truncated(err))
	}
	r.adopt = seq > 0
	u := &unit{}
	u.err = u.read(src, p.File, p.Offset, prefix, nil)
	b, err := r.take(u)
	if err == nil && b.Head.Seq != seq {
		err = ErrChain
	}
	if err != nil {
		return nil, &PlaceError{src.Name, p.Offset, seq, err}
	}
	return b, nil
}

// opening is the first block, read and verified once.
func (x *Index) opening() (*Block, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.first != nil {
		return x.first, nil
	}
	b, err := x.Block(0)
	if err != nil {
		return nil, err
	}
	x.first = &Block{Head: b.Head, Hash: b.Hash, File: b.File, Offset: b.Offset, Size: b.Size, Entries: b.Entries}
	return x.first, nil
}
