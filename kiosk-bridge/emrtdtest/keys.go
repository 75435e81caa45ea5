package emrtdtest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"slices"
)

// PACE is one way in that a chip offers.
type PACE struct {
	Curve  string
	Cipher Cipher
	CAM    bool // chip authentication mapping

	Integrated bool // offers integrated mapping, which this chip only announces
}

// Agreement is a static key for chip authentication.
type Agreement struct {
	Curve    string
	Cipher   Cipher
	Explicit bool // the key spells its curve out
	Unnamed  bool // the key alone, without a protocol: triple DES
}

// Active is a key for active authentication.
type Active string

// Kinds of keys; a curve's name is one, too.
const (
	ActiveRSA     Active = "RSA"       // 2048 bits with SHA-256
	ActiveRSASHA1 Active = "RSA SHA-1" // the same with the old trailer
)

// Chip is what a chip can do beyond Basic Access Control.
type Chip struct {
	Format      Format // of the document
	PACE        []PACE
	NoBAC       bool
	CAN         string // card access number
	Agreement   *Agreement
	Active      Active
	Details     bool // DG7, DG11 and DG12
	Portrait    int  // bytes more in the portrait than it needs
	LongAnswers int  // announced in EF.ATR/INFO
	Lengths     Lengths
}

// Lengths is what comes of a command of extended length.
type Lengths int

// What chips, and readers before them, do with extended length.
const (
	TakesLong        Lengths = iota
	RefusesBare              // the chip says 6700 in the clear, and the session is over
	RefusesProtected         // the chip says 6700 within the session
	SilentLong               // the reader cannot carry it: nothing comes back
	CutsLong                 // the chip gives no more than a short answer would hold
)

var oidBSI = asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 2, 2}

func bsi(arcs ...int) asn1.ObjectIdentifier { return append(slices.Clone(oidBSI), arcs...) }

func (p PACE) oid() asn1.ObjectIdentifier {
	switch {
	case p.CAM:
		return bsi(4, 6, int(p.Cipher))
	case p.Integrated:
		return bsi(4, 4, int(p.Cipher))
	}
	return bsi(4, 2, int(p.Cipher))
}

// secrets are what a chip keeps to itself, and what a copy does not have.
type secrets struct {
	zone, can []byte
	offers    []PACE
	agreement *Agreement
	static    *big.Int // of the agreement
	mapping   *big.Int // of chip authentication mapping
	active    activeKey
}

type activeKey struct {
	rsa  *rsa.PrivateKey
	sha1 bool

	curve *weierstrass
	d     *big.Int
}

// answer signs a challenge (9303-11, 6.1).
func (k activeKey) answer(challenge []byte) ([]byte, uint16) {
	switch {
	case len(challenge) != 8:
		return nil, 0x6700
	case k.rsa != nil:
		return recoverable(k.rsa, k.sha1, challenge)
	case k.curve != nil:
		h := sha256.Sum256(challenge)
		sig, err := k.curve.sign(k.d, h[:])
		if err != nil {
			return nil, 0x6F00
		}
		return sig, 0x9000
	}
	return nil, 0x6D00
}

// recoverable is digital signature scheme 1 of ISO/IEC 9796-2.
func recoverable(k *rsa.PrivateKey, old bool, challenge []byte) ([]byte, uint16) {
	trailer, size := []byte{0x34, 0xCC}, sha256.Size
	if old {
		trailer, size = []byte{0xBC}, sha1.Size
	}
	own := make([]byte, k.Size()-1-size-len(trailer))
	if _, err := rand.Read(own); err != nil {
		return nil, 0x6F00
	}
	var hash []byte
	if old {
		h := sha1.Sum(join(own, challenge))
		hash = h[:]
	} else {
		h := sha256.Sum256(join(own, challenge))
		hash = h[:]
	}
	m := new(big.Int).SetBytes(join([]byte{0x6A}, own, hash, trailer))
	return m.Exp(m, k.D, k.N).FillBytes(make([]byte, k.Size())), 0x9000
}

// paceRun is the chip's side of PACE between two commands (9303-11, 4.4).
type paceRun struct {
	offer    PACE
	curve    *weierstrass
	password []byte
	step     int

	nonce   []byte
	mapping *big.Int
	base    point
	public  []byte // the terminal's ephemeral key
	own     []byte // the chip's
	session *session
}

func (c *Card) choosePACE(data []byte) uint16 {
	c.handed = nil
	o := objects(data)
	run := &paceRun{}
	for _, offer := range c.secrets.offers {
		curve, err := curveByName(offer.Curve)
		if err != nil {
			return 0x6F00
		}
		if want, err := asn1.Marshal(offer.oid()); err != nil || !bytes.Equal(want[2:], o[0x80]) {
			continue
		}
		if number, given := o[0x84]; given && !bytes.Equal(number, []byte{byte(curve.number)}) {
			continue
		}
		run.offer, run.curve = offer, curve
	}
	switch {
	case run.curve == nil:
		return 0x6A80
	case bytes.Equal(o[0x83], []byte{1}):
		run.password = c.secrets.zone
	case bytes.Equal(o[0x83], []byte{2}) && c.secrets.can != nil:
		run.password = c.secrets.can
	default:
		return 0x6A88
	}
	c.handed = run
	return 0x9000
}

func (c *Card) stepPACE(cmd command) ([]byte, uint16) {
	run := c.handed
	if run == nil || (cmd.cla == 0) != (run.step == 3) {
		return nil, 0x6985
	}
	in := objects(objects(cmd.data)[0x7C])
	run.step++
	var tag byte
	var value []byte
	var ok bool
	switch run.step {
	case 1:
		tag, value, ok = 0x80, run.seal(), true
	case 2:
		tag = 0x82
		value, ok = run.mapTo(in[0x81], c.secrets.mapping)
	case 3:
		tag = 0x84
		value, ok = run.agree(in[0x83])
	case 4:
		c.handed = nil
		return c.closePACE(run, in[0x85])
	}
	if !ok {
		c.handed = nil
		return nil, 0x6A80
	}
	return object(0x7C, object(uint16(tag), value)), 0x9000
}

func (r *paceRun) seal() []byte {
	r.nonce = make([]byte, 16)
	_, _ = rand.Read(r.nonce) // never fails
	key := r.offer.Cipher.derive(r.password, 3)
	if r.offer.Cipher == TDES {
		return cbc(key, r.nonce, true)
	}
	return aesCBC(key, make([]byte, 16), r.nonce, true)
}

func (r *paceRun) mapTo(public []byte, static *big.Int) ([]byte, bool) {
	theirs, ok := r.curve.read(public)
	if !ok {
		return nil, false
	}
	var err error
	if r.mapping, err = r.curve.secret(); err != nil {
		return nil, false
	}
	s := new(big.Int).SetBytes(r.nonce)
	r.base = r.curve.add(r.curve.times(s.Mod(s, r.curve.n), r.curve.base), r.curve.times(r.mapping, theirs))
	own := r.curve.write(r.curve.times(r.mapping, r.curve.base))
	if r.offer.CAM { // what is sent later: mapping key over static key
		r.mapping = new(big.Int).Mul(r.mapping, new(big.Int).ModInverse(static, r.curve.n))
		r.mapping.Mod(r.mapping, r.curve.n)
	}
	return own, r.base.x != nil
}

func (r *paceRun) agree(public []byte) ([]byte, bool) {
	theirs, ok := r.curve.read(public)
	if !ok {
		return nil, false
	}
	secret, err := r.curve.secret()
	if err != nil {
		return nil, false
	}
	shared := r.curve.times(secret, theirs)
	if shared.x == nil {
		return nil, false
	}
	r.public, r.own = public, r.curve.write(r.curve.times(secret, r.base))
	r.session = newSession(r.offer.Cipher, shared.x.FillBytes(make([]byte, r.curve.size())))
	return r.own, true
}

func (r *paceRun) tokenOf(public []byte) []byte {
	var e encoder
	return r.session.token(object(0x7F49, join(e.der(r.offer.oid()), object(0x86, public))))
}

func (c *Card) closePACE(r *paceRun, token []byte) ([]byte, uint16) {
	if !bytes.Equal(token, r.tokenOf(r.own)) && !c.liar {
		return nil, 0x6300
	}
	out := object(0x86, r.tokenOf(r.public))
	if r.offer.CAM {
		size := (r.curve.n.BitLen() + 7) / 8
		proof := pad(r.mapping.FillBytes(make([]byte, size)), 16)
		out = append(out, object(0x8A, r.session.crypt(bytes.Repeat([]byte{0xFF}, 16), proof, true))...)
	}
	c.session, c.current = r.session, nil
	return object(0x7C, out), 0x9000
}

// chooseKey is the first command of chip authentication (9303-11, 6.2.4): with
// triple DES also the last.
func (c *Card) chooseKey(cmd command) uint16 {
	o := objects(cmd.data)
	a := c.secrets.agreement
	switch {
	case a == nil || cmd.p1 != 0x41:
		return 0x6A80
	case cmd.p2 == 0xA6 && a.Cipher == TDES:
		_, sw := c.agreeKey(o[0x91])
		return sw
	case cmd.p2 == 0xA4 && a.Cipher != TDES:
		if want, err := asn1.Marshal(bsi(3, 2, int(a.Cipher))); err != nil || !bytes.Equal(want[2:], o[0x80]) {
			return 0x6A80
		}
		return 0x9000
	}
	return 0x6A86
}

func (c *Card) agreeKey(public []byte) ([]byte, uint16) {
	a := c.secrets.agreement
	if a == nil {
		return nil, 0x6985
	}
	curve, err := curveByName(a.Curve)
	if err != nil {
		return nil, 0x6F00
	}
	theirs, ok := curve.read(public)
	if !ok {
		return nil, 0x6A80
	}
	shared := curve.times(c.secrets.static, theirs)
	if shared.x == nil {
		return nil, 0x6A80
	}
	c.agreed = newSession(a.Cipher, shared.x.FillBytes(make([]byte, curve.size())))
	return object(0x7C, nil), 0x9000
}
