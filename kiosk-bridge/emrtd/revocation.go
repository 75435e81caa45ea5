package emrtd

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrRevocationList says that a revocation list cannot be imported.
var ErrRevocationList = errors.New("revocation list cannot be imported")

const (
	maxRevocationList = 8 << 20
	maxRevoked        = 200_000
)

// RevocationLists are states' lists of certificates that count no more
// (9303-12, 7.2), imported like the trust list: nobody is asked at run time. They
// are immutable and safe for concurrent use.
type RevocationLists struct{ lists []*revocationList }

type revocationList struct {
	issuer     []byte
	signer     *Certificate
	thisUpdate time.Time
	nextUpdate time.Time // zero: the list does not say
	revoked    map[string]revocation
}

type revocation struct {
	at     time.Time
	reason int // RFC 5280, 5.3.1
}

const (
	reasonKeyCompromise = 1
	reasonCACompromise  = 2
	reasonRemoved       = 8
)

// ImportRevocationLists reads lists in DER or PEM. Each must be signed by a
// certificate of trust that may sign such lists.
func ImportRevocationLists(trust *TrustList, files ...[]byte) (*RevocationLists, error) {
	out := &RevocationLists{}
	for i, b := range files {
		if block, _ := pem.Decode(b); block != nil {
			b = block.Bytes
		}
		l, err := parseRevocationList(b, trust)
		if err != nil {
			return nil, fmt.Errorf("list %d: %w", i+1, err)
		}
		out.lists = append(out.lists, l)
	}
	return out, nil
}

// Len is the number of lists.
func (r *RevocationLists) Len() int { return len(r.lists) }

type rawRevocationList struct {
	TBS struct {
		Raw        asn1.RawContent
		Version    int `asn1:"optional,default:0"`
		Algorithm  asn1.RawValue
		Issuer     asn1.RawValue
		ThisUpdate time.Time
		NextUpdate time.Time        `asn1:"optional"`
		Revoked    []rawRevocation  `asn1:"optional"`
		Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:0"`
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

type rawRevocation struct {
	Serial     *big.Int
	At         time.Time
	Extensions []pkix.Extension `asn1:"optional"`
}

func parseRevocationList(b []byte, trust *TrustList) (*revocationList, error) {
	if len(b) > maxRevocationList {
		return nil, fmt.Errorf("%w: %d bytes", ErrRevocationList, len(b))
	}
	var r rawRevocationList
	if err := unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRevocationList, err)
	}
	outer, err := asn1.Marshal(r.Algorithm)
	if err != nil || !bytes.Equal(outer, r.TBS.Algorithm.FullBytes) {
		return nil, fmt.Errorf("%w: two signature algorithms", ErrRevocationList)
	}
	if len(r.TBS.Revoked) > maxRevoked {
		return nil, fmt.Errorf("%w: %d entries, at most %d", ErrRevocationList, len(r.TBS.Revoked), maxRevoked)
	}
	l := &revocationList{
		issuer: r.TBS.Issuer.FullBytes, thisUpdate: r.TBS.ThisUpdate, nextUpdate: r.TBS.NextUpdate, revoked: map[string]revocation{},
	}
	var aki []byte
	for _, e := range r.TBS.Extensions {
		if e.Id.String() == "2.5.29.35" {
			c := &Certificate{}
			if err := c.extension(e); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrRevocationList, err)
			}
			aki = c.aki
		} else if e.Critical { // a partial list, or one that speaks for others
			return nil, fmt.Errorf("%w: critical extension %v", ErrRevocationList, e.Id)
		}
	}
	for _, entry := range r.TBS.Revoked {
		if err := l.enter(entry); err != nil {
			return nil, err
		}
	}
	if l.signer = trust.listSigner(&r, aki); l.signer == nil {
		return nil, fmt.Errorf("%w: not signed by a certificate of the trust list", ErrRevocationList)
	}
	return l, nil
}

func (l *revocationList) enter(e rawRevocation) error {
	v := revocation{at: e.At}
	for _, x := range e.Extensions {
		if x.Id.String() == "2.5.29.21" {
			var reason asn1.Enumerated
			if err := unmarshal(x.Value, &reason); err != nil {
				return fmt.Errorf("%w: reason: %w", ErrRevocationList, err)
			}
			v.reason = int(reason)
		} else if x.Critical {
			return fmt.Errorf("%w: critical extension %v of an entry", ErrRevocationList, x.Id)
		}
	}
	l.revoked[e.Serial.String()] = v
	return nil
}

func (t *TrustList) listSigner(r *rawRevocationList, aki []byte) *Certificate {
	for _, c := range t.candidates(&Certificate{issuer: r.TBS.Issuer.FullBytes, aki: aki}) {
		if c.maySign(6) && verifySignature(c.key, r.Algorithm, 0, r.TBS.Raw, r.Signature.RightAlign()) == nil {
			return c
		}
	}
	return nil
}

type revocationVerdict int

const (
	revocationNoList  revocationVerdict = iota // nobody imported a list of this issuer
	revocationStale                            // the newest list should have been replaced by now
	revocationRevoked                          // did not count when it signed, or its key is known to others
	revocationLater                            // was revoked after it says that it signed
	revocationClear
)

// judge says what the newest list says of signer, which issuer has issued, at
// the time of signing. That time is the signer's own word: with a key that
// others know it could be any.
func (r *RevocationLists) judge(signer, issuer *Certificate, signedAt, now time.Time) revocationVerdict {
	var newest *revocationList
	if r == nil {
		return revocationNoList
	}
	for _, l := range r.lists {
		ours := bytes.Equal(l.issuer, signer.issuer) || bytes.Equal(l.signer.Raw, issuer.Raw)
		if !ours || l.signer.Country != signer.Country || l.thisUpdate.After(now) {
			continue
		}
		if newest == nil || l.thisUpdate.After(newest.thisUpdate) {
			newest = l
		}
	}
	if newest == nil {
		return revocationNoList
	}
	entry, listed := newest.revoked[signer.Serial.String()]
	switch {
	case listed && entry.reason != reasonRemoved:
		compromised := entry.reason == reasonKeyCompromise || entry.reason == reasonCACompromise
		if compromised || signedAt.IsZero() || !signedAt.Before(entry.at) {
			return revocationRevoked
		}
		return revocationLater
	case !newest.nextUpdate.IsZero() && now.After(newest.nextUpdate):
		return revocationStale
	}
	return revocationClear
}
