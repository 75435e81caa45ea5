package app

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"kuule/internal/durable"
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

// signer gives authority's signing key of a name out of the ring: the version
// that every device pinned, also where the ring has a newer one. Another ring's
// signs nothing here.
func (in *installation) signer(ctx context.Context, ring keyring.Signing, name, pinned string) (crypto.Signer, error) {
	versions, err := ring.Signers(ctx, name)
	if err != nil {
		return nil, err
	}
	for i, key := range versions {
		text, err := trust.EncodeKey(key.Public())
		if err != nil {
			return nil, err
		}
		if text != pinned {
			continue
		}
		if i > 0 {
			slog.Warn("the keyring has a newer version of a signing key: bring it to the devices and use it with `kuule key signing`", "key", name)
		}
		verifies, err := map[string]func() (crypto.PublicKey, error){"statement": in.trust.Statement, "sealing": in.trust.Sealing}[name]()
		return versioned{key, verifies}, err
	}
	return nil, fmt.Errorf("none of the keyring's %d versions of the %s key is the one in %s: this is another installation's keyring, or the version was retired", len(versions), name, in.layout.Trust())
}

// versioned signs with one version of a key and knows all that count.
type versioned struct {
	crypto.Signer
	verifies crypto.PublicKey
}

// versionsOf is what verifies what a signer's key signed, in any version that
// counts.
func versionsOf(key crypto.Signer) crypto.PublicKey {
	if v, ok := key.(versioned); ok {
		return v.verifies
	}
	return key.Public()
}

// Steps of changing a signing key's version.
const (
	SigningAdd = "add" // make a new version, and let everybody know it
	SigningUse = "use" // sign with the newest from the next start
)

// Signing is how a signing key stands.
type Signing struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"` // public halves, newest first
	Used     string   `json:"used"`     // the one that signs
	Known    []string `json:"known"`    // that count beside it
}

// ChangeSigning shows how authority's signing keys stand and, with a step,
// changes one in the trust file. The installation must not run. A new version is
// used only once it stands in the trust file, which the devices have to be given
// before; the old one stays in it, so that what it signed still holds.
func ChangeSigning(ctx context.Context, data string, secret keyring.Secret, name, step string) (out []Signing, err error) {
	in, err := openInstallation(data)
	if err != nil {
		return nil, err
	}
	ring, closeRing, err := openRing(ctx, in, secret)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeRing()) }()
	also := map[string]*[]string{"statement": &in.trust.AlsoStatementKeys, "sealing": &in.trust.AlsoSealingKeys}
	if name != "" && also[name] == nil {
		return nil, fmt.Errorf("no signing key %q: statement or sealing", name)
	}
	if name != "" {
		if err := in.changeSigning(ctx, ring, name, step, signingKeys(in.trust)[name], also[name]); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"sealing", "statement"} {
		s := Signing{Name: name, Used: *signingKeys(in.trust)[name], Known: append([]string{}, *also[name]...)}
		if s.Versions, err = publics(ctx, ring, name); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func publics(ctx context.Context, ring keyring.Signing, name string) ([]string, error) {
	versions, err := ring.Signers(ctx, name)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(versions))
	for i, key := range versions {
		if out[i], err = trust.EncodeKey(key.Public()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (in *installation) changeSigning(ctx context.Context, ring keyring.Signing, name, step string, used *string, also *[]string) error {
	versions, err := publics(ctx, ring, name)
	if err != nil {
		return err
	}
	switch step {
	case SigningAdd:
		if versions[0] == *used { // else somebody rotated it in the keyring itself
			if err := ring.RotateSigner(ctx, name); err != nil {
				return err
			}
			if versions, err = publics(ctx, ring, name); err != nil {
				return err
			}
		}
		if !slices.Contains(*also, versions[0]) {
			*also = append([]string{versions[0]}, *also...)
		}
	case SigningUse:
		if versions[0] == *used {
			return fmt.Errorf("the newest version of the %s key is in use", name)
		}
		if !slices.Contains(*also, versions[0]) {
			return fmt.Errorf("nobody knows the newest version of the %s key yet: add it to the trust file first, and bring that to every device", name)
		}
		*also = append([]string{*used}, slices.DeleteFunc(*also, func(k string) bool { return k == versions[0] })...)
		*used = versions[0]
	default:
		return fmt.Errorf("no step %q", step)
	}
	text, err := in.trust.Marshal()
	if err != nil {
		return err
	}
	if _, err := trust.Parse(text); err != nil {
		return err
	}
	return durable.WriteFile(in.layout.Trust(), text, 0o644)
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
