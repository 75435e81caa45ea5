package emrtd

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
)

// ErrSecureMessaging says that a protected response is absent or not authentic:
// somebody between chip and bridge changed it, or the chip gave up the session.
var ErrSecureMessaging = errors.New("secure messaging broken")

// suite is what secure messaging needs of a cipher: triple DES or AES, see
// [algorithm].
type suite interface {
	blockSize() int
	encrypt(ssc, padded []byte) []byte
	decrypt(ssc, sealed []byte) []byte
	mac(padded []byte) []byte
}

// secureChannel protects commands and checks responses (9303-11, 9.8).
type secureChannel struct {
	card  Card
	suite suite
	ssc   []byte
	short bool  // never more than a short answer, whatever is expected
	ended error // why the session was given up; it never comes back

	endedLong bool // it ended over a command of extended length
}

func (s *secureChannel) send(ctx context.Context, c Command) (Response, error) {
	if s.ended != nil {
		return Response{}, s.ended
	}
	apdu, err := s.wrap(c)
	if err != nil {
		return Response{}, err
	}
	r, err := transmit(ctx, s.card, apdu)
	if err == nil {
		r, err = s.unwrap(r)
	}
	if err != nil {
		s.ended, s.endedLong = err, len(apdu) > 5 && apdu[4] == 0
		return Response{}, err
	}
	return r, nil
}

// rekey goes on under other keys; the counter starts again (9303-11, 9.8.3).
func (s *secureChannel) rekey(to suite) {
	s.suite, s.ssc = to, make([]byte, to.blockSize())
}

func (s *secureChannel) step() {
	for i := len(s.ssc) - 1; i >= 0; i-- {
		s.ssc[i]++
		if s.ssc[i] != 0 {
			return
		}
	}
}

func (s *secureChannel) wrap(c Command) ([]byte, error) {
	s.step()
	head := []byte{c.CLA | 0x0C, c.INS, c.P1, c.P2}
	var body []byte
	if len(c.Data) > 0 {
		sealed := s.suite.encrypt(s.ssc, padISO(c.Data, s.suite.blockSize()))
		if c.INS&1 == 1 { // odd instructions carry BER-TLV data, without padding indicator
			body = appendTLV(body, 0x85, sealed)
		} else {
			body = appendTLV(body, 0x87, append([]byte{1}, sealed...))
		}
	}
	if c.Le > 0 {
		if c.Le <= 256 {
			body = appendTLV(body, 0x97, []byte{byte(c.Le)})
		} else {
			body = appendTLV(body, 0x97, []byte{byte(c.Le >> 8), byte(c.Le)})
		}
	}
	n := append([]byte{}, s.ssc...)
	n = append(n, padISO(head, s.suite.blockSize())...)
	if len(body) > 0 {
		n = append(n, padISO(body, s.suite.blockSize())...)
	}
	body = appendTLV(body, 0x8E, s.suite.mac(n))
	le := 256
	// Padding, objects and checksum come on top of what is asked for.
	if (c.Le > shortRead && !s.short) || len(body) > 255 {
		le = 65536
	}
	return Command{CLA: head[0], INS: c.INS, P1: c.P1, P2: c.P2, Data: body, Le: le}.Bytes()
}

// unwrap checks and opens a protected response. The status that counts is the
// one inside the authenticated part; the outer one is anybody's.
func (s *secureChannel) unwrap(r Response) (Response, error) {
	s.step()
	if len(r.Data) == 0 {
		return Response{}, fmt.Errorf("%w: bare status %04X", ErrSecureMessaging, uint16(r.Status))
	}
	parts := map[uint32][]byte{}
	var body []byte
	for rest := r.Data; len(rest) > 0; {
		t, after, err := nextTLV(rest)
		if err != nil {
			return Response{}, fmt.Errorf("%w: %w", ErrSecureMessaging, err)
		}
		_, twice := parts[t.tag]
		_, ended := parts[0x8E]
		if twice || ended {
			return Response{}, fmt.Errorf("%w: object %X out of place", ErrSecureMessaging, t.tag)
		}
		switch t.tag {
		case 0x85, 0x87, 0x99:
			body = append(body, t.raw...)
		case 0x8E:
		default:
			return Response{}, fmt.Errorf("%w: unknown object %X", ErrSecureMessaging, t.tag)
		}
		parts[t.tag] = t.value
		rest = after
	}
	signed := append(append([]byte{}, s.ssc...), padISO(body, s.suite.blockSize())...)
	want := s.suite.mac(signed)
	if subtle.ConstantTimeCompare(parts[0x8E], want) != 1 {
		return Response{}, fmt.Errorf("%w: wrong checksum", ErrSecureMessaging)
	}
	status := parts[0x99]
	if len(status) != 2 {
		return Response{}, fmt.Errorf("%w: no status", ErrSecureMessaging)
	}
	out := Response{Status: Status(status[0])<<8 | Status(status[1])}
	sealed, odd := parts[0x85]
	if v, even := parts[0x87]; even {
		if odd || len(v) < 1 || v[0] != 1 {
			return Response{}, fmt.Errorf("%w: unknown padding", ErrSecureMessaging)
		}
		sealed = v[1:]
	} else if !odd {
		return out, nil
	}
	if len(sealed) == 0 || len(sealed)%s.suite.blockSize() != 0 {
		return Response{}, fmt.Errorf("%w: cryptogram of %d bytes", ErrSecureMessaging, len(sealed))
	}
	data, err := unpadISO(s.suite.decrypt(s.ssc, sealed))
	if err != nil {
		return Response{}, err
	}
	out.Data = data
	return out, nil
}

// padISO appends 80 00... up to the next block (ISO/IEC 9797-1, method 2).
func padISO(b []byte, block int) []byte {
	out := make([]byte, (len(b)/block+1)*block)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

func unpadISO(b []byte) ([]byte, error) {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] == 0x80 {
			return b[:i:i], nil
		}
		if b[i] != 0 {
			break
		}
	}
	return nil, fmt.Errorf("%w: wrong padding", ErrSecureMessaging)
}
