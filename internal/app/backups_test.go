package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/recorder"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

// lost is a hearing on record from 0 to 4 s, whose two recorders were both gone
// from 2 to 2.4 s, with everybody who has a part in taking in the back-up.
type lost struct {
	t        *testing.T
	w        *journaltest.World
	a        *authority
	judge    *backupJudge
	content  evidence.Content
	held     map[string][]backup.Held // by recorder
	escrow   *ecdsa.PrivateKey
	terminal struct {
		member *journaltest.Member
		file   []byte
	}
	roster string
}

func (l *lost) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func newLost(t *testing.T) *lost {
	t.Helper()
	w := journaltest.New(t)
	l := &lost{t: t, w: w, escrow: testKey(t), held: map[string][]backup.Held{}}
	file := w.Trust()
	var err error
	file.BackupKey, err = trust.EncodeKey(l.escrow.Public())
	l.must(err)
	members, err := sealing.NewTrust(file)
	l.must(err)
	l.a = &authority{sealing: w.Sealing, statement: w.StatementKey, trust: members}
	l.judge = &backupJudge{folder: t.TempDir(), trust: file, roots: members.Recorders, keepers: []string{"1", "2"}, now: func() time.Time { return w.Now }}
	chair, speaker := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant)
	back := []*journaltest.Member{w.Member(""), w.Member("")}
	second := w.Member("")
	l.roster = w.Roster(chair, 1, chair, speaker, w.Recorder, second, back[0], back[1])
	l.terminal.member = speaker
	l.content = evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now, Rosters: []string{l.roster},
		Phases: []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}, {Phase: interview.PhaseEnded, Since: 4_000_000}},
	}
	for _, m := range append([]*journaltest.Member{chair, speaker, w.Recorder, second}, back...) {
		l.content.Statements, l.content.Admissions = append(l.content.Statements, m.Statement), append(l.content.Admissions, m.Admission)
	}
	for i, rec := range []*journaltest.Member{w.Recorder, second} {
		keeper := l.judge.keepers[i]
		first, after := w.Life(t, rec, nil, 0, 2_000_000)
		again, tail := w.Life(t, back[i], after, 2_400_000, 4_000_000)
		l.keep(keeper, after, first)
		l.keep(keeper, tail, again)
	}
	l.terminal.file = l.backup()
	return l
}

// keep puts a journal on a recorder's disk and into the bundle.
func (l *lost) keep(keeper string, tail *journal.After, file string) {
	l.held[keeper] = append(l.held[keeper], backup.Held{Recording: tail.Recording, Seq: tail.Seq, Head: tail.Head})
	l.content.Journals = append(l.content.Journals, []evidence.Blob{{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }}})
}

// backup is what the terminal's agent kept of its page: four seconds of sound.
func (l *lost) backup() []byte {
	to, err := backup.Recipient(l.judge.trust)
	l.must(err)
	m := l.terminal.member
	c := &backup.Chunk{
		V: 1, Hearing: l.w.Hearing, Group: l.w.Group, Member: m.Member(), Epoch: 1, Statement: m.Statement, Roster: l.roster,
		Recorder: l.w.Recorder.Admission, Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{},
	}
	s := l.w.Sender(m, 1, 1, 0, interview.SourceAudio)
	key, err := c.SealKey(to, backup.Key{Track: s.Track, Source: s.Source, KID: s.KID}, s.Key)
	l.must(err)
	c.Keys = append(c.Keys, key)
	for n := range interview.Micros(200) {
		f := s.Seal(n*20_000, false, []byte{0xf8, 0xff, 0xfe})
		c.Frames = append(c.Frames, backup.Frame{Track: s.Track, At: f.Capture, Sealed: base64.RawURLEncoding.EncodeToString(f.Sealed)})
	}
	c.Origins = append(c.Origins, s.Origin())
	sealed, err := c.Seal(to, 0)
	l.must(err)
	return append(backup.Magic(), sealed...)
}

// SealEvidence implements evidence.Sealer: authority signs a manifest for whoever
// is the door.
func (l *lost) SealEvidence(_ context.Context, m evidence.Manifest) (string, error) {
	return jws.Sign(m, evidence.TypeEvidence, l.w.Sealing)
}

func (l *lost) bundle() []byte {
	l.t.Helper()
	var b bytes.Buffer
	l.must(evidence.Build(l.t.Context(), &b, l.content, l))
	return b.Bytes()
}

// question is what an honest door brings with that bundle.
func (l *lost) question(bundle []byte) judgeQuestion {
	l.t.Helper()
	signed, err := evidence.SignedManifest(bytes.NewReader(bundle))
	l.must(err)
	q := judgeQuestion{Hearing: l.w.Hearing}
	for _, k := range l.judge.keepers {
		q.Holdings = append(q.Holdings, l.holdings(k, jws.Hash(signed), l.w.Now))
	}
	return q
}

func (l *lost) holdings(keeper, bundle string, at time.Time) string {
	l.t.Helper()
	key := testKey(l.t)
	return l.says(key, l.w.RecorderCA.Issue(l.t, sealing.RecorderUnit, key), backup.Holdings{
		V: 1, Keeper: keeper, Hearing: l.w.Hearing, Bundle: bundle, Recordings: l.held[keeper], At: at.Unix(),
	})
}

func (l *lost) says(key *ecdsa.PrivateKey, cert *x509.Certificate, h backup.Holdings) string {
	l.t.Helper()
	text, err := jws.Sign(h, backup.TypeHoldings, key, cert)
	l.must(err)
	return text
}

// ask brings the bundle piece by piece and has it judged.
func (l *lost) ask(bundle []byte, q judgeQuestion) (judgeAnswer, error) {
	l.t.Helper()
	l.must(inPieces(bytes.NewReader(bundle), func(at int64, b []byte) error {
		return l.judge.put(proofPiece{Hearing: l.w.Hearing, Offset: at, Data: b})
	}))
	return l.a.judgeBackups(l.judge, q)
}

// H5: what no recorder has may be taken in, by authority's word, and nothing is
// released then.
func TestAuthorityGrantsWhatNoRecorderHas(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	b := l.bundle()
	out, err := l.ask(b, l.question(b))
	l.must(err)
	g, err := backup.VerifyGrant(out.Grant, l.w.Sealing.Public())
	l.must(err)
	if out.Release != "" || len(g.Spans) != 1 || g.Spans[0] != (backup.Span{From: 1_500_000, To: 3_400_000}) || g.Hearing != l.w.Hearing {
		t.Fatalf("%+v", out)
	}
	if left, _ := filepath.Glob(filepath.Join(l.judge.folder, "*")); len(left) != 0 {
		t.Errorf("the bundle lies on: %v", left)
	}
}

// H5: the door's word moves authority to nothing. Each thing that the proof needs,
// left out, cut, old, of another or made by another, and there is neither release
// nor grant.
func TestAuthorityJudgesBackupsByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule  string
		spoil func(l *lost, b *[]byte, q *judgeQuestion)
	}{
		"no evidence at all":         {"backup-evidence", func(_ *lost, _ *[]byte, q *judgeQuestion) { q.Hearing = interview.NewHearingID() }},
		"evidence with a bit turned": {"backup-evidence", func(_ *lost, b *[]byte, _ *judgeQuestion) { (*b)[len(*b)/2] ^= 1 }},
		"a journal left out": {"backup-whole", func(l *lost, b *[]byte, q *judgeQuestion) {
			l.content.Journals = l.content.Journals[:3]
			*b = l.bundle()
			*q = l.question(*b)
		}},
		"a journal cut": {"backup-whole", func(l *lost, b *[]byte, q *judgeQuestion) {
			l.held["2"][1].Seq++
			*q = l.question(*b)
		}},
		"a journal with another end": {"backup-whole", func(l *lost, b *[]byte, q *judgeQuestion) {
			l.held["2"][1].Head = "other"
			*q = l.question(*b)
		}},
		"one recorder not asked": {"backup-holdings", func(_ *lost, _ *[]byte, q *judgeQuestion) { q.Holdings = q.Holdings[:1] }},
		"one asked twice":        {"backup-holdings", func(_ *lost, _ *[]byte, q *judgeQuestion) { q.Holdings[1] = q.Holdings[0] }},
		"of another bundle": {"backup-holdings", func(l *lost, _ *[]byte, q *judgeQuestion) {
			q.Holdings[1] = l.holdings("2", "another", l.w.Now)
		}},
		"of yesterday": {"backup-holdings", func(l *lost, b *[]byte, q *judgeQuestion) {
			signed, _ := evidence.SignedManifest(bytes.NewReader(*b))
			q.Holdings[1] = l.holdings("2", jws.Hash(signed), l.w.Now.Add(-holdingsAge-time.Minute))
		}},
		"said by a workstation": {"backup-holdings", func(l *lost, b *[]byte, q *judgeQuestion) {
			signed, _ := evidence.SignedManifest(bytes.NewReader(*b))
			key := testKey(l.t)
			q.Holdings[1] = l.says(key, l.w.DeviceCA.Issue(l.t, sealing.RecorderUnit, key), backup.Holdings{V: 1, Keeper: "2", Hearing: l.w.Hearing, Bundle: jws.Hash(signed), Recordings: l.held["2"], At: l.w.Now.Unix()})
		}},
		"said by none who records": {"backup-holdings", func(l *lost, b *[]byte, q *judgeQuestion) {
			signed, _ := evidence.SignedManifest(bytes.NewReader(*b))
			key := testKey(l.t)
			q.Holdings[1] = l.says(key, l.w.RecorderCA.Issue(l.t, "door", key), backup.Holdings{V: 1, Keeper: "2", Hearing: l.w.Hearing, Bundle: jws.Hash(signed), Recordings: l.held["2"], At: l.w.Now.Unix()})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLost(t)
			b := l.bundle()
			q := l.question(b)
			c.spoil(l, &b, &q)
			out, err := l.ask(b, q)
			if doc := problem.Of(err); doc.Code != problem.CodeForbidden || doc.Rule != c.rule || out.Grant+out.Release != "" {
				t.Fatalf("%v (%+v), want it refused by %s", err, out, c.rule)
			}
		})
	}
}

// H5: back-ups go only where recorders have everything, or where what they lack
// was taken in; any one thing keeps them.
func TestBackupsGoOnlyWhereNothingIsMissing(t *testing.T) {
	t.Parallel()
	recorded := coverage.Span{From: 0, To: 10, Phase: interview.PhaseOnRecord, State: coverage.Recorded}
	paused := coverage.Span{From: 10, To: 20, Phase: interview.PhasePaused, State: coverage.OffRecord}
	missing := coverage.Span{From: 20, To: 21, Phase: interview.PhaseOnRecord, State: coverage.Missing}
	taken := coverage.Span{From: 20, To: 21, Phase: interview.PhaseOnRecord, State: coverage.Backup}
	silent := []interview.MemberID{interview.NewMemberID()}
	for name, c := range map[string]struct {
		report evidence.Report
		goes   bool
	}{
		"everything is recorded":     {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded, paused}}}, true},
		"a microsecond is not":       {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded, paused, missing}}}, false},
		"it was taken in":            {evidence.Report{Coverage: coverage.Report{Backup: 1, Spans: []coverage.Span{recorded, paused, taken}}}, true},
		"only half of it":            {evidence.Report{Coverage: coverage.Report{Backup: 1, Spans: []coverage.Span{recorded, taken, missing}}}, false},
		"a recorder left nothing":    {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded}}, Silent: silent}, false},
		"and the back-up is here":    {evidence.Report{Coverage: coverage.Report{Backup: 1, Spans: []coverage.Span{recorded, taken}}, Silent: silent}, true},
		"journals dispute the phase": {evidence.Report{Coverage: coverage.Report{Spans: []coverage.Span{recorded, paused}}, Disputed: []string{"told otherwise"}}, false},
	} {
		if got := judged(c.report); got.releasable() != c.goes || got.Release != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// nobody joins no room.
type nobody struct{}

func (nobody) Join(context.Context, recorder.Hearing, recorder.Events) (recorder.Room, error) {
	return nil, errors.New("no room here")
}

// taking is a recorder that can take in, with its disk.
func (l *lost) taking() (*takingIn, *journaltest.Wrapper) {
	l.t.Helper()
	ring, folder := &journaltest.Wrapper{}, l.t.TempDir()
	rec, err := recorder.New(recorder.Config{Folder: folder, Joiner: nobody{}, Keys: ring})
	l.must(err)
	l.t.Cleanup(rec.Close)
	key := testKey(l.t)
	certificate := &recorderCertificate{key: key, chain: []*x509.Certificate{l.w.RecorderCA.Issue(l.t, sealing.RecorderUnit, key)}}
	return &takingIn{rec: rec, keeper: "1", folder: folder, trust: l.judge.trust, seal: l.w.Sealing.Public(), keys: ring, cert: certificate}, ring
}

// bring is what the holder of the back-up key does: open, and seal anew to who
// takes in.
func (l *lost) bring(x *takingIn, statement string) {
	l.t.Helper()
	var st sealing.Statement
	l.must(jws.Peek(statement, sealing.TypeStatement, &st))
	to, err := backup.KeyOf(st)
	l.must(err)
	own, err := backup.PrivateKey(l.escrow)
	l.must(err)
	var out bytes.Buffer
	l.must(backup.Readdress(&out, bytes.NewReader(l.terminal.file), l.w.Hearing, own, to))
	if bytes.Contains(l.terminal.file, out.Bytes()[100:140]) {
		l.t.Fatal("it was not sealed anew")
	}
	l.must(inPieces(&out, func(at int64, b []byte) error {
		return x.put(backupPiece{Hearing: l.w.Hearing, Offset: at, Data: b})
	}))
}

// H5: both recorders failed, and the back-up was handed in: granted, taken in,
// part of the evidence, released. Then nothing more is granted.
func TestTheGrantingCase(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	b := l.bundle()
	granted, err := l.ask(b, l.question(b))
	l.must(err)
	x, ring := l.taking()
	begun, err := x.begin(t.Context(), takeInQuestion{Grant: granted.Grant})
	l.must(err)
	admitted, err := l.a.admitTaker(takerQuestion{Grant: granted.Grant, Statement: begun.Statement})
	l.must(err)
	l.bring(x, begun.Statement)
	out, err := x.end(t.Context(), takenQuestion{Hearing: l.w.Hearing, Admission: admitted.Admission})
	l.must(err)
	if len(out.Taken.Recordings) != 1 || out.Taken.Kept != 95 || len(out.Heads) != 1 || len(ring.Keys) != 1 {
		t.Fatalf("%+v", out)
	}
	said, err := x.rec.Takings(l.w.Hearing)
	l.must(err)
	files, err := x.rec.Files(l.w.Hearing)
	l.must(err)
	l.content.Grants, l.content.Taken = []string{granted.Grant}, said
	l.content.Statements, l.content.Admissions = append(l.content.Statements, begun.Statement), append(l.content.Admissions, admitted.Admission)
	var blobs []evidence.Blob
	for _, f := range files {
		blobs = append(blobs, evidence.Blob{Name: f.Name, Open: func() (io.ReadCloser, error) {
			content := make([]byte, f.Size)
			_, err := x.rec.ReadFile(l.w.Hearing, f.Recording, f.Name, 0, content)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return io.NopCloser(bytes.NewReader(content)), err
		}})
	}
	l.content.Journals = append(l.content.Journals, blobs)
	l.held["1"] = append(l.held["1"], out.Heads...)
	b = l.bundle()
	r, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), l.judge.trust, evidence.Options{})
	l.must(err)
	if r.Coverage.Missing != 0 || r.Coverage.Backup != 400_000 {
		t.Fatalf("%+v", r.Coverage)
	}
	settled, err := l.ask(b, l.question(b))
	l.must(err)
	var release backup.Release
	l.must(jws.Verify(settled.Release, backup.TypeRelease, l.w.Sealing.Public(), &release))
	if settled.Grant != "" || release.Hearing != l.w.Hearing {
		t.Fatalf("%+v", settled)
	}
	if left, _ := filepath.Glob(filepath.Join(x.folder, waitingPattern)); len(left) != 0 {
		t.Errorf("what was brought lies on: %v", left)
	}
}

// H5: a recorder takes in under authority's grant alone, and authority admits to
// it only a recorder, and only under a grant of its own that is not old.
func TestTakingInNeedsItsGrant(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	b := l.bundle()
	granted, err := l.ask(b, l.question(b))
	l.must(err)
	g, err := backup.VerifyGrant(granted.Grant, l.w.Sealing.Public())
	l.must(err)
	forged, err := jws.Sign(g, backup.TypeGrant, testKey(t))
	l.must(err)
	old := g
	old.At -= int64(grantLife/time.Second) + 60
	stale, err := jws.Sign(old, backup.TypeGrant, l.w.Sealing)
	l.must(err)
	later := g
	later.At += int64((sealing.Skew + time.Minute) / time.Second)
	early, err := jws.Sign(later, backup.TypeGrant, l.w.Sealing)
	l.must(err)
	elsewhere := g
	elsewhere.Hearing = interview.NewHearingID()
	another, err := jws.Sign(elsewhere, backup.TypeGrant, l.w.Sealing)
	l.must(err)
	x, _ := l.taking()
	if _, err := x.begin(t.Context(), takeInQuestion{Grant: forged}); err == nil {
		t.Error("a recorder takes in under the door's own grant")
	}
	begun, err := x.begin(t.Context(), takeInQuestion{Grant: granted.Grant})
	l.must(err)
	if _, err := x.begin(t.Context(), takeInQuestion{Grant: stale}); err == nil {
		t.Error("a recorder takes in under an old grant")
	}
	if _, err := x.begin(t.Context(), takeInQuestion{Grant: early}); err == nil {
		t.Error("a recorder takes in under a grant of tomorrow")
	}
	begun, err = x.begin(t.Context(), takeInQuestion{Grant: granted.Grant})
	l.must(err)
	for name, q := range map[string]takerQuestion{
		"the door's own grant":          {forged, begun.Statement},
		"an old grant":                  {stale, begun.Statement},
		"a grant of tomorrow":           {early, begun.Statement},
		"of another hearing":            {another, begun.Statement},
		"a page":                        {granted.Grant, l.terminal.member.Statement},
		"a recorder that was in a room": {granted.Grant, l.w.Recorder.Statement},
		"no statement":                  {granted.Grant, "x"},
	} {
		if out, err := l.a.admitTaker(q); err == nil || out.Admission != "" {
			t.Errorf("%s: admitted", name)
		}
	}
	// Nor is anybody let into a room by that rule, or by another one who takes in.
	for name, q := range map[string]admitFacts{
		"by the rule of a grant":           {Statement: l.w.Recorder.Statement, Rule: backup.RuleOf(granted.Grant)},
		"who takes in, by a room's rule":   {Statement: begun.Statement, Rule: "recorder"},
		"who takes in, by its grant's own": {Statement: begun.Statement, Rule: backup.RuleOf(granted.Grant)},
	} {
		if _, err := l.a.admit(t.Context(), q); !errors.Is(err, problem.New(problem.CodeStatementInvalid, "")) {
			t.Errorf("let into a room %s: %v", name, err)
		}
	}
	if _, err := l.a.admit(t.Context(), admitFacts{Statement: l.w.Recorder.Statement, Rule: "recorder"}); err != nil {
		t.Errorf("a recorder of a room is refused: %v", err)
	}
	// What is not of this taking, and what comes out of order, is refused.
	for name, p := range map[string]backupPiece{
		"of another hearing": {Hearing: interview.NewHearingID(), Data: []byte("x")},
		"not the first":      {Hearing: l.w.Hearing, Offset: 5, Data: []byte("x")},
		"a file too far":     {Hearing: l.w.Hearing, File: 1, Data: []byte("x")},
	} {
		if err := x.put(p); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	// A file that is no back-up leaves nothing.
	l.must(x.put(backupPiece{Hearing: l.w.Hearing, Data: []byte("no back-up at all")}))
	if _, err := x.end(t.Context(), takenQuestion{Hearing: l.w.Hearing, Admission: "x"}); err == nil {
		t.Error("rubbish was taken in")
	}
	waiting, _ := filepath.Glob(filepath.Join(x.folder, waitingPattern))
	journals, _ := filepath.Glob(filepath.Join(x.folder, "hrg_*"))
	if len(waiting)+len(journals) != 0 {
		t.Errorf("left: %v %v", waiting, journals)
	}
}

// H5: a recorder looks for itself whether authority admitted this very taking: each
// thing that the admission needs, left out, and nothing is taken in.
func TestARecorderVerifiesItsAdmissionToTakeIn(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	b := l.bundle()
	granted, err := l.ask(b, l.question(b))
	l.must(err)
	for name, c := range map[string]struct {
		change func(x *takingIn, a *sealing.Admission) (key *ecdsa.PrivateKey)
		good   bool
	}{
		"as authority gives it": {func(*takingIn, *sealing.Admission) *ecdsa.PrivateKey { return nil }, true},
		"signed by another key": {func(*takingIn, *sealing.Admission) *ecdsa.PrivateKey { return testKey(t) }, false},
		"of another hearing": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Hearing = interview.NewHearingID()
			return nil
		}, false},
		"of another member": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Member = interview.NewMemberID()
			return nil
		}, false},
		"of another statement": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Statement = jws.Hash(l.w.Recorder.Statement)
			return nil
		}, false},
		"of a page": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Kind = sealing.KindPage
			return nil
		}, false},
		"with a seat": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Seats = []sealing.AdmittedSeat{l.terminal.member.Seat}
			return nil
		}, false},
		"by a room's rule": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Rule = "recorder"
			return nil
		}, false},
		"under another grant": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.Rule = backup.RuleOf("another")
			return nil
		}, false},
		"expired": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.IssuedAt, a.ExpiresAt = a.IssuedAt-120, a.IssuedAt-60
			return nil
		}, false},
		"of tomorrow": {func(_ *takingIn, a *sealing.Admission) *ecdsa.PrivateKey {
			a.IssuedAt, a.ExpiresAt = a.IssuedAt+86_400, a.ExpiresAt+86_400
			return nil
		}, false},
		"begun too long ago": {func(x *takingIn, _ *sealing.Admission) *ecdsa.PrivateKey {
			x.now.until = time.Now().Add(-time.Second)
			return nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x, _ := l.taking()
			begun, err := x.begin(t.Context(), takeInQuestion{Grant: granted.Grant})
			l.must(err)
			l.bring(x, begun.Statement)
			good, err := l.a.admitTaker(takerQuestion{Grant: granted.Grant, Statement: begun.Statement})
			l.must(err)
			var a sealing.Admission
			l.must(jws.Peek(good.Admission, sealing.TypeAdmission, &a))
			key := c.change(x, &a)
			if key == nil {
				key = l.w.StatementKey
			}
			text, err := jws.Sign(a, sealing.TypeAdmission, key)
			l.must(err)
			out, err := x.end(t.Context(), takenQuestion{Hearing: l.w.Hearing, Admission: text})
			if c.good {
				l.must(err)
				return
			}
			if doc := problem.Of(err); doc.Code != problem.CodeForbidden || doc.Rule != "backup-admission" {
				t.Errorf("%v", err)
			}
			left, err := filepath.Glob(filepath.Join(x.folder, "hrg_*"))
			l.must(err)
			if len(out.Taken.Recordings)+len(left) != 0 {
				t.Errorf("taken in: %+v, %v", out, left)
			}
		})
	}
}

// Authority seals neither release nor grant as a mere record (H5).
func TestNoReleaseIsSealedOnTheDoorsWord(t *testing.T) {
	t.Parallel()
	a := &authority{sealing: testKey(t)}
	for _, typ := range []string{backup.TypeRelease, backup.TypeGrant, backup.TypeTaken, backup.TypeHoldings} {
		if out, err := a.seal(sealQuestion{Type: typ, Payload: []byte(`{}`)}); !errors.Is(err, problem.New(problem.CodeForbidden, "")) || out.Message != "" {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// Who asks again gets the answer of the work that was begun, once.
func TestALongTaskIsBegunOnce(t *testing.T) {
	t.Parallel()
	var task longTask[int]
	var begun atomic.Int64
	release := make(chan struct{})
	work := func() (int, error) {
		<-release
		return int(begun.Add(1)), nil
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := task.ask(gone, "a", work); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(release)
	if out, pending, err := task.ask(t.Context(), "a", work); err != nil || pending || out != 1 {
		t.Fatalf("%d %t %v", out, pending, err)
	}
	if out, _, err := task.ask(t.Context(), "b", work); err != nil || out != 2 {
		t.Fatalf("%d %v", out, err)
	}
}
