package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"kuule/cmd/kuule-demo/people"
	"kuule/cmd/kuule-demo/rehearsal"
	"kuule/cmd/kuule-demo/stage"
	"kuule/kiosk-bridge/face"
)

type commands struct {
	Up        upCommand        `cmd:"" help:"Bring everything up and print a link per persona. Ctrl-C ends it all."`
	Fill      fillCommand      `cmd:"" help:"Seat simulated people beside the one who tries it."`
	Passport  passportCommand  `cmd:"" help:"Lay the applicant's passport on the kiosk's reader, or take it away: then the way without a passport is open."`
	Rehearse  rehearseCommand  `cmd:"" help:"Hold a whole interview unattended."`
	MakeMedia makeMediaCommand `cmd:"" help:"Make the simulated people's speech and pictures anew (espeak-ng, opusenc, ffmpeg)."`
	Book      bookCommand      `cmd:"" hidden:"" help:"Book a hearing told of by standard input; started by up."`
	Sit       sitCommand       `cmd:"" hidden:"" help:"Sit as simulated people, told of by standard input; started by fill."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("kuule-demo"),
		kong.Description("The demonstration of Kuule: an installation, its devices and its people on one machine."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "kuule-demo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // nothing is deferred but stop
	}
}

// built says where what `make build` made lies.
type built struct {
	Bin string `help:"Folder of kuule, kuule-agent and kuule-kiosk; by default this program's own." type:"path"`
	Web string `help:"Folder of the built pages; by default web/dist beside it." type:"path"`
}

func (b built) find() (bin, web string, err error) {
	if bin = b.Bin; bin == "" {
		self, err := os.Executable()
		if err != nil {
			return "", "", err
		}
		bin = filepath.Dir(self)
	}
	if web = b.Web; web == "" {
		web = filepath.Join(filepath.Dir(bin), "web", "dist")
	}
	return bin, web, nil
}

type rehearseCommand struct {
	built
	Database string `help:"Empty PostgreSQL database that keeps the records (postgres://...); by default SQLite." env:"KUULE_TEST_POSTGRES"`
	Browser  bool   `help:"With three Chromium pages instead of Go members."`
	Kiosk    bool   `help:"The ways of kiosk and desk in Chromium, instead of an interview."`
	Faults   bool   `help:"With --browser: door, messages and pages go away in the middle, instead of holding the interview to its end."`
	Faces    string `help:"Folder of the reference engine for faces (make face-engine), or none; by default the folder face beside the server's program, if it is there. --kiosk needs it."`
	Crash    bool   `help:"Kill the whole server while on record, and judge what is left, instead of holding the interview to its end."`
	JSON     bool   `help:"Print the report as JSON, and nothing else."`
	Out      string `help:"Folder for evidence.zip, trust.keys and playback.webm." default:".tmp/rehearse" type:"path"`
	Keep     bool   `help:"Leave the installation's folder, with its logs."`
}

// Help says what each kind of rehearsal shows.
func (rehearseCommand) Help() string {
	return `A rehearsal makes a whole installation in a folder of its own: the real server, an agent with a software
TPM for each device, agreements, sign-in. Then people do what people do, and each step says what it found.
Exit status 0: every step was right. A step that cannot be tried is "absent", and fails.

  kuule-demo rehearse              one interview, from the kiosk to the checked evidence, with Go members
  kuule-demo rehearse --browser    the same in three Chromium pages that hear and see each other
  kuule-demo rehearse --browser --faults
                                   the door, a message of the chair or a page goes away under three Chromium pages
  kuule-demo rehearse --crash      the server is killed while on record
  kuule-demo rehearse --kiosk      each way of a person from kiosk or desk to the room, in Chromium

--kiosk lays test passports on two kiosks' readers. The chips lie on the virtual reader of Debian's
vsmartcard-vpcd, which kuule-kiosk reads through this machine's pcscd; it is started where it does not run,
which takes root. Each screen has to be seen and heard: what the loudspeaker got is measured. A way ends
when the room terminal opens to the ticket; then the kiosk's screen must hold nothing of the person. Two
kiosks at once are the most there can be, since the virtual reader has two slots. A paper is scanned by
the test scanner of SANE (Debian's sane-utils). At two room terminals the reference engine compares the
face with the kiosk's: once the same person, once another one; 'make face-engine' (also in 'make run')
puts it into the folder face beside the programs, --faces names another one, and without it nothing
begins. Pictures of the screens are in --out, under shots.`
}

// engine looks whether the reference engine for faces is where the installation
// will look for it, before anything is set up.
func (c rehearseCommand) engine(ctx context.Context, bin string) error {
	if c.Faces == "none" {
		return errors.New("--kiosk compares faces: leave out --faces none")
	}
	folder := c.Faces
	if folder == "" {
		folder = filepath.Join(bin, "face")
	}
	if _, err := face.Open(ctx, folder); err != nil {
		return fmt.Errorf("--kiosk compares faces: %w; or name its folder with --faces", err)
	}
	return nil
}

// Run holds the rehearsal. Its exit status says whether every step was right.
func (c rehearseCommand) Run(ctx context.Context) error {
	var progress io.Writer = os.Stdout
	if c.JSON {
		progress = os.Stderr
	}
	if c.Kiosk && (c.Browser || c.Crash) || c.Browser && c.Crash {
		return errors.New("--browser, --kiosk and --crash are three rehearsals: choose one")
	}
	if c.Faults && !c.Browser {
		return errors.New("--faults is of the pages: say --browser too")
	}
	bin, web, err := c.find()
	if err != nil {
		return err
	}
	if c.Kiosk {
		if err := c.engine(ctx, bin); err != nil {
			return err
		}
	}
	if err := stage.Install(ctx, progress, true); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kuule-") // short: sockets lie in it
	if err != nil {
		return err
	}
	if c.Faces != "" && c.Faces != "none" {
		if c.Faces, err = filepath.Abs(c.Faces); err != nil {
			return err
		}
	}
	o := rehearsal.Options{Out: c.Out, Crash: c.Crash, Faults: c.Faults, Kiosk: c.Kiosk, Stage: stage.Options{Dir: dir, Bin: bin, Web: web, BrowserUID: -1, Database: c.Database, FaceEngine: c.Faces}, Tell: func(r rehearsal.Result) {
		fmt.Fprintln(progress, lineOf(r))
	}}
	switch tests := filepath.Join(filepath.Dir(web), "test"); {
	case c.Browser:
		o.Browser = filepath.Join(tests, "rehearse.mjs")
	case c.Kiosk:
		o.Browser = filepath.Join(tests, "kioskways.mjs")
	}
	began := time.Now()
	report, err := rehearsal.Run(ctx, o)
	if err != nil {
		return errors.Join(err, fmt.Errorf("logs are in %s", dir))
	}
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	}
	if !report.OK {
		return fmt.Errorf("the rehearsal failed; logs are in %s", filepath.Join(dir, "logs"))
	}
	fmt.Fprintf(progress, "all %d steps in %.1f s; see %s\n", len(report.Steps), time.Since(began).Seconds(), c.Out)
	if c.Keep {
		fmt.Fprintln(progress, "kept:", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

func lineOf(r rehearsal.Result) string {
	mark := "ok  "
	if !r.OK {
		mark = "FAIL"
	}
	return fmt.Sprintf("%s %6d ms  %-32s %s", mark, r.MS, r.Name, r.Detail)
}

type makeMediaCommand struct {
	Out string `arg:"" help:"Folder for the files." default:"cmd/kuule-demo/people/media" type:"path"`
}

// Run makes the media.
func (c makeMediaCommand) Run(ctx context.Context) error { return people.Make(ctx, c.Out) }
