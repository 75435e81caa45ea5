package emrtdtest

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Variant is a passport that is wrong in one way.
type Variant string

// Variants. Each differs from [Genuine] in the one thing that its name says; of
// those that need a chip with PACE or keys, the genuine ones come first.
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
	PACEOnly        Variant = "pace-only"        // no basic access control, and no PACE either
	WrongChecksum   Variant = "wrong-checksum"   // somebody on the way changes answers

	RevokedSigner     Variant = "revoked-signer"     // withdrawn before it signed
	RevokedLater      Variant = "revoked-later"      // withdrawn since it signed
	CompromisedSigner Variant = "compromised-signer" // withdrawn since, because others have its key

	FutureSigner      Variant = "future-signer"       // the signer's certificate begins in three days
	SignerBeforeState Variant = "signer-before-state" // the signer's certificate is older than its issuer's
	KeyOutlived       Variant = "key-outlived"        // signed when the private key was to be used no more
	Specimen          Variant = "specimen"            // a sample that was made to be shown
	SlowChip          Variant = "slow-chip"           // takes its time over each command
	UnlistedDG1       Variant = "unlisted-dg1"        // the zone is not in the signed list

	WithPACE        Variant = "with-pace"           // PACE with generic mapping, no other way in
	WithMapping     Variant = "with-chip-mapping"   // PACE with chip authentication mapping
	WithActive      Variant = "with-active-auth"    // a key for active authentication
	WithAgreement   Variant = "with-chip-auth"      // a key for chip authentication
	WithAll         Variant = "with-everything"     // PACE, both keys and the holder's details
	WrongMRZPACE    Variant = "wrong-mrz-pace"      // as WrongMRZ, opened by PACE
	LyingPACE       Variant = "lying-pace"          // a chip that takes any password
	StrippedPACE    Variant = "stripped-pace"       // EF.CardAccess was taken away
	ForeignPACE     Variant = "foreign-pace"        // EF.CardAccess was rewritten
	UnsignedPACE    Variant = "unsigned-pace"       // EF.CardAccess offers what no DG14 signs
	UnknownPACE     Variant = "unknown-pace"        // offers PACE with integrated mapping only
	ClonedMapping   Variant = "cloned-chip-mapping" // copies without the private keys
	ClonedActive    Variant = "cloned-active-auth"  //
	ClonedAgreement Variant = "cloned-chip-auth"    //
	StrippedKeys    Variant = "stripped-keys"       // a copy that leaves DG14 and DG15 out
	AlteredDG14     Variant = "altered-dg14"        // a copy with a chip authentication key of its own
	AlteredDG15     Variant = "altered-dg15"        // a copy with an active authentication key of its own
	AlteredDG11     Variant = "altered-dg11"        // the holder's details were rewritten
	AlteredDG7      Variant = "altered-dg7"         // the signature's picture was rewritten
	AlteredDG12     Variant = "altered-dg12"        // the issuance's details were rewritten
	MissingDG1      Variant = "missing-dg1"         // signed for, and not on the chip: each group by itself
	MissingDG7      Variant = "missing-dg7"         //
	MissingDG11     Variant = "missing-dg11"        //
	MissingDG12     Variant = "missing-dg12"        //
	MissingDG14     Variant = "missing-dg14"        //
	MissingDG15     Variant = "missing-dg15"        //
	ExtraDG         Variant = "extra-dg"            // details that nobody signed beside what is signed
	ForeignSecurity Variant = "foreign-security"    // EF.CardSecurity signed by a state that nobody knows
	MuteKeys        Variant = "mute-keys"           // a copy that refuses to prove either key
	TurncoatChip    Variant = "turncoat-chip"       // gives another zone once it has proven its key
	TornAgreement   Variant = "torn-chip-auth"      // falls silent while proving its key
)

// Variants lists all, genuine first.
func Variants() []Variant {
	return []Variant{
		Genuine, AlteredDG1, AlteredDG2, AlteredSOD, MissingDG2, StrippedHash, HugeDG2, UnknownIssuer, ForgedSigner,
		OtherState, ExpiredSigner, SignedTooLate, WrongMRZ, OtherPrint, WrongDigit, ExpiredDocument, DeadChip, TornChip, PACEOnly, WrongChecksum,
		RevokedSigner, RevokedLater, CompromisedSigner, FutureSigner, SignerBeforeState, KeyOutlived, Specimen, SlowChip, UnlistedDG1,
		WithPACE, WithMapping, WithActive, WithAgreement, WithAll, WrongMRZPACE, LyingPACE, StrippedPACE, ForeignPACE, UnsignedPACE, UnknownPACE,
		ClonedMapping, ClonedActive, ClonedAgreement, StrippedKeys, AlteredDG14, AlteredDG15, AlteredDG11, AlteredDG7, AlteredDG12,
		MissingDG1, MissingDG7, MissingDG11, MissingDG12, MissingDG14, MissingDG15, ExtraDG, ForeignSecurity, TurncoatChip, MuteKeys, TornAgreement,
	}
}

// The one group that a variant is about.
var (
	altered  = map[Variant]int{AlteredDG7: 7, AlteredDG11: 11, AlteredDG12: 12}
	missing  = map[Variant]int{MissingDG1: 1, MissingDG2: 2, MissingDG7: 7, MissingDG11: 11, MissingDG12: 12, MissingDG14: 14, MissingDG15: 15}
	unlisted = map[Variant]int{UnlistedDG1: 1, StrippedHash: 2}
)

// chip is what a variant's chip can do.
func (v Variant) chip() Chip {
	pace := []PACE{{Curve: BrainpoolP256r1, Cipher: AES128}}
	agreement := &Agreement{Curve: BrainpoolP256r1, Cipher: AES128, Explicit: true}
	switch v {
	case WithPACE, WrongMRZPACE, LyingPACE, ForeignPACE:
		return Chip{PACE: pace, NoBAC: true, CAN: "271828"}
	case StrippedPACE, UnsignedPACE:
		return Chip{PACE: pace}
	case UnknownPACE:
		return Chip{PACE: []PACE{{Curve: P256, Cipher: AES128, Integrated: true}}}
	case WithMapping, ClonedMapping, ForeignSecurity:
		return Chip{PACE: []PACE{{Curve: P256, Cipher: AES128, CAM: true}}, NoBAC: true}
	case WithActive, ClonedActive, AlteredDG15:
		return Chip{Active: P256}
	case WithAgreement, ClonedAgreement, AlteredDG14, TurncoatChip, TornAgreement:
		return Chip{Agreement: agreement}
	case WithAll, StrippedKeys, MuteKeys, AlteredDG7, AlteredDG11, AlteredDG12, MissingDG7, MissingDG11, MissingDG12, MissingDG14, MissingDG15:
		return Chip{PACE: pace, Agreement: agreement, Active: BrainpoolP256r1, Details: true, LongAnswers: 1500}
	}
	return Chip{}
}

// Person is an invented holder.
type Person struct {
	Surname, GivenNames string // Latin capitals as the zone prints them
	DocumentNumber      string // up to nine letters and digits, in TD1 up to 22
	Nationality         string // three letters; empty means the issuing state's
	DateOfBirth         string // YYMMDD
	Sex                 string // M, F or empty
	Portrait            string // bytes of a JPEG of 413 by 531; empty: one is drawn
}

// Passport is an issued document: what is printed and what the chip holds.
type Passport struct {
	Printed string // the two printed lines of the zone, with a line break
	SOD     []byte // EF.SOD as the chip gives it

	card *Card
}

// Card returns the passport's chip. It is one chip: reset it between readers.
func (p *Passport) Card() *Card { return p.card }

// Issue makes a passport for a person, with the chip that the variant needs.
func (s *State) Issue(who Person, v Variant) (*Passport, error) { return s.IssueChip(who, v.chip(), v) }

// IssueChip makes a passport with a chip of one's choice.
func (s *State) IssueChip(who Person, chip Chip, v Variant) (*Passport, error) {
	from := s
	var err error
	switch v {
	case UnknownIssuer:
		from, err = NewState(s.Alpha2, s.Alpha3, s.scheme, s.now)
		if err == nil {
			from.root.SubjectKeyId, from.signing = append([]byte{0xFF}, from.root.SubjectKeyId[1:]...), s.signing
		}
	case ForgedSigner:
		from, err = s.impostor()
	}
	if err != nil {
		return nil, err
	}
	return from.issue(who, chip, v)
}

func (s *State) issue(who Person, chip Chip, v Variant) (*Passport, error) {
	expiry := s.now.AddDate(4, 0, 0)
	if v == ExpiredDocument {
		expiry = s.now.AddDate(0, 0, -2)
	}
	issuer := s.Alpha3
	if v == OtherState {
		issuer = "SWE"
	}
	if v == Specimen {
		who.GivenNames = "SPECIMEN"
	}
	zone := chip.Format.zone(issuer, who, expiry)
	printed := zone
	other := who
	switch v {
	case WrongMRZ, WrongMRZPACE:
		other.DocumentNumber = "Z" + who.DocumentNumber[1:]
		printed = chip.Format.zone(issuer, other, expiry)
	case OtherPrint:
		other.Surname = "SOMEBODY"
		printed = chip.Format.zone(issuer, other, expiry)
	case WrongDigit:
		b := []byte(zone)
		i := chip.Format.composite()
		b[i] = '0' + (b[i]-'0'+1)%10
		printed = string(b)
	}

	jpg, w, h, err := portrait(who.Surname + who.GivenNames)
	if err != nil {
		return nil, err
	}
	if who.Portrait != "" {
		jpg, w, h = []byte(who.Portrait), 413, 531
	}
	var e encoder
	keys, err := chip.equip(&e)
	if err != nil {
		return nil, err
	}
	groups := map[int][]byte{1: dataGroup1(zone), 2: dataGroup2(append(jpg, make([]byte, chip.Portrait)...), w, h)}
	if chip.Details {
		maps.Copy(groups, detailFiles(who))
	}
	if infos := slices.Concat(keys.access, keys.signed); len(infos) > 0 && v != UnsignedPACE {
		groups[14] = object(0x6E, e.infos(infos))
	}
	if keys.dg15 != nil {
		groups[15] = keys.dg15
	}
	signer, sod, err := s.sign(groups, v)
	if err != nil {
		return nil, err
	}
	master, err := s.master(&e, signer, chip, keys, v)
	if err != nil {
		return nil, err
	}
	if err := s.spoil(&e, groups, keys, who, zone, chip, v); err != nil {
		return nil, err
	}
	files := map[uint16][]byte{fidSOD: sod}
	var tags []byte
	for _, n := range slices.Sorted(maps.Keys(groups)) {
		files[fidDG1-1+uint16(n)] = groups[n]
		tags = append(tags, groups[n][0])
	}
	files[fidCOM] = commonData(tags...)
	card := newCard(accessInformation(who, expiry), files, master, keys.secrets)
	card.noBAC, card.lengths = chip.NoBAC, chip.Lengths
	switch v {
	case DeadChip:
		card.dead = true
	case SlowChip:
		card.pause = 2 * time.Millisecond
	case TornChip:
		card.silentAfter = 9
	case TornAgreement:
		card.silentOn = 0x86
	case TurncoatChip:
		card.afterwards = dataGroup1(strings.Replace(zone, who.GivenNames[:1], "Q", 1))
	case PACEOnly:
		card.noBAC = true
	case WrongChecksum:
		card.corrupt = true
	case LyingPACE:
		card.liar, card.secrets.zone = true, []byte("another password")
	}
	return &Passport{Printed: chip.Format.lines(printed), SOD: sod, card: card}, nil
}

// master makes the files beside the application: what the chip offers before a
// key is known, and what its state signed of the mapping's key.
func (s *State) master(e *encoder, d *signer, chip Chip, keys *content, v Variant) (map[uint16][]byte, error) {
	out := map[uint16][]byte{}
	if len(keys.access) > 0 && v != StrippedPACE {
		out[fidCardAccess] = e.infos(keys.access)
	}
	if v == ForeignPACE {
		weaker, err := PACE{Curve: P256, Cipher: TDES}.info(e)
		if err != nil {
			return nil, err
		}
		out[fidCardAccess] = e.infos(append(slices.Clone(keys.access), weaker))
	}
	if len(keys.security) > 0 {
		if v == ForeignSecurity {
			nobody, err := NewState(s.Alpha2, s.Alpha3, s.scheme, s.now)
			if err != nil {
				return nil, err
			}
			if d, err = nobody.newSigner(validity{from: s.now.AddDate(-1, 0, 0), until: s.now.AddDate(1, 0, 0), at: s.now}); err != nil {
				return nil, err
			}
		}
		security, err := d.cms(e, asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 3, 2, 1}, e.infos(keys.security))
		if err != nil {
			return nil, err
		}
		out[fidCardSecurity] = security
	}
	if chip.LongAnswers > 0 {
		out[fidATR] = answerLimits(chip.LongAnswers)
	}
	return out, e.err
}

// spoil does to the chip's groups what the variant's name says.
func (s *State) spoil(e *encoder, groups map[int][]byte, keys *content, who Person, zone string, chip Chip, v Variant) error {
	switch v {
	case AlteredDG1:
		groups[1] = dataGroup1(strings.Replace(zone, who.GivenNames[:1], "Q", 1))
	case AlteredDG2:
		jpg, w, h, err := portrait("somebody else")
		if err != nil {
			return err
		}
		groups[2] = dataGroup2(jpg, w, h)
	case HugeDG2:
		groups[2] = append([]byte{0x75, 0x83, 0xFF, 0xFF, 0xFF}, groups[2]...)
	case AlteredDG7, AlteredDG11, AlteredDG12:
		b := bytes.Clone(groups[altered[v]])
		b[len(b)-2] ^= 1
		groups[altered[v]] = b
	case MissingDG1, MissingDG2, MissingDG7, MissingDG11, MissingDG12, MissingDG14, MissingDG15:
		delete(groups, missing[v])
	case ExtraDG:
		groups[11] = detailFiles(who)[11]
	case ClonedMapping, ClonedActive, ClonedAgreement:
		return keys.forget(chip)
	case MuteKeys:
		keys.secrets.agreement, keys.secrets.active = nil, activeKey{}
	case StrippedKeys:
		delete(groups, 14)
		delete(groups, 15)
	case AlteredDG14, AlteredDG15:
		other, err := chip.equip(e)
		if err != nil {
			return err
		}
		keys.secrets = other.secrets
		if v == AlteredDG15 {
			groups[15] = other.dg15
			return e.err
		}
		groups[14] = object(0x6E, e.infos(other.signed))
	}
	return e.err
}

func (s *State) sign(groups map[int][]byte, v Variant) (*signer, []byte, error) {
	times := validity{from: s.now.AddDate(-1, 0, 0), until: s.now.AddDate(9, 0, 0).AddDate(0, -1, 0), at: s.now.AddDate(0, -1, 0)}
	switch v {
	case ExpiredSigner:
		times = validity{from: s.now.AddDate(-5, 0, 0), until: s.now.AddDate(0, 0, -3), at: s.now.AddDate(-4, 0, 0)}
	case SignedTooLate:
		times = validity{from: s.now.AddDate(-5, 0, 0), until: s.now.AddDate(-1, 0, 0), at: s.now.AddDate(0, -1, 0)}
	case FutureSigner:
		times = validity{from: s.now.AddDate(0, 0, 3), until: s.now.AddDate(5, 0, 0), at: s.now.AddDate(0, 0, 4)}
	case SignerBeforeState:
		times.from = s.root.NotBefore.AddDate(-1, 0, 0)
	case KeyOutlived:
		times.keyUntil = s.now.AddDate(0, -2, 0)
	}
	d, err := s.newSigner(times)
	if err != nil {
		return nil, nil, err
	}
	switch v {
	case RevokedSigner:
		s.revoke(d, times.at.AddDate(0, -1, 0), 4) // superseded
	case RevokedLater:
		s.revoke(d, times.at.AddDate(0, 0, 7), 4)
	case CompromisedSigner:
		s.revoke(d, times.at.AddDate(0, 0, 7), 1) // key compromise
	}
	listed := maps.Clone(groups)
	delete(listed, unlisted[v])
	sod, err := d.securityObject(listed)
	if err != nil {
		return nil, nil, err
	}
	if v == AlteredSOD {
		// The forger rewrites a hash inside the signed content.
		i := bytes.Index(sod, []byte{0x02, 0x01, 0x01, 0x04}) // of group 1
		if i < 0 {
			return nil, nil, fmt.Errorf("no hash of group 1 in the security object")
		}
		sod[i+10] ^= 1
	}
	return d, sod, nil
}
