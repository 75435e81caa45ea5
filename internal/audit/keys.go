package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// LogKey is the verifier key of a log: what a trust file pins. The origin names
// the log and holds neither spaces nor "+".
func LogKey(origin string, public ed25519.PublicKey) (string, error) {
	key, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return "", fmt.Errorf("log key of %q: %w", origin, err)
	}
	return key, nil
}

// logSigner signs checkpoints in the log's name.
func logSigner(origin string, key ed25519.PrivateKey) (note.Signer, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key of %q is no Ed25519 key", origin)
	}
	verifier, err := LogKey(origin, public)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(verifier, "+", 3)
	const ed25519Algorithm = 1
	return note.NewSigner("PRIVATE+KEY+" + origin + "+" + parts[1] + "+" +
		base64.StdEncoding.EncodeToString(append([]byte{ed25519Algorithm}, key.Seed()...)))
}
