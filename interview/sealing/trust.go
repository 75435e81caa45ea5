package sealing

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
)

// RecorderUnit is the organisational unit of a recorder's certificate. A
// device's certificate carries the device's id there.
const RecorderUnit = "recorder"

// Skew is how far a clock may be ahead of ours.
const Skew = time.Minute

// Trust is what a member must hold, out of band, to check the others.
type Trust struct {
	Devices   *x509.CertPool   // roots of device certificates
	Recorders *x509.CertPool   // roots of recorder certificates
	Statement crypto.PublicKey // authority's key over admissions
}

// NewTrust takes from the installation file what sealing needs.
func NewTrust(f *trust.File) (*Trust, error) {
	devices, err := trust.Pool(f.DeviceRoots)
	if err != nil {
		return nil, fmt.Errorf("device roots: %w", err)
	}
	recorders, err := trust.Pool(f.RecorderRoots)
	if err != nil {
		return nil, fmt.Errorf("recorder roots: %w", err)
	}
	key, err := f.Statement()
	if err != nil {
		return nil, fmt.Errorf("statement key: %w", err)
	}
	return &Trust{Devices: devices, Recorders: recorders, Statement: key}, nil
}

// Member is a page instance or recorder whose statement and admission were
// both verified. It is never changed after.
type Member struct {
	Statement     Statement
	Admission     Admission
	StatementHash string // jws.Hash
	AdmissionHash string // jws.Hash

	sign *ecdsa.PublicKey
	hpke hpke.PublicKey
}

// SignKey is the page key that the statement names: it verifies rosters,
// wraps, origin lists, and a recorder's heartbeats and journal.
func (m *Member) SignKey() *ecdsa.PublicKey { return m.sign }

// Recorder reports whether the member is a recorder.
func (m *Member) Recorder() bool { return m.Statement.Kind == KindRecorder }

// HasRole reports whether somebody in that role sits at the member's device.
func (m *Member) HasRole(r interview.Role) bool {
	return slices.ContainsFunc(m.Admission.Seats, func(s AdmittedSeat) bool { return s.Role == r })
}

// VerifyStatement checks a statement at the given moment: its chain to the
// roots of its kind, that the certificate is of that very device (or of a
// recorder, which can be nothing else), its times and its keys. It returns the
// device's certificate. A statement alone admits nobody.
func (t *Trust) VerifyStatement(message string, now time.Time) (Statement, *x509.Certificate, error) {
	var s Statement
	// Only the kind is used of what is not verified yet, to pick the roots.
	if err := jws.Peek(message, TypeStatement, &s); err != nil {
		return Statement{}, nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	roots := t.Devices
	if s.Kind == KindRecorder {
		roots = t.Recorders
	}
	s = Statement{}
	leaf, err := jws.VerifyChain(message, TypeStatement, roots, now, &s)
	if err != nil {
		return Statement{}, nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if err := s.check(leaf); err != nil {
		return Statement{}, nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if err := within(s.IssuedAt, s.ExpiresAt, now); err != nil {
		return Statement{}, nil, fmt.Errorf("statement of %s: %w", s.Member, err)
	}
	return s, leaf, nil
}

var fingerprint = regexp.MustCompile(`^[0-9A-F]{2}(:[0-9A-F]{2}){31}$`)

func (s *Statement) check(leaf *x509.Certificate) error {
	unit := leaf.Subject.OrganizationalUnit
	switch {
	case s.V != 1:
		return fmt.Errorf("version %d is not known", s.V)
	case leaf.IsCA || len(unit) != 1:
		return fmt.Errorf("certificate is not of one device or recorder")
	case s.Hearing.IsZero() || s.Member.IsZero():
		return fmt.Errorf("hearing or member is missing")
	case len(s.Seats) > MaxMembers || repeats(s.Seats):
		return fmt.Errorf("seats repeat or are too many")
	case !fingerprint.MatchString(s.DTLS):
		return fmt.Errorf("dtls is not a SHA-256 fingerprint")
	case s.ExpiresAt-s.IssuedAt > MaxStatementHours*3600:
		return fmt.Errorf("life is longer than %d hours", MaxStatementHours)
	}
	switch s.Kind {
	case KindPage:
		if s.Device.IsZero() || unit[0] != s.Device.String() || len(s.Seats) == 0 {
			return fmt.Errorf("certificate is not of the device named, or no seat is")
		}
	case KindRecorder:
		if unit[0] != RecorderUnit || !s.Device.IsZero() || len(s.Seats) != 0 {
			return fmt.Errorf("certificate is not a recorder's, or a recorder claims a device or seat")
		}
	default:
		return fmt.Errorf("kind %q is not known", s.Kind)
	}
	if _, err := signKey(s.SignKey); err != nil {
		return err
	}
	_, err := hpkeKey(s.HPKEKey)
	return err
}

// VerifyMember checks a statement and the admission that countersigns it, at
// the given moment.
func (t *Trust) VerifyMember(statement, admission string, now time.Time) (*Member, error) {
	s, _, err := t.VerifyStatement(statement, now)
	if err != nil {
		return nil, err
	}
	m := &Member{Statement: s, StatementHash: jws.Hash(statement), AdmissionHash: jws.Hash(admission)}
	if err := jws.Verify(admission, TypeAdmission, t.Statement, &m.Admission); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAdmission, err)
	}
	if err := m.Admission.check(&s, m.StatementHash); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAdmission, err)
	}
	if err := within(m.Admission.IssuedAt, m.Admission.ExpiresAt, now); err != nil {
		return nil, fmt.Errorf("admission of %s: %w", s.Member, err)
	}
	if m.sign, err = signKey(s.SignKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if m.hpke, err = hpkeKey(s.HPKEKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return m, nil
}

func (a *Admission) check(s *Statement, hash string) error {
	switch {
	case a.V != 1:
		return fmt.Errorf("version %d is not known", a.V)
	case a.Statement != hash:
		return fmt.Errorf("it is for another statement")
	case a.Hearing != s.Hearing || a.Member != s.Member || a.Kind != s.Kind:
		return fmt.Errorf("hearing, member or kind differs from the statement")
	case a.Rule == "":
		return fmt.Errorf("no rule is named")
	case s.Kind == KindPage && len(a.Seats) == 0, s.Kind == KindRecorder && len(a.Seats) != 0:
		return fmt.Errorf("a page needs a seat, a recorder has none")
	}
	seen := make([]interview.SeatID, 0, len(a.Seats))
	for _, seat := range a.Seats {
		if !slices.Contains(s.Seats, seat.Seat) || !seat.Role.InRoom() || seat.Participant.IsZero() {
			return fmt.Errorf("seat %s is not in the statement, or its role holds no seat", seat.Seat)
		}
		seen = append(seen, seat.Seat)
	}
	if repeats(seen) {
		return fmt.Errorf("a seat is named twice")
	}
	return nil
}

// Bounds of a name commitment's salt in bytes.
const (
	MinSaltBytes = 16
	MaxSaltBytes = 64
)

// CommitName gives the commitment to a name that stands in an admission:
// base64url SHA-256(salt || 0x00 || name). The salt is 16 to 64 random bytes;
// a name holds no NUL, so that salt and name cannot be cut elsewhere.
func CommitName(salt []byte, name string) (string, error) {
	if len(salt) < MinSaltBytes || len(salt) > MaxSaltBytes || name == "" || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("salt must have %d to %d bytes, and the name be without NUL", MinSaltBytes, MaxSaltBytes)
	}
	h := sha256.New()
	h.Write(salt)
	h.Write([]byte{0})
	h.Write([]byte(name))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

// NameIs reports whether the admission commits to this name under this salt (base64url).
func (s AdmittedSeat) NameIs(salt, name string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(salt)
	if err != nil {
		return false
	}
	want, err := CommitName(b, name)
	return err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(s.Name)) == 1
}

func within(issued, expires int64, now time.Time) error {
	t := now.Unix()
	if issued > t+int64(Skew/time.Second) || expires <= t || expires <= issued {
		return ErrExpired
	}
	return nil
}

func signKey(text string) (*ecdsa.PublicKey, error) {
	b, err := point(text)
	if err != nil {
		return nil, fmt.Errorf("sign_key: %w", err)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
	if err != nil {
		return nil, fmt.Errorf("sign_key: %w", err)
	}
	return k, nil
}

func hpkeKey(text string) (hpke.PublicKey, error) {
	b, err := point(text)
	if err != nil {
		return nil, fmt.Errorf("hpke_key: %w", err)
	}
	k, err := ecdh.P256().NewPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("hpke_key: %w", err)
	}
	return hpke.NewDHKEMPublicKey(k)
}

func point(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 65 {
		return nil, fmt.Errorf("not an uncompressed P-256 point in base64url")
	}
	return b, nil
}

func repeats[T comparable](list []T) bool {
	seen := make(map[T]bool, len(list))
	for _, v := range list {
		if seen[v] {
			return true
		}
		seen[v] = true
	}
	return false
}
