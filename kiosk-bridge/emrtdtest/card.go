package emrtdtest

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/des" // the chip speaks what chips speak
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"sync"
)

const (
	fidCOM = 0x011E
	fidSOD = 0x011D
	fidDG1 = 0x0101
	fidDG2 = 0x0102
)

// ErrSilent is what a reader gets of a chip that does not answer.
var ErrSilent = errors.New("test chip is silent")

// Card is a chip with Basic Access Control and secure messaging. It is safe for
// concurrent use, one command at a time.
type Card struct {
	mu     sync.Mutex
	ke, km []byte
	files  map[uint16][]byte

	selected  bool
	challenge []byte
	session   *session
	current   []byte
	count     int

	dead, paceOnly, corrupt bool
	silentAfter             int
}

func newCard(zone string, files map[uint16][]byte) *Card {
	info := zone[44:54] + zone[57:64] + zone[65:72]
	h := sha1.Sum([]byte(info))
	return &Card{ke: derive(h[:16], 1), km: derive(h[:16], 2), files: files}
}

// Commands is the number of commands since the chip was made.
func (c *Card) Commands() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// Reset is what taking the chip off the reader does.
func (c *Card) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.selected, c.challenge, c.session, c.current = false, nil, nil, nil
}

// Transmit answers one command APDU.
func (c *Card) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if c.dead || (c.silentAfter > 0 && c.count > c.silentAfter) {
		return nil, ErrSilent
	}
	cmd, ok := parse(apdu)
	if !ok {
		return status(0x6700), nil
	}
	if cmd.cla&0x0C == 0x0C {
		return c.protected(cmd), nil
	}
	if c.session != nil { // a command in the clear ends the session (9303-11, 9.8.2)
		c.session = nil
	}
	return c.clear(cmd), nil
}

type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	le               int
}

// parse reads the cases of ISO/IEC 7816-4, 5.2, short and extended.
func parse(a []byte) (command, bool) {
	if len(a) < 4 {
		return command{}, false
	}
	c := command{cla: a[0], ins: a[1], p1: a[2], p2: a[3]}
	b := a[4:]
	whole := func(n, most int) int {
		if n == 0 {
			return most
		}
		return n
	}
	switch {
	case len(b) == 0:
		return c, true
	case len(b) == 1:
		c.le = whole(int(b[0]), 256)
		return c, true
	case b[0] != 0:
		n := int(b[0])
		if len(b) != 1+n && len(b) != 2+n {
			return c, false
		}
		c.data = b[1 : 1+n]
		if len(b) == 2+n {
			c.le = whole(int(b[1+n]), 256)
		}
		return c, true
	case len(b) == 3:
		c.le = whole(int(binary.BigEndian.Uint16(b[1:])), 65536)
		return c, true
	case len(b) > 3:
		n := int(binary.BigEndian.Uint16(b[1:]))
		if len(b) != 3+n && len(b) != 5+n {
			return c, false
		}
		c.data = b[3 : 3+n]
		if len(b) == 5+n {
			c.le = whole(int(binary.BigEndian.Uint16(b[3+n:])), 65536)
		}
		return c, true
	}
	return c, false
}

func status(sw uint16) []byte { return []byte{byte(sw >> 8), byte(sw)} }

func (c *Card) clear(cmd command) []byte {
	switch {
	case cmd.ins == 0xA4 && cmd.p1 == 4:
		if !bytes.Equal(cmd.data, []byte{0xA0, 0, 0, 2, 0x47, 0x10, 1}) {
			return status(0x6A82)
		}
		if c.paceOnly {
			return status(0x6982)
		}
		c.selected = true
		return status(0x9000)
	case !c.selected:
		return status(0x6985)
	case cmd.ins == 0x84:
		c.challenge = make([]byte, 8)
		if _, err := rand.Read(c.challenge); err != nil {
			return status(0x6F00)
		}
		return append(bytes.Clone(c.challenge), status(0x9000)...)
	case cmd.ins == 0x82:
		return c.authenticate(cmd)
	}
	return status(0x6982) // nothing is given in the clear
}

// authenticate is the chip's half of 9303-11, 4.3.1.
func (c *Card) authenticate(cmd command) []byte {
	rnd := c.challenge
	c.challenge = nil
	if rnd == nil || len(cmd.data) != 40 {
		return status(0x6985)
	}
	sealed, sum := cmd.data[:32], cmd.data[32:]
	if !bytes.Equal(sum, retailMAC(c.km, pad(sealed))) {
		return status(0x6300)
	}
	plain := cbc(c.ke, sealed, false)
	if !bytes.Equal(plain[8:16], rnd) {
		return status(0x6300)
	}
	rndIFD, kIFD := plain[:8], plain[16:32]
	kIC := make([]byte, 16)
	if _, err := rand.Read(kIC); err != nil {
		return status(0x6F00)
	}
	answer := cbc(c.ke, join(rnd, rndIFD, kIC), true)
	seed := make([]byte, 16)
	for i := range seed {
		seed[i] = kIFD[i] ^ kIC[i]
	}
	c.session = &session{ke: derive(seed, 1), km: derive(seed, 2), counter: binary.BigEndian.Uint64(join(rnd[4:], rndIFD[4:]))}
	c.current = nil
	return join(answer, retailMAC(c.km, pad(answer)), status(0x9000))
}

func (c *Card) protected(cmd command) []byte {
	if c.session == nil {
		return status(0x6988)
	}
	inner, ok := c.session.open(cmd)
	if !ok {
		c.session = nil
		return status(0x6988)
	}
	data, sw := c.execute(inner)
	out := c.session.seal(data, sw, inner.ins&1 == 1)
	if c.corrupt && len(data) > 100 {
		out[len(out)/2] ^= 1
	}
	return out
}

func (c *Card) execute(cmd command) ([]byte, uint16) {
	switch cmd.ins {
	case 0xA4:
		if len(cmd.data) != 2 {
			return nil, 0x6700
		}
		f, ok := c.files[binary.BigEndian.Uint16(cmd.data)]
		if !ok {
			return nil, 0x6A82
		}
		c.current = f
		return nil, 0x9000
	case 0xB0:
		return c.readAt(int(cmd.p1&0x7F)<<8|int(cmd.p2), cmd.le)
	case 0xB1:
		if len(cmd.data) != 5 || cmd.data[0] != 0x54 || cmd.data[1] != 3 || cmd.le < 5 {
			return nil, 0x6A80
		}
		data, sw := c.readAt(int(cmd.data[2])<<16|int(cmd.data[3])<<8|int(cmd.data[4]), cmd.le-4)
		if sw != 0x9000 {
			return nil, sw
		}
		return object(0x53, data), sw
	}
	return nil, 0x6D00
}

func (c *Card) readAt(offset, n int) ([]byte, uint16) {
	if c.current == nil {
		return nil, 0x6986
	}
	if offset >= len(c.current) {
		return nil, 0x6B00
	}
	return c.current[offset:min(len(c.current), offset+n)], 0x9000
}

// session is the chip's side of secure messaging (9303-11, 9.8).
type session struct {
	ke, km  []byte
	counter uint64
}

func (s *session) next() []byte {
	s.counter++
	return binary.BigEndian.AppendUint64(nil, s.counter)
}

func (s *session) open(cmd command) (command, bool) {
	ssc := s.next()
	inner := command{ins: cmd.ins, p1: cmd.p1, p2: cmd.p2}
	var covered, sum []byte
	for b := cmd.data; len(b) > 0; {
		if len(b) < 2 {
			return inner, false
		}
		n, at := int(b[1]), 2
		switch {
		case n == 0x81 && len(b) > 2:
			n, at = int(b[2]), 3
		case n == 0x82 && len(b) > 3:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
		case n > 127:
			return inner, false
		}
		if at+n > len(b) {
			return inner, false
		}
		tag, value := b[0], b[at:at+n]
		if tag == 0x8E {
			sum = value
		} else {
			covered = append(covered, b[:at+n]...)
		}
		switch tag {
		case 0x87:
			if n < 9 || value[0] != 1 {
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
		b = b[at+n:]
	}
	text := append(ssc, pad([]byte{cmd.cla, cmd.ins, cmd.p1, cmd.p2})...)
	if len(covered) > 0 {
		text = append(text, pad(covered)...)
	}
	if !bytes.Equal(sum, retailMAC(s.km, text)) {
		return inner, false
	}
	if inner.data != nil {
		if len(inner.data)%8 != 0 {
			return inner, false
		}
		plain := bytes.TrimRight(cbc(s.ke, inner.data, false), "\x00")
		if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
			return inner, false
		}
		inner.data = plain[:len(plain)-1]
	}
	return inner, true
}

func (s *session) seal(data []byte, sw uint16, odd bool) []byte {
	ssc := s.next()
	var body []byte
	if len(data) > 0 && odd {
		body = object(0x85, cbc(s.ke, pad(data), true))
	} else if len(data) > 0 {
		body = object(0x87, append([]byte{1}, cbc(s.ke, pad(data), true)...))
	}
	body = append(body, object(0x99, status(sw))...)
	sum := retailMAC(s.km, append(ssc, pad(body)...))
	return join(body, object(0x8E, sum), status(sw))
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

func pad(b []byte) []byte {
	out := append(bytes.Clone(b), 0x80)
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	return out
}

func cbc(key, in []byte, encrypt bool) []byte {
	block, err := des.NewTripleDESCipher(join(key, key[:8]))
	if err != nil {
		panic(err) // the key's length is ours
	}
	out, iv := make([]byte, len(in)), make([]byte, 8)
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
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(first, make([]byte, 8)).CryptBlocks(out, padded)
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

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
