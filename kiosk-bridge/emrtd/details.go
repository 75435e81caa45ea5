package emrtd

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"
)

// Details are what DG11 tells about the holder beyond the zone. They are
// personal content and never print themselves.
type Details struct {
	FullName       string
	OtherNames     []string
	PersonalNumber string
	DateOfBirth    string // YYYYMMDD
	PlaceOfBirth   string
	Address        string
	Telephone      string
	Profession     string
	Title          string
	Summary        string
	OtherDocuments string
	Custody        string
	Citizenship    []byte // picture of the proof
}

func (Details) String() string       { return "redacted details" }
func (Details) GoString() string     { return "redacted details" }
func (Details) LogValue() slog.Value { return slog.StringValue("redacted") }

// Issuance is what DG12 tells about the document. It may name persons and never
// prints itself.
type Issuance struct {
	Authority    string
	Date         string // YYYYMMDD
	OtherPersons []string
	Endorsements string
	TaxOrExit    string
	Front, Rear  []byte // pictures of the document
	Personalised string // YYYYMMDDhhmmss
	System       string
}

func (Issuance) String() string       { return "redacted issuance" }
func (Issuance) GoString() string     { return "redacted issuance" }
func (Issuance) LogValue() slog.Value { return slog.StringValue("redacted") }

const (
	maxObjects = 64
	maxText    = 4 << 10
)

// eachObject walks the objects of a template in order.
func eachObject(b []byte, visit func(tag uint32, value []byte) error) error {
	for n := 0; len(b) > 0; n++ {
		if n == maxObjects {
			return fmt.Errorf("%w: more than %d objects", ErrTLV, maxObjects)
		}
		t, rest, err := nextTLV(b)
		if err != nil {
			return err
		}
		if err := visit(t.tag, t.value); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// fieldText is UTF-8 with fillers turned into spaces, as states write names,
// addresses and notes (9303-10, 4.7.11).
func fieldText(b []byte) (string, error) {
	if len(b) > maxText {
		return "", fmt.Errorf("%w: text of %d bytes", ErrDataGroup, len(b))
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%w: text is not UTF-8", ErrDataGroup)
	}
	return unfill(string(b)), nil
}

// fieldDate takes digits as text or two to a byte. Zeros stand for a month or day
// that nobody knows.
func fieldDate(b []byte, digits int) (string, error) {
	s := string(b)
	if len(b) == digits/2 {
		s = hex.EncodeToString(b)
	}
	if len(s) != digits || strings.Trim(s, "0123456789") != "" || s[4:6] > "12" || s[6:8] > "31" {
		return "", fmt.Errorf("%w: date of %d bytes", ErrDataGroup, len(b))
	}
	return s, nil
}

func fieldList(b []byte, tag uint32) ([]string, error) {
	var out []string
	err := eachObject(b, func(t uint32, value []byte) error {
		if t != tag { // the number of entries, which the entries themselves say
			return nil
		}
		s, err := fieldText(value)
		out = append(out, s)
		return err
	})
	return out, err
}

// ParseDG11 reads additional personal details (9303-10, 4.7.11).
func ParseDG11(file []byte) (Details, error) {
	var d Details
	texts := map[uint32]*string{
		0x5F0E: &d.FullName, 0x5F10: &d.PersonalNumber, 0x5F11: &d.PlaceOfBirth, 0x5F42: &d.Address, 0x5F12: &d.Telephone,
		0x5F13: &d.Profession, 0x5F14: &d.Title, 0x5F15: &d.Summary, 0x5F17: &d.OtherDocuments, 0x5F18: &d.Custody,
	}
	err := parseTemplate(file, 0x6B, func(tag uint32, value []byte) (err error) {
		switch tag {
		case 0xA0:
			d.OtherNames, err = fieldList(value, 0x5F0F)
		case 0x5F2B:
			d.DateOfBirth, err = fieldDate(value, 8)
		case 0x5F16:
			d.Citizenship = bytes.Clone(value)
		default:
			if into := texts[tag]; into != nil {
				*into, err = fieldText(value)
			}
		}
		return err
	})
	if err != nil {
		return Details{}, fmt.Errorf("%w: DG11: %w", ErrDataGroup, err)
	}
	return d, nil
}

// ParseDG12 reads additional document details (9303-10, 4.7.12).
func ParseDG12(file []byte) (Issuance, error) {
	var d Issuance
	texts := map[uint32]*string{0x5F19: &d.Authority, 0x5F1B: &d.Endorsements, 0x5F1C: &d.TaxOrExit, 0x5F56: &d.System}
	err := parseTemplate(file, 0x6C, func(tag uint32, value []byte) (err error) {
		switch tag {
		case 0xA0:
			d.OtherPersons, err = fieldList(value, 0x5F1A)
		case 0x5F26:
			d.Date, err = fieldDate(value, 8)
		case 0x5F55:
			d.Personalised, err = fieldDate(value, 14)
		case 0x5F1D:
			d.Front = bytes.Clone(value)
		case 0x5F1E:
			d.Rear = bytes.Clone(value)
		default:
			if into := texts[tag]; into != nil {
				*into, err = fieldText(value)
			}
		}
		return err
	})
	if err != nil {
		return Issuance{}, fmt.Errorf("%w: DG12: %w", ErrDataGroup, err)
	}
	return d, nil
}

func parseTemplate(file []byte, tag uint32, visit func(tag uint32, value []byte) error) error {
	body, err := onlyTLV(file, tag)
	if err != nil {
		return err
	}
	return eachObject(body, visit)
}

// ParseDG7 reads the holder's displayed signatures, still encoded pictures
// (9303-10, 4.7.7).
func ParseDG7(file []byte) ([][]byte, error) {
	var out [][]byte
	err := parseTemplate(file, 0x67, func(tag uint32, value []byte) error {
		if tag == 0x5F43 {
			out = append(out, bytes.Clone(value))
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%w: no signature", ErrTLV)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: DG7: %w", ErrDataGroup, err)
	}
	return out, nil
}
