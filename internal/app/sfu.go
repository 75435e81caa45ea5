package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"kuule/internal/bus"
	"kuule/internal/metrics"
	"kuule/interview/media"
	"kuule/sfu"
	"kuule/sfu/relay"
)

// runSFU is the process that forwards sealed media. It holds sockets and
// nothing else.
func runSFU(ctx context.Context, in *installation, conn *bus.Conn, ready func() error) error {
	legs := newLegMetrics()
	direct := newDirectProbes()
	cfg := sfu.Config{Log: slog.Default(), OnEvent: func(ev media.Event) {
		direct.told(ev)
		if err := conn.Publish("leg", ev); err != nil {
			slog.Warn("leg event was not told", "leg", ev.Leg, "err", err)
		}
	}, OnQuality: func(q media.Quality) {
		legs.take(q)
		if err := conn.Publish("quality", q); err != nil {
			slog.Warn("quality was not told", "leg", q.Leg, "err", err)
		}
	}, OnHint: func(h media.Hint) {
		if err := conn.Publish("hint", h); err != nil {
			slog.Warn("hint was not told", "leg", h.Leg, "err", err)
		}
	}}
	var err error
	if cfg.Addresses, err = in.mediaAddresses(in.Ports.Media); err != nil {
		return err
	}
	var ways atomic.Pointer[relay.Server]
	cfg.Relayed = func(address string) string {
		if r := ways.Load(); r != nil {
			return r.Way(address)
		}
		return ""
	}
	node, err := sfu.New(cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	direct.node = node
	relays, closeRelay, err := serveRelay(in, conn, cfg.Addresses, direct)
	if err != nil {
		return err
	}
	defer closeRelay()
	ways.Store(relays)
	if err := metrics.Serve(ctx, in.metricsPort(conn.Name()), metrics.Show(legs.show), metrics.Show(showRelay(relays))); err != nil {
		return err
	}
	if err := bus.Handle(conn, "leg.open", func(ctx context.Context, _ bus.Name, req media.OpenLeg) (media.LegOpened, error) {
		return node.OpenLeg(ctx, req)
	}); err != nil {
		return err
	}
	if err := bus.Handle(conn, "leg.close", func(_ context.Context, _ bus.Name, req media.CloseLeg) (none, error) {
		node.CloseLeg(req)
		return none{}, nil
	}); err != nil {
		return err
	}
	if err := bus.Handle(conn, "forward", func(_ context.Context, _ bus.Name, t media.Table) (none, error) {
		return none{}, node.Forward(t)
	}); err != nil {
		return err
	}
	// Rooms may still count on legs of the process before this one.
	cfg.OnEvent(media.Event{State: media.NodeStarted})
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// mediaPatience bounds commands that a media node does at once or not at all.
const mediaPatience = 500 * time.Millisecond

// busMedia is signaling's media node on the other side of the bus.
type busMedia struct{ conn *bus.Conn }

func (m busMedia) OpenLeg(ctx context.Context, req media.OpenLeg) (out media.LegOpened, err error) {
	err = m.conn.Call(ctx, bus.Main(bus.SFU), "leg.open", req, &out)
	return out, err
}

func (m busMedia) CloseLeg(ctx context.Context, req media.CloseLeg) error {
	// A node that is gone has closed its legs already.
	ctx, cancel := context.WithTimeout(ctx, mediaPatience)
	defer cancel()
	return m.conn.Call(ctx, bus.Main(bus.SFU), "leg.close", req, nil)
}

func (m busMedia) Forward(ctx context.Context, t media.Table) error {
	ctx, cancel := context.WithTimeout(ctx, mediaPatience) // the room tries again
	defer cancel()
	return m.conn.Call(ctx, bus.Main(bus.SFU), "forward", t, nil)
}
