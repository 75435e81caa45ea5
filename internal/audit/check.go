package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

const entriesPerBundle = layout.EntryBundleWidth

// ErrDamaged says that the log's files do not agree with what was signed.
var ErrDamaged = errors.New("audit log is damaged")

var trees = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// Check computes the whole log in a folder anew from its entries and compares
// every tile, the newest checkpoint and every cosigned checkpoint with it. The
// error names the first file that is wrong. Checkpoints that others kept
// (witnesses, evidence) can be given to be compared as well: a log that was cut
// and signed again is found by them alone. It returns the number of entries.
func Check(ctx context.Context, folder, logKey string, kept ...string) (uint64, error) {
	files := client.FileFetcher{Root: folder}
	text, err := files.ReadCheckpoint(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: checkpoint: %w", ErrDamaged, err)
	}
	newest, err := VerifyCheckpoint(string(text), logKey, nil)
	if err != nil {
		return 0, fmt.Errorf("%w: checkpoint: %w", ErrDamaged, err)
	}
	roots, err := expectedRoots(folder, logKey, newest, kept)
	if err != nil {
		return 0, err
	}
	if err := checkTiles(ctx, files, newest.Size); err != nil {
		return 0, err
	}
	return newest.Size, checkRoots(ctx, files, newest.Size, roots)
}

// expectedRoots collects what was signed about the log: roots by size.
func expectedRoots(folder, logKey string, newest Checkpoint, kept []string) (map[uint64][]byte, error) {
	texts := map[string]string{}
	names, err := cosignedNames(folder)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(folder, cosignedFolder, name))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		texts[cosignedFolder+"/"+name] = string(text)
	}
	for i, text := range kept {
		texts[fmt.Sprintf("kept checkpoint %d", i+1)] = text
	}
	roots := map[uint64][]byte{newest.Size: newest.Root}
	for name, text := range texts {
		checkpoint, err := VerifyCheckpoint(text, logKey, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
		}
		if checkpoint.Size > newest.Size {
			return nil, fmt.Errorf("%w: %s knows %d entries, the log has %d: it was cut", ErrDamaged, name, checkpoint.Size, newest.Size)
		}
		if known, ok := roots[checkpoint.Size]; ok && !bytes.Equal(known, checkpoint.Root) {
			return nil, fmt.Errorf("%w: %s tells of another log of %d entries", ErrDamaged, name, checkpoint.Size)
		}
		roots[checkpoint.Size] = checkpoint.Root
	}
	return roots, nil
}

// checkRoots builds the tree from the entries and compares it at each size.
func checkRoots(ctx context.Context, files client.FileFetcher, size uint64, roots map[uint64][]byte) error {
	tree := trees.NewEmptyRange(0)
	compare := func() error {
		want, ok := roots[tree.End()]
		if !ok {
			return nil
		}
		got := rfc6962.DefaultHasher.EmptyRoot()
		if tree.End() > 0 {
			var err error
			if got, err = tree.GetRootHash(nil); err != nil {
				return err
			}
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%w: the entries up to %d are not those that were signed", ErrDamaged, tree.End())
		}
		return nil
	}
	if err := compare(); err != nil {
		return err
	}
	return eachBundle(ctx, files, size, func(_ uint64, entries [][]byte) error {
		for _, entry := range entries {
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(entry), nil); err != nil {
				return err
			}
			if err := compare(); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkTiles compares the lowest tiles with the entries and each higher tile
// with the ones below it.
func checkTiles(ctx context.Context, files client.FileFetcher, size uint64) error {
	var below [][]byte // hashes that the next level has to hold
	err := eachBundle(ctx, files, size, func(first uint64, entries [][]byte) error {
		hashes := make([][]byte, len(entries))
		for i, entry := range entries {
			hashes[i] = rfc6962.DefaultHasher.HashLeaf(entry)
		}
		root, err := checkTile(ctx, files, 0, first/entriesPerBundle, size, hashes)
		if root != nil {
			below = append(below, root)
		}
		return err
	})
	for level := uint64(1); err == nil && len(below) > 0; level++ {
		var above [][]byte
		for index := uint64(0); err == nil && index*layout.TileWidth < uint64(len(below)); index++ {
			part := below[index*layout.TileWidth : min((index+1)*layout.TileWidth, uint64(len(below)))]
			var root []byte
			root, err = checkTile(ctx, files, level, index, size, part)
			if root != nil {
				above = append(above, root)
			}
		}
		below = above
	}
	return err
}

// checkTile compares one tile with the hashes that it has to hold and returns
// the hash of a full one.
func checkTile(ctx context.Context, files client.FileFetcher, level, index, size uint64, want [][]byte) ([]byte, error) {
	partial := layout.PartialTileSize(level, index, size)
	name := layout.TilePath(level, index, partial)
	data, err := files.ReadTile(ctx, level, index, partial)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	expected := bytes.Join(want, nil)
	if len(data) > len(expected) { // a full tile in place of a partial one
		data = data[:len(expected)]
	}
	if !bytes.Equal(data, expected) {
		return nil, fmt.Errorf("%w: %s does not agree with what lies below it", ErrDamaged, name)
	}
	if partial != 0 {
		return nil, nil
	}
	tree := trees.NewEmptyRange(0)
	for _, hash := range want {
		if err := tree.Append(hash, nil); err != nil {
			return nil, err
		}
	}
	return tree.GetRootHash(nil)
}

// eachBundle reads the entries of a log of the given size in order.
func eachBundle(ctx context.Context, files client.FileFetcher, size uint64, fn func(first uint64, entries [][]byte) error) error {
	for first := uint64(0); first < size; first += entriesPerBundle {
		bundle, err := client.GetEntryBundle(ctx, files.ReadEntryBundle, first/entriesPerBundle, size)
		name := layout.EntriesPathForLogIndex(first, size)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
		}
		want := min(entriesPerBundle, size-first)
		if uint64(len(bundle.Entries)) < want {
			return fmt.Errorf("%w: %s holds %d entries, wants %d", ErrDamaged, name, len(bundle.Entries), want)
		}
		if err := fn(first, bundle.Entries[:want]); err != nil {
			return err
		}
	}
	return nil
}
