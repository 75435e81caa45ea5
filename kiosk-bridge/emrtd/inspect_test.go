package emrtd

import (
	"bytes"
	"context"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"go/parser"
	"go/token"
	"image/jpeg"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
)

var holder = emrtdtest.Person{Surname: "ERIKSSON", GivenNames: "ANNA MARIA", DocumentNumber: "L898902C3", DateOfBirth: "740812", Sex: "F"}

func newState(t testing.TB, scheme emrtdtest.Scheme) (*emrtdtest.State, *TrustList) {
	t.Helper()
	s, err := emrtdtest.NewState("UT", "UTO", scheme, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := ParseCertificates(s.CSCAPEM())
	if err != nil {
		t.Fatal(err)
	}
	list, err := NewTrustList(certs...)
	if err != nil {
		t.Fatal(err)
	}
	return s, list
}

func issue(t testing.TB, s *emrtdtest.State, v emrtdtest.Variant) *emrtdtest.Passport {
	t.Helper()
	p, err := s.Issue(holder, v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func inspect(t testing.TB, list *TrustList, p *emrtdtest.Passport, chunk int) *Document {
	t.Helper()
	zone, err := ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := (&Inspector{Trust: list, Chunk: chunk}).Inspect(context.Background(), p.Card(), zone)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// genuine is what each check says of a genuine document of a known state.
var genuine = map[string]interview.Check{
	CheckMRZDigits:    {Verdict: interview.Verified, Reason: ReasonOK},
	CheckExpiry:       {Verdict: interview.Verified, Reason: ReasonOK},
	CheckAccess:       {Verdict: interview.Verified, Reason: ReasonBAC},
	CheckSignature:    {Verdict: interview.Verified, Reason: ReasonOK},
	CheckChain:        {Verdict: interview.Verified, Reason: ReasonOK},
	CheckDG1:          {Verdict: interview.Verified, Reason: ReasonOK},
	CheckDG2:          {Verdict: interview.Verified, Reason: ReasonOK},
	CheckDG1Optical:   {Verdict: interview.Verified, Reason: ReasonOK},
	CheckIssuer:       {Verdict: interview.Verified, Reason: ReasonOK},
	CheckRevocation:   {Verdict: interview.NotDone, Reason: ReasonNoRevocationList},
	CheckDowngrade:    {Verdict: interview.NotDone, Reason: ReasonNotOffered},
	CheckActiveAuth:   {Verdict: interview.NotDone, Reason: ReasonNotOffered},
	CheckChipAuth:     {Verdict: interview.NotDone, Reason: ReasonNotOffered},
	CheckChipOriginal: {Verdict: interview.NotDone, Reason: ReasonCloningNotExcluded},
	CheckFace:         {Verdict: interview.NotDone, Reason: ReasonNotBuilt},
}

func chipUnread(v interview.Verdict, reason string) map[string]interview.Check {
	out := map[string]interview.Check{CheckAccess: {Verdict: v, Reason: reason}}
	for _, name := range []string{CheckSignature, CheckChain, CheckDG1, CheckDG2, CheckDG1Optical, CheckIssuer, CheckRevocation, CheckDowngrade, CheckActiveAuth, CheckChipAuth, CheckChipOriginal} {
		out[name] = interview.Check{Verdict: interview.NotDone, Reason: ReasonChipNotRead}
	}
	return out
}

func bad(v interview.Verdict, reason string) interview.Check {
	return interview.Check{Verdict: v, Reason: reason}
}

// B1, B2: every wrong document has a result of its own, and differs from a
// genuine one in nothing but what is wrong with it.
func TestEachVariantHasItsOwnVerdict(t *testing.T) {
	t.Parallel()
	differs := map[emrtdtest.Variant]map[string]interview.Check{
		emrtdtest.Genuine: {},
		emrtdtest.AlteredDG1: {
			CheckDG1: bad(interview.Failed, ReasonAltered), CheckDG1Optical: bad(interview.Failed, ReasonMismatch),
		},
		emrtdtest.AlteredDG2: {CheckDG2: bad(interview.Failed, ReasonAltered)},
		emrtdtest.AlteredSOD: {
			CheckSignature: bad(interview.Failed, ReasonAltered),
			CheckChain:     bad(interview.NotDone, ReasonSignatureNotSound),
			CheckDG1:       bad(interview.Failed, ReasonAltered),
			CheckDG2:       bad(interview.Undetermined, ReasonSignatureNotSound),
			CheckIssuer:    bad(interview.NotDone, ReasonSignatureNotSound),

			CheckRevocation: bad(interview.NotDone, ReasonSignatureNotSound), CheckDowngrade: bad(interview.NotDone, ReasonSignatureNotSound),
		},
		emrtdtest.MissingDG2:        {CheckDG2: bad(interview.Undetermined, ReasonChipRefused)},
		emrtdtest.StrippedHash:      {CheckDG2: bad(interview.Failed, ReasonNotListed)},
		emrtdtest.HugeDG2:           {CheckDG2: bad(interview.Undetermined, ReasonTooLarge)},
		emrtdtest.UnknownIssuer:     {CheckChain: bad(interview.Undetermined, ReasonUnknownIssuer), CheckRevocation: bad(interview.NotDone, ReasonUnknownIssuer)},
		emrtdtest.ForgedSigner:      {CheckChain: bad(interview.Failed, ReasonForgedSigner), CheckRevocation: bad(interview.NotDone, ReasonUnknownIssuer)},
		emrtdtest.OtherState:        {CheckIssuer: bad(interview.Failed, ReasonMismatch)},
		emrtdtest.ExpiredSigner:     {CheckChain: bad(interview.Undetermined, ReasonSignerExpired)},
		emrtdtest.SignedTooLate:     {CheckChain: bad(interview.Failed, ReasonSignerOutside)},
		emrtdtest.FutureSigner:      {CheckChain: bad(interview.Undetermined, ReasonSignerNotYet)},
		emrtdtest.SignerBeforeState: {CheckChain: bad(interview.Failed, ReasonSignerOutside)},
		emrtdtest.KeyOutlived:       {CheckChain: bad(interview.Undetermined, ReasonSignerKeyOutlived)},
		emrtdtest.Specimen:          {CheckSpecimen: bad(interview.Failed, ReasonSpecimen)},
		emrtdtest.SlowChip:          {},
		emrtdtest.ExtraDG:           {}, // what nobody signed is not looked at
		emrtdtest.UnlistedDG1:       {CheckDG1: bad(interview.Failed, ReasonNotListed)},
		emrtdtest.MissingDG1: {
			CheckDG1: bad(interview.Undetermined, ReasonChipRefused), CheckDG1Optical: bad(interview.Undetermined, ReasonChipRefused),
			CheckIssuer: bad(interview.NotDone, ReasonSignatureNotSound),
		},
		emrtdtest.WrongMRZ:   chipUnread(interview.Failed, ReasonKeyRefused),
		emrtdtest.OtherPrint: {CheckDG1Optical: bad(interview.Failed, ReasonMismatch)},
		emrtdtest.WrongDigit: {
			CheckMRZDigits: bad(interview.Failed, ReasonDigitsWrong), CheckDG1Optical: bad(interview.Failed, ReasonMismatch),
		},
		emrtdtest.ExpiredDocument: {CheckExpiry: bad(interview.Failed, ReasonExpired)},
		emrtdtest.DeadChip:        chipUnread(interview.Undetermined, ReasonChipSilent),
		emrtdtest.PACEOnly:        chipUnread(interview.Undetermined, ReasonPACEOnly),
		emrtdtest.TornChip: {
			CheckSignature: bad(interview.Undetermined, ReasonChipSilent), CheckChain: bad(interview.NotDone, ReasonSignatureNotSound),
			CheckDG1: bad(interview.Undetermined, ReasonChipSilent), CheckDG2: bad(interview.Undetermined, ReasonChipSilent),
			CheckDG1Optical: bad(interview.Undetermined, ReasonChipSilent), CheckIssuer: bad(interview.NotDone, ReasonSignatureNotSound),
			CheckRevocation: bad(interview.NotDone, ReasonSignatureNotSound), CheckDowngrade: bad(interview.NotDone, ReasonSignatureNotSound),
		},
		emrtdtest.WrongChecksum: {
			CheckSignature: bad(interview.Undetermined, ReasonMessagingBroken), CheckChain: bad(interview.NotDone, ReasonSignatureNotSound),
			CheckDG1: bad(interview.Undetermined, ReasonMessagingBroken), CheckDG2: bad(interview.Undetermined, ReasonMessagingBroken),
			CheckDG1Optical: bad(interview.Undetermined, ReasonMessagingBroken), CheckIssuer: bad(interview.NotDone, ReasonSignatureNotSound),
			CheckRevocation: bad(interview.NotDone, ReasonSignatureNotSound), CheckDowngrade: bad(interview.NotDone, ReasonSignatureNotSound),
		},
	}
	if n := len(emrtdtest.Variants()); n < 60 {
		t.Errorf("%d variants, at least 60 are asked for", n)
	}
	for _, scheme := range []emrtdtest.Scheme{emrtdtest.ECDSA, emrtdtest.RSAPSS} {
		s, list := newState(t, scheme)
		for _, v := range emrtdtest.Variants() {
			if scheme == emrtdtest.RSAPSS && v != emrtdtest.Genuine && v != emrtdtest.AlteredSOD {
				continue // the scheme matters to signatures only, and its keys take a while
			}
			want, described := differs[v]
			if !described {
				want, described = chipDiffers[v]
			}
			if !described {
				t.Errorf("variant %s has no expectation", v)
				continue
			}
			chunk := 0
			if v == emrtdtest.TornChip { // how far it comes depends on it
				chunk = ShortAnswers
			}
			doc := inspect(t, list, issue(t, s, v), chunk)
			expect(t, string(v), doc, want)
		}
	}
}

// expect compares a document's checks with a genuine one's, but for those that
// differ.
func expect(t *testing.T, name string, doc *Document, differs map[string]interview.Check) {
	t.Helper()
	all := maps.Clone(genuine)
	maps.Copy(all, differs)
	for check, want := range all {
		want.Name = check
		if got := doc.Check(check); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if len(doc.Checks) != len(all) {
		t.Errorf("%s: %d checks, want %d", name, len(doc.Checks), len(all))
	}
}

// B1: the portrait and zone that come out are those that the factory put in.
func TestReadingGivesZoneAndPortrait(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	p := issue(t, s, emrtdtest.Genuine)
	short := inspect(t, list, p, ShortAnswers)
	if short.MRZ.Surname != "ERIKSSON" || short.MRZ.GivenNames != "ANNA MARIA" || short.MRZ.IssuingState != "UTO" {
		t.Errorf("zone of the chip was misread: %q", short.MRZ.Lines)
	}
	if !slices.Equal(short.Announced, []int{1, 2}) {
		t.Errorf("EF.COM announces %v", short.Announced)
	}
	if short.Face.Format != "image/jpeg" {
		t.Fatalf("portrait is %q", short.Face.Format)
	}
	if _, err := jpeg.Decode(bytes.NewReader(short.Face.Image)); err != nil {
		t.Errorf("portrait does not decode: %v", err)
	}
	before := p.Card().Commands()
	p.Card().Reset()
	long := inspect(t, list, p, 2048)
	if !bytes.Equal(short.Face.Image, long.Face.Image) {
		t.Error("extended length reads another portrait")
	}
	if used := p.Card().Commands() - before; used >= before/2 {
		t.Errorf("extended length took %d commands, short %d", used, before)
	}
}

// B20: judging asks nobody outside, so it must work on a context without any
// means, and an inspector without a trust list knows nobody.
func TestNoTrustListMeansUnknownIssuer(t *testing.T) {
	t.Parallel()
	s, _ := newState(t, emrtdtest.ECDSA)
	doc := inspect(t, nil, issue(t, s, emrtdtest.Genuine), 0)
	if got := doc.Check(CheckChain); got.Verdict != interview.Undetermined || got.Reason != ReasonUnknownIssuer {
		t.Errorf("chain: %+v", got)
	}
}

func TestCancelledInspectionIsAnError(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	p := issue(t, s, emrtdtest.Genuine)
	zone, err := ParseMRZ(p.Printed)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (&Inspector{Trust: list}).Inspect(ctx, p.Card(), zone); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// signedParts are the bytes of a security object that carry meaning: what the
// signer signed, and what the state signed of the signer.
func signedParts(t testing.TB, file []byte) [][]byte {
	t.Helper()
	s, err := parseSOD(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.cms.signerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{s.cms.content, s.cms.signer.Attrs.FullBytes, c.tbs}
}

// B2: no change of a signed byte stays verified.
func TestMutatedSecurityObjectIsNeverVerified(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	sod := issue(t, s, emrtdtest.Genuine).SOD
	original := signedParts(t, sod)
	rnd := rand.New(rand.NewPCG(9303, 10))
	judge := func(file []byte) bool {
		obj, err := parseSOD(file)
		if err != nil {
			return false
		}
		signer, at, err := obj.cms.verify()
		return err == nil && list.judgeChain(signer, at, time.Now()).verdict == chainEstablished
	}
	if !judge(sod) {
		t.Fatal("the security object itself is not verified")
	}
	stayed := 0
	for i := range 2000 {
		m := bytes.Clone(sod)
		switch at := i % len(m); i % 3 {
		case 0:
			m[at] ^= 1 << rnd.IntN(8)
		case 1:
			m[rnd.IntN(len(m))] = byte(rnd.IntN(256))
		case 2:
			at = rnd.IntN(len(m))
			m = append(m[:at:at], m[at+1:]...)
		}
		if bytes.Equal(m, sod) || !judge(m) {
			continue
		}
		stayed++
		for j, part := range signedParts(t, m) {
			if !bytes.Equal(part, original[j]) {
				t.Fatalf("mutant %d changed signed part %d and stayed verified", i, j)
			}
		}
	}
	t.Logf("%d of 2000 mutants stayed verified, none in signed bytes", stayed)
}

// B2: verifier and factory are two readings of the standard, not one.
func TestVerifierAndFactoryShareNoCode(t *testing.T) {
	t.Parallel()
	for dir, forbidden := range map[string]string{".": "kuule/kiosk-bridge/emrtdtest", "../emrtdtest": "kuule/"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) < 4 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range tree.Imports {
				if strings.HasPrefix(strings.Trim(i.Path.Value, `"`), forbidden) {
					t.Errorf("%s imports %s", f, i.Path.Value)
				}
			}
		}
	}
}

// Personal content never prints itself.
func TestPersonalContentIsNotPrintable(t *testing.T) {
	t.Parallel()
	zone, err := ParseMRZ(specimenTD3)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{zone.String(), zone.GoString(), BACKey(zone).String(), Face{Image: []byte("ERIKSSON")}.String()} {
		if strings.Contains(s, "ERIKSSON") || strings.Contains(s, "L898902") {
			t.Errorf("printed: %s", s)
		}
	}
	if _, err := BACKey(zone).MarshalJSON(); err == nil {
		t.Error("an access key was written")
	}
}

// The German master list of 2026-05-28 (a data file of the German BSI): every
// certificate is read, and self-signed ones verify, on brainpool curves, with
// explicit parameters and PSS as they come.
func TestGermanMasterList(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../shared/data/DE_ML_2026-05-28.ml")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the master list lies beside the project, not in it, and is not there")
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMasterList(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Certificates) != 588 || len(m.Rejected) != 0 {
		t.Errorf("%d certificates and %d rejected, want 588 and none: %v", len(m.Certificates), len(m.Rejected), m.Rejected)
	}
	selfIssued, verified := 0, 0
	pin := ""
	for _, c := range m.Certificates {
		if m.Signer.signedBy(c) == nil && c.Country == "DE" {
			pin = c.Fingerprint()
		}
		if !c.SelfIssued() {
			continue
		}
		selfIssued++
		if c.signedBy(c) == nil {
			verified++
		}
	}
	if verified < 350 {
		t.Errorf("%d of %d self-issued certificates verify", verified, selfIssued)
	}
	list, err := ImportTrustList(b, pin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ImportTrustList(b, ""); !errors.Is(err, ErrTrustList) {
		t.Errorf("a list was trusted without a pin: %v", err)
	}
	if n := len(list.Countries()); n < 110 {
		t.Errorf("%d countries", n)
	}
	if _, err := m.Pinned(m.Certificates[0].Fingerprint()); pin != m.Certificates[0].Fingerprint() && !errors.Is(err, ErrTrustList) {
		t.Errorf("a list was trusted under another certificate's fingerprint: %v", err)
	}
	t.Logf("%d anchors, %d countries, %d of %d self-issued verify", list.Len(), len(list.Countries()), verified, selfIssued)
}

// One flipped byte in a signed list is refused as a whole.
func TestAlteredMasterListIsRefused(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../shared/data/DE_ML_2026-05-28.ml")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the master list lies beside the project, not in it, and is not there")
	}
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if _, err := ParseMasterList(b); !errors.Is(err, ErrTrustList) {
		t.Errorf("got %v", err)
	}
}

func TestTrustListRefusesWhatIsNoAuthority(t *testing.T) {
	t.Parallel()
	s, _ := newState(t, emrtdtest.ECDSA)
	sod, err := parseSOD(issue(t, s, emrtdtest.Genuine).SOD)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewTrustList(sod.cms.certificates...); !errors.Is(err, ErrTrustList) {
		t.Errorf("a document signer became an anchor: %v", err)
	}
	for name, text := range map[string][]byte{
		"empty":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}),
		"garbage": []byte("-----BEGIN nonsense"),
		"der":     {0x30, 0x03, 0x02, 0x01, 0x01},
	} {
		if _, err := ParseCertificates(text); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// CVE-2020-0601: explicit parameters with another base point are no known curve.
func TestExplicitParametersMustEqualAKnownCurve(t *testing.T) {
	t.Parallel()
	c := knownCurves[1]
	encode := func(gx, gy []byte) []byte {
		type field struct {
			Type asn1.ObjectIdentifier
			P    any
		}
		b, err := asn1.Marshal(struct {
			Version int
			Field   field
			Curve   struct{ A, B []byte }
			Base    []byte
			Order   any
		}{1, field{asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}, c.p}, struct{ A, B []byte }{c.a.Bytes(), c.b.Bytes()},
			append(append([]byte{4}, gx...), gy...), c.n})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got, err := parseCurve(encode(c.gx.FillBytes(make([]byte, 32)), c.gy.FillBytes(make([]byte, 32)))); err != nil || got != c {
		t.Errorf("the curve's own parameters were refused: %v", err)
	}
	x, y := c.affine(c.double(jacobian{c.gx, c.gy, hexInt("1")}))
	if _, err := parseCurve(encode(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32)))); !errors.Is(err, ErrCurve) {
		t.Errorf("another base point was accepted: %v", err)
	}
}

// Server time of a whole judgement: reading from a chip in this process,
// passive authentication included.
func BenchmarkInspect(b *testing.B) {
	s, list := newState(b, emrtdtest.ECDSA)
	p := issue(b, s, emrtdtest.Genuine)
	for b.Loop() {
		p.Card().Reset()
		if doc := inspect(b, list, p, 0); doc.Check(CheckChain).Verdict != interview.Verified {
			b.Fatal(doc.Checks)
		}
	}
}
