package journal

import (
	"fmt"

	"kuule/interview"
)

// Place is where a verified block stands and what its bytes are, without the
// bytes: a reader that went through a journal once comes back to any moment of
// it by the places that it kept.
type Place struct {
	Recording interview.RecordingID
	File      string
	Offset    int64
	Size      int64
	Seq       int64
	From, To  interview.Micros
	sealed    int64
	hash      string // of the sealed section
}

// Place of the block.
func (b *Block) Place() Place {
	return Place{b.Head.Recording, b.File, b.Offset, b.Size, b.Head.Seq, b.Head.From, b.Head.To, int64(len(b.sealed)), b.Head.Sealed}
}

// Open opens the block's sealed section from its bytes, read anew: they have to
// be the very ones that were verified, else ErrContent. Frames share memory
// with what was opened.
func (p Place) Open(bytes []byte, key DataKey) ([]Frame, []Entry, error) {
	fault := func(err error) error { return &PlaceError{p.File, p.Offset, p.Seq, err} }
	if int64(len(bytes)) != p.Size || hash(bytes[p.Size-p.sealed:]) != p.hash {
		return nil, nil, fault(fmt.Errorf("%w: it was changed since it was read first", ErrContent))
	}
	plain, err := key.open(nil, bytes[p.Size-p.sealed:], p.Recording, p.Seq)
	if err != nil {
		return nil, nil, fault(err)
	}
	frames, entries, err := decodeSealed(plain, p.From)
	if err != nil {
		return nil, nil, fault(err)
	}
	return frames, entries, nil
}
