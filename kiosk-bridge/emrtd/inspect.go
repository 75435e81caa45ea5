package emrtd

import (
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
	CheckAccess       = "chip-access"            // the chip opened with the zone's key
	CheckSignature    = "passive-auth-signature" // the security object is as its signer signed it
	CheckChain        = "passive-auth-chain"     // the signer was named by a state that we know
	CheckDG1          = "dg1-hash"               // the chip's zone is the signed one
	CheckDG2          = "dg2-hash"               // the chip's portrait is the signed one
	CheckDG1Optical   = "dg1-optical-mrz"        // chip and print say the same
	CheckIssuer       = "issuing-state"          // signer and zone name the same state
	CheckChipOriginal = "chip-authentication"    // the chip is no copy
	CheckFace         = "face"                   // the person is the one in the portrait
)

// Reason codes of checks. Each is a plain word of what was found.
const (
	ReasonOK                 = "ok"
	ReasonDigitsWrong        = "check-digit-wrong"
	ReasonExpired            = "document-expired"
	ReasonDateUnreadable     = "date-unreadable"
	ReasonBAC                = "bac"
	ReasonKeyRefused         = "access-key-refused" // wrong zone for this chip
	ReasonChipSilent         = "chip-silent"        // dead, removed, or the way to it broke
	ReasonPACEOnly           = "pace-required"      // no basic access control
	ReasonNotGenuine         = "chip-not-genuine"   // key agreement answered wrongly
	ReasonMessagingBroken    = "secure-messaging-broken"
	ReasonChipRefused        = "chip-refused"
	ReasonUnreadable         = "unreadable"
	ReasonTooLarge           = "too-large"
	ReasonChipNotRead        = "chip-not-read"
	ReasonAltered            = "altered"
	ReasonAlgorithm          = "algorithm-unknown"
	ReasonUnknownIssuer      = "unknown-issuer"
	ReasonForgedSigner       = "signer-not-issued-by-named-key"
	ReasonSignerOutside      = "signer-outside-validity"
	ReasonSignerExpired      = "signer-expired"
	ReasonSignerNotYet       = "signer-not-yet-valid"
	ReasonNotListed          = "not-listed" // the security object has no hash for it
	ReasonMismatch           = "mismatch"
	ReasonStateUnknown       = "state-unknown"
	ReasonSignatureNotSound  = "signature-not-verified"
	ReasonCloningNotExcluded = "cloning-not-excluded"
	ReasonNotBuilt           = "no-engine" // nothing here compares faces
)

// Document is what was read of a chip, and what it is worth. It holds personal
// content; only Checks, Signer and Access may be shown or logged.
type Document struct {
	Checks []interview.Check
	Access string // "bac", empty when the chip did not open
	MRZ    MRZ    // of DG1; zero when that was not read
	Face   Face   // of DG2; zero when that was not read
	Signer string // fingerprint of the document signer's certificate
	Issuer string // fingerprint of the country signing certificate

	// Announced are the data groups that EF.COM lists. Nobody signed that list:
	// it decides nothing.
	Announced []int

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
	Trust *TrustList
	Now   func() time.Time // wall clock; nil means time.Now
	Chunk int              // bytes per READ BINARY; 0 keeps to short responses
}

// Inspect judges one document: the optical zone as the kiosk saw it, and the
// chip behind card. It returns an error only when ctx ends; whatever the chip
// does is a verdict.
func (i *Inspector) Inspect(ctx context.Context, card Card, optical MRZ) (*Document, error) {
	in := inspection{Inspector: i, now: time.Now(), optical: optical, doc: &Document{}}
	if i.Now != nil {
		in.now = i.Now()
	}
	in.judgeZone()
	in.readAndJudgeChip(ctx, card)
	in.add(CheckFace, interview.NotDone, ReasonNotBuilt)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("inspection of the document ended early: %w", err)
	}
	return in.doc, nil
}

type inspection struct {
	*Inspector
	now     time.Time
	optical MRZ
	doc     *Document
}

func (in *inspection) add(name string, v interview.Verdict, reason string) {
	in.doc.Checks = append(in.doc.Checks, interview.Check{Name: name, Verdict: v, Reason: reason})
}

func (in *inspection) judgeZone() {
	if len(in.optical.WrongDigits) > 0 {
		in.add(CheckMRZDigits, interview.Failed, ReasonDigitsWrong)
	} else {
		in.add(CheckMRZDigits, interview.Verified, ReasonOK)
	}
	valid, err := in.optical.ValidOn(in.now)
	switch {
	case err != nil:
		in.add(CheckExpiry, interview.Undetermined, ReasonDateUnreadable)
	case !valid:
		in.add(CheckExpiry, interview.Failed, ReasonExpired)
	default:
		in.add(CheckExpiry, interview.Verified, ReasonOK)
	}
}

// chipFiles are the bytes of a chip; err tells why a file is missing.
type chipFiles struct {
	sod, dg1, dg2          []byte
	sodErr, dg1Err, dg2Err error
}

func (in *inspection) readAndJudgeChip(ctx context.Context, card Card) {
	ch, err := in.open(ctx, card)
	if err != nil {
		verdict, reason := judgeAccess(err)
		in.add(CheckAccess, verdict, reason)
		for _, name := range []string{CheckSignature, CheckChain, CheckDG1, CheckDG2, CheckDG1Optical, CheckIssuer, CheckChipOriginal} {
			in.add(name, interview.NotDone, ReasonChipNotRead)
		}
		return
	}
	in.doc.Access = ReasonBAC
	in.add(CheckAccess, interview.Verified, ReasonBAC)
	in.judgeFiles(in.read(ctx, ch))
}

// open selects the application and gains access. Further ways of access (PACE)
// take their turn here.
func (in *inspection) open(ctx context.Context, card Card) (channel, error) {
	if err := selectApplication(ctx, plain{card}); err != nil {
		return nil, err
	}
	return openBAC(ctx, card, BACKey(in.optical))
}

func judgeAccess(err error) (interview.Verdict, string) {
	var status *StatusError
	var silent *transportError
	switch {
	case errors.Is(err, ErrAccessRefused):
		return interview.Failed, ReasonKeyRefused
	case errors.Is(err, ErrChipNotGenuine):
		return interview.Failed, ReasonNotGenuine
	case errors.As(err, &silent):
		return interview.Undetermined, ReasonChipSilent
	case errors.As(err, &status) && (status.Status == StatusSecurity || status.Status == StatusInsNotSupported):
		return interview.Undetermined, ReasonPACEOnly
	case errors.As(err, &status):
		return interview.Undetermined, ReasonChipRefused
	}
	return interview.Undetermined, ReasonUnreadable
}

func (in *inspection) read(ctx context.Context, ch channel) chipFiles {
	chunk := in.Chunk
	if chunk <= 0 {
		chunk = shortRead
	}
	var f chipFiles
	// A chip whose EF.COM cannot be read is judged all the same: nobody signed it.
	if com, err := readFile(ctx, ch, fileCOM, chunk); err == nil {
		in.doc.Announced, _ = parseCOM(com)
	}
	f.sod, f.sodErr = readFile(ctx, ch, fileSOD, chunk)
	f.dg1, f.dg1Err = readFile(ctx, ch, fileDG1, chunk)
	f.dg2, f.dg2Err = readFile(ctx, ch, fileDG2, chunk)
	return f
}

// judgeFiles runs passive authentication (9303-11, 5.1) on what was read.
func (in *inspection) judgeFiles(f chipFiles) {
	sod, sound := in.judgeSOD(f)
	in.judgeGroup(CheckDG1, 1, f.dg1, f.dg1Err, sod, sound)
	in.judgeGroup(CheckDG2, 2, f.dg2, f.dg2Err, sod, sound)
	in.judgePrint(f)
	in.judgeIssuer(sod, sound)
	if sod != nil {
		_, ca := sod.groups[14]
		_, aa := sod.groups[15]
		in.doc.HasChipKeys = ca || aa
	}
	in.add(CheckChipOriginal, interview.NotDone, ReasonCloningNotExcluded)
	if face, err := ParseDG2(f.dg2); err == nil {
		in.doc.Face = face
	}
}

func (in *inspection) judgeSOD(f chipFiles) (sod *securityObject, sound bool) {
	refuse := func(v interview.Verdict, reason string) {
		in.add(CheckSignature, v, reason)
		in.add(CheckChain, interview.NotDone, ReasonSignatureNotSound)
	}
	if f.sodErr != nil {
		refuse(interview.Undetermined, reasonOfRead(f.sodErr))
		return nil, false
	}
	sod, err := parseSOD(f.sod)
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

	trust := in.Trust
	if trust == nil {
		trust = &TrustList{}
	}
	c := trust.judgeChain(signer, signedAt, in.now)
	if c.issuer != nil {
		in.doc.Issuer = c.issuer.Fingerprint()
	}
	verdict, reason := c.verdict.words()
	in.add(CheckChain, verdict, reason)
	return sod, true
}

func (v chainVerdict) words() (interview.Verdict, string) {
	switch v {
	case chainEstablished:
		return interview.Verified, ReasonOK
	case chainForged:
		return interview.Failed, ReasonForgedSigner
	case chainOutside:
		return interview.Failed, ReasonSignerOutside
	case chainExpired:
		return interview.Undetermined, ReasonSignerExpired
	case chainNotYet:
		return interview.Undetermined, ReasonSignerNotYet
	}
	return interview.Undetermined, ReasonUnknownIssuer
}

// judgeGroup compares a file with the hash that its issuer signed. A hash that
// fits an object which itself does not hold proves nothing; one that does not
// fit is wrong either way.
func (in *inspection) judgeGroup(name string, n int, file []byte, readErr error, sod *securityObject, sound bool) {
	if readErr != nil {
		in.add(name, interview.Undetermined, reasonOfRead(readErr))
		return
	}
	if sod == nil {
		in.add(name, interview.Undetermined, ReasonSignatureNotSound)
		return
	}
	listed, fits := sod.covers(n, file)
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
func (in *inspection) judgePrint(f chipFiles) {
	if f.dg1Err != nil {
		in.add(CheckDG1Optical, interview.Undetermined, reasonOfRead(f.dg1Err))
		return
	}
	zone, err := ParseDG1(f.dg1)
	if err != nil {
		in.add(CheckDG1Optical, interview.Undetermined, ReasonUnreadable)
		return
	}
	in.doc.MRZ = zone
	if zone.Text() != in.optical.Text() {
		in.add(CheckDG1Optical, interview.Failed, ReasonMismatch)
		return
	}
	in.add(CheckDG1Optical, interview.Verified, ReasonOK)
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
