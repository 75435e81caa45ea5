package duplicate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"
)

// The file of a gallery: a header, then blocks of records, each sealed by
// AES-256-GCM under a key that only this file has, its number as nonce and the
// header as associated data. A block that was changed, moved or left out opens
// no more, and nothing of a template can be read without the key. A search reads
// the file once and holds one block.
const (
	Dimensions = 512

	magic       = "KUULEGL1"
	headerSize  = 8 + 4 + 4 + 8 + 8 + 32
	recordSize  = MaxReference + 4 + Dimensions
	perBlock    = 2048
	tagSize     = 16
	maxGallery  = 50_000_000 // records
	galleryInfo = "kuule gallery file"
)

// ErrGallery says that a file is no gallery, not whole, or not under this key.
var ErrGallery = errors.New("gallery cannot be read")

// Gallery is an open gallery file. It is safe for concurrent use.
type Gallery struct {
	file   *os.File
	header [headerSize]byte
	seal   cipher.AEAD
	count  int
	asOf   time.Time
}

// Entry is one template of a register.
type Entry struct {
	Reference string // printable, at most [MaxReference] bytes
	Template  []int8 // of [Dimensions]
}

// WriteGallery writes a gallery of exactly count entries. Key has 32 bytes. The
// file is whole only when nil is returned.
func WriteGallery(w io.Writer, key []byte, asOf time.Time, count int, next func() (Entry, error)) error {
	if count < 0 || count > maxGallery {
		return fmt.Errorf("write gallery: %d entries, at most %d", count, maxGallery)
	}
	var header [headerSize]byte
	copy(header[:], magic)
	binary.BigEndian.PutUint32(header[8:], Dimensions)
	binary.BigEndian.PutUint32(header[12:], perBlock)
	binary.BigEndian.PutUint64(header[16:], uint64(count))
	binary.BigEndian.PutUint64(header[24:], uint64(asOf.Unix()))
	if _, err := rand.Read(header[32:]); err != nil {
		return fmt.Errorf("write gallery: %w", err)
	}
	seal, err := fileSeal(key, header)
	if err != nil {
		return err
	}
	if _, err := w.Write(header[:]); err != nil {
		return fmt.Errorf("write gallery: %w", err)
	}
	block := make([]byte, 0, perBlock*recordSize)
	var out []byte
	for n := range count {
		e, err := next()
		if err != nil {
			return fmt.Errorf("write gallery: entry %d: %w", n, err)
		}
		if block, err = e.append(block); err != nil {
			return fmt.Errorf("write gallery: entry %d: %w", n, err)
		}
		if len(block) == cap(block) || n == count-1 {
			out = seal.Seal(out[:0], nonce(n/perBlock), block, header[:])
			if _, err := w.Write(out); err != nil {
				return fmt.Errorf("write gallery: %w", err)
			}
			clear(block)
			block = block[:0]
		}
	}
	return nil
}

func (e Entry) append(block []byte) ([]byte, error) {
	if len(e.Reference) > MaxReference || !printable.MatchString(e.Reference) || len(e.Template) != Dimensions {
		return nil, errors.New("a printable reference and 512 numbers are needed")
	}
	var reference [MaxReference]byte
	copy(reference[:], e.Reference)
	block = append(block, reference[:]...)
	var norm uint32
	for _, v := range e.Template {
		norm += uint32(int32(v) * int32(v))
	}
	if norm == 0 {
		return nil, errors.New("a template of nothing")
	}
	block = binary.BigEndian.AppendUint32(block, norm)
	for _, v := range e.Template {
		block = append(block, byte(v))
	}
	return block, nil
}

func fileSeal(key []byte, header [headerSize]byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("%w: a key of %d bytes, 32 are needed", ErrGallery, len(key))
	}
	own, err := hkdf.Key(sha256.New, key, header[32:], galleryInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGallery, err)
	}
	b, err := aes.NewCipher(own)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGallery, err)
	}
	return cipher.NewGCM(b)
}

func nonce(block int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(block))
}

// OpenGallery opens a file and looks at its size; its blocks are checked when
// they are read.
func OpenGallery(path string, key []byte) (*Gallery, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open gallery: %w", err)
	}
	g := &Gallery{file: f}
	if err := g.open(key); err != nil {
		_ = f.Close()
		return nil, err
	}
	return g, nil
}

func (g *Gallery) open(key []byte) error {
	if _, err := g.file.ReadAt(g.header[:], 0); err != nil {
		return fmt.Errorf("%w: %w", ErrGallery, err)
	}
	h := g.header[:]
	count := binary.BigEndian.Uint64(h[16:])
	if !bytes.Equal(h[:8], []byte(magic)) || binary.BigEndian.Uint32(h[8:]) != Dimensions || binary.BigEndian.Uint32(h[12:]) != perBlock || count > maxGallery {
		return fmt.Errorf("%w: no gallery of this kind", ErrGallery)
	}
	g.count, g.asOf = int(count), time.Unix(int64(binary.BigEndian.Uint64(h[24:])), 0).UTC()
	blocks := (g.count + perBlock - 1) / perBlock
	info, err := g.file.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGallery, err)
	}
	if want := int64(headerSize) + int64(g.count)*recordSize + int64(blocks)*tagSize; info.Size() != want {
		return fmt.Errorf("%w: %d bytes, %d belong to %d entries", ErrGallery, info.Size(), want, g.count)
	}
	g.seal, err = fileSeal(key, g.header)
	return err
}

// Close closes the file.
func (g *Gallery) Close() error { return g.file.Close() }

// Size is the count of templates.
func (g *Gallery) Size() int { return g.count }

// AsOf is when the register was copied.
func (g *Gallery) AsOf() time.Time { return g.asOf }

// Version names the file.
func (g *Gallery) Version() string { return hex.EncodeToString(g.header[32:40]) }

// Search compares templates of one person with every entry and gives the best at
// or over floor (millionths of the cosine), at most top, each reference once. It
// looks at every block and fails where one is not whole.
func (g *Gallery) Search(ctx context.Context, templates [][]int8, floor, top int) ([]Candidate, error) {
	if top < 1 || top > MaxCandidates || len(templates) == 0 || len(templates) > MaxProbes {
		return nil, fmt.Errorf("%w: %d templates, the best %d", ErrGallery, len(templates), top)
	}
	probes := make([]probe, len(templates))
	for i, t := range templates {
		if err := probes[i].set(t); err != nil {
			return nil, err
		}
		defer probes[i].clear()
	}
	sealed := make([]byte, perBlock*recordSize+tagSize)
	plain := make([]byte, 0, perBlock*recordSize)
	defer func() { clear(plain[:cap(plain)]) }()
	best := best{most: top}
	for n := 0; n*perBlock < g.count; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		size := min(perBlock, g.count-n*perBlock)*recordSize + tagSize
		if _, err := g.file.ReadAt(sealed[:size], headerSize+int64(n)*int64(perBlock*recordSize+tagSize)); err != nil {
			return nil, fmt.Errorf("%w: block %d: %w", ErrGallery, n, err)
		}
		records, err := g.seal.Open(plain[:0], nonce(n), sealed[:size], g.header[:])
		if err != nil {
			return nil, fmt.Errorf("%w: block %d is not as it was written, or the key is another", ErrGallery, n)
		}
		for ; len(records) >= recordSize; records = records[recordSize:] {
			for i := range probes {
				if score := probes[i].score(records); score >= floor {
					best.add(records[:MaxReference], score)
				}
			}
		}
	}
	return best.list(), nil
}

// probe is a template made ready for many products.
type probe struct {
	numbers [Dimensions]int32
	inverse float64 // millions through its length
}

func (p *probe) set(t []int8) error {
	if len(t) != Dimensions {
		return fmt.Errorf("%w: a template of %d numbers", ErrGallery, len(t))
	}
	var norm int32
	for i, v := range t {
		p.numbers[i] = int32(v)
		norm += int32(v) * int32(v)
	}
	if norm == 0 {
		return fmt.Errorf("%w: a template of nothing", ErrGallery)
	}
	p.inverse = 1e6 / math.Sqrt(float64(norm))
	return nil
}

func (p *probe) clear() { *p = probe{} }

// score is the cosine of a record in millionths.
func (p *probe) score(record []byte) int {
	norm := binary.BigEndian.Uint32(record[MaxReference:])
	if norm == 0 {
		return math.MinInt
	}
	product := dot(&p.numbers, (*[Dimensions]byte)(record[MaxReference+4:recordSize]))
	return int(math.Round(float64(product) * p.inverse / math.Sqrt(float64(norm))))
}

// dot has four sums, since one would wait for itself.
func dot(q *[Dimensions]int32, v *[Dimensions]byte) int32 {
	var a, b, c, d int32
	for i := 0; i < Dimensions; i += 4 {
		a += q[i] * int32(int8(v[i]))
		b += q[i+1] * int32(int8(v[i+1]))
		c += q[i+2] * int32(int8(v[i+2]))
		d += q[i+3] * int32(int8(v[i+3]))
	}
	return a + b + c + d
}

// best keeps the best so far, in order.
type best struct {
	most int
	kept []Candidate
}

func (b *best) add(reference []byte, score int) {
	if len(b.kept) == b.most && score <= b.kept[len(b.kept)-1].Score {
		return
	}
	name := string(bytes.TrimRight(reference, "\x00"))
	if i := slices.IndexFunc(b.kept, func(c Candidate) bool { return c.Reference == name }); i >= 0 {
		if b.kept[i].Score >= score {
			return
		}
		b.kept = slices.Delete(b.kept, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(b.kept, score, func(c Candidate, s int) int { return cmp.Compare(s, c.Score) })
	b.kept = slices.Insert(b.kept, at, Candidate{Modality: "face", Reference: name, Score: score})
	b.kept = b.kept[:min(len(b.kept), b.most)]
}

func (b *best) list() []Candidate { return append([]Candidate{}, b.kept...) }
