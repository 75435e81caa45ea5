package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// renewPause is the least time between two renewals, whether the last one
// failed or brought a certificate that ends soon with its agreement.
const renewPause = time.Minute

// RunOptions say what the agent's program does besides its own duties.
type RunOptions struct {
	StateDir string
	TPM      string // empty: DefaultTPM
	Log      *slog.Logger
	// Serve is started beside the posture connection, each with the device; the
	// loopback gateway is one. When one returns an error, the agent ends.
	Serve []func(ctx context.Context, d *Device) error
}

// Run opens the device, keeps its posture connection and certificate, and
// serves what was hooked in, until ctx ends or something fails for good.
func Run(ctx context.Context, o RunOptions) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	d, err := Open(o.StateDir, o.TPM)
	if err != nil {
		return err
	}
	// Expired while the machine was off: nothing works before a new one is there.
	if time.Now().After(d.Info().NotAfter) {
		if err := d.Renew(ctx); err != nil {
			return fmt.Errorf("the certificate has expired and was not renewed: %w", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { d.KeepPosture(ctx, o.Log); return nil })
	g.Go(func() error { return d.keepCertificate(ctx, o.Log) })
	for _, serve := range o.Serve {
		g.Go(func() error { return serve(ctx, d) })
	}
	return g.Wait()
}

// keepCertificate renews at two thirds of each certificate's life.
func (d *Device) keepCertificate(ctx context.Context, log *slog.Logger) error {
	wait := time.Until(d.RenewAt())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(wait, 0)):
		}
		if err := d.Renew(ctx); err != nil {
			if ctx.Err() == nil {
				log.Error("certificate was not renewed", "err", err, "valid_until", d.Info().NotAfter)
			}
			wait = renewPause
			continue
		}
		log.Info("certificate renewed", "valid_until", d.Info().NotAfter)
		wait = max(time.Until(d.RenewAt()), renewPause)
	}
}
