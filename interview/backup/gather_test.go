package backup_test

import (
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
)

// H5: what a member sends while a recorder is on the roster is gathered, in chunks
// that an agent takes; of an epoch without one nothing is, whatever is sent.
func TestOnlyWhatARecorderSharesIsGathered(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	i := sealingtest.New(t, time.Now())
	chair, terminal, recorder := i.Page(t, interview.RoleInterviewer), i.Page(t, interview.RoleApplicant), i.Recorder(t)
	file := &trust.File{V: 1}
	escrow := sealingtest.NewKey(t)
	var err error
	file.StatementKey, err = trust.EncodeKey(i.Statement.Public())
	must(err)
	file.BackupKey, err = trust.EncodeKey(escrow.Public())
	must(err)
	to, err := backup.Recipient(file)
	must(err)
	group, track := interview.NewGroupID(), interview.NewTrackID()
	g := backup.NewGatherer(to, i.Hearing, func() string { return terminal.Statement })
	g.Recorder(recorder.ID(), recorder.Admission)
	epoch := func(n int64, members ...*sealingtest.Joined) {
		t.Helper()
		r := sealing.Roster{V: 1, Hearing: i.Hearing, Group: group, Epoch: n, Chair: chair.ID(), Reason: "join"}
		for _, m := range members {
			r.Members = append(r.Members, sealing.RosterMember{Member: m.ID(), Admission: jws.Hash(m.Admission)})
		}
		text, err := jws.Sign(r, sealing.TypeRoster, chair.Identity.Signer())
		must(err)
		g.Roster(r, text)
		raw := make([]byte, sealing.SenderKeyBytes)
		raw[0] = byte(n)
		kid := sealing.KID(n, 1, 0)
		g.Key(sealing.Wrap{Group: group, Epoch: n, Sender: terminal.ID(), Track: track, Source: interview.SourceAudio, KID: kid}, raw)
		sealer, err := sframe.NewSealer(raw, uint64(kid))
		must(err)
		for at := range interview.Micros(5) {
			plain, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: interview.SourceAudio, Capture: at})
			must(err)
			sealed, _, err := sealer.Seal(nil, sealing.FrameMetadata(track), plain)
			must(err)
			g.Frame(track, at, sealed)
		}
	}
	epoch(9, chair, terminal, recorder) // before a recorder was heard
	for _, c := range g.Take() {
		if len(c.Frames) > 0 {
			t.Fatal("gathered before a recorder was heard")
		}
	}
	g.Beat()
	epoch(1, chair, terminal, recorder)
	epoch(2, chair, terminal) // a pause
	epoch(3, chair, terminal, recorder)
	all := g.Take()
	if len(all) != 2 || all[0].Epoch != 1 || all[1].Epoch != 3 {
		t.Fatalf("%d chunks", len(all))
	}
	for _, c := range all {
		must(c.Check(file))
		if len(c.Frames) != 5 || len(c.Keys) != 1 {
			t.Errorf("epoch %d: %d frames, %d keys", c.Epoch, len(c.Frames), len(c.Keys))
		}
	}
	if again := g.Take(); len(again) != 0 {
		t.Errorf("given twice: %v", again)
	}
}
