package emrtdtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Transmitter is a chip in this process.
type Transmitter interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
	Reset()
}

// ServeCard lets readers in other processes reach a chip. It speaks the frames
// of vsmartcard's vpcd: two bytes of length, then one byte of control (0 off,
// 1 on, 2 reset, 4 answer to reset) or an APDU. Only who dials is turned round:
// the reader does. A silent chip answers with an empty frame, and a second
// reader waits for the first to go. ServeCard returns when the listener is
// closed and every reader has been sent away.
func ServeCard(l net.Listener, card Transmitter) error {
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	var chip sync.Mutex
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve test chip: %w", err)
		}
		readers.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			chip.Lock()
			defer chip.Unlock()
			serveReader(conn, card, false)
		})
	}
}

// PlugIn lays a chip on the slot of the virtual reader at address (see [Slots]),
// as seen by programs that use this machine's PC/SC service, and returns once the
// reader has taken it. It lies there until stop is called. The virtual reader
// waits for ever for a silent chip: such a one is taken off and laid there again,
// as a real reader finds no answer and the card still there.
func PlugIn(ctx context.Context, address string, card Transmitter) (stop func(), err error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("lay a test chip on the virtual reader: %w", err)
	}
	lying, take := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		var lost error // the result of this function is its caller's
		for lost == nil {
			taken := context.AfterFunc(lying, func() { _ = conn.Close() })
			serveReader(conn, card, true)
			taken()
			conn, lost = dial(lying)
		}
	}()
	return func() {
		take()
		<-done
	}, nil
}

// serveReader returns when the reader lets go, or, where it ends, at a silence.
func serveReader(conn net.Conn, card Transmitter, ends bool) {
	defer func() { _ = conn.Close() }()
	card.Reset()
	for {
		if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			return
		}
		in, err := readFrame(conn)
		if err != nil {
			return
		}
		var out []byte
		switch {
		case len(in) == 1 && in[0] == 4:
			out = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}
		case len(in) == 1:
			card.Reset()
			continue
		default:
			if out, err = card.Transmit(context.Background(), in); err != nil {
				if ends {
					return
				}
				out = nil
			}
		}
		if err := writeFrame(conn, out); err != nil {
			return
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFrame(w io.Writer, b []byte) error {
	if len(b) > 65535 {
		return errors.New("answer does not fit a frame")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}
