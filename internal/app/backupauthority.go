package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kuule/internal/bus"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
)

// What the door asks authority about back-ups, and what it is told.
type (
	// proofPiece is a piece of the evidence bundle that is to be judged, in order.
	proofPiece struct {
		Hearing interview.HearingID `json:"hearing"`
		Offset  int64               `json:"offset"`
		Data    []byte              `json:"data"`
	}
	judgeQuestion struct {
		Hearing  interview.HearingID `json:"hearing"`
		Holdings []string            `json:"holdings"` // kuule-holdings+jws, one of each recorder
		Loss     string              `json:"loss"`     // kuule-backup-loss+jws of the security office, or ""
	}
	// judgeAnswer is a release for the devices whose back-up nothing waits for, a
	// grant where anything may be taken in, and what is wanted of whom.
	judgeAnswer struct {
		Pending  bool                 `json:"pending"` // ask again
		Release  string               `json:"release"`
		Released []interview.DeviceID `json:"released"` // by it
		Wanted   []wantedBackup       `json:"wanted"`
		Grant    string               `json:"grant"`
		Spans    int64                `json:"spans"`  // of the grant
		Length   interview.Micros     `json:"length"` // of them
		Missing  []coverage.Span      `json:"missing"`
		Backup   interview.Micros     `json:"backup"` // on record, taken in before
		Silent   []interview.MemberID `json:"silent"` // and not explained
		Disputed []string             `json:"disputed"`
	}
	// wantedBackup is what no recorder has of a device that was in the room, and what
	// was not taken in from it either. Whether it keeps a back-up nobody proves.
	wantedBackup struct {
		Device interview.DeviceID `json:"device"`
		Spans  []backup.Span      `json:"spans"` // none: it is wanted because of silence or dispute
	}
	takerQuestion struct {
		Grant     string `json:"grant"`
		Statement string `json:"statement"`
	}
)

const (
	maxProof     = 256 << 30 // bytes of a bundle that is judged: two recorders of eight hours with five pictures have a third of it
	holdingsAge  = 15 * time.Minute
	grantLife    = 15 * time.Minute // from its signing to the admission of who takes in
	proofPattern = "proof-*.zip"
)

// backupJudge is where authority sees for itself what recorders have: it verifies
// the hearing's whole bundle, and holds it against what each recorder signed to
// have. The door's word decides nothing.
type backupJudge struct {
	folder  string
	trust   *trust.File
	office  crypto.PublicKey
	roots   *x509.CertPool // of recorders
	keepers []string       // every recorder of the installation
	log     evidence.LogVerifier
	now     func() time.Time
	task    longTask[judgeAnswer]

	mu      sync.Mutex
	hearing interview.HearingID
	proof   *os.File
	size    int64
}

func newBackupJudge(in *installation) (*backupJudge, error) {
	roots, err := trust.Pool(in.trust.RecorderRoots)
	if err != nil {
		return nil, err
	}
	office, err := trust.Key(in.trust.OfficeKey)
	if err != nil {
		return nil, err
	}
	j := &backupJudge{folder: in.layout.Authority(), trust: in.trust, office: office, roots: roots, keepers: in.RecorderInstances(), log: VerifyLog, now: time.Now}
	left, err := filepath.Glob(filepath.Join(j.folder, proofPattern))
	for _, name := range left { // of a process that was killed
		err = errors.Join(err, os.Remove(name))
	}
	return j, err
}

// put takes a piece of a bundle. A first piece begins anew.
func (j *backupJudge) put(p proofPiece) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.Offset == 0 {
		j.drop()
		f, err := os.CreateTemp(j.folder, proofPattern)
		if err != nil {
			return err
		}
		j.hearing, j.proof = p.Hearing, f
	}
	if j.proof == nil || j.hearing != p.Hearing || j.size != p.Offset {
		return problem.New(problem.CodeConflict, "pieces of a bundle come one after the other")
	}
	if j.size+int64(len(p.Data)) > maxProof {
		return problem.New(problem.CodeTooLarge, "the bundle of %s is longer than %d bytes", p.Hearing, int64(maxProof))
	}
	n, err := j.proof.Write(p.Data)
	j.size += int64(n)
	return err
}

func (j *backupJudge) drop() {
	if j.proof == nil {
		return
	}
	name := j.proof.Name()
	_ = errors.Join(j.proof.Close(), os.Remove(name))
	j.proof, j.size = nil, 0
}

func (j *backupJudge) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop()
}

// refused says that back-ups stay, and by which rule.
func refused(rule, format string, a ...any) error {
	return problem.Refused(problem.CodeForbidden, rule, format, a...)
}

// judge verifies the bundle that was put and says what may be done: a device's
// back-up goes where nothing of it is lacking, where what is was taken in from it, or
// where the security office says that it is not to be had; else what no recorder has
// may be taken in.
func (j *backupJudge) judge(q judgeQuestion) (judgeAnswer, *intake.Evidence, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.drop()
	if j.proof == nil || j.hearing != q.Hearing {
		return judgeAnswer{}, nil, refused("backup-evidence", "no evidence of %s was brought", q.Hearing)
	}
	loss, err := j.lost(q)
	if err != nil {
		return judgeAnswer{}, nil, err
	}
	e, err := intake.Open(j.proof, j.size, j.trust, evidence.Options{Log: j.log})
	if err != nil {
		return judgeAnswer{}, nil, refused("backup-evidence", "evidence of %s does not verify: %w", q.Hearing, err)
	}
	r := e.Report()
	if r.Manifest.Hearing != q.Hearing {
		return judgeAnswer{}, nil, refused("backup-evidence", "the evidence is of %s", r.Manifest.Hearing)
	}
	if err := j.whole(r, q.Holdings); err != nil {
		return judgeAnswer{}, nil, err
	}
	return judged(r, loss), e, nil
}

// lost reads the office's word, where one was brought.
func (j *backupJudge) lost(q judgeQuestion) (backup.Loss, error) {
	if q.Loss == "" {
		return backup.Loss{}, nil
	}
	l, err := backup.VerifyLoss(q.Loss, j.office, j.now())
	if err != nil {
		return backup.Loss{}, refused("backup-loss", "%w", err)
	}
	if l.Hearing != q.Hearing {
		return backup.Loss{}, refused("backup-loss", "the office's word is on %s", l.Hearing)
	}
	return l, nil
}

// judged is what a whole bundle says of every device that was in the room, and the
// office of what is not to be had.
func judged(r evidence.Report, loss backup.Loss) judgeAnswer {
	out := judgeAnswer{
		Released: append([]interview.DeviceID{}, loss.Devices...), Wanted: []wantedBackup{}, Missing: []coverage.Span{},
		Backup: r.Coverage.Backup, Silent: []interview.MemberID{}, Disputed: append([]string{}, r.Disputed...),
	}
	for _, s := range r.Coverage.Spans {
		if s.State == coverage.Missing {
			out.Missing = append(out.Missing, s)
		}
	}
	for _, m := range r.Silent {
		if !slices.Contains(loss.Recorders, m) {
			out.Silent = append(out.Silent, m)
		}
	}
	seen := map[interview.DeviceID]bool{}
	for _, p := range r.Pages {
		if seen[p.Device] || slices.Contains(loss.Devices, p.Device) {
			continue
		}
		seen[p.Device] = true
		lacks, took := lacking(r, p.Device)
		// Of a recorder that left nothing nobody knows what it was told; whoever
		// brought a back-up since has had it looked at.
		if len(lacks) > 0 || len(out.Disputed) > 0 || len(out.Silent) > 0 && !took {
			out.Wanted = append(out.Wanted, wantedBackup{p.Device, lacks})
			continue
		}
		out.Released = append(out.Released, p.Device)
	}
	return out
}

// lacking gives the stretches on record that no recorder has, in which a device was
// in the room and its own sound was not taken in, and whether any was. It was in the
// room from the first roster that has it: who makes the bundle could leave out the
// last ones, by which it had left and come back.
func lacking(r evidence.Report, device interview.DeviceID) (lacks []backup.Span, took bool) {
	members := map[interview.MemberID]bool{}
	since := interview.Micros(math.MaxInt64)
	for _, p := range r.Pages {
		if p.Device == device {
			members[p.Member], since = true, min(since, p.Since)
		}
	}
	lacks = []backup.Span{}
	for _, s := range r.Coverage.Spans {
		if (s.State == coverage.Missing || s.State == coverage.Backup) && s.To > since {
			lacks = append(lacks, backup.Span{From: max(s.From, since), To: s.To})
		}
	}
	for _, x := range r.Recordings {
		// A journal of several people's sound does not say whose its holes are.
		if x.Backup == nil || len(x.Backup.Members) != 1 || !members[x.Backup.Members[0]] {
			continue
		}
		holes := []backup.Span{}
		for _, g := range x.Gaps {
			holes = append(holes, backup.Span{From: g.From, To: g.To})
		}
		has := backup.Without([]backup.Span{{From: x.Recording.From, To: x.Recording.To}}, holes)
		took = took || len(has) > 0
		lacks = backup.Without(lacks, has)
	}
	return lacks, took
}

// whole holds a bundle against what every recorder signed, just now, to have on
// its disk: who makes the bundle can leave nothing out.
func (j *backupJudge) whole(r evidence.Report, holdings []string) error {
	if len(holdings) > len(j.keepers) {
		return refused("backup-holdings", "%d recorders spoke, the installation has %d", len(holdings), len(j.keepers))
	}
	now := j.now()
	heard := map[string]bool{}
	for _, text := range holdings {
		var h backup.Holdings
		leaf, err := jws.VerifyChain(text, backup.TypeHoldings, j.roots, now, &h)
		if err != nil {
			return refused("backup-holdings", "what a recorder has: %w", err)
		}
		switch age := now.Sub(time.Unix(h.At, 0)); {
		case leaf.IsCA || !slices.Equal(leaf.Subject.OrganizationalUnit, []string{sealing.RecorderUnit}):
			return refused("backup-holdings", "what recorder %q has was not said by a recorder", h.Keeper)
		case h.V != 1 || h.Hearing != r.Manifest.Hearing || h.Bundle != r.Name:
			return refused("backup-holdings", "recorder %q spoke of another bundle", h.Keeper)
		case age > holdingsAge || age < -sealing.Skew:
			return refused("backup-holdings", "recorder %q said so %s ago", h.Keeper, age.Round(time.Second))
		case heard[h.Keeper]:
			return refused("backup-holdings", "recorder %q spoke twice", h.Keeper)
		}
		heard[h.Keeper] = true
		for _, x := range h.Recordings {
			i := slices.IndexFunc(r.Manifest.Recordings, func(m evidence.Recording) bool { return m.Recording == x.Recording })
			if i < 0 {
				return refused("backup-whole", "recorder %q has %s, and the bundle leaves it out", h.Keeper, x.Recording)
			}
			if m := r.Manifest.Recordings[i]; m.Blocks != x.Seq+1 || m.Head != x.Head {
				return refused("backup-whole", "recorder %q has %s up to block %d, and the bundle has another end", h.Keeper, x.Recording, x.Seq)
			}
		}
	}
	for _, k := range j.keepers {
		if !heard[k] {
			return refused("backup-holdings", "recorder %q has not said what it has", k)
		}
	}
	return nil
}

// serveBackups answers the door about back-ups.
func (a *authority) serveBackups(conn *bus.Conn, j *backupJudge) error {
	return errors.Join(
		bus.Handle(conn, "backup.proof", func(_ context.Context, _ bus.Name, p proofPiece) (none, error) { return none{}, j.put(p) }),
		bus.Handle(conn, "backup.judge", func(ctx context.Context, _ bus.Name, q judgeQuestion) (judgeAnswer, error) {
			out, pending, err := j.task.ask(ctx, q.Hearing.String()+jws.Hash(strings.Join(slices.Concat(q.Holdings, []string{q.Loss}), " ")), func() (judgeAnswer, error) { return a.judgeBackups(j, q) })
			if pending {
				return judgeAnswer{Pending: true}, nil
			}
			return out, err
		}),
		bus.Handle(conn, "backup.admit", func(_ context.Context, _ bus.Name, q takerQuestion) (admitAnswer, error) { return a.admitTaker(q) }),
	)
}

// judgeBackups signs what the proof allows, and nothing else.
func (a *authority) judgeBackups(j *backupJudge, q judgeQuestion) (judgeAnswer, error) {
	out, e, err := j.judge(q)
	if err != nil {
		return judgeAnswer{}, err
	}
	if len(out.Released) > 0 {
		r := backup.Release{V: 2, Hearing: q.Hearing, Devices: out.Released, At: j.now().Unix()}
		if q.Loss != "" {
			r.Loss = jws.Hash(q.Loss)
		}
		if out.Release, err = jws.Sign(r, backup.TypeRelease, a.sealing); err != nil {
			return judgeAnswer{}, err
		}
		slog.Info("back-ups are released", "hearing", q.Hearing, "devices", out.Released, "loss", r.Loss)
	}
	if len(out.Wanted) == 0 {
		return out, nil
	}
	g, err := e.Grant(j.now())
	if errors.Is(err, intake.ErrNothing) {
		return out, nil // disputed, or a recorder left nothing: people have to look
	}
	if err != nil {
		return judgeAnswer{}, err
	}
	out.Spans = int64(len(g.Spans))
	for _, s := range g.Spans {
		out.Length += s.To - s.From
	}
	out.Grant, err = jws.Sign(g, backup.TypeGrant, a.sealing)
	slog.Info("back-ups may be taken in", "hearing", q.Hearing, "spans", out.Spans, "length", out.Length)
	return out, err
}

// recent refuses a grant that was not given just now: what recorders lack may be
// another thing by now.
func recent(g backup.Grant, now time.Time) error {
	if age := now.Sub(time.Unix(g.At, 0)); age > grantLife || age < -sealing.Skew {
		return refused("backup-grant", "it was granted %s ago: ask anew", age.Round(time.Second))
	}
	return nil
}

// admitTaker admits a recorder to take in under a grant that authority signed
// itself: the one way to such an admission, which is to no room.
func (a *authority) admitTaker(q takerQuestion) (admitAnswer, error) {
	now := time.Now()
	g, err := backup.VerifyGrant(q.Grant, versionsOf(a.sealing))
	if err != nil {
		return admitAnswer{}, refused("backup-grant", "%w", err)
	}
	if err := recent(g, now); err != nil {
		return admitAnswer{}, err
	}
	st, _, err := a.trust.VerifyStatement(q.Statement, now)
	if err != nil {
		return admitAnswer{}, problem.New(problem.CodeStatementInvalid, "%w", err)
	}
	if st.Kind != sealing.KindRecorder || st.DTLS != sealing.NoConnection || st.Hearing != g.Hearing {
		return admitAnswer{}, refused("backup-grant", "the statement is not of a recorder that takes in, or of another hearing")
	}
	text, err := jws.Sign(sealing.Admission{
		V: 1, Kind: st.Kind, Hearing: st.Hearing, Member: st.Member, Statement: jws.Hash(q.Statement), Seats: []sealing.AdmittedSeat{},
		Rule: backup.RuleOf(q.Grant), IssuedAt: now.Unix(), ExpiresAt: st.ExpiresAt,
	}, sealing.TypeAdmission, a.statement)
	return admitAnswer{text}, err
}

// ordinary refuses who takes in back-ups, and the rules that are authority's own to
// give: neither comes into a room.
func ordinary(st sealing.Statement, rule string) error {
	if _, ok := backup.TakesIn(rule); ok {
		return problem.New(problem.CodeStatementInvalid, "rule %q admits nobody to a room", rule)
	}
	if st.DTLS == sealing.NoConnection {
		return problem.New(problem.CodeStatementInvalid, "%s has no connection: it is admitted under a grant alone", st.Member)
	}
	return nil
}
