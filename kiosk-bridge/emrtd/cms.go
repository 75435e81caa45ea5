package emrtd

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrCMS says that a signed message is not well-formed or not complete.
var ErrCMS = errors.New("signed message cannot be read")

// errTampered marks a signed message whose signature or digest does not fit,
// as opposed to one that cannot be read.
var errTampered = errors.New("signed message was altered")

const maxCMSCertificates = 16

// signedData is CMS SignedData (RFC 5652, 5) with exactly one signer, as
// 9303-10, 4.6.2.2 asks of a security object.
type signedData struct {
	contentType  string
	content      []byte
	certificates []*Certificate
	signer       signerInfo
}

type signerInfo struct {
	Version  int
	SID      asn1.RawValue
	Digest   pkix.AlgorithmIdentifier
	Attrs    asn1.RawValue `asn1:"optional,tag:0"`
	SigAlg   pkix.AlgorithmIdentifier
	Sig      []byte
	Unsigned asn1.RawValue `asn1:"optional,tag:1"`
}

func parseCMS(b []byte) (*signedData, error) {
	der, err := derFromBER(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCMS, err)
	}
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if err := unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCMS, err)
	}
	if info.Type.String() != "1.2.840.113549.1.7.2" {
		return nil, fmt.Errorf("%w: content type %v", ErrCMS, info.Type)
	}
	var sd struct {
		Version int
		Digests asn1.RawValue
		Encap   struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
		}
		Certs   asn1.RawValue `asn1:"optional,tag:0"`
		CRLs    asn1.RawValue `asn1:"optional,tag:1"`
		Signers []signerInfo  `asn1:"set"`
	}
	// With explicit tagging RawValue keeps the outer object: its bytes are the content.
	if err := unmarshal(info.Content.Bytes, &sd); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCMS, err)
	}
	if len(sd.Signers) != 1 {
		return nil, fmt.Errorf("%w: %d signers, expected one", ErrCMS, len(sd.Signers))
	}
	out := &signedData{contentType: sd.Encap.Type.String(), signer: sd.Signers[0]}
	if err := unmarshal(sd.Encap.Content.Bytes, &out.content); err != nil {
		return nil, fmt.Errorf("%w: content: %w", ErrCMS, err)
	}
	for rest := sd.Certs.Bytes; len(rest) > 0; {
		if len(out.certificates) == maxCMSCertificates {
			return nil, fmt.Errorf("%w: more than %d certificates", ErrCMS, maxCMSCertificates)
		}
		var raw asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &raw); err != nil {
			return nil, fmt.Errorf("%w: certificates: %w", ErrCMS, err)
		}
		c, err := ParseCertificate(raw.FullBytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCMS, err)
		}
		out.certificates = append(out.certificates, c)
	}
	return out, nil
}

// verify checks digest, signed attributes and signature, and returns the
// signer's certificate and the time at which it says that it signed (zero when
// it says none).
func (s *signedData) verify() (*Certificate, time.Time, error) {
	h, ok := hashByOID[s.signer.Digest.Algorithm.String()]
	if !ok {
		return nil, time.Time{}, fmt.Errorf("%w: digest %v", ErrAlgorithm, s.signer.Digest.Algorithm)
	}
	cert, err := s.signerCertificate()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !cert.maySign(0) || cert.IsCA {
		return nil, time.Time{}, fmt.Errorf("%w: certificate is not a signer's", ErrCMS)
	}
	at, err := s.checkAttributes(h)
	if err != nil {
		return nil, time.Time{}, err
	}
	// Signed as a SET, stored under an implicit tag (RFC 5652, 5.4).
	msg := append([]byte{0x31}, s.signer.Attrs.FullBytes[1:]...)
	if err := verifySignature(cert.key, s.signer.SigAlg, h, msg, s.signer.Sig); err != nil {
		if errors.Is(err, ErrSignature) {
			return nil, time.Time{}, fmt.Errorf("%w: %w", errTampered, err)
		}
		return nil, time.Time{}, err
	}
	return cert, at, nil
}

// signerCertificate finds the one certificate that the signer names, by issuer
// and serial number together, or by subject key identifier.
func (s *signedData) signerCertificate() (*Certificate, error) {
	var found *Certificate
	for _, c := range s.certificates {
		match, err := s.names(c)
		if err != nil {
			return nil, err
		}
		if !match {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: signer named twice", ErrCMS)
		}
		found = c
	}
	if found == nil {
		return nil, fmt.Errorf("%w: signer's certificate is absent", ErrCMS)
	}
	return found, nil
}

func (s *signedData) names(c *Certificate) (bool, error) {
	sid := s.signer.SID
	if sid.Class == asn1.ClassContextSpecific && sid.Tag == 0 {
		return len(c.ski) > 0 && bytes.Equal(sid.Bytes, c.ski), nil
	}
	var id struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	if err := unmarshal(sid.FullBytes, &id); err != nil {
		return false, fmt.Errorf("%w: signer: %w", ErrCMS, err)
	}
	return bytes.Equal(id.Issuer.FullBytes, c.issuer) && id.Serial.Cmp(c.Serial) == 0, nil
}

// checkAttributes demands content type and message digest, each once. Without
// signed attributes the content could be swapped for an encoding of them.
func (s *signedData) checkAttributes(h crypto.Hash) (at time.Time, err error) {
	// The stored tag is not what is signed, so it has to be the one that belongs.
	if len(s.signer.Attrs.FullBytes) == 0 || s.signer.Attrs.FullBytes[0] != 0xA0 {
		return at, fmt.Errorf("%w: no signed attributes", ErrCMS)
	}
	var attrs []struct {
		ID     asn1.ObjectIdentifier
		Values asn1.RawValue `asn1:"set"`
	}
	set := append([]byte{0x31}, s.signer.Attrs.FullBytes[1:]...)
	if err := unmarshalWith(set, &attrs, "set"); err != nil {
		return at, fmt.Errorf("%w: signed attributes: %w", ErrCMS, err)
	}
	seen := map[string]bool{}
	for _, a := range attrs {
		id := a.ID.String()
		if seen[id] {
			return at, fmt.Errorf("%w: attribute %s twice", ErrCMS, id)
		}
		seen[id] = true
		switch id {
		case "1.2.840.113549.1.9.3":
			var t asn1.ObjectIdentifier
			if err := unmarshal(a.Values.Bytes, &t); err != nil {
				return at, fmt.Errorf("%w: content type: %w", ErrCMS, err)
			}
			if t.String() != s.contentType {
				return at, fmt.Errorf("%w: content type", errTampered)
			}
		case "1.2.840.113549.1.9.4":
			var d []byte
			if err := unmarshal(a.Values.Bytes, &d); err != nil {
				return at, fmt.Errorf("%w: message digest: %w", ErrCMS, err)
			}
			if subtle.ConstantTimeCompare(d, digest(h, s.content)) != 1 {
				return at, fmt.Errorf("%w: content does not fit its digest", errTampered)
			}
		case "1.2.840.113549.1.9.5":
			if err := unmarshal(a.Values.Bytes, &at); err != nil {
				return at, fmt.Errorf("%w: signing time: %w", ErrCMS, err)
			}
		}
	}
	if !seen["1.2.840.113549.1.9.3"] || !seen["1.2.840.113549.1.9.4"] {
		return at, fmt.Errorf("%w: content type or message digest is not signed", ErrCMS)
	}
	return at, nil
}
