package emrtdtest

import (
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// weierstrass is a curve with the schoolbook's affine arithmetic: slow, with a
// division at each step, and easy to check against the textbook.
type weierstrass struct {
	oid        asn1.ObjectIdentifier
	number     int // among the standard domain parameters
	p, a, b, n *big.Int
	base       point
}

// point is affine; a nil x is infinity.
type point struct{ x, y *big.Int }

// Curves of the factory's chips by name.
const (
	P224            = "P-224"
	P256            = "P-256"
	P384            = "P-384"
	P521            = "P-521"
	BrainpoolP256r1 = "brainpoolP256r1"
	BrainpoolP384r1 = "brainpoolP384r1"
	BrainpoolP512r1 = "brainpoolP512r1"
)

func curveByName(name string) (*weierstrass, error) {
	nist := func(c elliptic.Curve, number int, oid ...int) (*weierstrass, error) {
		k := c.Params()
		return &weierstrass{oid, number, k.P, new(big.Int).Sub(k.P, big.NewInt(3)), k.B, k.N, point{k.Gx, k.Gy}}, nil
	}
	// RFC 5639, section 3.
	brainpool := func(number, arc int, p, a, b, x, y, n string) (*weierstrass, error) {
		h := func(s string) *big.Int {
			v, _ := new(big.Int).SetString(s, 16)
			return v
		}
		return &weierstrass{asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, arc}, number, h(p), h(a), h(b), h(n), point{h(x), h(y)}}, nil
	}
	switch name {
	case P224:
		return nist(elliptic.P224(), 10, 1, 3, 132, 0, 33)
	case P256:
		return nist(elliptic.P256(), 12, 1, 2, 840, 10045, 3, 1, 7)
	case P384:
		return nist(elliptic.P384(), 15, 1, 3, 132, 0, 34)
	case P521:
		return nist(elliptic.P521(), 18, 1, 3, 132, 0, 35)
	case BrainpoolP256r1:
		return brainpool(13, 7,
			"A9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377",
			"7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9",
			"26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6",
			"8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262",
			"547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997",
			"A9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7")
	case BrainpoolP384r1:
		return brainpool(16, 11,
			"8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B412B1DA197FB71123ACD3A729901D1A71874700133107EC53",
			"7BC382C63D8C150C3C72080ACE05AFA0C2BEA28E4FB22787139165EFBA91F90F8AA5814A503AD4EB04A8C7DD22CE2826",
			"04A8C7DD22CE28268B39B55416F0447C2FB77DE107DCD2A62E880EA53EEB62D57CB4390295DBC9943AB78696FA504C11",
			"1D1C64F068CF45FFA2A63A81B7C13F6B8847A3E77EF14FE3DB7FCAFE0CBD10E8E826E03436D646AAEF87B2E247D4AF1E",
			"8ABE1D7520F9C2A45CB1EB8E95CFD55262B70B29FEEC5864E19C054FF99129280E4646217791811142820341263C5315",
			"8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565")
	case BrainpoolP512r1:
		return brainpool(17, 13,
			"AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA703308717D4D9B009BC66842AECDA12AE6A380E62881FF2F2D82C68528AA6056583A48F3",
			"7830A3318B603B89E2327145AC234CC594CBDD8D3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CA",
			"3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CADC083E67984050B75EBAE5DD2809BD638016F723",
			"81AEE4BDD82ED9645A21322E9C4C6A9385ED9F70B5D916C1B43B62EEF4D0098EFF3B1F78E2D0D48D50D1687B93B97D5F7C6D5047406A5E688B352209BCB9F822",
			"7DDE385D566332ECC0EABFA9CF7822FDF209F70024A57B1AA000C55B881F8111B2DCDE494A5F485E5BCA4BD88A2763AED1CA2B2FA8F0540678CD1E0F3AD80892",
			"AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA70330870553E5C414CA92619418661197FAC10471DB1D381085DDADDB58796829CA90069")
	}
	return nil, fmt.Errorf("no curve %q in the factory", name)
}

func (c *weierstrass) size() int { return (c.p.BitLen() + 7) / 8 }

func (c *weierstrass) add(p, q point) point {
	switch {
	case p.x == nil:
		return q
	case q.x == nil:
		return p
	}
	var slope *big.Int
	if p.x.Cmp(q.x) == 0 {
		if sum := new(big.Int).Add(p.y, q.y); sum.Mod(sum, c.p).Sign() == 0 {
			return point{}
		}
		slope = new(big.Int).Mul(p.x, p.x)
		slope.Mul(slope, big.NewInt(3)).Add(slope, c.a)
		slope.Mul(slope, new(big.Int).ModInverse(new(big.Int).Lsh(p.y, 1), c.p))
	} else {
		down := new(big.Int).Sub(q.x, p.x)
		slope = new(big.Int).Sub(q.y, p.y)
		slope.Mul(slope, down.ModInverse(down.Mod(down, c.p), c.p))
	}
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, p.x).Sub(x, q.x).Mod(x, c.p)
	y := new(big.Int).Sub(p.x, x)
	y.Mul(y, slope).Sub(y, p.y).Mod(y, c.p)
	return point{x, y}
}

func (c *weierstrass) times(k *big.Int, p point) point {
	var out point
	for i := k.BitLen() - 1; i >= 0; i-- {
		out = c.add(out, out)
		if k.Bit(i) == 1 {
			out = c.add(out, p)
		}
	}
	return out
}

func (c *weierstrass) write(p point) []byte {
	out := make([]byte, 1+2*c.size())
	out[0] = 4
	p.x.FillBytes(out[1 : 1+c.size()])
	p.y.FillBytes(out[1+c.size():])
	return out
}

// read takes any pair of numbers: what lies off the curve is the chip's loss.
func (c *weierstrass) read(b []byte) (point, bool) {
	if len(b) != 1+2*c.size() || b[0] != 4 {
		return point{}, false
	}
	return point{new(big.Int).SetBytes(b[1 : 1+c.size()]), new(big.Int).SetBytes(b[1+c.size():])}, true
}

func (c *weierstrass) secret() (*big.Int, error) {
	k, err := rand.Int(rand.Reader, new(big.Int).Sub(c.n, big.NewInt(1)))
	if err != nil {
		return nil, err
	}
	return k.Add(k, big.NewInt(1)), nil
}

// sign is ECDSA with both halves side by side (BSI TR-03111, 4.2.1 and 5.2.1).
func (c *weierstrass) sign(d *big.Int, hash []byte) ([]byte, error) {
	k, err := c.secret()
	if err != nil {
		return nil, err
	}
	r := new(big.Int).Mod(c.times(k, c.base).x, c.n)
	e := new(big.Int).SetBytes(hash)
	if over := len(hash)*8 - c.n.BitLen(); over > 0 {
		e.Rsh(e, uint(over))
	}
	s := new(big.Int).Mul(r, d)
	s.Add(s, e).Mul(s, k.ModInverse(k, c.n)).Mod(s, c.n)
	size := (c.n.BitLen() + 7) / 8
	out := make([]byte, 2*size)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out, nil
}

// parameters names the curve, or spells it out as many real chips do (RFC 3279,
// 2.3.5).
func (c *weierstrass) parameters(e *encoder, explicit bool) asn1.RawValue {
	if !explicit {
		return asn1.RawValue{FullBytes: e.der(c.oid)}
	}
	type field struct {
		Type asn1.ObjectIdentifier
		P    *big.Int
	}
	number := func(v *big.Int) []byte { return v.FillBytes(make([]byte, c.size())) }
	return asn1.RawValue{FullBytes: e.der(struct {
		Version  int
		Field    field
		Curve    struct{ A, B []byte }
		Base     []byte
		Order    *big.Int
		Cofactor int
	}{1, field{asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}, c.p}, struct{ A, B []byte }{number(c.a), number(c.b)}, c.write(c.base), c.n, 1})}
}
