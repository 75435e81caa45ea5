package agent

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// verifierKey derives the verifier key from a signer key
// (PRIVATE+KEY+name+hash+base64, golang.org/x/mod/sumdb/note).
func verifierKey(signerKey string) (string, error) {
	parts := strings.SplitN(strings.TrimSpace(signerKey), "+", 5)
	if len(parts) != 5 {
		return "", errors.New("malformed signer key")
	}
	seed, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("malformed signer key")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("malformed signer key")
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}
