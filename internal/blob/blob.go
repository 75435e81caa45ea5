package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"kuule/internal/durable"
)

var (
	// ErrNotFound says that nothing is kept under the name.
	ErrNotFound = errors.New("no such file in the blob store")
	// ErrExists says that the name is taken: what is kept is never changed.
	ErrExists = errors.New("file exists in the blob store already")
	// ErrRange says that a range does not lie within the file.
	ErrRange = errors.New("range does not lie within the file")
)

// Info is what is known of a file without reading it.
type Info struct {
	Size    int64     // bytes
	Written time.Time // when it was put
}

// Store keeps files. Names are parts of lower-case letters, digits, dots,
// hyphens and underscores, joined by "/". Implementations are safe for
// concurrent use.
type Store interface {
	// Put keeps the content under a name, durably when it returns nil, or not at
	// all. ErrExists if the name is taken.
	Put(ctx context.Context, name string, content io.Reader) error
	// Get reads length bytes from offset; length -1 reads to the end.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// Stat tells a file's size.
	Stat(ctx context.Context, name string) (Info, error)
	// Delete removes a file; a missing one is no error.
	Delete(ctx context.Context, name string) error
}

var partPattern = regexp.MustCompile(`^[a-z0-9_][a-z0-9._-]{0,127}$`)

// CheckName refuses names that a backend could not keep apart.
func CheckName(name string) error {
	parts := strings.Split(name, "/")
	if len(parts) > 8 {
		return fmt.Errorf("%q is no name for a file: more than 8 parts", name)
	}
	for _, part := range parts {
		if !partPattern.MatchString(part) {
			return fmt.Errorf("%q is no name for a file", name)
		}
	}
	return nil
}

// Folder keeps files in a folder of this machine.
type Folder struct{ root string }

// OpenFolder makes the folder where it does not exist.
func OpenFolder(root string) (*Folder, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Folder{root}, nil
}

func (f *Folder) path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(f.root, filepath.FromSlash(name)), nil
}

// Put implements Store.
func (f *Folder) Put(ctx context.Context, name string, content io.Reader) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	err = durable.Create(path, contextReader{ctx, content}, 0o400)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("put %s: %w", name, ErrExists)
	}
	return err
}

// makeFolder makes a folder so that its name survives a power cut.
func (f *Folder) makeFolder(path string) error {
	if _, err := os.Stat(path); err == nil || path == f.root {
		return err
	}
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.SyncFolder(filepath.Dir(path))
}

// Get implements Store.
func (f *Folder) Get(_ context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, missing("get", name, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotFound
	}
	if err == nil && length == -1 {
		length = info.Size() - offset
	}
	if err == nil && (offset < 0 || length < 0 || offset > info.Size()-length) {
		err = ErrRange
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("get %s: %w", name, err), file.Close())
	}
	return section{io.NewSectionReader(file, offset, length), file}, nil
}

type section struct {
	*io.SectionReader
	io.Closer
}

// Stat implements Store.
func (f *Folder) Stat(_ context.Context, name string) (Info, error) {
	path, err := f.path(name)
	if err != nil {
		return Info{}, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Info{}, missing("stat", name, err)
	}
	return Info{Size: info.Size(), Written: info.ModTime().UTC()}, nil
}

// Delete implements Store.
func (f *Folder) Delete(_ context.Context, name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return durable.SyncFolder(filepath.Dir(path))
}

func missing(what, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// contextReader ends a copy when its context does.
type contextReader struct {
	ctx    context.Context
	source io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.source.Read(p)
}

var _ Store = (*Folder)(nil)
