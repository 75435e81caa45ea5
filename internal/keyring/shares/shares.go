package shares

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// Number and Needed say how many shares there are and how many suffice.
const (
	Number = 3
	Needed = 2
)

const (
	prefix   = "kuule-share"
	setSize  = 4 // bytes that name the set
	sumSize  = 4 // bytes of the checksum
	maxShare = 512
)

var (
	// ErrShare says that a text is no share, or was copied wrongly.
	ErrShare = errors.New("this is no share, or it was copied wrongly")
	// ErrSet says that shares do not belong together, or that one is given twice.
	ErrSet = errors.New("these shares do not belong together: two different ones of one set are needed")
)

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Split makes the shares of a secret.
func Split(secret []byte) ([Number]string, error) {
	var out [Number]string
	if len(secret) == 0 || len(secret) > 64 {
		return out, errors.New("split: a secret has 1 to 64 bytes")
	}
	set := make([]byte, setSize)
	slope := make([]byte, len(secret))
	defer clear(slope)
	_, _ = rand.Read(set) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(slope)
	for i := range out {
		out[i] = text(set, byte(i+1), at(secret, slope, byte(i+1)))
	}
	return out, nil
}

// at gives the lines' values at a number.
func at(secret, slope []byte, number byte) []byte {
	out := make([]byte, len(secret))
	for i := range out {
		out[i] = secret[i] ^ multiply(slope[i], number)
	}
	return out
}

// Combine brings the secret back from two shares.
func Combine(first, second string) ([]byte, error) {
	setA, a, valuesA, err := parse(first)
	if err != nil {
		return nil, fmt.Errorf("first share: %w", err)
	}
	setB, b, valuesB, err := parse(second)
	if err != nil {
		return nil, fmt.Errorf("second share: %w", err)
	}
	if subtle.ConstantTimeCompare(setA, setB) != 1 || a == b || len(valuesA) != len(valuesB) {
		return nil, ErrSet
	}
	return meet(a, b, valuesA, valuesB), nil
}

// meet gives the lines' values at zero.
func meet(a, b byte, valuesA, valuesB []byte) []byte {
	slant := inverse(a ^ b)
	out := make([]byte, len(valuesA))
	for i := range out {
		out[i] = valuesA[i] ^ multiply(a, multiply(valuesA[i]^valuesB[i], slant))
	}
	return out
}

// multiply is the product in GF(256), by shift and mask alone.
func multiply(a, b byte) (product byte) {
	for range 8 {
		product ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return product
}

// inverse is a to the power of 254.
func inverse(a byte) byte {
	out := byte(1)
	for range 7 { // 254 = 2+4+…+128
		a = multiply(a, a)
		out = multiply(out, a)
	}
	return out
}

func sum(set []byte, number byte, values []byte) []byte {
	h := sha256.New()
	h.Write([]byte(prefix))
	h.Write(set)
	h.Write([]byte{number})
	h.Write(values)
	return h.Sum(nil)[:sumSize]
}

func text(set []byte, number byte, values []byte) string {
	body := append(append(append([]byte{}, set...), values...), sum(set, number, values)...)
	plain := letters.EncodeToString(body)
	var groups []string
	for len(plain) > 8 {
		groups, plain = append(groups, plain[:8]), plain[8:]
	}
	return fmt.Sprintf("%s-%d-%s", prefix, number, strings.Join(append(groups, plain), "-"))
}

func parse(share string) (set []byte, number byte, values []byte, err error) {
	if len(share) > maxShare {
		return nil, 0, nil, ErrShare
	}
	rest, ok := strings.CutPrefix(strings.ToLower(strings.Join(strings.Fields(share), "")), prefix+"-")
	digit, body, found := strings.Cut(rest, "-")
	if !ok || !found || len(digit) != 1 || digit[0] < '1' || digit[0] > '0'+Number {
		return nil, 0, nil, ErrShare
	}
	number = digit[0] - '0'
	raw, err := letters.DecodeString(strings.ReplaceAll(body, "-", ""))
	if err != nil || len(raw) <= setSize+sumSize {
		return nil, 0, nil, ErrShare
	}
	set, values = raw[:setSize], raw[setSize:len(raw)-sumSize]
	if subtle.ConstantTimeCompare(sum(set, number, values), raw[len(raw)-sumSize:]) != 1 {
		return nil, 0, nil, ErrShare
	}
	return set, number, values, nil
}
