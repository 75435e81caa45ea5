package emrtdtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"
)

// Scheme is how a state's document signer signs.
type Scheme int

// Schemes of document signers. The authority itself signs with ECDSA on P-384.
const (
	ECDSA  Scheme = iota // P-256 with SHA-256
	RSAPSS               // 2048 bits with SHA-256
)

// State is an invented state that issues passports. It is not safe for
// concurrent use.
type State struct {
	Alpha2, Alpha3 string

	now    time.Time
	scheme Scheme
	root   *x509.Certificate
	rootK  crypto.Signer

	signing Signing

	revoked []x509.RevocationListEntry
}

// NewState makes a state with a fresh authority. The letters are those of its
// certificates (two) and of its zones (three); UT and UTO are Doc 9303's own
// invention. Everything is dated around now.
func NewState(alpha2, alpha3 string, scheme Scheme, now time.Time) (*State, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now = now.UTC().Truncate(time.Second)
	t := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Country: []string{alpha2}, Organization: []string{"Test documents"}, CommonName: "CSCA " + alpha3},
		NotBefore:             now.AddDate(-6, 0, 0),
		NotAfter:              now.AddDate(9, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	root, err := issue(t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &State{Alpha2: alpha2, Alpha3: alpha3, now: now, scheme: scheme, root: root, rootK: key, signing: scheme.signing()}, nil
}

// CSCA is the authority's certificate in DER, for a trust list.
func (s *State) CSCA() []byte { return bytes.Clone(s.root.Raw) }

// CSCAPEM is the same in PEM.
func (s *State) CSCAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.root.Raw})
}

// CRL is the state's list of withdrawn signers, made now and good for a month.
func (s *State) CRL() ([]byte, error) { return s.crl(s.now, s.now.AddDate(0, 1, 0)) }

// StaleCRL is the same list, which should have been replaced a day ago.
func (s *State) StaleCRL() ([]byte, error) {
	return s.crl(s.now.AddDate(0, -1, 0), s.now.AddDate(0, 0, -1))
}

func (s *State) crl(from, until time.Time) ([]byte, error) {
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: from, NextUpdate: until, RevokedCertificateEntries: s.revoked,
	}, s.root, s.rootK)
}

func (s *State) revoke(d *signer, at time.Time, reason int) {
	s.revoked = append(s.revoked, x509.RevocationListEntry{SerialNumber: d.serial, RevocationTime: at, ReasonCode: reason})
}

func issue(t, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("issue %s: %w", t.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// impostor signs under the names and key identifier of s with keys of its own.
func (s *State) impostor() (*State, error) {
	other, err := NewState(s.Alpha2, s.Alpha3, s.scheme, s.now)
	if err != nil {
		return nil, err
	}
	other.root.SubjectKeyId = bytes.Clone(s.root.SubjectKeyId)
	other.root.RawSubject = bytes.Clone(s.root.RawSubject)
	other.signing = s.signing
	return other, nil
}

var (
	oidSignedData     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSecurityObject = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 1}
	oidContentType    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidDigest         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

type groupHash struct {
	Number int
	Hash   []byte
}

// encoder collects the first error of a run of encodings.
type encoder struct{ err error }

func (e *encoder) der(v any) []byte { return e.with(v, "") }

func (e *encoder) with(v any, params string) []byte {
	b, err := asn1.MarshalWithParams(v, params)
	if err != nil && e.err == nil {
		e.err = err
	}
	return b
}

func (e *encoder) set(b []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: b}
}

// securityObject makes EF.SOD over the groups (9303-10, 4.6.2; RFC 5652).
func (d *signer) securityObject(groups map[int][]byte) ([]byte, error) {
	var e encoder
	h := d.how.Groups
	if h == 0 {
		h = d.how.Hash
	}
	var listed []groupHash
	for _, n := range slices.Sorted(maps.Keys(groups)) {
		listed = append(listed, groupHash{n, sumOf(h, groups[n])})
	}
	if d.how.GroupTwice {
		listed = append(listed, groupHash{2, sumOf(h, []byte("another portrait"))})
	}
	content := e.der(struct {
		Version int
		Hash    pkix.AlgorithmIdentifier
		Groups  []groupHash
	}{0, algorithm(hashes[h]), listed})
	signed, err := d.cms(&e, oidSecurityObject, content)
	return object(0x77, signed), err
}

// cms signs content as CMS SignedData.
func (d *signer) cms(e *encoder, contentType asn1.ObjectIdentifier, content []byte) ([]byte, error) {
	type attribute struct {
		ID     asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	one := func(v any) []asn1.RawValue { return []asn1.RawValue{{FullBytes: e.der(v)}} }
	list := []attribute{{oidContentType, one(contentType)}, {oidSigningTime, one(d.at)}, {oidDigest, one(sumOf(d.how.Hash, content))}}
	if d.how.NoTime {
		list = slices.Delete(list, 1, 2)
	}
	attrs := e.with(list, "set")
	if e.err != nil {
		return nil, e.err
	}
	sig, alg, err := d.sign(attrs, e)
	if err != nil {
		return nil, err
	}
	version, name := 1, e.raw(struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}{asn1.RawValue{FullBytes: d.issuer}, d.serial})
	if d.how.KeyID {
		version, name = 3, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: d.ski}
	}
	digest := algorithm(hashes[d.how.Hash])
	info := e.der(struct {
		Version   int
		SID       asn1.RawValue
		Digest    pkix.AlgorithmIdentifier
		Attrs     asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}{version, name, digest, asn1.RawValue{FullBytes: append([]byte{0xA0}, attrs[1:]...)}, alg, sig})
	type encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}
	signed := e.der(struct {
		Version int
		Digests asn1.RawValue
		Content encapsulated
		Certs   asn1.RawValue
		Signers asn1.RawValue
	}{
		3, e.set(e.der(digest)), encapsulated{contentType, content},
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: d.cert},
		e.set(info),
	})
	out := e.der(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: signed}})
	return out, e.err
}

// MasterList is a collection of authorities' certificates as states publish
// them (9303-12, 8), signed by this state's list signer.
func (s *State) MasterList(authorities ...[]byte) ([]byte, error) {
	d, err := s.newSigner(validity{from: s.now.AddDate(0, -1, 0), until: s.now.AddDate(1, 0, 0), at: s.now})
	if err != nil {
		return nil, err
	}
	var e encoder
	content := e.der(struct {
		Version      int
		Certificates asn1.RawValue
	}{0, e.set(bytes.Join(authorities, nil))})
	return d.cms(&e, asn1.ObjectIdentifier{2, 23, 136, 1, 1, 2}, content)
}
