package renewal

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/durable"
	"kuule/internal/keyring"
)

// maxTexts bounds the register of one key: a case has a handful.
const maxTexts = 10000

var (
	// ErrIncomplete says that texts exist of which the register does not know: old
	// versions of the key cannot be retired.
	ErrIncomplete = errors.New("not every text of this key is registered")
	// ErrFailed says that texts did not rewrap.
	ErrFailed = errors.New("texts did not rewrap")
)

// Ring is a keyring that registers what it wraps. It is safe for concurrent
// use; one process at a time uses a register.
type Ring struct {
	keyring.Keyring
	folder string
	now    func() time.Time

	mu sync.Mutex // over the register's files, and between wraps and renewals
}

// register is a key's file.
type register struct {
	V     int         `json:"v"`
	Key   keyring.Key `json:"key"`
	Whole bool        `json:"whole"`          // since the key was made
	Made  int64       `json:"made,omitempty"` // when, Unix seconds; 0: before registers said so
	Seen  int64       `json:"seen,omitempty"` // when it was first seen without a time of its own
	Texts []entry     `json:"texts"`
}

// timeless reports whether something of a key has no time: a register from before
// they had any, or a key from before there were registers.
func (r *register) timeless() bool {
	return r.Made == 0 && len(r.Texts) == 0 || slices.ContainsFunc(r.Texts, func(e entry) bool { return e.At == 0 })
}

type entry struct {
	Context string `json:"context"`
	First   string `json:"first"` // hash of the text that was given out
	Newest  string `json:"newest"`
	At      int64  `json:"at,omitempty"` // when it was first wrapped, Unix seconds
}

// Report is what a renewal did.
type Report struct {
	Key     keyring.Key `json:"key"`
	Texts   int         `json:"texts"`
	Failed  []string    `json:"failed,omitempty"` // contexts of those that did not rewrap
	Retired bool        `json:"retired"`          // old versions open nothing any more
}

// Over puts a register in a folder beside a ring. What in it has no time counts from
// now on, and that is written down.
func Over(ring keyring.Keyring, folder string) (*Ring, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("open register of wrapped keys: %w", err)
	}
	r := &Ring{Keyring: ring, folder: folder, now: time.Now}
	keys, err := r.Keys()
	if err != nil {
		return nil, fmt.Errorf("open register of wrapped keys: %w", err)
	}
	for _, key := range keys {
		reg, err := r.read(key)
		if err != nil {
			continue // it is damaged: whoever needs it is told
		}
		if _, err := r.seen(reg); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// seen notes when something without a time was first seen, once.
func (r *Ring) seen(reg register) (register, error) {
	if !reg.timeless() || reg.Seen != 0 {
		return reg, nil
	}
	reg.Seen = r.now().Unix()
	return reg, r.write(reg)
}

const suffix = ".wraps"

func (r *Ring) path(key keyring.Key) string { return filepath.Join(r.folder, key.String()+suffix) }

func (r *Ring) read(key keyring.Key) (register, error) {
	if err := key.Check(); err != nil {
		return register{}, err
	}
	text, err := os.ReadFile(r.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return register{V: 1, Key: key}, nil
	}
	var out register
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil || out.V != 1 || out.Key != key {
		return register{}, fmt.Errorf("key %s: its register is damaged: restore it from a back-up", key)
	}
	return out, nil
}

func (r *Ring) write(reg register) error {
	if len(reg.Texts) > maxTexts {
		return fmt.Errorf("key %s: more than %d texts", reg.Key, maxTexts)
	}
	text, err := json.Marshal(reg)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(r.path(reg.Key), text, 0o600); err != nil {
		return fmt.Errorf("key %s: register: %w", reg.Key, err)
	}
	return nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Create implements keyring.Keyring.
func (r *Ring) Create(ctx context.Context, key keyring.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Keyring.Create(ctx, key); err != nil {
		return err
	}
	return r.write(register{V: 1, Key: key, Whole: true, Made: r.now().Unix()})
}

// Wrap implements keyring.Keyring. The text is given out once it is registered.
func (r *Ring) Wrap(ctx context.Context, key keyring.Key, bound string, plaintext []byte) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := r.Keyring.Wrap(ctx, key, bound, plaintext)
	if err != nil {
		return "", err
	}
	return text, r.note(key, bound, text)
}

// DataKey implements keyring.Keyring.
func (r *Ring) DataKey(ctx context.Context, key keyring.Key, bound string) (keyring.Secret, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	secret, text, err := r.Keyring.DataKey(ctx, key, bound)
	if err != nil {
		return keyring.Secret{}, "", err
	}
	if err := r.note(key, bound, text); err != nil {
		secret.Wipe()
		return keyring.Secret{}, "", err
	}
	return secret, text, nil
}

func (r *Ring) note(key keyring.Key, bound, text string) error {
	reg, err := r.read(key)
	if err != nil {
		return err
	}
	reg.Texts = append(reg.Texts, entry{Context: bound, First: hash(text), Newest: text, At: r.now().Unix()})
	return r.write(reg)
}

// Unwrap implements keyring.Keyring: of a text that was renewed the newest form
// is opened. The context is still the caller's.
func (r *Ring) Unwrap(ctx context.Context, key keyring.Key, bound, wrapped string) (keyring.Secret, error) {
	r.mu.Lock()
	reg, err := r.read(key)
	r.mu.Unlock()
	if err != nil {
		return keyring.Secret{}, err
	}
	first := hash(wrapped)
	if i := slices.IndexFunc(reg.Texts, func(e entry) bool { return e.First == first }); i >= 0 {
		wrapped = reg.Texts[i].Newest
	}
	return r.Keyring.Unwrap(ctx, key, bound, wrapped)
}

// Destroy implements keyring.Keyring.
func (r *Ring) Destroy(ctx context.Context, key keyring.Key) (keyring.Proof, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	proof, err := r.Keyring.Destroy(ctx, key)
	if err != nil {
		return keyring.Proof{}, err
	}
	if err := os.Remove(r.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keyring.Proof{}, fmt.Errorf("key %s: register: %w", key, err)
	}
	return proof, nil
}

func (r *Ring) signing() (keyring.Signing, error) {
	signing, ok := r.Keyring.(keyring.Signing)
	if !ok {
		return nil, errors.New("this keyring keeps no signing keys")
	}
	return signing, nil
}

// Signer implements keyring.Signing where the ring does.
func (r *Ring) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	signing, err := r.signing()
	if err != nil {
		return nil, err
	}
	return signing.Signer(ctx, name)
}

// Signers implements keyring.Signing where the ring does.
func (r *Ring) Signers(ctx context.Context, name string) ([]crypto.Signer, error) {
	signing, err := r.signing()
	if err != nil {
		return nil, err
	}
	return signing.Signers(ctx, name)
}

// RotateSigner implements keyring.Signing where the ring does.
func (r *Ring) RotateSigner(ctx context.Context, name string) error {
	signing, err := r.signing()
	if err != nil {
		return err
	}
	return signing.RotateSigner(ctx, name)
}

// Bound reports whether something was wrapped under a key whose context begins
// so, and whether anything was.
func (r *Ring) Bound(key keyring.Key, prefix string) (bound, some bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reg, err := r.read(key)
	if err != nil {
		return false, false, err
	}
	return slices.ContainsFunc(reg.Texts, func(e entry) bool { return strings.HasPrefix(e.Context, prefix) }), len(reg.Texts) > 0, nil
}

// nothing is a wrapped text in form alone, to ask whether there is a key.
const nothing = "vault:v1:AAAA"

// Last is when something was last wrapped under a key, or it was made. Of what has no
// time it is not known: that counts as wrapped when it was first seen here, which is
// written down then, so that not knowing makes no period shorter. Zero: there is no
// such key.
func (r *Ring) Last(ctx context.Context, key keyring.Key) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reg, err := r.read(key)
	if err != nil {
		return time.Time{}, err
	}
	if _, err := os.Stat(r.path(key)); errors.Is(err, fs.ErrNotExist) {
		_, err := r.Keyring.Unwrap(ctx, key, "is there a key", nothing)
		if errors.Is(err, keyring.ErrNoKey) || errors.Is(err, keyring.ErrDestroyed) {
			return time.Time{}, nil
		}
		if err != nil && !errors.Is(err, keyring.ErrUnwrap) && !errors.Is(err, keyring.ErrRetired) {
			return time.Time{}, err
		}
	}
	if reg, err = r.seen(reg); err != nil {
		return time.Time{}, err
	}
	last := max(reg.Made, reg.Seen)
	for _, e := range reg.Texts {
		last = max(last, e.At)
	}
	return time.Unix(last, 0), nil
}

// Keys lists the keys that have a register.
func (r *Ring) Keys() ([]keyring.Key, error) {
	entries, err := os.ReadDir(r.folder)
	if err != nil {
		return nil, err
	}
	var out []keyring.Key
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		subject, kind, found := strings.Cut(name, ".")
		key := keyring.Key{Case: subject, Kind: keyring.Kind(kind)}
		if ok && found && key.Check() == nil {
			out = append(out, key)
		}
	}
	return out, nil
}

// Renew makes a new version of a key and rewraps every registered text. With
// retire, old versions end, but only if all texts are known and renewed. What
// failed is named in the report; nothing is lost by it.
func (r *Ring) Renew(ctx context.Context, key keyring.Key, retire bool) (Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := Report{Key: key}
	reg, err := r.read(key)
	if err != nil {
		return report, err
	}
	if err := r.Rotate(ctx, key); err != nil {
		return report, err
	}
	items := make([]keyring.Wrapped, len(reg.Texts))
	for i, e := range reg.Texts {
		items[i] = keyring.Wrapped{Context: e.Context, Text: e.Newest}
	}
	done, err := keyring.RewrapAll(ctx, r.Keyring, key, items)
	if err != nil {
		return report, err
	}
	for i, d := range done {
		if d.Err != nil {
			report.Failed = append(report.Failed, reg.Texts[i].Context)
			continue
		}
		reg.Texts[i].Newest = d.Text
		report.Texts++
	}
	if err := r.write(reg); err != nil {
		return report, err
	}
	switch {
	case len(report.Failed) > 0:
		return report, fmt.Errorf("key %s: %d of %d: %w: old versions stay", key, len(report.Failed), len(items), ErrFailed)
	case !retire:
		return report, nil
	case !reg.Whole:
		return report, fmt.Errorf("key %s: %w: old versions stay", key, ErrIncomplete)
	}
	if err := r.Retire(ctx, key); err != nil {
		return report, err
	}
	report.Retired = true
	return report, nil
}

// Interface guards.
var (
	_ keyring.Keyring = (*Ring)(nil)
	_ keyring.Signing = (*Ring)(nil)
)
