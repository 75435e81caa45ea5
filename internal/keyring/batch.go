package keyring

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"regexp"
)

// Wrapped is a wrapped text with the context that it is bound to.
type Wrapped struct {
	Context string `json:"context"`
	Text    string `json:"text"`
}

// Rewrapped is what became of one item of a batch.
type Rewrapped struct {
	Text string
	Err  error // ErrUnwrap, ErrRetired; the others are not concerned
}

// Batch is a ring that rewraps many texts in one request.
type Batch interface {
	// RewrapAll rewraps each item by itself: one that does not open has its own
	// error. The error returned says that the ring as a whole did not answer.
	RewrapAll(ctx context.Context, key Key, items []Wrapped) ([]Rewrapped, error)
}

// maxBatch bounds one request of RewrapAll.
const maxBatch = 256

// RewrapAll rewraps texts, in batches where the ring can.
func RewrapAll(ctx context.Context, ring Keyring, key Key, items []Wrapped) ([]Rewrapped, error) {
	out := make([]Rewrapped, 0, len(items))
	many, can := ring.(Batch)
	for len(items) > 0 && can {
		part := items[:min(maxBatch, len(items))]
		done, err := many.RewrapAll(ctx, key, part)
		if err != nil {
			return nil, err
		}
		if len(done) != len(part) {
			return nil, fmt.Errorf("rewrap under key %s: %d answers for %d texts", key, len(done), len(part))
		}
		out, items = append(out, done...), items[len(part):]
	}
	for _, item := range items {
		text, err := ring.Rewrap(ctx, key, item.Context, item.Text)
		if err != nil && !errors.Is(err, ErrUnwrap) {
			return nil, err
		}
		out = append(out, Rewrapped{Text: text, Err: err})
	}
	return out, nil
}

// Signing is a ring that also keeps keys that sign.
type Signing interface {
	// Signer gives the newest version of the P-256 key of a name, made at its
	// first use. It signs SHA-256 digests (ASN.1) and does not leave the ring.
	Signer(ctx context.Context, name string) (crypto.Signer, error)
	// Signers gives all versions of the key, newest first, made at its first use.
	Signers(ctx context.Context, name string) ([]crypto.Signer, error)
	// RotateSigner makes a new version. Older ones still sign, for whoever asks
	// for them: verifiers have to know the new one first.
	RotateSigner(ctx context.Context, name string) error
}

var signerPattern = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)

// CheckSigner refuses names that a backend could not keep apart.
func CheckSigner(name string) error {
	if !signerPattern.MatchString(name) {
		return fmt.Errorf("%q is no name for a signing key", name)
	}
	return nil
}
