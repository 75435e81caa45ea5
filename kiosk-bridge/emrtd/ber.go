package emrtd

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// ErrASN1 says that bytes are not the ASN.1 structure that belongs there.
var ErrASN1 = errors.New("malformed ASN.1")

const berDepth = 24

// derFromBER rewrites BER with indefinite lengths and constructed octet strings
// as DER, which is enough for the security objects and master lists that states
// publish. The input must be exactly one element.
func derFromBER(in []byte) ([]byte, error) {
	out, rest, err := berElement(in, 0)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the end", ErrASN1, len(rest))
	}
	return out, nil
}

func berElement(in []byte, depth int) (out, rest []byte, err error) {
	if depth > berDepth {
		return nil, nil, fmt.Errorf("%w: nested deeper than %d", ErrASN1, berDepth)
	}
	h, err := berHeader(in)
	if err != nil {
		return nil, nil, err
	}
	body := in[h.size:]
	if !h.indefinite {
		if h.length > len(body) {
			return nil, nil, fmt.Errorf("%w: %d bytes announced, %d there", ErrASN1, h.length, len(body))
		}
		body, rest = body[:h.length], body[h.length:]
	}
	if in[0]&0x20 == 0 {
		if h.indefinite {
			return nil, nil, fmt.Errorf("%w: primitive of indefinite length", ErrASN1)
		}
		return berJoin(in[:h.tagSize], body), rest, nil
	}
	var content []byte
	for {
		if h.indefinite && len(body) >= 2 && body[0] == 0 && body[1] == 0 {
			rest = body[2:]
			break
		}
		if len(body) == 0 {
			if h.indefinite {
				return nil, nil, fmt.Errorf("%w: no end of contents", ErrASN1)
			}
			break
		}
		var part []byte
		if part, body, err = berElement(body, depth+1); err != nil {
			return nil, nil, err
		}
		if in[0] == 0x24 { // constructed OCTET STRING: keep what the parts hold
			var octets []byte
			if after, err := asn1.Unmarshal(part, &octets); err != nil || len(after) != 0 {
				return nil, nil, fmt.Errorf("%w: octet string of other parts", ErrASN1)
			}
			part = octets
		}
		content = append(content, part...)
	}
	if in[0] == 0x24 {
		return berJoin([]byte{0x04}, content), rest, nil
	}
	return berJoin(in[:h.tagSize], content), rest, nil
}

type berHead struct {
	tagSize, size, length int
	indefinite            bool
}

func berHeader(in []byte) (berHead, error) {
	truncated := fmt.Errorf("%w: truncated", ErrASN1)
	if len(in) < 2 {
		return berHead{}, truncated
	}
	h := berHead{tagSize: 1}
	if in[0]&0x1F == 0x1F {
		for h.tagSize < 4 && h.tagSize < len(in) && in[h.tagSize]&0x80 != 0 {
			h.tagSize++
		}
		h.tagSize++
	}
	if h.tagSize >= len(in) {
		return berHead{}, truncated
	}
	first := in[h.tagSize]
	h.size = h.tagSize + 1
	switch {
	case first == 0x80:
		h.indefinite = true
	case first < 0x80:
		h.length = int(first)
	default:
		n := int(first & 0x7F)
		if n > 4 || h.size+n > len(in) {
			return berHead{}, fmt.Errorf("%w: length of %d bytes", ErrASN1, n)
		}
		for _, b := range in[h.size : h.size+n] {
			h.length = h.length<<8 | int(b)
		}
		h.size += n
	}
	return h, nil
}

func berJoin(tag, content []byte) []byte {
	out := make([]byte, 0, len(tag)+5+len(content))
	out = append(out, tag...)
	out = appendLength(out, len(content))
	return append(out, content...)
}

// unmarshal parses DER that must fill b.
func unmarshal(b []byte, into any) error { return unmarshalWith(b, into, "") }

func unmarshalWith(b []byte, into any, params string) error {
	rest, err := asn1.UnmarshalWithParams(b, into, params)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrASN1, err)
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes behind the end", ErrASN1, len(rest))
	}
	return nil
}
