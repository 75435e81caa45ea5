package emrtdtest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// securityInfo is one entry of EF.CardAccess, DG14 or EF.CardSecurity
// (9303-11, 9.2).
type securityInfo struct {
	Protocol asn1.ObjectIdentifier
	Required asn1.RawValue
	Optional asn1.RawValue `asn1:"optional"`
}

func (e *encoder) raw(v any) asn1.RawValue { return asn1.RawValue{FullBytes: e.der(v)} }

func (e *encoder) infos(list []securityInfo) []byte { return e.with(list, "set") }

func (p PACE) info(e *encoder) (securityInfo, error) {
	curve, err := curveByName(p.Curve)
	if err != nil {
		return securityInfo{}, err
	}
	return securityInfo{p.oid(), e.raw(2), e.raw(curve.number)}, nil
}

type publicKey struct {
	Algorithm struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	Key asn1.BitString
}

func (c *weierstrass) publicKey(e *encoder, d *big.Int, explicit bool) publicKey {
	var out publicKey
	out.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	out.Algorithm.Parameters = c.parameters(e, explicit)
	q := c.write(c.times(d, c.base))
	out.Key = asn1.BitString{Bytes: q, BitLength: 8 * len(q)}
	return out
}

// numbered is the same key on a curve named by its number, as EF.CardSecurity
// has it.
func (c *weierstrass) numbered(e *encoder, d *big.Int) publicKey {
	out := c.publicKey(e, d, false)
	out.Algorithm.Algorithm = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 2}
	out.Algorithm.Parameters = e.raw(c.number)
	return out
}

// content is what a chip's keys put into its files.
type content struct {
	access   []securityInfo // EF.CardAccess, and DG14 as well
	signed   []securityInfo // DG14 alone
	security []securityInfo // EF.CardSecurity
	dg15     []byte
	secrets  secrets
}

// equip makes a chip's keys and the files that show their public halves.
func (chip Chip) equip(e *encoder) (*content, error) {
	out := &content{secrets: secrets{offers: chip.PACE, agreement: chip.Agreement}}
	if chip.CAN != "" {
		out.secrets.can = []byte(chip.CAN)
	}
	for _, offer := range chip.PACE {
		info, err := offer.info(e)
		if err != nil {
			return nil, err
		}
		out.access = append(out.access, info)
		if offer.CAM {
			if err := out.mapping(e, offer); err != nil {
				return nil, err
			}
		}
	}
	if chip.Agreement != nil {
		if err := out.agreement(e, *chip.Agreement); err != nil {
			return nil, err
		}
	}
	if chip.Active != "" {
		if err := out.active(e, chip.Active); err != nil {
			return nil, err
		}
	}
	return out, e.err
}

func (c *content) mapping(e *encoder, offer PACE) error {
	curve, err := curveByName(offer.Curve)
	if err != nil {
		return err
	}
	if c.secrets.mapping, err = curve.secret(); err != nil {
		return err
	}
	info, err := offer.info(e)
	if err != nil {
		return err
	}
	c.security = append(c.security, info, securityInfo{Protocol: bsi(1, 2), Required: e.raw(curve.numbered(e, c.secrets.mapping))})
	return nil
}

func (c *content) agreement(e *encoder, a Agreement) error {
	curve, err := curveByName(a.Curve)
	if err != nil {
		return err
	}
	if c.secrets.static, err = curve.secret(); err != nil {
		return err
	}
	key := securityInfo{Protocol: bsi(1, 2), Required: e.raw(curve.publicKey(e, c.secrets.static, a.Explicit))}
	if a.Unnamed {
		c.signed = append(c.signed, key)
		return nil
	}
	key.Optional = e.raw(1)
	c.signed = append(c.signed, securityInfo{bsi(3, 2, int(a.Cipher)), e.raw(1), e.raw(1)}, key)
	return nil
}

func (c *content) active(e *encoder, kind Active) error {
	var spki []byte
	switch kind {
	case ActiveRSA, ActiveRSASHA1:
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		if spki, err = x509.MarshalPKIXPublicKey(&k.PublicKey); err != nil {
			return err
		}
		c.secrets.active = activeKey{rsa: k, sha1: kind == ActiveRSASHA1}
	default:
		curve, err := curveByName(string(kind))
		if err != nil {
			return err
		}
		d, err := curve.secret()
		if err != nil {
			return err
		}
		spki = e.der(curve.publicKey(e, d, false))
		c.secrets.active = activeKey{curve: curve, d: d}
		c.signed = append(c.signed, securityInfo{
			asn1.ObjectIdentifier{2, 23, 136, 1, 1, 5}, e.raw(1), e.raw(asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 3}),
		})
	}
	c.dg15 = object(0x6F, spki)
	return nil
}

// forget is what a copy has of the keys: others.
func (c *content) forget(chip Chip) error {
	var e encoder
	other, err := chip.equip(&e)
	if err != nil {
		return fmt.Errorf("make a copy's keys: %w", err)
	}
	c.secrets = other.secrets
	return nil
}

func detailFiles(who Person) map[int][]byte {
	name := bytes.ReplaceAll([]byte(who.Surname+"<<"+who.GivenNames), []byte(" "), []byte("<"))
	dg11 := join(
		object(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x2B, 0x5F, 0x11, 0x5F, 0x42, 0xA0, 0x5F, 0x0F}),
		object(0x5F0E, name), object(0x5F2B, []byte("19"+who.DateOfBirth)), object(0x5F11, []byte("ZENITH<UTOPIA")),
		object(0x5F42, []byte("LÖNNROTINKATU 1<HELSINKI")), object(0xA0, join(object(0x02, []byte{1}), object(0x5F0F, []byte("NOBODY<<AT<ALL")))),
	)
	dg12 := join(
		object(0x5C, []byte{0x5F, 0x19, 0x5F, 0x26, 0x5F, 0x55}),
		object(0x5F19, []byte("PASSPORT OFFICE")), object(0x5F26, []byte{0x20, 0x24, 0x05, 0x17}), object(0x5F55, []byte("20240517101530")),
	)
	dg7 := join(object(0x02, []byte{1}), object(0x5F43, []byte{0xFF, 0xD8, 0xFF, 0xE0}))
	return map[int][]byte{7: object(0x67, dg7), 11: object(0x6B, dg11), 12: object(0x6C, dg12)}
}

// answerLimits is EF.ATR/INFO with the extended length information of ISO/IEC
// 7816-4, 12.7.1.
func answerLimits(n int) []byte {
	two := func(n int) []byte { return object(0x02, []byte{byte(n >> 8), byte(n)}) }
	return join(object(0x43, []byte{0xB8}), object(0x7F66, join(two(n), two(n))))
}
