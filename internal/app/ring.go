package app

import (
	"context"
	"crypto"
	"fmt"
	"path/filepath"

	"kuule/internal/keyring"
	"kuule/internal/keyring/renewal"
	"kuule/internal/keyring/tpmseal"
	"kuule/internal/keyring/vault"
	"kuule/internal/trust"
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

func openLocalRing(in *installation, secret keyring.Secret) (keyring.Keyring, func() error, error) {
	lock, err := in.lock(secret)
	if err != nil {
		return nil, nil, err
	}
	local, err := keyring.OpenLocked(in.layout.Keyring(), lock)
	if err != nil {
		return nil, nil, err
	}
	return local, local.Close, nil
}

// lock is how the local keyring opens, by its own root file: the secret is the
// passphrase, or what two shares gave, or nothing where a TPM holds it.
func (in *installation) lock(secret keyring.Secret) (keyring.Lock, error) {
	method, err := keyring.MethodOf(in.layout.Keyring())
	if err != nil {
		return keyring.Lock{}, err
	}
	switch method {
	case keyring.MethodTPM:
		return keyring.ByTPM(tpmseal.Device(in.Keys.TPM)), nil
	case keyring.MethodShares:
		return keyring.ByShares(secret), nil
	default:
		return keyring.ByPassphrase(secret, keyring.DefaultCost), nil
	}
}

// signer gives authority's signing key of a name out of the ring. It has to be
// the one that every device pinned: another ring's signs nothing here.
func (in *installation) signer(ctx context.Context, ring keyring.Signing, name, pinned string) (crypto.Signer, error) {
	key, err := ring.Signer(ctx, name)
	if err != nil {
		return nil, err
	}
	text, err := trust.EncodeKey(key.Public())
	if err != nil {
		return nil, err
	}
	if text != pinned {
		return nil, fmt.Errorf("the keyring's %s key is not the one in %s: this is another installation's keyring", name, in.layout.Trust())
	}
	return key, nil
}

// KeyringMethod tells what a start has to ask for; empty: nothing, the keys are
// in Vault.
func KeyringMethod(data string) (keyring.Method, error) {
	in, err := openInstallation(data)
	if err != nil {
		return "", err
	}
	if in.Keys.Backend == "vault" {
		return "", nil
	}
	return keyring.MethodOf(in.layout.Keyring())
}

// SealKeyring locks the local keyring anew. The installation must not run.
func SealKeyring(data string, old keyring.Secret, to keyring.Method, fresh keyring.Secret) error {
	in, err := openInstallation(data)
	if err != nil {
		return err
	}
	from, err := in.lock(old)
	if err != nil {
		return err
	}
	lock := keyring.ByPassphrase(fresh, keyring.DefaultCost)
	switch to {
	case keyring.MethodTPM:
		lock = keyring.ByTPM(tpmseal.Device(in.Keys.TPM))
	case keyring.MethodShares:
		lock = keyring.ByShares(fresh)
	}
	return keyring.Relock(in.layout.Keyring(), from, lock)
}

func openVault(ctx context.Context, in *installation) (*vault.Ring, func() error, error) {
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
