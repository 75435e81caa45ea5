package stamp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kuule/internal/durable"
)

// A checkpoint lies as checkpoint-N.txt, N its number of entries, and its stamp
// beside it as checkpoint-N.tsr.
const (
	textSuffix  = ".txt"
	stampSuffix = ".tsr"
)

// Kept is a checkpoint with the stamp that holds for it.
type Kept struct {
	Name  string // of the stamp's file
	Text  string // the checkpoint
	Stamp Stamp
}

// Keep puts a checkpoint of so many entries and the authority's answer into a folder.
func Keep(folder string, size uint64, text, answer []byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("keep a time stamp: %w", err)
	}
	name := filepath.Join(folder, fmt.Sprintf("checkpoint-%d", size))
	// The stamp last: where it lies, its text does.
	if err := durable.WriteFile(name+textSuffix, text, 0o600); err != nil {
		return fmt.Errorf("keep a time stamp: %w", err)
	}
	if err := durable.WriteFile(name+stampSuffix, answer, 0o600); err != nil {
		return fmt.Errorf("keep a time stamp: %w", err)
	}
	return nil
}

// Read gives what a folder holds; a stamp that does not hold is an error.
func Read(folder string, roots *x509.CertPool) ([]Kept, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*"+stampSuffix))
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, name := range names {
		answer, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(strings.TrimSuffix(name, stampSuffix) + textSuffix)
		if err != nil {
			return nil, err
		}
		s, err := Verify(answer, text, roots)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, Kept{filepath.Base(name), string(text), s})
	}
	return out, nil
}

// Covering gives the first kept checkpoint whose log has an entry, with the answer
// that stamps it; "" where there is none yet. Nothing is verified.
func Covering(folder string, entry uint64) (text string, answer []byte, err error) {
	names, err := filepath.Glob(filepath.Join(folder, "checkpoint-*"+stampSuffix))
	if err != nil {
		return "", nil, err
	}
	first, least := "", uint64(0)
	for _, name := range names {
		size, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSuffix(filepath.Base(name), stampSuffix), "checkpoint-"), 10, 64)
		if err == nil && size > entry && (first == "" || size < least) {
			first, least = name, size
		}
	}
	if first == "" {
		return "", nil, nil
	}
	if answer, err = os.ReadFile(first); err != nil {
		return "", nil, fmt.Errorf("kept time stamp: %w", err)
	}
	b, err := os.ReadFile(strings.TrimSuffix(first, stampSuffix) + textSuffix)
	if err != nil {
		return "", nil, fmt.Errorf("kept time stamp: %w", err)
	}
	return string(b), answer, nil
}

// Keeper has a log's newest checkpoint stamped again and again.
type Keeper struct {
	// Newest gives the newest checkpoint and its number of entries.
	Newest  func(context.Context) (text string, size uint64, err error)
	Address string // of the authority
	Roots   *x509.CertPool
	Folder  string
	Every   time.Duration
}

// Run works until ctx ends. An authority that does not answer is asked again the
// next time: the log goes on without it, and the next stamp covers all before.
func (k Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.Every)
	defer tick.Stop()
	for {
		if err := k.once(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("the audit log was not stamped: it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k Keeper) once(ctx context.Context) error {
	text, size, err := k.Newest(ctx)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(k.Folder, fmt.Sprintf("checkpoint-%d%s", size, stampSuffix))); !errors.Is(err, fs.ErrNotExist) {
		return err // nothing was written since
	}
	answer, _, err := Ask(ctx, http.DefaultClient, k.Address, []byte(text), k.Roots)
	if err != nil {
		return err
	}
	return Keep(k.Folder, size, []byte(text), answer)
}
