package emrtd

import (
	"context"
	"errors"
	"fmt"
)

// Card carries one command APDU to a chip and brings back its response,
// including the two status bytes. Implementations need not be safe for
// concurrent use: a chip answers one question at a time.
type Card interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// MaxAPDU bounds a command or response in bytes, as extended length allows:
// 65536 bytes of data, header, lengths and status.
const MaxAPDU = 65536 + 16

// Status is the pair SW1-SW2 that ends each response (ISO/IEC 7816-4, 5.6).
type Status uint16

// Status words that the reader tells apart.
const (
	StatusOK               Status = 0x9000
	StatusEndOfFile        Status = 0x6282
	StatusAuthFailed       Status = 0x6300
	StatusSecurity         Status = 0x6982
	StatusConditions       Status = 0x6985
	StatusFileNotFound     Status = 0x6A82
	StatusWrongLength      Status = 0x6700
	StatusSMMissing        Status = 0x6987
	StatusSMIncorrect      Status = 0x6988
	StatusWrongP1P2        Status = 0x6B00
	StatusInsNotSupported  Status = 0x6D00
	statusAuthFailedFamily Status = 0x6300
	statusMore             Status = 0x6100
)

// StatusError is a chip's refusal of one command.
type StatusError struct {
	Command string
	Status  Status
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("chip refused %s with status %04X", e.Command, uint16(e.Status))
}

// ErrResponse says that the bytes which came back are not a response APDU.
var ErrResponse = errors.New("not a response APDU")

// Command is a command APDU before encoding. Le is the number of bytes that may
// come back: 0 means that none are expected, 65536 is the most.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	Le               int
}

// Bytes encodes the command in the shortest form of ISO/IEC 7816-4 that fits.
func (c Command) Bytes() ([]byte, error) {
	if len(c.Data) > 65535 || c.Le < 0 || c.Le > 65536 {
		return nil, fmt.Errorf("command %02X does not fit an APDU: %d bytes of data, %d expected", c.INS, len(c.Data), c.Le)
	}
	out := []byte{c.CLA, c.INS, c.P1, c.P2}
	if len(c.Data) <= 255 && c.Le <= 256 {
		if len(c.Data) > 0 {
			out = append(out, byte(len(c.Data)))
			out = append(out, c.Data...)
		}
		if c.Le > 0 {
			out = append(out, byte(c.Le)) // 256 is written as 00
		}
		return out, nil
	}
	out = append(out, 0)
	if len(c.Data) > 0 {
		out = append(out, byte(len(c.Data)>>8), byte(len(c.Data)))
		out = append(out, c.Data...)
	}
	if c.Le > 0 {
		out = append(out, byte(c.Le>>8), byte(c.Le)) // 65536 is written as 0000
	}
	return out, nil
}

// Response is a parsed response APDU.
type Response struct {
	Data   []byte
	Status Status
}

// ParseResponse splits data and status; it refuses what is too short or longer
// than [MaxAPDU].
func ParseResponse(b []byte) (Response, error) {
	if len(b) < 2 || len(b) > MaxAPDU {
		return Response{}, fmt.Errorf("%w: %d bytes", ErrResponse, len(b))
	}
	n := len(b) - 2
	return Response{Data: b[:n:n], Status: Status(b[n])<<8 | Status(b[n+1])}, nil
}

// channel sends commands to the chip, in the clear or under secure messaging.
type channel interface {
	send(ctx context.Context, c Command) (Response, error)
}

// plain is the channel before access control.
type plain struct{ card Card }

func (p plain) send(ctx context.Context, c Command) (Response, error) {
	b, err := c.Bytes()
	if err != nil {
		return Response{}, err
	}
	return transmit(ctx, p.card, b)
}

// maxParts bounds how often one answer may be continued.
const maxParts = 256

// transmit sends one command and collects the answer. A chip that cannot give it
// in one piece says 61xx, and is asked for the rest (ISO/IEC 7816-4, 5.3.4).
func transmit(ctx context.Context, card Card, apdu []byte) (Response, error) {
	var data []byte
	for range maxParts {
		if err := ctx.Err(); err != nil {
			return Response{}, err
		}
		out, err := card.Transmit(ctx, apdu)
		if err != nil {
			return Response{}, &transportError{err}
		}
		r, err := ParseResponse(out)
		if err != nil {
			return Response{}, err
		}
		if r.Status&0xFF00 != statusMore {
			r.Data = append(data, r.Data...)
			return r, nil
		}
		if data = append(data, r.Data...); len(data) > MaxAPDU {
			break
		}
		apdu = []byte{0, 0xC0, 0, 0, byte(r.Status)}
	}
	return Response{}, fmt.Errorf("%w: answer that does not end", ErrResponse)
}

// transportError marks that the chip (or the way to it) fell silent, which is
// another thing than a chip that says no.
type transportError struct{ err error }

func (e *transportError) Error() string { return "chip does not answer: " + e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }
