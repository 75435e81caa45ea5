package emrtd

import (
	"context"
	"errors"
	"fmt"
)

// ErrTooLarge says that a file announces more bytes than it may have.
var ErrTooLarge = errors.New("file is larger than allowed")

// file is an elementary file of the travel document's application with the most
// bytes that are read of it.
type file struct {
	name string
	id   uint16
	max  int
}

// Files and their bounds. Real security objects have 1 to 4 kB; portraits 10 to
// 40 kB (9303-10, table 35 for the identifiers).
var (
	fileCOM = file{"EF.COM", 0x011E, 256}
	fileSOD = file{"EF.SOD", 0x011D, 32 << 10}
	fileDG1 = file{"DG1", 0x0101, 256}
	fileDG2 = file{"DG2", 0x0102, 64 << 10}
)

// application is the travel document's application identifier (9303-10, 3.2).
var application = []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01}

func selectApplication(ctx context.Context, ch channel) error {
	r, err := ch.send(ctx, Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: application})
	if err != nil {
		return err
	}
	if r.Status != StatusOK {
		return &StatusError{"SELECT application", r.Status}
	}
	return nil
}

// shortRead keeps a protected answer within a short response of 256 bytes:
// padding, object headers, status and checksum take up to 31.
const shortRead = 0xDF

// readFile selects a file and reads as many bytes as its own header announces.
func readFile(ctx context.Context, ch channel, f file, chunk int) ([]byte, error) {
	id := []byte{byte(f.id >> 8), byte(f.id)}
	r, err := ch.send(ctx, Command{INS: 0xA4, P1: 0x02, P2: 0x0C, Data: id})
	if err != nil {
		return nil, fmt.Errorf("select %s: %w", f.name, err)
	}
	if r.Status != StatusOK {
		return nil, &StatusError{"SELECT " + f.name, r.Status}
	}
	head, err := readBinary(ctx, ch, f, 0, 8)
	if err != nil {
		return nil, err
	}
	header, length, err := tlvHeader(head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	total := header + length
	if total > f.max {
		return nil, fmt.Errorf("%w: %s announces %d bytes, at most %d are read", ErrTooLarge, f.name, total, f.max)
	}
	out := head[:min(len(head), total)]
	for len(out) < total {
		part, err := readBinary(ctx, ch, f, len(out), min(chunk, total-len(out)))
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

func readBinary(ctx context.Context, ch channel, f file, offset, n int) ([]byte, error) {
	c := Command{INS: 0xB0, P1: byte(offset >> 8), P2: byte(offset), Le: n}
	if offset > 0x7FFF { // the odd instruction carries the offset as data (ISO/IEC 7816-4, 11.3.3)
		c = Command{INS: 0xB1, Data: []byte{0x54, 0x03, byte(offset >> 16), byte(offset >> 8), byte(offset)}, Le: n + 4}
	}
	r, err := ch.send(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", f.name, offset, err)
	}
	if r.Status != StatusOK && r.Status != StatusEndOfFile {
		return nil, &StatusError{fmt.Sprintf("READ BINARY of %s at %d", f.name, offset), r.Status}
	}
	data := r.Data
	if c.INS == 0xB1 {
		if data, err = onlyTLV(data, 0x53); err != nil {
			return nil, fmt.Errorf("read %s at %d: %w", f.name, offset, err)
		}
	}
	// A chip that gives nothing would be asked for ever; one that gives too much lies.
	if len(data) == 0 || len(data) > n {
		return nil, fmt.Errorf("%w: %d bytes of %s at %d, asked for %d", ErrResponse, len(data), f.name, offset, n)
	}
	return data, nil
}
