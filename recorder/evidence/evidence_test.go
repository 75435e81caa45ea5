package evidence_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuule/internal/audit"
	"kuule/internal/audit/audittest"
	"kuule/internal/canon"
	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/record"
	"kuule/recorder/evidence"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
)

func TestMain(m *testing.M) {
	// A logger in the log's library flushes for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))
}

type sealer struct{ key crypto.Signer }

func (s sealer) SealEvidence(_ context.Context, m evidence.Manifest) (string, error) {
	return jws.Sign(m, evidence.TypeEvidence, s.key)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hearing is a small one: a roster, two people, five blocks, two versions.
type hearing struct {
	*journaltest.World
	content evidence.Content
	sender  *journaltest.Sender
	chair   *journaltest.Member
	other   *journaltest.Member
}

// change alters what the recorder gets before the journal is closed.
type change func(h *hearing, j *journal.Writer)

func hold(t testing.TB, changes ...change) *hearing {
	t.Helper()
	w := journaltest.New(t)
	h := &hearing{World: w, chair: w.Member(interview.RoleInterviewer), other: w.Member(interview.RoleApplicant)}
	path := t.TempDir() + "/rec"
	disk, err := journal.Directory(path)
	must(t, err)
	cfg := w.Config(disk)
	cfg.Interval, cfg.RotateAt = time.Hour, 8<<10
	j, err := journal.Create(cfg)
	must(t, err)
	roster := w.Roster(h.chair, 10, h.chair, h.other, w.Recorder)
	h.sender = w.Sender(h.other, 1, 1, 0, interview.SourceAudio)
	add := func(e journal.Entry, err error) {
		t.Helper()
		must(t, err)
		must(t, j.AddEntry(e))
	}
	add(journal.NewSigned(journal.EntryAdmission, 5, h.other.Admission))
	add(journal.NewSigned(journal.EntryRoster, 10, roster))
	add(journal.NewSenderKeyEntry(11, h.sender.SenderKey()))
	for i := range 6 {
		for k := range 3 {
			must(t, j.Append(h.sender.Seal(interview.Micros(i*3+k)*20_000, false, bytes.Repeat([]byte{byte(k)}, 30))))
		}
		if i < 5 { // the last second's list was lost with the page
			add(journal.NewSigned(journal.EntryOrigin, interview.Micros(i)*60_000, h.sender.Origin()))
		}
		seq := j.Durable().Seq
		j.Flush()
		for end := time.Now().Add(30 * time.Second); j.Durable().Seq == seq; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no block")
			}
		}
	}
	for _, c := range changes {
		c(h, j)
	}
	must(t, j.Close("ended"))
	h.content = evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now,
		Statements: []string{h.chair.Statement, h.other.Statement, w.Recorder.Statement},
		Admissions: []string{h.chair.Admission, h.other.Admission, w.Recorder.Admission},
		Rosters:    []string{roster},
		Phases:     []journal.Phase{{Phase: interview.PhaseWaiting, Cause: interview.CauseOpened}, {Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer, Since: 9}},
		Audit:      []evidence.Blob{evidence.Bytes("proofs", []byte("proofs"))},
	}
	h.content.Records = h.records(t, w.Sealing)
	names, err := filepath.Glob(path + "/*.kj")
	must(t, err)
	var files []evidence.Blob
	for _, n := range names {
		files = append(files, evidence.Blob{Name: filepath.Base(n), Open: func() (io.ReadCloser, error) { return os.Open(n) }})
	}
	h.content.Journals = [][]evidence.Blob{files}
	return h
}

func (h *hearing) records(t testing.TB, key crypto.Signer) []string {
	t.Helper()
	var out []string
	prev := ""
	for n := 1; n <= 2; n++ {
		r := record.Record{V: 1, ID: interview.NewRecordID(), Hearing: h.Hearing, Case: h.Case, Version: int64(n), Previous: prev, Content: "x", Rule: "2", SealedAt: int64(n)}
		if n == 2 {
			r.Outcome = record.Confirmed
		}
		text, err := jws.Sign(r, record.Type, key)
		must(t, err)
		out, prev = append(out, text), jws.Hash(text)
	}
	return out
}

func (h *hearing) build(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, evidence.Build(context.Background(), &b, h.content, sealer{h.Sealing}))
	return b.Bytes()
}

func (h *hearing) options() evidence.Options {
	return evidence.Options{
		Keys: map[interview.RecordingID]journal.DataKey{h.Recording: h.Key},
		Log: func(_ *trust.File, _ evidence.Manifest, files map[string][]byte) (evidence.LogReport, error) {
			if string(files["proofs"]) != "proofs" {
				return evidence.LogReport{}, errors.New("proofs are wrong")
			}
			return evidence.LogReport{Entries: 1, Cosigned: []string{"counsel"}}, nil
		},
	}
}

func verify(b []byte, t *trust.File, o evidence.Options) (evidence.Report, error) {
	return evidence.Verify(bytes.NewReader(b), int64(len(b)), t, o)
}

func TestWholeBundleHolds(t *testing.T) {
	t.Parallel()
	h := hold(t)
	b := h.build(t)
	r, err := verify(b, h.Trust(), h.options())
	must(t, err)
	x := r.Recordings[0]
	if r.Members != 3 || r.Rosters != 1 || r.Records != 2 || r.AgencyOnly || x.Frames != 18 || x.Origins != 5 || !x.Open ||
		x.Attested != 15 || x.Unattested != 3 || x.Keyless != 0 || !x.Recording.Closed {
		t.Fatalf("report %+v", r)
	}
	if len(h.content.Journals[0]) < 2 {
		t.Fatal("one file only: the test needs two")
	}
	// The sealed bundle verifies without any key.
	if r, err = verify(b, h.Trust(), evidence.Options{Log: h.options().Log}); err != nil || r.Recordings[0].Open {
		t.Fatalf("sealed: %+v %v", r, err)
	}
	// Standard programs read it.
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	for _, f := range z.File {
		c, err := f.Open()
		must(t, err)
		_, err = io.Copy(io.Discard, c)
		must(t, err)
	}
}

// docs/recording-format.md: a sender's key may stand in a later block than its
// frames, and a list before them.
func TestKeysAndListsMayComeInAnyOrder(t *testing.T) {
	t.Parallel()
	h := hold(t, func(h *hearing, j *journal.Writer) {
		flush := func() {
			seq := j.Durable().Seq
			j.Flush()
			for end := time.Now().Add(30 * time.Second); j.Durable().Seq == seq; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("no block")
				}
			}
		}
		s := h.Sender(h.other, 1, 1, 1, interview.SourceVideo)
		early, late := s.Seal(400_000, true, []byte{0x10, 1}), s.Seal(440_000, false, []byte{0x11, 2})
		must(t, j.Append(early))
		flush()
		e, err := journal.NewSigned(journal.EntryOrigin, 450_000, s.Origin())
		must(t, err)
		must(t, j.AddEntry(e))
		flush()
		must(t, j.Append(late))
		e, err = journal.NewSenderKeyEntry(460_000, s.SenderKey())
		must(t, err)
		flush()
		must(t, j.AddEntry(e))
	})
	r, err := verify(h.build(t), h.Trust(), h.options())
	must(t, err)
	if x := r.Recordings[0]; x.Frames != 20 || x.Attested != 17 || x.Unattested != 3 || x.Keyless != 0 || x.Origins != 6 {
		t.Fatalf("report %+v", x)
	}
}

// A list that its sender did not sign is found where it is the last of its
// track, where it is the first, and where others that do hold come before and after.
func TestAListThatNobodySignedIsNamed(t *testing.T) {
	t.Parallel()
	for name, gap := range map[string]bool{"last": false, "before a list that was lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := int64(-1)
			h := hold(t, func(h *hearing, j *journal.Writer) {
				keep := func(text string) {
					e, err := journal.NewSigned(journal.EntryOrigin, 500_000, text)
					must(t, err)
					must(t, j.AddEntry(e))
					want++
				}
				h.sender.Seal(500_000, false, []byte{1})
				text := h.sender.Origin()
				cut := strings.LastIndexByte(text, '.')
				forged := make([]byte, 64)
				forged[0] = 1
				keep(text[:cut+1] + base64.RawURLEncoding.EncodeToString(forged))
				if gap {
					h.sender.Seal(520_000, false, []byte{1})
					h.sender.Origin() // lost
					h.sender.Seal(540_000, false, []byte{1})
					keep(h.sender.Origin())
				}
				want = j.Durable().Seq + 1
			})
			for _, o := range []evidence.Options{h.options(), {Log: h.options().Log}} {
				_, err := verify(h.build(t), h.Trust(), o)
				var p *evidence.PlaceError
				if !errors.As(err, &p) || !errors.Is(err, evidence.ErrOrigin) || p.Part != fmt.Sprintf("block %d", want) {
					t.Fatalf("%v, want block %d", err, want)
				}
			}
		})
	}
}

// Who has a sender's key can seal another frame under a counter. Beside the
// sender's own, it is found in whatever order they and their list stand.
func TestTwoFramesUnderOneCounterAreFound(t *testing.T) {
	t.Parallel()
	for name, forgedFirst := range map[string]bool{"forged first": true, "forged second": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hold(t, func(h *hearing, j *journal.Writer) {
				double := journaltest.Copy(h.sender)
				frames := []journal.Frame{h.sender.Seal(500_000, false, []byte{1}), double.Seal(500_000, false, []byte{2})}
				if forgedFirst {
					frames[0], frames[1] = frames[1], frames[0]
				}
				for _, f := range frames {
					must(t, j.Append(f))
				}
				e, err := journal.NewSigned(journal.EntryOrigin, 500_000, h.sender.Origin())
				must(t, err)
				must(t, j.AddEntry(e))
			})
			if _, err := verify(h.build(t), h.Trust(), h.options()); !errors.Is(err, evidence.ErrOrigin) {
				t.Fatal(err)
			}
		})
	}
}

func TestTheLogKnowsABlockOnce(t *testing.T) {
	t.Parallel()
	h := hold(t)
	head := h.blockHash(t, 2)
	for _, heads := range [][]string{{head, head}, {"another", head}, {head, "another"}} {
		o := h.options()
		o.Log = func(*trust.File, evidence.Manifest, map[string][]byte) (evidence.LogReport, error) {
			return evidence.LogReport{Heads: []evidence.LoggedHead{{Recording: h.Recording, Seq: 2, Head: heads[0]}, {Recording: h.Recording, Seq: 2, Head: heads[1]}}}, nil
		}
		_, err := verify(h.build(t), h.Trust(), o)
		if same := heads[0] == heads[1]; same && err != nil || !same && !errors.Is(err, evidence.ErrRecording) {
			t.Fatalf("%v: %v", heads, err)
		}
	}
}

func TestSameContentGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	h := hold(t)
	signed := ""
	same := sealFunc(func(m evidence.Manifest) (string, error) {
		if signed != "" {
			return signed, nil
		}
		var err error
		signed, err = jws.Sign(m, evidence.TypeEvidence, h.Sealing)
		return signed, err
	})
	var a, b bytes.Buffer
	must(t, evidence.Build(context.Background(), &a, h.content, same))
	must(t, evidence.Build(context.Background(), &b, h.content, same))
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatal("two builds differ")
	}
}

type sealFunc func(evidence.Manifest) (string, error)

func (f sealFunc) SealEvidence(_ context.Context, m evidence.Manifest) (string, error) { return f(m) }

// H3, promise 5: a flipped byte anywhere, ZIP headers included, is found and named.
func TestEveryFlippedByteIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	flipBytes(t, 13)
}

// TestSoakEveryFlippedByteIsFoundAndNamed leaves no byte out.
func TestSoakEveryFlippedByteIsFoundAndNamed(t *testing.T) {
	if os.Getenv("KUULE_SOAK") == "" {
		t.Skip("minutes of flipped bytes: set KUULE_SOAK=1")
	}
	flipBytes(t, 1)
}

// flipBytes flips a bit of each byte of a bundle's headers, and of every so
// manieth of its contents.
func flipBytes(t *testing.T, step int) {
	t.Helper()
	h := hold(t)
	b := h.build(t)
	where := regions(t, b)
	file := h.Trust()
	opts := evidence.Options{Log: h.options().Log}
	for i := 0; i < len(b); i++ {
		r := where(i)
		if r.content && i%step != 0 {
			continue
		}
		b[i] ^= 1 << (i % 8)
		_, err := verify(b, file, opts)
		b[i] ^= 1 << (i % 8)
		var p *evidence.PlaceError
		if !errors.As(err, &p) {
			t.Fatalf("byte %d (%s) was flipped: %v", i, r.name, err)
		}
		if p.File != r.name {
			t.Fatalf("byte %d is in %q, named %q: %v", i, r.name, p.File, err)
		}
		if !r.content && r.name != "manifest.jws" && p.Offset != int64(i) {
			t.Fatalf("byte %d of a header, named %d: %v", i, p.Offset, err)
		}
		if strings.HasPrefix(r.name, "journal/") && r.content && !strings.Contains(p.Part, "block") && !strings.Contains(err.Error(), "content") {
			t.Fatalf("byte %d: no block is named: %v", i, err)
		}
	}
	for _, cut := range [][]byte{b[:len(b)-1], b[:len(b)/2], b[:10], nil, append(slices.Clone(b), 0)} {
		var p *evidence.PlaceError
		if _, err := verify(cut, file, opts); !errors.As(err, &p) {
			t.Fatalf("%d of %d bytes: %v", len(cut), len(b), err)
		}
	}
}

type region struct {
	name    string
	content bool
}

// regions tells, by Go's own ZIP reader, to what each byte belongs.
func regions(t *testing.T, b []byte) func(int) region {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	must(t, err)
	type span struct {
		from, data, to int
		name           string
	}
	var spans []span
	for _, f := range z.File {
		at, err := f.DataOffset()
		must(t, err)
		spans = append(spans, span{int(at) - 30 - len(f.Name), int(at), int(at) + int(f.CompressedSize64), f.Name})
	}
	return func(i int) region {
		for _, s := range spans {
			if i >= s.from && i < s.to {
				return region{s.name, i >= s.data}
			}
		}
		return region{}
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

// Each of these is a bundle that somebody with the sealing key, or without it,
// could lay down; the manifest fits it each time.
func TestWhatDoesNotHoldTogetherIsRefusedAndNamed(t *testing.T) {
	t.Parallel()
	entry := func(t *testing.T, e journal.Entry, err error, j *journal.Writer) {
		t.Helper()
		must(t, err)
		must(t, j.AddEntry(e))
	}
	for name, c := range map[string]struct {
		during change
		after  func(h *hearing)
		trust  func(h *hearing) *trust.File
		key    func(h *hearing) crypto.Signer
		want   error
		file   string
	}{
		"signed again with another key": {key: func(*hearing) crypto.Signer { return newKey(t) }, want: evidence.ErrNotSealed, file: "manifest.jws"},
		"another installation's trust":  {trust: func(*hearing) *trust.File { return journaltest.New(t).Trust() }, want: evidence.ErrNotSealed, file: "manifest.jws"},
		"recorder of another root": {trust: func(h *hearing) *trust.File {
			f := h.Trust()
			f.RecorderRoots = f.DeviceRoots
			return f
		}, want: evidence.ErrRoom, file: "room/statements"},
		"admissions of another authority": {trust: func(h *hearing) *trust.File {
			f := h.Trust()
			f.StatementKey, _ = trust.EncodeKey(newKey(t).Public())
			return f
		}, want: evidence.ErrRoom, file: "room/admissions"},
		"member without admission":   {after: func(h *hearing) { h.content.Admissions = append(h.content.Admissions[:1:1], h.Recorder.Admission) }, want: evidence.ErrRoom, file: "room/rosters"},
		"recorder without admission": {after: func(h *hearing) { h.content.Admissions = h.content.Admissions[:2] }, want: evidence.ErrRoom, file: "room/rosters"},
		"roster signed by the applicant": {after: func(h *hearing) {
			h.content.Rosters = append(h.content.Rosters, h.Roster(h.other, 20, h.other, h.Recorder))
		}, want: evidence.ErrRoom, file: "room/rosters"},
		"roster missing": {after: func(h *hearing) {
			h.Roster(h.chair, 20, h.chair)
			h.content.Rosters = append(h.content.Rosters, h.Roster(h.chair, 21, h.chair))
		}, want: evidence.ErrRoom, file: "room/rosters"},
		"no roster that the recorder saw": {after: func(h *hearing) { h.content.Rosters = nil }, want: evidence.ErrRoom, file: "journal/"},
		"origin list of somebody else": {during: func(h *hearing, j *journal.Writer) {
			s := h.Sender(h.chair, 1, 1, 0, interview.SourceAudio) // the applicant's place
			s.Seal(1, false, []byte{1})
			e, err := journal.NewSigned(journal.EntryOrigin, 1, s.Origin())
			entry(t, e, err, j)
		}, want: evidence.ErrOrigin, file: "journal/"},
		"origin list left out of order": {during: func(h *hearing, j *journal.Writer) {
			h.sender.Origin()
			h.sender.Seal(1, false, []byte{1})
			text := h.sender.Origin()
			for range 2 {
				e, err := journal.NewSigned(journal.EntryOrigin, 1, text)
				entry(t, e, err, j)
			}
		}, want: evidence.ErrOrigin, file: "journal/"},
		"frame that its sender did not sign for": {during: func(h *hearing, j *journal.Writer) {
			// Whoever has the group's key can seal in the applicant's name, not sign.
			said := h.sender.Seal(5, false, []byte("said"))
			e, err := journal.NewSigned(journal.EntryOrigin, 6, h.sender.Origin())
			entry(t, e, err, j)
			forger := journaltest.Copy(h.sender)
			forged := forger.Seal(5, false, []byte("never said"))
			for forged.Counter < said.Counter {
				forged = forger.Seal(5, false, []byte("never said"))
			}
			must(t, j.Append(forged))
		}, want: evidence.ErrOrigin, file: "journal/"},
		"frame moved to another track": {during: func(h *hearing, j *journal.Writer) {
			f := h.sender.Seal(5, false, []byte{1})
			f.Track = interview.NewTrackID()
			must(t, j.Append(f))
		}, want: evidence.ErrOrigin, file: "journal/"},
		"frame that does not open": {during: func(h *hearing, j *journal.Writer) {
			f := h.sender.Seal(5, false, []byte{1})
			f.Sealed[len(f.Sealed)-1] ^= 1
			must(t, j.Append(f))
		}, want: evidence.ErrOrigin, file: "journal/"},
		"transcript version missing":   {after: func(h *hearing) { h.content.Records = h.content.Records[1:] }, want: evidence.ErrRecord, file: "transcript/records"},
		"transcript sealed by another": {after: func(h *hearing) { h.content.Records = h.records(t, newKey(t)) }, want: evidence.ErrRecord, file: "transcript/records"},
		"log proof wrong":              {after: func(h *hearing) { h.content.Audit = []evidence.Blob{evidence.Bytes("proofs", []byte("x"))} }, want: evidence.ErrLog, file: "audit/"},
		"phases go back":               {after: func(h *hearing) { slices.Reverse(h.content.Phases) }, want: evidence.ErrRoom, file: "room/phases.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []change
			if c.during != nil {
				changes = append(changes, c.during)
			}
			h := hold(t, changes...)
			if c.after != nil {
				c.after(h)
			}
			var key crypto.Signer = h.Sealing
			if c.key != nil {
				key = c.key(h)
			}
			file := h.Trust()
			if c.trust != nil {
				file = c.trust(h)
			}
			var b bytes.Buffer
			must(t, evidence.Build(context.Background(), &b, h.content, sealer{key}))
			_, err := verify(b.Bytes(), file, h.options())
			var p *evidence.PlaceError
			if !errors.As(err, &p) || !errors.Is(err, c.want) || !strings.HasPrefix(p.File, c.file) {
				t.Fatalf("%v, want %v in %s", err, c.want, c.file)
			}
		})
	}
}

func TestWithoutOutsideCosignatureOnlyTheAgencyVouches(t *testing.T) {
	t.Parallel()
	h := hold(t)
	b := h.build(t)
	for name, log := range map[string]evidence.LogVerifier{
		"not checked": nil,
		"no cosignature": func(*trust.File, evidence.Manifest, map[string][]byte) (evidence.LogReport, error) {
			return evidence.LogReport{Entries: 3}, nil
		},
	} {
		r, err := verify(b, h.Trust(), evidence.Options{Log: log})
		if err != nil || !r.AgencyOnly || !slices.Contains(r.Notes, evidence.AgencyNote) {
			t.Fatalf("%s: %+v %v", name, r, err)
		}
	}
}

func TestWrongDataKeyIsSaid(t *testing.T) {
	t.Parallel()
	h := hold(t)
	o := h.options()
	k, err := journal.NewDataKey()
	must(t, err)
	o.Keys[h.Recording] = k
	if _, err := verify(h.build(t), h.Trust(), o); !errors.Is(err, journal.ErrDataKey) {
		t.Fatal(err)
	}
}

func TestNamesCannotLeaveTheBundle(t *testing.T) {
	t.Parallel()
	h := hold(t)
	for _, n := range []string{"../x", "a/../b", "/x", "A", "", "a//b", strings.Repeat("a", 300)} {
		h.content.Audit = []evidence.Blob{evidence.Bytes(n, nil)}
		if err := evidence.Build(context.Background(), io.Discard, h.content, sealer{h.Sealing}); !errors.Is(err, evidence.ErrManifest) {
			t.Fatalf("%q: %v", n, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	h := hold(f)
	f.Add(h.build(f))
	file := h.Trust()
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = verify(b, file, h.options()) })
}

// The log pins the chain: a journal that its recorder wrote again does not fit it.
func TestLogPinsTheJournal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head string
		seq  int64
		of   interview.RecordingID
		ok   bool
	}{
		"true": {ok: true, seq: 2}, "another block": {head: strings.Repeat("A", 43), seq: 2}, "later block": {seq: 99, head: "x"},
		"recording left out": {of: interview.NewRecordingID(), head: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hold(t)
			_, key, err := ed25519.GenerateKey(rand.Reader)
			must(t, err)
			log, err := audit.OpenLog(t.TempDir(), "kuule.test/log", key)
			must(t, err)
			defer log.Close()
			head := c.head
			if head == "" {
				head = h.blockHash(t, c.seq)
			}
			of := c.of
			if of.IsZero() {
				of = h.Recording
			}
			leaf := audit.Leaf{ID: interview.NewEventID().String(), Type: evidence.EventHead, V: 1}
			body, err := canon.Marshal(map[string]any{"id": leaf.ID, "type": leaf.Type, "v": 1, "hearing": h.Hearing, "fields": map[string]any{"recording": of, "seq": c.seq, "head": head}})
			must(t, err)
			salt := make([]byte, 32)
			sum := sha256.Sum256(slices.Concat(salt, body))
			leaf.H = base64.RawURLEncoding.EncodeToString(sum[:])
			at, err := log.Append(t.Context(), []audit.Leaf{leaf})
			must(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			proof, err := log.Prove(ctx, at[0])
			must(t, err)
			witness := audittest.NewWitness(t, log.Key(), "dev_counsel")
			line, err := witness.Cosign(proof.Checkpoint, nil)
			must(t, err)
			must(t, log.AddCosignature(proof.Checkpoint, line, witness.Key))
			proof, err = log.Prove(ctx, at[0])
			must(t, err)
			entry := evidence.LogEntry{Proof: proof, Body: string(body), Salt: base64.RawURLEncoding.EncodeToString(salt)}
			h.content.Audit, err = evidence.LogFiles([]evidence.LogEntry{entry}, []string{witness.Key})
			must(t, err)
			file := h.Trust()
			file.LogKey = log.Key()
			o := evidence.Options{Log: evidence.AuditLog(func(_ *trust.File, message string) (string, error) { return message, nil })}
			r, err := verify(h.build(t), file, o)
			if !c.ok {
				if !errors.Is(err, evidence.ErrRecording) {
					t.Fatal(err)
				}
				return
			}
			if err != nil || r.AgencyOnly || r.Log.Entries != 1 || r.Recordings[0].Logged != 3 {
				t.Fatalf("%+v %v", r, err)
			}
			file.LogKey = h.Trust().LogKey
			if _, err := verify(h.build(t), file, o); !errors.Is(err, evidence.ErrLog) {
				t.Fatalf("another log's key: %v", err)
			}
		})
	}
}

func (h *hearing) blockHash(t *testing.T, seq int64) string {
	t.Helper()
	var sources []journal.Source
	for _, f := range h.content.Journals[0] {
		r, err := f.Open()
		must(t, err)
		defer r.Close()
		sources = append(sources, journal.Source{Name: f.Name, Reader: r})
	}
	r := journal.NewReader(sources...)
	for {
		b, err := r.Next()
		must(t, err)
		if b.Head.Seq == seq {
			return b.Hash
		}
	}
}
