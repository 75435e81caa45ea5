package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

var (
	// ErrNotFound says that nothing is kept under the name.
	ErrNotFound = errors.New("no such file in the blob store")
	// ErrExists says that the name is taken: what is kept is never changed.
	ErrExists = errors.New("file exists in the blob store already")
	// ErrRange says that a range does not lie within the file.
	ErrRange = errors.New("range does not lie within the file")
	// ErrLocked says that the file is kept until a time that has not come, or
	// that a hold lies on it.
	ErrLocked = errors.New("file is kept: its time has not come, or a hold lies on it")
	// ErrShorten says that a lock was asked to end earlier than it does.
	ErrShorten = errors.New("a lock is extended, never shortened")
	// ErrAway says that the storage does not answer: the same can be tried again.
	ErrAway = errors.New("blob store does not answer")
)

// Info is what is known of a file without reading it.
type Info struct {
	Size    int64     // bytes
	Written time.Time // when it was put
	Until   time.Time // not deleted before; zero: no lock
	Held    bool      // not deleted while a legal hold lies on it
}

// Locked reports whether the file must not be deleted at a time.
func (i Info) Locked(now time.Time) bool { return i.Held || now.Before(i.Until) }

// Store keeps files. Names are parts of lower-case letters, digits, dots,
// hyphens and underscores, joined by "/". Implementations are safe for
// concurrent use.
type Store interface {
	// Put keeps the content under a name, durably when it returns nil, or not at
	// all. ErrExists if the name is taken.
	Put(ctx context.Context, name string, content io.Reader) error
	// PutRetained is Put of a file that is kept at least until a time: the lock is
	// there as soon as the file is.
	PutRetained(ctx context.Context, name string, content io.Reader, until time.Time) error
	// Get reads length bytes from offset; length -1 reads to the end.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// Stat tells a file's size and lock.
	Stat(ctx context.Context, name string) (Info, error)
	// Extend moves a file's lock to a later time; ErrShorten for an earlier one.
	Extend(ctx context.Context, name string, until time.Time) error
	// Hold lays a legal hold on a file, or lifts it.
	Hold(ctx context.Context, name string, on bool) error
	// Delete removes a file; a missing one is no error. ErrLocked while it is
	// kept.
	Delete(ctx context.Context, name string) error
	// WriteOnce reports whether the storage itself keeps what is locked, whoever
	// asks. Where it does not, only this program does, and people are told so.
	WriteOnce() bool
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
