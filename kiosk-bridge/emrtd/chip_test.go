package emrtd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
)

var (
	ok         = interview.Check{Verdict: interview.Verified, Reason: ReasonOK}
	notOffered = interview.Check{Verdict: interview.NotDone, Reason: ReasonNotOffered}
)

func proven(by string) interview.Check {
	return interview.Check{Verdict: interview.Verified, Reason: by}
}

// with is one map of differences over another.
func with(base, more map[string]interview.Check) map[string]interview.Check {
	out := map[string]interview.Check{}
	for _, m := range []map[string]interview.Check{base, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// What chips with PACE or keys say, as they differ from one that has neither.
var chipDiffers = func() map[emrtdtest.Variant]map[string]interview.Check {
	pace := map[string]interview.Check{
		CheckAccess: {Verdict: interview.Verified, Reason: ReasonPACE}, CheckDG14: ok, CheckDowngrade: ok,
	}
	mapping := with(pace, map[string]interview.Check{
		CheckAccess: proven(ReasonPACECAM), CheckMapping: ok, CheckChipOriginal: proven(CheckMapping),
	})
	active := map[string]interview.Check{
		CheckDG14: ok, CheckDG15: ok, CheckActiveAuth: ok, CheckChipOriginal: proven(CheckActiveAuth),
	}
	agreement := map[string]interview.Check{CheckDG14: ok, CheckChipAuth: ok, CheckChipOriginal: proven(CheckChipAuth)}
	all := with(with(pace, active), with(agreement, map[string]interview.Check{CheckDG7: ok, CheckDG11: ok, CheckDG12: ok}))
	copied := bad(interview.Failed, ReasonNotOriginal)
	unproven := bad(interview.Undetermined, ReasonKeyNotProven)
	altered, unused := bad(interview.Failed, ReasonAltered), bad(interview.NotDone, ReasonAltered)
	refused := bad(interview.Undetermined, ReasonChipRefused)
	return map[emrtdtest.Variant]map[string]interview.Check{
		emrtdtest.RevokedSigner: {}, emrtdtest.RevokedLater: {}, emrtdtest.CompromisedSigner: {}, // without a list, see TestRevokedSigners

		emrtdtest.WithPACE:      pace,
		emrtdtest.WithMapping:   mapping,
		emrtdtest.WithActive:    active,
		emrtdtest.WithAgreement: agreement,
		emrtdtest.WithAll:       all,
		emrtdtest.WrongMRZPACE:  chipUnread(interview.Failed, ReasonPACERefused),
		emrtdtest.LyingPACE:     chipUnread(interview.Failed, ReasonNotGenuine),
		emrtdtest.StrippedPACE:  {CheckDG14: ok, CheckDowngrade: bad(interview.Failed, ReasonPACEWithheld)},
		emrtdtest.ForeignPACE:   with(pace, map[string]interview.Check{CheckDowngrade: bad(interview.Failed, ReasonInfosDiffer)}),
		emrtdtest.UnsignedPACE:  {CheckAccess: proven(ReasonPACE), CheckDowngrade: bad(interview.Undetermined, ReasonNotListed)},
		emrtdtest.UnknownPACE:   {CheckAccess: proven(ReasonBACOnly), CheckDG14: ok, CheckDowngrade: ok},
		emrtdtest.ClonedMapping: with(mapping, map[string]interview.Check{CheckMapping: copied, CheckChipOriginal: copied}),
		emrtdtest.ForeignSecurity: with(mapping, map[string]interview.Check{
			CheckMapping: bad(interview.Undetermined, ReasonUnknownIssuer), CheckChipOriginal: unproven,
		}),
		emrtdtest.ClonedActive:    with(active, map[string]interview.Check{CheckActiveAuth: copied, CheckChipOriginal: copied}),
		emrtdtest.ClonedAgreement: with(agreement, map[string]interview.Check{CheckChipAuth: copied, CheckChipOriginal: copied}),
		emrtdtest.StrippedKeys: with(all, map[string]interview.Check{
			CheckDG14: refused, CheckDG15: refused, CheckDowngrade: refused,
			CheckActiveAuth: notOffered, CheckChipAuth: notOffered, CheckChipOriginal: bad(interview.Failed, ReasonKeyWithheld),
		}),
		emrtdtest.AlteredDG14: with(agreement, map[string]interview.Check{CheckDG14: altered, CheckDowngrade: bad(interview.Undetermined, ReasonAltered), CheckChipAuth: unused, CheckChipOriginal: unproven}),
		emrtdtest.AlteredDG15: with(active, map[string]interview.Check{CheckDG15: altered, CheckActiveAuth: unused, CheckChipOriginal: unproven}),
		emrtdtest.AlteredDG7:  with(all, map[string]interview.Check{CheckDG7: altered}),
		emrtdtest.AlteredDG12: with(all, map[string]interview.Check{CheckDG12: altered}),
		emrtdtest.MissingDG7:  with(all, map[string]interview.Check{CheckDG7: refused}),
		emrtdtest.MissingDG11: with(all, map[string]interview.Check{CheckDG11: refused}),
		emrtdtest.MissingDG12: with(all, map[string]interview.Check{CheckDG12: refused}),
		emrtdtest.MissingDG14: with(all, map[string]interview.Check{ // active authentication's algorithm stands there, too
			CheckDG14: refused, CheckDowngrade: refused, CheckChipAuth: notOffered, CheckActiveAuth: bad(interview.Undetermined, ReasonAlgorithm),
			CheckChipOriginal: bad(interview.Failed, ReasonKeyWithheld),
		}),
		emrtdtest.MissingDG15: with(all, map[string]interview.Check{
			CheckDG15: refused, CheckActiveAuth: notOffered, CheckChipOriginal: bad(interview.Failed, ReasonKeyWithheld),
		}),
		emrtdtest.AlteredDG11:   with(all, map[string]interview.Check{CheckDG11: altered}),
		emrtdtest.TurncoatChip:  with(agreement, map[string]interview.Check{CheckChipAuth: copied, CheckChipOriginal: copied}),
		emrtdtest.MuteKeys:      with(all, map[string]interview.Check{CheckActiveAuth: refused, CheckChipAuth: refused, CheckChipOriginal: unproven}),
		emrtdtest.TornAgreement: with(agreement, map[string]interview.Check{CheckChipAuth: bad(interview.Undetermined, ReasonChipSilent), CheckChipOriginal: unproven}),
	}
}()

func issueChip(t testing.TB, s *emrtdtest.State, chip emrtdtest.Chip) *emrtdtest.Passport {
	t.Helper()
	p, err := s.IssueChip(holder, chip, emrtdtest.Genuine)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// B1: PACE over each curve with each cipher, with and without the chip's own
// mapping, read to the end.
func TestPACEOnEachCurveWithEachCipher(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	read := func(name string, offers []emrtdtest.PACE, want, original string) {
		doc := inspect(t, list, issueChip(t, s, emrtdtest.Chip{PACE: offers, NoBAC: true}), 0)
		if got := doc.Check(CheckAccess); got.Verdict != interview.Verified || got.Reason != want {
			t.Errorf("%s: access %+v", name, got)
		}
		for _, check := range []string{CheckChain, CheckDG1, CheckDG2, CheckDG1Optical, CheckDowngrade} {
			if got := doc.Check(check); got.Verdict != interview.Verified {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if got := doc.Check(CheckChipOriginal); got.Reason != original {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, curve := range []string{
		emrtdtest.P256, emrtdtest.P384, emrtdtest.P521, emrtdtest.BrainpoolP256r1, emrtdtest.BrainpoolP384r1, emrtdtest.BrainpoolP512r1,
	} {
		for _, cipher := range []emrtdtest.Cipher{emrtdtest.TDES, emrtdtest.AES128, emrtdtest.AES192, emrtdtest.AES256} {
			// Every curve and every cipher, without all their pairs.
			if cipher != emrtdtest.AES128 && curve != emrtdtest.BrainpoolP256r1 && curve != emrtdtest.P521 {
				continue
			}
			offer := emrtdtest.PACE{Curve: curve, Cipher: cipher}
			read(curve, []emrtdtest.PACE{offer}, ReasonPACE, ReasonCloningNotExcluded)
			if offer.CAM = true; cipher != emrtdtest.TDES {
				read(curve+" with chip mapping", []emrtdtest.PACE{offer}, ReasonPACECAM, CheckMapping)
			}
		}
	}
	read("several curves", []emrtdtest.PACE{
		{Curve: emrtdtest.P256, Cipher: emrtdtest.AES128}, {Curve: emrtdtest.BrainpoolP384r1, Cipher: emrtdtest.AES256}, {Curve: emrtdtest.P256, Cipher: emrtdtest.AES256},
	}, ReasonPACE, ReasonCloningNotExcluded)
}

// B1: keys for active and chip authentication in all their kinds, and a copy of
// each.
func TestChipKeysOfEachKind(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	chips := map[string]emrtdtest.Chip{}
	for _, kind := range []emrtdtest.Active{emrtdtest.ActiveRSA, emrtdtest.ActiveRSASHA1, emrtdtest.P256, emrtdtest.P521, emrtdtest.BrainpoolP384r1} {
		chips["active "+string(kind)] = emrtdtest.Chip{Active: kind}
	}
	for name, a := range map[string]emrtdtest.Agreement{
		"3DES":             {Curve: emrtdtest.BrainpoolP256r1, Cipher: emrtdtest.TDES},
		"3DES, unnamed":    {Curve: emrtdtest.P256, Cipher: emrtdtest.TDES, Explicit: true, Unnamed: true},
		"AES-128":          {Curve: emrtdtest.P256, Cipher: emrtdtest.AES128},
		"AES-192":          {Curve: emrtdtest.BrainpoolP384r1, Cipher: emrtdtest.AES192},
		"AES-256 explicit": {Curve: emrtdtest.BrainpoolP512r1, Cipher: emrtdtest.AES256, Explicit: true},
		"AES-256 P-521":    {Curve: emrtdtest.P521, Cipher: emrtdtest.AES256},
	} {
		chips["agreement "+name] = emrtdtest.Chip{Agreement: &a}
	}
	for name, chip := range chips {
		clone := emrtdtest.ClonedActive
		for variant, want := range map[emrtdtest.Variant]interview.Verdict{emrtdtest.Genuine: interview.Verified, clone: interview.Failed} {
			p, err := s.IssueChip(holder, chip, variant)
			if err != nil {
				t.Fatal(err)
			}
			doc := inspect(t, list, p, 0)
			if got := doc.Check(CheckChipOriginal); got.Verdict != want {
				t.Errorf("%s, %s: %+v %+v %+v", name, variant, got, doc.Check(CheckActiveAuth), doc.Check(CheckChipAuth))
			}
			if got := doc.Check(CheckDG2); got.Verdict != interview.Verified {
				t.Errorf("%s, %s: a proof spoiled the portrait: %+v", name, variant, got)
			}
			if !doc.HasChipKeys {
				t.Errorf("%s: no chip keys", name)
			}
		}
	}
}

// The card access number opens what the zone opens; a wrong one is named, and
// does not lead to the weaker access.
func TestCardAccessNumberOpensTheChip(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	p := issueChip(t, s, emrtdtest.Chip{PACE: []emrtdtest.PACE{{Curve: emrtdtest.P256, Cipher: emrtdtest.AES256}}, CAN: "314159"})
	zone, err := ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	for can, want := range map[string]interview.Check{
		"314159": {Name: CheckAccess, Verdict: interview.Verified, Reason: ReasonPACE},
		"271828": {Name: CheckAccess, Verdict: interview.Failed, Reason: ReasonPACERefused},
	} {
		pw, err := CANPassword(can)
		if err != nil {
			t.Fatal(err)
		}
		p.Card().Reset()
		doc, err := (&Inspector{Trust: list}).InspectWith(t.Context(), p.Card(), zone, pw)
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.Check(CheckAccess); got != want {
			t.Errorf("%s: %+v", can, got)
		}
		if want.Verdict == interview.Failed && doc.Access != "" {
			t.Errorf("after a failed PACE the chip was opened by %q", doc.Access)
		}
	}
}

// A card whose zone nobody read opens with its number: what is printed stays
// unjudged, and the chip's zone tells until when the card is valid. A chip without
// PACE stays closed.
func TestCardAccessNumberWithoutAZone(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	pw, err := CANPassword("314159")
	if err != nil {
		t.Fatal(err)
	}
	unread := bad(interview.NotDone, ReasonZoneNotRead)
	for name, c := range map[string]struct {
		chip    emrtdtest.Chip
		variant emrtdtest.Variant
		differs map[string]interview.Check
	}{
		"PACE": {
			emrtdtest.Chip{PACE: []emrtdtest.PACE{{Curve: emrtdtest.P256, Cipher: emrtdtest.AES256}}, CAN: "314159"}, emrtdtest.Genuine,
			with(chipDiffers[emrtdtest.WithPACE], map[string]interview.Check{CheckMRZDigits: unread, CheckDG1Optical: unread}),
		},
		"PACE, expired": {
			emrtdtest.Chip{PACE: []emrtdtest.PACE{{Curve: emrtdtest.P256, Cipher: emrtdtest.AES256}}, CAN: "314159"}, emrtdtest.ExpiredDocument,
			with(chipDiffers[emrtdtest.WithPACE], map[string]interview.Check{
				CheckMRZDigits: unread, CheckDG1Optical: unread, CheckExpiry: bad(interview.Failed, ReasonExpired),
			}),
		},
		"BAC": {
			emrtdtest.Chip{}, emrtdtest.Genuine,
			with(chipUnread(interview.Undetermined, ReasonZoneNotRead), map[string]interview.Check{CheckMRZDigits: unread, CheckExpiry: unread}),
		},
	} {
		p, err := s.IssueChip(holder, c.chip, c.variant)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := (&Inspector{Trust: list}).InspectWith(t.Context(), p.Card(), MRZ{}, pw)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, name, doc, c.differs)
		if (doc.MRZ.Surname == holder.Surname) != (doc.Access != "") {
			t.Errorf("%s: zone of the chip: %v", name, doc.MRZ)
		}
	}
	for _, can := range []string{"", "12345", "1234567", "12345a", "١٢٣٤٥٦"} {
		if _, err := CANPassword(can); !errors.Is(err, ErrCAN) {
			t.Errorf("%q: %v", can, err)
		}
	}
}

// B2: a signer that its state withdrew, judged at the time of signing, unless
// others have its key: then no time of signing is worth anything.
func TestRevokedSigners(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	passports := map[emrtdtest.Variant]*emrtdtest.Passport{}
	for _, v := range []emrtdtest.Variant{emrtdtest.Genuine, emrtdtest.RevokedSigner, emrtdtest.RevokedLater, emrtdtest.CompromisedSigner} {
		passports[v] = issue(t, s, v)
	}
	current, err := s.CRL()
	if err != nil {
		t.Fatal(err)
	}
	stale, err := s.StaleCRL()
	if err != nil {
		t.Fatal(err)
	}
	judge := func(v emrtdtest.Variant, crls ...[]byte) interview.Check {
		lists, err := ImportRevocationLists(list, crls...)
		if err != nil {
			t.Fatal(err)
		}
		p := passports[v]
		p.Card().Reset()
		zone, err := ParseMRZ(p.Printed)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := (&Inspector{Trust: list, Revoked: lists}).Inspect(t.Context(), p.Card(), zone)
		if err != nil {
			t.Fatal(err)
		}
		return doc.Check(CheckRevocation)
	}
	for v, want := range map[emrtdtest.Variant]interview.Check{
		emrtdtest.Genuine:           {Name: CheckRevocation, Verdict: interview.Verified, Reason: ReasonOK},
		emrtdtest.RevokedSigner:     {Name: CheckRevocation, Verdict: interview.Failed, Reason: ReasonSignerRevoked},
		emrtdtest.RevokedLater:      {Name: CheckRevocation, Verdict: interview.Undetermined, Reason: ReasonSignerRevokedLater},
		emrtdtest.CompromisedSigner: {Name: CheckRevocation, Verdict: interview.Failed, Reason: ReasonSignerRevoked},
	} {
		if got := judge(v, current); got != want {
			t.Errorf("%s: %+v", v, got)
		}
		if got := judge(v, stale, current); got != want {
			t.Errorf("%s, with an older list beside it: %+v", v, got)
		}
	}
	if got := judge(emrtdtest.Genuine, stale); got.Verdict != interview.Undetermined || got.Reason != ReasonRevocationStale {
		t.Errorf("an outdated list: %+v", got)
	}
	if got := judge(emrtdtest.RevokedSigner, stale); got.Verdict != interview.Failed {
		t.Errorf("a withdrawn signer on an outdated list: %+v", got)
	}
	if got := judge(emrtdtest.Genuine); got.Verdict != interview.NotDone || got.Reason != ReasonNoRevocationList {
		t.Errorf("no list: %+v", got)
	}
}

// A list that no known state signed is not imported.
func TestForeignRevocationListsAreRefused(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	other, otherList := newState(t, emrtdtest.ECDSA)
	issue(t, s, emrtdtest.RevokedSigner)
	crl, err := s.CRL()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.CRL()
	if err != nil {
		t.Fatal(err)
	}
	if l, err := ImportRevocationLists(list, crl); err != nil || l.Len() != 1 {
		t.Fatal(err)
	}
	altered := bytes.Clone(crl)
	altered[len(altered)/2] ^= 1
	for name, c := range map[string]struct {
		list *TrustList
		crl  []byte
	}{
		"another state's": {list, foreign}, "of a state that nobody knows": {&TrustList{}, crl}, "the other way round": {otherList, crl},
		"altered": {list, altered}, "cut short": {list, crl[:len(crl)-1]}, "a certificate": {list, s.CSCA()}, "empty": {list, nil},
	} {
		if _, err := ImportRevocationLists(c.list, c.crl); !errors.Is(err, ErrRevocationList) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// B1: what the factory put into the further groups comes out.
func TestReadingGivesDetails(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	doc := inspect(t, list, issue(t, s, emrtdtest.WithAll), 0)
	d, i := doc.Details, doc.Issuance
	if d.FullName != "ERIKSSON ANNA MARIA" || d.DateOfBirth != "19740812" || d.PlaceOfBirth != "ZENITH UTOPIA" ||
		d.Address != "LÖNNROTINKATU 1 HELSINKI" || len(d.OtherNames) != 1 || d.OtherNames[0] != "NOBODY AT ALL" {
		t.Errorf("DG11: %+v", d.OtherNames)
	}
	if i.Authority != "PASSPORT OFFICE" || i.Date != "20240517" || i.Personalised != "20240517101530" {
		t.Errorf("DG12: %q %q", i.Date, i.Personalised)
	}
	if len(doc.Signatures) != 1 || len(doc.Signatures[0]) != 4 {
		t.Errorf("DG7: %d pictures", len(doc.Signatures))
	}
	for _, text := range []string{d.String(), d.GoString(), i.String(), MRZPassword(doc.MRZ).String()} {
		if !strings.Contains(text, "redacted") {
			t.Errorf("printed: %s", text)
		}
	}
}

// A chip's answers are as long as it says; one that does not say is tried, and
// where it, or the reader before it, refuses, the document is read all the same.
func TestExtendedLengthAndItsFallBack(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	pace := []emrtdtest.PACE{{Curve: emrtdtest.P256, Cipher: emrtdtest.AES128}}
	mapping := []emrtdtest.PACE{{Curve: emrtdtest.P256, Cipher: emrtdtest.AES128, CAM: true}}
	for name, offers := range map[string][]emrtdtest.PACE{"BAC": nil, "PACE": pace, "PACE with mapping": mapping} {
		count := func(limit, chunk int, lengths emrtdtest.Lengths) int {
			t.Helper()
			p := issueChip(t, s, emrtdtest.Chip{LongAnswers: limit, PACE: offers, Lengths: lengths, Active: emrtdtest.ActiveRSA})
			doc := inspect(t, list, p, chunk)
			for _, check := range []string{CheckAccess, CheckChain, CheckDG1, CheckDG2, CheckDG1Optical, CheckDG15, CheckActiveAuth} {
				if got := doc.Check(check); got.Verdict != interview.Verified {
					t.Errorf("%s, limit %d, chunk %d, lengths %d: %+v", name, limit, chunk, lengths, got)
				}
			}
			if len(doc.Checks) != len(doc.distinct()) {
				t.Errorf("%s: a check twice", name)
			}
			return p.Card().Commands()
		}
		short := count(1500, ShortAnswers, emrtdtest.TakesLong)
		said, tried := count(1500, 0, emrtdtest.TakesLong), count(0, 0, emrtdtest.TakesLong)
		if said > short/2 || tried > short/2 {
			t.Errorf("%s: %d commands with long answers said, %d tried, %d with short ones", name, said, tried, short)
		}
		t.Logf("%s: %d commands in short length, %d in extended length that the chip announces, %d that is tried", name, short, said, tried)
		for _, lengths := range []emrtdtest.Lengths{emrtdtest.RefusesBare, emrtdtest.RefusesProtected, emrtdtest.SilentLong, emrtdtest.CutsLong} {
			used := count(0, 0, lengths)
			t.Logf("%s, refusal %d: %d commands", name, lengths, used)
			if used > short+24 { // one more access and one try
				t.Errorf("%s, refusal %d: %d commands, %d without the try", name, lengths, used, short)
			}
		}
	}
	for name, c := range map[string]struct {
		b    string
		want int
	}{
		"plain": {"7F660802020200020205DC", 1500 - 64}, "capped": {"7F660A020300FFFF020300FFFF", longestRead},
		"tiny": {"7F6608020200FF020200FF", shortRead}, "absent": {"4301B8", triedRead}, "one value": {"7F660402020200", shortRead},
		"empty": {"", triedRead}, "broken": {"7F66", triedRead}, "long integer": {"7F660A0205000000010002010A", shortRead},
	} {
		if got := parseChunk(unhex(t, c.b)); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func (d *Document) distinct() map[string]bool {
	out := map[string]bool{}
	for _, c := range d.Checks {
		out[c.Name] = true
	}
	return out
}

// A chip that falls silent, long answers or not, is opened once more at most.
func TestTheFallBackHappensOnce(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	for _, v := range []emrtdtest.Variant{emrtdtest.TornChip, emrtdtest.WrongChecksum} {
		p := issue(t, s, v)
		doc := inspect(t, list, p, 0)
		if doc.Access != ReasonBAC {
			t.Errorf("%s: what was learnt before is lost: %+v", v, doc.Check(CheckAccess))
		}
		if n := p.Card().Commands(); n > 60 {
			t.Errorf("%s: asked %d times", v, n)
		}
	}
}

// A file beyond 32 kB is read in short answers under every cipher: there the
// offset travels as data, and each answer is one object more.
func TestLargeFilesInShortAnswers(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	for name, offers := range map[string][]emrtdtest.PACE{
		"BAC": nil, "3DES": {{Curve: emrtdtest.P256, Cipher: emrtdtest.TDES}}, "AES": {{Curve: emrtdtest.P256, Cipher: emrtdtest.AES256}},
	} {
		for _, chunk := range []int{ShortAnswers, 2048} {
			p := issueChip(t, s, emrtdtest.Chip{PACE: offers, Portrait: 34_000})
			card := &widest{card: p.Card()}
			zone, err := ParseMRZ(p.Printed)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := (&Inspector{Trust: list, Chunk: chunk}).Inspect(t.Context(), card, zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := doc.Check(CheckDG2); got.Verdict != interview.Verified || len(doc.Face.Image) < 40_000 {
				t.Errorf("%s, chunk %d: %+v", name, chunk, got)
			}
			if chunk == ShortAnswers && (card.answer > 258 || card.command > 261) {
				t.Errorf("%s: command of %d and answer of %d bytes where all should be short", name, card.command, card.answer)
			}
		}
	}
}

// widest notes the longest command and answer.
type widest struct {
	card            Card
	command, answer int
}

func (w *widest) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	out, err := w.card.Transmit(ctx, apdu)
	w.command, w.answer = max(w.command, len(apdu)), max(w.answer, len(out))
	return out, err
}

// The data of one state on another state's genuine chip: the chip proves a key,
// but not that of this document.
func TestMappingOfAnotherStatesChip(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	chip := emrtdtest.Chip{PACE: []emrtdtest.PACE{{Curve: emrtdtest.P256, Cipher: emrtdtest.AES128, CAM: true}}}
	p, err := s.IssueChip(holder, chip, emrtdtest.OtherState)
	if err != nil {
		t.Fatal(err)
	}
	doc := inspect(t, list, p, 0)
	if got := doc.Check(CheckMapping); got.Verdict != interview.Failed || got.Reason != ReasonMismatch {
		t.Errorf("got %+v", got)
	}
	if got := doc.Check(CheckChipOriginal); got.Verdict != interview.Failed {
		t.Errorf("got %+v", got)
	}
}

// EF.CardSecurity is neither a security object nor anything that was changed.
func TestShapesThatAreNoCardSecurity(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	p := issue(t, s, emrtdtest.WithMapping)
	zone, err := ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	in := inspection{Inspector: &Inspector{}, optical: zone, password: MRZPassword(zone), doc: &Document{}}
	chip, err := in.open(t.Context(), p.Card(), ShortAnswers)
	if err != nil {
		t.Fatal(err)
	}
	good, err := parseCardSecurity(chip.security.b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chip.pace.verifyMapping(good, list, time.Now()); err != nil {
		t.Fatal(err)
	}
	sod, err := onlyTLV(p.SOD, 0x77)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCardSecurity(sod); !errors.Is(err, ErrCMS) {
		t.Errorf("a security object in its place: %v", err)
	}
	altered := bytes.Clone(chip.security.b)
	i := bytes.Index(altered, good.cms.content)
	altered[i+len(good.cms.content)-5] ^= 1
	if c, err := parseCardSecurity(altered); err == nil {
		if _, err := chip.pace.verifyMapping(c, list, time.Now()); !errors.Is(err, errTampered) {
			t.Errorf("altered: %v", err)
		}
	}
	good.cms.content = append(bytes.Clone(good.cms.content), 0)
	if _, err := chip.pace.verifyMapping(good, list, time.Now()); !errors.Is(err, errTampered) {
		t.Errorf("content that its signer did not sign: %v", err)
	}
}

// Of several keys the one with the protocol's number is taken; a protocol
// without a key is none.
func TestChipAuthenticationPicksItsKey(t *testing.T) {
	t.Parallel()
	c := groupOf(t, "P-256").curve
	first, second := &ecKey{c, c.gx, c.gy}, &ecKey{c, c.gx, new(big.Int).Sub(c.p, c.gy)}
	two := []chipAuthKey{{first, 1}, {second, 2}}
	for name, tc := range map[string]struct {
		infos securityInfos
		want  *ecKey
		alg   algorithm
	}{
		"by number":              {securityInfos{chip: []chipAuthInfo{{nil, algAES128, 2}}, keys: two}, second, algAES128},
		"the strongest":          {securityInfos{chip: []chipAuthInfo{{nil, algTDES, 1}, {nil, algAES256, 2}}, keys: two}, second, algAES256},
		"without numbers":        {securityInfos{chip: []chipAuthInfo{{nil, algAES192, -1}}, keys: two[:1]}, first, algAES192},
		"a key alone":            {securityInfos{keys: two[:1]}, first, algTDES},
		"no key for the number":  {securityInfos{chip: []chipAuthInfo{{nil, algAES128, 3}}, keys: two}, nil, 0},
		"two keys, no protocol":  {securityInfos{keys: two}, nil, 0},
		"ambiguous without one":  {securityInfos{chip: []chipAuthInfo{{nil, algAES128, -1}}, keys: two}, nil, 0},
		"a protocol without key": {securityInfos{chip: []chipAuthInfo{{nil, algAES128, 1}}}, nil, 0},
		"nothing":                {securityInfos{}, nil, 0},
	} {
		info, key, err := tc.infos.chipAuth()
		if (err == nil) != (tc.want != nil) || key.key != tc.want || info.algorithm != tc.alg {
			t.Errorf("%s: %+v %v", name, info, err)
		}
	}
}

// Security infos that are not in order are refused as a whole; unknown ones are
// passed over.
func TestShapesThatAreNoSecurityInfos(t *testing.T) {
	t.Parallel()
	const known = "3012060A04007F0007020204020202010202010D"
	infos, err := parseSecurityInfos(unhex(t, "311F"+known+"300906042A0304050201"+"07"))
	if err != nil || len(infos.pace) != 1 || len(infos.paces) != 1 {
		t.Errorf("an unknown entry beside a known one: %+v %v", infos, err)
	}
	for name, text := range map[string]string{
		"empty":                 "",
		"a sequence":            "3014" + known,
		"bytes behind":          "3114" + known + "00",
		"cut short":             "31143012060A04007F000702020402020201",
		"version is text":       "31143012060A04007F000702020402020C010202010D",
		"parameter is text":     "31143012060A04007F0007020204020202010" + "20C010D",
		"parameter is negative": "31143012060A04007F000702020402020201020201FF",
	} {
		if infos, err := parseSecurityInfos(unhex(t, text)); err == nil {
			t.Errorf("%s was accepted: %+v", name, infos)
		}
	}
	// A key that cannot be used is noted, and is no key.
	const point = "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
	key := func(number, point string) string {
		body := "060904007F00070202010" + "2" + "3052300C060704007F0007010202" + "01" + number + "034200" + point
		return "3161305F" + body
	}
	generator := point + "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
	if infos, err := parseSecurityInfos(unhex(t, key("0C", generator))); err != nil || len(infos.keys) != 1 || infos.unusable {
		t.Fatalf("a key on P-256: %+v %v", infos, err)
	}
	for name, text := range map[string]string{
		"off its curve":     key("0C", point+strings.Repeat("11", 32)),
		"another curve":     key("0D", generator),
		"an unknown curve":  key("63", generator),
		"key over integers": "3111300F060904007F0007020201013002" + "0500",
	} {
		infos, err := parseSecurityInfos(unhex(t, text))
		if err != nil || !infos.unusable || len(infos.keys) != 0 {
			t.Errorf("%s: %+v %v", name, infos, err)
		}
	}
	// Offers that cannot be used are kept for comparison, and not offered.
	for name, text := range map[string]string{
		"version 1":         "31143012060A04007F0007020204020202010102010D",
		"unknown curve":     "31143012060A04007F0007020204020202010202017F",
		"unknown cipher":    "31143012060A04007F0007020204020902010202010D",
		"CAM with 3DES":     "31143012060A04007F0007020204060102010202010D",
		"integrated":        "31143012060A04007F0007020204040202010202010D",
		"without parameter": "3111300F060A04007F00070202040202020102",
	} {
		infos, err := parseSecurityInfos(unhex(t, text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, _, found := infos.best(); found || len(infos.paces) != 1 {
			t.Errorf("%s is offered", name)
		}
	}
}

// ISO/IEC 9796-2 by hand: what is not header, own part, hash and trailer is no
// signature.
func TestRecoverableSignatures(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	challenge := []byte("12345678")
	message := func(change func([]byte)) []byte {
		own := bytes.Repeat([]byte{0x5A}, key.Size()-1-32-2)
		m := concat([]byte{0x6A}, own, digest(trailerHash[0x34], concat(own, challenge)), []byte{0x34, 0xCC})
		change(m)
		return m
	}
	sign := func(m []byte) []byte {
		v := new(big.Int).SetBytes(m)
		return v.Exp(v, key.D, key.N).FillBytes(make([]byte, key.Size()))
	}
	good := sign(message(func([]byte) {}))
	if err := verifyRecovery(&key.PublicKey, challenge, good); err != nil {
		t.Fatal(err)
	}
	mirrored := new(big.Int).Sub(key.N, new(big.Int).SetBytes(good)).FillBytes(make([]byte, key.Size()))
	if err := verifyRecovery(&key.PublicKey, challenge, mirrored); err != nil {
		t.Errorf("n-s: %v", err)
	}
	for name, sig := range map[string][]byte{
		"header":       sign(message(func(m []byte) { m[0] = 0x4A })),
		"own part":     sign(message(func(m []byte) { m[9] ^= 1 })),
		"hash":         sign(message(func(m []byte) { m[len(m)-9] ^= 1 })),
		"trailer":      sign(message(func(m []byte) { m[len(m)-1] = 0xBB })),
		"trailer hash": sign(message(func(m []byte) { m[len(m)-2] = 0x31 })),
		"zero":         make([]byte, key.Size()),
		"modulus":      key.N.Bytes(),
		"short":        good[1:],
		"empty":        nil,
	} {
		if err := verifyRecovery(&key.PublicKey, challenge, sig); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := verifyRecovery(&key.PublicKey, []byte("87654321"), good); !errors.Is(err, ErrNotOriginal) {
		t.Errorf("another challenge: %v", err)
	}
}

// A chip that gives its answer in parts is heard to the end.
func TestAnswersInParts(t *testing.T) {
	t.Parallel()
	r, err := transmit(t.Context(), &script{t, [][2]string{{"00B0000000", "01026103"}, {"00C0000003", "0304059000"}}}, unhex(t, "00B0000000"))
	if err != nil || !bytes.Equal(r.Data, []byte{1, 2, 3, 4, 5}) || r.Status != StatusOK {
		t.Errorf("%v %v", r, err)
	}
}

// B10: server time of a whole judgement with PACE and both keys.
func BenchmarkInspectWithEverything(b *testing.B) {
	s, list := newState(b, emrtdtest.ECDSA)
	p := issue(b, s, emrtdtest.WithAll)
	for b.Loop() {
		p.Card().Reset()
		if doc := inspect(b, list, p, 0); doc.Check(CheckChipOriginal).Verdict != interview.Verified {
			b.Fatal(doc.Checks)
		}
	}
}
