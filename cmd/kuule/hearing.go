package main

import (
	"context"
	"fmt"
	"io"

	"kuule/internal/app"
	"kuule/interview"
)

type hearingCommand struct {
	Close closeCommand `cmd:"" help:"Close a hearing that nobody came back to, as after a crash, so that its evidence can be sealed."`
}

type closeCommand struct {
	data
	Hearing string `arg:"" help:"Id of the hearing (hrg_…)."`
	Reason  string `help:"Why nobody could end it in the room; kept with the phase." required:""`
}

// Run closes the hearing. It is refused while anybody is in the room.
func (c closeCommand) Run(ctx context.Context, out io.Writer) error {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	closed, err := app.Console(c.Data).CloseHearing(ctx, id, c.Reason)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is closed at %s of its clock\nwrite its evidence with `kuule evidence %s --out FILE`; what recorders lack is named by `kuule recording settle %s`\n", id, span(closed.Since), id, id)
	return err
}
