package shares

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// draft-mcgrew-tss-03, section 9: secret "test\0", shares 1 and 2 of two.
func TestPublishedVector(t *testing.T) {
	t.Parallel()
	secret := []byte{0x74, 0x65, 0x73, 0x74, 0x00}
	first := []byte{0xb9, 0xfa, 0x07, 0xe1, 0x85}
	second := []byte{0xf5, 0x40, 0x9b, 0x45, 0x11}
	if got := meet(1, 2, first, second); !bytes.Equal(got, secret) {
		t.Errorf("got %x, want %x", got, secret)
	}
	slope := make([]byte, len(secret))
	for i := range slope {
		slope[i] = secret[i] ^ first[i] // a line's value at 1 is secret plus slope
	}
	if got := at(secret, slope, 2); !bytes.Equal(got, second) {
		t.Errorf("second share: got %x, want %x", got, second)
	}
}

// FIPS 197, sections 4.2 and 4.2.1.
func TestFieldArithmetic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, want byte }{{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, {0x57, 0x02, 0xae}, {0x57, 0x10, 0x07}, {0, 5, 0}} {
		if got := multiply(c.a, c.b); got != c.want || multiply(c.b, c.a) != c.want {
			t.Errorf("%#x times %#x is %#x, want %#x", c.a, c.b, got, c.want)
		}
	}
	for a := 1; a < 256; a++ {
		if multiply(byte(a), inverse(byte(a))) != 1 {
			t.Errorf("inverse of %#x is not its inverse", a)
		}
	}
}

func TestAnyTwoSharesBringTheSecretBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "secret")
		all, err := Split(secret)
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			for j := range all {
				got, err := Combine(all[i], strings.ToUpper(" "+all[j]+"\n"))
				if i == j {
					if !errors.Is(err, ErrSet) {
						t.Fatalf("one share twice: %v", err)
					}
					continue
				}
				if err != nil || !bytes.Equal(got, secret) {
					t.Fatalf("shares %d and %d: %x, %v", i+1, j+1, got, err)
				}
			}
		}
	})
}

// One share alone says nothing: over many splits each byte of a share takes
// every value, whatever the secret.
func TestOneShareSaysNothing(t *testing.T) {
	t.Parallel()
	seen := map[byte]bool{}
	for range 8000 {
		all, err := Split([]byte{0})
		if err != nil {
			t.Fatal(err)
		}
		_, _, values, err := parse(all[0])
		if err != nil {
			t.Fatal(err)
		}
		seen[values[0]] = true
	}
	if len(seen) != 256 {
		t.Errorf("a share of one secret took %d of 256 values", len(seen))
	}
}

func TestSlipsOfThePenAndStrangersAreTold(t *testing.T) {
	t.Parallel()
	one, err := Split([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := Split([]byte("another secret of the same size!"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Combine(one[0], other[1]); !errors.Is(err, ErrSet) {
		t.Errorf("a share of another set: %v", err)
	}
	swapped := strings.Replace(one[0], "share-1", "share-2", 1)
	for name, bad := range map[string]string{"empty": "", "cut": one[0][:len(one[0])-1], "number": swapped, "number 9": strings.Replace(one[0], "share-1", "share-9", 1), "long": strings.Repeat("a", 1000)} {
		if _, err := Combine(bad, one[2]); !errors.Is(err, ErrShare) {
			t.Errorf("%s: %v", name, err)
		}
	}
	at := len(prefix) + 10
	slip := []byte(one[0])
	slip[at] = map[bool]byte{true: 'b', false: 'a'}[slip[at] == 'a']
	if _, err := Combine(string(slip), one[1]); !errors.Is(err, ErrShare) {
		t.Errorf("one letter: %v", err)
	}
	if _, err := Split(nil); err == nil {
		t.Error("nothing was split")
	}
}

func FuzzCombine(f *testing.F) {
	all, err := Split([]byte("0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(all[0], all[1])
	f.Fuzz(func(t *testing.T, a, b string) {
		if secret, err := Combine(a, b); err == nil && len(secret) == 0 {
			t.Fatal("an empty secret")
		}
	})
}
