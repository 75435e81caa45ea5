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
	"kuule/kiosk-bridge/trustlist"
)

type trustlistCommand struct {
	Inspect inspectCommand     `cmd:"" help:"Count the certificates of a list by country."`
	Prepare prepareListCommand `cmd:"" help:"Print what two persons approve of a list (anywhere, without the server)."`
	Approve approveListCommand `cmd:"" help:"Approve a prepared list with one's own key (at one's own machine)."`
	Import  importListCommand  `cmd:"" help:"Bring a list that two persons approved into force."`
	Status  statusListCommand  `cmd:"" help:"Say which list is in force."`
}

type inspectCommand struct {
	File string `arg:"" help:"Master list (CMS), or certificates in PEM or DER." type:"existingfile"`
}

// Run prints the counts.
func (c inspectCommand) Run(out io.Writer) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return trustlist.Inspect(out, text)
}

type prepareListCommand struct {
	File     string `arg:"" help:"Master list (CMS), or certificates in PEM or DER." type:"existingfile"`
	Pin      string `help:"SHA-256 fingerprint of the authority behind a master list, as its publisher prints it elsewhere than with the list."`
	Sequence int64  `help:"Number of this version: one more than 'kuule trustlist status' shows." required:""`
}

// Run prints the statement, for both persons.
func (c prepareListCommand) Run(out io.Writer) error {
	file, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	pin := strings.ToLower(strings.ReplaceAll(c.Pin, ":", ""))
	statement, _, err := trustlist.Prepare(file, pin, c.Sequence, time.Now())
	if err != nil {
		return err
	}
	text, err := canon.Marshal(statement)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

type approveListCommand struct {
	File      string `arg:"" help:"The list's file, looked at by oneself." type:"existingfile"`
	Statement string `arg:"" help:"What 'kuule trustlist prepare' printed." type:"existingfile"`
	Key       string `help:"One's own private key, as 'kuule key make' wrote it." required:"" type:"existingfile"`
}

// Run checks the statement against the file and prints the approval.
func (c approveListCommand) Run(out io.Writer) error {
	file, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.Statement)
	if err != nil {
		return err
	}
	var s trustlist.Statement
	if err := canon.Strict(text, &s); err != nil {
		return fmt.Errorf("%s: %w", c.Statement, err)
	}
	found, _, err := trustlist.Prepare(file, s.Pin, s.Sequence, time.Unix(s.Prepared, 0))
	if err != nil {
		return err
	}
	if found != s {
		return fmt.Errorf("%s says something else than %s holds: prepare it anew", c.Statement, c.File)
	}
	key, err := bundle.LoadKey(c.Key)
	if err != nil {
		return err
	}
	approval, err := s.Approve(key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, approval)
	return err
}

type importListCommand struct {
	data
	File      string   `arg:"" help:"The list's file." type:"existingfile"`
	Approvals []string `arg:"" help:"Files with the approvals of two persons." type:"existingfile"`
}

// Run brings the list into force.
func (c importListCommand) Run(ctx context.Context, out io.Writer) error {
	if len(c.Approvals) != 2 {
		return fmt.Errorf("%d approvals were given: two persons approve a list", len(c.Approvals))
	}
	var in app.TrustListImport
	var err error
	if in.File, err = os.ReadFile(c.File); err != nil {
		return err
	}
	for i, name := range c.Approvals {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		in.Approvals[i] = strings.TrimSpace(string(text))
	}
	status, err := app.Console(c.Data).ImportTrustList(ctx, in)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(status)
}

type statusListCommand struct{ data }

// Run prints what is in force.
func (c statusListCommand) Run(ctx context.Context, out io.Writer) error {
	status, err := app.Console(c.Data).TrustList(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(status)
}
