package emrtd

import (
	"bytes"
	"context"
	"crypto/rsa"
	"math/big"
	"testing"
	"time"

	"kuule/kiosk-bridge/emrtdtest"
)

// seedFiles are the files of a chip that has everything.
func seedFiles(f *testing.F) map[int][]byte {
	f.Helper()
	s, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	p := issue(f, s, emrtdtest.WithAll)
	zone, err := ParseMRZ(p.Printed)
	if err != nil {
		f.Fatal(err)
	}
	in := inspection{Inspector: &Inspector{}, optical: zone, password: MRZPassword(zone), doc: &Document{}}
	chip, err := in.attempt(context.Background(), p.Card(), 0)
	if err != nil {
		f.Fatal(err)
	}
	files := map[int][]byte{}
	for n, g := range chip.groups {
		files[n] = g.b
	}
	return files
}

func FuzzDetails(f *testing.F) {
	files := seedFiles(f)
	for _, n := range []int{7, 11, 12} {
		if len(files[n]) == 0 {
			f.Fatalf("no seed for group %d", n)
		}
		f.Add(files[n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		if d, err := ParseDG11(b); err == nil && len(d.OtherNames) > maxObjects {
			t.Error("more names than allowed")
		}
		_, _ = ParseDG12(b)
		if pictures, err := ParseDG7(b); err == nil && len(pictures) == 0 {
			t.Error("no picture and no error")
		}
		_ = parseChunk(b)
	})
}

func FuzzSecurityInfos(f *testing.F) {
	files := seedFiles(f)
	f.Add(files[14])
	f.Add(files[15])
	f.Add(unhex(f, workedExample.cardAccess))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		for _, parse := range []func([]byte) (*securityInfos, error){parseSecurityInfos, parseDG14} {
			infos, err := parse(b)
			if err != nil {
				continue
			}
			if offer, _, found := infos.best(); found && (offer.curve == nil || !offer.algorithm.known()) {
				t.Error("an offer that cannot be used")
			}
			if _, key, err := infos.chipAuth(); err == nil && !key.key.curve.contains(key.key.x, key.key.y) {
				t.Error("a key off its curve")
			}
		}
		if key, err := parseDG15(b); err == nil {
			_ = verifyActive(key, "1.2.840.10045.4.3.2", []byte("12345678"), b)
		}
		_, _ = parseCardSecurity(b)
	})
}

func FuzzRevocationList(f *testing.F) {
	s, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.Issue(holder, emrtdtest.CompromisedSigner); err != nil {
		f.Fatal(err)
	}
	crl, err := s.CRL()
	if err != nil {
		f.Fatal(err)
	}
	certs, err := ParseCertificates(s.CSCA())
	if err != nil {
		f.Fatal(err)
	}
	list, err := NewTrustList(certs...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(crl)
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		l, err := parseRevocationList(b, list)
		if err == nil && len(l.revoked) != 1 {
			t.Error("a list was read that the state did not sign")
		}
	})
}

// What a chip answers in PACE never panics, and never opens a channel without
// the password.
func FuzzPACE(f *testing.F) {
	infos, err := parseSecurityInfos(unhex(f, workedExample.cardAccess))
	if err != nil {
		f.Fatal(err)
	}
	offer, _, _ := infos.best()
	var answers []byte
	for _, s := range workedExample.steps {
		b := unhex(f, s[1])
		answers = append(append(answers, byte(len(b))), b...)
	}
	f.Add(answers, uint8(2))
	f.Add(answers, uint8(6))
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		offer := offer
		if kind == 6 {
			offer.mapping = mappingCAM
		}
		if _, err := openPACE(context.Background(), &lengthPrefixed{b}, offer, false, examplePassword(), freshSecrets); err == nil {
			t.Error("a channel without the password")
		}
	})
}

// lengthPrefixed answers with the parts of a string of bytes.
type lengthPrefixed struct{ b []byte }

func (l *lengthPrefixed) Transmit(context.Context, []byte) ([]byte, error) {
	if len(l.b) == 0 {
		return nil, emrtdtest.ErrSilent
	}
	n := min(int(l.b[0]), len(l.b)-1)
	out := l.b[1 : 1+n]
	l.b = l.b[1+n:]
	return out, nil
}

func FuzzActiveAuthentication(f *testing.F) {
	n, _ := new(big.Int).SetString("C"+string(bytes.Repeat([]byte("5"), 511)), 16)
	key := &rsa.PublicKey{N: n, E: 65537}
	f.Add(bytes.Repeat([]byte{1}, 256))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer bounded(t, b)()
		if verifyRecovery(key, []byte("12345678"), b) == nil {
			t.Error("a signature under a key that nobody has")
		}
	})
}
