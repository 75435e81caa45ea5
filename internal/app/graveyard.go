package app

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/durable"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	"kuule/internal/keyring/renewal"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/retention"
	"kuule/recorder/journal"
)

// graveyard is authority's own knowledge of what was erased and of what must
// not be: tombstones and locks, as files outside keyring and SQL. At every start
// each key that a tombstone names is destroyed again, so that a back-up that was
// brought back brings no erased case back (L7). Safe for concurrent use.
type graveyard struct {
	folder string // authority's
	ring   *renewal.Ring
	key    crypto.Signer // seals tombstones
	now    func() time.Time

	mu sync.Mutex
}

// caseLock keeps a case's keys from the clock. The door may make it longer and
// lay holds on it; it cannot make it shorter.
type caseLock struct {
	Until int64    `json:"until"` // Unix seconds
	Holds []string `json:"holds"`
}

func openGraveyard(ctx context.Context, folder string, ring *renewal.Ring, key crypto.Signer) (*graveyard, error) {
	g := &graveyard{folder: folder, ring: ring, key: key, now: time.Now}
	for _, name := range []string{tombstonesFolder, locksFolder} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			return nil, err
		}
	}
	messages, err := g.list()
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := g.bury(ctx, m); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *graveyard) path(folder, name string) string { return filepath.Join(g.folder, folder, name) }

// list reads all tombstones. One that does not verify stops authority: it may
// stand for something that was erased.
func (g *graveyard) list() ([]string, error) {
	files, err := os.ReadDir(g.path(tombstonesFolder, ""))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".jws" {
			continue
		}
		text, err := os.ReadFile(g.path(tombstonesFolder, f.Name()))
		if err != nil {
			return nil, err
		}
		if _, err := retention.VerifyTombstone(string(text), g.key.Public()); err != nil {
			return nil, fmt.Errorf("%s/%s: %w: bring it back from the copy that is kept apart", tombstonesFolder, f.Name(), err)
		}
		out = append(out, string(text))
	}
	return out, nil
}

// bury destroys every key that a tombstone names, whatever brought it back.
func (g *graveyard) bury(ctx context.Context, message string) error {
	t, err := retention.VerifyTombstone(message, g.key.Public())
	if err != nil {
		return err
	}
	for _, k := range t.Keys {
		key := keyring.Key{Case: t.Subject, Kind: k.Kind}
		_, err := g.ring.Destroy(ctx, key)
		if errors.Is(err, keyring.ErrNoKey) { // a ring from before the key: the name must not be used again
			if err = g.ring.Create(ctx, key); err == nil {
				_, err = g.ring.Destroy(ctx, key)
			}
		}
		if err != nil {
			return fmt.Errorf("erase %s again: %w", key, err)
		}
	}
	return nil
}

// tell takes tombstones that others kept and applies those that are new here.
func (g *graveyard) tell(ctx context.Context, messages []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range messages {
		if _, err := retention.VerifyTombstone(m, g.key.Public()); err != nil {
			return problem.New(problem.CodeMalformed, "%w", err)
		}
		path := g.path(tombstonesFolder, jws.Hash(m)+".jws")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := g.bury(ctx, m); err != nil {
			return err
		}
		if err := durable.WriteFile(path, []byte(m), 0o600); err != nil {
			return err
		}
		slog.Warn("an erasure that was not known here was applied again")
	}
	return nil
}

// erase destroys keys and leaves the tombstone. Asked again it gives the first
// tombstone back.
func (g *graveyard) erase(ctx context.Context, subject string, kinds []keyring.Kind, t retention.Tombstone) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(kinds) == 0 {
		return "", problem.New(problem.CodeMalformed, "an erasure names its keys")
	}
	known, err := g.list()
	if err != nil {
		return "", err
	}
	for _, m := range known {
		before, err := retention.VerifyTombstone(m, g.key.Public())
		if err != nil {
			return "", err
		}
		if before.Subject == subject && covers(before, kinds) {
			return m, nil
		}
	}
	t.V, t.Subject, t.At = 1, subject, g.now().Unix()
	if t.Persons == nil {
		t.Persons = []string{}
	}
	for _, kind := range kinds {
		key := keyring.Key{Case: subject, Kind: kind}
		proof, err := g.ring.Destroy(ctx, key)
		if errors.Is(err, keyring.ErrNoKey) && len(kinds) > 1 {
			continue // nothing was ever sealed under this one
		}
		if err != nil {
			return "", err
		}
		t.Keys = append(t.Keys, retention.Ended{Kind: kind, Versions: proof.Versions, At: proof.DestroyedAt.Unix()})
	}
	if len(t.Keys) == 0 {
		return "", problem.New(problem.CodeNotFound, "%s has no keys", subject)
	}
	message, err := t.Sign(g.key)
	if err != nil {
		return "", err
	}
	if err := durable.WriteFile(g.path(tombstonesFolder, jws.Hash(message)+".jws"), []byte(message), 0o600); err != nil {
		return "", err
	}
	slog.Info("keys were destroyed", "subject", subject, "rule", t.Rule, "keys", len(t.Keys))
	return message, nil
}

func covers(t retention.Tombstone, kinds []keyring.Kind) bool {
	return !slices.ContainsFunc(kinds, func(kind keyring.Kind) bool {
		return !slices.ContainsFunc(t.Keys, func(k retention.Ended) bool { return k.Kind == kind })
	})
}

func (g *graveyard) readLock(id interview.CaseID) (lock caseLock, found bool, err error) {
	text, err := os.ReadFile(g.path(locksFolder, id.String()+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return caseLock{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil {
		return caseLock{}, false, fmt.Errorf("lock of %s cannot be read: %w", id, err)
	}
	return lock, true, nil
}

// relock changes a case's lock.
func (g *graveyard) relock(id interview.CaseID, change func(*caseLock)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	lock, _, err := g.readLock(id)
	if err != nil {
		return err
	}
	change(&lock)
	text, err := json.Marshal(lock)
	if err != nil {
		return err
	}
	return durable.WriteFile(g.path(locksFolder, id.String()+".json"), text, 0o600)
}

// extend makes a lock longer, never shorter (L5).
func (g *graveyard) extend(id interview.CaseID, until time.Time) error {
	return g.relock(id, func(l *caseLock) { l.Until = max(l.Until, until.Unix()) })
}

func (g *graveyard) hold(id interview.CaseID, hold string, on bool) error {
	return g.relock(id, func(l *caseLock) {
		l.Holds = slices.DeleteFunc(l.Holds, func(h string) bool { return h == hold })
		if on {
			l.Holds = append(l.Holds, hold)
		}
	})
}

// ofCase refuses where a hearing is not the case's. Authority knows that by
// itself: each recording's data key was wrapped under its case's key, bound to
// its hearing, when it was recorded. A case of which nothing was ever recorded
// has no such proof; a hearing that was recorded under another case is refused
// there too.
func (g *graveyard) ofCase(c interview.CaseID, h interview.HearingID) error {
	prefix := journal.WrapContext(h, interview.RecordingID{})
	prefix, _, _ = strings.Cut(prefix, "|")
	bound, some, err := g.ring.Bound(keyring.Key{Case: c.String(), Kind: keyring.Recording}, prefix+"|")
	switch {
	case err != nil:
		return err
	case bound:
		return nil
	case some:
		return problem.Refused(problem.CodeForbidden, "erasure-case", "nothing of %s was recorded under %s", h, c)
	}
	keys, err := g.ring.Keys()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.Kind != keyring.Recording {
			continue
		}
		if elsewhere, _, err := g.ring.Bound(key, prefix+"|"); err != nil || elsewhere {
			return errors.Join(err, problem.Refused(problem.CodeForbidden, "erasure-case", "%s was recorded under another case than %s", h, c))
		}
	}
	return nil
}

// free refuses while a hold lies on the case, and, for what the clock ends,
// until the lock's time has come. A case that was never locked is not erased by
// the clock.
func (g *graveyard) free(id interview.CaseID, byClock bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	lock, found, err := g.readLock(id)
	switch {
	case err != nil:
		return err
	case len(lock.Holds) > 0:
		return problem.Refused(problem.CodeKept, "retention-hold", "a hold lies on %s", id)
	case byClock && (!found || lock.Until == 0):
		return problem.Refused(problem.CodeKept, "retention-lock", "%s was never given a period here: two persons can order its erasure", id)
	case byClock && g.now().Unix() < lock.Until:
		return problem.Refused(problem.CodeKept, "retention-lock", "%s is kept until %s", id, time.Unix(lock.Until, 0).UTC().Format(time.DateOnly))
	}
	return nil
}
