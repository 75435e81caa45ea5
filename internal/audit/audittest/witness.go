package audittest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	notefmt "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"kuule/internal/audit"
)

// Witness cosigns checkpoints that continue what it has seen.
type Witness struct {
	// Key is the verifier key of its cosignatures.
	Key    string
	logKey string
	signer note.Signer
	seen   audit.Checkpoint
}

// NewWitness makes a witness of the log with the given verifier key. name is
// the device's id.
func NewWitness(t testing.TB, logKey, name string) *Witness {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	w := &Witness{logKey: logKey}
	if w.signer, err = notefmt.NewSignerForCosignatureV1(private); err != nil {
		t.Fatal(err)
	}
	if w.Key, err = notefmt.VKeyToCosignatureV1(public); err != nil {
		t.Fatal(err)
	}
	return w
}

// Size is the number of entries seen: where the next proof has to start.
func (w *Witness) Size() uint64 { return w.seen.Size }

// Cosign returns the cosignature of a checkpoint, one line of a note. hashes
// are the log's Consistency from Size to the checkpoint's size.
func (w *Witness) Cosign(checkpoint string, hashes [][]byte) (string, error) {
	newer, err := audit.VerifyCheckpoint(checkpoint, w.logKey, nil)
	if err != nil {
		return "", err
	}
	if w.seen.Origin == "" {
		w.seen.Origin = newer.Origin
	}
	if err := audit.VerifyConsistency(w.seen, newer, hashes); err != nil {
		return "", err
	}
	text, _, _ := strings.Cut(checkpoint, "\n\n")
	signed, err := note.Sign(&note.Note{Text: text + "\n"}, w.signer)
	if err != nil {
		return "", fmt.Errorf("cosign checkpoint: %w", err)
	}
	w.seen = newer
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return strings.TrimSuffix(line, "\n"), nil
}
