package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"kuule/internal/app"
	"kuule/internal/keyring"
	"kuule/internal/keyring/shares"
)

// unlocking asks for what opens the keyring of an installation: its passphrase,
// two shares, or nothing where a TPM or Vault holds the keys.
func unlocking(data string) (keyring.Secret, error) {
	method, err := app.KeyringMethod(data)
	if err != nil {
		return keyring.Secret{}, err
	}
	if method == "" || method == keyring.MethodTPM {
		return keyring.Secret{}, nil
	}
	file, err := app.PassphraseFile(data)
	if err != nil {
		return keyring.Secret{}, err
	}
	if method == keyring.MethodShares {
		return twoShares()
	}
	return passphrase(file, false)
}

// twoShares asks two persons, one after the other. Shares are never read from
// one file: that would be one person's.
func twoShares() (keyring.Secret, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return keyring.Secret{}, errors.New("shares: there is no terminal to ask two persons at")
	}
	var given [shares.Needed]string
	for i := range given {
		share, err := ask(fmt.Sprintf("Share of person %d: ", i+1))
		if err != nil {
			return keyring.Secret{}, err
		}
		given[i] = string(bytes.TrimSpace(share))
	}
	secret, err := shares.Combine(given[0], given[1])
	if err != nil {
		return keyring.Secret{}, fmt.Errorf("shares: %w", err)
	}
	return keyring.NewSecret(secret), nil
}

type sealKeyCommand struct {
	data
	To         string `help:"How the root key is locked from now on." enum:"passphrase,tpm,shares" required:""`
	Passphrase string `help:"File with the new passphrase; asked for at the terminal without one." type:"existingfile"`
}

// Run locks the keyring anew. Shares are printed once and kept nowhere.
func (c sealKeyCommand) Run(out io.Writer) error {
	old, err := unlocking(c.Data)
	if err != nil {
		return err
	}
	switch c.To {
	case "tpm":
		return app.SealKeyring(c.Data, old, keyring.MethodTPM, keyring.Secret{})
	case "shares":
		return c.share(out, old)
	default:
		fresh, err := passphrase(c.Passphrase, true)
		if err != nil {
			return err
		}
		return app.SealKeyring(c.Data, old, keyring.MethodPassphrase, fresh)
	}
}

func (c sealKeyCommand) share(out io.Writer, old keyring.Secret) error {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	all, err := shares.Split(secret)
	if err != nil {
		return err
	}
	// Printed before they count: a share that nobody saw would lock everybody out.
	for i, share := range all {
		if _, err := fmt.Fprintf(out, "share for person %d:\n%s\n\n", i+1, share); err != nil {
			return err
		}
	}
	return app.SealKeyring(c.Data, old, keyring.MethodShares, keyring.NewSecret(secret))
}
