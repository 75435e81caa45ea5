package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"kuule/internal/app"
)

type commands struct {
	Init      initCommand      `cmd:"" help:"Make an installation in an empty folder."`
	Serve     serveCommand     `cmd:"" help:"Run an installation: door, authority, media and recorder."`
	Agreement agreementCommand `cmd:"" help:"Security agreements: prepare, sign, import."`
	Evidence  evidenceCommand  `cmd:"" help:"Write the evidence bundle of a hearing that has ended."`
	Hearing   hearingCommand   `cmd:"" help:"Hearings."`
	Recording recordingCommand `cmd:"" help:"Recordings of hearings."`
	Verify    verifyCommand    `cmd:"" help:"Check an evidence bundle with nothing but a trust file."`
	Trustlist trustlistCommand `cmd:"" help:"Lists of those who issue travel documents."`
	Gallery   galleryCommand   `cmd:"" help:"The file that is searched for duplicates."`
	Audit     auditCommand     `cmd:"" help:"The audit log."`
	Doctor    doctorCommand    `cmd:"" help:"Find out why something does not work."`
	Retention retentionCommand `cmd:"" help:"What is kept until when, and what was erased."`
	Key       keyCommand       `cmd:"" help:"Keys: of the security office, of releases, of cases."`
	Bundle    bundleCommand    `cmd:"" help:"Sign the web pages for release."`
	Process   processCommand   `cmd:"" hidden:"" help:"One process of an installation; started by serve."`
}

type processCommand struct {
	Role string `arg:""`
}

func (c processCommand) Run(ctx context.Context) error { return app.Process(ctx, c.Role) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var c commands
	k := kong.Parse(&c, kong.Name("kuule"),
		kong.Description("Remote asylum interviews that stand as evidence: the server and the administrator's tool."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "kuule:", err)
		stop()
		os.Exit(1) //nolint:gocritic // nothing is deferred but stop
	}
}
