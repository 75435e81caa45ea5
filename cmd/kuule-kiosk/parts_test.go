package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/conformance"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// A maker runs this: it must say yes to a part that keeps the contract, and name
// what one does wrong that does not.
func TestConformanceIsACommand(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signer := filepath.Join(t.TempDir(), "register.pem")
	if err := os.WriteFile(signer, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, port := range []vendorport.Port{vendorport.PortPAD, vendorport.PortDuplicates} {
		c := conformanceCommand{Port: string(port), URL: vendorporttest.Serve(t, vendorporttest.New(port, key)), Sign: signer, Wait: time.Minute}
		if err := c.Run(t.Context()); err != nil {
			t.Errorf("%s: %v", port, err)
		}
	}
	c := conformanceCommand{Port: "pad", URL: vendorporttest.Serve(t, vendorporttest.New(vendorport.PortPAD, nil, vendorporttest.Keyless)), Wait: time.Minute}
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "checks failed") {
		t.Errorf("a part that takes requests without a key: %v", err)
	}
	var out strings.Builder
	failed, err := printResults(&out, []conformance.Result{{Name: "a", OK: true}, {Name: "b", Rule: "the rule", Detail: "the fault"}}, false)
	if err != nil || failed != 1 || out.String() != "ok      a\nFAILED  b: the fault\n        the contract: the rule\n" {
		t.Errorf("%d, %v, %q", failed, err, out.String())
	}
}

func TestTLSFilesBelongTogether(t *testing.T) {
	if _, err := mutualTLS("ca.pem", "", ""); err == nil {
		t.Error("an authority alone was taken")
	}
	c := conformanceCommand{Port: "pad", URL: "https://127.0.0.1:1", Wait: time.Second}
	if err := c.Run(t.Context()); err == nil {
		t.Error("https without certificates was tried")
	}
}
