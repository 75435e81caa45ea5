package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kuule/internal/durable"
)

// Folder keeps files in a folder of this machine. One process writes to it.
type Folder struct {
	root string
	mu   sync.Mutex // over locks and removals
}

// OpenFolder makes the folder where it does not exist.
func OpenFolder(root string) (*Folder, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Folder{root: root}, nil
}

func (f *Folder) path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(f.root, filepath.FromSlash(name)), nil
}

// Put implements Store.
func (f *Folder) Put(ctx context.Context, name string, content io.Reader) error {
	return f.PutRetained(ctx, name, content, time.Time{})
}

// PutRetained implements Store. The lock is written before the file: a file
// never lies here without it.
func (f *Folder) PutRetained(ctx context.Context, name string, content io.Reader, until time.Time) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := f.makeFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	// The content is read into a file of its own first: a source that breaks
	// leaves nothing, a lock neither.
	spool, err := os.CreateTemp(filepath.Dir(path), ".putting-*")
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }()
	_, err = io.Copy(spool, contextReader{ctx, content})
	if err == nil {
		err = errors.Join(spool.Chmod(0o400), spool.Sync())
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("put %s: %w", name, ErrExists)
	}
	if !until.IsZero() {
		if err := writeLock(path, folderLock{Until: until.UTC().Truncate(time.Second)}); err != nil {
			return fmt.Errorf("put %s: %w", name, err)
		}
	}
	switch err := os.Link(spool.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("put %s: %w", name, ErrExists)
	case err != nil:
		return fmt.Errorf("put %s: %w", name, err)
	}
	return durable.SyncFolder(filepath.Dir(path))
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
	lock, err := readLock(path)
	return Info{Size: info.Size(), Written: info.ModTime().UTC(), Until: lock.Until, Held: lock.Held}, err
}

// Extend implements Store.
func (f *Folder) Extend(ctx context.Context, name string, until time.Time) error {
	until = until.UTC().Truncate(time.Second)
	return f.relock(ctx, name, func(lock *folderLock) error {
		if until.Before(lock.Until) {
			return fmt.Errorf("lock of %s until %s: %w", name, until.Format(time.RFC3339), ErrShorten)
		}
		lock.Until = until
		return nil
	})
}

// Hold implements Store.
func (f *Folder) Hold(ctx context.Context, name string, on bool) error {
	return f.relock(ctx, name, func(lock *folderLock) error {
		lock.Held = on
		return nil
	})
}

func (f *Folder) relock(ctx context.Context, name string, change func(*folderLock) error) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.Stat(ctx, name); err != nil {
		return err
	}
	lock, err := readLock(path)
	if err != nil {
		return err
	}
	if err := change(&lock); err != nil {
		return err
	}
	return writeLock(path, lock)
}

// WriteOnce implements Store: whoever runs the machine can remove files here.
func (f *Folder) WriteOnce() bool { return false }

// folderLock is what stands beside a file that is kept.
type folderLock struct {
	Until time.Time `json:"until,omitzero"`
	Held  bool      `json:"held,omitempty"`
}

// lockPath lies beside the file under a name that no file can have.
func lockPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
}

func readLock(path string) (lock folderLock, err error) {
	text, err := os.ReadFile(lockPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return folderLock{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil { // what cannot be read may have been a lock
		return folderLock{}, fmt.Errorf("lock of %s cannot be read: %w", filepath.Base(path), err)
	}
	return lock, nil
}

func writeLock(path string, lock folderLock) error {
	text, err := json.Marshal(lock)
	if err != nil {
		return err
	}
	return durable.WriteFile(lockPath(path), text, 0o600)
}

// Delete implements Store.
func (f *Folder) Delete(ctx context.Context, name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := f.Stat(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("delete %s: %w", name, err)
	case info.Locked(time.Now()):
		return fmt.Errorf("delete %s: %w", name, ErrLocked)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if err := os.Remove(lockPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
