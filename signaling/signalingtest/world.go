package signalingtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"sync"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/media"
	"kuule/interview/sealing"
	"kuule/interview/wire"
	"kuule/signaling"
)

// World is one hearing and everyone who may come to it.
type World struct {
	Hearing interview.HearingID
	Group   interview.GroupID
	Opened  time.Time

	devices, recorders *root
	statementKey       *ecdsa.PrivateKey

	mu      sync.Mutex
	people  map[interview.DeviceID]*Person
	phase   wire.PhaseNow
	asked   []signaling.PhaseRequest
	kept    map[string][]string
	joined  []error
	invited chan struct{}
}

// Person is somebody at a device of their own.
type Person struct {
	Device interview.DeviceID
	Seat   wire.SeatView
	world  *World
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
}

type root struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// New makes a world without people. It panics if the system has no randomness.
func New() *World {
	return &World{
		Hearing: interview.NewHearingID(), Group: interview.NewGroupID(), Opened: time.Now(),
		devices: newRoot("devices"), recorders: newRoot("recorders"), statementKey: newKey(),
		people: map[interview.DeviceID]*Person{}, kept: map[string][]string{}, invited: make(chan struct{}, 1),
		phase: wire.PhaseNow{Phase: interview.PhaseWaiting, Cause: interview.CauseOpened},
	}
}

// Person adds somebody in a role, at a new device.
func (w *World) Person(role interview.Role, name string) *Person {
	p := &Person{Device: interview.NewDeviceID(), world: w, key: newKey()}
	p.cert = w.devices.issue(p.Device.String(), p.key)
	salt := make([]byte, sealing.MinSaltBytes)
	_, _ = rand.Read(salt)
	p.Seat = wire.SeatView{Seat: interview.NewSeatID(), Participant: interview.NewParticipantID(), Role: role, Name: name, Salt: base64.RawURLEncoding.EncodeToString(salt), Place: "room 1"}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.people[p.Device] = p
	return p
}

// Trust is what members of this world hold.
func (w *World) Trust() (*sealing.Trust, error) {
	file, err := w.TrustFile()
	if err != nil {
		return nil, err
	}
	return sealing.NewTrust(file)
}

// TrustFile is the same as a device pins it.
func (w *World) TrustFile() (*trust.File, error) {
	key, err := trust.EncodeKey(w.statementKey.Public())
	if err != nil {
		return nil, err
	}
	return &trust.File{DeviceRoots: []string{trust.EncodeCertificate(w.devices.cert)}, RecorderRoots: []string{trust.EncodeCertificate(w.recorders.cert)}, StatementKey: key}, nil
}

// Peer is how the transport presents the person.
func (p *Person) Peer() signaling.Peer {
	return signaling.Peer{Device: p.Device, Certificate: p.cert.Raw}
}

// Place is what the person's member says of where it is.
func (p *Person) Place() sealing.Place {
	return sealing.Place{Kind: sealing.KindPage, Device: p.Device, Seats: []interview.SeatID{p.Seat.Seat}}
}

// Prove signs a statement with the person's device key.
func (p *Person) Prove(_ context.Context, st sealing.Statement) (string, wire.Proof, error) {
	text, err := sealing.SignWith(p.key, p.cert)(st)
	return text, wire.Proof{}, err
}

// ProveRecorder signs a recorder's statement.
func (w *World) ProveRecorder(_ context.Context, st sealing.Statement) (string, wire.Proof, error) {
	key := newKey()
	text, err := sealing.SignWith(key, w.recorders.issue(sealing.RecorderUnit, key))(st)
	return text, wire.Proof{}, err
}

// Judge implements signaling.Admission by the list of people.
func (w *World) Judge(_ context.Context, peer signaling.Peer, join wire.Join) (signaling.Judgement, error) {
	if join.Hearing != w.Hearing {
		return signaling.Judgement{Rule: "hearing"}, problem.Refused(problem.CodeNotBooked, "hearing", "no part in %s", join.Hearing)
	}
	if peer.Recorder {
		return signaling.Judgement{Rule: "recorder"}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.people[peer.Device]
	if p == nil {
		return signaling.Judgement{Rule: "device"}, problem.Refused(problem.CodeDeviceNotNamed, "device", "device %s", peer.Device)
	}
	return signaling.Judgement{Seats: []wire.SeatView{p.Seat}, Rule: "list", Label: "test device", Chair: p.Seat.Role == interview.RoleInterviewer}, nil
}

// Countersign implements signaling.Admission.
func (w *World) Countersign(_ context.Context, join wire.Join, j signaling.Judgement) (string, error) {
	var st sealing.Statement
	if err := jws.Peek(join.Statement, sealing.TypeStatement, &st); err != nil {
		return "", err
	}
	a := sealing.Admission{V: 1, Kind: st.Kind, Hearing: st.Hearing, Member: st.Member, Statement: jws.Hash(join.Statement), Seats: []sealing.AdmittedSeat{}, Rule: j.Rule, IssuedAt: time.Now().Unix(), ExpiresAt: time.Now().Add(time.Hour).Unix()}
	for _, v := range j.Seats {
		salt, err := base64.RawURLEncoding.DecodeString(v.Salt)
		if err != nil {
			return "", err
		}
		name, err := sealing.CommitName(salt, v.Name)
		if err != nil {
			return "", err
		}
		a.Seats = append(a.Seats, sealing.AdmittedSeat{Seat: v.Seat, Participant: v.Participant, Role: v.Role, Name: name})
	}
	return jws.Sign(a, sealing.TypeAdmission, w.statementKey)
}

// Returning implements signaling.Admission: the admission must be ours and of
// this very statement.
func (w *World) Returning(ctx context.Context, peer signaling.Peer, join wire.Join) (signaling.Judgement, error) {
	var a sealing.Admission
	if err := jws.Verify(join.Admission, sealing.TypeAdmission, w.statementKey.Public(), &a); err != nil || a.Statement != jws.Hash(join.Statement) {
		return signaling.Judgement{Rule: "returning"}, problem.Refused(problem.CodeStatementInvalid, "returning", "admission is of another statement")
	}
	return w.Judge(ctx, peer, join)
}

// Open implements signaling.Hearings.
func (w *World) Open(context.Context, interview.HearingID) (signaling.Opened, error) {
	return signaling.Opened{View: wire.HearingView{Hearing: w.Hearing, Mode: interview.ModeRemote}, Group: w.Group, Clock: w.Now}, nil
}

// Now is the hearing clock.
func (w *World) Now() interview.Micros { return interview.Micros(time.Since(w.Opened).Microseconds()) }

// Phase implements signaling.Hearings.
func (w *World) Phase(context.Context, interview.HearingID) (wire.PhaseNow, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.phase, nil
}

// Ask implements signaling.Hearings: on record needs a durable recorder,
// everything else is allowed.
func (w *World) Ask(_ context.Context, _ interview.HearingID, ask signaling.PhaseRequest) (wire.PhaseNow, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, ask)
	if ask.To == interview.PhaseOnRecord && !ask.Durable {
		return wire.PhaseNow{}, problem.New(problem.CodeRecorderMissing, "no recorder is durable")
	}
	w.phase = wire.PhaseNow{Phase: ask.To, Cause: ask.Cause, Since: w.Now(), By: ask.By, Reason: ask.Reason}
	return w.phase, nil
}

// Invite implements signaling.Recorders.
func (w *World) Invite(context.Context, interview.HearingID, interview.GroupID) error {
	select {
	case w.invited <- struct{}{}:
	default:
	}
	return nil
}

// Invited receives once a recorder was asked to come.
func (w *World) Invited() <-chan struct{} { return w.invited }

// Keep implements signaling.Journal.
func (w *World) Keep(_ interview.HearingID, kind, message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[kind] = append(w.kept[kind], message)
}

// Kept lists what was kept of a kind.
func (w *World) Kept(kind string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.kept[kind]...)
}

// Joined implements signaling.Audit.
func (w *World) Joined(_ interview.HearingID, _ signaling.Peer, _ string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.joined = append(w.joined, err)
}

// Config wires a hub to this world and a media node.
func (w *World) Config(m signaling.Media) signaling.Config {
	return signaling.Config{Admission: w, Hearings: w, Media: m, Recorders: w, Journal: w, Audit: w, Limits: signaling.Defaults}
}

var _ interface {
	signaling.Admission
	signaling.Hearings
	signaling.Recorders
	signaling.Journal
	signaling.Audit
} = (*World)(nil)

// NoMedia is a media node that answers nothing useful: for tests of the door
// alone. It remembers the newest table and which legs are open.
type NoMedia struct {
	// Opening, where it is set, is called while a leg is opened.
	Opening func(media.OpenLeg)

	mu    sync.Mutex
	table media.Table
	legs  map[interview.LegID]bool
	red   bool
}

// Restart is an offer that comes from the very connection of the leg before.
const Restart = "restart"

// OpenLeg implements signaling.Media: the offer's mids come back as slots. Restart
// keeps the leg before.
func (n *NoMedia) OpenLeg(_ context.Context, req media.OpenLeg) (media.LegOpened, error) {
	if n.Opening != nil {
		n.Opening(req)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.legs == nil {
		n.legs = map[interview.LegID]bool{}
	}
	opened := media.LegOpened{Leg: req.Leg, Answer: "v=0", Slots: []media.Slot{{Mid: "a", Kind: "audio"}, {Mid: "b", Kind: "audio"}, {Mid: "v", Kind: "video"}}}
	if req.Offer == Restart && n.legs[req.Before] {
		opened.Leg = req.Before
	} else {
		for _, t := range req.Tracks {
			opened.Advice = append(opened.Advice, media.TrackAdvice{Track: t.Track, Advice: media.Advice{Red: n.red && t.Source == interview.SourceAudio}})
		}
	}
	delete(n.legs, req.Before)
	n.legs[opened.Leg] = true
	return opened, nil
}

// Redundant has new legs told to send sounds twice from the start, or not to.
func (n *NoMedia) Redundant(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.red = on
}

// CloseLeg implements signaling.Media.
func (n *NoMedia) CloseLeg(_ context.Context, req media.CloseLeg) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.legs, req.Leg)
	return nil
}

// Legs counts the legs that are open.
func (n *NoMedia) Legs() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.legs)
}

// Forward implements signaling.Media.
func (n *NoMedia) Forward(_ context.Context, t media.Table) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table = t
	return nil
}

// Table is the newest table.
func (n *NoMedia) Table() media.Table {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.table
}

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func newRoot(name string) *root {
	r := &root{key: newKey()}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, r.key.Public(), r.key)
	if err != nil {
		panic(err)
	}
	if r.cert, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return r
}

func (r *root) issue(unit string, key *ecdsa.PrivateKey) *x509.Certificate {
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{OrganizationalUnit: []string{unit}}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, r.cert, key.Public(), r.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}
