package sealing

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
)

// Identity is a member's own page keys: an HPKE key and a signing key, new for
// every page instance and never written anywhere. It is safe for concurrent use.
type Identity struct {
	member interview.MemberID
	hpke   hpke.PrivateKey
	sign   *ecdsa.PrivateKey
}

// NewIdentity makes a member with fresh keys.
func NewIdentity() (*Identity, error) {
	sign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make page signing key: %w", err)
	}
	wrap, err := hpke.DHKEM(ecdh.P256()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make page HPKE key: %w", err)
	}
	return &Identity{member: interview.NewMemberID(), hpke: wrap, sign: sign}, nil
}

// Member is the member's id.
func (i *Identity) Member() interview.MemberID { return i.member }

// Signer signs with the page key: a recorder signs its journal with it.
func (i *Identity) Signer() crypto.Signer { return i.sign }

// SignStatement signs a statement with a device's or recorder's key and
// returns the compact JWS: on a page's device the agent does it.
type SignStatement func(Statement) (string, error)

// SignWith makes a SignStatement of a key at hand and its certificate chain,
// leaf first.
func SignWith(key crypto.Signer, chain ...*x509.Certificate) SignStatement {
	return func(s Statement) (string, error) { return jws.Sign(s, TypeStatement, key, chain...) }
}

// Place is where an identity makes its statement: what is said beside its keys.
type Place struct {
	Kind    string
	Hearing interview.HearingID
	Device  interview.DeviceID // none for a recorder
	Seats   []interview.SeatID // none for a recorder
	DTLS    string             // fingerprint of the leg's certificate, AA:BB:…
	Life    time.Duration      // at most MaxStatementHours
}

// Statement has the identity's statement signed.
func (i *Identity) Statement(p Place, now time.Time, sign SignStatement) (string, error) {
	if p.Life <= 0 || p.Life > MaxStatementHours*time.Hour {
		return "", fmt.Errorf("statement: life must be more than nothing and at most %d hours", MaxStatementHours)
	}
	point, err := i.sign.PublicKey.Bytes()
	if err != nil {
		return "", fmt.Errorf("statement: %w", err)
	}
	seats := p.Seats
	if seats == nil {
		seats = []interview.SeatID{}
	}
	message, err := sign(Statement{
		V: 1, Kind: p.Kind, Hearing: p.Hearing, Member: i.member, Device: p.Device, Seats: seats,
		HPKEKey: base64.RawURLEncoding.EncodeToString(i.hpke.PublicKey().Bytes()),
		SignKey: base64.RawURLEncoding.EncodeToString(point),
		DTLS:    p.DTLS, IssuedAt: now.Unix(), ExpiresAt: now.Add(p.Life).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("statement: %w", err)
	}
	return message, nil
}

// is reports whether the verified member is this very identity.
func (i *Identity) is(m *Member) bool {
	return m.Statement.Member == i.member && m.sign.Equal(&i.sign.PublicKey) &&
		string(m.hpke.Bytes()) == string(i.hpke.PublicKey().Bytes())
}

const redacted = "page keys (redacted)"

// String and its siblings keep keys out of logs and texts.
func (i *Identity) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (i *Identity) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (i *Identity) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses: page keys never leave the page.
func (i *Identity) MarshalJSON() ([]byte, error) { return nil, errors.New("page keys are not written") }
