package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kuule/internal/app"
	"kuule/interview"
	"kuule/interview/viewing"
	"kuule/recorder/playback"
)

type recordingCommand struct {
	Export  exportCommand  `cmd:"" help:"Write the sealed copy of a recording that an interviewer released on the page."`
	Handed  handedCommand  `cmd:"" help:"Keep who received a sealed medium, and when."`
	Backups backupsCommand `cmd:"" help:"List the back-ups that lie at room terminals, and when they go by age."`
	Intake  intakeCommand  `cmd:"" help:"Take in room terminals' back-ups of what no recorder has."`
	Settle  settleCommand  `cmd:"" help:"Have authority say whether room terminals may delete their back-ups of a hearing; they then do."`
	Lost    lostCommand    `cmd:"" help:"Sign, with the security office's key and not on the server, that a back-up or what a recorder had is not to be had."`
}

type exportCommand struct {
	data
	Hearing string `arg:"" help:"Id of the hearing (hrg_…)."`
	Viewing string `help:"Id of the viewing that an interviewer holds open and released on the page (view-…)." required:""`
	Out     string `help:"Folder to write to; it is made and must not exist." required:"" type:"path"`
}

// Run writes the sealed file that an interviewer released. What could not be
// finished is removed.
func (c exportCommand) Run(ctx context.Context, out io.Writer) (err error) {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	console := app.Console(c.Data)
	released, err := releasedOf(ctx, console, c.Viewing, id)
	if err != nil {
		return err
	}
	if released.Form == "open" {
		return errors.New("keys were released too: write them with `kuule evidence --open`")
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.Out)) // it was made here
		}
	}()
	help := playback.SealedHelp
	if released.Form == "mixed" {
		help = playback.SealedMixedHelp
	}
	return writeMedium(ctx, console, released, c.Out, help, out)
}

// releasedOf is what an interviewer released of a viewing of that hearing.
func releasedOf(ctx context.Context, console app.Console, id string, hearing interview.HearingID) (app.Opened, error) {
	if !viewing.CheckID(id) {
		return app.Opened{}, fmt.Errorf("%q is no viewing: its id begins with view-", id)
	}
	released, err := console.Released(ctx, id)
	if err == nil && released.Hearing != hearing {
		err = fmt.Errorf("viewing %s is of another hearing than %s", id, hearing)
	}
	return released, err
}

// writeMedium writes a sealed file for hand-over, with how it is opened beside it.
func writeMedium(ctx context.Context, console app.Console, released app.Opened, folder, help string, out io.Writer) error {
	path := filepath.Join(folder, filepath.Base(released.Name))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := console.ExportRecording(ctx, released.Viewing, released.Form, io.MultiWriter(f, h))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(filepath.Join(folder, "README.txt"), []byte(help), 0o600); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	_, err = fmt.Fprintf(out, "%s: %d bytes, sealed for %s\nmedium      %s\n\nOnly whom the interviewer named can open it. Once it is handed over: kuule recording handed --medium %s --to NAME HEARING\n", path, n, released.To, sum, sum)
	return err
}

type handedCommand struct {
	data
	Hearing string `arg:"" help:"Id of the hearing (hrg_…)."`
	Medium  string `help:"SHA-256 of the sealed file, as its export printed it." required:""`
	To      string `help:"Name of who received it." required:""`
	On      string `help:"Day of the hand-over (YYYY-MM-DD); today if left out."`
}

// Run keeps the receipt of a sealed medium.
func (c handedCommand) Run(ctx context.Context, out io.Writer) error {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	if c.On == "" {
		c.On = time.Now().Format(time.DateOnly)
	}
	handed, err := app.Console(c.Data).Handed(ctx, app.Handover{Hearing: id, Medium: strings.ToLower(c.Medium), Receiver: c.To, On: c.On})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "medium of viewing %s: received by %s on %s\n", handed.Viewing, c.To, handed.On)
	return err
}
