package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"

	notefmt "github.com/transparency-dev/formats/note"
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

// CosignerKey is the verifier key of a cosigning device, by its name (its id).
func CosignerKey(name string, public ed25519.PublicKey) (string, error) {
	key, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return "", fmt.Errorf("cosigner key of %q: %w", name, err)
	}
	return notefmt.VKeyToCosignatureV1(key)
}

// signerText is a private key in the form that package note reads. It stays
// inside this package.
func signerText(name string, key ed25519.PrivateKey) (string, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("key of %q is no Ed25519 key", name)
	}
	verifier, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(verifier, "+", 3)
	const ed25519Algorithm = 1
	return "PRIVATE+KEY+" + name + "+" + parts[1] + "+" +
		base64.StdEncoding.EncodeToString(append([]byte{ed25519Algorithm}, key.Seed()...)), nil
}

func logSigner(origin string, key ed25519.PrivateKey) (note.Signer, error) {
	text, err := signerText(origin, key)
	if err != nil {
		return nil, err
	}
	return note.NewSigner(text)
}

func cosigner(name string, key ed25519.PrivateKey) (note.Signer, error) {
	text, err := signerText(name, key)
	if err != nil {
		return nil, err
	}
	return notefmt.NewSignerForCosignatureV1(text)
}
