package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"

	"kuule/internal/canon"
	"kuule/internal/durable"
)

const (
	batchAge           = 5 * time.Millisecond
	checkpointInterval = 100 * time.Millisecond
	maxCosignatures    = 64
	cosignedFolder     = "cosigned"
)

// ErrTaken says that the log holds another leaf under the same event id.
var ErrTaken = errors.New("log has another entry with this id")

// Log is the audit log in a folder. One process, authority, opens it. Safe for
// concurrent use.
type Log struct {
	folder   string
	key      string // verifier key
	files    client.FileFetcher
	appender *tessera.Appender
	shutdown func(context.Context) error
	cancel   context.CancelFunc
	closing  sync.Once

	mu    sync.Mutex
	known map[string]place // by event id

	cosignMu sync.Mutex
}

type place struct {
	index uint64
	leaf  [sha256.Size]byte
}

// OpenLog opens or creates the log in a folder and signs for it with key. It
// reads all entries once, to know what it has. Close ends it.
func OpenLog(folder, origin string, key ed25519.PrivateKey) (*Log, error) {
	signer, err := logSigner(origin, key)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	public, _ := key.Public().(ed25519.PublicKey)
	verifier, err := LogKey(origin, public)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(folder, cosignedFolder), 0o700); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(MaxBatch, batchAge).
		WithCheckpointInterval(checkpointInterval))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	l := &Log{
		folder: folder, key: verifier, files: client.FileFetcher{Root: folder},
		appender: appender, shutdown: shutdown, cancel: cancel, known: map[string]place{},
	}
	if err := l.load(ctx, reader); err != nil {
		return nil, errors.Join(fmt.Errorf("open audit log: %w", err), l.Close())
	}
	return l, nil
}

// load fills known from the entries that are in the tree.
func (l *Log) load(ctx context.Context, reader tessera.LogReader) error {
	size, err := reader.IntegratedSize(ctx)
	if err != nil {
		return err
	}
	return eachBundle(ctx, l.files, size, func(first uint64, entries [][]byte) error {
		for i, entry := range entries {
			leaf, err := ParseLeaf(entry)
			if err != nil {
				return fmt.Errorf("entry %d: %w", first+uint64(i), err)
			}
			if _, twice := l.known[leaf.ID]; !twice {
				l.known[leaf.ID] = place{first + uint64(i), sha256.Sum256(entry)}
			}
		}
		return nil
	})
}

// Key is the log's verifier key, for trust files.
func (l *Log) Key() string { return l.key }

// Close ends the log when all that was appended is in a signed checkpoint, or
// after ten seconds. Closing again does nothing.
func (l *Log) Close() (err error) {
	l.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = l.shutdown(ctx)
		l.cancel()
	})
	return err
}

// Append implements Appender. A leaf that is in the log already keeps its
// place; another leaf under the same id is refused with ErrTaken, and then none
// of the batch is appended.
func (l *Log) Append(ctx context.Context, leaves []Leaf) ([]uint64, error) {
	if len(leaves) > MaxBatch {
		return nil, fmt.Errorf("append %d leaves: at most %d at once", len(leaves), MaxBatch)
	}
	texts := make([][]byte, len(leaves))
	for i, leaf := range leaves {
		if err := leaf.check(); err != nil {
			return nil, err
		}
		text, err := canon.Marshal(leaf)
		if err != nil {
			return nil, fmt.Errorf("leaf %s: %w", leaf.ID, err)
		}
		texts[i] = text
	}
	// One batch at a time: two callers with the same leaf must not both find
	// it missing.
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, leaf := range leaves {
		if known, ok := l.known[leaf.ID]; ok && known.leaf != sha256.Sum256(texts[i]) {
			return nil, fmt.Errorf("leaf %s: %w", leaf.ID, ErrTaken)
		}
	}
	futures := make([]tessera.IndexFuture, len(leaves))
	asked := map[string]int{}
	for i, leaf := range leaves {
		_, known := l.known[leaf.ID]
		first, again := asked[leaf.ID]
		if again && leaves[first] != leaf {
			return nil, fmt.Errorf("leaf %s: %w", leaf.ID, ErrTaken)
		}
		if !known && !again {
			asked[leaf.ID] = i
			futures[i] = l.appender.Add(ctx, tessera.NewEntry(texts[i]))
		}
	}
	for i, future := range futures {
		if future == nil {
			continue
		}
		got, err := future()
		if err != nil {
			return nil, fmt.Errorf("append leaf %s: %w", leaves[i].ID, err)
		}
		l.known[leaves[i].ID] = place{got.Index, sha256.Sum256(texts[i])}
	}
	places := make([]uint64, len(leaves))
	for i, leaf := range leaves {
		places[i] = l.known[leaf.ID].index
	}
	return places, nil
}

// Checkpoint gives the newest checkpoint that the log has signed.
func (l *Log) Checkpoint(ctx context.Context) (string, error) {
	text, err := l.files.ReadCheckpoint(ctx)
	if err != nil {
		return "", fmt.Errorf("read checkpoint: %w", err)
	}
	return string(text), nil
}

// Prove gives the proof that the entry at index is in the log: under the newest
// cosigned checkpoint that covers it, else under the newest checkpoint, for
// which it waits until ctx ends.
func (l *Log) Prove(ctx context.Context, index uint64) (Proof, error) {
	text, checkpoint, err := l.covering(ctx, index)
	if err != nil {
		return Proof{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	builder, err := client.NewProofBuilder(ctx, checkpoint.Size, l.files.ReadTile)
	if err != nil {
		return Proof{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	hashes, err := builder.InclusionProof(ctx, index)
	if err != nil {
		return Proof{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	bundle, err := client.GetEntryBundle(ctx, l.files.ReadEntryBundle, index/entriesPerBundle, checkpoint.Size)
	if err != nil {
		return Proof{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	at := int(index % entriesPerBundle)
	if at >= len(bundle.Entries) {
		return Proof{}, fmt.Errorf("prove entry %d: its bundle is cut", index)
	}
	return Proof{Index: index, Leaf: string(bundle.Entries[at]), Hashes: hashes, Checkpoint: text}, nil
}

func (l *Log) covering(ctx context.Context, index uint64) (string, Checkpoint, error) {
	names, err := l.cosignedNames()
	if err != nil {
		return "", Checkpoint{}, err
	}
	if len(names) > 0 {
		text, checkpoint, err := l.readCosigned(names[len(names)-1])
		if err != nil || checkpoint.Size > index {
			return text, checkpoint, err
		}
	}
	ticker := time.NewTicker(checkpointInterval / 4)
	defer ticker.Stop()
	for {
		text, err := l.Checkpoint(ctx)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", Checkpoint{}, err
		}
		if err == nil {
			checkpoint, err := VerifyCheckpoint(text, l.key, nil)
			if err != nil || checkpoint.Size > index {
				return text, checkpoint, err
			}
		}
		select {
		case <-ctx.Done():
			return "", Checkpoint{}, fmt.Errorf("no checkpoint covers it yet: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}

// Consistency gives the hashes which show that the log of newer entries
// continues that of older ones.
func (l *Log) Consistency(ctx context.Context, older, newer uint64) ([][]byte, error) {
	if older == 0 || older == newer {
		return [][]byte{}, nil
	}
	builder, err := client.NewProofBuilder(ctx, newer, l.files.ReadTile)
	if err != nil {
		return nil, fmt.Errorf("prove that %d entries continue %d: %w", newer, older, err)
	}
	hashes, err := builder.ConsistencyProof(ctx, older, newer)
	if err != nil {
		return nil, fmt.Errorf("prove that %d entries continue %d: %w", newer, older, err)
	}
	return hashes, nil
}

// AddCosignature keeps a device's cosignature of a checkpoint that this log
// signed. The caller knows the device and vouches for its verifier key. Adding
// it twice changes nothing.
func (l *Log) AddCosignature(checkpoint, line, cosignerKey string) error {
	if strings.ContainsAny(line, "\n\r") || len(line) > 512 {
		return fmt.Errorf("add cosignature: %w: not one line", ErrCheckpoint)
	}
	head, own, found := strings.Cut(checkpoint, "\n\n")
	if !found {
		return fmt.Errorf("add cosignature: %w", ErrCheckpoint)
	}
	got, err := VerifyCheckpoint(checkpoint, l.key, nil)
	if err != nil {
		return fmt.Errorf("add cosignature: %w", err)
	}
	signed, err := VerifyCheckpoint(head+"\n\n"+own+line+"\n", l.key, []string{cosignerKey})
	if err != nil {
		return fmt.Errorf("add cosignature: %w", err)
	}
	if len(signed.Cosigned) != 1 {
		return fmt.Errorf("add cosignature: %w: it is not this device's", ErrCheckpoint)
	}
	l.cosignMu.Lock()
	defer l.cosignMu.Unlock()
	name := fmt.Sprintf("%020d", got.Size)
	text, _, err := l.readCosigned(name)
	if errors.Is(err, fs.ErrNotExist) {
		// Only the log's own signature comes from the caller's text.
		text, err = head+"\n\n"+ownLine(own, got.Origin), nil
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(text, head+"\n\n") {
		return fmt.Errorf("add cosignature: %w: the log signed another tree of %d entries", ErrCheckpoint, got.Size)
	}
	who, _, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
	if strings.Contains(text, "\n— "+who+" ") {
		return nil
	}
	if strings.Count(text, "\n— ") > maxCosignatures {
		return fmt.Errorf("add cosignature: checkpoint has %d already", maxCosignatures)
	}
	return durable.WriteFile(l.cosignedPath(name), []byte(text+line+"\n"), 0o600)
}

// ownLine picks the log's signature from a note's signature lines.
func ownLine(lines, origin string) string {
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, "— "+origin+" ") {
			return line
		}
	}
	return ""
}

// Cosigned gives the newest checkpoint that has a cosignature, or an error that
// matches fs.ErrNotExist.
func (l *Log) Cosigned() (string, error) {
	names, err := l.cosignedNames()
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("no checkpoint is cosigned yet: %w", fs.ErrNotExist)
	}
	text, _, err := l.readCosigned(names[len(names)-1])
	return text, err
}

func (l *Log) cosignedPath(name string) string {
	return filepath.Join(l.folder, cosignedFolder, name)
}

// cosignedNames lists the cosigned checkpoints, smallest first.
func (l *Log) cosignedNames() ([]string, error) { return cosignedNames(l.folder) }

func cosignedNames(folder string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(folder, cosignedFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list cosigned checkpoints: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (l *Log) readCosigned(name string) (string, Checkpoint, error) {
	text, err := os.ReadFile(l.cosignedPath(name))
	if err != nil {
		return "", Checkpoint{}, fmt.Errorf("read cosigned checkpoint: %w", err)
	}
	checkpoint, err := VerifyCheckpoint(string(text), l.key, nil)
	if err != nil {
		return "", Checkpoint{}, fmt.Errorf("cosigned checkpoint %s: %w", name, err)
	}
	return string(text), checkpoint, nil
}

var _ Appender = (*Log)(nil)
