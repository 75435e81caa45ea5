package emrtd

import (
	"bytes"
	"context"
	"crypto/sha1" // the standard's choice for the password from the zone
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// Password opens a chip by PACE: the zone or the card access number. It is
// personal and never prints itself.
type Password struct {
	secret    []byte
	reference byte // which password this is (9303-11, 4.4.4.1)
}

func (Password) String() string       { return "redacted" }
func (Password) GoString() string     { return "redacted" }
func (Password) LogValue() slog.Value { return slog.StringValue("redacted") }
func (Password) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a password is never written")
}

// ErrCAN says that text is no card access number.
var ErrCAN = errors.New("card access number has six digits")

// MRZPassword is the password from the machine-readable zone (9303-11, 4.4.3).
func MRZPassword(m MRZ) Password {
	h := sha1.Sum([]byte(m.accessInformation())) // the standard's choice
	return Password{h[:], 1}
}

// CANPassword is the card access number that is printed on the front of a card.
func CANPassword(can string) (Password, error) {
	if len(can) != 6 {
		return Password{}, ErrCAN
	}
	for _, c := range []byte(can) {
		if c < '0' || c > '9' {
			return Password{}, ErrCAN
		}
	}
	return Password{[]byte(can), 2}, nil
}

// ErrPACERefused says that the chip did not accept the password.
var ErrPACERefused = errors.New("chip refused the password")

// paceError marks that access by PACE failed, whatever the cause. There is no
// way back to basic access control from it: who breaks PACE would choose that.
type paceError struct {
	step string
	err  error
}

func (e *paceError) Error() string { return "PACE: " + e.step + ": " + e.err.Error() }
func (e *paceError) Unwrap() error { return e.err }

// paceSession is what PACE leaves behind.
type paceSession struct {
	channel *secureChannel
	offer   paceOffer
	mapped  []byte // the chip's public key of the mapping
	proof   []byte // with chip authentication mapping: mapping key over static key
}

// paceSecrets lets a test repeat the standard's worked example.
type paceSecrets func(g *group, base projective) (keyPair, error)

func freshSecrets(g *group, base projective) (keyPair, error) { return g.newKeyPair(base) }

// openPACE runs Password Authenticated Connection Establishment with generic or
// chip authentication mapping over an elliptic curve (9303-11, 4.4).
func openPACE(ctx context.Context, card Card, offer paceOffer, ambiguous bool, pw Password, secrets paceSecrets) (*paceSession, error) {
	p := &paceRun{channel: plain{card}, offer: offer, secrets: secrets}
	var err error
	if p.group, err = newGroup(offer.curve); err != nil {
		return nil, &paceError{"curve", err}
	}
	if err := p.choose(ctx, pw, ambiguous); err != nil {
		return nil, &paceError{"choosing the protocol", err}
	}
	base, err := p.mapNonce(ctx, pw)
	if err != nil {
		return nil, &paceError{"mapping", err}
	}
	if err := p.agree(ctx, base); err != nil {
		return nil, &paceError{"key agreement", err}
	}
	proof, err := p.authenticate(ctx)
	if err != nil {
		return nil, &paceError{"authentication", err}
	}
	ch := &secureChannel{card: card}
	ch.rekey(p.suite)
	return &paceSession{ch, offer, p.chipMapping, proof}, nil
}

type paceRun struct {
	channel channel
	offer   paceOffer
	group   *group
	secrets paceSecrets

	chipMapping []byte
	own         keyPair // ephemeral, under the mapped base
	chipPublic  []byte
	suite       suite
}

func (p *paceRun) choose(ctx context.Context, pw Password, ambiguous bool) error {
	data := appendTLV(nil, 0x80, p.offer.oid)
	data = appendTLV(data, 0x83, []byte{pw.reference})
	if ambiguous {
		data = appendTLV(data, 0x84, []byte{byte(p.offer.parameter)})
	}
	r, err := p.channel.send(ctx, Command{INS: 0x22, P1: 0xC1, P2: 0xA4, Data: data})
	if err != nil {
		return err
	}
	// 63Cx only tells how many attempts are left.
	if r.Status != StatusOK && r.Status&0xFFF0 != 0x63C0 {
		return &StatusError{"MSE:SET AT", r.Status}
	}
	return nil
}

// mapNonce opens the chip's nonce s with the password and agrees on H: the new
// base is sG + H (9303-11, 4.4.3.3.1).
func (p *paceRun) mapNonce(ctx context.Context, pw Password) (projective, error) {
	var none projective
	alg := p.offer.algorithm
	sealed, err := generalAuthenticate(ctx, p.channel, 0x10, 0, nil, 0x80)
	if err != nil {
		return none, err
	}
	if len(sealed) == 0 || len(sealed) > 32 || len(sealed)%alg.block() != 0 {
		return none, fmt.Errorf("%w: nonce of %d bytes", ErrResponse, len(sealed))
	}
	nonce, err := alg.open(alg.derive(pw.secret, 3), sealed)
	if err != nil {
		return none, err
	}
	g := p.group
	base, err := g.generator()
	if err != nil {
		return none, err
	}
	own, err := p.secrets(g, base)
	if err != nil {
		return none, err
	}
	if p.chipMapping, err = generalAuthenticate(ctx, p.channel, 0x10, 0x81, own.public, 0x82); err != nil {
		return none, err
	}
	theirs, err := p.otherPoint(p.chipMapping, own)
	if err != nil {
		return none, err
	}
	s, err := g.scalar(nonce)
	if err != nil {
		return none, err
	}
	return g.add(g.multiply(s, base), g.multiply(own.secret, theirs)), nil
}

// otherPoint reads the chip's public key. One that is our own sent back would
// let whoever reflects it agree with us without any secret.
func (p *paceRun) otherPoint(b []byte, own keyPair) (projective, error) {
	if bytes.Equal(b, own.public) {
		return projective{}, fmt.Errorf("%w: own public key came back", ErrChipNotGenuine)
	}
	return p.group.decode(b)
}

func (p *paceRun) agree(ctx context.Context, base projective) error {
	g := p.group
	var err error
	if p.own, err = p.secrets(g, base); err != nil {
		return err
	}
	if p.chipPublic, err = generalAuthenticate(ctx, p.channel, 0x10, 0x83, p.own.public, 0x84); err != nil {
		return err
	}
	theirs, err := p.otherPoint(p.chipPublic, p.own)
	if err != nil {
		return err
	}
	shared, _, err := g.coordinates(g.multiply(p.own.secret, theirs))
	if err != nil {
		return err
	}
	p.suite, err = p.offer.algorithm.keys(shared)
	return err
}

// authenticate exchanges the tokens. Only after the chip's token has been
// checked is anything that it sent worth something.
func (p *paceRun) authenticate(ctx context.Context) (proof []byte, err error) {
	alg := p.offer.algorithm
	request := appendTLV(nil, 0x85, alg.token(p.suite, p.tokenInput(p.chipPublic)))
	answer, err := authenticateStep(ctx, p.channel, 0, request)
	var status *StatusError
	if errors.As(err, &status) && (status.Status&0xFF00 == statusAuthFailedFamily || status.Status == StatusSecurity) {
		return nil, fmt.Errorf("%w (status %04X)", ErrPACERefused, uint16(status.Status))
	}
	if err != nil {
		return nil, err
	}
	token, err := childTLV(answer, 0x86)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(token, alg.token(p.suite, p.tokenInput(p.own.public))) != 1 {
		return nil, fmt.Errorf("%w: wrong token", ErrChipNotGenuine)
	}
	if p.offer.mapping != mappingCAM {
		return nil, nil
	}
	sealed, err := childTLV(answer, 0x8A)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || len(sealed)%alg.block() != 0 || len(sealed) > 128 {
		return nil, fmt.Errorf("%w: chip authentication data of %d bytes", ErrResponse, len(sealed))
	}
	// Sealed with the counter before the first: all ones (9303-11, 4.4.3.5.2).
	return unpadISO(p.suite.decrypt(bytes.Repeat([]byte{0xFF}, alg.block()), sealed))
}

// tokenInput is the public key object of 9303-11, 9.4.5 for a key on the mapped
// base: object identifier and point.
func (p *paceRun) tokenInput(public []byte) []byte {
	body := appendTLV(appendTLV(nil, 0x06, p.offer.oid), 0x86, public)
	return append(appendLength([]byte{0x7F, 0x49}, len(body)), body...)
}

// generalAuthenticate sends one object and takes the one that must come back.
// Without a value the template is empty.
func generalAuthenticate(ctx context.Context, ch channel, cla, tag byte, value []byte, want uint32) ([]byte, error) {
	var request []byte
	if value != nil {
		request = appendTLV(nil, tag, value)
	}
	answer, err := authenticateStep(ctx, ch, cla, request)
	if err != nil {
		return nil, err
	}
	return childTLV(answer, want)
}

func authenticateStep(ctx context.Context, ch channel, cla byte, request []byte) ([]byte, error) {
	r, err := ch.send(ctx, Command{CLA: cla, INS: 0x86, Data: appendTLV(nil, 0x7C, request), Le: 256})
	if err != nil {
		return nil, err
	}
	if r.Status != StatusOK {
		return nil, &StatusError{"GENERAL AUTHENTICATE", r.Status}
	}
	return onlyTLV(r.Data, 0x7C)
}
