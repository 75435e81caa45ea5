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

	"kuule/attestation/agent/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var commands cli.Commands
	k := kong.Parse(&commands, kong.Name("kuule-agent"),
		kong.Description("The device's side of Kuule: TPM, posture and the browser's gateway."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(os.Stdout, (*io.Writer)(nil)),
		kong.Bind(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "kuule-agent:", err)
		stop()
		os.Exit(1) //nolint:gocritic // nothing is deferred but stop
	}
}
