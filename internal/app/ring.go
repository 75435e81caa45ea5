package app

import (
	"context"
	"fmt"
	"path/filepath"

	"kuule/internal/keyring"
	"kuule/internal/keyring/renewal"
	"kuule/internal/keyring/vault"
)

// Places of keys in authority's folder, beside the keyring itself.
const (
	wrapsFolder      = "wraps"      // register of what was wrapped (package renewal)
	gravesFolder     = "graves"     // proofs of keys that were destroyed in Vault
	tombstonesFolder = "tombstones" // what was erased, whatever a back-up brings back
	locksFolder      = "locks"      // until when nothing is erased by the clock
)

// openRing opens the keyring that the configuration names, with its register.
func openRing(ctx context.Context, in *installation, passphrase keyring.Secret) (ring *renewal.Ring, closeRing func() error, err error) {
	var base keyring.Keyring
	if in.Keys.Backend == "vault" {
		base, closeRing, err = openVault(ctx, in)
	} else {
		base, closeRing, err = openLocalRing(in, passphrase)
	}
	if err != nil {
		return nil, nil, err
	}
	ring, err = renewal.Over(base, filepath.Join(in.layout.Authority(), wrapsFolder))
	if err != nil {
		_ = closeRing()
		return nil, nil, err
	}
	return ring, closeRing, nil
}

func openLocalRing(in *installation, passphrase keyring.Secret) (keyring.Keyring, func() error, error) {
	local, err := keyring.OpenLocal(in.layout.Keyring(), passphrase)
	if err != nil {
		return nil, nil, err
	}
	return local, local.Close, nil
}

func openVault(ctx context.Context, in *installation) (keyring.Keyring, func() error, error) {
	v := in.Keys.Vault
	roots, err := rootsOf(v.CA)
	if err != nil {
		return nil, nil, fmt.Errorf("keys: %w", err)
	}
	var login vault.Login = vault.AppRole{RoleID: v.RoleID, SecretIDFile: v.SecretIDFile}
	if v.Certificate != "" {
		login = vault.Certificate{File: v.Certificate, Key: v.Key, Role: v.Role}
	}
	ring, err := vault.Open(ctx, vault.Config{
		Address: v.Address, Roots: roots, Mount: v.Mount, Login: login, Graves: filepath.Join(in.layout.Authority(), gravesFolder),
	})
	if err != nil {
		return nil, nil, err
	}
	return ring, ring.Close, nil
}
