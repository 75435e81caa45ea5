package main

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"kuule/internal/app"
	"kuule/interview"
	"kuule/interview/viewing"
	"kuule/recorder/playback"
)

type recordingCommand struct {
	Export exportCommand `cmd:"" help:"Write a hearing's recording as files, while an interviewer holds its viewing open."`
	Intake intakeCommand `cmd:"" help:"Take in a room terminal's back-up of what no recorder has."`
}

type exportCommand struct {
	data
	Hearing   string `arg:"" help:"Id of the hearing (hrg_…)."`
	Viewing   string `help:"Id of the viewing that an interviewer opened on the page (view-…)." required:""`
	Out       string `help:"Folder to write to; it is made and must not exist." required:"" type:"path"`
	Mixed     bool   `help:"Also one file with everybody, made by ffmpeg."`
	Sealed    bool   `help:"One sealed file for a disc or stick instead (age format); its passphrase is printed here and nowhere else."`
	Recipient string `help:"With --sealed: the recipient's age key (age1…) instead of a passphrase."`
}

// Run writes the files. What could not be finished is removed.
func (c exportCommand) Run(ctx context.Context, out io.Writer) (err error) {
	id, err := interview.ParseHearingID(c.Hearing)
	if err != nil {
		return fmt.Errorf("hearing %q: %w", c.Hearing, err)
	}
	if !viewing.CheckID(c.Viewing) {
		return fmt.Errorf("%q is no viewing: its id begins with view-", c.Viewing)
	}
	if c.Recipient != "" && !c.Sealed {
		return errors.New("--recipient is for --sealed")
	}
	console := app.Console(c.Data)
	opened, err := console.Recording(ctx, c.Viewing)
	if err != nil {
		return err
	}
	if opened.Hearing != id {
		return fmt.Errorf("viewing %s is of another hearing than %s", c.Viewing, id)
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.Out)) // it was made here
		}
	}()
	write := func(name string, form app.ExportForm) error {
		f, err := os.OpenFile(filepath.Join(c.Out, filepath.Base(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		n, err := console.ExportRecording(ctx, c.Viewing, form, f)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err = fmt.Fprintf(out, "%s: %d bytes\n", filepath.Join(c.Out, filepath.Base(name)), n)
		return err
	}
	if c.Sealed {
		return c.sealed(out, write)
	}
	if err := c.folder(ctx, console, out); err != nil {
		return err
	}
	if c.Mixed {
		return write("everybody.webm", app.ExportForm{Form: "mixed"})
	}
	return nil
}

// folder writes a file for each voice and picture, as they come.
func (c exportCommand) folder(ctx context.Context, console app.Console, out io.Writer) error {
	from, to := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := console.ExportRecording(ctx, c.Viewing, app.ExportForm{Form: "folder"}, to)
		_ = to.CloseWithError(err) // nil: the end
		done <- err
	}()
	err := unpack(from, c.Out, out)
	_ = from.CloseWithError(err)
	if exported := <-done; exported != nil {
		return exported // either side hears of the other's
	}
	return err
}

// unpack writes the files of an archive into a folder.
func unpack(from io.Reader, folder string, out io.Writer) error {
	archive := tar.NewReader(from)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, from)
			return err
		}
		if err != nil {
			return err
		}
		path := filepath.Join(folder, filepath.Base(h.Name))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		n, err := io.Copy(f, archive)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if _, err := fmt.Fprintf(out, "%s: %d bytes\n", path, n); err != nil {
			return err
		}
	}
}

func (c exportCommand) sealed(out io.Writer, write func(string, app.ExportForm) error) error {
	form := app.ExportForm{Form: "sealed", Recipient: c.Recipient}
	if c.Recipient == "" {
		form.Passphrase = newPassphrase()
	}
	if err := write("recording.tar.age", form); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Out, "README.txt"), []byte(playback.SealedHelp), 0o600); err != nil {
		return err
	}
	if form.Passphrase == "" {
		return nil
	}
	_, err := fmt.Fprintf(out, "\npassphrase  %s\n\nGive it apart from the medium, never with it and never by e-mail. It is kept nowhere.\n", form.Passphrase)
	return err
}

// newPassphrase is 100 bits that can be read aloud: five groups of four letters
// and digits that are not mistaken for each other (Crockford's base 32).
func newPassphrase() string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz"
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	var groups []string
	for i := 0; i < len(b); i += 4 {
		var g strings.Builder
		for _, x := range b[i : i+4] {
			g.WriteByte(letters[x&31])
		}
		groups = append(groups, g.String())
	}
	return strings.Join(groups, "-")
}
