package emrtd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/bigmod"
)

// group multiplies points by secrets: the ephemeral keys of PACE and of chip
// authentication. Unlike [curve], whose arithmetic sees public values only,
// nothing here branches on a secret or indexes by one: field operations are
// bigmod's, the addition is complete (no special cases for doubling or
// infinity), and every multiplication takes the same steps.
type group struct {
	curve *curve
	p, n  *bigmod.Modulus
	a, b3 *bigmod.Nat
}

// projective is (X/Z, Y/Z); Z = 0 is infinity.
type projective struct{ x, y, z *bigmod.Nat }

var errInfinity = errors.New("point at infinity")

func newGroup(c *curve) (*group, error) {
	p, err := bigmod.NewModulus(c.p.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCurve, c.name, err)
	}
	n, err := bigmod.NewModulus(c.n.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCurve, c.name, err)
	}
	g := &group{curve: c, p: p, n: n}
	if g.a, err = g.element(c.a); err != nil {
		return nil, err
	}
	b3 := new(big.Int).Mul(c.b, big.NewInt(3))
	g.b3, err = g.element(b3.Mod(b3, c.p))
	return g, err
}

func (g *group) element(v *big.Int) (*bigmod.Nat, error) {
	e, err := bigmod.NewNat().SetBytes(v.FillBytes(make([]byte, g.p.Size())), g.p)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCurve, g.curve.name, err)
	}
	return e, nil
}

func (g *group) affinePoint(x, y *big.Int) (projective, error) {
	px, err := g.element(x)
	if err != nil {
		return projective{}, err
	}
	py, err := g.element(y)
	if err != nil {
		return projective{}, err
	}
	one, err := g.element(big.NewInt(1))
	return projective{px, py, one}, err
}

func (g *group) generator() (projective, error) { return g.affinePoint(g.curve.gx, g.curve.gy) }

// decode reads a public point in uncompressed form. It must lie on the curve;
// infinity has no such form. All curves have prime order, so that every point on
// one of them is of full order.
func (g *group) decode(b []byte) (projective, error) {
	if len(b) == 0 || b[0] != 4 {
		return projective{}, fmt.Errorf("%w: point is not uncompressed", ErrCurve)
	}
	x, y, err := g.curve.point(b)
	if err != nil {
		return projective{}, err
	}
	return g.affinePoint(x, y)
}

// coordinates divides by Z, by a power of it, since an inversion would tell
// about it by its time.
func (g *group) coordinates(p projective) (x, y []byte, err error) {
	if p.z.IsZero() == 1 {
		return nil, nil, fmt.Errorf("%w: %w", ErrCurve, errInfinity)
	}
	exponent := new(big.Int).Sub(g.curve.p, big.NewInt(2)).Bytes()
	inverse := bigmod.NewNat().Exp(p.z, exponent, g.p)
	return g.times(p.x, inverse).Bytes(g.p), g.times(p.y, inverse).Bytes(g.p), nil
}

func (g *group) encode(p projective) ([]byte, error) {
	x, y, err := g.coordinates(p)
	if err != nil {
		return nil, err
	}
	return concat([]byte{4}, x, y), nil
}

func (g *group) zero() *bigmod.Nat { return new(bigmod.Nat).ExpandFor(g.p) }

func (g *group) copy(a *bigmod.Nat) *bigmod.Nat {
	out := g.zero()
	copy(out.Bits(), a.Bits())
	return out
}

func (g *group) times(a, b *bigmod.Nat) *bigmod.Nat { return g.copy(a).Mul(b, g.p) }
func (g *group) plus(a, b *bigmod.Nat) *bigmod.Nat  { return g.copy(a).Add(b, g.p) }
func (g *group) minus(a, b *bigmod.Nat) *bigmod.Nat { return g.copy(a).Sub(b, g.p) }

// add is algorithm 1 of Renes, Costello and Batina, "Complete addition formulas
// for prime order elliptic curves" (https://eprint.iacr.org/2015/1060): right for
// every pair of points, equal ones and infinity included.
func (g *group) add(p, q projective) projective {
	xx, yy, zz := g.times(p.x, q.x), g.times(p.y, q.y), g.times(p.z, q.z)
	cross := func(a, b, c, d, ac, bd *bigmod.Nat) *bigmod.Nat { // ad + bc
		return g.minus(g.times(g.plus(a, b), g.plus(c, d)), g.plus(ac, bd))
	}
	xy := cross(p.x, p.y, q.x, q.y, xx, yy)
	xz := cross(p.x, p.z, q.x, q.z, xx, zz)
	yz := cross(p.y, p.z, q.y, q.z, yy, zz)

	azz := g.times(g.a, zz)
	t := g.plus(g.times(g.a, xz), g.times(g.b3, zz))
	low, high := g.minus(yy, t), g.plus(yy, t)
	slope := g.plus(g.plus(g.plus(xx, xx), xx), azz)
	rest := g.plus(g.times(g.b3, xz), g.times(g.a, g.minus(xx, azz)))
	return projective{
		x: g.minus(g.times(xy, low), g.times(yz, rest)),
		y: g.plus(g.times(low, high), g.times(slope, rest)),
		z: g.plus(g.times(yz, high), g.times(xy, slope)),
	}
}

// multiply adds at every bit and keeps the sum or not by a mask. k has the
// length of the order.
func (g *group) multiply(k []byte, p projective) projective {
	r := projective{g.zero(), g.zero(), g.zero()}
	r.y.Bits()[0] = 1
	for _, b := range k {
		for i := 7; i >= 0; i-- {
			r = g.add(r, r)
			sum := g.add(r, p)
			keep := -uint(b >> i & 1)
			choose(keep, r.x, sum.x)
			choose(keep, r.y, sum.y)
			choose(keep, r.z, sum.z)
		}
	}
	return r
}

// choose sets a to b where mask is all ones and leaves it where mask is zero.
func choose(mask uint, a, b *bigmod.Nat) {
	x, y := a.Bits(), b.Bits()
	for i := range x {
		x[i] ^= mask & (x[i] ^ y[i])
	}
}

// scalar reduces a secret number by the order.
func (g *group) scalar(b []byte) ([]byte, error) {
	// Mod takes what is larger than the modulus, but SetBytes wants a bound.
	wide := append([]byte{1}, make([]byte, len(b))...)
	m, err := bigmod.NewModulus(wide)
	if err != nil {
		return nil, err
	}
	v, err := bigmod.NewNat().SetBytes(append([]byte{0}, b...), m)
	if err != nil {
		return nil, err
	}
	return bigmod.NewNat().Mod(v, g.n).Bytes(g.n), nil
}

// keyPair is an ephemeral secret and its public point under a base.
type keyPair struct {
	secret []byte
	public []byte
}

// newKeyPair draws a secret from [1, n-1]: eight bytes more than the order has,
// reduced, so that no number is likelier than another by more than 2^-64.
func (g *group) newKeyPair(base projective) (keyPair, error) {
	for range 4 {
		wide := make([]byte, g.n.Size()+8)
		if _, err := rand.Read(wide); err != nil {
			return keyPair{}, err
		}
		k, err := g.scalar(wide)
		if err != nil {
			return keyPair{}, err
		}
		public, err := g.encode(g.multiply(k, base))
		if errors.Is(err, errInfinity) {
			continue // the secret was zero
		}
		return keyPair{k, public}, err
	}
	return keyPair{}, errors.New("random numbers do not vary")
}
