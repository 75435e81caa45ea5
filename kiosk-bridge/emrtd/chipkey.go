package emrtd

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// ErrNotOriginal says that the chip does not have the private key that belongs
// to the public key which its issuer signed: its data were copied.
var ErrNotOriginal = errors.New("chip does not have its private key")

// parseDG15 reads the public key of active authentication (9303-10, 4.7.15):
// *rsa.PublicKey, or a key on a known curve.
func parseDG15(file []byte) (any, error) {
	body, err := onlyTLV(file, 0x6F)
	if err != nil {
		return nil, fmt.Errorf("%w: DG15: %w", ErrDataGroup, err)
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if err := unmarshal(body, &spki); err != nil {
		return nil, fmt.Errorf("%w: DG15: %w", ErrDataGroup, err)
	}
	key, err := parseKey(spki.Algorithm, spki.Key.RightAlign())
	if err != nil {
		return nil, fmt.Errorf("%w: DG15: %w", ErrDataGroup, err)
	}
	return key, nil
}

// parseDG14 reads the signed list of protocols (9303-10, 4.7.14).
func parseDG14(file []byte) (*securityInfos, error) {
	body, err := onlyTLV(file, 0x6E)
	if err != nil {
		return nil, fmt.Errorf("%w: DG14: %w", ErrDataGroup, err)
	}
	return parseSecurityInfos(body)
}

// activeAuthentication has the chip sign a challenge of this moment (9303-11,
// 6.1). algorithm is what DG14 says of it; RSA signatures name their hash
// themselves.
func activeAuthentication(ctx context.Context, ch channel, key any, algorithm string) error {
	challenge := make([]byte, 8)
	if _, err := rand.Read(challenge); err != nil {
		return err
	}
	expected := 0
	switch k := key.(type) {
	case *rsa.PublicKey:
		expected = k.Size()
	case *ecKey:
		expected = 2*k.curve.bytes() + 16
	}
	r, err := ch.send(ctx, Command{INS: 0x88, Data: challenge, Le: expected})
	if err != nil {
		return err
	}
	if r.Status != StatusOK {
		return &StatusError{"INTERNAL AUTHENTICATE", r.Status}
	}
	return verifyActive(key, algorithm, challenge, r.Data)
}

func verifyActive(key any, algorithm string, challenge, signature []byte) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return verifyRecovery(k, challenge, signature)
	case *ecKey:
		h := plainHash[algorithm]
		if h == 0 {
			h = ecdsaHash[algorithm]
		}
		if h == 0 {
			return fmt.Errorf("%w: active authentication with %q", ErrAlgorithm, algorithm)
		}
		size := (k.curve.n.BitLen() + 7) / 8
		var v struct{ R, S *big.Int }
		if len(signature) == 2*size { // BSI TR-03111, 5.2.1: r and s side by side
			v.R, v.S = new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		} else if err := unmarshal(signature, &v); err != nil {
			return fmt.Errorf("%w: signature of %d bytes", ErrNotOriginal, len(signature))
		}
		if err := k.verify(digest(h, challenge), v.R, v.S); err != nil {
			return fmt.Errorf("%w: %w", ErrNotOriginal, err)
		}
		return nil
	}
	return ErrAlgorithm
}

// trailerHash are the hashes by their number in the trailer (ISO/IEC 10118-3).
var trailerHash = map[byte]crypto.Hash{
	0x33: crypto.SHA1, 0x38: crypto.SHA224, 0x34: crypto.SHA256, 0x36: crypto.SHA384, 0x35: crypto.SHA512,
}

// verifyRecovery checks a signature of ISO/IEC 9796-2, scheme 1: header 6A, the
// recoverable part chosen by the chip, the hash over it and the challenge, and
// the trailer (9303-11, 6.1.2.2). All values are public.
func verifyRecovery(k *rsa.PublicKey, challenge, signature []byte) error {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrNotOriginal, what) }
	s := new(big.Int).SetBytes(signature)
	if len(signature) != k.Size() || s.Cmp(k.N) >= 0 || k.N.BitLen() < 1024 {
		return wrong("signature out of range")
	}
	m := s.Exp(s, big.NewInt(int64(k.E)), k.N)
	if m.Bit(0) == 1 || m.Bit(1) == 1 { // the signer may have taken the smaller of s and n-s
		m.Sub(k.N, m)
	}
	b := m.FillBytes(make([]byte, k.Size()))
	end, h := len(b)-1, crypto.SHA1
	switch b[end] {
	case 0xBC:
	case 0xCC:
		end--
		h = trailerHash[b[end]]
	default:
		return wrong("trailer")
	}
	if h == 0 {
		return fmt.Errorf("%w: hash %02X in the trailer", ErrAlgorithm, b[end])
	}
	start := end - h.Size()
	if b[0] != 0x6A || start < 2 {
		return wrong("header")
	}
	if subtle.ConstantTimeCompare(digest(h, concat(b[1:start], challenge)), b[start:end]) != 1 {
		return wrong("hash")
	}
	return nil
}

// chipAuthentication agrees on new keys with the chip's static key, which its
// issuer signed (9303-11, 6.2). Afterwards the channel speaks under these keys:
// only the first answer that comes back under them proves anything.
func chipAuthentication(ctx context.Context, ch *secureChannel, infos *securityInfos) error {
	info, key, err := infos.chipAuth()
	if err != nil {
		return err
	}
	g, err := newGroup(key.key.curve)
	if err != nil {
		return err
	}
	base, err := g.generator()
	if err != nil {
		return err
	}
	static, err := g.affinePoint(key.key.x, key.key.y)
	if err != nil {
		return err
	}
	own, err := g.newKeyPair(base)
	if err != nil {
		return err
	}
	if err := sendChipAuthKey(ctx, ch, info, key, own.public); err != nil {
		return err
	}
	shared, _, err := g.coordinates(g.multiply(own.secret, static))
	if err != nil {
		return err
	}
	session, err := info.algorithm.keys(shared)
	if err != nil {
		return err
	}
	ch.rekey(session)
	return nil
}

// sendChipAuthKey uses the one command of triple DES or the two of AES.
func sendChipAuthKey(ctx context.Context, ch channel, info chipAuthInfo, key chipAuthKey, public []byte) error {
	set := Command{INS: 0x22, P1: 0x41, P2: 0xA4, Data: appendTLV(nil, 0x80, info.oid)}
	if info.algorithm == algTDES {
		set.P2, set.Data = 0xA6, appendTLV(nil, 0x91, public)
	}
	if key.keyID >= 0 {
		set.Data = appendTLV(set.Data, 0x84, []byte{byte(key.keyID)})
	}
	r, err := ch.send(ctx, set)
	if err != nil {
		return err
	}
	if r.Status != StatusOK {
		return &StatusError{"MSE:SET for chip authentication", r.Status}
	}
	if info.algorithm == algTDES {
		return nil
	}
	_, err = authenticateStep(ctx, ch, 0, appendTLV(nil, 0x80, public))
	return err
}

// chipAuth picks the strongest protocol that has a key. A chip of the first
// years gives a key and no protocol: it means triple DES (TR-03110-3, A.1.1.2).
func (s *securityInfos) chipAuth() (chipAuthInfo, chipAuthKey, error) {
	infos := slices.Clone(s.chip)
	if len(infos) == 0 && len(s.keys) == 1 {
		infos = []chipAuthInfo{{algorithm: algTDES, keyID: s.keys[0].keyID}}
	}
	slices.SortStableFunc(infos, func(a, b chipAuthInfo) int { return int(b.algorithm) - int(a.algorithm) })
	for _, info := range infos {
		for _, key := range s.keys {
			if key.keyID == info.keyID || (len(s.keys) == 1 && info.keyID < 0) {
				return info, key, nil
			}
		}
	}
	return chipAuthInfo{}, chipAuthKey{}, fmt.Errorf("%w: chip authentication without a key for it", ErrAlgorithm)
}

// cardSecurity is EF.CardSecurity: security infos under the issuer's signature,
// outside the travel document's application (9303-11, 9.2.12).
type cardSecurity struct {
	cms   *signedData
	infos *securityInfos
}

const oidCardSecurity = "0.4.0.127.0.7.3.2.1"

func parseCardSecurity(file []byte) (*cardSecurity, error) {
	cms, err := parseCMS(file)
	if err != nil {
		return nil, err
	}
	if cms.contentType != oidCardSecurity {
		return nil, fmt.Errorf("%w: content type %s", ErrCMS, cms.contentType)
	}
	infos, err := parseSecurityInfos(cms.content)
	if err != nil {
		return nil, err
	}
	return &cardSecurity{cms, infos}, nil
}

// verifyMapping checks chip authentication mapping against EF.CardSecurity, and
// returns who signed that.
func (s *paceSession) verifyMapping(c *cardSecurity, trust *TrustList, now time.Time) (*Certificate, error) {
	signer, signedAt, err := c.cms.verify()
	if err != nil {
		return nil, err
	}
	// A file of an unknown signer could hold anybody's key.
	if v := trust.judgeChain(signer, signedAt, now).verdict; v != chainEstablished && v != chainExpired {
		return nil, errUnknownSigner
	}
	return signer, s.provenBy(c.infos.keys)
}

// provenBy says whether the chip has one of the keys: the static key, times what
// the chip sent under the new keys, is the key that it used for the mapping
// (9303-11, 4.4.3.3.3). Since the session's keys follow from the mapping key,
// whoever speaks on the channel has the static one.
func (s *paceSession) provenBy(keys []chipAuthKey) error {
	g, err := newGroup(s.offer.curve)
	if err != nil {
		return err
	}
	size := g.n.Size()
	if len(s.proof) == 0 || len(s.proof) > size {
		return fmt.Errorf("%w: proof of %d bytes", ErrNotOriginal, len(s.proof))
	}
	k := append(make([]byte, size-len(s.proof)), s.proof...)
	for _, key := range keys {
		if key.key.curve != s.offer.curve {
			continue
		}
		static, err := g.affinePoint(key.key.x, key.key.y)
		if err != nil {
			return err
		}
		if got, err := g.encode(g.multiply(k, static)); err == nil && bytes.Equal(got, s.mapped) {
			return nil
		}
	}
	return fmt.Errorf("%w: mapping", ErrNotOriginal)
}

var errUnknownSigner = errors.New("signer is not of a known state")
