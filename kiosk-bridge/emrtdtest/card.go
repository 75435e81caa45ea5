package emrtdtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" // the chip speaks what chips speak
	"encoding/binary"
	"errors"
	"math/big"
	"sync"
	"time"
)

const (
	fidCOM = 0x011E
	fidSOD = 0x011D
	fidDG1 = 0x0101
	fidDG2 = 0x0102

	fidCardAccess   = 0x011C
	fidCardSecurity = 0x011D // in the card itself, where SOD's number is free
	fidATR          = 0x2F01
)

// ErrSilent is what a reader gets of a chip that does not answer.
var ErrSilent = errors.New("test chip is silent")

// Card is a chip with Basic Access Control or PACE, secure messaging, and the
// proofs that it has keys for. It is safe for concurrent use, one command at a
// time.
type Card struct {
	mu     sync.Mutex
	ke, km []byte
	files  map[uint16][]byte // of the travel document's application
	master map[uint16][]byte // of the card itself

	secrets  secrets
	selected bool // the application
	handed   *paceRun
	agreed   *session // what the session becomes after this answer

	challenge []byte
	session   *session
	current   []byte
	pending   []byte // of an answer that is longer than was asked for
	count     int

	dead, noBAC, corrupt bool
	lengths              Lengths
	pause                time.Duration // before each answer
	silentAfter          int
	silentOn             byte   // an instruction within secure messaging
	liar                 bool   // says yes to any password
	afterwards           []byte // the zone after chip authentication
	proof                []byte // the last signature of active authentication
	remembers            bool   // gives that again
}

func newCard(info string, files, master map[uint16][]byte, s secrets) *Card {
	h := sha1.Sum([]byte(info))
	s.zone = h[:]
	return &Card{ke: derive(h[:16], 1), km: derive(h[:16], 2), files: files, master: master, secrets: s}
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
	c.selected, c.challenge, c.session, c.current, c.handed = false, nil, nil, nil, nil
}

// RememberProof has the chip answer every challenge of active authentication as
// it answered the last one: a copy that was recorded beside the original.
func (c *Card) RememberProof() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remembers = true
}

// Transmit answers one command APDU.
func (c *Card) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	time.Sleep(c.pause)
	if c.dead || (c.silentAfter > 0 && c.count > c.silentAfter) {
		return nil, ErrSilent
	}
	cmd, ok := parse(apdu)
	if !ok {
		return status(0x6700), nil
	}
	long := len(apdu) > 5 && apdu[4] == 0
	if long {
		switch c.lengths {
		case SilentLong:
			return nil, ErrSilent
		case RefusesBare:
			c.session = nil
			return status(0x6700), nil
		}
	}
	if cmd.ins == 0xC0 {
		return c.inParts(c.pending), nil
	}
	if cmd.cla&0x0C == 0x0C {
		if c.silentOn != 0 && cmd.ins == c.silentOn {
			return nil, ErrSilent
		}
		out := c.protected(cmd)
		if !long {
			out = c.inParts(out)
		}
		return out, nil
	}
	if c.session != nil { // a command in the clear ends the session (9303-11, 9.8.2)
		c.session = nil
	}
	return c.clear(cmd), nil
}

// inParts gives as much as a short answer holds, and says how much is left
// (ISO/IEC 7816-4, 5.3.4).
func (c *Card) inParts(out []byte) []byte {
	const most = 256
	c.pending = nil
	if len(out) < 2 {
		return status(0x6985)
	}
	if len(out)-2 <= most {
		return out
	}
	c.pending = bytes.Clone(out[most:])
	return append(bytes.Clone(out[:most]), 0x61, byte(min(len(c.pending)-2, most)))
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
		if !isApplication(cmd.data) {
			return status(0x6A82)
		}
		if c.noBAC {
			return status(0x6982)
		}
		c.selected = true
		return status(0x9000)
	case cmd.ins == 0xA4 && cmd.p1 == 0 && bytes.Equal(cmd.data, []byte{0x3F, 0}): // the card itself
		c.selected, c.current = false, nil
		return status(0x9000)
	case !c.selected && cmd.ins == 0xA4 && cmd.p1 == 2 && len(cmd.data) == 2:
		f, ok := c.master[binary.BigEndian.Uint16(cmd.data)]
		if !ok {
			return status(0x6A82)
		}
		if binary.BigEndian.Uint16(cmd.data) == fidCardSecurity {
			return status(0x6982)
		}
		c.current = f
		return status(0x9000)
	case !c.selected && cmd.ins == 0xB0:
		data, sw := c.readAt(int(cmd.p1&0x7F)<<8|int(cmd.p2), cmd.le)
		return append(bytes.Clone(data), status(sw)...)
	case !c.selected && cmd.ins == 0x22 && cmd.p1 == 0xC1 && cmd.p2 == 0xA4:
		return status(c.choosePACE(cmd.data))
	case !c.selected && cmd.ins == 0x86:
		data, sw := c.stepPACE(cmd)
		return append(bytes.Clone(data), status(sw)...)
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

func isApplication(name []byte) bool {
	return bytes.Equal(name, []byte{0xA0, 0, 0, 2, 0x47, 0x10, 1})
}

// authenticate is the chip's half of 9303-11, 4.3.1.
func (c *Card) authenticate(cmd command) []byte {
	rnd := c.challenge
	c.challenge = nil
	if rnd == nil || len(cmd.data) != 40 {
		return status(0x6985)
	}
	sealed, sum := cmd.data[:32], cmd.data[32:]
	if !bytes.Equal(sum, retailMAC(c.km, pad(sealed, 8))) {
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
	c.session = newSession(TDES, seed)
	c.session.counter = new(big.Int).SetBytes(join(rnd[4:], rndIFD[4:]))
	c.current = nil
	return join(answer, retailMAC(c.km, pad(answer, 8)), status(0x9000))
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
	if c.agreed != nil {
		c.session, c.agreed = c.agreed, nil
		if c.afterwards != nil {
			c.files[fidDG1] = c.afterwards
		}
	}
	return out
}

func (c *Card) execute(cmd command) ([]byte, uint16) {
	switch cmd.ins {
	case 0x22:
		return nil, c.chooseKey(cmd)
	case 0x86:
		return c.agreeKey(objects(objects(cmd.data)[0x7C])[0x80])
	case 0x88:
		if c.remembers {
			return c.proof, 0x9000
		}
		var sw uint16
		c.proof, sw = c.secrets.active.answer(cmd.data)
		return c.proof, sw
	case 0xA4:
		if cmd.p1 == 4 {
			if !isApplication(cmd.data) {
				return nil, 0x6A82
			}
			c.selected, c.current = true, nil
			return nil, 0x9000
		}
		if len(cmd.data) != 2 {
			return nil, 0x6700
		}
		files := c.files
		if !c.selected {
			files = c.master
		}
		f, ok := files[binary.BigEndian.Uint16(cmd.data)]
		if !ok {
			return nil, 0x6A82
		}
		c.current = f
		return nil, 0x9000
	case 0xB0:
		if cmd.le > 256 {
			switch c.lengths {
			case RefusesProtected:
				return nil, 0x6700
			case CutsLong:
				cmd.le = 0xDF
			}
		}
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
