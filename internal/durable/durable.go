package durable

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile replaces the file at path. When it returns nil the content is on
// the disk under that name.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return write(path, mode, os.Rename, func(file *os.File) error {
		_, err := file.Write(content)
		return err
	})
}

// Create writes a file that must not exist yet, from content until its end. It
// answers an error that matches fs.ErrExist, and changes nothing, if it does.
func Create(path string, content io.Reader, mode fs.FileMode) error {
	return write(path, mode, os.Link, func(file *os.File) error {
		_, err := io.Copy(file, content)
		return err
	})
}

// SyncFolder makes names that were added to or removed from a folder durable.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}

func write(path string, mode fs.FileMode, place func(from, to string) error, fill func(*os.File) error) error {
	folder := filepath.Dir(path)
	file, err := os.CreateTemp(folder, ".writing-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// After a rename nothing is left to remove.
	defer func() { _ = os.Remove(file.Name()) }()
	err = fill(file)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = place(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncFolder(folder)
}

// Free is what the disk of a folder has left for this user, in bytes.
func Free(folder string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, fmt.Errorf("look how much room is left: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
