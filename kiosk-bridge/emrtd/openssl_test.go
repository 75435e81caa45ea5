package emrtd

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// openssl makes security objects as a third party, in the shapes that real
// issuers use and the factory does not.
type openssl struct {
	t    *testing.T
	path string
	dir  string
}

func newOpenSSL(t *testing.T) *openssl {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: its security objects were not made")
	}
	return &openssl{t, path, t.TempDir()}
}

func (o *openssl) file(name string) string { return filepath.Join(o.dir, name) }

func (o *openssl) run(args ...string) {
	o.t.Helper()
	if out, err := exec.Command(o.path, args...).CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

func (o *openssl) write(name string, b []byte) string {
	o.t.Helper()
	if err := os.WriteFile(o.file(name), b, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return o.file(name)
}

// issuer makes a country signing certificate and a document signer of the given
// kind of key.
func (o *openssl) issuer(genpkey ...string) *TrustList {
	o.t.Helper()
	config := o.write("openssl.cnf", []byte(`
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[ds]
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`))
	for _, key := range []string{"ca.key", "ds.key"} {
		o.run(append(append([]string{"genpkey"}, genpkey...), "-out", o.file(key))...)
	}
	o.run("req", "-new", "-x509", "-config", config, "-extensions", "ca", "-key", o.file("ca.key"), "-subj", "/C=UT/CN=CSCA", "-days", "90", "-out", o.file("ca.pem"))
	o.run("req", "-new", "-config", config, "-key", o.file("ds.key"), "-subj", "/C=UT/CN=DS", "-out", o.file("ds.csr"))
	o.run("x509", "-req", "-in", o.file("ds.csr"), "-CA", o.file("ca.pem"), "-CAkey", o.file("ca.key"), "-extfile", config, "-extensions", "ds", "-set_serial", "77", "-days", "60", "-out", o.file("ds.pem"))
	text, err := os.ReadFile(o.file("ca.pem"))
	if err != nil {
		o.t.Fatal(err)
	}
	certs, err := ParseCertificates(text)
	if err != nil {
		o.t.Fatal(err)
	}
	list, err := NewTrustList(certs...)
	if err != nil {
		o.t.Fatal(err)
	}
	return list
}

// sign makes EF.SOD over one data group by the document signer.
func (o *openssl) sign(dg1 []byte, flags ...string) []byte {
	o.t.Helper()
	return o.signAs("ds", oidSecurityObject, dg1, flags...)
}

func (o *openssl) signAs(signer, contentType string, dg1 []byte, flags ...string) []byte {
	o.t.Helper()
	type group struct {
		Number int
		Hash   []byte
	}
	sum := sha256.Sum256(dg1)
	content, err := asn1.Marshal(struct {
		Version int
		Hash    pkix.AlgorithmIdentifier
		Groups  []group
	}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}, []group{{1, sum[:]}}})
	if err != nil {
		o.t.Fatal(err)
	}
	args := []string{
		"cms", "-sign", "-binary", "-nodetach", "-econtent_type", contentType, "-md", "sha256", "-outform", "DER",
		"-signer", o.file(signer + ".pem"), "-inkey", o.file(signer + ".key"), "-in", o.write("content", content), "-out", o.file("sod"),
	}
	o.run(append(args, flags...)...)
	cms, err := os.ReadFile(o.file("sod"))
	if err != nil {
		o.t.Fatal(err)
	}
	return appendTLV(nil, 0x77, cms)
}

// B2: brainpool and explicit curves, RSA in both paddings, signers named by key
// identifier, and BER with indefinite lengths, all made by somebody else.
func TestSecurityObjectsOfAnotherImplementation(t *testing.T) {
	t.Parallel()
	keys := map[string][]string{
		"brainpoolP256r1":          {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"},
		"brainpoolP512r1":          {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP512r1"},
		"brainpoolP320r1":          {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP320r1"},
		"brainpoolP192r1":          {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP192r1"},
		"P-192":                    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-192"},
		"P-224":                    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"},
		"P-256 explicit":           {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"},
		"brainpoolP384r1 explicit": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1", "-pkeyopt", "ec_param_enc:explicit"},
		"RSA":                      {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
	}
	shapes := map[string][]string{"issuer and serial": nil, "key identifier": {"-keyid"}, "indefinite lengths": {"-stream"}}
	dg1 := []byte("a data group")
	for name, genpkey := range keys {
		o := newOpenSSL(t)
		list := o.issuer(genpkey...)
		cases := map[string][]string{}
		for shape, flags := range shapes {
			cases[shape] = flags
		}
		if name == "RSA" {
			cases["PSS"] = []string{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32"}
		}
		for shape, flags := range cases {
			sod, err := parseSOD(o.sign(dg1, flags...))
			if err != nil {
				t.Errorf("%s, %s: %v", name, shape, err)
				continue
			}
			signer, at, err := sod.cms.verify()
			if err != nil {
				t.Errorf("%s, %s: %v", name, shape, err)
				continue
			}
			if got := list.judgeChain(signer, at, time.Now()).verdict; got != chainEstablished {
				t.Errorf("%s, %s: chain %d", name, shape, got)
			}
			if _, fits := sod.covers(1, dg1); !fits {
				t.Errorf("%s, %s: hash of the data group does not fit", name, shape)
			}
			sod.cms.content = bytes.Clone(sod.cms.content)
			sod.cms.content[len(sod.cms.content)-1] ^= 1
			if _, _, err := sod.cms.verify(); !errors.Is(err, errTampered) {
				t.Errorf("%s, %s: changed content: %v", name, shape, err)
			}
		}
	}
}

// Shapes that would let a signature stand for other content are refused.
func TestShapesThatAreNoSecurityObject(t *testing.T) {
	t.Parallel()
	o := newOpenSSL(t)
	o.issuer("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	dg1 := []byte("a data group")
	accepted := func(sod []byte) bool {
		s, err := parseSOD(sod)
		if err != nil {
			return false
		}
		_, _, err = s.cms.verify()
		return err == nil
	}
	if !accepted(o.sign(dg1)) {
		t.Fatal("an ordinary security object was refused")
	}
	for name, sod := range map[string][]byte{
		"no signed attributes": o.sign(dg1, "-noattr"),
		"no certificate":       o.sign(dg1, "-nocerts"),
		"two signers":          o.sign(dg1, "-signer", o.file("ca.pem"), "-inkey", o.file("ca.key")),
		"signed by the state":  o.signAs("ca", oidSecurityObject, dg1),
		"another content":      o.signAs("ds", oidMasterList, dg1),
	} {
		if accepted(sod) {
			t.Errorf("%s: accepted", name)
		}
	}
	good := o.sign(dg1)
	for name, sod := range map[string][]byte{
		"bytes behind": append(bytes.Clone(good), 0), "truncated": good[:len(good)-1], "another tag": append([]byte{0x78}, good[1:]...), "empty": {},
	} {
		if accepted(sod) {
			t.Errorf("%s: accepted", name)
		}
	}
}
