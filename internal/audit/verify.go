package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/transparency-dev/formats/log"
	notefmt "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

const (
	// maxCheckpoint bounds a checkpoint with its signatures, in bytes.
	maxCheckpoint = 32 << 10
	// maxProof is more hashes than any proof in a log of 2^63 entries has.
	maxProof = 128
)

var (
	// ErrCheckpoint says that a text is no checkpoint signed by the log.
	ErrCheckpoint = errors.New("checkpoint is not signed by the log that is trusted")
	// ErrProof says that a proof does not hold.
	ErrProof = errors.New("proof does not hold")
)

// Proof shows that a leaf is in the log. It is checked by VerifyInclusion.
type Proof struct {
	Index      uint64   `json:"index"`
	Leaf       string   `json:"leaf"`       // canonical JSON
	Hashes     [][]byte `json:"hashes"`     // from the leaf to the root
	Checkpoint string   `json:"checkpoint"` // signed note, with cosignatures
}

// Checkpoint is the state of a log at one moment.
type Checkpoint struct {
	Origin   string
	Size     uint64
	Root     []byte
	Cosigned []Cosignature // by trusted cosigners, each counted once
}

// Cosignature says who vouched for a checkpoint besides the log, and when.
type Cosignature struct {
	Name string
	At   time.Time
}

// VerifyCheckpoint checks the log's signature and reads the cosignatures of the
// given cosigners (verifier keys); others do not count. A wrong signature of a
// trusted key makes the whole checkpoint wrong.
func VerifyCheckpoint(text, logKey string, cosigners []string) (Checkpoint, error) {
	if len(text) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: larger than %d bytes", ErrCheckpoint, maxCheckpoint)
	}
	logVerifier, err := note.NewVerifier(logKey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("log key: %w", err)
	}
	var trusted []note.Verifier
	for _, key := range cosigners {
		verifier, err := notefmt.NewVerifierForCosignatureV1(key)
		if err != nil {
			return Checkpoint{}, fmt.Errorf("cosigner key %q: %w", key, err)
		}
		// A key given twice, in whichever form, counts once.
		if !slices.ContainsFunc(trusted, func(known note.Verifier) bool {
			return known.Name() == verifier.Name() && known.KeyHash() == verifier.KeyHash()
		}) {
			trusted = append(trusted, verifier)
		}
	}
	// ParseCheckpoint checks that the signature is the log's and that the
	// origin is the log's name.
	parsed, rest, signed, err := log.ParseCheckpoint([]byte(text), logVerifier.Name(), logVerifier, trusted...)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if len(rest) != 0 || len(parsed.Hash) != rfc6962.DefaultHasher.Size() {
		return Checkpoint{}, fmt.Errorf("%w: it has parts that do not belong", ErrCheckpoint)
	}
	checkpoint := Checkpoint{Origin: parsed.Origin, Size: parsed.Size, Root: parsed.Hash}
	for _, signature := range signed.Sigs {
		if signature.Name == logVerifier.Name() && signature.Hash == logVerifier.KeyHash() {
			continue
		}
		at, err := notefmt.CoSigV1Timestamp(signature)
		if err != nil {
			return Checkpoint{}, fmt.Errorf("%w: cosignature of %s: %w", ErrCheckpoint, signature.Name, err)
		}
		checkpoint.Cosigned = append(checkpoint.Cosigned, Cosignature{Name: signature.Name, At: at.UTC()})
	}
	return checkpoint, nil
}

// VerifyInclusion checks that a proof's leaf is in the log that the trusted key
// signs for, and returns the leaf and the checkpoint with who cosigned it. It
// needs nothing but its arguments.
func VerifyInclusion(p Proof, logKey string, cosigners []string) (Leaf, Checkpoint, error) {
	checkpoint, err := VerifyCheckpoint(p.Checkpoint, logKey, cosigners)
	if err != nil {
		return Leaf{}, Checkpoint{}, err
	}
	leaf, err := ParseLeaf([]byte(p.Leaf))
	if err != nil {
		return Leaf{}, Checkpoint{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if err := checkHashes(p.Hashes); err != nil {
		return Leaf{}, Checkpoint{}, err
	}
	hash := rfc6962.DefaultHasher.HashLeaf([]byte(p.Leaf))
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, checkpoint.Size, hash, p.Hashes, checkpoint.Root); err != nil {
		return Leaf{}, Checkpoint{}, fmt.Errorf("%w: entry %d is not in the log: %w", ErrProof, p.Index, err)
	}
	return leaf, checkpoint, nil
}

// VerifyConsistency checks that the newer of two checkpoints only adds to the
// older one: nothing was changed, taken out or put between.
func VerifyConsistency(older, newer Checkpoint, hashes [][]byte) error {
	if older.Origin != newer.Origin || older.Size > newer.Size {
		return fmt.Errorf("%w: log went from %d entries back to %d", ErrProof, older.Size, newer.Size)
	}
	if older.Size == 0 {
		return nil // everything continues the empty log
	}
	if older.Size == newer.Size {
		if !bytes.Equal(older.Root, newer.Root) || len(hashes) != 0 {
			return fmt.Errorf("%w: two logs of %d entries differ", ErrProof, older.Size)
		}
		return nil
	}
	if err := checkHashes(hashes); err != nil {
		return err
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, older.Size, newer.Size, hashes, older.Root, newer.Root); err != nil {
		return fmt.Errorf("%w: log of %d entries does not continue the one of %d: %w", ErrProof, newer.Size, older.Size, err)
	}
	return nil
}

func checkHashes(hashes [][]byte) error {
	if len(hashes) > maxProof {
		return fmt.Errorf("%w: %d hashes", ErrProof, len(hashes))
	}
	for i, hash := range hashes {
		if len(hash) != rfc6962.DefaultHasher.Size() {
			return fmt.Errorf("%w: hash %d has %d bytes", ErrProof, i, len(hash))
		}
	}
	return nil
}
