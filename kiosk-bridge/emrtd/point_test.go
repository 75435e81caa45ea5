package emrtd

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"math/big"
	"testing"
)

func groupOf(t testing.TB, name string) *group {
	t.Helper()
	for _, c := range knownCurves {
		if c.name != name {
			continue
		}
		g, err := newGroup(c)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	t.Fatalf("no curve %s", name)
	return nil
}

// The arithmetic for secrets agrees with the one for public values on every
// curve, at the places where formulas break: zero, one, the order and around it.
func TestSecretArithmeticAgreesOnEveryCurve(t *testing.T) {
	t.Parallel()
	for _, c := range knownCurves {
		g, err := newGroup(c)
		if err != nil {
			t.Fatal(err)
		}
		base, err := g.generator()
		if err != nil {
			t.Fatal(err)
		}
		random, err := rand.Int(rand.Reader, c.n)
		if err != nil {
			t.Fatal(err)
		}
		minusOne := new(big.Int).Sub(c.n, big.NewInt(1))
		for _, k := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(2), big.NewInt(3), minusOne, c.n, new(big.Int).Rsh(c.n, 1), random} {
			got := g.multiply(k.FillBytes(make([]byte, g.n.Size())), base)
			x, y := c.affine(c.multiply(k, c.gx, c.gy))
			if x == nil {
				if got.z.IsZero() != 1 {
					t.Errorf("%s: %v times the base is not infinity", c.name, k)
				}
				if _, err := g.encode(got); err == nil {
					t.Errorf("%s: infinity was written", c.name)
				}
				continue
			}
			gx, gy, err := g.coordinates(got)
			if err != nil || new(big.Int).SetBytes(gx).Cmp(x) != 0 || new(big.Int).SetBytes(gy).Cmp(y) != 0 {
				t.Errorf("%s: %v times the base differs (%v)", c.name, k, err)
			}
		}
		// P + (-P), P + 0, 0 + P.
		p := g.multiply(random.FillBytes(make([]byte, g.n.Size())), base)
		negative := projective{p.x, g.minus(g.minus(p.y, p.y), p.y), p.z}
		if g.add(p, negative).z.IsZero() != 1 {
			t.Errorf("%s: a point and its negative do not vanish", c.name)
		}
		zero := g.multiply(make([]byte, g.n.Size()), base)
		want, _ := g.encode(p)
		left, _ := g.encode(g.add(p, zero))
		right, _ := g.encode(g.add(zero, p))
		if !bytes.Equal(left, want) || !bytes.Equal(right, want) {
			t.Errorf("%s: adding infinity changes a point", c.name)
		}
	}
}

// Another implementation: Go's ECDH on its own curves.
func TestSecretArithmeticAgreesWithStandardLibrary(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()} {
		g := groupOf(t, name)
		base, err := g.generator()
		if err != nil {
			t.Fatal(err)
		}
		own, err := g.newKeyPair(base)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := other.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public, err := other.NewPublicKey(own.public)
		if err != nil {
			t.Fatalf("%s: public key refused: %v", name, err)
		}
		want, err := theirs.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.decode(theirs.PublicKey().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := g.coordinates(g.multiply(own.secret, p))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: another shared secret (%v)", name, err)
		}
	}
}

// A chip's point counts only if it lies on the curve and is not infinity.
func TestPointsThatAreNone(t *testing.T) {
	t.Parallel()
	g := groupOf(t, "brainpoolP256r1")
	base, err := g.generator()
	if err != nil {
		t.Fatal(err)
	}
	good, err := g.encode(base)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.decode(good); err != nil {
		t.Fatal(err)
	}
	off := bytes.Clone(good)
	off[len(off)-1] ^= 1
	outside := concat([]byte{4}, bytes.Repeat([]byte{0xFF}, 64))
	for name, b := range map[string][]byte{
		"empty": nil, "infinity": {0}, "zero": concat([]byte{4}, make([]byte, 64)), "off the curve": off, "outside the field": outside,
		"short": good[:64], "long": append(bytes.Clone(good), 0), "compressed": concat([]byte{2}, good[1:33]),
	} {
		if _, err := g.decode(b); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func BenchmarkSecretMultiplication(b *testing.B) {
	for _, name := range []string{"P-256", "brainpoolP256r1", "P-521", "brainpoolP512r1"} {
		g := groupOf(b, name)
		base, err := g.generator()
		if err != nil {
			b.Fatal(err)
		}
		k := bytes.Repeat([]byte{0xA5}, g.n.Size())
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g.multiply(k, base)
			}
		})
	}
}
