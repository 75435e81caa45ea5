package emrtd

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"  // BAC is defined over two-key triple DES; PACE replaces it
	"crypto/sha1" // the standard's choice for key derivation
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// algorithm is the cipher that an object identifier names in its last part: 1
// is triple DES, 2 to 4 are AES of 128 to 256 bits (9303-11, 9.2.3 and 9.2.7).
type algorithm int

const (
	algTDES   algorithm = 1
	algAES128 algorithm = 2
	algAES192 algorithm = 3
	algAES256 algorithm = 4
)

func (a algorithm) known() bool { return a >= algTDES && a <= algAES256 }

func (a algorithm) block() int {
	if a == algTDES {
		return des.BlockSize
	}
	return aes.BlockSize
}

// derive makes the key with counter from a secret (9303-11, 9.7.1).
func (a algorithm) derive(secret []byte, counter uint32) []byte {
	input := binary.BigEndian.AppendUint32(append([]byte{}, secret...), counter)
	switch a {
	case algTDES:
		return kdf(secret, counter)
	case algAES128:
		h := sha1.Sum(input) // the standard's choice
		return h[:16]
	case algAES192:
		h := sha256.Sum256(input)
		return h[:24]
	}
	h := sha256.Sum256(input)
	return h[:]
}

// keys makes a session's cipher from a shared secret.
func (a algorithm) keys(secret []byte) (suite, error) {
	return a.suite(a.derive(secret, 1), a.derive(secret, 2))
}

func (a algorithm) suite(kEnc, kMac []byte) (suite, error) {
	if a == algTDES {
		return newTDES(kEnc, kMac)
	}
	return newAES(kEnc, kMac)
}

// token is the checksum over a whole object, as PACE's authentication tokens
// are: the retail MAC pads, CMAC needs no padding.
func (a algorithm) token(s suite, object []byte) []byte {
	if a == algTDES {
		object = padISO(object, des.BlockSize)
	}
	return s.mac(object)
}

// open decrypts in CBC mode with a zero vector under one key: PACE's nonce
// (9303-11, 4.4.3.3). in is a multiple of the block size.
func (a algorithm) open(key, in []byte) ([]byte, error) {
	var b cipher.Block
	var err error
	if a == algTDES {
		b, err = des.NewTripleDESCipher(concat(key, key[:8]))
	} else {
		b, err = aes.NewCipher(key)
	}
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(in))
	cipher.NewCBCDecrypter(b, make([]byte, b.BlockSize())).CryptBlocks(out, in)
	return out, nil
}

// tdes is the BAC suite: triple DES in CBC mode with a zero vector, retail MAC
// (9303-11, 9.8.6.2 and ISO/IEC 9797-1 algorithm 3).
type tdes struct {
	enc, macOuter, macInner cipher.Block
}

func newTDES(kEnc, kMac []byte) (*tdes, error) {
	enc, err := des.NewTripleDESCipher(append(append([]byte{}, kEnc...), kEnc[:8]...))
	if err != nil {
		return nil, err
	}
	outer, err := des.NewCipher(kMac[:8])
	if err != nil {
		return nil, err
	}
	inner, err := des.NewCipher(kMac[8:16])
	if err != nil {
		return nil, err
	}
	return &tdes{enc, outer, inner}, nil
}

func (t *tdes) blockSize() int { return des.BlockSize }

func (t *tdes) encrypt(_, padded []byte) []byte {
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(t.enc, make([]byte, des.BlockSize)).CryptBlocks(out, padded)
	return out
}

func (t *tdes) decrypt(_, sealed []byte) []byte {
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(t.enc, make([]byte, des.BlockSize)).CryptBlocks(out, sealed)
	return out
}

func (t *tdes) mac(padded []byte) []byte {
	h := make([]byte, des.BlockSize)
	for i := 0; i+des.BlockSize <= len(padded); i += des.BlockSize {
		subtle.XORBytes(h, h, padded[i:i+des.BlockSize])
		t.macOuter.Encrypt(h, h)
	}
	t.macInner.Decrypt(h, h)
	t.macOuter.Encrypt(h, h)
	return h
}

// kdf derives a triple DES key from a seed: counter 1 for encryption, 2 for the
// checksum, 3 for a password (9303-11, 9.7.1.1), with the parity that DES asks for.
func kdf(seed []byte, counter uint32) []byte {
	h := sha1.Sum(binary.BigEndian.AppendUint32(append([]byte{}, seed...), counter)) // the standard's choice
	key := h[:16]
	for i, b := range key {
		b &= 0xFE
		odd := b
		odd ^= odd >> 4
		odd ^= odd >> 2
		odd ^= odd >> 1
		key[i] = b | (^odd & 1)
	}
	return key
}

// aesSuite is AES in CBC mode, its vector the encrypted counter, with CMAC
// shortened to eight bytes (9303-11, 9.8.7).
type aesSuite struct{ enc, check cipher.Block }

func newAES(kEnc, kMac []byte) (*aesSuite, error) {
	enc, err := aes.NewCipher(kEnc)
	if err != nil {
		return nil, err
	}
	check, err := aes.NewCipher(kMac)
	if err != nil {
		return nil, err
	}
	return &aesSuite{enc, check}, nil
}

func (s *aesSuite) blockSize() int { return aes.BlockSize }

func (s *aesSuite) vector(ssc []byte) []byte {
	iv := make([]byte, aes.BlockSize)
	s.enc.Encrypt(iv, ssc)
	return iv
}

func (s *aesSuite) encrypt(ssc, padded []byte) []byte {
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(s.enc, s.vector(ssc)).CryptBlocks(out, padded)
	return out
}

func (s *aesSuite) decrypt(ssc, sealed []byte) []byte {
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(s.enc, s.vector(ssc)).CryptBlocks(out, sealed)
	return out
}

func (s *aesSuite) mac(b []byte) []byte { return cmac(s.check, b)[:8] }

// cmac is AES-CMAC (RFC 4493, 2.4).
func cmac(b cipher.Block, msg []byte) []byte {
	const n = aes.BlockSize
	key := make([]byte, n)
	b.Encrypt(key, key)
	shift(key)
	whole := len(msg) / n * n
	if len(msg) > 0 && len(msg) == whole {
		whole -= n
	}
	last := make([]byte, n)
	if copy(last, msg[whole:]) < n {
		last[len(msg)-whole] = 0x80
		shift(key)
	}
	subtle.XORBytes(last, last, key)
	out := make([]byte, n)
	for i := 0; i < whole; i += n {
		subtle.XORBytes(out, out, msg[i:i+n])
		b.Encrypt(out, out)
	}
	subtle.XORBytes(out, out, last)
	b.Encrypt(out, out)
	return out
}

// shift multiplies by x in the field of CMAC, without a branch on the key.
func shift(key []byte) {
	carry := key[0] >> 7
	for i := range len(key) - 1 {
		key[i] = key[i]<<1 | key[i+1]>>7
	}
	key[len(key)-1] = key[len(key)-1]<<1 ^ -carry&0x87
}
