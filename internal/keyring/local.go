package keyring

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kuule/internal/durable"
)

const (
	keySize    = 32
	rootFile   = "root.json"
	wrapPrefix = "kuule:v"
	maxFile    = 1 << 20 // bytes of one key's file: thousands of versions
)

// Cost is the work that guessing a passphrase takes (Argon2id, RFC 9106,
// https://www.rfc-editor.org/rfc/rfc9106).
type Cost struct {
	Time      uint32 `json:"time"`       // passes
	MemoryKiB uint32 `json:"memory_kib"` // memory
	Threads   uint8  `json:"threads"`
}

var (
	// DefaultCost is RFC 9106's second recommended option.
	DefaultCost = Cost{Time: 3, MemoryKiB: 64 << 10, Threads: 4}
	// LeastCost is the weakest that is accepted, for tests.
	LeastCost = Cost{Time: 1, MemoryKiB: 8 << 10, Threads: 1}
	// mostCost bounds what a changed file can make this process allocate.
	mostCost = Cost{Time: 64, MemoryKiB: 4 << 20, Threads: 64}
)

func (c Cost) check() error {
	if c.Time < LeastCost.Time || c.MemoryKiB < LeastCost.MemoryKiB || c.Threads < LeastCost.Threads ||
		c.Time > mostCost.Time || c.MemoryKiB > mostCost.MemoryKiB || c.Threads > mostCost.Threads {
		return errors.New("the passphrase's cost is out of bounds")
	}
	return nil
}

var (
	// ErrNoKeyring says that the folder holds no keyring yet.
	ErrNoKeyring = errors.New("folder holds no keyring")
	// ErrPassphrase says that the keyring does not open with this passphrase.
	ErrPassphrase = errors.New("keyring does not open: wrong passphrase or shares, or its root file was changed")
	// ErrLock says that the keyring is locked in another way than it was opened.
	ErrLock = errors.New("keyring is locked in another way")
	// ErrInUse says that another process holds the keyring.
	ErrInUse = errors.New("keyring is held by another process")
)

// Local is a keyring in a folder: one file per key, each version sealed under a
// root key, the root key sealed under a Lock. All sealing is AES-256-GCM.
// One process holds it at a time.
type Local struct {
	folder string
	root   cipher.AEAD
	lock   *os.File
	now    func() time.Time

	mu sync.RWMutex // over the key files
}

type rootRecord struct {
	V      int             `json:"v"`
	KDF    Method          `json:"kdf"`
	Cost   *Cost           `json:"cost,omitempty"` // of a passphrase
	Kept   json.RawMessage `json:"kept,omitempty"` // of a TPM
	Salt   []byte          `json:"salt"`
	Sealed []byte          `json:"sealed"`
}

// keyRecord is a key's file.
type keyRecord struct {
	V        int          `json:"v"`
	Key      Key          `json:"key"`
	Versions []keyVersion `json:"versions,omitempty"`
	Proof    *Proof       `json:"proof,omitempty"` // set: destroyed
}

type keyVersion struct {
	ID     string `json:"id"`
	Sealed []byte `json:"sealed,omitempty"` // empty: retired
}

// CreateLocal makes an empty keyring in a folder, locked by a passphrase, and
// opens it. The passphrase is not kept.
func CreateLocal(folder string, passphrase Secret, cost Cost) (*Local, error) {
	return CreateLocked(folder, ByPassphrase(passphrase, cost))
}

// CreateLocked makes an empty keyring in a folder and opens it.
func CreateLocked(folder string, lock Lock) (*Local, error) {
	root := random(keySize)
	defer clear(root)
	text, err := sealRoot(root, lock)
	if err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	if err := durable.Create(filepath.Join(folder, rootFile), strings.NewReader(string(text)), 0o600); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	return OpenLocked(folder, lock)
}

// OpenLocal opens the keyring in a folder by its passphrase. Close lets another
// process have it.
func OpenLocal(folder string, passphrase Secret) (*Local, error) {
	return OpenLocked(folder, ByPassphrase(passphrase, Cost{}))
}

// rootBinding is the associated data of the sealed root key.
const rootBinding = "kuule keyring root"

func readRoot(folder string) (rootRecord, error) {
	path := filepath.Join(folder, rootFile)
	text, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rootRecord{}, fmt.Errorf("open keyring in %s: %w", folder, ErrNoKeyring)
	}
	if err != nil {
		return rootRecord{}, fmt.Errorf("open keyring: %w", err)
	}
	var record rootRecord
	if err := json.Unmarshal(text, &record); err != nil || record.V != 1 {
		return rootRecord{}, fmt.Errorf("open keyring: %s is not a root file of this version", path)
	}
	return record, nil
}

// OpenLocked opens the keyring in a folder.
func OpenLocked(folder string, by Lock) (*Local, error) {
	record, err := readRoot(folder)
	if err != nil {
		return nil, err
	}
	aead, err := by.open(record)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	root, err := open(aead, record.Sealed, rootBinding)
	if err != nil {
		return nil, ErrPassphrase
	}
	defer clear(root)
	sealer, err := newAEAD(root)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	lock, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open keyring in %s: %w", folder, ErrInUse), lock.Close())
	}
	return &Local{folder: folder, root: sealer, lock: lock, now: time.Now}, nil
}

// Close releases the folder. The ring is not used afterwards.
func (l *Local) Close() error { return l.lock.Close() }

// Create implements Keyring.
func (l *Local) Create(_ context.Context, key Key) error {
	if err := key.Check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := l.read(key)
	switch {
	case err == nil && record.Proof != nil:
		return fmt.Errorf("create key %s: %w", key, ErrDestroyed)
	case err == nil:
		return fmt.Errorf("create key %s: %w", key, ErrExists)
	case !errors.Is(err, ErrNoKey):
		return err
	}
	record = keyRecord{V: 1, Key: key}
	return l.addVersion(&record)
}

// Rotate implements Keyring.
func (l *Local) Rotate(_ context.Context, key Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := l.readAlive(key)
	if err != nil {
		return err
	}
	return l.addVersion(&record)
}

// Wrap implements Keyring.
func (l *Local) Wrap(_ context.Context, key Key, context string, plaintext []byte) (string, error) {
	if len(plaintext) > MaxPlaintext {
		return "", fmt.Errorf("wrap under key %s: %d bytes, at most %d: use a data key", key, len(plaintext), MaxPlaintext)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	record, err := l.readAlive(key)
	if err != nil {
		return "", err
	}
	version := len(record.Versions)
	aead, err := l.derive(record, version, context)
	if err != nil {
		return "", err
	}
	sealed := seal(aead, plaintext, binding(key, version, context))
	return wrapPrefix + strconv.Itoa(version) + ":" + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Unwrap implements Keyring.
func (l *Local) Unwrap(_ context.Context, key Key, context, wrapped string) (Secret, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	record, err := l.readAlive(key)
	if err != nil {
		return Secret{}, err
	}
	version, sealed, err := parseWrapped(wrapped)
	if err != nil || version > len(record.Versions) {
		return Secret{}, fmt.Errorf("key %s: %w", key, ErrUnwrap)
	}
	aead, err := l.derive(record, version, context)
	if err != nil {
		return Secret{}, err
	}
	plaintext, err := open(aead, sealed, binding(key, version, context))
	if err != nil {
		return Secret{}, fmt.Errorf("key %s: %w", key, ErrUnwrap)
	}
	return NewSecret(plaintext), nil
}

// DataKey implements Keyring.
func (l *Local) DataKey(ctx context.Context, key Key, context string) (Secret, string, error) {
	fresh := NewSecret(random(keySize))
	wrapped, err := l.Wrap(ctx, key, context, fresh.Bytes())
	if err != nil {
		fresh.Wipe()
		return Secret{}, "", err
	}
	return fresh, wrapped, nil
}

// Rewrap implements Keyring.
func (l *Local) Rewrap(ctx context.Context, key Key, context, wrapped string) (string, error) {
	plaintext, err := l.Unwrap(ctx, key, context, wrapped)
	if err != nil {
		return "", err
	}
	defer plaintext.Wipe()
	return l.Wrap(ctx, key, context, plaintext.Bytes())
}

// Retire implements Keyring.
func (l *Local) Retire(_ context.Context, key Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := l.readAlive(key)
	if err != nil {
		return err
	}
	for i := range record.Versions[:len(record.Versions)-1] {
		record.Versions[i].Sealed = nil
	}
	return l.replace(record)
}

// Destroy implements Keyring. The file that held the versions is overwritten
// after the proof has taken its place.
func (l *Local) Destroy(_ context.Context, key Key) (Proof, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := l.read(key)
	if err != nil {
		return Proof{}, err
	}
	if record.Proof != nil {
		return *record.Proof, nil
	}
	proof := Proof{Key: key, DestroyedAt: l.now().UTC().Truncate(time.Second)}
	for _, version := range record.Versions {
		proof.Versions = append(proof.Versions, version.ID)
	}
	return proof, l.replace(keyRecord{V: 1, Key: key, Proof: &proof})
}

// replace writes a key's file anew and overwrites the one that held more.
func (l *Local) replace(record keyRecord) error {
	old, err := os.OpenFile(l.path(record.Key), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("key %s: %w", record.Key, err)
	}
	defer old.Close()
	if err := l.write(record); err != nil {
		return err
	}
	if err := overwrite(old); err != nil {
		return fmt.Errorf("key %s: %w", record.Key, err)
	}
	return nil
}

// signerRecord is the file of a key that signs.
type signerRecord struct {
	V      int      `json:"v"`
	Name   string   `json:"name"`
	Sealed []byte   `json:"sealed"`          // PKCS #8 of the first version
	Later  [][]byte `json:"later,omitempty"` // of those after it
}

// signerBinding binds a version of a signing key to its place.
func signerBinding(name string, version int) string {
	if version == 1 {
		return "kuule keyring 1|sign|" + name
	}
	return fmt.Sprintf("kuule keyring 1|sign|%s|%d", name, version)
}

func (l *Local) signerPath(name string) string { return filepath.Join(l.folder, "sign-"+name+".json") }

// Signer implements Signing. The key is opened into this process's memory.
func (l *Local) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	all, err := l.Signers(ctx, name)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Signers implements Signing.
func (l *Local) Signers(_ context.Context, name string) ([]crypto.Signer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := l.readSigner(name)
	if errors.Is(err, fs.ErrNotExist) {
		record = signerRecord{V: 1, Name: name}
		if record.Sealed, err = l.newSigner(name, 1); err == nil {
			err = l.writeSigner(record)
		}
	}
	if err != nil {
		return nil, err
	}
	var out []crypto.Signer
	for i, sealed := range append([][]byte{record.Sealed}, record.Later...) {
		key, err := l.openSigner(name, i+1, sealed)
		if err != nil {
			return nil, err
		}
		out = append([]crypto.Signer{key}, out...)
	}
	return out, nil
}

// RotateSigner implements Signing.
func (l *Local) RotateSigner(_ context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	record, err := l.readSigner(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("signing key %s: %w", name, ErrNoKey)
	}
	if err != nil {
		return err
	}
	sealed, err := l.newSigner(name, len(record.Later)+2)
	if err != nil {
		return err
	}
	record.Later = append(record.Later, sealed)
	return l.writeSigner(record)
}

func (l *Local) readSigner(name string) (signerRecord, error) {
	if err := CheckSigner(name); err != nil {
		return signerRecord{}, err
	}
	text, err := readBounded(l.signerPath(name))
	if err != nil {
		return signerRecord{}, fmt.Errorf("signing key %s: %w", name, err)
	}
	var record signerRecord
	if err := json.Unmarshal(text, &record); err != nil || record.V != 1 {
		return signerRecord{}, fmt.Errorf("signing key %s: its file is damaged: restore it from a back-up", name)
	}
	return record, nil
}

func (l *Local) writeSigner(record signerRecord) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(l.signerPath(record.Name), text, 0o600); err != nil {
		return fmt.Errorf("signing key %s: %w", record.Name, err)
	}
	return nil
}

// openSigner opens one version.
func (l *Local) openSigner(name string, version int, sealed []byte) (*ecdsa.PrivateKey, error) {
	der, err := open(l.root, sealed, signerBinding(name, version))
	if err != nil {
		return nil, fmt.Errorf("signing key %s does not open: its file was changed", name)
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", name, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("signing key %s is of another kind", name)
	}
	return signer, nil
}

// newSigner makes and seals a version.
func (l *Local) newSigner(name string, version int) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return seal(l.root, der, signerBinding(name, version)), nil
}

func overwrite(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(make([]byte, info.Size()), 0); err != nil {
		return err
	}
	return file.Sync()
}

func (l *Local) addVersion(record *keyRecord) error {
	material := random(keySize)
	defer clear(material)
	version := keyVersion{ID: base64.RawURLEncoding.EncodeToString(random(16))}
	version.Sealed = seal(l.root, material, binding(record.Key, len(record.Versions)+1, version.ID))
	record.Versions = append(record.Versions, version)
	return l.write(*record)
}

// derive opens one version and derives the key for a context from it, so that
// no two contexts share a key and random nonces stay far from their bound
// (HKDF, RFC 5869, https://www.rfc-editor.org/rfc/rfc5869).
func (l *Local) derive(record keyRecord, version int, context string) (cipher.AEAD, error) {
	if context == "" {
		return nil, fmt.Errorf("key %s: a wrap needs a context", record.Key)
	}
	entry := record.Versions[version-1]
	if len(entry.Sealed) == 0 {
		return nil, fmt.Errorf("key %s: version %d: %w", record.Key, version, ErrRetired)
	}
	material, err := open(l.root, entry.Sealed, binding(record.Key, version, entry.ID))
	if err != nil {
		return nil, fmt.Errorf("key %s: version %d does not open: its file was changed", record.Key, version)
	}
	defer clear(material)
	derived, err := hkdf.Key(sha256.New, material, nil, "kuule keyring wrap "+context, keySize)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", record.Key, err)
	}
	defer clear(derived)
	return newAEAD(derived)
}

// binding is the associated data of everything sealed here. The parts before
// the last hold no "|".
func binding(key Key, version int, last string) string {
	return fmt.Sprintf("kuule keyring 1|%s|%s|%d|%s", key.Case, key.Kind, version, last)
}

func parseWrapped(wrapped string) (int, []byte, error) {
	rest, ok := strings.CutPrefix(wrapped, wrapPrefix)
	number, body, found := strings.Cut(rest, ":")
	if !ok || !found || len(body) > base64.RawURLEncoding.EncodedLen(MaxPlaintext+64) {
		return 0, nil, ErrUnwrap
	}
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 || strconv.Itoa(version) != number {
		return 0, nil, ErrUnwrap
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(body)
	return version, sealed, err
}

func (l *Local) path(key Key) string { return filepath.Join(l.folder, key.String()+".json") }

func (l *Local) readAlive(key Key) (keyRecord, error) {
	record, err := l.read(key)
	if err != nil {
		return keyRecord{}, err
	}
	if record.Proof != nil {
		return keyRecord{}, fmt.Errorf("key %s: %w", key, ErrDestroyed)
	}
	return record, nil
}

func (l *Local) read(key Key) (keyRecord, error) {
	if err := key.Check(); err != nil {
		return keyRecord{}, err
	}
	text, err := readBounded(l.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return keyRecord{}, fmt.Errorf("key %s: %w", key, ErrNoKey)
	}
	if err != nil {
		return keyRecord{}, fmt.Errorf("key %s: %w", key, err)
	}
	var record keyRecord
	if err := json.Unmarshal(text, &record); err != nil || record.V != 1 || record.Key != key ||
		(len(record.Versions) == 0) == (record.Proof == nil) {
		return keyRecord{}, fmt.Errorf("key %s: its file is damaged: restore it from a back-up", key)
	}
	return record, nil
}

func (l *Local) write(record keyRecord) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("key %s: %w", record.Key, err)
	}
	if len(text) > maxFile {
		return fmt.Errorf("key %s: too many versions", record.Key)
	}
	if err := durable.WriteFile(l.path(record.Key), text, 0o600); err != nil {
		return fmt.Errorf("key %s: %w", record.Key, err)
	}
	return nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return os.ReadFile(path)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func seal(aead cipher.AEAD, plaintext []byte, bound string) []byte {
	return aead.Seal(nil, nil, plaintext, []byte(bound))
}

func open(aead cipher.AEAD, sealed []byte, bound string) ([]byte, error) {
	return aead.Open(nil, nil, sealed, []byte(bound))
}

// random never fails: crypto/rand ends the process instead.
func random(size int) []byte {
	bytes := make([]byte, size)
	_, _ = rand.Read(bytes)
	return bytes
}

// Interface guards.
var (
	_ Keyring = (*Local)(nil)
	_ Signing = (*Local)(nil)
)
