package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"kuule/internal/app"
	"kuule/interview"
)

type settleCommand struct {
	data
	Hearing string `arg:"" help:"Id of the hearing (hrg_…), which has ended."`
	Out     string `help:"File for the release, for 'kuule-agent release' at a terminal that has no connection; it must not exist." type:"path"`
}

// Run has authority verify the hearing's evidence once more. Where nothing is
// missing it writes the release; else it names what is, and the back-ups are
// wanted.
func (c settleCommand) Run(ctx context.Context, out io.Writer) error {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	s, err := app.Console(c.Data).SettleBackups(ctx, id)
	if err != nil {
		return err
	}
	if s.Release == "" {
		for _, span := range s.Missing {
			fmt.Fprintf(out, "missing: %d ms, from %.1f s on, because of %s\n", (span.To-span.From)/1000, float64(span.From)/1e6, span.Cause)
		}
		for _, m := range s.Silent {
			fmt.Fprintf(out, "missing: recorder %s was in the room and left nothing\n", m)
		}
		for _, text := range s.Disputed {
			fmt.Fprintf(out, "disputed: %s\n", text)
		}
		return fmt.Errorf("back-ups of %s are wanted: bring %s.*.kb from the room's terminal and take them in with `kuule recording intake`", id, id)
	}
	if s.Backup > 0 {
		fmt.Fprintf(out, "taken in from a back-up: %d ms\n", s.Backup/1000)
	}
	if c.Out == "" {
		_, err := fmt.Fprintf(out, "nothing is missing of %s: released; terminals delete it when they ask next\n", id)
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, s.Release)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "nothing is missing of %s: release written to %s\n", id, c.Out)
	}
	return err
}
