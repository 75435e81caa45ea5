package viewing_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/viewing"
)

// Whatever comes as a consent or an approval, none holds that was not signed.
func FuzzVerify(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	hearing := interview.NewHearingID()
	good := viewing.Consent{
		V: 1, Act: viewing.ActView, Viewing: "view-00112233445566778899aabbccddeeff", Hearing: hearing,
		Purpose: jws.Hash("appeal"), Nonce: "0011223344556677", Device: interview.NewDeviceID(), IssuedAt: time.Now().Unix(),
	}
	for typ, payload := range map[string]any{viewing.TypeConsent: good, viewing.TypeApproval: viewing.Approval{V: 1, Viewing: good.Viewing, Hearing: hearing, Asker: "a", Approver: "b", Purpose: good.Purpose, Expires: 1 << 40}} {
		text, err := jws.Sign(payload, typ, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add("")
	f.Add("e30.e30.AA")
	trusted, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	roots := x509.NewCertPool()
	named := func(*x509.Certificate) (interview.DeviceID, error) { return good.Device, nil }
	f.Fuzz(func(t *testing.T, text string) {
		want := viewing.Expected{Act: viewing.ActView, Viewing: good.Viewing, Hearing: hearing, Purpose: "appeal", Device: good.Device, Now: time.Now()}
		if _, err := viewing.VerifyConsent(text, roots, named, want); !errors.Is(err, viewing.ErrConsent) {
			t.Errorf("a stranger's consent: %v", err)
		}
		if _, err := viewing.VerifyApproval(text, trusted.Public(), viewing.Approval{Viewing: good.Viewing, Hearing: hearing, Asker: "a", Purpose: good.Purpose}, time.Now()); !errors.Is(err, viewing.ErrApproval) {
			t.Errorf("a stranger's approval: %v", err)
		}
		// What is peeked at before it is verified must be checkable all the same.
		var c viewing.Consent
		if jws.Peek(text, viewing.TypeConsent, &c) == nil && c.Check() == nil && c.Act == viewing.ActView && !viewing.CheckID(c.Viewing) {
			t.Errorf("viewing %q passes", c.Viewing)
		}
	})
}
