package intake_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/opusred"
	"kuule/interview/record"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
	"kuule/recorder/evidence"
	"kuule/recorder/intake"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
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

// recorded is a journal from a moment to another, as blobs.
func recorded(t *testing.T, w *journaltest.World, rec *journaltest.Member, after *journal.After, from, to interview.Micros) ([]evidence.Blob, *journal.After) {
	t.Helper()
	file, next := w.Life(t, rec, after, from, to)
	return []evidence.Blob{{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }}}, next
}

// H5: the recorder failed between 400 and 800 ms, and there was no other. Of the
// terminal's back-up exactly that is taken in: what a recorder has is left, what
// its sender did not sign for is not believed, and who was not in the room is
// refused.
func TestOnlyWhatNoRecorderHasIsTakenIn(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	escrow := sealingtest.NewKey(t)
	own, err := backup.PrivateKey(escrow)
	must(t, err)
	tf := w.Trust()
	tf.BackupKey = encode(t, escrow)
	to, err := backup.Recipient(tf)
	must(t, err)
	chair, speaker, again := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant), w.Member("")
	roster := w.Roster(chair, 1, chair, speaker, w.Recorder, again)
	first, after := recorded(t, w, w.Recorder, nil, 0, 400_000)
	second, _ := recorded(t, w, again, after, 800_000, 1_000_000)

	r, err := jws.Sign(record.Record{V: 1, ID: interview.NewRecordID(), Hearing: w.Hearing, Case: w.Case, Version: 1, Content: "x", Rule: "2", SealedAt: 1}, record.Type, w.Sealing)
	must(t, err)
	// Another device's page gives itself the speaker's name; it was not admitted.
	var named sealing.Statement
	must(t, jws.Peek(chair.Statement, sealing.TypeStatement, &named))
	named.Member = speaker.Member()
	device := sealingtest.NewKey(t)
	impostor, err := sealing.SignWith(device, w.DeviceCA.Issue(t, named.Device.String(), device))(named)
	must(t, err)
	var bundle bytes.Buffer
	must(t, evidence.Build(t.Context(), &bundle, evidence.Content{
		Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now, Rosters: []string{roster}, Records: []string{r},
		Statements: []string{chair.Statement, speaker.Statement, w.Recorder.Statement, again.Statement, impostor},
		Admissions: []string{chair.Admission, speaker.Admission, w.Recorder.Admission, again.Admission},
		Phases:     []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}},
		Journals:   [][]evidence.Blob{first, second},
	}, sealer{w}))
	e, err := intake.Open(bytes.NewReader(bundle.Bytes()), int64(bundle.Len()), tf, evidence.Options{})
	must(t, err)

	s := w.Sender(speaker, 1, 1, 0, interview.SourceAudio)
	chunk := func(roster string) *backup.Chunk {
		return &backup.Chunk{
			V: 1, Hearing: w.Hearing, Group: w.Group, Member: speaker.Member(), Epoch: 1, Statement: speaker.Statement, Roster: roster,
			Recorder: w.Recorder.Admission, Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{},
		}
	}
	c := chunk(roster)
	key, err := c.SealKey(to, backup.Key{Track: s.Track, Source: s.Source, KID: s.KID}, s.Key)
	must(t, err)
	c.Keys = append(c.Keys, key)
	add := func(at interview.Micros, said string) {
		f := s.Seal(at, false, []byte(said))
		c.Frames = append(c.Frames, backup.Frame{Track: s.Track, At: at, Sealed: base64.RawURLEncoding.EncodeToString(f.Sealed)})
	}
	for n := range interview.Micros(50) { // a second
		add(n*20_000, "said")
	}
	c.Origins = append(c.Origins, s.Origin())
	add(500_000, "on no list")
	read := func(chunks ...*backup.Chunk) (intake.Report, int, error) {
		file := backup.Magic()
		for n, c := range chunks {
			sealed, err := c.Seal(to, int64(n))
			must(t, err)
			file = append(file, sealed...)
		}
		taken := 0
		report, err := e.Read(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }, own, tf, func(f intake.Frame) error {
			if f.Capture < 400_000 || f.Capture >= 800_000 || string(f.Codec) != "said" || f.Member != speaker.Member() {
				t.Errorf("taken in: %+v", f)
			}
			taken++
			return nil
		})
		return report, taken, err
	}
	report, taken, err := read(c)
	must(t, err)
	if taken != 20 || report.Taken != 20 || report.Had != 30 || report.Unsure != 1 || report.Missing != 400_000 || report.From != 400_000 || report.To != 780_000 {
		t.Fatalf("%d taken: %+v", taken, report)
	}
	// Sound that was packed with copies of what came before it is taken in as
	// what it is.
	twice := w.Sender(speaker, 1, 1, 1, interview.SourceAudio)
	twice.Redundant = true
	f := twice.Seal(500_000, false, opusred.Append(nil, opusred.Block{Ago: 960, Opus: []byte("before")}, opusred.Block{Opus: []byte("said")}))
	torn := twice.Seal(520_000, false, []byte("no payload"))
	packed := chunk(roster)
	key, err = packed.SealKey(to, backup.Key{Track: twice.Track, Source: twice.Source, KID: twice.KID}, twice.Key)
	must(t, err)
	packed.Keys, packed.Origins = append(packed.Keys, key), append(packed.Origins, twice.Origin())
	for _, f := range []journal.Frame{f, torn} {
		packed.Frames = append(packed.Frames, backup.Frame{Track: twice.Track, At: f.Capture, Sealed: base64.RawURLEncoding.EncodeToString(f.Sealed)})
	}
	if report, taken, err := read(packed); err != nil || taken != 1 || report.Unsure != 1 {
		t.Fatalf("packed twice: %d taken, %+v, %v", taken, report, err)
	}
	claimed := chunk(roster)
	claimed.Statement = impostor
	if _, n, err := read(claimed); !errors.Is(err, intake.ErrStranger) || n != 0 {
		t.Fatalf("a statement that was not admitted: %d taken, %v", n, err)
	}
	// Of a room that the evidence does not know.
	forged := w.Roster(chair, 2, chair, speaker, w.Recorder)
	stranger := chunk(forged)
	stranger.Epoch = 2
	if _, n, err := read(stranger); !errors.Is(err, intake.ErrStranger) || n != 0 {
		t.Fatalf("another roster: %d taken, %v", n, err)
	}
	other := *c
	other.Statement = chair.Statement
	if _, n, err := read(&other); !errors.Is(err, intake.ErrStranger) || n != 0 {
		t.Fatalf("another's statement: %d taken, %v", n, err)
	}
}

func encode(t *testing.T, k *ecdsa.PrivateKey) string {
	t.Helper()
	text, err := trust.EncodeKey(k.Public())
	must(t, err)
	return text
}
