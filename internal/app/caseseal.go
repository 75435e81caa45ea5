package app

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/uptrace/bun"

	"kuule/internal/keyring"
	"kuule/internal/problem"
	"kuule/internal/store"
	"kuule/interview"
)

// caseSealer seals personal content under a data key per case, which itself is
// wrapped by the case's records key in the keyring (promise 6). It implements
// interview.Sealer.
type caseSealer struct {
	db   *bun.DB
	ring keyring.Keyring

	mu   sync.Mutex
	keys map[interview.CaseID]cipher.AEAD
}

// maxCaseKeys bounds the data keys held in memory.
const maxCaseKeys = 1000

type caseKeyRow struct {
	bun.BaseModel `bun:"table:case_key"`
	Case          interview.CaseID `bun:"case_id,pk"`
	Wrapped       string           `bun:"wrapped"`
}

func newCaseSealer(db *bun.DB, ring keyring.Keyring) *caseSealer {
	return &caseSealer{db: db, ring: ring, keys: map[interview.CaseID]cipher.AEAD{}}
}

// Seal implements interview.Sealer: a random nonce, then AES-256-GCM bound to
// the case and to what the caller names.
func (s *caseSealer) Seal(ctx context.Context, c interview.CaseID, aad string, plain []byte) ([]byte, error) {
	a, err := s.aead(ctx, c, true)
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, plain, bound(c, aad)), nil
}

// Open implements interview.Sealer.
func (s *caseSealer) Open(ctx context.Context, c interview.CaseID, aad string, sealed []byte) ([]byte, error) {
	a, err := s.aead(ctx, c, false)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, nil, sealed, bound(c, aad))
	if err != nil {
		return nil, fmt.Errorf("sealed content of case %s (%s) does not open: it was changed or moved", c, aad)
	}
	return plain, nil
}

func bound(c interview.CaseID, aad string) []byte { return []byte(c.String() + "|" + aad) }

// aead returns the case's data key, making it at first use.
func (s *caseSealer) aead(ctx context.Context, c interview.CaseID, make bool) (cipher.AEAD, error) {
	s.mu.Lock()
	a := s.keys[c]
	s.mu.Unlock()
	if a != nil {
		return a, nil
	}
	secret, err := s.dataKey(ctx, c, make)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	block, err := aes.NewCipher(secret.Bytes())
	if err != nil {
		return nil, err
	}
	if a, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxCaseKeys {
		clear(s.keys)
	}
	s.keys[c] = a
	return a, nil
}

// forget drops a case's data key from memory: the case was erased.
func (s *caseSealer) forget(c interview.CaseID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, c)
}

// ended says of a destroyed key what that means to a person.
func ended(c interview.CaseID, err error) error {
	if errors.Is(err, keyring.ErrDestroyed) {
		return problem.New(problem.CodeErased, "case %s: %w", c, err)
	}
	return err
}

func (s *caseSealer) dataKey(ctx context.Context, c interview.CaseID, makeNew bool) (keyring.Secret, error) {
	key := keyring.Key{Case: c.String(), Kind: keyring.Records}
	const what = "case-data-key"
	row := caseKeyRow{Case: c}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if err == nil {
		secret, err := s.ring.Unwrap(ctx, key, what, row.Wrapped)
		return secret, ended(c, err)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return keyring.Secret{}, fmt.Errorf("data key of case %s: %w", c, err)
	}
	if !makeNew {
		return keyring.Secret{}, problem.New(problem.CodeNotFound, "case %s has no data key", c)
	}
	if err := s.ring.Create(ctx, key); err != nil && !errors.Is(err, keyring.ErrExists) {
		return keyring.Secret{}, ended(c, err)
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return keyring.Secret{}, err
	}
	if row.Wrapped, err = s.ring.Wrap(ctx, key, what, secret); err != nil {
		return keyring.Secret{}, err
	}
	if _, err := s.db.NewInsert().Model(&row).Exec(ctx); err != nil {
		if store.IsDuplicate(err) { // another request made it first
			return s.dataKey(ctx, c, false)
		}
		return keyring.Secret{}, fmt.Errorf("data key of case %s: %w", c, err)
	}
	return keyring.NewSecret(secret), nil
}
