package emrtd

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // documents of the first years are signed with it
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

const (
	oidRSA = "1.2.840.113549.1.1.1"
	oidPSS = "1.2.840.113549.1.1.10"
)

var hashByOID = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

var rsaHash = map[string]crypto.Hash{
	"1.2.840.113549.1.1.5":  crypto.SHA1,
	"1.2.840.113549.1.1.14": crypto.SHA224,
	"1.2.840.113549.1.1.11": crypto.SHA256,
	"1.2.840.113549.1.1.12": crypto.SHA384,
	"1.2.840.113549.1.1.13": crypto.SHA512,
}

var ecdsaHash = map[string]crypto.Hash{
	"1.2.840.10045.4.1":   crypto.SHA1,
	"1.2.840.10045.4.3.1": crypto.SHA224,
	"1.2.840.10045.4.3.2": crypto.SHA256,
	"1.2.840.10045.4.3.3": crypto.SHA384,
	"1.2.840.10045.4.3.4": crypto.SHA512,
}

// plainHash are BSI TR-03111's signatures: r and s side by side, without DER.
var plainHash = map[string]crypto.Hash{
	"0.4.0.127.0.7.1.1.4.1.1": crypto.SHA1,
	"0.4.0.127.0.7.1.1.4.1.2": crypto.SHA224,
	"0.4.0.127.0.7.1.1.4.1.3": crypto.SHA256,
	"0.4.0.127.0.7.1.1.4.1.4": crypto.SHA384,
	"0.4.0.127.0.7.1.1.4.1.5": crypto.SHA512,
}

// ErrAlgorithm says that a signature's algorithm is not among those that travel
// documents may use.
var ErrAlgorithm = errors.New("signature algorithm is not known")

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// verifySignature checks sig over msg. Where the algorithm names no hash (CMS
// may write plain rsaEncryption), fallback is used; 0 means that none is known.
func verifySignature(key any, alg pkix.AlgorithmIdentifier, fallback crypto.Hash, msg, sig []byte) error {
	oid := alg.Algorithm.String()
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 1024 { // anybody could have made the signature
			return fmt.Errorf("%w: RSA key of %d bits", ErrAlgorithm, k.N.BitLen())
		}
		if oid == oidPSS {
			return verifyPSS(k, alg, msg, sig)
		}
		h := rsaHash[oid]
		if h == 0 && oid == oidRSA {
			h = fallback
		}
		if h == 0 {
			return fmt.Errorf("%w: %s with an RSA key", ErrAlgorithm, oid)
		}
		if err := rsa.VerifyPKCS1v15(k, h, digest(h, msg), sig); err != nil {
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
		return nil
	case *ecKey:
		var v struct{ R, S *big.Int }
		h := ecdsaHash[oid]
		if h == 0 && plainHash[oid] != 0 {
			n := len(sig) / 2
			if len(sig)%2 != 0 || n == 0 || n > 66 {
				return fmt.Errorf("%w: plain signature of %d bytes", ErrSignature, len(sig))
			}
			h, v.R, v.S = plainHash[oid], new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])
		} else if err := unmarshal(sig, &v); err != nil {
			return fmt.Errorf("%w: %w", ErrSignature, err)
		}
		if h == 0 && oid == "1.2.840.10045.2.1" {
			h = fallback
		}
		if h == 0 {
			return fmt.Errorf("%w: %s with an elliptic curve key", ErrAlgorithm, oid)
		}
		return k.verify(digest(h, msg), v.R, v.S)
	}
	return ErrAlgorithm
}

// verifyPSS reads the parameters of RFC 4055, 3.1 and checks the signature. The
// mask must use the same hash, as all issuers do.
func verifyPSS(k *rsa.PublicKey, alg pkix.AlgorithmIdentifier, msg, sig []byte) error {
	var p struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
		Salt    int                      `asn1:"explicit,optional,default:20,tag:2"`
		Trailer int                      `asn1:"explicit,optional,default:1,tag:3"`
	}
	if err := unmarshal(alg.Parameters.FullBytes, &p); err != nil {
		return fmt.Errorf("%w: PSS parameters: %w", ErrAlgorithm, err)
	}
	h, mask := crypto.SHA1, crypto.SHA1
	if len(p.Hash.Algorithm) > 0 {
		h = hashByOID[p.Hash.Algorithm.String()]
	}
	if len(p.MGF.Algorithm) > 0 {
		var inner struct {
			Algorithm  asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		if p.MGF.Algorithm.String() != "1.2.840.113549.1.1.8" || unmarshal(p.MGF.Parameters.FullBytes, &inner) != nil {
			return fmt.Errorf("%w: PSS mask", ErrAlgorithm)
		}
		mask = hashByOID[inner.Algorithm.String()]
	}
	if h == 0 || h != mask || p.Salt < 1 || p.Salt > 512 || p.Trailer != 1 {
		return fmt.Errorf("%w: PSS parameters", ErrAlgorithm)
	}
	if err := rsa.VerifyPSS(k, h, digest(h, msg), sig, &rsa.PSSOptions{SaltLength: p.Salt}); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}
