package app

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder"
	"kuule/recorder/intake"
	"kuule/recorder/journal"
)

// What the door asks a recorder about back-ups.
type (
	holdsQuestion struct {
		Hearing interview.HearingID `json:"hearing"`
		Bundle  string              `json:"bundle"` // jws.Hash of its manifest
	}
	holdsAnswer struct {
		Message string `json:"message"` // kuule-holdings+jws
	}
	takeInQuestion struct {
		Grant string `json:"grant"`
	}
	takeInAnswer struct {
		Statement string `json:"statement"`
	}
	backupPiece struct {
		Hearing interview.HearingID `json:"hearing"`
		File    int                 `json:"file"` // from 0
		Offset  int64               `json:"offset"`
		Data    []byte              `json:"data"`
	}
	takenQuestion struct {
		Hearing   interview.HearingID `json:"hearing"`
		Admission string              `json:"admission"`
	}
	takingsAnswer struct {
		Messages []string `json:"messages"` // kuule-backup-taken+jws
	}
	takenAnswer struct {
		Pending bool          `json:"pending"` // ask again
		Message string        `json:"message"` // kuule-backup-taken+jws
		Taken   backup.Taken  `json:"taken"`
		Heads   []backup.Held `json:"heads"` // of its journals
	}
)

// takeInLife is how long one taking in may last, from its beginning to its end: then
// it is dropped with all that was brought. What else bounds it package intake says.
const takeInLife = time.Hour

// takingIn is a recorder's side of taking in: one hearing at a time. Its keys are
// of this one taking and nowhere else; what waits on the disk is sealed to them.
type takingIn struct {
	rec    *recorder.Recorder
	keeper string
	folder string // for what waits
	trust  *trust.File
	seal   crypto.PublicKey
	keys   journal.KeyWrapper
	cert   *recorderCertificate
	task   longTask[takenAnswer]

	mu  sync.Mutex
	now *oneTaking
}

type oneTaking struct {
	text      string
	grant     backup.Grant
	member    interview.MemberID
	sign      *ecdsa.PrivateKey
	open      hpke.PrivateKey
	statement string
	until     time.Time
	spool     *intake.Spool
}

func newTakingIn(rec *recorder.Recorder, in *installation, keeper, folder string, keys journal.KeyWrapper, cert *recorderCertificate) (*takingIn, error) {
	seal, err := in.sealingKey()
	if err != nil {
		return nil, err
	}
	return &takingIn{rec: rec, keeper: keeper, folder: folder, trust: in.trust, seal: seal, keys: keys, cert: cert}, intake.Sweep(folder)
}

func (x *takingIn) serve(conn *bus.Conn) error {
	return errors.Join(
		bus.Handle(conn, "recorder.holds", func(ctx context.Context, _ bus.Name, q holdsQuestion) (holdsAnswer, error) { return x.holds(ctx, q) }),
		bus.Handle(conn, "recorder.takein", func(ctx context.Context, _ bus.Name, q takeInQuestion) (takeInAnswer, error) { return x.begin(ctx, q) }),
		bus.Handle(conn, "recorder.takings", func(_ context.Context, _ bus.Name, q hearingQuestion) (takingsAnswer, error) {
			all, err := x.rec.Takings(q.Hearing)
			return takingsAnswer{all}, err
		}),
		bus.Handle(conn, "recorder.backup", func(_ context.Context, _ bus.Name, p backupPiece) (none, error) { return none{}, x.put(p) }),
		bus.Handle(conn, "recorder.taken", func(ctx context.Context, _ bus.Name, q takenQuestion) (takenAnswer, error) {
			out, pending, err := x.task.ask(ctx, q.Hearing.String()+jws.Hash(q.Admission), func() (takenAnswer, error) { return x.end(context.Background(), q) })
			if pending {
				return takenAnswer{Pending: true}, nil
			}
			return out, err
		}),
	)
}

// holds signs what is on this recorder's disk of a hearing that has ended.
func (x *takingIn) holds(ctx context.Context, q holdsQuestion) (holdsAnswer, error) {
	held, err := x.rec.Holds(q.Hearing)
	if errors.Is(err, recorder.ErrStillRecording) {
		return holdsAnswer{}, problem.New(problem.CodeRecordingState, "%w", err)
	}
	if err != nil {
		return holdsAnswer{}, err
	}
	text, err := x.cert.sign(ctx, backup.Holdings{V: 1, Keeper: x.keeper, Hearing: q.Hearing, Bundle: q.Bundle, Recordings: held, At: time.Now().Unix()}, backup.TypeHoldings)
	return holdsAnswer{text}, err
}

// begin makes the keys of one taking in, under authority's grant.
func (x *takingIn) begin(ctx context.Context, q takeInQuestion) (takeInAnswer, error) {
	g, err := backup.VerifyGrant(q.Grant, x.seal)
	if err != nil {
		return takeInAnswer{}, refused("backup-grant", "%w", err)
	}
	if err := recent(g, time.Now()); err != nil {
		return takeInAnswer{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop() // one that was begun before is given up
	t := &oneTaking{text: q.Grant, grant: g, member: interview.NewMemberID(), until: time.Now().Add(takeInLife)}
	if t.sign, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return takeInAnswer{}, err
	}
	if t.open, err = hpke.DHKEM(ecdh.P256()).GenerateKey(); err != nil {
		return takeInAnswer{}, err
	}
	point, err := t.sign.PublicKey.Bytes()
	if err != nil {
		return takeInAnswer{}, err
	}
	now := time.Now()
	t.statement, _, err = x.cert.prove(ctx, sealing.Statement{
		V: 1, Kind: sealing.KindRecorder, Hearing: g.Hearing, Member: t.member, Seats: []interview.SeatID{},
		HPKEKey: base64.RawURLEncoding.EncodeToString(t.open.PublicKey().Bytes()), SignKey: base64.RawURLEncoding.EncodeToString(point),
		DTLS:     sealing.NoConnection,
		IssuedAt: now.Unix(), ExpiresAt: now.Add(takeInLife).Unix(),
	})
	if err != nil {
		return takeInAnswer{}, err
	}
	t.spool = intake.NewSpool(x.folder, intake.DefaultLimits())
	x.now = t
	time.AfterFunc(takeInLife, func() { x.over(t) })
	return takeInAnswer{t.statement}, nil
}

// put keeps a piece of a back-up that was sealed to this taking's key.
func (x *takingIn) put(p backupPiece) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.now
	if t == nil || t.grant.Hearing != p.Hearing || time.Now().After(t.until) {
		return problem.New(problem.CodeNotReady, "no taking in of %s was begun", p.Hearing)
	}
	err := t.spool.Put(p.File, p.Offset, p.Data)
	switch {
	case errors.Is(err, intake.ErrOrder):
		return problem.New(problem.CodeConflict, "%w", err)
	case errors.Is(err, intake.ErrLong):
		return problem.New(problem.CodeTooLarge, "back-up of %s: %w", p.Hearing, err)
	}
	return err
}

// end reads what was brought, writes what counts, and makes it the hearing's. What
// fails before leaves nothing.
func (x *takingIn) end(ctx context.Context, q takenQuestion) (out takenAnswer, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.now
	if t == nil || t.grant.Hearing != q.Hearing {
		return out, problem.New(problem.CodeNotReady, "no taking in of %s was begun", q.Hearing)
	}
	defer x.drop()
	if err := x.admitted(t, q.Admission); err != nil {
		return out, err
	}
	ctx, cancel := context.WithDeadline(ctx, t.until)
	defer cancel()
	e := intake.Under(t.grant)
	kept, err := t.spool.Keep()
	if err != nil {
		return out, err
	}
	var all intake.Report
	for n := range t.spool.Files() {
		r, err := e.Read(ctx, func() (io.ReadCloser, error) { return t.spool.Open(n) }, t.open, x.trust, kept.Take)
		if err != nil {
			return out, problem.New(problem.CodeEvidence, "back-up of %s: %w", q.Hearing, err)
		}
		all.Chunks, all.Frames, all.Taken = all.Chunks+r.Chunks, all.Frames+r.Frames, all.Taken+r.Taken
		all.Had, all.Unsure = all.Had+r.Had, all.Unsure+r.Unsure
	}
	if kept.Len() == 0 {
		return out, problem.New(problem.CodeEvidence, "the back-up has nothing of what is missing of %s: %d frames are outside of it, %d are on no list of their sender", q.Hearing, all.Had, all.Unsure)
	}
	var made []interview.RecordingID
	defer func() {
		if err != nil {
			for _, id := range made {
				err = errors.Join(err, x.rec.Discard(q.Hearing, id))
			}
		}
	}()
	out.Taken, out.Message, err = e.Write(ctx, intake.Into{
		Grant: t.text, Member: t.member, Statement: t.statement, Admission: q.Admission, Signer: t.sign, Keys: x.keys,
		Disk: func(id interview.RecordingID) (journal.Disk, error) {
			made = append(made, id)
			return x.rec.Beside(q.Hearing, id)
		},
	}, all, kept)
	if err != nil {
		return out, err
	}
	if err = x.rec.Adopt(recorder.Hearing{Case: t.grant.Case, Hearing: q.Hearing}, out.Message, out.Taken.Recordings...); err != nil {
		return out, err
	}
	held, err := x.rec.Holds(q.Hearing)
	for _, h := range held {
		if slices.Contains(out.Taken.Recordings, h.Recording) {
			out.Heads = append(out.Heads, h)
		}
	}
	made = nil // they are the hearing's
	return out, err
}

// admitted verifies that authority admitted this very taking: its statement and
// keys, in its hearing, as a recorder, under its grant, in its time.
func (x *takingIn) admitted(t *oneTaking, admission string) error {
	now := time.Now()
	members, err := sealing.NewTrust(x.trust)
	if err != nil {
		return err
	}
	m, err := members.VerifyMember(t.statement, admission, now)
	switch {
	case err != nil:
		return refused("backup-admission", "%w", err)
	case m.Admission.Rule != backup.RuleOf(t.text):
		return refused("backup-admission", "%s was admitted by rule %q, not under this grant", t.member, m.Admission.Rule)
	case now.After(t.until):
		return refused("backup-admission", "it was begun more than %s ago: begin anew", takeInLife)
	}
	return nil
}

// drop forgets a taking in, with its keys.
func (x *takingIn) drop() {
	if x.now == nil {
		return
	}
	if err := x.now.spool.Close(); err != nil {
		slog.Error("what was brought to be taken in was not removed", "hearing", x.now.grant.Hearing, "err", err)
	}
	x.now = nil
}

// over drops a taking in whose time is over.
func (x *takingIn) over(t *oneTaking) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.now == t {
		x.drop()
	}
}

func (x *takingIn) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop()
}

// sign signs under the recorder's certificate.
func (c *recorderCertificate) sign(ctx context.Context, payload any, typ string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.current(ctx); err != nil {
		return "", err
	}
	return jws.Sign(payload, typ, c.key, c.chain...)
}
