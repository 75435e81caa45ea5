package app

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kuule/attestation"
	"kuule/attestation/wire"
	"kuule/internal/audit"
	auditremote "kuule/internal/audit/remote"
	"kuule/internal/bus"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/interview/ticket"
	"kuule/interview/viewing"
)

// postureAge is how old a device's proof of state may be at the door: three
// quotes may be late.
const postureAge = 60 * time.Second

// recorderLifetime is how long a recorder's certificate lives: a recorder asks
// for one at every start.
const recorderLifetime = 24 * time.Hour

// Questions and answers of authority on the bus.
type (
	certificateQuestion struct {
		Certificate []byte            `json:"certificate"`
		Quote       *wire.NoncedQuote `json:"quote,omitempty"`
	}
	freshQuestion struct {
		Device interview.DeviceID `json:"device"`
	}
	freshAnswer struct {
		Age int64 `json:"age"` // seconds
	}
	agreementPut struct {
		Signed string `json:"signed"`
		Off    bool   `json:"off"`
	}
	revokeQuestion struct {
		Device interview.DeviceID `json:"device"`
		Reason string             `json:"reason"`
	}
	revokeAnswer struct {
		Generation uint64 `json:"generation"`
	}
	certifyQuestion struct {
		Key []byte `json:"key"` // SPKI
	}
	certifyAnswer struct {
		Chain [][]byte `json:"chain"` // DER, leaf first
	}
	sealQuestion struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	holdQuestion struct {
		Ticket ticket.Proof `json:"ticket"`
	}
	sealAnswer struct {
		Message string `json:"message"`
	}
	none struct{}
)

// admitFacts is what the door brings to have a statement countersigned. Each
// fact carries its own proof; the door's word alone opens nothing.
type admitFacts struct {
	Statement string         `json:"statement"`
	Rule      string         `json:"rule"`
	Proof     signin.Proof   `json:"proof"`
	Tickets   []ticket.Proof `json:"tickets"`
	Seats     []admitSeat    `json:"seats"`
}

type admitSeat struct {
	Seat        interview.SeatID        `json:"seat"`
	Participant interview.ParticipantID `json:"participant"`
	Role        interview.Role          `json:"role"`
	Name        string                  `json:"name"`
	Salt        []byte                  `json:"salt"`
}

type admitAnswer struct {
	Admission string `json:"admission"`
}

// deviceGate knows devices: attestation.Authority.
type deviceGate interface {
	// Device reads a certificate that was issued here, is not withdrawn, and
	// whose device an agreement in force names.
	Device(ctx context.Context, certificate []byte) (wire.Device, error)
	// Fresh gives a device's verified state no older than within.
	Fresh(device interview.DeviceID, now time.Time, within time.Duration) (attestation.Verdict, error)
}

// peopleGate verifies identity tokens made at a device: signin.Verifier.
type peopleGate interface {
	Verify(ctx context.Context, proof signin.Proof, deviceID string) (signin.Identity, error)
}

// authority is the process that vouches.
type authority struct {
	devices    deviceGate
	shelf      *shelf
	visits     *visits
	people     peopleGate
	trust      *sealing.Trust
	statement  crypto.Signer
	sealing    crypto.Signer
	bridge     crypto.PublicKey
	recorderCA *x509.Certificate
	recorderKy crypto.Signer
	deviceRoot *x509.CertPool

	mu       sync.Mutex
	viewings map[string]*approved // by the name of the playback process
	readings readings             // of what was given at kiosks
}

func runAuthority(ctx context.Context, in *installation, conn *bus.Conn, passphrase keyring.Secret, ready func() error) error {
	ring, closeRing, err := openRing(ctx, in, passphrase)
	if err != nil {
		return err
	}
	defer func() { _ = closeRing() }()
	a, devices, err := openAuthority(ctx, in, ring)
	if err != nil {
		return err
	}
	defer devices.Close()
	defer a.visits.close()
	graves, err := openGraveyard(ctx, in.layout.Authority(), ring, a.sealing)
	if err != nil {
		return err
	}
	logKey, err := readKey(filepath.Join(in.layout.Authority(), "log.key"))
	if err != nil {
		return err
	}
	private, ok := logKey.(ed25519.PrivateKey)
	if !ok {
		return errors.New("log.key is not an Ed25519 key")
	}
	log, err := audit.OpenLog(in.layout.AuditLog(), in.Host, private)
	if err != nil {
		return err
	}
	defer log.Close()
	stopStamps, err := startStamps(ctx, in, log)
	if err != nil {
		return err
	}
	defer stopStamps()
	backups, err := newBackupJudge(in)
	if err != nil {
		return err
	}
	defer backups.close()
	if err := errors.Join(
		a.serveBackups(conn, backups),
		keyringremote.Serve(conn, ring, a.approveUnwrap),
		a.serveErasures(conn, graves, ring),
		auditremote.Serve(conn, log, a.cosigner),
		serveStamps(conn, in.layout.Stamps()),
		bus.HandleHTTP(conn, "enrol", devices.Handler()),
		bus.Handle(conn, "posture.challenge", func(ctx context.Context, _ bus.Name, q certificateQuestion) (wire.Challenge, error) {
			return devices.Challenge(ctx, q.Certificate)
		}),
		bus.Handle(conn, "posture.verify", func(ctx context.Context, _ bus.Name, q certificateQuestion) (attestation.Verdict, error) {
			if q.Quote == nil {
				return attestation.Verdict{}, problem.New(problem.CodeMalformed, "no quote")
			}
			return devices.Verify(ctx, q.Certificate, *q.Quote)
		}),
		bus.Handle(conn, "posture.device", func(ctx context.Context, _ bus.Name, q certificateQuestion) (wire.Device, error) {
			return a.devices.Device(ctx, q.Certificate)
		}),
		bus.Handle(conn, "posture.fresh", func(_ context.Context, _ bus.Name, q freshQuestion) (freshAnswer, error) {
			v, err := a.devices.Fresh(q.Device, time.Now(), postureAge)
			return freshAnswer{Age: int64(time.Since(v.At) / time.Second)}, err
		}),
		bus.Handle(conn, "agreement.put", func(_ context.Context, _ bus.Name, q agreementPut) (none, error) {
			return none{}, a.shelf.put(q.Signed, q.Off)
		}),
		bus.Handle(conn, "revoke", func(ctx context.Context, _ bus.Name, q revokeQuestion) (revokeAnswer, error) {
			g, err := devices.Revoke(ctx, q.Device, q.Reason)
			return revokeAnswer{g}, err
		}),
		bus.Handle(conn, "hold", func(_ context.Context, _ bus.Name, q holdQuestion) (none, error) {
			return none{}, a.hold(q.Ticket)
		}),
		bus.Handle(conn, "identify", func(ctx context.Context, _ bus.Name, q identifyQuestion) (none, error) {
			return none{}, a.identify(ctx, q)
		}),
		bus.Handle(conn, "read", func(ctx context.Context, _ bus.Name, q readQuestion) (none, error) {
			return none{}, a.approveReading(ctx, q)
		}),
		bus.Handle(conn, "admit", func(ctx context.Context, _ bus.Name, q admitFacts) (admitAnswer, error) {
			text, err := a.admit(ctx, q)
			return admitAnswer{text}, err
		}),
		bus.Handle(conn, "certify", func(_ context.Context, _ bus.Name, q certifyQuestion) (certifyAnswer, error) {
			return a.certifyRecorder(q.Key)
		}),
		bus.Handle(conn, "seal", func(_ context.Context, _ bus.Name, q sealQuestion) (sealAnswer, error) {
			return a.seal(q)
		}),
		bus.Handle(conn, "view", func(ctx context.Context, _ bus.Name, q viewQuestion) (none, error) {
			return none{}, a.approveViewing(ctx, q)
		}),
		bus.Handle(conn, "view.allow", func(ctx context.Context, _ bus.Name, q allowQuestion) (allowAnswer, error) {
			return a.allowViewing(ctx, q)
		}),
	); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func openAuthority(ctx context.Context, in *installation, ring keyring.Signing) (a *authority, devices *attestation.Authority, err error) {
	a = &authority{viewings: map[string]*approved{}}
	office, err := trust.Key(in.trust.OfficeKey)
	if err != nil {
		return nil, nil, err
	}
	if a.shelf, err = openShelf(in.path(agreementsDir), office); err != nil {
		return nil, nil, err
	}
	if a.people, err = verifierOf(in.Identity); err != nil {
		return nil, nil, err
	}
	for name, into := range map[string]*crypto.Signer{"statement": &a.statement, "sealing": &a.sealing} {
		if *into, err = in.signer(ctx, ring, name, *signingKeys(in.trust)[name]); err != nil {
			return nil, nil, err
		}
	}
	bridge, err := os.ReadFile(in.path(bridgePublicFile))
	if err != nil {
		return nil, nil, err
	}
	if a.bridge, err = trust.Key(string(bridge)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", bridgePublicFile, err)
	}
	if a.recorderCA, a.recorderKy, err = loadAuthority(in.layout.Authority(), "recorders"); err != nil {
		return nil, nil, err
	}
	if a.trust, err = sealing.NewTrust(in.trust); err != nil {
		return nil, nil, err
	}
	a.deviceRoot = a.trust.Devices
	var makers attestation.Manufacturers
	for name, into := range map[string]*[]*x509.Certificate{manufacturersFile: &makers.Roots, intermediatesFile: &makers.Intermediates} {
		if *into, err = certificates(in.path(name)); err != nil {
			return nil, nil, err
		}
	}
	if devices, err = attestation.Open(attestation.Config{
		Dir: in.path(attestationDir), Host: in.enrolHost(), Manufacturers: makers, Agreements: a.shelf, Log: slog.Default(),
	}); err != nil {
		return nil, nil, err
	}
	a.devices = devices
	if a.visits, err = openVisits(in.layout.Authority()); err != nil {
		return nil, nil, errors.Join(err, devices.Close())
	}
	return a, devices, nil
}

// admit countersigns a statement if every fact holds by its own proof.
func (a *authority) admit(ctx context.Context, q admitFacts) (string, error) {
	now := time.Now()
	st, leaf, err := a.trust.VerifyStatement(q.Statement, now)
	if err != nil {
		return "", problem.New(problem.CodeStatementInvalid, "%w", err)
	}
	if err := ordinary(st, q.Rule); err != nil {
		return "", err
	}
	seats := []sealing.AdmittedSeat{}
	switch st.Kind {
	case sealing.KindPage:
		if seats, err = a.admitPage(ctx, q, st, leaf, now); err != nil {
			return "", err
		}
	case sealing.KindRecorder:
		if len(q.Seats) > 0 {
			return "", problem.New(problem.CodeStatementInvalid, "a recorder holds no seat")
		}
	default:
		return "", problem.New(problem.CodeStatementInvalid, "kind %q", st.Kind)
	}
	return jws.Sign(sealing.Admission{
		V: 1, Kind: st.Kind, Hearing: st.Hearing, Member: st.Member, Statement: jws.Hash(q.Statement), Seats: seats,
		Rule: q.Rule, IssuedAt: now.Unix(), ExpiresAt: min(st.ExpiresAt, now.Add(sealing.MaxStatementHours*time.Hour).Unix()),
	}, sealing.TypeAdmission, a.statement)
}

// admitPage checks device, posture, agreement and, seat by seat, the person.
func (a *authority) admitPage(ctx context.Context, q admitFacts, st sealing.Statement, leaf *x509.Certificate, now time.Time) ([]sealing.AdmittedSeat, error) {
	device, err := a.devices.Device(ctx, leaf.Raw)
	if err != nil {
		return nil, err
	}
	if device.DeviceID != st.Device {
		return nil, problem.New(problem.CodeStatementInvalid, "statement of another device than its certificate's")
	}
	if _, err := a.devices.Fresh(device.DeviceID, now, postureAge); err != nil {
		return nil, err
	}
	doc, err := a.shelf.covering(device.DeviceID)
	if err != nil {
		return nil, problem.New(problem.CodeNoAgreement, "device %s: %w", device.DeviceID, err)
	}
	if len(q.Seats) == 0 || len(q.Seats) != len(st.Seats) {
		return nil, problem.New(problem.CodeStatementInvalid, "statement names %d seats, the door %d", len(st.Seats), len(q.Seats))
	}
	var signedIn *signin.Identity
	if q.Proof.IDToken != "" {
		id, err := a.people.Verify(ctx, q.Proof, device.DeviceID.String())
		if err != nil {
			return nil, err
		}
		signedIn = &id
	}
	tickets, err := a.tickets(q, st, now)
	if err != nil {
		return nil, err
	}
	var out []sealing.AdmittedSeat
	for i, s := range q.Seats {
		if s.Seat != st.Seats[i] {
			return nil, problem.New(problem.CodeStatementInvalid, "seat %s is not the statement's", s.Seat)
		}
		switch {
		case s.Role == interview.RoleApplicant:
			if !tickets[s.Participant] {
				return nil, problem.New(problem.CodeTicketInvalid, "no ticket for participant %s", s.Participant)
			}
			// Whose hearing it was, authority knows from this admission alone.
			if err := a.visits.meet(st.Hearing, viewing.Participant(st.Hearing, s.Participant)); err != nil {
				return nil, err
			}
		case signedIn == nil || signedIn.Role != string(s.Role) || signedIn.Name != s.Name:
			return nil, problem.New(problem.CodeSignIn, "seat %s: nobody of that role and name is signed in at the device", s.Seat)
		case s.Role == interview.RoleCounsel && !besideClient(q.Seats) && !doc.Names(signedIn.Subject, s.Role):
			return nil, problem.New(problem.CodeNoAgreement, "seat %s: agreement %s does not name the person", s.Seat, doc.ID)
		}
		name, err := sealing.CommitName(s.Salt, s.Name)
		if err != nil {
			return nil, problem.New(problem.CodeMalformed, "seat %s: %w", s.Seat, err)
		}
		out = append(out, sealing.AdmittedSeat{Seat: s.Seat, Participant: s.Participant, Role: s.Role, Name: name})
	}
	if signedIn != nil && signedIn.Role == string(interview.RoleInterviewer) {
		// Whose hearing it is, authority knows from this admission alone.
		if err := a.visits.meet(st.Hearing, viewing.Person(signedIn.Issuer, signedIn.Subject)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// besideClient reports whether the applicant sits at the same device: then
// counsel takes part under the room's own agreement (S4).
func besideClient(seats []admitSeat) bool {
	return slices.ContainsFunc(seats, func(s admitSeat) bool { return s.Role == interview.RoleApplicant })
}

// tickets verifies the join tickets and returns whose they are.
func (a *authority) tickets(q admitFacts, st sealing.Statement, now time.Time) (map[interview.ParticipantID]bool, error) {
	out := map[interview.ParticipantID]bool{}
	for _, proof := range q.Tickets {
		var c ticket.Claims
		if err := jws.Peek(proof.Ticket, ticket.TypTicket, &c); err != nil {
			return nil, problem.New(problem.CodeTicketInvalid, "%w", err)
		}
		if err := a.acceptTicket(proof, c, ticket.Expected{
			Hearing: st.Hearing, Purpose: interview.PurposeHearing, Participant: c.Participant, Device: st.Device, Now: now,
		}); err != nil {
			return nil, err
		}
		out[c.Participant] = true
	}
	return out, nil
}

// hold remembers a ticket for a hearing or its review while its minutes last,
// so that it keeps its seat for as long as it says. The door tells of it when
// the ticket is redeemed: by the time of the admission, or when the recording
// is opened, the minutes may be over.
func (a *authority) hold(proof ticket.Proof) error {
	var c ticket.Claims
	if err := jws.Peek(proof.Ticket, ticket.TypTicket, &c); err != nil {
		return problem.New(problem.CodeTicketInvalid, "%w", err)
	}
	purpose := interview.PurposeHearing
	if c.Purpose == interview.PurposeReview {
		purpose = interview.PurposeReview
	}
	return a.acceptTicket(proof, c, ticket.Expected{
		Hearing: c.Hearing, Purpose: purpose, Participant: c.Participant, Device: c.Device, Now: time.Now(),
	})
}

// acceptTicket verifies a ticket, peeked at before, and binds its visit to it.
// Whether it was held before is authority's own knowledge, not the door's word.
func (a *authority) acceptTicket(proof ticket.Proof, c ticket.Claims, want ticket.Expected) (err error) {
	if want.Held, err = a.visits.held(c.Visit, proof.Ticket); err != nil {
		return err
	}
	if _, err = ticket.VerifyTicket(proof, a.ticketTrust(), want); err != nil {
		return err
	}
	return a.visits.use(c.Visit, proof.Ticket)
}

func (a *authority) ticketTrust() ticket.Trust {
	return ticket.Trust{BridgeKey: a.bridge, DeviceRoots: a.deviceRoot, DeviceOf: deviceOf, Identified: a.visits.officers}
}

// deviceOf reads the device that a verified certificate names.
func deviceOf(c *x509.Certificate) (interview.DeviceID, error) {
	d, err := wire.ReadDevice(c)
	return d.DeviceID, err
}

// certifyRecorder gives a recorder a certificate that can be nothing else.
func (a *authority) certifyRecorder(spki []byte) (certifyAnswer, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return certifyAnswer{}, problem.New(problem.CodeMalformed, "recorder's key: %w", err)
	}
	if k, ok := key.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return certifyAnswer{}, problem.New(problem.CodeMalformed, "recorder's key is not P-256")
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "recorder", OrganizationalUnit: []string{sealing.RecorderUnit}},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(recorderLifetime), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.recorderCA, key, a.recorderKy)
	if err != nil {
		return certifyAnswer{}, err
	}
	return certifyAnswer{Chain: [][]byte{der}}, nil
}

// sealable are the types that authority seals with its sealing key.
var sealable = map[string]bool{"kuule-record+jws": true, "kuule-evidence+jws": true}

func (a *authority) seal(q sealQuestion) (sealAnswer, error) {
	if !sealable[q.Type] {
		return sealAnswer{}, problem.New(problem.CodeForbidden, "authority seals no %q", q.Type)
	}
	var payload any
	if err := canon.Strict(q.Payload, &payload); err != nil {
		return sealAnswer{}, problem.New(problem.CodeMalformed, "%w", err)
	}
	message, err := jws.Sign(q.Payload, q.Type, a.sealing)
	return sealAnswer{message}, err
}

// cosigner checks a device's vouching for its cosigning key.
func (a *authority) cosigner(message string) (string, error) {
	var c wire.Cosigner
	leaf, err := jws.VerifyChain(message, wire.CosignerType, a.deviceRoot, time.Now(), &c)
	if err != nil {
		return "", err
	}
	device, err := wire.ReadDevice(leaf)
	if err != nil || device.DeviceID != c.DeviceID {
		return "", fmt.Errorf("cosigning key is vouched for by another device than %s", c.DeviceID)
	}
	return c.Key, nil
}
