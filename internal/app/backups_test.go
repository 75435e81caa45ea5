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
	"reflect"
	"slices"
	"strings"
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
	office   *ecdsa.PrivateKey
	chair    *journaltest.Member
	terminal terminal // the applicant's
	second   terminal // the interpreter's
	roster   string
}

// terminal is a page whose agent keeps a back-up.
type terminal struct {
	member *journaltest.Member
	place  int // on the roster
	file   []byte
}

func (x terminal) device() interview.DeviceID { return pagesDevice(x.member) }

func pagesDevice(m *journaltest.Member) interview.DeviceID {
	var st sealing.Statement
	if err := jws.Peek(m.Statement, sealing.TypeStatement, &st); err != nil {
		panic(err)
	}
	return st.Device
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
	l := &lost{t: t, w: w, escrow: testKey(t), office: testKey(t), held: map[string][]backup.Held{}}
	file := w.Trust()
	var err error
	file.BackupKey, err = trust.EncodeKey(l.escrow.Public())
	l.must(err)
	file.OfficeKey, err = trust.EncodeKey(l.office.Public())
	l.must(err)
	members, err := sealing.NewTrust(file)
	l.must(err)
	l.a = &authority{sealing: w.Sealing, statement: w.StatementKey, trust: members}
	l.judge = &backupJudge{folder: t.TempDir(), trust: file, office: l.office.Public(), roots: members.Recorders, keepers: []string{"1", "2"}, now: func() time.Time { return w.Now }}
	chair, speaker, other := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant), w.Member(interview.RoleInterpreter)
	back := []*journaltest.Member{w.Member(""), w.Member("")}
	second := w.Member("")
	l.roster = w.Roster(chair, 1, chair, speaker, w.Recorder, second, back[0], back[1], other)
	l.chair, l.terminal, l.second = chair, terminal{member: speaker, place: 1}, terminal{member: other, place: 6}
	l.content = evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now, Rosters: []string{l.roster},
		Phases: []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}, {Phase: interview.PhaseEnded, Since: 4_000_000}},
	}
	for _, m := range append([]*journaltest.Member{chair, speaker, w.Recorder, second, other}, back...) {
		l.content.Statements, l.content.Admissions = append(l.content.Statements, m.Statement), append(l.content.Admissions, m.Admission)
	}
	for i, rec := range []*journaltest.Member{w.Recorder, second} {
		keeper := l.judge.keepers[i]
		first, after := w.Life(t, rec, nil, 0, 2_000_000)
		again, tail := w.Life(t, back[i], after, 2_400_000, 4_000_000)
		l.keep(keeper, after, first)
		l.keep(keeper, tail, again)
	}
	l.terminal.file, l.second.file = l.backup(l.terminal, 200), l.backup(l.second, 200)
	return l
}

// keep puts a journal on a recorder's disk and into the bundle.
func (l *lost) keep(keeper string, tail *journal.After, file string) {
	l.held[keeper] = append(l.held[keeper], backup.Held{Recording: tail.Recording, Seq: tail.Seq, Head: tail.Head})
	l.content.Journals = append(l.content.Journals, []evidence.Blob{{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }}})
}

// backup is what a terminal's agent kept of its page: so many packets of sound, of
// 20 ms each.
func (l *lost) backup(of terminal, packets interview.Micros) []byte {
	to, err := backup.Recipient(l.judge.trust)
	l.must(err)
	m := of.member
	c := &backup.Chunk{
		V: 1, Hearing: l.w.Hearing, Group: l.w.Group, Member: m.Member(), Epoch: 1, Statement: m.Statement, Roster: l.roster,
		Recorder: l.w.Recorder.Admission, Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{},
	}
	s := l.w.Sender(m, 1, of.place, 0, interview.SourceAudio)
	key, err := c.SealKey(to, backup.Key{Track: s.Track, Source: s.Source, KID: s.KID}, s.Key)
	l.must(err)
	c.Keys = append(c.Keys, key)
	for n := range packets {
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

// H5: a back-up goes only where nothing is missing that its device can have, or
// where what is was taken in from it; any one thing keeps it.
func TestBackupsGoOnlyWhereNothingIsMissing(t *testing.T) {
	t.Parallel()
	recorded := coverage.Span{From: 0, To: 10, Phase: interview.PhaseOnRecord, State: coverage.Recorded}
	paused := coverage.Span{From: 10, To: 20, Phase: interview.PhasePaused, State: coverage.OffRecord}
	missing := coverage.Span{From: 20, To: 30, Phase: interview.PhaseOnRecord, State: coverage.Missing}
	taken := coverage.Span{From: 20, To: 30, Phase: interview.PhaseOnRecord, State: coverage.Backup}
	ours, other := interview.NewDeviceID(), interview.NewDeviceID()
	first, reloaded, others := interview.NewMemberID(), interview.NewMemberID(), interview.NewMemberID()
	pages := []evidence.Page{{Member: first, Device: ours}, {Member: reloaded, Device: ours, Since: 25}, {Member: others, Device: other}}
	silent := []interview.MemberID{interview.NewMemberID()}
	from := func(start, end interview.Micros, gaps []journal.Gap, of ...interview.MemberID) evidence.RecordingReport {
		return evidence.RecordingReport{Recording: evidence.Recording{From: start, To: end}, Gaps: gaps, Backup: &evidence.BackupReport{Members: of}}
	}
	hole := func(start, end interview.Micros) []journal.Gap {
		return []journal.Gap{{Cause: journal.CauseNotReceived, From: start, To: end}}
	}
	all := func(spans ...coverage.Span) coverage.Report { return coverage.Report{Spans: spans} }
	for name, c := range map[string]struct {
		report evidence.Report
		loss   backup.Loss
		goes   bool
	}{
		"everything is recorded":      {evidence.Report{Coverage: all(recorded, paused)}, backup.Loss{}, true},
		"something is not":            {evidence.Report{Coverage: all(recorded, paused, missing)}, backup.Loss{}, false},
		"it was taken in":             {evidence.Report{Coverage: all(recorded, taken), Recordings: []evidence.RecordingReport{from(19, 31, nil, first)}}, backup.Loss{}, true},
		"by two pages of the device":  {evidence.Report{Coverage: all(recorded, taken), Recordings: []evidence.RecordingReport{from(19, 31, hole(24, 31), first), from(19, 31, hole(19, 24), reloaded)}}, backup.Loss{}, true},
		"from another device":         {evidence.Report{Coverage: all(recorded, taken), Recordings: []evidence.RecordingReport{from(19, 31, nil, others)}}, backup.Loss{}, false},
		"of which nobody tells whose": {evidence.Report{Coverage: all(recorded, taken), Recordings: []evidence.RecordingReport{from(19, 31, nil, first, others)}}, backup.Loss{}, false},
		"only half of it":             {evidence.Report{Coverage: all(recorded, taken), Recordings: []evidence.RecordingReport{from(19, 25, nil, first)}}, backup.Loss{}, false},
		"but for a hole":              {evidence.Report{Coverage: all(recorded, taken), Recordings: []evidence.RecordingReport{from(19, 31, hole(24, 26), first)}}, backup.Loss{}, false},
		"a recorder left nothing":     {evidence.Report{Coverage: all(recorded), Silent: silent}, backup.Loss{}, false},
		"and the back-up is here":     {evidence.Report{Coverage: all(recorded, taken), Silent: silent, Recordings: []evidence.RecordingReport{from(19, 31, nil, first)}}, backup.Loss{}, true},
		"and another's back-up is":    {evidence.Report{Coverage: all(recorded), Silent: silent, Recordings: []evidence.RecordingReport{from(19, 31, nil, others)}}, backup.Loss{}, false},
		"and the office says why":     {evidence.Report{Coverage: all(recorded), Silent: silent}, backup.Loss{Recorders: silent}, true},
		"of another the office does":  {evidence.Report{Coverage: all(recorded), Silent: silent}, backup.Loss{Recorders: []interview.MemberID{first}}, false},
		"the office explains a recorder, and something is missing": {evidence.Report{Coverage: all(recorded, missing), Silent: silent}, backup.Loss{Recorders: silent}, false},
		"the office says it is lost":                               {evidence.Report{Coverage: all(recorded, missing), Disputed: []string{"told otherwise"}}, backup.Loss{Devices: []interview.DeviceID{ours}}, true},
		"the office says another is":                               {evidence.Report{Coverage: all(recorded, missing)}, backup.Loss{Devices: []interview.DeviceID{other}}, false},
		"journals dispute the phase":                               {evidence.Report{Coverage: all(recorded, paused), Disputed: []string{"told otherwise"}}, backup.Loss{}, false},
	} {
		c.report.Pages = pages
		got := judged(c.report, c.loss)
		wanted := slices.ContainsFunc(got.Wanted, func(w wantedBackup) bool { return w.Device == ours })
		if slices.Contains(got.Released, ours) != c.goes || wanted == c.goes || got.Release != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Who came after what is missing has nothing of it; who was never in the room is
	// not named at all.
	late := evidence.Report{Coverage: all(recorded, missing), Pages: []evidence.Page{{Member: first, Device: ours, Since: 30}, {Member: others, Device: other, Since: 29}}}
	if got := judged(late, backup.Loss{}); !slices.Equal(got.Released, []interview.DeviceID{ours}) || len(got.Wanted) != 1 || !slices.Equal(got.Wanted[0].Spans, []backup.Span{{From: 29, To: 30}}) {
		t.Errorf("late: %+v", got)
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
func (l *lost) bring(x *takingIn, statement string, files ...[]byte) {
	l.t.Helper()
	var st sealing.Statement
	l.must(jws.Peek(statement, sealing.TypeStatement, &st))
	to, err := backup.KeyOf(st)
	l.must(err)
	own, err := backup.PrivateKey(l.escrow)
	l.must(err)
	for n, file := range files {
		var out bytes.Buffer
		l.must(backup.Readdress(&out, bytes.NewReader(file), l.w.Hearing, own, to))
		if bytes.Contains(file, out.Bytes()[100:140]) {
			l.t.Fatal("it was not sealed anew")
		}
		l.must(inPieces(&out, func(at int64, b []byte) error {
			return x.put(backupPiece{Hearing: l.w.Hearing, File: n, Offset: at, Data: b})
		}))
	}
}

// takeIn is a whole taking in of what these terminals kept; what comes of it is in
// the next bundle.
func (l *lost) takeIn(x *takingIn, files ...[]byte) takenAnswer {
	l.t.Helper()
	b := l.bundle()
	granted, err := l.ask(b, l.question(b))
	l.must(err)
	begun, err := x.begin(l.t.Context(), takeInQuestion{Grant: granted.Grant})
	l.must(err)
	admitted, err := l.a.admitTaker(takerQuestion{Grant: granted.Grant, Statement: begun.Statement})
	l.must(err)
	l.bring(x, begun.Statement, files...)
	out, err := x.end(l.t.Context(), takenQuestion{Hearing: l.w.Hearing, Admission: admitted.Admission})
	l.must(err)
	said, err := x.rec.Takings(l.w.Hearing)
	l.must(err)
	l.content.Grants, l.content.Taken = append(l.content.Grants, granted.Grant), said
	l.content.Statements, l.content.Admissions = append(l.content.Statements, begun.Statement), append(l.content.Admissions, admitted.Admission)
	stored, err := x.rec.Files(l.w.Hearing)
	l.must(err)
	for _, h := range out.Heads {
		var blobs []evidence.Blob
		for _, f := range stored {
			if f.Recording != h.Recording {
				continue
			}
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
	}
	l.held["1"] = append(l.held["1"], out.Heads...)
	return out
}

// settle has what is there judged, with the office's word where there is one.
func (l *lost) settle(loss string) (judgeAnswer, backup.Release) {
	l.t.Helper()
	b := l.bundle()
	q := l.question(b)
	q.Loss = loss
	out, err := l.ask(b, q)
	l.must(err)
	var r backup.Release
	if out.Release != "" {
		r, err = backup.VerifyRelease(out.Release, l.w.Sealing.Public())
		l.must(err)
		if r.Hearing != l.w.Hearing || !slices.Equal(r.Devices, out.Released) {
			l.t.Fatalf("%+v", r)
		}
	}
	return out, r
}

// H5: both recorders failed, and the back-up was handed in: granted, taken in,
// part of the evidence, released. A terminal whose back-up was not handed in keeps
// it, until it is.
func TestTheGrantingCase(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	x, ring := l.taking()
	out := l.takeIn(x, l.terminal.file)
	if len(out.Taken.Recordings) != 1 || out.Taken.Kept != 95 || len(out.Heads) != 1 || len(ring.Keys) != 1 {
		t.Fatalf("%+v", out)
	}
	b := l.bundle()
	r, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), l.judge.trust, evidence.Options{})
	l.must(err)
	if r.Coverage.Missing != 0 || r.Coverage.Backup != 400_000 {
		t.Fatalf("%+v", r.Coverage)
	}
	settled, release := l.settle("")
	wanted := []wantedBackup{
		{pagesDevice(l.chair), []backup.Span{{From: 2_000_000, To: 2_400_000}}},
		{l.second.device(), []backup.Span{{From: 2_000_000, To: 2_400_000}}},
	}
	if !slices.Equal(release.Devices, []interview.DeviceID{l.terminal.device()}) || !reflect.DeepEqual(settled.Wanted, wanted) || settled.Grant == "" {
		t.Fatalf("one of two terminals brought: %+v", settled)
	}
	if out = l.takeIn(x, l.second.file); out.Taken.Kept != 95 || len(out.Taken.Recordings) != 1 {
		t.Fatalf("%+v", out)
	}
	if settled, release = l.settle(""); !release.Names(l.terminal.device()) || !release.Names(l.second.device()) || release.Names(pagesDevice(l.chair)) {
		t.Fatalf("both brought: %+v", settled)
	}
	if left, _ := filepath.Glob(filepath.Join(x.folder, "taking-in-*")); len(left) != 0 {
		t.Errorf("what was brought lies on: %v", left)
	}
}

// H5: both terminals at once; a back-up that was brought in part only keeps its
// terminal's, and no other's.
func TestABackupThatIsCutKeepsItsTerminal(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	x, _ := l.taking()
	if out := l.takeIn(x, l.terminal.file, l.backup(l.second, 110)); len(out.Taken.Recordings) != 2 {
		t.Fatalf("%+v", out)
	}
	settled, release := l.settle("")
	if !slices.Equal(release.Devices, []interview.DeviceID{l.terminal.device()}) {
		t.Fatalf("%+v", settled)
	}
	i := slices.IndexFunc(settled.Wanted, func(w wantedBackup) bool { return w.Device == l.second.device() })
	if i < 0 || !slices.Equal(settled.Wanted[i].Spans, []backup.Span{{From: 2_180_000, To: 2_400_000}}) {
		t.Fatalf("%+v", settled.Wanted)
	}
}

// H5: where the disks of all recorders are gone, everything that was on record is
// taken in, under the same proof: each recorder signs that it has nothing. The office
// still has to say that what those recorders had is not to be had, for a terminal
// whose own back-up was not brought.
func TestEveryRecorderLostEverything(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	l.content.Journals, l.held = nil, map[string][]backup.Held{}
	if settled, _ := l.settle(""); settled.Release != "" || settled.Grant == "" || len(settled.Silent) != 4 || settled.Length != 4_000_000 {
		t.Fatalf("%+v", settled)
	}
	x, _ := l.taking()
	if out := l.takeIn(x, l.terminal.file); out.Taken.Kept != 200 {
		t.Fatalf("%+v", out)
	}
	settled, release := l.settle("")
	if !slices.Equal(release.Devices, []interview.DeviceID{l.terminal.device()}) || len(settled.Wanted) != 2 {
		t.Fatalf("%+v", settled)
	}
}

// A hearing that was on record and of which nobody has anything gets a bundle that
// says so; one that never was gets none, nor does one whose recorder does not answer.
func TestABundleWithoutJournals(t *testing.T) {
	t.Parallel()
	none := problem.New(problem.CodeNotFound, "nothing was recorded")
	on := []journal.Phase{{Phase: interview.PhaseWaiting}, {Phase: interview.PhaseOnRecord}, {Phase: interview.PhaseEnded}}
	if !lostAll(none, on) {
		t.Error("a hearing whose recordings are all gone gets no bundle")
	}
	if lostAll(none, on[:1]) {
		t.Error("a hearing that was never on record gets a bundle")
	}
	if lostAll(problem.New(problem.CodeUnavailable, "no answer"), on) {
		t.Error("a recorder that does not answer is passed over")
	}
}

// H5: the security office can say that a terminal's back-up, or what a recorder had,
// is not to be had: under its own key, on this hearing, with a reason. Nothing else
// takes its place, and it moves nothing that it does not name.
func TestTheOfficeSaysWhatIsNotToBeHad(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	good := backup.Loss{V: 1, Hearing: l.w.Hearing, Devices: []interview.DeviceID{l.second.device()}, Recorders: []interview.MemberID{}, Reason: "its disk broke", At: l.w.Now.Unix()}
	for name, change := range map[string]func(x *backup.Loss) *ecdsa.PrivateKey{
		"signed by authority's own key": func(*backup.Loss) *ecdsa.PrivateKey { return l.w.Sealing },
		"signed by the door":            func(*backup.Loss) *ecdsa.PrivateKey { return testKey(t) },
		"of another hearing":            func(x *backup.Loss) *ecdsa.PrivateKey { x.Hearing = interview.NewHearingID(); return nil },
		"of no hearing":                 func(x *backup.Loss) *ecdsa.PrivateKey { x.Hearing = interview.HearingID{}; return nil },
		"of another version":            func(x *backup.Loss) *ecdsa.PrivateKey { x.V = 2; return nil },
		"without a reason":              func(x *backup.Loss) *ecdsa.PrivateKey { x.Reason = " "; return nil },
		"with too long a reason":        func(x *backup.Loss) *ecdsa.PrivateKey { x.Reason = strings.Repeat("x", backup.MaxReason+1); return nil },
		"that names nothing":            func(x *backup.Loss) *ecdsa.PrivateKey { x.Devices = nil; return nil },
		"of tomorrow":                   func(x *backup.Loss) *ecdsa.PrivateKey { x.At += 86_400; return nil },
	} {
		loss := good
		key := change(&loss)
		if key == nil {
			key = l.office
		}
		text, err := jws.Sign(loss, backup.TypeLoss, key)
		l.must(err)
		b := l.bundle()
		q := l.question(b)
		q.Loss = text
		out, err := l.ask(b, q)
		if doc := problem.Of(err); doc.Code != problem.CodeForbidden || doc.Rule != "backup-loss" || out.Release != "" {
			t.Errorf("%s: %v (%+v)", name, err, out)
		}
	}
	text, err := jws.Sign(good, backup.TypeLoss, l.office)
	l.must(err)
	settled, release := l.settle(text)
	if !slices.Equal(release.Devices, good.Devices) || release.Loss != jws.Hash(text) || len(settled.Wanted) != 2 || settled.Grant == "" {
		t.Fatalf("%+v", settled)
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
	if _, err := x.begin(t.Context(), takeInQuestion{Grant: stale}); err == nil {
		t.Error("a recorder takes in under an old grant")
	}
	if _, err := x.begin(t.Context(), takeInQuestion{Grant: early}); err == nil {
		t.Error("a recorder takes in under a grant of tomorrow")
	}
	begun, err := x.begin(t.Context(), takeInQuestion{Grant: granted.Grant})
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
	waiting, _ := filepath.Glob(filepath.Join(x.folder, "taking-in-*"))
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
			l.bring(x, begun.Statement, l.terminal.file)
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
