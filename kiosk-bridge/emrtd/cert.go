package emrtd

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// ErrCertificate says that bytes are not a certificate that can be judged.
var ErrCertificate = errors.New("certificate cannot be read")

const maxCertificate = 16 << 10

// Certificate is a country signing or document signer certificate (9303-12, 7).
//
// crypto/x509 refuses a fifth of the world's real ones (explicit curve
// parameters, brainpool curves, negative serials), so they are read here, with
// only what passive authentication needs.
type Certificate struct {
	Raw       []byte
	Country   string // two letters, upper case
	Subject   string // for people: "C=FI, CN=..."
	Serial    *big.Int
	NotBefore time.Time
	NotAfter  time.Time
	IsCA      bool

	tbs, issuer, subject []byte
	ski, aki             []byte
	keyUsage             asn1.BitString
	keyFrom, keyUntil    time.Time // private key usage period; zero: not said
	purposes             []string  // extended key usage: what else the key is for
	unknown              []string  // critical extensions that are not known here
	algorithm            pkix.AlgorithmIdentifier
	signature            []byte
	key                  any // *rsa.PublicKey or *ecKey
}

// Fingerprint is the SHA-256 of the certificate in hexadecimal.
func (c *Certificate) Fingerprint() string {
	h := sha256.Sum256(c.Raw)
	return hex.EncodeToString(h[:])
}

// SelfIssued says whether subject and issuer are the same name.
func (c *Certificate) SelfIssued() bool { return bytes.Equal(c.issuer, c.subject) }

type rawCertificate struct {
	TBS struct {
		Raw      asn1.RawContent
		Version  int `asn1:"optional,explicit,default:0,tag:0"`
		Serial   *big.Int
		SigAlg   asn1.RawValue
		Issuer   asn1.RawValue
		Validity struct{ NotBefore, NotAfter time.Time }
		Subject  asn1.RawValue
		SPKI     struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		IssuerID   asn1.BitString   `asn1:"optional,tag:1"`
		SubjectID  asn1.BitString   `asn1:"optional,tag:2"`
		Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// ParseCertificate reads one certificate in DER.
func ParseCertificate(der []byte) (*Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("%w: %d bytes", ErrCertificate, len(der))
	}
	var r rawCertificate
	if err := unmarshal(der, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	// RFC 5280, 4.1.1.2: both statements of the algorithm must be the same.
	outer, err := asn1.Marshal(r.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if !bytes.Equal(outer, r.TBS.SigAlg.FullBytes) {
		return nil, fmt.Errorf("%w: two signature algorithms", ErrCertificate)
	}
	c := &Certificate{
		Raw: der, Serial: r.TBS.Serial,
		NotBefore: r.TBS.Validity.NotBefore, NotAfter: r.TBS.Validity.NotAfter,
		tbs: r.TBS.Raw, issuer: r.TBS.Issuer.FullBytes, subject: r.TBS.Subject.FullBytes,
		algorithm: r.Algorithm, signature: r.Signature.RightAlign(),
	}
	var names pkix.RDNSequence
	if err := unmarshal(c.subject, &names); err == nil {
		var n pkix.Name
		n.FillFromRDNSequence(&names)
		if len(n.Country) > 0 {
			c.Country = strings.ToUpper(n.Country[0])
		}
		c.Subject = n.String()
	}
	for _, e := range r.TBS.Extensions {
		if err := c.extension(e); err != nil {
			return nil, fmt.Errorf("%w: extension %v: %w", ErrCertificate, e.Id, err)
		}
	}
	if c.key, err = parseKey(r.TBS.SPKI.Algorithm, r.TBS.SPKI.Key.RightAlign()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return c, nil
}

func (c *Certificate) extension(e pkix.Extension) error {
	switch e.Id.String() {
	case "2.5.29.14":
		return unmarshal(e.Value, &c.ski)
	case "2.5.29.35":
		var authority struct {
			KeyID  []byte        `asn1:"optional,tag:0"`
			Issuer asn1.RawValue `asn1:"optional,tag:1"`
			Serial *big.Int      `asn1:"optional,tag:2"`
		}
		if err := unmarshal(e.Value, &authority); err != nil {
			return err
		}
		c.aki = authority.KeyID
	case "2.5.29.19":
		return c.basicConstraints(e.Value)
	case "2.5.29.15":
		return unmarshal(e.Value, &c.keyUsage)
	case "2.5.29.16":
		var period struct {
			From  time.Time `asn1:"optional,generalized,tag:0"`
			Until time.Time `asn1:"optional,generalized,tag:1"`
		}
		if err := unmarshal(e.Value, &period); err != nil {
			return err
		}
		c.keyFrom, c.keyUntil = period.From, period.Until
	case "2.5.29.37":
		var purposes []asn1.ObjectIdentifier
		if err := unmarshal(e.Value, &purposes); err != nil {
			return err
		}
		for _, p := range purposes {
			c.purposes = append(c.purposes, p.String())
		}
	case "2.5.29.17", "2.5.29.18", "2.5.29.31", "2.5.29.32", "2.23.136.1.1.6.2": // names, lists, policies, types of documents
	default:
		if e.Critical {
			c.unknown = append(c.unknown, e.Id.String())
		}
	}
	return nil
}

const (
	oidICAO           = "2.23.136.1.1."
	oidSigningOfLists = "2.23.136.1.1.3"
)

// forOtherWork says whether the certificate names another of ICAO's kinds of
// signature than documents: of master lists, or of bar codes, whose keys offices
// and health services hold. States issue those under the same authority (9303-12,
// 7.1.1; 9303-13).
func (c *Certificate) forOtherWork() bool {
	return slices.ContainsFunc(c.purposes, func(p string) bool { return strings.HasPrefix(p, oidICAO) })
}

// understood says whether nothing stands in the certificate that limits it in a
// way that is not known here (RFC 5280, 4.2).
func (c *Certificate) understood() bool {
	return len(c.unknown) == 0 && (len(c.purposes) == 0 || c.forOtherWork())
}

// keyInUse says whether the private key was to be used at t (9303-12, 7.1.1: the
// signer's key for months, its certificate for the years of its documents).
func (c *Certificate) keyInUse(t time.Time) bool {
	return (c.keyFrom.IsZero() || !t.Before(c.keyFrom)) && (c.keyUntil.IsZero() || !t.After(c.keyUntil))
}

// basicConstraints takes any byte but zero for true, as BER does: one state's
// real authority certificates need it.
func (c *Certificate) basicConstraints(value []byte) error {
	var fields []asn1.RawValue
	if err := unmarshal(value, &fields); err != nil {
		return err
	}
	if len(fields) > 0 && fields[0].Tag == asn1.TagBoolean {
		c.IsCA = len(fields[0].Bytes) == 1 && fields[0].Bytes[0] != 0
	}
	return nil
}

// maySign says whether the key usage, where stated, allows the bit
// (0 digitalSignature, 5 keyCertSign).
func (c *Certificate) maySign(bit int) bool {
	return c.keyUsage.BitLength == 0 || c.keyUsage.At(bit) == 1
}

// signedBy checks c's signature with issuer's key; it judges neither names nor
// validity.
func (c *Certificate) signedBy(issuer *Certificate) error {
	return verifySignature(issuer.key, c.algorithm, 0, c.tbs, c.signature)
}

func parseKey(alg pkix.AlgorithmIdentifier, key []byte) (any, error) {
	switch alg.Algorithm.String() {
	case oidRSA, oidPSS:
		var k struct{ N, E *big.Int }
		if err := unmarshal(key, &k); err != nil {
			return nil, err
		}
		if k.N.Sign() <= 0 || k.N.BitLen() > 8192 || !k.E.IsInt64() || k.E.Int64() < 3 || k.E.Int64() > 1<<31-1 {
			return nil, errors.New("RSA key out of bounds")
		}
		return &rsa.PublicKey{N: k.N, E: int(k.E.Int64())}, nil
	case "1.2.840.10045.2.1":
		c, err := parseCurve(alg.Parameters.FullBytes)
		if err != nil {
			return nil, err
		}
		x, y, err := c.point(key)
		if err != nil {
			return nil, err
		}
		return &ecKey{c, x, y}, nil
	}
	return nil, fmt.Errorf("key algorithm %v is not known", alg.Algorithm)
}

// parseCurve reads curve parameters (RFC 3279, 2.3.5), named or explicit.
func parseCurve(params []byte) (*curve, error) {
	var oid asn1.ObjectIdentifier
	if unmarshal(params, &oid) == nil {
		for _, c := range knownCurves {
			if c.oid == oid.String() {
				return c, nil
			}
		}
		return nil, fmt.Errorf("%w: %v", ErrCurve, oid)
	}
	var e struct {
		Version int
		Field   struct {
			Type asn1.ObjectIdentifier
			P    *big.Int
		}
		Curve struct {
			A, B []byte
			Seed asn1.BitString `asn1:"optional"`
		}
		Base     []byte
		Order    *big.Int
		Cofactor *big.Int `asn1:"optional"`
	}
	if err := unmarshal(params, &e); err != nil {
		return nil, err
	}
	if e.Cofactor != nil && e.Cofactor.Cmp(big.NewInt(1)) != 0 {
		return nil, fmt.Errorf("%w: cofactor", ErrCurve)
	}
	for _, c := range knownCurves {
		// Coefficients may lack leading zeros, so compare numbers.
		if c.p.Cmp(e.Field.P) != 0 || c.n.Cmp(e.Order) != 0 ||
			c.a.Cmp(new(big.Int).SetBytes(e.Curve.A)) != 0 || c.b.Cmp(new(big.Int).SetBytes(e.Curve.B)) != 0 {
			continue
		}
		x, y, err := c.point(e.Base)
		if err == nil && x.Cmp(c.gx) == 0 && y.Cmp(c.gy) == 0 {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: explicit parameters", ErrCurve)
}
