package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"kuule/attestation/agent/bundle"
	"kuule/internal/app"
	"kuule/internal/canon"
	"kuule/internal/trust"
	"kuule/interview/agreement"
)

type keyCommand struct {
	Make   makeKeyCommand   `cmd:"" help:"Make a signing key and print its public half."`
	Renew  renewKeyCommand  `cmd:"" help:"Give keys of cases a new version and rewrap what they wrapped."`
	Policy policyKeyCommand `cmd:"" help:"Print the policy that Vault has to enforce for a process."`
	Seal   sealKeyCommand   `cmd:"" help:"Seal the local keyring's root key anew: passphrase, TPM or shares."`
}

type makeKeyCommand struct {
	Out string `arg:"" help:"New file for the private key." type:"path"`
}

// Run makes the key and prints what 'kuule init' wants to know.
func (c makeKeyCommand) Run(out io.Writer) error {
	key, err := bundle.GenerateDevKey(c.Out)
	if err != nil {
		return err
	}
	public, err := trust.EncodeKey(key.Public())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, public)
	return err
}

type bundleCommand struct {
	Sign signBundleCommand `cmd:"" help:"Sign a folder of built pages."`
}

type signBundleCommand struct {
	Folder string `arg:"" help:"Folder of built pages." type:"existingdir"`
	Out    string `arg:"" help:"File to write." type:"path"`
	Key    string `help:"Private key of the release." required:"" type:"existingfile"`
}

// Run signs the pages.
func (c signBundleCommand) Run() error {
	key, err := bundle.LoadKey(c.Key)
	if err != nil {
		return err
	}
	return bundle.SignFile(c.Folder, c.Out, key)
}

type agreementCommand struct {
	Prepare prepareCommand `cmd:"" help:"Enter an agreement and print its id, for the office to sign."`
	Sign    signCommand    `cmd:"" help:"Sign an agreement with the security office's key (at the office, not on the server)."`
	Import  importCommand  `cmd:"" help:"Bring a signed agreement into force."`
}

type prepareCommand struct {
	data
	File string `arg:"" help:"JSON file with organisation and criteria." type:"existingfile"`
}

// Run enters the agreement.
func (c prepareCommand) Run(ctx context.Context, out io.Writer) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	var in app.PrepareAgreement
	if err := canon.Strict(text, &in); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	prepared, err := app.Console(c.Data).PrepareAgreement(ctx, in)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, prepared.Agreement)
	return err
}

type signCommand struct {
	File string `arg:"" help:"JSON file with the whole agreement (docs/protocol.md)." type:"existingfile"`
	Key  string `help:"Private key of the security office." required:"" type:"existingfile"`
}

// Run prints the signed agreement.
func (c signCommand) Run(out io.Writer) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	var doc agreement.Document
	if err := canon.Strict(text, &doc); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	key, err := bundle.LoadKey(c.Key)
	if err != nil {
		return err
	}
	signed, err := agreement.Sign(&doc, key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, signed)
	return err
}

type importCommand struct {
	data
	File string `arg:"" help:"File with the signed agreement." type:"existingfile"`
}

// Run brings the agreement into force.
func (c importCommand) Run(ctx context.Context, out io.Writer) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	done, err := app.Console(c.Data).ImportAgreement(ctx, string(text))
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(done)
}
