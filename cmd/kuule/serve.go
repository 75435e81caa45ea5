package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"kuule/internal/app"
	"kuule/internal/config"
	"kuule/internal/keyring"
	"kuule/internal/trust"
)

// data is where an installation lies.
type data struct {
	Data string `help:"Folder of the installation." default:"/var/lib/kuule" type:"path"`
}

type initCommand struct {
	Data          string   `help:"Folder of the installation; by default the configuration's, else /var/lib/kuule." type:"path"`
	Config        string   `help:"Configuration file; it has to name the server's host and the identity provider (docs/installation.md)." required:"" type:"existingfile"`
	OfficeKey     string   `help:"Public key of the security office, as 'kuule key make' printed it." required:""`
	BundleKey     string   `help:"Public key of the release, as 'kuule key make' printed it." required:""`
	Manufacturers string   `help:"PEM file: roots of TPM makers that are believed." required:"" type:"existingfile"`
	Intermediates string   `help:"PEM file: issuing certificates of TPM makers." type:"existingfile"`
	Csca          string   `help:"PEM file: roots of those who issue travel documents." type:"existingfile"`
	Approver      []string `help:"Public key of a person who may approve later lists of such roots; two approve each, so name two at least."`
	Passphrase    string   `help:"File with the keyring's passphrase; by default the configuration's, else it is asked for at the terminal." type:"existingfile"`
	Demonstration bool     `help:"Mark the keys as made for a demonstration."`
}

// Run makes the installation and says what comes next.
func (c initCommand) Run(out io.Writer) error {
	o := app.InitOptions{Demonstration: c.Demonstration}
	var err error
	if o.Config, err = config.Read(c.Config); err != nil {
		return err
	}
	if c.Data != "" {
		o.Config.Data = c.Data
	}
	if c.Passphrase != "" {
		o.Config.PassphraseFile = c.Passphrase
	}
	if o.OfficeKey, err = trust.Key(c.OfficeKey); err != nil {
		return fmt.Errorf("office key: %w", err)
	}
	if o.BundleKey, err = trust.Key(c.BundleKey); err != nil {
		return fmt.Errorf("bundle key: %w", err)
	}
	for _, text := range c.Approver {
		key, err := trust.Key(text)
		if err != nil {
			return fmt.Errorf("approver's key: %w", err)
		}
		o.Approvers = append(o.Approvers, key)
	}
	for _, f := range []struct {
		path string
		into *[]byte
	}{{c.Manufacturers, &o.Manufacturers}, {c.Intermediates, &o.Intermediates}, {c.Csca, &o.TrustList}} {
		if f.path == "" {
			continue
		}
		if *f.into, err = os.ReadFile(f.path); err != nil {
			return err
		}
	}
	if o.Config.Keys.Backend != "vault" { // which unlocks itself
		if o.Passphrase, err = passphrase(o.Config.PassphraseFile, true); err != nil {
			return err
		}
	}
	if err := app.Init(o); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "installation made in %s\nhand %s to every device, by another way than this network\nnext: kuule serve --data %s\n", o.Config.Data, o.Config.Layout().Trust(), o.Config.Data)
	return err
}

type serveCommand struct {
	data
}

// Run serves until it is told to stop.
func (c serveCommand) Run(ctx context.Context) error {
	secret, err := unlocking(c.Data)
	if err != nil {
		return err
	}
	return app.Serve(ctx, c.Data, secret)
}

// minPassphrase is the shortest passphrase taken, in bytes.
const minPassphrase = 12

// passphrase reads the keyring's passphrase from a file or from the terminal,
// twice where it is new.
func passphrase(file string, fresh bool) (keyring.Secret, error) {
	var secret []byte
	var err error
	switch {
	case file != "":
		if secret, err = os.ReadFile(file); err != nil {
			return keyring.Secret{}, fmt.Errorf("passphrase: %w", err)
		}
		secret = bytes.TrimRight(secret, "\r\n")
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return keyring.Secret{}, errors.New("passphrase: there is no terminal to ask at; name a file by passphrase_file in kuule.json")
	default:
		if secret, err = ask("Passphrase of the keyring: "); err != nil {
			return keyring.Secret{}, err
		}
		if fresh {
			again, err := ask("Once more: ")
			if err != nil {
				return keyring.Secret{}, err
			}
			if !bytes.Equal(secret, again) {
				return keyring.Secret{}, errors.New("the two passphrases differ")
			}
		}
	}
	if len(secret) < minPassphrase {
		return keyring.Secret{}, fmt.Errorf("passphrase: at least %d characters", minPassphrase)
	}
	return keyring.NewSecret(secret), nil
}

func ask(prompt string) ([]byte, error) {
	fmt.Fprint(os.Stderr, prompt)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(int(os.Stdin.Fd()))
}
