package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"kuule/interview"
)

// DataKeyBytes is the length of a data key: AES-256.
const DataKeyBytes = 32

var (
	// ErrDataKey says that a data key does not open a block: it is another
	// recording's key, or the block is not what was sealed.
	ErrDataKey = errors.New("the data key does not open the block")
	// ErrKeyRefused says that a secret was asked to print or encode itself.
	ErrKeyRefused = errors.New("a data key is never encoded")
)

// KeyWrapper seals data keys under a case's recording key. A recorder may wrap
// and never unwrap; context is bound to the wrapped key and is needed to
// unwrap it (see WrapContext).
type KeyWrapper interface {
	Wrap(ctx context.Context, caseID interview.CaseID, context string, dek []byte) (wrapped []byte, err error)
}

// WrapContext is the context that a recording's data key is wrapped under.
func WrapContext(h interview.HearingID, r interview.RecordingID) string {
	return h.String() + "|" + r.String()
}

// DataKey seals the frames of one recording. It cannot be printed.
type DataKey struct {
	raw  []byte
	aead *subtle.AESGCM
}

// NewDataKey makes a fresh key.
func NewDataKey() (DataKey, error) {
	raw := make([]byte, DataKeyBytes)
	if _, err := rand.Read(raw); err != nil {
		return DataKey{}, fmt.Errorf("data key: %w", err)
	}
	return ParseDataKey(raw)
}

// ParseDataKey takes an unwrapped key.
func ParseDataKey(raw []byte) (DataKey, error) {
	if len(raw) != DataKeyBytes {
		return DataKey{}, fmt.Errorf("data key has %d bytes, want %d", len(raw), DataKeyBytes)
	}
	own := append([]byte(nil), raw...)
	aead, err := subtle.NewAESGCM(own)
	if err != nil {
		return DataKey{}, fmt.Errorf("data key: %w", err)
	}
	return DataKey{raw: own, aead: aead}, nil
}

// Wrap has w seal the key for the case and recording.
func (k DataKey) Wrap(ctx context.Context, w KeyWrapper, c interview.CaseID, h interview.HearingID, r interview.RecordingID) ([]byte, error) {
	wrapped, err := w.Wrap(ctx, c, WrapContext(h, r), k.raw)
	if err != nil {
		return nil, fmt.Errorf("wrap the data key of %s: %w", r, err)
	}
	return wrapped, nil
}

// IsZero reports whether there is no key.
func (k DataKey) IsZero() bool { return k.aead == nil }

// String and its siblings keep the key out of every output.
func (k DataKey) String() string { return "data key (redacted)" }

// GoString is String.
func (k DataKey) GoString() string { return k.String() }

// LogValue is String.
func (k DataKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON always fails.
func (k DataKey) MarshalJSON() ([]byte, error) { return nil, ErrKeyRefused }

// associated binds a sealed section to its place.
func associated(r interview.RecordingID, seq int64) []byte {
	return fmt.Appendf(nil, "%s|%d", r, seq)
}

func (k DataKey) seal(plain []byte, r interview.RecordingID, seq int64) ([]byte, error) {
	if k.IsZero() {
		return nil, errors.New("no data key to seal with")
	}
	return k.aead.Encrypt(plain, associated(r, seq))
}

func (k DataKey) open(sealed []byte, r interview.RecordingID, seq int64) ([]byte, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("%w: no key", ErrDataKey)
	}
	plain, err := k.aead.Decrypt(sealed, associated(r, seq))
	if err != nil {
		return nil, fmt.Errorf("%w %d of %s", ErrDataKey, seq, r)
	}
	return plain, nil
}
