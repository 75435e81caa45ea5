package keyring

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/crypto/argon2"

	"kuule/internal/durable"
)

// Method is how a ring's root key is sealed.
type Method string

// Methods.
const (
	MethodPassphrase Method = "argon2id"
	MethodShares     Method = "shares" // two of three persons (package shares)
	MethodTPM        Method = "tpm2"   // this machine (package tpmseal)
)

// Sealer seals a key to something outside this program: a TPM.
type Sealer interface {
	Seal(secret []byte) ([]byte, error)
	Unseal(kept []byte) ([]byte, error)
}

// Lock opens a ring's root key, or seals it anew.
type Lock struct {
	method Method
	secret Secret
	cost   Cost
	sealer Sealer
}

// ByPassphrase locks by a passphrase; the cost counts where it is new.
func ByPassphrase(passphrase Secret, cost Cost) Lock {
	return Lock{method: MethodPassphrase, secret: passphrase, cost: cost}
}

// ByShares locks by a secret of 32 random bytes that only its shares keep.
func ByShares(secret Secret) Lock { return Lock{method: MethodShares, secret: secret} }

// ByTPM locks by a TPM.
func ByTPM(sealer Sealer) Lock { return Lock{method: MethodTPM, sealer: sealer} }

// make fills a root record for a fresh sealing and gives its key.
func (l Lock) make(record *rootRecord) (cipher.AEAD, error) {
	record.KDF, record.Salt = l.method, random(16)
	switch l.method {
	case MethodPassphrase:
		if err := l.cost.check(); err != nil {
			return nil, err
		}
		if len(l.secret.Bytes()) == 0 {
			return nil, errors.New("the passphrase is empty")
		}
		record.Cost = &l.cost
	case MethodShares:
		if len(l.secret.Bytes()) != keySize {
			return nil, fmt.Errorf("shares are of %d bytes", keySize)
		}
	case MethodTPM:
		secret := random(keySize)
		defer clear(secret)
		kept, err := l.sealer.Seal(secret)
		if err != nil {
			return nil, err
		}
		record.Kept = kept
		return derived(secret, record.Salt)
	}
	return l.open(*record)
}

// open gives the key of a root record.
func (l Lock) open(record rootRecord) (cipher.AEAD, error) {
	if record.KDF != l.method {
		return nil, fmt.Errorf("it is locked by %s: %w", record.KDF, ErrLock)
	}
	switch l.method {
	case MethodPassphrase:
		if record.Cost == nil {
			return nil, errors.New("its root file names no cost")
		}
		if err := record.Cost.check(); err != nil {
			return nil, err
		}
		key := argon2.IDKey(l.secret.Bytes(), record.Salt, record.Cost.Time, record.Cost.MemoryKiB, record.Cost.Threads, keySize)
		defer clear(key)
		return newAEAD(key)
	case MethodShares:
		return derived(l.secret.Bytes(), record.Salt)
	case MethodTPM:
		secret, err := l.sealer.Unseal(record.Kept)
		if err != nil {
			return nil, err
		}
		defer clear(secret)
		return derived(secret, record.Salt)
	default:
		return nil, ErrLock
	}
}

func derived(secret, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, "kuule keyring lock", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newAEAD(key)
}

// MethodOf tells how the ring in a folder is locked.
func MethodOf(folder string) (Method, error) {
	record, err := readRoot(folder)
	return record.KDF, err
}

// Relock seals the ring's root key anew. The keys stay what they are; a copy of
// the old root file opens as before, wherever one is.
func Relock(folder string, from, to Lock) error {
	ring, err := OpenLocked(folder, from) // also: nobody else holds it
	if err != nil {
		return err
	}
	defer ring.Close()
	record, err := readRoot(folder)
	if err != nil {
		return err
	}
	aead, err := from.open(record)
	if err != nil {
		return fmt.Errorf("open keyring: %w", err)
	}
	root, err := open(aead, record.Sealed, rootBinding)
	if err != nil {
		return ErrPassphrase
	}
	defer clear(root)
	text, err := sealRoot(root, to)
	if err != nil {
		return fmt.Errorf("lock keyring: %w", err)
	}
	return durable.WriteFile(filepath.Join(folder, rootFile), text, 0o600)
}

func sealRoot(root []byte, lock Lock) ([]byte, error) {
	record := rootRecord{V: 1}
	aead, err := lock.make(&record)
	if err != nil {
		return nil, err
	}
	record.Sealed = seal(aead, root, rootBinding)
	return json.Marshal(record)
}
