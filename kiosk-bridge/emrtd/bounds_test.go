package emrtd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

// What a list says of a signer, condition by condition.
func TestRevocationListsAreJudgedAtTheTimeOfSigning(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	issuer := &Certificate{Raw: []byte("issuer"), Country: "UT"}
	signer := &Certificate{Serial: big.NewInt(7), Country: "UT", issuer: []byte("name")}
	list := func(change func(*revocationList)) *revocationList {
		l := &revocationList{issuer: signer.issuer, signer: issuer, thisUpdate: ago(5), nextUpdate: ago(-5), revoked: map[string]revocation{}}
		change(l)
		return l
	}
	revoked := func(at time.Time, reason int) *revocationList {
		return list(func(l *revocationList) { l.revoked["7"] = revocation{at, reason} })
	}
	clear := list(func(*revocationList) {})
	for name, c := range map[string]struct {
		lists    []*revocationList
		signedAt time.Time
		want     revocationVerdict
	}{
		"no list":                     {nil, ago(30), revocationNoList},
		"not listed":                  {[]*revocationList{clear}, ago(30), revocationClear},
		"withdrawn before":            {[]*revocationList{revoked(ago(40), 4)}, ago(30), revocationRevoked},
		"withdrawn at that moment":    {[]*revocationList{revoked(ago(30), 4)}, ago(30), revocationRevoked},
		"withdrawn after":             {[]*revocationList{revoked(ago(20), 4)}, ago(30), revocationLater},
		"unspecified, after":          {[]*revocationList{revoked(ago(20), 0)}, ago(30), revocationLater},
		"key compromise, after":       {[]*revocationList{revoked(ago(20), 1)}, ago(30), revocationRevoked},
		"authority compromise, after": {[]*revocationList{revoked(ago(20), 2)}, ago(30), revocationRevoked},
		"no time of signing":          {[]*revocationList{revoked(ago(20), 4)}, time.Time{}, revocationRevoked},
		"taken back":                  {[]*revocationList{revoked(ago(40), 8)}, ago(30), revocationClear},
		"another serial":              {[]*revocationList{list(func(l *revocationList) { l.revoked["8"] = revocation{ago(40), 1} })}, ago(30), revocationClear},
		"outdated":                    {[]*revocationList{list(func(l *revocationList) { l.nextUpdate = ago(1) })}, ago(30), revocationStale},
		"without a next one":          {[]*revocationList{list(func(l *revocationList) { l.nextUpdate = time.Time{} })}, ago(30), revocationClear},
		"from the future":             {[]*revocationList{list(func(l *revocationList) { l.thisUpdate = ago(-1) })}, ago(30), revocationNoList},
		"another country's":           {[]*revocationList{list(func(l *revocationList) { l.signer = &Certificate{Raw: []byte("x"), Country: "XX"} })}, ago(30), revocationNoList},
		"another name, same issuer":   {[]*revocationList{list(func(l *revocationList) { l.issuer = []byte("other") })}, ago(30), revocationClear},
		"another name, another issuer": {[]*revocationList{list(func(l *revocationList) {
			l.issuer, l.signer = []byte("other"), &Certificate{Raw: []byte("x"), Country: "UT"}
		})}, ago(30), revocationNoList},
		"the newest counts": {[]*revocationList{revoked(ago(40), 4), list(func(l *revocationList) { l.thisUpdate = ago(1) }), list(func(l *revocationList) {
			l.thisUpdate, l.revoked["7"] = ago(9), revocation{ago(40), 1}
		})}, ago(30), revocationClear},
	} {
		if got := (&RevocationLists{c.lists}).judge(signer, issuer, c.signedAt, now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	var none *RevocationLists
	if got := none.judge(signer, issuer, now, now); got != revocationNoList {
		t.Errorf("nothing imported: %d", got)
	}
}

// A list counts only if its signer may sign lists, and only if it says nothing
// that is not understood here.
func TestRevocationListsThatAreNotUnderstood(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	make := func(usage x509.KeyUsage, change func(*x509.RevocationList)) error {
		t.Helper()
		ca := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"UT"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: usage, SubjectKeyId: []byte{1, 2, 3},
		}
		der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		certs, err := ParseCertificates(der)
		if err != nil {
			t.Fatal(err)
		}
		trust, err := NewTrustList(certs...)
		if err != nil {
			t.Fatal(err)
		}
		signer := *ca
		signer.KeyUsage |= x509.KeyUsageCRLSign // Go itself would refuse
		l := &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Now()}},
		}
		change(l)
		crl, err := x509.CreateRevocationList(rand.Reader, l, &signer, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ImportRevocationLists(trust, crl)
		return err
	}
	both := x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}
	harmless := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{0x30, 0}}
	if err := make(both, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{harmless} }); err != nil {
		t.Errorf("an ordinary list: %v", err)
	}
	for name, err := range map[string]error{
		"signer may not sign lists": make(x509.KeyUsageCertSign, func(*x509.RevocationList) {}),
		"critical extension":        make(both, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{critical} }),
		"critical in an entry": make(both, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{critical}
		}),
	} {
		if !errors.Is(err, ErrRevocationList) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two statements of the algorithm that differ are none.
func TestRevocationListOfTwoAlgorithms(t *testing.T) {
	t.Parallel()
	s, list := newState(t, 0)
	crl, err := s.CRL()
	if err != nil {
		t.Fatal(err)
	}
	// ecdsa-with-SHA384 becomes SHA256 outside, where nobody signed it.
	oid := []byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03}
	i := bytes.LastIndex(crl, oid)
	crl[i+7] = 2
	if _, err := ImportRevocationLists(list, crl); err == nil || !strings.Contains(err.Error(), "two signature algorithms") {
		t.Errorf("got %v", err)
	}
}

// Bounds of what a chip may put into its files.
func TestBoundsOfChipFiles(t *testing.T) {
	t.Parallel()
	object := func(tag uint16, value []byte) []byte {
		var out []byte
		if tag > 0xFF {
			out = append(out, byte(tag>>8))
		}
		return append(appendLength(append(out, byte(tag)), len(value)), value...)
	}
	dg11 := func(fields ...[]byte) []byte { return object(0x6B, concat(fields...)) }
	for name, c := range map[string]struct {
		file []byte
		good bool
	}{
		"ordinary":           {dg11(object(0x5F0E, []byte("A<<B")), object(0x5F2B, []byte("19740812"))), true},
		"longest text":       {dg11(object(0x5F42, bytes.Repeat([]byte{'A'}, maxText))), true},
		"text too long":      {dg11(object(0x5F42, bytes.Repeat([]byte{'A'}, maxText+1))), false},
		"not UTF-8":          {dg11(object(0x5F42, []byte{0xFF, 0xFE})), false},
		"date in letters":    {dg11(object(0x5F2B, []byte("1974AUG1"))), false},
		"date of nibbles":    {dg11(object(0x5F2B, []byte{0x19, 0x74, 0x08, 0x12})), true},
		"wrong nibbles":      {dg11(object(0x5F2B, []byte{0x19, 0x7A, 0x08, 0x12})), false},
		"short date":         {dg11(object(0x5F2B, []byte("1974"))), false},
		"most objects":       {dg11(bytes.Repeat(object(0x5F13, []byte("X")), maxObjects)), true},
		"too many objects":   {dg11(bytes.Repeat(object(0x5F13, []byte("X")), maxObjects+1)), false},
		"too many names":     {dg11(object(0xA0, bytes.Repeat(object(0x5F0F, []byte("X")), maxObjects+1))), false},
		"another file":       {object(0x6C, nil), false},
		"bytes behind":       {append(dg11(), 0), false},
		"object cut short":   {dg11([]byte{0x5F, 0x0E, 9, 'A'}), false},
		"nothing in it":      {dg11(), true},
		"unknown objects":    {dg11(object(0x5F7F, []byte{1, 2, 3})), true},
		"names within names": {dg11(object(0xA0, object(0xA0, object(0x5F0F, []byte("X"))))), true},
	} {
		if _, err := ParseDG11(c.file); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	entry := unhex(t, "300906042A03040502010"+"1")
	infos := func(n int) []byte { return appendTLV(nil, 0x31, bytes.Repeat(entry, n)) }
	if _, err := parseSecurityInfos(infos(maxSecurityInfos)); err != nil {
		t.Errorf("as many infos as allowed: %v", err)
	}
	if _, err := parseSecurityInfos(infos(maxSecurityInfos + 1)); !errors.Is(err, ErrSecurityInfos) {
		t.Errorf("one more: %v", err)
	}
}

// An answer that would not fit a short response under protection is asked for in
// extended length, as a signature of 256 bytes has to be.
func TestLongAnswersUnderProtection(t *testing.T) {
	t.Parallel()
	keys, err := newAES(make([]byte, 16), make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	for le, extended := range map[int]bool{8: false, shortRead: false, shortRead + 1: true, 256: true, 2048: true} {
		s := &secureChannel{suite: keys, ssc: make([]byte, 16)}
		b, err := s.wrap(Command{INS: 0x88, Data: make([]byte, 8), Le: le})
		if err != nil || (b[4] == 0) != extended {
			t.Errorf("%d bytes expected: %X %v", le, b, err)
		}
	}
}

// Neither many small parts of an answer nor a few large ones go on for ever.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	for size, most := range map[int]int{0: maxParts, 16: maxParts, 30_000: 4} {
		e := &parts{size: size}
		if _, err := transmit(t.Context(), e, []byte{0, 0xB0, 0, 0, 0}); !errors.Is(err, ErrResponse) || e.asked > most {
			t.Errorf("parts of %d bytes: asked %d times, %v", size, e.asked, err)
		}
	}
}

type parts struct{ size, asked int }

func (p *parts) Transmit(context.Context, []byte) ([]byte, error) {
	if p.asked++; p.asked > 10*maxParts {
		return []byte{0x90, 0}, nil
	}
	return append(make([]byte, p.size), 0x61, 0), nil
}
