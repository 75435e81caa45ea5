package main

import (
	"archive/tar"
	"context"
	"crypto/rand"
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
	Export exportCommand `cmd:"" help:"Write a hearing's recording as files, while an interviewer holds its viewing open."`
	Handed handedCommand `cmd:"" help:"Keep who received a sealed medium, and when."`
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
	if c.Recipient != "" && !c.Sealed {
		return errors.New("--recipient is for --sealed")
	}
	console := app.Console(c.Data)
	if err := heldOpen(ctx, console, c.Viewing, id); err != nil {
		return err
	}
	if err := os.Mkdir(c.Out, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.Out)) // it was made here
		}
	}()
	if c.Sealed {
		m := medium{console: console, viewing: c.Viewing, folder: c.Out, form: app.ExportForm{Form: "sealed", Recipient: c.Recipient}, help: playback.SealedHelp}
		return m.write(ctx, out)
	}
	if err := c.tracks(ctx, console, out); err != nil {
		return err
	}
	if !c.Mixed {
		return nil
	}
	_, err = exported(ctx, console, c.Viewing, filepath.Join(c.Out, "everybody.webm"), app.ExportForm{Form: "mixed"}, out)
	return err
}

// heldOpen checks that an interviewer holds a viewing of that hearing open.
func heldOpen(ctx context.Context, console app.Console, id string, hearing interview.HearingID) error {
	if !viewing.CheckID(id) {
		return fmt.Errorf("%q is no viewing: its id begins with view-", id)
	}
	opened, err := console.Recording(ctx, id)
	if err == nil && opened.Hearing != hearing {
		err = fmt.Errorf("viewing %s is of another hearing than %s", id, hearing)
	}
	return err
}

// exported writes one file and gives its SHA-256.
func exported(ctx context.Context, console app.Console, viewing, path string, form app.ExportForm, out io.Writer) (string, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	n, err := console.ExportRecording(ctx, viewing, form, io.MultiWriter(f, h))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Fprintf(out, "%s: %d bytes\n", path, n)
	return hex.EncodeToString(h.Sum(nil)), err
}

// tracks writes a file for each voice and picture, as they come.
func (c exportCommand) tracks(ctx context.Context, console app.Console, out io.Writer) error {
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

// medium is a sealed file for hand-over, and what is told of it.
type medium struct {
	console app.Console
	viewing string
	folder  string
	form    app.ExportForm
	help    string // stands beside it in clear
}

func (m medium) write(ctx context.Context, out io.Writer) error {
	if m.form.Recipient == "" {
		m.form.Passphrase = newPassphrase()
	}
	sum, err := exported(ctx, m.console, m.viewing, filepath.Join(m.folder, "recording.tar.age"), m.form, out)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.folder, "README.txt"), []byte(m.help), 0o600); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "medium      %s\n\nOnce it is handed over: kuule recording handed --medium %s --to NAME HEARING\n", sum, sum); err != nil || m.form.Passphrase == "" {
		return err
	}
	_, err = fmt.Fprintf(out, "\npassphrase  %s\n\nGive it apart from the medium, never with it and never by e-mail. It is kept nowhere.\n", m.form.Passphrase)
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
