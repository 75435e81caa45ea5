package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kuule/internal/app"
	"kuule/internal/keyring/vault"
)

type retentionCommand struct {
	Due        dueCommand        `cmd:"" help:"List what the clock ends, without erasing anything."`
	Tombstones tombstonesCommand `cmd:"" help:"Print the proofs of all erasures, to be kept apart from back-ups."`
}

type dueCommand struct {
	data
	Erase bool `name:"run" help:"Erase what is listed; the daily job does the same."`
}

// Run lists, and erases if it is told to.
func (c dueCommand) Run(ctx context.Context, out io.Writer) error {
	report, err := app.Console(c.Data).Due(ctx, c.Erase)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, d := range report.Due {
		fmt.Fprintf(&b, "%s  since %s  keys %v\n", d.Case, d.Until.Format(time.DateOnly), d.Kinds)
	}
	for _, n := range report.Notes {
		fmt.Fprintf(&b, "%s  note\n", n)
	}
	fmt.Fprintf(&b, "%d due, %d erased\n", len(report.Due)+len(report.Notes), report.Erased)
	for _, f := range report.Failed {
		fmt.Fprintf(&b, "not erased: %s\n", f)
	}
	_, err = io.WriteString(out, b.String())
	return err
}

type tombstonesCommand struct {
	data
	Import string `help:"File of proofs that were kept apart: what they name is erased again." type:"existingfile"`
}

// Run prints the proofs, one a line.
func (c tombstonesCommand) Run(ctx context.Context, out io.Writer) error {
	var kept []string
	if c.Import != "" {
		text, err := os.ReadFile(c.Import)
		if err != nil {
			return err
		}
		kept = strings.Fields(string(text))
	}
	list, err := app.Console(c.Data).Tombstones(ctx, kept)
	if err != nil {
		return err
	}
	for _, message := range list {
		if _, err := fmt.Fprintln(out, message); err != nil {
			return err
		}
	}
	return nil
}

type renewKeyCommand struct {
	data
	Case   string `arg:"" optional:"" help:"Case (cas_…); all without one."`
	Retire bool   `help:"End old versions where everything is rewrapped."`
}

// Run renews and says what stayed.
func (c renewKeyCommand) Run(ctx context.Context, out io.Writer) error {
	report, err := app.Console(c.Data).RenewKeys(ctx, app.RenewKeys{Case: c.Case, Retire: c.Retire})
	if err != nil {
		return err
	}
	for _, r := range report.Renewed {
		state := "old versions still open"
		if r.Retired {
			state = "old versions ended"
		}
		if _, err := fmt.Fprintf(out, "%s: %d texts rewrapped, %s\n", r.Key, r.Texts, state); err != nil {
			return err
		}
	}
	if len(report.Problems) > 0 {
		return errors.New(strings.Join(report.Problems, "\n"))
	}
	return nil
}

type policyKeyCommand struct {
	Process string `arg:"" help:"authority or recorder."`
	Mount   string `help:"Where Transit is mounted." default:"transit"`
}

// Run prints the policy file.
func (c policyKeyCommand) Run(out io.Writer) error {
	text, err := vault.Policy(c.Process, c.Mount)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}
