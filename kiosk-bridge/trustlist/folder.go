package trustlist

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"kuule/internal/durable"
)

// Folder keeps every version, each in a folder named by its sequence. Its
// methods are safe for concurrent use within one process, which is the only one
// that writes here.
type Folder struct {
	Path      string
	Approvers []crypto.PublicKey // pinned at installation

	mu sync.Mutex
}

const (
	listFile  = "list"
	firstBy   = "approval-1.jws"
	secondBy  = "approval-2.jws"
	maxKept   = 100_000
	nameWidth = 6
)

// Current is the newest version, or nil where none was imported. What is there
// and does not verify is an error: an older list must not take its place in
// silence.
func (f *Folder) Current() (*Approved, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current()
}

func (f *Folder) current() (*Approved, error) {
	all, err := f.sequences()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return f.read(all[len(all)-1])
}

// Version reads the version of a sequence.
func (f *Folder) Version(sequence int64) (*Approved, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read(sequence)
}

// Sequences lists the versions that are kept, oldest first.
func (f *Folder) Sequences() ([]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sequences()
}

func (f *Folder) sequences() ([]int64, error) {
	entries, err := os.ReadDir(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the trust lists: %w", err)
	}
	var out []int64
	for _, e := range entries {
		n, err := strconv.ParseInt(e.Name(), 10, 64)
		if err == nil && e.Name() == name(n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

func name(sequence int64) string { return fmt.Sprintf("%0*d", nameWidth, sequence) }

func (f *Folder) read(sequence int64) (*Approved, error) {
	var texts [3][]byte
	for i, file := range []string{listFile, firstBy, secondBy} {
		var err error
		if texts[i], err = os.ReadFile(filepath.Join(f.Path, name(sequence), file)); err != nil {
			return nil, fmt.Errorf("read trust list %d: %w", sequence, err)
		}
	}
	a, err := Verify(texts[0], [2]string{string(texts[1]), string(texts[2])}, f.Approvers)
	if err != nil {
		return nil, fmt.Errorf("trust list %d: %w", sequence, err)
	}
	if a.Statement.Sequence != sequence {
		return nil, fmt.Errorf("trust list %d: %w: it was approved as %d", sequence, ErrRefused, a.Statement.Sequence)
	}
	return a, nil
}

// Import verifies a list and brings it into force: it is on the disk when Import
// returns. A list that is not the next version is refused, so that an old one
// cannot be played again.
func (f *Folder) Import(file []byte, approvals [2]string) (*Approved, error) {
	a, err := Verify(file, approvals, f.Approvers)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.sequences()
	if err != nil {
		return nil, err
	}
	next := int64(1)
	if len(all) > 0 {
		next = all[len(all)-1] + 1
	}
	if a.Statement.Sequence != next || next > maxKept {
		return nil, fmt.Errorf("%w: it was approved as version %d, the next one is %d: prepare it anew", ErrRefused, a.Statement.Sequence, next)
	}
	return a, f.keep(a)
}

// keep writes a version beside the others and gives it its name at the end, so
// that a crash leaves the version before in force.
func (f *Folder) keep(a *Approved) error {
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return fmt.Errorf("keep trust list %d: %w", a.Statement.Sequence, err)
	}
	dir, err := os.MkdirTemp(f.Path, "new-")
	if err != nil {
		return fmt.Errorf("keep trust list %d: %w", a.Statement.Sequence, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of what was not renamed
	for file, text := range map[string][]byte{listFile: a.File, firstBy: []byte(a.Approvals[0]), secondBy: []byte(a.Approvals[1])} {
		if err := durable.Create(filepath.Join(dir, file), bytes.NewReader(text), 0o600); err != nil {
			return fmt.Errorf("keep trust list %d: %w", a.Statement.Sequence, err)
		}
	}
	if err := os.Rename(dir, filepath.Join(f.Path, name(a.Statement.Sequence))); err != nil {
		return fmt.Errorf("keep trust list %d: %w", a.Statement.Sequence, err)
	}
	return durable.SyncFolder(f.Path)
}
