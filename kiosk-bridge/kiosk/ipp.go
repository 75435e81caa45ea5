package kiosk

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The part of IPP that a kiosk needs: RFC 8010 (encoding) and RFC 8011 (model).
const (
	ippPrintJob       = 0x0002
	ippCancelJob      = 0x0008
	ippJobAttributes  = 0x0009
	ippPrinterStateOf = 0x000B // Get-Printer-Attributes

	ippOperationGroup = 0x01
	ippJobGroup       = 0x02
	ippEnd            = 0x03

	ippInteger  = 0x21
	ippBoolean  = 0x22
	ippEnum     = 0x23
	ippName     = 0x42
	ippKeyword  = 0x44
	ippURI      = 0x45
	ippCharset  = 0x47
	ippLanguage = 0x48
	ippMimeType = 0x49

	maxIPP = 256 << 10 // bytes of an answer
)

var errIPP = errors.New("the printer's answer is no IPP")

// ippRequest begins a request of version 2.0 with the attributes that each
// operation has.
type ippRequest struct{ b []byte }

func newIPPRequest(operation uint16, id uint32, printer string) *ippRequest {
	r := &ippRequest{binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{2, 0}, operation), id)}
	r.b = append(r.b, ippOperationGroup)
	r.text(ippCharset, "attributes-charset", "utf-8")
	r.text(ippLanguage, "attributes-natural-language", "en")
	r.text(ippURI, "printer-uri", printer)
	return r
}

// text adds an attribute; with an empty name, one more value of the last.
func (r *ippRequest) text(tag byte, name, value string) {
	r.b = append(r.b, tag)
	r.b = append(binary.BigEndian.AppendUint16(r.b, uint16(len(name))), name...)
	r.b = append(binary.BigEndian.AppendUint16(r.b, uint16(len(value))), value...)
}

func (r *ippRequest) number(tag byte, name string, value uint32) {
	r.text(tag, name, string(binary.BigEndian.AppendUint32(nil, value)))
}

func (r *ippRequest) flag(name string, value bool) {
	b := "\x00"
	if value {
		b = "\x01"
	}
	r.text(ippBoolean, name, b)
}

// end closes the attributes; a document may follow.
func (r *ippRequest) end() []byte { return append(r.b, ippEnd) }

// ippAnswer is an answer's status and attributes, in the order of the values.
type ippAnswer struct {
	status     uint16
	attributes map[string][]string
}

// ok says whether the printer did it (RFC 8011, section 4.1.6: 0x0000-0x00FF).
func (a ippAnswer) ok() bool { return a.status < 0x0100 }

func (a ippAnswer) number(name string) uint32 {
	values := a.attributes[name]
	if len(values) == 0 || len(values[0]) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32([]byte(values[0]))
}

// parseIPP reads an answer to request id. Groups are not kept apart: what the
// kiosk asks for has one name only.
func parseIPP(b []byte, id uint32) (ippAnswer, error) {
	a := ippAnswer{attributes: map[string][]string{}}
	if len(b) < 9 || len(b) > maxIPP {
		return a, fmt.Errorf("%w: %d bytes", errIPP, len(b))
	}
	a.status = binary.BigEndian.Uint16(b[2:])
	if got := binary.BigEndian.Uint32(b[4:]); got != id {
		return a, fmt.Errorf("%w: it answers request %d, not %d", errIPP, got, id)
	}
	b = b[8:]
	last := ""
	for len(b) > 0 {
		tag := b[0]
		b = b[1:]
		if tag == ippEnd {
			return a, nil
		}
		if tag < 0x10 { // a group begins
			last = ""
			continue
		}
		var name, value []byte
		var err error
		if name, b, err = ippField(b); err != nil {
			return a, err
		}
		if value, b, err = ippField(b); err != nil {
			return a, err
		}
		if len(name) > 0 {
			last = string(name)
			a.attributes[last] = nil // a second attribute of that name takes the place of the first
		}
		if last != "" {
			a.attributes[last] = append(a.attributes[last], string(value))
		}
	}
	return a, fmt.Errorf("%w: it has no end", errIPP)
}

func ippField(b []byte) ([]byte, []byte, error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("%w: it is cut off", errIPP)
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, fmt.Errorf("%w: it is cut off", errIPP)
	}
	return b[2 : 2+n], b[2+n:], nil
}
