package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/kiosk-bridge/face/facetest"
	"kuule/kiosk-bridge/fingerprint"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/vendorporttest"
)

// A server of net/http lingers for half a second where it refused a request that
// was too large.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The faces that makers' parts are shown are drawn, and by this.
func TestTheFacesAreDrawn(t *testing.T) {
	for name, v := range map[string]facetest.View{
		"document.jpg": {Quality: 60},
		"live1.jpg":    {Width: 480, Height: 480, Yaw: 0.08, From: -0.4, Quality: 60, Noise: 3},
		"live2.jpg":    {Width: 480, Height: 480, Yaw: -0.3, From: -0.4, Quality: 60, Noise: 3},
	} {
		drawn := facetest.New(6).JPEG(v)
		if os.Getenv("KUULE_DRAW") != "" {
			if err := os.WriteFile(name, drawn, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if runtime.GOARCH != "amd64" {
			t.Skip("other processors round other sums differently: the pictures were drawn on amd64")
		}
		kept, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(kept, drawn) {
			t.Errorf("%s is not what is drawn (%v): KUULE_DRAW=1 go test draws it anew", name, err)
		}
	}
	if _, err := fingerprint.Check(finger()); err != nil {
		t.Error(err)
	}
}

func failed(results []Result) []string {
	out := []string{}
	for _, r := range results {
		if !r.OK {
			out = append(out, r.Name)
		}
	}
	return out
}

// The simulators keep the contract.
func TestPartsThatKeepTheContractPass(t *testing.T) {
	t.Parallel()
	for _, port := range vendorport.Ports() {
		for _, faults := range [][]vendorporttest.Fault{nil, {vendorporttest.Busy}} { // to be busy is no fault
			k := key(t)
			url := vendorporttest.Serve(t, vendorporttest.New(port, k, faults...))
			results, err := Run(t.Context(), Config{Port: port, URL: url, Key: &k.PublicKey, Test: vendorporttest.Somebody.Number, Wait: time.Minute})
			if err != nil || len(results) < 12 {
				t.Fatalf("%s: %d results, %v", port, len(results), err)
			}
			for _, r := range results {
				if !r.OK {
					t.Errorf("%s %v: %s: %s", port, faults, r.Name, r.Detail)
				}
			}
		}
	}
}

// Every check can fail: each fault is found, and by its own check.
func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		port  vendorport.Port
		fault vendorporttest.Fault
		check string
	}{
		{vendorport.PortPAD, vendorporttest.Unversioned, "describes-itself"},
		{vendorport.PortPAD, vendorporttest.Inventive, "answers"},
		{vendorport.PortPAD, vendorporttest.Floating, "answers"},
		{vendorport.PortPAD, vendorporttest.Nameless, "answers"},
		{vendorport.PortFace, vendorporttest.Contrary, "answers"},
		{vendorport.PortQuality, vendorporttest.Contrary, "answers"},
		{vendorport.PortOptics, vendorporttest.Lying, "answers"},
		{vendorport.PortFingerprint, vendorporttest.Contrary, "answers"},
		{vendorport.PortPAD, vendorporttest.Forgetful, "same-key-same-answer"},
		{vendorport.PortPAD, vendorporttest.Careless, "same-key-other-request"},
		{vendorport.PortQuality, vendorporttest.Keyless, "no-key"},
		{vendorport.PortFace, vendorporttest.Timeless, "other-version"},
		{vendorport.PortPAD, vendorporttest.Lenient, "unknown-field"},
		{vendorport.PortPAD, vendorporttest.Talkative, "quotes-nothing"},
		{vendorport.PortQuality, vendorporttest.Greedy, "too-large"},
		{vendorport.PortPAD, vendorporttest.Catchall, "unknown-operation"},
		{vendorport.PortFace, vendorporttest.Crashing, "no-picture"},
		{vendorport.PortDuplicates, vendorporttest.Forging, "signed-result"},
		{vendorport.PortDuplicates, vendorporttest.Amnesic, "signed-result"},
		{vendorport.PortRegister, vendorporttest.Contrary, "wanted-alone"},
		{vendorport.PortRegister, vendorporttest.Generous, "wanted-alone"},
		{vendorport.PortRegister, vendorporttest.Guessing, "one-person"},
		{vendorport.PortRegister, vendorporttest.Purposeless, "purpose"},
		{vendorport.PortRegister, vendorporttest.Credulous, "nobody"},
		{vendorport.PortRegister, vendorporttest.Lenient, "unknown-field"},
		{vendorport.PortCasework, vendorporttest.Contrary, "answers"},
		{vendorport.PortCasework, vendorporttest.Forgetful, "same-key-same-answer"},
		{vendorport.PortCasework, vendorporttest.Credulous, "unknown-stage"},
	} {
		k := key(t)
		url := vendorporttest.Serve(t, vendorporttest.New(c.port, k, c.fault))
		results, err := Run(t.Context(), Config{Port: c.port, URL: url, Key: &k.PublicKey, Test: vendorporttest.Somebody.Number, Wait: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if got := failed(results); !slices.Contains(got, c.check) {
			t.Errorf("%s, %s: %v failed, not %s", c.port, c.fault, got, c.check)
		}
	}
}

// A scanner that waits as it likes holds up everybody behind.
func TestSoakAScannerThatWaitsTooLongIsFound(t *testing.T) {
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("it waits for real: KUULE_SOAK=1")
	}
	url := vendorporttest.Serve(t, vendorporttest.New(vendorport.PortOptics, nil, vendorporttest.Waiting))
	results, err := Run(t.Context(), Config{Port: vendorport.PortOptics, URL: url, Wait: time.Minute})
	if err != nil || !slices.Contains(failed(results), "waits-as-told") {
		t.Error(failed(results), err)
	}
}

// authority makes certificates for a name on loopback.
func certificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	k := key(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, parentKey = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k, Leaf: made}, made
}

func TestMutualTLSIsAskedFor(t *testing.T) {
	t.Parallel()
	authority, root := certificate(t, "authority", nil, nil)
	rootKey := authority.PrivateKey.(*ecdsa.PrivateKey)
	ours, _ := certificate(t, "bridge", root, rootKey)
	theirs, _ := certificate(t, "part", root, rootKey)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	for asked, want := range map[tls.ClientAuthType]bool{tls.RequireAndVerifyClientCert: true, tls.NoClientCert: false} {
		s := httptest.NewUnstartedServer(vendorporttest.New(vendorport.PortQuality, nil))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{theirs}, ClientCAs: pool, ClientAuth: asked, MinVersion: tls.VersionTLS13}
		s.Config.ErrorLog = nil
		s.StartTLS()
		results, err := Run(t.Context(), Config{
			Port: vendorport.PortQuality, URL: s.URL, Wait: time.Minute,
			TLS: &tls.Config{Certificates: []tls.Certificate{ours}, RootCAs: pool, MinVersion: tls.VersionTLS13},
		})
		s.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := failed(results); (len(got) == 0) != want || !want && !slices.Equal(got, []string{"mutual-tls"}) {
			t.Errorf("a part that asks for a certificate: %v; failed: %v", want, got)
		}
	}
}
