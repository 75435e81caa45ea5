package emrtd

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/md5" // that it is broken is what a test is about
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"kuule/interview"
	"kuule/kiosk-bridge/emrtdtest"
)

// Known attacks on travel documents and their readers, each carried out.

// accepted says whether a security object counts, and for which state.
func accepted(list *TrustList, file []byte) bool {
	sod, err := parseSOD(file)
	if err != nil {
		return false
	}
	signer, at, err := sod.cms.verify()
	return err == nil && list.judgeChain(signer, at, time.Now()).verdict == chainEstablished
}

// CVE-2020-0601 on a whole document: the signer's certificate spells a known
// curve out, but for its base point.
func TestAttackCurveOfOnesOwn(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	for _, curve := range []string{emrtdtest.P256, emrtdtest.BrainpoolP256r1} {
		s.SignAs(emrtdtest.Signing{Key: curve, Hash: crypto.SHA256, Explicit: true})
		if p := issue(t, s, emrtdtest.Genuine); !accepted(list, p.SOD) {
			t.Fatalf("%s: the curve itself, spelt out, was refused", curve)
		}
		s.SignAs(emrtdtest.Signing{Key: curve, Hash: crypto.SHA256, OtherBase: true})
		p := issue(t, s, emrtdtest.Genuine)
		doc := inspect(t, list, p, 0)
		if got := doc.Check(CheckSignature); got.Verdict != interview.Undetermined || got.Reason != ReasonUnreadable {
			t.Errorf("%s: signature: %+v", curve, got)
		}
		for _, check := range []string{CheckChain, CheckDG1, CheckDG2, CheckIssuer} {
			if got := doc.Check(check); got.Verdict == interview.Verified {
				t.Errorf("%s: %+v", curve, got)
			}
		}
	}
}

// The same key under other parameters of any kind is refused one by one: other
// coefficients, order, field, cofactor, a point that is not on the curve.
func TestAttackParametersOneByOne(t *testing.T) {
	t.Parallel()
	type field struct {
		Type asn1.ObjectIdentifier
		P    *big.Int
	}
	type parameters struct {
		Version  int
		Field    field
		Curve    struct{ A, B []byte }
		Base     []byte
		Order    *big.Int
		Cofactor int
	}
	c := elliptic.P256().Params()
	p := func() parameters {
		base := make([]byte, 65)
		base[0] = 4
		c.Gx.FillBytes(base[1:33])
		c.Gy.FillBytes(base[33:])
		return parameters{
			1, field{asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}, c.P},
			struct{ A, B []byte }{new(big.Int).Sub(c.P, big.NewInt(3)).Bytes(), c.B.Bytes()}, base, c.N, 1,
		}
	}
	plus := func(b []byte) []byte { return new(big.Int).Add(new(big.Int).SetBytes(b), big.NewInt(1)).Bytes() }
	for name, change := range map[string]func(*parameters){
		"nothing":          func(*parameters) {},
		"a":                func(p *parameters) { p.Curve.A = plus(p.Curve.A) },
		"b":                func(p *parameters) { p.Curve.B = plus(p.Curve.B) },
		"a and b":          func(p *parameters) { p.Curve.A, p.Curve.B = p.Curve.B, p.Curve.A },
		"field":            func(p *parameters) { p.Field.P = new(big.Int).Add(c.P, big.NewInt(2)) },
		"order":            func(p *parameters) { p.Order = new(big.Int).Rsh(c.N, 1) },
		"base":             func(p *parameters) { p.Base[64] ^= 1 },
		"base at infinity": func(p *parameters) { p.Base = []byte{0} },
		"minus the base":   func(p *parameters) { new(big.Int).Sub(c.P, c.Gy).FillBytes(p.Base[33:]) },
		"cofactor":         func(p *parameters) { p.Cofactor = 2 },
	} {
		v := p()
		change(&v)
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseCurve(b); (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rawCMS is a security object taken apart, so that a forger can put it together
// in other ways.
type rawCMS struct {
	Type    asn1.ObjectIdentifier
	Content struct {
		Version int
		Digests asn1.RawValue
		Encap   struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}
		Certs   asn1.RawValue
		Signers []asn1.RawValue `asn1:"set"`
	} `asn1:"explicit,tag:0"`
}

func apart(t *testing.T, sod []byte) rawCMS {
	t.Helper()
	body, err := onlyTLV(sod, 0x77)
	if err != nil {
		t.Fatal(err)
	}
	var out rawCMS
	if err := unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (c rawCMS) together(t *testing.T) []byte {
	t.Helper()
	b, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return appendTLV(nil, 0x77, b)
}

// Signature wrapping: a genuine signature stands in the object, and other hashes
// are where a careless reader would look for them.
func TestAttackSignatureWrapping(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	genuine := issue(t, s, emrtdtest.Genuine).SOD
	somebody := emrtdtest.Person{Surname: "SOMEBODY", GivenNames: "ELSE", DocumentNumber: "X12345678", DateOfBirth: "800101"}
	of := func(s *emrtdtest.State) []byte {
		p, err := s.Issue(somebody, emrtdtest.Genuine)
		if err != nil {
			t.Fatal(err)
		}
		return p.SOD
	}
	other := of(s)
	stranger, _ := newState(t, emrtdtest.ECDSA)
	forged := of(stranger)
	security := issue(t, s, emrtdtest.WithMapping)
	if again := apart(t, genuine).together(t); !bytes.Equal(again, genuine) || !accepted(list, again) {
		t.Fatal("the object does not survive being taken apart")
	}
	attrs := func(c rawCMS) []byte {
		parsed, err := parseSOD(c.together(t))
		if err != nil {
			t.Fatal(err)
		}
		return parsed.cms.signer.Attrs.FullBytes
	}
	change := func(how func(*rawCMS)) []byte {
		c := apart(t, genuine)
		how(&c)
		return c.together(t)
	}
	f, o := apart(t, forged), apart(t, other)
	for name, sod := range map[string][]byte{
		"other content under the signature":     change(func(c *rawCMS) { c.Content.Encap.Content = f.Content.Encap.Content }),
		"content of another of its documents":   change(func(c *rawCMS) { c.Content.Encap.Content = o.Content.Encap.Content }),
		"signature of another of its documents": change(func(c *rawCMS) { c.Content.Signers = o.Content.Signers }),
		"another signer beside":                 change(func(c *rawCMS) { c.Content.Signers = append(c.Content.Signers, f.Content.Signers...) }),
		"another signer before": change(func(c *rawCMS) {
			c.Content.Signers = append(append([]asn1.RawValue{}, f.Content.Signers...), c.Content.Signers...)
			c.Content.Certs.Bytes, c.Content.Certs.FullBytes = append(bytes.Clone(f.Content.Certs.Bytes), c.Content.Certs.Bytes...), nil
		}),
		"a forger's signature beside the state's certificate": change(func(c *rawCMS) {
			c.Content.Encap, c.Content.Signers = f.Content.Encap, f.Content.Signers
			c.Content.Certs.Bytes, c.Content.Certs.FullBytes = append(bytes.Clone(f.Content.Certs.Bytes), c.Content.Certs.Bytes...), nil
		}),
		"the certificate twice": change(func(c *rawCMS) {
			c.Content.Certs.Bytes, c.Content.Certs.FullBytes = append(bytes.Clone(c.Content.Certs.Bytes), c.Content.Certs.Bytes...), nil
		}),
		"no signer":                        change(func(c *rawCMS) { c.Content.Signers = nil }),
		"signed attributes as the content": change(func(c *rawCMS) { c.Content.Encap.Content = append([]byte{0x31}, attrs(*c)[1:]...) }),
		"another type of content":          change(func(c *rawCMS) { c.Content.Encap.Type = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 2} }),
		"the object within an object":      appendTLV(nil, 0x77, genuine),
		"two objects":                      append(bytes.Clone(genuine), forged...),
	} {
		if accepted(list, sod) {
			t.Errorf("%s: accepted", name)
		}
	}
	// What the same signer signed for another purpose is no security object: its
	// type is under the signature.
	zone, err := ParseMRZ(security.Printed)
	if err != nil {
		t.Fatal(err)
	}
	in := inspection{Inspector: &Inspector{}, optical: zone, password: MRZPassword(zone), doc: &Document{}}
	chip, err := in.attempt(t.Context(), security.Card(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseCardSecurity(chip.security.b); err != nil {
		t.Fatal(err)
	}
	if accepted(list, appendTLV(nil, 0x77, chip.security.b)) {
		t.Error("EF.CardSecurity passed for a security object")
	}
}

// A group that is listed twice could be compared with the hash that suits the
// forger: such a list counts as none.
func TestAttackGroupListedTwice(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	s.SignAs(emrtdtest.Signing{Key: emrtdtest.P256, Hash: crypto.SHA256, GroupTwice: true})
	doc := inspect(t, list, issue(t, s, emrtdtest.Genuine), 0)
	for check, want := range map[string]interview.Check{
		CheckSignature: bad(interview.Undetermined, ReasonUnreadable), CheckChain: bad(interview.NotDone, ReasonSignatureNotSound),
		CheckDG1: bad(interview.Undetermined, ReasonSignatureNotSound), CheckDG2: bad(interview.Undetermined, ReasonSignatureNotSound),
	} {
		want.Name = check
		if got := doc.Check(check); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Two groups of one hash: whoever can make them has one signed and shows the
// other. A list of hashes for which that is known counts as none, whatever signed
// it.
func TestAttackCollidingGroups(t *testing.T) {
	t.Parallel()
	// Of Wang and Yu, "How to Break MD5 and Other Hash Functions", 2005.
	one, err := hex.DecodeString("d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70")
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Clone(one)
	for _, at := range []int{19, 45, 59, 83, 109, 123} {
		other[at] ^= 0x80
	}
	if bytes.Equal(one, other) || md5.Sum(one) != md5.Sum(other) {
		t.Fatal("these two do not collide")
	}
	s, list := newState(t, emrtdtest.ECDSA)
	s.SignAs(emrtdtest.Signing{Key: emrtdtest.P256, Hash: crypto.SHA256, Groups: crypto.MD5})
	doc := inspect(t, list, issue(t, s, emrtdtest.Genuine), 0)
	for check, want := range map[string]interview.Check{
		CheckSignature: bad(interview.Undetermined, ReasonUnreadable), CheckChain: bad(interview.NotDone, ReasonSignatureNotSound),
		CheckDG1: bad(interview.Undetermined, ReasonSignatureNotSound), CheckDG2: bad(interview.Undetermined, ReasonSignatureNotSound),
	} {
		want.Name = check
		if got := doc.Check(check); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// A security object that ends early, or says that it does, is none: at every
// length.
func TestAttackTruncatedSecurityObject(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	sod := issue(t, s, emrtdtest.Genuine).SOD
	body, err := onlyTLV(sod, 0x77)
	if err != nil {
		t.Fatal(err)
	}
	if !accepted(list, appendTLV(nil, 0x77, body)) {
		t.Fatal("the whole object was refused")
	}
	for n := range body {
		if accepted(list, sod[:n]) {
			t.Errorf("the first %d of %d bytes were accepted", n, len(sod))
		}
		if accepted(list, appendTLV(nil, 0x77, body[:n])) {
			t.Errorf("an object that says it has %d of %d bytes was accepted", n, len(body))
		}
	}
}

// recorded keeps what a chip answered; played, it answers the same again.
type recorded struct {
	chip    Card // nil: answers what was kept
	answers [][]byte
}

func (r *recorded) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if r.chip != nil {
		out, err := r.chip.Transmit(ctx, apdu)
		r.answers = append(r.answers, bytes.Clone(out))
		return out, err
	}
	if len(r.answers) == 0 {
		return nil, emrtdtest.ErrSilent
	}
	out := r.answers[0]
	r.answers = r.answers[1:]
	return out, nil
}

// A whole session played again, as a kiosk that kept it could: nothing of it
// counts, since every session has keys of its own.
func TestAttackReplayedSession(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	for v, want := range map[emrtdtest.Variant]interview.Check{
		emrtdtest.WithActive:  bad(interview.Failed, ReasonNotGenuine),
		emrtdtest.WithPACE:    bad(interview.Failed, ReasonNotGenuine),
		emrtdtest.WithMapping: bad(interview.Failed, ReasonNotGenuine),
	} {
		p := issue(t, s, v)
		zone, err := ParseMRZ(p.Printed)
		if err != nil {
			t.Fatal(err)
		}
		tape := &recorded{chip: p.Card()}
		first, err := (&Inspector{Trust: list}).Inspect(t.Context(), tape, zone)
		if err != nil || first.Check(CheckDG2).Verdict != interview.Verified {
			t.Fatalf("%s: %+v %v", v, first, err)
		}
		again, err := (&Inspector{Trust: list}).Inspect(t.Context(), &recorded{answers: tape.answers}, zone)
		if err != nil {
			t.Fatal(err)
		}
		want.Name = CheckAccess
		if got := again.Check(CheckAccess); got != want {
			t.Errorf("%s: %+v", v, got)
		}
		for _, c := range again.Checks {
			if c.Verdict == interview.Verified && c.Name != CheckMRZDigits && c.Name != CheckExpiry {
				t.Errorf("%s: %+v", v, c)
			}
		}
	}
}

// echo answers one command with what it answered to an earlier one.
type echo struct {
	Card
	at, back int
	n        int
	answers  [][]byte
}

func (e *echo) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	out, err := e.Card.Transmit(ctx, apdu)
	e.answers = append(e.answers, bytes.Clone(out))
	if e.n++; e.n == e.at {
		return e.answers[e.n-1-e.back], err
	}
	return out, err
}

// Within a session an old answer in a new one's place breaks the session: the
// counter is under the checksum.
func TestAttackOldAnswerInTheSameSession(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	for _, v := range []emrtdtest.Variant{emrtdtest.Genuine, emrtdtest.WithPACE} {
		p := issue(t, s, v)
		zone, err := ParseMRZ(p.Printed)
		if err != nil {
			t.Fatal(err)
		}
		for back := 1; back <= 3; back++ {
			p.Card().Reset()
			card := &echo{Card: p.Card(), at: 30, back: back}
			doc, err := (&Inspector{Trust: list, Chunk: ShortAnswers}).Inspect(t.Context(), card, zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := doc.Check(CheckDG2); got.Verdict != interview.Undetermined || got.Reason != ReasonMessagingBroken {
				t.Errorf("%s, %d back: %+v", v, back, got)
			}
		}
	}
}

// A signature of active authentication from another moment is worth nothing: the
// challenge is the bridge's and new each time.
func TestAttackOldProofOfTheChip(t *testing.T) {
	t.Parallel()
	for _, kind := range []emrtdtest.Active{emrtdtest.ActiveRSA, emrtdtest.P256} {
		s, list := newState(t, emrtdtest.ECDSA)
		p := issueChip(t, s, emrtdtest.Chip{Active: kind})
		doc := inspect(t, list, p, 0)
		if got := doc.Check(CheckActiveAuth); got.Verdict != interview.Verified {
			t.Fatalf("%s: %+v", kind, got)
		}
		p.Card().RememberProof() // answers each challenge with its answer to the last
		p.Card().Reset()
		if got := inspect(t, list, p, 0).Check(CheckActiveAuth); got.Verdict != interview.Failed || got.Reason != ReasonNotOriginal {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

// Keys that the same authority certified for other work sign no documents: those
// of bar codes lie in many offices.
func TestAttackSignerOfOtherThings(t *testing.T) {
	t.Parallel()
	s, list := newState(t, emrtdtest.ECDSA)
	how := emrtdtest.Signing{Key: emrtdtest.P256, Hash: crypto.SHA256}
	for name, c := range map[string]struct {
		purposes []asn1.ObjectIdentifier
		limited  bool
		want     interview.Check
	}{
		"master lists":         {[]asn1.ObjectIdentifier{{2, 23, 136, 1, 1, 3}}, false, bad(interview.Failed, ReasonSignerPurpose)},
		"bar codes":            {[]asn1.ObjectIdentifier{{2, 23, 136, 1, 1, 14, 2}}, false, bad(interview.Failed, ReasonSignerPurpose)},
		"bar codes and others": {[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}, {2, 23, 136, 1, 1, 14, 2}}, false, bad(interview.Failed, ReasonSignerPurpose)},
		"mail":                 {[]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}}, false, bad(interview.Undetermined, ReasonSignerLimited)},
		"limited":              {nil, true, bad(interview.Undetermined, ReasonSignerLimited)},
	} {
		how.Purposes, how.Limited = c.purposes, c.limited
		s.SignAs(how)
		expect(t, name, inspect(t, list, issue(t, s, emrtdtest.Genuine), 0), map[string]interview.Check{CheckChain: c.want})
		if c.want.Verdict == interview.Failed { // nor does it vouch for a chip's key
			if got := inspect(t, list, issue(t, s, emrtdtest.WithMapping), 0).Check(CheckMapping); got.Verdict == interview.Verified {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	// A master list is signed by whom may sign such, or by whom nothing is said.
	for name, c := range map[string]struct {
		purposes []asn1.ObjectIdentifier
		good     bool
	}{
		"nothing said": {nil, true}, "lists": {[]asn1.ObjectIdentifier{{2, 23, 136, 1, 1, 3}}, true}, "bar codes": {[]asn1.ObjectIdentifier{{2, 23, 136, 1, 1, 14, 2}}, false},
	} {
		how.Purposes, how.Limited = c.purposes, false
		s.SignAs(how)
		b, err := s.MasterList(s.CSCA())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseMasterList(b); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key so short that anybody could have signed with it signs nothing, and is no
// proof of a forgery either.
func TestAttackShortKey(t *testing.T) {
	t.Parallel()
	n, ok := new(big.Int).SetString("C"+strings.Repeat("5", 127), 16) // 512 bits
	if !ok {
		t.Fatal("no number")
	}
	key := &rsa.PublicKey{N: n, E: 65537}
	for _, oid := range []asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 1, 11}, {1, 2, 840, 113549, 1, 1, 10}} {
		err := verifySignature(key, pkix.AlgorithmIdentifier{Algorithm: oid}, 0, []byte("m"), make([]byte, 64))
		if !errors.Is(err, ErrAlgorithm) || errors.Is(err, ErrSignature) {
			t.Errorf("%v: %v", oid, err)
		}
	}
}
