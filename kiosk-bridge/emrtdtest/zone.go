package emrtdtest

import (
	"fmt"
	"strings"
	"time"
)

// Format is the size of a document.
type Format int

// Formats of documents; a booklet unless said.
const (
	TD3 Format = iota // booklet: two lines of 44
	TD1               // card: three lines of 30
	TD2               // sheet: two lines of 36
)

func (f Format) width() int { return map[Format]int{TD1: 30, TD2: 36, TD3: 44}[f] }

// composite is where the last check digit stands.
func (f Format) composite() int { return map[Format]int{TD1: 59, TD2: 71, TD3: 87}[f] }

// lines breaks a zone as it is printed.
func (f Format) lines(zone string) string {
	var out []string
	for n := f.width(); len(zone) > 0; zone = zone[n:] {
		out = append(out, zone[:n])
	}
	return strings.Join(out, "\n")
}

func fill(s string, n int) string {
	s = strings.NewReplacer(" ", "<", "-", "<").Replace(s) + strings.Repeat("<", n)
	return s[:n]
}

// digit is the check digit of 9303-3, 4.9.
func digit(s string) string {
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

func digits(s string) string { return s + digit(s) }

// zone writes the machine-readable zone as one run (9303-4, 9303-5 and 9303-6,
// 4.2).
func (f Format) zone(issuer string, who Person, expiry time.Time) string {
	nationality := who.Nationality
	if nationality == "" {
		nationality = issuer
	}
	sex := who.Sex
	if sex == "" {
		sex = "<"
	}
	name := who.Surname + "<<" + who.GivenNames
	birth, until := digits(who.DateOfBirth), digits(expiry.Format("060102"))
	number := digits(fill(who.DocumentNumber, 9))
	switch f {
	case TD1:
		optional := fill("", 15)
		if len(who.DocumentNumber) > 9 { // goes on in the optional field, with its digit at the end
			number, optional = who.DocumentNumber[:9]+"<", fill(digits(who.DocumentNumber)[9:], 15)
		}
		last := fill("", 11)
		return "I<" + issuer + number + optional +
			birth + sex + until + fill(nationality, 3) + last + digit(number+optional+birth+until+last) + fill(name, 30)
	case TD2:
		optional := fill("", 7)
		return fill("I<"+issuer+name, 36) + number + fill(nationality, 3) + birth + sex + until + optional + digit(number+birth+until+optional)
	}
	optional := fill("", 14) + "<"
	return fill("P<"+issuer+name, 44) + number + fill(nationality, 3) + birth + sex + until + optional + digit(number+birth+until+optional)
}

// accessInformation is what the chip's keys come from (9303-11, 4.3.2).
func accessInformation(who Person, expiry time.Time) string {
	number := who.DocumentNumber
	if len(number) < 9 {
		number = fill(number, 9)
	}
	return digits(number) + digits(who.DateOfBirth) + digits(expiry.Format("060102"))
}
