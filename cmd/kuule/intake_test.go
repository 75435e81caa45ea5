package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kuule/internal/jws"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
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

// life is one recording from a moment to another, as blobs.
func life(t *testing.T, w *journaltest.World, rec *journaltest.Member, after *journal.After, from, to interview.Micros) ([]evidence.Blob, *journal.After) {
	t.Helper()
	file, next := w.Life(t, rec, after, from, to)
	return []evidence.Blob{{Name: filepath.Base(file), Open: func() (io.ReadCloser, error) { return os.Open(file) }}}, next
}

// H5: the program itself takes from a terminal's back-up what no recorder has,
// and leaves nothing behind where it takes nothing.
func TestTheProgramTakesInABackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	build := exec.CommandContext(t.Context(), "go", "build", "-o", in("kuule"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w := journaltest.New(t)
	escrow, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(escrow)
	must(t, err)
	must(t, os.WriteFile(in("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	file := w.Trust()
	file.BackupKey, err = trust.EncodeKey(escrow.Public())
	must(t, err)
	text, err := file.Marshal()
	must(t, err)
	must(t, os.WriteFile(in("trust.keys"), text, 0o600))
	to, err := backup.Recipient(file)
	must(t, err)

	chair, speaker, again := w.Member(interview.RoleInterviewer), w.Member(interview.RoleApplicant), w.Member("")
	roster := w.Roster(chair, 1, chair, speaker, w.Recorder, again)
	first, after := life(t, w, w.Recorder, nil, 0, 2_000_000)
	second, _ := life(t, w, again, after, 2_400_000, 4_000_000)
	bundle := func(name string, journals ...[]evidence.Blob) {
		var b bytes.Buffer
		must(t, evidence.Build(t.Context(), &b, evidence.Content{
			Case: w.Case, Hearing: w.Hearing, MadeAt: w.Now, Rosters: []string{roster},
			Statements: []string{chair.Statement, speaker.Statement, w.Recorder.Statement, again.Statement},
			Admissions: []string{chair.Admission, speaker.Admission, w.Recorder.Admission, again.Admission},
			Phases:     []journal.Phase{{Phase: interview.PhaseOnRecord, Cause: interview.CauseInterviewer}},
			Journals:   journals,
		}, sealer{w}))
		must(t, os.WriteFile(in(name), b.Bytes(), 0o600))
	}
	bundle("gap.zip", first, second)
	whole, _ := life(t, w, w.Recorder, nil, 0, 4_000_000)
	bundle("whole.zip", whole)

	s := w.Sender(speaker, 1, 1, 0, interview.SourceAudio)
	c := &backup.Chunk{
		V: 1, Hearing: w.Hearing, Group: w.Group, Member: speaker.Member(), Epoch: 1, Statement: speaker.Statement, Roster: roster,
		Recorder: w.Recorder.Admission, Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{},
	}
	key, err := c.SealKey(to, backup.Key{Track: s.Track, Source: s.Source, KID: s.KID}, s.Key)
	must(t, err)
	c.Keys = append(c.Keys, key)
	for n := range interview.Micros(200) {
		f := s.Seal(n*20_000, false, []byte{0xf8, 0xff, 0xfe})
		c.Frames = append(c.Frames, backup.Frame{Track: s.Track, At: f.Capture, Sealed: base64.RawURLEncoding.EncodeToString(f.Sealed)})
	}
	c.Origins = append(c.Origins, s.Origin())
	sealed, err := c.Seal(to, 0)
	must(t, err)
	must(t, os.WriteFile(in("terminal.kb"), append(backup.Magic(), sealed...), 0o600))

	for name, taken := range map[string]int64{"gap.zip": 95, "whole.zip": 0} {
		out := in("out-" + name)
		cmd := exec.CommandContext(t.Context(), in("kuule"), "recording", "intake", in("terminal.kb"), "--evidence", in(name), "--trust", in("trust.keys"), "--key", in("key.pem"), "--out", out)
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, said)
		}
		var r intake.Report
		must(t, json.Unmarshal(said, &r))
		files, _ := filepath.Glob(filepath.Join(out, speaker.Member().String()+"-*.ogg"))
		if r.Taken != taken || r.Had != 200-taken || r.Unsure != 0 || len(files) != int(min(taken, 1)) {
			t.Errorf("%s: %+v, files %v", name, r, files)
		}
	}
}
