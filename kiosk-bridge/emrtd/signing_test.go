package emrtd

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
)

// signings are the ways in which document signers sign, by name.
func signings() map[string]emrtdtest.Signing {
	hashes := map[string]crypto.Hash{"SHA-1": crypto.SHA1, "SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}
	out := map[string]emrtdtest.Signing{}
	for name, h := range hashes {
		out["RSA PKCS #1 "+name] = emrtdtest.Signing{Key: emrtdtest.RSA, Hash: h}
		out["RSA PSS "+name] = emrtdtest.Signing{Key: emrtdtest.RSA, Hash: h, PSS: true}
		out["ECDSA P-256 "+name] = emrtdtest.Signing{Key: emrtdtest.P256, Hash: h}
		out["groups in "+name] = emrtdtest.Signing{Key: emrtdtest.P256, Hash: crypto.SHA256, Groups: h}
		out["BSI plain "+name] = emrtdtest.Signing{Key: emrtdtest.BrainpoolP256r1, Hash: h, Plain: true}
	}
	for _, curve := range []string{
		emrtdtest.P224, emrtdtest.P256, emrtdtest.P384, emrtdtest.P521, emrtdtest.BrainpoolP256r1, emrtdtest.BrainpoolP384r1, emrtdtest.BrainpoolP512r1,
	} {
		out[curve+" named"] = emrtdtest.Signing{Key: curve, Hash: crypto.SHA384}
		out[curve+" explicit"] = emrtdtest.Signing{Key: curve, Hash: crypto.SHA384, Explicit: true}
	}
	out["key for PSS"] = emrtdtest.Signing{Key: emrtdtest.RSA, Hash: crypto.SHA256, PSS: true, PSSKey: true}
	out["RSA, by key identifier"] = emrtdtest.Signing{Key: emrtdtest.RSA, Hash: crypto.SHA256, KeyID: true}
	out["ECDSA, by key identifier"] = emrtdtest.Signing{Key: emrtdtest.P256, Hash: crypto.SHA256, KeyID: true}
	out["no signing time"] = emrtdtest.Signing{Key: emrtdtest.P256, Hash: crypto.SHA256, NoTime: true}
	return out
}

// alteredSOD is what a list of hashes says that somebody rewrote.
func alteredSOD() map[string]interview.Check {
	unsound := bad(interview.NotDone, ReasonSignatureNotSound)
	return map[string]interview.Check{
		CheckSignature: bad(interview.Failed, ReasonAltered), CheckChain: unsound, CheckIssuer: unsound, CheckRevocation: unsound, CheckDowngrade: unsound,
		CheckDG1: bad(interview.Failed, ReasonAltered), CheckDG2: bad(interview.Undetermined, ReasonSignatureNotSound),
	}
}

// B1, B2: every algorithm and shape in which documents are signed is verified,
// a rewritten list of hashes is altered under each, and OpenSSL says the same.
func TestEachSignatureOfDocumentSigners(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("openssl is not installed: its agreement was not asked for")
	}
	s, list := newState(t, emrtdtest.ECDSA)
	rows := 0
	for name, how := range signings() {
		s.SignAs(how)
		for variant, want := range map[emrtdtest.Variant]map[string]interview.Check{emrtdtest.Genuine: {}, emrtdtest.AlteredSOD: alteredSOD()} {
			rows++
			p := issue(t, s, variant)
			expect(t, fmt.Sprintf("%s, %s", name, variant), inspect(t, list, p, 0), want)
			if openssl == "" || how.Plain { // which OpenSSL does not know
				continue
			}
			if out, err := opensslVerify(t, openssl, s, p, how.Explicit); (err == nil) != (variant == emrtdtest.Genuine) {
				t.Errorf("%s, %s: openssl says %v: %s", name, variant, err, out)
			}
		}
	}
	t.Logf("%d documents", rows)
}

// opensslVerify asks OpenSSL for its opinion, of the chain as well unless the
// signer's key spells its curve out: such a chain OpenSSL refuses on principle.
func opensslVerify(t *testing.T, openssl string, s *emrtdtest.State, p *emrtdtest.Passport, explicit bool) ([]byte, error) {
	t.Helper()
	body, err := onlyTLV(p.SOD, 0x77)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sod, root := filepath.Join(dir, "sod.der"), filepath.Join(dir, "csca.pem")
	if err := errors.Join(os.WriteFile(sod, body, 0o600), os.WriteFile(root, s.CSCAPEM(), 0o600)); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"cms", "-verify", "-inform", "DER", "-in", sod, "-CAfile", root, "-purpose", "any", "-binary", "-out", os.DevNull}
	if explicit {
		arguments = append(arguments, "-noverify")
	}
	return exec.Command(openssl, arguments...).CombinedOutput()
}

// B1: cards and sheets as well as booklets, numbers that go on in the optional
// field, and what is wrong with each.
func TestEachFormatOfDocuments(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	long := holder
	long.DocumentNumber = "D23145890734"
	pace := []emrtdtest.PACE{{Curve: emrtdtest.BrainpoolP256r1, Cipher: emrtdtest.AES256}}
	mismatch := bad(interview.Failed, ReasonMismatch)
	wrong := map[emrtdtest.Variant][2]map[string]interview.Check{ // opened by BAC, by PACE
		emrtdtest.Genuine:    {{}, chipDiffers[emrtdtest.WithPACE]},
		emrtdtest.WrongMRZ:   {chipUnread(interview.Failed, ReasonKeyRefused), chipUnread(interview.Failed, ReasonPACERefused)},
		emrtdtest.OtherPrint: {{CheckDG1Optical: mismatch}, with(chipDiffers[emrtdtest.WithPACE], map[string]interview.Check{CheckDG1Optical: mismatch})},
		emrtdtest.WrongDigit: {
			{CheckMRZDigits: bad(interview.Failed, ReasonDigitsWrong), CheckDG1Optical: mismatch},
			with(chipDiffers[emrtdtest.WithPACE], map[string]interview.Check{CheckMRZDigits: bad(interview.Failed, ReasonDigitsWrong), CheckDG1Optical: mismatch}),
		},
	}
	for name, c := range map[string]struct {
		who    emrtdtest.Person
		format emrtdtest.Format
		want   Format
	}{
		"booklet": {holder, emrtdtest.TD3, TD3}, "card": {holder, emrtdtest.TD1, TD1}, "sheet": {holder, emrtdtest.TD2, TD2}, "long number": {long, emrtdtest.TD1, TD1},
	} {
		for variant, want := range wrong {
			for i, offers := range [][]emrtdtest.PACE{nil, pace} {
				p, err := s.IssueChip(c.who, emrtdtest.Chip{Format: c.format, PACE: offers}, variant)
				if err != nil {
					t.Fatal(err)
				}
				doc := inspect(t, list, p, 0)
				expect(t, fmt.Sprintf("%s, %s, %d offers", name, variant, len(offers)), doc, want[i])
				if doc.Access != "" && (doc.MRZ.Format != c.want || doc.MRZ.DocumentNumber != c.who.DocumentNumber) {
					t.Errorf("%s: read as %s", name, doc.MRZ.Format)
				}
			}
		}
	}
}

// A machine whose clock is wrong says what the clock makes of the document, and
// never that it is forged.
func TestWrongClocks(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	p := issue(t, s, emrtdtest.Genuine)
	crl, err := s.CRL()
	if err != nil {
		t.Fatal(err)
	}
	lists, err := ImportRevocationLists(list, crl)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	good := bad(interview.Verified, ReasonOK)
	noList := bad(interview.NotDone, ReasonNoRevocationList)
	for name, c := range map[string]struct {
		years, days int
		differs     map[string]interview.Check
	}{
		"right":                        {0, 0, map[string]interview.Check{CheckRevocation: good}},
		"a day slow":                   {0, -1, map[string]interview.Check{CheckRevocation: noList}},
		"two months slow":              {0, -60, map[string]interview.Check{CheckRevocation: noList, CheckChain: bad(interview.Undetermined, ReasonSignerNotYet)}},
		"of 1970":                      {-56, 0, map[string]interview.Check{CheckRevocation: noList, CheckChain: bad(interview.Undetermined, ReasonSignerNotYet)}},
		"two months fast":              {0, 60, map[string]interview.Check{CheckRevocation: bad(interview.Undetermined, ReasonRevocationStale)}},
		"five years fast":              {5, 0, map[string]interview.Check{CheckRevocation: bad(interview.Undetermined, ReasonRevocationStale), CheckExpiry: bad(interview.Failed, ReasonExpired)}},
		"ten years fast, all run out":  {10, 0, map[string]interview.Check{CheckRevocation: bad(interview.Undetermined, ReasonRevocationStale), CheckExpiry: bad(interview.Failed, ReasonExpired), CheckChain: bad(interview.Undetermined, ReasonSignerExpired)}},
		"in the document's last hours": {4, 0, map[string]interview.Check{CheckRevocation: bad(interview.Undetermined, ReasonRevocationStale)}},
	} {
		p.Card().Reset()
		now := time.Now().AddDate(c.years, 0, c.days)
		doc, err := (&Inspector{Trust: list, Revoked: lists, Now: func() time.Time { return now }}).Inspect(context.Background(), p.Card(), zone)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, name, doc, c.differs)
	}
}
