package keyring

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// MaxPlaintext bounds what one wrap takes, in bytes. Larger content is sealed
// under a data key by its owner.
const MaxPlaintext = 256 << 10

var (
	// ErrNoKey says that the case has no such key.
	ErrNoKey = errors.New("no such key in the keyring")
	// ErrExists says that the case has this key already.
	ErrExists = errors.New("key exists already")
	// ErrDestroyed says that the key was destroyed: what it sealed is gone for good.
	ErrDestroyed = errors.New("key was destroyed")
	// ErrNotAllowed says that the caller's role does not have the right it needs.
	ErrNotAllowed = errors.New("this role has no right to do this with the key")
	// ErrUnwrap says that a wrapped text does not open: it was changed, or it
	// belongs to another key or another context.
	ErrUnwrap = errors.New("wrapped text does not open under this key and context")
	// ErrRetired says that a wrapped text belongs to a version of the key that
	// was retired: a newer wrap of the same content has to be used. It is an
	// ErrUnwrap.
	ErrRetired = fmt.Errorf("%w: its version of the key was retired", ErrUnwrap)
	// ErrAway says that the keyring does not answer (unreachable, sealed, slow):
	// nothing was decided, and the same can be tried again.
	ErrAway = errors.New("keyring does not answer")
)

// Kind says what a key seals.
type Kind string

// The two keys of a case, and the key of a note that may have to go alone.
const (
	Records   Kind = "records"   // personal content in SQL, transcripts
	Recording Kind = "recording" // data keys of recordings
	Special   Kind = "special"   // one note of special categories, or one observation
)

// Key names a key: the case or note that it belongs to (its id as text) and
// what it seals.
type Key struct {
	Case string `json:"case"`
	Kind Kind   `json:"kind"`
}

// String prints the name of the key, which is no secret.
func (k Key) String() string { return k.Case + "." + string(k.Kind) }

var casePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Check refuses names that a backend could not keep apart.
func (k Key) Check() error {
	if !casePattern.MatchString(k.Case) {
		return fmt.Errorf("%q is no case to keep a key for", k.Case)
	}
	if k.Kind != Records && k.Kind != Recording && k.Kind != Special {
		return fmt.Errorf("%q is no kind of key", k.Kind)
	}
	return nil
}

// Proof is what remains of a key after its destruction: enough to say which
// key versions ended when, nothing to bring them back. The caller puts it on
// record in the audit log.
type Proof struct {
	Key         Key       `json:"key"`
	Versions    []string  `json:"versions"` // ids of the key versions, oldest first
	DestroyedAt time.Time `json:"destroyed_at"`
}

// Keyring keeps keys. Implementations are safe for concurrent use. A context
// binds a wrapped text to its place; it is not empty and no secret.
type Keyring interface {
	// Create makes the key's first version; ErrExists if there is one.
	Create(ctx context.Context, key Key) error
	// Wrap seals at most MaxPlaintext bytes under the newest version.
	Wrap(ctx context.Context, key Key, context string, plaintext []byte) (string, error)
	// Unwrap opens what Wrap sealed under any version.
	Unwrap(ctx context.Context, key Key, context, wrapped string) (Secret, error)
	// DataKey makes 32 fresh random bytes and their wrapped form.
	DataKey(ctx context.Context, key Key, context string) (Secret, string, error)
	// Rotate makes a new version; older ones still unwrap.
	Rotate(ctx context.Context, key Key) error
	// Rewrap seals a wrapped text anew under the newest version, without
	// showing it to the caller.
	Rewrap(ctx context.Context, key Key, context, wrapped string) (string, error)
	// Retire ends all versions but the newest: what they wrapped opens no longer
	// (ErrRetired) and cannot be rewrapped. Rewrap everything first.
	Retire(ctx context.Context, key Key) error
	// Destroy ends all versions for good. Destroying again gives the same proof.
	Destroy(ctx context.Context, key Key) (Proof, error)
}
