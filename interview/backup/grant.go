package backup

import (
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
)

// Types of the signed messages (the JWS "typ" header).
const (
	TypeHoldings = "kuule-holdings+jws"
	TypeGrant    = "kuule-backup-grant+jws"
	TypeTaken    = "kuule-backup-taken+jws"
)

// Holdings is what one recorder's disk has of a hearing that has ended, signed
// under its certificate: a bundle that leaves some of it out is not whole.
type Holdings struct {
	V          int                 `json:"v"`      // 1
	Keeper     string              `json:"keeper"` // which recorder
	Hearing    interview.HearingID `json:"hearing"`
	Bundle     string              `json:"bundle"` // jws.Hash of the manifest that it is held against
	Recordings []Held              `json:"recordings"`
	At         int64               `json:"iat"` // Unix seconds
}

// Held is one journal: its last whole block.
type Held struct {
	Recording interview.RecordingID `json:"recording"`
	Seq       int64                 `json:"seq"`
	Head      string                `json:"head"`
}

// Span is a stretch of the hearing clock: From is in it, To is not.
type Span struct {
	From interview.Micros `json:"from"`
	To   interview.Micros `json:"to"`
}

// Grant is authority's word, under the sealing key, that back-ups of a hearing
// may be taken in: a verified bundle shows spans on record that no recorder has.
// It names whose rosters and statements that bundle proved.
type Grant struct {
	V          int                 `json:"v"` // 1
	Case       interview.CaseID    `json:"case"`
	Hearing    interview.HearingID `json:"hearing"`
	Bundle     string              `json:"bundle"`     // jws.Hash of its manifest
	Spans      []Span              `json:"spans"`      // in order, apart from each other
	Rosters    []string            `json:"rosters"`    // jws.Hash of each
	Statements []string            `json:"statements"` // of pages that were admitted, jws.Hash of each
	At         int64               `json:"iat"`        // Unix seconds
}

// Bounds of a grant.
const (
	MaxSpans = 1024
	MaxKnown = 4096 // rosters, and statements
)

// Taken says what was taken in, signed by the key of the journals that hold it.
type Taken struct {
	V          int                     `json:"v"` // 1
	Hearing    interview.HearingID     `json:"hearing"`
	Grant      string                  `json:"grant"`      // jws.Hash
	Member     interview.MemberID      `json:"member"`     // who took in: its statement signs
	Recordings []interview.RecordingID `json:"recordings"` // one for each span of which anything came
	Chunks     int64                   `json:"chunks"`     // read
	Frames     int64                   `json:"frames"`     // read
	Kept       int64                   `json:"kept"`       // frames taken in
	Had        int64                   `json:"had"`        // outside the granted spans
	Unproved   int64                   `json:"unproved"`   // on no list of their sender, or not opened
	At         int64                   `json:"iat"`        // Unix seconds
}

// rulePrefix begins the rule that admits who takes in. Authority gives it for its
// own grants alone.
const rulePrefix = "backup-grant."

// RuleOf is the rule by which who takes in under a grant is admitted.
func RuleOf(grant string) string { return rulePrefix + jws.Hash(grant) }

// TakesIn reports whether a rule is one of RuleOf, and under which grant
// (jws.Hash): its member was in no room, and its journals hold what came from a
// back-up.
func TakesIn(rule string) (grant string, ok bool) { return strings.CutPrefix(rule, rulePrefix) }

// VerifyGrant reads a grant under the sealing key.
func VerifyGrant(message string, key crypto.PublicKey) (Grant, error) {
	var g Grant
	if err := jws.Verify(message, TypeGrant, key, &g); err != nil {
		return Grant{}, fmt.Errorf("grant to take in a back-up: %w", err)
	}
	return g, g.check()
}

func (g *Grant) check() error {
	if g.V != 1 || g.Case.IsZero() || g.Hearing.IsZero() {
		return fmt.Errorf("%w: grant of another version, or without case or hearing", ErrChunk)
	}
	if err := g.bounds(); err != nil {
		return err
	}
	for i, s := range g.Spans {
		if s.From >= s.To || i > 0 && s.From < g.Spans[i-1].To {
			return fmt.Errorf("%w: spans of a grant overlap or are empty", ErrChunk)
		}
	}
	return nil
}

// Within reports in which span of the grant a moment lies, or −1.
func (g *Grant) Within(t interview.Micros) int {
	for i, s := range g.Spans {
		if s.From <= t && t < s.To {
			return i
		}
	}
	return -1
}

// KeyOf is the HPKE key that a statement names: who takes in is sealed to.
func KeyOf(s sealing.Statement) (hpke.PublicKey, error) {
	point, err := base64.RawURLEncoding.Strict().DecodeString(s.HPKEKey)
	if err != nil {
		return nil, fmt.Errorf("%w: hpke_key is not base64url", ErrKey)
	}
	k, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return hpke.NewDHKEMPublicKey(k)
}

// Address seals a chunk's keys anew, for another recipient: who holds the back-up
// key hands a chunk on without having to hand on that key.
func (c *Chunk) Address(own hpke.PrivateKey, to hpke.PublicKey) error {
	for i, k := range c.Keys {
		raw, err := c.OpenKey(own, k)
		if err != nil {
			return err
		}
		c.Keys[i], err = c.SealKey(to, k, raw)
		clear(raw)
		if err != nil {
			return err
		}
	}
	return nil
}

// Readdress reads a back-up with the key that it was sealed to and writes it
// sealed to another. A torn last chunk is left out.
func Readdress(out io.Writer, in io.Reader, h interview.HearingID, own hpke.PrivateKey, to hpke.PublicKey) error {
	if _, err := out.Write(Magic()); err != nil {
		return err
	}
	n := int64(0)
	return Read(in, h, own, func(c *Chunk) error {
		if err := c.Address(own, to); err != nil {
			return err
		}
		sealed, err := c.Seal(to, n)
		if err != nil {
			return err
		}
		n++
		_, err = out.Write(sealed)
		return err
	})
}
