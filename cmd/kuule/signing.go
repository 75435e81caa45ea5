package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"kuule/internal/app"
)

type signingKeyCommand struct {
	data
	Name string `arg:"" optional:"" help:"sealing or statement; shows both without one."`
	Add  bool   `help:"Make a new version and name it in the trust file, beside the one in use."`
	Use  bool   `help:"Sign with the newest version from the next start; the one before still counts."`
}

// Help says in which order.
func (signingKeyCommand) Help() string {
	return `The installation must not run. First --add; then bring the trust file to every device and to whoever
verifies; then --use. What older versions signed holds as long as the trust file names them.`
}

// Run changes one key's version, and shows how both stand.
func (c signingKeyCommand) Run(ctx context.Context, out io.Writer) error {
	step := ""
	switch {
	case c.Add && c.Use:
		return errors.New("--add comes first; --use once every device has the new trust file")
	case c.Add:
		step = app.SigningAdd
	case c.Use:
		step = app.SigningUse
	}
	if (step == "") != (c.Name == "") {
		return errors.New("name the key, and say --add or --use")
	}
	secret, err := unlocking(c.Data)
	if err != nil {
		return err
	}
	keys, err := app.ChangeSigning(ctx, c.Data, secret, c.Name, step)
	if err != nil {
		return err
	}
	for _, k := range keys {
		for i, version := range k.Versions {
			state := "not in the trust file"
			switch {
			case version == k.Used:
				state = "signs"
			case slices.Contains(k.Known, version):
				state = "counts"
			}
			if _, err := fmt.Fprintf(out, "%s %d: %s, %s\n", k.Name, len(k.Versions)-i, version, state); err != nil {
				return err
			}
		}
	}
	return nil
}
