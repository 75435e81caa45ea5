package sealingtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/interview"
	"kuule/interview/sealing"
)

// DTLS is a fingerprint of the right form.
var DTLS = strings.TrimSuffix(strings.Repeat("AB:", 32), ":")

// CA is a certificate authority of one root.
type CA struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a root.
func NewCA(t testing.TB, name string, now time.Time) *CA {
	t.Helper()
	key := NewKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &CA{Cert: certificate(t, tmpl, tmpl, &key.PublicKey, key), key: key}
}

// Issue makes a certificate of one organisational unit for a new key, valid
// for a day from an hour before now.
func (c *CA) Issue(t testing.TB, unit string, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	return c.issue(t, leaf(unit, now))
}

// IssueCA does the same, but lets the certificate issue others.
func (c *CA) IssueCA(t testing.TB, unit string, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	tmpl := leaf(unit, now)
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	return c.issue(t, tmpl)
}

func leaf(unit string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "kuule", OrganizationalUnit: []string{unit}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(23 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func (c *CA) issue(t testing.TB, tmpl *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key := NewKey(t)
	return key, certificate(t, tmpl, c.Cert, &key.PublicKey, c.key)
}

func certificate(t testing.TB, tmpl, parent *x509.Certificate, pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// NewKey makes a P-256 key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Installation is what one agency's installation holds.
type Installation struct {
	Devices   *CA
	Recorders *CA
	Statement *ecdsa.PrivateKey // authority's, over admissions
	Hearing   interview.HearingID
	Now       time.Time
}

// New makes an installation with one hearing, at the given moment.
func New(t testing.TB, now time.Time) *Installation {
	t.Helper()
	return &Installation{
		Devices: NewCA(t, "devices", now), Recorders: NewCA(t, "recorders", now),
		Statement: NewKey(t), Hearing: interview.NewHearingID(), Now: now,
	}
}

// Trust is what everybody pinned of the installation.
func (i *Installation) Trust() *sealing.Trust {
	d, r := x509.NewCertPool(), x509.NewCertPool()
	d.AddCert(i.Devices.Cert)
	r.AddCert(i.Recorders.Cert)
	return &sealing.Trust{Devices: d, Recorders: r, Statement: i.Statement.Public()}
}

// Joined is a member with its own keys and what was signed for it.
type Joined struct {
	Identity  *sealing.Identity
	Device    interview.DeviceID
	Seats     []sealing.AdmittedSeat
	Key       *ecdsa.PrivateKey // the device's or recorder certificate's
	Cert      *x509.Certificate
	Statement string
	Admission string
}

// ID is the member's id.
func (j *Joined) ID() interview.MemberID { return j.Identity.Member() }

// Page joins a page on a fresh device with one seat per role.
func (i *Installation) Page(t testing.TB, roles ...interview.Role) *Joined {
	t.Helper()
	dev := interview.NewDeviceID()
	key, cert := i.Devices.Issue(t, dev.String(), i.Now)
	return i.Reload(t, &Joined{Device: dev, Key: key, Cert: cert, Seats: seats(t, roles)})
}

// Reload joins a new page instance on the same device and seats.
func (i *Installation) Reload(t testing.TB, old *Joined) *Joined {
	t.Helper()
	j := &Joined{Identity: Identity(t), Device: old.Device, Key: old.Key, Cert: old.Cert, Seats: old.Seats}
	p := sealing.Place{Kind: sealing.KindPage, Hearing: i.Hearing, Device: j.Device, DTLS: DTLS, Life: time.Hour}
	for _, s := range j.Seats {
		p.Seats = append(p.Seats, s.Seat)
	}
	return i.admit(t, j, p)
}

// Recorder joins a recorder with a fresh certificate.
func (i *Installation) Recorder(t testing.TB) *Joined {
	t.Helper()
	key, cert := i.Recorders.Issue(t, sealing.RecorderUnit, i.Now)
	j := &Joined{Identity: Identity(t), Key: key, Cert: cert}
	return i.admit(t, j, sealing.Place{Kind: sealing.KindRecorder, Hearing: i.Hearing, DTLS: DTLS, Life: time.Hour})
}

func (i *Installation) admit(t testing.TB, j *Joined, p sealing.Place) *Joined {
	t.Helper()
	var err error
	if j.Statement, err = j.Identity.Statement(p, i.Now, sealing.SignWith(j.Key, j.Cert)); err != nil {
		t.Fatal(err)
	}
	j.Admission = i.Admit(t, i.AdmissionOf(j, p.Kind))
	return j
}

// AdmissionOf is what authority would say of a member's statement.
func (i *Installation) AdmissionOf(j *Joined, kind string) sealing.Admission {
	s := j.Seats
	if s == nil {
		s = []sealing.AdmittedSeat{}
	}
	return sealing.Admission{
		V: 1, Kind: kind, Hearing: i.Hearing, Member: j.ID(), Statement: jws.Hash(j.Statement), Seats: s,
		Rule: "test", IssuedAt: i.Now.Unix(), ExpiresAt: i.Now.Add(time.Hour).Unix(),
	}
}

// Admit signs an admission as authority would.
func (i *Installation) Admit(t testing.TB, a sealing.Admission) string {
	t.Helper()
	text, err := jws.Sign(a, sealing.TypeAdmission, i.Statement)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Identity makes a fresh identity.
func Identity(t testing.TB) *sealing.Identity {
	t.Helper()
	id, err := sealing.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Salt is the salt of every name here.
var Salt = []byte("0123456789abcdef")

func seats(t testing.TB, roles []interview.Role) []sealing.AdmittedSeat {
	t.Helper()
	out := make([]sealing.AdmittedSeat, len(roles))
	for n, r := range roles {
		name, err := sealing.CommitName(Salt, "Name of the "+string(r))
		if err != nil {
			t.Fatal(err)
		}
		out[n] = sealing.AdmittedSeat{Seat: interview.NewSeatID(), Participant: interview.NewParticipantID(), Role: r, Name: name}
	}
	return out
}
