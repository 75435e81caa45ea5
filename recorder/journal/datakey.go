package journal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

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
	aead cipher.AEAD
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
	block, err := aes.NewCipher(own)
	if err != nil {
		return DataKey{}, fmt.Errorf("data key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
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

// nonceSize and tagSize are what a sealed section has beside its records.
const (
	nonceSize = 12
	tagSize   = 16
)

// seal seals a section in place: b is nonceSize bytes, whatever they are, and
// then the records. The result is laid out as Tink's AESGCM does, with a random
// nonce: a key seals at most two blocks a second for one hearing.
func (k DataKey) seal(b []byte, r interview.RecordingID, seq int64) ([]byte, error) {
	if k.IsZero() {
		return nil, errors.New("no data key to seal with")
	}
	nonce, plain := b[:nonceSize], b[nonceSize:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	return k.aead.Seal(b[:nonceSize], nonce, plain, associated(r, seq)), nil
}

// open opens a section, appending to room.
func (k DataKey) open(room, sealed []byte, r interview.RecordingID, seq int64) ([]byte, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("%w: no key", ErrDataKey)
	}
	if len(sealed) < nonceSize+tagSize {
		return nil, fmt.Errorf("%w %d of %s", ErrDataKey, seq, r)
	}
	plain, err := k.aead.Open(room, sealed[:nonceSize], sealed[nonceSize:], associated(r, seq))
	if err != nil {
		return nil, fmt.Errorf("%w %d of %s", ErrDataKey, seq, r)
	}
	return plain, nil
}
