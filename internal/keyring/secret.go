package keyring

import (
	"errors"
	"log/slog"
)

const redacted = "redacted"

// Secret is key material or what it sealed. It cannot be printed, logged or
// marshalled; only Bytes gives it out.
type Secret struct{ bytes []byte }

// NewSecret takes ownership of the bytes.
func NewSecret(bytes []byte) Secret { return Secret{bytes} }

// Bytes gives the material itself, not a copy: Wipe clears it.
func (s Secret) Bytes() []byte { return s.bytes }

// Wipe overwrites the material as far as the language allows.
func (s Secret) Wipe() { clear(s.bytes) }

// String hides the material.
func (s Secret) String() string { return redacted }

// GoString hides the material from %#v.
func (s Secret) GoString() string { return redacted }

// LogValue hides the material from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses.
func (s Secret) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a secret is never marshalled by accident: use Bytes")
}

// MarshalText refuses.
func (s Secret) MarshalText() ([]byte, error) { return s.MarshalJSON() }
