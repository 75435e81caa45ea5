package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"kuule/attestation/wire"
	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
)

const (
	maxCheckpoint = 8 << 10 // bytes
	maxProof      = 64      // hashes: a log of 2^64 entries needs no more
)

// cosigner is an outside witness of the installation's audit log
// (https://c2sp.org/tlog-cosignature): it signs a checkpoint only if the log
// key signed it and the log it saw last is a prefix of it.
type cosigner struct {
	dir      string
	log      note.Verifier
	signer   *fnote.Signer
	verifier string // verifier key, for Cosigner statements

	mu   sync.Mutex
	seen seen
}

// seen is the checkpoint that was cosigned last.
type seen struct {
	Size uint64 `json:"size"`
	Hash []byte `json:"hash"`
}

// makeCosigner makes the cosigning key of a device, unless it has one by that
// name already: enrolling again keeps what was promised before.
func makeCosigner(dir string, device interview.DeviceID) error {
	secret, err := readFile(dir, fileCosigner)
	if err == nil && strings.HasPrefix(string(secret), "PRIVATE+KEY+"+device.String()+"+") {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, _, err := note.GenerateKey(rand.Reader, device.String())
	if err != nil {
		return err
	}
	return writeFile(dir, fileCosigner, []byte(key))
}

func openCosigner(dir, logKey string) (*cosigner, error) {
	secret, err := readFile(dir, fileCosigner)
	if err != nil {
		return nil, err
	}
	c := &cosigner{dir: dir}
	if c.signer, err = fnote.NewSignerForCosignatureV1(strings.TrimSpace(string(secret))); err != nil {
		return nil, fmt.Errorf("%s: %w", fileCosigner, err)
	}
	if c.verifier, err = verifierKey(string(secret)); err != nil {
		return nil, fmt.Errorf("%s: %w", fileCosigner, err)
	}
	if c.log, err = note.NewVerifier(logKey); err != nil {
		return nil, fmt.Errorf("pinned log key: %w", err)
	}
	text, err := readFile(dir, fileSeen)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := canon.Strict(text, &c.seen); err != nil {
			return nil, fmt.Errorf("%s: %w", fileSeen, err)
		}
	}
	return c, nil
}

// Vouch returns the statement by which the device key vouches for the
// cosigning key, of type wire.CosignerType.
func (d *Device) Vouch() (string, error) {
	i := d.Info()
	return d.SignStatement(wire.Cosigner{
		DeviceID: i.DeviceID, PermanentIdentifier: i.PermanentIdentifier,
		Key: d.cosigner.verifier, IssuedAt: time.Now().Unix(),
	}, wire.CosignerType)
}

// Cosign answers a request for a cosignature. Where the request starts from
// another size than this device saw last, the answer is CodeConflict with that
// size, so that a fitting proof can be sent.
func (d *Device) Cosign(req wire.Cosign) wire.Cosignature {
	c := d.cosigner
	c.mu.Lock()
	defer c.mu.Unlock()
	line, err := c.cosign(req)
	if err != nil {
		return wire.Cosignature{ID: req.ID, Code: problem.Of(err).Code, Size: c.seen.Size}
	}
	return wire.Cosignature{ID: req.ID, Line: line, Size: c.seen.Size}
}

func (c *cosigner) cosign(req wire.Cosign) (string, error) {
	if len(req.Checkpoint) > maxCheckpoint || len(req.Proof) > maxProof {
		return "", problem.New(problem.CodeTooLarge, "checkpoint or proof is too large")
	}
	checkpoint, _, opened, err := log.ParseCheckpoint([]byte(req.Checkpoint), c.log.Name(), c.log)
	if err != nil {
		return "", problem.New(problem.CodeMalformed, "checkpoint: %w", err)
	}
	if req.OldSize != c.seen.Size {
		return "", problem.New(problem.CodeConflict, "the last size seen is %d", c.seen.Size)
	}
	if err := c.consistent(checkpoint, req.Proof); err != nil {
		return "", problem.New(problem.CodeEvidence, "the log at %d does not continue the log at %d: %w", checkpoint.Size, c.seen.Size, err)
	}
	signed, err := note.Sign(&note.Note{Text: opened.Text}, c.signer)
	if err != nil {
		return "", err
	}
	next := seen{Size: checkpoint.Size, Hash: checkpoint.Hash}
	if err := writeJSONFile(c.dir, fileSeen, next); err != nil {
		return "", err
	}
	c.seen = next
	return strings.TrimSuffix(strings.TrimPrefix(string(signed), opened.Text+"\n"), "\n"), nil
}

func (c *cosigner) consistent(next *log.Checkpoint, hashes [][]byte) error {
	if c.seen.Size == 0 {
		return nil // the first that this device sees
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, c.seen.Size, next.Size, hashes, c.seen.Hash, next.Hash)
}
