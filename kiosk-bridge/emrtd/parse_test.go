package emrtd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/kiosk-bridge/emrtdtest"
)

// Specimens of Doc 9303 parts 4, 5 and 6.
const (
	specimenTD3 = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
	specimenTD1 = "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<"
	specimenTD2 = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6"
)

func TestSpecimenZones(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]MRZ{
		specimenTD3: {Format: TD3, DocumentCode: "P", DocumentNumber: "L898902C3", Optional: "ZE184226B"},
		specimenTD1: {Format: TD1, DocumentCode: "I", DocumentNumber: "D23145890"},
		specimenTD2: {Format: TD2, DocumentCode: "I", DocumentNumber: "D23145890"},
	} {
		m, err := ParseMRZ(text)
		if err != nil {
			t.Fatal(err)
		}
		if m.Format != want.Format || m.DocumentCode != want.DocumentCode || m.DocumentNumber != want.DocumentNumber || m.Optional != want.Optional {
			t.Errorf("%s: %#v", want.Format, m.Lines)
		}
		if m.IssuingState != "UTO" || m.Nationality != "UTO" || m.Surname != "ERIKSSON" || m.GivenNames != "ANNA MARIA" ||
			m.DateOfBirth != "740812" || m.DateOfExpiry != "120415" || m.Sex != "F" {
			t.Errorf("%s: fields misread", want.Format)
		}
		if len(m.WrongDigits) != 0 {
			t.Errorf("%s: wrong digits %v in a specimen", want.Format, m.WrongDigits)
		}
		if valid, err := m.ValidOn(time.Date(2012, 4, 15, 23, 0, 0, 0, time.UTC)); err != nil || !valid {
			t.Errorf("%s: not valid on its last day: %v", want.Format, err)
		}
		if valid, err := m.ValidOn(time.Date(2012, 4, 16, 1, 0, 0, 0, time.UTC)); err != nil || valid {
			t.Errorf("%s: valid after its last day: %v", want.Format, err)
		}
	}
}

// A changed digit or field is named, one by one.
func TestEachCheckDigitIsChecked(t *testing.T) {
	t.Parallel()
	flat := strings.ReplaceAll(specimenTD3, "\n", "")
	for name, at := range map[string]int{"document_number": 44, "date_of_birth": 57, "date_of_expiry": 65, "optional": 72, "composite": 87} {
		b := []byte(flat)
		b[at] = map[bool]byte{true: '7', false: '8'}[b[at] != '7']
		m, err := ParseMRZ(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(m.WrongDigits, name) {
			t.Errorf("change of %s was not noticed: %v", name, m.WrongDigits)
		}
	}
}

// 9303-5, note j: a long number goes on in the optional field.
func TestLongDocumentNumber(t *testing.T) {
	t.Parallel()
	number := "D23145890734"
	line := "I<UTO" + number[:9] + "<" + number[9:] + string(CheckDigit(number)) + strings.Repeat("<", 11)
	rest := "7408122F1204159UTO<<<<<<<<<<<"
	rest += string(CheckDigit(line[5:30] + rest[:7] + rest[8:15] + rest[18:29]))
	m, err := ParseMRZ(line + rest + "ERIKSSON<<ANNA<MARIA<<<<<<<<<<")
	if err != nil {
		t.Fatal(err)
	}
	if m.DocumentNumber != number || len(m.WrongDigits) != 0 {
		t.Errorf("number %s, wrong digits %v", m.DocumentNumber, m.WrongDigits)
	}
	if got := m.accessInformation(); !strings.HasPrefix(got, number+string(CheckDigit(number))+"740812") {
		t.Errorf("access information %s", got)
	}
}

func TestWhatIsNoZone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "P<UTO", strings.Repeat("<", 88), strings.Repeat("A", 89), strings.Repeat("ä", 44), strings.Repeat("A", 300), "P<UTO?" + strings.Repeat("<", 82)} {
		if _, err := ParseMRZ(text); !errors.Is(err, ErrMRZ) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// 9303-11, appendix D: the worked example of BAC keys.
func TestAccessKeysOfTheStandard(t *testing.T) {
	t.Parallel()
	flat := "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<" + "L898902C<3UTO6908061F9406236ZE184226B<<<<<14"
	m, err := ParseMRZ(flat)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.accessInformation(); got != "L898902C<369080619406236" {
		t.Errorf("MRZ information %s", got)
	}
	k := BACKey(m)
	if got := hex.EncodeToString(k.seed[:]); got != "239ab9cb282daf66231dc5a4df6bfbae" {
		t.Errorf("seed %s", got)
	}
	if got := hex.EncodeToString(kdf(k.seed[:], 1)); got != "ab94fdecf2674fdfb9b391f85d7f76f2" {
		t.Errorf("encryption key %s", got)
	}
	if got := hex.EncodeToString(kdf(k.seed[:], 2)); got != "7962d9ece03d1acd4c76089dce131543" {
		t.Errorf("checksum key %s", got)
	}
}

// 9303-11, appendix D.4: the worked example of secure messaging, SELECT EF.COM.
func TestSecureMessagingOfTheStandard(t *testing.T) {
	t.Parallel()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	suite, err := newTDES(unhex("979EC13B1CBFE9DCD01AB0FED307EAE5"), unhex("F1CB1F1FB5ADF208806B89DC579DC1F8"))
	if err != nil {
		t.Fatal(err)
	}
	s := &secureChannel{suite: suite, ssc: unhex("887022120C06C226")}
	apdu, err := s.wrap(Command{INS: 0xA4, P1: 2, P2: 0x0C, Data: unhex("011E")})
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex("0CA4020C158709016375432908C044F68E08BF8B92D635FF24F800"); !bytes.Equal(apdu, want) {
		t.Errorf("protected command %X, want %X", apdu, want)
	}
	r, err := ParseResponse(unhex("990290008E08FA855A5D4C50A8ED9000"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = s.unwrap(r); err != nil || r.Status != StatusOK {
		t.Errorf("protected response: %v %v", r, err)
	}
}

// A response that somebody changed, shortened or replayed is refused.
func TestSecureMessagingRefusesChangedResponses(t *testing.T) {
	t.Parallel()
	suite, err := newTDES(bytes.Repeat([]byte{1, 2}, 8), bytes.Repeat([]byte{3, 4}, 8))
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *secureChannel { return &secureChannel{suite: suite, ssc: make([]byte, 8)} }
	counter := []byte{0, 0, 0, 0, 0, 0, 0, 1}
	body := appendTLV(nil, 0x87, append([]byte{1}, suite.encrypt(nil, padISO([]byte("hello"), 8))...))
	body = appendTLV(body, 0x99, []byte{0x90, 0})
	good := appendTLV(body, 0x8E, suite.mac(append(counter, padISO(body, 8)...)))
	if r, err := fresh().unwrap(Response{good, StatusOK}); err != nil || string(r.Data) != "hello" {
		t.Fatalf("%v %v", r, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := fresh().unwrap(Response{bad, StatusOK}); !errors.Is(err, ErrSecureMessaging) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	s := fresh()
	if _, err := s.unwrap(Response{good, StatusOK}); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"replayed": good, "bare": nil, "no checksum": body, "twice": append(bytes.Clone(good), good...)} {
		if _, err := s.unwrap(Response{data, StatusOK}); !errors.Is(err, ErrSecureMessaging) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The own arithmetic agrees with Go's where both know the curve.
func TestGenericCurveAgreesWithStandardLibrary(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, c := range knownCurves {
		if !c.contains(c.gx, c.gy) {
			t.Errorf("%s: base point is not on the curve", c.name)
		}
		if x, _ := c.affine(c.multiply(c.n, c.gx, c.gy)); x != nil {
			t.Errorf("%s: order does not annihilate the base point", c.name)
		}
		if !c.p.ProbablyPrime(10) || !c.n.ProbablyPrime(10) {
			t.Errorf("%s: modulus or order is not prime", c.name)
		}
		if c.std == nil {
			continue
		}
		key, err := ecdsa.GenerateKey(c.std, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte("a document"))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		x, y, err := c.point(point)
		if err != nil {
			t.Fatal(err)
		}
		k := &ecKey{c, x, y}
		if err := k.verifyGeneric(sum[:], r, s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := k.verify(sum[:], r, s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := k.verifyGeneric(sum[:], r, new(big.Int).Add(s, big.NewInt(1))); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: a changed signature fits", c.name)
		}
		checked++
	}
	if checked != 4 {
		t.Errorf("%d curves compared", checked)
	}
}

func TestCommandEncoding(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Command{
		"0084000008":                     {INS: 0x84, Le: 8},
		"00b0000000":                     {INS: 0xB0, Le: 256},
		"00a4020c02011e":                 {INS: 0xA4, P1: 2, P2: 0x0C, Data: []byte{1, 0x1E}},
		"00b00000000800":                 {INS: 0xB0, Le: 2048},
		"00b10000" + "0000010a" + "0400": {INS: 0xB1, Data: []byte{0x0A}, Le: 1024},
		"0082000002aabb28":               {INS: 0x82, Data: []byte{0xAA, 0xBB}, Le: 40},
	} {
		b, err := c.Bytes()
		if err != nil || hex.EncodeToString(b) != want {
			t.Errorf("%x %v, want %s", b, err, want)
		}
	}
	if _, err := (Command{Data: make([]byte, 70000)}).Bytes(); err == nil {
		t.Error("70000 bytes fit an APDU")
	}
}

func FuzzMRZ(f *testing.F) {
	for _, s := range []string{specimenTD1, specimenTD2, specimenTD3, ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMRZ(s)
		if err != nil {
			return
		}
		again, err := ParseMRZ(m.Text())
		if err != nil || again.Text() != m.Text() {
			t.Errorf("a zone does not survive its own text: %v", err)
		}
		_ = BACKey(m)
		_, _ = m.ValidOn(time.Now())
	})
}

func FuzzTLV(f *testing.F) {
	f.Add([]byte{0x61, 0x03, 0x5F, 0x1F, 0x00})
	f.Add([]byte{0x75, 0x83, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		for rest := b; len(rest) > 0; {
			v, after, err := nextTLV(rest)
			if err != nil {
				break
			}
			if len(v.raw)+len(after) != len(rest) || len(v.value) > len(v.raw) {
				t.Fatal("bytes were invented or lost")
			}
			rest = after
		}
		_, _ = ParseDG1(b)
		_, _ = ParseDG2(b)
		_, _ = parseCOM(b)
	})
}

func FuzzCMS(f *testing.F) {
	s, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	p := issue(f, s, emrtdtest.Genuine)
	f.Add(p.SOD[4:])
	f.Add([]byte{0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 0x01, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		if m, err := parseCMS(b); err == nil {
			_, _, _ = m.verify()
		}
		_, _ = ParseCertificate(b)
		_, _ = ParseMasterList(b)
	})
}

func FuzzSOD(f *testing.F) {
	s, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(issue(f, s, emrtdtest.Genuine).SOD)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		if o, err := parseSOD(b); err == nil {
			_, _, _ = o.cms.verify()
			_, _ = o.covers(1, b)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte{0x90, 0})
	f.Add([]byte{0x99, 2, 0x90, 0, 0x8E, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x90, 0})
	suite, err := newTDES(bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		r, err := ParseResponse(b)
		if err != nil {
			return
		}
		s := &secureChannel{suite: suite, ssc: make([]byte, 8)}
		if _, err := s.unwrap(r); err == nil {
			t.Error("a response without knowledge of the key was accepted")
		}
	})
}
