package kiosk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// ErrNoCard says that the reader holds no card, or one that does not answer.
var ErrNoCard = errors.New("no card answers")

// Socket is a reader behind a socket that speaks the frames of vsmartcard's
// vpcd: two bytes of length, then an APDU or one byte of control. Use it from
// one goroutine at a time.
type Socket struct{ conn net.Conn }

const (
	socketPowerOn = 1
	socketTimeout = 10 * time.Second
)

// Card is a reader with a document on it, until it is closed.
type Card interface {
	Reader
	Close() error
}

// OpenCard opens a reader by its address: pcsc:NAME for a reader of this
// machine's PC/SC service (pcsc: alone takes the first with a card in it),
// unix:PATH, or tcp:HOST:PORT for a card on this machine's loopback.
func OpenCard(ctx context.Context, address string) (Card, error) {
	network, rest, ok := strings.Cut(address, ":")
	switch {
	case ok && network == "pcsc":
		return openPCSC(rest)
	case !ok || rest == "" || (network != "unix" && network != "tcp"):
		return nil, fmt.Errorf("card %q: give pcsc:NAME, unix:PATH or tcp:HOST:PORT", address)
	}
	return openSocket(ctx, network, rest)
}

func openSocket(ctx context.Context, network, rest string) (*Socket, error) {
	conn, err := (&net.Dialer{Timeout: socketTimeout}).DialContext(ctx, network, rest)
	if err != nil {
		return nil, fmt.Errorf("open card reader: %w", err)
	}
	s := &Socket{conn}
	if err := s.write(ctx, []byte{socketPowerOn}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// Close ends the connection.
func (s *Socket) Close() error { return s.conn.Close() }

// Transmit sends one APDU and waits for its response.
func (s *Socket) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if len(apdu) < 4 || len(apdu) > 0xFFFF {
		return nil, fmt.Errorf("command of %d bytes does not fit the reader's frame", len(apdu))
	}
	if err := s.write(ctx, apdu); err != nil {
		return nil, err
	}
	var head [2]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCard, err)
	}
	out := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(s.conn, out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCard, err)
	}
	if len(out) < 2 {
		return nil, ErrNoCard
	}
	return out, nil
}

func (s *Socket) write(ctx context.Context, b []byte) error {
	deadline := time.Now().Add(socketTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := s.conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("%w: %w", ErrNoCard, err)
	}
	if _, err := s.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
		return fmt.Errorf("%w: %w", ErrNoCard, err)
	}
	return nil
}
