package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kuule/internal/durable"
	"kuule/interview"
)

// Folder is a journal's directory, open for reading.
type Folder struct {
	*Reader
	files   []*os.File
	sources []Source
}

// OpenFolder opens the journal in a directory. Close it after use.
func OpenFolder(path string) (*Folder, error) {
	names, err := fileNames(path)
	if err != nil {
		return nil, err
	}
	f := &Folder{}
	for _, n := range names {
		file, err := os.Open(filepath.Join(path, n))
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.files = append(f.files, file)
		f.sources = append(f.sources, Source{Name: n, Reader: file})
	}
	f.Reader = NewReader(f.sources...)
	return f, nil
}

// Sources are the files, for who wants to read them with a reader of his own
// instead of this one.
func (f *Folder) Sources() []Source { return f.sources }

// Identify reads of a journal in a directory whose it is and under which
// wrapped key: what is needed to ask for its data key.
func Identify(path string) (Opened, error) {
	f, err := OpenFolder(path)
	if err != nil {
		return Opened{}, err
	}
	defer f.Close()
	if _, err := f.Next(); err != nil {
		return Opened{}, err
	}
	return f.Opened(), nil
}

// Close closes the files.
func (f *Folder) Close() error {
	var err error
	for _, file := range f.files {
		err = errors.Join(err, file.Close())
	}
	return err
}

func fileNames(path string) ([]string, error) {
	all, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var names []string
	for _, e := range all {
		if strings.HasSuffix(e.Name(), ".kj") {
			if !e.Type().IsRegular() {
				return nil, fmt.Errorf("%w: %s is not a plain file", ErrMalformed, e.Name())
			}
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("journal in %s: %w", filepath.Base(path), fs.ErrNotExist)
	}
	slices.Sort(names)
	return names, sequence(names)
}

// Tail is where a journal ends.
type Tail struct {
	Opened Opened
	Seq    int64            // of the last whole block
	Head   string           // its hash
	To     interview.Micros // until when the journal is whole
	Torn   int64            // bytes that were cut off
	Closed bool             // it was ended, not cut off
}

// After is what the next recording's opening says of this one.
func (t Tail) After(cause Cause) *After {
	return &After{Recording: t.Opened.Recording, Seq: t.Seq, Head: t.Head, To: t.To, Torn: t.Torn, Cause: cause}
}

// Recover opens a journal that its writer may have left in the middle of a
// write. A torn last block is cut off, durably; anything else that is wrong is
// returned as it is found, and nothing is changed. A journal whose first block
// is torn is fs.ErrNotExist: nothing of it was ever durable. Only the last file
// is read through, so that a long hearing's recorder is back as soon as a short
// one's.
func Recover(path string) (Tail, error) {
	f, err := OpenFolder(path)
	if err != nil {
		return Tail{}, err
	}
	defer f.Close()
	r := f.Reader
	if len(f.files) > 1 {
		if r, err = f.lastFile(); err != nil {
			return Tail{}, err
		}
	}
	t := Tail{Seq: -1}
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var at *PlaceError
		if errors.As(err, &at) && at.File == f.sources[len(f.sources)-1].Name {
			if t.Torn, err = cut(path, at); err != nil {
				return Tail{}, err
			}
			break
		}
		if err != nil {
			return Tail{}, err
		}
		t.Seq, t.Head, t.To = b.Head.Seq, b.Hash, b.Head.To
	}
	if t.Seq < 0 && len(f.files) > 1 { // the last file is gone, the one before it ends the journal
		before, err := Recover(path)
		before.Torn += t.Torn
		return before, err
	}
	t.Opened, t.Closed = r.Opened(), r.Closed() != nil
	if t.Seq < 0 {
		return Tail{}, fmt.Errorf("journal in %s: no whole block: %w", filepath.Base(path), fs.ErrNotExist)
	}
	return t, nil
}

// lastFile is a reader of the last file alone, with the key of the first block.
func (f *Folder) lastFile() (*Reader, error) {
	if _, err := f.Next(); err != nil {
		return nil, err
	}
	n := len(f.sources) - 1
	return &Reader{feed: feed{sources: f.sources, at: n, blocks: 1}, at: n, next: 1, adopt: true, last: Head{File: int64(n)}, opened: f.opened, key: f.key}, nil
}

// zeros reports whether nothing but zero bytes is left, and not more than one
// block could be: a file that had grown when the power went.
func zeros(r *io.SectionReader) bool {
	if r.Size() > prefixSize+MaxHead+MaxClear+MaxSealed {
		return false
	}
	b, err := io.ReadAll(r)
	return err == nil && len(bytes.TrimLeft(b, "\x00")) == 0
}

// cut removes what one torn write can leave: a last block that passes the end
// of the file, or zeros where it was to be. A wrong block with more behind it is no torn
// write, and neither is a whole block that is merely wrong.
func cut(path string, at *PlaceError) (int64, error) {
	name := filepath.Join(path, at.File)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if at.Offset == 0 { // not even the file's magic: the file goes
		if st.Size() >= int64(len(fileMagic)) {
			return 0, at
		}
		if err := os.Remove(name); err != nil {
			return 0, err
		}
		return st.Size(), durable.SyncFolder(path)
	}
	prefix := make([]byte, prefixSize)
	n, err := f.ReadAt(prefix, at.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if n == prefixSize {
		l, err := parsePrefix(prefix)
		if err == nil && at.Offset+l.total() <= st.Size() || err != nil && !zeros(io.NewSectionReader(f, at.Offset, st.Size()-at.Offset)) {
			return 0, at
		}
	}
	torn := st.Size() - at.Offset
	if at.Offset == int64(len(fileMagic)) && at.Seq > 0 {
		// A file that was begun and got no block is not left empty.
		if err := os.Remove(name); err != nil {
			return 0, err
		}
		return torn + int64(len(fileMagic)), durable.SyncFolder(path)
	}
	if err := f.Truncate(at.Offset); err != nil {
		return 0, err
	}
	return torn, f.Sync()
}
