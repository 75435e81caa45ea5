package journaltest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/sealing"
	"kuule/recorder/journal"
)

// World is one hearing with everything that a recorder meets in it.
type World struct {
	t         testing.TB
	Case      interview.CaseID
	Hearing   interview.HearingID
	Group     interview.GroupID
	Recording interview.RecordingID
	Key       journal.DataKey
	Raw       []byte // the data key, as unwrapped
	Recorder  *Member
	Now       time.Time

	RecorderCA, DeviceCA  *Authority
	StatementKey, Sealing *ecdsa.PrivateKey
	start                 time.Time
	mu                    sync.Mutex
	rosters               []string
}

// Authority is a root that issues certificates.
type Authority struct {
	Key  *ecdsa.PrivateKey
	Cert *x509.Certificate
}

// Member is a member with its own keys.
type Member struct {
	*sealing.Identity // whose Member is the member's id
	Statement         string
	Admission         string
	Seat              sealing.AdmittedSeat
}

// New makes a world.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{
		t: t, Case: interview.NewCaseID(), Hearing: interview.NewHearingID(), Group: interview.NewGroupID(),
		Recording: interview.NewRecordingID(), Now: time.Now(), start: time.Now(),
		RecorderCA: newAuthority(t, "recorder root"), DeviceCA: newAuthority(t, "device root"),
		StatementKey: newKey(t), Sealing: newKey(t),
	}
	w.Raw = make([]byte, journal.DataKeyBytes)
	must(t, second(rand.Read(w.Raw)))
	var err error
	w.Key, err = journal.ParseDataKey(w.Raw)
	must(t, err)
	w.Recorder = w.Member("")
	return w
}

// Member makes a member in a role, or a recorder where role is "".
func (w *World) Member(role interview.Role) *Member {
	w.t.Helper()
	return w.member(role, strings.TrimSuffix(strings.Repeat("AB:", 32), ":"))
}

// Taker makes a recorder that has no connection to a room, as one that takes in a
// back-up. Its admission is that of the others: a test gives it another.
func (w *World) Taker() *Member {
	w.t.Helper()
	return w.member("", sealing.NoConnection)
}

func (w *World) member(role interview.Role, dtls string) *Member {
	w.t.Helper()
	id, err := sealing.NewIdentity()
	must(w.t, err)
	m := &Member{Identity: id}
	place := sealing.Place{Kind: sealing.KindRecorder, Hearing: w.Hearing, DTLS: dtls, Life: time.Hour}
	ca, unit := w.RecorderCA, sealing.RecorderUnit
	seats := []sealing.AdmittedSeat{}
	if role != "" {
		place.Kind, place.Device = sealing.KindPage, interview.NewDeviceID()
		ca, unit = w.DeviceCA, place.Device.String()
		name, err := sealing.CommitName(make([]byte, sealing.MinSaltBytes), string(role))
		must(w.t, err)
		m.Seat = sealing.AdmittedSeat{Seat: interview.NewSeatID(), Participant: interview.NewParticipantID(), Role: role, Name: name}
		place.Seats = []interview.SeatID{m.Seat.Seat}
		seats = append(seats, m.Seat)
	}
	key := newKey(w.t)
	m.Statement, err = id.Statement(place, w.Now, sealing.SignWith(key, ca.Issue(w.t, unit, key)))
	must(w.t, err)
	m.Admission, err = jws.Sign(sealing.Admission{
		V: 1, Kind: place.Kind, Hearing: w.Hearing, Member: id.Member(), Statement: jws.Hash(m.Statement), Seats: seats,
		Rule: "test", IssuedAt: w.Now.Unix(), ExpiresAt: w.Now.Add(time.Hour).Unix(),
	}, sealing.TypeAdmission, w.StatementKey)
	must(w.t, err)
	return m
}

// Roster signs the next roster with the chair's key: members in their places.
func (w *World) Roster(chair *Member, at interview.Micros, members ...*Member) string {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := sealing.Roster{V: 1, Hearing: w.Hearing, Group: w.Group, Epoch: int64(len(w.rosters)) + 1, Chair: chair.Member(), Reason: "join", At: at}
	for _, m := range members {
		r.Members = append(r.Members, sealing.RosterMember{Member: m.Member(), Admission: jws.Hash(m.Admission)})
	}
	if n := len(w.rosters); n > 0 {
		r.Prev = jws.Hash(w.rosters[n-1])
	}
	text, err := jws.Sign(r, sealing.TypeRoster, chair.Signer())
	must(w.t, err)
	w.rosters = append(w.rosters, text)
	return text
}

// Trust is the installation file that this world is verified with.
func (w *World) Trust() *trust.File {
	w.t.Helper()
	encode := func(k *ecdsa.PrivateKey) string {
		s, err := trust.EncodeKey(k.Public())
		must(w.t, err)
		return s
	}
	return &trust.File{
		V: 1, Name: "test", Demonstration: true,
		ServerRoots: []string{trust.EncodeCertificate(w.DeviceCA.Cert)}, DeviceRoots: []string{trust.EncodeCertificate(w.DeviceCA.Cert)},
		RecorderRoots: []string{trust.EncodeCertificate(w.RecorderCA.Cert)},
		StatementKey:  encode(w.StatementKey), SealingKey: encode(w.Sealing), OfficeKey: encode(w.Sealing), BundleKey: encode(w.Sealing),
		LogKey: "test+00000000+AA==",
	}
}

// Began sets when the hearing clock began: a test's child process goes on with
// its parent's.
func (w *World) Began(at time.Time) { w.start = at }

// Clock is a hearing clock that began with the world.
func (w *World) Clock() interview.Micros { return interview.Micros(time.Since(w.start).Microseconds()) }

// Opened is how this world's journal opens.
func (w *World) Opened() journal.Opened {
	return journal.Opened{
		V: 1, Case: w.Case, Hearing: w.Hearing, Group: w.Group, Member: w.Recorder.Member(), Recording: w.Recording,
		Statement: w.Recorder.Statement, Wrapped: journal.EncodeWrapped([]byte("wrapped")),
		Anchor: journal.Anchor{Wall: w.Now.UnixMicro(), Reason: "opened"},
	}
}

// Config is a writer's configuration on a disk.
func (w *World) Config(d journal.Disk) journal.Config {
	return journal.Config{Disk: d, Opened: w.Opened(), Key: w.Key, Signer: w.Recorder.Signer(), Clock: w.Clock}
}

// Sender seals frames of one track as a page does.
type Sender struct {
	w      *World
	Member *Member
	Track  interview.TrackID
	Source interview.Source
	KID    int64
	Key    []byte
	// Redundant says that the frames' sound is packed with copies (RFC 2198).
	Redundant bool

	sealer *sframe.Sealer
	first  uint64
	next   uint64
	hashes []byte
	seq    int64
	prev   string
}

// Sender makes a sender for the member in a place on the roster of an epoch.
func (w *World) Sender(m *Member, epoch int64, place, number int, source interview.Source) *Sender {
	w.t.Helper()
	s := &Sender{w: w, Member: m, Track: interview.NewTrackID(), Source: source, KID: sealing.KID(epoch, place, number), Key: make([]byte, sealing.SenderKeyBytes)}
	must(w.t, second(rand.Read(s.Key)))
	var err error
	s.sealer, err = sframe.NewSealer(s.Key, uint64(s.KID))
	must(w.t, err)
	return s
}

// Seal seals one codec frame captured at that moment.
func (s *Sender) Seal(capture interview.Micros, key bool, codec []byte) journal.Frame {
	s.w.t.Helper()
	plain, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: s.Source, Redundant: s.Redundant, Capture: capture, Level: 30})
	must(s.w.t, err)
	sealed, counter, err := s.sealer.Seal(nil, []byte(s.Track.String()), append(plain, codec...))
	must(s.w.t, err)
	sum := sha256.Sum256(sealed)
	s.hashes = append(s.hashes, sum[:sealing.OriginHashBytes]...)
	s.next = counter + 1
	return journal.Frame{
		Member: s.Member.Member(), Track: s.Track, Source: s.Source, KID: uint64(s.KID), Counter: counter,
		RTPTime: uint32(capture / 1000 * 48), Arrival: capture + 20_000, Capture: capture, Key: key, Sealed: sealed,
	}
}

// Origin signs the list of what was sealed since the last one.
func (s *Sender) Origin() string {
	s.w.t.Helper()
	text, err := jws.Sign(sealing.Origin{
		V: 1, Hearing: s.w.Hearing, Group: s.w.Group, Member: s.Member.Member(), Track: s.Track, Seq: s.seq, Prev: s.prev,
		KID: s.KID, First: int64(s.first), Hashes: base64.RawURLEncoding.EncodeToString(s.hashes),
	}, sealing.TypeOrigin, s.Member.Signer())
	must(s.w.t, err)
	s.seq, s.prev, s.first, s.hashes = s.seq+1, jws.Hash(text), s.next, nil
	return text
}

// SenderKey is what a recorder keeps of this sender's key.
func (s *Sender) SenderKey() journal.SenderKey {
	return journal.SenderKey{Group: s.w.Group, Epoch: s.KID >> 10, Member: s.Member.Member(), Track: s.Track, Source: s.Source, KID: s.KID, Key: s.Key}
}

// Numbered is a frame whose content is its number, for tests that count.
func (w *World) Numbered(m interview.MemberID, t interview.TrackID, n uint64) journal.Frame {
	now := w.Clock()
	const kid = 1024
	head := sframe.AppendHeader(nil, kid, n)
	sealed := append(make([]byte, 0, 108), head...)
	return journal.Frame{
		Member: m, Track: t, Source: interview.SourceAudio, KID: kid, Counter: n, Arrival: now, Capture: now,
		Sealed: binary.BigEndian.AppendUint64(sealed[:100], n),
	}
}

// Wrapper wraps keys by keeping them: for tests alone.
type Wrapper struct {
	mu   sync.Mutex
	Keys map[string][]byte // by context
	err  error
}

// Fail has wrapping fail, or work again with nil.
func (w *Wrapper) Fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// Wrap implements journal.KeyWrapper.
func (w *Wrapper) Wrap(_ context.Context, c interview.CaseID, context string, dek []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	if w.Keys == nil {
		w.Keys = map[string][]byte{}
	}
	w.Keys[context] = append([]byte(nil), dek...)
	return []byte("wrapped for " + c.String() + " " + context), nil
}

func newAuthority(t testing.TB, name string) *Authority {
	key := newKey(t)
	c := certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key, key)
	return &Authority{key, c}
}

// Issue makes a certificate of a unit.
func (a *Authority) Issue(t testing.TB, unit string, key *ecdsa.PrivateKey) *x509.Certificate {
	return certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: unit, OrganizationalUnit: []string{unit}}, KeyUsage: x509.KeyUsageDigitalSignature}, a.Cert, a.Key, key)
}

func certify(t testing.TB, template, parent *x509.Certificate, signer, subject *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, subject.Public(), signer)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func second(_ int, err error) error { return err }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// EncodeKey gives a member's signing key to a test's child process.
func EncodeKey(s crypto.Signer) ([]byte, error) {
	return x509.MarshalECPrivateKey(s.(*ecdsa.PrivateKey))
}

// Copy is a second sender with the same sender key, from its first counter on:
// what another holder of a group's key can make.
func Copy(s *Sender) *Sender {
	s.w.t.Helper()
	c := &Sender{w: s.w, Member: s.Member, Track: s.Track, Source: s.Source, KID: s.KID, Key: s.Key}
	var err error
	c.sealer, err = sframe.NewSealer(s.Key, uint64(s.KID))
	must(s.w.t, err)
	return c
}

// Life writes one recording of a recorder from a moment to another, which ends as
// one that is restarted does. It gives its one journal file and what the next
// recording says of it.
func (w *World) Life(t testing.TB, rec *Member, after *journal.After, from, to interview.Micros) (file string, next *journal.After) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "rec")
	disk, err := journal.Directory(path)
	must(err)
	var now atomic.Int64 // the writer looks at its clock whenever it likes
	now.Store(int64(from))
	cfg := w.Config(disk)
	cfg.Interval, cfg.Signer, cfg.Clock = time.Hour, rec.Signer(), func() interview.Micros { return interview.Micros(now.Load()) }
	cfg.Opened.Recording, cfg.Opened.Member, cfg.Opened.Statement = interview.NewRecordingID(), rec.Member(), rec.Statement
	cfg.Opened.Anchor.Hearing, cfg.Opened.After = from, after
	j, err := journal.Create(cfg)
	must(err)
	now.Store(int64(to))
	must(j.Close("test"))
	tail, err := journal.Recover(path)
	must(err)
	return filepath.Join(path, journal.FileName(1)), tail.After(journal.CauseRestarted)
}
