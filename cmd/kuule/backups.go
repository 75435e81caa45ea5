package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/app"
)

type backupsCommand struct {
	data
	All bool `help:"Those too that are not there any more, with what became of them."`
}

// Run lists what room terminals hold: which hearing, since when, and on which day it
// goes by age where nobody settles it.
func (c backupsCommand) Run(ctx context.Context, out io.Writer) error {
	all, err := app.Console(c.Data).Backups(ctx, c.All)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no room terminal holds a back-up")
		return err
	}
	for _, b := range all {
		state := "goes by age on " + day(b.Goes)
		switch left := time.Until(time.Unix(b.Goes, 0)); {
		case b.Ended == "released":
			state = "released and deleted by " + day(b.Seen)
		case b.Ended == string(wire.BackupAge):
			state = "WENT BY AGE by " + day(b.Seen) + ", without a release"
		case b.Ended == string(wire.BackupRoom):
			state = "WENT FOR A NEWER ONE by " + day(b.Seen) + ", without a release"
		case b.Ended != "":
			state = "IS NOT THERE ANY MORE since " + day(b.Seen) + ", and the terminal does not say why"
		case left < 3*24*time.Hour:
			state = "GOES BY AGE ON " + day(b.Goes) + ": settle it"
		}
		if _, err := fmt.Fprintf(out, "%s  %s  %s (%s): %d files, %.1f MB, since %s, last seen %s; %s\n",
			b.Hearing, b.Diary, b.Label, b.Device, b.Files, float64(b.Bytes)/1e6, day(b.Since), moment(b.Seen), state); err != nil {
			return err
		}
	}
	return nil
}

func day(unix int64) string { return time.Unix(unix, 0).Format(time.DateOnly) }

func moment(unix int64) string { return time.Unix(unix, 0).Format(time.DateTime) }
