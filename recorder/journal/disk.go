package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kuule/internal/durable"
)

// Disk is where a writer puts its files. Directory is the one that is used;
// tests put slow and failing ones in its place.
type Disk interface {
	// Create makes a file that did not exist, ready to be appended to. The file
	// is found again after a crash once its first Sync has returned.
	Create(name string) (File, error)
}

// File is one file that is only ever appended to.
type File interface {
	io.WriteCloser
	// Sync returns when everything written is durable.
	Sync() error
}

// FileName is the name of a journal's n-th file, from 1.
func FileName(n int64) string { return fmt.Sprintf("%06d.kj", n) }

// Directory is a Disk in a directory, which is made if it is missing. Files
// are readable by their owner alone.
func Directory(path string) (Disk, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	// The directory's own entry has to survive a crash too.
	if err := durable.SyncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	return directory(path), nil
}

type directory string

func (d directory) Create(name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := durable.SyncFolder(string(d)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
