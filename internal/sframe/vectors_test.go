package sframe

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// whole is the RFC's complete file, laid beside the project where it is built.
const whole = "../../../shared/data/sframe-rfc9605-test-vectors.json"

type vectors struct {
	Source string `json:"source"`
	Header []struct {
		KID     number   `json:"kid"`
		Counter number   `json:"ctr"`
		Encoded hexBytes `json:"encoded"`
	} `json:"header"`
	CTR    []aeadVector `json:"aes_ctr_hmac"`
	CTR256 []aeadVector `json:"aes_256_ctr_hmac"`
	SFrame []struct {
		Suite    int      `json:"cipher_suite"`
		KID      number   `json:"kid"`
		Counter  number   `json:"ctr"`
		BaseKey  hexBytes `json:"base_key"`
		KeyLabel hexBytes `json:"sframe_key_label"`
		Salt     hexBytes `json:"sframe_salt"`
		Secret   hexBytes `json:"sframe_secret"`
		Key      hexBytes `json:"sframe_key"`
		Metadata hexBytes `json:"metadata"`
		Nonce    hexBytes `json:"nonce"`
		AAD      hexBytes `json:"aad"`
		Plain    hexBytes `json:"pt"`
		Sealed   hexBytes `json:"ct"`
	} `json:"sframe"`
}

type aeadVector struct {
	Suite  int      `json:"cipher_suite"`
	Key    hexBytes `json:"key"`
	Nonce  hexBytes `json:"nonce"`
	AAD    hexBytes `json:"aad"`
	Plain  hexBytes `json:"pt"`
	Sealed hexBytes `json:"ct"`
}

// number is written as a number in the RFC's file and as text in ours, because
// JavaScript reads ours too.
type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	return json.Unmarshal([]byte(strings.Trim(string(b), `"`)), (*uint64)(n))
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

// suites are all that the RFC's vectors speak of; the product has number 5.
var suites = map[int]suite{
	1: {1, 16 + 32, sha256.New, ctrHMAC(16, 10, sha256.New)},
	2: {2, 16 + 32, sha256.New, ctrHMAC(16, 8, sha256.New)},
	3: {3, 16 + 32, sha256.New, ctrHMAC(16, 4, sha256.New)},
	4: {4, 16, sha256.New, newGCM},
	5: aes256gcm,
	6: {6, 32 + 64, sha512.New, ctrHMAC(32, 10, sha512.New)},
	7: {7, 32 + 64, sha512.New, ctrHMAC(32, 8, sha512.New)},
	8: {8, 32 + 64, sha512.New, ctrHMAC(32, 4, sha512.New)},
}

// ctrHMAC is AES in counter mode with HMAC (RFC 9605 section 4.5.1).
func ctrHMAC(encKey, tag int, h func() hash.Hash) func([]byte) (cipher.AEAD, error) {
	return func(key []byte) (cipher.AEAD, error) {
		b, err := aes.NewCipher(key[:encKey])
		return ctrAEAD{b, bytes.Clone(key[encKey:]), tag, h}, err
	}
}

type ctrAEAD struct {
	block cipher.Block
	auth  []byte
	tag   int
	hash  func() hash.Hash
}

func (c ctrAEAD) NonceSize() int { return 12 }
func (c ctrAEAD) Overhead() int  { return c.tag }

func (c ctrAEAD) xor(nonce, text []byte) []byte {
	out := make([]byte, len(text))
	cipher.NewCTR(c.block, append(bytes.Clone(nonce), 0, 0, 0, 0)).XORKeyStream(out, text)
	return out
}

func (c ctrAEAD) sum(nonce, aad, ct []byte) []byte {
	m := hmac.New(c.hash, c.auth)
	for _, n := range []int{len(aad), len(ct), c.tag} {
		_ = binary.Write(m, binary.BigEndian, uint64(n))
	}
	m.Write(nonce)
	m.Write(aad)
	m.Write(ct)
	return m.Sum(nil)[:c.tag]
}

func (c ctrAEAD) Seal(dst, nonce, plain, aad []byte) []byte {
	ct := c.xor(nonce, plain)
	return append(append(dst, ct...), c.sum(nonce, aad, ct)...)
}

func (c ctrAEAD) Open(dst, nonce, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < c.tag {
		return nil, ErrOpen
	}
	ct, tag := sealed[:len(sealed)-c.tag], sealed[len(sealed)-c.tag:]
	if !hmac.Equal(tag, c.sum(nonce, aad, ct)) {
		return nil, ErrOpen
	}
	return append(dst, c.xor(nonce, ct)...), nil
}

func read(t *testing.T, path string) *vectors {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && path == whole {
		t.Skipf("the RFC's whole file is not at %s; the handful in testdata was run", whole)
	}
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Header) == 0 || len(v.SFrame) == 0 || len(v.CTR) == 0 {
		t.Fatal("a group of vectors is missing")
	}
	return &v
}

func TestVectorsOfTheRFC(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"handful": "testdata/rfc9605.json", "whole": whole} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, read(t, path))
		})
	}
}

func run(t *testing.T, v *vectors) {
	for _, h := range v.Header {
		if got := AppendHeader(nil, uint64(h.KID), uint64(h.Counter)); !bytes.Equal(got, h.Encoded) {
			t.Errorf("header %d %d: %x, want %x", h.KID, h.Counter, got, h.Encoded)
		}
		got, err := ParseHeader(h.Encoded)
		if want := (Header{uint64(h.KID), uint64(h.Counter), len(h.Encoded)}); err != nil || got != want {
			t.Errorf("header %x: %+v %v, want %+v", h.Encoded, got, err, want)
		}
	}
	for _, c := range append(v.CTR, v.CTR256...) {
		a, err := suites[c.Suite].aead(c.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Seal(nil, c.Nonce, c.Plain, c.AAD); !bytes.Equal(got, c.Sealed) {
			t.Errorf("suite %d: %x, want %x", c.Suite, got, c.Sealed)
		}
	}
	for _, s := range v.SFrame {
		t.Run(fmt.Sprintf("suite%d", s.Suite), func(t *testing.T) {
			su := suites[s.Suite]
			if got := su.label("SFrame 1.0 Secret key ", uint64(s.KID)); got != string(s.KeyLabel) {
				t.Errorf("label %x, want %x", got, s.KeyLabel)
			}
			secret, _ := hkdf.Extract(su.hash, s.BaseKey, nil)
			if !bytes.Equal(secret, s.Secret) {
				t.Errorf("secret %x, want %x", secret, s.Secret)
			}
			d, err := su.derive(s.BaseKey, uint64(s.KID))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(d.salt[:], s.Salt) {
				t.Errorf("salt %x, want %x", d.salt, s.Salt)
			}
			sealer := Sealer{key: d, kid: uint64(s.KID), next: uint64(s.Counter)}
			got, counter, err := sealer.Seal(nil, s.Metadata, s.Plain)
			if err != nil || counter != uint64(s.Counter) || !bytes.Equal(got, s.Sealed) {
				t.Errorf("sealed %x %v, want %x", got, err, s.Sealed)
			}
			if !bytes.Equal(d.nonce[:], s.Nonce) || !bytes.Equal(d.aad, s.AAD) {
				t.Errorf("nonce %x aad %x, want %x %x", d.nonce, d.aad, s.Nonce, s.AAD)
			}
			opener := Opener{key: d, kid: uint64(s.KID)}
			plain, err := opener.Open(nil, s.Metadata, s.Sealed)
			if err != nil || !bytes.Equal(plain, s.Plain) {
				t.Errorf("opened %x %v, want %x", plain, err, s.Plain)
			}
		})
	}
}
