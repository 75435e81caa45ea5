package emrtd

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Format is the size of a travel document, which fixes the shape of its zone.
type Format string

// Formats of Doc 9303: cards (part 5), sheets (part 6), booklets (part 4).
const (
	TD1 Format = "TD1" // three lines of 30
	TD2 Format = "TD2" // two lines of 36
	TD3 Format = "TD3" // two lines of 44
)

// ErrMRZ says that text is not a machine-readable zone at all. Wrong check
// digits are another thing: see [MRZ.WrongDigits].
var ErrMRZ = errors.New("not a machine-readable zone")

// MRZ is a parsed machine-readable zone (Doc 9303 parts 3 to 6). Fields keep
// the document's own spelling without fillers. It is personal content and never
// prints itself.
type MRZ struct {
	Format         Format
	Lines          []string
	DocumentCode   string // P, ID, AC ...
	IssuingState   string // three letters, or D
	Surname        string
	GivenNames     string
	DocumentNumber string
	Nationality    string
	DateOfBirth    string // YYMMDD, unknown parts empty in the zone are '<'
	Sex            string // M, F or empty
	DateOfExpiry   string // YYMMDD
	Optional       string

	// WrongDigits names the fields whose check digit does not fit:
	// document_number, date_of_birth, date_of_expiry, optional, composite.
	WrongDigits []string

	numberDigit byte
}

func (MRZ) String() string       { return "redacted machine-readable zone" }
func (MRZ) GoString() string     { return "redacted machine-readable zone" }
func (MRZ) LogValue() slog.Value { return slog.StringValue("redacted") }

// Text returns the zone's lines joined without separators, as DG1 holds them.
func (m MRZ) Text() string { return strings.Join(m.Lines, "") }

// specimen says whether the zone is a sample's: states print the word as a name,
// or begin the number with it.
func (m MRZ) specimen() bool {
	words := strings.Fields(m.Surname + " " + m.GivenNames)
	return slices.Contains(words, "SPECIMEN") || strings.HasPrefix(m.DocumentNumber, "SPECI")
}

func (m MRZ) absent() bool { return len(m.Lines) == 0 }

// NameCut reports whether the names fill their field to its last place: then the
// last of them may be cut short (9303-3, 4.6).
func (m MRZ) NameCut() bool {
	if len(m.Lines) == 0 {
		return false
	}
	line := m.Lines[0]
	if m.Format == TD1 {
		line = m.Lines[len(m.Lines)-1]
	}
	return !strings.HasSuffix(line, "<")
}

// ParseMRZ reads a zone given as lines (or as one run of characters). Spaces at
// line ends and letter case are forgiven, nothing else is guessed.
func ParseMRZ(text string) (MRZ, error) {
	if len(text) > 256 {
		return MRZ{}, fmt.Errorf("%w: %d characters", ErrMRZ, len(text))
	}
	s := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, strings.ToUpper(text))
	for i := range len(s) {
		if digitValue(s[i]) < 0 {
			return MRZ{}, fmt.Errorf("%w: character %d is not of the zone's alphabet", ErrMRZ, i+1)
		}
	}
	switch len(s) {
	case 90:
		return parseTD1(s[:30], s[30:60], s[60:])
	case 72:
		return parseTD2or3(TD2, s[:36], s[36:])
	case 88:
		return parseTD2or3(TD3, s[:44], s[44:])
	}
	return MRZ{}, fmt.Errorf("%w: %d characters, expected 90, 72 or 88", ErrMRZ, len(s))
}

func parseTD1(a, b, c string) (MRZ, error) {
	m := MRZ{Format: TD1, Lines: []string{a, b, c}}
	m.DocumentCode = unfill(a[:2])
	m.IssuingState = unfill(a[2:5])
	optional := a[15:30]
	m.number(a[5:14], a[14], &optional)
	m.DateOfBirth, m.Sex, m.DateOfExpiry = b[:6], sex(b[7]), b[8:14]
	m.Nationality = unfill(b[15:18])
	m.Optional = strings.TrimSpace(unfill(optional) + " " + unfill(b[18:29]))
	m.names(c)
	m.digit("date_of_birth", b[:6], b[6])
	m.digit("date_of_expiry", b[8:14], b[14])
	m.digit("composite", a[5:30]+b[:7]+b[8:15]+b[18:29], b[29])
	return m, m.plausible()
}

func parseTD2or3(f Format, a, b string) (MRZ, error) {
	m := MRZ{Format: f, Lines: []string{a, b}}
	m.DocumentCode = unfill(a[:2])
	m.IssuingState = unfill(a[2:5])
	m.names(a[5:])
	m.Nationality = unfill(b[10:13])
	m.DateOfBirth, m.Sex, m.DateOfExpiry = b[13:19], sex(b[20]), b[21:27]
	m.digit("date_of_birth", b[13:19], b[19])
	m.digit("date_of_expiry", b[21:27], b[27])
	if f == TD3 {
		m.number(b[:9], b[9], nil)
		m.Optional = unfill(b[28:42])
		// The digit of an empty optional field may be a filler (9303-4, 4.2.2).
		if m.Optional != "" || b[42] != '<' {
			m.digit("optional", b[28:42], b[42])
		}
		m.digit("composite", b[:10]+b[13:20]+b[21:43], b[43])
		return m, m.plausible()
	}
	optional := b[28:35]
	m.number(b[:9], b[9], &optional)
	m.Optional = unfill(optional)
	m.digit("composite", b[:10]+b[13:20]+b[21:35], b[35])
	return m, m.plausible()
}

// number reads the document number. One longer than nine characters goes on in
// the optional field, where its check digit then stands (9303-5, note j).
func (m *MRZ) number(field string, check byte, optional *string) {
	if check == '<' && optional != nil {
		tail, rest, _ := strings.Cut(*optional, "<")
		if n := len(tail); n >= 2 {
			m.DocumentNumber, m.numberDigit = field+tail[:n-1], tail[n-1]
			m.digit("document_number", m.DocumentNumber, m.numberDigit)
			*optional = rest
			return
		}
	}
	m.DocumentNumber, m.numberDigit = strings.TrimRight(field, "<"), check
	m.digit("document_number", field, check)
}

func (m *MRZ) names(field string) {
	surname, given, _ := strings.Cut(strings.TrimRight(field, "<"), "<<")
	m.Surname, m.GivenNames = unfill(surname), unfill(given)
}

func (m *MRZ) digit(name, field string, check byte) {
	if check < '0' || check > '9' || CheckDigit(field) != check {
		m.WrongDigits = append(m.WrongDigits, name)
	}
}

// plausible refuses runs of characters that no zone can be.
func (m *MRZ) plausible() error {
	if m.DocumentCode == "" || m.IssuingState == "" {
		return fmt.Errorf("%w: no document code or issuing state", ErrMRZ)
	}
	return nil
}

// accessInformation is the text from which BAC derives its key. The digits are
// worked out anew, so that a misread digit alone does not lock the chip.
func (m MRZ) accessInformation() string {
	number := m.DocumentNumber
	for len(number) < 9 {
		number += "<"
	}
	return number + string(CheckDigit(number)) +
		m.DateOfBirth + string(CheckDigit(m.DateOfBirth)) +
		m.DateOfExpiry + string(CheckDigit(m.DateOfExpiry))
}

// ValidOn says whether the document's date of expiry has not passed on the day
// of t. A two-digit year is read as 1990 to 2089: chips came in 2004.
func (m MRZ) ValidOn(t time.Time) (bool, error) {
	expiry, err := time.Parse("060102", m.DateOfExpiry)
	if err != nil {
		return false, fmt.Errorf("date of expiry cannot be read: %w", ErrMRZ)
	}
	if expiry.Year() < 1990 {
		expiry = expiry.AddDate(100, 0, 0)
	}
	return t.Before(expiry.AddDate(0, 0, 1)), nil
}

// CheckDigit works out the digit of 9303-3, 4.9: weights 7, 3, 1 modulo ten.
func CheckDigit(field string) byte {
	sum := 0
	for i := range len(field) {
		sum += max(0, digitValue(field[i])) * [3]int{7, 3, 1}[i%3]
	}
	return byte('0' + sum%10)
}

func digitValue(c byte) int {
	switch {
	case c == '<':
		return 0
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	}
	return -1
}

func sex(c byte) string {
	if c == 'M' || c == 'F' {
		return string(c)
	}
	return ""
}

// unfill turns fillers into single spaces and drops those at the ends.
func unfill(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '<' }), " ")
}
