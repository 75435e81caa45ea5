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
	Until int64                  `json:"until"`           // Unix seconds, of all keys
	Kinds map[keyring.Kind]int64 `json:"kinds,omitempty"` // of one key, where it is longer
	Holds []string               `json:"holds"`

	// Erasing is an erasure that has begun: from here on a hold comes too late,
	// and a start of authority finishes it.
	Erasing *erasing `json:"erasing,omitempty"`
}

type erasing struct {
	Kinds []keyring.Kind      `json:"kinds"`
	Stone retention.Tombstone `json:"stone"`
}

func (l caseLock) until(kind keyring.Kind) int64 { return max(l.Until, l.Kinds[kind]) }

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
	return g, g.finish(ctx)
}

// finish ends every erasure that had begun when authority stopped.
func (g *graveyard) finish(ctx context.Context) error {
	files, err := os.ReadDir(g.path(locksFolder, ""))
	if err != nil {
		return err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		id, err := interview.ParseCaseID(name)
		if !ok || err != nil {
			continue
		}
		lock, err := g.readLock(id)
		if err != nil {
			return err
		}
		if lock.Erasing == nil {
			continue
		}
		slog.Warn("an erasure that had begun is finished", "case", id)
		if _, err := g.erase(ctx, id.String(), lock.Erasing.Kinds, lock.Erasing.Stone); err != nil && !errors.Is(err, problem.New(problem.CodeNotFound, "")) {
			return fmt.Errorf("finish the erasure of %s: %w", id, err)
		}
		if err := g.relock(id, func(l *caseLock) error { l.Erasing = nil; return nil }); err != nil {
			return err
		}
	}
	return nil
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
		if _, err := retention.VerifyTombstone(string(text), versionsOf(g.key)); err != nil {
			return nil, fmt.Errorf("%s/%s: %w: bring it back from the copy that is kept apart", tombstonesFolder, f.Name(), err)
		}
		out = append(out, string(text))
	}
	return out, nil
}

// bury destroys every key that a tombstone names, whatever brought it back.
func (g *graveyard) bury(ctx context.Context, message string) error {
	t, err := retention.VerifyTombstone(message, versionsOf(g.key))
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
		if _, err := retention.VerifyTombstone(m, versionsOf(g.key)); err != nil {
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

// eraseCase erases keys of a case if its lock lets them go. That it does is
// decided, and noted, under the same lock under which a hold is laid: of a hold
// and an erasure at the same moment exactly one wins, and the other is told.
func (g *graveyard) eraseCase(ctx context.Context, id interview.CaseID, kinds []keyring.Kind, byClock bool, t retention.Tombstone) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	lock, err := g.readLock(id)
	if err != nil {
		return "", err
	}
	if before, err := g.erased(id.String(), kinds); err != nil || before != "" {
		return before, err
	}
	if err := g.allows(ctx, id, lock, kinds, byClock); err != nil {
		return "", err
	}
	lock.Erasing = &erasing{kinds, t}
	if err := g.writeLock(id, lock); err != nil {
		return "", err
	}
	message, err := g.erase(ctx, id.String(), kinds, t)
	if err != nil && !errors.Is(err, problem.New(problem.CodeNotFound, "")) {
		return "", err // what was begun is finished: when it is asked again, or at the next start
	}
	lock.Erasing = nil
	return message, errors.Join(err, g.writeLock(id, lock))
}

// erased gives the tombstone that names all of these keys; empty: there is none.
func (g *graveyard) erased(subject string, kinds []keyring.Kind) (string, error) {
	known, err := g.list()
	if err != nil {
		return "", err
	}
	for _, m := range known {
		before, err := retention.VerifyTombstone(m, versionsOf(g.key))
		if err != nil {
			return "", err
		}
		if before.Subject == subject && covers(before, kinds) {
			return m, nil
		}
	}
	return "", nil
}

// erase destroys keys and leaves the tombstone. Asked again it gives the first
// tombstone back. g.mu is held, or nobody else is there yet.
func (g *graveyard) erase(ctx context.Context, subject string, kinds []keyring.Kind, t retention.Tombstone) (string, error) {
	if len(kinds) == 0 {
		return "", problem.New(problem.CodeMalformed, "an erasure names its keys")
	}
	if before, err := g.erased(subject, kinds); err != nil || before != "" {
		return before, err
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

func (g *graveyard) readLock(id interview.CaseID) (lock caseLock, err error) {
	text, err := os.ReadFile(g.path(locksFolder, id.String()+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return caseLock{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &lock)
	}
	if err != nil {
		return caseLock{}, fmt.Errorf("lock of %s cannot be read: %w", id, err)
	}
	return lock, nil
}

func (g *graveyard) writeLock(id interview.CaseID, lock caseLock) error {
	text, err := json.Marshal(lock)
	if err != nil {
		return err
	}
	return durable.WriteFile(g.path(locksFolder, id.String()+".json"), text, 0o600)
}

// relock changes a case's lock.
func (g *graveyard) relock(id interview.CaseID, change func(*caseLock) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	lock, err := g.readLock(id)
	if err != nil {
		return err
	}
	if err := change(&lock); err != nil {
		return err
	}
	return g.writeLock(id, lock)
}

// extend makes the lock of all keys, or of those that are named, longer, never
// shorter (L5).
func (g *graveyard) extend(id interview.CaseID, until time.Time, kinds ...keyring.Kind) error {
	return g.relock(id, func(l *caseLock) error {
		if len(kinds) == 0 {
			l.Until = max(l.Until, until.Unix())
		}
		for _, kind := range kinds {
			if l.Kinds == nil {
				l.Kinds = map[keyring.Kind]int64{}
			}
			l.Kinds[kind] = max(l.Kinds[kind], until.Unix())
		}
		return nil
	})
}

// hold lays or lifts a hold. One that comes while the case is being erased, or
// after it was, is refused: whoever lays it has to know that it came too late.
func (g *graveyard) hold(id interview.CaseID, hold string, on bool) error {
	return g.relock(id, func(l *caseLock) error {
		l.Holds = slices.DeleteFunc(l.Holds, func(h string) bool { return h == hold })
		if !on {
			return nil
		}
		left, err := g.left(id)
		if err != nil {
			return err
		}
		if l.Erasing != nil || !left {
			return problem.Refused(problem.CodeErased, "retention-hold-late", "the hold came too late: the keys of %s were destroyed, or are being", id)
		}
		l.Holds = append(l.Holds, hold)
		return nil
	})
}

// left reports whether a hold still keeps something of a case: whether nothing of
// it was erased, or a key of it lives.
func (g *graveyard) left(id interview.CaseID) (bool, error) {
	known, err := g.list()
	if err != nil {
		return false, err
	}
	for _, m := range known {
		t, err := retention.VerifyTombstone(m, versionsOf(g.key))
		if err != nil {
			return false, err
		}
		if t.Subject != id.String() {
			continue
		}
		keys, err := g.ring.Keys() // a key that was destroyed has no register
		return slices.ContainsFunc(keys, func(k keyring.Key) bool { return k.Case == id.String() }), err
	}
	return true, nil
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

// free refuses while a hold lies on the case.
func (g *graveyard) free(ctx context.Context, id interview.CaseID) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	lock, err := g.readLock(id)
	if err != nil {
		return err
	}
	return g.allows(ctx, id, lock, nil, false)
}

// allows refuses while a hold lies on the case and, for what the clock ends,
// until each key's time has come: the one that the door gave, and the one below
// which no rule can be, since authority knows when the key was last used for
// something new, or first saw it where nothing says when. A key that was never given
// a time is not erased by the clock.
func (g *graveyard) allows(ctx context.Context, id interview.CaseID, lock caseLock, kinds []keyring.Kind, byClock bool) error {
	if len(lock.Holds) > 0 {
		return problem.Refused(problem.CodeKept, "retention-hold", "a hold lies on %s", id)
	}
	if !byClock {
		return nil
	}
	rules := retention.Current()
	for _, kind := range kinds {
		until := lock.until(kind)
		if until == 0 {
			return problem.Refused(problem.CodeKept, "retention-lock", "the %s key of %s was never given a period here: two persons can order its erasure", kind, id)
		}
		last, err := g.ring.Last(ctx, keyring.Key{Case: id.String(), Kind: kind})
		if err != nil {
			return err
		}
		if !last.IsZero() { // else there is no such key
			until = max(until, rules.LeastOf(kind, last).Unix())
		}
		if g.now().Unix() < until {
			return problem.Refused(problem.CodeKept, "retention-lock", "the %s key of %s is kept until %s", kind, id, time.Unix(until, 0).UTC().Format(time.DateOnly))
		}
	}
	return nil
}
