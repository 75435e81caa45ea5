package emrtd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kuule/interview"
)

// Names of the checks, in the order in which they are reported.
const (
	CheckMRZDigits    = "mrz-check-digits"       // the optical zone's own check digits
	CheckExpiry       = "document-validity"      // the date of expiry in the zone
	CheckSpecimen     = "specimen"               // only where the zone says that the document is a sample
	CheckAccess       = "chip-access"            // the chip opened with the zone's key
	CheckSignature    = "passive-auth-signature" // the security object is as its signer signed it
	CheckChain        = "passive-auth-chain"     // the signer was named by a state that we know
	CheckRevocation   = "signer-revocation"      // the state has not withdrawn the signer
	CheckDG1          = "dg1-hash"               // the chip's zone is the signed one
	CheckDG2          = "dg2-hash"               // the chip's portrait is the signed one
	CheckDG7          = "dg7-hash"               // these five only where the issuer signed for the group
	CheckDG11         = "dg11-hash"              //
	CheckDG12         = "dg12-hash"              //
	CheckDG14         = "dg14-hash"              //
	CheckDG15         = "dg15-hash"              //
	CheckDG1Optical   = "dg1-optical-mrz"        // chip and print say the same
	CheckIssuer       = "issuing-state"          // signer and zone name the same state
	CheckDowngrade    = "access-downgrade"       // the chip offered the access that its issuer signed for
	CheckActiveAuth   = "active-authentication"  // the chip signed a challenge of this moment
	CheckChipAuth     = "chip-authentication"    // the chip agreed on keys with its signed key
	CheckMapping      = "pace-chip-mapping"      // the same within PACE; only where the chip offers it
	CheckChipOriginal = "chip-original"          // what these three say together: the chip is no copy
	CheckFace         = "face"                   // the person is the one in the portrait
)

// Reason codes of checks. Each is a plain word of what was found.
const (
	ReasonOK                 = "ok"
	ReasonDigitsWrong        = "check-digit-wrong"
	ReasonExpired            = "document-expired"
	ReasonDateUnreadable     = "date-unreadable"
	ReasonSpecimen           = "specimen"
	ReasonZoneNotRead        = "zone-not-read" // nothing printed was given, only the card access number
	ReasonBAC                = "bac"
	ReasonBACOnly            = "bac-no-usable-pace" // PACE is offered, in kinds that are not known here
	ReasonPACE               = "pace"
	ReasonPACECAM            = "pace-cam"
	ReasonKeyRefused         = "access-key-refused"    // wrong zone for this chip
	ReasonPACERefused        = "pace-password-refused" // wrong zone, or wrong card access number
	ReasonPACEFailed         = "pace-failed"           // PACE broke off; there is no other way in
	ReasonChipSilent         = "chip-silent"           // dead, removed, or the way to it broke
	ReasonPACEOnly           = "pace-required"         // no basic access control, and no PACE that is known here
	ReasonNotGenuine         = "chip-not-genuine"      // key agreement answered wrongly
	ReasonMessagingBroken    = "secure-messaging-broken"
	ReasonChipRefused        = "chip-refused"
	ReasonUnreadable         = "unreadable"
	ReasonTooLarge           = "too-large"
	ReasonChipNotRead        = "chip-not-read"
	ReasonAltered            = "altered"
	ReasonAlgorithm          = "algorithm-unknown"
	ReasonUnknownIssuer      = "unknown-issuer"
	ReasonForgedSigner       = "signer-not-issued-by-named-key"
	ReasonSignerPurpose      = "signer-of-other-things" // of lists or bar codes, not of documents
	ReasonSignerLimited      = "signer-limited"         // in a way that is not known here
	ReasonSignerOutside      = "signer-outside-validity"
	ReasonSignerExpired      = "signer-expired"
	ReasonSignerNotYet       = "signer-not-yet-valid"
	ReasonSignerKeyOutlived  = "signer-key-outlived" // signed outside the time in which its private key was to be used
	ReasonSignerRevoked      = "signer-revoked"
	ReasonSignerRevokedLater = "signer-revoked-since" // after it says that it signed
	ReasonNoRevocationList   = "no-revocation-list"
	ReasonRevocationStale    = "revocation-list-outdated"
	ReasonNotListed          = "not-listed" // the security object has no hash for it
	ReasonMismatch           = "mismatch"
	ReasonStateUnknown       = "state-unknown"
	ReasonSignatureNotSound  = "signature-not-verified"
	ReasonNotOffered         = "not-offered"
	ReasonPACEWithheld       = "pace-withheld"       // signed for, not offered: somebody leads to the weaker access
	ReasonInfosDiffer        = "offer-not-as-signed" // offered, not signed for
	ReasonNotOriginal        = "chip-key-absent"     // the chip does not have the key that its issuer signed: a copy
	ReasonKeyWithheld        = "chip-key-withheld"   // the issuer signed for a key which the chip does not show
	ReasonKeyNotProven       = "chip-key-not-proven" // the chip has a key, and the proof did not come about
	ReasonCloningNotExcluded = "cloning-not-excluded"
	ReasonNotBuilt           = "no-engine" // nothing here compares faces
)

// Document is what was read of a chip, and what it is worth. It holds personal
// content; only Checks, Signer and Access may be shown or logged.
type Document struct {
	Checks []interview.Check
	Access string // "bac", "pace" or "pace-cam"; empty when the chip did not open
	MRZ    MRZ    // of DG1; zero when that was not read
	Face   Face   // of DG2; zero when that was not read
	Signer string // fingerprint of the document signer's certificate
	Issuer string // fingerprint of the country signing certificate

	// Announced are the data groups that EF.COM lists. Nobody signed that list:
	// it decides nothing.
	Announced []int

	Details    Details  // of DG11; zero where there is none
	Issuance   Issuance // of DG12; zero where there is none
	Signatures [][]byte // of DG7: pictures

	// HasChipKeys says that the issuer signed for active or chip
	// authentication (DG15, DG14): then a copy can be told from the original.
	HasChipKeys bool
}

// Check returns the check with name; one that is absent is not done.
func (d *Document) Check(name string) interview.Check {
	if i := slices.IndexFunc(d.Checks, func(c interview.Check) bool { return c.Name == name }); i >= 0 {
		return d.Checks[i]
	}
	return interview.Check{Name: name, Verdict: interview.NotDone, Reason: ReasonChipNotRead}
}

// Inspector reads and judges documents. It is safe for concurrent use.
type Inspector struct {
	Trust   *TrustList
	Revoked *RevocationLists // nil: no state has told us which signers it withdrew
	Now     func() time.Time // wall clock; nil means time.Now

	// Chunk is the most bytes per READ BINARY. With 0 each chip is asked how long
	// its answers may be (EF.ATR/INFO), one that does not say is tried once, and
	// where chip or reader refuse the rest is read in short answers.
	Chunk int
}

// ShortAnswers is the Chunk that keeps to short length, whatever a chip promises.
const ShortAnswers = shortRead

// Inspect judges one document: the optical zone as the kiosk saw it, and the
// chip behind card. It returns an error only when ctx ends; whatever the chip
// does is a verdict.
func (i *Inspector) Inspect(ctx context.Context, card Card, optical MRZ) (*Document, error) {
	return i.InspectWith(ctx, card, optical, MRZPassword(optical))
}

// InspectWith is [Inspector.Inspect] with another password for PACE: the card
// access number. Chips without PACE still open with the zone. Without a zone (a
// zero optical) what is printed stays unjudged, and the chip's own zone tells
// until when the document is valid.
func (i *Inspector) InspectWith(ctx context.Context, card Card, optical MRZ, pw Password) (*Document, error) {
	in := inspection{Inspector: i, now: time.Now(), optical: optical, password: pw, doc: &Document{}, trust: i.Trust}
	if i.Now != nil {
		in.now = i.Now()
	}
	if in.trust == nil {
		in.trust = &TrustList{}
	}
	in.judgeZone()
	in.readAndJudgeChip(ctx, card)
	if in.optical.absent() {
		in.judgeExpiry(in.doc.MRZ)
	}
	if in.optical.specimen() || in.doc.MRZ.specimen() {
		in.add(CheckSpecimen, interview.Failed, ReasonSpecimen)
	}
	in.add(CheckFace, interview.NotDone, ReasonNotBuilt)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("inspection of the document ended early: %w", err)
	}
	return in.doc, nil
}

type inspection struct {
	*Inspector
	now      time.Time
	optical  MRZ
	password Password
	trust    *TrustList
	doc      *Document
}

func (in *inspection) add(name string, v interview.Verdict, reason string) {
	in.doc.Checks = append(in.doc.Checks, interview.Check{Name: name, Verdict: v, Reason: reason})
}

func (in *inspection) judgeZone() {
	switch {
	case in.optical.absent():
		in.add(CheckMRZDigits, interview.NotDone, ReasonZoneNotRead)
		return
	case len(in.optical.WrongDigits) > 0:
		in.add(CheckMRZDigits, interview.Failed, ReasonDigitsWrong)
	default:
		in.add(CheckMRZDigits, interview.Verified, ReasonOK)
	}
	in.judgeExpiry(in.optical)
}

func (in *inspection) judgeExpiry(m MRZ) {
	valid, err := m.ValidOn(in.now)
	switch {
	case m.absent():
		in.add(CheckExpiry, interview.NotDone, ReasonZoneNotRead)
	case err != nil:
		in.add(CheckExpiry, interview.Undetermined, ReasonDateUnreadable)
	case !valid:
		in.add(CheckExpiry, interview.Failed, ReasonExpired)
	default:
		in.add(CheckExpiry, interview.Verified, ReasonOK)
	}
}

func (in *inspection) readAndJudgeChip(ctx context.Context, card Card) {
	chip, err := in.attempt(ctx, card, in.Chunk)
	if in.Chunk == 0 && chip.brokeOverLength() {
		// Chip or reader gave up at a long command, and the session with it. What
		// was learnt stands if the chip does not open once more.
		if again, failed := in.attempt(ctx, card, ShortAnswers); failed == nil {
			chip, err = again, nil
		}
	}
	if err != nil {
		verdict, reason := judgeAccess(err)
		in.add(CheckAccess, verdict, reason)
		for _, name := range []string{
			CheckSignature, CheckChain, CheckRevocation, CheckDG1, CheckDG2, CheckDG1Optical, CheckIssuer, CheckDowngrade,
			CheckActiveAuth, CheckChipAuth, CheckChipOriginal,
		} {
			in.add(name, interview.NotDone, ReasonChipNotRead)
		}
		return
	}
	in.doc.Access, in.doc.Announced = chip.access, chip.announced
	in.add(CheckAccess, interview.Verified, chip.reason)
	in.challenge(ctx, chip)
	in.judgeFiles(chip)
}

// openChip is a chip after access: its channel, what it offered, and what was
// read of it.
type openChip struct {
	channel        *secureChannel
	chunk          int
	adapts         bool // chunk is a guess
	access, reason string
	offered        *securityInfos // of EF.CardAccess; nil: nothing
	pace           *paceSession   // nil with basic access control

	announced []int // by EF.COM
	sod       fileRead
	security  fileRead // EF.CardSecurity, with chip authentication mapping
	groups    map[int]fileRead
	active    proof
	chip      proof
}

func (c *openChip) brokeOverLength() bool {
	return c != nil && c.channel != nil && c.channel.ended != nil && c.channel.endedLong
}

// fileRead is a file's bytes; err tells why they are missing.
type fileRead struct {
	b   []byte
	err error
}

// proof is one way in which a chip can show that it is the original.
type proof struct {
	offered bool
	err     error
}

// attempt opens the chip and reads it, in answers of at most chunk bytes.
func (in *inspection) attempt(ctx context.Context, card Card, chunk int) (*openChip, error) {
	if chunk != in.Chunk { // not the first: back to where a chip begins, whatever it says to that
		if _, err := (plain{card}).send(ctx, Command{INS: 0xA4, P2: 0x0C, Data: []byte{0x3F, 0x00}}); err != nil {
			return nil, err
		}
	}
	chip, err := in.open(ctx, card, chunk)
	if err == nil {
		chip.channel.short = chip.chunk <= ShortAnswers
		chip.readFiles(ctx)
	}
	return chip, err
}

// open gains access: by PACE where the chip offers it, by basic access control
// where it does not, and never by the second after the first has failed.
func (in *inspection) open(ctx context.Context, card Card, chunk int) (*openChip, error) {
	clear := plain{card}
	chip := &openChip{chunk: chunk, groups: map[int]fileRead{}}
	if chunk == 0 {
		chip.chunk, chip.adapts = readChunk(ctx, clear), true
	}
	var err error
	if chip.offered, err = readCardAccess(ctx, clear); err != nil {
		return nil, err
	}
	if chip.offered != nil {
		if offer, ambiguous, found := chip.offered.best(); found {
			return chip, chip.openPACE(ctx, card, offer, ambiguous, in.password)
		}
	}
	if in.optical.absent() {
		return nil, errNoZone
	}
	if err := selectApplication(ctx, clear); err != nil {
		return nil, err
	}
	chip.access, chip.reason = ReasonBAC, ReasonBAC
	if chip.offered != nil && len(chip.offered.paces) > 0 {
		chip.reason = ReasonBACOnly
	}
	chip.channel, err = openBAC(ctx, card, BACKey(in.optical))
	return chip, err
}

var errNoZone = errors.New("chip without PACE, and no zone to open it with")

func (c *openChip) openPACE(ctx context.Context, card Card, offer paceOffer, ambiguous bool, pw Password) error {
	var err error
	if c.pace, err = openPACE(ctx, card, offer, ambiguous, pw, freshSecrets); err != nil {
		return err
	}
	c.channel, c.access = c.pace.channel, ReasonPACE
	if offer.mapping == mappingCAM {
		c.access = ReasonPACECAM
		c.security = c.read(ctx, fileCardSecurity)
	}
	c.reason = c.access
	if err := selectApplication(ctx, c.channel); err != nil {
		return &paceError{"selecting the application", err}
	}
	return nil
}

func judgeAccess(err error) (interview.Verdict, string) {
	var status *StatusError
	var silent *transportError
	var pace *paceError
	switch {
	case errors.Is(err, errNoZone):
		return interview.Undetermined, ReasonZoneNotRead
	case errors.Is(err, ErrAccessRefused):
		return interview.Failed, ReasonKeyRefused
	case errors.Is(err, ErrPACERefused):
		return interview.Failed, ReasonPACERefused
	case errors.Is(err, ErrChipNotGenuine):
		return interview.Failed, ReasonNotGenuine
	case errors.As(err, &silent):
		return interview.Undetermined, ReasonChipSilent
	case errors.As(err, &pace) && errors.Is(err, ErrCurve):
		return interview.Failed, ReasonPACEFailed
	case errors.As(err, &pace):
		return interview.Undetermined, ReasonPACEFailed
	case errors.As(err, &status) && (status.Status == StatusSecurity || status.Status == StatusInsNotSupported):
		return interview.Undetermined, ReasonPACEOnly
	case errors.As(err, &status):
		return interview.Undetermined, ReasonChipRefused
	}
	return interview.Undetermined, ReasonUnreadable
}

// read reads one file. A chip that refuses a long answer, and says so within the
// session, is read in short ones from there on.
func (c *openChip) read(ctx context.Context, f file) fileRead {
	b, err := readFile(ctx, c.channel, f, c.chunk)
	var status *StatusError
	if c.adapts && c.chunk > shortRead && errors.As(err, &status) && status.Status != StatusFileNotFound && status.Status != StatusSecurity {
		c.chunk, c.channel.short = shortRead, true
		b, err = readFile(ctx, c.channel, f, c.chunk)
	}
	return fileRead{b, err}
}

func (c *openChip) readFiles(ctx context.Context) {
	c.sod = c.read(ctx, fileSOD)
	// A chip whose EF.COM cannot be read is judged all the same: nobody signed it.
	if com := c.read(ctx, fileCOM); com.err == nil {
		c.announced, _ = parseCOM(com.b)
	}
	c.groups[1] = c.read(ctx, fileDG1)
	c.groups[2] = c.read(ctx, fileDG2)
	sod, err := parseSOD(c.sod.b)
	if err != nil {
		return
	}
	for _, f := range furtherFiles {
		if _, listed := sod.groups[f.number]; listed {
			c.groups[f.number] = c.read(ctx, f.file)
		}
	}
}

// challenge has the chip prove that it is the original. This comes last, since a
// copy that fails loses the session, and its other verdicts should stand.
func (in *inspection) challenge(ctx context.Context, c *openChip) {
	infos := &securityInfos{}
	if g, listed := c.groups[14]; listed && g.err == nil {
		var err error
		if infos, err = parseDG14(g.b); err != nil {
			c.chip, infos = proof{true, err}, &securityInfos{}
		}
	}
	if g, listed := c.groups[15]; listed && g.err == nil {
		key, err := parseDG15(g.b)
		if err == nil {
			err = activeAuthentication(ctx, c.channel, key, infos.active)
		}
		c.active = proof{true, err}
	}
	if len(infos.keys) > 0 || infos.unusable {
		c.chip = proof{true, c.proveKey(ctx, infos)}
	}
}

// proveKey runs chip authentication. The first answer under the new keys is the
// proof, and the zone under them ties it to what was read before.
func (c *openChip) proveKey(ctx context.Context, infos *securityInfos) error {
	if err := chipAuthentication(ctx, c.channel, infos); err != nil {
		return err
	}
	again, err := readFile(ctx, c.channel, fileDG1, c.chunk)
	switch {
	case errors.Is(err, ErrSecureMessaging):
		return fmt.Errorf("%w: %w", ErrNotOriginal, err)
	case err == nil && !bytes.Equal(again, c.groups[1].b):
		return fmt.Errorf("%w: another zone under the chip's key", ErrNotOriginal)
	}
	return err
}

// judgeFiles runs passive authentication (9303-11, 5.1) on what was read.
func (in *inspection) judgeFiles(c *openChip) {
	sod, sound := in.judgeSOD(c.sod)
	in.judgeGroup(CheckDG1, 1, c.groups[1], sod, sound)
	in.judgeGroup(CheckDG2, 2, c.groups[2], sod, sound)
	for _, f := range furtherFiles {
		if g, read := c.groups[f.number]; read {
			in.judgeGroup(fmt.Sprintf("dg%d-hash", f.number), f.number, g, sod, sound)
		}
	}
	in.judgePrint(c.groups[1])
	in.judgeIssuer(sod, sound)
	in.judgeDowngrade(c, sod, sound)
	in.judgeOriginal(c)
	in.keep(c)
}

// keep takes over what can be read of the portrait and the holder.
func (in *inspection) keep(c *openChip) {
	if face, err := ParseDG2(c.groups[2].b); err == nil {
		in.doc.Face = face
	}
	if d, err := ParseDG11(c.groups[11].b); err == nil {
		in.doc.Details = d
	}
	if d, err := ParseDG12(c.groups[12].b); err == nil {
		in.doc.Issuance = d
	}
	if pictures, err := ParseDG7(c.groups[7].b); err == nil {
		in.doc.Signatures = pictures
	}
}

func (in *inspection) judgeSOD(f fileRead) (sod *securityObject, sound bool) {
	refuse := func(v interview.Verdict, reason string) {
		in.add(CheckSignature, v, reason)
		in.add(CheckChain, interview.NotDone, ReasonSignatureNotSound)
		in.add(CheckRevocation, interview.NotDone, ReasonSignatureNotSound)
	}
	if f.err != nil {
		refuse(interview.Undetermined, reasonOfRead(f.err))
		return nil, false
	}
	sod, err := parseSOD(f.b)
	if err != nil {
		refuse(interview.Undetermined, ReasonUnreadable)
		return nil, false
	}
	signer, signedAt, err := sod.cms.verify()
	switch {
	case errors.Is(err, errTampered):
		refuse(interview.Failed, ReasonAltered)
		return sod, false
	case errors.Is(err, ErrAlgorithm):
		refuse(interview.Undetermined, ReasonAlgorithm)
		return sod, false
	case err != nil:
		refuse(interview.Undetermined, ReasonUnreadable)
		return sod, false
	}
	in.doc.Signer = signer.Fingerprint()
	in.add(CheckSignature, interview.Verified, ReasonOK)
	c := in.trust.judgeChain(signer, signedAt, in.now)
	verdict, reason := c.verdict.words()
	in.add(CheckChain, verdict, reason)
	if c.issuer == nil {
		in.add(CheckRevocation, interview.NotDone, ReasonUnknownIssuer)
		return sod, true
	}
	in.doc.Issuer = c.issuer.Fingerprint()
	verdict, reason = in.Revoked.judge(signer, c.issuer, signedAt, in.now).words()
	in.add(CheckRevocation, verdict, reason)
	return sod, true
}

func (v revocationVerdict) words() (interview.Verdict, string) {
	switch v {
	case revocationClear:
		return interview.Verified, ReasonOK
	case revocationRevoked:
		return interview.Failed, ReasonSignerRevoked
	case revocationLater:
		return interview.Undetermined, ReasonSignerRevokedLater
	case revocationStale:
		return interview.Undetermined, ReasonRevocationStale
	}
	return interview.NotDone, ReasonNoRevocationList
}

func (v chainVerdict) words() (interview.Verdict, string) {
	switch v {
	case chainEstablished:
		return interview.Verified, ReasonOK
	case chainForged:
		return interview.Failed, ReasonForgedSigner
	case chainPurpose:
		return interview.Failed, ReasonSignerPurpose
	case chainLimited:
		return interview.Undetermined, ReasonSignerLimited
	case chainAlgorithm:
		return interview.Undetermined, ReasonAlgorithm
	case chainOutside:
		return interview.Failed, ReasonSignerOutside
	case chainExpired:
		return interview.Undetermined, ReasonSignerExpired
	case chainNotYet:
		return interview.Undetermined, ReasonSignerNotYet
	case chainKeyOutlived:
		return interview.Undetermined, ReasonSignerKeyOutlived
	}
	return interview.Undetermined, ReasonUnknownIssuer
}

// judgeGroup compares a file with the hash that its issuer signed. A hash that
// fits an object which itself does not hold proves nothing; one that does not
// fit is wrong either way.
func (in *inspection) judgeGroup(name string, n int, f fileRead, sod *securityObject, sound bool) {
	if f.err != nil {
		in.add(name, interview.Undetermined, reasonOfRead(f.err))
		return
	}
	if sod == nil {
		in.add(name, interview.Undetermined, ReasonSignatureNotSound)
		return
	}
	listed, fits := sod.covers(n, f.b)
	switch {
	case !listed:
		in.add(name, interview.Failed, ReasonNotListed)
	case !fits:
		in.add(name, interview.Failed, ReasonAltered)
	case !sound:
		in.add(name, interview.Undetermined, ReasonSignatureNotSound)
	default:
		in.add(name, interview.Verified, ReasonOK)
	}
}

// judgePrint compares the chip's zone with the printed one, character by
// character.
func (in *inspection) judgePrint(f fileRead) {
	if f.err != nil {
		in.add(CheckDG1Optical, interview.Undetermined, reasonOfRead(f.err))
		return
	}
	zone, err := ParseDG1(f.b)
	if err != nil {
		in.add(CheckDG1Optical, interview.Undetermined, ReasonUnreadable)
		return
	}
	in.doc.MRZ = zone
	switch {
	case in.optical.absent():
		in.add(CheckDG1Optical, interview.NotDone, ReasonZoneNotRead)
	case zone.Text() != in.optical.Text():
		in.add(CheckDG1Optical, interview.Failed, ReasonMismatch)
	default:
		in.add(CheckDG1Optical, interview.Verified, ReasonOK)
	}
}

// judgeIssuer keeps one state's signer from vouching for another's document.
func (in *inspection) judgeIssuer(sod *securityObject, sound bool) {
	if sod == nil || !sound || in.doc.MRZ.IssuingState == "" {
		in.add(CheckIssuer, interview.NotDone, ReasonSignatureNotSound)
		return
	}
	signer, err := sod.cms.signerCertificate()
	if err != nil {
		in.add(CheckIssuer, interview.NotDone, ReasonSignatureNotSound)
		return
	}
	want, known := alpha2[in.doc.MRZ.IssuingState]
	switch {
	case !known:
		in.add(CheckIssuer, interview.Undetermined, ReasonStateUnknown)
	case !strings.EqualFold(want, signer.Country):
		in.add(CheckIssuer, interview.Failed, ReasonMismatch)
	default:
		in.add(CheckIssuer, interview.Verified, ReasonOK)
	}
}

func reasonOfRead(err error) string {
	var status *StatusError
	var silent *transportError
	switch {
	case errors.As(err, &silent):
		return ReasonChipSilent
	case errors.Is(err, ErrSecureMessaging):
		return ReasonMessagingBroken
	case errors.Is(err, ErrTooLarge):
		return ReasonTooLarge
	case errors.As(err, &status):
		return ReasonChipRefused
	}
	return ReasonUnreadable
}
