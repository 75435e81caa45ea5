package viewing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/viewing"
)

// H6: a consent counts for one act of one viewing, at its device, for a minute.
func TestAConsentHoldsForWhatItSaysAlone(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	device, now := interview.NewDeviceID(), time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: device.String()}, SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	named := func(c *x509.Certificate) (interview.DeviceID, error) {
		return interview.ParseDeviceID(c.Subject.CommonName)
	}
	good := viewing.Consent{
		V: 1, Act: viewing.ActView, Viewing: "view-00112233445566778899aabbccddeeff", Hearing: interview.NewHearingID(),
		Purpose: jws.Hash("appeal"), Nonce: "0011223344556677", Person: viewing.Person("i", "a"), Device: device, IssuedAt: now.Unix(),
	}
	want := viewing.Expected{Act: viewing.ActView, Viewing: good.Viewing, Hearing: good.Hearing, Purpose: "appeal", Person: good.Person, Device: device, Now: now}
	check := func(c viewing.Consent, want viewing.Expected) error {
		text, err := jws.Sign(c, viewing.TypeConsent, key, leaf)
		if err != nil {
			t.Fatal(err)
		}
		_, err = viewing.VerifyConsent(text, roots, named, want)
		return err
	}
	if err := check(good, want); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(c *viewing.Consent, w *viewing.Expected){
		"another act":     func(_ *viewing.Consent, w *viewing.Expected) { w.Act = viewing.ActApprove },
		"unknown act":     func(c *viewing.Consent, w *viewing.Expected) { c.Act, w.Act = "own", "own" },
		"another viewing": func(_ *viewing.Consent, w *viewing.Expected) { w.Viewing = "view-ff112233445566778899aabbccddeeff" },
		"path as viewing": func(c *viewing.Consent, w *viewing.Expected) { c.Viewing, w.Viewing = "view-../../x", "view-../../x" },
		"another hearing": func(_ *viewing.Consent, w *viewing.Expected) { w.Hearing = interview.NewHearingID() },
		"another purpose": func(_ *viewing.Consent, w *viewing.Expected) { w.Purpose = "curiosity" },
		"another person":  func(_ *viewing.Consent, w *viewing.Expected) { w.Person = viewing.Person("i", "b") },
		"nobody":          func(c *viewing.Consent, w *viewing.Expected) { c.Person, w.Person = "", "" },
		"another device":  func(_ *viewing.Consent, w *viewing.Expected) { w.Device = interview.NewDeviceID() },
		"lent device":     func(c *viewing.Consent, w *viewing.Expected) { c.Device = interview.NewDeviceID(); w.Device = c.Device },
		"a participant's too": func(c *viewing.Consent, w *viewing.Expected) {
			c.Participant = interview.NewParticipantID()
			w.Participant = c.Participant
		},
		"a participant's alone": func(c *viewing.Consent, _ *viewing.Expected) {
			c.Person, c.Participant = "", interview.NewParticipantID()
		},
		"old":             func(c *viewing.Consent, _ *viewing.Expected) { c.IssuedAt -= 90 },
		"from the future": func(c *viewing.Consent, _ *viewing.Expected) { c.IssuedAt += 90 },
		"no nonce":        func(c *viewing.Consent, _ *viewing.Expected) { c.Nonce = "" },
		"version":         func(c *viewing.Consent, _ *viewing.Expected) { c.V = 2 },
	} {
		c, w := good, want
		spoil(&c, &w)
		if err := check(c, w); !errors.Is(err, viewing.ErrConsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Of the applicant who signs in nowhere it names the participant, to open alone.
	p, w := good, want
	p.Person, p.Participant = "", interview.NewParticipantID()
	w.Person, w.Participant = "", p.Participant
	if err := check(p, w); err != nil {
		t.Fatal(err)
	}
	w.Participant = interview.NewParticipantID()
	if err := check(p, w); !errors.Is(err, viewing.ErrConsent) {
		t.Errorf("another participant: %v", err)
	}
	for _, act := range []viewing.Act{viewing.ActApprove, viewing.ActSeat} {
		q, w := p, want
		w.Person, w.Participant, w.Act, q.Act = "", p.Participant, act, act
		if err := check(q, w); !errors.Is(err, viewing.ErrConsent) {
			t.Errorf("a participant's consent to %s: %v", act, err)
		}
	}
}

// H6: an approval is a second person's, for one asker, viewing and purpose,
// until it expires.
func TestAnApprovalHoldsForWhatItSaysAlone(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good := viewing.Approval{
		V: 1, Viewing: "view-00112233445566778899aabbccddeeff", Case: interview.NewCaseID(), Hearing: interview.NewHearingID(),
		Asker: viewing.Person("i", "a"), Approver: viewing.Person("i", "b"), Purpose: jws.Hash("appeal"), Expires: now.Add(time.Hour).Unix(),
	}
	check := func(a, want viewing.Approval, at time.Time) error {
		text, err := jws.Sign(a, viewing.TypeApproval, key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = viewing.VerifyApproval(text, key.Public(), want, at)
		return err
	}
	if err := check(good, good, now); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(a *viewing.Approval){
		"version":         func(a *viewing.Approval) { a.V = 2 },
		"another viewing": func(a *viewing.Approval) { a.Viewing = "view-ff112233445566778899aabbccddeeff" },
		"another case":    func(a *viewing.Approval) { a.Case = interview.NewCaseID() },
		"another hearing": func(a *viewing.Approval) { a.Hearing = interview.NewHearingID() },
		"another asker":   func(a *viewing.Approval) { a.Asker = viewing.Person("i", "c") },
		"own approval":    func(a *viewing.Approval) { a.Approver = a.Asker },
		"nobody's":        func(a *viewing.Approval) { a.Approver = "" },
		"another purpose": func(a *viewing.Approval) { a.Purpose = jws.Hash("x") },
		"expired":         func(a *viewing.Approval) { a.Expires = now.Unix() },
		"another device":  func(a *viewing.Approval) { a.Device = interview.NewDeviceID() },
	} {
		a := good
		spoil(&a)
		if err := check(a, good, now); !errors.Is(err, viewing.ErrApproval) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.Sign(good, viewing.TypeApproval, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := viewing.VerifyApproval(text, key.Public(), good, now); !errors.Is(err, viewing.ErrApproval) {
		t.Errorf("signed by another key: %v", err)
	}
}
