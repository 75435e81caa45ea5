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
	Hash    string // of the head, which names the hashes of both sections
	File    string
	Offset  int64
	Size    int64
	Entries []Entry // of the clear section
	sealed  []byte
	inPlace bool // what was read may be overwritten
}

// Open opens the sealed section: frames in the order of their arrival, and
// sealed entries. Frames share memory with what was read.
func (b *Block) Open(key DataKey) ([]Frame, []Entry, error) {
	var room []byte
	if b.inPlace && len(b.sealed) > nonceSize {
		room = b.sealed[nonceSize:nonceSize]
	}
	plain, err := key.open(room, b.sealed, b.Head.Recording, b.Head.Seq)
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
// block and those read ahead, and checks form, hashes, chain and signatures.
// Signatures are checked under the sign_key of the statement that the first
// block brings: whether that statement is a recorder's is for the caller to
// check (Opened). It must not be used by two goroutines at once.
type Reader struct {
	feed         feed
	ahead        int
	pending      []*unit
	at           int // index of the source that what was read last is from
	offset       int64
	next         int64
	prev         string
	last         Head
	key          crypto.PublicKey
	opened       Opened
	closed       *Closed
	frames       int64 // that the heads read so far name
	partial      bool  // what is before the first block read here was not read
	adopt        bool  // the next block is taken where it stands: what is before it was not read
	byChain      bool
	reuse        bool
	given        *unit  // what Next returned last
	newest       string // the last block's signed head, and where it stands
	newestFile   string
	newestOffset int64
	err          error
}

// NewReader reads the files of one journal.
func NewReader(sources ...Source) *Reader { return &Reader{feed: feed{sources: sources}} }

// maxAhead bounds the bytes that are read ahead.
const maxAhead = 4 << 20

// ReadAhead lets the reader work on that many blocks beyond the next one, each
// in a goroutine of its own that ends by itself: what can be said of a block
// alone is found out on all processors, and judged block by block in order.
func (r *Reader) ReadAhead(blocks int) { r.ahead = blocks }

// ByChain has the reader check one signature, the last head's, which names all
// blocks before it by their hashes. Until Next returned io.EOF nothing that it
// gave is proved; and where something is wrong, the place that is named need not
// be the first: read again without it.
func (r *Reader) ByChain() { r.byChain = true }

// Reuse has the reader read into the same memory again: a block, and what was
// opened of it once, is good until the next call of Next.
func (r *Reader) Reuse() { r.reuse = true }

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
	if r.reuse && r.given != nil {
		r.feed.spare = append(r.feed.spare, r.given.rest)
		r.given = nil
	}
	b, err := r.read()
	if errors.Is(err, io.EOF) && r.byChain && r.next > 0 {
		if wrong := jws.Verify(r.newest, TypeJournal, r.key, new(Head)); wrong != nil {
			r.err = &PlaceError{File: r.newestFile, Offset: r.newestOffset, Seq: r.next - 1, Err: wrong}
			return nil, r.err
		}
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = r.place(err)
		}
		r.err = err
		return nil, err
	}
	return b, nil
}

func (r *Reader) place(err error) error {
	name := "journal"
	if sources := r.feed.sources; r.at < len(sources) {
		name = sources[r.at].Name
	} else if n := len(sources); n > 0 {
		name = sources[n-1].Name
	}
	return &PlaceError{File: name, Offset: r.offset, Seq: r.next, Err: err}
}

// read takes the next block, and sees that others are worked on meanwhile.
func (r *Reader) read() (*Block, error) {
	size := int64(0)
	for _, u := range r.pending {
		size += u.size
	}
	// Until the first block is read there is no key to work with.
	for len(r.pending) == 0 || r.key != nil && len(r.pending) <= r.ahead && size < maxAhead && r.pending[len(r.pending)-1].err == nil {
		u := r.feed.next()
		if r.key != nil && r.ahead > 0 && u.err == nil {
			u.done = make(chan struct{})
			go func() {
				defer close(u.done)
				u.examine(r.key, &r.opened, r.byChain)
			}()
		}
		size += u.size
		r.pending = append(r.pending, u)
	}
	u := r.pending[0]
	r.pending = r.pending[1:]
	return r.take(u)
}

// feed reads the bytes of one block after the other.
type feed struct {
	sources []Source
	at      int // index of the current source
	begun   bool
	any     bool // the current source held a block
	blocks  int64
	offset  int64
	spare   [][]byte // memory to read into
}

// unit is one block as it was read, and what can be said of it alone. Where err
// is set there is none.
type unit struct {
	at     int
	offset int64
	size   int64
	err    error

	file          string
	rest          []byte
	message       string
	clear, sealed []byte
	done          chan struct{} // closed once it was examined; nil where nobody has begun

	entries   []Entry
	entryErr  error
	head      Head
	headErr   error
	clearSum  string
	sealedSum string
	sum       string
	forms     error // of the first entry that is malformed
	malformed int   // which that is
}

// next finds the next block in this source or the one after.
func (f *feed) next() *unit {
	u := &unit{}
	u.err = f.read(u)
	if u.err != nil {
		u.at, u.offset = f.at, f.offset
		return u
	}
	f.offset += u.size
	f.blocks++
	return u
}

func (f *feed) read(u *unit) error {
	for {
		if f.at >= len(f.sources) {
			if f.blocks == 0 {
				return fmt.Errorf("%w: no block at all", ErrTruncated)
			}
			return io.EOF
		}
		src := f.sources[f.at]
		if !f.begun {
			magic := make([]byte, len(fileMagic))
			if _, err := io.ReadFull(src.Reader, magic); err != nil {
				return truncated(err)
			}
			if string(magic) != fileMagic {
				return fmt.Errorf("%w: not a journal file of this version", ErrMalformed)
			}
			f.begun, f.any, f.offset = true, false, int64(len(fileMagic))
		}
		prefix := make([]byte, prefixSize)
		_, err := io.ReadFull(src.Reader, prefix)
		if errors.Is(err, io.EOF) {
			// A file without any block is only made by cutting one off.
			if !f.any {
				return fmt.Errorf("%w: the file holds no block", ErrTruncated)
			}
			f.at, f.begun, f.offset = f.at+1, false, 0
			continue
		}
		if err != nil {
			return truncated(err)
		}
		f.any = true
		var room []byte
		if n := len(f.spare); n > 0 {
			room, f.spare = f.spare[n-1], f.spare[:n-1]
		}
		return u.read(src, f.at, f.offset, prefix, room)
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

// readRest reads what follows a block's prefix, into room where it is large
// enough. What is large is grown as bytes come, so that a length that lies costs
// little.
func readRest(r io.Reader, n int64, room []byte) ([]byte, error) {
	if n <= max(readAtOnce, int64(cap(room))) {
		b := room
		if n > int64(cap(room)) {
			b = make([]byte, n, n+n/8)
		}
		b = b[:n]
		_, err := io.ReadFull(r, b)
		return b, truncated(err)
	}
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(b)) != n {
		err = ErrTruncated
	}
	return b, err
}

func (u *unit) read(src Source, at int, offset int64, prefix, room []byte) error {
	u.file, u.at, u.offset = src.Name, at, offset
	l, err := parsePrefix(prefix)
	if err != nil {
		return err
	}
	if u.rest, err = readRest(src.Reader, l.total()-prefixSize, room); err != nil {
		return err
	}
	u.size = l.total()
	u.message, u.clear, u.sealed = string(u.rest[:l.head]), u.rest[l.head:l.head+l.clear], u.rest[l.head+l.clear:]
	u.entries, u.entryErr = decodeClear(u.clear)
	return nil
}

// examine finds out what can be said of a block without those before it.
func (u *unit) examine(key crypto.PublicKey, o *Opened, byChain bool) {
	if byChain {
		u.head, u.headErr = readHead(u.message)
	} else {
		u.headErr = jws.Verify(u.message, TypeJournal, key, &u.head)
	}
	if u.headErr != nil {
		return
	}
	u.clearSum, u.sealedSum, u.sum = hash(u.clear), hash(u.sealed), hash(u.rest[:len(u.message)])
	spell(u.entries, o)
	for i, e := range u.entries {
		if u.forms = e.check(); u.forms != nil {
			u.malformed = i
			return
		}
	}
}

// take judges a block in its place.
func (r *Reader) take(u *unit) (*Block, error) {
	r.at, r.offset = u.at, u.offset
	if u.err != nil {
		return nil, u.err
	}
	err := u.entryErr
	if r.next == 0 && err == nil {
		err = r.begin(u.entries)
	}
	if err != nil {
		// A clear section that was changed does not read, but its hash says so
		// better than its grammar; a first block has no key to check it with yet.
		var h Head
		if jws.Peek(u.message, TypeJournal, &h) == nil && h.Clear != hash(u.clear) {
			return nil, fmt.Errorf("%w: clear section", ErrContent)
		}
		return nil, err
	}
	if u.done == nil {
		u.examine(r.key, &r.opened, r.byChain)
	} else {
		<-u.done
	}
	if u.headErr != nil {
		return nil, u.headErr
	}
	if err := r.follows(u.head); err != nil {
		return nil, err
	}
	if u.head.Clear != u.clearSum {
		return nil, fmt.Errorf("%w: clear section", ErrContent)
	}
	if u.head.Sealed != u.sealedSum {
		return nil, fmt.Errorf("%w: sealed section", ErrContent)
	}
	r.partial = r.partial || r.adopt
	r.frames += u.head.Frames
	for i, e := range u.entries {
		if u.forms != nil && i == u.malformed {
			return nil, u.forms
		}
		switch {
		case e.Type == EntryOpened && (r.next != 0 || i != 0):
			return nil, fmt.Errorf("%w: a second opening", ErrMalformed)
		case e.Type == EntryClosed:
			var c Closed
			if err := e.Read(&c); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			if i != len(u.entries)-1 {
				return nil, fmt.Errorf("%w: something after the closing", ErrMalformed)
			}
			if !r.partial && c.Frames != r.frames {
				return nil, fmt.Errorf("%w: the closing counts %d frames, the blocks %d", ErrContent, c.Frames, r.frames)
			}
			r.closed = &c
		}
	}
	r.prev, r.last, r.next, r.adopt = u.sum, u.head, u.head.Seq+1, false
	r.given, r.newest, r.newestFile, r.newestOffset = u, u.message, u.file, u.offset
	return &Block{Head: u.head, Hash: u.sum, File: u.file, Offset: u.offset, Size: u.size, Entries: u.entries, sealed: u.sealed, inPlace: r.reuse}, nil
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
	case h.V != version:
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
