package emrtdtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // the chip speaks what chips speak
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
)

// Cipher is what protects a session.
type Cipher int

// Ciphers by their number in the standard's object identifiers.
const (
	TDES   Cipher = 1
	AES128 Cipher = 2
	AES192 Cipher = 3
	AES256 Cipher = 4
)

func (c Cipher) block() int {
	if c == TDES {
		return 8
	}
	return 16
}

func (c Cipher) derive(seed []byte, n byte) []byte {
	switch c {
	case TDES:
		return derive(seed, n)
	case AES128:
		h := sha1.Sum(join(seed, []byte{0, 0, 0, n}))
		return h[:16]
	}
	h := sha256.Sum256(join(seed, []byte{0, 0, 0, n}))
	return h[:map[Cipher]int{AES192: 24, AES256: 32}[c]]
}

// session is the chip's side of secure messaging (9303-11, 9.8).
type session struct {
	cipher  Cipher
	ke, km  []byte
	counter *big.Int
}

func newSession(c Cipher, shared []byte) *session {
	return &session{c, c.derive(shared, 1), c.derive(shared, 2), new(big.Int)}
}

func (s *session) next() []byte {
	s.counter.Add(s.counter, big.NewInt(1))
	return s.counter.FillBytes(make([]byte, s.cipher.block()))
}

func (s *session) crypt(ssc, in []byte, encrypt bool) []byte {
	if s.cipher == TDES {
		return cbc(s.ke, in, encrypt)
	}
	return aesCBC(s.ke, aesBlock(s.ke, ssc), in, encrypt)
}

// sum is over a padded text in a session, over the bare one in a token.
func (s *session) sum(text []byte) []byte {
	if s.cipher == TDES {
		return retailMAC(s.km, text)
	}
	return aesCMAC(s.km, text)[:8]
}

func (s *session) token(object []byte) []byte {
	if s.cipher == TDES {
		object = pad(object, 8)
	}
	return s.sum(object)
}

func (s *session) open(cmd command) (command, bool) {
	ssc := s.next()
	inner := command{ins: cmd.ins, p1: cmd.p1, p2: cmd.p2}
	var covered, sum []byte
	for b := cmd.data; len(b) > 0; {
		tag, value, whole, rest, ok := take(b)
		if !ok {
			return inner, false
		}
		if tag == 0x8E {
			sum = value
		} else {
			covered = append(covered, whole...)
		}
		switch tag {
		case 0x87:
			if len(value) < 9 || value[0] != 1 {
				return inner, false
			}
			inner.data = value[1:]
		case 0x85:
			inner.data = value
		case 0x97:
			for _, x := range value {
				inner.le = inner.le<<8 | int(x)
			}
			if inner.le == 0 {
				inner.le = 256
			}
		}
		b = rest
	}
	n := s.cipher.block()
	text := append(bytes.Clone(ssc), pad([]byte{cmd.cla, cmd.ins, cmd.p1, cmd.p2}, n)...)
	if len(covered) > 0 {
		text = append(text, pad(covered, n)...)
	}
	if !bytes.Equal(sum, s.sum(text)) {
		return inner, false
	}
	if inner.data != nil {
		if len(inner.data)%n != 0 {
			return inner, false
		}
		plain := bytes.TrimRight(s.crypt(ssc, inner.data, false), "\x00")
		if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
			return inner, false
		}
		inner.data = plain[:len(plain)-1]
	}
	return inner, true
}

func (s *session) seal(data []byte, sw uint16, odd bool) []byte {
	ssc := s.next()
	n := s.cipher.block()
	var body []byte
	if len(data) > 0 && odd {
		body = object(0x85, s.crypt(ssc, pad(data, n), true))
	} else if len(data) > 0 {
		body = object(0x87, append([]byte{1}, s.crypt(ssc, pad(data, n), true)...))
	}
	body = append(body, object(0x99, status(sw))...)
	sum := s.sum(append(bytes.Clone(ssc), pad(body, n)...))
	return join(body, object(0x8E, sum), status(sw))
}

// take splits one object with a tag of one byte off b.
func take(b []byte) (tag byte, value, whole, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, nil, false
	}
	n, at := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 2:
		n, at = int(b[2]), 3
	case n == 0x82 && len(b) > 3:
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case n > 127:
		return 0, nil, nil, nil, false
	}
	if at+n > len(b) {
		return 0, nil, nil, nil, false
	}
	return b[0], b[at : at+n], b[:at+n], b[at+n:], true
}

// objects are the values by tag.
func objects(b []byte) map[byte][]byte {
	out := map[byte][]byte{}
	for len(b) > 0 {
		tag, value, _, rest, ok := take(b)
		if !ok {
			return nil
		}
		out[tag], b = value, rest
	}
	return out
}

func derive(seed []byte, n byte) []byte {
	h := sha1.Sum(join(seed, []byte{0, 0, 0, n}))
	for i := range h {
		ones := 0
		for bit := 1; bit < 8; bit++ {
			ones += int(h[i]>>bit) & 1
		}
		h[i] = h[i]&^1 | byte(1-ones%2)
	}
	return h[:16]
}

func pad(b []byte, block int) []byte {
	out := append(bytes.Clone(b), 0x80)
	for len(out)%block != 0 {
		out = append(out, 0)
	}
	return out
}

func cbc(key, in []byte, encrypt bool) []byte {
	block, err := des.NewTripleDESCipher(join(key, key[:8]))
	if err != nil {
		panic(err) // the key's length is ours
	}
	return chain(block, make([]byte, 8), in, encrypt)
}

func chain(block cipher.Block, iv, in []byte, encrypt bool) []byte {
	out := make([]byte, len(in))
	if encrypt {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, in)
	} else {
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, in)
	}
	return out
}

// retailMAC is ISO/IEC 9797-1 algorithm 3: DES in a chain, triple at its end.
func retailMAC(key, padded []byte) []byte {
	first, err := des.NewCipher(key[:8])
	if err != nil {
		panic(err)
	}
	out := chain(first, make([]byte, 8), padded, true)
	last := cbcBlock(key[8:16], out[len(out)-8:], false)
	return cbcBlock(key[:8], last, true)
}

func cbcBlock(key, in []byte, encrypt bool) []byte {
	b, err := des.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, 8)
	if encrypt {
		b.Encrypt(out, in)
	} else {
		b.Decrypt(out, in)
	}
	return out
}

func aesCBC(key, iv, in []byte, encrypt bool) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return chain(block, iv, in, encrypt)
}

func aesBlock(key, in []byte) []byte { return aesCBC(key, make([]byte, 16), in, true) }

// aesCMAC is NIST SP 800-38B with its subkeys worked out as numbers.
func aesCMAC(key, text []byte) []byte {
	twice := func(v *big.Int) *big.Int {
		v = new(big.Int).Lsh(v, 1)
		if v.Bit(128) == 1 {
			v.SetBit(v, 128, 0).Xor(v, big.NewInt(0x87))
		}
		return v
	}
	k := twice(new(big.Int).SetBytes(aesBlock(key, make([]byte, 16))))
	if len(text) == 0 || len(text)%16 != 0 {
		k, text = twice(k), pad(text, 16)
	}
	text = bytes.Clone(text)
	last := text[len(text)-16:]
	new(big.Int).Xor(k, new(big.Int).SetBytes(last)).FillBytes(last)
	out := aesCBC(key, make([]byte, 16), text, true)
	return out[len(out)-16:]
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
