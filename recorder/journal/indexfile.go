package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"kuule/internal/durable"
	"kuule/interview"
)

// An index file lies beside each complete file of a journal and says where its
// blocks stand, so that a long hearing opens without reading all its heads. It
// is no evidence: a missing, torn or foreign one is made again from the journal.
const (
	indexMagic  = "kuulejx1"
	indexRecord = 5 * 8
)

// IndexName is the name of the index of a journal's n-th file.
func IndexName(n int64) string { return strings.TrimSuffix(FileName(n), ".kj") + ".kx" }

// appendIndex lays out the positions of one file: magic, per block number,
// offset, size, from and to, and SHA-256 over all that.
func appendIndex(b []byte, blocks []Position) []byte {
	at := len(b)
	b = append(b, indexMagic...)
	for _, p := range blocks {
		for _, v := range []int64{p.Seq, p.Offset, p.Size, int64(p.From), int64(p.To)} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
	}
	sum := sha256.Sum256(b[at:])
	return append(b, sum[:]...)
}

// parseIndex reads an index of a file of that size, or refuses it.
func parseIndex(b []byte, file int, size int64) ([]Position, error) {
	body := len(b) - len(indexMagic) - sha256.Size
	if body <= 0 || body%indexRecord != 0 || string(b[:len(indexMagic)]) != indexMagic {
		return nil, fmt.Errorf("%w: no index", ErrMalformed)
	}
	sum := sha256.Sum256(b[:len(b)-sha256.Size])
	if !bytes.Equal(sum[:], b[len(b)-sha256.Size:]) {
		return nil, fmt.Errorf("%w: the index is torn", ErrMalformed)
	}
	out := make([]Position, 0, body/indexRecord)
	next := int64(len(fileMagic))
	for r := b[len(indexMagic) : len(b)-sha256.Size]; len(r) > 0; r = r[indexRecord:] {
		field := func(i int) int64 { return int64(binary.BigEndian.Uint64(r[8*i:])) }
		p := Position{File: file, Seq: field(0), Offset: field(1), Size: field(2), From: interview.Micros(field(3)), To: interview.Micros(field(4))}
		if p.Offset != next || p.Size < prefixSize || p.To < p.From || len(out) > 0 && (p.Seq != out[len(out)-1].Seq+1 || p.From != out[len(out)-1].To) {
			return nil, fmt.Errorf("%w: the index does not continue", ErrMalformed)
		}
		next += p.Size
		out = append(out, p)
	}
	if next != size {
		return nil, fmt.Errorf("%w: the index is of another file", ErrMalformed)
	}
	return out, nil
}

// IndexedFolder is an index of a journal in a directory, open for reading.
type IndexedFolder struct {
	*Index
	folder *Folder
}

// Close closes the files.
func (f *IndexedFolder) Close() error { return f.folder.Close() }

// OpenIndex opens the index of a journal in a directory. What index files do
// not tell is read from the journal, and their files are made again where the
// directory can be written to; the last file of a journal that is still being
// written has none.
func OpenIndex(path string) (*IndexedFolder, error) {
	folder, err := OpenFolder(path)
	if err != nil {
		return nil, err
	}
	x := &Index{}
	for i, f := range folder.files {
		x.files = append(x.files, f)
		if err := x.load(path, i, f); err != nil {
			return nil, errors.Join(err, folder.Close())
		}
	}
	return &IndexedFolder{x, folder}, nil
}

func (x *Index) load(path string, i int, f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	name := filepath.Join(path, IndexName(int64(i)+1))
	if text, err := os.ReadFile(name); err == nil {
		blocks, err := parseIndex(text, i, st.Size())
		if err == nil && blocks[0].Seq == int64(len(x.blocks)) {
			x.blocks = append(x.blocks, blocks...)
			return nil
		}
	}
	first := len(x.blocks)
	if err := x.skim(i, io.NewSectionReader(f, 0, st.Size())); err != nil {
		return err
	}
	if i < len(x.files) && len(x.blocks) > first {
		// It helps the next reader; this one has what it needs.
		_ = durable.WriteFile(name, appendIndex(nil, x.blocks[first:]), 0o600)
	}
	return nil
}
