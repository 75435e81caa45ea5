package emrtd

import (
	"bytes"
	"cmp"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrSecurityInfos says that a chip's list of protocols cannot be read.
var ErrSecurityInfos = errors.New("security infos cannot be read")

const (
	oidPACE     = "0.4.0.127.0.7.2.2.4."
	oidChipAuth = "0.4.0.127.0.7.2.2.3.2." // over elliptic curves
	oidChipKey  = "0.4.0.127.0.7.2.2.1.2"  // of an elliptic curve
	oidChipKeyZ = "0.4.0.127.0.7.2.2.1.1"  // over integers
	oidActive   = "2.23.136.1.1.5"
	oidDomain   = "0.4.0.127.0.7.1.2" // a standard curve by its number

	maxSecurityInfos = 32
)

// domainParameters are the curves by the numbers of 9303-11, table 6.
var domainParameters = map[int]string{
	8: "P-192", 9: "brainpoolP192r1", 10: "P-224", 11: "brainpoolP224r1", 12: "P-256", 13: "brainpoolP256r1", 14: "brainpoolP320r1",
	15: "P-384", 16: "brainpoolP384r1", 17: "brainpoolP512r1", 18: "P-521",
}

func domainCurve(number int) (*curve, error) {
	for _, c := range knownCurves {
		if c.name == domainParameters[number] {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: domain parameters %d", ErrCurve, number)
}

// securityInfos are what EF.CardAccess offers, or what DG14 and EF.CardSecurity
// say under a signature (9303-11, 9.2).
type securityInfos struct {
	pace   []paceOffer // those that can be used here
	paces  [][]byte    // everything about PACE as it stands there, in order
	chip   []chipAuthInfo
	keys   []chipAuthKey
	active string // signature algorithm of active authentication

	unusable bool // chip authentication over integers, or on a curve that is not known
}

type mapping int

// Mappings by their number in the object identifier.
const (
	mappingGeneric mapping = 2 // ECDH, generic mapping
	mappingCAM     mapping = 6 // ECDH, chip authentication mapping
)

// paceOffer is one PACEInfo.
type paceOffer struct {
	oid       []byte // as the command names it: without tag and length
	mapping   mapping
	algorithm algorithm
	parameter int
	curve     *curve
}

type chipAuthInfo struct {
	oid       []byte
	algorithm algorithm
	keyID     int // -1: none
}

type chipAuthKey struct {
	key   *ecKey
	keyID int
}

type rawSecurityInfo struct {
	Raw      asn1.RawContent
	Protocol asn1.ObjectIdentifier
	Required asn1.RawValue
	Optional asn1.RawValue `asn1:"optional"`
}

// parseSecurityInfos reads a SET of SecurityInfo. What it does not know it skips,
// as 9303-11, 9.2 asks; what it knows has to be right.
func parseSecurityInfos(b []byte) (*securityInfos, error) {
	der, err := derFromBER(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSecurityInfos, err)
	}
	var all []rawSecurityInfo
	if err := unmarshalWith(der, &all, "set"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSecurityInfos, err)
	}
	if len(all) > maxSecurityInfos {
		return nil, fmt.Errorf("%w: %d entries, at most %d", ErrSecurityInfos, len(all), maxSecurityInfos)
	}
	out := &securityInfos{}
	for _, info := range all {
		if err := out.take(info); err != nil {
			return nil, fmt.Errorf("%w: %v: %w", ErrSecurityInfos, info.Protocol, err)
		}
	}
	slices.SortFunc(out.paces, bytes.Compare)
	return out, nil
}

func (s *securityInfos) take(info rawSecurityInfo) error {
	id := info.Protocol.String()
	switch {
	case strings.HasPrefix(id, oidPACE):
		s.paces = append(s.paces, info.Raw)
		return s.takePACE(info)
	case strings.HasPrefix(id, oidChipAuth):
		var version int
		if err := unmarshal(info.Required.FullBytes, &version); err != nil {
			return err
		}
		a := algorithm(info.Protocol[len(info.Protocol)-1])
		if !a.known() || len(info.Protocol) != 11 {
			return nil
		}
		keyID, err := optionalNumber(info.Optional)
		s.chip = append(s.chip, chipAuthInfo{oidBytes(info.Protocol), a, keyID})
		return err
	case id == oidChipKey:
		err := s.takeKey(info)
		if errors.Is(err, ErrCurve) {
			s.unusable = true
			return nil
		}
		return err
	case id == oidChipKeyZ:
		s.unusable = true
	case id == oidActive:
		var signature asn1.ObjectIdentifier
		if err := unmarshal(info.Optional.FullBytes, &signature); err != nil {
			return err
		}
		s.active = signature.String()
	}
	return nil
}

// takePACE keeps an offer that can be used here. Domain parameters of the
// state's own making, integrated mapping and PACE over integers are passed over.
func (s *securityInfos) takePACE(info rawSecurityInfo) error {
	if len(info.Protocol) != 11 { // PACEDomainParameterInfo
		return nil
	}
	var version int
	if err := unmarshal(info.Required.FullBytes, &version); err != nil {
		return err
	}
	parameter, err := optionalNumber(info.Optional)
	if err != nil {
		return err
	}
	m, a := mapping(info.Protocol[9]), algorithm(info.Protocol[10])
	c, err := domainCurve(parameter)
	usable := version == 2 && err == nil && a.known() && (m == mappingGeneric || (m == mappingCAM && a != algTDES))
	if usable {
		s.pace = append(s.pace, paceOffer{oidBytes(info.Protocol), m, a, parameter, c})
	}
	return nil
}

func (s *securityInfos) takeKey(info rawSecurityInfo) error {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if err := unmarshal(info.Required.FullBytes, &spki); err != nil {
		return err
	}
	keyID, err := optionalNumber(info.Optional)
	if err != nil {
		return err
	}
	if spki.Algorithm.Algorithm.String() == oidDomain {
		var number int
		if err := unmarshal(spki.Algorithm.Parameters.FullBytes, &number); err != nil {
			return err
		}
		c, err := domainCurve(number)
		if err != nil {
			return err
		}
		x, y, err := c.point(spki.Key.RightAlign())
		if err != nil {
			return err
		}
		s.keys = append(s.keys, chipAuthKey{&ecKey{c, x, y}, keyID})
		return nil
	}
	key, err := parseKey(spki.Algorithm, spki.Key.RightAlign())
	if err != nil {
		return err
	}
	k, ok := key.(*ecKey)
	if !ok {
		return fmt.Errorf("%w: key of another kind", ErrCurve)
	}
	s.keys = append(s.keys, chipAuthKey{k, keyID})
	return nil
}

// best is the offer with the longest key; among equals the one that also proves
// the chip. ambiguous says that the command has to name the curve.
func (s *securityInfos) best() (offer paceOffer, ambiguous, found bool) {
	if len(s.pace) == 0 {
		return paceOffer{}, false, false
	}
	offer = slices.MaxFunc(s.pace, func(a, b paceOffer) int {
		return cmp.Or(cmp.Compare(a.algorithm, b.algorithm), cmp.Compare(a.mapping, b.mapping), cmp.Compare(a.curve.p.BitLen(), b.curve.p.BitLen()))
	})
	ambiguous = slices.ContainsFunc(s.pace, func(o paceOffer) bool { return o.parameter != offer.parameter })
	return offer, ambiguous, true
}

func optionalNumber(v asn1.RawValue) (int, error) {
	if len(v.FullBytes) == 0 {
		return -1, nil
	}
	var n int
	if err := unmarshal(v.FullBytes, &n); err != nil {
		return 0, err
	}
	if n < 0 || n > 255 {
		return 0, fmt.Errorf("%w: number %d", ErrASN1, n)
	}
	return n, nil
}

// oidBytes is an object identifier's content.
func oidBytes(id asn1.ObjectIdentifier) []byte {
	b, err := asn1.Marshal(id)
	if err != nil || len(b) < 2 || b[1] > 127 {
		return nil // it was parsed a moment ago and is short
	}
	return b[2:]
}
