package emrtd

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// ErrSOD says that a security object cannot be read.
var ErrSOD = errors.New("document security object cannot be read")

const (
	oidSecurityObject = "2.23.136.1.1.1"
	oidMasterList     = "2.23.136.1.1.2"
)

// securityObject is EF.SOD: the issuer's signed list of data group hashes
// (9303-10, 4.6.2).
type securityObject struct {
	cms    *signedData
	hash   crypto.Hash
	groups map[int][]byte
}

func parseSOD(file []byte) (*securityObject, error) {
	body, err := onlyTLV(file, 0x77)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSOD, err)
	}
	cms, err := parseCMS(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSOD, err)
	}
	if cms.contentType != oidSecurityObject {
		return nil, fmt.Errorf("%w: content type %s", ErrSOD, cms.contentType)
	}
	s := &securityObject{cms: cms}
	if s.hash, s.groups, err = parseGroupHashes(cms.content); err != nil {
		return nil, err
	}
	return s, nil
}

func parseGroupHashes(content []byte) (crypto.Hash, map[int][]byte, error) {
	var lds struct {
		Version int
		Hash    pkix.AlgorithmIdentifier
		Groups  []struct {
			Number int
			Hash   []byte
		}
		Info asn1.RawValue `asn1:"optional"`
	}
	if err := unmarshal(content, &lds); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrSOD, err)
	}
	h, ok := hashByOID[lds.Hash.Algorithm.String()]
	if !ok {
		return 0, nil, fmt.Errorf("%w: hash %v", ErrSOD, lds.Hash.Algorithm)
	}
	groups := map[int][]byte{}
	for _, g := range lds.Groups {
		if _, twice := groups[g.Number]; twice || g.Number < 1 || g.Number > 16 || len(g.Hash) != h.Size() {
			return 0, nil, fmt.Errorf("%w: entry for data group %d", ErrSOD, g.Number)
		}
		groups[g.Number] = g.Hash
	}
	if len(groups) == 0 {
		return 0, nil, fmt.Errorf("%w: no data groups", ErrSOD)
	}
	return h, groups, nil
}

// covers says whether the object has a hash for group n, and whether it fits.
func (s *securityObject) covers(n int, file []byte) (listed, fits bool) {
	want, listed := s.groups[n]
	return listed, listed && subtle.ConstantTimeCompare(want, digest(s.hash, file)) == 1
}

// chain is what the trust list says of a document signer.
type chain struct {
	issuer  *Certificate
	verdict chainVerdict
}

type chainVerdict int

const (
	chainUnknown     chainVerdict = iota // nobody here knows the issuer
	chainAlgorithm                       // claims a known key, in a way of signing that is not known here
	chainPurpose                         // issued by a known state, to sign other things than documents
	chainLimited                         // its certificate is limited in a way that is not known here
	chainForged                          // claims a known key, but that key did not sign
	chainOutside                         // issued, or says it signed, outside the validity
	chainExpired                         // was valid when it signed, is not any more
	chainKeyOutlived                     // says it signed when its private key was to be used no more, or not yet
	chainNotYet                          // begins in the future: wrong clock, or worse
	chainEstablished                     //
)

// judgeChain looks for the country signing certificate that issued signer. A
// name alone proves no forgery, since states renew keys under the same name:
// only the key identifier of a known key, unfit, does.
func (t *TrustList) judgeChain(signer *Certificate, signedAt, now time.Time) chain {
	var claimed, strange bool
	for _, c := range t.candidates(signer) {
		if c.Country != signer.Country || !c.maySign(5) {
			continue
		}
		if err := signer.signedBy(c); err != nil {
			ours := len(signer.aki) > 0 && bytes.Equal(signer.aki, c.ski)
			claimed = claimed || (ours && errors.Is(err, ErrSignature))
			strange = strange || (ours && !errors.Is(err, ErrSignature))
			continue
		}
		switch {
		case signer.forOtherWork():
			return chain{c, chainPurpose}
		case !signer.understood():
			return chain{c, chainLimited}
		}
		return chain{c, judgeValidity(signer, c, signedAt, now)}
	}
	switch {
	case claimed:
		return chain{nil, chainForged}
	case strange:
		return chain{nil, chainAlgorithm}
	}
	return chain{nil, chainUnknown}
}

func judgeValidity(signer, issuer *Certificate, signedAt, now time.Time) chainVerdict {
	within := func(t time.Time, c *Certificate) bool { return !t.Before(c.NotBefore) && !t.After(c.NotAfter) }
	switch {
	case !within(signer.NotBefore, issuer):
		return chainOutside
	case !signedAt.IsZero() && !within(signedAt, signer):
		return chainOutside
	case now.Before(signer.NotBefore) || signedAt.After(now.Add(24*time.Hour)):
		return chainNotYet
	case !signedAt.IsZero() && !signer.keyInUse(signedAt):
		return chainKeyOutlived
	case now.After(signer.NotAfter):
		// The signing time is the signer's own word, so a signer whose key has
		// outlived its validity leaves the question open.
		return chainExpired
	}
	return chainEstablished
}
