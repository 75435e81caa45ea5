package emrtd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"
)

// curve is y² = x³ + ax + b over a prime field. The arithmetic below handles
// public values only, so it need not run in constant time; nothing is ever
// signed with it.
type curve struct {
	name               string
	oid                string
	p, a, b, gx, gy, n *big.Int
	std                elliptic.Curve // where Go has a curve of its own, that one verifies
}

// ErrCurve says that a key stands on a curve that is not one of the known ones.
// Explicit parameters count only when every one of them equals a known curve's,
// or a forger could choose a base point of his own (CVE-2020-0601).
var ErrCurve = errors.New("unknown elliptic curve")

// ErrSignature says that a signature does not fit.
var ErrSignature = errors.New("signature does not fit")

// knownCurves are the NIST curves and RFC 5639's brainpool curves that travel
// documents use (9303-12, 4.4).
var knownCurves = []*curve{
	standard(elliptic.P224(), "1.3.132.0.33"),
	standard(elliptic.P256(), "1.2.840.10045.3.1.7"),
	standard(elliptic.P384(), "1.3.132.0.34"),
	standard(elliptic.P521(), "1.3.132.0.35"),
	{
		name: "P-192", oid: "1.2.840.10045.3.1.1",
		p:  hexInt("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFF"),
		a:  hexInt("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFC"),
		b:  hexInt("64210519E59C80E70FA7E9AB72243049FEB8DEECC146B9B1"),
		gx: hexInt("188DA80EB03090F67CBF20EB43A18800F4FF0AFD82FF1012"),
		gy: hexInt("07192B95FFC8DA78631011ED6B24CDD573F977A11E794811"),
		n:  hexInt("FFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831"),
	},
	{
		name: "brainpoolP192r1", oid: "1.3.36.3.3.2.8.1.1.3",
		p:  hexInt("C302F41D932A36CDA7A3463093D18DB78FCE476DE1A86297"),
		a:  hexInt("6A91174076B1E0E19C39C031FE8685C1CAE040E5C69A28EF"),
		b:  hexInt("469A28EF7C28CCA3DC721D044F4496BCCA7EF4146FBF25C9"),
		gx: hexInt("C0A0647EAAB6A48753B033C56CB0F0900A2F5C4853375FD6"),
		gy: hexInt("14B690866ABD5BB88B5F4828C1490002E6773FA2FA299B8F"),
		n:  hexInt("C302F41D932A36CDA7A3462F9E9E916B5BE8F1029AC4ACC1"),
	},
	{
		name: "brainpoolP224r1", oid: "1.3.36.3.3.2.8.1.1.5",
		p:  hexInt("D7C134AA264366862A18302575D1D787B09F075797DA89F57EC8C0FF"),
		a:  hexInt("68A5E62CA9CE6C1C299803A6C1530B514E182AD8B0042A59CAD29F43"),
		b:  hexInt("2580F63CCFE44138870713B1A92369E33E2135D266DBB372386C400B"),
		gx: hexInt("0D9029AD2C7E5CF4340823B2A87DC68C9E4CE3174C1E6EFDEE12C07D"),
		gy: hexInt("58AA56F772C0726F24C6B89E4ECDAC24354B9E99CAA3F6D3761402CD"),
		n:  hexInt("D7C134AA264366862A18302575D0FB98D116BC4B6DDEBCA3A5A7939F"),
	},
	{
		name: "brainpoolP256r1", oid: "1.3.36.3.3.2.8.1.1.7",
		p:  hexInt("A9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377"),
		a:  hexInt("7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9"),
		b:  hexInt("26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6"),
		gx: hexInt("8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262"),
		gy: hexInt("547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997"),
		n:  hexInt("A9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7"),
	},
	{
		name: "brainpoolP320r1", oid: "1.3.36.3.3.2.8.1.1.9",
		p:  hexInt("D35E472036BC4FB7E13C785ED201E065F98FCFA6F6F40DEF4F92B9EC7893EC28FCD412B1F1B32E27"),
		a:  hexInt("3EE30B568FBAB0F883CCEBD46D3F3BB8A2A73513F5EB79DA66190EB085FFA9F492F375A97D860EB4"),
		b:  hexInt("520883949DFDBC42D3AD198640688A6FE13F41349554B49ACC31DCCD884539816F5EB4AC8FB1F1A6"),
		gx: hexInt("43BD7E9AFB53D8B85289BCC48EE5BFE6F20137D10A087EB6E7871E2A10A599C710AF8D0D39E20611"),
		gy: hexInt("14FDD05545EC1CC8AB4093247F77275E0743FFED117182EAA9C77877AAAC6AC7D35245D1692E8EE1"),
		n:  hexInt("D35E472036BC4FB7E13C785ED201E065F98FCFA5B68F12A32D482EC7EE8658E98691555B44C59311"),
	},
	{
		name: "brainpoolP384r1", oid: "1.3.36.3.3.2.8.1.1.11",
		p:  hexInt("8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B412B1DA197FB71123ACD3A729901D1A71874700133107EC53"),
		a:  hexInt("7BC382C63D8C150C3C72080ACE05AFA0C2BEA28E4FB22787139165EFBA91F90F8AA5814A503AD4EB04A8C7DD22CE2826"),
		b:  hexInt("04A8C7DD22CE28268B39B55416F0447C2FB77DE107DCD2A62E880EA53EEB62D57CB4390295DBC9943AB78696FA504C11"),
		gx: hexInt("1D1C64F068CF45FFA2A63A81B7C13F6B8847A3E77EF14FE3DB7FCAFE0CBD10E8E826E03436D646AAEF87B2E247D4AF1E"),
		gy: hexInt("8ABE1D7520F9C2A45CB1EB8E95CFD55262B70B29FEEC5864E19C054FF99129280E4646217791811142820341263C5315"),
		n:  hexInt("8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565"),
	},
	{
		name: "brainpoolP512r1", oid: "1.3.36.3.3.2.8.1.1.13",
		p:  hexInt("AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA703308717D4D9B009BC66842AECDA12AE6A380E62881FF2F2D82C68528AA6056583A48F3"),
		a:  hexInt("7830A3318B603B89E2327145AC234CC594CBDD8D3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CA"),
		b:  hexInt("3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CADC083E67984050B75EBAE5DD2809BD638016F723"),
		gx: hexInt("81AEE4BDD82ED9645A21322E9C4C6A9385ED9F70B5D916C1B43B62EEF4D0098EFF3B1F78E2D0D48D50D1687B93B97D5F7C6D5047406A5E688B352209BCB9F822"),
		gy: hexInt("7DDE385D566332ECC0EABFA9CF7822FDF209F70024A57B1AA000C55B881F8111B2DCDE494A5F485E5BCA4BD88A2763AED1CA2B2FA8F0540678CD1E0F3AD80892"),
		n:  hexInt("AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA70330870553E5C414CA92619418661197FAC10471DB1D381085DDADDB58796829CA90069"),
	},
}

func standard(c elliptic.Curve, oid string) *curve {
	p := c.Params()
	return &curve{
		name: p.Name, oid: oid, std: c,
		p: p.P, a: new(big.Int).Sub(p.P, big.NewInt(3)), b: p.B, gx: p.Gx, gy: p.Gy, n: p.N,
	}
}

func hexInt(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("curve constant is not hexadecimal: " + s)
	}
	return n
}

func (c *curve) bytes() int { return (c.p.BitLen() + 7) / 8 }

// point reads an uncompressed or compressed point that must lie on the curve.
func (c *curve) point(b []byte) (x, y *big.Int, err error) {
	n := c.bytes()
	switch {
	case len(b) == 2*n+1 && b[0] == 4:
		x, y = new(big.Int).SetBytes(b[1:1+n]), new(big.Int).SetBytes(b[1+n:])
	case len(b) == n+1 && (b[0] == 2 || b[0] == 3):
		x = new(big.Int).SetBytes(b[1:])
		if x.Cmp(c.p) >= 0 {
			return nil, nil, fmt.Errorf("%w: point outside %s", ErrCurve, c.name)
		}
		if y = new(big.Int).ModSqrt(c.right(x), c.p); y == nil {
			return nil, nil, fmt.Errorf("%w: point not on %s", ErrCurve, c.name)
		}
		if y.Bit(0) != uint(b[0]&1) {
			y.Sub(c.p, y)
		}
	default:
		return nil, nil, fmt.Errorf("%w: point of %d bytes on %s", ErrCurve, len(b), c.name)
	}
	if !c.contains(x, y) {
		return nil, nil, fmt.Errorf("%w: point not on %s", ErrCurve, c.name)
	}
	return x, y, nil
}

func (c *curve) right(x *big.Int) *big.Int {
	r := new(big.Int).Exp(x, big.NewInt(3), c.p)
	r.Add(r, new(big.Int).Mul(c.a, x))
	return r.Add(r, c.b).Mod(r, c.p)
}

func (c *curve) contains(x, y *big.Int) bool {
	if x.Cmp(c.p) >= 0 || y.Cmp(c.p) >= 0 {
		return false
	}
	left := new(big.Int).Mul(y, y)
	return left.Mod(left, c.p).Cmp(c.right(x)) == 0
}

// jacobian is a point in projective coordinates; z = 0 is infinity.
type jacobian struct{ x, y, z *big.Int }

func infinity() jacobian { return jacobian{big.NewInt(1), big.NewInt(1), new(big.Int)} }

func (c *curve) mul2(a, b *big.Int) *big.Int {
	r := new(big.Int).Mul(a, b)
	return r.Mod(r, c.p)
}

func (c *curve) double(p jacobian) jacobian {
	if p.z.Sign() == 0 || p.y.Sign() == 0 {
		return infinity()
	}
	yy := c.mul2(p.y, p.y)
	s := c.mul2(p.x, yy)
	s.Lsh(s, 2)
	zz := c.mul2(p.z, p.z)
	m := c.mul2(p.x, p.x)
	m.Mul(m, big.NewInt(3))
	m.Add(m, c.mul2(c.a, c.mul2(zz, zz))).Mod(m, c.p)
	x := c.mul2(m, m)
	x.Sub(x, new(big.Int).Lsh(s, 1)).Mod(x, c.p)
	y := c.mul2(m, new(big.Int).Sub(s, x))
	y.Sub(y, new(big.Int).Lsh(c.mul2(yy, yy), 3)).Mod(y, c.p)
	z := c.mul2(p.y, p.z)
	z.Lsh(z, 1).Mod(z, c.p)
	return jacobian{x, y, z}
}

func (c *curve) add(p, q jacobian) jacobian {
	if p.z.Sign() == 0 {
		return q
	}
	if q.z.Sign() == 0 {
		return p
	}
	z1, z2 := c.mul2(p.z, p.z), c.mul2(q.z, q.z)
	u1, u2 := c.mul2(p.x, z2), c.mul2(q.x, z1)
	s1, s2 := c.mul2(p.y, c.mul2(q.z, z2)), c.mul2(q.y, c.mul2(p.z, z1))
	if u1.Cmp(u2) == 0 {
		if s1.Cmp(s2) != 0 {
			return infinity()
		}
		return c.double(p)
	}
	h := new(big.Int).Sub(u2, u1)
	h.Mod(h, c.p)
	r := new(big.Int).Sub(s2, s1)
	r.Mod(r, c.p)
	h2 := c.mul2(h, h)
	h3, v := c.mul2(h, h2), c.mul2(u1, h2)
	x := c.mul2(r, r)
	x.Sub(x, h3).Sub(x, new(big.Int).Lsh(v, 1)).Mod(x, c.p)
	y := c.mul2(r, new(big.Int).Sub(v, x))
	y.Sub(y, c.mul2(s1, h3)).Mod(y, c.p)
	return jacobian{x, y, c.mul2(h, c.mul2(p.z, q.z))}
}

func (c *curve) multiply(k, x, y *big.Int) jacobian {
	r, b := infinity(), jacobian{x, y, big.NewInt(1)}
	for i := k.BitLen() - 1; i >= 0; i-- {
		r = c.double(r)
		if k.Bit(i) == 1 {
			r = c.add(r, b)
		}
	}
	return r
}

// affine returns nil for infinity.
func (c *curve) affine(p jacobian) (x, y *big.Int) {
	if p.z.Sign() == 0 {
		return nil, nil
	}
	zi := new(big.Int).ModInverse(p.z, c.p)
	z2 := c.mul2(zi, zi)
	return c.mul2(p.x, z2), c.mul2(p.y, c.mul2(z2, zi))
}

// ecKey is a public key on a known curve.
type ecKey struct {
	curve *curve
	x, y  *big.Int
}

// verify checks an ECDSA signature over digest (FIPS 186-5, 6.4.2).
func (k *ecKey) verify(digest []byte, r, s *big.Int) error {
	c := k.curve
	if r == nil || s == nil || r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(c.n) >= 0 || s.Cmp(c.n) >= 0 {
		return fmt.Errorf("%w: value out of range", ErrSignature)
	}
	if c.std != nil {
		point := make([]byte, 1+2*c.bytes())
		point[0] = 4
		k.x.FillBytes(point[1 : 1+c.bytes()])
		k.y.FillBytes(point[1+c.bytes():])
		key, err := ecdsa.ParseUncompressedPublicKey(c.std, point)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCurve, err)
		}
		if !ecdsa.Verify(key, digest, r, s) {
			return ErrSignature
		}
		return nil
	}
	return k.verifyGeneric(digest, r, s)
}

func (k *ecKey) verifyGeneric(digest []byte, r, s *big.Int) error {
	c := k.curve
	z := new(big.Int).SetBytes(digest)
	if extra := len(digest)*8 - c.n.BitLen(); extra > 0 {
		z.Rsh(z, uint(extra))
	}
	w := new(big.Int).ModInverse(s, c.n)
	u1 := new(big.Int).Mul(z, w)
	u1.Mod(u1, c.n)
	u2 := new(big.Int).Mul(r, w)
	u2.Mod(u2, c.n)
	x, _ := c.affine(c.add(c.multiply(u1, c.gx, c.gy), c.multiply(u2, k.x, k.y)))
	if x == nil || x.Mod(x, c.n).Cmp(r) != 0 {
		return ErrSignature
	}
	return nil
}
