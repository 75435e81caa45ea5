package kiosk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"kuule/kiosk-bridge/tunnel"
)

// OpticsSocket is a document reader's program behind a unix socket: it answers
// each connection with the zone of the document that lies on it, as text, and
// closes. It waits with its answer until a document lies there. A vendor's
// reader is adapted to that (docs/kiosk.md).
type OpticsSocket struct{ Path string }

// Zone implements Optics.
func (o OpticsSocket) Zone(ctx context.Context) (string, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", o.Path)
	if err != nil {
		return "", fmt.Errorf("ask the document reader: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	text, err := io.ReadAll(io.LimitReader(conn, tunnel.MaxZone+1))
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("ask the document reader: %w", err)
	case len(text) == 0 || len(text) > tunnel.MaxZone:
		return "", errors.New("the document reader's answer is no machine-readable zone")
	}
	return string(text), nil
}
