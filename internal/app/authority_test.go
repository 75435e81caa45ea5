package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuule/attestation"
	"kuule/attestation/wire"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/agreement"
	"kuule/interview/sealing"
	"kuule/interview/ticket"
)

// vouched is everything that must hold for authority to countersign a page, in
// a form that a test can spoil piece by piece.
type vouched struct {
	t         *testing.T
	a         *authority
	office    *ecdsa.PrivateKey
	bridge    *ecdsa.PrivateKey
	root      *x509.Certificate
	rootKey   *ecdsa.PrivateKey
	device    wire.Device
	deviceKey *ecdsa.PrivateKey
	cert      *x509.Certificate
	hearing   interview.HearingID
	place     sealing.Place
	doc       agreement.Document
	who       signin.Identity
	claims    ticket.Claims
	facts     admitFacts

	deviceErr, freshErr, tokenErr error
}

func (v *vouched) Device(context.Context, []byte) (wire.Device, error) { return v.device, v.deviceErr }

func (v *vouched) Fresh(interview.DeviceID, time.Time, time.Duration) (attestation.Verdict, error) {
	return attestation.Verdict{}, v.freshErr
}

func (v *vouched) Verify(context.Context, signin.Proof, string) (signin.Identity, error) {
	return v.who, v.tokenErr
}

func testKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (v *vouched) certificate(device interview.DeviceID, id string, key *ecdsa.PrivateKey) *x509.Certificate {
	v.t.Helper()
	san, err := wire.SubjectAltName(id, nil, false)
	if err != nil {
		v.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(20 * time.Hour),
		Subject:  pkix.Name{CommonName: id, Organization: []string{v.doc.ID.String()}, OrganizationalUnit: []string{device.String()}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: []pkix.Extension{san},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, v.root, key.Public(), v.rootKey)
	if err != nil {
		v.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

// newVouched makes counsel at an office of their own and, where beside is set,
// the applicant at the same device.
func newVouched(t *testing.T) *vouched {
	t.Helper()
	v := &vouched{t: t, office: testKey(t), bridge: testKey(t), rootKey: testKey(t), deviceKey: testKey(t), hearing: interview.NewHearingID()}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "devices"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, v.rootKey.Public(), v.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if v.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(v.root)
	premises := interview.NewPremisesID()
	deviceID := interview.NewDeviceID()
	identifier := "urn:ek:sha256:" + base64.StdEncoding.EncodeToString(make([]byte, 32))
	v.doc = agreement.Document{
		V: 1, ID: interview.NewAgreementID(), Revision: 1,
		Organisation: agreement.Organisation{Name: "Law Office", Number: "1", Kind: "law-firm"},
		Criteria:     agreement.Criteria{Set: "Katakri", Version: "2020", Level: "TL IV"},
		Devices:      []agreement.Device{{ID: deviceID, PermanentIdentifier: identifier, Serial: "1", Model: "m", Label: "desk", Owner: "o", Premises: []interview.PremisesID{premises}}},
		Premises:     []agreement.Premises{{ID: premises, Label: "office", Address: "a", Room: "1"}},
		Persons:      []agreement.Person{{Subject: "kaisa", Role: interview.RoleCounsel}},
		ValidFrom:    time.Now().Add(-time.Hour).Unix(), ValidUntil: time.Now().Add(time.Hour).Unix(),
	}
	v.device = wire.Device{DeviceID: deviceID, AgreementID: v.doc.ID, PermanentIdentifier: identifier}
	v.cert = v.certificate(deviceID, identifier, v.deviceKey)
	v.who = signin.Identity{Subject: "kaisa", Name: "Kaisa Laki", Role: string(interview.RoleCounsel)}
	seat := admitSeat{Seat: interview.NewSeatID(), Participant: interview.NewParticipantID(), Role: interview.RoleCounsel, Name: "Kaisa Laki", Salt: make([]byte, sealing.MinSaltBytes)}
	v.place = sealing.Place{Kind: sealing.KindPage, Hearing: v.hearing, Device: deviceID, Seats: []interview.SeatID{seat.Seat}, DTLS: strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), Life: time.Hour}
	v.facts = admitFacts{Rule: "interviewer-admits-by-name", Proof: signin.Proof{IDToken: "token"}, Seats: []admitSeat{seat}}
	shelf, err := openShelf(t.TempDir(), v.office.Public())
	if err != nil {
		t.Fatal(err)
	}
	visits, err := openVisits(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = visits.close() })
	v.a = &authority{
		devices: v, people: v, shelf: shelf, visits: visits, statement: testKey(t), sealing: testKey(t), bridge: v.bridge.Public(), deviceRoot: roots,
		trust: &sealing.Trust{Devices: roots, Recorders: x509.NewCertPool()}, viewings: map[string]*approved{},
	}
	return v
}

// withApplicant seats the applicant, who came through the kiosk, at the device.
func (v *vouched) withApplicant() {
	seat := admitSeat{Seat: interview.NewSeatID(), Participant: interview.NewParticipantID(), Role: interview.RoleApplicant, Name: "Amal", Salt: make([]byte, sealing.MinSaltBytes)}
	v.facts.Seats = append(v.facts.Seats, seat)
	v.place.Seats = append(v.place.Seats, seat.Seat)
	now := time.Now()
	v.claims = ticket.Claims{
		V: 1, ID: interview.NewTicketID(), Hearing: v.hearing, Purpose: interview.PurposeHearing, Participant: seat.Participant,
		Device: v.device.DeviceID, Kiosk: interview.NewDeviceID(), Visit: interview.NewVisitID(), Assurance: ticket.AssuranceSubstantial,
		NotBefore: now.Unix() - 60, Expires: now.Unix() + 540, Until: now.Unix() + 3600,
	}
}

// ticket signs the claims with all that a ticket stands on.
func (v *vouched) ticket() ticket.Proof {
	v.t.Helper()
	c := v.claims
	nonce := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	evidence, err := canon.Marshal(ticket.Evidence{
		V: 1, Visit: c.Visit, Nonce: nonce, Kiosk: c.Kiosk, Hearing: c.Hearing, Participant: c.Participant, APDUSHA256: "a", ChecksSHA256: "c",
		TrustList: "t", Assurance: c.Assurance, Started: c.NotBefore - 60, Ended: c.NotBefore,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	c.EvidenceSHA256 = ticket.Hash(evidence)
	kioskKey := testKey(v.t)
	kioskCert := v.certificate(c.Kiosk, v.device.PermanentIdentifier, kioskKey)
	visit, err := jws.Sign(ticket.Visit{V: 1, Visit: c.Visit, Nonce: nonce, EvidenceSHA256: c.EvidenceSHA256, Hearing: c.Hearing, Participant: c.Participant}, ticket.TypVisit, kioskKey, kioskCert)
	if err != nil {
		v.t.Fatal(err)
	}
	signed, err := jws.Sign(c, ticket.TypTicket, v.bridge)
	if err != nil {
		v.t.Fatal(err)
	}
	return ticket.Proof{Ticket: signed, Visit: visit, Evidence: string(evidence)}
}

// ask signs what the world says now and asks for a countersignature.
func (v *vouched) ask() (string, error) {
	v.t.Helper()
	signed, err := agreement.Sign(&v.doc, v.office)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.a.shelf.put(signed, v.a.shelf.off[v.doc.ID]); err != nil {
		v.t.Fatal(err)
	}
	id, err := sealing.NewIdentity()
	if err != nil {
		v.t.Fatal(err)
	}
	if v.facts.Statement, err = id.Statement(v.place, time.Now(), sealing.SignWith(v.deviceKey, v.cert)); err != nil {
		v.t.Fatal(err)
	}
	if v.claims.V != 0 && v.facts.Tickets == nil {
		v.facts.Tickets = []ticket.Proof{v.ticket()}
	}
	return v.a.admit(v.t.Context(), v.facts)
}

// Promises 2, 7: a captured door cannot admit whom it likes. Each
// single fact that does not carry its own proof is refused.
func TestAuthorityCountersignsOnlyWhatProvesItself(t *testing.T) {
	t.Parallel()
	t.Run("counsel at the agreed office", func(t *testing.T) {
		t.Parallel()
		v := newVouched(t)
		text, err := v.ask()
		if err != nil {
			t.Fatal(err)
		}
		var a sealing.Admission
		if err := jws.Verify(text, sealing.TypeAdmission, v.a.statement.Public(), &a); err != nil || a.Seats[0].Role != interview.RoleCounsel || !a.Seats[0].NameIs(base64.RawURLEncoding.EncodeToString(make([]byte, sealing.MinSaltBytes)), "Kaisa Laki") {
			t.Fatalf("admission: %+v, %v", a, err)
		}
	})
	t.Run("applicant beside counsel", func(t *testing.T) {
		t.Parallel()
		v := newVouched(t)
		v.withApplicant()
		v.doc.Persons = nil // beside the client, the room's own agreement suffices
		if _, err := v.ask(); err != nil {
			t.Fatal(err)
		}
	})
	refused := problem.New(problem.CodeDeviceRevoked, "test")
	for name, c := range map[string]struct {
		code  problem.Code
		spoil func(*vouched)
	}{
		"device withdrawn":       {problem.CodeDeviceRevoked, func(v *vouched) { v.deviceErr = refused }},
		"certificate of another": {problem.CodeStatementInvalid, func(v *vouched) { v.device.DeviceID = interview.NewDeviceID() }},
		"posture old":            {problem.CodePostureStale, func(v *vouched) { v.freshErr = problem.New(problem.CodePostureStale, "test") }},
		"agreement ended":        {problem.CodeNoAgreement, func(v *vouched) { v.doc.ValidUntil = v.doc.ValidFrom + 1 }},
		"agreement suspended":    {problem.CodeNoAgreement, func(v *vouched) { v.a.shelf.off[v.doc.ID] = true }},
		"nobody signed in":       {problem.CodeSignIn, func(v *vouched) { v.facts.Proof = signin.Proof{} }},
		"token does not hold":    {problem.CodeSignIn, func(v *vouched) { v.tokenErr = problem.New(problem.CodeSignIn, "test") }},
		"another role":           {problem.CodeSignIn, func(v *vouched) { v.who.Role = string(interview.RoleInterpreter) }},
		"another name":           {problem.CodeSignIn, func(v *vouched) { v.who.Name = "Somebody Else" }},
		"person not agreed":      {problem.CodeNoAgreement, func(v *vouched) { v.who.Subject = "mallory" }},
		"no seat":                {problem.CodeStatementInvalid, func(v *vouched) { v.facts.Seats = nil }},
		"another seat":           {problem.CodeStatementInvalid, func(v *vouched) { v.facts.Seats[0].Seat = interview.NewSeatID() }},
		"salt too short":         {problem.CodeMalformed, func(v *vouched) { v.facts.Seats[0].Salt = []byte{1} }},
		"certificate of other root": {problem.CodeStatementInvalid, func(v *vouched) {
			v.cert = newVouched(v.t).certificate(v.device.DeviceID, v.device.PermanentIdentifier, v.deviceKey)
		}},
		"applicant without ticket":      {problem.CodeTicketInvalid, func(v *vouched) { v.withApplicant(); v.facts.Tickets = []ticket.Proof{} }},
		"ticket of another hearing":     {problem.CodeTicketHearing, func(v *vouched) { v.withApplicant(); v.claims.Hearing = interview.NewHearingID() }},
		"ticket for review":             {problem.CodeTicketHearing, func(v *vouched) { v.withApplicant(); v.claims.Purpose = interview.PurposeReview }},
		"ticket of another device":      {problem.CodeTicketDevice, func(v *vouched) { v.withApplicant(); v.claims.Device = interview.NewDeviceID() }},
		"ticket of another participant": {problem.CodeTicketInvalid, func(v *vouched) { v.withApplicant(); v.claims.Participant = interview.NewParticipantID() }},
		"ticket over": {problem.CodeTicketStale, func(v *vouched) {
			v.withApplicant()
			v.claims.Until = v.claims.Expires
			v.claims.NotBefore -= 900
			v.claims.Expires -= 900
			v.claims.Until -= 900
		}},
		"ticket never held, its minutes over": {problem.CodeTicketStale, func(v *vouched) {
			v.withApplicant()
			v.claims.NotBefore -= 900
			v.claims.Expires -= 900
		}},
		"visit used for another ticket": {problem.CodeTicketUsed, func(v *vouched) {
			v.withApplicant()
			if err := v.a.visits.use(v.claims.Visit, "ticket for another terminal"); err != nil {
				v.t.Fatal(err)
			}
		}},
		"ticket of a false bridge": {problem.CodeTicketInvalid, func(v *vouched) { v.withApplicant(); v.a.bridge = testKey(v.t).Public() }},
		"recorder with a device's key": {problem.CodeStatementInvalid, func(v *vouched) {
			v.place = sealing.Place{Kind: sealing.KindRecorder, Hearing: v.hearing, DTLS: v.place.DTLS, Life: time.Hour}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVouched(t)
			c.spoil(v)
			var p *problem.Error
			if _, err := v.ask(); !errors.As(err, &p) || p.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

// B21: a ticket that authority held in its minutes keeps its seat when they are
// over, also after a restart; the door's word that it was redeemed is not asked.
func TestAuthorityItselfRemembersTickets(t *testing.T) {
	t.Parallel()
	v := newVouched(t)
	v.withApplicant()
	first := v.ticket()
	if err := v.a.hold(first); err != nil {
		t.Fatal(err)
	}
	v.claims.ID = interview.NewTicketID()
	if err := v.a.hold(v.ticket()); !errors.Is(err, problem.New(problem.CodeTicketUsed, "")) {
		t.Errorf("a second ticket on the same visit: %v", err)
	}
	// The same visit, held in time, its minutes over now.
	v.claims.Visit = interview.NewVisitID()
	v.claims.NotBefore -= 900
	v.claims.Expires -= 900
	late := v.ticket()
	if err := v.a.hold(late); !errors.Is(err, problem.New(problem.CodeTicketStale, "")) {
		t.Errorf("held after its minutes: %v", err)
	}
	path := v.a.visits.db.Path()
	if err := errors.Join(v.a.visits.use(v.claims.Visit, late.Ticket), v.a.visits.close()); err != nil {
		t.Fatal(err)
	}
	again, err := openVisits(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.close() })
	v.a.visits, v.facts.Tickets = again, []ticket.Proof{late}
	if _, err := v.ask(); err != nil {
		t.Errorf("held ticket, minutes over: %v", err)
	}
}

// C1: what the security office has not signed, or has replaced, names nothing.
func TestAuthorityKeepsOnlyWhatTheOfficeSigned(t *testing.T) {
	t.Parallel()
	v := newVouched(t)
	forged, err := agreement.Sign(&v.doc, testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.a.shelf.put(forged, false); !errors.Is(err, problem.New(problem.CodeAgreementSignature, "")) {
		t.Errorf("an agreement of another key: %v", err)
	}
	old, err := agreement.Sign(&v.doc, v.office)
	if err != nil {
		t.Fatal(err)
	}
	v.doc.Revision, v.doc.Persons = 2, nil
	if _, err := v.ask(); !errors.Is(err, problem.New(problem.CodeNoAgreement, "")) {
		t.Errorf("a person whom the new revision leaves out: %v", err)
	}
	if err := v.a.shelf.put(old, false); !errors.Is(err, problem.New(problem.CodeConflict, "")) {
		t.Errorf("an older revision came back: %v", err)
	}
	again, err := openShelf(v.a.shelf.dir, v.office.Public())
	if err != nil || again.docs[v.doc.ID].Revision != 2 {
		t.Errorf("after a restart: %v", err)
	}
}

// C1: that an agreement is suspended outlives a restart of authority: the door
// tells it once.
func TestAuthorityRemembersASuspension(t *testing.T) {
	t.Parallel()
	v := newVouched(t)
	signed, err := agreement.Sign(&v.doc, v.office)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []bool{true, false, true} {
		if err := v.a.shelf.put(signed, off); err != nil {
			t.Fatal(err)
		}
		again, err := openShelf(v.a.shelf.dir, v.office.Public())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.covering(v.device.DeviceID); (err != nil) != off {
			t.Errorf("off %v, after a restart: %v", off, err)
		}
	}
}

// A recorder's certificate is for one kind of key and can be nothing else.
func TestAuthorityCertifiesOnlyRecordersKeys(t *testing.T) {
	t.Parallel()
	v := newVouched(t)
	v.a.recorderCA, v.a.recorderKy = v.root, v.rootKey
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"P-384": other.Public(), "Ed25519": public} {
		spki, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.a.certifyRecorder(spki); !errors.Is(err, problem.New(problem.CodeMalformed, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(testKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	out, err := v.a.certifyRecorder(spki)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(out.Chain[0])
	if err != nil || c.IsCA || c.Subject.OrganizationalUnit[0] != sealing.RecorderUnit || c.NotAfter.After(time.Now().Add(recorderLifetime)) {
		t.Errorf("certificate: %+v, %v", c.Subject, err)
	}
}
