package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"kuule/internal/canon"
)

// MaxSize bounds one compact message in bytes.
const MaxSize = 512 << 10

var (
	// ErrMalformed says that a text is not a compact JWS of the wanted type.
	ErrMalformed = errors.New("malformed signed message")
	// ErrSignature says that the signature does not hold under the expected key.
	ErrSignature = errors.New("signature does not verify")
	// ErrChain says that the signing certificate does not lead to an expected root.
	ErrChain = errors.New("certificate does not lead to a trusted root")
)

// Sign signs the canonical form of payload with key (P-256 or Ed25519) under
// typ. A chain, leaf first, is sent along in x5c.
func Sign(payload any, typ string, key crypto.Signer, chain ...*x509.Certificate) (string, error) {
	body, err := canon.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	alg, err := algorithm(key.Public())
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	opts := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	if len(chain) > 0 {
		x5c := make([]string, len(chain))
		for i, c := range chain {
			x5c[i] = base64.StdEncoding.EncodeToString(c.Raw)
		}
		opts = opts.WithHeader("x5c", x5c)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: opaque{key, alg}}, opts)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	obj, err := s.Sign(body)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return obj.CompactSerialize()
}

// Keys are several public keys where one is asked for: a message holds if it is
// signed with any of them. They are the versions of one signer.
type Keys []crypto.PublicKey

// Verify checks a message of type typ under key, or one of [Keys], and reads its
// payload, strictly, into out.
func Verify(message, typ string, key crypto.PublicKey, out any) error {
	if keys, ok := key.(Keys); ok {
		err := fmt.Errorf("%w: %s: there is no key to verify with", ErrSignature, typ)
		for _, k := range keys {
			if err = Verify(message, typ, k, out); err == nil || !errors.Is(err, ErrSignature) {
				return err
			}
		}
		return err
	}
	if p, err := split(message, typ); err != nil {
		return err
	} else if ec, ok := key.(*ecdsa.PublicKey); ok && p.plain {
		return p.verify(typ, ec, out)
	}
	obj, err := parse(message, typ)
	if err != nil {
		return err
	}
	return verify(obj, typ, key, out)
}

// VerifyChain checks a message whose x5c leads to one of roots at the given
// time, reads its payload into out, and returns the signer's certificate. The
// caller decides what that certificate may say.
func VerifyChain(message, typ string, roots *x509.CertPool, at time.Time, out any) (*x509.Certificate, error) {
	obj, err := parse(message, typ)
	if err != nil {
		return nil, err
	}
	chains, err := obj.Signatures[0].Protected.Certificates(x509.VerifyOptions{
		Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrChain, typ, err)
	}
	leaf := chains[0][0]
	return leaf, verify(obj, typ, leaf.PublicKey, out)
}

// Peek reads the payload without checking any signature. It exists to find out
// which key to verify with; nothing read by it may be acted on.
func Peek(message, typ string, out any) error {
	if p, err := split(message, typ); err != nil {
		return err
	} else if p.plain {
		return canon.Unmarshal(p.payload, out)
	}
	obj, err := parse(message, typ)
	if err != nil {
		return err
	}
	return canon.Unmarshal(obj.UnsafePayloadWithoutVerification(), out)
}

// Hash is the name of a signed message: SHA-256 over its compact text, in
// base64url without padding.
func Hash(message string) string {
	sum := sha256.Sum256([]byte(message))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// parts are a message's bytes where its header is the one that Sign makes for
// ES256, byte for byte, so that there is nothing to read in it.
type parts struct {
	plain              bool
	signed             string // what the signature is over
	payload, signature []byte
}

// split refuses a text that is too long or spelled in another way than its one:
// base64 that decodes to the same bytes otherwise (stray bits in the last digit,
// line breaks) would let a message change without changing what is signed.
func split(message, typ string) (parts, error) {
	if len(message) > MaxSize {
		return parts{}, fmt.Errorf("%w: %s is longer than %d bytes", ErrMalformed, typ, MaxSize)
	}
	var p parts
	n := 0
	for part := range strings.SplitSeq(message, ".") {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		// The decoder skips line breaks: then the text is longer than its bytes need.
		if err != nil || base64.RawURLEncoding.EncodedLen(len(b)) != len(part) {
			return parts{}, fmt.Errorf("%w: %s: base64url is not in its one form", ErrMalformed, typ)
		}
		switch n {
		case 0:
			p.plain = string(b) == `{"alg":"ES256","typ":"`+typ+`"}`
		case 1:
			p.payload = b
			p.signed = message[:strings.IndexByte(message, '.')+1+len(part)]
		case 2:
			p.signature = b
		}
		n++
	}
	p.plain = p.plain && n == 3
	return p, nil
}

// verify checks r||s (RFC 7518 section 3.4) and reads the payload.
func (p parts) verify(typ string, key *ecdsa.PublicKey, out any) error {
	if _, err := algorithm(key); err != nil {
		return err
	}
	if len(p.signature) != 64 {
		return fmt.Errorf("%w: %s", ErrSignature, typ)
	}
	sum := sha256.Sum256([]byte(p.signed))
	r, s := new(big.Int).SetBytes(p.signature[:32]), new(big.Int).SetBytes(p.signature[32:])
	if !ecdsa.Verify(key, sum[:], r, s) {
		return fmt.Errorf("%w: %s", ErrSignature, typ)
	}
	if err := canon.Unmarshal(p.payload, out); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, typ, err)
	}
	return nil
}

func parse(message, typ string) (*jose.JSONWebSignature, error) {
	if _, err := split(message, typ); err != nil {
		return nil, err
	}
	obj, err := jose.ParseSignedCompact(message, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, typ, err)
	}
	if got := obj.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]; got != typ {
		return nil, fmt.Errorf("%w: type is %v, want %s", ErrMalformed, got, typ)
	}
	return obj, nil
}

func verify(obj *jose.JSONWebSignature, typ string, key crypto.PublicKey, out any) error {
	alg, err := algorithm(key)
	if err != nil {
		return err
	}
	if obj.Signatures[0].Protected.Algorithm != string(alg) {
		return fmt.Errorf("%w: %s is signed with %s, the key wants %s", ErrSignature, typ, obj.Signatures[0].Protected.Algorithm, alg)
	}
	body, err := obj.Verify(key)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrSignature, typ)
	}
	if err := canon.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, typ, err)
	}
	return nil
}

func algorithm(key crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", errors.New("only P-256 and Ed25519 keys sign here")
		}
		return jose.ES256, nil
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	default:
		return "", fmt.Errorf("only P-256 and Ed25519 keys sign here, not %T", key)
	}
}

// opaque lets go-jose sign with any crypto.Signer.
type opaque struct {
	key crypto.Signer
	alg jose.SignatureAlgorithm
}

func (o opaque) Public() *jose.JSONWebKey { return &jose.JSONWebKey{Key: o.key.Public()} }

func (o opaque) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{o.alg} }

func (o opaque) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	if o.alg == jose.EdDSA {
		return o.key.Sign(rand.Reader, payload, crypto.Hash(0))
	}
	sum := sha256.Sum256(payload)
	der, err := o.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	// JWS wants r||s of fixed width, signers give ASN.1 (RFC 7518 section 3.4).
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) != 0 {
		return nil, errors.New("the signer's answer is not an ECDSA signature")
	}
	out := make([]byte, 64)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	return out, nil
}
