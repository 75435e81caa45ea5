package intake_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/opusred"
	"kuule/interview/record"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
	"kuule/recorder/coverage"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type sealer struct{ w *journaltest.World }

func (s sealer) SealEvidence(_ context.Context, m evidence.Manifest) (string, error) {
	return jws.Sign(m, evidence.TypeEvidence, s.w.Sealing)
}

// blobs are a journal's files.
func blobs(t testing.TB, files ...string) []evidence.Blob {
	t.Helper()
	var out []evidence.Blob
	for _, file := range files {
		out = append(out, evidence.Blob{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }})
	}
	return out
}

// scene is a hearing whose one recorder failed from 2 to 2.4 s, on record from 0
// to 4 s, and the back-up key.
type scene struct {
	t              testing.TB
	w              *journaltest.World
	trust          *trust.File
	own            hpke.PrivateKey
	to             hpke.PublicKey
	chair, speaker *journaltest.Member
	roster         string
	content        evidence.Content
	first, then    func(*intake.Evidence) // before and after the file is read
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, w: journaltest.New(t)}
	w := s.w
	escrow := sealingtest.NewKey(t)
	var err error
	s.own, err = backup.PrivateKey(escrow)
	must(t, err)
	s.trust = w.Trust()
	s.trust.BackupKey = encode(t, escrow)
	s.to, err = backup.Recipient(s.trust)
	must(t, err)
	s.chair, s.speaker = w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant)
	again := w.Member("")
	s.roster = w.Roster(s.chair, 1, s.chair, s.speaker, w.Recorder, again)
	first, after := w.Life(t, w.Recorder, nil, 0, 2_000_000)
	second, _ := w.Life(t, again, after, 2_400_000, 4_000_000)
	r, err := jws.Sign(record.Record{V: 1, ID: interview.NewRecordID(), Hearing: w.Hearing, Case: w.Case, Version: 1, Content: "x", Rule: "2", SealedAt: 1}, record.Type, w.Sealing)
	must(t, err)
	s.content = evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now, Rosters: []string{s.roster}, Records: []string{r},
		Statements: []string{s.chair.Statement, s.speaker.Statement, w.Recorder.Statement, again.Statement},
		Admissions: []string{s.chair.Admission, s.speaker.Admission, w.Recorder.Admission, again.Admission},
		Phases:     []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}},
		Journals:   [][]evidence.Blob{blobs(t, first), blobs(t, second)},
	}
	return s
}

func (s *scene) bundle(c evidence.Content) []byte {
	s.t.Helper()
	var b bytes.Buffer
	must(s.t, evidence.Build(s.t.Context(), &b, c, sealer{s.w}))
	return b.Bytes()
}

// evidence is the hearing as it was left.
func (s *scene) evidence() *intake.Evidence {
	s.t.Helper()
	b := s.bundle(s.content)
	e, err := intake.Open(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{})
	must(s.t, err)
	return e
}

func (s *scene) chunk(roster string) *backup.Chunk {
	return &backup.Chunk{
		V: 1, Hearing: s.w.Hearing, Group: s.w.Group, Member: s.speaker.Member(), Epoch: 1, Statement: s.speaker.Statement, Roster: roster,
		Recorder: s.w.Recorder.Admission, Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{},
	}
}

// sender is a track whose key is in the chunk.
func (s *scene) sender(c *backup.Chunk, number int, source interview.Source) *journaltest.Sender {
	s.t.Helper()
	x := s.w.Sender(s.speaker, 1, 1, number, source)
	key, err := c.SealKey(s.to, backup.Key{Track: x.Track, Source: x.Source, KID: x.KID}, x.Key)
	must(s.t, err)
	c.Keys = append(c.Keys, key)
	return x
}

func add(c *backup.Chunk, frames ...journal.Frame) {
	for _, f := range frames {
		c.Frames = append(c.Frames, backup.Frame{Track: f.Track, At: f.Capture, Sealed: base64.RawURLEncoding.EncodeToString(f.Sealed)})
	}
}

func (s *scene) file(chunks ...*backup.Chunk) []byte {
	s.t.Helper()
	file := backup.Magic()
	for n, c := range chunks {
		sealed, err := c.Seal(s.to, int64(n))
		must(s.t, err)
		file = append(file, sealed...)
	}
	return file
}

func (s *scene) read(e *intake.Evidence, take func(intake.Frame) error, chunks ...*backup.Chunk) (intake.Report, error) {
	file := s.file(chunks...)
	return e.Read(s.t.Context(), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }, s.own, s.trust, take)
}

// H5: of the terminal's back-up that is taken in which no recorder has, with what
// may have been on its way to one; what recorders have is left, what its sender
// did not sign for is not believed, and who was not in the room is refused.
func TestOnlyWhatNoRecorderHasIsTakenIn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	// Another device's page gives itself the speaker's name; it was not admitted.
	var named sealing.Statement
	must(t, jws.Peek(s.chair.Statement, sealing.TypeStatement, &named))
	named.Member = s.speaker.Member()
	device := sealingtest.NewKey(t)
	impostor, err := sealing.SignWith(device, s.w.DeviceCA.Issue(t, named.Device.String(), device))(named)
	must(t, err)
	s.content.Statements = append(s.content.Statements, impostor)

	c := s.chunk(s.roster)
	voice := s.sender(c, 0, interview.SourceAudio)
	for n := range interview.Micros(200) { // four seconds
		add(c, voice.Seal(n*20_000, false, []byte("said")))
	}
	c.Origins = append(c.Origins, voice.Origin())
	add(c, voice.Seal(2_100_000, false, []byte("on no list")))
	counted := func(e *intake.Evidence, chunks ...*backup.Chunk) (intake.Report, int, error) {
		taken := 0
		report, err := s.read(e, func(f intake.Frame) error {
			if f.Capture < 1_500_000 || f.Capture >= 3_400_000 || string(f.Codec) != "said" || f.Member != s.speaker.Member() {
				t.Errorf("taken in: %+v", f)
			}
			taken++
			return nil
		}, chunks...)
		return report, taken, err
	}
	report, taken, err := counted(s.evidence(), c)
	must(t, err)
	if taken != 95 || report.Taken != 95 || report.Had != 105 || report.Unsure != 1 || report.Missing != 1_900_000 || report.From != 1_500_000 || report.To != 3_380_000 {
		t.Fatalf("%d taken: %+v", taken, report)
	}
	// Handed in twice it counts once.
	e := s.evidence()
	if _, taken, err = counted(e, c); err != nil || taken != 95 {
		t.Fatalf("%d taken, %v", taken, err)
	}
	if again, taken, err := counted(e, c); err != nil || taken != 0 || again.Had != 200 {
		t.Fatalf("a second time %d taken, %+v, %v", taken, again, err)
	}
	// Sound that was packed with copies of what came before it is taken in as
	// what it is.
	packed := s.chunk(s.roster)
	twice := s.sender(packed, 1, interview.SourceAudio)
	twice.Redundant = true
	add(packed, twice.Seal(2_000_000, false, opusred.Append(nil, opusred.Block{Ago: 960, Opus: []byte("before")}, opusred.Block{Opus: []byte("said")})),
		twice.Seal(2_020_000, false, []byte("no payload")))
	packed.Origins = append(packed.Origins, twice.Origin())
	if report, taken, err := counted(s.evidence(), packed); err != nil || taken != 1 || report.Unsure != 1 {
		t.Fatalf("packed twice: %d taken, %+v, %v", taken, report, err)
	}
	for name, change := range map[string]func(c *backup.Chunk){
		"a statement that was not admitted": func(c *backup.Chunk) { c.Statement = impostor },
		"a roster that the room never had": func(c *backup.Chunk) {
			c.Roster, c.Epoch = s.w.Roster(s.chair, 2, s.chair, s.speaker, s.w.Recorder), 2
			c.Keys, c.Frames, c.Origins = []backup.Key{}, []backup.Frame{}, []string{}
		},
		"another's statement": func(c *backup.Chunk) { c.Statement = s.chair.Statement },
	} {
		other := *c
		change(&other)
		if _, n, err := counted(s.evidence(), &other); !errors.Is(err, intake.ErrStranger) || n != 0 {
			t.Errorf("%s: %d taken, %v", name, n, err)
		}
	}
}

// H5: where recorders have everything, nothing is granted.
func TestNothingIsGrantedWhereNothingIsMissing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	whole, _ := s.w.Life(t, s.w.Recorder, nil, 0, 4_000_000)
	s.content.Journals = [][]evidence.Blob{blobs(t, whole)}
	if g, err := s.evidence().Grant(s.w.Now); !errors.Is(err, intake.ErrNothing) {
		t.Fatalf("granted: %+v, %v", g, err)
	}
}

// taking is a back-up that was taken in: the journals, and what goes into the
// bundle.
type taking struct {
	grant, said string
	member      *journaltest.Member
	taken       backup.Taken
	keys        map[interview.RecordingID]journal.DataKey
	folders     map[interview.RecordingID]string
}

// takeIn is the granting case with everybody's part in it.
func (s *scene) takeIn(chunks ...*backup.Chunk) taking {
	s.t.Helper()
	t := s.t
	g, err := s.evidence().Grant(s.w.Now)
	must(t, err)
	x := taking{member: s.w.Taker(), keys: map[interview.RecordingID]journal.DataKey{}, folders: map[interview.RecordingID]string{}}
	x.grant, err = jws.Sign(g, backup.TypeGrant, s.w.Sealing)
	must(t, err)
	s.admit(x.member, backup.RuleOf(x.grant))
	e := intake.Under(g)
	spool := intake.NewSpool(t.TempDir(), intake.DefaultLimits())
	defer func() { must(t, spool.Close()) }()
	kept, err := spool.Keep()
	must(t, err)
	if s.first != nil {
		s.first(e)
	}
	report, err := s.read(e, kept.Take, chunks...)
	must(t, err)
	if s.then != nil {
		s.then(e)
	}
	ring, root := &journaltest.Wrapper{}, t.TempDir()
	x.taken, x.said, err = e.Write(t.Context(), intake.Into{
		Grant: x.grant, Member: x.member.Member(), Statement: x.member.Statement, Admission: x.member.Admission, Signer: x.member.Signer(), Keys: ring,
		Disk: func(r interview.RecordingID) (journal.Disk, error) {
			x.folders[r] = filepath.Join(root, r.String())
			return journal.Directory(x.folders[r])
		},
		Now: func() time.Time { return s.w.Now },
	}, report, kept)
	must(t, err)
	for r := range x.folders {
		x.keys[r], err = journal.ParseDataKey(ring.Keys[journal.WrapContext(s.w.Hearing, r)])
		must(t, err)
	}
	return x
}

// admit gives a member another admission, by that rule.
func (s *scene) admit(m *journaltest.Member, rule string) {
	s.t.Helper()
	var err error
	m.Admission, err = jws.Sign(sealing.Admission{
		V: 1, Kind: sealing.KindRecorder, Hearing: s.w.Hearing, Member: m.Member(), Statement: jws.Hash(m.Statement), Seats: []sealing.AdmittedSeat{},
		Rule: rule, IssuedAt: s.w.Now.Unix(), ExpiresAt: s.w.Now.Add(time.Hour).Unix(),
	}, sealing.TypeAdmission, s.w.StatementKey)
	must(s.t, err)
}

// with is the evidence after the taking in.
func (s *scene) with(x taking) evidence.Content {
	c := s.content
	c.Grants, c.Taken = []string{x.grant}, []string{x.said}
	c.Statements = append(slices.Clone(c.Statements), x.member.Statement)
	c.Admissions = append(slices.Clone(c.Admissions), x.member.Admission)
	c.Journals = slices.Clone(c.Journals)
	for _, r := range x.taken.Recordings {
		files, err := filepath.Glob(filepath.Join(x.folders[r], "*.kj"))
		must(s.t, err)
		c.Journals = append(c.Journals, blobs(s.t, files...))
	}
	return c
}

// said is four seconds of the speaker, with a picture, but for a hole.
func (s *scene) said(holeFrom, holeTo interview.Micros) []*backup.Chunk {
	c := s.chunk(s.roster)
	voice, camera := s.sender(c, 0, interview.SourceAudio), s.sender(c, 1, interview.SourceVideo)
	for n := range interview.Micros(200) {
		f := voice.Seal(n*20_000, false, []byte{0xf8, 0xff, 0xfe})
		if f.Capture < holeFrom || f.Capture >= holeTo {
			add(c, f)
		}
		if n%5 == 0 { // VP8 key frames of 16 by 16 (RFC 6386 section 9.1)
			add(c, camera.Seal(n*20_000, true, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}))
		}
	}
	c.Origins = append(c.Origins, voice.Origin(), camera.Origin())
	return []*backup.Chunk{c}
}

// H5, H4: what was taken in is evidence as all else: the bundle verifies, with and
// without keys, says from where those seconds come and what even the back-up lacks,
// and they play.
func TestWhatWasTakenInIsEvidence(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	x := s.takeIn(s.said(2_200_000, 2_320_000)...)
	if len(x.taken.Recordings) != 1 || x.taken.Kept != 95-6+19 || x.taken.Unproved != 0 {
		t.Fatalf("%+v", x.taken)
	}
	b := s.bundle(s.with(x))
	for name, o := range map[string]evidence.Options{"sealed": {}, "opened": {Keys: x.keys}} {
		r, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, o)
		must(t, err)
		c := r.Coverage
		// Between the packets before and after the hole 140 ms have no sound.
		if c.Missing != 140_000 || c.Backup != 260_000 || c.Recorded+c.Backup+c.Missing != c.To-c.From || len(r.Taken) != 1 {
			t.Fatalf("%s: %d missing, %d from the back-up: %+v", name, c.Missing, c.Backup, c.Spans)
		}
		i := slices.IndexFunc(r.Recordings, func(r evidence.RecordingReport) bool { return r.Backup != nil })
		if i < 0 || !slices.Equal(r.Recordings[i].Backup.Roles, []interview.Role{interview.RoleApplicant}) {
			t.Fatalf("%s: nothing says whose back-up it was: %+v", name, r.Recordings)
		}
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "back-up of a room terminal (applicant)") }) {
			t.Errorf("%s: no note: %q", name, r.Notes)
		}
		if got := r.Recordings[i]; name == "opened" && (got.Attested != x.taken.Kept || got.Unattested != 0 || got.Keyless != 0) {
			t.Errorf("opened: %+v", got)
		}
	}
	rec := x.taken.Recordings[0]
	var files []playback.File
	paths, err := filepath.Glob(filepath.Join(x.folders[rec], "*.kj"))
	must(t, err)
	for _, p := range paths {
		f, err := os.Open(p)
		must(t, err)
		defer f.Close()
		st, err := f.Stat()
		must(t, err)
		files = append(files, playback.File{Name: filepath.Base(p), Size: st.Size(), ReaderAt: f})
	}
	p := playback.NewSession(playback.Recording{Key: x.keys[rec], Files: files})
	must(t, p.Survey(t.Context()))
	o, err := p.Outline()
	must(t, err)
	if len(o.Lanes) != 2 || o.Lanes[0].Frames+o.Lanes[1].Frames != x.taken.Kept || o.Keyless+o.Failed != 0 {
		t.Fatalf("%+v", o)
	}
	if want := []playback.Span{{From: 1_500_000, To: 3_400_000}}; !slices.Equal(o.Backups, want) {
		t.Errorf("without a recorder's journal beside it: %v", o.Backups)
	}
	for n, l := range o.Lanes {
		if seg, err := p.Segment(t.Context(), n, 2_000_000, 2_200_000, true); err != nil || len(seg.Data) == 0 {
			t.Errorf("%s does not play: %v", l.Name, err)
		}
	}
	// A second taking in of the same file would grant the same once more: what is
	// there twice counts once.
	again := s.content
	s.content = s.with(x)
	g, err := s.evidence().Grant(s.w.Now)
	must(t, err)
	if len(g.Spans) != 1 || g.Spans[0] != (backup.Span{From: 1_500_000, To: 3_400_000}) {
		t.Errorf("after the taking in: %+v", g.Spans)
	}
	s.content = again
}

// H5: nobody signs for the keys of a back-up. A second file that names another one
// for frames that were taken in already changes nothing: they open with their own.
func TestAKeyThatComesLaterSpoilsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	said := s.said(2_200_000, 2_320_000)
	s.then = func(e *intake.Evidence) {
		forged := s.chunk(s.roster)
		for _, k := range said[0].Keys {
			other, err := forged.SealKey(s.to, backup.Key{Track: k.Track, Source: k.Source, KID: k.KID}, bytes.Repeat([]byte{7}, 32))
			must(t, err)
			forged.Keys = append(forged.Keys, other)
		}
		if _, err := s.read(e, func(intake.Frame) error { return nil }, forged); err != nil {
			t.Fatalf("the forged file was not read: %v", err)
		}
	}
	x := s.takeIn(said...)
	b := s.bundle(s.with(x))
	r, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{Keys: x.keys})
	must(t, err)
	i := slices.IndexFunc(r.Recordings, func(r evidence.RecordingReport) bool { return r.Backup != nil })
	if i < 0 || r.Recordings[i].Attested != x.taken.Kept {
		t.Errorf("opened: %+v", r.Recordings)
	}
}

// H5: nor does a file that comes first: with another's true keys, which everybody
// in the room has, said to be of another track or source, and with wrong ones.
func TestAKeyThatComesFirstSpoilsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	said := s.said(2_200_000, 2_320_000)
	s.first = func(e *intake.Evidence) {
		forged := s.chunk(s.roster)
		name := func(k backup.Key, raw []byte) {
			k, err := forged.SealKey(s.to, backup.Key{Track: k.Track, Source: k.Source, KID: k.KID}, raw)
			must(t, err)
			forged.Keys = append(forged.Keys, k)
		}
		for _, k := range said[0].Keys {
			raw, err := said[0].OpenKey(s.own, k)
			must(t, err)
			other := map[interview.Source]interview.Source{interview.SourceAudio: interview.SourceVideo, interview.SourceVideo: interview.SourceAudio}[k.Source]
			name(backup.Key{Track: interview.NewTrackID(), Source: k.Source, KID: k.KID}, raw)
			name(backup.Key{Track: k.Track, Source: other, KID: k.KID}, raw)
			for n := range byte(6) {
				name(k, bytes.Repeat([]byte{n}, 32))
			}
		}
		if _, err := s.read(e, func(intake.Frame) error { return nil }, forged); err != nil {
			t.Fatalf("the forged file was not read: %v", err)
		}
	}
	if x := s.takeIn(said...); x.taken.Kept != 95-6+19 || x.taken.Unproved != 0 {
		t.Errorf("%+v", x.taken)
	}
}

// H5: each thing that a taking in needs, left out or made by another, is found and
// named.
func TestATakingInWithoutItsRightIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	x := s.takeIn(s.said(0, 0)...)
	sign := func(payload any, typ string, key *ecdsa.PrivateKey) string {
		text, err := jws.Sign(payload, typ, key)
		must(t, err)
		return text
	}
	g, err := backup.VerifyGrant(x.grant, s.w.Sealing.Public())
	must(t, err)
	for name, change := range map[string]func(c *evidence.Content){
		"no grant":        func(c *evidence.Content) { c.Grants = nil },
		"another's grant": func(c *evidence.Content) { c.Grants = []string{sign(g, backup.TypeGrant, sealingtest.NewKey(t))} },
		"another hearing's": func(c *evidence.Content) {
			h := g
			h.Hearing = interview.NewHearingID()
			c.Grants = []string{sign(h, backup.TypeGrant, s.w.Sealing)}
		},
		"a roster left out": func(c *evidence.Content) {
			h := g
			h.Rosters = []string{"x"}
			c.Grants = append(c.Grants, sign(h, backup.TypeGrant, s.w.Sealing))
		},
		"nothing says when": func(c *evidence.Content) { c.Taken = nil },
		"another says it":   func(c *evidence.Content) { c.Taken = []string{sign(x.taken, backup.TypeTaken, sealingtest.NewKey(t))} },
		"said by nobody here": func(c *evidence.Content) {
			y := x.taken
			y.Member = interview.NewMemberID()
			c.Taken = append(c.Taken, sign(y, backup.TypeTaken, sealingtest.NewKey(t)))
		},
		"a journal left out": func(c *evidence.Content) { c.Journals = c.Journals[:2] },
		"admitted to the room": func(c *evidence.Content) {
			m := *x.member
			s.admit(&m, "recorder")
			c.Admissions[len(c.Admissions)-1] = m.Admission
		},
		"admitted to the room, and nothing tells of a back-up": func(c *evidence.Content) {
			m := *x.member
			s.admit(&m, "recorder")
			c.Admissions[len(c.Admissions)-1], c.Grants, c.Taken = m.Admission, nil, nil
		},
		"admitted though it has a connection": func(c *evidence.Content) {
			m := s.w.Member("")
			s.admit(m, backup.RuleOf(x.grant))
			c.Statements, c.Admissions = append(slices.Clone(c.Statements), m.Statement), append(slices.Clone(c.Admissions), m.Admission)
		},
		"on a roster of a room": func(c *evidence.Content) {
			c.Rosters = append(slices.Clone(c.Rosters), s.w.Roster(s.chair, 3, s.chair, x.member))
		},
	} {
		c := s.with(x)
		change(&c)
		b := s.bundle(c)
		if _, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{}); err == nil {
			t.Errorf("%s: it verifies", name)
		} else if place := new(evidence.PlaceError); !errors.As(err, &place) || place.File == "" {
			t.Errorf("%s: %v names no place", name, err)
		}
	}
	// One that reaches out of what was granted.
	narrow := g
	narrow.Spans = []backup.Span{{From: 2_000_000, To: 2_100_000}}
	grant := sign(narrow, backup.TypeGrant, s.w.Sealing)
	c := s.with(x)
	m := *x.member
	s.admit(&m, backup.RuleOf(grant))
	said := x.taken
	said.Grant = jws.Hash(grant)
	text, err := jws.Sign(said, backup.TypeTaken, m.Signer())
	must(t, err)
	c.Grants, c.Taken, c.Admissions[len(c.Admissions)-1] = []string{grant}, []string{text}, m.Admission
	b := s.bundle(c)
	if _, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{}); !errors.Is(err, evidence.ErrBackup) {
		t.Errorf("out of what was granted: %v", err)
	}
}

// H4: the state of a span that was taken in is its own.
func TestTheTimeLineTellsTheBackupApart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	x := s.takeIn(s.said(0, 0)...)
	b := s.bundle(s.with(x))
	r, err := evidence.Verify(bytes.NewReader(b), int64(len(b)), s.trust, evidence.Options{})
	must(t, err)
	var states []coverage.State
	for _, span := range r.Coverage.Spans {
		states = append(states, span.State)
	}
	if !slices.Equal(states, []coverage.State{coverage.Recorded, coverage.Backup, coverage.Recorded}) || r.Coverage.Missing != 0 {
		t.Fatalf("%+v", r.Coverage.Spans)
	}
}

func encode(t testing.TB, k *ecdsa.PrivateKey) string {
	t.Helper()
	text, err := trust.EncodeKey(k.Public())
	must(t, err)
	return text
}
