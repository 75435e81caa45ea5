package wire_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/problem"
	"kuule/interview"
)

func identifier(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := wire.PermanentIdentifier(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// certificate makes one that is self-signed: what is read does not depend on
// who signed.
func certificate(t testing.TB, subject pkix.Name, extensions ...pkix.Extension) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: subject, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), ExtraExtensions: extensions}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNamesComeBack(t *testing.T) {
	t.Parallel()
	id, hw := identifier(t), wire.Hardware{Manufacturer: "id:00001014", Model: "swtpm", Version: "id:20191023"}
	ext, err := wire.SubjectAltName(id, &hw, true)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate(t, pkix.Name{}, ext)
	if len(c.UnhandledCriticalExtensions) == 0 {
		t.Error("the name is not critical though the subject is empty")
	}
	wire.IgnoreUnhandledName(c)
	if len(c.UnhandledCriticalExtensions) != 0 {
		t.Error("the name is still unhandled")
	}
	ids, got, err := wire.Names(c)
	if err != nil || len(ids) != 1 || ids[0] != id || got != hw {
		t.Errorf("got %q %+v %v", ids, got, err)
	}
	if ids, _, err := wire.Names(certificate(t, pkix.Name{CommonName: "x"})); err != nil || len(ids) != 0 {
		t.Errorf("no name: %q %v", ids, err)
	}
}

// C3: a device certificate says all three: TPM, device and agreement.
func TestReadDevice(t *testing.T) {
	t.Parallel()
	id, other := identifier(t), identifier(t)
	device, agreement := interview.NewDeviceID(), interview.NewAgreementID()
	ext, err := wire.SubjectAltName(id, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	short, err := wire.SubjectAltName("urn:ek:sha256:x", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	good := func() pkix.Name {
		return pkix.Name{CommonName: id, Organization: []string{agreement.String()}, OrganizationalUnit: []string{device.String()}}
	}
	d, err := wire.ReadDevice(certificate(t, good(), ext))
	if err != nil || d.PermanentIdentifier != id || d.DeviceID != device || d.AgreementID != agreement || d.Serial != "7" {
		t.Fatalf("got %+v, %v", d, err)
	}
	for name, tc := range map[string]struct {
		change func(*pkix.Name)
		names  []pkix.Extension
	}{
		"no name":                 {func(*pkix.Name) {}, nil},
		"common name of another":  {func(n *pkix.Name) { n.CommonName = other }, []pkix.Extension{ext}},
		"no device":               {func(n *pkix.Name) { n.OrganizationalUnit = nil }, []pkix.Extension{ext}},
		"two devices":             {func(n *pkix.Name) { n.OrganizationalUnit = []string{device.String(), interview.NewDeviceID().String()} }, []pkix.Extension{ext}},
		"device of another kind":  {func(n *pkix.Name) { n.OrganizationalUnit = []string{agreement.String()} }, []pkix.Extension{ext}},
		"no agreement":            {func(n *pkix.Name) { n.Organization = nil }, []pkix.Extension{ext}},
		"not an identifier":       {func(n *pkix.Name) { n.CommonName = "urn:ek:sha256:x" }, []pkix.Extension{short}},
		"name that is not a name": {func(*pkix.Name) {}, []pkix.Extension{{Id: ext.Id, Value: []byte{0x30, 2, 0xa0, 0}}}},
	} {
		t.Run(name, func(t *testing.T) {
			n := good()
			tc.change(&n)
			if _, err := wire.ReadDevice(certificate(t, n, tc.names...)); !errors.Is(err, wire.ErrNotDevice) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestValidIdentifier(t *testing.T) {
	t.Parallel()
	if !wire.ValidIdentifier(identifier(t)) {
		t.Error("our own is refused")
	}
	for _, s := range []string{"", "urn:ek:sha256:", "urn:ek:sha256:AAAA", "urn:ek:sha1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)), identifier(t) + " ", "x" + identifier(t)} {
		if wire.ValidIdentifier(s) {
			t.Errorf("%q is taken", s)
		}
	}
}

func TestReadMessage(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(wire.Message{Kind: wire.KindVerdict, Verdict: &wire.Verdict{Code: problem.CodePostureDrift}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := wire.ReadMessage(text); err != nil || m.Verdict.Code != problem.CodePostureDrift {
		t.Errorf("got %+v, %v", m, err)
	}
	for name, text := range map[string]string{
		"empty":             ``,
		"no kind":           `{"hello":{"cosigner":"x"}}`,
		"unknown kind":      `{"kind":"x"}`,
		"kind without":      `{"kind":"hello"}`,
		"another's content": `{"kind":"hello","verdict":{"verified":true}}`,
		"two contents":      `{"kind":"hello","hello":{"cosigner":"x"},"verdict":{"verified":true}}`,
		"unknown field":     `{"kind":"hello","hello":{"cosigner":"x","more":1}}`,
		"twice":             `{"kind":"hello","kind":"hello","hello":{"cosigner":"x"}}`,
		"trailing":          `{"kind":"hello","hello":{"cosigner":"x"}} {}`,
		"too long":          `{"kind":"hello","hello":{"cosigner":"` + strings.Repeat("x", wire.MaxRequest) + `"}}`,
	} {
		if _, err := wire.ReadMessage([]byte(text)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte(`{"kind":"challenge","challenge":{"nonce":"AA==","pcrs":[0,7]}}`))
	f.Add([]byte(`{"kind":"cosign","cosign":{"id":"1","checkpoint":"x","old_size":1,"proof":["AA=="]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := wire.ReadMessage(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ReadMessage(again); err != nil && len(again) <= wire.MaxRequest {
			t.Fatalf("what was read is not read again: %v", err)
		}
	})
}

func FuzzNames(f *testing.F) {
	ext, err := wire.SubjectAltName("urn:ek:sha256:x", &wire.Hardware{Manufacturer: "a", Model: "b", Version: "c"}, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ext.Value)
	f.Add([]byte{0x30, 0})
	base := certificate(f, pkix.Name{CommonName: "x"})
	f.Fuzz(func(_ *testing.T, der []byte) {
		c := *base
		c.Extensions = []pkix.Extension{{Id: ext.Id, Value: der}}
		_, _, _ = wire.Names(&c)
		_, _ = wire.ReadDevice(&c)
	})
}
