package emrtdtest

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Variant is a passport that is wrong in one way.
type Variant string

// Variants. Each differs from [Genuine] in the one thing that its name says.
const (
	Genuine         Variant = "genuine"
	AlteredDG1      Variant = "altered-dg1"      // the chip's zone was rewritten
	AlteredDG2      Variant = "altered-dg2"      // the portrait was exchanged
	AlteredSOD      Variant = "altered-sod"      // the list of hashes was rewritten to fit
	MissingDG2      Variant = "missing-dg2"      // no portrait on the chip
	StrippedHash    Variant = "stripped-hash"    // the portrait is not in the signed list
	HugeDG2         Variant = "huge-dg2"         // announces 16 MB
	UnknownIssuer   Variant = "unknown-issuer"   // issued by a state that nobody knows
	ForgedSigner    Variant = "forged-signer"    // names the state's key, signed by another
	OtherState      Variant = "other-state"      // another state's zone under this state's signature
	ExpiredSigner   Variant = "expired-signer"   // the signer's certificate has run out since
	SignedTooLate   Variant = "signed-too-late"  // signed after the signer's certificate ran out
	WrongMRZ        Variant = "wrong-mrz"        // printed with another document number
	OtherPrint      Variant = "other-print"      // printed with another name; the chip opens
	WrongDigit      Variant = "wrong-digit"      // one printed check digit is wrong
	ExpiredDocument Variant = "expired-document" //
	DeadChip        Variant = "dead-chip"        // never answers
	TornChip        Variant = "torn-chip"        // falls silent while being read
	PACEOnly        Variant = "pace-only"        // no basic access control
	WrongChecksum   Variant = "wrong-checksum"   // somebody on the way changes answers
)

// Variants lists all, genuine first.
func Variants() []Variant {
	return []Variant{Genuine, AlteredDG1, AlteredDG2, AlteredSOD, MissingDG2, StrippedHash, HugeDG2, UnknownIssuer, ForgedSigner,
		OtherState, ExpiredSigner, SignedTooLate, WrongMRZ, OtherPrint, WrongDigit, ExpiredDocument, DeadChip, TornChip, PACEOnly, WrongChecksum}
}

// Person is an invented holder.
type Person struct {
	Surname, GivenNames string // Latin capitals as the zone prints them
	DocumentNumber      string // up to nine letters and digits
	Nationality         string // three letters; empty means the issuing state's
	DateOfBirth         string // YYMMDD
	Sex                 string // M, F or empty
}

// Passport is an issued document: what is printed and what the chip holds.
type Passport struct {
	Printed string // the two printed lines of the zone, with a line break
	SOD     []byte // EF.SOD as the chip gives it

	card *Card
}

// Card returns the passport's chip. It is one chip: reset it between readers.
func (p *Passport) Card() *Card { return p.card }

// Issue makes a passport for a person.
func (s *State) Issue(who Person, v Variant) (*Passport, error) {
	from := s
	var err error
	switch v {
	case UnknownIssuer:
		from, err = NewState(s.Alpha2, s.Alpha3, s.scheme, s.now)
		if err == nil {
			from.root.SubjectKeyId = append([]byte{0xFF}, from.root.SubjectKeyId[1:]...)
		}
	case ForgedSigner:
		from, err = s.impostor()
	}
	if err != nil {
		return nil, err
	}
	return from.issue(who, v)
}

func (s *State) issue(who Person, v Variant) (*Passport, error) {
	expiry := s.now.AddDate(4, 0, 0)
	if v == ExpiredDocument {
		expiry = s.now.AddDate(0, 0, -2)
	}
	issuer := s.Alpha3
	if v == OtherState {
		issuer = "SWE"
	}
	zone := zoneTD3(issuer, who, expiry)
	printed := zone
	switch v {
	case WrongMRZ:
		other := who
		other.DocumentNumber = "Z" + who.DocumentNumber[1:]
		printed = zoneTD3(issuer, other, expiry)
	case OtherPrint:
		other := who
		other.Surname = "SOMEBODY"
		printed = zoneTD3(issuer, other, expiry)
	case WrongDigit:
		b := []byte(zone)
		b[87] = '0' + (b[87]-'0'+1)%10
		printed = string(b)
	}

	jpg, w, h, err := portrait(who.Surname + who.GivenNames)
	if err != nil {
		return nil, err
	}
	dg1, dg2 := dataGroup1(zone), dataGroup2(jpg, w, h)
	sod, err := s.sign(map[int][]byte{1: dg1, 2: dg2}, v)
	if err != nil {
		return nil, err
	}
	switch v {
	case AlteredDG1:
		dg1 = dataGroup1(strings.Replace(zone, who.GivenNames[:1], "Q", 1))
	case AlteredDG2:
		if jpg, w, h, err = portrait("somebody else"); err != nil {
			return nil, err
		}
		dg2 = dataGroup2(jpg, w, h)
	case HugeDG2:
		dg2 = append([]byte{0x75, 0x83, 0xFF, 0xFF, 0xFF}, dg2...)
	}
	files := map[uint16][]byte{fidCOM: commonData(0x61, 0x75), fidSOD: sod, fidDG1: dg1, fidDG2: dg2}
	if v == MissingDG2 {
		delete(files, fidDG2)
	}
	card := newCard(zone, files)
	switch v {
	case DeadChip:
		card.dead = true
	case TornChip:
		card.silentAfter = 9
	case PACEOnly:
		card.paceOnly = true
	case WrongChecksum:
		card.corrupt = true
	}
	return &Passport{Printed: printed[:44] + "\n" + printed[44:], SOD: sod, card: card}, nil
}

func (s *State) sign(groups map[int][]byte, v Variant) ([]byte, error) {
	notBefore, notAfter, at := s.now.AddDate(-1, 0, 0), s.now.AddDate(9, 0, 0).AddDate(0, -1, 0), s.now.AddDate(0, -1, 0)
	switch v {
	case ExpiredSigner:
		notBefore, notAfter, at = s.now.AddDate(-5, 0, 0), s.now.AddDate(0, 0, -3), s.now.AddDate(-4, 0, 0)
	case SignedTooLate:
		notBefore, notAfter, at = s.now.AddDate(-5, 0, 0), s.now.AddDate(-1, 0, 0), s.now.AddDate(0, -1, 0)
	}
	d, err := s.newSigner(notBefore, notAfter, at)
	if err != nil {
		return nil, err
	}
	if v == StrippedHash {
		delete(groups, 2)
	}
	sod, err := d.securityObject(groups)
	if err != nil {
		return nil, err
	}
	if v == AlteredSOD {
		// The forger rewrites a hash inside the signed content.
		i := bytes.Index(sod, []byte{0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20})
		if i < 0 {
			return nil, fmt.Errorf("no hash of group 1 in the security object")
		}
		sod[i+10] ^= 1
	}
	return sod, nil
}

// zoneTD3 writes the 88 characters of a booklet's zone (9303-4, 4.2).
func zoneTD3(issuer string, who Person, expiry time.Time) string {
	nationality := who.Nationality
	if nationality == "" {
		nationality = issuer
	}
	sex := who.Sex
	if sex == "" {
		sex = "<"
	}
	fill := func(s string, n int) string {
		s = strings.NewReplacer(" ", "<", "-", "<").Replace(s) + strings.Repeat("<", n)
		return s[:n]
	}
	digit := func(s string) string {
		total := 0
		for i, c := range []byte(s) {
			v := 0
			switch {
			case c >= '0' && c <= '9':
				v = int(c - '0')
			case c >= 'A' && c <= 'Z':
				v = int(c-'A') + 10
			}
			total += v * []int{7, 3, 1}[i%3]
		}
		return fmt.Sprint(total % 10)
	}
	number := fill(who.DocumentNumber, 9)
	number += digit(number)
	birth := who.DateOfBirth + digit(who.DateOfBirth)
	until := expiry.Format("060102")
	until += digit(until)
	optional := fill("", 14) + "<"
	return fill("P<"+issuer+who.Surname+"<<"+who.GivenNames, 44) +
		number + fill(nationality, 3) + birth + sex + until + optional + digit(number+birth+until+optional)
}
