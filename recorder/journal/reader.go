package journal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
)

var (
	// ErrChain says that a block does not follow the one before it: a block or
	// file was removed, added, repeated or moved.
	ErrChain = errors.New("block does not follow the one before")
	// ErrContent says that a section is not the one whose hash was signed.
	ErrContent = errors.New("section is not the one that was signed")
	// ErrTruncated says that a journal ends inside a block.
	ErrTruncated = errors.New("journal ends inside a block")
)

// PlaceError names where in a journal something is wrong.
type PlaceError struct {
	File   string
	Offset int64 // of the block, in bytes from the file's start
	Seq    int64 // number that the block has or should have
	Err    error
}

// Error names file, offset and block.
func (e *PlaceError) Error() string {
	return fmt.Sprintf("%s: block %d at byte %d: %v", e.File, e.Seq, e.Offset, e.Err)
}

// Unwrap gives the reason.
func (e *PlaceError) Unwrap() error { return e.Err }

// Source is one file of a journal, given in order.
type Source struct {
	Name   string
	Reader io.Reader
}

// Block is one verified block.
type Block struct {
	Head    Head
	Hash    string // of the whole block
	File    string
	Offset  int64
	Size    int64
	Entries []Entry // of the clear section
	sealed  []byte
}

// Open opens the sealed section: frames in the order of their arrival, and
// sealed entries. Frames share memory with what was read.
func (b *Block) Open(key DataKey) ([]Frame, []Entry, error) {
	plain, err := key.open(b.sealed, b.Head.Recording, b.Head.Seq)
	if err != nil {
		return nil, nil, &PlaceError{b.File, b.Offset, b.Head.Seq, err}
	}
	frames, entries, err := decodeSealed(plain, b.Head.From)
	for _, e := range entries {
		if err == nil {
			err = e.check()
		}
	}
	if err == nil && int64(len(frames)) != b.Head.Frames {
		err = fmt.Errorf("%w: %d frames, the head says %d", ErrMalformed, len(frames), b.Head.Frames)
	}
	if err != nil {
		return nil, nil, &PlaceError{b.File, b.Offset, b.Head.Seq, err}
	}
	return frames, entries, nil
}

// Reader reads a journal from its first block on, in memory bounded by one
// block, and checks form, hashes, chain and signatures. Signatures are checked
// under the sign_key of the statement that the first block brings: whether
// that statement is a recorder's is for the caller to check (Opened).
type Reader struct {
	sources []Source
	at      int // index of the current source
	begun   bool
	offset  int64
	next    int64
	prev    string
	last    Head
	key     crypto.PublicKey
	opened  Opened
	closed  *Closed
	frames  int64 // that the heads read so far name
	partial bool  // what is before the first block read here was not read
	adopt   bool  // the next block is taken where it stands: what is before it was not read
	err     error
}

// NewReader reads the files of one journal.
func NewReader(sources ...Source) *Reader { return &Reader{sources: sources} }

// Opened is what the first block says, once Next has returned it.
func (r *Reader) Opened() Opened { return r.opened }

// Closed is the closing entry, or nil where the journal was cut off.
func (r *Reader) Closed() *Closed { return r.closed }

// Next returns the next block, io.EOF after the last, or a *PlaceError. Once
// it failed it fails again in the same way.
func (r *Reader) Next() (*Block, error) {
	if r.err != nil {
		return nil, r.err
	}
	b, err := r.read()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = r.place(err)
		}
		r.err = err
		return nil, err
	}
	r.offset += b.Size
	return b, nil
}

func (r *Reader) place(err error) error {
	name := "journal"
	if r.at < len(r.sources) {
		name = r.sources[r.at].Name
	} else if n := len(r.sources); n > 0 {
		name = r.sources[n-1].Name
	}
	return &PlaceError{File: name, Offset: r.offset, Seq: r.next, Err: err}
}

// read finds the next block in this source or the one after.
func (r *Reader) read() (*Block, error) {
	for {
		if r.at >= len(r.sources) {
			if r.next == 0 {
				return nil, fmt.Errorf("%w: no block at all", ErrTruncated)
			}
			return nil, io.EOF
		}
		src := r.sources[r.at]
		if !r.begun {
			magic := make([]byte, len(fileMagic))
			if _, err := io.ReadFull(src.Reader, magic); err != nil {
				return nil, truncated(err)
			}
			if string(magic) != fileMagic {
				return nil, fmt.Errorf("%w: not a journal file of this version", ErrMalformed)
			}
			r.begun, r.offset = true, int64(len(fileMagic))
		}
		prefix := make([]byte, prefixSize)
		_, err := io.ReadFull(src.Reader, prefix)
		if errors.Is(err, io.EOF) {
			// A file without any block is only made by cutting one off.
			if r.last.File != int64(r.at)+1 {
				return nil, fmt.Errorf("%w: the file holds no block", ErrTruncated)
			}
			r.at, r.begun, r.offset = r.at+1, false, 0
			continue
		}
		if err != nil {
			return nil, truncated(err)
		}
		return r.block(src, prefix)
	}
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// readAtOnce bounds what is allocated on the word of a length alone.
const readAtOnce = 256 << 10

// readRest reads what follows a block's prefix. What is large is grown as bytes
// come, so that a length that lies costs little.
func readRest(r io.Reader, n int64) ([]byte, error) {
	if n <= readAtOnce {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return b, truncated(err)
	}
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(b)) != n {
		err = ErrTruncated
	}
	return b, err
}

func (r *Reader) block(src Source, prefix []byte) (*Block, error) {
	l, err := parsePrefix(prefix)
	if err != nil {
		return nil, err
	}
	rest, err := readRest(src.Reader, l.total()-prefixSize)
	if err != nil {
		return nil, err
	}
	message, clear, sealed := string(rest[:l.head]), rest[l.head:l.head+l.clear], rest[l.head+l.clear:]
	entries, err := decodeClear(clear)
	if r.next == 0 && err == nil {
		err = r.begin(entries)
	}
	if err != nil {
		// A clear section that was changed does not read, but its hash says so
		// better than its grammar; a first block has no key to check it with yet.
		var h Head
		if jws.Peek(message, TypeJournal, &h) == nil && h.Clear != hash(clear) {
			return nil, fmt.Errorf("%w: clear section", ErrContent)
		}
		return nil, err
	}
	b := &Block{File: src.Name, Offset: r.offset, Size: l.total(), Entries: entries, sealed: sealed}
	if err := jws.Verify(message, TypeJournal, r.key, &b.Head); err != nil {
		return nil, err
	}
	if err := r.follows(b.Head); err != nil {
		return nil, err
	}
	if b.Head.Clear != hash(clear) {
		return nil, fmt.Errorf("%w: clear section", ErrContent)
	}
	if b.Head.Sealed != hash(sealed) {
		return nil, fmt.Errorf("%w: sealed section", ErrContent)
	}
	r.partial = r.partial || r.adopt
	r.frames += b.Head.Frames
	for i, e := range entries {
		if err := e.check(); err != nil {
			return nil, err
		}
		switch {
		case e.Type == EntryOpened && (r.next != 0 || i != 0):
			return nil, fmt.Errorf("%w: a second opening", ErrMalformed)
		case e.Type == EntryClosed:
			var c Closed
			if err := e.Read(&c); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			if i != len(entries)-1 {
				return nil, fmt.Errorf("%w: something after the closing", ErrMalformed)
			}
			if !r.partial && c.Frames != r.frames {
				return nil, fmt.Errorf("%w: the closing counts %d frames, the blocks %d", ErrContent, c.Frames, r.frames)
			}
			r.closed = &c
		}
	}
	b.Hash = hash(prefix, rest)
	r.prev, r.last, r.next, r.adopt = b.Hash, b.Head, b.Head.Seq+1, false
	return b, nil
}

// begin takes the journal's identity from the first block.
func (r *Reader) begin(entries []Entry) error {
	if len(entries) == 0 || entries[0].Type != EntryOpened {
		return fmt.Errorf("%w: the first block does not open a journal", ErrMalformed)
	}
	var o Opened
	if err := entries[0].Read(&o); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if o.V != 1 {
		return fmt.Errorf("%w: version %d is not known", ErrMalformed, o.V)
	}
	key, err := signKey(o.Statement)
	if err != nil {
		return err
	}
	r.opened, r.key = o, key
	return nil
}

// signKey reads which key a statement names, without trusting it.
func signKey(statement string) (crypto.PublicKey, error) {
	var s sealing.Statement
	if err := jws.Peek(statement, sealing.TypeStatement, &s); err != nil {
		return nil, fmt.Errorf("%w: the recorder's statement: %w", ErrMalformed, err)
	}
	point, err := base64.RawURLEncoding.DecodeString(s.SignKey)
	if err != nil {
		return nil, fmt.Errorf("%w: the recorder's statement names no key", ErrMalformed)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: the recorder's statement names no P-256 key", ErrMalformed)
	}
	return key, nil
}

func (r *Reader) follows(h Head) error {
	switch {
	case h.V != 1:
		return fmt.Errorf("%w: version %d is not known", ErrMalformed, h.V)
	case h.Recording != r.opened.Recording || h.Hearing != r.opened.Hearing:
		return fmt.Errorf("%w: it belongs to recording %s", ErrChain, h.Recording)
	case r.closed != nil:
		return fmt.Errorf("%w: the journal was closed before it", ErrChain)
	case h.Seq != r.next && !r.adopt:
		return fmt.Errorf("%w: it is block %d", ErrChain, h.Seq)
	case h.Prev != r.prev && !r.adopt:
		return fmt.Errorf("%w: it names another block before it", ErrChain)
	case h.File != int64(r.at)+1:
		return fmt.Errorf("%w: it belongs to file %d", ErrChain, h.File)
	case h.Seq > 0 && h.From != r.last.To && !r.adopt, h.To < h.From:
		return fmt.Errorf("%w: its times do not continue", ErrChain)
	case h.Frames < 0:
		return fmt.Errorf("%w: negative count of frames", ErrMalformed)
	}
	return nil
}

// sequence refuses a directory in which a file is missing.
func sequence(names []string) error {
	for i, n := range names {
		if n != FileName(int64(i)+1) {
			return fmt.Errorf("%w: file %s is missing", ErrChain, FileName(int64(i)+1))
		}
	}
	return nil
}

// Covers is the time that a journal speaks of.
func (r *Reader) Covers() (from, to interview.Micros) { return r.opened.Anchor.Hearing, r.last.To }

// Head is the hash of the last block that Next returned.
func (r *Reader) Head() (hash string, seq int64) { return r.prev, r.next - 1 }
