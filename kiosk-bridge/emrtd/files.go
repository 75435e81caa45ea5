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

	// Beside the application, in the card itself.
	fileCardAccess   = file{"EF.CardAccess", 0x011C, 4 << 10}
	fileCardSecurity = file{"EF.CardSecurity", 0x011D, 16 << 10}
	fileATR          = file{"EF.ATR/INFO", 0x2F01, 128}
)

// furtherFiles are data groups that are read where the issuer signed for them.
// Fingerprints and irises (DG3, DG4) need a state's own keys and are not. The
// bounds keep a whole reading under a thousand short commands.
var furtherFiles = []struct {
	number int
	file
}{
	{7, file{"DG7", 0x0107, 20 << 10}},
	{11, file{"DG11", 0x010B, 20 << 10}},
	{12, file{"DG12", 0x010C, 20 << 10}},
	{14, file{"DG14", 0x010E, 8 << 10}},
	{15, file{"DG15", 0x010F, 4 << 10}},
}

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
// padding, object headers, status and checksum take up to 33.
const shortRead = 0xDF

// readCardAccess reads what the chip offers before any key is known. A chip that
// has no such file, or none that can be read, offers nothing (nil): whether its
// issuer signed for more is found out later, see [CheckDowngrade].
func readCardAccess(ctx context.Context, ch channel) (*securityInfos, error) {
	b, err := readFile(ctx, ch, fileCardAccess, shortRead)
	var silent *transportError
	if errors.As(err, &silent) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, nil //nolint:nilerr // absent or unreadable: nothing is offered
	}
	infos, err := parseSecurityInfos(b)
	if err != nil {
		return nil, nil //nolint:nilerr // the same
	}
	return infos, nil
}

// longestRead is as much as is asked of a chip at once, whatever it promises;
// triedRead of one that promises nothing: most chips take it.
const (
	longestRead = 4 << 10
	triedRead   = 2<<10 - protection
	protection  = 64 // padding, objects, checksum and status
)

// readChunk asks the chip how long its answers may be (9303-10, 3.11.4 and
// ISO/IEC 7816-4, 12.7.1).
func readChunk(ctx context.Context, ch channel) int {
	if err := selectFile(ctx, ch, fileATR); err != nil {
		return triedRead
	}
	b, err := readBinary(ctx, ch, fileATR, 0, fileATR.max)
	if err != nil {
		return triedRead
	}
	return parseChunk(b)
}

func parseChunk(b []byte) int {
	limits, err := childTLV(b, 0x7F66)
	if err != nil {
		return triedRead
	}
	var sizes []int
	err = eachObject(limits, func(tag uint32, value []byte) error {
		if tag != 0x02 || len(value) == 0 || len(value) > 4 {
			return ErrTLV
		}
		n := 0
		for _, x := range value {
			n = n<<8 | int(x)
		}
		sizes = append(sizes, n)
		return nil
	})
	if err != nil || len(sizes) != 2 {
		return shortRead // it says something about lengths, and not what it should
	}
	return max(shortRead, min(sizes[1]-protection, longestRead))
}

func selectFile(ctx context.Context, ch channel, f file) error {
	id := []byte{byte(f.id >> 8), byte(f.id)}
	r, err := ch.send(ctx, Command{INS: 0xA4, P1: 0x02, P2: 0x0C, Data: id})
	if err != nil {
		return fmt.Errorf("select %s: %w", f.name, err)
	}
	if r.Status != StatusOK {
		return &StatusError{"SELECT " + f.name, r.Status}
	}
	return nil
}

// readFile selects a file and reads as many bytes as its own header announces.
func readFile(ctx context.Context, ch channel, f file, chunk int) ([]byte, error) {
	if err := selectFile(ctx, ch, f); err != nil {
		return nil, err
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
		if n <= shortRead {
			n = min(n, shortRead-4) // the answer is one object more
		}
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
