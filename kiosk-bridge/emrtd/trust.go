package emrtd

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrTrustList says that a trust list cannot be imported.
var ErrTrustList = errors.New("trust list cannot be imported")

const (
	maxMasterList = 8 << 20
	maxAnchors    = 4096
)

// TrustList is a set of country signing certificates. It is immutable and safe
// for concurrent use. The zero value knows nobody: every issuer is unknown.
type TrustList struct {
	certificates []*Certificate
	byName       map[string][]*Certificate
	byKey        map[string][]*Certificate
}

// NewTrustList collects certificates; those that are not of an authority are
// refused, repeated ones kept once.
func NewTrustList(certs ...*Certificate) (*TrustList, error) {
	if len(certs) > maxAnchors {
		return nil, fmt.Errorf("%w: %d certificates, at most %d", ErrTrustList, len(certs), maxAnchors)
	}
	t := &TrustList{byName: map[string][]*Certificate{}, byKey: map[string][]*Certificate{}}
	seen := map[string]bool{}
	for _, c := range certs {
		if seen[string(c.Raw)] {
			continue
		}
		seen[string(c.Raw)] = true
		if !c.IsCA {
			return nil, fmt.Errorf("%w: %s is no authority's certificate", ErrTrustList, c.Fingerprint())
		}
		t.certificates = append(t.certificates, c)
		t.byName[string(c.subject)] = append(t.byName[string(c.subject)], c)
		if len(c.ski) > 0 {
			t.byKey[string(c.ski)] = append(t.byKey[string(c.ski)], c)
		}
	}
	return t, nil
}

// Len is the number of certificates.
func (t *TrustList) Len() int { return len(t.certificates) }

// Countries counts certificates by the two letters of their country.
func (t *TrustList) Countries() map[string]int {
	out := map[string]int{}
	for _, c := range t.certificates {
		out[c.Country]++
	}
	return out
}

// Version names the list's content: SHA-256 over the sorted fingerprints.
func (t *TrustList) Version() string {
	prints := make([]string, len(t.certificates))
	for i, c := range t.certificates {
		prints[i] = c.Fingerprint()
	}
	slices.Sort(prints)
	h := sha256.New()
	for _, p := range prints {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// candidates are the certificates that the signer may have been issued by: of
// the key it points to first, then of the issuer's name.
func (t *TrustList) candidates(signer *Certificate) []*Certificate {
	out := slices.Clone(t.byKey[string(signer.aki)])
	for _, c := range t.byName[string(signer.issuer)] {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// ParseCertificates reads a set of country signing certificates in PEM, or one
// in DER.
func ParseCertificates(b []byte) ([]*Certificate, error) {
	if len(b) > maxMasterList {
		return nil, fmt.Errorf("%w: %d bytes", ErrTrustList, len(b))
	}
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		c, err := ParseCertificate(b)
		if err != nil {
			return nil, err
		}
		return []*Certificate{c}, nil
	}
	var out []*Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" || len(out) == maxAnchors {
			return nil, fmt.Errorf("%w: entry %d is a %s", ErrTrustList, len(out)+1, block.Type)
		}
		c, err := ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 || len(bytes.TrimSpace(b)) != 0 {
		return nil, fmt.Errorf("%w: %d certificates and text behind them", ErrTrustList, len(out))
	}
	return out, nil
}

// ImportTrustList reads a file that an administrator gives: country signing
// certificates in PEM or DER, or a master list. A master list counts only with
// the pin of [MasterList.Pinned]; certificates are their own pin.
func ImportTrustList(b []byte, pin string) (*TrustList, error) {
	certs, err := ParseCertificates(b)
	if err == nil {
		return NewTrustList(certs...)
	}
	if bytes.Contains(b, []byte("-----BEGIN")) {
		return nil, err
	}
	m, err := ParseMasterList(b)
	if err != nil {
		return nil, err
	}
	return m.Pinned(pin)
}

// MasterList is a state's signed collection of country signing certificates
// (9303-12, 8).
type MasterList struct {
	Certificates []*Certificate
	Rejected     []error // entries that cannot be read, one error each
	Signer       *Certificate
	SignedAt     time.Time // zero where the list does not say

	cms *signedData
}

// ParseMasterList reads a list and checks its signature under the certificate
// inside it. That makes it whole, not trustworthy: see [MasterList.Pinned].
func ParseMasterList(b []byte) (*MasterList, error) {
	if len(b) > maxMasterList {
		return nil, fmt.Errorf("%w: %d bytes", ErrTrustList, len(b))
	}
	cms, err := parseCMS(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrustList, err)
	}
	if cms.contentType != oidMasterList {
		return nil, fmt.Errorf("%w: content type %s", ErrTrustList, cms.contentType)
	}
	m := &MasterList{cms: cms}
	if m.Signer, m.SignedAt, err = cms.verify(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrustList, err)
	}
	if p := m.Signer.purposes; len(p) > 0 && !slices.Contains(p, oidSigningOfLists) {
		return nil, fmt.Errorf("%w: its signer's certificate is for other things", ErrTrustList)
	}
	var content struct {
		Version      int
		Certificates []asn1.RawValue `asn1:"set"`
	}
	if err := unmarshal(cms.content, &content); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrustList, err)
	}
	if len(content.Certificates) > maxAnchors {
		return nil, fmt.Errorf("%w: %d certificates, at most %d", ErrTrustList, len(content.Certificates), maxAnchors)
	}
	for i, raw := range content.Certificates {
		c, err := ParseCertificate(raw.FullBytes)
		if err != nil {
			m.Rejected = append(m.Rejected, fmt.Errorf("entry %d: %w", i+1, err))
			continue
		}
		m.Certificates = append(m.Certificates, c)
	}
	return m, nil
}

// Authority is the country signing certificate beside the list's signer that
// issued it; nil where there is none. Anybody can make both: only [MasterList.Pinned]
// makes trust of them.
func (m *MasterList) Authority() *Certificate {
	for _, c := range slices.Concat(m.Certificates, m.cms.certificates) {
		if c.IsCA && m.Signer.signedBy(c) == nil {
			return c
		}
	}
	return nil
}

// Pinned turns the list into trust, provided that its signer was issued by the
// country signing certificate whose SHA-256 fingerprint (64 hexadecimal digits)
// somebody was given out of band.
func (m *MasterList) Pinned(fingerprint string) (*TrustList, error) {
	for _, c := range slices.Concat(m.Certificates, m.cms.certificates) {
		if c.Fingerprint() == fingerprint && c.IsCA && m.Signer.signedBy(c) == nil {
			return NewTrustList(slices.DeleteFunc(slices.Clone(m.Certificates), func(c *Certificate) bool { return !c.IsCA })...)
		}
	}
	return nil, fmt.Errorf("%w: its signer was not issued by the pinned certificate: compare the fingerprint with the publisher's", ErrTrustList)
}
