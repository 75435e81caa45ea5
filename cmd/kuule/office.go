package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kuule/attestation/agent/bundle"
	"kuule/internal/app"
	"kuule/internal/canon"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/agreement"
)

type keyCommand struct {
	Make   makeKeyCommand   `cmd:"" help:"Make a signing key and print its public half."`
	Renew  renewKeyCommand  `cmd:"" help:"Give keys of cases a new version and rewrap what they wrapped."`
	Policy policyKeyCommand `cmd:"" help:"Print the policy that Vault has to enforce for a process."`
	Seal   sealKeyCommand   `cmd:"" help:"Seal the local keyring's root key anew: passphrase, TPM or shares."`

	Signing signingKeyCommand `cmd:"" help:"Show authority's signing keys, and bring a new version into use."`
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
	New     newCommand     `cmd:"" help:"Print the form of an agreement with fresh ids, to be filled in."`
	Prepare prepareCommand `cmd:"" help:"Enter an agreement and print its id, for the office to sign."`
	Sign    signCommand    `cmd:"" help:"Sign an agreement with the security office's key (at the office, not on the server)."`
	Import  importCommand  `cmd:"" help:"Bring a signed agreement into force."`
}

type newCommand struct {
	ID           interview.AgreementID `placeholder:"ID" help:"Id of the agreement, as 'prepare' printed it."`
	Organisation string                `help:"JSON file with organisation and criteria, as 'prepare' read it." type:"existingfile"`
	Devices      int                   `help:"How many devices it names." default:"1"`
	Premises     int                   `help:"How many rooms it names." default:"1"`
	Years        int                   `help:"How long it holds, from today." default:"1"`
}

// Help says what is filled in.
func (newCommand) Help() string {
	return `What is empty is filled in by hand; 'kuule agreement sign' refuses what is left empty. Each device's
permanent_identifier is what 'kuule-agent identifier' prints on it; its premises are ids of the list
"premises", the first of which it is given here. Roles of persons: interviewer,
counsel, interpreter, representative, officer, security-office, administrator.
Kinds of organisation: ` + strings.Join(agreement.Kinds, ", ") + `.`
}

// Run prints the form.
func (c newCommand) Run(out io.Writer) error {
	var in app.PrepareAgreement
	if c.Organisation != "" {
		text, err := os.ReadFile(c.Organisation)
		if err != nil {
			return err
		}
		if err := canon.Strict(text, &in); err != nil {
			return fmt.Errorf("%s: %w", c.Organisation, err)
		}
	}
	if c.Devices < 0 || c.Devices > agreement.MaxNamed || c.Premises < 1 || c.Premises > agreement.MaxNamed {
		return fmt.Errorf("an agreement names at most %d of a kind, and one room at least", agreement.MaxNamed)
	}
	now := time.Now()
	doc := agreement.Document{
		V: 1, ID: c.ID, Revision: 1, Organisation: in.Organisation, Criteria: in.Criteria,
		Devices: []agreement.Device{}, Persons: []agreement.Person{{}},
		ValidFrom: now.Unix(), ValidUntil: now.AddDate(c.Years, 0, 0).Unix(),
	}
	for range c.Premises {
		doc.Premises = append(doc.Premises, agreement.Premises{ID: interview.NewPremisesID()})
	}
	for range c.Devices {
		doc.Devices = append(doc.Devices, agreement.Device{ID: interview.NewDeviceID(), Owner: in.Organisation.Name, Premises: []interview.PremisesID{doc.Premises[0].ID}})
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(doc)
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
