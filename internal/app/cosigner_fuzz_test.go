package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"testing"
	"time"

	"kuule/attestation/wire"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
)

// FuzzOutsideCosigner brings whatever comes as the line by which a bundle shows whose
// a cosigning key is, also under the certificate of somebody who is no device: nobody
// so named vouches.
func FuzzOutsideCosigner(f *testing.F) {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		return k
	}
	certify := func(tmpl, parent *x509.Certificate, of, by *ecdsa.PrivateKey) *x509.Certificate {
		tmpl.SerialNumber, tmpl.NotBefore, tmpl.NotAfter = serial(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if parent == nil {
			parent = tmpl
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, of.Public(), by)
		if err != nil {
			f.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			f.Fatal(err)
		}
		return c
	}
	rootKey, leafKey, office := key(), key(), key()
	root := certify(&x509.Certificate{Subject: pkix.Name{CommonName: "devices"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, rootKey, rootKey)
	leaf := certify(&x509.Certificate{Subject: pkix.Name{CommonName: "nobody's"}}, root, leafKey, rootKey)
	file := &trust.File{V: 1, DeviceRoots: []string{trust.EncodeCertificate(root)}}
	var err error
	if file.OfficeKey, err = trust.EncodeKey(office.Public()); err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(wire.Cosigner{DeviceID: interview.NewDeviceID(), Key: "dev+0000+AA", IssuedAt: time.Now().Unix()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good), "e30.e30.AA")
	f.Add(`{"issued_at":9007199254740991}`, "")
	f.Add("{}", "e30.e30.AA e30.e30.AA")
	f.Add("", " ")
	f.Fuzz(func(t *testing.T, payload, rest string) {
		lines := []string{payload, rest, payload + " " + rest}
		if text, err := jws.Sign(json.RawMessage(payload), wire.CosignerType, leafKey, leaf); err == nil {
			lines = append(lines, text, text+" "+rest)
		}
		for _, line := range lines {
			if key, err := outsideCosigner(file, line); err == nil {
				t.Errorf("%q vouches for %q", line, key)
			}
		}
	})
}
